//! The one place that decides on which primitives the project runs.
//!
//! | build | atomics, mutexes, threads | for |
//! |---|---|---|
//! | ordinary | `std` | programs |
//! | `--cfg loom` | `loom` | models that explore every order of the steps |
//! | `--cfg shuttle` | `shuttle` | models under random schedules |
//! | `--cfg tsan` | `std`, with a mutex that ThreadSanitizer sees | `scripts/sanitizers` |
//!
//! The modules [`cell`], [`hint`], [`sync`] and [`thread`] have the names that they have in `std`; so
//! code moves under a model by changing `std::` to `resv_sync::` in its imports. What differs from `std`:
//!
//! * a mutex has no poison: no invariant of this project is open while foreign code runs;
//! * sleeping takes a deadline, which a model ignores: it has no clock;
//! * `new` is no `const fn` under loom; statics are made by [`process_wide!`](crate::process_wide) and
//!   [`thread_wide!`](crate::thread_wide).
//!
//! Counters that no protocol reads stay `std::sync::atomic` in every build.

#[cfg(loom)]
#[path = "loom.rs"]
mod imp;
#[cfg(not(any(loom, shuttle)))]
#[path = "real.rs"]
mod imp;
#[cfg(all(shuttle, not(loom)))]
#[path = "shuttle.rs"]
mod imp;
mod mutex;
#[cfg(tsan)]
mod tsan;

/// `std::sync`, as far as the project uses it.
pub mod sync {
    pub use super::mutex::{Condvar, Mutex, MutexGuard};

    /// `std::sync::atomic`, as far as the project uses it, and `OwnerAccess`.
    pub mod atomic {
        pub use crate::facade::imp::atomic::{
            AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
        };

        /// What the one thread that may change a word does to it, for instance the holder of a lock.
        ///
        /// In an ordinary build each is a plain load or store. loom 0.7 needs more:
        ///
        /// * it decides where to preempt by the *last* access to each atomic. An owner that loads a word
        ///   before it stores to it hides a reader's load that came earlier, and the race between that
        ///   load and the store is never explored. So the owner's load is a read-modify-write there.
        /// * it calls a plain store that races with a compare-and-swap a failure, which C11 does not. So
        ///   such a store is a read-modify-write there. What a model then cannot show: a store ends the
        ///   release sequence of what it overwrites, and a read-modify-write continues it.
        pub trait OwnerAccess {
            /// What the word holds.
            type Value;

            /// Loads, Relaxed, what only the calling thread may store at present: its own latest store.
            fn load_own(&self) -> Self::Value;

            /// Stores to a word that other threads may exchange at the same time, and whose exchange may
            /// be lost.
            fn store_over(&self, value: Self::Value, order: Ordering);
        }
    }
}

/// `std::cell`, as far as the project shares such cells between threads.
pub mod cell {
    pub use super::imp::UnsafeCell;
}

/// `std::hint`, as far as the project uses it.
pub mod hint {
    pub use super::imp::spin_loop;
}

/// `std::thread`, as far as the project uses it.
pub mod thread {
    pub use super::imp::{current, park_until, yield_now};
}

/// What the macros of this module expand to.
#[doc(hidden)]
pub mod expansion {
    #[cfg(loom)]
    pub use super::imp::ForgottenOnFailure;
    #[cfg(loom)]
    pub use loom;
    #[cfg(shuttle)]
    pub use shuttle;
}
