//! What networks and Cloud Storage do, one by one, over real connections.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::time::Duration;

use gcs_uploader::emulator::{
    Action, Break, Processing, RawResponse, RecordedRequest, RequestKind, Rule,
};
use gcs_uploader::gcs::{ErrorKind, Uploader as _};
use support::cutter::{Cut, Cutter, Direction, How};
use support::rig::{Rig, on_data, on_start, on_status, reset_after, status, status_after};
use support::{Process, Store, engine, gcs_uploader};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const TRANSIENT: [u16; 6] = [408, 429, 500, 502, 503, 504];

fn answer(answer: RawResponse) -> Action {
    Action::Respond(answer)
}

#[test]
fn every_transient_status_is_survived_on_every_request_several_times_in_a_row() {
    for code in TRANSIENT {
        for on in [on_start as fn(Action) -> Rule, on_data] {
            let uploaded = Rig::with([on(status(code)).times(3)]).succeeds(300 * KIB);
            assert_eq!(uploaded.retried, 3);
        }
        let rules = [on_data(reset_after(100 * KIB)), on_status(status(code)).times(3)];
        assert_eq!(Rig::with(rules).succeeds(300 * KIB).retried, 4);
    }
}

#[test]
fn retry_after_is_honoured_as_seconds_and_as_a_date() {
    let in_a_minute = std::time::SystemTime::now() + Duration::from_secs(60);
    for value in ["50".to_owned(), httpdate::fmt_http_date(in_a_minute)] {
        let action = Action::Status { status: 503, retry_after: Some(value) };
        let uploaded = Rig::with([on_start(action)]).succeeds(KIB);
        assert!(uploaded.elapsed > Duration::from_secs(45), "{:?}", uploaded.elapsed);
    }
}

#[test]
fn less_persisted_than_was_sent_is_sent_again() {
    for (kept, size) in [(0, 300 * KIB), (256 * KIB, 300 * KIB), (512 * KIB, MIB)] {
        let uploaded = Rig::with([on_data(Action::PersistAtMost { bytes: kept })]).succeeds(size);
        assert_eq!(uploaded.resumed, 1);
        assert_eq!(uploaded.bytes_sent, size + size - kept);
    }
}

#[test]
fn an_object_that_was_finished_while_the_answer_was_lost_is_found() {
    for with in [Break::Reset, Break::Close] {
        let uploaded = Rig::with([on_data(Action::BreakBeforeResponse { with })]).succeeds(MIB);
        assert_eq!((uploaded.resumed, uploaded.bytes_sent), (0, MIB));
    }
}

#[test]
fn an_answer_that_comes_while_the_body_is_still_being_sent_ends_it() {
    for code in TRANSIENT {
        for with in [Break::Reset, Break::Close] {
            let early = Action::RespondAfterRequestBytes { bytes: MIB, status: code, with };
            assert_eq!(Rig::with([on_data(early)]).succeeds(9 * MIB).resumed, 1);
        }
    }
}

#[test]
fn a_refusal_that_comes_while_the_body_is_still_being_sent_is_final_if_it_stays() {
    let rules = [on_data(status_after(MIB, 403)), on_status(status(403))];
    let error = Rig::with(rules).fails(9 * MIB);
    assert_eq!((error.kind, error.status), (ErrorKind::Refused, Some(403)));
}

#[test]
fn a_final_answer_that_is_cut_short_or_empty_is_asked_for_again() {
    for bytes in [0, 1, 100] {
        let uploaded = Rig::with([on_data(Action::TruncateResponse { bytes })]).succeeds(300 * KIB);
        assert_eq!((uploaded.retried, uploaded.bytes_sent), (1, 300 * KIB));
    }
}

#[test]
fn a_peer_that_answers_nothing_is_given_up_and_asked_again() {
    for on in [on_start as fn(Action) -> Rule, on_data] {
        Rig::with([on(Action::StallBeforeResponse { ms: 5_000 })]).succeeds(300 * KIB);
    }
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_and_asked_again() {
    let stall = Action::StallAfterRequestBytes { bytes: 256 * KIB, ms: 5_000 };
    Rig::with([on_data(stall)]).succeeds(20 * MIB);
}

#[test]
fn a_session_that_is_lost_is_replaced() {
    for status in [404, 410, 499] {
        let uploaded = Rig::with([on_data(Action::LoseSession { status })]).succeeds(300 * KIB);
        assert_eq!(uploaded.bytes_sent, 600 * KIB);
        let rules = [on_data(reset_after(100)), on_status(Action::LoseSession { status })];
        Rig::with(rules).succeeds(300 * KIB);
    }
}

#[test]
fn sessions_that_are_lost_again_and_again_are_a_clear_failure() {
    let error = Rig::with([on_data(Action::LoseSession { status: 410 }).times(5)]).fails(300 * KIB);
    assert!(error.message.contains("the session was gone"), "{error}");
}

#[test]
fn a_refused_bucket_is_final_at_once_and_has_a_hint() {
    for (code, hint) in [(403, "storage.objects.create"), (404, "GCS_BUCKET")] {
        let error = Rig::with([on_start(status(code))]).fails(KIB);
        assert_eq!((error.kind, error.retried), (ErrorKind::Refused, 0));
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{error}");
    }
}

#[test]
fn a_location_that_is_missing_relative_or_elsewhere_is_an_error() {
    for headers in [
        vec![],
        vec![("Location".to_owned(), "/upload?upload_id=1".to_owned())],
        vec![("Location".to_owned(), "http://192.0.2.1/upload?upload_id=1".to_owned())],
    ] {
        let nonsense = RawResponse { status: 200, headers, ..RawResponse::default() };
        let error = Rig::with([on_start(answer(nonsense))]).fails(KIB);
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.message.contains("Location"), "{error}");
    }
}

#[test]
fn a_308_with_a_senseless_range_is_an_error() {
    for range in ["bytes=9-3", "bytes=0-999999999", "bytes=0-x", "nonsense"] {
        let headers = vec![("Range".to_owned(), range.to_owned())];
        let nonsense = RawResponse { status: 308, headers, ..RawResponse::default() };
        let error = Rig::with([on_data(answer(nonsense))]).fails(300 * KIB);
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.message.contains(range), "{error}");
    }
}

#[test]
fn an_answer_of_a_hundred_megabytes_is_not_read_and_the_object_found() {
    let endless = RawResponse {
        status: 200,
        body: "{".into(),
        padding: 100_000_000,
        processing: Processing::Done,
        ..RawResponse::default()
    };
    assert_eq!(Rig::with([on_data(answer(endless))]).succeeds(300 * KIB).retried, 1);
}

#[test]
fn an_object_with_another_checksum_is_no_success() {
    let rig = Rig::new();
    let wrong = RawResponse {
        status: 200,
        body: r#"{"bucket":"bucket","name":"object","size":"1024","crc32c":"AAAAAA==","generation":"1"}"#
            .into(),
        ..RawResponse::default()
    };
    rig.emulator.faults().inject(on_data(answer(wrong)));
    let error = rig.fails(KIB);
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert!(error.message.contains("AAAAAA=="), "{error}");
}

#[test]
fn another_object_of_the_name_is_a_conflict_and_stays_as_it_is() {
    let rig = Rig::new();
    engine::upload(&rig.client, "object", 2, 7).unwrap();
    let error = rig.upload(KIB).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    let [object] = &rig.emulator.objects("bucket")[..] else { panic!("one object") };
    assert_eq!(object.size, 7);
}

#[test]
fn the_deadline_ends_an_upload_that_never_works() {
    let error = Rig::with([on_start(status(503)).times(10_000)]).upload(KIB).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(error.message.contains("503") && error.absent, "{error}");
}

#[test]
fn a_deadline_in_mid_transfer_says_how_far_it_had_come_and_cancels_the_session() {
    let rules = [
        on_data(reset_after(600 * KIB)),
        Rule::on(RequestKind::Status, status(503)).after(1).times(10_000),
        on_data(reset_after(0)).times(10_000),
    ];
    let rig = Rig::with(rules);
    let error = rig.upload(MIB).unwrap_err();
    assert_eq!((error.kind, error.persisted), (ErrorKind::TimedOut, 512 * KIB));
    assert!(error.absent && rig.emulator.objects("bucket").is_empty());
    let requests = rig.emulator.faults().requests();
    let cancelled = |request: &RecordedRequest| {
        request.kind == RequestKind::Cancel && request.status == Some(499)
    };
    assert!(requests.iter().any(cancelled), "{:?}", requests.last());
}

#[test]
fn an_uploader_that_is_told_to_stop_cancels_what_is_under_way() {
    let rig = Rig::with([on_data(Action::StallAfterRequestBytes { bytes: 300 * KIB, ms: 30_000 })]);
    let client = &rig.client;
    std::thread::scope(|scope| {
        let uploading = scope.spawn(|| engine::upload(client, "object", 1, 20 * MIB));
        while rig.emulator.faults().pending().len() == 1 {
            std::thread::yield_now();
        }
        client.interrupt();
        let error = uploading.join().unwrap().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Interrupted);
        assert!(error.absent, "{error}");
    });
    assert!(rig.emulator.objects("bucket").is_empty());
}

#[test]
fn a_process_that_is_killed_in_mid_transfer_leaves_no_object() {
    let rig = Rig::with([on_data(Action::StallAfterRequestBytes { bytes: 300 * KIB, ms: 30_000 })]);
    let mut command = gcs_uploader();
    command.args(["upload", "--size", "20MiB", "--bucket", "bucket"]);
    command.args(["--storage-emulator-host", &rig.emulator.url()]);
    let process = Process::start(command);
    while rig.emulator.faults().pending().len() == 1 {
        std::thread::yield_now();
    }
    process.signal("KILL");
    let (status, _) = process.wait();
    assert_eq!(status, None, "it was killed");
    assert!(rig.emulator.objects("bucket").is_empty());
}

#[test]
fn a_host_that_is_not_found_is_tried_until_the_deadline() {
    let output = gcs_uploader()
        .args(["upload", "--bucket", "bucket", "--upload-timeout", "2s"])
        .args(["--storage-emulator-host", "no-such-host.invalid"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("not finished within 2s") && said.contains("cannot connect"), "{said}");
    assert!(said.contains("no object was left behind"), "{said}");
}

// fake-gcs-server finishes whatever it has when it is asked for the status: a client that recovers
// by asking gets a truncated object and a 200 from it.
#[test]
fn a_store_that_makes_a_truncated_object_is_found_out_and_the_object_deleted() {
    let store = Store::fake_gcs_server();
    let cutter = Cutter::to(store.url.trim_start_matches("http://").parse().unwrap());
    cutter.plan(&[Cut { direction: Direction::Request, after: MIB, how: How::Reset }]);
    let error = engine::upload(&engine::client(cutter.address), "object", 1, 5 * MIB).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert!(error.message.contains("size") && error.absent, "{error}");
    assert!(store.names().is_empty());
}
