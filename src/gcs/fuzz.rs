//! Properties that hold for every byte that Cloud Storage, or another server in its place, can
//! send: each function takes any bytes, and panics if a property is violated.
//!
//! The tests below call them with random bytes and with variations of real answers; `fuzz/` has
//! them for cargo-fuzz, which looks for what random bytes do not find.

use std::time::{Duration, SystemTime};

use super::backoff::retry_after;
use super::message::{gcs_message, printable};
use super::object::Object;
use super::session::persisted;
use super::{Endpoint, session};

/// The value of `Range` in a 308, after the eight bytes that are the object's size.
pub fn range(data: &[u8]) {
    let Some((size, range)) = data.split_first_chunk::<8>() else { return };
    let (size, range) = (u64::from_be_bytes(*size), String::from_utf8_lossy(range));
    if let Some(persisted) = persisted(Some(&range), size) {
        assert!(persisted <= size && persisted > 0);
        let byte_range = session::ByteRange { end: size, total: Some(size) };
        let content_range = session::content_range(persisted, byte_range);
        assert!(content_range.ends_with(&format!("/{size}")), "{content_range}");
    }
}

/// The value of `Location`: whatever it is, a session lies at the endpoint and nowhere else.
pub fn location(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let endpoint = Endpoint::google();
    if let Ok(session) = endpoint.session(&text) {
        let uri = session.uri();
        assert!(uri.starts_with("https://storage.googleapis.com/"), "{uri}");
        let url = url::Url::parse(uri).expect("a session is a URL");
        assert_eq!(url.host_str(), Some("storage.googleapis.com"));
        assert!(uri.is_ascii() && !uri.contains(char::is_whitespace), "{uri}");
        assert_eq!(format!("{session:?}"), "Session(…)");
    }
}

/// The value of `Retry-After`.
pub fn retry(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    if let Some(wait) = retry_after(&text, now) {
        let digits = text.trim().bytes().all(|b| b.is_ascii_digit());
        assert!(digits || wait < Duration::from_secs(10_000 * 366 * 24 * 3600), "{wait:?}");
    }
}

/// The body of an object resource.
pub fn object(data: &[u8]) {
    if let Ok(object) = Object::from_json(data) {
        let json: serde_json::Value = serde_json::from_slice(data).expect("it was read");
        assert_eq!(json["name"], object.name);
        assert_eq!(json["size"].as_str().unwrap_or("0").parse(), Ok(object.size));
    }
}

/// The body of an error, and any other text that comes from outside.
pub fn message(data: &[u8]) {
    for text in [gcs_message(data), printable(data)] {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.chars().count() <= 10 * 300 + 1, "{} characters", text.chars().count());
        let mut secrets = text.match_indices("upload_id=");
        assert!(
            secrets.all(|(at, it)| text[at + it.len()..].chars().next().is_none_or(|c| c == '…'))
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::near_miss::near_miss;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const TARGETS: [fn(&[u8]); 5] = [range, location, retry, object, message];

    /// Answers as they should be, of every kind.
    const GOOD: [&str; 10] = [
        "\0\0\0\0\0\x08\0\0bytes=0-262143",
        "https://storage.googleapis.com/upload/storage/v1/b/b/o?upload_id=AbC-1_2",
        "https://storage.googleapis.com@evil.example/u?upload_id=x",
        "//storage.googleapis.com\\@h/u",
        "120",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        r#"{"bucket":"b","name":"n","size":"9","crc32c":"4waSgw==","generation":"1"}"#,
        r#"{"error":{"code":403,"message":"no access upload_id=AbC-1_2"}}"#,
        "upload_id=upload_id=a upload_id=b",
        "\u{1b}[31m\r\n\u{85}\u{2028}",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn random_bytes_never_panic(data in vec(any::<u8>(), 0..400)) {
            TARGETS.iter().for_each(|target| target(&data));
        }

        #[test]
        fn random_text_never_panics(text in "\\PC{0,120}") {
            TARGETS.iter().for_each(|target| target(text.as_bytes()));
        }

        #[test]
        fn near_misses_never_panic(data in near_miss(&GOOD)) {
            TARGETS.iter().for_each(|target| target(&data));
        }

        #[test]
        fn object_resources_with_random_fields_never_panic(
            field in prop::sample::select(vec!["bucket", "name", "size", "crc32c", "generation"]),
            value in "\\PC{0,20}",
        ) {
            let mut json: serde_json::Value = serde_json::from_str(GOOD[6]).unwrap();
            json[field] = value.into();
            object(json.to_string().as_bytes());
        }

        #[test]
        fn session_uris_with_random_hosts_never_leave_the_endpoint(host in "[a-z.@:/\\\\#?%]{0,12}(storage\\.googleapis\\.com)?[a-z.@:/\\\\#?%0-9]{0,12}") {
            location(format!("https://{host}/upload?upload_id=x").as_bytes());
            location(format!("http://{host}").as_bytes());
        }
    }

    #[test]
    fn example_inputs_never_panic() {
        for good in GOOD {
            TARGETS.iter().for_each(|target| target(good.as_bytes()));
        }
    }

    #[test]
    fn very_long_inputs_never_panic() {
        for unit in GOOD.into_iter().chain(["a", "[", "{\"a\":", "9", "%", "upload_id="]) {
            let long = unit.repeat(100_000 / unit.len());
            TARGETS.iter().for_each(|target| target(long.as_bytes()));
        }
    }
}
