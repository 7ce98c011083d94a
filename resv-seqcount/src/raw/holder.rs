//! State that only the holder of an object's lock may touch.

use resv_core::{LockProof, ObjectLock};
use std::cell::UnsafeCell;

/// A value beside an [`ObjectLock`] that is reachable only with the proof that the lock is held.
#[derive(Debug, Default)]
pub(crate) struct HolderCell<T> {
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by shared reference to the cell only through `get` and `get_mut`,
// which hand it to the one thread that holds the lock; so sharing the cell moves the value between
// threads and never shares it.
unsafe impl<T: Send> Sync for HolderCell<T> {}

impl<T> HolderCell<T> {
    /// The value. `lock` must always be the same for one cell; it is that of the object.
    ///
    /// # Panics
    ///
    /// When `held` is the proof for another lock.
    #[inline]
    pub(crate) fn get_mut<'h>(
        &'h self,
        lock: &ObjectLock,
        held: &'h mut LockProof<'_>,
    ) -> &'h mut T {
        assert!(held.is_for(lock), "the lock of another object is held");
        // SAFETY: `held` proves that this thread holds `lock`, so no other thread is here or in
        // `get`; it is borrowed exclusively for as long as the result lives, so this thread has no
        // other reference to the value.
        unsafe { &mut *self.value.get() }
    }

    /// The value, to read.
    ///
    /// # Panics
    ///
    /// When `held` is the proof for another lock.
    #[inline]
    pub(crate) fn get<'h>(&'h self, lock: &ObjectLock, held: &'h LockProof<'_>) -> &'h T {
        assert!(held.is_for(lock), "the lock of another object is held");
        // SAFETY: as in `get_mut`; `held` is borrowed for as long as the result lives, so there is
        // no exclusive reference meanwhile.
        unsafe { &*self.value.get() }
    }
}
