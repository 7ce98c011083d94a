//! The common write: one slot takes a new entry, and nothing else changes.

use crate::counter::{Seam, UsageMask};
use crate::raw::Table;
use crate::slot::{Content, Slot};
use crate::slot_set::one_of;

/// One change that is all there is to publish: a slot takes a new entry.
pub(crate) struct OneChange<'t> {
    pub(crate) table: Table<'t>,
    /// Which slot it is: one in use, or the next.
    pub(crate) at: usize,
    pub(crate) slot: &'t Slot,
    /// What the slot holds until the change is made, and is the caller's afterwards; `None` if it is the next.
    pub(crate) old: Option<Content>,
    pub(crate) content: Content,
    /// The usages that the object has afterwards.
    pub(crate) leaves: UsageMask,
}

impl OneChange<'_> {
    /// Makes the change in a write section.
    #[inline]
    pub(crate) fn apply(&self, seam: Seam) {
        self.slot.store(Some(self.content), seam.data_store());
        if self.old.is_none() {
            self.table.set_len(self.at + 1, seam.data_store());
        }
    }
}

/// The slot that one change is about.
pub(crate) struct OnePlace<'t> {
    table: Table<'t>,
    pub(crate) at: usize,
    slot: &'t Slot,
    is_next: bool,
}

impl<'t> OnePlace<'t> {
    /// The slot that is in the set, or the next one if none is, if that is one change.
    #[inline]
    pub(crate) fn of(goes: u64, table: Table<'t>) -> Option<OnePlace<'t>> {
        let used = table.used_held().len();
        let at = one_of(goes, used)?;
        Some(OnePlace {
            table,
            at,
            slot: table.all().get(at)?,
            is_next: at == used,
        })
    }

    /// It takes `content`; the object has entries of `leaves` then.
    #[inline]
    pub(crate) fn takes(self, content: Content, leaves: UsageMask) -> OneChange<'t> {
        OneChange {
            table: self.table,
            at: self.at,
            slot: self.slot,
            old: if self.is_next {
                None
            } else {
                self.slot.load_held()
            },
            content,
            leaves,
        }
    }
}
