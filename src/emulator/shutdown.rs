//! The signal that ends every wait of the emulator.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::sync::{CondvarExt, LockExt};

/// A flag that is set once, and that threads can wait for.
#[derive(Debug, Default)]
pub(super) struct ShutdownSignal {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl ShutdownSignal {
    pub(super) fn set(&self) {
        *self.is_set.lock_ignoring_poison() = true;
        self.changed.notify_all();
    }

    pub(super) fn is_set(&self) -> bool {
        *self.is_set.lock_ignoring_poison()
    }

    /// Waits until the emulator shuts down, for at most this long.
    pub(super) fn wait_timeout(&self, timeout: Duration) {
        let guard = self.is_set.lock_ignoring_poison();
        drop(self.changed.wait_timeout_while_ignoring_poison(guard, timeout, |is_set| !*is_set));
    }
}
