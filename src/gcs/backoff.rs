//! Waits before retries: truncated exponential back-off with full jitter
//! (<https://docs.cloud.google.com/storage/docs/retry-strategy#exponential-backoff>), and
//! `Retry-After` (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

/// Exponential back-off: the upper bound of the waits in a series of faults.
#[derive(Clone, Debug)]
pub(super) struct BackOff {
    initial: Duration,
    cap: Duration,
    bound: Duration,
}

impl BackOff {
    pub(super) fn new(initial: Duration, cap: Duration) -> Self {
        Self { initial, cap, bound: initial }
    }

    /// Returns the next wait, between zero and a bound that doubles each time up to the cap.
    /// `random` in 0..1 selects the wait within that range.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let wait = self.bound.mul_f64(random.clamp(0.0, 1.0));
        self.bound = self.bound.saturating_mul(2).min(self.cap);
        wait
    }

    /// Resets the bound after progress.
    pub(super) fn reset(&mut self) {
        self.bound = self.initial;
    }
}

/// Parses the wait of a `Retry-After` header, which is seconds or an HTTP date. Returns `None` if
/// it is neither.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn back_off_bound_doubles_up_to_the_cap() {
        let mut back_off = BackOff::new(SECOND, 5 * SECOND);
        let waits: Vec<_> = (0..5).map(|_| back_off.next(1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
    }

    #[test]
    fn back_off_jitter_covers_the_full_range() {
        let mut back_off = BackOff::new(4 * SECOND, 4 * SECOND);
        assert_eq!(back_off.next(0.0), Duration::ZERO);
        assert_eq!(back_off.next(0.5), 2 * SECOND);
    }

    #[test]
    fn back_off_reset_restores_the_initial_bound() {
        let mut back_off = BackOff::new(SECOND, 60 * SECOND);
        back_off.next(1.0);
        back_off.next(1.0);
        back_off.reset();
        assert_eq!(back_off.next(1.0), SECOND);
    }

    #[test]
    fn retry_after_accepts_seconds_and_http_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(retry_after("7", now), Some(7 * SECOND));
        assert_eq!(retry_after(" 0 ", now), Some(Duration::ZERO));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(7 * SECOND));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
    }

    #[test]
    fn retry_after_beyond_u64_is_the_maximum() {
        assert_eq!(
            retry_after("99999999999999999999", SystemTime::UNIX_EPOCH),
            Some(Duration::from_secs(u64::MAX)),
        );
    }

    #[test]
    fn retry_after_with_any_other_value_is_ignored() {
        for value in ["", " ", "-1", "1.5", "soon", "\u{661}"] {
            assert_eq!(retry_after(value, SystemTime::UNIX_EPOCH), None, "{value:?}");
        }
    }
}
