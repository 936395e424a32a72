//! Throughput: the rate of one upload, and a history of all uploads for a chart of the last minutes.
//!
//! Every thread adds to running totals. The thread that finds that an interval has ended, whether it
//! adds or reads, closes the interval under a lock, which nobody else takes until the next one ends.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::sync::LockExt;

/// Time over which the rate of an upload is measured.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// Length of an interval.
const INTERVAL: Duration = Duration::from_secs(5);

/// Intervals that are kept, the current one included: five minutes.
const INTERVALS: usize = 60;

/// Totals since the start, and for each interval.
#[derive(Debug)]
pub(crate) struct ThroughputHistory {
    began: Instant,
    bytes: AtomicU64,
    stored: AtomicU64,
    failed: AtomicU64,
    /// Number of the current interval, as of the last time that one ended.
    current: AtomicU64,
    closed: Mutex<ClosedIntervals>,
}

#[derive(Debug, Default)]
struct ClosedIntervals {
    /// Totals at the end of the last closed interval.
    total: Totals,
    intervals: VecDeque<Totals>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    bytes: u64,
    stored: u64,
    failed: u64,
}

impl Totals {
    /// Returns the difference to an earlier state.
    fn since(self, earlier: Self) -> Self {
        Self {
            bytes: self.bytes - earlier.bytes,
            stored: self.stored - earlier.stored,
            failed: self.failed - earlier.failed,
        }
    }
}

/// The last intervals, oldest first. The last one has not ended yet.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ThroughputSeries {
    interval_seconds: u64,
    bytes_sent: Vec<u64>,
    stored: Vec<u64>,
    failed: Vec<u64>,
}

impl ThroughputHistory {
    /// Creates an empty history that starts at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            bytes: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            current: AtomicU64::new(0),
            closed: Mutex::default(),
        }
    }

    /// Adds bytes that were written to the network.
    pub(crate) fn add_bytes(&self, bytes: u64, now: Instant) {
        self.close_ended_intervals(now);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds a stored object.
    pub(crate) fn add_stored(&self, now: Instant) {
        self.close_ended_intervals(now);
        self.stored.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds a failed upload.
    pub(crate) fn add_failed(&self, now: Instant) {
        self.close_ended_intervals(now);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the last five minutes as of `now`.
    pub(crate) fn series(&self, now: Instant) -> ThroughputSeries {
        self.close_ended_intervals(now);
        let closed = self.lock();
        let unended = self.total().since(closed.total);
        let missing = INTERVALS - 1 - closed.intervals.len();
        let sums = || {
            let before = std::iter::repeat_n(Totals::default(), missing);
            before.chain(closed.intervals.iter().copied()).chain([unended])
        };
        ThroughputSeries {
            interval_seconds: INTERVAL.as_secs(),
            bytes_sent: sums().map(|sum| sum.bytes).collect(),
            stored: sums().map(|sum| sum.stored).collect(),
            failed: sums().map(|sum| sum.failed).collect(),
        }
    }

    fn close_ended_intervals(&self, now: Instant) {
        let current = now.saturating_duration_since(self.began).as_secs() / INTERVAL.as_secs();
        if current <= self.current.load(Ordering::Relaxed) {
            return;
        }
        let mut closed = self.lock();
        let last = self.current.load(Ordering::Relaxed);
        let Some(ended) = current.checked_sub(last).filter(|&ended| ended > 0) else { return };
        let total = self.total();
        let sum = total.since(closed.total);
        // Nothing was added in the later ones, or the first would have been closed then.
        let idle = (ended - 1).min(INTERVALS as u64) as usize;
        closed.intervals.push_back(sum);
        closed.intervals.extend(std::iter::repeat_n(Totals::default(), idle));
        let surplus = closed.intervals.len().saturating_sub(INTERVALS - 1);
        closed.intervals.drain(..surplus);
        closed.total = total;
        self.current.store(current, Ordering::Relaxed);
    }

    fn total(&self) -> Totals {
        Totals {
            bytes: self.bytes.load(Ordering::Relaxed),
            stored: self.stored.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ClosedIntervals> {
        self.closed.lock_ignoring_poison()
    }
}

/// Rate of one upload over the last second or so, and not over its life, so that a stall shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateMeter {
    since: Instant,
    bytes: u64,
    /// Rate of the last full window.
    last: u64,
}

impl RateMeter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, bytes: 0, last: 0 }
    }

    /// Records bytes that were sent.
    pub(crate) fn record(&mut self, bytes: u64, now: Instant) {
        self.bytes += bytes;
        if now.saturating_duration_since(self.since) >= RATE_WINDOW {
            *self = Self { last: self.bytes_per_second(now), ..Self::new(now) };
        }
    }

    pub(crate) fn bytes_per_second(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < RATE_WINDOW { self.last } else { per_second(self.bytes, elapsed) }
    }
}

/// Returns the rate of bytes in a time; 0 if no time has passed.
pub(crate) fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    if elapsed.is_zero() { 0 } else { (bytes as f64 / elapsed.as_secs_f64()) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(throughput: &ThroughputHistory, seconds: u64) -> Instant {
        throughput.began + Duration::from_secs(seconds)
    }

    fn bytes(throughput: &ThroughputHistory, seconds: u64) -> Vec<u64> {
        throughput.series(after(throughput, seconds)).bytes_sent
    }

    #[test]
    fn new_history_has_five_empty_minutes() {
        let history = ThroughputHistory::new(Instant::now()).series(Instant::now());
        assert_eq!(history.interval_seconds * history.bytes_sent.len() as u64, 300);
        assert_eq!(history.bytes_sent, [0; INTERVALS]);
        assert_eq!(history.stored, [0; INTERVALS]);
        assert_eq!(history.failed, [0; INTERVALS]);
    }

    #[test]
    fn bytes_are_counted_in_their_interval() {
        let throughput = ThroughputHistory::new(Instant::now());
        for (second, count) in [(0, 1), (4, 2), (5, 4), (21, 8)] {
            throughput.add_bytes(count, after(&throughput, second));
        }
        throughput.add_stored(after(&throughput, 21));
        throughput.add_failed(after(&throughput, 26));
        let history = throughput.series(after(&throughput, 27));
        assert_eq!(history.bytes_sent[INTERVALS - 6..], [3, 4, 0, 0, 8, 0]);
        assert_eq!(history.stored[INTERVALS - 3..], [0, 1, 0]);
        assert_eq!(history.failed[INTERVALS - 3..], [0, 0, 1]);
    }

    #[test]
    fn intervals_are_dropped_after_five_minutes() {
        let throughput = ThroughputHistory::new(Instant::now());
        throughput.add_bytes(7, after(&throughput, 0));
        assert_eq!(bytes(&throughput, 299)[0], 7);
        assert_eq!(bytes(&throughput, 300), [0; INTERVALS]);
        throughput.add_bytes(9, after(&throughput, 1_000_000));
        let later = bytes(&throughput, 1_000_001);
        assert_eq!((later.len(), later.iter().sum::<u64>()), (INTERVALS, 9));
    }

    #[test]
    fn concurrent_threads_lose_no_bytes() {
        let throughput = ThroughputHistory::new(Instant::now());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..200).for_each(|second| throughput.add_bytes(1, after(&throughput, second)));
                });
            }
        });
        assert_eq!(bytes(&throughput, 200).iter().sum::<u64>(), 800);
    }

    #[test]
    fn rate_is_that_of_the_last_second_and_falls_during_a_stall() {
        let began = Instant::now();
        let at = |milliseconds| began + Duration::from_millis(milliseconds);
        let mut rate = RateMeter::new(began);
        rate.record(100, at(500));
        assert_eq!(rate.bytes_per_second(at(900)), 0, "too early to tell");
        rate.record(300, at(1000));
        assert_eq!(rate.bytes_per_second(at(1000)), 400);
        assert_eq!(rate.bytes_per_second(at(1900)), 400);
        rate.record(50, at(1900));
        assert_eq!(rate.bytes_per_second(at(2000)), 50);
        assert_eq!(rate.bytes_per_second(at(11_000)), 5);
    }
}
