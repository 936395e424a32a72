//! A request, from its arrival to its answer.
//!
//! The one place that takes a tiny_http request apart: its body's reader is dropped only if that
//! can neither block nor allocate (see [`Reader`]).

use std::io::{self, Write};
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use tiny_http::{Header, Method, ReadWrite, Request, Response};

use super::answer::Answer;
use super::body::{Body, Reader};
use super::request_id::RequestId;
use super::strays::Strays;
use super::turns::Turn;

/// A request whose turn it is on its connection.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) received: Received,
    pub(super) turn: Turn,
}

/// A request as it came in.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) id: RequestId,
    pub(super) method: Method,
    /// The request's target: path and query, or a whole URL.
    pub(super) target: String,
    pub(super) user_agent: Option<String>,
    pub(super) body: Body,
    pub(super) arrived: Instant,
    /// Its answer tells the client that no other will come.
    pub(super) last: bool,
    /// Whatever else comes on its connection is not to be answered.
    pub(super) cut: bool,
    reader: Reader,
    connection: SocketAddr,
    /// There until it is answered.
    request: Option<Request>,
}

impl Received {
    pub(super) fn new(request: Request) -> Self {
        let header = |name: &'static str| {
            let mut named = request.headers().iter().filter(|header| header.field.equiv(name));
            named.next().map(|header| header.value.as_str())
        };
        let body = Body::announced_by(request.headers());
        // Where a body ends that was not read, the next request does not reliably begin.
        let cut = matches!(body, Body::Unread(_));
        Self {
            id: RequestId::choose(header("X-Request-Id")),
            method: request.method().clone(),
            target: request.url().to_owned(),
            user_agent: header("User-Agent").map(str::to_owned),
            arrived: Instant::now(),
            last: cut || asks_for_close(&request),
            cut,
            body,
            reader: Reader::of(&request),
            connection: address(&request),
            request: Some(request),
        }
    }

    /// The address and port that the connection comes from.
    pub(super) fn connection(&self) -> SocketAddr {
        self.connection
    }

    /// The values of all headers of this name, until it is answered.
    pub(super) fn values(&self, name: &'static str) -> Vec<&str> {
        let headers = self.request.as_ref().map_or(&[][..], Request::headers);
        let named = headers.iter().filter(|header| header.field.equiv(name));
        named.map(|header| header.value.as_str()).collect()
    }

    /// Sends the answer. Waits for nothing but the client's receiving it.
    pub(super) fn respond(mut self, answer: &Answer, strays: &Strays) -> io::Result<()> {
        let Some(request) = self.request.take() else { return Ok(()) };
        let body = if self.method == Method::Head { &[][..] } else { &answer.body };
        match self.reader {
            Reader::Harmless => {
                let mut writer = request.into_writer();
                writer.write_all(&[&answer.head(), body].concat())?;
                writer.flush()
            }
            Reader::Waits(_) => {
                let mut stream = take_stream(request, answer);
                let written = stream.write_all(body).and_then(|()| stream.flush());
                strays.take(self.reader, move || drop(stream));
                written
            }
        }
    }

    /// Lets go of a request without an answer, and without waiting for its turn.
    pub(super) fn forgo(mut self, strays: &Strays) {
        if let Some(request) = self.request.take() {
            strays.take(self.reader, move || drop(request.into_writer()));
        }
    }
}

impl Drop for Received {
    /// Only if something went wrong is it still unanswered: then tiny_http answers 500, or
    /// nobody does, when the reader must not be dropped.
    fn drop(&mut self) {
        if let (Some(request), Reader::Waits(_)) = (self.request.take(), self.reader) {
            mem::forget(request);
        }
    }
}

/// Writes the answer's head and takes the connection from tiny_http, body reader included.
///
/// Only `upgrade` gives the reader away, and it writes a head of its own, with no length and with
/// `Connection: upgrade`. The header lines that the answer needs go in behind the protocol's name,
/// which tiny_http writes out as it is. What is offered, HTTP/1.1, is what is spoken anyway
/// (RFC 9110, 7.8: an upgrade may be offered in any answer, and a client may ignore it).
fn take_stream(request: Request, answer: &Answer) -> Box<dyn ReadWrite + Send> {
    let lines = answer.header_lines();
    let protocol = format!("HTTP/1.1\r\n{}", lines.trim_end());
    let response = Response::empty(answer.status);
    let response = match Header::from_bytes("Server", "gcs-uploader") {
        Ok(server) => response.with_header(server),
        Err(()) => response,
    };
    request.upgrade(&protocol, response)
}

/// Whether tiny_http takes no further request from the connection.
fn asks_for_close(request: &Request) -> bool {
    let mut connection = request.headers().iter().filter(|h| h.field.equiv("Connection"));
    let connection = connection.next().map(|header| header.value.as_str().to_ascii_lowercase());
    let old = *request.http_version() <= (1, 0);
    connection.map_or(old, |value| value.contains("close") || old && !value.contains("keep-alive"))
}

/// tiny_http knows no address for connections over Unix sockets alone, which are not listened on.
fn address(request: &Request) -> SocketAddr {
    request.remote_addr().copied().unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into())
}
