//! The sequence word: a version, whether a write section is open, and idle bits of what is known to have
//! signalled.
//!
//! # The word
//!
//! | bits | what |
//! |---|---|
//! | 0 to 3 | an *idle bit* for each usage: every entry of the published set with this usage has signalled, or there is none. The idle bit is a zero, so that testing it leaves the word as it is |
//! | 4 | odd: a write section is open |
//! | 5 and up | the version: how many sections have been closed |
//!
//! # Protocol
//!
//! A *write section* makes the word odd, changes the data, makes it even again. A reader notes an
//! even word, reads the data, and looks again: the same word, idle bits aside, means that no write
//! section touched the data in between, so all that was read is of one instant. Any other word means
//! that what was read is to be thrown away.
//!
//! The data are atomics, so a reader that overlaps a write section reads some mixture of old and new
//! values but never races.
//!
//! A reader that is asked whether usages are idle and finds all their idle bits answers at once. A
//! reader that had to look, and whose answer is "idle", sets their idle bits: with one compare-and-swap
//! on exactly the word that it noted. If it fails, nothing is lost but the idle bit.
//!
//! A section opens without idle bits. It closes with the idle bits of the usages of which there is no entry.
//!
//! # Why an idle bit is true
//!
//! *When it is set.* The compare-and-swap found the noted word, so no section had been opened: the
//! set was the one that was scanned. All matching fences of it had been found signalled, and fences
//! signal once. At this instant "idle" is true (B2), and it stays true until a section opens. The
//! compare-and-swap is a second look in itself: a scan that was overtaken never sets an idle bit.
//!
//! *When it is seen.* A later section replaces the word as a whole, so a reader that sees an idle bit sees it
//! together with the version that it is about; and a reader that can know of the later section, because
//! its close happened before the call, cannot read the older word. An idle bit set between the writer's
//! look at the word and its store is overwritten, which is harmless. The other way round, an idle bit on
//! top of a newer version, cannot happen with a compare-and-swap.
//!
//! *What comes with it (F-05).* The reader that sets it loaded the states with Acquire, the compare-and-swap
//! is Release, the load of the fast path is Acquire; setting further ones is a read-modify-write and so
//! continues the release sequence. What happened before the signals is visible to a reader that is told
//! "idle" by an idle bit. The same holds for the idle bits of a close: the writer loaded the states of the
//! fences that it left out with Acquire, and closes with Release.
//!
//! # Orderings
//!
//! | thread | what | ordering | partner |
//! |---|---|---|---|
//! | writer | word := odd | Release | (d); ordered before the data stores by *their* Release |
//! | writer | data stores | Release | (b) |
//! | writer | word := even, idle bits | Release | (a), (c), (d) |
//! | reader | word, first load | Acquire | (a) word := even, (c) an idle bit |
//! | reader | data loads | Acquire | (b) data stores |
//! | reader | word, second load | Relaxed | ordered after the data loads by their Acquire |
//! | reader | compare-and-swap of idle bits | Release | (c) |
//! | reader | word, before it falls back | Acquire | (d) any store of a section |
//! | reader | word, first look in its turn: adds zero | Acquire | (a), (c) |
//!
//! (a) A reader that notes the even word of a section sees all its stores. (b) A reader that has
//! read any store of a section synchronises with that store, so "word := odd" happens before its
//! second look, which sees that word or a later one, and the check fails; and before its
//! compare-and-swap, which fails for the same reason. (c) A reader that sees an idle bit sees what happened
//! before the signals. (d) What a reader falls back to lies in memory that the writer gets before
//! its first section; a thread that knows of a section sees that memory.
//!
//! The *data* are the pointer to the table, its length, the slots, and the key and state of each
//! fence cell. The cells belong here because they are recycled at once: the thread that makes a cell
//! another fence got it from the pool after the write section that removed the old one, and stores
//! the new key and state with Release ([`resv_core::fence::cell`]), so (b) holds for those too.
//!
//! No fences: each ordering stands on the access that it orders. The usual pair of fences would do
//! for the slots, but not for memory that is fresh (a new table, a new chunk of cells), which has to
//! be acquired before it is looked into; and the tools understand accesses better.
//!
//! # ABA
//!
//! The version has 59 bits on every platform and only grows: a section each nanosecond would wrap it
//! after 18 years.
//!
//! # Progress
//!
//! A reader alone can starve while writers never pause, and can spin for long while a writer is
//! descheduled in its section. So it tries [`ATTEMPTS`] times and then takes its turn, in which writers
//! wait ([`turns`](crate::turns)).

use crate::slot::IN_USE;
use crate::turns::{Turns, pause};
use resv_core::{Usage, UsageSet};
use resv_sync::hint::spin_loop;
use resv_sync::sync::atomic::{AtomicU64, Ordering, OwnerAccess};

/// How often a reader tries before it shuts writers out.
#[cfg(not(any(loom, shuttle)))]
pub(crate) const ATTEMPTS: u32 = 16;
/// Few, so that both the retry and the fallback are common in random schedules.
#[cfg(shuttle)]
pub(crate) const ATTEMPTS: u32 = 2;
#[cfg(loom)]
pub(crate) const ATTEMPTS: u32 = 1;

/// The idle bits of a word.
const IDLE_BITS: u64 = UsageSet::ALL.bits() as u64;
/// The bit that says that a section is open. Adding it twice is the next version.
const ODD: u64 = IDLE_BITS + 1;

resv_sync::known_bad! {
    /// What an object does wrong in a test or model, which is to notice.
    pub(crate) enum Defect, seam Seam {
        /// Readers do not look at the word again after reading.
        SkipsValidation,
        /// Slots and lengths are stored without an order (b).
        UnorderedStores,
        /// Each entry is published in a write section of its own.
        ManySections,
        /// Idle bits are set on whatever word there is by then.
        IdleBitsOnAnyWord,
        /// The same, by a reader that has not looked at the word again after its scan.
        IdleBitsUnvalidated,
        /// A section begins with the idle bits that there were.
        KeepsIdleBits,
        /// Idle bits are set without an order (c).
        UnorderedIdleBits,
        /// Sections are closed without an order (a, c). Opened too: under loom the close is a
        /// read-modify-write and continues the release sequence of the open, which a store does not.
        UnorderedClose,
        /// The word is loaded first without an order (a, c).
        UnorderedLoad,
        /// Sections are opened without an order (d).
        UnorderedOpen,
        /// Every other section counts the version back: two of them leave it as it was.
        CountsBack,
        /// A reader in its turn does not look at the word again.
        TrustsTurns,
        /// Writers open sections in a reader's turn.
        IgnoresTurns,
    }
}

impl Seam {
    /// Relaxed with one of these defects; else the ordering that the protocol asks for.
    #[inline(always)]
    fn order(self, order: Ordering, defects: &[Defect]) -> Ordering {
        if defects.iter().any(|&defect| self.has(defect)) {
            Ordering::Relaxed
        } else {
            order
        }
    }

    /// How slots and the length are stored (b).
    #[inline(always)]
    pub(crate) fn data_store(self) -> Ordering {
        self.order(Ordering::Release, &[Defect::UnorderedStores])
    }
}

/// The usages of which a set has entries. Of 32 bits: to set one of them is one instruction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UsageMask(u32);

impl UsageMask {
    /// Of all usages, perhaps: what is always safe to say.
    pub(crate) const ALL: UsageMask = UsageMask(UsageSet::ALL.bits() as u32);

    #[inline]
    pub(crate) fn insert(&mut self, usage: Usage) {
        self.0 |= 1 << usage as u32;
    }

    /// Puts the tag of a slot in a mask of tags: fewer steps than its usage.
    #[inline]
    pub(crate) fn insert_tag(&mut self, tag: u32) {
        self.0 |= 1 << tag;
    }

    /// The usages of a mask of tags.
    #[inline]
    pub(crate) fn of_tags(self) -> UsageMask {
        UsageMask(self.0 >> IN_USE & UsageMask::ALL.0)
    }

    /// Whether one of these is in it.
    #[inline]
    pub(crate) fn has(self, usages: UsageSet) -> bool {
        self.0 & u32::from(usages.bits()) != 0
    }

    /// A bit for each usage.
    #[inline]
    pub(crate) fn to_bits(self) -> u8 {
        self.0 as u8
    }

    /// The usages of these bits.
    #[inline]
    pub(crate) fn from_bits(bits: u8) -> UsageMask {
        UsageMask(u32::from(bits) & UsageMask::ALL.0)
    }

    /// The bits of a word that has the idle bits of all other usages.
    #[inline]
    fn bits(self) -> u64 {
        u64::from(self.0)
    }
}

/// A word that a reader has loaded.
#[derive(Clone, Copy)]
pub(crate) struct Word(u64);

impl Word {
    /// Whether no section was open.
    #[inline]
    fn is_even(self) -> bool {
        self.0 & ODD == 0
    }

    /// Whether nothing with a usage in `usages` was pending, by the idle bits. An odd word has none.
    #[inline]
    pub(crate) fn says_idle(self, usages: UsageSet) -> bool {
        self.0 & u64::from(usages.bits()) == 0
    }
}

/// The sequence word.
///
/// At first that of an empty set, so with all idle bits: zero.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    word: AtomicU64,
    pub(crate) seam: Seam,
}

/// An open write section; dropping it closes the section.
pub(crate) struct Section<'a> {
    counter: &'a Counter,
    odd: u64,
    leaves: UsageMask,
}

impl Counter {
    /// Opens a write section that `leaves` entries of these usages, when no reader has its turn. The caller
    /// holds the object's lock, so there is one writer at most.
    #[inline]
    pub(crate) fn open(&self, turns: &Turns, leaves: UsageMask) -> Section<'_> {
        turns.let_pass(self.seam);
        self.open_at_once(leaves)
    }

    /// The same for a writer that has looked whether a reader has its turn.
    #[inline]
    pub(crate) fn open_at_once(&self, leaves: UsageMask) -> Section<'_> {
        // Nobody else changes anything but idle bits.
        let mut even = self.word.load_own();
        if !self.seam.has(Defect::KeepsIdleBits) {
            even |= IDLE_BITS;
        }
        let odd = even + ODD;
        // Release: pairs with the Acquire load in `see_the_first_section` (d). The Release of each data store
        // orders it before that store (b).
        let unordered = [Defect::UnorderedOpen, Defect::UnorderedClose];
        let order = self.seam.order(Ordering::Release, &unordered);
        self.word.store_over(odd, order);
        Section {
            counter: self,
            odd,
            leaves,
        }
    }

    /// The word before a read.
    #[inline]
    pub(crate) fn load(&self) -> Word {
        // Acquire: pairs with the Release store that closes a section (a) and with the Release
        // compare-and-swap that sets an idle bit (c).
        let order = (self.seam).order(Ordering::Acquire, &[Defect::UnorderedLoad]);
        Word(self.word.load(order))
    }

    /// Whether a read that began at `noted` can begin: no section was open.
    #[inline]
    pub(crate) fn may_read(&self, noted: Word) -> bool {
        if !noted.is_even() {
            spin_loop();
        }
        noted.is_even()
    }

    /// The word before a read in a reader's turn: waits until no section is open.
    pub(crate) fn load_in_turn(&self) -> Word {
        let mut looks = 0;
        loop {
            // Acquire: as in `load`. A read-modify-write finds the latest word, and is made when the flag of
            // the turn has left this processor.
            let word = Word(self.word.fetch_add(0, Ordering::Acquire));
            if word.is_even() {
                return word;
            }
            pause(looks);
            looks = looks.saturating_add(1);
        }
    }

    /// [`is_current`](Counter::is_current) in a reader's turn.
    pub(crate) fn is_current_in_turn(&self, noted: Word) -> bool {
        self.seam.has(Defect::TrustsTurns) || self.is_current(noted)
    }

    /// Whether all that was read since `noted` is of one instant.
    #[inline]
    pub(crate) fn is_current(&self, noted: Word) -> bool {
        let skips = [Defect::SkipsValidation, Defect::IdleBitsUnvalidated];
        // Relaxed: the Acquire of each data load orders it after that load (b).
        skips.iter().any(|&defect| self.seam.has(defect))
            || self.word.load(Ordering::Relaxed) ^ noted.0 <= IDLE_BITS
    }

    /// Sets the idle bits of `usages` if the word is still the one that was noted. The caller has found everything
    /// of the noted set with a usage in `usages` signalled.
    pub(crate) fn set_idle_bits(&self, noted: Word, usages: UsageSet) {
        let bits = u64::from(usages.bits());
        let order = (self.seam).order(Ordering::Release, &[Defect::UnorderedIdleBits]);
        let any_word = [Defect::IdleBitsOnAnyWord, Defect::IdleBitsUnvalidated];
        if !any_word.iter().any(|&defect| self.seam.has(defect)) {
            // Release: pairs with the Acquire load in `load` (c). Relaxed if it fails: nothing is
            // concluded from what is there instead.
            let _ = self
                .word
                .compare_exchange(noted.0, noted.0 & !bits, order, Ordering::Relaxed);
        } else {
            self.word.fetch_and(!bits, order);
        }
    }

    /// Makes what the first section was preceded by visible to a reader that has seen that there was
    /// one.
    pub(crate) fn see_the_first_section(&self) {
        // Acquire: pairs with the Release stores that open and close sections (d). The caller has
        // read such a store, so this load finds it, a later one, or idle bits on top of one, which are
        // read-modify-writes and so continue its release sequence.
        let _ = self.word.load(Ordering::Acquire);
    }
}

impl Drop for Section<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the Acquire loads in `load` (a, c) and `see_the_first_section` (d).
        let mut even = self.odd + ODD;
        if self.counter.seam.has(Defect::CountsBack) && even & (2 * ODD) == 0 {
            even -= 4 * ODD;
        }
        even &= !(IDLE_BITS & !self.leaves.bits());
        let order = (self.counter.seam).order(Ordering::Release, &[Defect::UnorderedClose]);
        self.counter.word.store_over(even, order);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Without races: what a reader concludes from the word before, in and after a section.
    #[test]
    fn b1_a_read_counts_only_if_no_section_was_open_or_came_between() {
        let (counter, turns) = (Counter::default(), Turns::default());
        for _ in 0..3 {
            let before = counter.load();
            assert!(counter.may_read(before));
            assert!(counter.is_current(before));
            let section = counter.open(&turns, UsageMask::ALL);
            assert!(!counter.is_current(before), "a section is open");
            let inside = counter.load();
            assert!(!counter.may_read(inside), "a section is open");
            drop(section);
            assert!(!counter.is_current(before), "a section was open");
            assert!(!counter.is_current(inside), "it has closed");
            let after = counter.load();
            assert!(counter.may_read(after));
            assert!(counter.is_current(after));
        }
    }

    /// Idle bits that others set disturb no reader, and a word that was overtaken gets none.
    #[test]
    fn b2_idle_bits_come_with_the_set_that_they_are_about() {
        let (counter, turns) = (Counter::default(), Turns::default());
        let (read, write) = (
            UsageSet::of(&[Usage::Read]),
            UsageSet::of(&[Usage::Read, Usage::Write]),
        );
        let mut leaves = UsageMask::default();
        leaves.insert(Usage::Read);
        leaves.insert(Usage::Write);
        drop(counter.open(&turns, leaves));
        let noted = counter.load();
        assert!(noted.says_idle(UsageSet::of(&[Usage::Kernel, Usage::Bookkeep])));
        assert!(!noted.says_idle(read));

        counter.set_idle_bits(noted, read);
        assert!(counter.load().says_idle(read));
        assert!(!counter.load().says_idle(write));
        assert!(counter.is_current(noted), "only idle bits have come");

        let section = counter.open(&turns, leaves);
        assert!(!counter.load().says_idle(read), "a section begins without");
        drop(section);
        assert!(!counter.load().says_idle(read));
        counter.set_idle_bits(noted, write);
        assert!(
            !counter.load().says_idle(read),
            "an idle bit of an older set"
        );
    }
}
