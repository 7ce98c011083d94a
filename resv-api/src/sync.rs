//! The one place that decides whether this crate runs on real primitives or on shuttle's.

#[cfg(tsan)]
pub(crate) use resv_core::tsan::{Condvar, Mutex};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{
    Condvar, Mutex,
    atomic::{AtomicUsize, Ordering},
};
#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(not(any(shuttle, tsan)))]
pub(crate) use std::sync::{Condvar, Mutex};
