//! Content of an upload: content that can be read again from any offset, or the buffered part of a
//! stream.

use std::io;

use crate::content::{Content, Crc32c, Source};
use crate::gcs::session::ByteRange;
use crate::gcs::transport::Body;
use crate::gcs::{Observer, Window};

/// Content of an upload.
pub(in crate::gcs) enum Payload<'a> {
    /// All of it, from any offset.
    Whole(&'a dyn Content),
    /// One part after the other.
    BufferedStream(BufferedStream<'a>),
}

impl<'a> Payload<'a> {
    pub(in crate::gcs) fn stream(source: &'a mut dyn Source, window: Window) -> Self {
        Self::BufferedStream(BufferedStream::new(source, window))
    }

    /// Returns the size of the object, if it is known before it is sent.
    pub(super) fn declared_size(&self) -> Option<u64> {
        match self {
            Self::Whole(content) => Some(content.size()),
            Self::BufferedStream(stream) => stream.source.declared_size(),
        }
    }

    /// The checksum, where that is known before the first byte is sent.
    pub(super) fn checksum_before_upload(&self) -> Option<Crc32c> {
        match self {
            Self::Whole(content) => Some(content.crc32c()),
            Self::BufferedStream(_) => None,
        }
    }

    /// The checksum, where it is known only at the end: with the last part.
    pub(super) fn checksum_after_upload(&self) -> Option<Crc32c> {
        match self {
            Self::Whole(_) => None,
            Self::BufferedStream(_) => self.size_and_checksum().map(|(_, crc32c)| crc32c),
        }
    }

    /// Returns the range of the buffered bytes in the object.
    pub(super) fn byte_range(&self) -> ByteRange {
        match self {
            Self::Whole(content) => ByteRange { end: content.size(), total: Some(content.size()) },
            Self::BufferedStream(stream) => stream.byte_range(),
        }
    }

    /// The object's size and checksum, once its end is known.
    pub(super) fn size_and_checksum(&self) -> Option<(u64, Crc32c)> {
        match self {
            Self::Whole(content) => Some((content.size(), content.crc32c())),
            Self::BufferedStream(stream) => {
                stream.byte_range().total.map(|total| (total, stream.crc32c))
            }
        }
    }

    /// The offset of the first byte that can still be sent.
    pub(super) fn window_start(&self) -> u64 {
        match self {
            Self::Whole(_) => 0,
            Self::BufferedStream(stream) => stream.window_start,
        }
    }

    /// Whether the bytes at hand end at `offset`, and the object does not, as far as is known.
    pub(super) fn needs_next_part_at(&self, offset: u64) -> bool {
        self.byte_range() == ByteRange { end: offset, total: None }
    }

    /// Lets go of the part at hand, which Cloud Storage has, and begins the next one.
    pub(super) fn next_part(&mut self) {
        if let Self::BufferedStream(stream) = self {
            stream.next_part();
        }
    }

    /// Reads some more of the part that is at hand.
    ///
    /// # Errors
    /// The source's, or that it has not kept to what it declared.
    pub(super) fn read(&mut self) -> io::Result<Fill> {
        match self {
            Self::Whole(_) => Ok(Fill::Full),
            Self::BufferedStream(stream) => stream.read(),
        }
    }

    /// Returns the memory of the buffer, in bytes.
    #[cfg(test)]
    pub(super) fn buffer_capacity(&self) -> usize {
        match self {
            Self::Whole(_) => 0,
            Self::BufferedStream(stream) => stream.buffer.capacity(),
        }
    }

    /// The bytes at hand from `offset` on, as a request's body.
    pub(super) fn body<'b>(&'b self, offset: u64, observer: &'b dyn Observer) -> Body<'b> {
        match self {
            _ if offset == self.byte_range().end => Body::Empty,
            Self::Whole(content) => Body::Rest { content: *content, offset, observer },
            Self::BufferedStream(stream) => {
                Body::Part { bytes: stream.bytes_from(offset), observer }
            }
        }
    }
}

/// A stream, and the part of it that is at hand.
pub(in crate::gcs) struct BufferedStream<'a> {
    source: &'a mut dyn Source,
    window: usize,
    /// The offset of the part's first byte.
    window_start: u64,
    /// Room for the part: grows with what comes, up to a window.
    buffer: Vec<u8>,
    /// Bytes of the buffer that belong to the part.
    length: usize,
    /// The byte after a part of a whole window. Without it nobody knows whether the part is the
    /// last one, and that must be said with the part's bytes: a checksum has to come with them.
    lookahead: Option<u8>,
    ended: bool,
    /// The checksum of all that was read.
    crc32c: Crc32c,
}

/// Outcome of one read of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// There is room for more.
    More,
    /// The part is ready to be sent.
    Full,
}

/// How much room a part has at first, in bytes. It doubles until it is a window.
const INITIAL_BUFFER_SIZE: usize = 64 << 10;

impl<'a> BufferedStream<'a> {
    fn new(source: &'a mut dyn Source, window: Window) -> Self {
        Self {
            source,
            window: window.bytes(),
            window_start: 0,
            buffer: Vec::new(),
            length: 0,
            lookahead: None,
            ended: false,
            crc32c: Crc32c::of(&[]),
        }
    }

    fn byte_range(&self) -> ByteRange {
        let end = self.window_start + self.length as u64;
        ByteRange { end, total: self.ended.then_some(end) }
    }

    fn bytes_from(&self, offset: u64) -> &[u8] {
        let skipped = usize::try_from(offset - self.window_start).unwrap_or(usize::MAX);
        self.buffer[..self.length].get(skipped..).unwrap_or_default()
    }

    fn next_part(&mut self) {
        self.window_start += self.length as u64;
        self.length = 0;
        if let Some(byte) = self.lookahead.take() {
            self.buffer[0] = byte;
            self.length = 1;
        }
    }

    fn read(&mut self) -> io::Result<Fill> {
        let full = self.length == self.window;
        let count = if full { self.read_lookahead()? } else { self.read_chunk()? };
        self.ended = count == 0;
        self.check_declared_size()?;
        Ok(if self.ended || full { Fill::Full } else { Fill::More })
    }

    fn read_chunk(&mut self) -> io::Result<usize> {
        if self.length == self.buffer.len() {
            let more = self.length.max(INITIAL_BUFFER_SIZE).min(self.window - self.length);
            self.buffer.reserve_exact(more);
            self.buffer.resize(self.length + more, 0);
        }
        let free = &mut self.buffer[self.length..];
        let count = self.source.read(free)?;
        self.crc32c = self.crc32c.append(&free[..count]);
        self.length += count;
        Ok(count)
    }

    fn read_lookahead(&mut self) -> io::Result<usize> {
        let mut byte = [0];
        let count = self.source.read(&mut byte)?;
        self.crc32c = self.crc32c.append(&byte[..count]);
        self.lookahead = byte[..count].first().copied();
        Ok(count)
    }

    fn check_declared_size(&self) -> io::Result<()> {
        let Some(declared) = self.source.declared_size() else { return Ok(()) };
        let received = self.byte_range().end + self.lookahead.map_or(0, |_| 1);
        if received > declared {
            let what = format!("more bytes came than the {declared} that were declared");
            return Err(io::Error::other(what));
        }
        if self.ended && received < declared {
            let what = format!("{received} bytes came of the {declared} that were declared");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        Ok(())
    }
}
