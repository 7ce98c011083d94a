//! What an edit takes away: found by one look at the living entries, carried in a word, made by the next step.

use super::cell::Cell;
use super::word::Slot;
use resv_core::fence::cell::FenceCell;
use resv_core::{Plan, Usage};
use resv_sync::sync::atomic::Ordering;

/// What an edit takes away, found by a [look](super::working::Writing::look). Places are counted from the
/// first entry that lived then, which stays the same until the edit is made. In one word:
///
/// ```text
///   which go, a bit for each place | so many of the first are dead, or go | more go | 1
///                  56 bits                          6 bits                  1 bit   1 bit
/// ```
///
/// What goes behind the last place with a bit is noted in its slot. The lowest bit tells the word from
/// plans of another kind.
#[derive(Clone, Copy)]
pub(super) struct Change(u64);

/// How many places have a bit.
pub(super) const WINDOW: u32 = 56;
const MOVES_SHIFT: u32 = 2;
/// Entries that are noted in their slots go, too.
const MORE_GO: u64 = 0b10;
const IS_CHANGE: u64 = 0b1;
const GOES_SHIFT: u32 = u64::BITS - WINDOW;
const _: () = assert!(WINDOW >> (GOES_SHIFT - MOVES_SHIFT) == 0);

/// What a [look](super::working::Writing::look) has found: bits of places.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// Of the entries that go.
    pub(super) goes: u64,
    /// Of those that are dead, also at places that have no bit.
    pub(super) dead: u64,
    /// Whether entries behind the last place with a bit go, too.
    pub(super) more_go: bool,
}

impl Found {
    /// At so many places from the first on, all are dead, or go.
    #[inline]
    pub(super) fn moves(self) -> u32 {
        (self.goes | self.dead).trailing_ones()
    }
}

impl From<Found> for Change {
    fn from(found: Found) -> Change {
        let more_go = if found.more_go { MORE_GO } else { 0 };
        let moves = u64::from(found.moves());
        Change(found.goes << GOES_SHIFT | moves << MOVES_SHIFT | more_go | IS_CHANGE)
    }
}

impl Change {
    /// For [`Backend::commit`](resv_core::Backend::commit).
    #[inline]
    pub(super) fn to_plan(self) -> Plan {
        Plan(self.0)
    }

    /// `None` for a plan of another kind.
    #[inline]
    pub(super) fn of_plan(Plan(bits): Plan) -> Option<Change> {
        (bits & IS_CHANGE != 0).then_some(Change(bits))
    }

    /// A bit for each place of an entry that goes.
    #[inline]
    pub(super) fn goes(self) -> u64 {
        self.0 >> GOES_SHIFT
    }

    /// Whether entries behind the last place with a bit go, too.
    #[inline]
    pub(super) fn more_go(self) -> bool {
        self.0 & MORE_GO != 0
    }

    /// At so many places from the first on, all are dead, or go.
    #[inline]
    pub(super) fn moves(self) -> u32 {
        (self.0 >> MOVES_SHIFT) as u32 & ((1 << (GOES_SHIFT - MOVES_SHIFT)) - 1)
    }
}

/// What is in the slot of an entry that a change is about.
#[inline]
pub(super) fn living(slot: Slot) -> (&'static FenceCell, Usage) {
    slot.living().unwrap_or_else(|| another_set())
}

/// The usages of the living entries from slot `from` on.
// Cold, so that nothing is kept over the call elsewhere.
#[cold]
#[inline(never)]
pub(super) fn count_usages(cell: Cell, from: u32, to: u32) -> u8 {
    let slots = cell.own_slots(from, to);
    let living = slots.filter(|&slot| slot.lives());
    living.fold(0, |usages, slot| usages | 1 << slot.usage() as u8)
}

#[cold]
#[inline(never)]
pub(super) fn another_set() -> ! {
    panic!("a plan for another set");
}

fn note(cell: Cell, at: u32, note: bool) {
    let slot = cell.own(at);
    // Release, as every store to a slot: readers find the fence behind it.
    cell.set(at, slot.with_note(note), Ordering::Release);
}

/// Notes that the entry at `place` goes, for which there is no bit; before the first, clears the notes of all such
/// places: some are left from a look that came to nothing.
#[cold]
#[inline(never)]
pub(super) fn note_goes(cell: Cell, (first, end): (u32, u32), not_first: bool, place: u32) {
    if !not_first {
        (first + WINDOW..end).for_each(|at| note(cell, at, false));
    }
    note(cell, first + place, true);
}
