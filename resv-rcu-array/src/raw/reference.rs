//! A reference to a cell, with the length that its owner has seen.

use super::cell::{Cell, Published};
use super::working::Writing;
use resv_core::fence::cell::FenceCell;
use resv_core::{EntryRef, Fence, Usage};

/// Keeps a cell and the fences of the entries that are visible at one length (B6).
pub(crate) struct CellRef {
    published: Published,
    /// Slots below are dead, at this length or before.
    from: u32,
}

impl CellRef {
    /// A reference to the cell of `seen`, at the length at which `published_now` says that it is published.
    ///
    /// `None`: it is not published any more, or was not in between.
    #[inline]
    pub(super) fn acquire(
        seen: Published,
        published_now: impl FnOnce() -> Option<Published>,
    ) -> Option<CellRef> {
        let cell = seen.cell();
        let was_there = cell.acquire();
        // What was counted is dropped like any reference, if it comes to nothing.
        let mut counted = CellRef {
            published: seen,
            // Before the head, so that these are dead at its length: the hint is stored after it.
            from: cell.below(),
        };
        counted.published = published_now().filter(|now| was_there && now.cell() == cell)?;
        Some(counted)
    }

    /// What is published, or was when the reference was taken.
    #[inline]
    pub(crate) fn published(&self) -> Published {
        self.published
    }

    /// Slots below are dead.
    #[inline]
    pub(crate) fn from(&self) -> u32 {
        self.from
    }

    /// What is visible, in the order in which it was added.
    #[inline]
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'static FenceCell, Usage)> + use<> {
        let entries = self.published.entries(self.from);
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
        let counted = self.published.cell().acquire();
        debug_assert!(counted, "a reference keeps the cell");
        CellRef { ..*self }
    }
}

impl Drop for CellRef {
    #[inline]
    fn drop(&mut self) {
        if self.published.cell().release() {
            end(self.published.cell());
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
