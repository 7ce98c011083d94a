//! The lock of one reservation object, and the proof that it is held.
//!
//! Whoever edits an object holds its lock. A back end keeps the state that only the holder may
//! touch beside the lock, and asks for a [`Held`] of *that* lock before it hands the state out:
//! [`Held::is_for`] is the check. So mutual exclusion is decided here, in safe code, and a back end
//! needs one comparison and no second lock.
//!
//! Readers never take this lock, and a waiter holds none: waiting for a fence with an object's lock
//! held is legal (specification 1.12), which is why nothing that a fence needs in order to signal
//! may take it.

use crate::sync::{Mutex, MutexGuard};

/// The lock of one reservation object.
#[derive(Debug, Default)]
pub struct ObjectLock {
    mutex: Mutex<()>,
}

/// The proof that the current thread holds an [`ObjectLock`]; dropping it releases the lock.
#[must_use = "the lock is released when this is dropped"]
pub struct Held<'a> {
    lock: &'a ObjectLock,
    _guard: MutexGuard<'a, ()>,
}

impl ObjectLock {
    /// A free lock.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the lock; sleeps while somebody else holds it.
    ///
    /// Taking a lock that the current thread holds already blocks for ever.
    pub fn lock(&self) -> Held<'_> {
        Held {
            _guard: self.mutex.lock(),
            lock: self,
        }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<Held<'_>> {
        self.mutex.try_lock().map(|guard| Held {
            _guard: guard,
            lock: self,
        })
    }
}

impl Held<'_> {
    /// Whether this is the proof for `lock` and for no other.
    ///
    /// Two live locks never share an address, as a lock is not zero-sized.
    #[inline]
    pub fn is_for(&self, lock: &ObjectLock) -> bool {
        std::ptr::eq(self.lock, lock)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const _: () = assert!(size_of::<ObjectLock>() > 0);

    #[test]
    fn a_proof_is_for_one_lock_only() {
        let (a, b) = (ObjectLock::new(), ObjectLock::new());
        let held = a.lock();
        assert!(held.is_for(&a));
        assert!(!held.is_for(&b));
        assert!(a.try_lock().is_none());
        assert!(b.try_lock().is_some());
        drop(held);
        assert!(a.try_lock().is_some());
    }
}
