//! Where connections go whose request announced a body that nobody will read.
//!
//! tiny_http lets go of such a connection only by reading the rest of the body, into an
//! allocation of its whole announced length. A moderate rest is read on a thread of its own, one
//! connection after the other. All others are stranded: their stream is never dropped, which
//! costs two descriptors and tiny_http's thread of that connection for as long as the process
//! lives. That is counted, and at [`LIMIT`] the server says so and drains, to be started again
//! with none: an orderly end instead of running out of descriptors in the middle of uploads.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tiny_http::ReadWrite;

use super::body::Unread;
use crate::telemetry::Metrics;

/// Two descriptors each: half of the 1024 that a process has by default.
pub(super) const LIMIT: usize = 256;

/// The longest rest that is read: as much is allocated for it, one connection at a time.
const MODERATE: u64 = 16 << 20;

/// How many connections may wait for their rest to be read.
const WAITING: usize = 64;

pub(super) type Stream = Box<dyn ReadWrite + Send>;

#[derive(Debug)]
pub(super) struct Strays {
    metrics: Arc<Metrics>,
    stranded: AtomicUsize,
    limit: usize,
    overrun: Sender<()>,
    to_read: Sender<Stream>,
}

/// The ends of a [`Strays`]' channels.
pub(super) struct StrayEnds {
    /// Hears when the limit has been reached.
    pub(super) overrun: Receiver<()>,
    /// Streams to be dropped by a thread that may wait.
    pub(super) to_read: Receiver<Stream>,
}

impl Strays {
    pub(super) fn new(metrics: Arc<Metrics>, limit: usize) -> (Self, StrayEnds) {
        let (overrun, overrun_end) = bounded(1);
        let (to_read, to_read_end) = bounded(WAITING);
        let ends = StrayEnds { overrun: overrun_end, to_read: to_read_end };
        (Self { metrics, stranded: AtomicUsize::new(0), limit, overrun, to_read }, ends)
    }

    /// How many connections may be stranded.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a stream whose request has been answered. Never blocks.
    pub(super) fn take(&self, stream: Stream, body: Unread) {
        match body {
            Unread::Long(rest) | Unread::Awaiting(rest) if rest <= MODERATE => {
                match self.to_read.try_send(stream) {
                    Ok(()) => {}
                    Err(TrySendError::Full(stream) | TrySendError::Disconnected(stream)) => {
                        self.strand(stream);
                    }
                }
            }
            // What follows a chunked or an ambiguous body would be taken for a request.
            _ => self.strand(stream),
        }
    }

    /// Keeps `thing` from ever being dropped.
    pub(super) fn strand<T>(&self, thing: T) {
        mem::forget(thing);
        self.metrics.stranded();
        let stranded = self.stranded.fetch_add(1, Ordering::Relaxed) + 1;
        log::warn!("stranded a connection that announced a body; {stranded} of {}", self.limit);
        if stranded == self.limit {
            // The one place is taken only if the limit has been told already.
            let _told = self.overrun.try_send(());
        }
    }
}
