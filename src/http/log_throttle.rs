//! Throttle for messages that could be logged very often.

use std::time::{Duration, Instant};

/// Counts occurrences, and lets one message through per interval.
#[derive(Debug)]
pub(crate) struct LogThrottle {
    interval: Duration,
    last: Option<Instant>,
    count: u64,
}

impl LogThrottle {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, last: None, count: 0 }
    }

    /// Records one occurrence. Returns how many there were since the last message if a message is due.
    pub(crate) fn record(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.interval);
        due.then(|| {
            self.last = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_failure_is_logged_once_per_interval_with_its_count() {
        let interval = Duration::from_secs(5);
        let mut throttle = LogThrottle::new(interval);
        let now = Instant::now();
        assert_eq!(
            [throttle.record(now), throttle.record(now), throttle.record(now)],
            [Some(1), None, None]
        );
        assert_eq!(throttle.record(now + interval), Some(3));
    }
}
