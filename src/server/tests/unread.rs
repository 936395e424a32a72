//! Bodies that are announced: none of them may hold a thread of ours, or be allocated.

use serde_json::json;

use super::*;

/// The answer to a request with these header lines, whose body never comes.
fn announce(server: &Running, method_and_target: &str, lines: &str) -> (Client, Reply) {
    let mut client = server.connect();
    client.send(&format!("{method_and_target} HTTP/1.1\r\nHost: t\r\n{lines}\r\n\r\n"));
    let reply = client.receive();
    (client, reply)
}

#[test]
fn a_long_body_is_413_however_long_and_the_server_lives_on() {
    let server = run(Plan::Store);
    let mut clients = Vec::new();
    for length in [
        "1025",
        "1048576",
        "30000000000",
        "140737488355328",
        "9223372036854775807",
        "18446744073709551616",
    ] {
        let lines = format!("Content-Length: {length}");
        let (client, reply) = announce(&server, "POST /api/upload-random", &lines);
        reply.assert_problem(json!({
            "type": "body-too-large", "title": "Request body too large", "status": 413,
            "detail": "No request here has a body; one of up to 1024 bytes is ignored.",
            "maximum": 1024,
        }));
        assert!(reply.says_close());
        clients.push(client);
        assert_eq!(server.ask("GET /api/health").status, 200, "{length}");
    }
    drop(clients);
    assert_eq!(server.ask("POST /api/upload-random").status, 201);
    server.wait_for_metric("gcs_uploader_connections_stranded_total 3");
}

#[test]
fn on_any_path_and_with_any_method() {
    let server = run(Plan::Store);
    for target in ["GET /api/health", "GET /metrics", "PUT /nothing", "DELETE /api/ready"] {
        let (_, reply) = announce(&server, target, "Content-Length: 30000000000");
        assert_eq!(reply.status, 413, "{target}");
    }
    let mut client = server.connect();
    client.send("HEAD /api/health HTTP/1.1\r\nContent-Length: 30000000000\r\n\r\n");
    assert_eq!(client.head().status, 413);
}

#[test]
fn a_body_of_unknown_length_is_411() {
    let server = run(Plan::Store);
    let lines = "Transfer-Encoding: chunked";
    let (_, reply) = announce(&server, "POST /api/upload-random", lines);
    reply.assert_problem(json!({
        "type": "chunked-body", "title": "Chunked request body", "status": 411,
        "detail": "No request here has a body: send it without one, and without \
            Transfer-Encoding.",
    }));
}

#[test]
fn what_follows_an_unread_body_is_not_taken_for_a_request() {
    let server = run(Plan::Store);
    for lines in [
        "Transfer-Encoding: chunked",
        "Content-Length: abc",
        "Content-Length: 18446744073709551616",
        "Content-Length: 0\r\nContent-Length: 44",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
    ] {
        let mut client = server.connect();
        let head = format!("POST /api/upload-random HTTP/1.1\r\n{lines}\r\n\r\n");
        client.send(&(head + &request("POST /api/upload-random")));
        assert!(client.receive().says_close(), "{lines}");
        client.send(&request("POST /api/upload-random"));
        assert_eq!(server.ask("GET /api/health").status, 200, "{lines}");
    }
    server.wait_for_metric("gcs_uploader_http_requests_dropped_total 10");
    assert!(server.began.is_empty(), "nothing was uploaded");
}

#[test]
fn a_body_that_is_held_back_is_417() {
    let server = run(Plan::Store);
    let lines = "Content-Length: 10\r\nExpect: 100-continue";
    let (_, reply) = announce(&server, "POST /api/upload-random", lines);
    reply.assert_problem(json!({
        "type": "expectation-failed", "title": "Expectation failed", "status": 417,
        "detail": "No request here has a body: send it without one, and without Expect.",
    }));
    assert_eq!(server.ask("GET /api/health").status, 200);
}

#[test]
fn an_ambiguous_body_is_400() {
    let server = run(Plan::Store);
    for lines in [
        "Content-Length: abc",
        "Content-Length: -1",
        "Content-Length: +2000",
        "Content-Length: 0\r\nContent-Length: 30000000000",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
    ] {
        let (_, reply) = announce(&server, "POST /api/upload-random", lines);
        reply.assert_problem(json!({
            "type": "ambiguous-body", "title": "Ambiguous request body", "status": 400,
            "detail": "Content-Length must be one whole number, and not come with \
                Transfer-Encoding.",
        }));
    }
}

#[test]
fn a_refused_body_that_comes_after_all_strands_nothing() {
    let server = run(Plan::Store);
    for _ in 0..3 {
        let lines = "Content-Length: 1000000";
        let (mut client, reply) = announce(&server, "POST /api/upload-random", lines);
        assert_eq!(reply.status, 413);
        client.send(&"x".repeat(1_000_000));
    }
    server.wait_for_metric("gcs_uploader_connections_stranded_total 0");
}

#[test]
fn behind_an_upload_it_waits_for_its_turn() {
    let server = run(Plan::StoreWhenReleased);
    let mut client = server.connect();
    client.send(&request("POST /api/upload-random"));
    client.send("GET /api/health HTTP/1.1\r\nContent-Length: 30000000000\r\n\r\n");
    server.began.recv_timeout(PATIENCE).unwrap();
    assert_eq!(server.ask("GET /api/health").status, 200);
    server.release.send(()).unwrap();
    assert_eq!(client.receive().status, 201);
    assert_eq!(client.receive().status, 413);
}

#[test]
fn too_many_stranded_connections_end_the_server_in_good_order() {
    let server = Setup { strays: 2, ..Setup::new(Plan::StoreWhenReleased) }.run();
    let mut running = server.begin_upload();
    let _first = announce(&server, "GET /api/health", "Content-Length: 30000000000");
    assert_eq!(server.ask("GET /api/ready").status, 200);
    let _second = announce(&server, "GET /api/health", "Content-Length: 30000000000");
    server.wait_for("/api/ready", |reply| reply.status == 503);
    server.release.send(()).unwrap();
    assert_eq!(running.receive().status, 201);
    assert!(matches!(server.end(), Err(RunError::Stranded(2))));
}
