//! A cell that only the holder of an object's lock can open.
//!
//! The writer side of an object (what is staged, what is reserved) needs mutual exclusion, and the
//! object's lock gives it already. So instead of a second lock the cell asks for the proof that the
//! first one is held, and checks that it is for *its* lock: one comparison.

use resv_core::{LockProof, ObjectLock};
use std::cell::UnsafeCell;

/// An object's lock, with the state that only its holder may touch.
#[derive(Default)]
pub(crate) struct HolderCell<T> {
    lock: ObjectLock,
    state: UnsafeCell<T>,
}

impl<T> HolderCell<T> {
    /// The lock whose proof opens the cell.
    pub(crate) fn lock(&self) -> &ObjectLock {
        &self.lock
    }

    fn check(&self, held: &LockProof<'_>) {
        assert!(
            held.is_for(&self.lock),
            "the lock of another object is held"
        );
    }

    /// The state, to read.
    ///
    /// # Panics
    ///
    /// When another object's lock is held.
    pub(crate) fn get<'a>(&'a self, held: &'a LockProof<'_>) -> &'a T {
        self.check(held);
        // SAFETY: there is one `LockProof` for this lock at a time, the lock cannot be taken apart from
        // the state, and a `&mut T` out of here borrows that `LockProof` mutably; so while `held` is
        // borrowed, there are shared references only.
        unsafe { &*self.state.get() }
    }

    /// The state, to change.
    ///
    /// # Panics
    ///
    /// When another object's lock is held.
    pub(crate) fn get_mut<'a>(&'a self, held: &'a mut LockProof<'_>) -> &'a mut T {
        self.check(held);
        // SAFETY: as in `get`; the one `LockProof` is borrowed mutably for as long as the result lives,
        // so there is no other reference to the state. What earlier holders did happens before, as
        // the lock orders its holders.
        unsafe { &mut *self.state.get() }
    }
}

// SAFETY: a cell is its two parts; nobody borrows them when it moves.
unsafe impl<T: Send> Send for HolderCell<T> {}
// SAFETY: a holder on any thread gets `&mut T` (hence Send), and threads that share one `&LockProof` get
// `&T` (hence Sync); the lock sees to it that these never meet.
unsafe impl<T: Send + Sync> Sync for HolderCell<T> {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_changed_under_its_lock() {
        let cell = HolderCell::<u32>::default();
        let mut held = cell.lock().lock();
        *cell.get_mut(&mut held) += 1;
        assert_eq!(*cell.get(&held), 1);
    }

    #[test]
    #[should_panic(expected = "the lock of another object is held")]
    fn another_lock_opens_nothing() {
        let (a, b) = (HolderCell::<u32>::default(), HolderCell::<u32>::default());
        let mut held = a.lock().lock();
        b.get_mut(&mut held);
    }
}
