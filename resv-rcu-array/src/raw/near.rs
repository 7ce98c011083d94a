//! What a short look has found, in one word, so that it is in a register while the look goes on.

use super::cell::Cell;
use super::change::WINDOW;
use resv_core::fence::cell::FenceCell;

/// A look at so many slots is short.
pub(super) const SHORT: usize = 16;
const _: () = assert!(SHORT <= WINDOW as usize);

/// By place, which is counted from the first slot that was looked at:
///
/// ```text
///   holes   | a fence has failed |         | which go
///   32 bits |       1 bit        | 15 bits | 16 bits
/// ```
#[derive(Clone, Copy, Default)]
pub(super) struct Near(u64);

/// In the same half as what goes: with the bit of the entry, which goes, there are two. And away from it: where all
/// places are taken, their bits end before it.
const FAILED: u64 = 1 << 31;
const HOLES_SHIFT: usize = 32;
const _: () = assert!(SHORT < 31);

impl Near {
    /// The entry at this place, which is less than [`SHORT`], goes.
    #[inline(always)]
    pub(super) fn note_goes(&mut self, place: usize) {
        self.0 |= 1 << place;
    }

    /// There is no living entry at this place, which is less than [`SHORT`].
    #[inline(always)]
    pub(super) fn note_hole(&mut self, place: usize) {
        self.0 |= 1 << (HOLES_SHIFT + place);
    }

    /// The fence of an entry that goes has signalled.
    #[inline(always)]
    pub(super) fn note_outcome(&mut self, fence: &FenceCell) {
        if fence.has_failed() {
            self.0 |= FAILED;
        }
    }

    /// Whether several go, or one whose fence has failed.
    #[inline(always)]
    pub(super) fn is_rare(self) -> bool {
        let goes = self.0 as u32;
        goes & goes.wrapping_sub(1) != 0
    }

    /// The place of the first that goes; a place that no slot has if none does.
    #[inline(always)]
    pub(super) fn place(self) -> u32 {
        self.goes().trailing_zeros()
    }

    /// A bit for the place of each that goes.
    #[inline(always)]
    pub(super) fn goes(self) -> u64 {
        self.0 & ((1 << SHORT) - 1)
    }

    /// At so many places from the first on there are holes, or entries that go.
    #[inline(always)]
    pub(super) fn moves(self) -> u32 {
        (self.0 | self.0 >> HOLES_SHIFT).trailing_ones()
    }

    /// The usages of the entries that go; the first slot that was looked at is this one of the cell.
    pub(super) fn usages_of_what_goes(self, cell: Cell, first: u32) -> u8 {
        let (mut goes, mut usages) = (self.goes(), 0);
        while goes != 0 {
            usages |= 1 << cell.own(first + goes.trailing_zeros()).usage() as u8;
            goes &= goes - 1;
        }
        usages
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use resv_core::{FenceError, Timeline};

    #[test]
    fn holes_and_what_goes_are_counted_up_to_the_first_that_stays() {
        let mut found = Near::default();
        assert_eq!(
            (found.goes(), found.moves(), found.is_rare()),
            (0, 0, false)
        );
        found.note_hole(0);
        found.note_hole(3);
        assert_eq!(
            (found.goes(), found.moves(), found.is_rare()),
            (0, 1, false)
        );
        found.note_goes(1);
        assert_eq!(
            (found.goes(), found.moves(), found.is_rare()),
            (0b10, 2, false)
        );
        assert_eq!(found.place(), 1);
        found.note_goes(2);
        assert_eq!(
            (found.goes(), found.moves(), found.is_rare()),
            (0b110, 4, true)
        );
    }

    #[test]
    fn of_each_place_there_is_a_bit() {
        let (mut holes, mut goes) = (Near::default(), Near::default());
        for place in 0..SHORT {
            holes.note_hole(place);
            goes.note_goes(place);
            assert_eq!([holes.moves(), goes.moves()], [place as u32 + 1; 2]);
        }
        assert_eq!((holes.goes(), goes.goes()), (0, (1 << SHORT) - 1));
        // A failure is no place: the suite found that it was counted where all sixteen go.
        let job = Timeline::new("t").issue().unwrap();
        let fence = job.fence().clone();
        job.signal_error(FenceError::IO);
        goes.note_outcome(fence.cell());
        assert_eq!(goes.moves(), SHORT as u32);
        assert!(goes.is_rare());
    }
}
