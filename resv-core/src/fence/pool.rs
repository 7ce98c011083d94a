//! The pool of fence cells, which are never given back to the allocator ([`resv_sync::pool`]).
//!
//! A freed cell is the next one that its thread takes, so that reuse without a grace period, the case that
//! hazard H-01 is about, is the normal case here and not a rare one.
//!
//! Making a fence and dropping its last handle touch the thread's own free cells, and take no lock that
//! another thread takes, except once for 16 cells at most. Dropping never allocates.

use super::cell::FenceCell;
use resv_sync::pool::{Link, Pooled};
use resv_sync::stable_pool;

stable_pool!(static POOL: FenceCell);

impl Pooled for FenceCell {
    fn vacant() -> FenceCell {
        FenceCell::vacant()
    }

    #[inline]
    fn link(&self) -> &Link<FenceCell> {
        self.link()
    }
}

/// Takes a vacant cell.
#[inline]
pub(super) fn take() -> &'static FenceCell {
    POOL.take()
}

/// Puts back a cell that is vacant.
pub(super) fn put(cell: &'static FenceCell) {
    POOL.put(cell);
}

/// All cells that there are, vacant or not.
pub(super) fn all() -> impl Iterator<Item = &'static FenceCell> {
    POOL.all()
}

/// How many there are.
pub(super) fn capacity() -> usize {
    POOL.capacity()
}
