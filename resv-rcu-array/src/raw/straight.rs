//! The ordinary add, in the straight way: some entries go, one comes, in the cell that is published.

use super::cell::{Cell, own};
use super::change::{Found, living};
use super::holder::is_sparse;
use super::object::Object;
use super::word::Slot;
use super::working::{Writing, note_failure};
use resv_core::fence::cell::FenceCell;
use resv_core::{Entry, Fence, Plan};
use resv_sync::sync::atomic::{AtomicU64, Ordering};

impl Writing {
    /// Whether what is here can be changed in the straight way: nothing is staged, nothing that is dead owns its fence
    /// still, and the cell is not sparse. (No fewer live afterwards: one comes.)
    #[inline(always)]
    pub(super) fn is_straight(&self) -> bool {
        let owned = self.owned();
        owned.dead == 0 && self.published() == Some(owned.end) && !is_sparse(self)
    }

    /// The slots in use and the one behind, and which is the first that may live: what a straight change is made in.
    ///
    /// # Panics
    ///
    /// When there is no free slot.
    // Read once, as each load of a fence has the compiler read all that is here again.
    #[inline(always)]
    pub(super) fn places(&self) -> (&'static [AtomicU64], u32) {
        let owned = self.owned();
        (self.cell().first_slots(owned.end + 1), owned.first)
    }

    /// Makes a straight change, of which all that go have a bit, in the [places](Writing::places) of this cell: appends
    /// `add` and publishes. If nobody else has the cell afterwards, the fence of one entry that went is the caller's.
    ///
    /// `left` is what is left of the budget.
    ///
    /// # Panics
    ///
    /// When the change was found in something else.
    #[inline(always)]
    pub(super) fn add_straight(
        mut self,
        object: &Object,
        (slots, base): (&'static [AtomicU64], u32),
        change: Found,
        add: Entry,
        left: (u32, u32),
    ) -> Option<Fence> {
        let cell = self.cell();
        let (first, len) = (base + change.moves, slots.len() as u32);
        let end = len - 1;
        let usages = change.usages | 1 << add.usage as u8;
        let comes = Slot::alive(add.fence, add.usage);
        if change.goes & change.goes.wrapping_sub(1) != 0 {
            // A word each: so that the state stays in registers elsewhere.
            return add_for_many(cell, object, change.to_plan(true), comes, left);
        }
        if change.goes == 0 {
            slots[end as usize].store(comes.0, Ordering::Release);
            self.owned_mut().alive += 1;
            self.publish_straight(object, (first, len), usages, left);
            return None;
        }
        let at = base + change.goes.trailing_zeros();
        let slot = &slots[at as usize];
        let fence = self.end_entry(slot, at, len);
        // Release: pairs with the Acquire of readers: the fence is initialised.
        slots[end as usize].store(comes.0, Ordering::Release);
        self.publish_straight(object, (first, len), usages, left);
        if object.is_held(cell) {
            let owned = self.owned_mut();
            (owned.dead, owned.dead_from) = (1, at);
            return None;
        }
        // Release, or what a known-bad variant has: as in `give_up_dead`.
        slot.store(Slot::NONE.0, object.null_order());
        Some(Fence::from_cell(fence))
    }

    /// Ends the living entry in the slot at `at`, which is visible no more at length `len`; its fence.
    #[inline(always)]
    fn end_entry(&mut self, slot: &AtomicU64, at: u32, len: u32) -> &'static FenceCell {
        let dies = own(slot);
        let (fence, _) = living(dies);
        if fence.has_failed() {
            note_failure(self.owned_mut(), at, dies);
        }
        // Release: as every store to a slot.
        slot.store(dies.dead_from(len).0, Ordering::Release);
        fence
    }

    #[inline(always)]
    fn publish_straight(
        &mut self,
        object: &Object,
        (first, end): (u32, u32),
        usages: u8,
        left: (u32, u32),
    ) {
        let cell = self.cell();
        let owned = self.owned_mut();
        (owned.first, owned.end, owned.usages) = (first, end, usages);
        (owned.adds, owned.publishes) = left;
        debug_assert_eq!(self.owned().alive as usize, self.living().count());
        object.publish(cell, end, usages, first);
    }
}

/// [`Writing::add_straight`] where several go.
#[inline(never)]
fn add_for_many(
    cell: Cell,
    object: &Object,
    plan: Plan,
    comes: Slot,
    left: (u32, u32),
) -> Option<Fence> {
    let change = Found::of_plan(plan)?;
    // SAFETY: (11) the caller has the right to write, and does not use it meanwhile. All that is here is published.
    let mut writing = unsafe { Writing::new(cell, Some(object.head_held().len())) };
    let (slots, base) = writing.places();
    let (first, len) = (base + change.moves, slots.len() as u32);
    let (mut goes, mut gone) = (change.goes, 0);
    while goes != 0 {
        let at = base + goes.trailing_zeros();
        goes &= goes - 1;
        gone += 1;
        writing.end_entry(&slots[at as usize], at, len);
    }
    slots[slots.len() - 1].store(comes.0, Ordering::Release);
    let owned = writing.owned_mut();
    owned.alive = owned.alive + 1 - gone;
    let usages = change.usages | 1 << comes.usage() as u8;
    writing.publish_straight(object, (first, len), usages, left);
    let at = base + change.goes.trailing_zeros();
    if object.is_held(cell) {
        let owned = writing.owned_mut();
        (owned.dead, owned.dead_from) = (gone, at);
        return None;
    }
    let slot = &slots[at as usize];
    let (fence, order) = (own(slot).fence(), object.null_order());
    slot.store(Slot::NONE.0, order);
    let owned = writing.owned_mut();
    (owned.dead, owned.dead_from) = (gone - 1, at + 1);
    writing.give_up_dead(order);
    fence.map(Fence::from_cell)
}
