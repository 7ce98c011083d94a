//! A reference to a cell, with the length that its owner has seen.

use super::cell::{Cell, Published};
use super::word::Head;
use super::working::Writing;
use resv_core::fence::cell::FenceCell;
use resv_core::{EntryRef, Fence, Usage};
use std::num::NonZeroU64;

/// Keeps a cell and the fences of the entries that are visible at one length (B6).
///
/// Two words, so that it stays in registers as it is handed on: a read of four nanoseconds has no time for
/// the way through memory.
pub(crate) struct CellRef {
    /// The head at which the cell is kept; it names a cell, so it is not 0.
    head: NonZeroU64,
    /// Slots below are dead, at this length or before.
    from: u32,
}

impl CellRef {
    /// A reference to the cell of `seen`, at the length at which `head_now` says that it is published.
    ///
    /// `Err`: it is not published any more, or was not in between. What was counted is to be dropped like
    /// any reference, and means nothing else.
    #[inline(always)]
    pub(super) fn acquire(
        seen: Published,
        head_now: impl FnOnce() -> Head,
    ) -> Result<CellRef, CellRef> {
        let was_there = seen.cell().acquire();
        // Before the head, so that these are dead at its length: the hint is stored after it.
        let from = seen.cell().below();
        let now = head_now();
        if was_there && now.address() == seen.cell().address() {
            Ok(CellRef::counted(now, from))
        } else {
            Err(CellRef::counted(seen.head(), 0))
        }
    }

    /// The owner of a reference that was counted; `head` names the cell.
    #[inline(always)]
    fn counted(head: Head, from: u32) -> CellRef {
        // SAFETY: (9) the head has the address of a cell in it.
        let head = unsafe { NonZeroU64::new_unchecked(head.0) };
        CellRef { head, from }
    }

    /// What is published, or was when the reference was taken.
    #[inline]
    pub(crate) fn published(&self) -> Published {
        let head = Head(self.head.get());
        // SAFETY: (9) the head was seen in an object, and names the cell that was counted.
        unsafe { Published::new(Cell::at(head.address()).unwrap_unchecked(), head) }
    }

    /// Drops it and hands `value` on: the end of a read, which saves nothing across the rare end of a cell.
    #[inline(always)]
    pub(crate) fn give_up<A>(self, value: A) -> A {
        let cell = self.published().cell();
        std::mem::forget(self);
        if cell.uncount() {
            return end_and_hand_on(cell, value);
        }
        value
    }

    /// Slots below are dead.
    #[inline]
    pub(crate) fn from(&self) -> u32 {
        self.from
    }

    /// What is visible, in the order in which it was added.
    #[inline]
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'static FenceCell, Usage)> + use<> {
        let entries = self.published().entries(self.from);
        entries.map(|(_, fence, usage)| (fence, usage))
    }

    /// The entries.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.entries().map(|(cell, usage)| EntryRef {
            // The reference keeps the fence: an entry that is visible at this length is not given up while
            // the cell is held.
            fence: Fence::borrowed_from(cell),
            usage,
        })
    }
}

impl Clone for CellRef {
    #[inline]
    fn clone(&self) -> CellRef {
        let counted = self.published().cell().acquire();
        debug_assert!(counted, "a reference keeps the cell");
        CellRef { ..*self }
    }
}

impl Drop for CellRef {
    #[inline]
    fn drop(&mut self) {
        let cell = self.published().cell();
        if cell.uncount() {
            end_if_last(cell);
        }
    }
}

/// [`end_if_last`], then `value`.
#[cold]
#[inline(never)]
fn end_and_hand_on<A>(cell: Cell, value: A) -> A {
    end_if_last(cell);
    value
}

/// Ends a cell of which a reader has counted the last reference down, unless it is in use again.
#[cold]
#[inline(never)]
fn end_if_last(cell: Cell) {
    if cell.is_taken() {
        end(cell);
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
