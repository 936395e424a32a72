//! Progress events of an upload.

use std::fmt;
use std::time::Duration;

/// Reason of a retry. Its text is a metric label: lower case, from a small set, and stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RetryCause {
    /// A status that Cloud Storage documents as transient: 408, 429, 500, 502, 503 or 504.
    Status(u16),
    /// No connection could be made, or the host name was not resolved.
    Connect,
    /// The connection broke.
    Broken,
    /// No bytes moved on the connection for too long.
    Stalled,
    /// The response was received but could not be parsed.
    Unreadable,
    /// The session no longer exists (404, 410, 499).
    SessionGone,
    /// The access token was rejected (401).
    Unauthorized,
    /// Cloud Storage stored fewer bytes than were sent.
    Incomplete,
}

impl fmt::Display for RetryCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Connect => f.write_str("connect"),
            Self::Broken => f.write_str("broken"),
            Self::Stalled => f.write_str("stalled"),
            Self::Unreadable => f.write_str("unreadable"),
            Self::SessionGone => f.write_str("session-gone"),
            Self::Unauthorized => f.write_str("unauthorized"),
            Self::Incomplete => f.write_str("incomplete"),
        }
    }
}

/// Receives the progress of an upload. The upload thread calls it, so implementations must be quick
/// and must not block.
pub trait Observer: Sync {
    /// More bytes of content were handed to the network.
    fn sent(&self, _bytes: u64) {}

    /// Cloud Storage has stored all bytes before this offset. It decreases when a session is lost.
    fn persisted(&self, _offset: u64) {}

    /// A request will be retried after this wait.
    fn retrying(&self, _cause: RetryCause, _wait: Duration) {}

    /// The transfer is resumed from this offset after a fault.
    fn resuming(&self, _cause: RetryCause, _offset: u64) {}
}

/// Ignores all events.
impl Observer for () {}
