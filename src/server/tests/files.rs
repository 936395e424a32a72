//! Clients' own files: what each request becomes, and what each client is told that does not keep to
//! what it announced.

use serde_json::json;

use super::*;
use crate::content::Crc32c;

fn upload(target: &str, lines: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n{lines}\r\n{body}")
}

fn chunked(lines: &str, chunks: &str) -> String {
    let head = "POST /api/upload HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked";
    format!("{head}\r\n{lines}\r\n{chunks}")
}

fn form(parts: &[&str]) -> String {
    let parts = parts.iter().map(|part| format!("--b\r\n{part}\r\n")).collect::<String>();
    upload(
        "/api/upload",
        "Content-Type: multipart/form-data; boundary=b\r\n",
        &(parts + "--b--\r\n"),
    )
}

fn part(file_name: &str, content: &str) -> String {
    format!("Content-Disposition: form-data; name=\"f\"; filename=\"{file_name}\"\r\n\r\n{content}")
}

impl Running {
    fn reply_to(&self, text: &str) -> Reply {
        let mut client = self.connect();
        client.send(text);
        client.receive()
    }

    /// The kind of problem that these bytes get.
    fn problem_of(&self, text: &str) -> (u16, String) {
        let reply = self.reply_to(text);
        assert_eq!(reply.header("content-type"), "application/problem+json", "{text}: {reply:?}");
        let kind = reply.json()["type"].as_str().unwrap().to_owned();
        (reply.status, kind.trim_start_matches("urn:gcs-uploader:problem:").to_owned())
    }
}

#[test]
fn a_file_is_answered_with_what_was_stored() {
    let server = run(Plan::Store);
    let reply = server.reply_to(&upload(
        "/api/upload?name=2026/a.txt",
        "Content-Type: text/plain; charset=utf-8\r\nX-Request-Id: order-7\r\n",
        "hello",
    ));
    assert_eq!(reply.status, 201);
    assert_eq!(
        reply.json(),
        json!({
            "bucket": "bucket", "name": "in box/2026/a.txt", "size": 5,
            "crc32c": Crc32c::of(b"hello"), "generation": "1700000000000001",
            "contentType": "text/plain; charset=utf-8", "uri": "gs://bucket/in box/2026/a.txt",
            "requestId": "order-7", "resumed": 0, "retried": 0, "bytesSent": 5,
            "durationSeconds": 1.5,
        })
    );
    let url = "https://storage.test/storage/v1/b/bucket/o/in%20box%2F2026%2Fa.txt";
    assert_eq!(reply.header("location"), url);
    let metadata = server.began.recv().unwrap().metadata;
    assert_eq!(
        metadata.into_iter().collect::<Vec<_>>(),
        [("request-id".to_owned(), "order-7".to_owned())]
    );
}

#[test]
fn a_chunked_body_is_a_file_as_well_and_the_connection_goes_on() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    for (text, size) in [
        (chunked("", "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nA: b\r\n\r\n"), 11),
        (chunked("", "0\r\n\r\n"), 0),
        (upload("/api/upload", "", ""), 0),
        (upload("/api/upload", "", &"x".repeat(100_000)), 100_000),
    ] {
        client.send(&(text + &request("GET /api/health")));
        let reply = client.receive();
        assert_eq!((reply.status, &reply.json()["size"]), (201, &size.into()), "{reply:?}");
        assert_eq!(client.receive().body, r#"{"status":"ok"}"#);
    }
}

#[test]
fn the_name_is_the_querys_the_paths_the_headers_or_a_new_one() {
    let server = run(Plan::Store);
    let disposition = "Content-Disposition: attachment; filename=\"c d.txt\"\r\n";
    let extended = "Content-Disposition: attachment; filename=x; filename*=UTF-8''%C3%A4.txt\r\n";
    for (target, lines, name) in [
        ("/api/upload?name=a%20b.txt", disposition, "a b.txt"),
        ("/api/upload/p.txt?name=q.txt", "", "q.txt"),
        ("/api/upload/2026/%C3%A4+1.txt", disposition, "2026/ä+1.txt"),
        ("/api/upload/", disposition, "c d.txt"),
        ("/api/upload", extended, "ä.txt"),
    ] {
        let reply = server.reply_to(&upload(target, lines, "x"));
        assert_eq!(reply.json()["name"], format!("in box/{name}"), "{target}");
    }
    let names: Vec<String> = ["/api/upload", "/api/upload/", "/api/upload?name="]
        .iter()
        .map(|target| server.reply_to(&upload(target, "", "x")).json()["name"].to_string())
        .collect();
    assert!(names.iter().all(|name| name.len() == "\"in box/\"".len() + 36), "{names:?}");
}

#[test]
fn a_name_can_be_made_unique() {
    let server = run(Plan::Store);
    let target = "/api/upload?name=a/report.pdf&unique=1";
    let name =
        server.reply_to(&upload(target, "", "x")).json()["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("in box/a/report-") && name.ends_with(".pdf"), "{name}");
    assert_eq!(name.len(), "in box/a/report-.pdf".len() + 36);
}

#[test]
fn a_name_that_no_object_should_have_is_refused() {
    let server = run(Plan::Store);
    let long = "x".repeat(1100);
    for name in ["/a", "a/../b", "..", "a//b", "a%0Ab", "a%00", &long] {
        for target in [format!("/api/upload?name={name}"), format!("/api/upload/{name}")] {
            let problem = server.problem_of(&upload(&target, "", "x"));
            assert_eq!(problem, (400, "bad-name".to_owned()), "{target}");
        }
    }
    assert_eq!(server.problem_of(&upload("/api/upload/%ff", "", "x")).1, "bad-name");
    assert!(server.began.is_empty());
}

#[test]
fn the_type_is_stored_as_it_is_stated() {
    let server = run(Plan::Store);
    for (lines, stored) in [
        ("", "application/octet-stream"),
        ("Content-Type: image/png\r\n", "image/png"),
        ("Content-Type: Text/CSV; header=present\r\n", "Text/CSV; header=present"),
        ("Content-Type: application/x-www-form-urlencoded\r\n", "application/octet-stream"),
    ] {
        let reply = server.reply_to(&upload("/api/upload", lines, "x"));
        assert_eq!(reply.json()["contentType"], stored, "{lines}");
    }
}

#[test]
fn each_file_of_a_form_is_stored_and_answered() {
    let server = run(Plan::Store);
    let field = "Content-Disposition: form-data; name=\"note\"\r\n\r\nnot a file";
    let nothing_chosen = part("", "");
    let typed = "Content-Disposition: form-data; name=f; filename=b.csv\r\nContent-Type: text/csv\r\n\
        \r\na,b\r\n--c\r\n";
    let reply = server.reply_to(&form(&[&part("ä.txt", "one"), field, typed, &nothing_chosen]));
    assert_eq!(reply.status, 201, "{reply:?}");
    let body = reply.json();
    let uploads = body["uploads"].as_array().unwrap();
    let stored = uploads.iter().map(|u| (&u["name"], &u["size"], &u["contentType"]));
    assert_eq!(
        stored.collect::<Vec<_>>(),
        [
            (&json!("in box/ä.txt"), &json!(3), &json!("application/octet-stream")),
            (&json!("in box/b.csv"), &json!(10), &json!("text/csv")),
        ]
    );
    assert_eq!(uploads[1]["crc32c"], json!(Crc32c::of(b"a,b\r\n--c\r\n")));
    assert_eq!(body["requestId"], reply.header("x-request-id"));
    assert!(!reply.says_close());
}

#[test]
fn the_files_before_the_one_that_fails_are_told() {
    let server = run(Plan::Store);
    let wrong = "Content-Disposition: form-data; filename=c\r\nContent-MD5: \
        1B2M2Y8AsgTpgAmY7PhCfg==\r\n\r\nthree";
    let reply =
        server.reply_to(&form(&[&part("a", "one"), &part("b", "two"), wrong, &part("d", "")]));
    assert_eq!((reply.status, &reply.json()["name"]), (422, &json!("in box/c")));
    let body = reply.json();
    let names = body["uploads"].as_array().unwrap().iter().map(|upload| &upload["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["in box/a", "in box/b"]);
}

#[test]
fn a_form_that_makes_no_sense_is_refused() {
    let server = run(Plan::Store);
    let typed = |value: &str, body: &str| {
        upload("/api/upload", &format!("Content-Type: {value}\r\n"), body)
    };
    for (text, kind) in [
        (form(&[]), "malformed-body"),
        (form(&["Content-Disposition: form-data; name=a\r\n\r\nfield"]), "malformed-body"),
        (form(&[&part("../a", "x")]), "bad-name"),
        (
            form(&["Content-Disposition: form-data; filename=\"a\r\n\r\nx"]),
            "bad-content-disposition",
        ),
        (typed("multipart/form-data; boundary=b", "--b\r\n\r\nhalf"), "malformed-body"),
        (typed("multipart/form-data; boundary=b", ""), "malformed-body"),
        (typed("multipart/form-data", "x"), "bad-content-type"),
        (typed("multipart/form-data; boundary=\"\"", "x"), "bad-content-type"),
        (typed("nonsense", "x"), "bad-content-type"),
        (typed("a/b\r\nContent-Type: c/d", "x"), "bad-content-type"),
        (
            typed("multipart/form-data; boundary=b\r\nContent-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==", ""),
            "bad-checksum",
        ),
    ] {
        assert_eq!(server.problem_of(&text), (400, kind.to_owned()), "{text}");
    }
    let named = form(&[&part("a", "x")]).replace("/api/upload", "/api/upload?name=b");
    assert_eq!(server.problem_of(&named), (400, "bad-parameter".to_owned()));
}

#[test]
fn checksums_are_held_to_the_bytes() {
    let server = run(Plan::Store);
    let right = "x-goog-hash: crc32c=yZRlqg==\r\nx-goog-hash: md5=XrY7u+Ae7tCTyyK7j1rNww==\r\n\
        Repr-Digest: sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:\r\n";
    assert_eq!(server.reply_to(&upload("/api/upload", right, "hello world")).status, 201);
    let reply = server.reply_to(&upload("/api/upload?name=a", right, "hello World"));
    assert_eq!(reply.status, 422);
    assert_eq!(reply.json()["type"], "urn:gcs-uploader:problem:checksum-mismatch");
    assert!(!reply.says_close(), "all of the body was read");
    for lines in ["x-goog-hash: crc32c=yZ\r\n", "Content-MD5: x\r\n", "Repr-Digest: sha-256=x\r\n"]
    {
        let problem = server.problem_of(&upload("/api/upload", lines, "x"));
        assert_eq!(problem, (400, "bad-checksum".to_owned()), "{lines}");
    }
}

#[test]
fn what_an_upload_has_no_use_for_is_refused() {
    let server = run(Plan::Store);
    for (text, status, kind) in [
        (request("POST /api/upload"), 411, "length-required"),
        (upload("/api/upload?size=1", "", "x"), 400, "bad-parameter"),
        (upload("/api/upload?unique=yes", "", "x"), 400, "bad-parameter"),
        (upload("/api/upload?name=a&name=b", "", "x"), 400, "bad-parameter"),
        (upload("/api/upload", "Idempotency-Key: k\r\n", "x"), 400, "bad-idempotency-key"),
        (upload("/api/upload", "Content-Range: bytes 0-0/5\r\n", "x"), 400, "content-range"),
        (upload("/api/upload", "Content-Encoding: gzip\r\n", "x"), 415, "content-coding"),
        (
            upload("/api/upload", "Content-Disposition: a; b\r\n", "x"),
            400,
            "bad-content-disposition",
        ),
    ] {
        assert_eq!(server.problem_of(&text), (status, kind.to_owned()), "{text}");
    }
    let reply = server.ask("GET /api/upload");
    assert_eq!((reply.status, reply.header("allow")), (405, "POST, PUT"));
    assert!(server.began.is_empty());
}

#[test]
fn a_name_that_is_taken_is_409() {
    let server = run(Plan::Fail(ErrorKind::Conflict));
    let reply = server.reply_to(&upload("/api/upload?name=a", "", "x"));
    assert_eq!((reply.status, &reply.json()["object"]), (409, &json!("none")));
    assert_eq!(reply.json()["type"], "urn:gcs-uploader:problem:object-exists");
    server.wait_for_metric(r#"gcs_uploader_uploads_total{outcome="name-taken"} 1"#);
}

#[test]
fn a_file_that_is_too_large_is_told_as_soon_as_that_is_known() {
    let server =
        Setup::new(Plan::Store).with(|config| config.max_upload_size = ByteSize::bytes(1000)).run();
    let announced = |length: u64| {
        format!("PUT /api/upload HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")
    };
    for length in [1001, 30_000_000_000, u64::MAX] {
        let reply = server.reply_to(&announced(length));
        assert_eq!((reply.status, &reply.json()["maximum"]), (413, &1000.into()), "{length}");
        assert!(reply.says_close());
    }
    assert!(server.began.is_empty(), "nothing was begun");
    assert_eq!(server.reply_to(&(announced(1000) + &"x".repeat(1000))).status, 201);
    // Of these, not all is ever sent.
    let too_much = format!("3e9\r\n{}", "x".repeat(1001));
    let form = chunked("Content-Type: multipart/form-data; boundary=b\r\n", "");
    let part = format!("--b\r\n{}", part("a", &"x".repeat(2000)));
    for text in [chunked("", &too_much), format!("{form}{:x}\r\n{part}", 1_u64 << 40)] {
        let reply = server.reply_to(&text);
        assert_eq!((reply.status, &reply.json()["maximum"]), (413, &1000.into()), "{text}");
    }
    server.wait_for_metric(r#"gcs_uploader_uploads_total{outcome="too-large"} 2"#);
}

#[test]
fn a_client_is_told_to_go_on_once_a_worker_has_its_request() {
    let small = |config: &mut Config| {
        config.workers = NonZeroUsize::MIN;
        config.queue_depth = 1;
    };
    let server = Setup::new(Plan::StoreWhenReleased).with(small).run();
    let expecting = "PUT /api/upload?name=a HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: \
        100-continue\r\n\r\n";
    let mut running = server.begin_upload();
    let mut waiting = server.connect();
    waiting.send(expecting);
    server.wait_for_metric("gcs_uploader_queue_depth 1");

    let refused = server.reply_to(expecting);
    assert_eq!((refused.status, refused.says_close()), (503, true), "and not 100");

    server.release.send(()).unwrap();
    assert_eq!(running.receive().status, 201);
    assert_eq!(waiting.head().status, 100);
    waiting.send("hello");
    server.release.send(()).unwrap();
    let reply = waiting.receive();
    assert_eq!((reply.status, &reply.json()["size"]), (201, &5.into()));
    assert!(!reply.says_close());
}

#[test]
fn a_client_whose_request_is_refused_is_not_told_to_go_on() {
    let server = run(Plan::Store);
    let expecting = |target: &str, lines: &str| {
        format!("PUT {target} HTTP/1.1\r\nHost: t\r\n{lines}\r\nExpect: 100-continue\r\n\r\n")
    };
    for (target, lines, status) in [
        ("/api/upload?name=..", "Content-Length: 5", 400),
        ("/api/upload", "Content-Length: 30000000000", 413),
        ("/api/upload", "Content-Length: 5\r\nContent-MD5: x", 400),
        ("/api/upload", "Content-Length: 5\r\nExpect: more", 417),
    ] {
        let reply = server.reply_to(&expecting(target, lines));
        assert_eq!((reply.status, reply.says_close()), (status, true), "{target} {lines}");
    }
    let told = server.reply_to(&expecting("/api/upload", "Content-Length: 0"));
    assert_eq!(told.status, 201, "there is nothing to go on with");
}

#[test]
fn client_that_disconnects_or_stalls_frees_its_worker() {
    let mut setup = Setup::new(Plan::Store).with(|config| config.workers = NonZeroUsize::MIN);
    setup.limits.body_stall_timeout = Duration::from_millis(300);
    let server = setup.run();
    let form = form(&[&part("a", "xxx")]);
    for text in [
        &upload("/api/upload", "", "hello").replace("Length: 5", "Length: 9"),
        &chunked("", "5\r\nhel"),
        &form[..form.len() - "x\r\n--b--\r\n".len()],
    ] {
        let mut client = server.connect();
        client.send(text);
        client.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
        let reply = client.receive();
        assert_eq!((reply.status, reply.says_close()), (400, true), "{text}");
        assert!(reply.body.contains("incomplete-body"), "{reply:?}");
        let mut client = server.connect();
        client.send(text);
        let reply = client.receive();
        assert_eq!((reply.status, reply.says_close()), (408, true), "{text}");
    }
    server.wait_for_metric(r#"gcs_uploader_uploads_total{outcome="client-gone"} 3"#);
    server.wait_for_metric(r#"gcs_uploader_uploads_total{outcome="client-stalled"} 3"#);
    server.wait_for_metric("gcs_uploader_workers_busy 0");
}

#[test]
fn client_below_the_minimum_rate_gets_408() {
    let mut setup = Setup::new(Plan::Store);
    setup.limits.body_stall_timeout = Duration::from_millis(300);
    let server = setup.run();
    let mut client = server.connect();
    client.send("PUT /api/upload HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n");
    let mut writer = client.0.get_ref().try_clone().unwrap();
    let trickle = thread::spawn(move || {
        while writer.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let reply = client.receive();
    assert_eq!((reply.status, reply.says_close()), (408, true), "{reply:?}");
    server.wait_for_metric(r#"gcs_uploader_uploads_total{outcome="client-slow"} 1"#);
    drop(client);
    trickle.join().unwrap();
}

#[test]
fn a_broken_chunk_ends_the_upload_and_the_connection() {
    let server = run(Plan::Store);
    for chunks in ["zz\r\n", "-1\r\nx", "5 \r\nhello\r\n", "5\r\nhello!\r\n0\r\n\r\n", "\r\n"] {
        let reply = server.reply_to(&(chunked("", chunks) + &request("GET /metrics")));
        assert_eq!((reply.status, reply.says_close()), (400, true), "{chunks}");
        assert!(reply.body.contains("malformed-body"), "{reply:?}");
    }
}

#[test]
fn what_follows_a_body_that_was_not_read_is_not_taken_for_a_request() {
    let server = run(Plan::Store);
    let inner = request("GET /metrics");
    let mut client = server.connect();
    client.send(&upload("/api/upload?name=..", "", &(inner.clone() + &"x".repeat(200_000))));
    let reply = client.receive();
    assert_eq!((reply.status, reply.says_close()), (400, true));
    assert!(client.is_at_end());
    // Where all of it has come, it is known where the next one begins.
    let mut client = server.connect();
    client.send(&(upload("/api/upload?name=..", "", &inner) + &request("GET /api/health")));
    assert_eq!(client.receive().status, 400);
    assert_eq!(client.receive().body, r#"{"status":"ok"}"#);
}

#[test]
fn an_upload_in_flight_is_finished_while_the_server_drains() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    client.send("PUT /api/upload HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhello");
    server.began.recv_timeout(TIMEOUT).unwrap();
    server.stop();
    server.wait_for("/api/ready", |reply| reply.status == 503);
    client.send("world");
    assert_eq!(client.receive().status, 201);
    server.end().unwrap();
}

#[test]
fn an_upload_that_does_not_end_in_time_is_cancelled_and_told() {
    let brief = |config: &mut Config| config.drain_timeout = Duration::from_millis(400);
    let server = Setup::new(Plan::Store).with(brief).run();
    let mut client = server.connect();
    client.send("PUT /api/upload HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhello");
    server.began.recv_timeout(TIMEOUT).unwrap();
    server.stop();
    let reply = client.receive();
    assert_eq!((reply.status, reply.header("retry-after")), (503, "5"), "{reply:?}");
    assert!(reply.body.contains("problem:interrupted"), "{reply:?}");
    server.end().unwrap();
}
