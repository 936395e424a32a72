//! The client that implements [`Uploader`].

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crate::content::{Content, Source};
use crate::sync::LockExt as _;
use crate::telemetry::Metrics;

use super::bucket::Bucket;
use super::session_pool::SessionPool;
use super::upload::{Payload, SentCounter, Upload};
use super::{
    NewObject, Observer, PooledUpload, SessionPoolConfig, UploadError, Uploaded, Uploader, Window,
};

/// Time for which [`Uploader::ready`] reports a refusal of the whole bucket.
const REFUSAL_TTL: Duration = Duration::from_secs(30);
/// Maximum time to cancel unused sessions of the pool on shutdown.
const POOL_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one bucket, shared by all upload threads.
pub struct Client {
    bucket: Bucket,
    /// The last refusal that concerned the bucket and not one object.
    refusal: Mutex<Option<(Instant, String)>>,
    session_pool: Option<Arc<SessionPool>>,
}

impl Client {
    /// Creates a client. Makes no request yet.
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket, refusal: Mutex::default(), session_pool: None }
    }

    /// Creates a client that opens sessions in advance, starting with the first call of
    /// [`take_pooled`](Uploader::take_pooled).
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn with_session_pool(
        bucket: Bucket,
        config: SessionPoolConfig,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let pool = Arc::new(SessionPool::new(bucket.clone(), config, metrics));
        pool.start_threads()?;
        Ok(Self { bucket, refusal: Mutex::default(), session_pool: Some(pool) })
    }

    /// The bucket.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    fn run(
        &self,
        object: &NewObject,
        payload: Payload<'_>,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError> {
        let counter = SentCounter::new(observer);
        let outcome = Upload::new(&self.bucket, object, payload, timeout, &counter).run();
        self.record_refusal(&outcome);
        outcome
    }

    /// Records whether the bucket accepts objects.
    fn record_refusal(&self, outcome: &Result<Uploaded, UploadError>) {
        let refusal = match outcome {
            Ok(_) => None,
            Err(error) if error.bucket_refused => {
                Some((self.bucket.clock.now(), error.message.clone()))
            }
            Err(_) => return,
        };
        *self.refusal.lock_ignoring_poison() = refusal;
    }
}

impl Uploader for Client {
    fn upload(
        &self,
        object: &NewObject,
        content: &dyn Content,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError> {
        self.run(object, Payload::Whole(content), timeout, observer)
    }

    fn upload_stream(
        &self,
        object: &NewObject,
        source: &mut dyn Source,
        window: Window,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError> {
        self.run(object, Payload::stream(source, window), timeout, observer)
    }

    fn take_pooled(&self, metadata: &BTreeMap<String, String>, size: u64) -> Option<PooledUpload> {
        self.session_pool.as_ref()?.take(metadata, size)
    }

    fn upload_pooled(
        &self,
        file: &PooledUpload,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError> {
        let counter = SentCounter::new(observer);
        let outcome = Upload::with_pooled_session(&self.bucket, file, timeout, &counter).run();
        self.record_refusal(&outcome);
        outcome
    }

    fn close_pool(&self) {
        if let Some(pool) = &self.session_pool {
            pool.close(POOL_CLOSE_TIMEOUT);
        }
    }

    fn interrupt(&self) {
        self.bucket.clock.interrupt();
        self.bucket.tokens.interrupt();
        self.bucket.transport.interrupt();
    }

    fn ready(&self) -> Result<(), String> {
        self.bucket.tokens.status().map_err(|error| error.to_string())?;
        let refusal = self.refusal.lock_ignoring_poison();
        match &*refusal {
            Some((when, what))
                if self.bucket.clock.now().saturating_duration_since(*when) < REFUSAL_TTL =>
            {
                Err(what.clone())
            }
            _ => Ok(()),
        }
    }

    fn token_expiry(&self) -> Option<SystemTime> {
        self.bucket.tokens.status().ok().flatten()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(pool) = &self.session_pool {
            pool.abandon();
        }
    }
}
