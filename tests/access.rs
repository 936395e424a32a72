//! Who may upload, and who may not: bearer tokens, as a client and as an operator meet them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Instant;

use support::{Answer, PATIENCE, Process, Server, Store, gcs_uploader, http};
use tempfile::TempDir;

/// A token that `gcs-uploader token new` made.
struct Token {
    secret: String,
    /// Its line for the file.
    line: String,
}

fn token(name: &str) -> Token {
    let output = gcs_uploader().args(["token", "new", name]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let [secret, line] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    Token { secret: secret.to_owned(), line: line.to_owned() }
}

/// A file of tokens.
struct Tokens {
    _dir: TempDir,
    path: PathBuf,
}

impl Tokens {
    fn of(lines: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Self { path: dir.path().join("tokens"), _dir: dir };
        tokens.write(lines);
        tokens
    }

    fn write(&self, lines: &[&str]) {
        fs::write(&self.path, lines.join("\n")).unwrap();
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn server(&self, store: &Store) -> Server {
        Server::start(store, &["--api-tokens-file", self.path()])
    }
}

fn upload(server: &Server, authorization: &[&str]) -> Answer {
    let mut request = http().post(format!("{}/api/upload-random?size=1KiB", server.url));
    for value in authorization {
        request = request.header("Authorization", *value);
    }
    Answer::of(request.send_empty().unwrap())
}

fn upload_with(server: &Server, token: &Token) -> Answer {
    upload(server, &[&format!("Bearer {}", token.secret)])
}

/// Uploads with this token until that is answered in this way.
fn becomes(server: &Server, token: &Token, status: u16) {
    let began = Instant::now();
    while upload_with(server, token).status != status {
        assert!(began.elapsed() < PATIENCE, "uploads never became {status}");
        std::thread::yield_now();
    }
}

#[test]
fn a_token_is_printed_once_with_the_line_for_the_file() {
    let (one, other) = (token("ci"), token("ci"));
    assert_ne!(one.secret, other.secret);
    assert!(one.secret.starts_with("gcsu_") && one.secret.len() >= 5 + 192 / 6);
    let fingerprint = one.line.strip_suffix(" ci").unwrap().strip_prefix("sha256:").unwrap();
    assert!(fingerprint.len() == 64 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit()));
}

#[test]
fn a_token_has_a_sane_name() {
    for name in ["", "a b", "-ci", "ci\n", "gcsu_x"] {
        let output = gcs_uploader().args(["token", "new", "--", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name:?}");
        assert!(output.stdout.is_empty(), "{name:?}");
    }
}

#[test]
fn who_has_no_token_for_it_uploads_nothing() {
    let (good, old) = (token("ci"), token("old"));
    let nothing = format!("{} nothing", old.line);
    let tokens = Tokens::of(&["# who uploads", &good.line, "", &nothing]);
    let store = Store::emulator();
    let server = tokens.server(&store);
    let (good, old) = (format!("Bearer {}", good.secret), format!("Bearer {}", old.secret));
    for (authorization, status, kind, challenge) in [
        (&[][..], 401, "unauthorized", "Bearer realm=\"gcs-uploader\""),
        (&["Basic Y2k6"], 401, "unauthorized", "Bearer realm=\"gcs-uploader\""),
        (&["Bearer gcsu_x"], 401, "unauthorized", "error=\"invalid_token\""),
        (&["Bearer"], 401, "unauthorized", "error=\"invalid_token\""),
        (&[&old[..]], 403, "forbidden", "error=\"insufficient_scope\", scope=\"upload\""),
        (&[&good[..], &good[..]], 400, "bad-authorization", "error=\"invalid_request\""),
    ] {
        let answer = upload(&server, authorization);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.header("www-authenticate").ends_with(challenge), "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["type"], format!("urn:gcs-uploader:problem:{kind}"));
    }
    assert_eq!(store.names(), Vec::<String>::new());
    assert_eq!(upload(&server, &[&good]).status, 201);
}

fn look(server: &Server, path: &str, secret: &str) -> Answer {
    let request = http().get(format!("{}{path}", server.url));
    Answer::of(request.header("Authorization", format!("Bearer {secret}")).call().unwrap())
}

#[test]
fn who_has_no_token_for_it_sees_no_uploads() {
    let (good, wall, old) = (token("ci"), token("wall"), token("old"));
    let lines = [good.line.clone(), format!("{} view", wall.line), format!("{} nothing", old.line)];
    let tokens = Tokens::of(&lines.each_ref().map(String::as_str));
    let store = Store::emulator();
    let server = tokens.server(&store);
    let request = http()
        .post(format!("{}/api/upload-random?size=1KiB", server.url))
        .header("Authorization", format!("Bearer {}", good.secret))
        .header("Prefer", "respond-async");
    let taken = Answer::of(request.send_empty().unwrap());
    assert_eq!((taken.status, taken.json()["caller"].clone()), (202, "ci".into()));
    let location = taken.header("location");

    for path in ["/api/uploads", location, "/api/uploads/00000000000000000000000000000000"] {
        let none = server.get(path);
        assert_eq!(
            (none.status, none.header("www-authenticate")),
            (401, "Bearer realm=\"gcs-uploader\"")
        );
        assert_eq!(look(&server, path, "gcsu_x").status, 401);
        let refused = look(&server, path, &old.secret);
        assert_eq!(refused.status, 403);
        assert!(refused.header("www-authenticate").ends_with("scope=\"view\""), "{refused:?}");
    }
    for token in [&good, &wall] {
        assert_eq!(look(&server, "/api/uploads", &token.secret).status, 200);
        assert_eq!(look(&server, location, &token.secret).json()["caller"], "ci");
    }
    let refused = upload_with(&server, &wall);
    assert_eq!(refused.status, 403, "who may look may not upload");
    assert!(refused.header("www-authenticate").ends_with("scope=\"upload\""), "{refused:?}");
}

// A query that makes no sense says nothing to those who may not upload anyway.
#[test]
fn a_token_is_asked_for_before_all_else() {
    let tokens = Tokens::of(&[&token("ci").line]);
    let store = Store::emulator();
    let server = tokens.server(&store);
    assert_eq!(server.post("/api/upload-random?size=oops").status, 401);
}

#[test]
fn health_and_readiness_and_metrics_and_the_page_stay_open() {
    let tokens = Tokens::of(&[&token("ci").line]);
    let store = Store::emulator();
    let server = tokens.server(&store);
    for path in ["/api/health", "/api/ready", "/metrics", "/"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
}

#[test]
fn who_uploaded_what_is_in_the_log_and_with_the_object() {
    let token = token("nightly-batch");
    let tokens = Tokens::of(&[&token.line]);
    let store = Store::emulator();
    let mut server = tokens.server(&store);
    let answer = upload_with(&server, &token);
    let name = answer.json()["name"].as_str().unwrap().to_owned();
    assert_eq!(store.metadata(&name)["metadata"]["uploaded-by"], "nightly-batch");
    let line = server.process.line_with("stored gs://");
    assert!(line.contains(&name) && line.contains("caller=nightly-batch"), "{line}");
}

#[test]
fn a_token_is_neither_logged_nor_answered_wherever_a_client_puts_it() {
    let token = token("ci");
    let tokens = Tokens::of(&[&token.line]);
    let store = Store::emulator();
    let mut command = gcs_uploader();
    command.args(["serve", "--listen", "127.0.0.1:0", "--bucket", "bucket"]);
    command.args(["--storage-emulator-host", &store.url, "--api-tokens-file", tokens.path()]);
    command.args(["--log", "trace", "--log-format", "json"]);
    let server = Server::from(command);
    let secret = &token.secret;
    let mut answers = Vec::new();
    for path in [
        "/api/upload-random".to_owned(),
        format!("/api/upload-random?access_token={secret}"),
        format!("/api/upload-random?{secret}"),
        format!("/api/upload-random?size={secret}"),
        format!("/api/{secret}"),
    ] {
        for key in ["plain", secret, "\"\u{7f}"] {
            let request = http()
                .post(format!("{}{path}", server.url))
                .header("Authorization", format!("Bearer {secret}"))
                .header("Idempotency-Key", key.replace('\u{7f}', secret))
                .header("X-Request-Id", secret)
                .header("User-Agent", secret);
            answers.push(Answer::of(request.send_empty().unwrap()));
        }
    }
    answers.push(upload(&server, &[&format!("Bearer {secret}x")]));
    answers.push(look(&server, "/api/uploads", secret));
    answers.push(look(&server, &format!("/api/uploads/{secret}"), secret));
    assert!(answers.iter().any(|answer| answer.status == 201));
    for answer in &answers {
        let text = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
        assert!(!text.contains(&secret[5..]), "{text}");
    }
    server.process.signal("TERM");
    let (status, lines) = server.process.wait();
    assert_eq!(status, Some(0));
    assert!(lines.iter().any(|line| line.contains("gcsu_…")), "what is left out is marked");
    for line in lines {
        assert!(!line.contains(&secret[5..]), "{line}");
    }
}

#[test]
fn a_changed_file_counts_without_a_restart() {
    let (one, other) = (token("one"), token("other"));
    let tokens = Tokens::of(&[&one.line]);
    let store = Store::emulator();
    let mut server = tokens.server(&store);
    assert_eq!(
        (upload_with(&server, &one).status, upload_with(&server, &other).status),
        (201, 401)
    );
    tokens.write(&[&other.line]);
    becomes(&server, &one, 401);
    assert_eq!(upload_with(&server, &other).status, 201);

    tokens.write(&[&one.line, "oops"]);
    let began = Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(2) {
        assert_eq!(upload_with(&server, &other).status, 201, "the last good list still counts");
    }
    let complaint = server.process.line_with("ERROR");
    assert!(complaint.contains("line 2") && !complaint.contains("oops"), "{complaint}");
    tokens.write(&[&one.line]);
    becomes(&server, &one, 201);
}

#[test]
fn a_secret_that_kubernetes_replaces_counts_without_a_restart() {
    let (one, other) = (token("one"), token("other"));
    let dir = tempfile::tempdir().unwrap();
    for (version, token) in [("..2026_01", &one), ("..2026_02", &other)] {
        fs::create_dir(dir.path().join(version)).unwrap();
        fs::write(dir.path().join(version).join("tokens"), &token.line).unwrap();
    }
    symlink("..2026_01", dir.path().join("..data")).unwrap();
    symlink("..data/tokens", dir.path().join("tokens")).unwrap();
    let store = Store::emulator();
    let path = dir.path().join("tokens");
    let server = Server::start(&store, &["--api-tokens-file", path.to_str().unwrap()]);
    assert_eq!(upload_with(&server, &one).status, 201);
    symlink("..2026_02", dir.path().join("..data_tmp")).unwrap();
    fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
    becomes(&server, &one, 401);
    assert_eq!(upload_with(&server, &other).status, 201);
}

#[test]
fn invalid_token_file_is_reported_with_its_line_before_the_server_listens() {
    let good = token("ci");
    let tokens = Tokens::of(&[&good.line, "", &good.secret]);
    for (path, expected) in [
        (tokens.path(), "line 3: contains a token itself"),
        ("/nonexistent/tokens", "cannot be read"),
        ("/dev/null", "is not a regular file"),
    ] {
        let output = gcs_uploader()
            .args(["serve", "--listen", "127.0.0.1:0", "--bucket", "bucket"])
            .args(["--api-tokens-file", path])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("API_TOKENS_FILE") && said.contains(expected), "{said}");
        assert!(!said.contains(&good.secret[5..]), "{said}");
    }
}

#[test]
fn without_tokens_it_serves_everybody_and_warns_once() {
    let store = Store::emulator();
    let server = Server::start(&store, &[]);
    for _ in 0..3 {
        assert_eq!(server.post("/api/upload-random?size=1").status, 201);
    }
    server.process.signal("TERM");
    let (_, lines) = server.process.wait();
    let warnings = lines.iter().filter(|line| line.contains("API_TOKENS_FILE is not set")).count();
    assert_eq!(warnings, 1);
}

/// Where the metrics of this server are.
fn metrics_address(process: &mut Process) -> String {
    let line = process.line_with("serving metrics on http://");
    let (_, rest) = line.split_once("http://").unwrap();
    rest.split_once("/metrics").unwrap().0.to_owned()
}

fn ask(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_listener_has_metrics_health_and_readiness_only() {
    let store = Store::emulator();
    let mut server = Server::start(&store, &["--metrics-listen", "127.0.0.1:0"]);
    let address = metrics_address(&mut server.process);
    assert_eq!(server.post("/api/upload-random?size=1000").status, 201);

    let missing = server.get("/metrics");
    assert_eq!(missing.status, 404);
    let detail = missing.json()["detail"].as_str().unwrap().to_owned();
    assert!(!detail.split("Paths: ").nth(1).unwrap().contains("/metrics"), "{detail}");
    let get =
        |path: &str| Answer::of(http().get(format!("http://{address}{path}")).call().unwrap());
    let page = get("/metrics");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("application/openmetrics-text"));
    assert!(
        String::from_utf8(page.body).unwrap().contains("gcs_uploader_stored_bytes_total 1000\n")
    );
    for path in ["/api/health", "/api/ready"] {
        assert_eq!(get(path).status, 200, "{path}");
    }
    for path in ["/api/upload-random", "/api/uploads", "/api/openapi.json", "/"] {
        assert_eq!(get(path).status, 404, "{path}");
    }
    assert!(
        ask(&address, b"POST /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 405 ")
    );
    let head = ask(&address, b"HEAD /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");

    server.process.signal("TERM");
    assert_eq!(server.process.wait().0, Some(0));
}

#[test]
fn silent_connections_to_the_metrics_listener_are_bounded_and_make_room() {
    let store = Store::emulator();
    let mut server = Server::start(&store, &["--metrics-listen", "127.0.0.1:0"]);
    let address = metrics_address(&mut server.process);
    let _silent: Vec<_> = (0..40).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let request = b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let began = std::time::Instant::now();
    let page = loop {
        let page = ask(&address, request);
        if page.starts_with("HTTP/1.1 200 ") {
            break page;
        }
        assert!(page.starts_with("HTTP/1.1 503 "), "{page}");
        assert!(began.elapsed() < PATIENCE, "metrics are never available");
    };
    let open = page.lines().find_map(|line| line.strip_prefix("gcs_uploader_connections "));
    assert!(open.unwrap().parse::<u32>().unwrap() <= 16, "{open:?}");
}

#[test]
fn slow_clients_do_not_keep_metrics_from_others() {
    let store = Store::emulator();
    let mut server = Server::start(&store, &["--metrics-listen", "127.0.0.1:0"]);
    let address = metrics_address(&mut server.process);
    let silent = TcpStream::connect(&address).unwrap();
    let mut slow = TcpStream::connect(&address).unwrap();
    slow.write_all(b"GET /metrics").unwrap();
    let mut gone = TcpStream::connect(&address).unwrap();
    gone.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    drop(gone);
    assert!(ask(&address, b"\x16\x03\x01\x02\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(
        ask(&address, b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            .contains("# EOF")
    );
    drop((silent, slow));
}

#[test]
fn an_address_for_metrics_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = gcs_uploader()
        .args(["serve", "--listen", "127.0.0.1:0", "--bucket", "bucket"])
        .args(["--storage-emulator-host", "127.0.0.1:1", "--metrics-listen", &address])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
}
