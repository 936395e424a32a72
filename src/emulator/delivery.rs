//! Sends the outcome of a request to its client, or breaks the connection.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tiny_http::Method;

use super::fault_injection::Delivery;
use super::faults::Break;
use super::http::body_reader;
use crate::http::request::Request;
use crate::http::response::{Response, ResponseBody};

/// Time to keep reading after this side of a connection was closed. Otherwise data in flight from the
/// client would reset the connection before the client has read what was sent.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends the response, or as much of it as the fault allows.
pub(super) fn send(request: Request, delivery: Delivery) {
    match delivery {
        Delivery::Response(response) => request.respond(response),
        Delivery::Partial { response, bytes, then } => {
            let content = content(response, &request.method);
            send_and_break(request, content.take(bytes), then);
        }
        Delivery::Raw { bytes, then, .. } => send_and_break(request, &bytes[..], then),
        Delivery::Break(then) => send_and_break(request, io::empty(), then),
    }
}

/// Returns all bytes of a response.
fn content(response: Response, method: &Method) -> impl Read + use<> {
    let mut head = Vec::new();
    response.write_head(false, &mut head);
    let body = match method {
        Method::Head => ResponseBody::Bytes(Vec::new()),
        _ => response.body,
    };
    io::Cursor::new(head).chain(body_reader(body))
}

/// Sends `content`, and breaks the connection.
fn send_and_break(request: Request, mut content: impl Read, then: Break) {
    let connection = Arc::clone(request.connection());
    let mut stream = &connection.stream;
    let sent = io::copy(&mut content, &mut stream).map(|_| ());
    trace_error("write", sent);
    let broken = match then {
        // The reset is sent when the last thread drops the socket.
        Break::Reset => SockRef::from(stream).set_linger(Some(Duration::ZERO)),
        Break::Close => close(stream),
    };
    trace_error("break", broken);
    // Only now: until then the connection stays registered, so that shutdown can break it.
    drop(request.take_over());
}

/// Closes the sending side, and discards what still arrives.
fn close(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let deadline = Instant::now() + LINGER_TIMEOUT;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let timeout = deadline.saturating_duration_since(Instant::now());
        if timeout.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(timeout))?;
        if stream.read(&mut buffer)? == 0 {
            return Ok(());
        }
    }
}

/// Logs an error at `trace` only: clients may disconnect at any time.
fn trace_error(operation: &str, result: io::Result<()>) {
    if let Err(error) = result {
        log::trace!("emulator: {operation} on a connection: {error}");
    }
}
