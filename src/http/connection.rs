//! One client connection: its requests, one after the other, each with its response.
//!
//! Whatever the client does, it occupies only this connection's thread, and for a bounded time
//! ([`Limits`]). An invalid request is rejected here.
//!
//! A body that no handler reads is read and discarded here. Any other is handed to the handler as a
//! [`Body`], which reads the rest of `input` and of the stream; this thread waits for the response
//! meanwhile, and continues behind the body if it was read to its end.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body::Body;
use super::connections::{ConnectionHandle, ConnectionState};
use super::dispatch::DispatchSender;
use super::handler::Handler;
use super::limits::Limits;
use super::policy::{ConnectionPolicy, CutReason, Event};
use super::rejection::{Rejection, RejectionReason};
use super::request::Reply;
use super::request_head::{
    self, ConnectionOption, Expectation, Framing, MAX_HEAD, MethodKind, RequestBody, RequestHead,
};
use super::response::{Response, ResponseBody};

/// Bytes of one read.
const READ_SIZE: usize = 4096;

/// Bytes of a streamed response that are read and written at once.
const STREAM_CHUNK: usize = 64 << 10;

/// A larger buffer is not kept for the next request.
const MAX_KEPT_BUFFER: usize = 64 << 10;

pub(crate) struct Connection<'a> {
    dispatch: &'a DispatchSender,
    handle: &'a Arc<ConnectionHandle>,
    limits: Limits,
    /// Bytes that were received and not used yet.
    input: Vec<u8>,
    /// Head of the request as it is dispatched, and then the bytes of the response.
    buffer: Vec<u8>,
    read_timeout: Option<Duration>,
}

/// Reason why a connection ends.
enum End {
    /// The client is gone, or nothing more is to be said to it.
    Silent,
    /// The last response was written.
    Responded,
    /// The client sent a request behind which nothing can be read.
    Rejected(Rejection),
}

impl From<Rejection> for End {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Position of the next request on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextRequest {
    Known,
    Unknown,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(
        dispatch: &'a DispatchSender,
        handle: &'a Arc<ConnectionHandle>,
        limits: Limits,
    ) -> Self {
        let (input, buffer) = (Vec::new(), Vec::new());
        Self { dispatch, handle, limits, input, buffer, read_timeout: None }
    }

    /// Serves requests until the client or the server ends the connection.
    pub(crate) fn serve(mut self) -> io::Result<()> {
        self.handle.stream.set_nodelay(true)?;
        self.handle.stream.set_write_timeout(Some(self.limits.response_timeout))?;
        let end = loop {
            if let Err(end) = self.serve_request() {
                break end;
            }
        };
        match end {
            End::Silent => return Ok(()),
            End::Responded => {}
            End::Rejected(rejection) => {
                let rejection = Rejection { peer: Some(self.handle.peer), ..rejection };
                let response = self.handler().reject(&rejection);
                self.write(response, MethodKind::Other, ConnectionOption::Close)?;
            }
        }
        self.linger()
    }

    fn handler(&self) -> &'a Arc<dyn Handler> {
        self.dispatch.handler()
    }

    fn serve_request(&mut self) -> Result<(), End> {
        let head = self.read_head()?;
        let (reply, next) = match head.body {
            RequestBody::Discard(length) => {
                self.discard_body(length)?;
                self.handle.set_state(ConnectionState::Responding);
                (self.dispatch(None), NextRequest::Known)
            }
            RequestBody::Read(framing, expectation) => {
                self.handle.set_state(ConnectionState::Responding);
                self.dispatch_with_body(framing, expectation)
            }
        };
        let response = match reply? {
            Reply::Response(response) => response,
            Reply::TakenOver => return Err(End::Silent),
        };
        let closes = head.connection == ConnectionOption::Close
            || next == NextRequest::Unknown
            || self.handler().is_draining();
        let option = if closes { ConnectionOption::Close } else { ConnectionOption::KeepAlive };
        if let Err(error) = self.write(response, head.method, option) {
            let peer = self.handle.peer;
            self.handler().observe(Event::ConnectionCut(CutReason::ResponseNotTaken));
            log::info!(remoteIp:% = peer; "{peer} did not take a response: {error}");
            return Err(End::Silent);
        }
        if closes { Err(End::Responded) } else { Ok(()) }
    }

    /// Dispatches the request whose head is in `buffer`, and waits for the reply.
    fn dispatch(&mut self, body: Option<Body>) -> Result<Reply, Rejection> {
        let dispatched = self.dispatch.dispatch(&mut self.buffer, self.handle, body);
        let reply = dispatched.and_then(|reply| reply.recv().map_err(io::Error::other));
        reply.map_err(|error| {
            log::error!("a request got no response: {error}");
            Rejection::new(RejectionReason::Internal, "Internal server error.")
        })
    }

    fn dispatch_with_body(
        &mut self,
        framing: Framing,
        expectation: Expectation,
    ) -> (Result<Reply, Rejection>, NextRequest) {
        let connection = Arc::clone(self.handle);
        let policy: Arc<dyn ConnectionPolicy> = self.handler().clone();
        let input = mem::take(&mut self.input);
        let body = Body::new(connection, policy, &self.limits, input, framing, expectation);
        let reply = self.dispatch(Some(body.clone()));
        // The body's reader has set another.
        self.read_timeout = None;
        match body.into_input() {
            Some(input) => {
                self.input = input;
                (reply, NextRequest::Known)
            }
            None => (reply, NextRequest::Unknown),
        }
    }

    /// Reads the head of the next request. What is forwarded of it is in `buffer` then.
    fn read_head(&mut self) -> Result<RequestHead, End> {
        if self.input.is_empty() {
            self.wait_for_request()?;
        }
        let deadline = Instant::now() + self.limits.request_timeout;
        let (mut seen, mut parsed) = (0, 0);
        loop {
            // Parsed at its end, and each time that its length has doubled: a head that arrives byte
            // by byte is not parsed anew with each of them, and an invalid one is noticed early.
            let length = self.input.len();
            let due = length >= 2 * parsed || length == MAX_HEAD || ends(&self.input, seen);
            seen = length;
            if due {
                self.buffer.clear();
                let policy = &**self.handler();
                if let Some(head) = request_head::read(&self.input, policy, &mut self.buffer)? {
                    self.input.drain(..head.length);
                    return Ok(head);
                }
                parsed = length;
            }
            self.receive_until(deadline, MAX_HEAD - length)?;
        }
    }

    fn discard_body(&mut self, length: u64) -> Result<(), End> {
        let deadline = Instant::now() + self.limits.request_timeout;
        let mut remaining = usize::try_from(length).unwrap_or(usize::MAX);
        loop {
            let available = remaining.min(self.input.len());
            self.input.drain(..available);
            remaining -= available;
            if remaining == 0 {
                return Ok(());
            }
            self.receive_until(deadline, remaining)?;
        }
    }

    /// Waits for the first byte of a request.
    fn wait_for_request(&mut self) -> Result<(), End> {
        self.handle.set_state(ConnectionState::Idle);
        // In this order: the thread that begins to drain closes the connections that are idle by
        // then. A new connection may still send a request.
        if self.handle.is_kept_alive() && self.handler().is_draining() {
            return Err(End::Silent);
        }
        match self.receive(self.limits.idle_timeout, READ_SIZE) {
            Ok(1..) => Ok(()),
            Ok(0) => Err(End::Silent),
            Err(error) => {
                if is_timeout(&error) {
                    self.handler().observe(Event::ConnectionCut(CutReason::Idle));
                }
                Err(End::Silent)
            }
        }
    }

    /// Receives more of a request that has begun.
    fn receive_until(&mut self, deadline: Instant, max: usize) -> Result<(), End> {
        self.handle.set_state(ConnectionState::ReadingRequest);
        let timeout = deadline.saturating_duration_since(Instant::now());
        let received = if timeout.is_zero() {
            Err(ErrorKind::TimedOut.into())
        } else {
            self.receive(timeout, max)
        };
        match received {
            Ok(1..) => Ok(()),
            Err(error) if is_timeout(&error) => {
                let seconds = self.limits.request_timeout.as_secs_f32();
                let detail = format!("The request was not complete within {seconds} s.");
                Err(Rejection::new(RejectionReason::RequestTimeout, detail).into())
            }
            Ok(0) | Err(_) => Err(End::Silent),
        }
    }

    /// Appends up to `max` bytes to `input`. Returns how many arrived, 0 at the end of the stream.
    fn receive(&mut self, timeout: Duration, max: usize) -> io::Result<usize> {
        if self.read_timeout != Some(timeout) {
            self.handle.stream.set_read_timeout(Some(timeout))?;
            self.read_timeout = Some(timeout);
        }
        let start = self.input.len();
        self.input.resize(start + max.min(READ_SIZE), 0);
        let read = loop {
            match (&self.handle.stream).read(&mut self.input[start..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.input.truncate(start + *read.as_ref().unwrap_or(&0));
        read
    }

    fn write(
        &mut self,
        mut response: Response,
        method: MethodKind,
        option: ConnectionOption,
    ) -> io::Result<()> {
        self.buffer.clear();
        response.write_head(option == ConnectionOption::Close, &mut self.buffer);
        let body = mem::replace(&mut response.body, ResponseBody::Bytes(Vec::new()));
        let content = match (method, body) {
            (MethodKind::Head, _) => None,
            (MethodKind::Other, ResponseBody::Bytes(bytes)) => {
                self.buffer.extend_from_slice(&bytes);
                None
            }
            (MethodKind::Other, ResponseBody::Stream(content, length)) => {
                Some(content.take(length))
            }
        };
        let (stream, timeout) = (&self.handle.stream, self.limits.response_timeout);
        write_all(stream, &self.buffer, timeout)?;
        self.buffer.clear();
        self.buffer.shrink_to(MAX_KEPT_BUFFER);
        let Some(mut content) = content else { return Ok(()) };
        let mut chunk = vec![0; STREAM_CHUNK];
        while content.limit() > 0 {
            let count = content.read(&mut chunk)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            write_all(stream, &chunk[..count], timeout)?;
        }
        Ok(())
    }

    /// Closes such that the last response arrives: a connection that is closed with bytes unread is
    /// reset, and a response may be lost (RFC 9112, section 9.6).
    fn linger(&mut self) -> io::Result<()> {
        self.handle.set_state(ConnectionState::Closing);
        self.handle.stream.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + self.limits.linger_timeout;
        let mut bytes = 0;
        while bytes < self.limits.linger_bytes {
            let timeout = deadline.saturating_duration_since(Instant::now());
            self.input.clear();
            if timeout.is_zero() {
                break;
            }
            match self.receive(timeout, READ_SIZE)? {
                0 => break,
                count => bytes += count,
            }
        }
        Ok(())
    }
}

/// Returns whether a head ends in `input`, at or after the byte `seen`.
fn ends(input: &[u8], seen: usize) -> bool {
    input[seen.saturating_sub(3)..].windows(4).any(|bytes| bytes == b"\r\n\r\n")
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Writes all bytes within the time, in one call where the client takes them.
fn write_all(mut stream: &TcpStream, mut bytes: &[u8], timeout: Duration) -> io::Result<()> {
    let deadline = Instant::now() + timeout;
    loop {
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if bytes.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
    }
}
