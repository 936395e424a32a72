//! A file as content. It is read once for its size and checksum, and then from any offset.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Content, Crc32c};

/// The size of a read.
const BUFFER_SIZE: usize = 256 << 10;

/// The bytes of a file at the time of its first read.
///
/// If the file changes later, the bytes may not match the checksum, or there may be too few of them:
/// the receiver must verify both. Bytes that are appended later are ignored.
#[derive(Debug)]
pub struct FileContent {
    file: File,
    size: u64,
    crc32c: Crc32c,
}

impl FileContent {
    /// Reads all of `file`, for its size and checksum.
    ///
    /// # Errors
    /// The file cannot be read, or `stopped` was set meanwhile ([`io::ErrorKind::TimedOut`]).
    pub fn new(file: File, stopped: &AtomicBool) -> io::Result<Self> {
        let (mut size, mut crc32c) = (0, Crc32c::of(&[]));
        let mut buffer = vec![0; BUFFER_SIZE];
        loop {
            if stopped.load(Ordering::Relaxed) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "cancelled"));
            }
            match read_at(&file, size, &mut buffer)? {
                0 => return Ok(Self { file, size, crc32c }),
                count => {
                    crc32c = crc32c.append(&buffer[..count]);
                    size += count as u64;
                }
            }
        }
    }

    /// Returns the file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Content for FileContent {
    fn size(&self) -> u64 {
        self.size
    }

    fn crc32c(&self) -> Crc32c {
        self.crc32c
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let remaining = self.size.saturating_sub(offset);
        let max = buffer.len().min(usize::try_from(remaining).unwrap_or(usize::MAX));
        match read_at(&self.file, offset, &mut buffer[..max])? {
            0 if max > 0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the file had {} bytes, and now ends at {offset}", self.size),
            )),
            count => Ok(count),
        }
    }
}

fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn content(bytes: &[u8]) -> FileContent {
        FileContent::new(file(bytes), &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn file_is_readable_from_any_offset() {
        for size in [0, 1, BUFFER_SIZE - 1, BUFFER_SIZE, BUFFER_SIZE + 1] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let content = content(&bytes);
            assert_eq!((content.size(), content.crc32c()), (size as u64, Crc32c::of(&bytes)));
            for offset in [0, size / 2, size] {
                let mut rest = vec![0; size];
                let mut count = 0;
                while offset + count < size {
                    let at = (offset + count) as u64;
                    count += content.read_at(at, &mut rest[count..]).unwrap();
                }
                assert!(rest[..count] == bytes[offset..]);
                assert_eq!(content.read_at(size as u64, &mut rest).unwrap(), 0);
            }
        }
    }

    #[test]
    fn bytes_appended_later_are_ignored() {
        let content = content(b"123456789");
        (&content.file).write_all(b"more").unwrap();
        let mut bytes = [0; 20];
        assert_eq!(content.read_at(0, &mut bytes).unwrap(), 9);
        assert_eq!(content.read_at(9, &mut bytes).unwrap(), 0);
    }

    #[test]
    fn truncated_file_is_an_error() {
        let content = content(b"123456789");
        content.file.set_len(5).unwrap();
        let error = content.read_at(5, &mut [0; 4]).unwrap_err();
        assert_eq!(error.to_string(), "the file had 9 bytes, and now ends at 5");
    }

    #[test]
    fn first_read_can_be_cancelled() {
        let error = FileContent::new(file(b"x"), &AtomicBool::new(true)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
