//! What an upload is asked to be, by whom, and whether it was asked for before.

use crate::content::ByteSize;
use crate::http::prefer::Answered;
use crate::http::request::Received;
use crate::server::Config;
use crate::server::auth::Caller;
use crate::server::problem::Problem;
use crate::server::uploads::idempotency::Key;
use crate::server::uploads::query;

/// An upload as it was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) size: ByteSize,
    /// Who ordered it; `None` where everybody may.
    pub(crate) caller: Option<Caller>,
    /// With a key, it is the same object however often it is ordered.
    pub(crate) key: Option<Key>,
    pub(crate) answered: Answered,
}

impl Order {
    /// Reads a request; whoever may not upload learns nothing else.
    pub(crate) fn of(
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
    pub(crate) fn caller_in_log(&self) -> &str {
        self.caller.as_ref().map_or("-", Caller::as_str)
    }
}
