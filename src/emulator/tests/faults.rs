//! Injected faults, each as its client sees it.

use std::time::Instant;

use super::*;
use crate::emulator::{Action, Break, Processing, RawResponse, RequestKind, Rule, Target};

fn inject(emulator: &Emulator, on: impl Into<Target>, action: Action) {
    emulator.faults().inject(Rule::on(on, action));
}

fn whole(content: &[u8]) -> (String, String) {
    (format!("bytes 0-{}/{}", content.len() - 1, content.len()), content.len().to_string())
}

/// Sends a whole object. The connection may break.
fn try_put(session: &Session<'_>, content: &[u8]) -> io::Result<Response> {
    let (range, _) = whole(content);
    let headers = [("Content-Range", range.as_str())];
    Connection::to(session.emulator).request("PUT", &session.target, &headers, content)
}

#[test]
fn status_with_retry_after_replaces_the_request() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    for retry_after in ["2", "Wed, 21 Oct 2026 07:28:00 GMT"] {
        let retry_after = Some(retry_after.to_owned());
        let action = Action::Status { status: 503, retry_after: retry_after.clone() };
        inject(&emulator, RequestKind::Data, action);
        let response = try_put(&session, b"abc").unwrap();
        assert_eq!(
            (response.status, response.header("Retry-After")),
            (503, retry_after.as_deref())
        );
        assert_eq!(response.reason(), "ordered");
    }
    assert_eq!(session.persisted(), 0);
    assert_eq!(try_put(&session, b"abc").unwrap().status, 200);
}

#[test]
fn break_in_the_body_keeps_whole_steps() {
    let emulator = emulator();
    let content = bytes(8 * STEP);
    for with in [Break::Reset, Break::Close] {
        let session = Session::start(&emulator, "a");
        let bytes = 2 * STEP as u64 + 5;
        inject(&emulator, RequestKind::Data, Action::BreakAfterRequestBytes { bytes, with });
        try_put(&session, &content).expect_err("the connection is broken");
        assert_eq!(session.persisted(), 2 * STEP as u64, "{with:?}");
        let seen = emulator.faults().requests();
        let broken = seen.iter().rev().find(|seen| seen.kind == RequestKind::Data).unwrap();
        assert_eq!((broken.body_bytes, broken.status, broken.fault), (bytes, None, true));
    }
}

#[test]
fn break_is_a_tcp_reset_or_an_end_of_file() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    let action = Action::BreakBeforeResponse { with: Break::Reset };
    inject(&emulator, RequestKind::Data, action);
    let error = try_put(&session, b"abc").expect_err("the connection is reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let action = Action::BreakBeforeResponse { with: Break::Close };
    inject(&emulator, RequestKind::Status, action);
    let mut connection = Connection::to(&emulator);
    let headers = [("Content-Range", "bytes */*")];
    let error =
        connection.request("PUT", &session.target, &headers, b"").expect_err("it is closed");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn break_before_the_body_prevents_processing() {
    let emulator = emulator();
    let with = Break::Reset;
    let rule = Rule::on(Target::Any, Action::BreakAfterRequestBytes { bytes: 0, with }).times(2);
    emulator.faults().inject(rule);
    let start = format!("{UPLOADS}?uploadType=resumable&name=a");
    Connection::to(&emulator).request("POST", &start, &[], b"").expect_err("broken");
    let media = format!("{UPLOADS}?uploadType=media&name=a");
    Connection::to(&emulator).request("POST", &media, &[], b"abc").expect_err("broken");
    assert_eq!(emulator.objects(BUCKET), []);
    assert_eq!(emulator.faults().pending(), []);
}

#[test]
fn break_before_the_response_follows_processing() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    let action = Action::BreakBeforeResponse { with: Break::Reset };
    inject(&emulator, RequestKind::Data, action);
    try_put(&session, b"abc").expect_err("the response is lost");
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), b"abc");
    assert_eq!(session.status().status, 200);
}

#[test]
fn break_after_the_whole_body_follows_processing() {
    let emulator = emulator();
    for size in [3, STEP + 9] {
        let content = bytes(size);
        let session = Session::start(&emulator, "a");
        let action = Action::BreakAfterRequestBytes { bytes: size as u64, with: Break::Reset };
        inject(&emulator, RequestKind::Data, action);
        try_put(&session, &content).expect_err("the response is lost");
        assert_eq!(session.status().status, 200);
    }
}

#[test]
fn break_in_the_response_sends_exactly_the_bytes_before_it() {
    let emulator = emulator();
    put(&emulator, "a", b"content");
    let whole = {
        let mut connection = Connection::to(&emulator);
        connection.send_head("GET", &format!("{OBJECTS}/a"), &[("Connection", "close")]).unwrap();
        let mut whole = Vec::new();
        connection.stream.read_to_end(&mut whole).unwrap();
        // The other requests do not ask for this header.
        String::from_utf8(whole).unwrap().replace("Connection: close\r\n", "").into_bytes()
    };
    for bytes in [1, 12, 100, whole.len() - 1] {
        let action = Action::BreakAfterResponseBytes { bytes: bytes as u64, with: Break::Close };
        inject(&emulator, RequestKind::Metadata, action);
        let mut connection = Connection::to(&emulator);
        connection.send_head("GET", &format!("{OBJECTS}/a"), &[]).unwrap();
        let mut seen = Vec::new();
        connection.stream.read_to_end(&mut seen).unwrap();
        assert_eq!(seen.len(), bytes);
        // The Date may have changed.
        assert_eq!(seen[..bytes.min(12)], whole[..bytes.min(12)]);
    }
}

#[test]
fn persist_at_most_keeps_only_part_of_the_body() {
    let emulator = emulator();
    let content = bytes(4 * STEP);
    let session = Session::start(&emulator, "a");
    for (bytes, range) in [(0, None), (2 * STEP as u64 + 1, Some("bytes=0-524287"))] {
        inject(&emulator, RequestKind::Data, Action::PersistAtMost { bytes });
        let response = try_put(&session, &content).unwrap();
        assert_eq!((response.status, response.header("Range")), (308, range));
    }
    inject(&emulator, RequestKind::Data, Action::PersistAtMost { bytes: STEP as u64 });
    let response = session.put_part(&content, 2 * STEP, 4 * STEP);
    assert_eq!((response.status, response.header("Range")), (308, Some("bytes=0-786431")));
    assert_eq!(session.put_part(&content, 3 * STEP, 4 * STEP).status, 200);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
}

#[test]
fn early_response_arrives_while_the_body_is_still_being_sent() {
    let emulator = emulator();
    let content = bytes(4 * STEP);
    let session = Session::start(&emulator, "a");
    let bytes = STEP as u64 + 1;
    let action = Action::RespondAfterRequestBytes { bytes, status: 503, with: Break::Close };
    inject(&emulator, RequestKind::Data, action);
    let (range, length) = whole(&content);
    let mut connection = Connection::to(&emulator);
    let headers = [("Content-Range", range.as_str()), ("Content-Length", length.as_str())];
    connection.send_head("PUT", &session.target, &headers).unwrap();
    connection.write(&content[..2 * STEP]).unwrap();
    let response = connection.read_response("PUT").unwrap();
    assert_eq!((response.status, response.header("Connection")), (503, Some("close")));
    assert_eq!(response.reason(), "ordered");
    assert_eq!(connection.stream.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(session.persisted(), STEP as u64);
}

#[test]
fn object_too_small_for_an_early_response_is_stored() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    let bytes = STEP as u64;
    let action = Action::RespondAfterRequestBytes { bytes, status: 503, with: Break::Close };
    inject(&emulator, RequestKind::Data, action);
    assert_eq!(try_put(&session, b"abc").unwrap().status, 200);
}

#[test]
fn stall_delays_the_response() {
    let emulator = emulator();
    let content = bytes(2 * STEP);
    for action in [
        Action::StallBeforeResponse { ms: 100 },
        Action::StallAfterRequestBytes { bytes: STEP as u64, ms: 100 },
        Action::StallAfterRequestBytes { bytes: 0, ms: 100 },
    ] {
        let session = Session::start(&emulator, "a");
        inject(&emulator, RequestKind::Data, action);
        let begin = Instant::now();
        assert_eq!(try_put(&session, &content).unwrap().status, 200);
        assert!(begin.elapsed() >= Duration::from_millis(100));
    }
}

#[test]
fn request_that_arrived_before_the_cancellation_is_no_violation() {
    let emulator = emulator();
    let content = bytes(2 * STEP);
    let session = Session::start(&emulator, "a");
    let held_up = Action::StallAfterRequestBytes { bytes: STEP as u64, ms: 2_000 };
    inject(&emulator, RequestKind::Data, held_up);
    std::thread::scope(|scope| {
        let put = scope.spawn(|| try_put(&session, &content).unwrap().status);
        while !emulator.faults().pending().is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(request(&emulator, "DELETE", &session.target, &[], b"").status, 499);
        assert_eq!(put.join().unwrap(), 499);
    });
    assert_eq!(emulator.faults().violations(), []);
}

#[test]
fn stall_does_not_delay_the_shutdown() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    inject(&emulator, RequestKind::Status, Action::StallBeforeResponse { ms: 600_000 });
    let mut connection = Connection::to(&emulator);
    connection.send_head("PUT", &session.target, &[("Content-Range", "bytes */*")]).unwrap();
    while !emulator.faults().pending().is_empty() {
        std::thread::yield_now();
    }
    let begin = Instant::now();
    drop(emulator);
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(connection.read_response("PUT").is_err());
}

#[test]
fn raw_response_replaces_the_regular_one() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    let raw = RawResponse {
        status: 308,
        headers: vec![("Range".to_owned(), "bytes=9-nonsense".to_owned())],
        body: "{\"cut".to_owned(),
        padding: 3,
        processing: Processing::Skipped,
    };
    inject(&emulator, RequestKind::Data, Action::Respond(raw.clone()));
    let response = try_put(&session, b"abc").unwrap();
    assert_eq!((response.status, response.header("Range")), (308, Some("bytes=9-nonsense")));
    assert_eq!(response.body, b"{\"cut   ");
    assert_eq!(session.persisted(), 0);
    let done = RawResponse { status: 503, processing: Processing::Done, ..raw };
    inject(&emulator, RequestKind::Data, Action::Respond(done));
    assert_eq!(try_put(&session, b"abc").unwrap().status, 503);
    assert_eq!(session.status().status, 200);
}

#[test]
fn raw_content_length_is_sent_unchanged() {
    let emulator = emulator();
    let raw = RawResponse {
        status: 200,
        headers: vec![("Content-Length".to_owned(), "100".to_owned())],
        ..RawResponse::default()
    };
    inject(&emulator, RequestKind::Metadata, Action::Respond(raw));
    let mut connection = Connection::to(&emulator);
    let error = connection.request("GET", &format!("{OBJECTS}/a"), &[], b"").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn truncated_response_has_part_of_its_json() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    inject(&emulator, RequestKind::Data, Action::TruncateResponse { bytes: 10 });
    let response = try_put(&session, b"abc").unwrap();
    assert_eq!((response.status, response.body.len()), (200, 10));
    assert_eq!(session.status().json()["size"], "3");
}

#[test]
fn a_lost_session_stays_lost() {
    let emulator = emulator();
    for status in [404, 410, 499] {
        let session = Session::start(&emulator, "a");
        inject(&emulator, RequestKind::Status, Action::LoseSession { status });
        assert_eq!(session.status().status, status);
        assert_eq!(session.status().status, status);
        assert_eq!(try_put(&session, b"abc").unwrap().status, status);
    }
    assert_eq!(emulator.objects(BUCKET), []);
    assert_eq!(emulator.faults().violations(), []);
}

#[test]
fn faults_are_injected_over_http() {
    let emulator = emulator();
    let faults = "/_emulator/faults";
    let one = r#"{"on": "metadata", "action": {"status": {"status": 500}}}"#;
    assert_eq!(request(&emulator, "POST", faults, &[], one.as_bytes()).status, 200);
    let more = r#"[{"on": "any", "after": 1, "times": 2, "object": "a",
        "action": {"break_after_request_bytes": {"bytes": 7, "with": "reset"}}}]"#;
    let response = request(&emulator, "POST", faults, &[], more.as_bytes());
    assert_eq!(response.json().as_array().unwrap().len(), 2);
    assert_eq!(get(&emulator, faults).json(), response.json());
    assert_eq!(get(&emulator, &format!("{OBJECTS}/a")).status, 500);
    assert_eq!(emulator.faults().pending().len(), 1);
    assert_eq!(request(&emulator, "DELETE", faults, &[], b"").status, 204);
    assert_eq!(get(&emulator, faults).json().as_array().unwrap().len(), 0);
    assert_eq!(request(&emulator, "POST", faults, &[], b"{}").status, 400);

    let seen = get(&emulator, "/_emulator/requests").json();
    assert_eq!(seen["requests"].as_array().unwrap().len(), 1);
    assert_eq!(seen["requests"][0]["kind"], "metadata");
    assert_eq!(seen["requests"][0]["status"], 500);
    assert_eq!(seen["violations"].as_array().unwrap().len(), 0);
    assert_eq!(request(&emulator, "DELETE", "/_emulator/requests", &[], b"").status, 204);
    assert_eq!(emulator.faults().requests(), []);
}

#[test]
fn requests_are_recorded_in_sequence() {
    let emulator = emulator();
    let content = bytes(STEP + 1);
    let session = Session::start(&emulator, "a");
    session.persisted();
    session.put_part(&content, 0, STEP);
    session.put_part(&content, STEP, STEP + 1);
    request(&emulator, "DELETE", &session.target, &[], b"");
    get(&emulator, &format!("{OBJECTS}/a"));
    let seen = emulator.faults().requests();
    let sequence: Vec<_> =
        seen.iter().map(|seen| (seen.kind, seen.body_bytes, seen.status.unwrap())).collect();
    assert_eq!(
        sequence,
        [
            (RequestKind::Start, 0, 200),
            (RequestKind::Status, 0, 308),
            (RequestKind::Data, STEP as u64, 308),
            (RequestKind::Data, 1, 200),
            (RequestKind::Cancel, 0, 404),
            (RequestKind::Metadata, 0, 200),
        ]
    );
    assert!(seen.iter().all(|seen| seen.object.as_deref() == Some("a")));
    assert_eq!(seen[2].content_range.as_deref(), Some("bytes 0-262143/262145"));
}
