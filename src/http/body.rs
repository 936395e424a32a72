//! The body of a request, read from the connection by the handler's thread when it needs the bytes.
//!
//! Only one buffer is read ahead, so TCP holds back a client that sends faster than its bytes are
//! used. The first read sends `100 Continue`: by then the request was accepted, and a worker has it
//! (RFC 9110, section 10.1.1).

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::body_source::{BodyError, BodySource};
use super::chunked::ChunkedDecoder;
use super::connections::ConnectionHandle;
use super::limits::Limits;
use super::policy::ConnectionPolicy;
use super::request_head::{Expectation, Framing};
use crate::sync::LockExt;

/// Bytes of one read, at most.
const READ_SIZE: usize = 64 << 10;

/// Interval at which a waiting read checks whether to go on waiting.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Body of a request, shared between the connection's thread and the handler's.
#[derive(Clone)]
pub(crate) struct Body(Arc<Mutex<BodyReader>>);

impl Body {
    /// A body on `connection`. `input` has been read of it, and of what follows it.
    pub(crate) fn new(
        connection: Arc<ConnectionHandle>,
        policy: Arc<dyn ConnectionPolicy>,
        limits: &Limits,
        input: Vec<u8>,
        framing: Framing,
        expectation: Expectation,
    ) -> Self {
        // A client that has begun to send does not wait for `100 Continue`.
        let expectation = if input.is_empty() { expectation } else { Expectation::None };
        let rate = MinimumRate::new(limits.min_body_rate, limits.body_stall_timeout * 2);
        let stream = TimedStream {
            connection,
            policy,
            stall_timeout: limits.body_stall_timeout,
            rate,
            end: input.len(),
            start: 0,
            buffer: input,
            expectation,
        };
        let remaining = match framing {
            Framing::Length(length) => Remaining::Bytes(length),
            Framing::Chunked => Remaining::Chunks(ChunkedDecoder::default()),
        };
        Self(Arc::new(Mutex::new(BodyReader { stream, framing, remaining })))
    }

    /// Returns the length that the client announced; `None` for a chunked body.
    pub(crate) fn content_length(&self) -> Option<u64> {
        match self.lock().framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        }
    }

    /// Locks the body for reading.
    pub(crate) fn reader(&self) -> MutexGuard<'_, BodyReader> {
        self.lock()
    }

    /// Returns the bytes that were read beyond the end of the body; `None` if its end was not
    /// reached, so that the start of the next request is not known.
    pub(crate) fn into_input(self) -> Option<Vec<u8>> {
        self.lock().take_input()
    }

    fn lock(&self) -> MutexGuard<'_, BodyReader> {
        self.0.lock_ignoring_poison()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

/// Reader of a body while it arrives.
pub(crate) struct BodyReader {
    stream: TimedStream,
    framing: Framing,
    remaining: Remaining,
}

/// Part of a body that was not read yet.
enum Remaining {
    Bytes(u64),
    Chunks(ChunkedDecoder),
}

impl BodyReader {
    fn take_input(&mut self) -> Option<Vec<u8>> {
        // A body that was refused may have arrived as a whole: then there is nothing to wait for.
        if let Remaining::Bytes(remaining @ 1..) = self.remaining {
            let available = self.stream.end - self.stream.start;
            let count = usize::try_from(remaining).ok().filter(|count| *count <= available)?;
            self.consume(count);
        }
        match &self.remaining {
            Remaining::Bytes(0) => Some(self.stream.take_input()),
            Remaining::Chunks(chunked) if chunked.is_at_end() => Some(self.stream.take_input()),
            Remaining::Bytes(_) | Remaining::Chunks(_) => None,
        }
    }
}

impl BodySource for BodyReader {
    fn fill(&mut self) -> Result<&[u8], BodyError> {
        match &mut self.remaining {
            Remaining::Bytes(0) => Ok(&[]),
            Remaining::Bytes(remaining) => {
                let available = self.stream.fill()?;
                let count = usize::try_from(*remaining).unwrap_or(usize::MAX).min(available.len());
                Ok(&available[..count])
            }
            Remaining::Chunks(chunked) => chunked.fill(&mut self.stream),
        }
    }

    fn consume(&mut self, count: usize) {
        match &mut self.remaining {
            Remaining::Bytes(remaining) => {
                *remaining -= count as u64;
                self.stream.consume(count);
            }
            Remaining::Chunks(chunked) => chunked.consume(&mut self.stream, count),
        }
    }
}

/// Bytes of the connection, with time limits. They have no regular end.
struct TimedStream {
    connection: Arc<ConnectionHandle>,
    policy: Arc<dyn ConnectionPolicy>,
    stall_timeout: Duration,
    rate: MinimumRate,
    buffer: Vec<u8>,
    /// Range of the buffer that is not consumed.
    start: usize,
    end: usize,
    expectation: Expectation,
}

impl BodySource for TimedStream {
    fn fill(&mut self) -> Result<&[u8], BodyError> {
        if self.start == self.end {
            self.send_continue()?;
            self.receive()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
    }
}

impl TimedStream {
    fn take_input(&mut self) -> Vec<u8> {
        let input = self.buffer[self.start..self.end].to_vec();
        self.buffer = Vec::new();
        (self.start, self.end) = (0, 0);
        input
    }

    /// Sends `100 Continue` to a client that waits for it.
    fn send_continue(&mut self) -> Result<(), BodyError> {
        match mem::replace(&mut self.expectation, Expectation::None) {
            Expectation::None => Ok(()),
            Expectation::Continue => (&self.connection.stream)
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .map_err(|_| BodyError::Disconnected),
        }
    }

    fn receive(&mut self) -> Result<(), BodyError> {
        self.buffer.resize(READ_SIZE, 0);
        let stream = &self.connection.stream;
        let interval = POLL_INTERVAL.min(self.stall_timeout);
        stream.set_read_timeout(Some(interval)).map_err(|_| BodyError::Disconnected)?;
        let started = Instant::now();
        let count = loop {
            self.check_wait(started.elapsed())?;
            match (&*stream).read(&mut self.buffer) {
                Ok(0) => return Err(BodyError::Disconnected),
                Ok(count) => break count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => return Err(BodyError::Disconnected),
                },
            }
        };
        (self.start, self.end) = (0, count);
        self.rate.record(count as u64, started.elapsed())
    }

    fn check_wait(&self, waited: Duration) -> Result<(), BodyError> {
        if self.policy.is_cancelled() {
            return Err(BodyError::Cancelled);
        }
        if waited >= self.stall_timeout {
            return Err(BodyError::Stalled(self.stall_timeout));
        }
        Ok(())
    }
}

/// Check that a client sends fast enough. Counts only the time in which there was nothing to read, not
/// the time in which the client was held back.
#[derive(Debug)]
struct MinimumRate {
    bytes_per_second: u64,
    period: Duration,
    waited: Duration,
    received: u64,
}

impl MinimumRate {
    fn new(bytes_per_second: u64, period: Duration) -> Self {
        Self { bytes_per_second, period, waited: Duration::ZERO, received: 0 }
    }

    /// Records that `count` bytes arrived after a wait. Checks the rate once a period of waiting is
    /// over.
    fn record(&mut self, count: u64, waited: Duration) -> Result<(), BodyError> {
        self.received += count;
        self.waited += waited;
        if self.waited < self.period {
            return Ok(());
        }
        let required = self.bytes_per_second as f64 * self.waited.as_secs_f64();
        let too_slow = (self.received as f64) < required;
        (self.received, self.waited) = (0, Duration::ZERO);
        if too_slow { Err(BodyError::TooSlow(self.bytes_per_second)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(60);

    #[test]
    fn client_that_trickles_is_too_slow_after_one_period_of_waiting() {
        let mut rate = MinimumRate::new(1 << 10, PERIOD);
        let second = Duration::from_secs(1);
        for _ in 0..59 {
            assert_eq!(rate.record(1000, second), Ok(()));
        }
        assert_eq!(rate.record(1000, second), Err(BodyError::TooSlow(1 << 10)));
    }

    #[test]
    fn client_that_keeps_the_minimum_rate_goes_on() {
        let mut rate = MinimumRate::new(1 << 10, PERIOD);
        for _ in 0..600 {
            assert_eq!(rate.record(1 << 10, Duration::from_secs(1)), Ok(()));
        }
    }

    #[test]
    fn client_that_is_held_back_is_not_slow() {
        let mut rate = MinimumRate::new(1 << 10, PERIOD);
        assert_eq!(rate.record(1, Duration::ZERO), Ok(()));
        assert_eq!(rate.record(1, Duration::from_millis(1)), Ok(()));
    }
}
