//! What an edit takes away: found by one look at the living entries, carried in a word, made by the next step.

use super::cell::Cell;
use super::word::Slot;
use resv_core::fence::cell::FenceCell;
use resv_core::{Plan, Usage, UsageSet};
use resv_sync::sync::atomic::Ordering;
use std::ops::Range;

/// How many places have a bit.
pub(super) const WINDOW: u32 = u64::BITS - GOES_SHIFT;
const IS_CHANGE: u64 = 0b1;
/// Entries that are noted in their slots go, too.
const MORE_GO: u64 = 0b10;
/// It is made by [`add_found`](super::working::Writing::add_found).
const STRAIGHT: u64 = 0b100;
const MOVES_SHIFT: u32 = 3;
const USAGES_SHIFT: u32 = 9;
const GOES_SHIFT: u32 = 13;
const _: () = assert!(WINDOW >> (USAGES_SHIFT - MOVES_SHIFT) == 0);
const _: () = assert!(UsageSet::ALL.bits() as u64 >> (GOES_SHIFT - USAGES_SHIFT) == 0);

/// What a [look](super::working::Writing::look) has found. Places are counted from the first entry that lived then,
/// which stays the same until the edit is made. As a [`Plan`] it is one word:
///
/// ```text
///   which go | usages of what stays | how many of the first are dead, or go | straight | more go | 1
///    51 bits |        4 bits        |                6 bits                 |   1 bit  |  1 bit  |
/// ```
///
/// The lowest bit tells the word from plans of another kind.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// A bit for the place of each entry that goes. What goes behind the last place with a bit is noted in its slot.
    pub(super) goes: u64,
    /// At so many places from the first on, all are dead, or go.
    pub(super) moves: u32,
    /// The usages of the entries that stay.
    pub(super) usages: u8,
    /// Whether entries behind the last place with a bit go, too.
    pub(super) more_go: bool,
}

impl Found {
    /// For [`Backend::commit`](resv_core::Backend::commit).
    #[inline(always)]
    pub(super) fn to_plan(self, is_straight: bool) -> Plan {
        let more_go = if self.more_go { MORE_GO } else { 0 };
        let straight = if is_straight { STRAIGHT } else { 0 };
        let usages = u64::from(self.usages) << USAGES_SHIFT;
        let moves = u64::from(self.moves) << MOVES_SHIFT;
        Plan(self.goes << GOES_SHIFT | usages | moves | straight | more_go | IS_CHANGE)
    }

    /// `None` for a plan of another kind.
    #[inline(always)]
    pub(super) fn of_plan(Plan(bits): Plan) -> Option<Found> {
        (bits & IS_CHANGE != 0).then_some(Found {
            goes: bits >> GOES_SHIFT,
            usages: (bits >> USAGES_SHIFT) as u8 & UsageSet::ALL.bits(),
            moves: (bits >> MOVES_SHIFT) as u32 & ((1 << (USAGES_SHIFT - MOVES_SHIFT)) - 1),
            more_go: bits & MORE_GO != 0,
        })
    }

    /// Whether it is the plan of a change that is straight.
    #[inline(always)]
    pub(super) fn is_straight_plan(Plan(bits): Plan) -> bool {
        bits & (IS_CHANGE | STRAIGHT) == IS_CHANGE | STRAIGHT
    }
}

/// What is in the slot of an entry that a change is about.
#[inline]
pub(super) fn living(slot: Slot) -> (&'static FenceCell, Usage) {
    slot.living().unwrap_or_else(|| another_set())
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

/// Notes that the entry at `at` goes, for which there is no bit; before the first, clears the notes of all such places,
/// which are `far`: some are left from a look that came to nothing.
#[cold]
#[inline(never)]
pub(super) fn note_goes(cell: Cell, far: Range<u32>, is_first: bool, at: u32) {
    if is_first {
        far.for_each(|at| note(cell, at, false));
    }
    note(cell, at, true);
}
