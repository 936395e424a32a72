//! Clients that are hostile or broken, against the real binary: each is told what is wrong or is
//! let go of; meanwhile the uploads of others finish, health is answered within a second, and the
//! process keeps within its bound.

#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use gcs_uploader::emulator::{Action, Config, Emulator, RequestKind, Rule, StoreKind};
use serde_json::Value;
use support::Server;
use support::raw::{self, Others, Raw, Reply, request, request_with};

/// The most memory that the process may ever have used, in KiB: with default settings, whatever
/// clients do.
const MEMORY: u64 = 96 << 10;

/// A server with default settings that something is done to, and others who use it meanwhile.
struct Scene {
    emulator: Emulator,
    server: Server,
    others: Others,
}

impl Scene {
    fn begin() -> Self {
        Self::with(&[])
    }

    fn with(settings: &[&str]) -> Self {
        raw::allow_many_descriptors();
        let emulator = Emulator::start(Config {
            listen: ([127, 0, 0, 1], 0).into(),
            store: StoreKind::Memory,
            buckets: vec!["bucket".to_owned()],
        })
        .unwrap();
        // So that uploads are always under way.
        let slow = Rule::on(RequestKind::Data, Action::StallBeforeResponse { ms: 100 });
        emulator.faults().inject(slow.times(u32::MAX));
        let mut command = support::gcs_uploader();
        command.args(["serve", "--listen", "127.0.0.1:0", "--bucket", "bucket"]);
        command.args(["--storage-emulator-host", &emulator.url()]).args(settings);
        let server = Server::from(command);
        let others = Others::of(&server);
        Self { emulator, server, others }
    }

    fn connect(&self) -> Raw {
        Raw::connect(&self.server.url)
    }

    /// The answer to these bytes.
    fn answer_to(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut raw = self.connect();
        raw.send(bytes).unwrap();
        raw.answer().expect("an answer")
    }

    /// The status that these bytes get, which is the connection's last.
    fn refusal_of(&self, bytes: impl AsRef<[u8]>) -> u16 {
        let mut raw = self.connect();
        raw.send(bytes).unwrap();
        let reply = raw.answer().expect("an answer");
        assert_eq!(reply.header("content-type"), "application/problem+json", "{reply:?}");
        assert!(reply.says_close() && raw.is_at_end(), "{reply:?}");
        reply.status
    }

    fn metrics(&self) -> String {
        self.answer_to(request("GET /metrics")).body
    }

    /// Nobody has noticed anything, and the server is as well as before. All that it has logged.
    fn end(self) -> Vec<String> {
        let uploads = self.others.were_served();
        assert!(raw::is_healthy(&self.server.url));
        assert!(uploads >= 3);
        assert_eq!(self.emulator.objects("bucket").len(), uploads, "an object each, and no other");
        let peak = raw::status_of(&self.server.process, "VmHWM");
        raw::say(&format!("{uploads} uploads, {peak} KiB at most"));
        assert!(peak < MEMORY, "{peak} KiB");
        self.server.process.signal("TERM");
        let (status, lines) = self.server.process.wait();
        assert_eq!(status, Some(0), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:#?}");
        lines
    }
}

/// The limits themselves are tested with shorter ones, in `src/server/tests`.
#[test]
fn stalled_and_trickling_heads_delay_no_other_client() {
    let scene = Scene::begin();
    let body =
        |length| request_with("POST /api/upload-random", &format!("Content-Length: {length}"));
    let stalled = [
        "G".to_owned(),
        "GET /api/health HTTP/1.1\r\nHost: test\r\n".to_owned(),
        body(1024),
        body(65536) + "some of it",
    ];
    let mut clients: Vec<Raw> = (0..24).map(|_| scene.connect()).collect();
    for (number, raw) in clients.iter_mut().enumerate() {
        let trickling = "GET /api/health HTTP/1.1\r\nX: ";
        raw.send(stalled.get(number).map_or(trickling, String::as_str)).unwrap();
    }
    for _ in 0..20 {
        for raw in &mut clients[stalled.len()..] {
            raw.send("a").unwrap();
        }
        assert!(raw::is_healthy(&scene.server.url));
    }
    drop(clients);
    scene.end();
}

#[test]
fn heads_without_end_are_cut_off_after_a_few_megabytes() {
    let scene = Scene::begin();
    let piece = [b'a'; 64 << 10];
    let headers = b"A: b\r\n".repeat(10_000);
    let floods = [
        ("", &piece[..]),
        ("GET /", &piece),
        ("GET / HTTP/1.1\r\nHost: test\r\nA: ", &piece),
        ("GET / HTTP/1.1\r\nHost: test\r\n", &headers),
    ];
    for (beginning, piece) in floods {
        let mut raw = scene.connect();
        raw.send(beginning).unwrap();
        let taken = raw.flood(piece);
        assert!(taken < 32 << 20, "{beginning} and {taken} bytes");
    }
    scene.end();
}

#[test]
fn heads_that_are_too_large_are_told_so() {
    let scene = Scene::begin();
    let path = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(1 << 20));
    assert_eq!(scene.refusal_of(path), 414);
    let query = format!("GET /?{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(10_000));
    assert_eq!(scene.refusal_of(query), 414);
    assert_eq!(scene.refusal_of(request_with("GET /", &"A: b\r\n".repeat(10_000))), 431);
    let line = format!("A: {}", "b".repeat(1 << 20));
    assert_eq!(scene.refusal_of(request_with("GET /", &line)), 431);
    scene.end();
}

/// Default settings.
const MAX_CONNECTIONS: u64 = 512;
const WORKERS: u64 = 32;

/// Threads and descriptors that do not depend on the number of connections, with some to spare.
const OTHERS: u64 = 60;

#[test]
fn a_thousand_silent_and_a_thousand_idle_connections_make_room_for_others() {
    let scene = Scene::begin();
    let mut silent: Vec<Raw> = (0..1000).map(|_| scene.connect()).collect();
    let mut idle = Vec::new();
    for _ in 0..1000 {
        let mut raw = scene.connect();
        // Some are rejected: the limit is reached, and no connection has been idle for long.
        if raw.send(request("GET /api/health")).is_ok() && raw.answer().is_some() {
            idle.push(raw);
        }
    }
    assert!(raw::is_healthy(&scene.server.url));
    let threads = raw::status_of(&scene.server.process, "Threads");
    assert!(threads < MAX_CONNECTIONS + WORKERS + OTHERS, "{threads} threads");
    let descriptors = raw::descriptors_of(&scene.server.process);
    let descriptors = descriptors as u64;
    assert!(descriptors < MAX_CONNECTIONS + WORKERS + OTHERS, "{descriptors} descriptors");
    silent.clear();
    idle.clear();
    raw::wait_until("the threads of all connections end", || {
        raw::status_of(&scene.server.process, "Threads") < WORKERS + OTHERS
    });
    scene.end();
}

#[test]
fn bodies_that_are_announced_are_not_waited_for() {
    let scene = Scene::begin();
    for (lines, status) in [
        ("Content-Length: 65537", 413),
        ("Content-Length: 1048576", 413),
        ("Content-Length: 30000000000", 413),
        ("Content-Length: 140737488355328", 413),
        ("Content-Length: 9223372036854775807", 413),
        ("Content-Length: 18446744073709551616", 413),
        ("Content-Length: -1", 400),
        ("Content-Length: abc", 400),
        ("Content-Length: 5\r\nContent-Length: 50", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 30000000000", 400),
        ("Transfer-Encoding: chunked", 411),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Content-Length: 1000\r\nExpect: 100-continue", 417),
        ("Content-Length: 30000000000\r\nExpect: 100-continue", 413),
        ("Transfer-Encoding: chunked\r\nExpect: 100-continue", 411),
    ] {
        for target in ["POST /api/upload-random", "GET /api/health", "BREW /nothing"] {
            assert_eq!(scene.refusal_of(request_with(target, lines)), status, "{target} {lines}");
        }
    }
    scene.end();
}

#[test]
fn bodies_that_come_all_the_same_are_not_taken_for_requests() {
    let scene = Scene::begin();
    let upload = request("POST /api/upload-random");
    let chunked = request_with("POST /api/upload-random", "Transfer-Encoding: chunked");
    for chunks in ["1\r\nx\r\n0\r\n\r\n", "ffffffffffffffff\r\nx", "-1\r\nx", "zz\r\n", ""] {
        assert_eq!(scene.refusal_of(format!("{chunked}{chunks}{upload}")), 411, "{chunks}");
    }
    let announced =
        |length| request_with("POST /api/upload-random", &format!("Content-Length: {length}"));
    assert_eq!(scene.refusal_of(announced(1 << 20) + &upload.repeat(1000)), 413);

    let mut endless = scene.connect();
    endless.send(&chunked).unwrap();
    let taken = endless.flood(
        &b"10000\r\n".iter().chain(&[b'x'; 65536]).chain(b"\r\n").copied().collect::<Vec<_>>(),
    );
    assert!(taken < 32 << 20, "{taken} bytes");

    let mut unannounced = scene.connect();
    unannounced.send(request("GET /api/health") + &"x".repeat(100_000)).unwrap();
    assert_eq!(unannounced.answer().unwrap().status, 200);
    assert_eq!(unannounced.answer().unwrap().status, 414);

    let mut hidden = scene.connect();
    let inner = request("GET /metrics");
    let length = format!("Content-Length: {}", inner.len());
    hidden
        .send(request_with("GET /api/health", &length) + &inner + &request("GET /api/ready"))
        .unwrap();
    assert_eq!(hidden.answer().unwrap().body, r#"{"status":"ok"}"#);
    assert!(hidden.answer().unwrap().header("content-type").ends_with("json"), "not the metrics");
    scene.end();
}

/// A file's upload that announces its length in these header lines, and some of its body.
fn file(lines: &str, body: &str) -> String {
    request_with("PUT /api/upload", lines) + body
}

#[test]
fn files_that_cannot_be_stored_are_refused_unread() {
    let scene = Scene::begin();
    for (lines, status) in [
        ("Content-Length: 30000000000", 413),
        ("Content-Length: 9223372036854775807", 413),
        ("Content-Length: 18446744073709551616", 413),
        ("Content-Length: 30000000000\r\nExpect: 100-continue", 413),
        ("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 30000000000", 413),
        ("Content-Length: 5\r\nExpect: the-worst", 417),
        ("Content-Length: -1", 400),
        ("Content-Length: 5\r\nContent-Length: 50", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Content-Length: 30000\r\nContent-Encoding: gzip", 415),
        ("Content-Length: 30000\r\nContent-Range: bytes 0-29999/90000", 400),
        ("Content-Length: 30000\r\nContent-MD5: nonsense", 400),
        ("Content-Length: 30000\r\nContent-Type: multipart/form-data", 400),
        ("Content-Length: 30000\r\nContent-Disposition: attachment; filename=\"../a\"", 400),
        ("Transfer-Encoding: chunked\r\nIdempotency-Key: a", 400),
    ] {
        assert_eq!(scene.refusal_of(file(lines, "some")), status, "{lines}");
    }
    // Whoever sends such a file all the same is let go of after a few megabytes.
    let mut endless = scene.connect();
    endless.send(file("Content-Length: 30000000000", "")).unwrap();
    let taken = endless.flood(&[b'x'; 65536]);
    assert!(taken < 32 << 20, "{taken} bytes");
    scene.end();
}

#[test]
fn bodies_that_are_not_what_they_say_leave_no_object() {
    let scene = Scene::begin();
    let chunked = "Transfer-Encoding: chunked";
    let form = "Content-Type: multipart/form-data; boundary=b";
    let part = "--b\r\nContent-Disposition: form-data; filename=a\r\n\r\n";
    let ending = |body: String| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let formed = |body: &str| file(&format!("{form}\r\n{chunked}"), &ending(body.to_owned()));
    let long = "x".repeat(70_000);
    for text in [
        file(chunked, "zz\r\nx"),
        file(chunked, "-1\r\nx"),
        file(chunked, "+1\r\nx\r\n0\r\n\r\n"),
        file(chunked, " 1\r\nx\r\n0\r\n\r\n"),
        file(chunked, "1\nx\n0\n\n"),
        file(chunked, "10000000000000000\r\nx"),
        file(chunked, "1\r\nxy\r\n0\r\n\r\n"),
        file(chunked, &format!("1;{}\r\nx", "e".repeat(5000))),
        file(chunked, &format!("1\r\nx\r\n0\r\n{}", "A: b\r\n".repeat(5000))),
        formed(""),
        formed("--c\r\n"),
        formed(part),
        formed(&format!("{part}half")),
        formed(&format!("{part}half\r\n--b")),
        formed(&format!("{part}half\r\n--bb--")),
        formed("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nno file\r\n--b--"),
        formed(&format!("--b\r\nA: {long}\r\n\r\n\r\n--b--")),
        formed(&format!("--b\r\n{}\r\n\r\n--b--", "A: b\r\n".repeat(100))),
        formed(&format!("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n{long}\r\n--b--")),
        formed(&("--b\r\n\r\n\r\n".repeat(101) + "--b--")),
        formed(&long),
    ] {
        assert_eq!(scene.answer_to(&text).status, 400, "{text}");
    }
    scene.end();
}

#[test]
fn clients_that_vanish_with_a_file_leave_no_object_and_no_worker_busy() {
    let scene = Scene::begin();
    let form = "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked";
    let part = "fff\r\n--b\r\nContent-Disposition: form-data; filename=a\r\n\r\nhalf";
    let megabytes = "x".repeat(20 << 20);
    for number in 0..60 {
        let mut raw = scene.connect();
        raw.send(match number % 5 {
            0 => file("Content-Length: 5000000000", "some of it"),
            1 => file("Transfer-Encoding: chunked", "7fffffff\r\nsome of it"),
            2 => file("Content-Length: 1000", ""),
            3 => file(form, part),
            _ => file("Content-Length: 5000000000", &megabytes[..(number << 17)]),
        })
        .unwrap();
        // Some say that no more will come; the others are gone at once.
        if number % 2 == 0 {
            raw.finish();
            assert_eq!(raw.answer().map(|reply| reply.status), Some(400), "{number}");
        }
    }
    raw::wait_until("all of them are noticed", || {
        let page = scene.metrics();
        page.contains("gcs_uploader_uploads_total{outcome=\"client-gone\"} 60\n")
    });
    scene.end();
}

/// The limits themselves are tested with shorter ones, in `src/server/tests`.
#[test]
fn stalled_and_trickling_files_delay_no_other_client() {
    let scene = Scene::with(&["--workers", "24"]);
    let mut clients: Vec<Raw> = (0..16).map(|_| scene.connect()).collect();
    for (number, raw) in clients.iter_mut().enumerate() {
        raw.send(match number % 5 {
            0 => file("Content-Length: 30000", ""),
            1 => file("Transfer-Encoding: chunked", "5\r\nhell"),
            2 => file("Content-Length: 5000000000", &"x".repeat(1 << 20)),
            3 => file("Content-Length: 30000", "x"),
            _ => file(
                "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked",
                "5\r\n--b\r\n\r\n",
            ),
        })
        .unwrap();
    }
    for _ in 0..20 {
        for raw in clients.iter_mut().skip(3).step_by(5) {
            raw.send("x").unwrap();
        }
        assert!(raw::is_healthy(&scene.server.url));
    }
    drop(clients);
    raw::wait_until("all workers are free", || {
        let page = scene.metrics();
        let gone = "gcs_uploader_uploads_total{outcome=\"client-gone\"} 16\n";
        page.contains(gone)
    });
    scene.end();
}

#[test]
fn a_chunked_body_without_end_is_cut_off_at_the_maximum() {
    let scene = Scene::with(&["--max-upload-size", "16MiB"]);
    let piece =
        b"10000\r\n".iter().chain(&[b'x'; 65536]).chain(b"\r\n").copied().collect::<Vec<_>>();
    let form = "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked";
    let part = "--b\r\nContent-Disposition: form-data; filename=a\r\n\r\n";
    for beginning in [
        file("Transfer-Encoding: chunked", ""),
        file(form, &format!("{:x}\r\n{part}\r\n", part.len())),
    ] {
        let mut endless = scene.connect();
        endless.send(beginning).unwrap();
        let taken = endless.flood(&piece);
        assert!((16 << 20..64 << 20).contains(&taken), "{taken} bytes");
    }
    scene.end();
}

#[test]
fn nonsense_is_told_so() {
    let scene = Scene::begin();
    for (bytes, status) in [
        (&b"GET /api/health\r\n"[..], 400),
        (b"GET /api/health HTTP/0.9\r\n\r\n", 505),
        (b"GET /api/health HTTP/1.2\r\n\r\n", 505),
        (b"GET /api/health HTTP/3.0\r\nContent-Length: 30000000000\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        // The beginning of what a TLS client sends first.
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\0\0\0\0\0\0\0\0", 400),
        (b"SSH-2.0-OpenSSH_9.9\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\nHost: test\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: test\r\nA : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: test\r\nA: b\r\n c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: test\r\nA: \0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: test\r\nUser-Agent: \xff\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: test\n\n", 400),
        (b"\r\n\r\n\r\n\r\n?? / HTTP/1.1\r\n\r\n", 400),
    ] {
        assert_eq!(scene.refusal_of(bytes), status, "{}", bytes.escape_ascii());
    }
    for target in [
        "/%00",
        "/api/health%00",
        "/%ff",
        "//api/health",
        "/api/../api/health",
        "/api/./health",
        "/api/%2e%2e/api/health",
        "/api\\health",
        "/..",
        "/api/health/",
        "/API/HEALTH",
        "/api/health;a=b",
        "*",
        "test:80",
        "api/health",
        "http://test?",
        "http://test//",
        "ftp://test/api/health",
    ] {
        assert_eq!(scene.answer_to(request(&format!("GET {target}"))).status, 404, "{target}");
    }
    for query in ["size=%00", "size=%ff", "size=1&size=1", "=", "%3d", "size", "&&&a", "size=1;2"] {
        let target = format!("POST /api/upload-random?{query}");
        assert_eq!(scene.answer_to(request(&target)).status, 400, "{query}");
    }
    for method in ["get", "G", "CONNECT", "TRACE", "x-very-long-method-name-indeed", "%00", "|"] {
        let reply = scene.answer_to(request(&format!("{method} /api/health")));
        assert_eq!((reply.status, reply.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    scene.end();
}

#[test]
fn requests_pipelined_by_the_hundred_are_answered_one_after_the_other() {
    let scene = Scene::begin();
    let mut raw = scene.connect();
    for target in ["/api/health", "/metrics"] {
        raw.send(request(&format!("GET {target}")).repeat(500)).unwrap();
        for number in 0..500 {
            assert_eq!(raw.answer().unwrap().status, 200, "{target} {number}");
        }
    }
    scene.end();
}

#[test]
fn clients_that_never_read_or_vanish_cost_only_themselves() {
    let scene = Scene::begin();
    let mut deaf: Vec<Raw> = (0..20).map(|_| scene.connect()).collect();
    let text = request("GET /metrics").repeat(400);
    deaf.iter_mut().for_each(|raw| raw.send(&text).unwrap());
    for number in 0..200 {
        let mut raw = scene.connect();
        raw.send(request("GET /metrics").repeat(number % 50)).unwrap();
        // Dropped with the answers unread, the connection is reset.
        drop(raw);
        let mut raw = scene.connect();
        raw.send(&request("GET /api/health")[..number % 20]).unwrap();
        drop(raw);
    }
    for _ in 0..20 {
        let mut raw = scene.connect();
        raw.send(request("GET /api/health")).unwrap();
        raw.finish();
        assert_eq!(raw.answer().unwrap().status, 200, "who has said all is still answered");
    }
    scene.end();
}

#[test]
fn an_upload_whose_client_vanishes_is_finished() {
    let scene = Scene::begin();
    let mut raw = scene.connect();
    let line = "X-Request-Id: vanished";
    raw.send(request_with("POST /api/upload-random?size=1KiB", line)).unwrap();
    drop(raw);
    raw::wait_until("the object is there", || {
        scene.emulator.objects("bucket").iter().any(|object| object.size == 1024)
    });
    let lines = {
        let Scene { emulator, server, others } = scene;
        let uploads = others.were_served();
        assert_eq!(emulator.objects("bucket").len(), uploads + 1);
        server.process.signal("TERM");
        server.process.wait().1
    };
    assert!(lines.iter().any(|line| line.contains("vanished") && line.contains("stored")));
}

/// What a client may try to write into a log or an answer.
const INJECTIONS: [&str; 6] = [
    "x%0d%0aSet-Cookie:%20forged=1",
    "x%0aERROR%20forged",
    "x\",\"severity\":\"forged",
    "x%1b[31mforged",
    "x\\r\\nforged",
    "${jndi:forged}",
];

fn inject(scene: &Scene) {
    for text in INJECTIONS {
        for bytes in [
            request(&format!("GET /{text}")),
            request(&format!("POST /api/upload-random?size={text}")),
            request(&format!("POST /api/upload-random?{text}=1")),
            request_with("GET /api/nothing", &format!("X-Request-Id: {text}")),
            request_with("GET /api/nothing", &format!("User-Agent: {text}")),
            request_with("POST /", &format!("Content-Length: 9999999\r\nX-Request-Id: {text}")),
        ] {
            let reply = scene.answer_to(&bytes);
            assert!((400..500).contains(&reply.status), "{bytes}");
            assert!(!reply.headers.contains_key("set-cookie"), "{bytes}: {reply:?}");
            let id = reply.header("x-request-id");
            assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{id}");
            let body: Value = serde_json::from_str(&reply.body).unwrap();
            assert_eq!(body["requestId"], id, "{bytes}");
            assert!(reply.headers.values().all(|value| !value.contains("forged")), "{reply:?}");
        }
    }
    // A header cannot hold a line end: what is behind it is another header, or makes no sense.
    for text in ["x\r\nforged", "x\nSet-Cookie: forged=1", "x\rforged", "x\0forged"] {
        let bytes = request_with("GET /", &format!("X-Request-Id: {text}"));
        assert_eq!(scene.refusal_of(&bytes), 400, "{bytes:?}");
    }
}

#[test]
fn nothing_that_is_echoed_begins_a_header_or_a_line_of_the_json_log() {
    let scene = Scene::with(&["--log-format", "json", "--log", "debug"]);
    inject(&scene);
    for line in scene.end() {
        let entry: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_ne!(entry["severity"], "forged", "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
}

#[test]
fn nothing_that_is_echoed_begins_a_line_of_the_text_log() {
    let scene = Scene::with(&["--log-format", "text", "--log", "debug"]);
    inject(&scene);
    for line in scene.end() {
        let begins = line.trim_start_matches('[').as_bytes();
        assert!(begins.len() > 10 && begins[..4].iter().all(u8::is_ascii_digit), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
}
