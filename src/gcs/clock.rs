//! Time and randomness, replaceable in tests.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crate::sync::{CondvarExt as _, LockExt as _};

/// Clock, pauses and random numbers for uploads.
pub trait Clock: Send + Sync {
    /// Returns the monotonic time.
    fn now(&self) -> Instant;

    /// Returns the time of day, to compare with dates that a server sends.
    fn time_of_day(&self) -> SystemTime;

    /// Waits. Returns `false` if [`interrupt`](Clock::interrupt) ended the wait early.
    fn pause(&self, wait: Duration) -> bool;

    /// Ends current pauses, and later ones immediately.
    fn interrupt(&self);

    /// Returns true after [`interrupt`](Clock::interrupt) was called.
    fn interrupted(&self) -> bool;

    /// Returns a random number in 0..1.
    fn random(&self) -> f64;
}

/// The system's clock and random numbers.
#[derive(Debug, Default)]
pub struct SystemClock {
    interrupted: Mutex<bool>,
    changed: Condvar,
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }

    fn pause(&self, wait: Duration) -> bool {
        let guard = self.interrupted.lock_ignoring_poison();
        let guard = self
            .changed
            .wait_timeout_while_ignoring_poison(guard, wait, |interrupted| !*interrupted);
        !*guard
    }

    fn interrupt(&self) {
        *self.interrupted.lock_ignoring_poison() = true;
        self.changed.notify_all();
    }

    fn interrupted(&self) -> bool {
        *self.interrupted.lock_ignoring_poison()
    }

    fn random(&self) -> f64 {
        rand::random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn interrupt_ends_current_and_later_pauses() {
        let clock = Arc::new(SystemClock::default());
        let sleeper = std::thread::spawn({
            let clock = clock.clone();
            move || clock.pause(Duration::from_secs(3600))
        });
        clock.interrupt();
        assert!(!sleeper.join().unwrap());
        assert!(!clock.pause(Duration::from_secs(3600)));
        assert!(clock.interrupted());
    }

    #[test]
    fn pause_without_interrupt_ends_by_itself() {
        assert!(SystemClock::default().pause(Duration::from_millis(1)));
    }
}
