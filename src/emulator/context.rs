//! State that all request threads share.

use super::faults::Faults;
use super::store::Store;
use super::upload::Sessions;

/// Objects, upload sessions and injected faults.
pub(super) struct Context {
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) faults: Faults,
}
