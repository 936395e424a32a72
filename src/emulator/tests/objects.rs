//! Reading, listing and deleting objects.

use serde_json::json;

use super::*;

#[test]
fn object_resource_has_the_fields_that_clients_read() {
    let emulator = emulator();
    let made = put(&emulator, "a/b c", b"content");
    let response = get(&emulator, &format!("{OBJECTS}/a%2Fb%20c"));
    let object = response.json();
    assert_eq!((response.status, &object), (200, &made));
    let generation = object["generation"].as_str().unwrap();
    assert!(generation.parse::<u64>().unwrap() > 1_000_000_000_000_000);
    assert_eq!(object["kind"], "storage#object");
    assert_eq!(object["id"], format!("pictures/a/b c/{generation}"));
    let link = "storage/v1/b/pictures/o/a%2Fb%20c";
    assert_eq!(object["selfLink"], format!("{}/{link}", emulator.url()));
    let media = format!("{}/download/{link}?generation={generation}&alt=media", emulator.url());
    assert_eq!(object["mediaLink"], media);
    assert_eq!(object["bucket"], BUCKET);
    assert_eq!(object["metageneration"], "1");
    assert_eq!(object["contentType"], "text/plain");
    assert_eq!(object["storageClass"], "STANDARD");
    assert_eq!(object["size"], "7");
    assert_eq!(object["md5Hash"], md5(b"content"));
    assert_eq!(object["crc32c"], crc32c(b"content"));
    assert_eq!(object["etag"], response.header("ETag").unwrap());
    for time in ["timeCreated", "updated"] {
        humantime::parse_rfc3339(object[time].as_str().unwrap()).unwrap();
    }
}

#[test]
fn generations_grow_and_select_one_version() {
    let emulator = emulator();
    let number = |object: &Value| object["generation"].as_str().unwrap().parse::<u64>().unwrap();
    let (first, second) = (put(&emulator, "a", b"1"), put(&emulator, "a", b"2"));
    assert!(number(&first) < number(&second));
    let of = |object| get(&emulator, &format!("{OBJECTS}/a?generation={}", number(object))).status;
    assert_eq!((of(&first), of(&second)), (404, 200));
}

#[test]
fn an_unknown_object_is_404() {
    let emulator = emulator();
    for (method, target) in [
        ("GET", format!("{OBJECTS}/a")),
        ("GET", format!("{OBJECTS}/a?alt=media")),
        ("GET", format!("/download{OBJECTS}/a?alt=media")),
        ("DELETE", format!("{OBJECTS}/a")),
    ] {
        let response = request(&emulator, method, &target, &[], b"");
        assert_eq!(
            (response.status, response.reason().as_str()),
            (404, "notFound"),
            "{method} {target}"
        );
    }
}

#[test]
fn head_responds_like_get_without_the_body() {
    let emulator = emulator();
    put(&emulator, "a", b"content");
    let mut connection = Connection::to(&emulator);
    let response = connection.request("HEAD", &format!("{OBJECTS}/a?alt=media"), &[], b"").unwrap();
    assert_eq!((response.status, response.header("Content-Length")), (200, Some("7")));
    assert_eq!(connection.request("GET", &format!("{OBJECTS}/a"), &[], b"").unwrap().status, 200);
}

#[test]
fn a_download_is_the_content_with_its_hashes() {
    let emulator = emulator();
    let content = bytes(3 * STEP + 7);
    put(&emulator, "a", &content);
    for target in [format!("{OBJECTS}/a?alt=media"), format!("/download{OBJECTS}/a?alt=media")] {
        let response = get(&emulator, &target);
        assert_eq!(response.status, 200);
        assert!(response.body == content);
        assert_eq!(response.header("Content-Type"), Some("text/plain"));
        let hashes = format!("crc32c={},md5={}", crc32c(&content), md5(&content));
        assert_eq!(response.header("X-Goog-Hash"), Some(hashes.as_str()));
    }
}

#[test]
fn download_of_a_range_is_that_part_of_the_content() {
    let emulator = emulator();
    let content = bytes(2 * STEP);
    put(&emulator, "a", &content);
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=262143-262144", STEP - 1, STEP + 1),
        ("bytes=262144-", STEP, 2 * STEP),
        ("bytes=-5", 2 * STEP - 5, 2 * STEP),
        ("bytes=524287-999999", 2 * STEP - 1, 2 * STEP),
    ] {
        let target = format!("{OBJECTS}/a?alt=media");
        let response = request(&emulator, "GET", &target, &[("Range", range)], b"");
        assert_eq!(response.status, 206, "{range}");
        assert!(response.body == content[from..to], "{range}");
        let stated = format!("bytes {from}-{}/{}", to - 1, content.len());
        assert_eq!(response.header("Content-Range"), Some(stated.as_str()));
    }
}

#[test]
fn a_range_beyond_the_end_is_416() {
    let emulator = emulator();
    put(&emulator, "a", b"content");
    let headers = [("Range", "bytes=7-")];
    let response = request(&emulator, "GET", &format!("{OBJECTS}/a?alt=media"), &headers, b"");
    assert_eq!(response.status, 416);
    assert_eq!(response.header("Content-Range"), Some("bytes */7"));
}

#[test]
fn preconditions_hold_for_reads() {
    let emulator = emulator();
    let generation = put(&emulator, "a", b"content")["generation"].as_str().unwrap().to_owned();
    for suffix in ["", "&alt=media"] {
        let read =
            |condition: &str| get(&emulator, &format!("{OBJECTS}/a?{condition}{suffix}")).status;
        assert_eq!(read(&format!("ifGenerationMatch={generation}")), 200);
        assert_eq!(read("ifGenerationMatch=1"), 412);
        assert_eq!(read(&format!("ifGenerationNotMatch={generation}")), 304);
        assert_eq!(read("ifMetagenerationMatch=2"), 412);
    }
}

#[test]
fn deletion_is_204_and_checks_preconditions() {
    let emulator = emulator();
    let generation = put(&emulator, "a/b", b"content")["generation"].as_str().unwrap().to_owned();
    let delete = |query: &str| {
        request(&emulator, "DELETE", &format!("{OBJECTS}/a%2Fb{query}"), &[], b"").status
    };
    assert_eq!(delete("?ifGenerationMatch=1"), 412);
    assert_eq!(delete("?generation=1"), 404);
    assert_eq!(delete(&format!("?ifGenerationMatch={generation}")), 204);
    assert_eq!(delete(""), 404);
    assert_eq!(emulator.objects(BUCKET), []);
}

#[test]
fn a_listing_has_prefixes_and_items() {
    let emulator = emulator();
    for name in ["a", "a/1", "a/2", "a/b/3", "b/4", "c"] {
        put(&emulator, name, b"");
    }
    let list = |query: &str| {
        let page = get(&emulator, &format!("{OBJECTS}?{query}")).json();
        let items = page["items"].as_array().cloned().unwrap_or_default();
        let names: Vec<_> = items.iter().map(|item| item["name"].clone()).collect();
        let prefixes = page["prefixes"].as_array().cloned().unwrap_or_default();
        (json!(names), json!(prefixes))
    };
    assert_eq!(list(""), (json!(["a", "a/1", "a/2", "a/b/3", "b/4", "c"]), json!([])));
    assert_eq!(list("delimiter=/"), (json!(["a", "c"]), json!(["a/", "b/"])));
    assert_eq!(list("prefix=a/&delimiter=/"), (json!(["a/1", "a/2"]), json!(["a/b/"])));
    assert_eq!(list("prefix=a"), (json!(["a", "a/1", "a/2", "a/b/3"]), json!([])));
    assert_eq!(list("prefix=x"), (json!([]), json!([])));
    assert_eq!(list("startOffset=b&endOffset=c"), (json!(["b/4"]), json!([])));
    assert_eq!(list("prefix=a&startOffset=a/2"), (json!(["a/2", "a/b/3"]), json!([])));
}

#[test]
fn pages_of_a_listing_contain_every_name_once() {
    let emulator = emulator();
    for name in ["a", "b/1", "b/2", "c", "d/3", "e"] {
        put(&emulator, name, b"");
    }
    for size in 1..=6 {
        for (query, expected) in [
            ("", vec!["a", "b/1", "b/2", "c", "d/3", "e"]),
            ("&delimiter=/", vec!["a", "b/", "c", "d/", "e"]),
        ] {
            let mut seen = Vec::new();
            let mut token = String::new();
            loop {
                let target = format!("{OBJECTS}?maxResults={size}{query}&pageToken={token}");
                let page = get(&emulator, &target).json();
                let empty = Vec::new();
                let items = page["items"].as_array().unwrap_or(&empty);
                let names = items.iter().map(|item| &item["name"]);
                let prefixes = page["prefixes"].as_array().unwrap_or(&empty);
                let together: Vec<_> =
                    names.chain(prefixes).map(|name| name.as_str().unwrap().to_owned()).collect();
                assert!((1..=size).contains(&together.len()));
                seen.extend(together);
                match page["nextPageToken"].as_str() {
                    Some(next) => token = next.to_owned(),
                    None => break,
                }
            }
            seen.sort();
            assert_eq!(seen, expected, "pages of {size}{query}");
        }
    }
}

#[test]
fn listing_with_invalid_parameters_is_rejected() {
    let emulator = emulator();
    for query in ["maxResults=0", "maxResults=x", "pageToken=*"] {
        assert_eq!(get(&emulator, &format!("{OBJECTS}?{query}")).status, 400, "{query}");
    }
}

#[test]
fn any_valid_object_name_is_accepted() {
    let emulator = emulator();
    let long = "n".repeat(1024);
    for (encoded, name) in [
        ("%C3%A4%20%3F%23%25", "ä ?#%"),
        ("a%2F%2Fb%2F", "a//b/"),
        ("..%2F..%2Fetc%2Fpasswd", "../../etc/passwd"),
        (long.as_str(), long.as_str()),
    ] {
        let target = format!("{UPLOADS}?uploadType=media&name={encoded}");
        assert_eq!(request(&emulator, "POST", &target, &[], b"x").status, 200, "{name}");
        assert_eq!(get(&emulator, &format!("{OBJECTS}/{encoded}")).json()["name"], name);
    }
    for encoded in ["", ".", "..", "a%0Ab", &format!("{long}n")] {
        let target = format!("{UPLOADS}?uploadType=media&name={encoded}");
        assert_eq!(request(&emulator, "POST", &target, &[], b"x").status, 400, "{encoded}");
    }
    assert_eq!(get(&emulator, &format!("{OBJECTS}/%FF")).status, 400);
}
