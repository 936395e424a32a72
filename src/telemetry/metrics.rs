//! Metrics in the OpenMetrics format, with the naming conventions of
//! [Prometheus](https://prometheus.io/docs/practices/naming/).
//!
//! The values of each label come from a short, fixed list. Text from a client never becomes a label.

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

/// Buckets of durations: from a response out of memory to a very long transfer.
const DURATION_BUCKETS: [f64; 16] = [
    0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0,
];

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;
const GIB: f64 = 1024.0 * MIB;

/// Buckets of object sizes, up to 1 TiB. Cloud Storage's limit is 5 TiB.
const SIZE_BUCKETS: [f64; 14] = [
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
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
    method: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CauseLabel {
    cause: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndLabel {
    end: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct NoLabels {}

/// All metrics of the process. There is one instance, shared by reference.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histograms<RouteLabels>,
    requests_refused: Family<ReasonLabel, Counter>,
    connections: Gauge,
    connections_maximum: Gauge,
    connections_cut: Family<ReasonLabel, Counter>,
    accept_failures: Counter,
    panics: Counter,
    queue_depth: Gauge,
    queue_capacity: Gauge,
    workers: Gauge,
    workers_busy: Gauge,
    uploads: Family<OutcomeLabel, Counter>,
    upload_seconds: Histograms<OutcomeLabel>,
    upload_bytes: Histogram,
    sent_bytes: Counter,
    stored_bytes: Counter,
    retries: Family<CauseLabel, Counter>,
    resumptions: Family<CauseLabel, Counter>,
    ready_sessions: Gauge,
    ready_sessions_ended: Family<EndLabel, Counter>,
    ready_sessions_missed: Counter,
    ready_sessions_failed: Counter,
    token_expiry: Family<NoLabels, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// Creates metrics without observations. `version` is a label of `gcs_uploader_build_info`.
    pub fn new(version: &'static str) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("gcs_uploader"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
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
            upload_seconds: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            upload_bytes: Histogram::new(SIZE_BUCKETS),
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
            "Version of the running build",
            Info::new([("version", version)]),
        );
        metrics
    }

    fn register_server(&mut self) {
        let registry = &mut self.registry;
        registry.register("http_requests", "HTTP requests with a response", self.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from the arrival of a request to its response",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        registry.register(
            "http_requests_refused",
            "Requests rejected before they were handled: malformed, too large or too slow; not included in http_requests",
            self.requests_refused.clone(),
        );
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register(
            "connections_maximum",
            "Maximum number of open connections",
            self.connections_maximum.clone(),
        );
        registry.register(
            "connections_cut",
            "Connections closed by the server, by reason",
            self.connections_cut.clone(),
        );
        registry.register(
            "accept_failures",
            "Failed attempts to accept a connection, for lack of descriptors or threads",
            self.accept_failures.clone(),
        );
        registry.register(
            "panics",
            "Panics caught while a request was handled",
            self.panics.clone(),
        );
        registry.register("queue_depth", "Uploads waiting for a worker", self.queue_depth.clone());
        registry.register(
            "queue_capacity",
            "Maximum number of waiting uploads",
            self.queue_capacity.clone(),
        );
        registry.register("workers", "Worker threads", self.workers.clone());
        registry.register(
            "workers_busy",
            "Worker threads with an upload in progress",
            self.workers_busy.clone(),
        );
    }

    fn register_uploads(&mut self) {
        let registry = &mut self.registry;
        registry.register("uploads", "Finished uploads, by outcome", self.uploads.clone());
        registry.register_with_unit(
            "upload_duration",
            "Time from an upload's first request to Cloud Storage to the last response",
            Unit::Seconds,
            self.upload_seconds.clone(),
        );
        registry.register_with_unit(
            "upload_size",
            "Sizes of stored objects",
            Unit::Bytes,
            self.upload_bytes.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Content sent to Cloud Storage, including content sent again",
            Unit::Bytes,
            self.sent_bytes.clone(),
        );
        registry.register_with_unit(
            "stored",
            "Content of stored objects",
            Unit::Bytes,
            self.stored_bytes.clone(),
        );
        registry.register(
            "upload_retries",
            "Retried requests to Cloud Storage, by cause",
            self.retries.clone(),
        );
        registry.register(
            "upload_resumptions",
            "Transfers resumed from an offset, by cause",
            self.resumptions.clone(),
        );
        registry.register_with_unit(
            "token_expiry_timestamp",
            "Expiry of the access token, in Unix time; absent if there is no token",
            Unit::Seconds,
            self.token_expiry.clone(),
        );
    }

    fn register_ready_sessions(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "ready_sessions",
            "Sessions opened in advance that wait for an upload",
            self.ready_sessions.clone(),
        );
        registry.register(
            "ready_sessions_ended",
            "Sessions opened in advance that were used by an upload or cancelled unused",
            self.ready_sessions_ended.clone(),
        );
        registry.register(
            "ready_sessions_missed",
            "Uploads that found no session opened in advance, and opened their own",
            self.ready_sessions_missed.clone(),
        );
        registry.register(
            "ready_sessions_failed",
            "Sessions that could not be opened in advance",
            self.ready_sessions_failed.clone(),
        );
    }

    /// Returns all metrics in the OpenMetrics text format; its media type is
    /// [`Metrics::CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut page = String::new();
        let encoded = text::encode(&mut page, &self.registry);
        debug_assert_eq!(encoded, Ok(()), "writing to a String never fails");
        page
    }

    /// Media type of [`Metrics::encode`].
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Counts a request with a response, `elapsed` after its arrival.
    pub fn request_completed(
        &self,
        route: &'static str,
        method: &'static str,
        status: u16,
        elapsed: Duration,
    ) {
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
        self.request_seconds
            .get_or_create(&RouteLabels { route, method })
            .observe(elapsed.as_secs_f64());
    }

    /// Counts a request that was rejected before it was handled. `reason` must come from a short list.
    pub fn request_refused(&self, reason: &'static str) {
        self.requests_refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Sets the maximum number of open connections.
    pub fn set_connections_maximum(&self, maximum: usize) {
        self.connections_maximum.set(gauge_value(maximum));
    }

    /// Counts a newly opened connection.
    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    /// Counts a closed connection.
    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// Counts a connection that the server closes. `reason` must come from a short list.
    pub fn connection_cut(&self, reason: &'static str) {
        self.connections_cut.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a connection that could not be accepted.
    pub fn accept_failed(&self) {
        self.accept_failures.inc();
    }

    /// Counts a caught panic.
    pub fn panic_caught(&self) {
        self.panics.inc();
    }

    /// Sets the number of workers, and the maximum number of uploads that wait for one.
    pub fn set_capacity(&self, workers: usize, queue: usize) {
        self.workers.set(gauge_value(workers));
        self.queue_capacity.set(gauge_value(queue));
    }

    /// Sets the number of waiting uploads.
    pub fn set_queue_depth(&self, depth: usize) {
        self.queue_depth.set(gauge_value(depth));
    }

    /// Counts a worker that starts an upload.
    pub fn worker_became_busy(&self) {
        self.workers_busy.inc();
    }

    /// Counts a worker that has finished an upload.
    pub fn worker_became_idle(&self) {
        self.workers_busy.dec();
    }

    /// Counts a finished upload. `outcome` must come from a short list.
    pub fn upload_ended(&self, outcome: &'static str, elapsed: Duration) {
        self.uploads.get_or_create(&OutcomeLabel { outcome }).inc();
        self.upload_seconds.get_or_create(&OutcomeLabel { outcome }).observe(elapsed.as_secs_f64());
    }

    /// Counts a stored object of this many bytes.
    pub fn object_stored(&self, bytes: u64) {
        self.stored_bytes.inc_by(bytes);
        self.upload_bytes.observe(bytes as f64);
    }

    /// Counts bytes of content that were sent.
    pub fn bytes_sent(&self, bytes: u64) {
        self.sent_bytes.inc_by(bytes);
    }

    /// Counts a retried request to Cloud Storage. `cause` must come from a short list.
    pub fn request_retried(&self, cause: impl Display) {
        self.retries.get_or_create(&CauseLabel { cause: cause.to_string() }).inc();
    }

    /// Counts a transfer that is resumed from an offset. `cause` must come from a short list.
    pub fn transfer_resumed(&self, cause: impl Display) {
        self.resumptions.get_or_create(&CauseLabel { cause: cause.to_string() }).inc();
    }

    /// Sets the number of sessions that wait for an upload.
    pub fn set_ready_sessions(&self, sessions: usize) {
        self.ready_sessions.set(gauge_value(sessions));
    }

    /// Counts a session opened in advance that was used or cancelled. `end` must come from a short
    /// list.
    pub fn ready_session_ended(&self, end: &'static str) {
        self.ready_sessions_ended.get_or_create(&EndLabel { end }).inc();
    }

    /// Counts an upload that found no session opened in advance.
    pub fn ready_session_missed(&self) {
        self.ready_sessions_missed.inc();
    }

    /// Counts a session that could not be opened in advance.
    pub fn ready_session_failed(&self) {
        self.ready_sessions_failed.inc();
    }

    /// Sets the expiry of the current access token; `None` if there is no token or no expiry.
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

/// Converts a count to the value of a gauge.
fn gauge_value(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_everything_counted_once() -> Metrics {
        let metrics = Metrics::new("1.2.3");
        metrics.request_completed("/api/health", "GET", 200, Duration::from_millis(2));
        metrics.request_refused("malformed-request");
        metrics.set_connections_maximum(512);
        metrics.connection_opened();
        metrics.connection_opened();
        metrics.connection_closed();
        metrics.connection_cut("idle");
        metrics.accept_failed();
        metrics.panic_caught();
        metrics.set_capacity(4, 16);
        metrics.set_queue_depth(3);
        metrics.worker_became_busy();
        metrics.upload_ended("stored", Duration::from_secs(2));
        metrics.object_stored(1 << 20);
        metrics.bytes_sent(1 << 21);
        metrics.request_retried("503");
        metrics.transfer_resumed("broken");
        metrics.set_ready_sessions(7);
        metrics.ready_session_ended("used");
        metrics.ready_session_missed();
        metrics.ready_session_failed();
        metrics.set_token_expiry(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        metrics
    }

    #[test]
    fn every_metric_is_encoded_with_its_name_and_labels() {
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
    fn metric_names_follow_the_conventions() {
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
    fn missing_token_has_no_expiry() {
        let metrics = with_everything_counted_once();
        metrics.set_token_expiry(None);
        assert!(!metrics.encode().contains("token_expiry_timestamp_seconds{}"));
    }
}
