//! The state machine with bytes that come once, against scripted answers.

use super::super::script::{Outcome, ScriptedUpload, breaks, fails, opened, persisted, status};
use super::super::transport::TransportError;
use super::*;
use crate::content::{Content as _, RandomContent, Seed};

const SECOND: Duration = Duration::from_secs(1);
const KIB: u64 = 1 << 10;

// 600 KiB in a window of 256 KiB: two parts and a last one.
const FIRST: &str = "put bytes 0-262143/*";
const SECOND_PART: &str = "put bytes 262144-524287/*";
const LAST: &str = "put bytes 524288-614399/614400";
const QUERY: &str = "put bytes */*";
const LAST_QUERY: &str = "put bytes */614400";

fn stream() -> ScriptedUpload {
    ScriptedUpload::of_kib(600).streamed(256)
}

/// A stream of which the first part is persisted, and the second has been read.
fn begun() -> ScriptedUpload {
    stream().on("start", opened()).on(FIRST, persisted(256 * KIB))
}

/// A stream of which all but the last part is persisted.
fn nearly_done() -> ScriptedUpload {
    begun().on(SECOND_PART, persisted(512 * KIB))
}

fn header(outcome: &Outcome, request: usize, name: &str) -> Option<String> {
    let headers = &outcome.requests[request].headers;
    headers.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone())
}

// Part by part

#[test]
fn stream_is_sent_in_parts_over_one_session() {
    let outcome = nearly_done().done_on(LAST).run();
    let uploaded = outcome.result.unwrap();
    assert_eq!((uploaded.retried, uploaded.resumed), (0, 0));
    assert_eq!((uploaded.bytes_sent, outcome.read), (600 * KIB, 600 * KIB));
    assert!(outcome.pauses.is_empty());
    let sent: Vec<u8> = outcome.requests[1..].iter().flat_map(|put| put.body.clone()).collect();
    let mut bytes = vec![0; sent.len()];
    let content = RandomContent::new(Seed::new(1), 600 * KIB);
    let mut offset = 0;
    while offset < bytes.len() {
        offset += content.read_at(offset as u64, &mut bytes[offset..]).unwrap();
    }
    assert!(sent == bytes, "what is sent is what came");
}

#[test]
fn checksum_is_sent_with_the_last_part_only() {
    let outcome = nearly_done().done_on(LAST).run();
    let hash = |request| header(&outcome, request, "x-goog-hash");
    let crc32c = RandomContent::new(Seed::new(1), 600 * KIB).crc32c();
    assert_eq!((hash(0), hash(1), hash(2)), (None, None, None));
    assert_eq!(hash(3), Some(format!("crc32c={crc32c}")));
    let metadata: serde_json::Value = serde_json::from_slice(&outcome.requests[0].body).unwrap();
    assert_eq!(metadata.get("crc32c"), None);
}

#[test]
fn declared_size_is_sent_when_the_session_is_opened() {
    let length = |script: ScriptedUpload| {
        let script = script.on("start", opened()).on(FIRST, persisted(256 * KIB));
        let outcome = script.on(SECOND_PART, persisted(512 * KIB)).done_on(LAST).run();
        header(&outcome, 0, "x-upload-content-length")
    };
    assert_eq!(length(stream()), None);
    assert_eq!(length(stream().announcing(600 * KIB)), Some("614400".into()));
}

#[test]
fn last_part_states_the_size_for_every_size() {
    for (size, stream) in [
        (0, &["put bytes */0"][..]),
        (1, &["put bytes 0-0/1"]),
        (262_143, &["put bytes 0-262142/262143"]),
        (262_144, &["put bytes 0-262143/262144"]),
        (262_145, &[FIRST, "put bytes 262144-262144/262145"]),
        (524_288, &[FIRST, "put bytes 262144-524287/524288"]),
        (524_289, &[FIRST, SECOND_PART, "put bytes 524288-524288/524289"]),
    ] {
        for announced in [None, Some(size)] {
            let script = ScriptedUpload::of(size).streamed(256);
            let script = announced.into_iter().fold(script, ScriptedUpload::announcing);
            let mut script = script.on("start", opened());
            let (last, others) = stream.split_last().unwrap();
            for (part, end) in others.iter().zip(1..) {
                script = script.on(part, persisted(end * 256 * KIB));
            }
            let outcome = script.done_on(last).run();
            assert_eq!(outcome.result.as_ref().unwrap().bytes_sent, size);
            assert!(header(&outcome, stream.len(), "x-goog-hash").is_some(), "{size}");
        }
    }
}

// Faults

#[test]
fn partly_stored_part_is_continued_from_its_stored_bytes() {
    let script = ScriptedUpload::of_kib(600).streamed(512).on("start", opened());
    let script = script.on("put bytes 0-524287/*", persisted(256 * KIB));
    let script = script.on(SECOND_PART, persisted(512 * KIB));
    let (uploaded, pauses) = script.done_on(LAST).uploads();
    assert_eq!((uploaded.resumed, uploaded.retried), (1, 0));
    assert!(pauses.is_empty());
}

#[test]
fn interrupted_part_is_resumed_from_the_reported_offset() {
    for fault in [status(503), status(408), breaks(), fails(TransportError::Stalled("w".into()))] {
        let script = begun()
            .on(SECOND_PART, fault.taking(1000))
            .on(QUERY, status(503))
            .on(QUERY, persisted(256 * KIB))
            .on(SECOND_PART, persisted(512 * KIB));
        let (uploaded, pauses) = script.done_on(LAST).uploads();
        assert_eq!((uploaded.resumed, uploaded.retried), (1, 2));
        assert_eq!(uploaded.bytes_sent, 600 * KIB + 1000);
        assert_eq!(pauses, [SECOND, 2 * SECOND]);
    }
}

#[test]
fn stored_part_with_lost_response_is_not_sent_again() {
    let script = begun().on(SECOND_PART, breaks()).on(QUERY, persisted(512 * KIB));
    assert_eq!(script.done_on(LAST).uploads().0.bytes_sent, 600 * KIB);
}

#[test]
fn part_without_progress_waits_and_queries_the_status() {
    let script = begun()
        .on(SECOND_PART, persisted(256 * KIB))
        .on(QUERY, persisted(256 * KIB))
        .on(SECOND_PART, persisted(512 * KIB));
    assert_eq!(script.done_on(LAST).uploads().1, [SECOND]);
}

#[test]
fn last_part_with_lost_response_is_found_complete() {
    let outcome = nearly_done().on(LAST, breaks()).done_on(LAST_QUERY).run();
    assert_eq!(outcome.result.as_ref().unwrap().bytes_sent, 600 * KIB);
    assert!(header(&outcome, 4, "x-goog-hash").is_some(), "a query can be what finishes it");
}

#[test]
fn interrupted_last_part_is_resumed() {
    let script = nearly_done().on(LAST, breaks().taking(7)).on(LAST_QUERY, persisted(512 * KIB));
    script.done_on(LAST).uploads();
}

#[test]
fn truncated_final_response_of_a_stream_is_queried_again() {
    let script = nearly_done().on(LAST, status(200).body("{"));
    assert_eq!(script.done_on(LAST_QUERY).uploads().0.retried, 1);
}

// What cannot be had again

#[test]
fn lost_session_is_replaced_while_all_bytes_are_buffered() {
    for code in [404, 410, 499] {
        let script = stream().on("start", opened()).on(FIRST, status(code)).on("start", opened());
        let script = script.on(FIRST, persisted(256 * KIB)).on(SECOND_PART, persisted(512 * KIB));
        assert_eq!(script.done_on(LAST).uploads().0.bytes_sent, (600 + 256) * KIB);
    }
    let script =
        ScriptedUpload::of(7).streamed(256).on("start", opened()).on("put bytes 0-6/7", breaks());
    let script = script.on("put bytes */7", status(410)).on("start", opened());
    script.done_on("put bytes 0-6/7").uploads();
}

#[test]
fn lost_session_is_final_when_bytes_are_no_longer_buffered() {
    for code in [404, 410, 499] {
        let error = begun().on(SECOND_PART, status(code)).on("cancel", status(404)).fails();
        assert_eq!(error.kind, ErrorKind::Lost);
        assert!(error.absent && error.message.contains("262144 bytes cannot be had"), "{error}");
        assert!(error.hint.unwrap().contains("once more"));
    }
}

#[test]
fn lost_session_of_a_completed_object_is_a_success() {
    let script = nearly_done().on(LAST, breaks()).on(LAST_QUERY, status(404));
    script.on("cancel", status(404)).done_on("get metadata").uploads();
}

#[test]
fn lost_acknowledged_part_is_final() {
    let script = begun().on(SECOND_PART, breaks()).on(QUERY, persisted(0));
    let error = script.on("cancel", status(499)).fails();
    assert_eq!(error.kind, ErrorKind::Lost);
    assert!(error.absent && error.message.contains("had acknowledged 262144"), "{error}");
}

#[test]
fn range_beyond_the_sent_bytes_is_an_error() {
    let script = begun().on(SECOND_PART, status(308).range("bytes=0-524288"));
    assert_eq!(script.on("cancel", status(499)).fails().kind, ErrorKind::Protocol);
}

// A name that is taken

#[test]
fn existing_name_is_reported_before_the_stream_is_read() {
    let outcome = stream().on("start", status(412)).run();
    let error = outcome.result.unwrap_err();
    assert_eq!((error.kind, error.absent, outcome.read), (ErrorKind::Conflict, true, 0));
}

#[test]
fn name_taken_during_the_upload_is_a_conflict() {
    assert_eq!(begun().on(SECOND_PART, status(412)).fails().kind, ErrorKind::Conflict);
    let script = nearly_done();
    let other = script.done_but("size", "7");
    assert_eq!(
        script.on(LAST, status(412)).on("get metadata", other).fails().kind,
        ErrorKind::Conflict
    );
}

#[test]
fn own_object_is_recognized_when_a_new_session_finds_its_name_taken() {
    let script =
        ScriptedUpload::of(7).streamed(256).on("start", opened()).on("put bytes 0-6/7", breaks());
    let script = script.on("put bytes */7", status(404)).on("start", status(412));
    script.done_on("get metadata").uploads();
}

// What is not what it should be

#[test]
fn failing_stream_cancels_its_session_and_leaves_no_object() {
    let script = stream().failing_at(300 * KIB, "the client has gone");
    let script = script.on("start", opened()).on(FIRST, persisted(256 * KIB));
    let error = script.on("cancel", status(499)).fails();
    assert_eq!((error.kind, error.absent), (ErrorKind::Source, true));
    assert!(error.message.contains("after 307200 bytes: the client has gone"), "{error}");
}

#[test]
fn stream_that_fails_at_its_end_is_not_completed() {
    for size in [0, 1, 256 * KIB, 600 * KIB] {
        let script = ScriptedUpload::of(size).streamed(1024).failing_at(size, "the digest differs");
        let error = script.on("start", opened()).on("cancel", status(499)).fails();
        assert_eq!((error.kind, error.absent), (ErrorKind::Source, true));
    }
}

#[test]
fn stream_that_differs_from_its_declared_size_is_not_completed() {
    for (announced, what) in [
        (614_399, "more bytes came than the 614399"),
        (614_401, "614400 bytes came of the 614401"),
        (0, "more bytes came than the 0"),
    ] {
        let script =
            ScriptedUpload::of_kib(600).streamed(1024).announcing(announced).on("start", opened());
        let error = script.on("cancel", status(499)).fails();
        assert_eq!((error.kind, error.absent), (ErrorKind::Source, true));
        assert!(error.message.contains(what), "{error}");
    }
}

#[test]
fn object_completed_before_the_end_of_the_stream_is_deleted() {
    let script = begun();
    let early = script.done_but("size", "262144");
    let script = script.on(SECOND_PART, breaks()).on(QUERY, early).on("delete 7", status(204));
    let error = script.on("cancel", status(404)).on("get metadata", status(404)).fails();
    assert_eq!((error.kind, error.absent), (ErrorKind::Protocol, true));
    assert!(error.message.contains("before its end"), "{error}");
}

#[test]
fn object_that_differs_from_the_stream_is_deleted() {
    for (field, value) in [("size", "7"), ("crc32c", "AAAAAA==")] {
        let script = nearly_done();
        let wrong = script.done_but(field, value);
        let script = script.on(LAST, wrong).on("delete 7", status(204));
        let error = script.on("cancel", status(404)).on("get metadata", status(404)).fails();
        assert_eq!((error.kind, error.absent), (ErrorKind::Protocol, true));
    }
}

// Time

#[test]
fn stream_with_progress_may_take_longer_than_the_timeout() {
    let script = stream().within(10 * SECOND).coming_at(2 * SECOND);
    let script = script.on("start", opened()).on(FIRST, persisted(256 * KIB));
    script.on(SECOND_PART, persisted(512 * KIB)).done_on(LAST).uploads();
}

#[test]
fn too_slow_stream_is_cancelled() {
    let script = stream().within(10 * SECOND).coming_at(3 * SECOND);
    let error = script.on("start", opened()).on("cancel", status(499)).fails();
    assert_eq!((error.kind, error.absent), (ErrorKind::Source, true));
    assert!(error.message.contains("too slow: after 262144 bytes"), "{error}");
}

#[test]
fn unacknowledged_part_times_out() {
    let script = stream().within(10 * SECOND).coming_at(SECOND).on("start", opened());
    let script = script.on(FIRST, persisted(256 * KIB)).on(SECOND_PART, status(503));
    let script = script.on(QUERY, status(503)).on(QUERY, status(503)).on(QUERY, status(503));
    let error = script.on("cancel", status(499)).fails();
    assert_eq!((error.kind, error.absent), (ErrorKind::TimedOut, true));
    assert!(error.message.contains("the part from byte 262144 on was not finished"), "{error}");
}

#[test]
fn interrupt_ends_a_stream_that_is_being_read() {
    let script = stream().interrupted_while_it_comes().on("start", opened());
    let error = script.on("cancel", status(499)).fails();
    assert_eq!((error.kind, error.absent), (ErrorKind::Interrupted, true));
}

// A stream may outlive a token.
#[test]
fn token_may_expire_again_after_progress() {
    let script = stream().with_tokens(&["one", "two", "three"]).on("start", status(401));
    let script = script.on("start", opened()).on(FIRST, persisted(256 * KIB));
    let script = script.on(SECOND_PART, status(401)).on(QUERY, persisted(256 * KIB));
    let outcome = script.on(SECOND_PART, persisted(512 * KIB)).done_on(LAST).run();
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.refreshes, 2);
}

#[test]
fn stream_buffer_grows_with_the_stream_up_to_the_window() {
    for (size, most) in [(0, 64), (1, 64), (1000, 64), (100 * KIB, 128), (9 << 20, 1024)] {
        let content = RandomContent::new(Seed::new(1), size);
        let mut source = Bytes { content: &content, offset: 0 };
        let window = "1MiB".parse().unwrap();
        let mut payload = Payload::stream(&mut source, window);
        let mut offset = 0;
        while payload.byte_range().total.is_none() {
            payload.next_part();
            while payload.read().unwrap() == Fill::More {}
            assert!(
                payload.buffer_capacity() as u64 <= most * KIB,
                "{size}: {}",
                payload.buffer_capacity()
            );
            assert!(
                payload.window_start() == offset && payload.byte_range().end - offset <= 1 << 20
            );
            offset = payload.byte_range().end;
        }
        assert_eq!(payload.size_and_checksum(), Some((size, content.crc32c())));
    }
}

/// A source that yields odd pieces.
struct Bytes<'a> {
    content: &'a RandomContent,
    offset: u64,
}

impl crate::content::Source for Bytes<'_> {
    fn declared_size(&self) -> Option<u64> {
        None
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(4999);
        let count = self.content.read_at(self.offset, &mut buffer[..most])?;
        self.offset += count as u64;
        Ok(count)
    }
}
