//! What is known about a fence, and how a wait ended.

use std::fmt;

/// The state of a fence. Once it is not [`Pending`](FenceStatus::Pending) it never changes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FenceStatus {
    /// Not signalled yet.
    Pending,
    /// Signalled with success.
    Signaled,
    /// Signalled with an error.
    Error(FenceError),
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a wait may have timed out"]
pub enum Waited {
    /// Everything waited for has signalled, with success.
    Signaled,
    /// Everything waited for has signalled, and this is the first error among it.
    Failed(FenceError),
    /// The time ran out while something was still pending.
    TimedOut,
}

impl Waited {
    /// Whether everything waited for has signalled, with or without an error.
    pub const fn is_signaled(self) -> bool {
        !matches!(self, Waited::TimedOut)
    }
}

/// Why a job failed: an errno number from 1 to 4095 (F-04).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FenceError(u16);

impl FenceError {
    /// The greatest errno number.
    pub const MAX_ERRNO: u16 = 4095;
    /// The signaler was dropped without signalling (ECANCELED).
    pub const CANCELED: FenceError = FenceError(125);
    /// The job failed, with nothing more to say (EIO).
    pub const IO: FenceError = FenceError(5);

    /// The error with this errno number, if it is from 1 to 4095.
    pub const fn from_errno(errno: u16) -> Option<FenceError> {
        if errno >= 1 && errno <= Self::MAX_ERRNO {
            Some(FenceError(errno))
        } else {
            None
        }
    }

    /// The errno number, from 1 to 4095.
    pub const fn errno(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for FenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FenceError({})", self.0)
    }
}

impl fmt::Display for FenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FenceError::CANCELED => f.write_str("canceled: the signaler was dropped"),
            FenceError(errno) => write!(f, "the job failed with errno {errno}"),
        }
    }
}

impl std::error::Error for FenceError {}

impl FenceStatus {
    /// Of the outcome in a fence's cell: none while it is pending, then the errno, 0 for success.
    pub(super) fn of(outcome: Option<u32>) -> FenceStatus {
        match outcome {
            None => FenceStatus::Pending,
            // Cannot truncate: only `outcome` makes them.
            Some(errno) => match FenceError::from_errno(errno as u16) {
                None => FenceStatus::Signaled,
                Some(error) => FenceStatus::Error(error),
            },
        }
    }
}

/// The outcome for the cell of a fence that signals so.
pub(super) fn outcome(error: Option<FenceError>) -> u32 {
    error.map_or(0, |error| error.errno().into())
}
