//! How long a transaction over many objects waits for their locks.

use resv_core::lock::{LockError, LockSet};
use resv_core::{ObjectLock, Until};
use std::fmt;
use std::time::Instant;

/// The locks could not be had in time; nothing is held, and nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the locks could not be had in time; nothing has changed")
    }
}

impl std::error::Error for TimedOut {}

/// How long a lock is waited for.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    Unbounded,
    Until(Instant),
    /// Not at all: a task.
    None,
}

impl Patience {
    pub(crate) fn until(until: impl Into<Until>) -> Patience {
        let deadline = until.into().deadline();
        deadline.map_or(Patience::Unbounded, Patience::Until)
    }

    /// When to give up; `None` for never.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Patience::Until(deadline) => Some(deadline),
            Patience::Unbounded | Patience::None => None,
        }
    }

    /// Takes a lock for the context of `locks`, and answers at which place it is.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub(crate) fn lock<'l>(
        self,
        locks: &LockSet<'l>,
        lock: &'l ObjectLock,
    ) -> Result<usize, LockError> {
        match self {
            Patience::Unbounded => locks.lock(lock),
            Patience::Until(deadline) => locks.lock_until(lock, deadline),
            Patience::None => locks.try_lock(lock),
        }
    }

    /// Releases everything, and takes the lock that a back-off was about first. After a time-out
    /// nothing is held. Not for tasks, which wait elsewhere.
    #[cold]
    #[cfg_attr(feature = "checks", track_caller)]
    pub(crate) fn back_off<'l>(
        self,
        locks: &mut LockSet<'l>,
        lock: &'l ObjectLock,
    ) -> Result<(), TimedOut> {
        match self {
            Patience::Unbounded | Patience::None => {
                locks.back_off(lock);
                Ok(())
            }
            Patience::Until(deadline) => {
                let taken = locks.back_off_until(lock, deadline);
                taken.map_err(|_time_is_up| TimedOut)
            }
        }
    }
}
