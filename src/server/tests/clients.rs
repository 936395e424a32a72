//! Clients that are slow, silent, too many, or send what is no request: each is told or let go of,
//! and nobody else notices.

use serde_json::json;

use super::*;
use crate::server::auth;

/// Limits that a test can wait for.
const SHORT: Duration = Duration::from_millis(200);

fn with_limits(change: impl FnOnce(&mut Limits)) -> Running {
    let mut setup = Setup::new(Plan::Store);
    change(&mut setup.limits);
    setup.run()
}

/// Sends this, and gets the answer that is the connection's last.
fn last_answer(server: &Running, text: &str) -> Reply {
    let mut client = server.connect();
    client.send(text);
    let reply = client.receive();
    assert!(reply.says_close() && client.is_at_end(), "{text}: {reply:?}");
    reply
}

fn with_lines(method_and_target: &str, lines: &str) -> String {
    format!("{method_and_target} HTTP/1.1\r\nHost: t\r\n{lines}\r\n\r\n")
}

#[test]
fn what_is_refused_is_a_problem_like_any_other() {
    let server = run(Plan::Store);
    let text = with_lines("GET /api/health", "Content-Length: 30000000000\r\nX-Request-Id: my-1");
    let reply = last_answer(&server, &text);
    reply.assert_problem(json!({
        "type": "body-too-large", "title": "Request body too large", "status": 413,
        "detail": "This request takes no body; a body of up to 65536 bytes is ignored.",
        "maximum": 65_536,
    }));
    assert_eq!(reply.header("x-request-id"), "my-1");
    assert!(httpdate::parse_http_date(reply.header("date")).is_ok());
    server
        .wait_for_metric(r#"gcs_uploader_http_requests_refused_total{reason="body-too-large"} 1"#);
}

/// The refusals that a client's head can earn: their status, their type, and their title.
#[test]
fn every_kind_of_refusal_is_a_problem_of_its_own() {
    let server = run(Plan::Store);
    let malformed = (400, "malformed-request", "Malformed request");
    let ambiguous = (400, "ambiguous-body", "Ambiguous request body");
    let chunked = (411, "chunked-body", "Chunked request body not supported here");
    let long_target = (414, "target-too-long", "Path and query too long");
    let expectation = (417, "expectation-failed", "Expectation failed");
    let large_head = (431, "head-too-large", "Request head too large");
    let coding = (501, "transfer-coding", "Transfer coding not supported");
    let version = (505, "http-version", "HTTP version not supported");
    for (text, (status, slug, title), says) in [
        ("GARBAGE\r\n\r\n".to_owned(), malformed, "Invalid HTTP/1.1 request"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), malformed, "exactly one Host header"),
        (with_lines("POST /", "Content-Length: abc"), ambiguous, "one whole number"),
        (with_lines("POST /", "Transfer-Encoding: chunked"), chunked, "without Transfer-Encoding"),
        (with_lines(&format!("GET /{}", "a".repeat(9000)), "A: b"), long_target, "8192 bytes"),
        (with_lines("POST /", "Expect: 1\r\nContent-Length: 1"), expectation, ""),
        (with_lines("GET /", &"A: b\r\n".repeat(100)), large_head, "up to 64"),
        (with_lines("GET /", &format!("A: {}", "b".repeat(17_000))), large_head, "16384 bytes"),
        (with_lines("POST /", "Transfer-Encoding: gzip"), coding, "transfer coding"),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), version, "use HTTP/1.1 without TLS"),
    ] {
        let reply = last_answer(&server, &text);
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(!detail.is_empty() && detail.contains(says), "{text}: {detail}");
        reply.assert_problem(json!({
            "type": slug, "title": title, "status": status, "detail": detail,
        }));
    }
}

/// A server to which the tokens `one` (to upload) and `two` (for nothing) are known.
fn with_tokens() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    let line = |token, rest| format!("{} {rest}\n", auth::Fingerprint::of(token));
    std::fs::write(&path, line("one", "ci") + &line("two", "old nothing")).unwrap();
    let access = Authenticator::by_file(&path).unwrap();
    Setup::new(Plan::Store).with(|config| config.auth = access).run()
}

#[test]
fn who_may_not_upload_is_told_why_and_challenged() {
    let server = with_tokens();
    let realm = r#"Bearer realm="gcs-uploader""#;
    for (lines, status, slug, title, says, challenge) in [
        (
            "A: b",
            401,
            "unauthorized",
            "Authentication required",
            "send \"Authorization: Bearer TOKEN\"",
            "",
        ),
        (
            "Authorization: Bearer three",
            401,
            "unauthorized",
            "Authentication required",
            "Unknown token: it is mistyped or has been revoked.",
            r#", error="invalid_token""#,
        ),
        (
            "Authorization: Bearer two",
            403,
            "forbidden",
            "Insufficient scope of the token",
            "The token of old does not have the scope upload.",
            r#", error="insufficient_scope", scope="upload""#,
        ),
        (
            "Authorization: Bearer one\r\nAuthorization: Bearer one",
            400,
            "bad-authorization",
            "Invalid Authorization header",
            "Authorization was sent more than once: send exactly one.",
            r#", error="invalid_request""#,
        ),
    ] {
        let mut client = server.connect();
        client.send(&with_lines("POST /api/upload-random", lines));
        let reply = client.receive();
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{detail}");
        reply.assert_problem(json!({
            "type": slug, "title": title, "status": status, "detail": detail,
        }));
        assert_eq!(reply.header("www-authenticate"), format!("{realm}{challenge}"));
    }
    assert!(server.began.is_empty(), "nothing was uploaded");
}

#[test]
fn a_senseless_idempotency_key_is_told_what_one_is() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    client.send(&with_lines("POST /api/upload-random", "Idempotency-Key: a, b"));
    client.receive().assert_problem(json!({
        "type": "bad-idempotency-key", "title": "Invalid Idempotency-Key", "status": 400,
        "detail": "Idempotency-Key must be 1 to 255 printable ASCII characters in double quotes; \
            without quotes, letters, digits and !#$%&'*+-.^_`|~:/ will do.",
    }));
    assert!(server.began.is_empty(), "nothing was uploaded");
}

#[test]
fn what_follows_a_refused_request_is_not_taken_for_another() {
    let server = run(Plan::Store);
    for lines in ["Transfer-Encoding: chunked", "Content-Length: 0\r\nContent-Length: 44"] {
        let upload = with_lines("POST /api/upload-random", "A: b");
        last_answer(&server, &(with_lines("POST /api/upload-random", lines) + &upload));
    }
    assert_eq!(server.ask("GET /api/health").status, 200);
    assert!(server.began.is_empty(), "nothing was uploaded");
}

#[test]
fn a_refusal_arrives_although_the_client_goes_on_sending() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    client.send(&with_lines("POST /api/upload-random", "Content-Length: 1000000"));
    client.send(&"x".repeat(1_000_000));
    assert_eq!(client.receive().status, 413);
}

#[test]
fn a_body_is_thrown_away_and_the_next_request_found_behind_it() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    let body = "GET /forged HTTP/1.1\r\n\r\n".repeat(1000);
    let announced = with_lines("GET /api/health", &format!("Content-Length: {}", body.len()));
    client.send(&(announced + &body + &request("GET /api/ready")));
    assert_eq!(client.receive().body, r#"{"status":"ok"}"#);
    assert_eq!(client.receive().body, r#"{"status":"ready"}"#);
}

#[test]
fn incomplete_head_or_discarded_body_is_408() {
    let server = with_limits(|limits| limits.request_timeout = SHORT);
    let body = with_lines("GET /api/health", "Content-Length: 10") + "x";
    for text in ["G", "GET /api/health HTTP/1.1\r\nHost: t\r\n", &body] {
        last_answer(&server, text).assert_problem(json!({
            "type": "request-timeout", "title": "Request timed out",
            "status": 408, "detail": "The request was not complete within 0.2 s.",
        }));
    }
}

#[test]
fn trickling_head_is_408_at_its_deadline_and_delays_no_other_client() {
    let server = with_limits(|limits| limits.request_timeout = SHORT);
    let trickle = |mut client: Client| {
        let mut writer = client.0.get_ref().try_clone().unwrap();
        let writing = thread::spawn(move || {
            while writer.write_all(b"a").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        (writing, thread::spawn(move || client.receive().status))
    };
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /api/health HTTP/1.1\r\nX: ");
            trickle(client)
        })
        .collect();
    assert_eq!(server.ask("GET /api/health").status, 200);
    for (writing, receiving) in clients {
        assert_eq!(receiving.join().unwrap(), 408);
        writing.join().unwrap();
    }
}

#[test]
fn trickling_head_is_accepted_within_its_deadline() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    for byte in request("GET /api/health").chars() {
        client.send(&byte.to_string());
    }
    assert_eq!(client.receive().status, 200);
}

#[test]
fn a_connection_without_requests_ends_in_silence() {
    let server = with_limits(|limits| limits.idle_timeout = SHORT);
    let mut silent = server.connect();
    let mut idle = server.connect();
    assert_eq!(idle.ask("GET /api/health").status, 200);
    assert!(silent.is_at_end() && idle.is_at_end());
    server.wait_for_metric(r#"gcs_uploader_connections_cut_total{reason="idle"} 2"#);
}

#[test]
fn a_client_that_never_reads_is_given_up() {
    let server = with_limits(|limits| limits.response_timeout = SHORT);
    let mut deaf = server.connect();
    let cut = r#"gcs_uploader_connections_cut_total{reason="answer-not-taken"} 1"#;
    let sending = thread::spawn(move || {
        let text = request("GET /metrics").repeat(100);
        while deaf.0.get_mut().write_all(text.as_bytes()).is_ok() {}
    });
    server.wait_for_metric(cut);
    sending.join().unwrap();
}

#[test]
fn new_connection_evicts_an_idle_one_at_the_connection_limit() {
    let few = |config: &mut Config| config.max_connections = NonZeroUsize::new(4).unwrap();
    let server = Setup::new(Plan::StoreWhenReleased).with(few).run();
    let mut running = server.begin_upload();
    let mut silent: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    // A connection that was just accepted is not evicted.
    let mut early = server.connect();
    let refused = early.receive();
    refused.assert_problem(json!({
        "type": "too-many-connections", "title": "Too many connections", "status": 503,
        "detail": "The server is at its connection limit.",
    }));
    assert_eq!((refused.header("retry-after"), refused.says_close()), ("2", true));
    assert!(early.is_at_end());

    server.wait_for("/api/health", |reply| reply.status == 200);
    assert!(silent[0].is_at_end(), "the connection that has been idle for longest is evicted");
    server.release.send(()).unwrap();
    assert_eq!(
        running.receive().status,
        201,
        "a connection that awaits its response is never evicted"
    );
}

#[test]
fn request_key_of_a_client_is_ignored() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    client.send(&with_lines("GET /api/health", "X-Request-Key: 0000000000000000"));
    assert_eq!(client.receive().status, 200);
}
