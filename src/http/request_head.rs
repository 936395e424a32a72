//! What the bytes of a client mean as the head of a request (RFC 9112), and whether it is passed
//! on.
//!
//! Strict on purpose: what two parties could read in two ways is refused. What is passed on has no
//! body and is of printable ASCII, and holds those headers alone that somebody behind asks for. A
//! body is kept for a route that takes one, and for no other.

use std::str;

use httparse::{Header, Request, Status};

use crate::http::request_id::RequestId;
use crate::http::response::Answer;
use crate::server::problem::{self, Kind, Problem};
use crate::server::router::{self, Route};

/// The longest head.
pub(crate) const MAX_HEAD: usize = 16 << 10;

/// The longest target, in bytes.
const MAX_TARGET: usize = 8 << 10;

/// The most headers.
const MAX_HEADERS: usize = 64;

/// The longest body that is read, to be thrown away.
const MAX_BODY: u64 = 64 << 10;

/// The headers that anybody behind asks for.
pub(crate) const PASSED_ON: [&str; 13] = [
    "Authorization",
    "Content-Digest",
    "Content-Disposition",
    "Content-Encoding",
    "Content-MD5",
    "Content-Range",
    "Content-Type",
    "Idempotency-Key",
    "Prefer",
    "Repr-Digest",
    "User-Agent",
    "X-Goog-Hash",
    "X-Request-Id",
];

/// A request that may be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the head.
    pub(crate) length: usize,
    pub(crate) body: BodyBehind,
    pub(crate) afterwards: Afterwards,
    pub(crate) answer: AnswerBody,
}

/// What is behind the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyBehind {
    /// So many bytes, often none, that nobody wants.
    Ignored(u64),
    /// What the route takes.
    Taken(Framing, Continue),
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// Whether a client waits for `100 Continue` before it sends a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continue {
    Awaited,
    NotAwaited,
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    Open,
    Closed,
}

/// Whether the answer's body follows its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerBody {
    Follows,
    /// As HEAD has it, whatever the length that the head states.
    Missing,
}

/// Why a request is not passed on.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: &'static Kind,
    pub(crate) id: RequestId,
    detail: String,
    /// What would have been taken.
    maximum: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self { kind, id: RequestId::choose(None), detail: detail.into(), maximum: None }
    }

    pub(crate) fn into_answer(self) -> Answer {
        let problem = Problem::new(self.kind, self.detail);
        let problem = match self.maximum {
            Some(maximum) => problem.with("maximum", maximum),
            None => problem,
        };
        let answer = problem.into_answer(&self.id);
        answer.with_header("X-Request-Id", self.id.as_str()).with_header("Connection", "close")
    }

    fn with_id_of(mut self, headers: &[Header<'_>]) -> Self {
        let sent = values(headers, "X-Request-Id").next();
        self.id = RequestId::choose(sent.and_then(|value| str::from_utf8(value).ok()));
        self
    }
}

/// Reads the head that `bytes` begin with; `None` if it is not all there. Appends to `passed_on`
/// what is passed on of it, with the header line `introduction`, which ends with a line end.
pub(crate) fn read(
    bytes: &[u8],
    introduction: &str,
    passed_on: &mut Vec<u8>,
) -> Result<Option<Head>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    let parsed = request.parse(bytes).map_err(malformed)?;
    let (method, target, version) = (request.method, request.path, request.version);
    let (Status::Complete(length), Some(method), Some(target), Some(version)) =
        (parsed, method, target, version)
    else {
        return match bytes.len() < MAX_HEAD {
            true => Ok(None),
            false => Err(too_long(target)),
        };
    };
    let headers = &*request.headers;
    check_form(&bytes[..length], target)
        .and_then(|()| check_host(headers, version))
        .and_then(|()| pass_on(method, target, introduction, headers, passed_on))
        .and_then(|()| match takes_body(method, target) {
            true => body_taken(headers, version),
            false => body_length(headers, version).map(BodyBehind::Ignored),
        })
        .map(|body| {
            let answer = if method == "HEAD" { AnswerBody::Missing } else { AnswerBody::Follows };
            Some(Head { length, body, afterwards: afterwards(headers, version), answer })
        })
        .map_err(|refusal| refusal.with_id_of(headers))
}

fn values<'a>(headers: &'a [Header<'_>], name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value)
}

fn malformed(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::new(
            &problem::HEAD_TOO_LARGE,
            format!("A request may have up to {MAX_HEADERS} headers."),
        ),
        httparse::Error::Version => {
            Refusal::new(&problem::VERSION, "This server speaks HTTP/1.1, in clear text.")
        }
        error => Refusal::new(&problem::MALFORMED, format!("This is no HTTP/1.1: {error}.")),
    }
}

/// `target` is there if the request line has come to its end.
fn too_long(target: Option<&str>) -> Refusal {
    match target {
        Some(_) => Refusal::new(
            &problem::HEAD_TOO_LARGE,
            format!("A request's head may have up to {MAX_HEAD} bytes."),
        ),
        None => target_too_long(),
    }
}

fn target_too_long() -> Refusal {
    let detail = format!("A request's path and query may have up to {MAX_TARGET} bytes.");
    Refusal::new(&problem::TARGET_TOO_LONG, detail)
}

fn check_form(head: &[u8], target: &str) -> Result<(), Refusal> {
    if target.len() > MAX_TARGET {
        return Err(target_too_long());
    }
    if !target.is_ascii() {
        let detail = "Path and query must be ASCII: write other characters as %XX (RFC 3986).";
        return Err(Refusal::new(&problem::MALFORMED, detail));
    }
    // The parser takes a bare line feed for a line's end; others take it for a part of the line.
    let bare = |pair: &[u8]| pair[0] != b'\r' && pair[1] == b'\n';
    match head.windows(2).any(bare) {
        true => Err(Refusal::new(&problem::MALFORMED, "Lines must end with CR LF.")),
        false => Ok(()),
    }
}

/// RFC 9112, 3.2.
fn check_host(headers: &[Header<'_>], version: u8) -> Result<(), Refusal> {
    match (values(headers, "Host").count(), version) {
        (1, _) | (0, 0) => Ok(()),
        _ => Err(Refusal::new(&problem::MALFORMED, "A request must have one Host header.")),
    }
}

/// How the end of the body is found; `None` if there is no body.
fn framing(headers: &[Header<'_>], version: u8) -> Result<Option<Framing>, Refusal> {
    let mut lengths = values(headers, "Content-Length");
    let mut codings = values(headers, "Transfer-Encoding");
    match (lengths.next(), lengths.next(), codings.next(), codings.next()) {
        (None, _, None, _) => Ok(None),
        (Some(length), None, None, _) => Ok(Some(Framing::Length(number(length)?))),
        (None, _, Some(coding), None) if version == 1 => coded(coding).map(Some),
        // Where a body ends on which two parties disagree, the next request can be forged
        // (RFC 9112, 11.2).
        _ => Err(ambiguous()),
    }
}

fn number(value: &[u8]) -> Result<u64, Refusal> {
    let digits = str::from_utf8(value).ok().filter(|text| is_number(text)).ok_or_else(ambiguous)?;
    Ok(digits.parse().unwrap_or(u64::MAX))
}

fn takes_body(method: &str, target: &str) -> bool {
    Route::at(router::split(target).0).is_some_and(|route| route.takes_body(method))
}

/// A body that the route takes, if it is there.
fn body_taken(headers: &[Header<'_>], version: u8) -> Result<BodyBehind, Refusal> {
    let awaits = awaits_continue(headers, version)?;
    let framing = framing(headers, version)?;
    Ok(framing.map_or(BodyBehind::Ignored(0), |framing| BodyBehind::Taken(framing, awaits)))
}

/// RFC 9110, 10.1.1.
fn awaits_continue(headers: &[Header<'_>], version: u8) -> Result<Continue, Refusal> {
    let mut awaits = Continue::NotAwaited;
    for value in values(headers, "Expect") {
        match value.eq_ignore_ascii_case(b"100-continue") {
            true if version == 1 => awaits = Continue::Awaited,
            true => {}
            false => {
                let detail = "Of all that may be expected, 100-continue alone is known here.";
                return Err(Refusal::new(&problem::EXPECTATION_FAILED, detail));
            }
        }
    }
    Ok(awaits)
}

/// How many bytes of body are to be thrown away, if it is a body that may be.
fn body_length(headers: &[Header<'_>], version: u8) -> Result<u64, Refusal> {
    let expects = values(headers, "Expect").next().is_some();
    match framing(headers, version)? {
        None | Some(Framing::Length(0)) => Ok(0),
        Some(Framing::Chunked) => Err(Refusal::new(
            &problem::CHUNKED_BODY,
            "This request has no body: send it without one, and without Transfer-Encoding.",
        )),
        Some(Framing::Length(length)) if length > MAX_BODY => Err(body_too_large()),
        Some(Framing::Length(_)) if expects => Err(Refusal::new(
            &problem::EXPECTATION_FAILED,
            "This request has no body: send it without one, and without Expect.",
        )),
        Some(Framing::Length(length)) => Ok(length),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn ambiguous() -> Refusal {
    Refusal::new(
        &problem::AMBIGUOUS_BODY,
        "Content-Length must be one whole number, and not come with Transfer-Encoding.",
    )
}

fn body_too_large() -> Refusal {
    let detail = format!("This request has no body; one of up to {MAX_BODY} bytes is ignored.");
    Refusal { maximum: Some(MAX_BODY), ..Refusal::new(&problem::BODY_TOO_LARGE, detail) }
}

fn coded(coding: &[u8]) -> Result<Framing, Refusal> {
    match coding.eq_ignore_ascii_case(b"chunked") {
        true => Ok(Framing::Chunked),
        false => {
            let detail = "No transfer coding but chunked is known here.";
            Err(Refusal::new(&problem::TRANSFER_CODING, detail))
        }
    }
}

fn pass_on(
    method: &str,
    target: &str,
    introduction: &str,
    headers: &[Header<'_>],
    to: &mut Vec<u8>,
) -> Result<(), Refusal> {
    for part in [method, " ", target, " HTTP/1.1\r\n", introduction] {
        to.extend_from_slice(part.as_bytes());
    }
    for header in headers {
        let known = PASSED_ON.iter().find(|name| name.eq_ignore_ascii_case(header.name));
        let Some(name) = known else { continue };
        if !header.value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            let detail = format!("{name} must be of printable ASCII characters.");
            return Err(Refusal::new(&problem::MALFORMED, detail));
        }
        for part in [name.as_bytes(), b": ", header.value, b"\r\n"] {
            to.extend_from_slice(part);
        }
    }
    to.extend_from_slice(b"\r\n");
    Ok(())
}

fn afterwards(headers: &[Header<'_>], version: u8) -> Afterwards {
    let mut options = values(headers, "Connection").flat_map(|value| value.split(|&b| b == b','));
    let close = options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
    if close || version == 0 { Afterwards::Closed } else { Afterwards::Open }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read of a head, and what is passed on of it.
    fn head(text: &str) -> Result<(Head, String), &'static str> {
        let mut passed_on = Vec::new();
        match read(text.as_bytes(), "Gate: x\r\n", &mut passed_on) {
            Ok(Some(head)) => Ok((head, String::from_utf8(passed_on).unwrap())),
            Ok(None) => Err("incomplete"),
            Err(refusal) => Err(refusal.kind.slug()),
        }
    }

    fn with_lines(lines: &str) -> Result<(Head, String), &'static str> {
        head(&format!("POST /a?b HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"))
    }

    #[test]
    fn a_plain_request_is_passed_on_without_what_nobody_asks_for() {
        let text = "GET /a?b HTTP/1.1\r\nHost: h\r\nACCEPT: */*\r\nuser-agent: me\r\n\
            Gate: forged\r\nConnection: keep-alive\r\nUpgrade: h2c\r\nX-Request-ID: 7\r\n\r\n";
        let (head, passed_on) = head(&format!("{text}GET")).unwrap();
        assert_eq!(
            (head.length, head.body, head.afterwards, head.answer),
            (text.len(), BodyBehind::Ignored(0), Afterwards::Open, AnswerBody::Follows)
        );
        assert_eq!(
            passed_on,
            "GET /a?b HTTP/1.1\r\nGate: x\r\nUser-Agent: me\r\nX-Request-Id: 7\r\n\r\n"
        );
    }

    #[test]
    fn the_end_of_the_connection_is_asked_for_or_implied() {
        for (text, afterwards) in [
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", Afterwards::Closed),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: te , close\r\n\r\n", Afterwards::Closed),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: disclose\r\n\r\n", Afterwards::Open),
            ("GET / HTTP/1.0\r\n\r\n", Afterwards::Closed),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Afterwards::Closed),
        ] {
            assert_eq!(head(text).unwrap().0.afterwards, afterwards, "{text}");
        }
    }

    #[test]
    fn a_short_body_is_announced_to_be_thrown_away() {
        for (lines, body) in [
            ("A: b", 0),
            ("Content-Length: 0", 0),
            ("content-length: 65536", 65536),
            ("Content-Length: 0\r\nExpect: 100-continue", 0),
            ("Expect: 100-continue", 0),
        ] {
            let is = with_lines(lines).unwrap().0.body;
            assert_eq!(is, BodyBehind::Ignored(body), "{lines}");
        }
    }

    #[test]
    fn a_body_is_kept_for_the_route_that_takes_one() {
        use Continue::{Awaited, NotAwaited};
        let upload = |lines: &str| {
            let text = format!("PUT /api/upload?name=a HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n");
            head(&text).map(|(head, _)| head.body)
        };
        for (lines, body) in [
            ("A: b", BodyBehind::Ignored(0)),
            ("Content-Length: 0", BodyBehind::Taken(Framing::Length(0), NotAwaited)),
            (
                "Content-Length: 30000000000",
                BodyBehind::Taken(Framing::Length(30_000_000_000), NotAwaited),
            ),
            (
                "Content-Length: 5\r\nExpect: 100-Continue",
                BodyBehind::Taken(Framing::Length(5), Awaited),
            ),
            ("Transfer-Encoding: Chunked", BodyBehind::Taken(Framing::Chunked, NotAwaited)),
            (
                "Expect: 100-continue\r\nTransfer-Encoding: chunked",
                BodyBehind::Taken(Framing::Chunked, Awaited),
            ),
        ] {
            assert_eq!(upload(lines), Ok(body), "{lines}");
        }
        for (lines, kind) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", "ambiguous-body"),
            ("Content-Length: 5\r\nContent-Length: 5", "ambiguous-body"),
            ("Content-Length: -5", "ambiguous-body"),
            ("Transfer-Encoding: gzip, chunked", "transfer-coding"),
            ("Content-Length: 5\r\nExpect: the worst", "expectation-failed"),
            ("Content-Length: 5\r\nExpect: 100-continue\r\nExpect: more", "expectation-failed"),
        ] {
            assert_eq!(upload(lines), Err(kind), "{lines}");
        }
        let old = "POST /api/upload HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        let body = BodyBehind::Taken(Framing::Length(5), NotAwaited);
        assert_eq!(head(old).unwrap().0.body, body, "HTTP/1.0 knows no 100");
        for text in
            ["GET /api/upload", "DELETE /api/upload", "POST /api/uploads", "POST /API/upload"]
        {
            let text = format!("{text} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
            assert_eq!(head(&text).unwrap_err(), "chunked-body", "{text}");
        }
    }

    #[test]
    fn any_other_body_is_refused() {
        for (lines, kind) in [
            ("Content-Length: 65537", "body-too-large"),
            ("Content-Length: 30000000000", "body-too-large"),
            ("Content-Length: 140737488355328", "body-too-large"),
            ("Content-Length: 9223372036854775807", "body-too-large"),
            ("Content-Length: 18446744073709551616", "body-too-large"),
            ("Content-Length: 1\r\nExpect: 100-continue", "expectation-failed"),
            ("Content-Length: 1\r\nExpect: the worst", "expectation-failed"),
            ("Transfer-Encoding: Chunked", "chunked-body"),
            ("Transfer-Encoding: gzip", "transfer-coding"),
            ("Transfer-Encoding: gzip, chunked", "transfer-coding"),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "ambiguous-body"),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5", "ambiguous-body"),
            ("Content-Length: 5\r\nContent-Length: 5000", "ambiguous-body"),
            ("Content-Length: 5\r\nContent-Length: 5", "ambiguous-body"),
            ("Content-Length: 5, 5", "ambiguous-body"),
            ("Content-Length: +5", "ambiguous-body"),
            ("Content-Length: -1", "ambiguous-body"),
            ("Content-Length: abc", "ambiguous-body"),
            ("Content-Length: 0x10", "ambiguous-body"),
            ("Content-Length:", "ambiguous-body"),
        ] {
            assert_eq!(with_lines(lines).map(|(head, _)| head), Err(kind), "{lines}");
        }
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(head(old).unwrap_err(), "ambiguous-body");
    }

    #[test]
    fn what_is_no_clean_request_is_refused() {
        let long = |length| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(length));
        let headers =
            |count| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(count));
        for (text, kind) in [
            ("GET /\r\n\r\n", "malformed-request"),
            ("GET / HTTP/0.9\r\n\r\n", "http-version"),
            ("GET / HTTP/2.0\r\n\r\n", "http-version"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http-version"),
            ("\u{16}\u{3}\u{1}\u{2}\0\u{1}", "malformed-request"),
            ("GET / HTTP/1.1\r\n\r\n", "malformed-request"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "malformed-request"),
            ("GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", "malformed-request"),
            ("GET / HTTP/1.1\nHost: h\n\n", "malformed-request"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", "malformed-request"),
            ("GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", "malformed-request"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", "malformed-request"),
            ("GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: ä\r\n\r\n", "malformed-request"),
            ("GET /ä HTTP/1.1\r\nHost: h\r\n\r\n", "malformed-request"),
            ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "malformed-request"),
            ("G(T / HTTP/1.1\r\nHost: h\r\n\r\n", "malformed-request"),
            (&long(MAX_TARGET), "target-too-long"),
            (&long(MAX_HEAD), "target-too-long"),
            (&headers(MAX_HEADERS), "head-too-large"),
            (&headers(10_000), "head-too-large"),
            (&format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(MAX_HEAD)), "head-too-large"),
        ] {
            assert_eq!(head(text).map(|(head, _)| head), Err(kind), "{text:.80}");
        }
        assert!(head(&long(MAX_TARGET - 1)).is_ok());
        assert!(head(&headers(MAX_HEADERS - 1)).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_passed_on_is_one_clean_head(
            method in "[A-Z]{1,5}|\\PC{0,4}",
            target in "/[a-z?%=&]{0,9}|[ -~]{0,9}|\\PC{0,9}",
            version in "HTTP/1\\.[01]|HTTP/[0-9]\\.[0-9]|\\PC{0,5}",
            lines in prop::collection::vec("(Host|User-Agent|X-Request-Id|Content-Length|[!-~]{0,9}): ?[ -~]{0,9}(\r\n|\n|\r)?|\\PC{0,9}", 0..5),
        ) {
            let text = format!("{method} {target} {version}\r\nHost: h\r\n{}\r\n\r\n", lines.join("\r\n"));
            if let Ok((_, passed_on)) = head(&text) {
                let lines: Vec<&str> = passed_on.split("\r\n").collect();
                prop_assert!(passed_on.bytes().all(|b| matches!(b, b'\r' | b'\n' | b' '..=b'~')));
                prop_assert_eq!(lines[0].split(' ').count(), 3);
                prop_assert!(lines.ends_with(&["", ""]));
                prop_assert!(lines[1..lines.len() - 2].iter().all(|line| line.contains(": ")));
                prop_assert!(!passed_on.replace("\r\n", "").contains(['\r', '\n']));
            }
        }

        #[test]
        fn a_head_is_read_alike_however_little_of_what_follows_is_there(rest in "\\PC{0,40}") {
            let text = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
            prop_assert_eq!(head(&format!("{text}{rest}")), head(text));
            let parts = (1..text.len()).map(|length| head(&text[..length]));
            prop_assert!(parts.into_iter().all(|part| part == Err("incomplete")));
        }
    }
}
