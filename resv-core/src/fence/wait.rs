//! Waiting with a thread.
//!
//! A wait registers one callback that unparks the thread, and parks until the fence has signalled: no
//! lock of an object or a fence is held meanwhile, and what it waits for is the fence itself, not a
//! flag beside it. A fence that has signalled costs one load.
//!
//! The token of `std::thread::park` is the thread's, so a wait that was woken by another one's goes
//! back to sleep, and one that ends as its callback is about to run may leave a token behind: a later
//! `park` of the program's own then returns at once, as it may at any time.

use super::handle::Fence;
use super::status::{FenceStatus, Waited};
use super::task;
use super::trace;
use super::until::Until;
use crate::checks;
use resv_sync::thread::{current, park_until};
use std::time::Instant;

impl From<FenceStatus> for Option<Waited> {
    fn from(status: FenceStatus) -> Option<Waited> {
        match status {
            FenceStatus::Pending => None,
            FenceStatus::Signaled => Some(Waited::Signaled),
            FenceStatus::Error(error) => Some(Waited::Failed(error)),
        }
    }
}

impl Fence {
    /// Sleeps until the fence has signalled: for ever with `None`, at most for a
    /// [`Duration`](std::time::Duration), or until an [`Instant`].
    ///
    /// A zero timeout is a pure poll. A fence that has signalled when the time runs out counts as
    /// signalled (Linux may report a time-out then).
    ///
    /// A thread that has to signal the fence itself must not call this.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn wait(&self, until: impl Into<Until>) -> Waited {
        let until = until.into();
        match Option::<Waited>::from(self.status()) {
            Some(done) => done,
            None if until.is_poll() => Waited::TimedOut,
            None => {
                checks::waiting(self);
                self.wait_deadline(until.deadline())
            }
        }
    }

    fn wait_deadline(&self, deadline: Option<Instant>) -> Waited {
        let _traced = trace::wait(self);
        let thread = current();
        if let Ok(callback) = self.on_signal(move |_| thread.unpark()) {
            // Inside a callback: what is to signal this fence may be what comes after it.
            task::run_before_sleep();
            // The fence signals before it calls back, so a thread that has been called back sees it.
            while !self.is_signaled() {
                if !park_until(deadline) {
                    // Leaves nothing behind; if it is too late to cancel, the fence has signalled.
                    self.cancel(callback);
                    break;
                }
            }
        }
        Option::from(self.status()).unwrap_or(Waited::TimedOut)
    }
}
