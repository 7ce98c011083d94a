//! Waiting with a thread.
//!
//! A wait registers one callback that unparks the thread, and parks until the fence has signalled: no
//! lock of an object or a fence is held meanwhile, and what it waits for is the fence itself, not a
//! flag beside it. A fence that has signalled costs one load.
//!
//! The token of `std::thread::park` is the thread's, so a wait that was woken by somebody else's goes
//! back to sleep, and one that ends as its callback is about to run may leave a token behind: a later
//! `park` of the program's own then returns at once, as it may at any time.

use super::handle::Fence;
use super::status::{FenceStatus, Waited};
use super::task;
use super::trace;
use crate::checks;
use resv_sync::thread::{current, park_until};
use std::time::{Duration, Instant};

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
    /// Sleeps until the fence has signalled, at most for `timeout`; for ever with `None`.
    ///
    /// A zero timeout is a pure poll. A fence that has signalled when the time runs out counts as
    /// signalled (Linux may report a time-out then; specification 1.5).
    ///
    /// A thread that has to signal the fence itself must not call this.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn wait(&self, timeout: Option<Duration>) -> Waited {
        match Option::<Waited>::from(self.status()) {
            Some(done) => done,
            None if timeout == Some(Duration::ZERO) => Waited::TimedOut,
            None => {
                checks::waiting(self);
                self.wait_deadline(deadline_after(timeout))
            }
        }
    }

    fn wait_deadline(&self, deadline: Option<Instant>) -> Waited {
        let _traced = trace::wait(self);
        let thread = current();
        if let Ok(callback) = self.on_signal(move |_| thread.unpark()) {
            // Inside a callback: what is to signal this fence may be what comes after it.
            task::run_before_sleep();
            // The fence signals before it calls back, so who has been called back sees it.
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

/// The instant `timeout` from now; `None`, for ever, also when that is beyond the clock.
fn deadline_after(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}
