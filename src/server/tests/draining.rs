//! The end: each client is told, and nothing that was taken in is lost.

use serde_json::json;

use super::*;

/// Tells the server to stop, and waits until it has heard it.
fn stop(server: &Running) {
    server.stop();
    server.wait_for("/api/ready", |reply| reply.status == 503);
}

#[test]
fn an_idle_server_ends_at_once() {
    let server = run(Plan::Store);
    let _idle = server.connect();
    server.stop();
    server.end().unwrap();
}

#[test]
fn ends_too_when_nobody_is_left_to_stop_it() {
    let Running { stop, thread, .. } = run(Plan::Store);
    drop(stop);
    thread.join().unwrap().unwrap();
}

#[test]
fn while_it_drains_it_is_healthy_but_not_ready_and_takes_nothing_in() {
    let server = run(Plan::StoreWhenReleased);
    let mut running = server.begin_upload();
    stop(&server);

    let health = server.ask("GET /api/health");
    assert_eq!((health.status, health.says_close()), (200, true));
    let ready = server.ask("GET /api/ready");
    ready.assert_problem(json!({
        "type": "not-ready", "title": "Not ready for uploads", "status": 503,
        "detail": "draining: the server is shutting down",
    }));
    let refused = server.ask("POST /api/upload-random");
    refused.assert_problem(json!({
        "type": "draining", "title": "The server is shutting down", "status": 503,
        "detail": "The upload was not started. Nothing was stored.",
    }));
    assert!(refused.says_close());
    assert_eq!(refused.header("retry-after"), "5");

    server.release.send(()).unwrap();
    assert_eq!(running.receive().status, 201);
    server.end().unwrap();
}

#[test]
fn what_waits_is_still_uploaded_while_there_is_time() {
    let one_worker = |config: &mut Config| config.workers = NonZeroUsize::MIN;
    let server = Setup::new(Plan::StoreWhenReleased).with(one_worker).run();
    let mut running = server.begin_upload();
    let mut waiting = server.connect();
    waiting.send(&request("POST /api/upload-random"));
    server.wait_for_metric("gcs_uploader_queue_depth 1");
    stop(&server);
    server.release.send(()).unwrap();
    server.release.send(()).unwrap();
    assert_eq!(running.receive().status, 201);
    assert_eq!(waiting.receive().status, 201);
    server.end().unwrap();
}

#[test]
fn when_the_time_is_up_what_waits_is_refused_and_what_runs_is_interrupted() {
    let short = |config: &mut Config| {
        config.workers = NonZeroUsize::MIN;
        config.drain_timeout = Duration::from_millis(400);
    };
    let server = Setup::new(Plan::StoreWhenReleased).with(short).run();
    let mut running = server.begin_upload();
    let mut waiting = server.connect();
    waiting.send(&request("POST /api/upload-random"));
    server.wait_for_metric("gcs_uploader_queue_depth 1");
    server.stop();

    let refused = waiting.receive();
    assert_eq!((refused.status, refused.says_close()), (503, true));
    assert_eq!(refused.json()["type"], "urn:gcs-uploader:problem:draining");
    let interrupted = running.receive();
    assert_eq!((interrupted.status, interrupted.says_close()), (503, true));
    assert_eq!(interrupted.json()["type"], "urn:gcs-uploader:problem:interrupted");
    assert!(server.began.is_empty(), "what waited was never begun");
    server.end().unwrap();
}

#[test]
fn with_no_time_at_all_everybody_is_told_at_once() {
    let none = |config: &mut Config| {
        config.workers = NonZeroUsize::MIN;
        config.drain_timeout = Duration::ZERO;
    };
    let server = Setup::new(Plan::StoreWhenReleased).with(none).run();
    let mut running = server.begin_upload();
    let mut waiting = server.connect();
    waiting.send(&request("POST /api/upload-random"));
    server.wait_for_metric("gcs_uploader_queue_depth 1");
    server.stop();
    assert_eq!(running.receive().status, 503);
    assert_eq!(waiting.receive().status, 503);
    server.end().unwrap();
}

#[test]
fn who_is_pipelined_behind_an_upload_is_told_that_no_more_will_come() {
    let server = run(Plan::StoreWhenReleased);
    let mut client = server.begin_upload();
    client.send(&(request("POST /api/upload-random") + &request("GET /api/health").repeat(32)));
    stop(&server);
    server.release.send(()).unwrap();
    let answer = client.receive();
    assert_eq!((answer.status, answer.says_close()), (201, true));
    assert!(client.is_at_end(), "what was pipelined behind it is not begun");
    server.end().unwrap();
}

#[test]
fn an_idle_connection_is_closed_when_draining_begins() {
    let server = run(Plan::StoreWhenReleased);
    let mut running = server.begin_upload();
    let mut idle = server.connect();
    assert!(!idle.ask("GET /api/health").says_close());
    let mut newcomer = server.connect();
    let mut silent = server.connect();
    stop(&server);
    assert!(idle.is_at_end());
    assert!(newcomer.ask("GET /api/health").says_close());
    server.release.send(()).unwrap();
    assert_eq!(running.receive().status, 201);
    server.end().unwrap();
    assert!(silent.is_at_end());
}
