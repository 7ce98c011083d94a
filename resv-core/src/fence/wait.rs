//! Waiting with a thread.
//!
//! A wait registers one callback that sets an event, and sleeps on the event: no lock of an object
//! or a fence is held meanwhile. A fence that has signalled costs one load.

use super::handle::Fence;
use super::status::{FenceStatus, Waited};
use super::trace;
use crate::checks;
use crate::sync::{Condvar, Mutex, wait_until};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Set once, by the callback of the fence that is waited for.
#[derive(Default)]
struct Event {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Event {
    fn set(&self) {
        *self.set.lock() = true;
        self.changed.notify_one();
    }

    /// Sleeps until set; `false` if the deadline passed first.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut set = self.set.lock();
        while !*set {
            let in_time;
            (set, in_time) = wait_until(&self.changed, set, deadline);
            if !in_time {
                return *set;
            }
        }
        true
    }
}

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
        let event = Arc::new(Event::default());
        let on_signal = Arc::clone(&event);
        if let Ok(callback) = self.on_signal(move |_| on_signal.set())
            && !event.wait(deadline)
        {
            // Leaves nothing behind; if it is too late to cancel, the fence has signalled.
            self.cancel(callback);
        }
        Option::from(self.status()).unwrap_or(Waited::TimedOut)
    }
}

/// The instant `timeout` from now; `None`, for ever, also when that is beyond the clock.
fn deadline_after(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}
