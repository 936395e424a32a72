//! The upload engine on a clock that nobody waits for: pauses end at once, and the deadline comes
//! when they would have added up to it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use gcs_uploader::content::{CHECKSUM_SETTLED, Content, ObjectPrefix, RandomContent, Seed, Source};
use gcs_uploader::gcs::clock::Clock;
use gcs_uploader::gcs::credentials::NoCredentials;
use gcs_uploader::gcs::http::{HttpConfig, HttpTransport};
use gcs_uploader::gcs::{
    Bucket, Client, Endpoint, NewObject, Observer, PooledUpload, RetryConfig, SessionPoolConfig,
    UploadError, Uploaded, Uploader as _, Window,
};
use gcs_uploader::telemetry::Metrics;

/// How long an upload may take, on its own clock.
pub const DEADLINE: Duration = Duration::from_secs(3600);

/// A client of the store at `address`.
pub fn client(address: SocketAddr) -> Client {
    let stall_timeout = Duration::from_millis(100);
    let config = HttpConfig { stall_timeout, ..HttpConfig::for_uploads(4) };
    Client::new(Bucket {
        endpoint: Endpoint::emulator(&address.to_string()).unwrap(),
        name: "bucket".into(),
        retry: RetryConfig::default(),
        transport: Arc::new(HttpTransport::new(config)),
        tokens: Arc::new(NoCredentials),
        clock: Arc::new(Hurry::default()),
    })
}

/// A client of the store at `address` with a session opened ahead, and with no more than that one:
/// nothing else happens beside the upload.
pub fn client_and_prepared(address: SocketAddr, size: u64) -> Option<(Client, PooledUpload)> {
    if size < CHECKSUM_SETTLED {
        return None;
    }
    let one = NonZeroUsize::MIN;
    let ahead = SessionPoolConfig {
        sessions: one,
        threads: one,
        prefix: ObjectPrefix::default(),
        content_type: "application/octet-stream".into(),
    };
    let bucket = client(address).bucket().clone();
    let metrics = Arc::new(Metrics::new("test"));
    let client = Client::with_session_pool(bucket, ahead, metrics).unwrap();
    let began = Instant::now();
    let file = loop {
        match client.take_pooled(&BTreeMap::new(), size) {
            Some(file) => break file,
            None => assert!(began.elapsed() < super::PATIENCE, "no session is opened ahead"),
        }
        std::thread::yield_now();
    };
    client.close_pool();
    Some((client, file))
}

/// An object of this name, without metadata of its own.
pub fn object(name: &str) -> NewObject {
    NewObject {
        name: name.into(),
        content_type: "application/octet-stream".into(),
        metadata: BTreeMap::new(),
    }
}

/// Uploads random bytes under a name of their own.
pub fn upload(client: &Client, name: &str, seed: u128, size: u64) -> Result<Uploaded, UploadError> {
    let content = RandomContent::new(Seed::new(seed), size);
    client.upload(&object(name), &content, DEADLINE, &())
}

/// As [`upload`], heard by `observer`.
pub fn upload_content(
    client: &Client,
    name: &str,
    content: &dyn Content,
    observer: &dyn Observer,
) -> Result<Uploaded, UploadError> {
    client.upload(&object(name), content, DEADLINE, observer)
}

/// As [`upload_content`], with bytes that come once and are kept in a window.
pub fn upload_stream(
    client: &Client,
    name: &str,
    source: &mut dyn Source,
    window: Window,
) -> Result<Uploaded, UploadError> {
    client.upload_stream(&object(name), source, window, DEADLINE, &())
}

/// Content that comes once, in pieces.
pub struct Once<'a> {
    pub content: &'a RandomContent,
    /// How large the pieces are, at the most.
    pub pieces: usize,
    pub announced: Option<u64>,
    /// At which offset it fails, if it does.
    pub fails_at: Option<u64>,
    /// How much of it has come.
    pub read: u64,
}

impl Source for Once<'_> {
    fn declared_size(&self) -> Option<u64> {
        self.announced
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.fails_at.map_or(u64::MAX, |offset| offset - self.read);
        if left == 0 {
            return Err(io::Error::other("the source has failed"));
        }
        let most = buffer.len().min(self.pieces).min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.content.read_at(self.read, &mut buffer[..most])?;
        self.read += count as u64;
        Ok(count)
    }
}

/// A clock on which pauses take no time.
pub struct Hurry {
    began: Instant,
    skipped: AtomicU64,
    interrupted: AtomicBool,
}

impl Default for Hurry {
    fn default() -> Self {
        let (skipped, interrupted) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { began: Instant::now(), skipped, interrupted }
    }
}

impl Clock for Hurry {
    fn now(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.skipped.load(Ordering::Relaxed))
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::now() + (self.now() - self.began)
    }

    fn pause(&self, wait: Duration) -> bool {
        let millis = u64::try_from(wait.as_millis()).unwrap();
        self.skipped.fetch_add(millis, Ordering::Relaxed);
        !self.interrupted()
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn random(&self) -> f64 {
        0.5
    }
}
