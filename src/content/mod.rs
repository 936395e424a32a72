//! What is sent: bytes that can be had again from any offset, with a size and a checksum that are
//! known before the first of them is sent; and bytes that come once.
//!
//! This room knows nothing of Cloud Storage, of HTTP, or of where the bytes go.

mod crc;
mod file;
mod name;
mod random;
mod size;
mod source;

pub use crc::Crc32c;
pub use file::FileContent;
pub use name::{ClientNameError, ObjectPrefix, ObjectPrefixError};
pub use random::{CHECKSUM_SETTLED, RandomContent, Seed};
pub use size::{ByteSize, ByteSizeError};
pub use source::Source;

use std::io;

/// Bytes of a known size and checksum, readable from any offset, any number of times.
///
/// Whoever sends a `Content` never has to keep what it has sent: after a fault it reads the same
/// bytes again.
pub trait Content: Sync {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// The CRC32C of all the bytes.
    fn crc32c(&self) -> Crc32c;

    /// Reads bytes from `offset` on into `buffer`; returns how many, 0 only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}
