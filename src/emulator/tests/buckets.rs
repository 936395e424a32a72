//! Buckets.

use super::*;

fn create(emulator: &Emulator, body: &str) -> Response {
    request(emulator, "POST", "/storage/v1/b?project=p", &[], body.as_bytes())
}

#[test]
fn bucket_is_created_read_and_listed() {
    let emulator = emulator();
    let response = create(&emulator, r#"{"name": "a-new.one"}"#);
    assert_eq!(response.status, 200);
    let read = get(&emulator, "/storage/v1/b/a-new.one");
    assert_eq!((read.status, read.json()), (200, response.json()));
    assert_eq!(read.json()["kind"], "storage#bucket");
    assert_eq!(read.json()["selfLink"], format!("{}/storage/v1/b/a-new.one", emulator.url()));
    let list = get(&emulator, "/storage/v1/b?project=p").json();
    assert_eq!(list["kind"], "storage#buckets");
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|b| &b["name"]).collect();
    assert_eq!(names, ["a-new.one", BUCKET]);
}

#[test]
fn existing_bucket_is_not_created_again() {
    let emulator = emulator();
    let response = create(&emulator, r#"{"name": "pictures"}"#);
    assert_eq!((response.status, response.reason().as_str()), (409, "conflict"));
}

#[test]
fn bucket_with_an_invalid_name_is_rejected() {
    let emulator = emulator();
    for body in [
        "",
        "{}",
        r#"{"name": 1}"#,
        r#"{"name": "ab"}"#,
        r#"{"name": "../x"}"#,
        r#"{"name": "A-B"}"#,
    ] {
        assert_eq!(create(&emulator, body).status, 400, "{body}");
    }
}

#[test]
fn unknown_bucket_is_404_for_every_operation() {
    let emulator = emulator();
    for (method, target) in [
        ("GET", "/storage/v1/b/nowhere"),
        ("GET", "/storage/v1/b/nowhere/o"),
        ("GET", "/storage/v1/b/nowhere/o/a"),
        ("DELETE", "/storage/v1/b/nowhere/o/a"),
        ("GET", "/download/storage/v1/b/nowhere/o/a?alt=media"),
        ("POST", "/upload/storage/v1/b/nowhere/o?uploadType=media&name=a"),
    ] {
        let response = request(&emulator, method, target, &[], b"");
        assert_eq!((response.status, response.reason().as_str()), (404, "notFound"), "{target}");
    }
}

#[test]
fn unimplemented_method_is_501_and_unknown_path_404() {
    let emulator = emulator();
    let response = request(&emulator, "PATCH", "/storage/v1/b/pictures/o/a", &[], b"{}");
    assert_eq!((response.status, response.reason().as_str()), (501, "notImplemented"));
    let response = get(&emulator, "/somewhere/else");
    assert_eq!((response.status, response.reason().as_str()), (404, "notFound"));
}
