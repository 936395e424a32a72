//! Time and chance, as an upload needs them: tests bring their own.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crate::sync::{CondvarExt as _, LockExt as _};

/// The clock, the pauses and the dice of uploads.
pub trait Clock: Send + Sync {
    /// A clock that never goes back.
    fn now(&self) -> Instant;

    /// The time of day, for dates that a server sends.
    fn time_of_day(&self) -> SystemTime;

    /// Waits; `false` when [`interrupt`](Clock::interrupt) cut it short.
    fn pause(&self, wait: Duration) -> bool;

    /// Ends the pauses under way, and every later one at once.
    fn interrupt(&self);

    /// Returns whether [`interrupt`](Clock::interrupt) was called.
    fn interrupted(&self) -> bool;

    /// A number in 0..1.
    fn random(&self) -> f64;
}

/// The machine's own.
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
    fn an_interrupt_ends_pauses_now_and_later() {
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
    fn a_pause_that_nobody_cuts_short_ends_by_itself() {
        assert!(SystemClock::default().pause(Duration::from_millis(1)));
    }
}
