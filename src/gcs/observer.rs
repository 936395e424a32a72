//! What an upload tells while it is under way.

use std::fmt;
use std::time::Duration;

/// Why a request is made again. The text is a metric's label: lower case, few, and never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RetryCause {
    /// A status that Cloud Storage documents as transient: 408, 429, 500, 502, 503, 504.
    Status(u16),
    /// The connection could not be made, or a name not be resolved.
    Connect,
    /// The connection broke.
    Broken,
    /// Nothing moved on the connection for too long.
    Stalled,
    /// The answer came, but could not be understood.
    Unreadable,
    /// The session was gone (404, 410, 499).
    SessionGone,
    /// The access token was not accepted (401).
    Unauthorized,
    /// Cloud Storage had less than was sent.
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

/// Hears what an upload does. Called from the thread that uploads: must be quick, and not block.
pub trait Observer: Sync {
    /// This many more bytes of content were handed to the network.
    fn sent(&self, _bytes: u64) {}

    /// Cloud Storage has everything up to this offset. May go back, when a session is lost.
    fn persisted(&self, _offset: u64) {}

    /// A request will be made again after this wait.
    fn retrying(&self, _cause: RetryCause, _wait: Duration) {}

    /// The transfer goes on from this offset after a fault.
    fn resuming(&self, _cause: RetryCause, _offset: u64) {}
}

/// Listens to nothing.
impl Observer for () {}
