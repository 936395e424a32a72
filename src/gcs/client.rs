//! The uploader that everybody else sees.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::content::{Content, Source};
use crate::telemetry::Metrics;

use super::bucket::Bucket;
use super::ready::ReadySessions;
use super::upload::{Cargo, Tally, Upload};
use super::{Ahead, NewObject, Observer, Prepared, UploadError, Uploaded, Uploader, Window};

/// How long a refusal of the whole bucket makes [`Uploader::ready`] say no.
const REFUSAL_COUNTS: Duration = Duration::from_secs(30);
/// How long cancelling the sessions may take that were opened ahead.
const CANCELLING: Duration = Duration::from_secs(5);

/// A client of one bucket; shared by all the threads that upload.
pub struct Client {
    bucket: Bucket,
    /// The last refusal that was not about a single object.
    refusal: Mutex<Option<(Instant, String)>>,
    ahead: Option<Arc<ReadySessions>>,
}

impl Client {
    /// A client that has not asked anything yet.
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket, refusal: Mutex::default(), ahead: None }
    }

    /// As [`new`](Self::new), with sessions that are opened ahead of uploads, from the first upload
    /// on that asks for a [prepared](Uploader::prepared) file.
    ///
    /// # Errors
    /// When there are no threads for it.
    pub fn with_sessions_ahead(
        bucket: Bucket,
        ahead: Ahead,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let sessions = Arc::new(ReadySessions::new(bucket.clone(), ahead, metrics));
        sessions.start_crew()?;
        Ok(Self { bucket, refusal: Mutex::default(), ahead: Some(sessions) })
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
            Err(error) if error.bucket_refused => {
                Some((self.bucket.timing.now(), error.message.clone()))
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

    fn prepared(&self, metadata: &BTreeMap<String, String>, size: u64) -> Option<Prepared> {
        self.ahead.as_ref()?.take(metadata, size)
    }

    fn upload_prepared(
        &self,
        file: &Prepared,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError> {
        let tally = Tally::new(observer);
        let outcome = Upload::prepared(&self.bucket, file, timeout, &tally).run();
        self.note(&outcome);
        outcome
    }

    fn prepare_no_more(&self) {
        if let Some(sessions) = &self.ahead {
            sessions.close(CANCELLING);
        }
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

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(sessions) = &self.ahead {
            sessions.abandon();
        }
    }
}
