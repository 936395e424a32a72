//! Standard input as a source of bytes that come once.

use std::fs::File;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsFd as _;

use rustix::event::{PollFd, PollFlags, poll};

use crate::content::Source;

/// Standard input, read without a buffer of its own; a signal ends the wait for it.
pub(super) struct Stdin<'a> {
    input: File,
    wake: &'a PipeReader,
}

impl<'a> Stdin<'a> {
    /// `wake` is at its end when nobody should wait any more.
    pub(super) fn new(wake: &'a PipeReader) -> io::Result<Self> {
        Ok(Self { input: File::from(io::stdin().as_fd().try_clone_to_owned()?), wake })
    }
}

impl Source for Stdin<'_> {
    fn announced(&self) -> Option<u64> {
        None
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut awaited =
            [PollFd::new(&self.input, PollFlags::IN), PollFd::new(self.wake, PollFlags::IN)];
        poll(&mut awaited, None)?;
        if !awaited[1].revents().is_empty() {
            return Err(io::Error::other("told to stop"));
        }
        self.input.read(buffer)
    }
}
