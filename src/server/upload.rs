//! The upload itself: an order becomes an object in the bucket, and its outcome an answer.
//!
//! What clients are told of an upload is told in the words of this file, wherever its bytes come from.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::Config;
use super::access::Caller;
use super::answer::Answer;
use super::face::{Face, Reply};
use super::idempotency::Identity;
use super::ledger::Underway;
use super::order::Order;
use super::problem::{self, Problem};
use super::request_id::RequestId;
use crate::content::{RandomContent, Seed};
use crate::gcs::{
    Cause, ErrorKind, NewObject, Object, Observer, PooledUpload, UploadError, Uploaded,
};
use crate::telemetry::Metrics;

/// How soon a client should come back whose upload was interrupted: by then another instance
/// has taken over.
const RETRY_AFTER_SECONDS: u32 = 5;

/// The media type of random files.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// All but the characters that RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The answer's body when the object is there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created<'a> {
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
    /// `seed` is there for random bytes.
    pub(super) fn of(uploaded: &'a Uploaded, id: &'a RequestId, seed: Option<Seed>) -> Self {
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

/// A random file that is to be uploaded.
enum File {
    /// One that was not thought of before.
    New(NewObject, RandomContent),
    Prepared(PooledUpload),
}

impl File {
    /// A prepared one if there is one, and the order does not say which it must be.
    fn of(face: &Face, id: &RequestId, order: &Order) -> Self {
        let (mut metadata, size) = (origin(id, order.caller.as_ref()), order.size.as_u64());
        let prepared = match order.key {
            Some(_) => None,
            None => face.uploader.take_pooled(&metadata, size),
        };
        if let Some(file) = prepared {
            return Self::Prepared(file);
        }
        let (name, seed) = identity(&face.config, order);
        metadata.insert("seed".to_owned(), seed.to_string());
        let object = NewObject { name, content_type: CONTENT_TYPE.to_owned(), metadata };
        Self::New(object, RandomContent::new(seed, size))
    }

    fn object(&self) -> &NewObject {
        match self {
            Self::New(object, _) => object,
            Self::Prepared(file) => file.object(),
        }
    }

    fn content(&self) -> &RandomContent {
        match self {
            Self::New(_, content) => content,
            Self::Prepared(file) => file.content(),
        }
    }

    fn upload(&self, face: &Face, observer: &dyn Observer) -> Result<Uploaded, UploadError> {
        let timeout = face.config.upload_timeout;
        match self {
            Self::New(object, content) => face.uploader.upload(object, content, timeout, observer),
            Self::Prepared(file) => face.uploader.upload_pooled(file, timeout, observer),
        }
    }
}

/// Uploads what was ordered. A panic below is an answer too, and costs no worker.
pub(super) fn run(face: &Face, id: &RequestId, order: &Order, underway: &Underway) -> Reply {
    let file = File::of(face, id, order);
    let object = file.object();
    let seed = file.content().seed();
    let began = Instant::now();
    underway.begins(&object.name);
    let uploading = AssertUnwindSafe(|| {
        let observer = Watcher { metrics: &face.metrics, underway, id, name: &object.name };
        file.upload(face, &observer)
    });
    match panic::catch_unwind(uploading) {
        Ok(Ok(uploaded)) => Ok(stored(face, id, order, seed, &uploaded)),
        Ok(Err(error)) => Err(failed(face, id, order, &object.name, &error)),
        Err(_) => Err(panicked(face, id, &object.name, began.elapsed())),
    }
}

/// The object's name, and what its content is made from: the key's, or new ones.
fn identity(config: &Config, order: &Order) -> (String, Seed) {
    let prefix = &config.object_prefix;
    match &order.key {
        Some(key) => {
            let Identity { name, seed } = key.identity(order.caller.as_ref(), prefix);
            (name, seed)
        }
        None => (prefix.random_name(), Seed::draw()),
    }
}

/// What the object says about the request, fit for a header field.
pub(super) fn origin(id: &RequestId, caller: Option<&Caller>) -> BTreeMap<String, String> {
    let caller = caller.map(|caller| ("uploaded-by", caller.to_string()));
    let origin = [("request-id", id.to_string())].into_iter().chain(caller);
    origin.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Whether the object was there before: it has bytes, and none of them was sent. Where some were,
/// or there are none to send, that cannot be known.
fn is_replayed(order: &Order, uploaded: &Uploaded) -> bool {
    order.key.is_some() && uploaded.bytes_sent == 0 && uploaded.object.size > 0
}

fn stored(face: &Face, id: &RequestId, order: &Order, seed: Seed, uploaded: &Uploaded) -> Answer {
    let object = &uploaded.object;
    let replayed = is_replayed(order, uploaded);
    let (outcome, done) = match replayed {
        true => ("replayed", "had stored"),
        false => ("stored", "stored"),
    };
    face.metrics.upload_ended(outcome, uploaded.elapsed);
    if !replayed {
        face.metrics.stored(object.size);
    }
    log::info!(
        requestId = id.as_str(),
        caller = order.caller_in_log(),
        name = object.name.as_str(),
        size = object.size,
        crc32c:% = object.crc32c,
        generation = object.generation.as_str(),
        seed:% = seed,
        resumed = uploaded.resumed,
        retried = uploaded.retried,
        bytesSent = uploaded.bytes_sent,
        durationSeconds = uploaded.elapsed.as_secs_f64();
        "{done} {}", object.gs_uri()
    );
    let answer = Answer::json(201, &Created::of(uploaded, id, Some(seed)))
        .with_header("Location", &location(&face.config.endpoint, object));
    match replayed {
        true => answer.with_header("Idempotency-Replayed", "true"),
        false => answer,
    }
}

/// The object's URL in the JSON API, which is what Cloud Storage calls its `selfLink`.
pub(super) fn location(endpoint: &str, object: &Object) -> String {
    let encode = |text| utf8_percent_encode(text, SEGMENT).to_string();
    let (bucket, name) = (encode(&object.bucket), encode(&object.name));
    format!("{}/storage/v1/b/{bucket}/o/{name}", endpoint.trim_end_matches('/'))
}

fn failed(face: &Face, id: &RequestId, order: &Order, name: &str, error: &UploadError) -> Problem {
    let failure = match (error.kind(), &order.key) {
        (ErrorKind::Conflict, Some(_)) => {
            Failure { problem: &problem::IDEMPOTENCY_KEY_REUSED, outcome: "key-reused" }
        }
        (kind, _) => Failure::of(kind),
    };
    failure.note(face, id, order.caller_in_log(), name, error);
    let detail = match (error.kind(), &order.key) {
        (ErrorKind::Conflict, Some(_)) => format!(
            "The key was used before, for another upload: {error}. Nothing was stored or changed: \
             send the size of that time, or another key."
        ),
        _ => format!("{error}. {}", Left::by(error).sentence(name)),
    };
    failure.told(name, error, detail)
}

pub(super) fn panicked(face: &Face, id: &RequestId, name: &str, took: Duration) -> Problem {
    face.metrics.panicked();
    face.metrics.upload_ended("panicked", took);
    log::error!(requestId = id.as_str(), name = name; "the upload of {name} panicked");
    let detail = format!(
        "The upload failed for a reason of the server's own. {}",
        Left::Unknown.sentence(name)
    );
    Problem::new(&problem::INTERNAL, detail)
        .with("object", Left::Unknown.member())
        .with("name", name)
}

/// What a kind of upload error means to those outside.
pub(super) struct Failure {
    pub(super) problem: &'static problem::Kind,
    /// The metric's label.
    pub(super) outcome: &'static str,
}

impl Failure {
    pub(super) fn of(kind: ErrorKind) -> Self {
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

    /// Counts and logs it. `caller` is who ordered the upload, as the log has it.
    pub(super) fn note(
        &self,
        face: &Face,
        id: &RequestId,
        caller: &str,
        name: &str,
        error: &UploadError,
    ) {
        face.metrics.upload_ended(self.outcome, error.elapsed);
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

    /// The problem that a client is told.
    pub(super) fn told(&self, name: &str, error: &UploadError, detail: String) -> Problem {
        let problem = Problem::new(self.problem, detail)
            .with("object", Left::by(error).member())
            .with("name", name)
            .with("retried", error.retried)
            .with("persisted", error.persisted);
        let problem = match error.status {
            Some(status) => problem.with("storageStatus", status),
            None => problem,
        };
        match self.problem.status() {
            503 => problem.with_header("Retry-After", RETRY_AFTER_SECONDS),
            _ => problem,
        }
    }
}

/// What a failed upload left in the bucket under its name.
#[derive(Clone, Copy)]
pub(super) enum Left {
    None,
    /// The last word of Cloud Storage did not arrive, or was not understood.
    Unknown,
}

impl Left {
    pub(super) fn by(error: &UploadError) -> Self {
        if error.absent { Self::None } else { Self::Unknown }
    }

    fn member(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn sentence(self, name: &str) -> String {
        match self {
            Self::None => "No object was left behind.".to_owned(),
            Self::Unknown => {
                format!("Whether an object was left behind is not known: look for {name}.")
            }
        }
    }
}

/// Counts, enters and logs what an upload does on its way.
pub(super) struct Watcher<'a> {
    pub(super) metrics: &'a Metrics,
    pub(super) underway: &'a Underway,
    pub(super) id: &'a RequestId,
    pub(super) name: &'a str,
}

impl Observer for Watcher<'_> {
    fn sent(&self, bytes: u64) {
        self.metrics.sent(bytes);
        self.underway.sent(bytes);
    }

    fn persisted(&self, offset: u64) {
        self.underway.persisted(offset);
    }

    fn retrying(&self, cause: Cause, wait: Duration) {
        self.metrics.retrying(cause);
        self.underway.retrying();
        log::warn!(
            requestId = self.id.as_str(), name = self.name, cause:% = cause;
            "trying {} again in {:.1} s ({cause})", self.name, wait.as_secs_f64()
        );
    }

    fn resuming(&self, cause: Cause, offset: u64) {
        self.metrics.resuming(cause);
        self.underway.resuming();
        log::debug!(
            requestId = self.id.as_str(), name = self.name, cause:% = cause, offset = offset;
            "going on with {} from byte {offset} ({cause})", self.name
        );
    }
}
