//! What the server logs: lines that Cloud Logging reads, one for each request and each upload.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use serde_json::Value;
use support::{Process, Server, Store, http};

/// A server that has answered what `use_it` asked, and all that it logged by its end.
fn logged(settings: &[&str], use_it: impl FnOnce(&Server)) -> Vec<String> {
    let store = Store::emulator();
    let server = Server::start(&store, settings);
    use_it(&server);
    let Server { process, .. } = server;
    process.signal("TERM");
    let (status, lines) = Process::wait(process);
    assert_eq!(status, Some(0), "{lines:#?}");
    lines
}

fn json(lines: &[String]) -> Vec<Value> {
    let parse =
        |line: &String| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    lines.iter().map(parse).collect()
}

/// The only line of which this is true.
fn the_one(lines: &[Value], is: impl Fn(&Value) -> bool) -> Value {
    let found: Vec<_> = lines.iter().filter(|line| is(line)).collect();
    let [line] = found[..] else { panic!("one line of {lines:#?}") };
    line.clone()
}

#[test]
fn every_line_is_an_object_that_cloud_logging_reads() {
    let lines = logged(&["--log-format", "json"], |server| {
        server.post("/api/upload-random?size=10KiB");
        server.get("/nowhere");
    });
    for line in json(&lines) {
        for field in ["severity", "message", "time"] {
            assert!(line[field].is_string(), "{field} in {line}");
        }
        assert!(
            ["INFO", "WARNING", "ERROR"].contains(&line["severity"].as_str().unwrap()),
            "{line}"
        );
    }
}

#[test]
fn an_upload_has_a_line_for_the_request_and_one_for_the_object_under_one_id() {
    let lines = logged(&["--log-format", "json"], |server| {
        let url = format!("{}/api/upload-random?size=10KiB", server.url);
        let answer = http().post(url).header("X-Request-Id", "order-7").send_empty().unwrap();
        assert_eq!(answer.headers()["x-request-id"], "order-7");
    });
    let ours: Vec<_> =
        json(&lines).into_iter().filter(|line| line["requestId"] == "order-7").collect();
    let request = the_one(&ours, |line| line["httpRequest"].is_object());
    let http_request = &request["httpRequest"];
    assert_eq!(http_request["requestMethod"], "POST");
    assert_eq!(http_request["status"], 201);
    assert!(http_request["latency"].as_str().unwrap().ends_with('s'), "{request}");
    let object = the_one(&ours, |line| line["crc32c"].is_string());
    assert_eq!(object["size"], 10240);
}

#[test]
fn text_for_people_has_a_line_for_each_request_and_none_for_probes() {
    let lines = logged(&[], |server| {
        server.get("/api/health");
        server.get("/api/ready");
        server.post("/api/upload-random?size=1KiB");
        server.get("/nowhere");
    });
    let with = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(with("/api/health") + with("/api/ready"), 0, "{lines:#?}");
    assert_eq!(with("/api/upload-random"), 1, "{lines:#?}");
    assert_eq!(with("/nowhere"), 1, "{lines:#?}");
}

#[test]
fn no_line_shows_a_sessions_secret_at_any_level() {
    let lines = logged(&["--log", "trace"], |server| {
        assert_eq!(server.post("/api/upload-random?size=1MiB").status, 201);
        server.get("/api/health");
    });
    assert!(
        lines.iter().any(|line| line.contains("DEBUG") || line.contains("TRACE")),
        "{lines:#?}"
    );
    let shown = lines.iter().find(|line| line.contains("upload_id"));
    assert_eq!(shown, None);
}
