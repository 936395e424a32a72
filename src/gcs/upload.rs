//! One upload, from the first request to the last response: the state machine.
//!
//! ```text
//!            ┌───────────────────── session gone ────────────────────┐
//!            ▼                                                       │
//!   ──▶    Start ── session ──▶ Fill ──▶ Send ── broke, 5xx … ──▶ Query ──┐
//!            │                   ▲        │ │                        │    │ broke, 5xx …
//!          taken                 ├─ 308 ──┘ │ 200                    │◀───┘
//!            ▼                   │          ▼                        │
//!        Identify ── ours ───────┼───────▶ Done ◀─────── 200 ────────┤
//!                                └─────────────── 308: offset ───────┘
//! ```
//!
//! With a session that was opened ahead it begins at Fill; should that session be of no use, at Start.
//!
//! The content to send is a [`Payload`]: content that can be read again from any offset, all of it
//! in one request; or a stream, part by part, of which only the current part can be sent again.
//! [`State::Fill`] has the buffered bytes that are sent next.
//!
//! Every arrow that goes back waits first, unless the transfer has made progress. Whatever ends it
//! early goes through [`Upload::abort`], which cancels the session and finds out whether an
//! object is there all the same.
//!
//! Nothing is ever inferred from what was sent: how far the object has come is what Cloud Storage
//! says, and it is done when Cloud Storage shows it with the size and the checksum of the content.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use log::{debug, warn};

use super::backoff::{BackOff, retry_after};
use super::bucket::{Bucket, CancelOutcome};
use super::credentials::CredentialsError;
use super::message::{gcs_message, printable};
use super::session::{Session, content_range, persisted, status_query};
use super::session_pool::PooledUpload;
use super::transport::{Body, Method, Request, Response, TransportError};
use super::verdict::{Step, Verdict, verdict};
use super::{ErrorKind, NewObject, Object, Observer, RetryCause, UploadError, Uploaded};

mod payload;

use self::payload::Fill;
pub(super) use self::payload::Payload;

/// Sessions that may be lost, and responses that may be unintelligible, before the upload fails.
const MAX_ATTEMPTS: u32 = 5;
/// Timeout of each request that is made after giving up. There are at most three, and a server that
/// shuts down waits for them.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(3);

/// State of an upload.
#[derive(Clone, Debug)]
enum State {
    Start,
    Fill(Session, u64),
    Send(Session, u64),
    Query(Session, RetryCause),
    Identify,
    Done(Object),
}

impl State {
    fn session(&self) -> Option<&Session> {
        match self {
            Self::Fill(session, _) | Self::Send(session, _) | Self::Query(session, _) => {
                Some(session)
            }
            Self::Start | Self::Identify | Self::Done(_) => None,
        }
    }
}

/// Outcome of a request from which the upload can continue.
enum StepOutcome {
    Success(Response),
    Persisted(u64),
    SessionGone,
    AlreadyExists,
    Retry(Fault),
}

/// Reason to repeat a request.
struct Fault {
    cause: RetryCause,
    retry_after: Option<Duration>,
    text: String,
}

/// Reason why the upload cannot continue.
struct Failure {
    kind: ErrorKind,
    status: Option<u16>,
    bucket_refused: bool,
    message: String,
    hint: Option<String>,
}

impl Failure {
    fn new(kind: ErrorKind, message: String) -> Self {
        Self { kind, status: None, bucket_refused: false, message, hint: None }
    }

    /// Bytes of a stream are lost.
    fn lost(message: String) -> Self {
        let hint = Some("send the whole of it once more".to_owned());
        Self { hint, ..Self::new(ErrorKind::Lost, message) }
    }
}

type Transition = Result<State, Failure>;

/// An upload under way.
pub(super) struct Upload<'a, 'c> {
    bucket: &'a Bucket,
    object: &'a NewObject,
    payload: Payload<'c>,
    /// The file whose session was opened ahead, as long as that session is in use.
    pooled: Option<&'a PooledUpload>,
    counter: &'a SentCounter<'a>,
    began: Instant,
    timeout: Duration,
    deadline: Instant,
    back_off: BackOff,
    resumed: u32,
    retried: u32,
    lost_sessions: u32,
    unreadable_responses: u32,
    token_refreshed: Cell<bool>,
    persisted: u64,
    /// Cloud Storage has said that an object came of a session.
    object_reported: bool,
    last_fault: Option<String>,
}

impl<'a> Upload<'a, 'a> {
    /// As [`new`](Self::new), for a file whose session is open already.
    pub(super) fn with_pooled_session(
        bucket: &'a Bucket,
        file: &'a PooledUpload,
        timeout: Duration,
        counter: &'a SentCounter<'a>,
    ) -> Self {
        let pooled = Some(file);
        let payload = Payload::Whole(file.content());
        Self { pooled, ..Self::new(bucket, file.object(), payload, timeout, counter) }
    }
}

impl<'a, 'c> Upload<'a, 'c> {
    pub(super) fn new(
        bucket: &'a Bucket,
        object: &'a NewObject,
        payload: Payload<'c>,
        timeout: Duration,
        counter: &'a SentCounter<'a>,
    ) -> Self {
        let began = bucket.clock.now();
        Self {
            bucket,
            object,
            payload,
            pooled: None,
            counter,
            began,
            timeout,
            deadline: began + timeout,
            back_off: BackOff::new(bucket.retry.initial_wait, bucket.retry.max_wait),
            resumed: 0,
            retried: 0,
            lost_sessions: 0,
            unreadable_responses: 0,
            token_refreshed: Cell::new(false),
            persisted: 0,
            object_reported: false,
            last_fault: None,
        }
    }

    pub(super) fn run(mut self) -> Result<Uploaded, UploadError> {
        let mut state = match self.pooled {
            Some(file) => State::Fill(file.session().clone(), 0),
            None => State::Start,
        };
        loop {
            let session = state.session().cloned();
            let next = match state {
                State::Start => self.start(),
                State::Fill(session, offset) => self.fill(session, offset),
                State::Send(session, offset) => self.send(session, offset),
                State::Query(session, cause) => self.query(session, cause),
                State::Identify => self.identify(),
                State::Done(object) => return Ok(self.uploaded(object)),
            };
            state = match next {
                Ok(next) => next,
                Err(failure) => return self.abort(session, failure),
            };
        }
    }

    /// Opens a session.
    fn start(&mut self) -> Transition {
        let url = self.bucket.endpoint.start(&self.bucket.name, &self.object.name);
        let metadata = self.object.to_json(self.payload.checksum_before_upload());
        let mut headers = vec![
            ("content-type", "application/json; charset=utf-8".into()),
            ("x-upload-content-type", self.object.content_type.clone()),
        ];
        let declared_size = self.payload.declared_size();
        headers.extend(declared_size.map(|size| ("x-upload-content-length", size.to_string())));
        let body = Body::Bytes(metadata.as_bytes());
        match self.request(Step::Start, Method::Post, &url, headers, body)? {
            StepOutcome::Success(response) => self.opened(&response),
            StepOutcome::AlreadyExists => Ok(State::Identify),
            StepOutcome::Retry(fault) => self.wait(fault).map(|_| State::Start),
            StepOutcome::Persisted(_) | StepOutcome::SessionGone => {
                unreachable!("no verdict on a start")
            }
        }
    }

    fn opened(&self, response: &Response) -> Transition {
        let nonsense = |what: String| {
            let message = format!(
                "{} was answered with a Location that {what}",
                self.describe_request(Step::Start)
            );
            Failure::new(ErrorKind::Protocol, message)
        };
        let location = response.location.as_deref().ok_or_else(|| nonsense("is missing".into()))?;
        match self.bucket.endpoint.session(location) {
            Ok(session) => Ok(State::Fill(session, 0)),
            Err(error) => Err(nonsense(error.to_string())),
        }
    }

    /// Has the bytes from `offset` on at hand.
    fn fill(&mut self, session: Session, offset: u64) -> Transition {
        let window_start = self.payload.window_start();
        if offset < window_start {
            let message = format!(
                "Cloud Storage has {offset} bytes, and had acknowledged {window_start}: those between \
                 cannot be had again",
            );
            return Err(Failure::lost(message));
        }
        if self.payload.needs_next_part_at(offset) {
            self.read_part()?;
        }
        Ok(State::Send(session, offset))
    }

    /// Reads the part of a stream that follows the one which is persisted. Its time begins with it,
    /// and once more when it has come.
    fn read_part(&mut self) -> Result<(), Failure> {
        self.deadline = self.bucket.clock.now() + self.timeout;
        self.payload.next_part();
        loop {
            let read = self.payload.read();
            if self.bucket.clock.interrupted() {
                return Err(self.interrupted());
            }
            let came = self.payload.byte_range().end;
            match read {
                Ok(Fill::Full) => break,
                Ok(Fill::More) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let message = format!("the stream failed after {came} bytes: {error}");
                    return Err(Failure::new(ErrorKind::Source, message));
                }
            }
            if self.bucket.clock.now() >= self.deadline {
                let message = format!(
                    "the stream was too slow: after {came} bytes, a part of it had not come \
                     within {:?}",
                    self.timeout,
                );
                return Err(Failure::new(ErrorKind::Source, message));
            }
        }
        self.deadline = self.bucket.clock.now() + self.timeout;
        Ok(())
    }

    /// Sends what is at hand from `offset` on.
    fn send(&mut self, session: Session, offset: u64) -> Transition {
        let byte_range = self.payload.byte_range();
        let headers = self.transfer_headers(content_range(offset, byte_range));
        self.counter.window_start(offset, byte_range.total);
        let body = self.payload.body(offset, self.counter);
        match self.request_of_session(Step::Send, &session, headers, body)? {
            StepOutcome::Success(response) => self.finished(Step::Send, session, &response),
            StepOutcome::Persisted(persisted) => self.continued(session, persisted),
            StepOutcome::SessionGone => self.start_over(Step::Send),
            StepOutcome::AlreadyExists => Ok(State::Identify),
            StepOutcome::Retry(fault) => Ok(State::Query(session, self.wait(fault)?)),
        }
    }

    /// Returns the headers of every request that could finish the object: the checksum of a stream,
    /// which is known by then, so that Cloud Storage does not create an object of other bytes; and
    /// the headers that were not known when the session was opened in advance.
    fn transfer_headers(&self, content_range: String) -> Vec<(&'a str, String)> {
        let mut headers = vec![("content-range", content_range)];
        headers.extend(self.pooled.into_iter().flat_map(PooledUpload::deferred_headers));
        let checksum = self.payload.checksum_after_upload();
        headers.extend(checksum.map(|crc32c| ("x-goog-hash", format!("crc32c={crc32c}"))));
        headers
    }

    /// What was at hand was sent, and Cloud Storage goes on from `persisted`.
    fn continued(&mut self, session: Session, persisted: u64) -> Transition {
        let progress = persisted > self.persisted;
        self.record_persisted(persisted);
        if self.payload.needs_next_part_at(persisted) {
            return Ok(State::Fill(session, persisted));
        }
        if progress && persisted < self.payload.byte_range().end {
            return Ok(self.resume(session, RetryCause::Incomplete));
        }
        let text = format!("{} kept {persisted} bytes", self.describe_request(Step::Send));
        let fault = Fault { cause: RetryCause::Incomplete, retry_after: None, text };
        Ok(State::Query(session, self.wait(fault)?))
    }

    /// Asks how much is persisted.
    fn query(&mut self, session: Session, cause: RetryCause) -> Transition {
        let headers = self.transfer_headers(status_query(self.payload.byte_range()));
        match self.request_of_session(Step::Query, &session, headers, Body::Empty)? {
            StepOutcome::Success(response) => self.finished(Step::Query, session, &response),
            StepOutcome::Persisted(persisted) => {
                if persisted > 0 && self.payload.byte_range().total == Some(persisted) {
                    return self.continued(session, persisted);
                }
                self.record_persisted(persisted);
                Ok(self.resume(session, cause))
            }
            StepOutcome::SessionGone => self.start_over(Step::Query),
            StepOutcome::AlreadyExists => Ok(State::Identify),
            StepOutcome::Retry(fault) => {
                self.wait(fault)?;
                Ok(State::Query(session, cause))
            }
        }
    }

    fn resume(&mut self, session: Session, cause: RetryCause) -> State {
        self.resumed += 1;
        debug!("{}: resuming from {} after {cause}", self.object.name, self.persisted);
        self.counter.observer.resuming(cause, self.persisted);
        State::Fill(session, self.persisted)
    }

    /// Makes a request to a session. One that was opened ahead may have been refused for what has
    /// changed since, so a refusal there counts as its end, and a start finds out what it means.
    fn request_of_session(
        &self,
        step: Step,
        session: &Session,
        headers: Vec<(&str, String)>,
        body: Body<'_>,
    ) -> Result<StepOutcome, Failure> {
        match self.request(step, Method::Put, session.uri(), headers, body) {
            Err(failure) if self.pooled.is_some() && failure.kind == ErrorKind::Refused => {
                debug!("{}: {}", self.object.name, failure.message);
                Ok(StepOutcome::SessionGone)
            }
            other => other,
        }
    }

    /// The session is no more, and what it had is lost.
    fn start_over(&mut self, step: Step) -> Transition {
        if self.pooled.take().is_some() {
            // Nothing that went wrong: it was an attempt to save the start.
            return Ok(self.start_at_once());
        }
        self.lost_sessions += 1;
        let text = format!("the session was gone at {}", self.describe_request(step));
        let window_start = self.payload.window_start();
        if window_start > 0 {
            let message = format!("{text}, and the first {window_start} bytes cannot be had again");
            return Err(Failure::lost(message));
        }
        if self.lost_sessions >= MAX_ATTEMPTS {
            let message = format!("{text}, after {MAX_ATTEMPTS} attempts");
            return Err(Failure::new(ErrorKind::Protocol, message));
        }
        self.wait(Fault { cause: RetryCause::SessionGone, retry_after: None, text })?;
        self.record_persisted(0);
        Ok(State::Start)
    }

    /// Begins as any other upload, at once.
    fn start_at_once(&mut self) -> State {
        self.retried += 1;
        self.counter.observer.retrying(RetryCause::SessionGone, Duration::ZERO);
        self.record_persisted(0);
        State::Start
    }

    /// Cloud Storage says that the object is there: believes it when it is the right one.
    fn finished(&mut self, step: Step, session: Session, response: &Response) -> Transition {
        self.object_reported = true;
        let object = match Object::from_json(&response.body) {
            Ok(object) => object,
            Err(error) => {
                let fault = self.unreadable_response(step, response, &error)?;
                return Ok(State::Query(session, self.wait(fault)?));
            }
        };
        match self.differences(&object) {
            None => Ok(State::Done(object)),
            Some(differences) => Err(self.wrong_object(step, &object, &differences)),
        }
    }

    /// An object of our name exists. It is ours if an earlier attempt's last response was lost, which
    /// it cannot be before the end of a stream is known.
    fn identify(&mut self) -> Transition {
        if self.payload.size_and_checksum().is_none() {
            let message = "another object has this name".to_owned();
            return Err(Failure::new(ErrorKind::Conflict, message));
        }
        let url = self.bucket.endpoint.object(&self.bucket.name, &self.object.name);
        match self.request(Step::GetMetadata, Method::Get, &url, Vec::new(), Body::Empty)? {
            StepOutcome::Success(response) => match Object::from_json(&response.body) {
                Ok(object) => self.identified(object),
                Err(error) => {
                    let fault = self.unreadable_response(Step::GetMetadata, &response, &error)?;
                    self.wait(fault).map(|_| State::Identify)
                }
            },
            StepOutcome::Retry(fault) => self.wait(fault).map(|_| State::Identify),
            StepOutcome::Persisted(_) | StepOutcome::SessionGone | StepOutcome::AlreadyExists => {
                unreachable!("no verdict on a look")
            }
        }
    }

    fn identified(&self, object: Object) -> Transition {
        match self.differences(&object) {
            None => Ok(State::Done(object)),
            Some(differences) => {
                let message = format!("another object has this name: {differences}");
                Err(Failure::new(ErrorKind::Conflict, message))
            }
        }
    }

    /// In what an object is not the one that was sent, if in anything.
    fn differences(&self, object: &Object) -> Option<String> {
        let Some((size, crc32c)) = self.payload.size_and_checksum() else {
            return Some("it was finished before its end was sent".to_owned());
        };
        let mut differences = Vec::new();
        let mut compare = |what: &str, theirs: String, ours: String| {
            if theirs != ours {
                let theirs = printable(theirs.as_bytes());
                differences.push(format!("its {what} is {theirs} and not {ours}"));
            }
        };
        compare("bucket", object.bucket.clone(), self.bucket.name.clone());
        compare("name", object.name.clone(), self.object.name.clone());
        compare("size", object.size.to_string(), size.to_string());
        compare("CRC32C", object.crc32c.to_string(), crc32c.to_string());
        (!differences.is_empty()).then(|| differences.join(", "))
    }

    /// Cloud Storage has made something else of the bytes. It must not stay.
    fn wrong_object(&self, step: Step, object: &Object, differences: &str) -> Failure {
        let removed = self.bucket.delete(&self.object.name, &object.generation, CLEANUP_TIMEOUT);
        let what_now = match removed {
            Ok(()) => "it has been deleted again".to_owned(),
            Err(error) => format!("it could not be deleted: {error}"),
        };
        let message = format!(
            "{} was answered with an object that is not the one sent ({differences}); {what_now}",
            self.describe_request(step),
        );
        Failure::new(ErrorKind::Protocol, message)
    }

    fn unreadable_response(
        &mut self,
        step: Step,
        response: &Response,
        error: &str,
    ) -> Result<Fault, Failure> {
        self.unreadable_responses += 1;
        let text = format!(
            "{} was answered {} with {} bytes that are no object resource: {}",
            self.describe_request(step),
            response.status,
            response.body.len(),
            printable(error.as_bytes()),
        );
        if self.unreadable_responses >= MAX_ATTEMPTS {
            return Err(Failure::new(ErrorKind::Protocol, text));
        }
        Ok(Fault { cause: RetryCause::Unreadable, retry_after: None, text })
    }

    /// Makes a request, and sorts what comes of it.
    fn request(
        &self,
        step: Step,
        method: Method,
        url: &str,
        mut headers: Vec<(&str, String)>,
        body: Body<'_>,
    ) -> Result<StepOutcome, Failure> {
        if self.bucket.clock.interrupted() {
            return Err(self.interrupted());
        }
        let tokens = &*self.bucket.tokens;
        let token =
            tokens.token(self.remaining_time()).map_err(|error| self.token_failure(&error))?;
        let timeout = self.remaining_time();
        if timeout.is_zero() {
            return Err(self.timed_out());
        }
        headers.extend(token.iter().map(|token| ("authorization", token.authorization())));
        let request = Request { method, url, headers, body, timeout, urgent: false };
        let response = match self.bucket.transport.send(&request) {
            Ok(response) => response,
            Err(error) => return self.transport_failure(step, error),
        };
        if verdict(step, response.status) != Verdict::Unauthorized {
            return self.classify(step, response);
        }
        let refused = self.refusal(step, &response);
        let Some(token) = token.filter(|_| !self.token_refreshed.get()) else {
            return Err(refused);
        };
        self.token_refreshed.set(true);
        let renewed = tokens.refresh(&token, self.remaining_time());
        match renewed.map_err(|error| self.token_failure(&error))? {
            None => Err(refused),
            Some(_) => Ok(StepOutcome::Retry(Fault {
                cause: RetryCause::Unauthorized,
                retry_after: None,
                text: refused.message,
            })),
        }
    }

    fn classify(&self, step: Step, response: Response) -> Result<StepOutcome, Failure> {
        match verdict(step, response.status) {
            Verdict::Success => Ok(StepOutcome::Success(response)),
            Verdict::Persisted => {
                match persisted(response.range.as_deref(), self.payload.byte_range().end) {
                    Some(persisted) => Ok(StepOutcome::Persisted(persisted)),
                    None => {
                        let range = printable(response.range.unwrap_or_default().as_bytes());
                        let text = format!(
                            "{} was answered with Range {range}",
                            self.describe_request(step)
                        );
                        Err(Failure::new(ErrorKind::Protocol, text))
                    }
                }
            }
            Verdict::SessionGone => Ok(StepOutcome::SessionGone),
            Verdict::AlreadyExists => Ok(StepOutcome::AlreadyExists),
            Verdict::Transient => {
                let now = self.bucket.clock.time_of_day();
                let asked = response.retry_after.as_deref();
                Ok(StepOutcome::Retry(Fault {
                    cause: RetryCause::Status(response.status),
                    retry_after: asked.and_then(|value| retry_after(value, now)),
                    text: self.refusal(step, &response).message,
                }))
            }
            Verdict::Refused | Verdict::Unauthorized => Err(self.refusal(step, &response)),
            Verdict::Unexpected => {
                let text = format!(
                    "{} was answered with {}",
                    self.describe_request(step),
                    response.status
                );
                Err(Failure {
                    status: Some(response.status),
                    ..Failure::new(ErrorKind::Protocol, text)
                })
            }
        }
    }

    fn transport_failure(&self, step: Step, error: TransportError) -> Result<StepOutcome, Failure> {
        let text = format!("{}: {error}", self.describe_request(step));
        let cause = match error {
            TransportError::Connect(_) => RetryCause::Connect,
            TransportError::Broken(_) => RetryCause::Broken,
            TransportError::Stalled(_) => RetryCause::Stalled,
            TransportError::TimedOut => return Err(self.timed_out()),
            TransportError::Interrupted => return Err(self.interrupted()),
            TransportError::Tls(_) | TransportError::Protocol(_) => {
                return Err(Failure::new(ErrorKind::Protocol, text));
            }
            TransportError::Content(_) => return Err(Failure::new(ErrorKind::Source, text)),
        };
        Ok(StepOutcome::Retry(Fault { cause, retry_after: None, text }))
    }

    fn refusal(&self, step: Step, response: &Response) -> Failure {
        let message = format!(
            "{} was answered {}: {}",
            self.describe_request(step),
            response.status,
            gcs_message(&response.body),
        );
        let bucket = &self.bucket.name;
        let hint = match (response.status, step) {
            (401, _) => {
                Some("run `gcs-uploader check` to see which credentials are used".to_owned())
            }
            (403, Step::GetMetadata) => {
                Some(format!("grant the identity storage.objects.get on the bucket {bucket}"))
            }
            (403, _) => {
                Some(format!("grant the identity storage.objects.create on the bucket {bucket}"))
            }
            (404, Step::Start) => {
                Some(format!("check that the bucket {bucket} exists and GCS_BUCKET names it"))
            }
            _ => None,
        };
        Failure {
            status: Some(response.status),
            // What may not be looked at is one object: others may still be made.
            bucket_refused: matches!(response.status, 401 | 403 | 404) && step != Step::GetMetadata,
            hint,
            ..Failure::new(ErrorKind::Refused, message)
        }
    }

    /// Waits before a request is made again; returns why.
    fn wait(&mut self, fault: Fault) -> Result<RetryCause, Failure> {
        let jittered = self.back_off.next(self.bucket.clock.random());
        let wait = jittered.max(fault.retry_after.unwrap_or_default());
        debug!("{}: {}; again in {wait:?}", self.object.name, fault.text);
        self.last_fault = Some(fault.text);
        if wait >= self.remaining_time() {
            return Err(self.timed_out());
        }
        self.retried += 1;
        self.counter.observer.retrying(fault.cause, wait);
        match self.bucket.clock.pause(wait) {
            true => Ok(fault.cause),
            false => Err(self.interrupted()),
        }
    }

    fn record_persisted(&mut self, persisted: u64) {
        if persisted > self.persisted {
            self.back_off.reset();
            self.token_refreshed.set(false);
        }
        self.persisted = persisted;
        self.counter.observer.persisted(persisted);
    }

    /// How much of the upload's time is left.
    fn remaining_time(&self) -> Duration {
        self.deadline.saturating_duration_since(self.bucket.clock.now())
    }

    fn token_failure(&self, error: &CredentialsError) -> Failure {
        match self.bucket.clock.interrupted() {
            true => self.interrupted(),
            false => Failure::new(ErrorKind::Credentials, error.to_string()),
        }
    }

    fn timed_out(&self) -> Failure {
        let what = match self.payload.window_start() {
            0 => "not finished".to_owned(),
            window_start => format!("the part from byte {window_start} on was not finished"),
        };
        let last = match &self.last_fault {
            Some(fault) => format!("; the last that happened: {fault}"),
            None => String::new(),
        };
        let message = format!("{what} within {:?}{last}", self.timeout);
        let hint = "look at the network between here and Cloud Storage, or raise UPLOAD_TIMEOUT";
        Failure { hint: Some(hint.into()), ..Failure::new(ErrorKind::TimedOut, message) }
    }

    fn interrupted(&self) -> Failure {
        let message = "the upload was cancelled because the process is stopping".to_owned();
        Failure::new(ErrorKind::Interrupted, message)
    }

    /// Cancels the session, and finds out whether there is an object all the same: the last response
    /// may have been the one that was lost.
    fn abort(&self, session: Option<Session>, failure: Failure) -> Result<Uploaded, UploadError> {
        let cancel = session.map(|s| self.bucket.cancel(s.uri(), CLEANUP_TIMEOUT));
        let unfinished = !self.counter.complete() && !self.object_reported;
        let never_whole = unfinished || failure.kind == ErrorKind::Conflict;
        let absent = never_whole
            || match self.bucket.get_metadata(&self.object.name, CLEANUP_TIMEOUT) {
                Ok(Some(object)) if self.differences(&object).is_none() => {
                    return Ok(self.uploaded(object));
                }
                Ok(Some(_)) => false,
                // Not there yet, if bytes may still be on their way to it.
                Ok(None) => cancel != Some(CancelOutcome::Unknown),
                Err(error) => {
                    debug!("{}: {error}", self.object.name);
                    cancel == Some(CancelOutcome::Confirmed)
                }
            };
        if !absent {
            warn!("{}: the upload failed, and an object may be there", self.object.name);
        }
        Err(UploadError {
            kind: failure.kind,
            message: failure.message,
            hint: failure.hint,
            status: failure.status,
            bucket_refused: failure.bucket_refused,
            retried: self.retried,
            persisted: self.persisted,
            elapsed: self.elapsed(),
            absent,
        })
    }

    fn uploaded(&self, object: Object) -> Uploaded {
        self.counter.observer.persisted(object.size);
        Uploaded {
            object,
            resumed: self.resumed,
            retried: self.retried,
            bytes_sent: self.counter.bytes(),
            elapsed: self.elapsed(),
        }
    }

    fn elapsed(&self) -> Duration {
        self.bucket.clock.now().saturating_duration_since(self.began)
    }

    /// The request of a step, for a person: without the query, in which a session's secret lies.
    fn describe_request(&self, step: Step) -> String {
        let endpoint = &self.bucket.endpoint;
        let bucket = &self.bucket.name;
        match step {
            Step::Start => format!("POST {endpoint}/upload/storage/v1/b/{bucket}/o"),
            Step::Send => format!("PUT {endpoint}/upload/storage/v1/b/{bucket}/o (the data)"),
            Step::Query => format!("PUT {endpoint}/upload/storage/v1/b/{bucket}/o (the status)"),
            Step::GetMetadata => format!("GET {}", endpoint.object(bucket, &self.object.name)),
        }
    }
}

/// Counts what is sent, on its way to the observer.
pub(super) struct SentCounter<'a> {
    observer: &'a dyn Observer,
    bytes: AtomicU64,
    missing: AtomicU64,
    complete: AtomicBool,
}

impl<'a> SentCounter<'a> {
    pub(super) fn new(observer: &'a dyn Observer) -> Self {
        let (bytes, missing) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { observer, bytes, missing, complete: AtomicBool::new(false) }
    }

    /// Records that the bytes from `offset` on are about to be sent, up to the end of the object if
    /// `total` is known.
    fn window_start(&self, offset: u64, total: Option<u64>) {
        self.missing.store(total.map_or(u64::MAX, |total| total - offset), Ordering::Relaxed);
        if total == Some(offset) {
            self.complete.store(true, Ordering::Relaxed);
        }
    }

    /// Returns how many bytes were sent, including those that were sent again.
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns whether the last byte was ever sent: before that, there can be no object.
    fn complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }
}

impl Observer for SentCounter<'_> {
    fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.missing.fetch_sub(bytes, Ordering::Relaxed) == bytes {
            self.complete.store(true, Ordering::Relaxed);
        }
        self.observer.sent(bytes);
    }
}

#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
