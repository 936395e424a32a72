//! What a client is told of an upload that fails.

use serde_json::json;

use super::*;

const DETAIL: &str = "PUT https://storage.test/upload: 403: denied (gave up after 2.0 s and \
    3 retries; 262144 bytes were stored so far); grant the role. ";

/// The answer to an upload that fails in this way, held to be this problem.
#[track_caller]
fn assert_fails(kind: ErrorKind, status: u16, slug: &str, title: &str, object: &str) -> Reply {
    let server = run(Plan::Fail(kind));
    let reply = server.ask("POST /api/upload-random");
    let name = server.began.recv().unwrap().name;
    let left = match object {
        "none" => "Nothing was stored.".to_owned(),
        _ => format!("It is not known if the object was stored: check whether {name} exists."),
    };
    reply.assert_problem(json!({
        "type": slug, "title": title, "status": status, "detail": format!("{DETAIL}{left}"),
        "object": object, "name": name, "retried": 3, "persisted": 262_144, "storageStatus": 403,
    }));
    assert_eq!(server.ask("GET /api/health").status, 200);
    reply
}

#[test]
fn refused_is_502() {
    let title = "Cloud Storage refused the upload";
    assert_fails(ErrorKind::Refused, 502, "storage-refused", title, "none");
}

#[test]
fn a_name_that_is_taken_is_502() {
    let title = "Object name already taken";
    assert_fails(ErrorKind::Conflict, 502, "name-taken", title, "none");
}

#[test]
fn a_name_that_is_taken_by_the_same_key_is_422() {
    let server = run(Plan::Fail(ErrorKind::Conflict));
    let mut client = server.connect();
    client.send("POST /api/upload-random HTTP/1.1\r\nHost: t\r\nIdempotency-Key: k\r\n\r\n");
    let reply = client.receive();
    let name = server.began.recv().unwrap().name;
    let what = DETAIL.trim_end().trim_end_matches('.');
    reply.assert_problem(json!({
        "type": "idempotency-key-reused", "status": 422,
        "title": "Idempotency-Key was used for another upload",
        "detail": format!("The Idempotency-Key was used for another upload: {what}. Nothing was stored \
            or changed: send the size of that upload, or another key."),
        "object": "none", "name": name, "retried": 3, "persisted": 262_144, "storageStatus": 403,
    }));
}

#[test]
fn no_credentials_is_502() {
    let title = "No credentials for Cloud Storage";
    assert_fails(ErrorKind::Credentials, 502, "no-credentials", title, "none");
}

#[test]
fn an_unintelligible_answer_is_502() {
    let title = "Unexpected response from Cloud Storage";
    assert_fails(ErrorKind::Protocol, 502, "storage-unintelligible", title, "unknown");
}

#[test]
fn a_timeout_is_504() {
    let title = "Cloud Storage timed out";
    assert_fails(ErrorKind::TimedOut, 504, "storage-timed-out", title, "unknown");
}

#[test]
fn an_interruption_is_503_and_says_when_to_come_again() {
    let title = "The upload was interrupted";
    let reply = assert_fails(ErrorKind::Interrupted, 503, "interrupted", title, "none");
    assert_eq!(reply.header("retry-after"), "5");
}

#[test]
fn a_panic_is_500_and_costs_no_worker() {
    let one_worker = |config: &mut Config| config.workers = NonZeroUsize::MIN;
    let server = Setup::new(Plan::Panic).with(one_worker).run();
    for _ in 0..3 {
        let reply = server.ask("POST /api/upload-random");
        let name = server.began.recv_timeout(TIMEOUT).unwrap().name;
        reply.assert_problem(json!({
            "type": "internal", "title": "Internal server error", "status": 500,
            "detail": format!("Internal server error. It is not known \
                if the object was stored: check whether {name} exists."),
            "object": "unknown", "name": name,
        }));
    }
    let page = server.ask("GET /metrics").body;
    assert!(page.contains("gcs_uploader_panics_total 3\n"), "{page}");
    assert!(page.contains("gcs_uploader_workers_busy 0\n"), "{page}");
    assert!(page.contains("gcs_uploader_uploads_total{outcome=\"panicked\"} 3\n"), "{page}");
}
