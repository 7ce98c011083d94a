//! One object: its lock, the head word that readers load, and the spare cell of the lock's holder.
//!
//! What the holder does is in [`holder`](super::holder).

use super::cell::{Cell, Published, SLOTS};
use super::defect::{Defect, Seam};
use super::holder::{Holder, working};
use super::reference::{CellRef, end};
use super::word::Head;
use super::working::Writing;
use resv_core::{EntryRef, FenceError, LockProof, ObjectLock, UsageSet};
use resv_sync::holder::HolderCell;
use resv_sync::sync::atomic::{AtomicU64, Ordering, OwnerAccess};
use std::ptr::without_provenance;
use std::sync::atomic::AtomicU32;

/// The shared parts of an object.
pub(crate) struct Object {
    lock: ObjectLock,
    head: AtomicU64,
    spare: HolderCell<Option<Cell>>,
    /// Reads that were started again. Only reported, so it stays real in a model.
    pub(crate) retries: AtomicU32,
    pub(crate) defect: Seam,
}

// An empty object is small and owns no memory. (The lock is larger with `resv-core`'s checks.)
#[cfg(not(any(test, loom, shuttle)))]
const _: () = assert!(size_of::<Object>() == size_of::<ObjectLock>() + 24);

impl Object {
    #[inline]
    pub(crate) fn lock(&self) -> &ObjectLock {
        &self.lock
    }

    #[inline(always)]
    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.defect.has(defect)
    }

    /// What is published now.
    #[inline]
    pub(crate) fn head(&self) -> Head {
        // Acquire: pairs with the Release store in `publish`: the entries are visible; and with the
        // exchange in `set_idle`: what was before the signals that the idle bits stand for is.
        Head(self.head.load(Ordering::Acquire))
    }

    /// Brings near what the holder of the lock looks at first: the header of the cell, and the slots at its end.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        // In a model it would be one more load.
        if cfg!(any(loom, shuttle)) {
            return;
        }
        // Relaxed: only where to look.
        let head = Head(self.head.load(Ordering::Relaxed));
        let cell = head.address();
        resv_sync::prefetch(without_provenance::<u8>(cell));
        let end = SLOTS + head.len() as usize * size_of::<AtomicU64>();
        resv_sync::prefetch(without_provenance::<u8>(cell + end));
    }

    /// The cell that a head of this object names.
    #[inline]
    pub(super) fn cell(&self, head: Head) -> Option<Cell> {
        // SAFETY: (9) a head's address is that of a cell, or 0: heads are made in this file.
        unsafe { Cell::at(head.address()) }
    }

    /// What a head of this object names.
    #[inline]
    pub(crate) fn published(&self, head: Head) -> Option<Published> {
        // SAFETY: (9) it is the cell that the head names.
        self.cell(head)
            .map(|cell| unsafe { Published::new(cell, head) })
    }

    /// A reference to what is published, for a reader that has `seen` it; `Err` if it is in another cell by
    /// now: what was counted, which is to be dropped.
    #[inline(always)]
    pub(crate) fn acquire(&self, seen: Published) -> Result<CellRef, CellRef> {
        CellRef::acquire(seen, || {
            if self.has(Defect::NoSecondLook) {
                return seen.head();
            }
            self.head()
        })
    }

    /// Sets the idle bits of `usages` if `seen` is published still with the busy bits that it had.
    ///
    /// The caller has seen all entries with these usages signalled, and owns a reference to the cell, so
    /// that the same head means the same publication.
    pub(crate) fn set_idle(&self, seen: Head, usages: UsageSet) {
        let order = if self.has(Defect::RelaxedIdleBits) {
            Ordering::Relaxed
        } else {
            // Release: pairs with the Acquire load in `head`.
            Ordering::Release
        };
        let idle = seen.with_idle(usages);
        // A failure means that there is something newer to say, or that another reader was faster.
        let _ = self
            .head
            .compare_exchange(seen.0, idle.0, order, Ordering::Relaxed);
    }

    /// The holder's side.
    ///
    /// # Panics
    ///
    /// When another object's lock is held.
    #[inline]
    pub(crate) fn holder<'a>(&'a self, held: &'a mut LockProof<'_>) -> Holder<'a> {
        Holder {
            spare: self.spare.get_mut(&self.lock, held),
            object: self,
        }
    }

    /// Shows `f` the pending entries as the holder sees them.
    ///
    /// # Panics
    ///
    /// When another object's lock is held.
    pub(crate) fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        match self.seen_by(held) {
            Some(seen) => seen.visit(init, f),
            None => init,
        }
    }

    /// The smallest error of the entries that count, as the holder sees them.
    ///
    /// # Panics
    ///
    /// When another object's lock is held.
    pub(crate) fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        self.seen_by(held)?.failure(usages)
    }

    /// What the holder sees, for as long as it borrows its proof: only to be read.
    #[inline]
    fn seen_by(&self, held: &LockProof<'_>) -> Option<Writing> {
        let spare = *self.spare.get(&self.lock, held);
        let head = self.head_held();
        // SAFETY: (11) the callers keep the proof borrowed, so that nobody writes meanwhile, and only read.
        unsafe { working(spare, self.cell(head), head) }
    }

    /// What is published, for the holder of the lock.
    #[inline]
    pub(super) fn head_held(&self) -> Head {
        // Relaxed: nobody else publishes, and the lock orders earlier holders.
        Head(self.head.load_own())
    }

    /// Publishes a length of a cell, of which all slots below `first` are dead.
    #[inline(always)]
    pub(super) fn publish(&self, cell: Cell, len: u32, usages: u8, first: u32) {
        if self.has(Defect::HintBeforeHead) {
            cell.set_below(first);
        }
        self.store_head(Head::new(cell.address(), len, usages));
        // After the head, at whose length they are dead.
        cell.set_below(first);
    }

    /// Whether anybody but the object has the cell, of which a length was published just now.
    #[inline(always)]
    pub(super) fn is_held(&self, cell: Cell) -> bool {
        cell.is_held(self.has(Defect::PlainLoadAtRelease))
    }

    /// How the word of an entry whose fence is given up is stored.
    #[inline(always)]
    pub(super) fn null_order(&self) -> Ordering {
        if self.has(Defect::RelaxedNull) {
            Ordering::Relaxed
        } else {
            Ordering::Release
        }
    }

    #[inline]
    pub(super) fn store_head(&self, head: Head) {
        let order = if self.has(Defect::RelaxedHead) {
            Ordering::Relaxed
        } else {
            // Release: pairs with the Acquire load in `head`.
            Ordering::Release
        };
        // Over idle bits that a reader may set at the same time: they are about the publication before.
        self.head.store_over(head.0, order);
    }
}

impl Default for Object {
    fn default() -> Self {
        Object {
            lock: ObjectLock::default(),
            head: AtomicU64::new(Head::EMPTY.0),
            // SAFETY: (10) it is opened with `lock`, the lock of this object, only. There is one proof of a
            // lock at a time, it stays on its thread, and the lock orders its holders.
            spare: unsafe { HolderCell::new(None) },
            retries: AtomicU32::new(0),
            defect: Seam::SOUND,
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // What it has borrowed is the published cell's, which goes after it.
        if let Some(spare) = self.spare.state_mut().take() {
            // SAFETY: (11) the object is borrowed mutably, so there is no holder.
            unsafe { Writing::new(spare, None) }.end(None);
        }
        if let Some(cell) = self.cell(self.head_held())
            && cell.release()
        {
            end(cell);
        }
    }
}
