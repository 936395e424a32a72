//! Resumable uploads: the documented behaviour of Cloud Storage, case by case.

use std::io::Write;
use std::net::Shutdown;

use super::*;

#[test]
fn one_request_with_the_whole_object_stores_it() {
    let emulator = emulator();
    let content = bytes(3 * STEP + 17);
    let session = Session::start(&emulator, "a");
    let response = session.put_part(&content, 0, content.len());
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["size"], content.len().to_string());
    assert_eq!(response.json()["crc32c"], crc32c(&content));
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
    assert_eq!(emulator.faults().violations(), []);
}

#[test]
fn request_without_a_range_contains_the_whole_object() {
    let emulator = emulator();
    let content = bytes(STEP + 5);
    let session = Session::start(&emulator, "a");
    assert_eq!(session.put_with(&[], &content).status, 200);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
}

#[test]
fn chunked_body_without_a_range_contains_the_whole_object() {
    let emulator = emulator();
    let content = bytes(STEP + 5);
    let mut body = Vec::new();
    for part in content.chunks(100_000) {
        write!(body, "{:x}\r\n", part.len()).unwrap();
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    let session = Session::start(&emulator, "a");
    assert_eq!(session.put_with(&[("Transfer-Encoding", "chunked")], &body).status, 200);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
}

#[test]
fn empty_object_is_stored_by_a_range_without_bytes() {
    let emulator = emulator();
    let response = Session::start(&emulator, "a").put("bytes */0", b"");
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["size"], "0");
    assert_eq!(response.json()["crc32c"], "AAAAAA==");
    assert_eq!(response.json()["md5Hash"], "1B2M2Y8AsgTpgAmY7PhCfg==");
}

#[test]
fn location_has_the_host_that_the_client_used() {
    let emulator = emulator();
    let target = format!("{UPLOADS}?uploadType=resumable&name=a");
    for (host, base) in [
        ("storage.example:4443", "http://storage.example:4443/"),
        ("storage.example", "http://storage.example/"),
        ("[::1]:80", "http://[::1]:80/"),
        ("no host/at all", &format!("{}/", emulator.url())),
    ] {
        let response = request(&emulator, "POST", &target, &[("Host", host)], b"");
        let location = response.header("Location").unwrap();
        assert!(location.starts_with(base), "{location}");
        assert!(location.contains("upload_id="), "{location}");
        assert_eq!(response.body, b"");
    }
}

#[test]
fn path_with_the_resumable_prefix_starts_a_session() {
    let emulator = emulator();
    let target = format!("/resumable{UPLOADS}?uploadType=resumable&name=a");
    assert_eq!(request(&emulator, "POST", &target, &[], b"").status, 200);
}

#[test]
fn session_accepts_post_like_put() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    let headers = [("Content-Range", "bytes 0-2/3")];
    assert_eq!(request(&emulator, "POST", &session.target, &headers, b"abc").status, 200);
}

#[test]
fn status_query_with_nothing_persisted_has_no_range() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    for query in ["bytes */*", "bytes */1000"] {
        let response = session.put(query, b"");
        assert_eq!((response.status, response.header("Range")), (308, None));
    }
    assert_eq!(emulator.objects(BUCKET), []);
}

#[test]
fn status_query_between_chunks_reports_progress_and_the_session_continues() {
    let emulator = emulator();
    let content = bytes(2 * STEP);
    let session = Session::start(&emulator, "a");
    let response = session.put_part(&content, 0, STEP);
    assert_eq!((response.status, response.header("Range")), (308, Some("bytes=0-262143")));
    for query in ["bytes */*", "bytes */524288"] {
        let response = session.put(query, b"");
        assert_eq!((response.status, response.header("Range")), (308, Some("bytes=0-262143")));
    }
    assert_eq!(emulator.objects(BUCKET), []);
    assert_eq!(session.put_part(&content, STEP, 2 * STEP).status, 200);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
}

#[test]
fn last_chunk_of_an_object_of_unknown_size_has_its_size() {
    let emulator = emulator();
    let content = bytes(STEP + 3);
    let session = Session::start(&emulator, "a");
    assert_eq!(session.put("bytes 0-262143/*", &content[..STEP]).status, 308);
    assert_eq!(session.put("bytes 262144-262146/262147", &content[STEP..]).status, 200);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
}

#[test]
fn status_query_with_the_persisted_size_finishes_the_object() {
    let emulator = emulator();
    let content = bytes(STEP);
    let session = Session::start(&emulator, "a");
    assert_eq!(session.put("bytes 0-262143/*", &content).status, 308);
    assert_eq!(session.put("bytes */262144", b"").status, 200);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
}

#[test]
fn complete_session_returns_its_object_to_queries_and_repeated_content() {
    let emulator = emulator();
    let content = bytes(STEP + 1);
    let session = Session::start_with(&emulator, "name=a&ifGenerationMatch=0", &[], "");
    let made = session.put_part(&content, 0, content.len());
    assert_eq!(made.status, 200);
    for again in [
        session.status(),
        session.put(&format!("bytes */{}", content.len()), b""),
        session.put_part(&content, 0, content.len()),
        session.put_part(&content, STEP, content.len()),
        session.put_with(&[], &content),
    ] {
        assert_eq!(again.status, 200);
        assert_eq!(again.json(), made.json());
    }
    assert_eq!(emulator.objects(BUCKET).len(), 1);
}

#[test]
fn a_small_chunk_that_is_not_the_last_is_refused() {
    let emulator = emulator();
    let content = bytes(2 * STEP);
    let session = Session::start(&emulator, "a");
    let response = session.put_part(&content, 0, STEP - 1);
    assert_eq!(response.status, 400);
    assert_eq!(response.reason(), "invalid");
    assert_eq!(session.persisted(), 0);
}

#[test]
fn chunk_that_is_not_the_last_keeps_only_whole_steps() {
    let emulator = emulator();
    let content = bytes(4 * STEP);
    let session = Session::start(&emulator, "a");
    let response = session.put_part(&content, 0, 2 * STEP + 1);
    assert_eq!((response.status, response.header("Range")), (308, Some("bytes=0-524287")));
    assert_eq!(emulator.faults().violations().len(), 1);
    assert_eq!(session.put_part(&content, 2 * STEP, 4 * STEP).status, 200);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
}

#[test]
fn persisted_bytes_are_ignored_when_sent_again() {
    let emulator = emulator();
    let content = bytes(4 * STEP);
    let session = Session::start(&emulator, "a");
    assert_eq!(session.put_part(&content, 0, 2 * STEP).status, 308);
    // Different bytes at the same offsets show which ones are kept.
    let mut again = content.clone();
    again[..2 * STEP].fill(0);
    assert_eq!(session.put_part(&again, 0, STEP).header("Range"), Some("bytes=0-524287"));
    assert_eq!(session.put_part(&again, STEP, 3 * STEP).header("Range"), Some("bytes=0-786431"));
    // Also at an offset that is not a step's boundary.
    assert_eq!(session.put_part(&again, STEP + 100, 4 * STEP).status, 200);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
    assert_eq!(emulator.faults().violations(), []);
}

#[test]
fn a_chunk_beyond_what_is_persisted_is_503_and_nothing_is_kept() {
    let emulator = emulator();
    let content = bytes(3 * STEP);
    let session = Session::start(&emulator, "a");
    assert_eq!(session.put_part(&content, 0, STEP).status, 308);
    let response = session.put_part(&content, 2 * STEP, 3 * STEP);
    assert_eq!((response.status, response.reason().as_str()), (503, "backendError"));
    assert_eq!(session.persisted(), STEP as u64);
    assert_eq!(emulator.objects(BUCKET), []);
    assert_eq!(emulator.faults().violations().len(), 1);
}

#[test]
fn body_shorter_than_its_range_stores_no_object() {
    let emulator = emulator();
    let content = bytes(2 * STEP + 9);
    let session = Session::start(&emulator, "a");
    let range = format!("bytes 0-{}/{}", content.len() - 1, content.len());
    let response = session.put(&range, &content[..STEP + 100]);
    assert_eq!((response.status, response.header("Range")), (308, Some("bytes=0-262143")));
    assert_eq!(session.persisted(), STEP as u64);
    assert_eq!(emulator.objects(BUCKET), []);
    assert_eq!(emulator.faults().violations().len(), 1);
}

#[test]
fn a_body_longer_than_its_range_is_refused() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    assert_eq!(session.put("bytes 0-2/3", b"abcd").status, 400);
    let chunked = [("Transfer-Encoding", "chunked"), ("Content-Range", "bytes 0-2/3")];
    assert_eq!(session.put_with(&chunked, b"4\r\nabcd\r\n0\r\n\r\n").status, 400);
    assert_eq!(emulator.objects(BUCKET), []);
}

#[test]
fn interrupted_body_keeps_only_whole_steps() {
    let emulator = emulator();
    let content = bytes(4 * STEP);
    let session = Session::start(&emulator, "a");
    let range = format!("bytes 0-{}/{}", content.len() - 1, content.len());
    let length = content.len().to_string();
    let mut connection = Connection::to(&emulator);
    let headers = [("Content-Range", range.as_str()), ("Content-Length", length.as_str())];
    connection.send_head("PUT", &session.target, &headers).unwrap();
    connection.write(&content[..2 * STEP + STEP / 2]).unwrap();
    connection.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    // The response shows that the end of the body was processed.
    assert_eq!(connection.read_response("PUT").unwrap().status, 400);
    assert_eq!(session.persisted(), 2 * STEP as u64);
    assert_eq!(session.put_part(&content, 2 * STEP, 4 * STEP).status, 200);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
    assert_eq!(emulator.faults().violations(), []);
}

#[test]
fn interruption_before_the_first_step_keeps_nothing() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    let mut connection = Connection::to(&emulator);
    let headers = [("Content-Range", "bytes 0-4999/5000"), ("Content-Length", "5000")];
    connection.send_head("PUT", &session.target, &headers).unwrap();
    connection.write(&[7; 4999]).unwrap();
    connection.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    assert_eq!(connection.read_response("PUT").unwrap().status, 400);
    let response = session.status();
    assert_eq!((response.status, response.header("Range")), (308, None));
}

#[test]
fn precondition_is_checked_at_the_start() {
    let emulator = emulator();
    put(&emulator, "a", b"old");
    let target = format!("{UPLOADS}?uploadType=resumable&name=a&ifGenerationMatch=0");
    let response = request(&emulator, "POST", &target, &[], b"");
    assert_eq!((response.status, response.reason().as_str()), (412, "conditionNotMet"));
}

#[test]
fn precondition_is_checked_at_the_end() {
    let emulator = emulator();
    let session = Session::start_with(&emulator, "name=a&ifGenerationMatch=0", &[], "");
    put(&emulator, "a", b"meanwhile");
    for _ in 0..2 {
        let response = session.put("bytes 0-2/3", b"new");
        assert_eq!((response.status, response.reason().as_str()), (412, "conditionNotMet"));
    }
    assert_eq!(session.status().status, 412);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), b"meanwhile");
    assert_eq!(emulator.faults().violations(), []);
}

#[test]
fn matching_precondition_allows_a_replacement() {
    let emulator = emulator();
    let old = put(&emulator, "a", b"old");
    let generation = old["generation"].as_str().unwrap();
    let query = format!("name=a&ifGenerationMatch={generation}&ifMetagenerationMatch=1");
    let response = Session::start_with(&emulator, &query, &[], "").put("bytes 0-2/3", b"new");
    assert_eq!(response.status, 200);
    assert_ne!(response.json()["generation"], generation);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), b"new");
}

#[test]
fn custom_metadata_may_come_with_the_final_request() {
    let emulator = emulator();
    let metadata = r#"{"metadata": {"seed": "7", "who": "nobody"}}"#;
    let session = Session::start_with(&emulator, "name=a", &[], metadata);
    session.put_with(&[("Content-Range", "bytes */*"), ("X-Goog-Meta-Earlier", "1")], b"");
    let headers = [("Content-Range", "bytes 0-2/3"), ("X-Goog-Meta-Who", "me")];
    let response = session.put_with(&headers, b"abc");
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["metadata"], serde_json::json!({"seed": "7", "who": "me"}));
}

#[test]
fn wrong_checksums_in_the_metadata_store_no_object() {
    let emulator = emulator();
    for metadata in [
        format!(r#"{{"crc32c": "{}"}}"#, crc32c(b"other")),
        format!(r#"{{"md5Hash": "{}"}}"#, md5(b"other")),
    ] {
        let session = Session::start_with(&emulator, "name=a", &[], &metadata);
        let response = session.put("bytes 0-2/3", b"abc");
        assert_eq!((response.status, response.reason().as_str()), (400, "invalid"));
        assert_eq!(session.status().status, 400);
        assert_eq!(emulator.objects(BUCKET), []);
    }
}

#[test]
fn right_checksums_in_metadata_and_headers_store_the_object() {
    let emulator = emulator();
    let (crc32c, md5) = (crc32c(b"abc"), md5(b"abc"));
    let metadata = format!(r#"{{"crc32c": "{crc32c}", "md5Hash": "{md5}"}}"#);
    let session = Session::start_with(&emulator, "name=a", &[], &metadata);
    let hashes = format!("crc32c={crc32c},md5={md5}");
    let headers = [("Content-Range", "bytes 0-2/3"), ("x-goog-hash", hashes.as_str())];
    assert_eq!(session.put_with(&headers, b"abc").status, 200);
}

#[test]
fn wrong_hash_header_on_any_request_stores_no_object() {
    let emulator = emulator();
    let wrong_crc32c = format!("crc32c={}", crc32c(b"other"));
    let wrong_md5 = format!("md5={}", md5(b"other"));
    for wrong in [wrong_crc32c.as_str(), wrong_md5.as_str()] {
        let hash = ("x-goog-hash", wrong);
        let at_start = Session::start_with(&emulator, "name=a", &[hash], "");
        assert_eq!(at_start.put("bytes 0-2/3", b"abc").status, 400);
        let at_end = Session::start(&emulator, "a");
        let headers = [("Content-Range", "bytes 0-2/3"), hash];
        assert_eq!(at_end.put_with(&headers, b"abc").status, 400);
        let on_the_way = Session::start(&emulator, "a");
        let headers = [("Content-Range", "bytes */*"), hash];
        assert_eq!(on_the_way.put_with(&headers, b"").status, 308);
        assert_eq!(on_the_way.put("bytes 0-2/3", b"abc").status, 400);
    }
    assert_eq!(emulator.objects(BUCKET), []);
}

#[test]
fn size_that_differs_from_the_declared_one_stores_no_object() {
    let emulator = emulator();
    let declared = [("X-Upload-Content-Length", "4")];
    for (range, body) in
        [("bytes 0-2/3", &b"abc"[..]), ("bytes 0-4/5", b"abcde"), ("bytes */0", b"")]
    {
        let session = Session::start_with(&emulator, "name=a", &declared, "");
        assert_eq!(session.put(range, body).status, 400, "{range}");
        let session = Session::start_with(&emulator, "name=a", &declared, "");
        assert_eq!(session.put_with(&[], body).status, 400, "{range}");
    }
    let chunked = [("Transfer-Encoding", "chunked")];
    let session = Session::start_with(&emulator, "name=a", &declared, "");
    assert_eq!(session.put_with(&chunked, b"3\r\nabc\r\n0\r\n\r\n").status, 400);
    assert_eq!(emulator.objects(BUCKET), []);
    let session = Session::start_with(&emulator, "name=a", &declared, "");
    assert_eq!(session.put("bytes 0-3/4", b"abcd").status, 200);
}

#[test]
fn size_that_changes_between_requests_is_rejected() {
    let emulator = emulator();
    let content = bytes(3 * STEP);
    let session = Session::start(&emulator, "a");
    assert_eq!(session.put_part(&content, 0, STEP).status, 308);
    for range in ["bytes */1", "bytes */786433", "bytes 262144-524287/786433"] {
        let body = if range.contains('*') { &[][..] } else { &content[STEP..2 * STEP] };
        assert_eq!(session.put(range, body).status, 400, "{range}");
    }
    assert_eq!(session.persisted(), STEP as u64);
}

#[test]
fn an_unknown_session_is_404() {
    let emulator = emulator();
    let target = format!("{UPLOADS}?uploadType=resumable&upload_id=nobody");
    let response = request(&emulator, "PUT", &target, &[("Content-Range", "bytes 0-2/3")], b"abc");
    assert_eq!((response.status, response.reason().as_str()), (404, "notFound"));
    assert_eq!(request(&emulator, "DELETE", &target, &[], b"").status, 404);
    assert_eq!(emulator.faults().violations().len(), 2);
}

#[test]
fn cancelled_session_is_499_and_accepts_no_bytes() {
    let emulator = emulator();
    let content = bytes(2 * STEP);
    let session = Session::start(&emulator, "a");
    assert_eq!(session.put_part(&content, 0, STEP).status, 308);
    for _ in 0..2 {
        assert_eq!(request(&emulator, "DELETE", &session.target, &[], b"").status, 499);
    }
    assert_eq!(session.status().status, 499);
    assert_eq!(emulator.faults().violations(), []);
    assert_eq!(session.put_part(&content, STEP, 2 * STEP).status, 499);
    assert_eq!(emulator.faults().violations().len(), 1);
    assert_eq!(emulator.objects(BUCKET), []);
}

#[test]
fn cancelling_a_finished_session_leaves_the_object() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    assert_eq!(session.put("bytes 0-2/3", b"abc").status, 200);
    assert_eq!(request(&emulator, "DELETE", &session.target, &[], b"").status, 404);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), b"abc");
}

#[test]
fn malformed_range_is_rejected() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    let response = session.put("bytes 2-0/3", b"abc");
    assert_eq!((response.status, response.reason().as_str()), (400, "badContentRange"));
    assert_eq!(emulator.faults().violations().len(), 1);
    assert_eq!(session.put("bytes 0-2/3", b"abc").status, 200);
}

#[test]
fn session_start_rejects_missing_or_invalid_parameters() {
    let emulator = emulator();
    let start = |path: &str, headers: &[(&str, &str)], body: &str| {
        let response = request(&emulator, "POST", path, headers, body.as_bytes());
        (response.status, response.reason())
    };
    let (invalid, uploads) = ("invalid".to_owned(), format!("{UPLOADS}?uploadType=resumable"));
    assert_eq!(start(&uploads, &[], ""), (400, "required".to_owned()));
    assert_eq!(start(&uploads, &[], "{"), (400, "parseError".to_owned()));
    assert_eq!(start(&uploads, &[], "[]"), (400, "parseError".to_owned()));
    assert_eq!(start(&uploads, &[], r#"{"name": 7}"#), (400, invalid.clone()));
    assert_eq!(start(&uploads, &[], r#"{"name": "a", "crc32c": "x"}"#), (400, invalid.clone()));
    let named = format!("{uploads}&name=a");
    let length = [("X-Upload-Content-Length", "many")];
    assert_eq!(start(&named, &length, ""), (400, invalid.clone()));
    assert_eq!(start(&format!("{named}&ifGenerationMatch=x"), &[], ""), (400, invalid.clone()));
    assert_eq!(start(&format!("{UPLOADS}?uploadType=other&name=a"), &[], ""), (400, invalid));
    let elsewhere = "/upload/storage/v1/b/elsewhere/o?uploadType=resumable&name=a";
    assert_eq!(start(elsewhere, &[], ""), (404, "notFound".to_owned()));
    let long = format!(r#"{{"name": "a", "metadata": {{"k": "{}"}}}}"#, "v".repeat(1 << 20));
    assert_eq!(start(&uploads, &[], &long), (413, "uploadTooLarge".to_owned()));
}

#[test]
fn object_has_the_metadata_of_the_session_start() {
    let emulator = emulator();
    let metadata = r#"{"name": "in/metadata", "contentType": "image/png",
        "cacheControl": "no-store", "metadata": {"k": "v"}}"#;
    let headers = [("X-Upload-Content-Type", "image/gif")];
    let session = Session::start_with(&emulator, "fields=*", &headers, metadata);
    let object = session.put("bytes 0-2/3", b"abc").json();
    assert_eq!(object["name"], "in/metadata");
    assert_eq!(object["contentType"], "image/png");
    assert_eq!(object["cacheControl"], "no-store");
    assert_eq!(object["metadata"], serde_json::json!({"k": "v"}));
    let session = Session::start_with(&emulator, "name=in+query", &headers, r#"{"name": "x"}"#);
    let object = session.put("bytes 0-2/3", b"abc").json();
    assert_eq!(object["name"], "in query");
    assert_eq!(object["contentType"], "image/gif");
}

#[test]
fn connections_are_kept_alive() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    let content = bytes(2 * STEP);
    let mut connection = Connection::to(&emulator);
    let first = [("Content-Range", "bytes 0-262143/524288")];
    let response = connection.request("PUT", &session.target, &first, &content[..STEP]).unwrap();
    assert_eq!(response.status, 308);
    let beyond = [("Content-Range", "bytes 524287-524287/524288")];
    assert_eq!(connection.request("PUT", &session.target, &beyond, b"x").unwrap().status, 503);
    let second = [("Content-Range", "bytes 262144-524287/524288")];
    let response = connection.request("PUT", &session.target, &second, &content[STEP..]).unwrap();
    assert_eq!(response.status, 200);
}

#[test]
fn stalled_upload_does_not_block_other_requests() {
    let emulator = emulator();
    let content = bytes(2 * STEP);
    let session = Session::start(&emulator, "a");
    let mut connections = Vec::new();
    for _ in 0..20 {
        let mut connection = Connection::to(&emulator);
        let headers = [("Content-Range", "bytes 0-524287/524288"), ("Content-Length", "524288")];
        connection.send_head("PUT", &session.target, &headers).unwrap();
        connection.write(&content[..1000]).unwrap();
        connections.push(connection);
    }
    assert_eq!(session.put_part(&content, 0, content.len()).status, 200);
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
}
