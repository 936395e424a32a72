//! Outcomes of uploads: the documents, problems, log lines and metrics of success and failure,
//! whatever the source of the bytes.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::content::Seed;
use crate::gcs::{ErrorKind, Object, Observer, RetryCause, UploadError, Uploaded};
use crate::http::request_id::RequestId;
use crate::server::auth::Principal;
use crate::server::problem::{self, Problem, ProblemType};
use crate::server::uploads::context::Context;
use crate::server::uploads::registry::UploadHandle;
use crate::telemetry::Metrics;

/// Seconds until a client whose upload was cancelled should retry: by then another instance has taken
/// over.
const RETRY_AFTER_SECONDS: u32 = 5;

/// Body of the response to a successful upload.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Created<'a> {
    #[serde(flatten)]
    object: &'a Object,
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<String>,
    request_id: &'a str,
    resumed: u32,
    retried: u32,
    bytes_sent: u64,
    duration_seconds: f64,
}

impl<'a> Created<'a> {
    /// `seed` is given for random bytes.
    pub(crate) fn new(uploaded: &'a Uploaded, id: &'a RequestId, seed: Option<Seed>) -> Self {
        let object = &uploaded.object;
        Self {
            object,
            uri: object.gs_uri(),
            seed: seed.map(|seed| seed.to_string()),
            request_id: id.as_str(),
            resumed: uploaded.resumed,
            retried: uploaded.retried,
            bytes_sent: uploaded.bytes_sent,
            duration_seconds: uploaded.elapsed.as_secs_f64(),
        }
    }
}

/// Returns the custom metadata of an object that refers to its request, fit for a header field.
pub(crate) fn request_metadata(
    id: &RequestId,
    principal: Option<&Principal>,
) -> BTreeMap<String, String> {
    let principal = principal.map(|principal| ("uploaded-by", principal.to_string()));
    let metadata = [("request-id", id.to_string())].into_iter().chain(principal);
    metadata.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Runs an upload and reports its progress. A panic becomes a problem, and does not end the worker.
pub(crate) fn run(
    context: &Context,
    id: &RequestId,
    name: &str,
    handle: &UploadHandle,
    upload: impl FnOnce(&dyn Observer) -> Result<Uploaded, UploadError>,
) -> Result<Result<Uploaded, UploadError>, Problem> {
    let started = Instant::now();
    handle.start(name);
    let observer = ProgressReporter { metrics: &context.metrics, handle, id, name };
    let result = panic::catch_unwind(AssertUnwindSafe(|| upload(&observer)));
    result.map_err(|_| panicked(context, id, name, started.elapsed()))
}

fn panicked(context: &Context, id: &RequestId, name: &str, elapsed: Duration) -> Problem {
    context.metrics.panic_caught();
    context.metrics.upload_ended("panicked", elapsed);
    log::error!(requestId = id.as_str(), name = name; "the upload of {name} panicked");
    let detail = format!("Internal server error. {}", ObjectState::Unknown.sentence(name));
    Problem::new(&problem::INTERNAL, detail)
        .with("object", ObjectState::Unknown.member())
        .with("name", name)
}

/// Problem type and metric label of a failed upload.
pub(crate) struct UploadFailure {
    pub(crate) problem: &'static ProblemType,
    /// Label of the metric.
    pub(crate) outcome: &'static str,
}

impl UploadFailure {
    pub(crate) fn of(kind: ErrorKind) -> Self {
        let (problem, outcome) = match kind {
            ErrorKind::Refused => (&problem::STORAGE_REFUSED, "refused"),
            ErrorKind::Conflict => (&problem::NAME_TAKEN, "conflict"),
            ErrorKind::Credentials => (&problem::NO_CREDENTIALS, "no-credentials"),
            ErrorKind::Interrupted => (&problem::INTERRUPTED, "interrupted"),
            ErrorKind::TimedOut => (&problem::STORAGE_TIMED_OUT, "timed-out"),
            ErrorKind::Protocol => (&problem::STORAGE_UNINTELLIGIBLE, "unintelligible"),
            ErrorKind::Source => (&problem::INTERNAL, "unreadable"),
            ErrorKind::Lost => (&problem::STORAGE_LOST, "lost"),
        };
        Self { problem, outcome }
    }

    /// Counts and logs the failure. `caller` is the principal as the log shows it.
    pub(crate) fn record(
        &self,
        context: &Context,
        id: &RequestId,
        caller: &str,
        name: &str,
        error: &UploadError,
    ) {
        context.metrics.upload_ended(self.outcome, error.elapsed);
        log::warn!(
            requestId = id.as_str(),
            caller = caller,
            name = name,
            outcome = self.outcome,
            retried = error.retried,
            persisted = error.persisted,
            durationSeconds = error.elapsed.as_secs_f64();
            "failed to store {name}: {error}"
        );
    }

    /// Returns the problem that the client gets.
    pub(crate) fn to_problem(&self, name: &str, error: &UploadError, detail: String) -> Problem {
        let problem = Problem::new(self.problem, detail)
            .with("object", ObjectState::after(error).member())
            .with("name", name)
            .with("retried", error.retried)
            .with("persisted", error.persisted);
        let problem = match error.status {
            Some(status) => problem.with("storageStatus", status),
            None => problem,
        };
        match self.problem.status {
            503 => problem.with_header("Retry-After", RETRY_AFTER_SECONDS),
            _ => problem,
        }
    }
}

/// Knowledge of the object after a failed upload.
#[derive(Clone, Copy)]
pub(crate) enum ObjectState {
    /// No object was stored.
    Absent,
    /// The last response of Cloud Storage did not arrive, or was not understood.
    Unknown,
}

impl ObjectState {
    pub(crate) fn after(error: &UploadError) -> Self {
        if error.absent { Self::Absent } else { Self::Unknown }
    }

    fn member(self) -> &'static str {
        match self {
            Self::Absent => "none",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) fn sentence(self, name: &str) -> String {
        match self {
            Self::Absent => "Nothing was stored.".to_owned(),
            Self::Unknown => {
                format!("It is not known if the object was stored: check whether {name} exists.")
            }
        }
    }
}

/// Reports the progress of an upload to the metrics, the registry and the log.
struct ProgressReporter<'a> {
    metrics: &'a Metrics,
    handle: &'a UploadHandle,
    id: &'a RequestId,
    name: &'a str,
}

impl Observer for ProgressReporter<'_> {
    fn sent(&self, bytes: u64) {
        self.metrics.bytes_sent(bytes);
        self.handle.sent(bytes);
    }

    fn persisted(&self, offset: u64) {
        self.handle.persisted(offset);
    }

    fn retrying(&self, cause: RetryCause, wait: Duration) {
        self.metrics.request_retried(cause);
        self.handle.retrying();
        log::warn!(
            requestId = self.id.as_str(), name = self.name, cause:% = cause;
            "retrying {} in {:.1} s ({cause})", self.name, wait.as_secs_f64()
        );
    }

    fn resuming(&self, cause: RetryCause, offset: u64) {
        self.metrics.transfer_resumed(cause);
        self.handle.resuming();
        log::debug!(
            requestId = self.id.as_str(), name = self.name, cause:% = cause, offset = offset;
            "resuming {} from byte {offset} ({cause})", self.name
        );
    }
}
