//! A reference to a cell, with the length that its owner has seen.

use super::cell::Cell;
use super::word::{Bound, Head, Slot};
use super::working::Writing;
use resv_core::{EntryRef, Fence};

/// Keeps a cell and the fences of the entries that are visible at one length (B6).
pub(crate) struct CellRef {
    cell: Cell,
    bound: Bound,
    /// Slots below are dead, at this length or before.
    from: u32,
    len: u32,
}

impl CellRef {
    /// A reference to the cell of `head`, if it is published at the length that `head_now` then says.
    ///
    /// `None`: it is not published any more, or was not in between.
    #[inline]
    pub(crate) fn acquire(
        cell: Cell,
        head: Head,
        second_look: bool,
        head_now: impl FnOnce() -> Head,
    ) -> Option<(CellRef, Head)> {
        let was_there = cell.acquire();
        // What was counted is dropped like any reference, if it comes to nothing.
        let mut counted = CellRef {
            cell,
            bound: head.bound(),
            // Before the head, so that these are dead at its length: the hint is stored after it.
            from: cell.below(),
            len: 0,
        };
        let now = head_now();
        if !was_there || (second_look && !now.is_same_cell(head)) {
            return None;
        }
        let now = if second_look { now } else { head };
        (counted.bound, counted.len) = (now.bound(), now.len());
        Some((counted, now))
    }

    /// What is visible, in the order in which it was added.
    #[inline]
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let bound = self.bound;
        let slots = self.cell.read(self.from, self.len);
        slots.filter(move |&slot| bound.shows(slot))
    }

    /// The entries.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.slots().filter_map(|slot| {
            // The reference keeps the fence: an entry that is visible at this length is not given up
            // while the cell is held.
            let fence = Fence::borrowed_from(slot.fence()?);
            let usage = slot.usage();
            Some(EntryRef { fence, usage })
        })
    }

    /// The cell.
    #[inline]
    pub(crate) fn cell(&self) -> Cell {
        self.cell
    }

    /// Slots below are dead.
    #[inline]
    pub(crate) fn from(&self) -> u32 {
        self.from
    }
}

impl Clone for CellRef {
    #[inline]
    fn clone(&self) -> CellRef {
        let counted = self.cell.acquire();
        debug_assert!(counted, "a reference keeps the cell");
        CellRef { ..*self }
    }
}

impl Drop for CellRef {
    #[inline]
    fn drop(&mut self) {
        if self.cell.release() {
            end(self.cell);
        }
    }
}

/// Ends a cell whose last reference is gone.
#[cold]
#[inline(never)]
pub(super) fn end(cell: Cell) {
    cell.end();
    // SAFETY: (8) the last reference is gone, the object's included, and no new one can be had: the cell
    // is this thread's. What the writers before it did happens before, by the count.
    unsafe { Writing::new(cell, None) }.end(None);
}
