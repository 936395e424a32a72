//! Handlers: the response to each request, or its way into the upload queue.
//!
//! Everything but an upload is answered at once from memory, on the dispatch thread. An upload is
//! queued, or refused at once when the queue is full.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use crate::http::handler::Handler;
use crate::http::policy::{ConnectionPolicy, CutReason, Event, ForwardedHeaders, HeadPolicy};
use crate::http::prefer::Respond;
use crate::http::rejection::{Rejection, RejectionReason};
use crate::http::request::Request;
use crate::http::response::{JSON, Response};
use crate::server::admission::UploadPermit;
use crate::server::api::page;
use crate::server::problem::{self, Problem, ProblemType};
use crate::server::router::{self, Route, RouteSet};
use crate::server::upload_id::UploadId;
use crate::server::uploads::context::{Context, HandlerResult, draining, with_common_headers};
use crate::server::uploads::file_request::FileUploadRequest;
use crate::server::uploads::queue::{Client, Job, Queue, UploadRequest};
use crate::server::uploads::random_request::RandomUploadRequest;
use crate::server::uploads::registry::{MAX_FINISHED, NewUpload, UploadHandle, UploadList};
use crate::telemetry::Metrics;

/// Seconds until a client that met a full queue should retry: short enough to keep the workers busy.
const QUEUE_FULL_RETRY_SECONDS: u32 = 2;

/// Seconds until a client that met the connection limit should retry.
const CONNECTION_LIMIT_RETRY_SECONDS: u32 = 2;

/// Request headers that a handler reads.
pub(crate) const FORWARDED_HEADERS: [&str; 13] = [
    "Authorization",
    "Content-Digest",
    "Content-Disposition",
    "Content-Encoding",
    "Content-MD5",
    "Content-Range",
    "Content-Type",
    "Idempotency-Key",
    "Prefer",
    "Repr-Digest",
    "User-Agent",
    "X-Goog-Hash",
    "X-Request-Id",
];

/// The API of one listener.
pub(crate) struct Api {
    pub(crate) context: Arc<Context>,
    pub(crate) queue: Arc<Queue>,
    /// Document at `/api/openapi.json`.
    pub(crate) openapi: Arc<[u8]>,
    pub(crate) routes: RouteSet,
}

impl HeadPolicy for Api {
    fn accepts_body(&self, method: &str, target: &str) -> bool {
        Route::at(router::split(target).0).is_some_and(|route| route.accepts_body(method))
    }

    fn forwarded_headers(&self) -> ForwardedHeaders {
        ForwardedHeaders::Only(&FORWARDED_HEADERS)
    }
}

impl Handler for Api {
    fn handle(&self, request: Request) {
        match self.route(&request) {
            Ok(Next::Respond(response)) => self.context.respond(request, Ok(response)),
            Ok(Next::Upload(upload)) => self.submit(request, upload),
            Err(problem) => self.context.respond(request, Err(problem)),
        }
    }

    fn reject(&self, rejection: &Rejection) -> Response {
        let problem = Problem::from(rejection);
        let id = &rejection.request_id;
        let response = if rejection.reason == RejectionReason::TooManyConnections {
            problem.with_header("Retry-After", CONNECTION_LIMIT_RETRY_SECONDS).into_response(id)
        } else {
            self.record_rejection(rejection);
            problem.into_response(id)
        };
        with_common_headers(response, id.as_str())
    }
}

impl ConnectionPolicy for Api {
    fn is_draining(&self) -> bool {
        self.context.admission.is_draining()
    }

    fn is_cancelled(&self) -> bool {
        self.context.admission.is_cancelled()
    }

    fn observe(&self, event: Event) {
        let metrics = &self.context.metrics;
        match event {
            Event::ConnectionOpened => metrics.connection_opened(),
            Event::ConnectionClosed => metrics.connection_closed(),
            Event::ConnectionCut(reason) => metrics.connection_cut(match reason {
                CutReason::Full => "full",
                CutReason::Evicted => "crowded-out",
                CutReason::Idle => "idle",
                CutReason::ResponseNotTaken => "answer-not-taken",
            }),
            Event::AcceptFailed => metrics.accept_failed(),
            Event::HandlerPanicked => metrics.panic_caught(),
        }
    }
}

/// Next step after routing.
enum Next {
    Respond(Response),
    Upload(UploadRequest),
}

impl Api {
    fn route(&self, request: &Request) -> Result<Next, Problem> {
        let (path, query) = router::split(&request.target);
        let config = &self.context.config;
        match router::route(&request.method, path, self.routes)? {
            Route::Health => Ok(health()),
            Route::Ready => self.readiness(),
            Route::Metrics => Ok(self.metrics()),
            Route::OpenApi => Ok(Response::new(200, JSON, self.openapi.to_vec())),
            Route::Page => Ok(page::response()),
            Route::Uploads => self.list_uploads(request),
            Route::UploadById(id) => self.get_upload(request, id),
            Route::Upload => {
                let upload = FileUploadRequest::parse(request, path, query, config)?;
                return Ok(Next::Upload(UploadRequest::File(upload)));
            }
            Route::UploadRandom => {
                let upload = RandomUploadRequest::parse(request, query, config)?;
                return Ok(Next::Upload(UploadRequest::Random(upload)));
            }
        }
        .map(Next::Respond)
    }

    /// Queues an upload, or responds at once if it is refused.
    fn submit(&self, request: Request, upload: UploadRequest) {
        let Some(permit) = self.context.admission.admit() else {
            return self.context.respond(request, Err(draining()));
        };
        let handle = self.context.registry.register(NewUpload {
            request_id: request.id.clone(),
            principal: upload.principal().cloned(),
            size: upload.size(),
        });
        match upload.respond() {
            Respond::WhenDone => self.enqueue(request, upload, handle, permit),
            Respond::Immediately => self.enqueue_detached(request, upload, handle, permit),
        }
    }

    fn enqueue(
        &self,
        request: Request,
        upload: UploadRequest,
        handle: UploadHandle,
        permit: UploadPermit,
    ) {
        let job = Job { client: Client::Waiting(Box::new(request)), upload, handle, permit };
        if let Err(job) = self.queue.try_push(job)
            && let Client::Waiting(request) = job.client
        {
            self.context.respond(*request, Err(self.queue_full()));
        }
    }

    /// RFC 7240, section 4.1.
    fn enqueue_detached(
        &self,
        request: Request,
        upload: UploadRequest,
        handle: UploadHandle,
        permit: UploadPermit,
    ) {
        let (id, status) = (handle.id(), handle.status());
        let client = Client::Detached(request.id.clone());
        let result = match self.queue.try_push(Job { client, upload, handle, permit }) {
            Ok(()) => Ok(Response::json(202, &status)
                .with_header("Location", &format!("/api/uploads/{id}"))
                .with_header("Preference-Applied", "respond-async")),
            Err(_) => Err(self.queue_full()),
        };
        self.context.respond(request, result);
    }

    fn list_uploads(&self, request: &Request) -> HandlerResult {
        self.context.config.auth.viewer(&request.values("Authorization"))?;
        let (server, list) = (self.server_info(), self.context.registry.list());
        Ok(Response::json(200, &Uploads { server, list }))
    }

    fn get_upload(&self, request: &Request, id: UploadId) -> HandlerResult {
        self.context.config.auth.viewer(&request.values("Authorization"))?;
        let status = self.context.registry.find(id).ok_or_else(|| unknown_upload(id))?;
        Ok(Response::json(200, &status))
    }

    fn server_info(&self) -> ServerInfo<'_> {
        let config = &self.context.config;
        ServerInfo {
            version: env!("CARGO_PKG_VERSION"),
            bucket: &config.bucket,
            endpoint: config.endpoint.trim_end_matches('/'),
            workers: config.workers.get(),
            queue_depth: config.queue_depth,
            upload_size: config.upload_size.as_u64(),
            max_upload_size: config.max_upload_size.as_u64(),
            remembered: MAX_FINISHED,
        }
    }

    fn readiness(&self) -> HandlerResult {
        let ready = if self.context.admission.is_draining() {
            Err("draining: the server is shutting down".to_owned())
        } else {
            self.context.uploader.ready()
        };
        match ready {
            Ok(()) => Ok(Response::json(200, &json!({"status": "ready"}))),
            Err(reason) => Err(Problem::new(&problem::NOT_READY, reason)),
        }
    }

    fn metrics(&self) -> Response {
        let metrics = &self.context.metrics;
        metrics.set_queue_depth(self.queue.len());
        metrics.set_token_expiry(self.context.uploader.token_expiry());
        Response::new(200, Metrics::CONTENT_TYPE, metrics.encode().into_bytes())
    }

    fn queue_full(&self) -> Problem {
        let (workers, depth) = (self.context.config.workers, self.context.config.queue_depth);
        let detail = format!("Upload queue is full ({workers} running, {depth} queued).");
        Problem::new(&problem::QUEUE_FULL, detail)
            .with_header("Retry-After", QUEUE_FULL_RETRY_SECONDS)
    }

    fn record_rejection(&self, rejection: &Rejection) {
        let ProblemType { slug, status, .. } = ProblemType::of(rejection.reason);
        self.context.metrics.request_refused(slug);
        let peer = rejection.peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string());
        log::info!(
            requestId = rejection.request_id.as_str(), status = *status, remoteIp = peer.as_str();
            "rejected a request of {peer}: {status} {slug}"
        );
    }
}

/// Document at `/api/uploads`.
#[derive(Serialize)]
struct Uploads<'a> {
    server: ServerInfo<'a>,
    #[serde(flatten)]
    list: UploadList,
}

/// Facts about the server.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerInfo<'a> {
    version: &'static str,
    bucket: &'a str,
    /// URL of Cloud Storage, or of an emulator.
    endpoint: &'a str,
    workers: usize,
    queue_depth: usize,
    upload_size: u64,
    max_upload_size: u64,
    /// Number of finished uploads that are kept.
    remembered: usize,
}

fn unknown_upload(id: UploadId) -> Problem {
    let detail = format!(
        "Upload {id} is neither running here nor among the last {MAX_FINISHED} that finished. A result \
         is kept until {MAX_FINISHED} later uploads have finished, by the instance that accepted the \
         upload, while it runs."
    );
    Problem::new(&problem::UNKNOWN_UPLOAD, detail).with("remembered", MAX_FINISHED)
}

fn health() -> Response {
    Response::json(200, &json!({"status": "ok"}))
}
