//! The body of a request that has a use for one: read by the worker, from the client's connection,
//! when it has a use for the bytes, and no sooner.
//!
//! Nothing is read ahead but one buffer, so a client that sends faster than Cloud Storage takes is
//! held back by TCP. `100 Continue` is said by the first read: by then the request has been judged,
//! and a worker has it (RFC 9110, section 10.1.1).

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::http::body_source::{Bytes, Fault};
use crate::http::chunked::Chunked;
use crate::http::connections::Visitor;
use crate::http::request_head::{Continue, Framing};
use crate::server::admission::Intake;

/// How much is read at once, at most.
const READ: usize = 64 << 10;

/// How long to wait for bytes before looking whether to go on waiting.
const GLANCE: Duration = Duration::from_millis(250);

/// How fast a client must send, in bytes a second, whenever it is waited for.
const FLOOR: u64 = 1 << 10;

/// How long a client may take to send a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// To send anything at all. A client that sends less than [`FLOOR`] for twice as long, not counting
    /// what it does not have to wait for, is too slow.
    pub(crate) stall: Duration,
}

/// A body that waits to be read, or was read: what the connection and the worker share.
#[derive(Clone)]
pub(crate) struct Body(Arc<Mutex<Incoming>>);

impl Body {
    /// A body on the connection of `visitor`; `input` has come of it, and of what follows it.
    pub(crate) fn new(
        visitor: Arc<Visitor>,
        intake: Arc<Intake>,
        patience: Patience,
        input: Vec<u8>,
        framing: Framing,
        awaits: Continue,
    ) -> Self {
        let end = input.len();
        // Who has begun to send awaits nothing.
        let awaits = if input.is_empty() { awaits } else { Continue::NotAwaited };
        let wire = Wire {
            visitor,
            intake,
            patience,
            buffer: input,
            start: 0,
            end,
            awaits,
            waited: Duration::ZERO,
            came: 0,
        };
        let left = match framing {
            Framing::Length(length) => Left::Bytes(length),
            Framing::Chunked => Left::Chunks(Chunked::default()),
        };
        Self(Arc::new(Mutex::new(Incoming { wire, announced: framing, left })))
    }

    /// How long the client says that it is.
    pub(crate) fn announced(&self) -> Option<u64> {
        match self.lock().announced {
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        }
    }

    /// The body to be read, while the guard is held.
    pub(crate) fn open(&self) -> MutexGuard<'_, Incoming> {
        self.lock()
    }

    /// What has come after the body; `None` if the body was not read to its end, and what follows it
    /// cannot be known.
    pub(crate) fn rest(&self) -> Option<Vec<u8>> {
        self.lock().rest()
    }

    fn lock(&self) -> MutexGuard<'_, Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

/// A body while it comes in.
pub(crate) struct Incoming {
    wire: Wire,
    announced: Framing,
    left: Left,
}

/// What is missing of a body.
enum Left {
    Bytes(u64),
    Chunks(Chunked),
}

impl Incoming {
    fn rest(&mut self) -> Option<Vec<u8>> {
        // Of a body that was refused, all may have come: then there is nothing to wait for.
        if let Left::Bytes(left @ 1..) = self.left {
            let come = self.wire.end - self.wire.start;
            let here = usize::try_from(left).ok().filter(|left| *left <= come)?;
            self.consume(here);
        }
        match &self.left {
            Left::Bytes(0) => Some(self.wire.take()),
            Left::Chunks(chunked) if chunked.is_at_end() => Some(self.wire.take()),
            Left::Bytes(_) | Left::Chunks(_) => None,
        }
    }
}

impl Bytes for Incoming {
    fn fill(&mut self) -> Result<&[u8], Fault> {
        match &mut self.left {
            Left::Bytes(0) => Ok(&[]),
            Left::Bytes(left) => {
                let come = self.wire.fill()?;
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(come.len());
                Ok(&come[..here])
            }
            Left::Chunks(chunked) => chunked.fill(&mut self.wire),
        }
    }

    fn consume(&mut self, count: usize) {
        match &mut self.left {
            Left::Bytes(left) => {
                *left -= count as u64;
                self.wire.consume(count);
            }
            Left::Chunks(chunked) => chunked.consume(&mut self.wire, count),
        }
    }
}

/// What comes on the connection. It has no good end.
struct Wire {
    visitor: Arc<Visitor>,
    intake: Arc<Intake>,
    patience: Patience,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    awaits: Continue,
    /// For how long the client was waited for lately, and how many bytes came in that time.
    waited: Duration,
    came: u64,
}

impl Bytes for Wire {
    fn fill(&mut self) -> Result<&[u8], Fault> {
        if self.start == self.end {
            self.say_continue()?;
            self.receive()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
    }
}

impl Wire {
    fn take(&mut self) -> Vec<u8> {
        let rest = self.buffer[self.start..self.end].to_vec();
        self.buffer = Vec::new();
        (self.start, self.end) = (0, 0);
        rest
    }

    /// Tells a client to go on that waits to be told.
    fn say_continue(&mut self) -> Result<(), Fault> {
        match mem::replace(&mut self.awaits, Continue::NotAwaited) {
            Continue::NotAwaited => Ok(()),
            Continue::Awaited => (&self.visitor.stream)
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .map_err(|_| Fault::Gone),
        }
    }

    fn receive(&mut self) -> Result<(), Fault> {
        self.buffer.resize(READ, 0);
        let stream = &self.visitor.stream;
        stream.set_read_timeout(Some(GLANCE)).map_err(|_| Fault::Gone)?;
        let began = Instant::now();
        let count = loop {
            self.may_wait(began)?;
            match (&*stream).read(&mut self.buffer) {
                Ok(0) => return Err(Fault::Gone),
                Ok(count) => break count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => return Err(Fault::Gone),
                },
            }
        };
        (self.start, self.end) = (0, count);
        self.note(count as u64, began.elapsed())
    }

    fn may_wait(&self, began: Instant) -> Result<(), Fault> {
        let stall = self.patience.stall;
        match () {
            () if self.intake.is_over() => Err(Fault::Interrupted),
            () if began.elapsed() >= stall => Err(Fault::Stalled(stall)),
            () => Ok(()),
        }
    }

    /// Counts only time in which there was nothing to read: not that in which the store was waited
    /// for, and the client with it.
    fn note(&mut self, count: u64, waited: Duration) -> Result<(), Fault> {
        self.came += count;
        self.waited += waited;
        if self.waited < self.patience.stall * 2 {
            return Ok(());
        }
        let slow = self.came < FLOOR * self.waited.as_secs();
        (self.came, self.waited) = (0, Duration::ZERO);
        if slow { Err(Fault::Slow(FLOOR)) } else { Ok(()) }
    }
}
