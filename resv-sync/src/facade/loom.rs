//! loom.

use std::mem::ManuallyDrop;
use std::time::Instant;

pub use loom::cell::UnsafeCell;
pub use loom::hint::spin_loop;
pub use loom::thread::{current, yield_now};

pub(crate) mod atomic {
    use crate::sync::atomic::OwnerAccess;
    pub use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    // The load is one read-modify-write and no load before it: that load would hide what it is to show.
    macro_rules! owner_access {
        ($($atomic:ty: $value:ty, <$($param:ident)?>, $load:expr;)*) => {$(
            impl<$($param)?> OwnerAccess for $atomic {
                type Value = $value;

                fn load_own(&self) -> $value {
                    let load: fn(&Self) -> $value = $load;
                    load(self)
                }

                fn store_over(&self, value: $value, order: Ordering) {
                    self.swap(value, order);
                }
            }
        )*};
    }

    owner_access! {
        AtomicU64: u64, <>, |word| word.fetch_add(0, Ordering::Relaxed);
        AtomicUsize: usize, <>, |word| word.fetch_add(0, Ordering::Relaxed);
        // There is no `fetch_add` of a pointer. The models have found what they are to find with this.
        AtomicPtr<T>: *mut T, <T>, |word| {
            match word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, Some) {
                Ok(own) | Err(own) => own,
            }
        };
    }
}

pub(super) mod primitive {
    pub use loom::sync::MutexGuard;
    pub(crate) use loom::sync::{Condvar, Mutex};
}

/// loom has no clock: a sleep with a deadline is a sleep without one.
pub fn park_until(_deadline: Option<Instant>) -> bool {
    loom::thread::park();
    true
}

/// loom has no clock: a wait with a deadline is a wait without one.
pub(super) fn wait_until<'a, T>(
    condvar: &primitive::Condvar,
    guard: primitive::MutexGuard<'a, T>,
    _deadline: Option<Instant>,
) -> (primitive::MutexGuard<'a, T>, bool) {
    (super::mutex::without_poison(condvar.wait(guard)), true)
}

/// A static of an execution, dropped when that ends orderly.
///
/// When a model fails, loom drops its statics outside any execution, where no primitive of loom's works.
/// The value is forgotten then, so that the failure is reported and not another one.
pub struct ForgottenOnFailure<T>(ManuallyDrop<Option<T>>);

impl<T> ForgottenOnFailure<T> {
    /// Keeps `value`.
    pub fn new(value: T) -> Self {
        ForgottenOnFailure(ManuallyDrop::new(Some(value)))
    }
}

impl<T> std::ops::Deref for ForgottenOnFailure<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("taken by drop only")
    }
}

impl<T> Drop for ForgottenOnFailure<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(self.0.take());
        }
    }
}

/// A value for the process: under loom each execution of a model has its own.
#[macro_export]
macro_rules! process_wide {
    ($(#[$meta:meta])* static $name:ident: [$type:ty; $count:expr] = each $value:expr) => {
        $crate::process_wide! {
            $(#[$meta])* static $name: [$type; $count] = ::std::array::from_fn(|_| $value)
        }
    };
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr) => {
        $crate::expansion::loom::lazy_static! {
            $(#[$meta])*
            static ref $name: $crate::expansion::ForgottenOnFailure<$type> =
                $crate::expansion::ForgottenOnFailure::new($value);
        }
    };
}

/// A value for each thread of a model.
#[macro_export]
macro_rules! thread_wide {
    ($(#[$meta:meta])* static $name:ident: $type:ty = const $value:block) => {
        $crate::thread_wide! { $(#[$meta])* static $name: $type = $value }
    };
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr) => {
        $crate::expansion::loom::thread_local! {
            $(#[$meta])*
            static $name: $crate::expansion::ForgottenOnFailure<$type> =
                $crate::expansion::ForgottenOnFailure::new($value);
        }
    };
}
