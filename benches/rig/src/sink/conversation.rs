//! One connection: requests, and what each is answered.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use gcs_uploader_rig::crc32c_text;

use super::Sink;
use super::object::{Announced, parameter};
use super::wire::Wire;

/// The longest body of a request that is kept: one of an upload in one request.
const MAX_KEPT: u64 = 64 << 20;

/// The head of a request, as far as it matters.
struct Head {
    method: String,
    target: String,
    host: String,
    content_type: String,
    content_range: String,
    length: Option<u64>,
    expects: bool,
}

struct Answer {
    status: &'static str,
    header: String,
    body: String,
}

impl Answer {
    fn new(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, header: String::new(), body: body.into() }
    }
}

pub(crate) fn run(sink: &Sink, mut wire: Wire) -> io::Result<()> {
    let mut counted = false;
    while let Some(head) = read_head(&mut wire)? {
        if head.target == "/_sink" {
            send(&mut wire, &Answer::new("200 OK", sink.seen.report().to_string()))?;
            continue;
        }
        if !counted {
            sink.seen.connections.fetch_add(1, Relaxed);
            counted = true;
        }
        sink.seen.in_flight.fetch_add(1, Relaxed);
        let answer = answer(sink, &mut wire, &head);
        if !sink.latency.is_zero() {
            thread::sleep(sink.latency);
        }
        let sent = answer.and_then(|answer| send(&mut wire, &answer));
        sink.seen.in_flight.fetch_sub(1, Relaxed);
        sent?;
    }
    Ok(())
}

fn read_head(wire: &mut Wire) -> io::Result<Option<Head>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(wire.here()).map_err(io::Error::other)?;
        if let httparse::Status::Complete(length) = parsed {
            let head = Head::of(&request);
            wire.used(length);
            return Ok(Some(head));
        }
        if wire.receive()? == 0 {
            return match wire.here() {
                [] => Ok(None),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
}

impl Head {
    fn of(request: &httparse::Request<'_, '_>) -> Self {
        let value = |name: &str| {
            let mut named = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name));
            named.next().map(|h| String::from_utf8_lossy(h.value).into_owned()).unwrap_or_default()
        };
        Self {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            host: value("host"),
            content_type: value("content-type"),
            content_range: value("content-range"),
            length: value("content-length").parse().ok(),
            expects: !value("expect").is_empty(),
        }
    }
}

fn answer(sink: &Sink, wire: &mut Wire, head: &Head) -> io::Result<Answer> {
    let Some(length) = head.length else {
        return Err(io::Error::other("a request with a body must state its length"));
    };
    if head.expects {
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let kind = parameter(&head.target, "uploadType");
    match (head.method.as_str(), kind.as_deref()) {
        ("POST", Some("resumable")) => start(sink, head, &kept(wire, length)?),
        ("POST", Some("multipart")) => multipart(sink, head, &kept(wire, length)?),
        ("PUT", Some("resumable")) => put(sink, wire, head, length),
        _ => {
            wire.discard(length, |_| ())?;
            Ok(Answer::new("404 Not Found", ""))
        }
    }
}

fn kept(wire: &mut Wire, length: u64) -> io::Result<Vec<u8>> {
    if length > MAX_KEPT {
        return Err(io::Error::other("a request's body is too long to be kept"));
    }
    let mut bytes = Vec::new();
    wire.take(length, |piece| bytes.extend_from_slice(piece))?;
    Ok(bytes)
}

fn start(sink: &Sink, head: &Head, metadata: &[u8]) -> io::Result<Answer> {
    sink.seen.starts.fetch_add(1, Relaxed);
    let object = Announced::of(metadata, &head.target)?;
    let header = format!("Location: {}://{}{}\r\n", sink.scheme, head.host, object.session());
    Ok(Answer { header, ..Answer::new("200 OK", "") })
}

/// The content to the end, from the beginning: what our clients send.
fn put(sink: &Sink, wire: &mut Wire, head: &Head, length: u64) -> io::Result<Answer> {
    let Some(object) = Announced::in_session(&head.target) else {
        wire.discard(length, |_| ())?;
        return Ok(Answer::new("404 Not Found", ""));
    };
    let whole =
        [format!("bytes 0-{}/{length}", length.wrapping_sub(1)), format!("bytes */{length}")];
    if !head.content_range.is_empty() && !whole.contains(&head.content_range) {
        let what = format!("not the whole of an object: {}", head.content_range);
        return Err(io::Error::other(what));
    }
    let received = |count| {
        sink.seen.bytes.fetch_add(count, Relaxed);
    };
    let crc32c = match object.crc32c.as_str() {
        announced if announced.is_empty() || sink.verify => {
            let mut sum = 0;
            wire.take(length, |piece| {
                sum = crc32c::crc32c_append(sum, piece);
                received(piece.len() as u64);
            })?;
            crc32c_text(sum)
        }
        announced => {
            wire.discard(length, received)?;
            announced.to_owned()
        }
    };
    Ok(whole_object(sink, &object, length, &crc32c))
}

/// `multipart/related`: the metadata, then the content.
fn multipart(sink: &Sink, head: &Head, body: &[u8]) -> io::Result<Answer> {
    sink.seen.starts.fetch_add(1, Relaxed);
    let boundary =
        head.content_type.split("boundary=").nth(1).unwrap_or_default().trim_matches('"');
    let delimiter = format!("--{boundary}");
    let nonsense = || io::Error::other("a multipart body that cannot be read");
    let behind = |from: usize, what: &[u8]| {
        find(&body[from..], what).map(|at| from + at + what.len()).ok_or_else(nonsense)
    };
    let begin = behind(0, b"\r\n\r\n")?;
    let end = behind(begin, delimiter.as_bytes())? - delimiter.len();
    let content = behind(end, b"\r\n\r\n")?;
    let closing = format!("\r\n{delimiter}--");
    let tail = body.len().saturating_sub(closing.len() + 2);
    let last = behind(tail, closing.as_bytes())? - closing.len();
    let object = Announced::of(&body[begin..end], &head.target)?;
    let bytes = &body[content..last];
    sink.seen.bytes.fetch_add(bytes.len() as u64, Relaxed);
    let crc32c = crc32c_text(crc32c::crc32c(bytes));
    Ok(whole_object(sink, &object, bytes.len() as u64, &crc32c))
}

fn whole_object(sink: &Sink, object: &Announced, size: u64, crc32c: &str) -> Answer {
    if !object.crc32c.is_empty() && object.crc32c != crc32c {
        return Answer::new("400 Bad Request", "the content is not what was announced");
    }
    sink.seen.objects.fetch_add(1, Relaxed);
    Answer::new("200 OK", object.resource(size, crc32c))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn send(wire: &mut Wire, answer: &Answer) -> io::Result<()> {
    let Answer { status, header, body } = answer;
    let text = format!(
        "HTTP/1.1 {status}\r\n{header}Content-Type: application/json; charset=UTF-8\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len(),
    );
    wire.send(text.as_bytes())
}
