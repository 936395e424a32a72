//! Resumable uploads: <https://docs.cloud.google.com/storage/docs/performing-resumable-uploads>.
//!
//! A session persists bytes in steps of 256 KiB. Bytes beyond the last whole step are lost at the
//! end of the request that sent them, unless that request sent the object's last byte.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::expect_header_checksums;
use crate::emulator::checksum::ExpectedChecksums;
use crate::emulator::content_range::ContentRange;
use crate::emulator::error::ApiError;
use crate::emulator::http::{BUFFER_SIZE, RequestBody, RequestError, RequestHead};
use crate::emulator::object::{Object, ObjectMetadata};
use crate::emulator::precondition::Preconditions;
use crate::emulator::store::{StagedContent, Store};
use crate::sync::LockExt;

/// The number of persisted bytes is a multiple of this until the object is complete.
pub(in crate::emulator) const STEP: u64 = BUFFER_SIZE as u64;
/// The number of sessions to remember. Beyond it, the oldest is forgotten.
const MAX_SESSIONS: usize = 10_000;

/// The reason code of a session that its client has cancelled.
pub(in crate::emulator) const CANCELLED: &str = "clientClosedRequest";

/// All sessions. They end with the emulator.
#[derive(Default)]
pub(in crate::emulator) struct Sessions {
    table: Mutex<SessionTable>,
}

#[derive(Default)]
struct SessionTable {
    by_id: HashMap<String, Arc<Session>>,
    oldest_first: VecDeque<String>,
}

impl Sessions {
    /// Starts a session and returns its ID.
    pub(in crate::emulator) fn start(
        &self,
        store: &Store,
        bucket: &str,
        head: &RequestHead,
        body: &mut RequestBody<'_>,
    ) -> Result<String, RequestError> {
        let session = Session::start(store, bucket, head, body)?;
        let id = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 48]>());
        let mut table = self.table();
        if table.by_id.len() >= MAX_SESSIONS
            && let Some(oldest) = table.oldest_first.pop_front()
        {
            table.by_id.remove(&oldest);
        }
        table.by_id.insert(id.clone(), Arc::new(session));
        table.oldest_first.push_back(id.clone());
        Ok(id)
    }

    pub(in crate::emulator) fn get(&self, id: &str) -> Option<Arc<Session>> {
        self.table().by_id.get(id).cloned()
    }

    fn table(&self) -> MutexGuard<'_, SessionTable> {
        self.table.lock_ignoring_poison()
    }
}

/// A resumable upload session.
pub(in crate::emulator) struct Session {
    bucket: String,
    metadata: ObjectMetadata,
    preconditions: Preconditions,
    /// The X-Upload-Content-Length of the start.
    declared_size: Option<u64>,
    state: Mutex<SessionState>,
}

enum SessionState {
    Active(ActiveSession),
    Complete(Arc<Object>),
    /// Cancelled, lost, or rejected at the end. Every later request gets this error.
    Terminated(ApiError),
}

struct ActiveSession {
    staged: StagedContent,
    /// Custom metadata in the headers of the last request.
    custom_metadata: Map<String, Value>,
    /// The object's size, once a request has sent it.
    total: Option<u64>,
    expected: ExpectedChecksums,
}

/// The state of a session after a request.
#[derive(Clone, Debug)]
pub(in crate::emulator) enum SessionProgress {
    /// This many bytes are persisted; the object is not complete.
    Persisted(u64),
    /// The object is stored.
    Complete(Arc<Object>),
}

/// The part of the object that a request claims to contain.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    first: u64,
    /// The offset after the last byte; `None` if the end of the body decides.
    end: Option<u64>,
    /// True if the object ends with this chunk.
    is_last: bool,
}

impl Session {
    fn start(
        store: &Store,
        bucket: &str,
        head: &RequestHead,
        body: &mut RequestBody<'_>,
    ) -> Result<Self, RequestError> {
        let json = body.json()?;
        let content_type = head.header("X-Upload-Content-Type");
        let (metadata, mut expected) =
            ObjectMetadata::parse(&json, head.query.get("name"), content_type)?;
        expect_header_checksums(&mut expected, head)?;
        let preconditions = Preconditions::from_query(&head.query)?;
        store.check(bucket, &metadata.name, &preconditions)?;
        let declared_size = head.header("X-Upload-Content-Length").map(|length| {
            length.parse().map_err(|_| {
                ApiError::protocol_violation(
                    400,
                    "invalid",
                    "Invalid value for X-Upload-Content-Length.",
                )
            })
        });
        let active = ActiveSession {
            staged: store.stage(bucket)?,
            custom_metadata: Map::new(),
            total: None,
            expected,
        };
        Ok(Self {
            bucket: bucket.to_owned(),
            metadata,
            preconditions,
            declared_size: declared_size.transpose()?,
            state: Mutex::new(SessionState::Active(active)),
        })
    }

    /// The name of the object to create.
    pub(in crate::emulator) fn object_name(&self) -> &str {
        &self.metadata.name
    }

    /// Handles a PUT or POST to the session: a chunk, the whole object, or a status query.
    ///
    /// At most `persist_at_most` bytes of the body are persisted.
    pub(in crate::emulator) fn receive(
        &self,
        store: &Store,
        head: &RequestHead,
        range: Option<ContentRange>,
        body: &mut RequestBody<'_>,
        persist_at_most: Option<u64>,
    ) -> Result<SessionProgress, RequestError> {
        if let SessionState::Active(active) = &mut *self.state() {
            expect_header_checksums(&mut active.expected, head)?;
            active.custom_metadata = head.custom_metadata();
        }
        let (chunk, total) = match range {
            Some(ContentRange::Status { total }) => return Ok(self.status(store, total)?),
            Some(ContentRange::Chunk { first, last, total }) => {
                let is_last = total == Some(last + 1);
                (Chunk { first, end: Some(last + 1), is_last }, total)
            }
            None => (Chunk { first: 0, end: body.length(), is_last: true }, body.length()),
        };
        if let Some(progress) = self.check_chunk(&chunk, total, body.length())? {
            return Ok(progress);
        }
        let is_whole = self.read_chunk(&chunk, body, persist_at_most)?;
        if chunk.is_last && is_whole { Ok(self.finish(store)?) } else { Ok(self.progress()?) }
    }

    /// Handles a status query. Finishes the object if the query's size is what is persisted.
    fn status(&self, store: &Store, total: Option<u64>) -> Result<SessionProgress, ApiError> {
        let is_whole = match &mut *self.state() {
            SessionState::Active(active) => {
                self.set_total(active, total)?;
                total == Some(active.staged.size())
            }
            _ => false,
        };
        if is_whole { self.finish(store) } else { self.progress() }
    }

    /// Checks if a chunk is acceptable. Returns `Some` if the object is already complete, so that the
    /// chunk is not needed.
    fn check_chunk(
        &self,
        chunk: &Chunk,
        total: Option<u64>,
        body_length: Option<u64>,
    ) -> Result<Option<SessionProgress>, ApiError> {
        let mut state = self.state();
        let active = match &mut *state {
            SessionState::Active(active) => active,
            SessionState::Complete(object) => {
                return Ok(Some(SessionProgress::Complete(Arc::clone(object))));
            }
            SessionState::Terminated(error) => return Err(error.clone()),
        };
        self.set_total(active, total)?;
        let persisted = active.staged.size();
        if chunk.first > persisted {
            return Err(ApiError::protocol_violation(
                503,
                "backendError",
                format!(
                    "The chunk begins at byte {}, but only {persisted} bytes are persisted.",
                    chunk.first
                ),
            ));
        }
        let Some(length) = chunk.end.map(|end| end - chunk.first) else { return Ok(None) };
        if body_length.is_some_and(|body| body > length) {
            return Err(ApiError::protocol_violation(
                400,
                "badContentRange",
                "The body is longer than its Content-Range.",
            ));
        }
        if !chunk.is_last && length < STEP {
            return Err(ApiError::protocol_violation(
                400,
                "invalid",
                format!("Only the last chunk may be smaller than {STEP} bytes."),
            ));
        }
        Ok(None)
    }

    /// Sets the object's size; rejects one that contradicts earlier requests.
    fn set_total(&self, active: &mut ActiveSession, total: Option<u64>) -> Result<(), ApiError> {
        let Some(total) = total else { return Ok(()) };
        let other = [self.declared_size, active.total].into_iter().flatten().find(|&t| t != total);
        if let Some(earlier) = other {
            let message = format!("The object's size was {earlier} before, but is {total} now.");
            return Err(ApiError::protocol_violation(400, "invalid", message));
        }
        if total < active.staged.size() {
            let message = format!("The object's size {total} is less than what is persisted.");
            return Err(ApiError::protocol_violation(400, "invalid", message));
        }
        active.total = Some(total);
        Ok(())
    }

    /// Reads and persists a chunk. Returns true if the body contained all of it.
    fn read_chunk(
        &self,
        chunk: &Chunk,
        body: &mut RequestBody<'_>,
        persist_at_most: Option<u64>,
    ) -> Result<bool, RequestError> {
        let keep_until = persist_at_most.map(|bytes| (chunk.first + bytes) / STEP * STEP);
        let mut offset = chunk.first;
        while chunk.end != Some(offset) {
            let step_end = (offset / STEP + 1) * STEP;
            let end = chunk.end.map_or(step_end, |end| end.min(step_end));
            let mut block = Vec::new();
            body.fill(&mut block, (end - offset) as usize)?;
            let reached = offset + block.len() as u64;
            let body_ended = reached < end;
            let is_end = chunk.is_last
                && if body_ended { chunk.end.is_none() } else { chunk.end == Some(reached) };
            let kept = keep_until.is_none_or(|until| reached <= until);
            if kept && (reached == step_end || is_end) {
                self.persist(offset, block)?;
            }
            offset = reached;
            if body_ended {
                return Ok(chunk.end.is_none());
            }
        }
        // A chunked body may be longer.
        match body.read(&mut [0; 1])? {
            0 => Ok(true),
            _ => Err(ApiError::protocol_violation(
                400,
                "badContentRange",
                "The body is longer than its Content-Range.",
            )
            .into()),
        }
    }

    /// Appends bytes that start at `offset`, except those that are already persisted.
    fn persist(&self, offset: u64, mut block: Vec<u8>) -> Result<(), ApiError> {
        let mut state = self.state();
        let SessionState::Active(active) = &mut *state else { return Ok(()) };
        let Some(persisted) = active.staged.size().checked_sub(offset) else {
            return Err(ApiError::new(503, "backendError", "Bytes before these are missing."));
        };
        let persisted = usize::try_from(persisted).unwrap_or(usize::MAX).min(block.len());
        block.drain(..persisted);
        if block.is_empty() {
            return Ok(());
        }
        active
            .staged
            .append(block)
            .map_err(|error| ApiError::storage_failed("write to the upload's file", &error))
    }

    /// Stores the object if all its bytes are persisted.
    fn finish(&self, store: &Store) -> Result<SessionProgress, ApiError> {
        let mut state = self.state();
        let size = match &*state {
            SessionState::Active(active)
                if active.total.is_none_or(|total| total == active.staged.size()) =>
            {
                active.staged.size()
            }
            _ => return state.progress(),
        };
        let placeholder =
            SessionState::Terminated(ApiError::new(410, "gone", "The session has ended."));
        let SessionState::Active(active) = mem::replace(&mut *state, placeholder) else {
            return state.progress();
        };
        let stored = match self.declared_size.filter(|declared| *declared != size) {
            Some(declared) => Err(ApiError::protocol_violation(
                400,
                "invalid",
                format!("X-Upload-Content-Length was {declared} bytes, but the object has {size}."),
            )),
            None => store.put(
                &self.bucket,
                self.metadata.clone().with_custom(active.custom_metadata),
                active.staged,
                &active.expected,
                &self.preconditions,
            ),
        };
        *state = match stored {
            Ok(object) => SessionState::Complete(object),
            Err(error) => SessionState::Terminated(error),
        };
        state.progress()
    }

    /// Cancels the session. The response to this and to every later request is 499.
    pub(in crate::emulator) fn cancel(&self) -> ApiError {
        let cancelled = ApiError::new(499, CANCELLED, "The session was cancelled.");
        match &*self.state() {
            SessionState::Complete(_) => {
                return ApiError::new(
                    404,
                    "notFound",
                    "The session has ended: the object is stored.",
                );
            }
            SessionState::Terminated(error) => return error.clone(),
            SessionState::Active(_) => {}
        }
        self.terminate(cancelled.clone());
        cancelled
    }

    pub(in crate::emulator) fn is_cancelled(&self) -> bool {
        self.progress().is_err_and(|error| error.reason == CANCELLED)
    }

    /// Ends the session in any state, and drops its bytes. Every later request gets this error.
    pub(in crate::emulator) fn terminate(&self, error: ApiError) {
        *self.state() = SessionState::Terminated(error);
    }

    fn progress(&self) -> Result<SessionProgress, ApiError> {
        self.state().progress()
    }

    fn state(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock_ignoring_poison()
    }
}

impl SessionState {
    fn progress(&self) -> Result<SessionProgress, ApiError> {
        match self {
            Self::Active(active) => Ok(SessionProgress::Persisted(active.staged.size())),
            Self::Complete(object) => Ok(SessionProgress::Complete(Arc::clone(object))),
            Self::Terminated(error) => Err(error.clone()),
        }
    }
}
