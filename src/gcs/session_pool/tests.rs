//! The pool's tasks, one at a time, against scripted responses and on a clock of the tests.

use super::super::script::{ScriptedBucket, ScriptedUpload, breaks, opened, status};
use super::*;
use crate::content::Content as _;

const SIZE: u64 = 1 << 20;

/// Pool without threads: the test runs their tasks.
struct PoolTest {
    bucket_script: ScriptedBucket,
    sessions: Arc<SessionPool>,
    metrics: Arc<Metrics>,
}

impl PoolTest {
    fn of(limit: usize, script: ScriptedUpload) -> Self {
        let bucket_script = script.into_bucket();
        let ahead = SessionPoolConfig {
            sessions: NonZeroUsize::new(limit).unwrap(),
            threads: NonZeroUsize::MIN,
            prefix: "p/".parse().unwrap(),
            content_type: "text/plain".into(),
        };
        let metrics = Arc::new(Metrics::new("test"));
        let bucket = bucket_script.bucket.clone();
        let sessions = Arc::new(SessionPool::new(bucket, ahead, metrics.clone()));
        Self { bucket_script, sessions, metrics }
    }

    fn take(&self) -> Option<PooledUpload> {
        let metadata = [("request-id".to_owned(), "order-7".to_owned())].into();
        self.sessions.take(&metadata, SIZE)
    }

    /// Runs the tasks of the pool that are due at this moment.
    fn run_tasks(&self) {
        loop {
            let now = self.sessions.bucket.clock.now();
            let next = self.sessions.lock().next_task(now);
            match next {
                Task::Open => self.sessions.open(),
                Task::Cancel(session, why) => self.sessions.cancel(&session, why),
                Task::Wait(_) | Task::Stop => return,
            }
        }
    }

    fn idle(&self) -> usize {
        self.sessions.lock().idle.len()
    }

    fn assert_metric(&self, line: &str) {
        let page = self.metrics.encode();
        assert!(page.lines().any(|is| is == format!("gcs_uploader_{line}")), "{line} in {page}");
    }
}

/// A script of so many starts that go well.
fn starts(count: usize) -> ScriptedUpload {
    (0..count).fold(ScriptedUpload::of(SIZE), |script, _| script.on("start", opened()))
}

#[test]
fn pool_opens_no_session_before_the_first_request() {
    let test = PoolTest::of(4, starts(0));
    test.run_tasks();
    assert_eq!(test.idle(), 0);
}

#[test]
fn empty_pool_opens_a_session_for_the_next_upload() {
    let test = PoolTest::of(4, starts(1));
    assert!(test.take().is_none());
    test.run_tasks();
    assert!(test.take().is_some());
    test.assert_metric("ready_sessions_missed_total 1");
    test.assert_metric(r#"ready_sessions_ended_total{end="used"} 1"#);
    test.bucket_script.finish(&());
}

#[test]
fn pooled_session_is_opened_without_size_and_request_metadata() {
    let test = PoolTest::of(4, starts(1));
    test.take();
    test.run_tasks();
    let file = test.take().unwrap();
    let start = &test.bucket_script.finish(&())[0];
    assert_eq!(start.header("x-upload-content-length"), None);
    assert_eq!(start.header("x-upload-content-type"), Some("text/plain"));
    let (object, content) = (file.object(), file.content());
    let told = start.json();
    assert_eq!(told["name"], object.name);
    assert_eq!(told["crc32c"], content.crc32c().to_string());
    assert_eq!(told["metadata"], serde_json::json!({"seed": content.seed().to_string()}));
    assert_eq!(content.size(), SIZE);
    assert!(object.name.starts_with("p/"));
    assert_eq!(object.metadata["seed"], content.seed().to_string());
    assert_eq!(object.metadata["request-id"], "order-7");
    let deferred_headers: Vec<_> = file.deferred_headers().collect();
    assert_eq!(deferred_headers, [("x-goog-meta-request-id", "order-7".to_owned())]);
}

#[test]
fn used_session_is_replaced() {
    let test = PoolTest::of(4, starts(3));
    test.take();
    test.run_tasks();
    for _ in 0..2 {
        assert!(test.take().is_some());
        test.run_tasks();
    }
    assert_eq!(test.idle(), 1);
    test.bucket_script.finish(&());
}

#[test]
fn pool_doubles_for_each_miss_up_to_its_limit() {
    let test = PoolTest::of(6, starts(6));
    for target in [1, 2, 4, 6, 6] {
        assert!(test.take().is_none());
        assert_eq!(test.sessions.lock().target, target);
    }
    test.run_tasks();
    assert_eq!(test.idle(), 6);
    test.bucket_script.finish(&());
}

#[test]
fn oldest_session_is_used_first_so_that_names_are_in_order() {
    let test = PoolTest::of(2, starts(2));
    test.take();
    test.take();
    test.run_tasks();
    let names = [test.take(), test.take()].map(|file| file.unwrap().object().name.clone());
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn very_short_file_uses_no_pooled_session() {
    let test = PoolTest::of(2, starts(0));
    for size in 0..CHECKSUM_SETTLED {
        assert!(test.sessions.take(&BTreeMap::new(), size).is_none());
    }
    test.run_tasks();
    assert_eq!(test.idle(), 0);
}

#[test]
fn unused_session_is_cancelled_at_its_maximum_age_and_not_replaced() {
    let test = PoolTest::of(4, starts(1).on("cancel", status(499)));
    test.take();
    test.run_tasks();
    test.bucket_script.passes(MAX_AGE - Duration::from_millis(1));
    test.run_tasks();
    assert_eq!(test.idle(), 1);
    test.bucket_script.passes(Duration::from_millis(1));
    test.run_tasks();
    assert_eq!((test.idle(), test.sessions.lock().target), (0, 0));
    test.assert_metric(r#"ready_sessions_ended_total{end="aged"} 1"#);
    test.bucket_script.finish(&());
}

#[test]
fn expired_session_is_not_used() {
    let test = PoolTest::of(4, starts(1));
    test.take();
    test.run_tasks();
    test.bucket_script.passes(MAX_AGE);
    assert!(test.take().is_none());
}

#[test]
fn pool_opens_no_session_for_an_old_request() {
    let test = PoolTest::of(4, starts(0));
    test.take();
    test.bucket_script.passes(MAX_AGE);
    test.run_tasks();
    assert_eq!(test.idle(), 0);
}

#[test]
fn failed_start_makes_the_pool_wait_with_back_off() {
    for failure in [status(503), status(403), breaks(), opened().location(None)] {
        let script = ScriptedUpload::of(SIZE).on("start", failure).on("start", status(429));
        let test = PoolTest::of(1, script.on("start", opened()));
        test.take();
        for rest in [1, 2] {
            test.run_tasks();
            assert_eq!(test.idle(), 0);
            test.bucket_script.passes(Duration::from_secs(rest));
        }
        test.run_tasks();
        assert_eq!(test.idle(), 1);
        test.assert_metric("ready_sessions_failed_total 2");
        test.bucket_script.finish(&());
    }
}

#[test]
fn session_on_another_host_is_not_pooled() {
    let elsewhere = opened().location(Some("http://192.0.2.1/?upload_id=x"));
    let test = PoolTest::of(1, ScriptedUpload::of(SIZE).on("start", elsewhere));
    test.take();
    test.run_tasks();
    assert_eq!(test.idle(), 0);
}

#[test]
fn closing_pool_cancels_its_sessions_and_opens_none() {
    let script = starts(2).on("cancel", status(499)).on("cancel", breaks());
    let test = PoolTest::of(2, script);
    test.take();
    test.take();
    test.run_tasks();
    test.sessions.close(Duration::from_secs(5));
    assert!(test.take().is_none());
    test.run_tasks();
    assert_eq!(test.idle(), 0);
    test.assert_metric(r#"ready_sessions_ended_total{end="closing"} 2"#);
    test.bucket_script.finish(&());
}

#[test]
fn sessions_that_cannot_be_cancelled_in_time_are_left() {
    let test = PoolTest::of(1, starts(1));
    test.take();
    test.run_tasks();
    test.sessions.close(Duration::from_secs(5));
    test.bucket_script.passes(Duration::from_secs(5));
    test.run_tasks();
    assert_eq!(test.idle(), 1);
    test.bucket_script.finish(&());
}

#[test]
fn pool_threads_end_when_all_sessions_are_cancelled() {
    let test = PoolTest::of(1, starts(1).on("cancel", status(499)));
    test.take();
    test.run_tasks();
    test.sessions.start_threads().unwrap();
    test.sessions.close(Duration::from_secs(60));
    assert_eq!(test.sessions.lock().threads, 0);
    assert_eq!(test.idle(), 0);
    test.bucket_script.finish(&());
}
