//! The bytes of uploads, their sizes, checksums and names.
//!
//! [`Content`] is readable from any offset, any number of times, and has a size and a checksum that are
//! known in advance. A [`Source`] is readable once. This module knows nothing about the requests that
//! send the bytes.

mod crc;
mod file;
mod name;
mod random;
mod size;

pub use crc::Crc32c;
pub use file::FileContent;
pub use name::{ClientNameError, ObjectPrefix, ObjectPrefixError};
pub use random::{CHECKSUM_SETTLED, RandomContent, Seed};
pub use size::{ByteSize, ByteSizeError};

use std::io;

/// Bytes of a known size and checksum, readable from any offset, any number of times.
///
/// A sender of `Content` never has to keep bytes that it has sent: after a fault, it reads the same
/// bytes again.
pub trait Content: Sync {
    /// Returns the number of bytes.
    fn size(&self) -> u64;

    /// Returns the CRC32C of all bytes.
    fn crc32c(&self) -> Crc32c;

    /// Reads bytes at `offset` into `buffer`. Returns their number, 0 only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A stream of bytes, readable once: a client's request body, standard input.
///
/// Bytes cannot be read again, so a sender of a `Source` keeps them until they are stored. The thread
/// that uploads reads the source.
pub trait Source {
    /// Returns the number of bytes, if it was declared in advance.
    fn declared_size(&self) -> Option<u64>;

    /// Reads the next bytes into `buffer`, which is not empty. Returns their number, 0 only at the
    /// end. By then, the source has verified everything that was declared about the bytes, such as a
    /// digest. Blocks as long as the source allows.
    ///
    /// # Errors
    /// The bytes do not arrive, or do not match what was declared. The caller must discard all bytes
    /// read so far.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}
