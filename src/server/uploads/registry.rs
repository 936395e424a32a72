//! What is being uploaded and what lately was, for whoever looks: in memory, and no more of it than
//! there are uploads that may run or wait, and [`REMEMBERED`] that have ended.
//!
//! An upload takes the lock twice in its life, when it is entered and when it ends, and each time
//! for one insertion. All that it tells on its way goes into its own entry. Whoever looks copies
//! references under the lock, and reads after.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::http::request_id::RequestId;
use crate::http::response::Answer;
use crate::server::auth::Caller;
use crate::server::upload_id::UploadId;
use crate::server::uploads::rate::{Pace, per_second};
use crate::server::uploads::throughput::{History, Throughput};

/// How many uploads that have ended are remembered.
pub(crate) const REMEMBERED: usize = 100;

/// One for a server.
#[derive(Debug)]
pub(crate) struct Ledger {
    books: Mutex<Books>,
    throughput: Throughput,
}

#[derive(Debug, Default)]
struct Books {
    next: u64,
    /// By the order in which they came.
    in_flight: BTreeMap<u64, Arc<Entry>>,
    /// The last one that ended is the first.
    finished: VecDeque<Arc<Entry>>,
}

/// One upload.
#[derive(Debug)]
struct Entry {
    id: UploadId,
    request_id: RequestId,
    caller: Option<Caller>,
    /// `None` for a stream whose length is not known before its end.
    size: Option<u64>,
    since: SystemTime,
    arrived: Instant,
    /// The object's name, from when a worker has the upload; of a form, the name of the last file.
    name: Mutex<Option<String>>,
    bytes_sent: AtomicU64,
    bytes_persisted: AtomicU64,
    resumed: AtomicU32,
    retried: AtomicU32,
    pace: Mutex<Pace>,
    end: OnceLock<End>,
}

/// How an upload ended.
#[derive(Debug)]
struct End {
    at: SystemTime,
    took: Duration,
    status: u16,
    /// Of the answer: an object or a problem, in JSON.
    body: Vec<u8>,
}

impl End {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What is known of an upload beforehand.
#[derive(Debug)]
pub(crate) struct Ordered {
    pub(crate) request_id: RequestId,
    pub(crate) caller: Option<Caller>,
    pub(crate) size: Option<u64>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { books: Mutex::default(), throughput: Throughput::new(Instant::now()) }
    }

    /// Enters an upload that is about to wait for a worker.
    pub(crate) fn enter(self: &Arc<Self>, ordered: Ordered) -> Underway {
        let now = Instant::now();
        let entry = Arc::new(Entry {
            id: UploadId::draw(),
            request_id: ordered.request_id,
            caller: ordered.caller,
            size: ordered.size,
            since: SystemTime::now(),
            arrived: now,
            name: Mutex::default(),
            bytes_sent: AtomicU64::new(0),
            bytes_persisted: AtomicU64::new(0),
            resumed: AtomicU32::new(0),
            retried: AtomicU32::new(0),
            pace: Mutex::new(Pace::new(now)),
            end: OnceLock::new(),
        });
        let mut books = self.lock();
        let number = books.next;
        books.next += 1;
        books.in_flight.insert(number, Arc::clone(&entry));
        drop(books);
        Underway { ledger: Arc::clone(self), entry, number }
    }

    /// All that is known, as of now.
    pub(crate) fn overview(&self) -> Overview {
        let books = self.lock();
        let in_flight = books.in_flight.values().cloned().collect::<Vec<_>>();
        let finished = books.finished.iter().cloned().collect::<Vec<_>>();
        drop(books);
        let now = Instant::now();
        let views = |entries: Vec<Arc<Entry>>| entries.iter().map(|e| e.view(now)).collect();
        Overview {
            in_flight: views(in_flight),
            finished: views(finished),
            throughput: self.throughput.history(now),
        }
    }

    /// The upload of this id, if it is in flight or still remembered.
    pub(crate) fn find(&self, id: UploadId) -> Option<View> {
        let books = self.lock();
        let mut all = books.in_flight.values().chain(&books.finished);
        let found = all.find(|entry| entry.id == id).cloned();
        drop(books);
        found.map(|entry| entry.view(Instant::now()))
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload that is in the ledger as long as this is there, and remembered only if it
/// [ends](Underway::end): what is not taken in, leaves no trace.
#[derive(Debug)]
pub(crate) struct Underway {
    ledger: Arc<Ledger>,
    entry: Arc<Entry>,
    number: u64,
}

impl Underway {
    pub(crate) fn id(&self) -> UploadId {
        self.entry.id
    }

    /// How it stands now.
    pub(crate) fn view(&self) -> View {
        self.entry.view(Instant::now())
    }

    /// A worker has it, and puts it into the bucket under this name.
    pub(crate) fn begins(&self, name: &str) {
        *self.entry.pace() = Pace::new(Instant::now());
        *self.entry.name() = Some(name.to_owned());
    }

    /// This many more bytes were handed to the network.
    pub(crate) fn sent(&self, bytes: u64) {
        let now = Instant::now();
        self.entry.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        self.entry.pace().sent(bytes, now);
        self.ledger.throughput.sent(bytes, now);
    }

    /// Cloud Storage has everything up to this offset.
    pub(crate) fn persisted(&self, offset: u64) {
        self.entry.bytes_persisted.store(offset, Ordering::Relaxed);
    }

    pub(crate) fn retrying(&self) {
        self.entry.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn resuming(&self) {
        self.entry.resumed.fetch_add(1, Ordering::Relaxed);
    }

    /// It came to its end, with what the client is told.
    pub(crate) fn end(self, answer: &Answer) {
        let now = Instant::now();
        let end = End {
            at: SystemTime::now(),
            took: now.saturating_duration_since(self.entry.arrived),
            status: answer.status,
            body: answer.body.clone(),
        };
        match end.is_success() {
            true => self.ledger.throughput.stored(now),
            false => self.ledger.throughput.failed(now),
        }
        let _ = self.entry.end.set(end);
        // What `drop` does as well: at once with the other, so that it is never in neither.
        let mut books = self.ledger.lock();
        books.in_flight.remove(&self.number);
        let forgotten = match books.finished.len() < REMEMBERED {
            true => None,
            false => books.finished.pop_back(),
        };
        books.finished.push_front(Arc::clone(&self.entry));
        drop(books);
        drop(forgotten);
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if self.entry.end.get().is_none() {
            self.ledger.lock().in_flight.remove(&self.number);
        }
    }
}

impl Entry {
    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> MutexGuard<'_, Option<String>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self, now: Instant) -> View {
        let name = self.name().clone();
        let end = self.end.get();
        let bytes_sent = self.bytes_sent.load(Ordering::Relaxed);
        let outcome = end.map(|end| {
            let body = serde_json::from_slice(&end.body).unwrap_or_default();
            if end.is_success() { Outcome::Result(body) } else { Outcome::Problem(body) }
        });
        let state = match (&outcome, &name) {
            (Some(Outcome::Result(_)), _) => State::Stored,
            (Some(Outcome::Problem(_)), _) => State::Failed,
            (None, Some(_)) => State::Running,
            (None, None) => State::Queued,
        };
        View {
            id: self.id.to_string(),
            state,
            name,
            size: self.size,
            bytes_sent,
            bytes_persisted: self.bytes_persisted.load(Ordering::Relaxed),
            bytes_per_second: match end {
                Some(end) => per_second(bytes_sent, end.took),
                None => self.pace().bytes_per_second(now),
            },
            resumed: self.resumed.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            since: self.since,
            ended: end.map(|end| end.at),
            duration_seconds: end
                .map_or_else(|| now.saturating_duration_since(self.arrived), |end| end.took)
                .as_secs_f64(),
            caller: self.caller.as_ref().map(Caller::to_string),
            request_id: self.request_id.to_string(),
            outcome,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Waits for a worker.
    Queued,
    Running,
    Stored,
    Failed,
}

/// What the client of an upload is told when it ends.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Result(Value),
    Problem(Value),
}

/// An upload, as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct View {
    id: String,
    pub(crate) state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    bytes_sent: u64,
    /// As Cloud Storage has last said, which it is asked after a fault and says at the end.
    bytes_persisted: u64,
    bytes_per_second: u64,
    resumed: u32,
    retried: u32,
    #[serde(serialize_with = "rfc3339")]
    since: SystemTime,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339_if_any")]
    ended: Option<SystemTime>,
    /// From its arrival on, the wait for a worker included.
    duration_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    request_id: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

/// Everything at a time.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overview {
    /// The oldest first.
    in_flight: Vec<View>,
    /// The latest first.
    finished: Vec<View>,
    throughput: History,
}

fn rfc3339<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&humantime::format_rfc3339_millis(*time))
}

fn rfc3339_if_any<S: Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ordered(request_id: &str) -> Ordered {
        let request_id = RequestId::choose(Some(request_id));
        Ordered { request_id, caller: None, size: Some(1) }
    }

    fn request_ids(views: &[View]) -> Vec<&str> {
        views.iter().map(|view| view.request_id.as_str()).collect()
    }

    #[test]
    fn of_a_thousand_that_ended_the_last_hundred_are_remembered() {
        let ledger = Arc::new(Ledger::new());
        let first = ledger.enter(ordered("first"));
        let first_id = first.id();
        first.end(&Answer::json(201, &json!({})));
        assert_eq!(ledger.find(first_id).unwrap().state, State::Stored);
        for number in 0..999 {
            ledger.enter(ordered(&number.to_string())).end(&Answer::json(201, &json!({})));
        }
        let overview = ledger.overview();
        let latest = (899..999).rev().map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(request_ids(&overview.finished), latest);
        assert!(ledger.find(first_id).is_none());
        let stored = &serde_json::to_value(&overview).unwrap()["throughput"]["stored"];
        let all = stored.as_array().unwrap().iter().map(|count| count.as_u64().unwrap());
        assert_eq!(all.sum::<u64>(), 1000, "what is forgotten has been counted");
    }

    #[test]
    fn what_was_not_taken_in_leaves_no_trace() {
        let ledger = Arc::new(Ledger::new());
        let (kept, refused) = (ledger.enter(ordered("kept")), ledger.enter(ordered("refused")));
        drop(refused);
        let overview = ledger.overview();
        assert_eq!(request_ids(&overview.in_flight), ["kept"]);
        assert!(overview.finished.is_empty());
        drop(kept);
    }

    #[test]
    fn it_tells_what_it_was_told() {
        let ledger = Arc::new(Ledger::new());
        let underway = ledger.enter(Ordered { size: None, ..ordered("one") });
        assert_eq!(underway.view().state, State::Queued);
        underway.begins("a name");
        underway.sent(100);
        underway.sent(50);
        underway.persisted(90);
        underway.retrying();
        underway.resuming();
        let id = underway.id();
        let running = serde_json::to_value(ledger.find(id).unwrap()).unwrap();
        for (member, value) in [
            ("id", json!(id.to_string())),
            ("state", json!("running")),
            ("name", json!("a name")),
            ("size", json!(null)),
            ("bytesSent", json!(150)),
            ("bytesPersisted", json!(90)),
            ("resumed", json!(1)),
            ("retried", json!(1)),
            ("requestId", json!("one")),
            ("ended", json!(null)),
            ("result", json!(null)),
            ("problem", json!(null)),
        ] {
            assert_eq!(running[member], value, "{member} of {running}");
        }
        underway.end(&Answer::json(502, &json!({"title": "no"})));
        let failed = serde_json::to_value(ledger.find(id).unwrap()).unwrap();
        assert_eq!(
            (&failed["state"], &failed["problem"]),
            (&json!("failed"), &json!({"title": "no"}))
        );
        let ended = failed["ended"].as_str().unwrap();
        assert!(
            humantime::parse_rfc3339(ended).unwrap() >= SystemTime::now() - Duration::from_secs(60)
        );
    }
}
