//! Every row of the contract that goes well, and every error of the client's own making.

use serde_json::json;

use super::*;
use crate::content::{Crc32c, RandomContent, Seed};

#[test]
fn health_is_ok() {
    let reply = run(Plan::Store).ask("GET /api/health");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.body, r#"{"status":"ok"}"#);
    assert!(httpdate::parse_http_date(reply.header("date")).is_ok());
    assert!(!reply.says_close());
}

#[test]
fn health_ignores_its_query() {
    assert_eq!(run(Plan::Store).ask("GET /api/health?verbose=1").status, 200);
}

#[test]
fn ready_when_the_uploader_is() {
    let reply = run(Plan::Store).ask("GET /api/ready");
    assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"status":"ready"}"#));
}

#[test]
fn not_ready_says_why() {
    let setup = Setup { ready: Err("no token yet".to_owned()), ..Setup::new(Plan::Store) };
    let server = setup.run();
    let reply = server.ask("GET /api/ready");
    reply.assert_problem(json!({
        "type": "not-ready", "title": "Not ready for uploads", "status": 503,
        "detail": "no token yet",
    }));
    assert_eq!(server.ask("GET /api/health").status, 200, "health never depends on that");
}

#[test]
fn metrics_are_open_metrics() {
    let server = run(Plan::StoreAfterFaults);
    assert_eq!(server.ask("POST /api/upload-random?size=1000").status, 201);
    let reply = server.ask("GET /metrics");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    for line in [
        r#"gcs_uploader_http_requests_total{route="/api/upload-random",method="POST",status="201"} 1"#,
        r#"gcs_uploader_uploads_total{outcome="stored"} 1"#,
        "gcs_uploader_stored_bytes_total 1000",
        "gcs_uploader_sent_bytes_total 1000",
        r#"gcs_uploader_upload_retries_total{cause="503"} 1"#,
        r#"gcs_uploader_upload_resumptions_total{cause="broken"} 1"#,
        "gcs_uploader_workers 2",
        "gcs_uploader_workers_busy 0",
        "gcs_uploader_queue_capacity 8",
        "gcs_uploader_queue_depth 0",
        r#"gcs_uploader_build_info{version="0.0.0"} 1"#,
    ] {
        assert!(reply.body.lines().any(|is| is == line), "{line}\nis not in\n{}", reply.body);
    }
    assert!(reply.body.ends_with("# EOF\n"));
}

#[test]
fn the_page_comes_whole_with_what_a_browser_is_to_hold_it_to() {
    let reply = run(Plan::Store).ask("GET /");
    assert_eq!((reply.status, reply.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(reply.body.starts_with("<!doctype html>") && reply.body.ends_with("</html>\n"));
    let policy = reply.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(policy.contains("; frame-ancestors 'none'"), "{policy}");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    assert_eq!(reply.header("cross-origin-opener-policy"), "same-origin");
}

#[test]
fn an_upload_is_answered_with_what_was_stored() {
    let server = run(Plan::Store);
    let reply = server.ask("POST /api/upload-random?size=300KiB");
    assert_eq!(reply.status, 201);
    let body = reply.json();
    let seed = Seed::from_hex(body["seed"].as_str().unwrap()).unwrap();
    let content = RandomContent::new(seed, 300 << 10);
    let name = body["name"].as_str().unwrap();
    assert!(name.starts_with("in box/"));
    assert_eq!(
        body,
        json!({
            "bucket": "bucket", "name": name, "size": 307_200, "crc32c": content.crc32c(),
            "generation": "1700000000000001", "contentType": "application/octet-stream",
            "uri": format!("gs://bucket/{name}"), "seed": seed.to_string(),
            "requestId": reply.header("x-request-id"), "resumed": 0, "retried": 0,
            "bytesSent": 307_200, "durationSeconds": 1.5,
        })
    );
    assert!(Crc32c::from_base64(body["crc32c"].as_str().unwrap()).is_some());
    let escaped = name.replace(' ', "%20").replace('/', "%2F");
    assert_eq!(
        reply.header("location"),
        format!("https://storage.test/storage/v1/b/bucket/o/{escaped}")
    );
}

#[test]
fn the_object_carries_its_seed_and_the_requests_id() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    client.send("POST /api/upload-random HTTP/1.1\r\nHost: t\r\nX-Request-Id: order-7.1\r\n\r\n");
    let reply = client.receive();
    assert_eq!(reply.header("x-request-id"), "order-7.1");
    let object = server.began.recv().unwrap();
    assert_eq!(object.content_type, "application/octet-stream");
    assert_eq!(object.metadata["request-id"], "order-7.1");
    assert_eq!(object.metadata["seed"], reply.json()["seed"].as_str().unwrap());
}

#[test]
fn sizes_are_read_as_people_write_them() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    for (query, size) in [
        ("", 1 << 20),
        ("?", 1 << 20),
        ("?size=0", 0),
        ("?size=1", 1),
        ("?size=64KiB", 64 << 10),
        ("?size=1%4DiB", 1 << 20),
        ("?s%69ze=5kB", 5000),
        ("?size=16MiB", 16 << 20),
    ] {
        let reply = client.ask(&format!("POST /api/upload-random{query}"));
        assert_eq!(reply.json()["size"], size, "{query}");
    }
}

#[test]
fn a_short_body_is_ignored() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    let post = "POST /api/upload-random HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody";
    client.send(post);
    assert_eq!(client.receive().status, 201);
    client.send(post);
    assert_eq!(client.receive().status, 201, "the connection goes on behind the body");
}

#[test]
fn head_is_get_without_the_body() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    for target in ["/api/health", "/api/ready", "/metrics", "/"] {
        let get = client.ask(&format!("GET {target}"));
        let head = client.ask(&format!("HEAD {target}"));
        assert_eq!(head.status, get.status);
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert_ne!(head.header("content-length"), "");
    }
    assert_eq!(client.ask("GET /api/health").body, r#"{"status":"ok"}"#, "nothing is left over");
}

#[test]
fn every_answer_has_an_id_of_its_own() {
    let server = run(Plan::Store);
    let ids = ["GET /api/health", "GET /nothing", "POST /api/upload-random", "PUT /metrics"]
        .map(|request| server.ask(request).header("x-request-id").to_owned());
    for id in &ids {
        assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7);
        assert_eq!(ids.iter().filter(|other| *other == id).count(), 1);
    }
}

#[test]
fn an_id_that_is_not_sane_is_not_echoed() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    client.send("GET /api/health HTTP/1.1\r\nHost: t\r\nX-Request-Id: a b\r\n\r\n");
    let reply = client.receive();
    assert!(uuid::Uuid::parse_str(reply.header("x-request-id")).is_ok());
}

#[test]
fn unknown_paths_are_404() {
    let server = run(Plan::Store);
    let reply = server.ask("GET /api/health/");
    reply.assert_problem(json!({
        "type": "not-found", "title": "Path not found", "status": 404,
        "detail": "No such path: \"/api/health/\". Paths: \
            /api/health, /api/ready, /metrics, /api/openapi.json, /api/upload, /api/upload-random, \
            /api/uploads, /, /api/uploads/{id}.",
    }));
    for target in
        ["/index.html", "/api", "/api/Health", "//api/health", "/api/../metrics", "*", "/%00"]
    {
        assert_eq!(server.ask(&format!("GET {target}")).status, 404, "{target}");
    }
}

#[test]
fn another_method_is_405_with_those_that_are_allowed() {
    let server = run(Plan::Store);
    let reply = server.ask("DELETE /api/health");
    reply.assert_problem(json!({
        "type": "method-not-allowed", "title": "Method not allowed", "status": 405,
        "detail": "The path \"/api/health\" supports only GET, HEAD.",
    }));
    for (request, allow) in [
        ("POST /api/health", "GET, HEAD"),
        ("POST /api/ready", "GET, HEAD"),
        ("BREW /metrics", "GET, HEAD"),
        ("POST /", "GET, HEAD"),
        ("GET /api/upload-random", "POST"),
        ("OPTIONS /api/upload-random", "POST"),
    ] {
        let reply = server.ask(request);
        assert_eq!((reply.status, reply.header("allow")), (405, allow), "{request}");
    }
    let head = server.ask("HEAD /api/upload-random");
    assert_eq!((head.status, head.header("allow")), (405, "POST"));
}

#[test]
fn an_unknown_parameter_is_400_and_named() {
    run(Plan::Store).ask("POST /api/upload-random?siez=1").assert_problem(json!({
        "type": "bad-parameter", "title": "Invalid query parameter", "status": 400,
        "detail": "Unknown parameter \"siez\"; expected: size.", "parameter": "siez",
    }));
}

#[test]
fn a_size_given_twice_is_400() {
    run(Plan::Store).ask("POST /api/upload-random?size=1&size=1").assert_problem(json!({
        "type": "bad-parameter", "title": "Invalid query parameter", "status": 400,
        "detail": "The parameter size was sent more than once.", "parameter": "size",
    }));
}

#[test]
fn a_senseless_size_is_400_and_says_what_makes_sense() {
    let server = run(Plan::Store);
    server.ask("POST /api/upload-random?size=a%0d%0alot").assert_problem(json!({
        "type": "bad-parameter", "title": "Invalid query parameter", "status": 400,
        "detail": "size: invalid size \"a\\r\\nlot\": use bytes (1048576) or a whole number \
            with a unit (64KiB, 1MiB, 5GB).", "parameter": "size",
    }));
    for size in ["", "-1", "1.5MiB", "1+MiB", "%ff", "99999999999999999999"] {
        let reply = server.ask(&format!("POST /api/upload-random?size={size}"));
        assert_eq!(reply.status, 400, "{size}");
    }
    assert!(server.began.is_empty(), "nothing was uploaded");
}

#[test]
fn a_size_beyond_the_maximum_is_413_and_says_the_maximum() {
    let server = run(Plan::Store);
    server.ask("POST /api/upload-random?size=16777217").assert_problem(json!({
        "type": "size-too-large", "title": "Size too large", "status": 413,
        "detail": "size is 16777217B; the maximum is 16MiB.", "maximum": 16_777_216,
    }));
}

#[test]
fn a_client_that_asks_for_the_end_of_its_connection_gets_it() {
    let server = run(Plan::Store);
    for head in [
        "GET /api/health HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        "GET /api/health HTTP/1.0\r\n\r\n",
        "POST /api/upload-random HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(head);
        assert!(client.receive().says_close(), "{head}");
        assert!(client.is_at_end(), "{head}");
    }
}
