//! A full queue, pipelines, and a listening socket that fails: the face stays awake.

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
        "type": "queue-full", "title": "Too many uploads at once", "status": 503,
        "detail": "1 uploads are under way and 1 wait; no more may wait.",
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
    server.began.recv_timeout(PATIENCE).unwrap();
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
fn a_pipeline_that_is_too_long_is_cut() {
    let server = run(Plan::StoreWhenReleased);
    let mut client = server.connect();
    client.send(&(request("POST /api/upload-random") + &request("GET /api/health").repeat(40)));
    server.wait_for_metric("gcs_uploader_http_requests_dropped_total 8");
    server.release.send(()).unwrap();
    assert_eq!(client.receive().status, 201);
    for _ in 0..31 {
        assert!(!client.receive().says_close());
    }
    assert!(client.receive().says_close(), "the last one says that no more will come");
}

#[test]
fn a_client_that_never_reads_holds_up_nobody_else_and_is_given_up() {
    let server = run(Plan::Store);
    let mut deaf = server.connect();
    let (mut sent, mut watched) = (0, 0);
    let began = Instant::now();
    loop {
        // Fewer than may be parked, and again and again until the sockets' buffers are full.
        deaf.send(&request("GET /metrics").repeat(10));
        sent += 10;
        loop {
            let asked = Instant::now();
            let page = server.ask("GET /metrics").body;
            assert!(asked.elapsed() < HELD_UP, "took {:?}", asked.elapsed());
            assert!(began.elapsed() < PATIENCE, "the client was never given up");
            if value(&page, "gcs_uploader_http_requests_dropped_total ") > 0 {
                return;
            }
            if value(&page, METRICS_ANSWERED) == sent + watched {
                watched += 1;
                break;
            }
            watched += 1;
        }
    }
}

/// Less than a client who does not read holds up the thread that answers it.
const HELD_UP: Duration = Duration::from_millis(1900);

const METRICS_ANSWERED: &str =
    r#"gcs_uploader_http_requests_total{route="/metrics",method="GET",status="200"} "#;

fn value(page: &str, metric: &str) -> u32 {
    let line = page.lines().find_map(|line| line.strip_prefix(metric));
    line.map_or(0, |value| value.parse().unwrap())
}

#[test]
fn goes_on_listening_when_accepting_fails_and_serves_the_connections_that_it_has() {
    let server = run(Plan::Store);
    let mut kept = vec![server.connect()];
    for _ in 0..3 {
        let failures = accept_failures(&mut kept[0]);
        // The accept under way takes one more connection, and the next one fails.
        server.listener.set_nonblocking(true).unwrap();
        kept.push(server.connect());
        while accept_failures(&mut kept[0]) == failures {
            thread::yield_now();
        }
        server.listener.set_nonblocking(false).unwrap();
        kept.push(server.connect());
        for client in &mut kept {
            assert_eq!(client.ask("GET /api/health").status, 200);
            assert_eq!(client.ask("POST /api/upload-random").status, 201);
        }
    }
    server.stop();
    server.end().unwrap();
}

fn accept_failures(client: &mut Client) -> u32 {
    value(&client.ask("GET /metrics").body, "gcs_uploader_accept_failures_total ")
}
