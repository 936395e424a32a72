//! How much was done in each of the last intervals: what a chart of the last minutes is drawn from.
//!
//! Whoever does something adds to one running total. Who finds that an interval has ended, whether
//! by doing something or by looking, closes it under a lock, which nobody else takes until the next
//! one has.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// How long an interval is.
const INTERVAL: Duration = Duration::from_secs(5);

/// How many are known, with the one that has not ended yet: five minutes of them.
const INTERVALS: usize = 60;

/// What was done since the beginning, and in each interval.
#[derive(Debug)]
pub(crate) struct Throughput {
    began: Instant,
    bytes: AtomicU64,
    stored: AtomicU64,
    failed: AtomicU64,
    /// The interval that has not ended yet, as of the last time that one did.
    current: AtomicU64,
    closed: Mutex<Closed>,
}

#[derive(Debug, Default)]
struct Closed {
    /// What was done up to the end of the last interval that is closed.
    total: Sum,
    intervals: VecDeque<Sum>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    bytes: u64,
    stored: u64,
    failed: u64,
}

impl Sum {
    /// What has come to it since it was `earlier`.
    fn since(self, earlier: Self) -> Self {
        Self {
            bytes: self.bytes - earlier.bytes,
            stored: self.stored - earlier.stored,
            failed: self.failed - earlier.failed,
        }
    }
}

/// The last intervals, the oldest first; the last one has not ended yet.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct History {
    interval_seconds: u64,
    bytes_sent: Vec<u64>,
    stored: Vec<u64>,
    failed: Vec<u64>,
}

impl Throughput {
    /// Nothing was done before `now`.
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

    /// This many more bytes were handed to the network.
    pub(crate) fn sent(&self, bytes: u64, now: Instant) {
        self.close_what_has_ended(now);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// One object more is there.
    pub(crate) fn stored(&self, now: Instant) {
        self.close_what_has_ended(now);
        self.stored.fetch_add(1, Ordering::Relaxed);
    }

    /// One upload more has failed.
    pub(crate) fn failed(&self, now: Instant) {
        self.close_what_has_ended(now);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// The last five minutes, as of `now`.
    pub(crate) fn history(&self, now: Instant) -> History {
        self.close_what_has_ended(now);
        let closed = self.lock();
        let unended = self.total().since(closed.total);
        let missing = INTERVALS - 1 - closed.intervals.len();
        let sums = || {
            let before = std::iter::repeat_n(Sum::default(), missing);
            before.chain(closed.intervals.iter().copied()).chain([unended])
        };
        History {
            interval_seconds: INTERVAL.as_secs(),
            bytes_sent: sums().map(|sum| sum.bytes).collect(),
            stored: sums().map(|sum| sum.stored).collect(),
            failed: sums().map(|sum| sum.failed).collect(),
        }
    }

    fn close_what_has_ended(&self, now: Instant) {
        let current = now.saturating_duration_since(self.began).as_secs() / INTERVAL.as_secs();
        if current <= self.current.load(Ordering::Relaxed) {
            return;
        }
        let mut closed = self.lock();
        let last = self.current.load(Ordering::Relaxed);
        let Some(ended) = current.checked_sub(last).filter(|&ended| ended > 0) else { return };
        let total = self.total();
        let sum = total.since(closed.total);
        // Nothing was done in the later ones, or somebody would have closed the first.
        let idle = (ended - 1).min(INTERVALS as u64) as usize;
        closed.intervals.push_back(sum);
        closed.intervals.extend(std::iter::repeat_n(Sum::default(), idle));
        let surplus = closed.intervals.len().saturating_sub(INTERVALS - 1);
        closed.intervals.drain(..surplus);
        closed.total = total;
        self.current.store(current, Ordering::Relaxed);
    }

    fn total(&self) -> Sum {
        Sum {
            bytes: self.bytes.load(Ordering::Relaxed),
            stored: self.stored.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Closed> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(throughput: &Throughput, seconds: u64) -> Instant {
        throughput.began + Duration::from_secs(seconds)
    }

    fn bytes(throughput: &Throughput, seconds: u64) -> Vec<u64> {
        throughput.history(after(throughput, seconds)).bytes_sent
    }

    #[test]
    fn before_anything_was_done_there_are_five_minutes_of_nothing() {
        let history = Throughput::new(Instant::now()).history(Instant::now());
        assert_eq!(history.interval_seconds * history.bytes_sent.len() as u64, 300);
        assert_eq!(history.bytes_sent, [0; INTERVALS]);
        assert_eq!(history.stored, [0; INTERVALS]);
        assert_eq!(history.failed, [0; INTERVALS]);
    }

    #[test]
    fn what_was_done_is_in_its_interval() {
        let throughput = Throughput::new(Instant::now());
        for (second, count) in [(0, 1), (4, 2), (5, 4), (21, 8)] {
            throughput.sent(count, after(&throughput, second));
        }
        throughput.stored(after(&throughput, 21));
        throughput.failed(after(&throughput, 26));
        let history = throughput.history(after(&throughput, 27));
        assert_eq!(history.bytes_sent[INTERVALS - 6..], [3, 4, 0, 0, 8, 0]);
        assert_eq!(history.stored[INTERVALS - 3..], [0, 1, 0]);
        assert_eq!(history.failed[INTERVALS - 3..], [0, 0, 1]);
    }

    #[test]
    fn what_is_older_than_five_minutes_is_forgotten() {
        let throughput = Throughput::new(Instant::now());
        throughput.sent(7, after(&throughput, 0));
        assert_eq!(bytes(&throughput, 299)[0], 7);
        assert_eq!(bytes(&throughput, 300), [0; INTERVALS]);
        throughput.sent(9, after(&throughput, 1_000_000));
        let later = bytes(&throughput, 1_000_001);
        assert_eq!((later.len(), later.iter().sum::<u64>()), (INTERVALS, 9));
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let throughput = Throughput::new(Instant::now());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..200).for_each(|second| throughput.sent(1, after(&throughput, second)));
                });
            }
        });
        assert_eq!(bytes(&throughput, 200).iter().sum::<u64>(), 800);
    }
}
