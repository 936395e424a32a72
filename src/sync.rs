//! Locks that outlive a panic.
//!
//! A mutex is poisoned when a thread panics while it holds the guard. Here no invariant spans a
//! point that can panic: every critical section only assigns fields, so its data is whole even
//! then. One failed request must not stop all others, and so the poison is ignored.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Locking that ignores poison.
pub(crate) trait LockExt<T> {
    /// Locks, also after another thread panicked with the guard in its hands.
    fn lock_ignoring_poison(&self) -> MutexGuard<'_, T>;
}

impl<T> LockExt<T> for Mutex<T> {
    fn lock_ignoring_poison(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waiting that ignores poison. Spurious wake-ups happen as they do with the methods of
/// [`Condvar`].
pub(crate) trait CondvarExt {
    /// [`Condvar::wait`].
    fn wait_ignoring_poison<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T>;

    /// [`Condvar::wait_timeout`], without the flag that says if the time is over.
    fn wait_timeout_ignoring_poison<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> MutexGuard<'a, T>;

    /// [`Condvar::wait_timeout_while`], without the flag that says if the time is over.
    fn wait_timeout_while_ignoring_poison<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T>;
}

impl CondvarExt for Condvar {
    fn wait_ignoring_poison<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_timeout_ignoring_poison<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> MutexGuard<'a, T> {
        self.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    fn wait_timeout_while_ignoring_poison<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        self.wait_timeout_while(guard, timeout, condition).unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn poisoned(value: u32) -> Arc<Mutex<u32>> {
        let mutex = Arc::new(Mutex::new(value));
        let shared = Arc::clone(&mutex);
        let panicked = thread::spawn(move || {
            let _guard = shared.lock();
            panic!("poisons the mutex");
        });
        assert!(panicked.join().is_err());
        assert!(mutex.is_poisoned());
        mutex
    }

    #[test]
    fn poisoned_mutex_is_locked_with_its_value() {
        assert_eq!(*poisoned(7).lock_ignoring_poison(), 7);
    }

    #[test]
    fn condvar_waits_on_a_poisoned_mutex() {
        let (mutex, changed) = (poisoned(7), Condvar::new());
        let guard = mutex.lock_ignoring_poison();
        let guard = changed.wait_timeout_ignoring_poison(guard, Duration::ZERO);
        assert_eq!(*guard, 7);
        let guard = changed.wait_timeout_while_ignoring_poison(guard, Duration::ZERO, |_| true);
        assert_eq!(*guard, 7);
    }
}
