//! Error of an upload: what was tried, what happened, what to do.

use std::fmt;
use std::time::Duration;

/// Kind of an upload error; decides the response of the API.
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
    /// The response is invalid, or does not match what was sent (HTTP: 502).
    Protocol,
    /// The uploader was told to stop (HTTP: 503).
    Interrupted,
    /// The content could not be read, did not arrive in time, or does not match what its owner
    /// announced (HTTP: 4xx, as the source reports).
    Source,
    /// Cloud Storage has lost bytes of a stream that it had acknowledged, and they cannot be had
    /// again: the stream has to be sent anew (HTTP: 502).
    Lost,
}

/// An upload that failed. Its text is for a person on call, and holds no secret.
#[derive(Clone, Debug)]
pub struct UploadError {
    /// Kind of the error.
    pub kind: ErrorKind,
    /// The request with its method and URL (without the query), and its outcome.
    pub message: String,
    /// Advice for the reader, if there is any.
    pub hint: Option<String>,
    /// The last status that Cloud Storage answered, if any.
    pub status: Option<u16>,
    /// Cloud Storage refused the identity or the bucket, and so every upload.
    pub bucket_refused: bool,
    /// Number of retried requests.
    pub retried: u32,
    /// Bytes that Cloud Storage had stored.
    pub persisted: u64,
    /// Time from the start of the upload to the error.
    pub elapsed: Duration,
    /// The upload certainly left no object behind. False when the last byte was sent, and Cloud
    /// Storage could not be asked about the object afterwards.
    pub absent: bool,
}

impl UploadError {
    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        // Nothing was tried for long, and nothing was stored: then there is nothing to add.
        if self.retried > 0 || self.persisted > 0 {
            let (seconds, retries) = (self.elapsed.as_secs_f64(), self.retried);
            let stored = self.persisted;
            write!(
                f,
                " (gave up after {seconds:.1} s and {retries} retries; {stored} bytes were stored)"
            )?;
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UploadError {}
