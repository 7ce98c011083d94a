//! The one place that decides whether this crate runs on real primitives, on loom's or on shuttle's.
//!
//! Under `--cfg loom` every atomic that takes part in the protocol is loom's, and what is
//! kept for the process is made anew in each execution of a model.
//! Counters that are only reported stay real.
//!
//! The mutex is the standard one, which on Linux is a futex and never allocates (B3). Under `--cfg tsan`
//! it is made visible to ThreadSanitizer.

#[cfg(not(any(loom, shuttle)))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

    #[cfg(tsan)]
    use resv_core::tsan as mutex;
    #[cfg(not(tsan))]
    use std::sync as mutex;

    pub(crate) use mutex::{Mutex as InnerMutex, MutexGuard};
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::PoisonError;

    /// Loads what only the calling thread may store at present: its own latest store.
    #[inline]
    pub(crate) fn load_own(atomic: &AtomicU64) -> u64 {
        atomic.load(Ordering::Relaxed)
    }

    /// [`load_own`] for a pointer to which others only add marks.
    #[inline]
    pub(crate) fn load_own_ptr<T>(atomic: &AtomicPtr<T>) -> *mut T {
        atomic.load(Ordering::Relaxed)
    }

    /// Stores to a word that others may exchange at the same time, and whose exchange may be lost.
    #[inline]
    pub(crate) fn store_over<T>(atomic: &AtomicPtr<T>, value: *mut T, order: Ordering) {
        atomic.store(value, order);
    }

    /// [`store_over`] for a hint.
    #[inline]
    pub(crate) fn store_hint(atomic: &AtomicU64, value: u64) {
        atomic.store(value, Ordering::Relaxed);
    }

    /// A value for the process, made at its first use.
    macro_rules! process_wide {
        ($name:ident: $type:ty = $value:expr) => {
            static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $value);
        };
    }

    pub(crate) use process_wide;
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Mutex as InnerMutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;

    // loom 0.7 decides where to preempt by the *last* access to each atomic. A writer that loads a word
    // before it stores to it so hides a reader's load that came earlier, and the race between that load
    // and the store is never explored. The writer's own load is a read-modify-write here.
    pub(crate) fn load_own(atomic: &AtomicU64) -> u64 {
        atomic.fetch_add(0, Ordering::Relaxed)
    }

    pub(crate) fn load_own_ptr<T>(atomic: &AtomicPtr<T>) -> *mut T {
        match atomic.fetch_update(Ordering::Relaxed, Ordering::Relaxed, Some) {
            Ok(own) | Err(own) => own,
        }
    }

    // loom takes a plain store that races with an exchange for a failure, which C11 does not.
    pub(crate) fn store_over<T>(atomic: &AtomicPtr<T>, value: *mut T, order: Ordering) {
        atomic.swap(value, order);
    }

    pub(crate) fn store_hint(atomic: &AtomicU64, value: u64) {
        atomic.swap(value, Ordering::Relaxed);
    }

    macro_rules! process_wide {
        ($name:ident: $type:ty = $value:expr) => {
            loom::lazy_static! {
                static ref $name: crate::sync::Orderly<$type> = crate::sync::Orderly::new($value);
            }
        };
    }

    pub(crate) use process_wide;

    /// A value that is dropped when an execution ends orderly. When a model fails, loom drops its
    /// statics outside any execution, where no primitive of loom's works; the value is forgotten
    /// then, so that the failure is reported and not another one.
    pub(crate) struct Orderly<T>(std::mem::ManuallyDrop<Option<T>>);

    impl<T> Orderly<T> {
        pub(crate) fn new(value: T) -> Self {
            Orderly(std::mem::ManuallyDrop::new(Some(value)))
        }
    }

    impl<T> std::ops::Deref for Orderly<T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("taken by drop only")
        }
    }

    impl<T> Drop for Orderly<T> {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                drop(self.0.take());
            }
        }
    }
}

#[cfg(shuttle)]
mod imp {
    pub(crate) use shuttle::hint::spin_loop;
    pub(crate) use shuttle::sync::atomic::{
        AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
    };
    pub(crate) use shuttle::sync::{Mutex as InnerMutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;

    pub(crate) fn load_own(atomic: &AtomicU64) -> u64 {
        atomic.load(Ordering::Relaxed)
    }

    pub(crate) fn load_own_ptr<T>(atomic: &AtomicPtr<T>) -> *mut T {
        atomic.load(Ordering::Relaxed)
    }

    pub(crate) fn store_over<T>(atomic: &AtomicPtr<T>, value: *mut T, order: Ordering) {
        atomic.store(value, order);
    }

    pub(crate) fn store_hint(atomic: &AtomicU64, value: u64) {
        atomic.store(value, Ordering::Relaxed);
    }

    /// Real, and not made anew: what is in it does not depend on which executions came before.
    macro_rules! process_wide {
        ($name:ident: $type:ty = $value:expr) => {
            static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $value);
        };
    }

    pub(crate) use process_wide;
}

pub(crate) use imp::*;

/// A mutex without poison.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(InnerMutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
