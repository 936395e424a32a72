//! Access tokens: where they come from, and how they stay fresh.
//!
//! [`discover()`] looks for credentials and says what it found; [`GoogleCredentials`] gets tokens with
//! them on a thread of its own and refreshes them ahead of their expiry. Workers read the token that
//! was last published and wait only if there is none.
//!
//! Never shows a token or a key to anyone but the request that carries it, and reads no
//! environment variable, with one exception that is not its own: the library that loads the
//! system's CA certificates honours `SSL_CERT_FILE` and `SSL_CERT_DIR`.
//!
//! yup-oauth2 logs every request and response at debug level, with keys and tokens. A logger must
//! not let through anything below warn from the target `yup_oauth2`.

mod connect;
mod discover;
mod file;
mod last_response;
mod refresh;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod token_fetcher;

pub use discover::{CredentialSource, Settings, discover};
pub use refresh::{GoogleCredentials, RefreshConfig};

use std::fmt;
use std::time::{Duration, SystemTime};

use thiserror::Error;

/// An OAuth 2.0 access token. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// Wraps a token as it came from its fetcher.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The value of an `Authorization` header: `Bearer` and the token itself.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// Error of a token source: the source that was asked, and its response.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no access token from {source_name}: {reason}")]
pub struct CredentialsError {
    /// Source of the token, for a person: the path of a file, or the URL of the metadata server.
    pub source_name: String,
    /// The error, and what to do about it.
    pub reason: String,
}

/// Gives tokens to requests.
pub trait TokenSource: Send + Sync {
    /// The token to send with a request that starts now; `None`: send none.
    ///
    /// Blocks only while there has been no token yet, or the last one has expired, and for `max_wait`
    /// at most.
    fn token(&self, max_wait: Duration) -> Result<Option<AccessToken>, CredentialsError>;

    /// A token other than `rejected`, which Cloud Storage answered with 401. Forces one refresh,
    /// however many threads ask; blocks until it has come, for `max_wait` at most. `None`: there is
    /// none to be had.
    fn refresh(
        &self,
        rejected: &AccessToken,
        max_wait: Duration,
    ) -> Result<Option<AccessToken>, CredentialsError>;

    /// Ends the waiting of [`token`](Self::token) and [`refresh`](Self::refresh), now and from now on.
    fn interrupt(&self);

    /// `Ok` while a token is at hand, with the time at which it expires (`None`: never); else what
    /// the last attempt to get one came to. Does not block.
    fn status(&self) -> Result<Option<SystemTime>, CredentialsError>;
}

/// Sends no token at all: for emulators.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

impl TokenSource for NoCredentials {
    fn token(&self, _patience: Duration) -> Result<Option<AccessToken>, CredentialsError> {
        Ok(None)
    }

    fn refresh(
        &self,
        _rejected: &AccessToken,
        _patience: Duration,
    ) -> Result<Option<AccessToken>, CredentialsError> {
        Ok(None)
    }

    fn interrupt(&self) {}

    fn status(&self) -> Result<Option<SystemTime>, CredentialsError> {
        Ok(None)
    }
}
