//! Where connections go whose request announced a long body that nobody will read.
//!
//! tiny_http lets go of such a connection only by reading the rest of the body, into an
//! allocation of its whole announced length. A moderate rest is read on a thread of its own, one
//! connection after the other. All others are stranded: what holds the reader is never dropped,
//! which costs two descriptors and tiny_http's thread of that connection for as long as the
//! process lives. That is counted, and at [`LIMIT`] the server says so and drains, to be started
//! again with none: an orderly end instead of running out of descriptors amid uploads.

use std::io;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::body::Reader;
use crate::telemetry::Metrics;

/// Two descriptors each: half of the 1024 that a process has by default.
pub(super) const LIMIT: usize = 256;

/// The longest rest that is read: as much is allocated for it, one connection at a time.
const MODERATE: u64 = 16 << 20;

/// How many connections may wait for their rest to be read.
const WAITING: usize = 64;

/// Drops what holds a reader; may take as long as the client likes.
type LetGo = Box<dyn FnOnce() + Send>;

pub(super) struct Strays {
    metrics: Arc<Metrics>,
    stranded: AtomicUsize,
    limit: usize,
    overrun: Sender<()>,
    waiting: Sender<LetGo>,
}

/// The other ends of a [`Strays`]' channels.
pub(super) struct StrayEnds {
    /// Hears when the limit has been reached.
    pub(super) overrun: Receiver<()>,
    waiting: Receiver<LetGo>,
}

impl Strays {
    pub(super) fn new(metrics: Arc<Metrics>, limit: usize) -> (Self, StrayEnds) {
        let (overrun, overrun_end) = bounded(1);
        let (waiting, waiting_end) = bounded(WAITING);
        let ends = StrayEnds { overrun: overrun_end, waiting: waiting_end };
        (Self { metrics, stranded: AtomicUsize::new(0), limit, overrun, waiting }, ends)
    }

    /// How many connections may be stranded.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Has `let_go` run where it may take its time, or never. Does not wait.
    pub(super) fn take(&self, reader: Reader, let_go: impl FnOnce() + Send + 'static) {
        match reader {
            Reader::Harmless => let_go(),
            Reader::Waits(rest) if rest <= MODERATE => {
                match self.waiting.try_send(Box::new(let_go)) {
                    Ok(()) => {}
                    Err(TrySendError::Full(it) | TrySendError::Disconnected(it)) => self.strand(it),
                }
            }
            Reader::Waits(_) => self.strand(let_go),
        }
    }

    fn strand(&self, let_go: impl FnOnce()) {
        mem::forget(let_go);
        self.metrics.stranded();
        let stranded = self.stranded.fetch_add(1, Ordering::Relaxed) + 1;
        log::warn!("stranded a connection that announced a body; {stranded} of {}", self.limit);
        if stranded == self.limit {
            // The one place is taken only if the limit has been told already.
            let _told = self.overrun.try_send(());
        }
    }
}

/// Starts the thread that reads moderate rests. It ends with the process: how long it waits is
/// up to a client.
pub(super) fn start_reading(ends: &StrayEnds) -> io::Result<()> {
    let waiting = ends.waiting.clone();
    let read = move || {
        for let_go in waiting {
            if panic::catch_unwind(AssertUnwindSafe(let_go)).is_err() {
                log::error!("caught a panic while a connection was let go of");
            }
        }
    };
    thread::Builder::new().name("strays".to_owned()).spawn(read).map(drop)
}
