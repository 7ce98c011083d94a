//! The ordinary add, in the straight way: one entry goes at most, one comes, in the cell that is published.

use super::cell::{Cell, Owned, own};
use super::change::{Change, Found, count_usages, living};
use super::holder::is_sparse;
use super::object::Object;
use super::word::Slot;
use super::working::{Writing, note_failure};
use resv_core::{Entry, Fence};
use resv_sync::sync::atomic::Ordering;

/// What an ordinary add does. Places are counted from the first entry that lived when it was found, as those of a
/// [`Change`].
#[derive(Clone, Copy)]
pub(super) struct Straight {
    /// The place of the entry that goes, or [`NONE_GOES`].
    goes: u32,
    /// At so many places from the first on, all are dead, or go.
    moves: u32,
}

/// What stands for a place where nothing goes.
const NONE_GOES: u32 = u64::BITS;

impl Straight {
    /// `goes` are bits of places, of which one is set at most.
    #[inline(always)]
    fn new(goes: u64, moves: u32) -> Straight {
        // No place: 64.
        let goes = goes.trailing_zeros();
        Straight { goes, moves }
    }
}

impl Writing {
    /// What a look has just found here, if it is an ordinary change: nothing is staged, nothing that is dead owns its
    /// fence still, one entry goes at most, and the cell is not sparse. (No fewer live afterwards: one comes.)
    #[inline(always)]
    pub(super) fn straight_of_found(&self, found: Found) -> Option<Straight> {
        self.is_straight(found.goes, found.more_go)
            .then(|| Straight::new(found.goes, found.moves()))
    }

    /// The same of what was found by a look at what is here, which went into a plan.
    #[inline(always)]
    pub(super) fn straight_of_change(&self, change: Change) -> Option<Straight> {
        self.is_straight(change.goes(), change.more_go())
            .then(|| Straight::new(change.goes(), change.moves()))
    }

    #[inline(always)]
    fn is_straight(&self, goes: u64, more_go: bool) -> bool {
        let owned = self.owned();
        let several = goes & goes.wrapping_sub(1);
        several | u64::from(more_go) | u64::from(owned.dead) == 0
            && self.published() == Some(owned.end)
            && !is_sparse(self)
    }

    /// Makes an ordinary change, appends `add` and publishes. If nobody else has the cell afterwards, the fence of
    /// the entry that went is the caller's.
    ///
    /// `left` is what is left of the budget.
    ///
    /// # Panics
    ///
    /// When the change was found in something else, or there is no free slot.
    #[inline(always)]
    pub(super) fn add_straight(
        mut self,
        object: &Object,
        Straight { goes, moves }: Straight,
        add: Entry,
        left: (u32, u32),
    ) -> Option<Fence> {
        let cell = self.cell();
        let owned = self.owned_mut();
        let (base, end, usages) = (owned.first, owned.end, owned.usages);
        let (first, len) = (base + moves, end + 1);
        let slots = cell.first_slots(len);
        let comes = Slot::alive(add.fence, add.usage);
        let usages = usages | 1 << add.usage as u8;
        if goes == NONE_GOES {
            slots[end as usize].store(comes.0, Ordering::Release);
            owned.alive += 1;
            owned.publish_straight(object, cell, (first, len), usages, left);
            return None;
        }
        let at = base + goes;
        let slot = &slots[at as usize];
        let dies = own(slot);
        let (fence, usage) = living(dies);
        if !fence.is_pending() {
            note_failure(owned, at, dies);
        }
        // Release, each: as every store to a slot.
        slot.store(dies.dead_from(len).0, Ordering::Release);
        // Release: pairs with the Acquire of readers: the fence is initialised.
        slots[end as usize].store(comes.0, Ordering::Release);
        let usages = if usage == add.usage {
            usages
        } else {
            // It may have been the last one with its usage.
            count_usages(cell, first, len)
        };
        owned.publish_straight(object, cell, (first, len), usages, left);
        if object.is_held(cell) {
            (owned.dead, owned.dead_from) = (1, at);
            return None;
        }
        // Release, or what a known-bad variant has: as in `give_up_dead`.
        slot.store(Slot::NONE.0, object.null_order());
        Some(Fence::from_cell(fence))
    }
}

impl Owned {
    #[inline(always)]
    fn publish_straight(
        &mut self,
        object: &Object,
        cell: Cell,
        (first, end): (u32, u32),
        usages: u8,
        left: (u32, u32),
    ) {
        (self.first, self.end, self.usages) = (first, end, usages);
        (self.adds, self.publishes) = left;
        object.publish(cell, end, usages, first);
    }
}
