//! `std`.

use std::time::Instant;

pub use std::hint::spin_loop;
pub use std::thread::{current, yield_now};

pub(crate) mod atomic {
    use crate::sync::atomic::OwnerAccess;
    pub use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    macro_rules! owner_access {
        ($($atomic:ty: $value:ty, <$($param:ident)?>;)*) => {$(
            impl<$($param)?> OwnerAccess for $atomic {
                type Value = $value;

                #[inline]
                fn load_own(&self) -> $value {
                    self.load(Ordering::Relaxed)
                }

                #[inline]
                fn store_over(&self, value: $value, order: Ordering) {
                    self.store(value, order);
                }
            }
        )*};
    }

    owner_access! {
        AtomicU64: u64, <>;
        AtomicUsize: usize, <>;
        AtomicPtr<T>: *mut T, <T>;
    }
}

pub(super) mod primitive {
    #[cfg(tsan)]
    pub use super::super::tsan::MutexGuard;
    #[cfg(tsan)]
    pub(crate) use super::super::tsan::{Condvar, Mutex};
    #[cfg(not(tsan))]
    pub use std::sync::MutexGuard;
    #[cfg(not(tsan))]
    pub(crate) use std::sync::{Condvar, Mutex};
}

/// Sleeps until the thread is unparked or until `deadline`, or for no reason; `false` when the deadline
/// has passed.
pub fn park_until(deadline: Option<Instant>) -> bool {
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

/// Waits until notified, until `deadline`, or for no reason; `false` when the deadline has passed.
pub(super) fn wait_until<'a, T>(
    condvar: &primitive::Condvar,
    guard: primitive::MutexGuard<'a, T>,
    deadline: Option<Instant>,
) -> (primitive::MutexGuard<'a, T>, bool) {
    match deadline {
        None => (super::mutex::without_poison(condvar.wait(guard)), true),
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            let (guard, _) = super::mutex::without_poison(condvar.wait_timeout(guard, left));
            (guard, Instant::now() < deadline)
        }
    }
}

/// Shared memory that is no atomic. loom sees which thread uses it, and reports what is not ordered.
#[derive(Debug, Default)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// A cell that holds `value`.
    pub const fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    /// Runs `f` on the address, to read; what `f` does with it is for `f` to justify.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Runs `f` on the address, to write; what `f` does with it is for `f` to justify.
    #[inline]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// A value for the process, of a constant expression; or an array of values, `= each` of which is made
/// by that expression. Under loom each execution of a model has its own.
#[macro_export]
macro_rules! process_wide {
    ($(#[$meta:meta])* static $name:ident: [$type:ty; $count:expr] = each $value:expr) => {
        $(#[$meta])* static $name: [$type; $count] = [const { $value }; $count];
    };
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr) => {
        $(#[$meta])* static $name: $type = $value;
    };
}

/// A value for each thread, made at its first use there, or `const { .. }`: a `std::thread::LocalKey`,
/// loom's or shuttle's.
#[macro_export]
macro_rules! thread_wide {
    ($(#[$meta:meta])* static $name:ident: $type:ty = const $value:block) => {
        ::std::thread_local! { $(#[$meta])* static $name: $type = const $value }
    };
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr) => {
        ::std::thread_local! { $(#[$meta])* static $name: $type = $value }
    };
}
