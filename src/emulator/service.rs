//! One request from its head to its answer: understands it, lets an ordered fault act on it, does
//! what it asks for, and keeps the record.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tiny_http::{Header, Request, Response, StatusCode};

use super::content_range::ContentRange;
use super::download::download;
use super::error::ApiError;
use super::faults::{
    Action, Faults, Processing, RawAnswer, RequestKind, Rule, SeenRequest, Violation,
};
use super::http::{Answer, Body, Cut, Failure, Head, Incident, IncidentKind, MAX_UNREAD};
use super::object::bucket_resource;
use super::operation::Operation;
use super::precondition::Preconditions;
use super::stop::Stop;
use super::store::{ListQuery, Store};
use super::upload::{CANCELLED, Outcome, STEP, Session, Sessions, upload_media, upload_multipart};
use super::wire::{Break, GREETING, Link, Wire};

/// What answers requests, in whatever threads.
pub(super) struct Service {
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) faults: Faults,
    pub(super) wire: Wire,
    pub(super) stop: Arc<Stop>,
}

/// A request that was understood, as it goes from hand to hand.
struct Call {
    head: Head,
    operation: Result<Operation, ApiError>,
    range: Option<Result<ContentRange, ApiError>>,
    session: Option<Arc<Session>>,
    /// Whether the session had been cancelled when the request came. One that came before, and is held
    /// up here until after, was allowed when it was sent.
    too_late: bool,
    kind: RequestKind,
    object: Option<String>,
}

/// How a request leaves.
enum Reply {
    Answer(Answer),
    /// Written past the HTTP library; ends the connection.
    Raw(Vec<u8>, u16, Break),
    /// The connection is broken, or the client gone.
    Nothing,
}

impl Service {
    /// Answers a request, or breaks its connection off.
    pub(super) fn serve(&self, mut request: Request) {
        if request.url() == GREETING {
            return respond(request, Answer::empty(204));
        }
        let peer = request.remote_addr().copied();
        let Some(link) = peer.and_then(|peer| self.wire.link(&peer)) else {
            // The client is gone, or has come past the relay.
            return drop(request);
        };
        let head = match Head::of(&request, &self.wire.addr().to_string()) {
            Ok(head) => head,
            Err(error) => return self.refuse(request, &link, error),
        };
        let call = self.understand(head);
        let action = match &call.operation {
            Ok(operation) if operation.is_control() => None,
            _ => self.faults.strike(call.kind, call.object.as_deref()),
        };
        let incident = action.as_ref().and_then(incident);
        let mut body = Body::new(&mut request, Arc::clone(&link), &self.stop, incident);
        let reply = self.reply(&call, action.as_ref(), &mut body);
        let (body_bytes, unread) = (body.received(), body.unread());
        if !call.operation.as_ref().is_ok_and(Operation::is_control) {
            self.record(&call, &reply, body_bytes, action.is_some());
        }
        match reply {
            Reply::Nothing => discard(request, unread, &link),
            Reply::Raw(bytes, _, how) => {
                link.say_and_break(&bytes, how);
                discard(request, unread, &link);
            }
            Reply::Answer(answer) if unread <= MAX_UNREAD => {
                if let Some(Action::BreakAfterAnswerBytes { bytes, with }) = action {
                    link.limit_answer(bytes, with);
                }
                respond(request, answer);
            }
            Reply::Answer(_) => discard(request, unread, &link),
        }
    }

    fn refuse(&self, mut request: Request, link: &Arc<Link>, error: ApiError) {
        let mut body = Body::new(&mut request, Arc::clone(link), &self.stop, None);
        match body.drain() {
            Ok(()) => respond(request, error.into()),
            Err(_) => {
                let unread = body.unread();
                discard(request, unread, link);
            }
        }
    }

    fn understand(&self, head: Head) -> Call {
        let operation = Operation::of(&head);
        let range = head.header("Content-Range").map(ContentRange::parse);
        let known_range = range.as_ref().and_then(|range| range.as_ref().ok());
        let kind =
            operation.as_ref().map_or(RequestKind::Other, |operation| operation.kind(known_range));
        let session = match &operation {
            Ok(Operation::ContinueSession { id } | Operation::CancelSession { id }) => {
                self.sessions.get(id)
            }
            _ => None,
        };
        let object = match &operation {
            Ok(
                Operation::GetObject { name, .. }
                | Operation::Download { name, .. }
                | Operation::DeleteObject { name, .. },
            ) => Some(name.clone()),
            _ => session
                .as_ref()
                .map(|session| session.object_name().to_owned())
                .or_else(|| head.query.get("name").map(str::to_owned)),
        };
        let too_late = session.as_ref().is_some_and(|session| session.is_cancelled());
        Call { head, operation, range, session, too_late, kind, object }
    }

    fn reply(&self, call: &Call, action: Option<&Action>, body: &mut Body<'_>) -> Reply {
        let skipped = match action {
            Some(action) => self.answer_in_place(call, action),
            None => None,
        };
        let done = match skipped {
            Some(answer) => Ok(answer),
            None => self.process(call, action, body),
        };
        self.note_violation(call, &done);
        // How it ends is told by `cut`.
        let _ = body.drain();
        match body.cut() {
            Some(Cut::BrokenOff) => return Reply::Nothing,
            Some(Cut::AnswerEarly) => return early_answer(action),
            Some(Cut::ByClient) | None => {}
        }
        let answer = match done {
            Ok(answer) => answer,
            Err(Failure::Refused(error)) => error.into(),
            // A client that has only stopped talking may still listen.
            Err(Failure::Cut(_)) => {
                ApiError::new(400, "invalid", "The request's body is not complete.").into()
            }
        };
        self.spoil(action, body, answer)
    }

    /// The answer of an action that keeps the request from being processed.
    fn answer_in_place(&self, call: &Call, action: &Action) -> Option<Answer> {
        match action {
            Action::Status { status, retry_after } => {
                let error = ordered_error(*status);
                let answer = Answer::json(*status, &error.to_json());
                Some(match retry_after {
                    Some(value) => answer.with("Retry-After", value.clone()),
                    None => answer,
                })
            }
            Action::LoseSession { status } => {
                let error = ApiError::new(*status, "gone", "The session is gone.");
                if let Some(session) = &call.session {
                    session.end(error.clone());
                }
                Some(error.into())
            }
            Action::Answer(RawAnswer { processing: Processing::Skipped, .. }) => {
                Some(Answer::empty(200))
            }
            _ => None,
        }
    }

    /// What an action makes of the answer to a request that was processed.
    fn spoil(&self, action: Option<&Action>, body: &Body<'_>, answer: Answer) -> Reply {
        match action {
            Some(Action::BreakBeforeAnswer { with }) => {
                body.link().break_off(*with);
                Reply::Nothing
            }
            Some(Action::BreakAfterRequestBytes { bytes, with }) if *bytes == body.received() => {
                body.link().break_off(*with);
                Reply::Nothing
            }
            Some(Action::StallBeforeAnswer { ms }) => {
                self.stop.wait(Duration::from_millis(*ms));
                Reply::Answer(answer)
            }
            Some(Action::Answer(raw)) => Reply::Raw(raw_answer(raw), raw.status, Break::Close),
            Some(Action::TruncateAnswer { bytes }) => Reply::Answer(answer.truncated(*bytes)),
            _ => Reply::Answer(answer),
        }
    }

    fn process(
        &self,
        call: &Call,
        action: Option<&Action>,
        body: &mut Body<'_>,
    ) -> Result<Answer, Failure> {
        // An incident before the first byte comes before anything is done.
        body.meet_incident()?;
        let head = &call.head;
        let base_url = head.base_url();
        match call.operation.as_ref().map_err(Clone::clone)? {
            Operation::CreateBucket => self.create_bucket(head, body),
            Operation::GetBucket { bucket } => {
                let created = self.store.bucket(bucket)?;
                Ok(Answer::json(200, &bucket_resource(bucket, created, &base_url)))
            }
            Operation::ListBuckets => Ok(self.list_buckets(head)),
            Operation::ListObjects { bucket } => Ok(self.list_objects(bucket, head)?),
            Operation::GetObject { bucket, name } => Ok(self.get_object(bucket, name, head)?),
            Operation::Download { bucket, name } => Ok(download(&self.store, bucket, name, head)?),
            Operation::DeleteObject { bucket, name } => {
                let preconditions = Preconditions::from_query(&head.query)?;
                let generation = head.query.number("generation")?;
                self.store.delete(bucket, name, generation, &preconditions)?;
                Ok(Answer::empty(204))
            }
            Operation::UploadMedia { bucket } => {
                let object = upload_media(&self.store, bucket, head, body)?;
                Ok(Answer::json(200, &object.resource(&base_url)))
            }
            Operation::UploadMultipart { bucket } => {
                let object = upload_multipart(&self.store, bucket, head, body)?;
                Ok(Answer::json(200, &object.resource(&base_url)))
            }
            Operation::StartSession { bucket } => {
                let id = self.sessions.start(&self.store, bucket, head, body)?;
                let path = format!("upload/storage/v1/b/{bucket}/o");
                let query = format!("uploadType=resumable&upload_id={id}");
                Ok(Answer::empty(200)
                    .with("Location", format!("{base_url}/{path}?{query}"))
                    .with("X-GUploader-UploadID", id))
            }
            Operation::ContinueSession { .. } => self.continue_session(call, action, body),
            Operation::CancelSession { .. } => Ok(call.session()?.cancel().into()),
            Operation::OrderFaults => self.order_faults(body),
            Operation::ShowFaults => Ok(Answer::json(200, &json!(self.faults.pending()))),
            Operation::ClearFaults => {
                self.faults.clear();
                Ok(Answer::empty(204))
            }
            Operation::ShowRequests => Ok(Answer::json(
                200,
                &json!({
                    "requests": self.faults.requests(),
                    "violations": self.faults.violations(),
                }),
            )),
            Operation::ForgetRequests => {
                self.faults.forget();
                Ok(Answer::empty(204))
            }
        }
    }

    fn create_bucket(&self, head: &Head, body: &mut Body<'_>) -> Result<Answer, Failure> {
        let wanted = body.json()?;
        let name = wanted.get("name").and_then(Value::as_str).ok_or_else(|| {
            ApiError::new(400, "required", "Required parameter: name (of the bucket).")
        })?;
        let created = self.store.create_bucket(name)?;
        Ok(Answer::json(200, &bucket_resource(name, created, &head.base_url())))
    }

    fn list_buckets(&self, head: &Head) -> Answer {
        let base_url = head.base_url();
        let prefix = head.query.get("prefix").unwrap_or_default();
        let buckets = self.store.buckets();
        let items: Vec<_> = buckets
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, created)| bucket_resource(name, *created, &base_url))
            .collect();
        Answer::json(200, &json!({"kind": "storage#buckets", "items": items}))
    }

    fn list_objects(&self, bucket: &str, head: &Head) -> Result<Answer, ApiError> {
        let listing = self.store.list(bucket, &ListQuery::from_query(&head.query)?)?;
        let base_url = head.base_url();
        let items: Vec<_> =
            listing.objects.iter().map(|object| object.resource(&base_url)).collect();
        let mut page = json!({"kind": "storage#objects"});
        if !items.is_empty() {
            page["items"] = json!(items);
        }
        if !listing.prefixes.is_empty() {
            page["prefixes"] = json!(listing.prefixes);
        }
        if let Some(token) = listing.next_page_token {
            page["nextPageToken"] = json!(token);
        }
        Ok(Answer::json(200, &page))
    }

    fn get_object(&self, bucket: &str, name: &str, head: &Head) -> Result<Answer, ApiError> {
        let preconditions = Preconditions::from_query(&head.query)?;
        let object = self.store.get(bucket, name, head.query.number("generation")?)?;
        preconditions.check_read(object.version)?;
        let resource = object.resource(&head.base_url());
        Ok(Answer::json(200, &resource).with("ETag", object.etag()))
    }

    fn continue_session(
        &self,
        call: &Call,
        action: Option<&Action>,
        body: &mut Body<'_>,
    ) -> Result<Answer, Failure> {
        let session = call.session()?;
        let range = call.range.clone().transpose()?;
        self.examine(call, range, body);
        let keep_at_most = match action {
            Some(Action::PersistAtMost { bytes }) => Some(*bytes),
            _ => None,
        };
        match session.receive(&self.store, &call.head, range, body, keep_at_most)? {
            Outcome::Persisted(0) => Ok(Answer::empty(308)),
            Outcome::Persisted(bytes) => {
                Ok(Answer::empty(308).with("Range", format!("bytes=0-{}", bytes - 1)))
            }
            Outcome::Done(object) => Ok(Answer::json(200, &object.resource(&call.head.base_url()))),
        }
    }

    /// Notes what a session takes from a client, but no client should send.
    fn examine(&self, call: &Call, range: Option<ContentRange>, body: &Body<'_>) {
        let (length, finishes) = match range {
            Some(ContentRange::Chunk { first, last, total }) => {
                (last + 1 - first, total == Some(last + 1))
            }
            Some(ContentRange::Query { .. }) => (0, true),
            None => return,
        };
        let whole_steps = length.is_multiple_of(STEP);
        if !finishes && !whole_steps {
            let what = format!("a chunk of {length} bytes that is not the last");
            self.violated(call, what);
        }
        if let Some(sent) = body.length().filter(|sent| *sent != length) {
            self.violated(call, format!("a body of {sent} bytes for a range of {length}"));
        }
    }

    fn order_faults(&self, body: &mut Body<'_>) -> Result<Answer, Failure> {
        let mut text = Vec::new();
        body.fill(&mut text, 1 << 20)?;
        let malformed = |error| ApiError::new(400, "parseError", format!("No rule: {error}"));
        let rules: Vec<Rule> = match text.trim_ascii_start().starts_with(b"[") {
            true => serde_json::from_slice(&text).map_err(malformed)?,
            false => vec![serde_json::from_slice(&text).map_err(malformed)?],
        };
        for rule in rules {
            self.faults.order(rule);
        }
        Ok(Answer::json(200, &json!(self.faults.pending())))
    }

    fn record(&self, call: &Call, reply: &Reply, body_bytes: u64, fault: bool) {
        let status = match reply {
            Reply::Answer(answer) => Some(answer.status),
            Reply::Raw(_, status, _) => Some(*status),
            Reply::Nothing => None,
        };
        let range = call.head.header("Content-Range");
        self.faults.saw(SeenRequest {
            kind: call.kind,
            object: call.object.clone(),
            content_range: range.map(|range| range.chars().take(200).collect()),
            body_bytes,
            status,
            fault,
        });
    }

    fn note_violation(&self, call: &Call, done: &Result<Answer, Failure>) {
        let Err(Failure::Refused(error)) = done else { return };
        let after_cancel =
            call.kind == RequestKind::Data && call.too_late && error.reason == CANCELLED;
        if error.violation || after_cancel {
            self.violated(call, error.message.clone());
        }
    }

    fn violated(&self, call: &Call, what: String) {
        self.faults.violated(Violation { object: call.object.clone(), what });
    }
}

impl Call {
    fn session(&self) -> Result<&Arc<Session>, ApiError> {
        self.session.as_ref().ok_or_else(|| {
            ApiError::illegal(404, "notFound", "The emulator knows no such upload session.")
        })
    }
}

fn incident(action: &Action) -> Option<Incident> {
    match *action {
        Action::BreakAfterRequestBytes { bytes, with } => {
            Some(Incident { after: bytes, what: IncidentKind::BreakOff(with) })
        }
        Action::AnswerAfterRequestBytes { bytes, .. } => {
            Some(Incident { after: bytes, what: IncidentKind::AnswerEarly })
        }
        Action::StallAfterRequestBytes { bytes, ms } => {
            let what = IncidentKind::Stall(Duration::from_millis(ms));
            Some(Incident { after: bytes, what })
        }
        _ => None,
    }
}

fn ordered_error(status: u16) -> ApiError {
    ApiError::new(status, "ordered", format!("The emulator was ordered to answer {status}."))
}

fn early_answer(action: Option<&Action>) -> Reply {
    let Some(Action::AnswerAfterRequestBytes { status, with, .. }) = action else {
        return Reply::Nothing;
    };
    let raw = RawAnswer {
        status: *status,
        headers: vec![("Content-Type".to_owned(), "application/json; charset=UTF-8".to_owned())],
        body: ordered_error(*status).to_json().to_string(),
        ..RawAnswer::default()
    };
    Reply::Raw(raw_answer(&raw), *status, *with)
}

fn raw_answer(raw: &RawAnswer) -> Vec<u8> {
    let reason = StatusCode(raw.status).default_reason_phrase();
    let mut text = format!("HTTP/1.1 {} {reason}\r\nConnection: close\r\n", raw.status);
    for (name, value) in &raw.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = raw.body.len() as u64 + raw.padding;
    if !raw.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Content-Length")) {
        text.push_str(&format!("Content-Length: {length}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(raw.body.as_bytes());
    bytes.resize(bytes.len() + raw.padding as usize, b' ');
    bytes
}

/// Lets go of a request that gets no answer from here.
fn discard(request: Request, unread: u64, link: &Link) {
    if unread > MAX_UNREAD {
        link.break_off(Break::Close);
        // Costs the HTTP library's thread for this connection; dropping it could cost the process.
        std::mem::forget(request);
    }
}

fn respond(request: Request, answer: Answer) {
    let headers = answer
        .headers
        .iter()
        .filter_map(|(name, value)| Header::from_bytes(name.as_bytes(), value.as_bytes()).ok())
        .collect();
    let length = usize::try_from(answer.length).unwrap_or(usize::MAX);
    let status = StatusCode(answer.status);
    // Content-Length is what every client gets from Cloud Storage; never chunks.
    let response = Response::new(status, headers, answer.content, Some(length), None)
        .with_chunked_threshold(usize::MAX);
    if let Err(error) = request.respond(response) {
        log::debug!("emulator: an answer did not get out: {error}");
    }
}
