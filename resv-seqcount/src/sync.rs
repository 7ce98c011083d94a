//! The one place that decides whether this crate runs on real primitives, on loom's or on shuttle's.
//!
//! Under `--cfg tsan` the mutex is the standard one made visible to ThreadSanitizer.

#[cfg(not(any(loom, shuttle)))]
mod imp {
    pub(crate) use std::cell::UnsafeCell;
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

    #[cfg(tsan)]
    use resv_core::tsan as mutex;
    #[cfg(not(tsan))]
    use std::sync as mutex;

    pub(crate) type MutexGuard<'a, T> = mutex::MutexGuard<'a, T>;

    /// The standard mutex without poison: a futex, which never allocates (B3).
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(mutex::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// Loads what only the calling thread may store at present: its own latest store.
    #[inline]
    pub(crate) fn load_own(atomic: &AtomicUsize) -> usize {
        atomic.load(Ordering::Relaxed)
    }

    /// Loads the version of the sequence word, which only the calling thread may change at present.
    #[inline]
    pub(crate) fn load_word(word: &AtomicU64) -> u64 {
        word.load(Ordering::Relaxed)
    }

    /// Stores the sequence word, over marks that others may be setting.
    #[inline]
    pub(crate) fn store_word(word: &AtomicU64, value: u64, ordering: Ordering) {
        word.store(value, ordering);
    }

    /// [`load_own`] for a pointer.
    #[inline]
    pub(crate) fn load_own_ptr<T>(atomic: &AtomicPtr<T>) -> *mut T {
        atomic.load(Ordering::Relaxed)
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use std::cell::UnsafeCell;

    // loom 0.7 decides where to preempt by the *last* access to each atomic. A writer that loads a
    // word before it stores to it so hides the reader's load that came earlier, and the race between
    // that load and the store is never explored. Under loom the writer's own loads are therefore
    // read-modify-writes that change nothing.

    pub(crate) fn load_own(atomic: &AtomicUsize) -> usize {
        atomic.fetch_add(0, Ordering::Relaxed)
    }

    pub(crate) fn load_own_ptr<T>(atomic: &AtomicPtr<T>) -> *mut T {
        match atomic.fetch_update(Ordering::Relaxed, Ordering::Relaxed, Some) {
            Ok(own) | Err(own) => own,
        }
    }

    pub(crate) fn load_word(word: &AtomicU64) -> u64 {
        word.fetch_add(0, Ordering::Relaxed)
    }

    // loom also calls a plain store that races a compare-and-swap on one word a failure, which C11
    // does not. So this one is a read-modify-write too. What the model then cannot show: a store
    // ends the release sequence of what it overwrites, and a read-modify-write continues it.
    pub(crate) fn store_word(word: &AtomicU64, value: u64, ordering: Ordering) {
        word.swap(value, ordering);
    }

    /// loom's mutex without poison.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    pub(crate) type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(|e| e.into_inner())
        }
    }
}

#[cfg(shuttle)]
mod imp {
    pub(crate) use shuttle::hint::spin_loop;
    pub(crate) use shuttle::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use std::cell::UnsafeCell;

    pub(crate) type MutexGuard<'a, T> = shuttle::sync::MutexGuard<'a, T>;

    /// shuttle's mutex without poison.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    pub(crate) fn load_own(atomic: &AtomicUsize) -> usize {
        atomic.load(Ordering::Relaxed)
    }

    pub(crate) fn load_word(word: &AtomicU64) -> u64 {
        word.load(Ordering::Relaxed)
    }

    pub(crate) fn store_word(word: &AtomicU64, value: u64, ordering: Ordering) {
        word.store(value, ordering);
    }

    pub(crate) fn load_own_ptr<T>(atomic: &AtomicPtr<T>) -> *mut T {
        atomic.load(Ordering::Relaxed)
    }
}

pub(crate) use imp::*;
