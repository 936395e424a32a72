//! Staged content: bytes that are not an object yet.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::emulator::checksum::{Checksums, Hasher};
use crate::emulator::http::BUFFER_SIZE;

/// Bytes received for an object, with their checksums. Dropping them deletes them.
pub(in crate::emulator) struct StagedContent {
    location: Location,
    size: u64,
    hasher: Hasher,
}

enum Location {
    /// Blocks of `BUFFER_SIZE` bytes; the last may be shorter.
    Memory(Vec<Vec<u8>>),
    File(StagedFile),
}

/// A file that is deleted on drop, unless it was moved.
pub(super) struct StagedFile {
    path: PathBuf,
    file: File,
}

impl StagedContent {
    pub(super) fn in_memory() -> Self {
        Self { location: Location::Memory(Vec::new()), size: 0, hasher: Hasher::default() }
    }

    pub(super) fn in_file(path: PathBuf) -> io::Result<Self> {
        let file = File::create_new(&path)?;
        let location = Location::File(StagedFile { path, file });
        Ok(Self { location, size: 0, hasher: Hasher::default() })
    }

    pub(in crate::emulator) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn checksums(&self) -> Checksums {
        self.hasher.finish()
    }

    /// Appends bytes: all of them, or none.
    pub(in crate::emulator) fn append(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let added = bytes.len() as u64;
        match &mut self.location {
            Location::Memory(blocks) => {
                self.hasher.update(&bytes);
                append_block(blocks, bytes);
            }
            Location::File(StagedFile { file, .. }) => {
                // Overwrites what a failed append may have left.
                file.seek(SeekFrom::Start(self.size))?;
                file.write_all(&bytes)?;
                self.hasher.update(&bytes);
            }
        }
        self.size += added;
        Ok(())
    }

    pub(super) fn into_blocks(self) -> Vec<Vec<u8>> {
        match self.location {
            Location::Memory(blocks) => blocks,
            Location::File(_) => Vec::new(),
        }
    }

    /// The file of the content; an error if the content is in memory.
    pub(super) fn file(&self) -> io::Result<&StagedFile> {
        match &self.location {
            Location::Memory(_) => Err(io::Error::other("the content is in memory")),
            Location::File(file) => Ok(file),
        }
    }
}

fn append_block(blocks: &mut Vec<Vec<u8>>, mut bytes: Vec<u8>) {
    if let Some(last) = blocks.last_mut().filter(|last| last.len() < BUFFER_SIZE) {
        let rest = bytes.split_off(bytes.len().min(BUFFER_SIZE - last.len()));
        last.append(&mut bytes);
        bytes = rest;
    }
    while bytes.len() > BUFFER_SIZE {
        let rest = bytes.split_off(BUFFER_SIZE);
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

    /// Truncates what a failed append may have left after the content.
    pub(super) fn truncate(&self, size: u64) -> io::Result<()> {
        if self.file.metadata()?.len() > size { self.file.set_len(size) } else { Ok(()) }
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("emulator: could not delete {}: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_full_for_appends_of_any_size() {
        let mut staged = StagedContent::in_memory();
        let mut all = Vec::new();
        for (index, size) in
            [1, 0, BUFFER_SIZE, BUFFER_SIZE - 1, 2 * BUFFER_SIZE + 5, 7].into_iter().enumerate()
        {
            let bytes = vec![index as u8 + 1; size];
            all.extend_from_slice(&bytes);
            staged.append(bytes).unwrap();
        }
        assert_eq!(staged.size(), all.len() as u64);
        let blocks = staged.into_blocks();
        let (_, full) = blocks.split_last().unwrap();
        assert!(full.iter().all(|block| block.len() == BUFFER_SIZE));
        assert!(blocks.concat() == all);
    }
}
