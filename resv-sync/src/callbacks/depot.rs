//! The list of the blocks that no thread has.
//!
//! # Protocol
//!
//! Blocks are put on the list with a compare-and-swap and only ever taken from it all at once, by a swap.
//! So the list of which a `put` has read the first block may be taken and put again meanwhile: the
//! block that is put still leads to what is the list's first when the exchange succeeds (no ABA). Putting
//! is Release and taking is Acquire: who gets a block comes after all that was done to it.

use super::node::Header;
use crate::sync::atomic::{AtomicPtr, Ordering};
use std::ptr::{NonNull, null_mut};

/// A list of blocks that are not in use. They are linked by their headers' `next`.
pub(super) struct Depot {
    first: AtomicPtr<Header>,
}

impl Depot {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Depot {
        Depot {
            first: AtomicPtr::new(null_mut()),
        }
    }

    #[cfg(loom)]
    pub(super) fn new() -> Depot {
        Depot {
            first: AtomicPtr::new(null_mut()),
        }
    }

    /// Puts a chain of blocks.
    ///
    /// # Safety
    ///
    /// `first` leads to `last` by `next`, and nobody uses these blocks.
    pub(super) unsafe fn put(&self, first: NonNull<Header>, last: NonNull<Header>) {
        // Relaxed, here and on failure: a guess, and nothing is read through it.
        let mut old = self.first.load(Ordering::Relaxed);
        loop {
            // SAFETY: the block is the caller's.
            unsafe { last.as_ref() }.next.store(old, Ordering::Relaxed);
            // Release: pairs with the Acquire of `take_all`.
            match self.first.compare_exchange_weak(
                old,
                first.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }

    /// Takes all there are.
    pub(super) fn take_all(&self) -> *mut Header {
        // Acquire: pairs with the Release of each `put` in the list; all changes are
        // read-modify-writes, so also with those below the first.
        self.first.swap(null_mut(), Ordering::Acquire)
    }

    /// The known-bad variant of `take_all`.
    #[cfg(all(test, loom))]
    pub(super) fn take_in_two_steps(&self) -> *mut Header {
        let first = self.first.load(Ordering::Acquire);
        self.first.store(null_mut(), Ordering::Release);
        first
    }
}
