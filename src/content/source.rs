//! Bytes that come once: a client's body, standard input.

use std::io;

/// Bytes that come once, in their order; read by the thread that uploads them.
///
/// What has been read cannot be had again, so whoever sends a `Source` keeps it until it has
/// arrived.
pub trait Source {
    /// How many bytes there will be, where their owner has said so.
    fn announced(&self) -> Option<u64>;

    /// Reads the next bytes into `buffer`, which is not empty; returns how many, and 0 only at the
    /// end. Then everything that the owner has promised of the bytes, such as a digest, has been
    /// checked. May block, for as long as the source itself allows.
    ///
    /// # Errors
    /// The bytes do not come, or are not those that were promised: what was read of them is to be
    /// dropped.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}
