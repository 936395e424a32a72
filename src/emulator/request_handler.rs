//! The handler that the HTTP server calls: limits of connections, and errors of invalid requests.

use std::sync::Arc;
use std::time::Duration;

use super::error::ApiError;
use super::shutdown::ShutdownSignal;
use super::worker_pool::WorkerPool;
use crate::http::handler::Handler;
use crate::http::limits::Limits;
use crate::http::policy::{ConnectionPolicy, ForwardedHeaders, HeadPolicy};
use crate::http::rejection::{Rejection, RejectionReason};
use crate::http::request::Request;
use crate::http::response::Response;

/// Longer than any test: a client may be paused in a debugger.
const LONG: Duration = Duration::from_secs(60 * 60);

/// Limits of the emulator, which never gives up on a slow client.
pub(super) const LIMITS: Limits = Limits {
    max_connections: 200,
    idle_timeout: LONG,
    request_timeout: LONG,
    body_stall_timeout: LONG,
    min_body_rate: 0,
    response_timeout: LONG,
    linger_bytes: usize::MAX,
    ..Limits::DEFAULT
};

/// Passes requests on to the worker threads.
pub(super) struct RequestHandler {
    pub(super) workers: WorkerPool,
    pub(super) shutdown: Arc<ShutdownSignal>,
}

impl HeadPolicy for RequestHandler {
    fn accepts_body(&self, method: &str, _: &str) -> bool {
        matches!(method, "POST" | "PUT" | "PATCH" | "DELETE")
    }

    fn forwarded_headers(&self) -> ForwardedHeaders {
        ForwardedHeaders::All
    }
}

impl ConnectionPolicy for RequestHandler {
    fn is_cancelled(&self) -> bool {
        self.shutdown.is_set()
    }
}

impl Handler for RequestHandler {
    fn handle(&self, request: Request) {
        self.workers.run(request);
    }

    fn reject(&self, rejection: &Rejection) -> Response {
        let (status, reason) = match rejection.reason {
            RejectionReason::MalformedRequest | RejectionReason::AmbiguousBody => (400, "invalid"),
            RejectionReason::RequestTimeout => (408, "requestTimeout"),
            RejectionReason::ChunkedBody => (411, "required"),
            RejectionReason::BodyTooLarge => (413, "uploadTooLarge"),
            RejectionReason::TargetTooLong => (414, "invalid"),
            RejectionReason::ExpectationFailed => (417, "invalid"),
            RejectionReason::HeadTooLarge => (431, "invalid"),
            RejectionReason::Internal => (500, "internalError"),
            RejectionReason::TransferCoding => (501, "notImplemented"),
            RejectionReason::TooManyConnections => (503, "backendError"),
            RejectionReason::HttpVersion => (505, "invalid"),
        };
        ApiError::new(status, reason, rejection.detail.clone()).into()
    }
}
