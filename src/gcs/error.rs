//! Upload errors: what was tried, what happened, what to do.

use std::fmt;
use std::time::Duration;

/// Kind of a failure. It determines the status of the HTTP response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Cloud Storage rejected the request, the identity or the bucket permanently (HTTP: 502).
    Refused,
    /// Another object with this name exists (HTTP: 502; if the client chose the name: 409).
    Conflict,
    /// Cloud Storage was unreachable or did not finish in time (HTTP: 504).
    TimedOut,
    /// No access token was available (HTTP: 502).
    Credentials,
    /// The response is invalid, or does not match the content sent (HTTP: 502).
    Protocol,
    /// The upload was cancelled because the process is stopping (HTTP: 503).
    Interrupted,
    /// The content could not be read, did not arrive in time, or does not match its declared size
    /// or digest (HTTP: 4xx, as the source reports).
    Source,
    /// Cloud Storage lost acknowledged bytes of a stream that are no longer buffered, so that the
    /// client has to send the stream again (HTTP: 502).
    Lost,
}

/// A failed upload. Its text is meant for an operator and contains no secrets.
#[derive(Clone, Debug)]
pub struct UploadError {
    /// Kind of the failure.
    pub kind: ErrorKind,
    /// The attempted request, with method and URL (without query), and what happened.
    pub message: String,
    /// What the operator can do about it, if known.
    pub hint: Option<String>,
    /// Status of the last response from Cloud Storage, if any.
    pub status: Option<u16>,
    /// True if Cloud Storage rejected the identity or the bucket, and therefore every upload.
    pub bucket_refused: bool,
    /// Number of requests that were retried.
    pub retried: u32,
    /// Number of bytes that Cloud Storage had stored.
    pub persisted: u64,
    /// Time from the first request to the failure.
    pub elapsed: Duration,
    /// True if this upload certainly left no object behind. False if the last byte was sent, but
    /// the result could not be determined.
    pub absent: bool,
}

impl UploadError {
    /// Returns the kind of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let (retried, persisted) = (self.retried, self.persisted);
        // Less than that is shown as 0.0 s.
        let elapsed = self.elapsed >= Duration::from_millis(50);
        if elapsed || retried > 0 || persisted > 0 {
            let retries = if retried == 1 { "retry" } else { "retries" };
            let bytes = if persisted == 1 { "byte was" } else { "bytes were" };
            write!(
                f,
                " (gave up after {:.1} s and {retried} {retries}; {persisted} {bytes} stored so far)",
                self.elapsed.as_secs_f64(),
            )?;
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UploadError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(retried: u32, persisted: u64, elapsed: Duration) -> UploadError {
        UploadError {
            kind: ErrorKind::TimedOut,
            message: "PUT failed".to_owned(),
            hint: Some("try again".to_owned()),
            status: None,
            bucket_refused: false,
            retried,
            persisted,
            elapsed,
            absent: true,
        }
    }

    #[test]
    fn upload_error_states_effort_and_progress() {
        assert_eq!(
            error(3, 8 << 20, Duration::from_secs(4)).to_string(),
            "PUT failed (gave up after 4.0 s and 3 retries; 8388608 bytes were stored so far); try \
             again"
        );
        assert_eq!(
            error(1, 1, Duration::ZERO).to_string(),
            "PUT failed (gave up after 0.0 s and 1 retry; 1 byte was stored so far); try again"
        );
    }

    #[test]
    fn upload_error_at_the_first_request_states_no_effort() {
        let elapsed = Duration::from_millis(49);
        assert_eq!(error(0, 0, elapsed).to_string(), "PUT failed; try again");
    }
}
