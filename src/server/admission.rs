//! Whether work is taken in, and how much of it is under way: what a drain waits for.
//!
//! State and count are one value under one lock, so that no upload can slip in between "no more"
//! and "all done".

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Shared by the threads that take work in, those that do it, and the one that drains.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    under_way: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Uploads are taken in.
    #[default]
    Open,
    /// No more are taken in; what waits is still begun.
    Draining,
    /// Nothing that waits is begun any more.
    Ending,
    /// What is under way is interrupted.
    Over,
}

impl Intake {
    /// Takes one upload in; `None` while draining.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Admission> {
        let mut state = self.lock();
        (state.phase == Phase::Open).then(|| {
            state.under_way += 1;
            Admission(Arc::clone(self))
        })
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.lock().phase >= Phase::Draining
    }

    /// Whether an upload that waits may still be begun.
    pub(crate) fn may_begin(&self) -> bool {
        self.lock().phase < Phase::Ending
    }

    pub(crate) fn close(&self) {
        self.lock().phase = Phase::Draining;
    }

    pub(crate) fn begin_no_more(&self) {
        self.lock().phase = Phase::Ending;
    }

    pub(crate) fn interrupt(&self) {
        self.lock().phase = Phase::Over;
    }

    /// Whether what is under way should end: nobody waits for it much longer.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().phase == Phase::Over
    }

    /// Waits until nothing is under way, at most until `deadline`; how much still is.
    pub(crate) fn wait_until_idle(&self, deadline: Instant) -> usize {
        let mut state = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.under_way == 0 || left.is_zero() {
                return state.under_way;
            }
            let waited = self.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload that was taken in; dropped when its client has been answered.
#[derive(Debug)]
pub(crate) struct Admission(Arc<Intake>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn takes_nothing_in_once_it_is_closed() {
        let intake = Arc::new(Intake::default());
        let admission = intake.enter();
        assert!(admission.is_some() && intake.may_begin());
        intake.close();
        assert!(intake.enter().is_none() && intake.is_draining() && intake.may_begin());
        intake.begin_no_more();
        assert!(!intake.may_begin());
    }

    #[test]
    fn is_idle_when_all_that_was_taken_in_is_done() {
        let intake = Arc::new(Intake::default());
        let admissions = [intake.enter(), intake.enter()];
        assert_eq!(intake.wait_until_idle(Instant::now()), 2);
        let waiting = std::thread::spawn({
            let intake = Arc::clone(&intake);
            move || intake.wait_until_idle(Instant::now() + Duration::from_secs(60))
        });
        drop(admissions);
        assert_eq!(waiting.join().unwrap(), 0);
    }
}
