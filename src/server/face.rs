//! What each request gets: the way from a request to its answer.
//!
//! Everything but an upload is answered by the thread that has the request, out of memory, and
//! waits for nothing. An upload goes to the queue, or is refused at once.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use serde_json::json;

use super::Config;
use super::access_log;
use super::answer::{Answer, JSON};
use super::exchange::Received;
use super::file_order::FileOrder;
use super::intake::Intake;
use super::order::Order;
use super::problem::{self, Problem};
use super::queue::{Job, Queue, Work};
use super::route::{self, Route};
use crate::gcs::Uploader;
use crate::telemetry::Metrics;

/// How soon a client should come back that found the queue full: a guess at when the next upload
/// ends that is short enough to keep the workers busy.
const QUEUE_FULL_RETRY_SECONDS: u32 = 2;

/// How soon a client should come back that found the server draining: by then its connections go
/// to another instance.
const DRAINING_RETRY_SECONDS: u32 = 5;

pub(super) type Reply = Result<Answer, Problem>;

/// All that the threads of a server share.
pub(super) struct Face {
    pub(super) config: Config,
    pub(super) uploader: Arc<dyn Uploader>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) intake: Arc<Intake>,
    pub(super) queue: Queue,
    /// What is at `/api/openapi.json`.
    pub(super) description: Vec<u8>,
}

/// What is to be done about a request.
enum Decision {
    Answer(Reply),
    Upload(Work),
}

impl Face {
    /// Answers a request, or puts it into the queue.
    pub(super) fn serve(&self, received: Received) {
        match self.decide(&received) {
            Decision::Answer(reply) => self.answer(received, reply),
            Decision::Upload(work) => self.submit(received, work),
        }
    }

    pub(super) fn answer(&self, received: Received, reply: Reply) {
        let answer = reply.unwrap_or_else(|problem| problem.into_answer(&received.id));
        let answer = answer.with_header("X-Request-Id", received.id.as_str());
        let entry = access_log::Entry::of(&received);
        let written = received.respond(&answer);
        entry.write(&answer, &written, &self.metrics);
    }

    /// Runs `work`; should it panic, says so and lives on.
    pub(super) fn guarded<T: Default>(&self, work: impl FnOnce() -> T) -> T {
        panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            self.metrics.panicked();
            log::error!("caught a panic while a request was served");
            T::default()
        })
    }

    fn decide(&self, received: &Received) -> Decision {
        let (path, query) = route::split(&received.target);
        let work = match route::route(&received.method, path, self.config.offer()) {
            Ok(Route::Health) => return Decision::Answer(Ok(health())),
            Ok(Route::Ready) => return Decision::Answer(self.readiness()),
            Ok(Route::Metrics) => return Decision::Answer(Ok(self.metrics_page())),
            Ok(Route::Description) => return Decision::Answer(Ok(self.description())),
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
        if let Err(job) = self.queue.offer(Job { received, work, admission }) {
            self.answer(job.received, Err(self.queue_full()));
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

    pub(super) fn metrics_page(&self) -> Answer {
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

fn health() -> Answer {
    Answer::json(200, &json!({"status": "ok"}))
}

pub(super) fn draining() -> Problem {
    Problem::new(&problem::DRAINING, "The upload was not begun. No object was left behind.")
        .with_header("Retry-After", DRAINING_RETRY_SECONDS)
}
