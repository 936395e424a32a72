//! The uploader that everybody else sees.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::content::{Content, Source};

use super::bucket::Bucket;
use super::upload::{Cargo, Tally, Upload};
use super::{ErrorKind, NewObject, Observer, UploadError, Uploaded, Uploader, Window};

/// How long a refusal of the whole bucket makes [`Uploader::ready`] say no.
const REFUSAL_COUNTS: Duration = Duration::from_secs(30);

/// A client of one bucket; shared by all the threads that upload.
pub struct Client {
    bucket: Bucket,
    /// The last refusal that was not about a single object.
    refusal: Mutex<Option<(Instant, String)>>,
}

impl Client {
    /// A client that has not asked anything yet.
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket, refusal: Mutex::default() }
    }

    /// Its bucket.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    fn run(
        &self,
        object: &NewObject,
        cargo: Cargo<'_>,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError> {
        let tally = Tally::new(observer);
        let outcome = Upload::new(&self.bucket, object, cargo, timeout, &tally).run();
        self.note(&outcome);
        outcome
    }

    /// Remembers whether the bucket takes objects at all.
    fn note(&self, outcome: &Result<Uploaded, UploadError>) {
        let refusal = match outcome {
            Ok(_) => None,
            Err(e) if e.kind == ErrorKind::Refused && matches!(e.status, Some(401 | 403 | 404)) => {
                Some((self.bucket.timing.now(), e.message.clone()))
            }
            Err(_) => return,
        };
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
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
        self.run(object, Cargo::Whole(content), timeout, observer)
    }

    fn upload_stream(
        &self,
        object: &NewObject,
        source: &mut dyn Source,
        window: Window,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError> {
        self.run(object, Cargo::parts(source, window), timeout, observer)
    }

    fn interrupt(&self) {
        self.bucket.timing.interrupt();
        self.bucket.tokens.interrupt();
        self.bucket.transport.interrupt();
    }

    fn ready(&self) -> Result<(), String> {
        self.bucket.tokens.status().map_err(|error| error.to_string())?;
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        match &*refusal {
            Some((when, what))
                if self.bucket.timing.now().saturating_duration_since(*when) < REFUSAL_COUNTS =>
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
