//! The state machine, transition by transition, against scripted answers.

use super::super::script::{ScriptedUpload, breaks, fails, opened, persisted, status};
use super::super::transport::TransportError;
use super::*;
use crate::content::{Content as _, Crc32c, RandomContent, Seed};

const SECOND: Duration = Duration::from_secs(1);
const WHOLE: &str = "put bytes 0-1048575/1048576";
const QUERY: &str = "put bytes */1048576";

fn mebibyte() -> ScriptedUpload {
    ScriptedUpload::of_kib(1024)
}

// start → send → done

#[test]
fn upload_takes_one_start_and_one_put() {
    let outcome = mebibyte().on("start", opened()).done_on(WHOLE).run();
    let uploaded = outcome.result.unwrap();
    assert_eq!((uploaded.retried, uploaded.resumed, uploaded.bytes_sent), (0, 0, 1 << 20));
    assert!(outcome.pauses.is_empty());
}

#[test]
fn size_type_and_checksum_are_sent_before_the_first_byte() {
    let outcome = mebibyte().on("start", opened()).done_on(WHOLE).run();
    let start = &outcome.requests[0];
    assert_eq!(start.header("x-upload-content-length"), Some("1048576"));
    assert_eq!(start.header("x-upload-content-type"), Some("text/plain"));
    let crc32c = RandomContent::new(Seed::new(1), 1 << 20).crc32c();
    assert_eq!(start.json()["crc32c"], crc32c.to_string());
}

#[test]
fn empty_object_is_completed_by_an_empty_range() {
    let (uploaded, _) =
        ScriptedUpload::of(0).on("start", opened()).done_on("put bytes */0").uploads();
    assert_eq!((uploaded.object.size, uploaded.bytes_sent), (0, 0));
}

#[test]
fn single_byte_object_has_a_range() {
    let (uploaded, _) =
        ScriptedUpload::of(1).on("start", opened()).done_on("put bytes 0-0/1").uploads();
    assert_eq!(uploaded.object.size, 1);
}

// a session that was opened ahead: send → done

fn ahead() -> ScriptedUpload {
    mebibyte().with_session_ahead("request-id", "order-7")
}

#[test]
fn upload_with_pooled_session_takes_one_put() {
    let outcome = ahead().done_on(WHOLE).run();
    let uploaded = outcome.result.unwrap();
    assert_eq!((uploaded.retried, uploaded.resumed, uploaded.bytes_sent), (0, 0, 1 << 20));
    assert_eq!(outcome.requests[0].header("x-goog-meta-request-id"), Some("order-7"));
}

#[test]
fn pooled_session_is_resumed_with_the_deferred_headers() {
    let script = ahead().on(WHOLE, breaks()).on(QUERY, persisted(512 << 10));
    let outcome = script.done_on("put bytes 524288-1048575/1048576").run();
    let uploaded = outcome.result.unwrap();
    assert_eq!((uploaded.retried, uploaded.resumed), (1, 1));
    for request in &outcome.requests {
        assert_eq!(request.header("x-goog-meta-request-id"), Some("order-7"));
    }
}

#[test]
fn gone_or_refused_pooled_session_is_replaced_without_a_wait() {
    for code in [404, 410, 499, 400, 403, 501] {
        let script = ahead().on(WHOLE, status(code)).on("start", opened());
        let outcome = script.done_on(WHOLE).run();
        let uploaded = outcome.result.unwrap();
        assert_eq!((uploaded.retried, uploaded.resumed), (1, 0), "{code}");
        assert!(outcome.pauses.is_empty(), "{code}");
        let start = &outcome.requests[1];
        assert_eq!(start.header("x-upload-content-length"), Some("1048576"));
        assert_eq!(start.json()["metadata"]["request-id"], "order-7");
        assert_eq!(outcome.requests[2].header("x-goog-meta-request-id"), None);
    }
}

#[test]
fn pooled_session_lost_during_the_transfer_is_replaced() {
    let script = ahead().on(WHOLE, breaks()).on(QUERY, status(404)).on("start", opened());
    let (uploaded, pauses) = script.done_on(WHOLE).uploads();
    assert_eq!((uploaded.retried, uploaded.resumed), (2, 0));
    assert_eq!(pauses, [SECOND]);
}

#[test]
fn object_of_a_completed_and_lost_pooled_session_is_recognized() {
    let script = ahead().on(WHOLE, breaks()).on(QUERY, status(410)).on("start", status(412));
    let (uploaded, _) = script.done_on("get metadata").uploads();
    assert_eq!(uploaded.bytes_sent, 1 << 20);
}

#[test]
fn refusal_by_the_replacement_of_a_pooled_session_is_final() {
    let script = ahead().on(WHOLE, status(404)).on("start", opened()).on(WHOLE, status(403));
    let error = script.on("cancel", status(499)).on("get metadata", status(404)).fails();
    assert_eq!((error.kind, error.status, error.absent), (ErrorKind::Refused, Some(403), true));
}

#[test]
fn refusal_of_pooled_session_and_start_is_reported_for_the_start() {
    let script = ahead().on(WHOLE, status(403).taking(0)).on("start", status(403));
    let error = script.fails();
    assert_eq!((error.kind, error.status, error.absent), (ErrorKind::Refused, Some(403), true));
    assert!(error.hint.unwrap().contains("storage.objects.create"));
}

#[test]
fn interrupted_upload_cancels_its_pooled_session() {
    let script = ahead().on(WHOLE, breaks().taking(1).interrupting());
    let error = script.on("cancel", status(499)).fails();
    assert_eq!((error.kind, error.absent), (ErrorKind::Interrupted, true));
}

// start → start

#[test]
fn transient_failure_of_a_start_is_retried() {
    for code in [408, 429, 500, 502, 503, 504] {
        let script = mebibyte().on("start", status(code)).on("start", status(code));
        let (uploaded, pauses) = script.on("start", opened()).done_on(WHOLE).uploads();
        assert_eq!((uploaded.retried, uploaded.resumed), (2, 0));
        assert_eq!(pauses, [SECOND, 2 * SECOND]);
    }
}

#[test]
fn start_with_broken_connection_is_retried() {
    let broken = || {
        [
            TransportError::Connect("refused".into()),
            TransportError::Broken("reset".into()),
            TransportError::Stalled("read".into()),
        ]
    };
    for error in broken() {
        let script = mebibyte().on("start", fails(error)).on("start", opened()).done_on(WHOLE);
        assert_eq!(script.uploads().0.retried, 1);
    }
}

// send → query → send

#[test]
fn transient_failure_of_a_transfer_resumes_from_the_stored_bytes() {
    for reaction in [
        status(408),
        status(429),
        status(500),
        status(502),
        status(503),
        status(504),
        breaks(),
        fails(TransportError::Stalled("write".into())),
        fails(TransportError::Connect("refused".into())),
    ] {
        let script = mebibyte()
            .on("start", opened())
            .on(WHOLE, reaction.taking(600 << 10))
            .on(QUERY, persisted(512 << 10));
        let (uploaded, pauses) = script.done_on("put bytes 524288-1048575/1048576").uploads();
        assert_eq!((uploaded.retried, uploaded.resumed), (1, 1));
        assert_eq!(uploaded.bytes_sent, (600 << 10) + (512 << 10));
        assert_eq!(pauses, [SECOND]);
    }
}

#[test]
fn transfer_without_stored_bytes_restarts_in_its_session() {
    let script = mebibyte().on("start", opened()).on(WHOLE, breaks()).on(QUERY, persisted(0));
    let (uploaded, _) = script.done_on(WHOLE).uploads();
    assert_eq!((uploaded.retried, uploaded.resumed), (1, 1));
}

#[test]
fn transfer_resumes_from_any_reported_offset() {
    let script = mebibyte().on("start", opened()).on(WHOLE, breaks()).on(QUERY, persisted(1));
    let (uploaded, _) = script.done_on("put bytes 1-1048575/1048576").uploads();
    assert_eq!(uploaded.bytes_sent, (2 << 20) - 1);
}

#[test]
fn transfer_resumes_from_an_offset_that_decreased() {
    let script = mebibyte()
        .on("start", opened())
        .on(WHOLE, breaks())
        .on(QUERY, persisted(768 << 10))
        .on("put bytes 786432-1048575/1048576", breaks())
        .on(QUERY, persisted(256 << 10));
    let (uploaded, _) = script.done_on("put bytes 262144-1048575/1048576").uploads();
    assert_eq!(uploaded.resumed, 2);
}

// send → send

#[test]
fn partly_stored_transfer_continues_without_a_wait() {
    let script = mebibyte().on("start", opened()).on(WHOLE, persisted(256 << 10));
    let (uploaded, pauses) = script.done_on("put bytes 262144-1048575/1048576").uploads();
    assert_eq!((uploaded.resumed, uploaded.retried), (1, 0));
    assert!(pauses.is_empty());
}

#[test]
fn transfer_without_progress_waits_and_queries_the_status() {
    let script = mebibyte()
        .on("start", opened())
        .on(WHOLE, persisted(0))
        .on(QUERY, persisted(0))
        .on(WHOLE, persisted(0))
        .on(QUERY, persisted(0));
    let (_, pauses) = script.done_on(WHOLE).uploads();
    assert_eq!(pauses, [SECOND, 2 * SECOND]);
}

#[test]
fn complete_but_unfinished_transfer_waits_and_queries_the_status() {
    let script = mebibyte()
        .on("start", opened())
        .on(WHOLE, persisted(1 << 20))
        .on(QUERY, persisted(1 << 20))
        .done_on(QUERY);
    let (uploaded, pauses) = script.uploads();
    assert_eq!(uploaded.bytes_sent, 1 << 20);
    assert_eq!(pauses, [SECOND, SECOND * 2]);
}

// query → query, query → done

#[test]
fn failed_status_query_is_retried() {
    let script = mebibyte()
        .on("start", opened())
        .on(WHOLE, status(503))
        .on(QUERY, status(408))
        .on(QUERY, breaks())
        .on(QUERY, persisted(512 << 10));
    let (uploaded, pauses) = script.done_on("put bytes 524288-1048575/1048576").uploads();
    assert_eq!((uploaded.retried, uploaded.resumed), (3, 1));
    assert_eq!(pauses, [SECOND, 2 * SECOND, 4 * SECOND]);
}

#[test]
fn object_with_lost_final_response_is_found_complete() {
    let (uploaded, _) =
        mebibyte().on("start", opened()).on(WHOLE, breaks()).done_on(QUERY).uploads();
    assert_eq!((uploaded.resumed, uploaded.bytes_sent), (0, 1 << 20));
}

#[test]
fn truncated_final_response_is_queried_again() {
    let whole = mebibyte().resource().to_string();
    for body in ["", "{", &whole[..whole.len() - 1], "null", "[]"] {
        let script = mebibyte().on("start", opened()).on(WHOLE, status(200).body(body));
        assert_eq!(script.done_on(QUERY).uploads().0.retried, 1, "{body:?}");
    }
}

#[test]
fn always_truncated_final_response_is_resolved_by_metadata() {
    let mut script = mebibyte().on("start", opened()).on(WHOLE, status(200).body("{"));
    for _ in 1..MAX_ATTEMPTS {
        script = script.on(QUERY, status(200).body("{"));
    }
    let done = script.done();
    // The object is there and it is ours: what counts is what Cloud Storage has.
    let (uploaded, _) = script.on("cancel", status(404)).on("get metadata", done).uploads();
    assert_eq!(uploaded.object.size, 1 << 20);
}

// Waiting

#[test]
fn waits_grow_to_the_cap_and_are_reset_by_progress() {
    let mut script = mebibyte().on("start", opened()).on(WHOLE, breaks());
    for _ in 0..5 {
        script = script.on(QUERY, status(503));
    }
    let script = script
        .on(QUERY, persisted(256 << 10))
        .on("put bytes 262144-1048575/1048576", breaks())
        .done_on(QUERY);
    let pauses: Vec<_> = script.uploads().1.iter().map(Duration::as_secs).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 8, 8, 1]);
}

#[test]
fn retry_after_lengthens_the_wait() {
    for value in ["30", "Thu, 01 Jan 1970 00:00:30 GMT"] {
        let script = mebibyte().on("start", status(429).retry_after(value));
        let (_, pauses) = script.on("start", opened()).done_on(WHOLE).uploads();
        assert_eq!(pauses, [30 * SECOND], "{value}");
    }
}

#[test]
fn retry_after_never_shortens_the_wait_and_is_ignored_if_invalid() {
    for value in ["0", "-5", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let script = mebibyte().on("start", status(503).retry_after(value));
        let (_, pauses) = script.on("start", opened()).done_on(WHOLE).uploads();
        assert_eq!(pauses, [SECOND], "{value}");
    }
}

#[test]
fn wait_beyond_the_deadline_is_not_started() {
    let script = mebibyte().on("start", status(503).retry_after("99999999999999999999")).run();
    assert!(script.pauses.is_empty());
    let error = script.result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(error.message.contains("answered 503"), "{error}");
}

// Sessions that are lost

#[test]
fn lost_session_is_replaced_and_all_bytes_are_sent_again() {
    for code in [404, 410, 499] {
        let script = mebibyte().on("start", opened()).on(WHOLE, status(code));
        let (uploaded, _) = script.on("start", opened()).done_on(WHOLE).uploads();
        assert_eq!(uploaded.bytes_sent, 2 << 20);
        let script = mebibyte().on("start", opened()).on(WHOLE, breaks()).on(QUERY, status(code));
        script.on("start", opened()).done_on(WHOLE).uploads();
    }
}

#[test]
fn number_of_replaced_sessions_is_limited() {
    let mut script = mebibyte();
    for _ in 0..MAX_ATTEMPTS {
        script = script.on("start", opened()).on(WHOLE, status(410).taking(0));
    }
    let error = script.on("cancel", status(404)).fails();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert!(error.absent && error.message.contains("session was gone"), "{error}");
}

// A name that is taken

#[test]
fn own_object_is_recognized_when_a_new_session_finds_its_name_taken() {
    let script = mebibyte()
        .on("start", opened())
        .on(WHOLE, breaks())
        .on(QUERY, status(404))
        .on("start", status(412));
    script.done_on("get metadata").uploads();
}

#[test]
fn own_object_is_recognized_when_the_precondition_fails_at_the_end() {
    mebibyte().on("start", opened()).on(WHOLE, status(412)).done_on("get metadata").uploads();
    let script = mebibyte().on("start", opened()).on(WHOLE, breaks()).on(QUERY, status(412));
    script.done_on("get metadata").uploads();
}

#[test]
fn another_object_with_the_name_is_a_conflict_and_is_not_changed() {
    for (field, value) in [("size", "7"), ("crc32c", "AAAAAA==")] {
        let script = mebibyte().on("start", status(412));
        let other = script.done_but(field, value);
        let error = script.on("get metadata", other).fails();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(error.message.contains(value), "{error}");
    }
}

#[test]
fn forbidden_metadata_of_an_existing_name_is_refused_with_a_hint() {
    let error = mebibyte().on("start", status(412)).on("get metadata", status(403)).fails();
    assert_eq!((error.kind, error.bucket_refused), (ErrorKind::Refused, false));
    assert!(error.hint.unwrap().contains("storage.objects.get"));
}

#[test]
fn transient_failure_of_a_metadata_request_is_retried() {
    let script = mebibyte()
        .on("start", status(412))
        .on("get metadata", status(503))
        .on("get metadata", breaks())
        .on("get metadata", status(200).body("{"));
    script.done_on("get metadata").uploads();
}

// Tokens

#[test]
fn rejected_token_is_refreshed_once() {
    let script = mebibyte().with_tokens(&["old", "new"]).on("start", status(401));
    let outcome = script.on("start", opened()).done_on(WHOLE).run();
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.refreshes, 1);
    let authorization = |at: usize| outcome.requests[at].header("authorization");
    assert_eq!(authorization(0), Some("Bearer old"));
    assert_eq!(authorization(1), Some("Bearer new"));
}

#[test]
fn token_that_expires_during_the_transfer_is_refreshed_and_the_transfer_resumed() {
    let script = mebibyte()
        .with_tokens(&["old", "new"])
        .on("start", opened())
        .on(WHOLE, status(401))
        .on(QUERY, persisted(256 << 10));
    script.done_on("put bytes 262144-1048575/1048576").uploads();
}

#[test]
fn rejected_fresh_token_is_final() {
    let script = mebibyte().with_tokens(&["old", "new", "newer"]).on("start", status(401));
    let outcome = script.on("start", status(401).body("who are you?")).run();
    assert_eq!(outcome.refreshes, 1);
    let error = outcome.result.unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::Refused, Some(401)));
    assert!(error.message.contains("who are you?"), "{error}");
}

#[test]
fn token_that_cannot_be_refreshed_is_final() {
    let error = mebibyte().with_tokens(&["only"]).on("start", status(401)).fails();
    assert_eq!(error.kind, ErrorKind::Credentials);
}

#[test]
fn status_401_without_credentials_is_final_also_after_a_fault() {
    assert_eq!(mebibyte().on("start", status(401)).fails().status, Some(401));
    for fault in [status(503), breaks()] {
        let error = mebibyte().on("start", fault).on("start", status(401)).fails();
        assert_eq!((error.kind, error.status), (ErrorKind::Refused, Some(401)));
    }
}

// Refusals

#[test]
fn refusal_is_final_and_has_reason_and_hint() {
    for (code, hint) in [(400, ""), (403, "storage.objects.create"), (404, "GCS_BUCKET")] {
        let refusal = status(code).body(r#"{"error":{"message":"because"}}"#);
        let outcome = mebibyte().on("start", refusal).run();
        assert!(outcome.pauses.is_empty());
        let error = outcome.result.unwrap_err();
        assert_eq!((error.kind, error.status), (ErrorKind::Refused, Some(code)));
        assert!(error.message.contains("because") && error.message.contains("/b/bucket/o"));
        assert!(error.hint.unwrap_or_default().contains(hint));
        assert!(error.absent);
        assert_eq!(error.bucket_refused, code != 400);
    }
}

#[test]
fn refusal_after_a_fault_is_final() {
    for fault in [status(503), breaks()] {
        let error = mebibyte().on("start", fault).on("start", status(400)).fails();
        assert_eq!((error.status, error.retried), (Some(400), 1));
    }
}

#[test]
fn refused_content_is_final() {
    let script = mebibyte().on("start", opened()).on(WHOLE, status(400).body("bad checksum"));
    let error = script.on("cancel", status(499)).on("get metadata", status(404)).fails();
    assert!(error.absent && error.message.contains("bad checksum"), "{error}");
}

#[test]
fn tls_failure_is_final_and_named() {
    let tls = TransportError::Tls("certificate expired".into());
    let outcome = mebibyte().on("start", fails(tls)).run();
    assert!(outcome.pauses.is_empty());
    assert!(outcome.result.unwrap_err().message.contains("certificate expired"));
}

// Nonsense

#[test]
fn location_that_is_not_a_session_of_the_endpoint_is_an_error() {
    for (location, what) in [
        (None, "missing"),
        (Some("/upload?upload_id=x"), "not a valid http or https URL"),
        (Some("https://evil.example/?upload_id=x"), "evil.example"),
    ] {
        let error = mebibyte().on("start", status(200).location(location)).fails();
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.message.contains(what), "{error}");
    }
}

#[test]
fn invalid_range_is_an_error_that_quotes_it() {
    for range in ["bytes=0-1048576", "bytes=5-2", "bytes=9-10", "bytes=0-x", "x\r\ny: z"] {
        let script = mebibyte().on("start", opened()).on(WHOLE, status(308).range(range));
        let error = script.on("cancel", status(499)).on("get metadata", status(404)).fails();
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.message.contains("answered with Range"), "{error}");
        assert!(!error.message.contains('\n'));
    }
}

#[test]
fn status_outside_the_protocol_is_an_error() {
    for code in [100, 204, 301, 304] {
        let error = mebibyte().on("start", status(code)).fails();
        assert_eq!((error.kind, error.status), (ErrorKind::Protocol, Some(code)));
    }
}

#[test]
fn object_that_differs_from_the_content_is_deleted_and_an_error() {
    for (field, value) in
        [("size", "7"), ("crc32c", "AAAAAA=="), ("name", "other"), ("bucket", "b")]
    {
        let script = mebibyte().on("start", opened());
        let wrong = script.done_but(field, value);
        let script = script.on(WHOLE, wrong).on("delete 7", status(204));
        let error = script.on("cancel", status(404)).on("get metadata", status(404)).fails();
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.absent && error.message.contains("deleted"), "{error}");
    }
}

#[test]
fn object_that_differs_and_cannot_be_deleted_is_reported() {
    let script = mebibyte().on("start", opened());
    let wrong = || script.done_but("size", "7");
    let (first, second) = (wrong(), wrong());
    let script = script.on(WHOLE, first).on("delete 7", status(403).body("may not"));
    let error = script.on("cancel", status(404)).on("get metadata", second).fails();
    assert!(!error.absent && error.message.contains("may not"), "{error}");
}

// Some emulators finish the object with the bytes they have when its status is queried.
#[test]
fn object_completed_too_early_by_a_status_query_is_an_error() {
    let script = mebibyte().on("start", opened()).on(WHOLE, breaks().taking(1000));
    let early = script.done_but("size", "1000");
    let script = script.on(QUERY, early).on("delete 7", status(200)).on("cancel", status(499));
    let error = script.on("get metadata", status(404)).fails();
    assert_eq!((error.kind, error.absent), (ErrorKind::Protocol, true));
}

#[test]
fn object_completed_too_early_that_cannot_be_deleted_is_reported() {
    let script = mebibyte().on("start", opened()).on(WHOLE, breaks().taking(1000));
    let early = || script.done_but("size", "1000");
    let (first, second) = (early(), early());
    let script = script.on(QUERY, first).on("delete 7", status(403)).on("cancel", status(404));
    let error = script.on("get metadata", second).fails();
    assert!(!error.absent && error.message.contains("could not be deleted"), "{error}");
}

#[test]
fn object_reported_by_a_status_query_is_looked_up_before_it_counts_as_absent() {
    let mut script = mebibyte().on("start", opened()).on(WHOLE, breaks().taking(1000));
    for _ in 0..MAX_ATTEMPTS {
        script = script.on(QUERY, status(200).body("{"));
    }
    let error = script.on("cancel", status(404)).on("get metadata", status(503)).fails();
    assert!(!error.absent, "{error}");
}

// Giving up

#[test]
fn deadline_ends_an_upload_and_cancels_its_session() {
    let script = mebibyte()
        .within(10 * SECOND)
        .on("start", opened())
        .on(WHOLE, breaks().taking(300 << 10))
        .on(QUERY, persisted(256 << 10))
        .on("put bytes 262144-1048575/1048576", breaks().taking(0))
        .on(QUERY, status(503))
        .on(QUERY, status(503))
        .on(QUERY, status(503).body("no luck"));
    let error = script.on("cancel", status(499)).fails();
    assert_eq!((error.kind, error.persisted), (ErrorKind::TimedOut, 256 << 10));
    assert!(error.absent, "{error}");
    assert!(error.message.contains("within 10s") && error.message.contains("no luck"), "{error}");
}

#[test]
fn object_completed_after_the_timeout_is_a_success() {
    let script = mebibyte().on("start", opened()).on(WHOLE, fails(TransportError::TimedOut));
    script.on("cancel", breaks()).done_on("get metadata").uploads();
}

#[test]
fn missing_object_of_an_ended_session_is_reported_absent() {
    for code in [499, 404, 410] {
        let script = mebibyte().on("start", opened()).on(WHOLE, fails(TransportError::TimedOut));
        assert!(
            script.on("cancel", status(code)).on("get metadata", status(404)).fails().absent,
            "{code}"
        );
    }
}

// What is held up on its way may become an object after the look.
#[test]
fn missing_object_of_a_possibly_active_session_is_reported_uncertain() {
    for cancel in [breaks(), status(503), status(401)] {
        let script = mebibyte().on("start", opened()).on(WHOLE, fails(TransportError::TimedOut));
        assert!(!script.on("cancel", cancel).on("get metadata", status(404)).fails().absent);
    }
}

#[test]
fn confirmed_cancellation_is_sufficient_if_metadata_is_unavailable() {
    let script = mebibyte().on("start", opened()).on(WHOLE, fails(TransportError::TimedOut));
    assert!(script.on("cancel", status(499)).on("get metadata", status(403)).fails().absent);
}

#[test]
fn existing_object_outweighs_a_confirmed_cancellation() {
    let script = mebibyte().on("start", opened()).on(WHOLE, fails(TransportError::TimedOut));
    script.on("cancel", status(499)).done_on("get metadata").uploads();
}

#[test]
fn object_without_available_metadata_is_reported_uncertain() {
    let script = mebibyte().on("start", opened()).on(WHOLE, fails(TransportError::TimedOut));
    let error = script.on("cancel", breaks()).on("get metadata", breaks()).fails();
    assert!(!error.absent);
}

#[test]
fn interrupt_cancels_the_session_and_reports_the_stored_bytes() {
    let script = mebibyte()
        .on("start", opened())
        .on(WHOLE, breaks().taking(300 << 10))
        .on(QUERY, persisted(256 << 10).interrupting())
        .on("cancel", status(499));
    let error = script.fails();
    assert_eq!((error.kind, error.persisted), (ErrorKind::Interrupted, 256 << 10));
    assert!(error.absent);
}

#[test]
fn interrupt_ends_a_wait() {
    let error = mebibyte().on("start", status(503).interrupting()).fails();
    assert_eq!(error.kind, ErrorKind::Interrupted);
}

#[test]
fn checksum_of_the_uploaded_object_is_not_zero() {
    let object = mebibyte().done();
    let (uploaded, _) = mebibyte().on("start", opened()).on(WHOLE, object).uploads();
    assert_ne!(uploaded.object.crc32c, Crc32c::new(0));
}
