//! A Cloud Storage that answers from a script, on a clock that nobody waits for: what the tests of
//! the state machine are written with. Never part of the product.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::content::{ByteSize, Content, RandomContent, Seed, Source};

use super::clock::Clock;
use super::credentials::{AccessToken, CredentialsError, TokenSource};
use super::session::Session;
use super::session_pool::{PooledSession, PooledUpload};
use super::transport::{Body, Method, Request, Response, Transport, TransportError};
use super::{
    Bucket, Client, Endpoint, NewObject, RetryConfig, UploadError, Uploaded, Uploader as _, Window,
};

pub(super) const SECRET: &str = "s3cr3t-session";
const KIB: u64 = 1 << 10;

/// Response of the scripted Cloud Storage to one request.
pub(super) struct ScriptedResponse {
    /// Bytes of the body that are read before the response.
    takes: u64,
    outcome: Result<Response, TransportError>,
    interrupts: bool,
}

impl ScriptedResponse {
    pub(super) fn taking(self, takes: u64) -> Self {
        Self { takes, ..self }
    }

    pub(super) fn range(self, range: &str) -> Self {
        self.with(|response| response.range = Some(range.into()))
    }

    pub(super) fn retry_after(self, value: &str) -> Self {
        self.with(|response| response.retry_after = Some(value.into()))
    }

    pub(super) fn body(self, body: &str) -> Self {
        self.with(|response| response.body = body.into())
    }

    pub(super) fn location(self, location: Option<&str>) -> Self {
        self.with(|response| response.location = location.map(Into::into))
    }

    pub(super) fn interrupting(self) -> Self {
        Self { interrupts: true, ..self }
    }

    fn with(mut self, change: impl FnOnce(&mut Response)) -> Self {
        change(self.outcome.as_mut().expect("a response"));
        self
    }
}

pub(super) fn status(status: u16) -> ScriptedResponse {
    let response = Response { status, ..Response::default() };
    ScriptedResponse { takes: u64::MAX, outcome: Ok(response), interrupts: false }
}

fn session_uri() -> String {
    format!("http://gcs.test/upload/x?upload_id={SECRET}")
}

pub(super) fn opened() -> ScriptedResponse {
    status(200).location(Some(&session_uri()))
}

pub(super) fn persisted(bytes: u64) -> ScriptedResponse {
    match bytes.checked_sub(1) {
        None => status(308),
        Some(last) => status(308).range(&format!("bytes=0-{last}")),
    }
}

pub(super) fn fails(error: TransportError) -> ScriptedResponse {
    ScriptedResponse { takes: u64::MAX, outcome: Err(error), interrupts: false }
}

pub(super) fn breaks() -> ScriptedResponse {
    fails(TransportError::Broken("reset by peer".into()))
}

/// Timing of a stream.
pub(super) struct Stream {
    window: Window,
    announced: Option<u64>,
    /// At which offset it fails, and in which words.
    fails: Option<(u64, &'static str)>,
    /// Time of each read of 64 KiB.
    takes: Duration,
    interrupts: bool,
}

/// A test's upload and the script that it runs against.
pub(super) struct ScriptedUpload {
    content: RandomContent,
    script: VecDeque<(String, ScriptedResponse)>,
    tokens: Arc<Tokens>,
    timeout: Duration,
    ahead: Option<(&'static str, &'static str)>,
    stream: Option<Stream>,
}

/// A request as it came: its header fields and its body, but for the content.
pub(super) struct RecordedRequest {
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl RecordedRequest {
    /// A header field's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(field, _)| field == name);
        field.map(|(_, value)| value.as_str())
    }

    /// The body, which is JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Outcome of a [`ScriptedUpload`].
pub(super) struct Outcome {
    pub(super) result: Result<Uploaded, UploadError>,
    pub(super) pauses: Vec<Duration>,
    pub(super) refreshes: u32,
    pub(super) requests: Vec<RecordedRequest>,
    /// Bytes of a stream that were read.
    pub(super) read: u64,
}

impl ScriptedUpload {
    pub(super) fn of_kib(kib: u64) -> Self {
        Self::of(kib * KIB)
    }

    pub(super) fn of(size: u64) -> Self {
        Self {
            content: RandomContent::new(Seed::new(1), size),
            script: VecDeque::new(),
            tokens: Arc::new(Tokens::none()),
            timeout: Duration::from_secs(300),
            ahead: None,
            stream: None,
        }
    }

    /// The content comes once, and is kept in a window of this many KiB.
    pub(super) fn streamed(mut self, window: u64) -> Self {
        self.stream = Some(Stream {
            window: Window::new(ByteSize::bytes(window * KIB)).unwrap(),
            announced: None,
            fails: None,
            takes: Duration::ZERO,
            interrupts: false,
        });
        self
    }

    pub(super) fn announcing(self, announced: u64) -> Self {
        self.with_stream(|stream| stream.announced = Some(announced))
    }

    pub(super) fn failing_at(self, offset: u64, how: &'static str) -> Self {
        self.with_stream(|stream| stream.fails = Some((offset, how)))
    }

    /// Every 64 KiB of the stream take this long to come.
    pub(super) fn coming_at(self, takes: Duration) -> Self {
        self.with_stream(|stream| stream.takes = takes)
    }

    /// The uploader is interrupted while the stream is read.
    pub(super) fn interrupted_while_it_comes(self) -> Self {
        self.with_stream(|stream| stream.interrupts = true)
    }

    fn with_stream(mut self, change: impl FnOnce(&mut Stream)) -> Self {
        change(self.stream.as_mut().expect("a stream"));
        self
    }

    pub(super) fn with_tokens(mut self, tokens: &[&str]) -> Self {
        self.tokens = Arc::new(Tokens::of(tokens));
        self
    }

    pub(super) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With a session that was opened ahead, and metadata that was not known then.
    pub(super) fn with_session_ahead(mut self, key: &'static str, value: &'static str) -> Self {
        self.ahead = Some((key, value));
        self
    }

    /// The next request must be this one, and gets this reaction.
    pub(super) fn on(mut self, request: &str, reaction: ScriptedResponse) -> Self {
        self.script.push_back((request.to_owned(), reaction));
        self
    }

    /// The object resource that Cloud Storage would return.
    pub(super) fn resource(&self) -> Value {
        json!({
            "bucket": "bucket", "name": "name", "generation": "7", "contentType": "text/plain",
            "size": self.content.size().to_string(), "crc32c": self.content.crc32c(),
        })
    }

    pub(super) fn done(&self) -> ScriptedResponse {
        status(200).body(&self.resource().to_string())
    }

    /// a response that shows another object: `field` has another value.
    pub(super) fn done_but(&self, field: &str, value: &str) -> ScriptedResponse {
        let mut resource = self.resource();
        resource[field] = value.into();
        status(200).body(&resource.to_string())
    }

    /// As [`on`](Self::on), with the response that the upload is done.
    pub(super) fn done_on(self, request: &str) -> Self {
        let done = self.done();
        self.on(request, done)
    }

    /// Uploads, and checks that the script was played to its end.
    pub(super) fn run(mut self) -> Outcome {
        let (content, timeout) = (self.content.clone(), self.timeout);
        let (ahead, stream) = (self.ahead, self.stream.take());
        let bucket_script = self.into_bucket();
        let client = Client::new(bucket_script.bucket.clone());
        let object = NewObject {
            name: "name".into(),
            content_type: "text/plain".into(),
            metadata: Default::default(),
        };
        let mut read = 0;
        let result = match (&stream, ahead) {
            (None, None) => client.upload(&object, &content, timeout, &()),
            (None, Some((key, value))) => {
                let session = Session::new(session_uri());
                let opened = bucket_script.clock.now();
                let ready = PooledSession { object, seed: content.seed(), session, opened };
                let metadata = [(key.to_owned(), value.to_owned())].into();
                let file = PooledUpload::new(ready, &metadata, content.size());
                client.upload_pooled(&file, timeout, &())
            }
            (Some(stream), _) => {
                let clock = &bucket_script.clock;
                let mut source = Once { content: &content, stream, clock, read: 0 };
                let window = stream.window;
                let result = client.upload_stream(&object, &mut source, window, timeout, &());
                read = source.read;
                result
            }
        };
        if let Err(error) = &result {
            assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
        }
        let pauses = bucket_script.clock.pauses.lock().unwrap().clone();
        let refreshes = bucket_script.tokens.refreshes.lock().unwrap().to_owned();
        Outcome { requests: bucket_script.finish(&result), result, pauses, refreshes, read }
    }

    /// The bucket in which the script is played, for what is no upload.
    pub(super) fn into_bucket(self) -> ScriptedBucket {
        let clock = Arc::new(FakeClock::default());
        let transport_script = Arc::new(ScriptedTransport {
            script: Mutex::new(self.script),
            requests: Mutex::default(),
            clock: clock.clone(),
        });
        let second = Duration::from_secs(1);
        let bucket = Bucket {
            endpoint: Endpoint::emulator("gcs.test").unwrap(),
            name: "bucket".into(),
            retry: RetryConfig { initial_wait: second, max_wait: 8 * second },
            transport: transport_script.clone(),
            tokens: self.tokens.clone(),
            clock: clock.clone(),
        };
        ScriptedBucket { bucket, transport_script, clock, tokens: self.tokens }
    }

    pub(super) fn uploads(self) -> (Uploaded, Vec<Duration>) {
        let outcome = self.run();
        (outcome.result.expect("the upload succeeds"), outcome.pauses)
    }

    pub(super) fn fails(self) -> UploadError {
        self.run().result.expect_err("the upload fails")
    }
}

/// A bucket, and the script behind it.
pub(super) struct ScriptedBucket {
    pub(super) bucket: Bucket,
    transport_script: Arc<ScriptedTransport>,
    clock: Arc<FakeClock>,
    tokens: Arc<Tokens>,
}

impl ScriptedBucket {
    /// Time passes in which nothing is done.
    pub(super) fn passes(&self, time: Duration) {
        *self.clock.elapsed.lock().unwrap() += time;
    }

    /// Checks that the script was played to its end; the requests that were made.
    pub(super) fn finish(&self, came_to: &impl std::fmt::Debug) -> Vec<RecordedRequest> {
        let left: Vec<_> =
            self.transport_script.script.lock().unwrap().drain(..).map(|(r, _)| r).collect();
        assert!(left.is_empty(), "never asked: {left:?}; came to {came_to:?}");
        std::mem::take(&mut *self.transport_script.requests.lock().unwrap())
    }
}

/// The content, as it comes once.
struct Once<'a> {
    content: &'a RandomContent,
    stream: &'a Stream,
    clock: &'a FakeClock,
    read: u64,
}

impl Source for Once<'_> {
    fn declared_size(&self) -> Option<u64> {
        self.stream.announced
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        *self.clock.elapsed.lock().unwrap() += self.stream.takes;
        if self.stream.interrupts {
            self.clock.interrupt();
        }
        let most = match self.stream.fails {
            Some((offset, how)) if offset == self.read => return Err(io::Error::other(how)),
            Some((offset, _)) => offset - self.read,
            None => u64::MAX,
        };
        let most = most.min(64 * KIB).min(buffer.len() as u64);
        let count = self.content.read_at(self.read, &mut buffer[..most as usize])?;
        self.read += count as u64;
        Ok(count)
    }
}

struct ScriptedTransport {
    script: Mutex<VecDeque<(String, ScriptedResponse)>>,
    requests: Mutex<Vec<RecordedRequest>>,
    clock: Arc<FakeClock>,
}

impl Transport for ScriptedTransport {
    fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let seen = describe(request);
        let (expected, reaction) =
            self.script.lock().unwrap().pop_front().unwrap_or_else(|| panic!("unexpected: {seen}"));
        assert_eq!(seen, expected);
        let mut body = Vec::new();
        match request.body {
            Body::Empty => {}
            Body::Bytes(bytes) => body.extend_from_slice(bytes),
            Body::Part { bytes, observer } => {
                let taken = usize::try_from(reaction.takes).unwrap_or(usize::MAX).min(bytes.len());
                body.extend_from_slice(&bytes[..taken]);
                observer.sent(taken as u64);
            }
            Body::Rest { content, mut offset, observer } => {
                let mut buffer = [0; 64 << 10];
                let mut left = reaction.takes;
                while left > 0 {
                    let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let count = content.read_at(offset, &mut buffer[..most]).unwrap() as u64;
                    if count == 0 {
                        break;
                    }
                    observer.sent(count);
                    (offset, left) = (offset + count, left - count);
                }
            }
        }
        let owned = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
        let headers = request.headers.iter().map(owned).collect();
        self.requests.lock().unwrap().push(RecordedRequest { headers, body });
        if reaction.interrupts {
            self.clock.interrupt();
        }
        reaction.outcome
    }

    fn interrupt(&self) {}
}

/// `start`, `put RANGE`, `get_metadata`, `cancel` or `remove GENERATION`; urgent ones must be those that
/// follow giving up.
fn describe(request: &Request<'_>) -> String {
    let range = || {
        let header = request.headers.iter().find(|(name, _)| *name == "content-range");
        header.map_or("without a range", |(_, value)| value)
    };
    match (request.method, request.url.contains("upload_id=")) {
        (Method::Post, false) => "start".into(),
        (Method::Put, true) => format!("put {}", range()),
        (Method::Get, false) => "get metadata".into(),
        (Method::Delete, true) => "cancel".into(),
        (Method::Delete, false) => {
            format!("delete {}", request.url.rsplit('=').next().unwrap_or_default())
        }
        (method, _) => format!("{method:?} {}", request.url),
    }
}

struct FakeClock {
    began: Instant,
    elapsed: Mutex<Duration>,
    pauses: Mutex<Vec<Duration>>,
    interrupted: AtomicBool,
}

impl Default for FakeClock {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            elapsed: Mutex::default(),
            pauses: Mutex::default(),
            interrupted: AtomicBool::new(false),
        }
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Instant {
        self.began + *self.elapsed.lock().unwrap()
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + *self.elapsed.lock().unwrap()
    }

    fn pause(&self, wait: Duration) -> bool {
        *self.elapsed.lock().unwrap() += wait;
        self.pauses.lock().unwrap().push(wait);
        !self.interrupted()
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// The longest wait that the bound allows, so that tests can state it.
    fn random(&self) -> f64 {
        1.0
    }
}

struct Tokens {
    left: Mutex<VecDeque<String>>,
    refreshes: Mutex<u32>,
}

impl Tokens {
    fn none() -> Self {
        Self::of(&[])
    }

    fn of(tokens: &[&str]) -> Self {
        let left = Mutex::new(tokens.iter().map(|&t| t.to_owned()).collect());
        Self { left, refreshes: Mutex::new(0) }
    }

    fn first(&self) -> Option<AccessToken> {
        self.left.lock().unwrap().front().cloned().map(AccessToken::new)
    }
}

impl TokenSource for Tokens {
    fn token(&self, _patience: Duration) -> Result<Option<AccessToken>, CredentialsError> {
        Ok(self.first())
    }

    fn refresh(
        &self,
        rejected: &AccessToken,
        _patience: Duration,
    ) -> Result<Option<AccessToken>, CredentialsError> {
        assert_eq!(self.first().as_ref(), Some(rejected));
        *self.refreshes.lock().unwrap() += 1;
        self.left.lock().unwrap().pop_front();
        self.first().map(Some).ok_or_else(|| CredentialsError {
            source_name: "the script".into(),
            reason: "there is no other token".into(),
        })
    }

    fn interrupt(&self) {}

    fn status(&self) -> Result<Option<SystemTime>, CredentialsError> {
        Ok(None)
    }
}
