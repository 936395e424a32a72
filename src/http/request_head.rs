//! Request heads (RFC 9112): parses them, decides how the body is framed, and writes the head that is
//! forwarded to the handler.
//!
//! Strict on purpose: a head that two parties could read in two ways is rejected. A forwarded head
//! consists of printable ASCII and announces no body. A body is kept where the handler accepts one.

use std::str;

use httparse::{Header, Status};

use super::policy::{ForwardedHeaders, HeadPolicy};
use super::rejection::{Rejection, RejectionReason};
use super::request_id::RequestId;

/// Bytes of a head.
pub(crate) const MAX_HEAD: usize = 16 << 10;

/// Bytes of a target.
const MAX_TARGET: usize = 8 << 10;

const MAX_HEADERS: usize = 64;

/// Header that carries the key of a request to the dispatcher. A client's own header of this name is
/// not forwarded.
pub(crate) const KEY_HEADER: &str = "X-Request-Key";

/// Bytes of a body that is read and discarded.
const MAX_DISCARDED_BODY: u64 = 64 << 10;

/// Headers that frame the body or belong to the connection. tiny_http would act on some of them.
const NEVER_FORWARDED: [&str; 9] = [
    KEY_HEADER,
    "Connection",
    "Content-Length",
    "Expect",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// Head of a request that is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestHead {
    /// Bytes of the head.
    pub(crate) length: usize,
    pub(crate) body: RequestBody,
    pub(crate) connection: ConnectionOption,
    pub(crate) method: MethodKind,
}

/// Body behind a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestBody {
    /// This many bytes, often none, which are read and discarded.
    Discard(u64),
    /// A body that the handler reads.
    Read(Framing, Expectation),
}

/// Framing of a body (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// Expectation of a client before it sends a body (RFC 9110, section 10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    Continue,
    None,
}

/// Option of the connection after the response (RFC 9112, section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionOption {
    KeepAlive,
    Close,
}

/// Distinction between methods that the response depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MethodKind {
    /// The response has no body, whatever length it states.
    Head,
    Other,
}

/// Reads the head that `bytes` begin with; `None` if it is incomplete. Appends the forwarded head to
/// `forwarded`, without the empty line at its end.
pub(crate) fn read(
    bytes: &[u8],
    policy: &(impl HeadPolicy + ?Sized),
    forwarded: &mut Vec<u8>,
) -> Result<Option<RequestHead>, Rejection> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(bytes).map_err(malformed)?;
    let (method, target, version) = (request.method, request.path, request.version);
    let (Status::Complete(length), Some(method), Some(target), Some(version)) =
        (parsed, method, target, version)
    else {
        return if bytes.len() < MAX_HEAD { Ok(None) } else { Err(too_long(target)) };
    };
    let headers = &*request.headers;
    check_form(&bytes[..length], target)
        .and_then(|()| check_host(headers, version))
        .and_then(|()| forward(method, target, policy.forwarded_headers(), headers, forwarded))
        .and_then(|()| {
            if policy.accepts_body(method, target) {
                body_to_read(headers, version)
            } else {
                body_to_discard(headers, version).map(RequestBody::Discard)
            }
        })
        .map(|body| {
            let connection = connection_option(headers, version);
            let method = if method == "HEAD" { MethodKind::Head } else { MethodKind::Other };
            Some(RequestHead { length, body, connection, method })
        })
        .map_err(|rejection| with_id_of(headers, rejection))
}

fn with_id_of(headers: &[Header<'_>], rejection: Rejection) -> Rejection {
    let sent = values(headers, "X-Request-Id").next().and_then(|value| str::from_utf8(value).ok());
    Rejection { request_id: RequestId::from_header_or_new(sent), ..rejection }
}

fn values<'a>(headers: &'a [Header<'_>], name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value)
}

fn malformed(error: httparse::Error) -> Rejection {
    match error {
        httparse::Error::TooManyHeaders => Rejection::new(
            RejectionReason::HeadTooLarge,
            format!("Too many headers: a request may have up to {MAX_HEADERS}."),
        ),
        httparse::Error::Version => Rejection::new(
            RejectionReason::HttpVersion,
            "Unsupported HTTP version: use HTTP/1.1 without TLS.",
        ),
        error => Rejection::new(
            RejectionReason::MalformedRequest,
            format!("Invalid HTTP/1.1 request: {error}."),
        ),
    }
}

/// `target` is there if the request line is complete.
fn too_long(target: Option<&str>) -> Rejection {
    match target {
        Some(_) => Rejection::new(
            RejectionReason::HeadTooLarge,
            format!("The request's head is too long: up to {MAX_HEAD} bytes are accepted."),
        ),
        None => target_too_long(),
    }
}

fn target_too_long() -> Rejection {
    let detail = format!("The path and query are too long: up to {MAX_TARGET} bytes are accepted.");
    Rejection::new(RejectionReason::TargetTooLong, detail)
}

fn check_form(head: &[u8], target: &str) -> Result<(), Rejection> {
    if target.len() > MAX_TARGET {
        return Err(target_too_long());
    }
    let malformed = |detail| Err(Rejection::new(RejectionReason::MalformedRequest, detail));
    if !target.is_ascii() {
        return malformed(
            "The path and query must be ASCII: encode other characters as %XX (RFC 3986).",
        );
    }
    // The parser takes a bare line feed for the end of a line; others take it for part of the line.
    let is_bare = |pair: &[u8]| pair[0] != b'\r' && pair[1] == b'\n';
    if head.windows(2).any(is_bare) {
        return malformed("Lines of the request's head must end with CR LF.");
    }
    Ok(())
}

/// RFC 9112, section 3.2.
fn check_host(headers: &[Header<'_>], version: u8) -> Result<(), Rejection> {
    match (values(headers, "Host").count(), version) {
        (1, _) | (0, 0) => Ok(()),
        _ => Err(Rejection::new(
            RejectionReason::MalformedRequest,
            "A request must have exactly one Host header.",
        )),
    }
}

/// Returns the framing of the body; `None` if there is no body.
fn framing(headers: &[Header<'_>], version: u8) -> Result<Option<Framing>, Rejection> {
    let mut lengths = values(headers, "Content-Length");
    let mut codings = values(headers, "Transfer-Encoding");
    match (lengths.next(), lengths.next(), codings.next(), codings.next()) {
        (None, _, None, _) => Ok(None),
        (Some(length), None, None, _) => Ok(Some(Framing::Length(content_length(length)?))),
        (None, _, Some(coding), None) if version == 1 => transfer_coding(coding).map(Some),
        // If two parties disagree about the end of a body, a request can be smuggled behind it
        // (RFC 9112, section 11.2).
        _ => Err(ambiguous()),
    }
}

fn content_length(value: &[u8]) -> Result<u64, Rejection> {
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let digits = str::from_utf8(value).ok().filter(is_number).ok_or_else(ambiguous)?;
    Ok(digits.parse().unwrap_or(u64::MAX))
}

fn transfer_coding(coding: &[u8]) -> Result<Framing, Rejection> {
    if coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let detail = "Only the transfer coding \"chunked\" is supported.";
    Err(Rejection::new(RejectionReason::TransferCoding, detail))
}

fn ambiguous() -> Rejection {
    let detail = "Content-Length must be one whole number, without Transfer-Encoding beside it.";
    Rejection::new(RejectionReason::AmbiguousBody, detail)
}

/// Returns the body that the handler reads, if there is one.
fn body_to_read(headers: &[Header<'_>], version: u8) -> Result<RequestBody, Rejection> {
    let expectation = expectation(headers, version)?;
    let framing = framing(headers, version)?;
    Ok(framing.map_or(RequestBody::Discard(0), |framing| RequestBody::Read(framing, expectation)))
}

/// RFC 9110, section 10.1.1.
fn expectation(headers: &[Header<'_>], version: u8) -> Result<Expectation, Rejection> {
    let mut expectation = Expectation::None;
    for value in values(headers, "Expect") {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            let detail = "Unsupported Expect value: only 100-continue is supported.";
            return Err(Rejection::new(RejectionReason::ExpectationFailed, detail));
        }
        if version == 1 {
            expectation = Expectation::Continue;
        }
    }
    Ok(expectation)
}

/// Returns how many bytes of body are discarded, if the body may be.
fn body_to_discard(headers: &[Header<'_>], version: u8) -> Result<u64, Rejection> {
    let expects = values(headers, "Expect").next().is_some();
    match framing(headers, version)? {
        None | Some(Framing::Length(0)) => Ok(0),
        Some(Framing::Chunked) => Err(Rejection::new(
            RejectionReason::ChunkedBody,
            "This request takes no body: send it without a body and without Transfer-Encoding.",
        )),
        Some(Framing::Length(length)) if length > MAX_DISCARDED_BODY => {
            let detail = format!(
                "This request takes no body; a body of up to {MAX_DISCARDED_BODY} bytes is ignored."
            );
            let rejection = Rejection::new(RejectionReason::BodyTooLarge, detail);
            Err(rejection.with_maximum(MAX_DISCARDED_BODY))
        }
        Some(Framing::Length(_)) if expects => Err(Rejection::new(
            RejectionReason::ExpectationFailed,
            "This request takes no body: send it without a body and without Expect.",
        )),
        Some(Framing::Length(length)) => Ok(length),
    }
}

fn forward(
    method: &str,
    target: &str,
    forwarded: ForwardedHeaders,
    headers: &[Header<'_>],
    to: &mut Vec<u8>,
) -> Result<(), Rejection> {
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        to.extend_from_slice(part.as_bytes());
    }
    for header in headers {
        let Some(name) = forwarded_name(forwarded, header.name) else { continue };
        if !header.value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            let detail = format!("The header {name} must consist of printable ASCII characters.");
            return Err(Rejection::new(RejectionReason::MalformedRequest, detail));
        }
        for part in [name.as_bytes(), b": ", header.value, b"\r\n"] {
            to.extend_from_slice(part);
        }
    }
    Ok(())
}

/// Returns the name under which a header is forwarded; `None` if it is not.
fn forwarded_name(forwarded: ForwardedHeaders, name: &str) -> Option<&str> {
    let is_name = |known: &&&'static str| known.eq_ignore_ascii_case(name);
    match forwarded {
        ForwardedHeaders::Only(names) => names.iter().find(is_name).copied(),
        ForwardedHeaders::All => NEVER_FORWARDED.iter().find(is_name).is_none().then_some(name),
    }
}

fn connection_option(headers: &[Header<'_>], version: u8) -> ConnectionOption {
    let mut options = values(headers, "Connection").flat_map(|value| value.split(|&b| b == b','));
    let close = options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
    if close || version == 0 { ConnectionOption::Close } else { ConnectionOption::KeepAlive }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Policy;

    impl HeadPolicy for Policy {
        fn accepts_body(&self, method: &str, target: &str) -> bool {
            method == "PUT" && target.starts_with("/upload")
        }

        fn forwarded_headers(&self) -> ForwardedHeaders {
            ForwardedHeaders::Only(&["User-Agent", "X-Request-Id"])
        }
    }

    /// Returns the head and what is forwarded of it, or the reason of the rejection, which is `None`
    /// for an incomplete head.
    fn head(text: &str) -> Result<(RequestHead, String), Option<RejectionReason>> {
        let mut forwarded = Vec::new();
        match read(text.as_bytes(), &Policy, &mut forwarded) {
            Ok(Some(head)) => Ok((head, String::from_utf8(forwarded).unwrap())),
            Ok(None) => Err(None),
            Err(rejection) => Err(Some(rejection.reason)),
        }
    }

    fn with_lines(lines: &str) -> Result<(RequestHead, String), Option<RejectionReason>> {
        head(&format!("POST /a?b HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"))
    }

    #[test]
    fn plain_request_is_forwarded_with_the_selected_headers() {
        let text = "GET /a?b HTTP/1.1\r\nHost: h\r\nACCEPT: */*\r\nuser-agent: me\r\n\
            X-Request-Key: forged\r\nConnection: keep-alive\r\nUpgrade: h2c\r\nX-Request-ID: 7\r\n\r\n";
        let (head, forwarded) = head(&format!("{text}GET")).unwrap();
        assert_eq!(
            (head.length, head.body, head.connection, head.method),
            (text.len(), RequestBody::Discard(0), ConnectionOption::KeepAlive, MethodKind::Other)
        );
        assert_eq!(forwarded, "GET /a?b HTTP/1.1\r\nUser-Agent: me\r\nX-Request-Id: 7\r\n");
    }

    #[test]
    fn connection_is_closed_on_request_and_after_http_1_0() {
        for (text, option) in [
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", ConnectionOption::Close),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nConnection: te , close\r\n\r\n",
                ConnectionOption::Close,
            ),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nConnection: disclose\r\n\r\n",
                ConnectionOption::KeepAlive,
            ),
            ("GET / HTTP/1.0\r\n\r\n", ConnectionOption::Close),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ConnectionOption::Close),
        ] {
            assert_eq!(head(text).unwrap().0.connection, option, "{text}");
        }
    }

    #[test]
    fn short_body_is_discarded() {
        for (lines, body) in [
            ("A: b", 0),
            ("Content-Length: 0", 0),
            ("content-length: 65536", 65536),
            ("Content-Length: 0\r\nExpect: 100-continue", 0),
            ("Expect: 100-continue", 0),
        ] {
            let is = with_lines(lines).unwrap().0.body;
            assert_eq!(is, RequestBody::Discard(body), "{lines}");
        }
    }

    #[test]
    fn body_is_read_where_the_handler_accepts_one() {
        use Expectation::{Continue, None as NotExpected};
        let upload = |lines: &str| {
            let text = format!("PUT /upload?name=a HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n");
            head(&text).map(|(head, _)| head.body)
        };
        for (lines, body) in [
            ("A: b", RequestBody::Discard(0)),
            ("Content-Length: 0", RequestBody::Read(Framing::Length(0), NotExpected)),
            (
                "Content-Length: 30000000000",
                RequestBody::Read(Framing::Length(30_000_000_000), NotExpected),
            ),
            (
                "Content-Length: 5\r\nExpect: 100-Continue",
                RequestBody::Read(Framing::Length(5), Continue),
            ),
            ("Transfer-Encoding: Chunked", RequestBody::Read(Framing::Chunked, NotExpected)),
            (
                "Expect: 100-continue\r\nTransfer-Encoding: chunked",
                RequestBody::Read(Framing::Chunked, Continue),
            ),
        ] {
            assert_eq!(upload(lines), Ok(body), "{lines}");
        }
        for (lines, reason) in [
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked",
                Some(RejectionReason::AmbiguousBody),
            ),
            ("Content-Length: 5\r\nContent-Length: 5", Some(RejectionReason::AmbiguousBody)),
            ("Content-Length: -5", Some(RejectionReason::AmbiguousBody)),
            ("Transfer-Encoding: gzip, chunked", Some(RejectionReason::TransferCoding)),
            ("Content-Length: 5\r\nExpect: the worst", Some(RejectionReason::ExpectationFailed)),
            (
                "Content-Length: 5\r\nExpect: 100-continue\r\nExpect: more",
                Some(RejectionReason::ExpectationFailed),
            ),
        ] {
            assert_eq!(upload(lines), Err(reason), "{lines}");
        }
        let old = "PUT /upload HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        let body = RequestBody::Read(Framing::Length(5), NotExpected);
        assert_eq!(head(old).unwrap().0.body, body, "HTTP/1.0 knows no 100");
        for text in ["GET /upload", "PUT /other"] {
            let text = format!("{text} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
            assert_eq!(head(&text).unwrap_err(), Some(RejectionReason::ChunkedBody), "{text}");
        }
    }

    #[test]
    fn long_or_ambiguous_body_is_rejected_where_none_is_read() {
        for (lines, reason) in [
            ("Content-Length: 65537", Some(RejectionReason::BodyTooLarge)),
            ("Content-Length: 30000000000", Some(RejectionReason::BodyTooLarge)),
            ("Content-Length: 140737488355328", Some(RejectionReason::BodyTooLarge)),
            ("Content-Length: 9223372036854775807", Some(RejectionReason::BodyTooLarge)),
            ("Content-Length: 18446744073709551616", Some(RejectionReason::BodyTooLarge)),
            ("Content-Length: 1\r\nExpect: 100-continue", Some(RejectionReason::ExpectationFailed)),
            ("Content-Length: 1\r\nExpect: the worst", Some(RejectionReason::ExpectationFailed)),
            ("Transfer-Encoding: Chunked", Some(RejectionReason::ChunkedBody)),
            ("Transfer-Encoding: gzip", Some(RejectionReason::TransferCoding)),
            ("Transfer-Encoding: gzip, chunked", Some(RejectionReason::TransferCoding)),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
                Some(RejectionReason::AmbiguousBody),
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 5",
                Some(RejectionReason::AmbiguousBody),
            ),
            ("Content-Length: 5\r\nContent-Length: 5000", Some(RejectionReason::AmbiguousBody)),
            ("Content-Length: 5\r\nContent-Length: 5", Some(RejectionReason::AmbiguousBody)),
            ("Content-Length: 5, 5", Some(RejectionReason::AmbiguousBody)),
            ("Content-Length: +5", Some(RejectionReason::AmbiguousBody)),
            ("Content-Length: -1", Some(RejectionReason::AmbiguousBody)),
            ("Content-Length: abc", Some(RejectionReason::AmbiguousBody)),
            ("Content-Length: 0x10", Some(RejectionReason::AmbiguousBody)),
            ("Content-Length:", Some(RejectionReason::AmbiguousBody)),
        ] {
            assert_eq!(with_lines(lines).map(|(head, _)| head), Err(reason), "{lines}");
        }
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(head(old).unwrap_err(), Some(RejectionReason::AmbiguousBody));
    }

    #[test]
    fn malformed_head_is_rejected() {
        let long = |length| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(length));
        let headers =
            |count| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(count));
        for (text, reason) in [
            ("GET /\r\n\r\n", Some(RejectionReason::MalformedRequest)),
            ("GET / HTTP/0.9\r\n\r\n", Some(RejectionReason::HttpVersion)),
            ("GET / HTTP/2.0\r\n\r\n", Some(RejectionReason::HttpVersion)),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(RejectionReason::HttpVersion)),
            ("\u{16}\u{3}\u{1}\u{2}\0\u{1}", Some(RejectionReason::MalformedRequest)),
            ("GET / HTTP/1.1\r\n\r\n", Some(RejectionReason::MalformedRequest)),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                Some(RejectionReason::MalformedRequest),
            ),
            ("GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", Some(RejectionReason::MalformedRequest)),
            ("GET / HTTP/1.1\nHost: h\n\n", Some(RejectionReason::MalformedRequest)),
            ("GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", Some(RejectionReason::MalformedRequest)),
            (
                "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
                Some(RejectionReason::MalformedRequest),
            ),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
                Some(RejectionReason::MalformedRequest),
            ),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: ä\r\n\r\n",
                Some(RejectionReason::MalformedRequest),
            ),
            ("GET /ä HTTP/1.1\r\nHost: h\r\n\r\n", Some(RejectionReason::MalformedRequest)),
            ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", Some(RejectionReason::MalformedRequest)),
            ("G(T / HTTP/1.1\r\nHost: h\r\n\r\n", Some(RejectionReason::MalformedRequest)),
            (&long(MAX_TARGET), Some(RejectionReason::TargetTooLong)),
            (&long(MAX_HEAD), Some(RejectionReason::TargetTooLong)),
            (&headers(MAX_HEADERS), Some(RejectionReason::HeadTooLarge)),
            (&headers(10_000), Some(RejectionReason::HeadTooLarge)),
            (
                &format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(MAX_HEAD)),
                Some(RejectionReason::HeadTooLarge),
            ),
        ] {
            assert_eq!(head(text).map(|(head, _)| head), Err(reason), "{text:.80}");
        }
        assert!(head(&long(MAX_TARGET - 1)).is_ok());
        assert!(head(&headers(MAX_HEADERS - 1)).is_ok());
    }

    #[test]
    fn all_headers_are_forwarded_but_those_of_the_connection() {
        let all = ForwardedHeaders::All;
        assert_eq!(forwarded_name(all, "x-goog-meta-a"), Some("x-goog-meta-a"));
        for name in ["content-length", "EXPECT", "x-request-key", "transfer-encoding", "upgrade"] {
            assert_eq!(forwarded_name(all, name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn forwarded_head_is_well_formed_whatever_was_received(
            method in "[A-Z]{1,5}|\\PC{0,4}",
            target in "/[a-z?%=&]{0,9}|[ -~]{0,9}|\\PC{0,9}",
            version in "HTTP/1\\.[01]|HTTP/[0-9]\\.[0-9]|\\PC{0,5}",
            lines in prop::collection::vec("(Host|User-Agent|X-Request-Id|Content-Length|[!-~]{0,9}): ?[ -~]{0,9}(\r\n|\n|\r)?|\\PC{0,9}", 0..5),
        ) {
            let text = format!("{method} {target} {version}\r\nHost: h\r\n{}\r\n\r\n", lines.join("\r\n"));
            if let Ok((_, forwarded)) = head(&text) {
                let lines: Vec<&str> = forwarded.split("\r\n").collect();
                prop_assert!(forwarded.bytes().all(|b| matches!(b, b'\r' | b'\n' | b' '..=b'~')));
                prop_assert_eq!(lines[0].split(' ').count(), 3);
                prop_assert!(lines.ends_with(&[""]));
                prop_assert!(lines[1..lines.len() - 1].iter().all(|line| line.contains(": ")));
                prop_assert!(!forwarded.replace("\r\n", "").contains(['\r', '\n']));
            }
        }

        #[test]
        fn head_is_read_alike_whatever_follows_it(rest in "\\PC{0,40}") {
            let text = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
            prop_assert_eq!(head(&format!("{text}{rest}")), head(text));
            let parts = (1..text.len()).map(|length| head(&text[..length]));
            prop_assert!(parts.into_iter().all(|part| part == Err(None)));
        }
    }
}
