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
fn an_upload_is_one_start_and_one_put_of_the_whole() {
    let outcome = mebibyte().on("start", opened()).done_on(WHOLE).run();
    let uploaded = outcome.result.unwrap();
    assert_eq!((uploaded.retried, uploaded.resumed, uploaded.bytes_sent), (0, 0, 1 << 20));
    assert!(outcome.pauses.is_empty());
}

#[test]
fn cloud_storage_knows_size_type_and_checksum_before_the_first_byte() {
    let outcome = mebibyte().on("start", opened()).done_on(WHOLE).run();
    let start = &outcome.requests[0];
    assert_eq!(start.header("x-upload-content-length"), Some("1048576"));
    assert_eq!(start.header("x-upload-content-type"), Some("text/plain"));
    let crc32c = RandomContent::new(Seed::new(1), 1 << 20).crc32c();
    assert_eq!(start.json()["crc32c"], crc32c.to_string());
}

#[test]
fn an_empty_object_is_finished_by_an_empty_range() {
    let (uploaded, _) =
        ScriptedUpload::of(0).on("start", opened()).done_on("put bytes */0").uploads();
    assert_eq!((uploaded.object.size, uploaded.bytes_sent), (0, 0));
}

#[test]
fn a_single_byte_has_a_range_of_its_own() {
    let (uploaded, _) =
        ScriptedUpload::of(1).on("start", opened()).done_on("put bytes 0-0/1").uploads();
    assert_eq!(uploaded.object.size, 1);
}

// a session that was opened ahead: send → done

fn ahead() -> ScriptedUpload {
    mebibyte().with_session_ahead("request-id", "order-7")
}

#[test]
fn with_a_session_opened_ahead_an_upload_is_one_put() {
    let outcome = ahead().done_on(WHOLE).run();
    let uploaded = outcome.result.unwrap();
    assert_eq!((uploaded.retried, uploaded.resumed, uploaded.bytes_sent), (0, 0, 1 << 20));
    assert_eq!(outcome.requests[0].header("x-goog-meta-request-id"), Some("order-7"));
}

#[test]
fn a_session_opened_ahead_is_resumed_like_any_other_and_hears_the_rest_each_time() {
    let script = ahead().on(WHOLE, breaks()).on(QUERY, persisted(512 << 10));
    let outcome = script.done_on("put bytes 524288-1048575/1048576").run();
    let uploaded = outcome.result.unwrap();
    assert_eq!((uploaded.retried, uploaded.resumed), (1, 1));
    for request in &outcome.requests {
        assert_eq!(request.header("x-goog-meta-request-id"), Some("order-7"));
    }
}

#[test]
fn a_session_opened_ahead_that_is_gone_or_refused_is_replaced_at_once() {
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
fn a_session_opened_ahead_that_is_lost_in_the_transfer_is_replaced() {
    let script = ahead().on(WHOLE, breaks()).on(QUERY, status(404)).on("start", opened());
    let (uploaded, pauses) = script.done_on(WHOLE).uploads();
    assert_eq!((uploaded.retried, uploaded.resumed), (2, 0));
    assert_eq!(pauses, [SECOND]);
}

#[test]
fn a_session_opened_ahead_that_was_finished_and_then_lost_left_our_object() {
    let script = ahead().on(WHOLE, breaks()).on(QUERY, status(410)).on("start", status(412));
    let (uploaded, _) = script.done_on("get metadata").uploads();
    assert_eq!(uploaded.bytes_sent, 1 << 20);
}

#[test]
fn the_session_that_replaces_one_opened_ahead_is_judged_like_any_other() {
    let script = ahead().on(WHOLE, status(404)).on("start", opened()).on(WHOLE, status(403));
    let error = script.on("cancel", status(499)).on("get metadata", status(404)).fails();
    assert_eq!((error.kind, error.status, error.absent), (ErrorKind::Refused, Some(403), true));
}

#[test]
fn a_refusal_that_stays_is_told_as_the_starts() {
    let script = ahead().on(WHOLE, status(403).taking(0)).on("start", status(403));
    let error = script.fails();
    assert_eq!((error.kind, error.status, error.absent), (ErrorKind::Refused, Some(403), true));
    assert!(error.hint.unwrap().contains("storage.objects.create"));
}

#[test]
fn giving_up_cancels_a_session_opened_ahead() {
    let script = ahead().on(WHOLE, breaks().taking(1).interrupting());
    let error = script.on("cancel", status(499)).fails();
    assert_eq!((error.kind, error.absent), (ErrorKind::Interrupted, true));
}

// start → start

#[test]
fn a_start_that_fails_transiently_is_made_again() {
    for code in [408, 429, 500, 502, 503, 504] {
        let script = mebibyte().on("start", status(code)).on("start", status(code));
        let (uploaded, pauses) = script.on("start", opened()).done_on(WHOLE).uploads();
        assert_eq!((uploaded.retried, uploaded.resumed), (2, 0));
        assert_eq!(pauses, [SECOND, 2 * SECOND]);
    }
}

#[test]
fn a_start_that_breaks_is_made_again() {
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
fn a_transfer_that_fails_transiently_goes_on_from_what_is_persisted() {
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
fn a_transfer_of_which_nothing_is_persisted_begins_again_in_its_session() {
    let script = mebibyte().on("start", opened()).on(WHOLE, breaks()).on(QUERY, persisted(0));
    let (uploaded, _) = script.done_on(WHOLE).uploads();
    assert_eq!((uploaded.retried, uploaded.resumed), (1, 1));
}

#[test]
fn a_transfer_goes_on_from_any_byte_that_cloud_storage_names() {
    let script = mebibyte().on("start", opened()).on(WHOLE, breaks()).on(QUERY, persisted(1));
    let (uploaded, _) = script.done_on("put bytes 1-1048575/1048576").uploads();
    assert_eq!(uploaded.bytes_sent, (2 << 20) - 1);
}

#[test]
fn cloud_storage_may_have_less_than_it_had() {
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
fn a_part_that_is_kept_goes_on_at_once() {
    let script = mebibyte().on("start", opened()).on(WHOLE, persisted(256 << 10));
    let (uploaded, pauses) = script.done_on("put bytes 262144-1048575/1048576").uploads();
    assert_eq!((uploaded.resumed, uploaded.retried), (1, 0));
    assert!(pauses.is_empty());
}

#[test]
fn a_transfer_of_which_nothing_is_kept_waits_and_asks() {
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
fn everything_kept_but_nothing_finished_waits_and_asks() {
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
fn a_status_query_that_fails_is_made_again() {
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
fn an_object_whose_final_answer_was_lost_is_found_finished() {
    let (uploaded, _) =
        mebibyte().on("start", opened()).on(WHOLE, breaks()).done_on(QUERY).uploads();
    assert_eq!((uploaded.resumed, uploaded.bytes_sent), (0, 1 << 20));
}

#[test]
fn a_final_answer_that_is_cut_short_is_asked_for_again() {
    let whole = mebibyte().resource().to_string();
    for body in ["", "{", &whole[..whole.len() - 1], "null", "[]"] {
        let script = mebibyte().on("start", opened()).on(WHOLE, status(200).body(body));
        assert_eq!(script.done_on(QUERY).uploads().0.retried, 1, "{body:?}");
    }
}

#[test]
fn a_final_answer_that_is_never_whole_is_an_error() {
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
fn waits_grow_to_their_cap_and_begin_anew_after_progress() {
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
fn retry_after_is_waited_for() {
    for value in ["30", "Thu, 01 Jan 1970 00:00:30 GMT"] {
        let script = mebibyte().on("start", status(429).retry_after(value));
        let (_, pauses) = script.on("start", opened()).done_on(WHOLE).uploads();
        assert_eq!(pauses, [30 * SECOND], "{value}");
    }
}

#[test]
fn retry_after_shortens_no_wait_and_nonsense_in_it_changes_none() {
    for value in ["0", "-5", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let script = mebibyte().on("start", status(503).retry_after(value));
        let (_, pauses) = script.on("start", opened()).done_on(WHOLE).uploads();
        assert_eq!(pauses, [SECOND], "{value}");
    }
}

#[test]
fn a_wait_beyond_the_deadline_is_not_begun() {
    let script = mebibyte().on("start", status(503).retry_after("99999999999999999999")).run();
    assert!(script.pauses.is_empty());
    let error = script.result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(error.message.contains("answered 503"), "{error}");
}

// Sessions that are lost

#[test]
fn a_session_that_is_gone_is_replaced_and_everything_sent_again() {
    for code in [404, 410, 499] {
        let script = mebibyte().on("start", opened()).on(WHOLE, status(code));
        let (uploaded, _) = script.on("start", opened()).done_on(WHOLE).uploads();
        assert_eq!(uploaded.bytes_sent, 2 << 20);
        let script = mebibyte().on("start", opened()).on(WHOLE, breaks()).on(QUERY, status(code));
        script.on("start", opened()).done_on(WHOLE).uploads();
    }
}

#[test]
fn sessions_are_not_lost_for_ever() {
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
fn our_own_object_is_recognized_when_a_new_session_finds_the_name_taken() {
    let script = mebibyte()
        .on("start", opened())
        .on(WHOLE, breaks())
        .on(QUERY, status(404))
        .on("start", status(412));
    script.done_on("get metadata").uploads();
}

#[test]
fn our_own_object_is_recognized_when_the_precondition_fails_at_the_end() {
    mebibyte().on("start", opened()).on(WHOLE, status(412)).done_on("get metadata").uploads();
    let script = mebibyte().on("start", opened()).on(WHOLE, breaks()).on(QUERY, status(412));
    script.done_on("get metadata").uploads();
}

#[test]
fn another_object_of_that_name_is_a_conflict_and_is_left_alone() {
    for (field, value) in [("size", "7"), ("crc32c", "AAAAAA==")] {
        let script = mebibyte().on("start", status(412));
        let other = script.done_but(field, value);
        let error = script.on("get metadata", other).fails();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(error.message.contains(value), "{error}");
    }
}

#[test]
fn an_object_of_that_name_which_may_not_be_looked_at_is_refused_with_a_hint() {
    let error = mebibyte().on("start", status(412)).on("get metadata", status(403)).fails();
    assert_eq!((error.kind, error.bucket_refused), (ErrorKind::Refused, false));
    assert!(error.hint.unwrap().contains("storage.objects.get"));
}

#[test]
fn a_look_that_fails_transiently_is_made_again() {
    let script = mebibyte()
        .on("start", status(412))
        .on("get metadata", status(503))
        .on("get metadata", breaks())
        .on("get metadata", status(200).body("{"));
    script.done_on("get metadata").uploads();
}

// Tokens

#[test]
fn a_token_that_is_not_accepted_is_renewed_once() {
    let script = mebibyte().with_tokens(&["old", "new"]).on("start", status(401));
    let outcome = script.on("start", opened()).done_on(WHOLE).run();
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.refreshes, 1);
    let authorization = |at: usize| outcome.requests[at].header("authorization");
    assert_eq!(authorization(0), Some("Bearer old"));
    assert_eq!(authorization(1), Some("Bearer new"));
}

#[test]
fn a_token_that_expires_in_mid_transfer_is_renewed_and_the_transfer_goes_on() {
    let script = mebibyte()
        .with_tokens(&["old", "new"])
        .on("start", opened())
        .on(WHOLE, status(401))
        .on(QUERY, persisted(256 << 10));
    script.done_on("put bytes 262144-1048575/1048576").uploads();
}

#[test]
fn a_fresh_token_that_is_not_accepted_either_is_final() {
    let script = mebibyte().with_tokens(&["old", "new", "newer"]).on("start", status(401));
    let outcome = script.on("start", status(401).body("who are you?")).run();
    assert_eq!(outcome.refreshes, 1);
    let error = outcome.result.unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::Refused, Some(401)));
    assert!(error.message.contains("who are you?"), "{error}");
}

#[test]
fn a_token_that_cannot_be_renewed_is_final() {
    let error = mebibyte().with_tokens(&["only"]).on("start", status(401)).fails();
    assert_eq!(error.kind, ErrorKind::Credentials);
}

#[test]
fn without_credentials_a_401_is_final_also_after_a_fault() {
    assert_eq!(mebibyte().on("start", status(401)).fails().status, Some(401));
    for fault in [status(503), breaks()] {
        let error = mebibyte().on("start", fault).on("start", status(401)).fails();
        assert_eq!((error.kind, error.status), (ErrorKind::Refused, Some(401)));
    }
}

// Refusals

#[test]
fn a_refusal_is_final_and_tells_why_and_what_to_do() {
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
fn a_refusal_after_a_fault_is_final_too() {
    for fault in [status(503), breaks()] {
        let error = mebibyte().on("start", fault).on("start", status(400)).fails();
        assert_eq!((error.status, error.retried), (Some(400), 1));
    }
}

#[test]
fn content_that_cloud_storage_refuses_is_final() {
    let script = mebibyte().on("start", opened()).on(WHOLE, status(400).body("bad checksum"));
    let error = script.on("cancel", status(499)).on("get metadata", status(404)).fails();
    assert!(error.absent && error.message.contains("bad checksum"), "{error}");
}

#[test]
fn tls_that_fails_is_final_and_named() {
    let tls = TransportError::Tls("certificate expired".into());
    let outcome = mebibyte().on("start", fails(tls)).run();
    assert!(outcome.pauses.is_empty());
    assert!(outcome.result.unwrap_err().message.contains("certificate expired"));
}

// Nonsense

#[test]
fn a_location_that_names_no_session_of_ours_is_an_error() {
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
fn a_senseless_range_is_an_error_that_quotes_it() {
    for range in ["bytes=0-1048576", "bytes=5-2", "bytes=9-10", "bytes=0-x", "x\r\ny: z"] {
        let script = mebibyte().on("start", opened()).on(WHOLE, status(308).range(range));
        let error = script.on("cancel", status(499)).on("get metadata", status(404)).fails();
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.message.contains("answered with Range"), "{error}");
        assert!(!error.message.contains('\n'));
    }
}

#[test]
fn a_status_that_the_protocol_does_not_know_is_an_error() {
    for code in [100, 204, 301, 304] {
        let error = mebibyte().on("start", status(code)).fails();
        assert_eq!((error.kind, error.status), (ErrorKind::Protocol, Some(code)));
    }
}

#[test]
fn an_object_that_is_not_the_one_sent_is_deleted_and_an_error() {
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
fn an_object_that_is_not_the_one_sent_and_may_not_be_deleted_is_told() {
    let script = mebibyte().on("start", opened());
    let wrong = || script.done_but("size", "7");
    let (first, second) = (wrong(), wrong());
    let script = script.on(WHOLE, first).on("delete 7", status(403).body("may not"));
    let error = script.on("cancel", status(404)).on("get metadata", second).fails();
    assert!(!error.absent && error.message.contains("may not"), "{error}");
}

// What some stand-ins do: finish whatever they have when they are asked for the status.
#[test]
fn an_object_that_a_status_query_finished_too_early_is_no_success() {
    let script = mebibyte().on("start", opened()).on(WHOLE, breaks().taking(1000));
    let early = script.done_but("size", "1000");
    let script = script.on(QUERY, early).on("delete 7", status(200)).on("cancel", status(499));
    let error = script.on("get metadata", status(404)).fails();
    assert_eq!((error.kind, error.absent), (ErrorKind::Protocol, true));
}

#[test]
fn an_object_that_was_finished_too_early_and_may_not_be_deleted_is_told() {
    let script = mebibyte().on("start", opened()).on(WHOLE, breaks().taking(1000));
    let early = || script.done_but("size", "1000");
    let (first, second) = (early(), early());
    let script = script.on(QUERY, first).on("delete 7", status(403)).on("cancel", status(404));
    let error = script.on("get metadata", second).fails();
    assert!(!error.absent && error.message.contains("could not be deleted"), "{error}");
}

#[test]
fn an_object_that_a_status_query_claims_is_looked_for_before_it_is_told_to_be_absent() {
    let mut script = mebibyte().on("start", opened()).on(WHOLE, breaks().taking(1000));
    for _ in 0..MAX_ATTEMPTS {
        script = script.on(QUERY, status(200).body("{"));
    }
    let error = script.on("cancel", status(404)).on("get metadata", status(503)).fails();
    assert!(!error.absent, "{error}");
}

// Giving up

#[test]
fn the_deadline_ends_an_upload_and_cancels_its_session() {
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
fn an_object_that_was_finished_after_all_is_a_success() {
    let script = mebibyte().on("start", opened()).on(WHOLE, fails(TransportError::TimedOut));
    script.on("cancel", breaks()).done_on("get metadata").uploads();
}

#[test]
fn an_object_that_is_not_there_is_told_to_be_absent_if_its_session_is_over() {
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
fn an_object_that_is_not_there_yet_is_told_to_be_uncertain_if_its_session_may_go_on() {
    for cancel in [breaks(), status(503), status(401)] {
        let script = mebibyte().on("start", opened()).on(WHOLE, fails(TransportError::TimedOut));
        assert!(!script.on("cancel", cancel).on("get metadata", status(404)).fails().absent);
    }
}

#[test]
fn a_session_that_was_cancelled_is_proof_enough_where_nobody_can_be_asked() {
    let script = mebibyte().on("start", opened()).on(WHOLE, fails(TransportError::TimedOut));
    assert!(script.on("cancel", status(499)).on("get metadata", status(403)).fails().absent);
}

#[test]
fn an_object_that_is_there_is_believed_before_a_session_that_claims_to_be_cancelled() {
    let script = mebibyte().on("start", opened()).on(WHOLE, fails(TransportError::TimedOut));
    script.on("cancel", status(499)).done_on("get metadata").uploads();
}

#[test]
fn an_object_that_nobody_can_ask_about_is_told_to_be_uncertain() {
    let script = mebibyte().on("start", opened()).on(WHOLE, fails(TransportError::TimedOut));
    let error = script.on("cancel", breaks()).on("get metadata", breaks()).fails();
    assert!(!error.absent);
}

#[test]
fn an_interrupt_cancels_the_session_and_says_how_far_it_had_come() {
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
fn an_interrupt_ends_a_wait() {
    let error = mebibyte().on("start", status(503).interrupting()).fails();
    assert_eq!(error.kind, ErrorKind::Interrupted);
}

#[test]
fn a_checksum_is_compared_as_a_value() {
    let object = mebibyte().done();
    let (uploaded, _) = mebibyte().on("start", opened()).on(WHOLE, object).uploads();
    assert_ne!(uploaded.object.crc32c, Crc32c::new(0));
}
