//! Time and chance, as an upload needs them: tests bring their own.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The clock, the pauses and the dice of uploads.
pub trait Timing: Send + Sync {
    /// A clock that never goes back.
    fn now(&self) -> Instant;

    /// The time of day, for dates that a server sends.
    fn time_of_day(&self) -> SystemTime;

    /// Waits; `false` when [`interrupt`](Timing::interrupt) cut it short.
    fn pause(&self, wait: Duration) -> bool;

    /// Ends the pauses under way, and every later one at once.
    fn interrupt(&self);

    /// Whether [`interrupt`](Timing::interrupt) was called.
    fn interrupted(&self) -> bool;

    /// A number in 0..1.
    fn random(&self) -> f64;
}

/// The machine's own.
#[derive(Debug, Default)]
pub struct SystemTiming {
    interrupted: Mutex<bool>,
    changed: Condvar,
}

impl Timing for SystemTiming {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }

    fn pause(&self, wait: Duration) -> bool {
        let guard = self.interrupted.lock().unwrap_or_else(PoisonError::into_inner);
        let (guard, _) = self
            .changed
            .wait_timeout_while(guard, wait, |interrupted| !*interrupted)
            .unwrap_or_else(PoisonError::into_inner);
        !*guard
    }

    fn interrupt(&self) {
        *self.interrupted.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn interrupted(&self) -> bool {
        *self.interrupted.lock().unwrap_or_else(PoisonError::into_inner)
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
        let timing = Arc::new(SystemTiming::default());
        let sleeper = std::thread::spawn({
            let timing = timing.clone();
            move || timing.pause(Duration::from_secs(3600))
        });
        timing.interrupt();
        assert!(!sleeper.join().unwrap());
        assert!(!timing.pause(Duration::from_secs(3600)));
        assert!(timing.interrupted());
    }

    #[test]
    fn a_pause_that_nobody_cuts_short_ends_by_itself() {
        assert!(SystemTiming::default().pause(Duration::from_millis(1)));
    }
}
