//! Uploads in one request.

use super::*;

const MULTIPART: (&str, &str) = ("Content-Type", "multipart/related; boundary=\"=b=\"");

fn upload(emulator: &Emulator, query: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    request(emulator, "POST", &format!("{UPLOADS}?{query}"), headers, body)
}

fn multipart(metadata: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--=b=\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n\
         --=b=\r\ncontent-type: image/png\r\n\r\n"
    );
    [head.as_bytes(), content, b"\r\n--=b=--\r\n"].concat()
}

#[test]
fn media_upload_stores_the_body() {
    let emulator = emulator();
    let content = bytes(2 * STEP + 1);
    let headers = [("Content-Type", "image/gif")];
    let response = upload(&emulator, "uploadType=media&name=a%2Fb", &headers, &content);
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["name"], "a/b");
    assert_eq!(response.json()["contentType"], "image/gif");
    assert_eq!(response.json()["crc32c"], crc32c(&content));
    assert_eq!(emulator.content(BUCKET, "a/b").unwrap(), content);
}

#[test]
fn interrupted_media_upload_stores_no_object() {
    let emulator = emulator();
    let mut connection = Connection::to(&emulator);
    let target = format!("{UPLOADS}?uploadType=media&name=a");
    connection.send_head("POST", &target, &[("Content-Length", "5000")]).unwrap();
    connection.write(&[1; 4999]).unwrap();
    connection.stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(connection.read_response("POST").unwrap().status, 400);
    assert_eq!(emulator.objects(BUCKET), []);
}

#[test]
fn multipart_upload_stores_its_second_part() {
    let emulator = emulator();
    // Sizes around that of a read, and content that resembles a boundary.
    for size in [0, 1, STEP - 10, STEP, STEP + 10, 3 * STEP] {
        let mut content = bytes(size);
        content.extend_from_slice(b"\r\n--=b\r\n--=");
        let body = multipart(r#"{"name": "a", "metadata": {"k": "v"}}"#, &content);
        let response = upload(&emulator, "uploadType=multipart", &[MULTIPART], &body);
        assert_eq!(response.status, 200, "{size}");
        assert_eq!(response.json()["contentType"], "image/png");
        assert_eq!(response.json()["metadata"]["k"], "v");
        assert!(emulator.content(BUCKET, "a").unwrap() == content, "{size}");
    }
}

#[test]
fn malformed_multipart_upload_is_rejected() {
    let emulator = emulator();
    let sound = multipart(r#"{"name": "a"}"#, b"content");
    let text = String::from_utf8(sound.clone()).unwrap();
    for (what, body) in [
        ("no body", String::new()),
        ("no last boundary", text.replace("--=b=--", "")),
        ("three parts", text.replace("--=b=--\r\n", "--=b=\r\n\r\nmore\r\n--=b=--\r\n")),
        ("one part", "--=b=\r\n\r\n{}\r\n--=b=--\r\n".to_owned()),
        ("no JSON", text.replace(r#"{"name": "a"}"#, "name")),
        ("another boundary", text.replace("=b=", "=c=")),
    ] {
        let response = upload(&emulator, "uploadType=multipart", &[MULTIPART], body.as_bytes());
        assert_eq!(response.status, 400, "{what}");
    }
    let plain = [("Content-Type", "text/plain")];
    assert_eq!(upload(&emulator, "uploadType=multipart", &plain, &sound).status, 400);
    assert_eq!(emulator.objects(BUCKET), []);
}

#[test]
fn preconditions_hold_for_uploads_in_one_request() {
    let emulator = emulator();
    let generation = put(&emulator, "a", b"old")["generation"].as_str().unwrap().to_owned();
    let body = multipart(r#"{"name": "a"}"#, b"new");
    for condition in [
        "ifGenerationMatch=0".to_owned(),
        "ifGenerationMatch=1".to_owned(),
        format!("ifGenerationNotMatch={generation}"),
        "ifMetagenerationMatch=2".to_owned(),
    ] {
        let query = format!("uploadType=multipart&{condition}");
        let response = upload(&emulator, &query, &[MULTIPART], &body);
        assert_eq!(
            (response.status, response.reason().as_str()),
            (412, "conditionNotMet"),
            "{condition}"
        );
        let query = format!("uploadType=media&name=a&{condition}");
        assert_eq!(upload(&emulator, &query, &[], b"new").status, 412, "{condition}");
    }
    assert_eq!(emulator.content(BUCKET, "a").unwrap(), b"old");
    let query = format!("uploadType=media&name=a&ifGenerationMatch={generation}");
    assert_eq!(upload(&emulator, &query, &[], b"new").status, 200);
}

#[test]
fn wrong_checksums_store_no_object() {
    let emulator = emulator();
    let wrong = crc32c(b"other");
    let body = multipart(&format!(r#"{{"name": "a", "crc32c": "{wrong}"}}"#), b"content");
    assert_eq!(upload(&emulator, "uploadType=multipart", &[MULTIPART], &body).status, 400);
    let header = format!("crc32c={wrong}");
    let headers = [("x-goog-hash", header.as_str())];
    assert_eq!(upload(&emulator, "uploadType=media&name=a", &headers, b"content").status, 400);
    assert_eq!(emulator.objects(BUCKET), []);
}
