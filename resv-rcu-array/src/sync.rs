//! The one place that decides whether this crate runs on real primitives, on loom's or on shuttle's.
//!
//! Under `--cfg loom` every atomic that takes part in the protocol is loom's, and what epoch
//! reclamation keeps for a thread and for the process is made anew in each execution of a model.
//! Counters that are only reported stay real.

#[cfg(not(any(loom, shuttle)))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
    #[cfg(feature = "crossbeam-epoch")]
    pub(crate) use std::{sync::atomic::AtomicPtr, thread::yield_now};

    /// A value for the process, made at its first use.
    #[cfg(feature = "crossbeam-epoch")]
    macro_rules! process_wide {
        ($name:ident: $type:ty = $value:expr) => {
            static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $value);
        };
    }

    /// A value for each thread, made at its first use there.
    #[cfg(feature = "crossbeam-epoch")]
    macro_rules! thread_wide {
        ($name:ident: $type:ty = $value:expr) => {
            std::thread_local! {
                static $name: $type = $value;
            }
        };
    }

    #[cfg(feature = "crossbeam-epoch")]
    pub(crate) use {process_wide, thread_wide};
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
    #[cfg(feature = "crossbeam-epoch")]
    pub(crate) use loom::{sync::atomic::AtomicPtr, thread::yield_now};

    #[cfg(feature = "crossbeam-epoch")]
    macro_rules! process_wide {
        ($name:ident: $type:ty = $value:expr) => {
            loom::lazy_static! {
                static ref $name: crate::sync::Orderly<$type> = crate::sync::Orderly::new($value);
            }
        };
    }

    #[cfg(feature = "crossbeam-epoch")]
    macro_rules! thread_wide {
        ($name:ident: $type:ty = $value:expr) => {
            loom::thread_local! {
                static $name: crate::sync::Orderly<$type> = crate::sync::Orderly::new($value);
            }
        };
    }

    #[cfg(feature = "crossbeam-epoch")]
    pub(crate) use {process_wide, thread_wide};

    /// A value that is dropped when an execution ends orderly. When a model fails, loom drops its
    /// statics outside any execution, where no primitive of loom's works; the value is forgotten
    /// then, so that the failure is reported and not another one.
    #[cfg(feature = "crossbeam-epoch")]
    pub(crate) struct Orderly<T>(std::mem::ManuallyDrop<Option<T>>);

    #[cfg(feature = "crossbeam-epoch")]
    impl<T> Orderly<T> {
        pub(crate) fn new(value: T) -> Self {
            Orderly(std::mem::ManuallyDrop::new(Some(value)))
        }
    }

    #[cfg(feature = "crossbeam-epoch")]
    impl<T> std::ops::Deref for Orderly<T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("taken by drop only")
        }
    }

    #[cfg(feature = "crossbeam-epoch")]
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
    pub(crate) use shuttle::sync::atomic::{AtomicUsize, Ordering};
    #[cfg(feature = "crossbeam-epoch")]
    pub(crate) use shuttle::{sync::atomic::AtomicPtr, thread::yield_now};

    /// Real, and not made anew: what is in it does not depend on which executions came before.
    #[cfg(feature = "crossbeam-epoch")]
    macro_rules! process_wide {
        ($name:ident: $type:ty = $value:expr) => {
            static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $value);
        };
    }

    #[cfg(feature = "crossbeam-epoch")]
    macro_rules! thread_wide {
        ($name:ident: $type:ty = $value:expr) => {
            shuttle::thread_local! {
                static $name: $type = $value;
            }
        };
    }

    #[cfg(feature = "crossbeam-epoch")]
    pub(crate) use {process_wide, thread_wide};
}

pub(crate) use imp::*;
