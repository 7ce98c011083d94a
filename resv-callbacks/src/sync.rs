//! The one place that decides whether this crate runs on real primitives, on loom's or on shuttle's.
//!
//! Under `--cfg tsan` the mutex is the standard one made visible to ThreadSanitizer.

#[cfg(not(any(loom, shuttle)))]
mod imp {
    #[cfg(tsan)]
    pub(crate) use crate::tsan::Mutex;
    #[cfg(not(tsan))]
    pub(crate) use std::sync::Mutex;
    pub(crate) use std::sync::atomic::{AtomicPtr, Ordering};
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicPtr, Ordering};
}

#[cfg(shuttle)]
mod imp {
    pub(crate) use shuttle::sync::Mutex;
    pub(crate) use shuttle::sync::atomic::{AtomicPtr, Ordering};
}

pub(crate) use imp::*;

/// Shared memory that is no atomic. loom sees who uses it, and reports what is not ordered.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    /// Runs `f` on the address; what `f` does with it is for `f` to justify.
    #[inline]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;
