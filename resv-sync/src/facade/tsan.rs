//! The standard mutex and condition variable, made visible to ThreadSanitizer (`--cfg tsan`).
//!
//! ThreadSanitizer knows what the code says that was built with it. The standard library comes built
//! without, and a mutex that is contended is taken in there: for ThreadSanitizer nobody took it, and
//! whatever it guards would be reported. So each mutex has an atomic beside it, stored to just before
//! it is released and loaded just after it is taken, which says the same once more. It orders nothing
//! that the mutex does not order, so no race is hidden by it.
//!
//! Only `scripts/sanitizers` builds with this; nothing of it is part of the library's interface.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{self, LockResult, PoisonError, TryLockError, TryLockResult, WaitTimeoutResult};
use std::time::Duration;

/// [`std::sync::Mutex`].
#[derive(Default)]
pub(crate) struct Mutex<T> {
    released: AtomicUsize,
    inner: sync::Mutex<T>,
}

impl<T> Mutex<T> {
    /// As the standard one.
    pub(crate) const fn new(value: T) -> Self {
        Mutex {
            released: AtomicUsize::new(0),
            inner: sync::Mutex::new(value),
        }
    }

    /// As the standard one.
    ///
    /// # Errors
    ///
    /// When it is poisoned.
    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        taken(&self.released, self.inner.lock())
    }

    /// As the standard one.
    ///
    /// # Errors
    ///
    /// When it is held or poisoned.
    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let result = match self.inner.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(error)) => Err(error),
            Err(TryLockError::WouldBlock) => return Err(TryLockError::WouldBlock),
        };
        Ok(taken(&self.released, result)?)
    }

    /// As the standard one.
    ///
    /// # Errors
    ///
    /// When it is poisoned.
    pub(crate) fn into_inner(self) -> LockResult<T> {
        self.inner.into_inner()
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// [`std::sync::MutexGuard`].
pub struct MutexGuard<'a, T> {
    released: &'a AtomicUsize,
    /// `None` while a condition variable has it.
    inner: Option<sync::MutexGuard<'a, T>>,
}

fn taken<'a, T>(
    released: &'a AtomicUsize,
    result: LockResult<sync::MutexGuard<'a, T>>,
) -> LockResult<MutexGuard<'a, T>> {
    released.load(Ordering::Acquire);
    let guard = |inner| MutexGuard {
        released,
        inner: Some(inner),
    };
    match result {
        Ok(inner) => Ok(guard(inner)),
        Err(error) => Err(PoisonError::new(guard(error.into_inner()))),
    }
}

impl<'a, T> MutexGuard<'a, T> {
    /// The guard itself, about to be released.
    fn give(mut self) -> (&'a AtomicUsize, sync::MutexGuard<'a, T>) {
        self.released.fetch_add(1, Ordering::Release);
        let inner = self.inner.take();
        (self.released, inner.expect("a guard holds its mutex"))
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.released.fetch_add(1, Ordering::Release);
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("a guard holds its mutex")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("a guard holds its mutex")
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// [`std::sync::Condvar`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(sync::Condvar);

impl Condvar {
    /// As the standard one.
    pub(crate) const fn new() -> Self {
        Condvar(sync::Condvar::new())
    }

    /// As the standard one.
    ///
    /// # Errors
    ///
    /// When the mutex is poisoned.
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let (released, inner) = guard.give();
        taken(released, self.0.wait(inner))
    }

    /// As the standard one.
    ///
    /// # Errors
    ///
    /// When the mutex is poisoned.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let (released, inner) = guard.give();
        let (inner, timed_out) = match self.0.wait_timeout(inner, timeout) {
            Ok((inner, timed_out)) => (Ok(inner), timed_out),
            Err(error) => {
                let (inner, timed_out) = error.into_inner();
                (Err(PoisonError::new(inner)), timed_out)
            }
        };
        match taken(released, inner) {
            Ok(guard) => Ok((guard, timed_out)),
            Err(error) => Err(PoisonError::new((error.into_inner(), timed_out))),
        }
    }

    /// As the standard one.
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    /// As the standard one.
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
