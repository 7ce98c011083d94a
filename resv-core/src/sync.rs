//! The one place that decides whether this crate runs on real primitives, on loom's or on shuttle's.
//!
//! Under `--cfg loom` every atomic and lock that takes part in a protocol is loom's, so the models
//! explore the real code. Identity counters stay real: no protocol reads them. The same goes for
//! `--cfg shuttle`, where statics live on from one execution to the next and one execution runs at a
//! time (`resv-conformance/tests/shuttle.rs`).
//!
//! Under `--cfg tsan` the mutex is the standard one made visible to ThreadSanitizer.
//!
//! The mutex is the standard one, which on Linux is a futex and never allocates, not even under
//! contention: dropping the last reference of a fence takes one, and contract B3 says that edits
//! allocate nothing. Poison is ignored: no invariant is open while foreign code runs.

#[cfg(not(any(loom, shuttle)))]
mod imp {
    #[cfg(tsan)]
    use crate::tsan::Mutex as StdMutex;
    #[cfg(tsan)]
    pub(crate) use crate::tsan::{Condvar, MutexGuard};
    #[cfg(not(tsan))]
    use std::sync::Mutex as StdMutex;
    use std::sync::PoisonError;
    pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
    #[cfg(not(tsan))]
    pub(crate) use std::sync::{Condvar, MutexGuard};
    pub(crate) use std::thread::current;
    use std::time::Instant;

    /// Sleeps until the thread is unparked or until `deadline`, or for no reason; `false` when the
    /// deadline has passed.
    pub(crate) fn park_until(deadline: Option<Instant>) -> bool {
        match deadline {
            None => std::thread::park(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return false;
                }
                std::thread::park_timeout(left);
            }
        }
        true
    }

    /// A mutex without poison.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(StdMutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Mutex(StdMutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Sleeps until notified or until `deadline`; `false` when the deadline has passed.
    pub(crate) fn wait_until<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        match deadline {
            None => {
                let guard = condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
                (guard, true)
            }
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let waited = condvar.wait_timeout(guard, left);
                let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
                (guard, Instant::now() < deadline)
            }
        }
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use loom::sync::{Condvar, MutexGuard};
    pub(crate) use loom::thread::current;
    use std::time::Instant;

    /// loom has no clock: a sleep with a deadline is a sleep without one.
    pub(crate) fn park_until(_deadline: Option<Instant>) -> bool {
        loom::thread::park();
        true
    }

    /// loom's mutex without poison.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(|e| e.into_inner())
        }
    }

    /// loom has no clock: a wait with a deadline is a wait without one.
    pub(crate) fn wait_until<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _deadline: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        let guard = condvar.wait(guard).unwrap_or_else(|e| e.into_inner());
        (guard, true)
    }
}

#[cfg(shuttle)]
mod imp {
    pub(crate) use shuttle::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use shuttle::sync::{Condvar, MutexGuard};
    pub(crate) use shuttle::thread::current;
    use std::sync::PoisonError;
    use std::time::Instant;

    /// shuttle has no clock: a sleep with a deadline is a sleep without one.
    pub(crate) fn park_until(_deadline: Option<Instant>) -> bool {
        shuttle::thread::park();
        true
    }

    /// shuttle's mutex without poison.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// shuttle has no clock: a wait with a deadline is a wait without one.
    pub(crate) fn wait_until<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _deadline: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        let guard = condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
        (guard, true)
    }
}

pub(crate) use imp::*;
