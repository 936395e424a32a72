//! A handler for the unit tests of the wire.

use super::handler::Handler;
use super::policy::{ConnectionPolicy, ForwardedHeaders, HeadPolicy};
use super::rejection::Rejection;
use super::request::Request;
use super::response::Response;

/// Handler that no request reaches.
pub(super) struct NoHandler;

impl HeadPolicy for NoHandler {
    fn accepts_body(&self, _: &str, _: &str) -> bool {
        false
    }

    fn forwarded_headers(&self) -> ForwardedHeaders {
        ForwardedHeaders::All
    }
}

impl ConnectionPolicy for NoHandler {}

impl Handler for NoHandler {
    fn handle(&self, request: Request) {
        drop(request);
    }

    fn reject(&self, rejection: &Rejection) -> Response {
        Response::json(500, &rejection.detail)
    }
}
