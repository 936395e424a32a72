//! What is counted, and under which names: the form and the conventions are those of
//! [Prometheus](https://prometheus.io/docs/practices/naming/) and OpenMetrics.
//!
//! Every label takes its values from a short, fixed list: nothing that a client sends becomes a
//! label.

use std::fmt::Display;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// From an answer out of memory to the longest transfer that is worth waiting for.
const SECONDS: [f64; 16] = [
    0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0,
];

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;
const GIB: f64 = 1024.0 * MIB;

/// From a text to the largest object that Cloud Storage takes (5 TiB).
const BYTES: [f64; 14] = [
    KIB,
    16.0 * KIB,
    256.0 * KIB,
    MIB,
    4.0 * MIB,
    16.0 * MIB,
    64.0 * MIB,
    256.0 * MIB,
    GIB,
    4.0 * GIB,
    16.0 * GIB,
    64.0 * GIB,
    256.0 * GIB,
    1024.0 * GIB,
];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: &'static str,
    method: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Cause {
    cause: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct End {
    end: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct NoLabels {}

/// Everything that the process counts. One for the process; shared by reference.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    request_seconds: Histograms<Route>,
    requests_refused: Family<Reason, Counter>,
    connections: Gauge,
    connections_maximum: Gauge,
    connections_cut: Family<Reason, Counter>,
    accept_failures: Counter,
    panics: Counter,
    queue_depth: Gauge,
    queue_capacity: Gauge,
    workers: Gauge,
    workers_busy: Gauge,
    uploads: Family<Outcome, Counter>,
    upload_seconds: Histograms<Outcome>,
    upload_bytes: Histogram,
    sent_bytes: Counter,
    stored_bytes: Counter,
    retries: Family<Cause, Counter>,
    resumptions: Family<Cause, Counter>,
    ready_sessions: Gauge,
    ready_sessions_ended: Family<End, Counter>,
    ready_sessions_missed: Counter,
    ready_sessions_failed: Counter,
    token_expiry: Family<NoLabels, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// Nothing counted yet. `version` is shown as a label of `gcs_uploader_build_info`.
    pub fn new(version: &'static str) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("gcs_uploader"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            requests_refused: Family::default(),
            connections: Gauge::default(),
            connections_maximum: Gauge::default(),
            connections_cut: Family::default(),
            accept_failures: Counter::default(),
            panics: Counter::default(),
            queue_depth: Gauge::default(),
            queue_capacity: Gauge::default(),
            workers: Gauge::default(),
            workers_busy: Gauge::default(),
            uploads: Family::default(),
            upload_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            upload_bytes: Histogram::new(BYTES),
            sent_bytes: Counter::default(),
            stored_bytes: Counter::default(),
            retries: Family::default(),
            resumptions: Family::default(),
            ready_sessions: Gauge::default(),
            ready_sessions_ended: Family::default(),
            ready_sessions_missed: Counter::default(),
            ready_sessions_failed: Counter::default(),
            token_expiry: Family::default(),
        };
        metrics.register_server();
        metrics.register_uploads();
        metrics.register_ready_sessions();
        metrics.registry.register(
            "build",
            "Which build this is",
            Info::new([("version", version)]),
        );
        metrics
    }

    fn register_server(&mut self) {
        let to = &mut self.registry;
        to.register("http_requests", "Requests answered", self.requests.clone());
        to.register_with_unit(
            "http_request_duration",
            "From a request's arrival to its answer",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        to.register(
            "http_requests_refused",
            "Requests that were no clean HTTP, or too large, or too slow; not among those answered",
            self.requests_refused.clone(),
        );
        to.register("connections", "Connections that are open", self.connections.clone());
        to.register(
            "connections_maximum",
            "Connections that may be open",
            self.connections_maximum.clone(),
        );
        to.register(
            "connections_cut",
            "Connections that the server ended on its own account",
            self.connections_cut.clone(),
        );
        to.register(
            "accept_failures",
            "Times that a connection could not be accepted, for want of descriptors or threads",
            self.accept_failures.clone(),
        );
        to.register("panics", "Panics caught while a request was served", self.panics.clone());
        to.register("queue_depth", "Uploads that wait for a worker", self.queue_depth.clone());
        to.register("queue_capacity", "Uploads that may wait", self.queue_capacity.clone());
        to.register("workers", "Worker threads", self.workers.clone());
        to.register("workers_busy", "Workers with an upload", self.workers_busy.clone());
    }

    fn register_uploads(&mut self) {
        let to = &mut self.registry;
        to.register("uploads", "Uploads that came to an end", self.uploads.clone());
        to.register_with_unit(
            "upload_duration",
            "From an upload's first request to its last answer",
            Unit::Seconds,
            self.upload_seconds.clone(),
        );
        to.register_with_unit(
            "upload_size",
            "Sizes of the objects stored",
            Unit::Bytes,
            self.upload_bytes.clone(),
        );
        to.register_with_unit(
            "sent",
            "Content handed to the network, what was sent again included",
            Unit::Bytes,
            self.sent_bytes.clone(),
        );
        to.register_with_unit(
            "stored",
            "Content of the objects stored",
            Unit::Bytes,
            self.stored_bytes.clone(),
        );
        to.register("upload_retries", "Requests made again, by cause", self.retries.clone());
        to.register(
            "upload_resumptions",
            "Transfers gone on with from an offset, by cause",
            self.resumptions.clone(),
        );
        to.register_with_unit(
            "token_expiry_timestamp",
            "When the access token expires, in Unix time; absent when there is none",
            Unit::Seconds,
            self.token_expiry.clone(),
        );
    }

    fn register_ready_sessions(&mut self) {
        let to = &mut self.registry;
        to.register(
            "ready_sessions",
            "Sessions that were opened ahead and wait for an upload",
            self.ready_sessions.clone(),
        );
        to.register(
            "ready_sessions_ended",
            "Sessions opened ahead that an upload used, or that were cancelled unused, by which",
            self.ready_sessions_ended.clone(),
        );
        to.register(
            "ready_sessions_missed",
            "Uploads that found no session opened ahead, and opened their own",
            self.ready_sessions_missed.clone(),
        );
        to.register(
            "ready_sessions_failed",
            "Sessions that could not be opened ahead",
            self.ready_sessions_failed.clone(),
        );
    }

    /// All metrics in the OpenMetrics text format, of the type [`Metrics::CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut page = String::new();
        let encoded = text::encode(&mut page, &self.registry);
        debug_assert_eq!(encoded, Ok(()), "a String takes whatever is written to it");
        page
    }

    /// The media type of [`Metrics::encode`].
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// A request was answered, this long after it had arrived.
    pub fn answered(&self, route: &'static str, method: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Answered { route, method, status }).inc();
        self.request_seconds.get_or_create(&Route { route, method }).observe(took.as_secs_f64());
    }

    /// A request was refused before it was one. `reason` must come from a short list.
    pub fn request_refused(&self, reason: &'static str) {
        self.requests_refused.get_or_create(&Reason { reason }).inc();
    }

    /// How many connections may be open.
    pub fn set_connections_maximum(&self, maximum: usize) {
        self.connections_maximum.set(level(maximum));
    }

    /// One connection more is open.
    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    /// One connection fewer is open.
    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// The server ends a connection on its own account. `reason` must come from a short list.
    pub fn connection_cut(&self, reason: &'static str) {
        self.connections_cut.get_or_create(&Reason { reason }).inc();
    }

    /// A connection could not be accepted.
    pub fn accepting_failed(&self) {
        self.accept_failures.inc();
    }

    /// A panic was caught.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// How many workers there are, and how many uploads may wait for one.
    pub fn set_capacity(&self, workers: usize, queue: usize) {
        self.workers.set(level(workers));
        self.queue_capacity.set(level(queue));
    }

    /// How many uploads wait at this moment.
    pub fn set_queue_depth(&self, depth: usize) {
        self.queue_depth.set(level(depth));
    }

    /// One worker more has an upload.
    pub fn worker_began(&self) {
        self.workers_busy.inc();
    }

    /// One worker fewer has an upload.
    pub fn worker_ended(&self) {
        self.workers_busy.dec();
    }

    /// An upload came to this end after this long.
    pub fn upload_ended(&self, outcome: &'static str, took: Duration) {
        self.uploads.get_or_create(&Outcome { outcome }).inc();
        self.upload_seconds.get_or_create(&Outcome { outcome }).observe(took.as_secs_f64());
    }

    /// An object of this many bytes was stored.
    pub fn stored(&self, bytes: u64) {
        self.stored_bytes.inc_by(bytes);
        self.upload_bytes.observe(bytes as f64);
    }

    /// This many more bytes of content were handed to the network.
    pub fn sent(&self, bytes: u64) {
        self.sent_bytes.inc_by(bytes);
    }

    /// A request to Cloud Storage is made again. `cause` must come from a short list.
    pub fn retrying(&self, cause: impl Display) {
        self.retries.get_or_create(&Cause { cause: cause.to_string() }).inc();
    }

    /// A transfer goes on from an offset. `cause` must come from a short list.
    pub fn resuming(&self, cause: impl Display) {
        self.resumptions.get_or_create(&Cause { cause: cause.to_string() }).inc();
    }

    /// How many sessions wait for an upload.
    pub fn set_ready_sessions(&self, sessions: usize) {
        self.ready_sessions.set(level(sessions));
    }

    /// A session that was opened ahead came to this end, which must come from a short list.
    pub fn ready_session_ended(&self, end: &'static str) {
        self.ready_sessions_ended.get_or_create(&End { end }).inc();
    }

    /// An upload found no session that was opened ahead.
    pub fn ready_session_missed(&self) {
        self.ready_sessions_missed.inc();
    }

    /// A session could not be opened ahead.
    pub fn ready_session_failed(&self) {
        self.ready_sessions_failed.inc();
    }

    /// The access token at hand expires then; `None`: there is none, or it never does.
    pub fn set_token_expiry(&self, expiry: Option<SystemTime>) {
        let since_epoch = expiry.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        match since_epoch {
            Some(time) => {
                self.token_expiry.get_or_create(&NoLabels {}).set(time.as_secs_f64());
            }
            None => self.token_expiry.clear(),
        }
    }
}

fn level(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_everything_counted_once() -> Metrics {
        let metrics = Metrics::new("1.2.3");
        metrics.answered("/api/health", "GET", 200, Duration::from_millis(2));
        metrics.request_refused("malformed-request");
        metrics.set_connections_maximum(512);
        metrics.connection_opened();
        metrics.connection_opened();
        metrics.connection_closed();
        metrics.connection_cut("idle");
        metrics.accepting_failed();
        metrics.panicked();
        metrics.set_capacity(4, 16);
        metrics.set_queue_depth(3);
        metrics.worker_began();
        metrics.upload_ended("stored", Duration::from_secs(2));
        metrics.stored(1 << 20);
        metrics.sent(1 << 21);
        metrics.retrying("503");
        metrics.resuming("broken");
        metrics.set_ready_sessions(7);
        metrics.ready_session_ended("used");
        metrics.ready_session_missed();
        metrics.ready_session_failed();
        metrics.set_token_expiry(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        metrics
    }

    #[test]
    fn every_metric_is_on_the_page_under_its_name() {
        let page = with_everything_counted_once().encode();
        for line in [
            r#"gcs_uploader_http_requests_total{route="/api/health",method="GET",status="200"} 1"#,
            r#"gcs_uploader_http_request_duration_seconds_bucket{le="0.005",route="/api/health",method="GET"} 1"#,
            r#"gcs_uploader_http_requests_refused_total{reason="malformed-request"} 1"#,
            "gcs_uploader_connections 1",
            "gcs_uploader_connections_maximum 512",
            r#"gcs_uploader_connections_cut_total{reason="idle"} 1"#,
            "gcs_uploader_accept_failures_total 1",
            "gcs_uploader_panics_total 1",
            "gcs_uploader_queue_depth 3",
            "gcs_uploader_queue_capacity 16",
            "gcs_uploader_workers 4",
            "gcs_uploader_workers_busy 1",
            r#"gcs_uploader_uploads_total{outcome="stored"} 1"#,
            r#"gcs_uploader_upload_duration_seconds_sum{outcome="stored"} 2.0"#,
            r#"gcs_uploader_upload_size_bytes_bucket{le="1048576.0"} 1"#,
            "gcs_uploader_sent_bytes_total 2097152",
            "gcs_uploader_stored_bytes_total 1048576",
            r#"gcs_uploader_upload_retries_total{cause="503"} 1"#,
            r#"gcs_uploader_upload_resumptions_total{cause="broken"} 1"#,
            "gcs_uploader_ready_sessions 7",
            r#"gcs_uploader_ready_sessions_ended_total{end="used"} 1"#,
            "gcs_uploader_ready_sessions_missed_total 1",
            "gcs_uploader_ready_sessions_failed_total 1",
            "gcs_uploader_token_expiry_timestamp_seconds{} 1800000000.0",
            r#"gcs_uploader_build_info{version="1.2.3"} 1"#,
            "# EOF",
        ] {
            assert!(page.lines().any(|is| is == line), "{line}\nis not in\n{page}");
        }
    }

    #[test]
    fn names_follow_the_conventions() {
        let page = with_everything_counted_once().encode();
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for (name, kind) in types.map(|line| line.split_once(' ').unwrap()) {
            assert!(name.starts_with("gcs_uploader_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(["counter", "gauge", "histogram", "info"].contains(&kind), "{name} {kind}");
            let unit = ["_seconds", "_bytes"].iter().any(|unit| name.ends_with(unit));
            assert!(unit || kind != "histogram", "{name} has no unit");
            assert!(!name.ends_with("_total"), "the suffix belongs to the sample: {name}");
        }
    }

    #[test]
    fn every_metric_has_a_help_text() {
        let page = with_everything_counted_once().encode();
        let help = page.lines().filter(|line| line.starts_with("# HELP ")).count();
        assert_eq!(help, page.lines().filter(|line| line.starts_with("# TYPE ")).count());
    }

    #[test]
    fn a_token_that_is_gone_has_no_expiry() {
        let metrics = with_everything_counted_once();
        metrics.set_token_expiry(None);
        assert!(!metrics.encode().contains("token_expiry_timestamp_seconds{}"));
    }
}
