//! Wait before a retry: truncated exponential back-off with full jitter
//! (<https://docs.cloud.google.com/storage/docs/retry-strategy#exponential-backoff>), and the time
//! that `Retry-After` asks for (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

/// The growing upper bound of the waits in a row of faults.
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

    /// The next wait: `random`, which lies in 0..1, picks it from between nothing and a bound that
    /// doubles each time until the cap.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let wait = self.bound.mul_f64(random.clamp(0.0, 1.0));
        self.bound = self.bound.saturating_mul(2).min(self.cap);
        wait
    }

    /// Begins anew: the transfer has made progress.
    pub(super) fn reset(&mut self) {
        self.bound = self.initial;
    }
}

/// The wait that a `Retry-After` header asks for: seconds or an HTTP date; `None` if it is neither.
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
    fn the_bound_doubles_until_the_cap() {
        let mut back_off = BackOff::new(SECOND, 5 * SECOND);
        let waits: Vec<_> = (0..5).map(|_| back_off.next(1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
    }

    #[test]
    fn jitter_is_full() {
        let mut back_off = BackOff::new(4 * SECOND, 4 * SECOND);
        assert_eq!(back_off.next(0.0), Duration::ZERO);
        assert_eq!(back_off.next(0.5), 2 * SECOND);
    }

    #[test]
    fn progress_begins_anew() {
        let mut back_off = BackOff::new(SECOND, 60 * SECOND);
        back_off.next(1.0);
        back_off.next(1.0);
        back_off.reset();
        assert_eq!(back_off.next(1.0), SECOND);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(retry_after("7", now), Some(7 * SECOND));
        assert_eq!(retry_after(" 0 ", now), Some(Duration::ZERO));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(7 * SECOND));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
    }

    #[test]
    fn retry_after_without_end_waits_without_end() {
        assert_eq!(
            retry_after("99999999999999999999", SystemTime::UNIX_EPOCH),
            Some(Duration::from_secs(u64::MAX)),
        );
    }

    #[test]
    fn any_other_retry_after_says_nothing() {
        for value in ["", " ", "-1", "1.5", "soon", "\u{661}"] {
            assert_eq!(retry_after(value, SystemTime::UNIX_EPOCH), None, "{value:?}");
        }
    }
}
