//! How fast an upload goes at present: its bytes over the last second or so, not over its life, so
//! that one that stands still is seen to.

use std::time::{Duration, Instant};

/// How long is measured before it is said how fast it goes.
const WINDOW: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    since: Instant,
    bytes: u64,
    /// Of the last window that was full.
    last: u64,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, bytes: 0, last: 0 }
    }

    /// This many bytes more went.
    pub(crate) fn sent(&mut self, bytes: u64, now: Instant) {
        self.bytes += bytes;
        if now.saturating_duration_since(self.since) >= WINDOW {
            *self = Self { last: self.bytes_per_second(now), ..Self::new(now) };
        }
    }

    pub(crate) fn bytes_per_second(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.since);
        match elapsed < WINDOW {
            true => self.last,
            false => per_second(self.bytes, elapsed),
        }
    }
}

/// So many bytes in this time, in each second of it; none where no time has passed.
pub(crate) fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    match elapsed.is_zero() {
        true => 0,
        false => (bytes as f64 / elapsed.as_secs_f64()) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_last_second_and_falls_when_nothing_goes() {
        let began = Instant::now();
        let at = |milliseconds| began + Duration::from_millis(milliseconds);
        let mut pace = Pace::new(began);
        pace.sent(100, at(500));
        assert_eq!(pace.bytes_per_second(at(900)), 0, "too early to tell");
        pace.sent(300, at(1000));
        assert_eq!(pace.bytes_per_second(at(1000)), 400);
        assert_eq!(pace.bytes_per_second(at(1900)), 400);
        pace.sent(50, at(1900));
        assert_eq!(pace.bytes_per_second(at(2000)), 50);
        assert_eq!(pace.bytes_per_second(at(11_000)), 5);
    }
}
