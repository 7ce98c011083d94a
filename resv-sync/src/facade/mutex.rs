//! A mutex without poison, and the condition variable that goes with it.
//!
//! On Linux the standard mutex is a futex: it never allocates, not even under contention. Dropping the
//! last reference of a fence may take one, and edits allocate nothing (B3).

use super::imp::{self, primitive};
use std::fmt;
use std::sync::{LockResult, PoisonError, TryLockError};
use std::time::Instant;

pub use primitive::MutexGuard;

/// What a lock or a wait returned, whether or not a holder has panicked.
pub(super) fn without_poison<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// A mutex without poison.
#[derive(Default)]
pub struct Mutex<T>(primitive::Mutex<T>);

impl<T> Mutex<T> {
    /// A free mutex around `value`.
    #[cfg(not(loom))]
    pub const fn new(value: T) -> Self {
        Mutex(primitive::Mutex::new(value))
    }

    /// A free mutex around `value`.
    #[cfg(loom)]
    pub fn new(value: T) -> Self {
        Mutex(primitive::Mutex::new(value))
    }

    /// Takes the mutex; sleeps while another thread holds it.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        without_poison(self.0.lock())
    }

    /// Takes the mutex if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        without_poison(self.0.into_inner())
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A condition variable.
#[derive(Debug, Default)]
pub struct Condvar(primitive::Condvar);

impl Condvar {
    /// A condition variable for which no thread waits.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Condvar(primitive::Condvar::new())
    }

    /// A condition variable for which no thread waits.
    #[cfg(loom)]
    pub fn new() -> Self {
        Condvar(primitive::Condvar::new())
    }

    /// Sleeps until notified, or for no reason.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        without_poison(self.0.wait(guard))
    }

    /// Sleeps until notified, until `deadline` (for ever with `None`), or for no reason; `false` when
    /// the deadline has passed.
    pub fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        imp::wait_until(&self.0, guard, deadline)
    }

    /// Wakes one thread that waits.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
