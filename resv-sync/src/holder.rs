//! State that only the holder of a lock can reach, with no second lock.
//!
//! The holder's side of an object (what is staged, what is reserved) needs mutual exclusion, and the
//! object's lock gives it already. So the state lies in a [`HolderCell`], which asks for the proof that the
//! lock of *this* object is held: one comparison.
//!
//! ```
//! use resv_sync::holder::{HolderCell, Lock};
//! use std::sync::{Mutex, MutexGuard};
//!
//! /// A lock, and the proof that it is held.
//! #[derive(Default)]
//! struct ObjectLock(Mutex<()>);
//! struct Proof<'a>(&'a ObjectLock, MutexGuard<'a, ()>);
//!
//! impl Lock for ObjectLock {
//!     type Proof<'a> = Proof<'a>;
//!     fn is_held_by(&self, proof: &Proof<'_>) -> bool {
//!         std::ptr::eq(self, proof.0)
//!     }
//! }
//!
//! impl ObjectLock {
//!     fn lock(&self) -> Proof<'_> {
//!         Proof(self, self.0.lock().unwrap())
//!     }
//! }
//!
//! let lock = ObjectLock::default();
//! // SAFETY: a `Proof` has the guard of the mutex, so there is one at a time, on one thread; and the cell
//! // is opened with this lock only.
//! let cell = unsafe { HolderCell::new(1) };
//! let mut proof = lock.lock();
//! *cell.get_mut(&lock, &mut proof) += 1;
//! assert_eq!(*cell.get(&lock, &proof), 2);
//! ```

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;

/// A lock whose holder has a proof of it.
pub trait Lock {
    /// The proof that a lock of this type is held.
    type Proof<'a>;

    /// Whether that is the proof for this lock, and for no other.
    fn is_held_by(&self, proof: &Self::Proof<'_>) -> bool;
}

/// State beside a lock, which only the holder of that lock can reach.
pub struct HolderCell<T>(UnsafeCell<T>);

impl<T> HolderCell<T> {
    /// A cell that holds `state`.
    ///
    /// # Safety
    ///
    /// * The cell is opened with one lock only, as long as it lives.
    /// * There is at most one proof for that lock at a time.
    /// * A proof stays on one thread: it is neither `Send` nor `Sync`. (Or else `T` is `Sync`.)
    /// * What is done with one proof happens before the next one exists.
    pub const unsafe fn new(state: T) -> Self {
        HolderCell(UnsafeCell::new(state))
    }

    /// The state, to read.
    ///
    /// # Panics
    ///
    /// When the proof is for another lock.
    #[inline]
    pub fn get<'a, L: Lock>(&'a self, lock: &L, proof: &'a L::Proof<'_>) -> &'a T {
        check(lock, proof);
        // SAFETY: there is one proof for the cell's lock at a time (`new`), and a `&mut T` out of here
        // borrows that proof mutably; so while the proof is borrowed, there are shared references only.
        unsafe { &*self.0.get() }
    }

    /// The state, to change.
    ///
    /// # Panics
    ///
    /// When the proof is for another lock.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the proof is borrowed mutably")]
    pub fn get_mut<'a, L: Lock>(&'a self, lock: &L, proof: &'a mut L::Proof<'_>) -> &'a mut T {
        check(lock, proof);
        // SAFETY: as in `get`; the one proof is borrowed mutably for as long as the result lives, so there
        // is no other reference to the state. What earlier holders did happens before (`new`).
        unsafe { &mut *self.0.get() }
    }

    /// The state, for the owner of the cell: nobody else has it, so no proof is needed.
    pub fn state_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

#[inline]
fn check<L: Lock>(lock: &L, proof: &L::Proof<'_>) {
    assert!(lock.is_held_by(proof), "the lock of another object is held");
}

// SAFETY: the state is reached through a proof only, which one thread has at a time, so sharing the cell
// moves the state between threads and never shares it (`new`).
unsafe impl<T: Send> Sync for HolderCell<T> {}

impl<T> fmt::Debug for HolderCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HolderCell").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard};

    #[derive(Default)]
    struct Plain(Mutex<()>);

    impl Lock for Plain {
        type Proof<'a> = (&'a Plain, MutexGuard<'a, ()>);

        fn is_held_by(&self, proof: &Self::Proof<'_>) -> bool {
            std::ptr::eq(self, proof.0)
        }
    }

    impl Plain {
        fn lock(&self) -> (&Plain, MutexGuard<'_, ()>) {
            (self, self.0.lock().expect("no test panics with it"))
        }
    }

    #[test]
    fn the_state_is_changed_under_its_lock() {
        let lock = Plain::default();
        // SAFETY: a proof has the guard of the lock's mutex, and stays on its thread.
        let mut cell = unsafe { HolderCell::new(0) };
        let mut proof = lock.lock();
        *cell.get_mut(&lock, &mut proof) += 1;
        assert_eq!(*cell.get(&lock, &proof), 1);
        assert_eq!(*cell.state_mut(), 1);
    }

    #[test]
    #[should_panic(expected = "the lock of another object is held")]
    fn another_lock_opens_nothing() {
        let (a, b) = (Plain::default(), Plain::default());
        // SAFETY: as above, with `a`.
        let cell = unsafe { HolderCell::new(0) };
        let mut proof = b.lock();
        *cell.get_mut(&a, &mut proof) += 1;
    }
}
