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
//! What that costs: barging requests are served before it, and a transaction of many locks may lose
//! each time to smaller ones.
//!
//! # A release rings all watches
//!
//! Not one for each release: the one might be kept and never polled (a `select!` that went another way),
//! or forgotten, and then nobody would release the lock and wake the next. A task holds its locks within
//! one poll and no longer, so tasks that are woken together mostly come through one after the other, each
//! at its first try.
//!
//! # No wake-up is lost
//!
//! A watch is entered under the mutex of the lock's queue, after the word has been flagged and found
//! held. So the thread that releases the lock comes to the queue, takes every watch out of it and rings them, in
//! the order of their tickets. If the lock is handed over to a thread instead, the flag stays, and the
//! release of that thread rings.

use super::queue::{self, Bell, WatchKey};
use super::{Context, ObjectLock, contended};
use std::fmt;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// The wish of a task to know when a lock is released; see [`lock`](super), Tasks. Dropping it takes it
/// back.
#[must_use = "dropping a watch takes it back"]
pub struct Watch<'l> {
    lock: &'l ObjectLock,
    /// Its place in the queue.
    place: WatchKey,
    bell: Arc<Bell>,
}

impl ObjectLock {
    /// Watches the lock for `context`, which holds nothing; `None` when it is free.
    ///
    /// # Panics
    ///
    /// When `context` holds a lock: a task with a watch holds nothing.
    pub fn watch(&self, context: &Context, waker: &Waker) -> Option<Watch<'_>> {
        assert_eq!(context.held(), 0, "a task with a watch holds nothing");
        // A waker is foreign code: cloned before the queue is locked.
        let bell = Arc::new(Bell::new(waker.clone()));
        let address = self.address();
        let mut queue = queue::of_lock(address);
        if !contended::flag_if_held(self, &queue) {
            return None;
        }
        let place = WatchKey::new(address, context.claim(), &bell);
        queue.watch(place, Arc::clone(&bell));
        drop(queue);
        Some(Watch {
            lock: self,
            place,
            bell,
        })
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
        queue.unwatch(self.place);
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("lock", self.lock)
            .finish_non_exhaustive()
    }
}
