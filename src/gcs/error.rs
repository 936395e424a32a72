//! Why an upload failed: what was tried, what happened, what to do.

use std::fmt;
use std::time::Duration;

/// What kind of failure it was; decides what a caller of the API is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Cloud Storage refused for good: the request, the identity, the bucket (HTTP: 502).
    Refused,
    /// An object of this name exists, and it is not ours (HTTP: 502; with a name that the client
    /// chose: 409).
    Conflict,
    /// Cloud Storage could not be reached, or did not finish in time (HTTP: 504).
    TimedOut,
    /// No access token could be had (HTTP: 502).
    Credentials,
    /// What came back makes no sense, or does not match what was sent (HTTP: 502).
    Protocol,
    /// The uploader was told to stop (HTTP: 503).
    Interrupted,
    /// What was to be sent could not be read, did not come in time, or is not what its owner
    /// promised (HTTP: 4xx, as the source tells).
    Source,
    /// Cloud Storage has lost bytes of a stream that it had acknowledged, and they cannot be had
    /// again: the stream has to be sent anew (HTTP: 502).
    Lost,
}

/// An upload that failed. Its text is for a person on call, and holds no secret.
#[derive(Clone, Debug)]
pub struct UploadError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What was being tried, with the request's method and URL (no query), and what came.
    pub message: String,
    /// What the person who reads this can do about it, where that is known.
    pub hint: Option<String>,
    /// The last status that Cloud Storage answered, if any.
    pub status: Option<u16>,
    /// Whether Cloud Storage refused the identity or the bucket, and so every upload.
    pub bucket_refused: bool,
    /// How many requests were made again.
    pub retried: u32,
    /// How far Cloud Storage had got, in bytes.
    pub persisted: u64,
    /// How long it was tried.
    pub elapsed: Duration,
    /// Whether it is certain that this upload left no object behind. It is not when the last byte
    /// was sent, and Cloud Storage could no longer be asked what became of it.
    pub absent: bool,
}

impl UploadError {
    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (after {:.1} s and {} retries, with {} bytes persisted)",
            self.message,
            self.elapsed.as_secs_f64(),
            self.retried,
            self.persisted,
        )?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UploadError {}
