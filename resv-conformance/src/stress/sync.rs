//! The mutex of the stress: the standard one, which `--cfg tsan` makes visible to ThreadSanitizer.

#[cfg(tsan)]
pub(super) use resv_core::tsan::{Condvar, Mutex, MutexGuard};
#[cfg(not(tsan))]
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
