//! The interface between the wire and the application behind it.

use super::policy::{ConnectionPolicy, HeadPolicy};
use super::rejection::Rejection;
use super::request::Request;
use super::response::Response;

/// Application that responds to requests.
pub(crate) trait Handler: HeadPolicy + ConnectionPolicy {
    /// Handles one request.
    ///
    /// Runs on the dispatch thread, which serves all connections: it must not block. A request that
    /// takes time is moved to another thread. Dropping a request without responding to it sends 500.
    fn handle(&self, request: Request);

    /// Returns the response to a request that does not reach [`handle`](Self::handle).
    fn reject(&self, rejection: &Rejection) -> Response;
}
