//! One client's connection: the requests that come on it, one after the other, each with its
//! answer.
//!
//! Whatever the client does, it costs this connection's thread alone, and that for a bounded time
//! ([`Limits`]). What is no clean request is answered here and never gets any further.
//!
//! The body of a request that has no use for one is read here and thrown away. Another is handed to
//! the worker, as a reader of the rest of `input` and of the stream ([`Body`]); this thread waits for
//! the answer meanwhile, and goes on behind the body if it was read to its end.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::http::body::{Body, Patience};
use crate::http::connections::{Doing, Visitor};
use crate::http::dispatch::{Introduction, Relay};
use crate::http::request_head::{
    self, Afterwards, BodyBehind, Continue, Framing, Head, MAX_HEAD, Refusal,
};
use crate::server::problem;
use crate::server::uploads::context::Face;

/// How much is read at once.
const READ: usize = 4096;

/// A buffer that has grown beyond this is not kept.
const KEPT: usize = 64 << 10;

/// How long a client may take for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// To begin a request, the first one as well.
    pub(crate) idle: Duration,
    /// To send a request's head, from its first byte; and then a body that nobody wants.
    pub(crate) request: Duration,
    /// To send a body that is wanted.
    pub(crate) body: Patience,
    /// To take an answer.
    pub(crate) answer: Duration,
    /// To read the last answer and close, while it may still be sending.
    pub(crate) farewell: Duration,
    /// How many bytes of what it is still sending are read meanwhile.
    pub(crate) farewell_bytes: usize,
}

impl Limits {
    pub(crate) const DEFAULT: Self = Self {
        idle: Duration::from_secs(75),
        request: Duration::from_secs(10),
        body: Patience { stall: Duration::from_secs(30) },
        answer: Duration::from_secs(10),
        farewell: Duration::from_secs(2),
        farewell_bytes: 4 << 20,
    };
}

pub(crate) struct Connection<'a> {
    face: &'a Face,
    relay: &'a Relay,
    visitor: &'a Arc<Visitor>,
    limits: Limits,
    introduction: Introduction,
    /// What has come and was not made use of yet.
    input: Vec<u8>,
    request: Vec<u8>,
    answer: Vec<u8>,
    read_timeout: Option<Duration>,
}

/// Why a connection ends.
enum End {
    /// The client is gone, or is to be gone, without a word.
    Silent,
    /// It has had its last answer.
    Answered,
    /// It has done something that nothing sensible can follow.
    Refused(Refusal),
}

/// Whether it is known where the next request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Known,
    Unknown,
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<'a> Connection<'a> {
    pub(crate) fn new(
        face: &'a Face,
        relay: &'a Relay,
        visitor: &'a Arc<Visitor>,
        limits: Limits,
    ) -> Self {
        Self {
            face,
            relay,
            visitor,
            limits,
            introduction: relay.introduce(visitor.address),
            input: Vec::new(),
            request: Vec::new(),
            answer: Vec::new(),
            read_timeout: None,
        }
    }

    /// Serves the client until one of both ends it.
    pub(crate) fn serve(mut self) -> io::Result<()> {
        self.visitor.stream.set_nodelay(true)?;
        self.visitor.stream.set_write_timeout(Some(self.limits.answer))?;
        let end = loop {
            if let Err(end) = self.serve_one() {
                break end;
            }
        };
        match end {
            End::Silent => return Ok(()),
            End::Answered => {}
            End::Refused(refusal) => self.refuse(refusal)?,
        }
        self.bid_farewell()
    }

    fn serve_one(&mut self) -> Result<(), End> {
        let head = self.read_head()?;
        let (length, behind) = match head.body {
            BodyBehind::Ignored(length) => {
                self.skip_body(length)?;
                self.visitor.set(Doing::Served);
                (self.relay.exchange(&self.request, &mut self.answer, head.answer), Behind::Known)
            }
            BodyBehind::Taken(framing, awaits) => self.exchange_with_body(framing, awaits),
        };
        let length = length.map_err(|error| lost(&error))?;
        let last = head.afterwards == Afterwards::Closed
            || behind == Behind::Unknown
            || self.face.intake.is_draining();
        if last {
            let line_end = length - 2;
            self.answer.splice(line_end..line_end, *b"Connection: close\r\n");
        }
        if let Err(error) = send(&self.visitor.stream, &self.answer, self.limits.answer) {
            let client = self.visitor.address;
            self.face.metrics.connection_cut("answer-not-taken");
            log::info!(remoteIp:% = client; "{client} did not take an answer: {error}");
            return Err(End::Silent);
        }
        self.answer.clear();
        self.answer.shrink_to(KEPT);
        if last { Err(End::Answered) } else { Ok(()) }
    }

    /// Has a request answered that has a body; and what is known then of the bytes behind it.
    fn exchange_with_body(
        &mut self,
        framing: Framing,
        awaits: Continue,
    ) -> (io::Result<usize>, Behind) {
        self.visitor.set(Doing::Served);
        let (visitor, intake) = (Arc::clone(self.visitor), Arc::clone(&self.face.intake));
        let input = mem::take(&mut self.input);
        let body = Body::new(visitor, intake, self.limits.body, input, framing, awaits);
        let (introduction, request) = (&self.introduction, &self.request);
        let length = self.relay.exchange_with_body(introduction, &body, request, &mut self.answer);
        // The body's reader has set another.
        self.read_timeout = None;
        match body.rest() {
            Some(rest) => {
                self.input = rest;
                (length, Behind::Known)
            }
            None => (length, Behind::Unknown),
        }
    }

    /// Reads the head of the next request; what is passed on of it is in `request` then.
    fn read_head(&mut self) -> Result<Head, End> {
        if self.input.is_empty() {
            self.wait_for_request()?;
        }
        let deadline = Instant::now() + self.limits.request;
        let (mut seen, mut judged) = (0, 0);
        loop {
            // At its end, and each time that it has doubled: a head that trickles in is not read
            // anew with each byte, and one that makes no sense is noticed early.
            let length = self.input.len();
            let due = length >= 2 * judged || length == MAX_HEAD || ends(&self.input, seen);
            seen = length;
            if due {
                self.request.clear();
                let read =
                    request_head::read(&self.input, &self.introduction.line, &mut self.request)?;
                if let Some(head) = read {
                    self.input.drain(..head.length);
                    return Ok(head);
                }
                judged = length;
            }
            self.receive_before(deadline, MAX_HEAD - length)?;
        }
    }

    fn skip_body(&mut self, length: u64) -> Result<(), End> {
        let deadline = Instant::now() + self.limits.request;
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        loop {
            let here = left.min(self.input.len());
            self.input.drain(..here);
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.receive_before(deadline, left)?;
        }
    }

    /// Waits for the first byte of a request.
    fn wait_for_request(&mut self) -> Result<(), End> {
        self.visitor.set(Doing::Idle);
        // In this order: whoever begins to drain sends those home that are idle by then. A newcomer
        // may still ask.
        if self.visitor.is_regular() && self.face.intake.is_draining() {
            return Err(End::Silent);
        }
        match self.receive(self.limits.idle, READ) {
            Ok(1..) => Ok(()),
            Ok(0) => Err(End::Silent),
            Err(error) => {
                if is_timeout(&error) {
                    self.face.metrics.connection_cut("idle");
                }
                Err(End::Silent)
            }
        }
    }

    /// Receives more of a request that has begun.
    fn receive_before(&mut self, deadline: Instant, most: usize) -> Result<(), End> {
        self.visitor.set(Doing::Sending);
        let left = deadline.saturating_duration_since(Instant::now());
        let received = match left.is_zero() {
            true => Err(ErrorKind::TimedOut.into()),
            false => self.receive(left, most),
        };
        match received {
            Ok(1..) => Ok(()),
            Err(error) if is_timeout(&error) => {
                let seconds = self.limits.request.as_secs_f32();
                let detail = format!("The request was not complete within {seconds} s.");
                Err(Refusal::new(&problem::REQUEST_TIMEOUT, detail).into())
            }
            Ok(0) | Err(_) => Err(End::Silent),
        }
    }

    /// Appends what comes to `input`, at most `most` bytes; how many came, none at the end.
    fn receive(&mut self, timeout: Duration, most: usize) -> io::Result<usize> {
        if self.read_timeout != Some(timeout) {
            self.visitor.stream.set_read_timeout(Some(timeout))?;
            self.read_timeout = Some(timeout);
        }
        let begun = self.input.len();
        self.input.resize(begun + most.min(READ), 0);
        let read = loop {
            match (&self.visitor.stream).read(&mut self.input[begun..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.input.truncate(begun + *read.as_ref().unwrap_or(&0));
        read
    }

    fn refuse(&self, refusal: Refusal) -> io::Result<()> {
        let (kind, client) = (refusal.kind.slug(), self.visitor.address);
        self.face.metrics.request_refused(kind);
        log::info!(
            requestId = refusal.id.as_str(), status = refusal.kind.status(), remoteIp:% = client;
            "refused a request of {client}: {} {kind}", refusal.kind.status()
        );
        let answer = refusal.into_answer();
        let message = [&answer.head()[..], &answer.body].concat();
        send(&self.visitor.stream, &message, self.limits.answer)
    }

    /// Closes such that the last answer arrives: a connection that is closed with bytes unread is
    /// reset, and what was sent on it may be lost (RFC 9112, 9.6).
    fn bid_farewell(&mut self) -> io::Result<()> {
        self.visitor.set(Doing::Leaving);
        self.visitor.stream.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + self.limits.farewell;
        let mut bytes = 0;
        while bytes < self.limits.farewell_bytes {
            let left = deadline.saturating_duration_since(Instant::now());
            self.input.clear();
            match left.is_zero() {
                true => break,
                false => match self.receive(left, READ)? {
                    0 => break,
                    count => bytes += count,
                },
            }
        }
        Ok(())
    }
}

/// Whether a head comes to its end in `input`, not before the bytes from `seen` on.
fn ends(input: &[u8], seen: usize) -> bool {
    input[seen.saturating_sub(3)..].windows(4).any(|bytes| bytes == b"\r\n\r\n")
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Sends it all, in one write where the client takes it; within the time, or fails.
fn send(mut stream: &TcpStream, mut message: &[u8], limit: Duration) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        match stream.write(message) {
            Ok(count) => message = &message[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if message.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
    }
}

fn lost(error: &io::Error) -> Refusal {
    log::error!("the HTTP library did not answer a request: {error}");
    Refusal::new(&problem::INTERNAL, "The server could not answer, for a reason of its own.")
}
