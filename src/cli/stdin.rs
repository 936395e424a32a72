//! Standard input as a source that can be read only once.

use std::fs::File;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsFd as _;

use rustix::event::{PollFd, PollFlags, poll};

use crate::content::Source;

/// Unbuffered standard input; a signal ends the wait for it.
pub(super) struct Stdin<'a> {
    input: File,
    wake: &'a PipeReader,
}

impl<'a> Stdin<'a> {
    /// Opens standard input. A read fails once `wake` is at end of file.
    pub(super) fn new(wake: &'a PipeReader) -> io::Result<Self> {
        Ok(Self { input: File::from(io::stdin().as_fd().try_clone_to_owned()?), wake })
    }
}

impl Source for Stdin<'_> {
    fn declared_size(&self) -> Option<u64> {
        None
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut polled =
            [PollFd::new(&self.input, PollFlags::IN), PollFd::new(self.wake, PollFlags::IN)];
        poll(&mut polled, None)?;
        if !polled[1].revents().is_empty() {
            return Err(io::Error::other("interrupted by a signal"));
        }
        self.input.read(buffer)
    }
}
