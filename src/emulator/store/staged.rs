//! Content that is not an object yet.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::emulator::checksum::{Checksums, Hasher};
use crate::emulator::http::BUFFER;

/// Bytes that came for an object, with their checksums. Gone when dropped.
pub(in crate::emulator) struct Staged {
    place: Place,
    size: u64,
    hasher: Hasher,
}

enum Place {
    /// Every block but the last is as long as a buffer.
    Memory(Vec<Vec<u8>>),
    File(StagedFile),
}

/// A file that is removed unless it is moved away.
pub(super) struct StagedFile {
    path: PathBuf,
    file: File,
}

impl Staged {
    pub(super) fn in_memory() -> Self {
        Self { place: Place::Memory(Vec::new()), size: 0, hasher: Hasher::default() }
    }

    pub(super) fn in_file(path: PathBuf) -> io::Result<Self> {
        let file = File::create_new(&path)?;
        let place = Place::File(StagedFile { path, file });
        Ok(Self { place, size: 0, hasher: Hasher::default() })
    }

    pub(in crate::emulator) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn checksums(&self) -> Checksums {
        self.hasher.finish()
    }

    /// Adds bytes at the end; all of them, or none.
    pub(in crate::emulator) fn append(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let added = bytes.len() as u64;
        match &mut self.place {
            Place::Memory(blocks) => {
                self.hasher.update(&bytes);
                append_block(blocks, bytes);
            }
            Place::File(StagedFile { file, .. }) => {
                // Where an append that failed on the way has left something, it is overwritten.
                file.seek(SeekFrom::Start(self.size))?;
                file.write_all(&bytes)?;
                self.hasher.update(&bytes);
            }
        }
        self.size += added;
        Ok(())
    }

    pub(super) fn into_blocks(self) -> Vec<Vec<u8>> {
        match self.place {
            Place::Memory(blocks) => blocks,
            Place::File(_) => Vec::new(),
        }
    }

    /// The file that the content lies in, if it lies in one.
    pub(super) fn file(&self) -> io::Result<&StagedFile> {
        match &self.place {
            Place::Memory(_) => Err(io::Error::other("the content lies in memory")),
            Place::File(file) => Ok(file),
        }
    }
}

fn append_block(blocks: &mut Vec<Vec<u8>>, mut bytes: Vec<u8>) {
    if let Some(last) = blocks.last_mut().filter(|last| last.len() < BUFFER) {
        let rest = bytes.split_off(bytes.len().min(BUFFER - last.len()));
        last.append(&mut bytes);
        bytes = rest;
    }
    while bytes.len() > BUFFER {
        let rest = bytes.split_off(BUFFER);
        blocks.push(bytes);
        bytes = rest;
    }
    if !bytes.is_empty() {
        blocks.push(bytes);
    }
}

impl StagedFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Cuts off what an append that failed may have left behind the content.
    pub(super) fn trim(&self, size: u64) -> io::Result<()> {
        if self.file.metadata()?.len() > size { self.file.set_len(size) } else { Ok(()) }
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("emulator: {} stays behind: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_full_whatever_comes() {
        let mut staged = Staged::in_memory();
        let mut all = Vec::new();
        for (index, size) in [1, 0, BUFFER, BUFFER - 1, 2 * BUFFER + 5, 7].into_iter().enumerate() {
            let bytes = vec![index as u8 + 1; size];
            all.extend_from_slice(&bytes);
            staged.append(bytes).unwrap();
        }
        assert_eq!(staged.size(), all.len() as u64);
        let blocks = staged.into_blocks();
        let (_, full) = blocks.split_last().unwrap();
        assert!(full.iter().all(|block| block.len() == BUFFER));
        assert!(blocks.concat() == all);
    }
}
