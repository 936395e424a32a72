//! Resumable uploads: <https://docs.cloud.google.com/storage/docs/performing-resumable-uploads>.
//!
//! A session persists what comes in steps of 256 KiB: what lies beyond the last whole step is lost
//! with the request that brought it, unless that request brought the object's last byte.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::announce_headers;
use crate::emulator::checksum::Announced;
use crate::emulator::content_range::ContentRange;
use crate::emulator::error::ApiError;
use crate::emulator::http::{BUFFER, Body, Failure, Head};
use crate::emulator::object::{Description, Object};
use crate::emulator::precondition::Preconditions;
use crate::emulator::store::{Staged, Store};

/// What is persisted is a multiple of this, until the object is whole.
pub(in crate::emulator) const STEP: u64 = BUFFER as u64;
/// Sessions beyond this many push out the oldest, which is unknown from then on.
const MAX_SESSIONS: usize = 10_000;

/// Why a session that its client has cancelled takes nothing any more.
pub(in crate::emulator) const CANCELLED: &str = "clientClosedRequest";

/// The sessions that the emulator remembers. None survives it.
#[derive(Default)]
pub(in crate::emulator) struct Sessions {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<String, Arc<Session>>,
    oldest_first: VecDeque<String>,
}

impl Sessions {
    /// Starts a session; returns its id.
    pub(in crate::emulator) fn start(
        &self,
        store: &Store,
        bucket: &str,
        head: &Head,
        body: &mut Body<'_>,
    ) -> Result<String, Failure> {
        let session = Session::start(store, bucket, head, body)?;
        let id = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 48]>());
        let mut known = self.known();
        if known.by_id.len() >= MAX_SESSIONS
            && let Some(oldest) = known.oldest_first.pop_front()
        {
            known.by_id.remove(&oldest);
        }
        known.by_id.insert(id.clone(), Arc::new(session));
        known.oldest_first.push_back(id.clone());
        Ok(id)
    }

    pub(in crate::emulator) fn get(&self, id: &str) -> Option<Arc<Session>> {
        self.known().by_id.get(id).cloned()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session, and how far it has come.
pub(in crate::emulator) struct Session {
    bucket: String,
    description: Description,
    preconditions: Preconditions,
    /// What X-Upload-Content-Length said.
    declared: Option<u64>,
    progress: Mutex<Progress>,
}

enum Progress {
    Open(Open),
    Done(Arc<Object>),
    /// For good: cancelled, lost, or refused at the end. Every later request is told this.
    Ended(ApiError),
}

struct Open {
    staged: Staged,
    /// Custom metadata that came with the bytes; that of the last request counts.
    late: Map<String, Value>,
    /// The object's size, once a request has stated it.
    total: Option<u64>,
    announced: Announced,
}

/// What a request to a session comes to.
#[derive(Clone, Debug)]
pub(in crate::emulator) enum Outcome {
    /// So many bytes are persisted; the object is not whole.
    Persisted(u64),
    /// The object is there.
    Done(Arc<Object>),
}

/// The part of the object that a request says it brings.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    first: u64,
    /// Where it ends, exclusively; `None`: with the body.
    end: Option<u64>,
    /// Whether the object ends with it.
    finishes: bool,
}

impl Session {
    fn start(
        store: &Store,
        bucket: &str,
        head: &Head,
        body: &mut Body<'_>,
    ) -> Result<Self, Failure> {
        let metadata = body.json()?;
        let content_type = head.header("X-Upload-Content-Type");
        let (description, mut announced) =
            Description::read(&metadata, head.query.get("name"), content_type)?;
        announce_headers(&mut announced, head)?;
        let preconditions = Preconditions::from_query(&head.query)?;
        store.check(bucket, &description.name, &preconditions)?;
        let declared = head.header("X-Upload-Content-Length").map(|length| {
            length.parse().map_err(|_| {
                ApiError::illegal(400, "invalid", "Invalid value for X-Upload-Content-Length.")
            })
        });
        let late = Map::new();
        let open = Open { staged: store.stage(bucket)?, late, total: None, announced };
        Ok(Self {
            bucket: bucket.to_owned(),
            description,
            preconditions,
            declared: declared.transpose()?,
            progress: Mutex::new(Progress::Open(open)),
        })
    }

    /// The name of the object to be.
    pub(in crate::emulator) fn object_name(&self) -> &str {
        &self.description.name
    }

    /// Takes a request to the session: bytes, a question, or both ends of the object at once.
    ///
    /// Of the body no more than `keep_at_most` bytes are persisted.
    pub(in crate::emulator) fn receive(
        &self,
        store: &Store,
        head: &Head,
        range: Option<ContentRange>,
        body: &mut Body<'_>,
        keep_at_most: Option<u64>,
    ) -> Result<Outcome, Failure> {
        if let Progress::Open(open) = &mut *self.progress() {
            announce_headers(&mut open.announced, head)?;
            open.late = head.custom_metadata();
        }
        let (chunk, total) = match range {
            Some(ContentRange::Query { total }) => return Ok(self.status(store, total)?),
            Some(ContentRange::Chunk { first, last, total }) => {
                let finishes = total == Some(last + 1);
                (Chunk { first, end: Some(last + 1), finishes }, total)
            }
            None => (Chunk { first: 0, end: body.length(), finishes: true }, body.length()),
        };
        if let Some(outcome) = self.admit(&chunk, total, body.length())? {
            return Ok(outcome);
        }
        let came_whole = self.take(&chunk, body, keep_at_most)?;
        if chunk.finishes && came_whole { Ok(self.finish(store)?) } else { Ok(self.outcome()?) }
    }

    /// Answers a question; finishes the object when it asks for just what is persisted.
    fn status(&self, store: &Store, total: Option<u64>) -> Result<Outcome, ApiError> {
        let whole = match &mut *self.progress() {
            Progress::Open(open) => {
                self.state_total(open, total)?;
                total == Some(open.staged.size())
            }
            _ => false,
        };
        if whole { self.finish(store) } else { self.outcome() }
    }

    /// Whether a chunk may come at all. `Some`: it need not, the object is there.
    fn admit(
        &self,
        chunk: &Chunk,
        total: Option<u64>,
        body_length: Option<u64>,
    ) -> Result<Option<Outcome>, ApiError> {
        let mut progress = self.progress();
        let open = match &mut *progress {
            Progress::Open(open) => open,
            Progress::Done(object) => return Ok(Some(Outcome::Done(Arc::clone(object)))),
            Progress::Ended(error) => return Err(error.clone()),
        };
        self.state_total(open, total)?;
        let persisted = open.staged.size();
        if chunk.first > persisted {
            return Err(ApiError::illegal(
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
            return Err(ApiError::illegal(
                400,
                "badContentRange",
                "The body is longer than Content-Range says.",
            ));
        }
        if !chunk.finishes && length < STEP {
            return Err(ApiError::illegal(
                400,
                "invalid",
                format!("A chunk that is not the last must be a multiple of {STEP} bytes."),
            ));
        }
        Ok(None)
    }

    fn state_total(&self, open: &mut Open, total: Option<u64>) -> Result<(), ApiError> {
        let Some(total) = total else { return Ok(()) };
        let contradicted = [self.declared, open.total].into_iter().flatten().find(|&t| t != total);
        if let Some(earlier) = contradicted {
            let message = format!("The object's size is {total} now, but was {earlier} before.");
            return Err(ApiError::illegal(400, "invalid", message));
        }
        if total < open.staged.size() {
            let message = format!("The object's size is {total}, less than is persisted.");
            return Err(ApiError::illegal(400, "invalid", message));
        }
        open.total = Some(total);
        Ok(())
    }

    /// Takes the chunk's bytes. True when all of them came.
    fn take(
        &self,
        chunk: &Chunk,
        body: &mut Body<'_>,
        keep_at_most: Option<u64>,
    ) -> Result<bool, Failure> {
        let keep_until = keep_at_most.map(|bytes| (chunk.first + bytes) / STEP * STEP);
        let mut offset = chunk.first;
        while chunk.end != Some(offset) {
            let step_end = (offset / STEP + 1) * STEP;
            let end = chunk.end.map_or(step_end, |end| end.min(step_end));
            let mut block = Vec::new();
            body.fill(&mut block, (end - offset) as usize)?;
            let reached = offset + block.len() as u64;
            let body_ended = reached < end;
            let is_last = chunk.finishes
                && if body_ended { chunk.end.is_none() } else { chunk.end == Some(reached) };
            let kept = keep_until.is_none_or(|until| reached <= until);
            if kept && (reached == step_end || is_last) {
                self.persist(offset, block)?;
            }
            offset = reached;
            if body_ended {
                return Ok(chunk.end.is_none());
            }
        }
        // A chunked body may go on.
        match body.read(&mut [0; 1])? {
            0 => Ok(true),
            _ => Err(ApiError::illegal(
                400,
                "badContentRange",
                "The body is longer than Content-Range says.",
            )
            .into()),
        }
    }

    /// Adds bytes that begin at `offset`, but for those that are persisted already.
    fn persist(&self, offset: u64, mut block: Vec<u8>) -> Result<(), ApiError> {
        let mut progress = self.progress();
        let Progress::Open(open) = &mut *progress else { return Ok(()) };
        let Some(known) = open.staged.size().checked_sub(offset) else {
            return Err(ApiError::new(503, "backendError", "Bytes before these are missing."));
        };
        let known = usize::try_from(known).map_or(block.len(), |known| known.min(block.len()));
        block.drain(..known);
        if block.is_empty() {
            return Ok(());
        }
        open.staged
            .append(block)
            .map_err(|error| ApiError::store("write to the upload's file", &error))
    }

    /// Makes the object, if everything is there.
    fn finish(&self, store: &Store) -> Result<Outcome, ApiError> {
        let mut progress = self.progress();
        let size = match &*progress {
            Progress::Open(open) if open.total.is_none_or(|total| total == open.staged.size()) => {
                open.staged.size()
            }
            _ => return outcome(&progress),
        };
        let ending = Progress::Ended(ApiError::new(410, "gone", "The session has ended."));
        let Progress::Open(open) = mem::replace(&mut *progress, ending) else {
            return outcome(&progress);
        };
        let made = match self.declared.filter(|declared| *declared != size) {
            Some(declared) => Err(ApiError::illegal(
                400,
                "invalid",
                format!("X-Upload-Content-Length said {declared} bytes, but {size} came."),
            )),
            None => store.put(
                &self.bucket,
                self.description.clone().with_metadata(open.late),
                open.staged,
                &open.announced,
                &self.preconditions,
            ),
        };
        *progress = match made {
            Ok(object) => Progress::Done(object),
            Err(error) => Progress::Ended(error),
        };
        outcome(&progress)
    }

    /// Cancels the session: the answer to that, and to what comes after, is 499.
    pub(in crate::emulator) fn cancel(&self) -> ApiError {
        let cancelled = ApiError::new(499, CANCELLED, "The session was cancelled.");
        match &*self.progress() {
            Progress::Done(_) => {
                return ApiError::new(404, "notFound", "The session is over: the object is there.");
            }
            Progress::Ended(error) => return error.clone(),
            Progress::Open(_) => {}
        }
        self.end(cancelled.clone());
        cancelled
    }

    pub(in crate::emulator) fn is_cancelled(&self) -> bool {
        self.outcome().is_err_and(|error| error.reason == CANCELLED)
    }

    /// Ends the session, whatever its state, and drops what came.
    pub(in crate::emulator) fn end(&self, why: ApiError) {
        *self.progress() = Progress::Ended(why);
    }

    fn outcome(&self) -> Result<Outcome, ApiError> {
        outcome(&self.progress())
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outcome(progress: &Progress) -> Result<Outcome, ApiError> {
    match progress {
        Progress::Open(open) => Ok(Outcome::Persisted(open.staged.size())),
        Progress::Done(object) => Ok(Outcome::Done(Arc::clone(object))),
        Progress::Ended(error) => Err(error.clone()),
    }
}
