//! shuttle. Its statics live on from one execution to the next, and one execution runs at a time.

use std::time::Instant;

pub use shuttle::hint::spin_loop;
pub use shuttle::thread::{current, yield_now};

pub(crate) mod atomic {
    use crate::sync::atomic::OwnerAccess;
    pub use shuttle::sync::atomic::{
        AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };

    macro_rules! owner_access {
        ($($atomic:ty: $value:ty, <$($param:ident)?>;)*) => {$(
            impl<$($param)?> OwnerAccess for $atomic {
                type Value = $value;

                fn load_own(&self) -> $value {
                    self.load(Ordering::Relaxed)
                }

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
    pub use shuttle::sync::MutexGuard;
    pub(crate) use shuttle::sync::{Condvar, Mutex};
}

/// shuttle has no clock: a sleep with a deadline is a sleep without one.
pub fn park_until(_deadline: Option<Instant>) -> bool {
    shuttle::thread::park();
    true
}

/// shuttle has no clock: a wait with a deadline is a wait without one.
pub(super) fn wait_until<'a, T>(
    condvar: &primitive::Condvar,
    guard: primitive::MutexGuard<'a, T>,
    _deadline: Option<Instant>,
) -> (primitive::MutexGuard<'a, T>, bool) {
    (super::mutex::without_poison(condvar.wait(guard)), true)
}

/// Shared memory that is no atomic.
#[derive(Debug, Default)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// A cell that holds `value`.
    pub const fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    /// Runs `f` on the address, to read; what `f` does with it is for `f` to justify.
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Runs `f` on the address, to write; what `f` does with it is for `f` to justify.
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// A value for the process. It is real and not made anew: what is in it must not depend on which
/// executions came before.
#[macro_export]
macro_rules! process_wide {
    ($(#[$meta:meta])* static $name:ident: [$type:ty; $count:expr] = each $value:expr) => {
        $(#[$meta])* static $name: [$type; $count] = [const { $value }; $count];
    };
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr) => {
        $(#[$meta])* static $name: $type = $value;
    };
}

/// A value for each thread of a model.
#[macro_export]
macro_rules! thread_wide {
    ($(#[$meta:meta])* static $name:ident: $type:ty = const $value:block) => {
        $crate::expansion::shuttle::thread_local! { $(#[$meta])* static $name: $type = $value }
    };
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr) => {
        $crate::expansion::shuttle::thread_local! { $(#[$meta])* static $name: $type = $value }
    };
}
