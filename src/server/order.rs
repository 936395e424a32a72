//! What an upload is asked to be, by whom, and whether it was asked for before.

use super::Config;
use super::access::Caller;
use super::exchange::Received;
use super::idempotency::Key;
use super::prefer::Answered;
use super::problem::Problem;
use super::query;
use crate::content::ByteSize;

/// An upload as it was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) size: ByteSize,
    /// Who ordered it; `None` where everybody may.
    pub(super) caller: Option<Caller>,
    /// With a key, it is the same object however often it is ordered.
    pub(super) key: Option<Key>,
    pub(super) answered: Answered,
}

impl Order {
    /// Reads a request; whoever may not upload learns nothing else.
    pub(super) fn of(
        received: &Received,
        query: Option<&str>,
        config: &Config,
    ) -> Result<Self, Problem> {
        Ok(Self {
            caller: config.access.uploader(&received.values("Authorization"))?,
            key: Key::of(&received.values("Idempotency-Key"))?,
            size: query::size(query, config)?,
            answered: Answered::of(&received.values("Prefer")),
        })
    }

    /// The caller's name, or `-`, which is nobody's, where everybody may upload.
    pub(super) fn caller_in_log(&self) -> &str {
        self.caller.as_ref().map_or("-", Caller::as_str)
    }
}
