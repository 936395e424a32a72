//! What a signal does to uploads that run without a server.

use std::io::{self, PipeReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::gcs::Uploader;

use super::Failure;

/// Whether a signal has come.
pub(super) struct Stop {
    /// Set then.
    pub(super) come: Arc<AtomicBool>,
    /// At its end then: for whoever waits for a descriptor.
    pub(super) wake: PipeReader,
}

impl Stop {
    /// Lets a signal end the upload under way.
    pub(super) fn on_signals(client: &Arc<dyn Uploader>) -> Result<Self, Failure> {
        let failure =
            |error: io::Error| Failure::Runtime(format!("no signals can be heard: {error}"));
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failure)?;
        let (wake, waker) = io::pipe().map_err(failure)?;
        let come = Arc::new(AtomicBool::new(false));
        let (seen, client) = (come.clone(), client.clone());
        let hear = move || {
            if signals.forever().next().is_some() {
                seen.store(true, Ordering::Relaxed);
                client.interrupt();
                drop(waker);
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(hear).map_err(failure)?;
        Ok(Self { come, wake })
    }

    pub(super) fn has_come(&self) -> bool {
        self.come.load(Ordering::Relaxed)
    }
}
