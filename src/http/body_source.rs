//! Bytes of a request body: they arrive in order, once, and only as long as the client sends.

use std::fmt;
use std::time::Duration;

/// Source of body bytes: a whole body, or a part of a form.
pub(crate) trait BodySource {
    /// Returns bytes that have arrived and are not consumed yet, after waiting for some. Empty at the
    /// regular end only: any other end is an error.
    fn fill(&mut self) -> Result<&[u8], BodyError>;

    /// Consumes `count` bytes, no more than [`fill`](Self::fill) returned.
    fn consume(&mut self, count: usize);
}

/// Error before the end of a body. All but the last are caused by the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// The connection ended.
    Disconnected,
    /// Nothing arrived for this long.
    Stalled(Duration),
    /// Fewer than this many bytes per second arrived.
    TooSlow(u64),
    /// The body has more bytes than this.
    TooLarge(u64),
    /// The bytes do not have the form that was announced.
    Malformed(&'static str),
    /// The bytes do not have a checksum that the client sent.
    ChecksumMismatch(String),
    /// The server is shutting down.
    Cancelled,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => {
                f.write_str("the client closed the connection before the body was complete")
            }
            Self::Stalled(limit) => {
                write!(f, "the client sent nothing of the body for {} s", limit.as_secs_f32())
            }
            Self::TooSlow(min) => {
                write!(f, "the client sent the body at less than {min} bytes per second")
            }
            Self::TooLarge(maximum) => {
                write!(f, "the file is larger than the maximum of {maximum} bytes")
            }
            Self::Malformed(what) => f.write_str(what),
            Self::ChecksumMismatch(what) => f.write_str(what),
            Self::Cancelled => f.write_str("the server is shutting down"),
        }
    }
}

/// Body in memory that arrives in pieces of one length; for tests.
#[cfg(any(test, fuzzing))]
pub(crate) struct ChunkedSlice<'a> {
    rest: &'a [u8],
    /// Bytes per piece.
    step: usize,
    /// Error at the end; a regular end if `None`.
    end: Option<BodyError>,
}

#[cfg(any(test, fuzzing))]
impl<'a> ChunkedSlice<'a> {
    pub(crate) fn new(rest: &'a [u8], step: usize) -> Self {
        Self { rest, step, end: None }
    }

    /// A body on a connection that ends after the last byte.
    pub(crate) fn on_connection(rest: &'a [u8], step: usize) -> Self {
        Self { rest, step, end: Some(BodyError::Disconnected) }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

#[cfg(any(test, fuzzing))]
impl BodySource for ChunkedSlice<'_> {
    fn fill(&mut self) -> Result<&[u8], BodyError> {
        match (&self.end, self.rest.is_empty()) {
            (Some(error), true) => Err(error.clone()),
            _ => Ok(&self.rest[..self.step.min(self.rest.len())]),
        }
    }

    fn consume(&mut self, count: usize) {
        self.rest = &self.rest[count..];
    }
}

/// Reads a body to its end; for tests.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_to_end(body: &mut dyn BodySource) -> Result<Vec<u8>, BodyError> {
    let mut all = Vec::new();
    loop {
        let available = body.fill()?;
        if available.is_empty() {
            return Ok(all);
        }
        let count = available.len();
        all.extend_from_slice(available);
        body.consume(count);
    }
}
