//! A set of slots of a table: a bit for each. That of an object with few slots owns no memory.

use std::collections::TryReserveError;

/// Slots in a word.
pub(crate) const WORD: usize = u64::BITS as usize;

/// For each slot, a bit.
#[derive(Debug, Default)]
pub(crate) struct SlotSet {
    pub(crate) first: u64,
    /// Behind the first 64.
    pub(crate) more: Vec<u64>,
}

impl SlotSet {
    /// Gets memory for `words` words in all.
    pub(crate) fn reserve(&mut self, words: usize) -> Result<(), TryReserveError> {
        let missing = (words - 1).saturating_sub(self.more.len());
        self.more.try_reserve(missing)?;
        self.more.resize(self.more.len() + missing, 0);
        Ok(())
    }

    #[inline]
    pub(crate) fn insert_all(&mut self) {
        self.first = u64::MAX;
        if !self.more.is_empty() {
            self.more.fill(u64::MAX);
        }
    }

    /// Takes a slot out of the set: one of the first 64, or the next.
    #[inline]
    pub(crate) fn remove(&mut self, at: usize) {
        if at < WORD {
            self.first &= !(1 << at);
        } else {
            self.set(at, false);
        }
    }

    /// The same for one of the first 64.
    #[inline]
    pub(crate) fn remove_one(&mut self, at: u8) {
        self.first &= !(1 << (at % WORD as u8));
    }

    pub(crate) fn set(&mut self, at: usize, is_in: bool) {
        let word = match (at / WORD).checked_sub(1) {
            None => &mut self.first,
            Some(word) => &mut self.more[word],
        };
        let bit = 1 << (at % WORD);
        *word = *word & !bit | if is_in { bit } else { 0 };
    }

    pub(crate) fn has(&self, at: usize) -> bool {
        let word = match (at / WORD).checked_sub(1) {
            None => self.first,
            Some(word) => self.more[word],
        };
        word >> (at % WORD) & 1 != 0
    }

    /// Takes the last slot out of the set.
    pub(crate) fn pop(&mut self) -> Option<usize> {
        let more = self.more.iter_mut().enumerate().rev();
        let last = more
            .map(|(at, word)| (at + 1, word))
            .find(|(_, word)| **word != 0);
        let (at, word) = last.unwrap_or((0, &mut self.first));
        let bit = word.checked_ilog2()?;
        *word ^= 1 << bit;
        Some(at * WORD + bit as usize)
    }
}

/// The slot to change, if the set is that slot at most and there are few: of `len`, or the next.
#[inline]
pub(crate) fn one_of(goes: u64, len: usize) -> Option<usize> {
    let is_one = goes & goes.wrapping_sub(1) == 0 && len <= WORD;
    // Zero has 64 trailing zeros.
    is_one.then(|| len.min(goes.trailing_zeros() as usize))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// The cheap publish is for one change; were it taken for more, the others would be lost.
    #[test]
    fn b4_only_a_set_of_one_slot_is_one_change() {
        assert_eq!(one_of(0, 5), Some(5), "none goes: the next slot");
        assert_eq!(one_of(1, 5), Some(0));
        assert_eq!(one_of(1 << 4, 5), Some(4));
        assert_eq!(one_of(0b11, 5), None);
        assert_eq!(one_of(1 << 4 | 1, 5), None);
        assert_eq!(one_of(1 << 63, 64), Some(63));
        assert_eq!(one_of(0, 64), Some(64));
        assert_eq!(one_of(0, 65), None, "others may go behind the first 64");
    }

    #[test]
    fn a_set_of_slots_is_taken_apart_from_its_end() {
        let mut goes = SlotSet {
            first: 1 << 63 | 1 << 2 | 1,
            more: vec![0, 1 << 63 | 1],
        };
        let all = [0, 2, 63, 128, 191];
        for at in 0..192 {
            assert_eq!(goes.has(at), all.contains(&at), "{at}");
        }
        let taken: Vec<usize> = std::iter::from_fn(|| goes.pop()).collect();
        assert_eq!(taken, [191, 128, 63, 2, 0]);
    }
}
