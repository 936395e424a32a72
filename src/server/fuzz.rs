//! What must hold for every byte that a client, or whoever writes the file of tokens, can send:
//! each function takes any bytes, and fails where a promise is broken.
//!
//! The tests below call them with random bytes and with variations of real inputs; `fuzz/` has
//! them for cargo-fuzz, which looks for what random bytes do not find.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use tiny_http::Method;

use crate::content::ByteSize;
use crate::http::body_source::{BodyError, ChunkedSlice, read_to_end};
use crate::http::chunked::{ChunkedDecoder, Decoded};
use crate::http::content_disposition::ContentDisposition;
use crate::http::multipart::{Boundary, Multipart};
use crate::http::prefer::Respond;
use crate::http::request_id::RequestId;
use crate::redact::without_tokens;
use crate::server::auth::{Authenticator, TokenList, bearer};
use crate::server::config::Config;
use crate::server::problem::Problem;
use crate::server::router::{self, RouteSet};
use crate::server::upload_id::UploadId;
use crate::server::uploads::checksums::{self, DigestVerifier, ExpectedDigests};
use crate::server::uploads::idempotency::IdempotencyKey;
use crate::server::uploads::query;

fn config() -> Config {
    Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        metrics_listen: None,
        workers: NonZeroUsize::MIN,
        pool_threads: 0,
        queue_depth: 1,
        max_connections: NonZeroUsize::MIN,
        upload_size: ByteSize::mebibytes(1),
        max_upload_size: ByteSize::mebibytes(16),
        upload_window: crate::gcs::Window::DEFAULT,
        object_prefix: crate::content::ObjectPrefix::default(),
        bucket: "bucket".to_owned(),
        upload_timeout: Duration::from_secs(1),
        drain_timeout: Duration::from_secs(1),
        auth: Authenticator::open(),
        endpoint: "https://storage.test".to_owned(),
    }
}

/// An answer to it is short, and its head has no line but those that were meant.
fn is_harmless(problem: Problem) {
    assert!((400..500).contains(&problem.status()));
    // The status, Date, Content-Length, Content-Type and the empty line.
    let lines = problem.header_count() + 5;
    let response = problem.into_response(&RequestId::random());
    assert!(response.body.len() < 4096, "{} bytes", response.body.len());
    let mut head = Vec::new();
    response.write_head(false, &mut head);
    let head = String::from_utf8(head).expect("a head is ASCII");
    assert_eq!(head.matches("\r\n").count(), lines, "{head:?}");
    assert_eq!(head.matches(['\r', '\n']).count(), 2 * lines, "{head:?}");
    assert!(head.is_ascii());
}

/// A query, as it stands behind the question mark.
pub fn query(data: &[u8]) {
    let (text, config) = (String::from_utf8_lossy(data), config());
    match query::size(Some(&text), &config) {
        Ok(size) => assert!(size <= config.max_upload_size),
        Err(problem) => is_harmless(problem),
    }
}

/// A size.
pub fn size(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<ByteSize>() {
        Ok(size) => assert_eq!(size.to_string().parse(), Ok(size)),
        Err(error) => assert!(error.to_string().len() < 1024),
    }
}

/// A request's target.
pub fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (path, query) = router::split(&text);
    assert!(path.len() + query.map_or(0, str::len) <= text.len());
    if let Err(problem) = router::route(&Method::Get, path, RouteSet::All) {
        is_harmless(problem);
    }
}

/// The value of `Idempotency-Key`.
pub fn idempotency_key(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match IdempotencyKey::from_headers(&[&text]) {
        Ok(None) => panic!("there is one"),
        Ok(Some(key)) => {
            let quoted = format!("\"{}\"", key.escaped());
            assert_eq!(
                IdempotencyKey::from_headers(&[&quoted]).expect("it is the same, quoted"),
                Some(key)
            );
        }
        Err(problem) => is_harmless(problem),
    }
}

/// The value of `X-Request-Id`.
pub fn request_id(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let id = RequestId::from_header_or_new(Some(&text));
    let sane = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    assert!((1..=64).contains(&id.as_str().len()) && id.as_str().bytes().all(sane));
}

/// The value of `Prefer`.
pub fn prefer(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let respond = Respond::from_headers(&[&text]);
    let named = text.to_ascii_lowercase().contains("respond-async");
    assert!(named || respond == Respond::WhenDone, "it is not asked for");
    assert_eq!(Respond::from_headers(&["wait=1", &text]), respond, "others change nothing");
    let before = format!("respond-async, {text}");
    assert_eq!(
        Respond::from_headers(&[&before]),
        Respond::Immediately,
        "what follows changes nothing"
    );
}

/// The id of an upload, as it stands in a path.
pub fn upload_id(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(id) = UploadId::parse(&text) {
        assert_eq!(id.to_string(), text);
    }
    let path = format!("/api/uploads/{text}");
    let is_one = UploadId::parse(&text).is_some();
    assert_eq!(router::route(&Method::Get, &path, RouteSet::All).is_ok(), is_one);
    assert_eq!(router::path_label(&path) == "other", !is_one);
}

/// The value of `Authorization`.
pub fn authorization(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match bearer(&[&text]) {
        Ok(token) => assert!(text.ends_with(token.trim_end()) || text.contains(token)),
        Err(problem) => is_harmless(problem),
    }
}

/// A file of tokens.
pub fn token_file(data: &[u8]) {
    let lines = data.split(|&b| b == b'\n').count();
    match TokenList::parse(data) {
        Ok(tokens) => assert!(tokens.len() <= lines),
        Err(error) => {
            assert!((1..=lines).contains(&error.line));
            assert!(error.to_string().len() < 256, "it quotes nothing");
        }
    }
}

/// Any text that is logged: no token is left in it.
pub fn text_with_tokens(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let shown = without_tokens(&text);
    let mut marks = shown.match_indices("gcsu_");
    assert!(marks.all(|(at, mark)| shown[at + mark.len()..].starts_with('…')));
    assert_eq!(without_tokens(&shown).matches("gcsu_").count(), shown.matches("gcsu_").count());
}

/// A chunked body, and what follows it: it is the same however it comes in.
pub fn chunked(data: &[u8]) {
    let decoded = |step| {
        let mut pieces = ChunkedSlice::on_connection(data, step);
        let all = read_to_end(&mut Decoded(ChunkedDecoder::default(), &mut pieces));
        all.map(|all| (all, pieces.rest().len())).map_err(drop)
    };
    let whole = decoded(data.len().max(1));
    if let Ok((all, rest)) = &whole {
        assert!(all.len() + rest + b"0\r\n\r\n".len() <= data.len());
    }
    assert_eq!(decoded(1), whole);
    assert_eq!(decoded(3), whole);
}

/// A form whose boundary is `b`: it is the same however it comes in.
pub fn multipart(data: &[u8]) {
    let boundary = Boundary::new("b").expect("a boundary");
    let read = |step| {
        let mut body = ChunkedSlice::new(data, step);
        let mut form = Multipart::new(&mut body, &boundary);
        let mut parts = Vec::new();
        while let Some(head) = form.next()? {
            parts.push((head, read_to_end(&mut form)?));
        }
        Ok::<_, BodyError>(parts)
    };
    let parts = |step| read(step).map_err(drop);
    let whole = parts(data.len().max(1));
    if let Ok(parts) = &whole {
        assert!(parts.iter().map(|(_, content)| content.len()).sum::<usize>() <= data.len());
    }
    assert_eq!(parts(1), whole);
    assert_eq!(parts(3), whole);
}

/// The value of `Content-Disposition`, and a file's name in it.
pub fn content_disposition(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some(ContentDisposition { file_name: Some(name) }) = ContentDisposition::parse(&text)
    else {
        return;
    };
    // What is of one byte in ISO-8859-1 may have two in UTF-8.
    assert!(name.len() <= 2 * text.len());
    let prefix: crate::content::ObjectPrefix = "in/".parse().expect("a prefix");
    if let Ok(object) = prefix.client_name(&name) {
        assert!(object.starts_with("in/") && object.len() <= 1024);
        assert!(!object.contains(char::is_control) && !object.split('/').any(|part| part == ".."));
    }
}

/// The values of the headers that state checksums.
pub fn checksums(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for header in checksums::HEADERS {
        let values_of = |name| if name == header { vec![&*text] } else { vec![] };
        if let Ok(stated) = ExpectedDigests::from_headers(values_of) {
            let mut check = DigestVerifier::new(stated.clone());
            check.update(data);
            assert!(check.verify().is_ok() || stated != ExpectedDigests::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::near_miss::near_miss;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const TARGETS: [fn(&[u8]); 14] = [
        query,
        size,
        target,
        idempotency_key,
        prefer,
        upload_id,
        request_id,
        authorization,
        token_file,
        text_with_tokens,
        chunked,
        multipart,
        content_disposition,
        checksums,
    ];

    /// Inputs as they should be, of every kind.
    const GOOD: [&str; 19] = [
        "size=64KiB",
        "size=1&size=%31",
        "18446744073709551615B",
        "/api/upload-random?size=1",
        "http://host:1/metrics",
        "\"a \\\"b\\\" \\\\c\"",
        "8e03978e-40d5-43e8-bc93-6894a57f9324",
        "respond-async; a=\"b, \\\" c\", wait=10",
        "d5ea41268ded915b8bd98f6dbce3fb70",
        "Bearer gcsu_abcDEF123-_",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad ci upload",
        "# tokens\r\n\nsha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad x",
        "gcsu_agcsu_b gcsu_",
        "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n",
        "5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
        "--b\r\nContent-Disposition: form-data; filename=\"a\"\r\n\r\ndata\r\n--b--\r\n",
        "form-data; name=\"f\"; filename=\"a \\\"b\\\".txt\"; filename*=UTF-8''%c3%a4.txt",
        "crc32c=yZRlqg==,md5=XrY7u+Ae7tCTyyK7j1rNww==",
        "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:;a=b, md5=:XrY7u+Ae7tCTyyK7j1rNww==:",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn whatever_bytes_come(data in vec(any::<u8>(), 0..400)) {
            TARGETS.iter().for_each(|target| target(&data));
        }

        #[test]
        fn whatever_text_comes(text in "\\PC{0,120}") {
            TARGETS.iter().for_each(|target| target(text.as_bytes()));
        }

        #[test]
        fn near_misses_never_panic(data in near_miss(&GOOD)) {
            TARGETS.iter().for_each(|target| target(&data));
        }
    }

    #[test]
    fn what_is_right() {
        for good in GOOD {
            TARGETS.iter().for_each(|target| target(good.as_bytes()));
        }
    }

    #[test]
    fn what_is_very_long() {
        for unit in GOOD.into_iter().chain(["a", "\"", "\\", "=", "%", "&", "\n", "\u{0}"]) {
            let long = unit.repeat(100_000 / unit.len());
            TARGETS.iter().for_each(|target| target(long.as_bytes()));
        }
    }
}
