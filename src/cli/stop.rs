//! Signal handling of uploads without a server.

use std::io::{self, PipeReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::gcs::Uploader;

use super::Failure;

/// Stop request by a signal.
pub(super) struct Stop {
    /// Set when a signal has arrived.
    pub(super) requested: Arc<AtomicBool>,
    /// At end of file when a signal has arrived, for `poll`.
    pub(super) wake: PipeReader,
}

impl Stop {
    /// Installs signal handlers that interrupt the uploads of `client`.
    pub(super) fn on_signals(client: &Arc<dyn Uploader>) -> Result<Self, Failure> {
        let failure =
            |error: io::Error| Failure::Runtime(format!("cannot install signal handlers: {error}"));
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failure)?;
        let (wake, waker) = io::pipe().map_err(failure)?;
        let requested = Arc::new(AtomicBool::new(false));
        let (flag, client) = (requested.clone(), client.clone());
        let wait_for_signal = move || {
            if signals.forever().next().is_some() {
                flag.store(true, Ordering::Relaxed);
                client.interrupt();
                drop(waker);
            }
        };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(wait_for_signal)
            .map_err(failure)?;
        Ok(Self { requested, wake })
    }

    pub(super) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}
