//! The ordinary add, in the straight way: some entries go, one comes, in the cell that is published.

use super::cell::{Owned, own};
use super::change::{Found, another_set, living};
use super::holder::is_sparse;
use super::near::Near;
use super::object::Object;
use super::word::{Slot, key};
use super::working::{Writing, note_failure, usages_but};
use resv_core::{Entry, Fence, Key, Plan};
use resv_sync::sync::atomic::{AtomicU64, Ordering};

impl Writing {
    /// Whether what is here can be changed in the straight way: nothing is staged, nothing that is dead owns its fence
    /// still, and the cell is not sparse. (If several go it may be sparse afterwards, until the next add.)
    #[inline(always)]
    pub(super) fn is_straight(&self) -> bool {
        let owned = self.owned();
        owned.dead == 0 && self.published() == Some(owned.end) && !is_sparse(self)
    }

    /// A short look, and the straight change that it finds: entries that have signalled or whose keys `removes` names
    /// go, `add` comes, and that is published. If nobody else has the cell afterwards, the fence of one entry that went
    /// is the caller's.
    ///
    /// `left` is what is left of the budget. What makes the predicate is called by the look.
    ///
    /// # Panics
    ///
    /// When there is no free slot, or the look is not short.
    // What is ordinary is in line: nothing goes, or one entry goes for one of its usage. All else is a call with words as
    // arguments, so that the state of this function stays in registers.
    #[inline(always)]
    pub(super) fn look_and_add<R: FnMut(Key) -> bool>(
        mut self,
        object: &Object,
        removes: impl FnOnce() -> R,
        add: Entry,
        left: (u32, u32),
    ) -> Option<Fence> {
        let cell = self.cell();
        let &Owned {
            first, end, usages, ..
        } = self.owned();
        let Some((taken, free)) = cell.near(first, end) else {
            another_set()
        };
        let found = look_near(taken, removes);
        let comes = Slot::alive(add.fence, add.usage);
        if found.is_rare() {
            return self.add_near(object, found, comes, left);
        }
        let (now_first, len) = (first + found.moves(), end + 1);
        let Some(goes) = taken.get(found.place() as usize) else {
            let usages = usages | 1 << comes.usage() as u8;
            free.store(comes.0, Ordering::Release);
            self.owned_mut().alive += 1;
            self.publish_straight(object, (now_first, len), usages, left);
            return None;
        };
        let dies = own(goes);
        if !dies.is_same_usage(comes) {
            return self.add_near(object, found, comes, left);
        }
        // Release: as every store to a slot.
        goes.store(dies.dead_from(len).0, Ordering::Release);
        // Release: pairs with the Acquire of readers: the fence is initialised.
        free.store(comes.0, Ordering::Release);
        self.publish_straight(object, (now_first, len), usages, left);
        if object.is_held(cell) {
            let owned = self.owned_mut();
            (owned.dead, owned.dead_from) = (1, first + found.place());
            return None;
        }
        // Release, or what a known-bad variant has: as in `give_up_dead`.
        goes.store(Slot::NONE.0, object.null_order());
        dies.fence().map(Fence::from_cell)
    }

    /// Ends the living entry in the slot at `at`, which is visible no more at length `len`.
    #[inline]
    fn end_entry(&mut self, slot: &AtomicU64, at: u32, len: u32) {
        let dies = own(slot);
        let (fence, _) = living(dies);
        if fence.has_failed() {
            note_failure(self.owned_mut(), at, dies);
        }
        // Release: as every store to a slot.
        slot.store(dies.dead_from(len).0, Ordering::Release);
    }

    /// [`Writing::look_and_add`] where several go, or one of another usage, or one whose fence has failed.
    #[inline(never)]
    fn add_near(
        self,
        object: &Object,
        found: Near,
        comes: Slot,
        left: (u32, u32),
    ) -> Option<Fence> {
        let &Owned {
            first, end, usages, ..
        } = self.owned();
        let usages =
            match found.usages_of_what_goes(self.cell(), first) & !(1 << comes.usage() as u8) {
                0 => usages,
                // What went may have been the last with its usage.
                _ => usages_but(self.cell().range(first, end), found.goes(), false),
            };
        let change = Found {
            goes: found.goes(),
            moves: found.moves(),
            usages,
            more_go: false,
        };
        self.add_found(object, change.to_plan(true), comes, left)
    }

    /// Makes a straight change, of which all that go have a bit: appends `comes` and publishes. If nobody else has the cell
    /// afterwards, the fence of one entry that went is the caller's.
    ///
    /// `left` is what is left of the budget.
    ///
    /// # Panics
    ///
    /// When the change was found in something else.
    #[inline(never)]
    pub(super) fn add_found(
        mut self,
        object: &Object,
        plan: Plan,
        comes: Slot,
        left: (u32, u32),
    ) -> Option<Fence> {
        let change = Found::of_plan(plan)?;
        let cell = self.cell();
        let &Owned {
            first: base, end, ..
        } = self.owned();
        let len = end + 1;
        let slots = cell.first_slots(len);
        let (mut goes, mut gone) = (change.goes, 0);
        while goes != 0 {
            let at = base + goes.trailing_zeros();
            goes &= goes - 1;
            gone += 1;
            if at >= end {
                another_set();
            }
            self.end_entry(&slots[at as usize], at, len);
        }
        // Release: pairs with the Acquire of readers: the fence is initialised.
        slots[end as usize].store(comes.0, Ordering::Release);
        let owned = self.owned_mut();
        owned.alive = owned.alive + 1 - gone;
        let usages = change.usages | 1 << comes.usage() as u8;
        self.publish_straight(object, (base + change.moves, len), usages, left);
        if gone == 0 {
            return None;
        }
        let at = base + change.goes.trailing_zeros();
        if object.is_held(cell) {
            let owned = self.owned_mut();
            (owned.dead, owned.dead_from) = (gone, at);
            return None;
        }
        let slot = &slots[at as usize];
        let (fence, order) = (own(slot).fence(), object.null_order());
        slot.store(Slot::NONE.0, order);
        if gone > 1 {
            let owned = self.owned_mut();
            (owned.dead, owned.dead_from) = (gone - 1, at + 1);
            self.give_up_dead(order);
        }
        fence.map(Fence::from_cell)
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
        debug_assert!(
            self.living()
                .all(|(_, slot)| usages >> slot.usage() as u8 & 1 != 0)
        );
        object.publish(cell, end, usages, first);
    }
}

/// The look at these slots, which are not more than [`SHORT`](super::near::SHORT).
// Not in line: all that it works with is in registers then.
#[inline(never)]
fn look_near<R: FnMut(Key) -> bool>(taken: &[AtomicU64], removes: impl FnOnce() -> R) -> Near {
    let (mut found, mut removes) = (Near::default(), removes());
    #[allow(clippy::needless_range_loop, reason = "an iterator moves two things")]
    for place in 0..taken.len() {
        let slot = own(&taken[place]);
        let Some((fence, usage)) = slot.living() else {
            found.note_hole(place);
            continue;
        };
        if !fence.is_pending() {
            found.note_outcome(fence);
        } else if !removes(key(fence, usage)) {
            continue;
        }
        found.note_goes(place);
    }
    found
}
