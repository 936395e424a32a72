//! What each request gets: the way from a request to its answer.
//!
//! Everything but an upload is answered by the thread that has the request, out of memory, and
//! waits for nothing. An upload goes to the queue, or is refused at once.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use crate::gcs::Uploader;
use crate::http::prefer::Answered;
use crate::http::request::{Client, Received};
use crate::http::response::{Answer, JSON};
use crate::server::Config;
use crate::server::access_log;
use crate::server::admission::{Admission, Intake};
use crate::server::api::page;
use crate::server::problem::{self, Problem};
use crate::server::router::{self, Route};
use crate::server::upload_id::UploadId;
use crate::server::uploads::file_request::FileOrder;
use crate::server::uploads::queue::{Job, Queue, Work};
use crate::server::uploads::random_request::Order;
use crate::server::uploads::registry::{Ledger, Ordered, Overview, REMEMBERED, Underway};
use crate::telemetry::Metrics;

/// How soon a client should come back that found the queue full: a guess at when the next upload
/// ends that is short enough to keep the workers busy.
const QUEUE_FULL_RETRY_SECONDS: u32 = 2;

/// How soon a client should come back that found the server draining: by then its connections go
/// to another instance.
const DRAINING_RETRY_SECONDS: u32 = 5;

pub(crate) type Reply = Result<Answer, Problem>;

/// All that the threads of a server share.
pub(crate) struct Face {
    pub(crate) config: Config,
    pub(crate) uploader: Arc<dyn Uploader>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) queue: Queue,
    /// What is at `/api/openapi.json`.
    pub(crate) description: Vec<u8>,
}

/// What is to be done about a request.
enum Decision {
    Answer(Reply),
    Upload(Work),
}

impl Face {
    /// Answers a request, or puts it into the queue.
    pub(crate) fn serve(&self, received: Received) {
        match self.decide(&received) {
            Decision::Answer(reply) => self.answer(received, reply),
            Decision::Upload(work) => self.submit(received, work),
        }
    }

    pub(crate) fn answer(&self, received: Received, reply: Reply) {
        let answer = reply.unwrap_or_else(|problem| problem.into_answer(&received.id));
        self.hand_over(received, answer);
    }

    /// Enters how an upload ended, and tells its client if it still waits.
    pub(crate) fn conclude(&self, client: Client, underway: Underway, reply: Reply) {
        let answer = reply.unwrap_or_else(|problem| problem.into_answer(client.id()));
        underway.end(&answer);
        if let Client::Waits(received) = client {
            self.hand_over(*received, answer);
        }
    }

    fn hand_over(&self, received: Received, answer: Answer) {
        let answer = answer.with_header("X-Request-Id", received.id.as_str());
        let entry = access_log::Entry::of(&received);
        let written = received.respond(&answer);
        entry.write(&answer, &written, &self.metrics);
    }

    /// Runs `work`; should it panic, says so and lives on.
    pub(crate) fn guarded<T: Default>(&self, work: impl FnOnce() -> T) -> T {
        panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            self.metrics.panicked();
            log::error!("caught a panic while a request was served");
            T::default()
        })
    }

    fn decide(&self, received: &Received) -> Decision {
        let (path, query) = router::split(&received.target);
        let work = match router::route(&received.method, path, self.config.offer()) {
            Ok(Route::Health) => return Decision::Answer(Ok(health())),
            Ok(Route::Ready) => return Decision::Answer(self.readiness()),
            Ok(Route::Metrics) => return Decision::Answer(Ok(self.metrics_page())),
            Ok(Route::Description) => return Decision::Answer(Ok(self.description())),
            Ok(Route::Page) => return Decision::Answer(Ok(page::answer())),
            Ok(Route::Uploads) => return Decision::Answer(self.uploads(received)),
            Ok(Route::UploadById(id)) => return Decision::Answer(self.upload(received, id)),
            Ok(Route::Upload) => FileOrder::of(received, path, query, &self.config).map(Work::File),
            Ok(Route::UploadRandom) => Order::of(received, query, &self.config).map(Work::Random),
            Err(problem) => Err(problem),
        };
        match work {
            Ok(work) => Decision::Upload(work),
            Err(problem) => Decision::Answer(Err(problem)),
        }
    }

    /// Puts an upload into the queue; refused, it is answered at once.
    fn submit(&self, received: Received, work: Work) {
        let Some(admission) = self.intake.enter() else {
            return self.answer(received, Err(draining()));
        };
        let underway = self.ledger.enter(Ordered {
            request_id: received.id.clone(),
            caller: work.caller().cloned(),
            size: work.size(),
        });
        match work.answered() {
            Answered::AtTheEnd => self.queue_up(received, work, underway, admission),
            Answered::AtOnce => self.queue_up_and_answer(received, work, underway, admission),
        }
    }

    fn queue_up(&self, received: Received, work: Work, underway: Underway, admission: Admission) {
        let job = Job { client: Client::Waits(Box::new(received)), work, underway, admission };
        if let Err(job) = self.queue.offer(job)
            && let Client::Waits(received) = job.client
        {
            self.answer(*received, Err(self.queue_full()));
        }
    }

    /// RFC 7240, 4.1.
    fn queue_up_and_answer(
        &self,
        received: Received,
        work: Work,
        underway: Underway,
        admission: Admission,
    ) {
        let (id, view) = (underway.id(), underway.view());
        let client = Client::Looks(received.id.clone());
        let reply = match self.queue.offer(Job { client, work, underway, admission }) {
            Ok(()) => Ok(Answer::json(202, &view)
                .with_header("Location", &format!("/api/uploads/{id}"))
                .with_header("Preference-Applied", "respond-async")),
            Err(_) => Err(self.queue_full()),
        };
        self.answer(received, reply);
    }

    fn uploads(&self, received: &Received) -> Reply {
        self.config.access.viewer(&received.values("Authorization"))?;
        Ok(Answer::json(200, &Uploads { server: self.about(), overview: self.ledger.overview() }))
    }

    fn upload(&self, received: &Received, id: UploadId) -> Reply {
        self.config.access.viewer(&received.values("Authorization"))?;
        let view = self.ledger.find(id).ok_or_else(|| unknown_upload(id))?;
        Ok(Answer::json(200, &view))
    }

    fn about(&self) -> About<'_> {
        About {
            version: env!("CARGO_PKG_VERSION"),
            bucket: &self.config.bucket,
            endpoint: self.config.endpoint.trim_end_matches('/'),
            workers: self.config.workers.get(),
            queue_depth: self.config.queue_depth,
            upload_size: self.config.upload_size.as_u64(),
            max_upload_size: self.config.max_upload_size.as_u64(),
            remembered: REMEMBERED,
        }
    }

    fn readiness(&self) -> Reply {
        let reason = match self.intake.is_draining() {
            true => Err("draining: the server is shutting down".to_owned()),
            false => self.uploader.ready(),
        };
        match reason {
            Ok(()) => Ok(Answer::json(200, &json!({"status": "ready"}))),
            Err(reason) => Err(Problem::new(&problem::NOT_READY, reason)),
        }
    }

    pub(crate) fn metrics_page(&self) -> Answer {
        self.metrics.set_queue_depth(self.queue.depth());
        self.metrics.set_token_expiry(self.uploader.token_expiry());
        Answer::new(200, Metrics::CONTENT_TYPE, self.metrics.encode().into_bytes())
    }

    fn description(&self) -> Answer {
        Answer::new(200, JSON, self.description.clone())
    }

    fn queue_full(&self) -> Problem {
        let (workers, depth) = (self.config.workers, self.config.queue_depth);
        let detail = format!("{workers} uploads are under way and {depth} wait; no more may wait.");
        Problem::new(&problem::QUEUE_FULL, detail)
            .with_header("Retry-After", QUEUE_FULL_RETRY_SECONDS)
    }
}

/// What is at `/api/uploads`.
#[derive(Serialize)]
struct Uploads<'a> {
    server: About<'a>,
    #[serde(flatten)]
    overview: Overview,
}

/// What a person who looks wants to know of the server.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct About<'a> {
    version: &'static str,
    bucket: &'a str,
    /// Of Cloud Storage, or of what stands in for it.
    endpoint: &'a str,
    workers: usize,
    queue_depth: usize,
    upload_size: u64,
    max_upload_size: u64,
    /// How many uploads that have ended are remembered.
    remembered: usize,
}

fn unknown_upload(id: UploadId) -> Problem {
    let detail = format!(
        "No upload {id} is under way here or among the last {REMEMBERED} that ended. A result is kept \
         until {REMEMBERED} later ones have ended, by the instance that took the upload in, while it runs."
    );
    Problem::new(&problem::UNKNOWN_UPLOAD, detail).with("remembered", REMEMBERED)
}

fn health() -> Answer {
    Answer::json(200, &json!({"status": "ok"}))
}

pub(crate) fn draining() -> Problem {
    Problem::new(&problem::DRAINING, "The upload was not begun. No object was left behind.")
        .with_header("Retry-After", DRAINING_RETRY_SECONDS)
}
