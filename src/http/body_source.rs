//! Bytes that a client sends: they come in order, once, and only as long as it goes on.

use std::fmt;
use std::time::Duration;

/// A body, or a part of one, while it comes.
pub(crate) trait Bytes {
    /// What has come and was not consumed yet; waits for some. Empty at the good end alone: whatever
    /// else ends the bytes is a fault.
    fn fill(&mut self) -> Result<&[u8], Fault>;

    /// Takes `count` bytes away, no more than [`fill`](Self::fill) has shown.
    fn consume(&mut self, count: usize);
}

/// Why no more bytes come, although the end is not reached. Each is of the client's making, but the
/// last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ended.
    Gone,
    /// Nothing came for so long.
    Stalled(Duration),
    /// Fewer bytes came than this many a second.
    Slow(u64),
    /// There are more bytes than this.
    TooLarge(u64),
    /// They are not what they are said to be.
    Malformed(&'static str),
    /// They do not have a checksum that the client stated.
    Mismatch(String),
    /// The server ends.
    Interrupted,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the client's connection ended before the body was complete"),
            Self::Stalled(limit) => {
                write!(f, "the client sent nothing of the body for {} s", limit.as_secs_f32())
            }
            Self::Slow(floor) => {
                write!(f, "the client sent the body at less than {floor} bytes a second")
            }
            Self::TooLarge(maximum) => {
                write!(f, "the file is larger than the maximum of {maximum} bytes")
            }
            Self::Malformed(what) => f.write_str(what),
            Self::Mismatch(what) => f.write_str(what),
            Self::Interrupted => f.write_str("the server was told to stop"),
        }
    }
}

/// Bytes that are all there, in pieces of a length; for tests.
#[cfg(any(test, fuzzing))]
pub(crate) struct Pieces<'a> {
    rest: &'a [u8],
    /// How many bytes come at a time.
    step: usize,
    /// What is found where there are no more; with none, the end is a good one.
    end: Option<Fault>,
}

#[cfg(any(test, fuzzing))]
impl<'a> Pieces<'a> {
    pub(crate) fn new(rest: &'a [u8], step: usize) -> Self {
        Self { rest, step, end: None }
    }

    /// As they come on a connection: after the last one, it ends.
    pub(crate) fn on_a_connection(rest: &'a [u8], step: usize) -> Self {
        Self { rest, step, end: Some(Fault::Gone) }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

#[cfg(any(test, fuzzing))]
impl Bytes for Pieces<'_> {
    fn fill(&mut self) -> Result<&[u8], Fault> {
        match (&self.end, self.rest.is_empty()) {
            (Some(fault), true) => Err(fault.clone()),
            _ => Ok(&self.rest[..self.step.min(self.rest.len())]),
        }
    }

    fn consume(&mut self, count: usize) {
        self.rest = &self.rest[count..];
    }
}

/// Reads them to their end; for tests.
#[cfg(any(test, fuzzing))]
pub(crate) fn all_of(bytes: &mut dyn Bytes) -> Result<Vec<u8>, Fault> {
    let mut all = Vec::new();
    loop {
        let come = bytes.fill()?;
        if come.is_empty() {
            return Ok(all);
        }
        let count = come.len();
        all.extend_from_slice(come);
        bytes.consume(count);
    }
}
