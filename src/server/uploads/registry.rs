//! Registry of uploads: those that are queued or running, and the last [`MAX_FINISHED`] that finished.
//! In memory, and bounded.
//!
//! An upload takes the lock twice, when it is registered and when it finishes, each time for one
//! insertion. Its progress goes into its own entry. A reader copies references under the lock, and
//! reads them afterwards.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::http::request_id::RequestId;
use crate::http::response::Response;
use crate::server::auth::Principal;
use crate::server::upload_id::UploadId;
use crate::server::uploads::throughput::{
    RateMeter, ThroughputHistory, ThroughputSeries, per_second,
};
use crate::sync::LockExt;

/// Finished uploads that are kept.
pub(crate) const MAX_FINISHED: usize = 100;

/// Registry of a server.
#[derive(Debug)]
pub(crate) struct UploadRegistry {
    uploads: Mutex<Uploads>,
    throughput: ThroughputHistory,
}

#[derive(Debug, Default)]
struct Uploads {
    next_number: u64,
    /// In the order of their arrival.
    in_flight: BTreeMap<u64, Arc<UploadRecord>>,
    /// The latest first.
    finished: VecDeque<Arc<UploadRecord>>,
}

/// One upload.
#[derive(Debug)]
struct UploadRecord {
    id: UploadId,
    request_id: RequestId,
    principal: Option<Principal>,
    /// `None` for a stream whose length is not known before its end.
    size: Option<u64>,
    registered_at: SystemTime,
    registered: Instant,
    /// Name of the object, once a worker runs the upload; of a form, the name of the current file.
    name: Mutex<Option<String>>,
    bytes_sent: AtomicU64,
    bytes_persisted: AtomicU64,
    resumed: AtomicU32,
    retried: AtomicU32,
    rate: Mutex<RateMeter>,
    outcome: OnceLock<Outcome>,
}

/// Outcome of a finished upload.
#[derive(Debug)]
struct Outcome {
    at: SystemTime,
    duration: Duration,
    status: u16,
    /// Body of the response: an object or a problem, in JSON.
    body: Vec<u8>,
}

impl Outcome {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Facts about an upload before it starts.
#[derive(Debug)]
pub(crate) struct NewUpload {
    pub(crate) request_id: RequestId,
    pub(crate) principal: Option<Principal>,
    pub(crate) size: Option<u64>,
}

impl UploadRegistry {
    pub(crate) fn new() -> Self {
        Self { uploads: Mutex::default(), throughput: ThroughputHistory::new(Instant::now()) }
    }

    /// Registers an upload that is about to be queued.
    pub(crate) fn register(self: &Arc<Self>, upload: NewUpload) -> UploadHandle {
        let now = Instant::now();
        let record = Arc::new(UploadRecord {
            id: UploadId::random(),
            request_id: upload.request_id,
            principal: upload.principal,
            size: upload.size,
            registered_at: SystemTime::now(),
            registered: now,
            name: Mutex::default(),
            bytes_sent: AtomicU64::new(0),
            bytes_persisted: AtomicU64::new(0),
            resumed: AtomicU32::new(0),
            retried: AtomicU32::new(0),
            rate: Mutex::new(RateMeter::new(now)),
            outcome: OnceLock::new(),
        });
        let mut uploads = self.lock();
        let number = uploads.next_number;
        uploads.next_number += 1;
        uploads.in_flight.insert(number, Arc::clone(&record));
        drop(uploads);
        UploadHandle { registry: Arc::clone(self), record, number }
    }

    /// Lists all uploads.
    pub(crate) fn list(&self) -> UploadList {
        let uploads = self.lock();
        let in_flight = uploads.in_flight.values().cloned().collect::<Vec<_>>();
        let finished = uploads.finished.iter().cloned().collect::<Vec<_>>();
        drop(uploads);
        let now = Instant::now();
        let statuses = |records: Vec<Arc<UploadRecord>>| {
            records.iter().map(|record| record.status(now)).collect()
        };
        UploadList {
            in_flight: statuses(in_flight),
            finished: statuses(finished),
            throughput: self.throughput.series(now),
        }
    }

    /// Finds an upload that is in flight or still kept.
    pub(crate) fn find(&self, id: UploadId) -> Option<UploadStatus> {
        let uploads = self.lock();
        let mut all = uploads.in_flight.values().chain(&uploads.finished);
        let found = all.find(|record| record.id == id).cloned();
        drop(uploads);
        found.map(|record| record.status(Instant::now()))
    }

    fn lock(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock_ignoring_poison()
    }
}

/// Handle of an upload that is in flight. If it is dropped before it [finishes](Self::finish), nothing
/// of the upload is kept.
#[derive(Debug)]
pub(crate) struct UploadHandle {
    registry: Arc<UploadRegistry>,
    record: Arc<UploadRecord>,
    number: u64,
}

impl UploadHandle {
    pub(crate) fn id(&self) -> UploadId {
        self.record.id
    }

    /// Returns the current status.
    pub(crate) fn status(&self) -> UploadStatus {
        self.record.status(Instant::now())
    }

    /// Records that a worker starts to upload an object of this name.
    pub(crate) fn start(&self, name: &str) {
        *self.record.rate() = RateMeter::new(Instant::now());
        *self.record.name() = Some(name.to_owned());
    }

    /// Records bytes that were written to the network.
    pub(crate) fn sent(&self, bytes: u64) {
        let now = Instant::now();
        self.record.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        self.record.rate().record(bytes, now);
        self.registry.throughput.add_bytes(bytes, now);
    }

    /// Records that Cloud Storage has stored everything up to this offset.
    pub(crate) fn persisted(&self, offset: u64) {
        self.record.bytes_persisted.store(offset, Ordering::Relaxed);
    }

    pub(crate) fn retrying(&self) {
        self.record.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn resuming(&self) {
        self.record.resumed.fetch_add(1, Ordering::Relaxed);
    }

    /// Records the response that finishes the upload.
    pub(crate) fn finish(self, response: &Response) {
        let now = Instant::now();
        let outcome = Outcome {
            at: SystemTime::now(),
            duration: now.saturating_duration_since(self.record.registered),
            status: response.status,
            body: response.body.as_bytes().to_vec(),
        };
        if outcome.is_success() {
            self.registry.throughput.add_stored(now);
        } else {
            self.registry.throughput.add_failed(now);
        }
        let _ = self.record.outcome.set(outcome);
        // Both lists change under one lock, so that the upload is always in one of them.
        let mut uploads = self.registry.lock();
        uploads.in_flight.remove(&self.number);
        let full = uploads.finished.len() == MAX_FINISHED;
        let evicted = if full { uploads.finished.pop_back() } else { None };
        uploads.finished.push_front(Arc::clone(&self.record));
        drop(uploads);
        drop(evicted);
    }
}

impl Drop for UploadHandle {
    fn drop(&mut self) {
        if self.record.outcome.get().is_none() {
            self.registry.lock().in_flight.remove(&self.number);
        }
    }
}

impl UploadRecord {
    fn rate(&self) -> MutexGuard<'_, RateMeter> {
        self.rate.lock_ignoring_poison()
    }

    fn name(&self) -> MutexGuard<'_, Option<String>> {
        self.name.lock_ignoring_poison()
    }

    fn status(&self, now: Instant) -> UploadStatus {
        let name = self.name().clone();
        let end = self.outcome.get();
        let bytes_sent = self.bytes_sent.load(Ordering::Relaxed);
        let result = end.map(|end| {
            let body = serde_json::from_slice(&end.body).unwrap_or_default();
            if end.is_success() { UploadResult::Result(body) } else { UploadResult::Problem(body) }
        });
        let state = match (&result, &name) {
            (Some(UploadResult::Result(_)), _) => UploadState::Stored,
            (Some(UploadResult::Problem(_)), _) => UploadState::Failed,
            (None, Some(_)) => UploadState::Running,
            (None, None) => UploadState::Queued,
        };
        UploadStatus {
            id: self.id.to_string(),
            state,
            name,
            size: self.size,
            bytes_sent,
            bytes_persisted: self.bytes_persisted.load(Ordering::Relaxed),
            bytes_per_second: match end {
                Some(end) => per_second(bytes_sent, end.duration),
                None => self.rate().bytes_per_second(now),
            },
            resumed: self.resumed.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            since: self.registered_at,
            ended: end.map(|end| end.at),
            duration_seconds: end
                .map_or_else(|| now.saturating_duration_since(self.registered), |end| end.duration)
                .as_secs_f64(),
            caller: self.principal.as_ref().map(Principal::to_string),
            request_id: self.request_id.to_string(),
            result,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UploadState {
    /// Waiting for a worker.
    Queued,
    Running,
    Stored,
    Failed,
}

/// Result of a finished upload, as its client got it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum UploadResult {
    Result(Value),
    Problem(Value),
}

/// Status of an upload, as the API shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadStatus {
    id: String,
    pub(crate) state: UploadState,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    bytes_sent: u64,
    /// Offset that Cloud Storage last reported: after a fault, and at the end.
    bytes_persisted: u64,
    bytes_per_second: u64,
    resumed: u32,
    retried: u32,
    #[serde(serialize_with = "rfc3339")]
    since: SystemTime,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339_if_any")]
    ended: Option<SystemTime>,
    /// Since its registration, the wait for a worker included.
    duration_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    request_id: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    result: Option<UploadResult>,
}

/// List of all uploads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadList {
    /// The oldest first.
    in_flight: Vec<UploadStatus>,
    /// The latest first.
    finished: Vec<UploadStatus>,
    throughput: ThroughputSeries,
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

    fn new_upload(request_id: &str) -> NewUpload {
        let request_id = RequestId::from_header_or_new(Some(request_id));
        NewUpload { request_id, principal: None, size: Some(1) }
    }

    fn request_ids(statuses: &[UploadStatus]) -> Vec<&str> {
        statuses.iter().map(|status| status.request_id.as_str()).collect()
    }

    #[test]
    fn last_hundred_finished_uploads_are_kept() {
        let registry = Arc::new(UploadRegistry::new());
        let first = registry.register(new_upload("first"));
        let first_id = first.id();
        first.finish(&Response::json(201, &json!({})));
        assert_eq!(registry.find(first_id).unwrap().state, UploadState::Stored);
        for number in 0..999 {
            registry
                .register(new_upload(&number.to_string()))
                .finish(&Response::json(201, &json!({})));
        }
        let list = registry.list();
        let latest = (899..999).rev().map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(request_ids(&list.finished), latest);
        assert!(registry.find(first_id).is_none());
        let stored = &serde_json::to_value(&list).unwrap()["throughput"]["stored"];
        let all = stored.as_array().unwrap().iter().map(|count| count.as_u64().unwrap());
        assert_eq!(all.sum::<u64>(), 1000, "dropped uploads are still counted");
    }

    #[test]
    fn refused_upload_is_not_kept() {
        let registry = Arc::new(UploadRegistry::new());
        let (kept, refused) =
            (registry.register(new_upload("kept")), registry.register(new_upload("refused")));
        drop(refused);
        let list = registry.list();
        assert_eq!(request_ids(&list.in_flight), ["kept"]);
        assert!(list.finished.is_empty());
        drop(kept);
    }

    #[test]
    fn status_shows_the_progress() {
        let registry = Arc::new(UploadRegistry::new());
        let upload = registry.register(NewUpload { size: None, ..new_upload("one") });
        assert_eq!(upload.status().state, UploadState::Queued);
        upload.start("a name");
        upload.sent(100);
        upload.sent(50);
        upload.persisted(90);
        upload.retrying();
        upload.resuming();
        let id = upload.id();
        let running = serde_json::to_value(registry.find(id).unwrap()).unwrap();
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
        upload.finish(&Response::json(502, &json!({"title": "no"})));
        let failed = serde_json::to_value(registry.find(id).unwrap()).unwrap();
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
