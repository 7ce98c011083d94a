//! The fences that are signalled while a phase runs: by a thread of its own that takes no lock, and
//! by any thread, locks held or not.

use super::Fault;
use resv_api::wait_all;
use resv_core::{Fence, FenceError, Signaler};
use resv_sync::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How many jobs of one timeline may be pending.
const MOST: usize = 24;

/// One queue for each timeline. A job is signalled under the mutex of its queue, so that those of a
/// timeline signal in order; callbacks here touch no queue.
pub(super) struct Jobs {
    queues: Vec<Mutex<VecDeque<Signaler>>>,
    ended: AtomicBool,
}

impl Jobs {
    pub(super) fn new(timelines: usize) -> Jobs {
        Jobs {
            queues: (0..timelines).map(|_| Mutex::default()).collect(),
            ended: AtomicBool::new(false),
        }
    }

    /// Hands in the next job of a timeline, which signals soon; if many are pending, signals the
    /// oldest at once.
    pub(super) fn submit(&self, timeline: usize, job: Signaler) {
        let mut queue = self.queue(timeline);
        queue.push_back(job);
        if queue.len() > MOST {
            end(queue.pop_front());
        }
    }

    /// Signals the oldest job of some timeline, if there is one.
    pub(super) fn signal_one(&self, timeline: usize) -> bool {
        let mut queue = self.queue(timeline % self.queues.len());
        end(queue.pop_front())
    }

    /// What the signalling thread does, until [`end`](Jobs::end) and nothing is left.
    pub(super) fn serve(&self) {
        loop {
            // Before the queues are looked at: the thread that ends it has submitted everything before.
            let is_last = self.ended.load(Ordering::Acquire);
            let mut any = false;
            for timeline in 0..self.queues.len() {
                any |= self.signal_one(timeline);
            }
            if !any {
                if is_last {
                    return;
                }
                thread::sleep(Duration::from_micros(100));
            }
        }
    }

    /// Nothing is submitted any more.
    pub(super) fn end(&self) {
        // Release: pairs with the Acquire in `serve`.
        self.ended.store(true, Ordering::Release);
    }

    fn queue(&self, timeline: usize) -> MutexGuard<'_, VecDeque<Signaler>> {
        self.queues[timeline].lock()
    }
}

/// Signals a job: most with success, some with an error, some by giving them up.
fn end(job: Option<Signaler>) -> bool {
    let Some(job) = job else { return false };
    match job.fence().seqno() % 16 {
        3 => drop(job),
        7 => job.signal_error(FenceError::IO),
        _ => job.signal(),
    }
    true
}

/// Waits for a fence without a limit.
pub(super) fn wait_to_the_end(fence: &Fence) -> Result<(), Fault> {
    if wait_all(fence, None).is_signaled() && fence.is_signaled() {
        Ok(())
    } else {
        Err(Fault::new(format_args!(
            "a wait for {fence} has returned too early"
        )))
    }
}
