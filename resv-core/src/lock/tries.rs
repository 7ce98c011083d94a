//! Many locks, taken without waiting for any and without a context.
//!
//! Who only tries waits for nobody, and so takes no part in a deadlock; whoever cannot have a lock
//! lets go of the others and begins again with a [`LockSet`](super::LockSet). Like that one, a
//! [`TrySet`] writes one word between two locks.

use super::contended::Request;
use super::{Held, ObjectLock};
use std::fmt;

/// How many locks have their place in the set itself.
const INLINE: usize = 32;

/// Locks that nobody in particular holds, in the order in which they were taken; as an iterator, the
/// proofs. Dropping it releases what it still has.
///
/// ```
/// use resv_core::lock::{ObjectLock, TrySet};
///
/// let locks = [ObjectLock::new(), ObjectLock::new()];
/// let mut set = TrySet::new();
/// assert!(set.try_lock(&locks[0]) && set.try_lock(&locks[1]));
/// assert!(!set.try_lock(&locks[0]));
/// assert_eq!(set.position(&locks[1]), Some(1));
/// let held: Vec<_> = set.collect();
/// assert!(held[0].is_for(&locks[0]) && held[1].is_for(&locks[1]));
/// drop(held);
/// assert!(!locks[0].is_locked());
/// ```
pub struct TrySet<'l> {
    len: usize,
    /// From this place on they are still held by the set.
    next: usize,
    first: [Option<&'l ObjectLock>; INLINE],
    more: Vec<&'l ObjectLock>,
}

impl<'l> TrySet<'l> {
    /// An empty set.
    #[inline]
    pub fn new() -> Self {
        TrySet {
            len: 0,
            next: 0,
            first: [None; INLINE],
            more: Vec::new(),
        }
    }

    /// Takes a lock if it is free; not if this set holds it.
    // Always: this is the loop of whoever locks many.
    #[inline(always)]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn try_lock(&mut self, lock: &'l ObjectLock) -> bool {
        let Some(place) = self.first.get_mut(self.len) else {
            return self.try_more(lock);
        };
        if !lock.try_take_now(Request::PLAIN) {
            return false;
        }
        lock.checks.taken(None);
        *place = Some(lock);
        self.len += 1;
        true
    }

    #[cold]
    #[cfg_attr(feature = "checks", track_caller)]
    fn try_more(&mut self, lock: &'l ObjectLock) -> bool {
        // Before the lock is taken, as this may fail.
        self.more.reserve(1);
        if !lock.try_take_now(Request::PLAIN) {
            return false;
        }
        lock.checks.taken(None);
        self.more.push(lock);
        self.len += 1;
        true
    }

    /// At which place a lock is, if it was taken.
    pub fn position(&self, lock: &ObjectLock) -> Option<usize> {
        (0..self.len).find(|&at| self.place(at).is_some_and(|held| std::ptr::eq(held, lock)))
    }

    #[inline]
    fn place(&self, at: usize) -> Option<&'l ObjectLock> {
        match self.first.get(at) {
            Some(place) => *place,
            None => self.more.get(at - INLINE).copied(),
        }
    }
}

/// The proofs, in the order in which the locks were taken. What is not asked for is released in the
/// end.
impl<'l> Iterator for TrySet<'l> {
    type Item = Held<'l>;

    #[inline]
    fn next(&mut self) -> Option<Held<'l>> {
        let at = self.next;
        if at == self.len {
            return None;
        }
        self.next = at + 1;
        self.place(at).map(|lock| lock.held(Request::PLAIN))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.len - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for TrySet<'_> {}

impl Default for TrySet<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TrySet<'_> {
    #[inline]
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

impl fmt::Debug for TrySet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrySet")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
