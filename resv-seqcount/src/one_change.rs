//! The common write: one slot takes a new entry, and nothing else changes.

use crate::counter::{Seam, UsageMask};
use crate::raw::Table;
use crate::slot::{Content, Slot};
use crate::slot_set::one_of;
use resv_core::Plan;

/// One change that is all there is to publish: a slot takes a new entry.
pub(crate) struct OneChange<'t> {
    pub(crate) table: Table<'t>,
    /// Which slot it is.
    pub(crate) at: usize,
    pub(crate) slot: &'t Slot,
    pub(crate) content: Content,
    /// How many slots are in use afterwards, if that changes.
    pub(crate) len: Option<usize>,
    /// The usages that the object has afterwards.
    pub(crate) leaves: UsageMask,
}

/// One change that was found by a [look](crate::writer::Writer::look), before there is an entry to add.
#[derive(Clone, Copy)]
pub(crate) struct OnePlan {
    /// The slot that changes.
    pub(crate) at: usize,
    /// The usages of the entries that stay.
    pub(crate) leaves: UsageMask,
}

impl OnePlan {
    /// More than one change.
    pub(crate) const MANY: OnePlan = OnePlan {
        at: usize::MAX,
        leaves: UsageMask::ALL,
    };

    /// For [`Backend::commit`](resv_core::Backend::commit). More than one change is no plan.
    #[inline]
    pub(crate) fn to_plan(self) -> Plan {
        if self.at == OnePlan::MANY.at {
            return Plan::default();
        }
        Plan((self.at as u64 + 1) << 8 | u64::from(self.leaves.to_bits()))
    }

    /// `None` for a plan that is none.
    #[inline]
    pub(crate) fn of_plan(Plan(bits): Plan) -> Option<OnePlan> {
        Some(OnePlan {
            at: (bits as usize >> 8).checked_sub(1)?,
            leaves: UsageMask::from_bits(bits as u8),
        })
    }
}

impl<'t> OneChange<'t> {
    /// The slot that is in the set takes `content`, or the next one if none is, if that is one change.
    #[inline]
    pub(crate) fn at(
        goes: u64,
        table: Table<'t>,
        content: Content,
        leaves: UsageMask,
    ) -> Option<OneChange<'t>> {
        let used = table.used_held().len();
        let at = one_of(goes, used)?;
        Some(OneChange {
            table,
            at,
            slot: table.all().get(at)?,
            content,
            len: (at == used).then_some(used + 1),
            leaves,
        })
    }

    /// What the slot holds until the change is made, and is the caller's afterwards.
    #[inline]
    pub(crate) fn old(&self) -> Option<Content> {
        match self.len {
            None => self.slot.load_held(),
            Some(_) => None,
        }
    }

    /// Makes the change in a write section.
    #[inline]
    pub(crate) fn apply(&self, seam: Seam) {
        self.slot.store(Some(self.content), seam.data_store());
        if let Some(len) = self.len {
            self.table.set_len(len, seam.data_store());
        }
    }
}
