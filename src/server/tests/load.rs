//! A full queue and pipelines: the face stays awake.

use serde_json::json;

use super::*;

#[test]
fn a_full_queue_is_503_at_once_and_the_face_stays_awake() {
    let small = |config: &mut Config| {
        config.workers = NonZeroUsize::MIN;
        config.queue_depth = 1;
    };
    let server = Setup::new(Plan::StoreWhenReleased).with(small).run();
    let mut running = server.begin_upload();
    let mut waiting = server.connect();
    waiting.send(&request("POST /api/upload-random"));
    server.wait_for_metric("gcs_uploader_queue_depth 1");

    let refused = server.ask("POST /api/upload-random");
    refused.assert_problem(json!({
        "type": "queue-full", "title": "Upload queue is full", "status": 503,
        "detail": "Upload queue is full (1 running, 1 queued).",
    }));
    assert_eq!(refused.header("retry-after"), "2");
    assert!(!refused.says_close());
    assert_eq!(server.ask("GET /api/health").status, 200);
    assert_eq!(server.ask("GET /api/ready").status, 200);
    server.wait_for_metric("gcs_uploader_workers_busy 1");

    server.release.send(()).unwrap();
    server.release.send(()).unwrap();
    assert_eq!(running.receive().status, 201);
    assert_eq!(waiting.receive().status, 201);
}

#[test]
fn a_request_pipelined_behind_an_upload_holds_nobody_else() {
    let server = run(Plan::StoreWhenReleased);
    let mut client = server.connect();
    client.send(&(request("POST /api/upload-random") + &request("GET /api/health")));
    server.began.recv_timeout(TIMEOUT).unwrap();
    for _ in 0..10 {
        assert_eq!(server.ask("GET /api/health").status, 200);
    }
    server.release.send(()).unwrap();
    assert_eq!(client.receive().status, 201);
    assert_eq!(client.receive().body, r#"{"status":"ok"}"#);
    assert_eq!(client.ask("GET /api/ready").status, 200, "the connection goes on");
}

#[test]
fn pipelined_uploads_follow_one_another_in_order() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    let requests = (1..=20).map(|size| request(&format!("POST /api/upload-random?size={size}")));
    client.send(&requests.collect::<String>());
    for size in 1..=20 {
        assert_eq!(client.receive().json()["size"], size);
    }
}

#[test]
fn more_uploads_than_may_wait_hold_up_nothing_else() {
    let server = run(Plan::StoreWhenReleased);
    // Both workers have an upload before the others come: those fill the queue, and no more.
    let mut all = vec![server.begin_upload(), server.begin_upload()];
    let mut others: Vec<Client> = (0..28).map(|_| server.connect()).collect();
    others.iter_mut().for_each(|client| client.send(&request("POST /api/upload-random")));
    all.append(&mut others);
    server.wait_for_metric(
        r#"gcs_uploader_http_requests_total{route="/api/upload-random",method="POST",status="503"} 20"#,
    );
    for _ in 0..50 {
        assert_eq!(server.ask("GET /api/health").status, 200);
    }
    (0..10).for_each(|_| server.release.send(()).unwrap());
    let answers = all.iter_mut().map(|client| client.receive().status);
    assert_eq!(answers.filter(|status| *status == 201).count(), 10);
}
