//! The pool's tasks, one at a time, against scripted responses and on a clock of the tests.

use super::super::script::{ScriptedBucket, ScriptedUpload, breaks, opened, status};
use super::*;
use crate::content::Content as _;

const SIZE: u64 = 1 << 20;

/// Sessions without a crew: the test does its work.
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

    /// As long as there is something to do at this moment, a thread of the crew does it.
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
fn nothing_is_opened_before_an_upload_asks() {
    let test = PoolTest::of(4, starts(0));
    test.run_tasks();
    assert_eq!(test.idle(), 0);
}

#[test]
fn an_upload_that_finds_none_has_one_opened_for_the_next() {
    let test = PoolTest::of(4, starts(1));
    assert!(test.take().is_none());
    test.run_tasks();
    assert!(test.take().is_some());
    test.assert_metric("ready_sessions_missed_total 1");
    test.assert_metric(r#"ready_sessions_ended_total{end="used"} 1"#);
    test.bucket_script.finish(&());
}

#[test]
fn cloud_storage_is_told_all_but_the_size_and_what_comes_with_the_request() {
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
fn one_that_is_used_is_replaced() {
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
fn uploads_that_find_none_make_for_twice_as_many_up_to_the_limit() {
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
fn the_oldest_is_used_first_so_that_names_are_in_order() {
    let test = PoolTest::of(2, starts(2));
    test.take();
    test.take();
    test.run_tasks();
    let names = [test.take(), test.take()].map(|file| file.unwrap().object().name.clone());
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn a_very_short_file_opens_its_own() {
    let test = PoolTest::of(2, starts(0));
    for size in 0..CHECKSUM_SETTLED {
        assert!(test.sessions.take(&BTreeMap::new(), size).is_none());
    }
    test.run_tasks();
    assert_eq!(test.idle(), 0);
}

#[test]
fn one_that_nobody_uses_in_time_is_cancelled_and_not_replaced() {
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
fn one_that_is_too_old_is_given_to_nobody() {
    let test = PoolTest::of(4, starts(1));
    test.take();
    test.run_tasks();
    test.bucket_script.passes(MAX_AGE);
    assert!(test.take().is_none());
}

#[test]
fn nothing_is_opened_for_those_who_asked_long_ago() {
    let test = PoolTest::of(4, starts(0));
    test.take();
    test.bucket_script.passes(MAX_AGE);
    test.run_tasks();
    assert_eq!(test.idle(), 0);
}

#[test]
fn a_start_that_fails_makes_the_crew_rest_longer_each_time() {
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
fn a_session_elsewhere_is_not_taken() {
    let elsewhere = opened().location(Some("http://192.0.2.1/?upload_id=x"));
    let test = PoolTest::of(1, ScriptedUpload::of(SIZE).on("start", elsewhere));
    test.take();
    test.run_tasks();
    assert_eq!(test.idle(), 0);
}

#[test]
fn in_the_end_what_is_left_is_cancelled_and_none_is_opened() {
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
fn what_cannot_be_cancelled_in_time_is_left() {
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
fn the_crew_ends_when_all_is_cancelled() {
    let test = PoolTest::of(1, starts(1).on("cancel", status(499)));
    test.take();
    test.run_tasks();
    test.sessions.start_threads().unwrap();
    test.sessions.close(Duration::from_secs(60));
    assert_eq!(test.sessions.lock().threads, 0);
    assert_eq!(test.idle(), 0);
    test.bucket_script.finish(&());
}
