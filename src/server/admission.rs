//! Admission of uploads, and the count of those that a drain waits for.
//!
//! Phase and count are one value under one lock, so that no upload can be admitted between the end
//! of admission and the end of the drain.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use crate::sync::{CondvarExt, LockExt};

/// Shared by the threads that admit uploads, those that run them, and the one that drains.
#[derive(Debug, Default)]
pub(crate) struct AdmissionControl {
    state: Mutex<AdmissionState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct AdmissionState {
    phase: Phase,
    admitted: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Uploads are admitted.
    #[default]
    Accepting,
    /// No more are admitted; queued ones are still started.
    Draining,
    /// Queued uploads are no longer started.
    Rejecting,
    /// Running uploads are cancelled.
    Cancelling,
}

impl AdmissionControl {
    /// Admits one upload; `None` while draining.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<UploadPermit> {
        let mut state = self.lock();
        (state.phase == Phase::Accepting).then(|| {
            state.admitted += 1;
            UploadPermit(Arc::clone(self))
        })
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.lock().phase >= Phase::Draining
    }

    /// Returns whether a queued upload may still be started.
    pub(crate) fn may_start(&self) -> bool {
        self.lock().phase < Phase::Rejecting
    }

    pub(crate) fn drain(&self) {
        self.lock().phase = Phase::Draining;
    }

    pub(crate) fn stop_starting(&self) {
        self.lock().phase = Phase::Rejecting;
    }

    pub(crate) fn cancel(&self) {
        self.lock().phase = Phase::Cancelling;
    }

    /// Returns whether running uploads are cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.lock().phase == Phase::Cancelling
    }

    /// Waits until all admitted uploads have ended, at most until `deadline`. Returns how many have not.
    pub(crate) fn wait_until_idle(&self, deadline: Instant) -> usize {
        let mut state = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.admitted == 0 || left.is_zero() {
                return state.admitted;
            }
            state = self.changed.wait_timeout_ignoring_poison(state, left);
        }
    }

    fn lock(&self) -> MutexGuard<'_, AdmissionState> {
        self.state.lock_ignoring_poison()
    }
}

/// Permit of one admitted upload. Dropped when its client has its response.
#[derive(Debug)]
pub(crate) struct UploadPermit(Arc<AdmissionControl>);

impl Drop for UploadPermit {
    fn drop(&mut self) {
        self.0.lock().admitted -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn draining_admits_no_upload() {
        let admission = Arc::new(AdmissionControl::default());
        let permit = admission.admit();
        assert!(permit.is_some() && admission.may_start());
        admission.drain();
        assert!(admission.admit().is_none() && admission.is_draining() && admission.may_start());
        admission.stop_starting();
        assert!(!admission.may_start());
    }

    #[test]
    fn drain_ends_when_all_permits_are_dropped() {
        let admission = Arc::new(AdmissionControl::default());
        let permits = [admission.admit(), admission.admit()];
        assert_eq!(admission.wait_until_idle(Instant::now()), 2);
        let waiting = std::thread::spawn({
            let admission = Arc::clone(&admission);
            move || admission.wait_until_idle(Instant::now() + Duration::from_secs(60))
        });
        drop(permits);
        assert_eq!(waiting.join().unwrap(), 0);
    }
}
