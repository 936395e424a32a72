//! State that all threads of a server share.

use std::sync::Arc;

use crate::gcs::Uploader;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::server::access_log::AccessLogEntry;
use crate::server::admission::AdmissionControl;
use crate::server::config::Config;
use crate::server::problem::{self, Problem};
use crate::server::uploads::queue::Client;
use crate::server::uploads::registry::{UploadHandle, UploadRegistry};
use crate::telemetry::Metrics;

/// Seconds until a client that met a draining server should retry: by then its connections go to
/// another instance.
const DRAINING_RETRY_SECONDS: u32 = 5;

/// Outcome of a request.
pub(crate) type HandlerResult = Result<Response, Problem>;

/// Shared state of a server.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) uploader: Arc<dyn Uploader>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) admission: Arc<AdmissionControl>,
    pub(crate) registry: Arc<UploadRegistry>,
}

impl Context {
    /// Responds to a request, and writes its line of the access log.
    pub(crate) fn respond(&self, request: Request, result: HandlerResult) {
        let response = result.unwrap_or_else(|problem| problem.into_response(&request.id));
        self.send(request, response);
    }

    /// Records the outcome of an upload, and responds to its client if that still waits.
    pub(crate) fn finish(&self, client: Client, upload: UploadHandle, result: HandlerResult) {
        let response = result.unwrap_or_else(|problem| problem.into_response(client.request_id()));
        upload.finish(&response);
        if let Client::Waiting(request) = client {
            self.send(*request, response);
        }
    }

    fn send(&self, request: Request, response: Response) {
        let response = with_common_headers(response, request.id.as_str());
        let entry = AccessLogEntry::new(&request, &response);
        request.respond(response);
        entry.write(&self.metrics);
    }
}

/// Adds the headers that every response has.
pub(crate) fn with_common_headers(response: Response, request_id: &str) -> Response {
    response.with_header("Cache-Control", "no-store").with_header("X-Request-Id", request_id)
}

/// Returns the problem of an upload that is refused because the server shuts down.
pub(crate) fn draining() -> Problem {
    Problem::new(&problem::DRAINING, "The upload was not started. Nothing was stored.")
        .with_header("Retry-After", DRAINING_RETRY_SECONDS)
}
