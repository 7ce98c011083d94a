//! Waiting for a lock without a thread.
//!
//! # The concept
//!
//! A task must not hold a lock while it is suspended: the threads that want the lock, the executor's
//! own among them, would sleep until the task is polled again, and if it is that thread which is to
//! poll it, for ever. So there is no such thing as a lock that is handed to a task. A task *tries*
//! all its locks within one poll. If one of them is taken it releases what it has and leaves a
//! [`Watch`] with that one, which wakes it when the lock is released, to try again.
//!
//! A suspended task therefore holds nothing and is in nobody's way: it cannot be part of a deadlock.
//! What that costs: it is not served before those who come by. Watches of one lock are woken in the
//! order of their tickets, one for each release, but a transaction of many locks may lose each time
//! to smaller ones.
//!
//! # No wake-up is lost
//!
//! A watch is entered under the mutex of the lock's queue, after the word has been flagged and found
//! held. So whoever releases the lock comes to the queue, takes the first watch out of it and rings
//! it. A watch that has been rung and ends while the lock is free rings the next: its task may have
//! been cancelled, or may have failed to get another of its locks, and then nobody would release
//! this one. If the lock is held by then, its release rings the next.

use super::defect::Defect;
use super::queue::{self, Bell, Watcher};
use super::word::Claim;
use super::{Context, ObjectLock, contended};
use resv_sync::sync::atomic::Ordering;
use std::fmt;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Somebody who wants to know when a lock is released; see [`lock`](super), Tasks. Dropping it takes it
/// back.
#[must_use = "dropping a watch takes it back"]
pub struct Watch<'l> {
    lock: &'l ObjectLock,
    bell: Arc<Bell>,
}

impl ObjectLock {
    /// Watches the lock for `context`, which holds nothing; `None` when it is free.
    ///
    /// # Panics
    ///
    /// When `context` holds a lock: who watches holds nothing.
    pub fn watch(&self, context: &Context, waker: &Waker) -> Option<Watch<'_>> {
        assert_eq!(context.held(), 0, "who watches a lock holds nothing");
        // A waker is foreign code: cloned before the queue is locked.
        let bell = Arc::new(Bell::new(waker.clone()));
        let address = self.address();
        let mut queue = queue::of_lock(address);
        if !contended::flag_if_held(self, &queue) {
            return None;
        }
        queue.watch(Watcher {
            lock: address,
            claim: context.claim(),
            bell: Arc::clone(&bell),
        });
        drop(queue);
        Some(Watch { lock: self, bell })
    }
}

impl Watch<'_> {
    /// Whether the lock has been released since; if not, `waker` is woken when it is.
    pub fn poll(&self, waker: &Waker) -> Poll<()> {
        self.bell.poll(waker)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let address = self.lock.address();
        let mut queue = queue::of_lock(address);
        let next = if queue.unwatch(&self.bell) {
            None
        } else {
            // Relaxed: somebody is queued or nobody is. If so the word is flagged, and changes under
            // this mutex only; if not there is nobody to be rung.
            let word = self.lock.word.load(Ordering::Relaxed);
            let is_free = Claim::of_holder(word).is_none();
            if is_free && !self.lock.has(Defect::KeepsTheTurn) {
                queue.pop_watcher(address)
            } else {
                None
            }
        };
        drop(queue);
        if let Some(next) = next {
            next.bell.ring();
        }
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("lock", self.lock)
            .finish_non_exhaustive()
    }
}
