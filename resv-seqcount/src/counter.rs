//! The sequence word: a version, whether a write section is open, and marks of what is known to have
//! signalled.
//!
//! # The word
//!
//! | bits | what |
//! |---|---|
//! | 0 to 3 | a *mark* for each usage: every entry of the published set with this usage has signalled, or there is none. The mark is a zero, so that testing it leaves the word as it is |
//! | 4 | odd: a write section is open |
//! | 5 and up | the version: how many sections have been closed |
//!
//! # Protocol
//!
//! A *write section* makes the word odd, changes the data, makes it even again. A reader notes an
//! even word, reads the data, and looks again: the same word, marks aside, means that no write
//! section touched the data in between, so all that was read is of one instant. Any other word means
//! that what was read is to be thrown away.
//!
//! The data are atomics, so a reader that overlaps a write section reads some mixture of old and new
//! values but never races.
//!
//! A reader that is asked whether usages are idle and finds all their marks answers at once. A
//! reader that had to look, and whose answer is "idle", sets their marks: with one compare-and-swap
//! on exactly the word that it noted. If it fails, nothing is lost but the mark.
//!
//! A section opens without marks. It closes with the marks of the usages of which there is no entry.
//!
//! # Why a mark is true
//!
//! *When it is set.* The compare-and-swap found the noted word, so no section had been opened: the
//! set was the one that was scanned. All matching fences of it had been found signalled, and fences
//! signal once. At this instant "idle" is true (B2), and it stays true until a section opens. The
//! compare-and-swap is a second look in itself: a scan that was overtaken never sets a mark.
//!
//! *When it is seen.* A later section replaces the word as a whole, so whoever sees a mark sees it
//! together with the version that it is about; and whoever can know of the later section, because
//! its close happened before the call, cannot read the older word. A mark set between the writer's
//! look at the word and its store is overwritten, which is harmless. The other way round, a mark on
//! top of a newer version, cannot happen with a compare-and-swap.
//!
//! *What comes with it (F-05).* The marker's loads of the states are Acquire, the compare-and-swap
//! is Release, the load of the fast path is Acquire; further marks are read-modify-writes and so
//! continue the release sequence. What happened before the signals is visible to whoever is told
//! "idle" by a mark. The same holds for the marks of a close: the writer loaded the states of the
//! fences that it left out with Acquire, and closes with Release.
//!
//! # Orderings
//!
//! | who | what | ordering | partner |
//! |---|---|---|---|
//! | writer | word := odd | Release | (d); ordered before the data stores by *their* Release |
//! | writer | data stores | Release | (b) |
//! | writer | word := even, marks | Release | (a), (c), (d) |
//! | reader | word, first load | Acquire | (a) word := even, (c) a mark |
//! | reader | data loads | Acquire | (b) data stores |
//! | reader | word, second load | Relaxed | ordered after the data loads by their Acquire |
//! | reader | compare-and-swap of marks | Release | (c) |
//! | reader | word, before it falls back | Acquire | (d) any store of a section |
//!
//! (a) A reader that notes the even word of a section sees all its stores. (b) A reader that has
//! read any store of a section synchronises with that store, so "word := odd" happens before its
//! second look, which sees that word or a later one, and the check fails; and before its
//! compare-and-swap, which fails for the same reason. (c) Whoever sees a mark sees what happened
//! before the signals. (d) What a reader falls back to lies in memory that the writer gets before
//! its first section; whoever knows of a section sees that memory.
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
//! descheduled in its section. So it tries [`ATTEMPTS`] times and then shuts writers out with the
//! *section lock*, for one read. Every writer takes that lock around its section.
//!
//! It is deliberately not the object's lock. A holder of the object's lock may wait for a fence, and
//! the thread that is to signal that fence may read this object; would the reader queue up for the
//! object's lock, both would wait for ever. The section lock is only ever held for a bounded number
//! of loads and stores.

use resv_core::{Usage, UsageSet};
use resv_sync::hint::spin_loop;
use resv_sync::sync::atomic::{AtomicU64, Ordering, OwnerAccess};
use resv_sync::sync::{Mutex, MutexGuard};

/// How often a reader tries before it shuts writers out.
#[cfg(not(any(loom, shuttle)))]
pub(crate) const ATTEMPTS: u32 = 16;
/// Few, so that both the retry and the fallback are common in random schedules.
#[cfg(shuttle)]
pub(crate) const ATTEMPTS: u32 = 2;
#[cfg(loom)]
pub(crate) const ATTEMPTS: u32 = 1;

/// The bits of the marks.
const MARKS: u64 = UsageSet::ALL.bits() as u64;
/// The bit that says that a section is open. Adding it twice is the next version.
const ODD: u64 = MARKS + 1;

/// The parts of the protocol that a defective variant leaves out, so that tests can show that
/// leaving them out is caught. The product is [`Sound`].
pub trait Protocol: Send + Sync + 'static {
    /// Readers look at the word again after reading.
    const VALIDATES: bool = true;
    /// How the slots and the length are stored (b).
    const DATA_STORE: Ordering = Ordering::Release;
    /// A publish is one write section, and not one for each entry.
    const ONE_SECTION: bool = true;
    /// How a section is opened (d).
    const OPEN_STORE: Ordering = Ordering::Release;
    /// How a section is closed (a, c).
    const CLOSE_STORE: Ordering = Ordering::Release;
    /// How the word is loaded first (a, c).
    const FIRST_LOAD: Ordering = Ordering::Acquire;
    /// How marks are set (c).
    const MARK_STORE: Ordering = Ordering::Release;
    /// Marks are set on the word that was noted only, and not on any.
    const MARKS_WHAT_IT_SAW: bool = true;
    /// A section begins without the marks that there were.
    const CLEARS_MARKS: bool = true;
}

/// The protocol as documented.
#[derive(Debug, Default)]
pub struct Sound;

impl Protocol for Sound {}

/// The usages of which a set has entries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Present(u8);

impl Present {
    /// Of all usages, perhaps: what is always safe to say.
    pub(crate) const ALL: Present = Present(UsageSet::ALL.bits());

    #[inline]
    pub(crate) fn insert(&mut self, usage: Usage) {
        self.0 |= 1 << usage as u8;
    }

    /// The bits of a word that has the marks of all other usages.
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

    /// Whether nothing with a usage in `usages` was pending, by the marks. An odd word has none.
    #[inline]
    pub(crate) fn says_idle(self, usages: UsageSet) -> bool {
        self.0 & u64::from(usages.bits()) == 0
    }
}

/// The sequence word.
///
/// At first that of an empty set, so with all marks: zero.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    word: AtomicU64,
}

/// An open write section; dropping it closes the section.
pub(crate) struct Section<'a, P: Protocol> {
    counter: &'a Counter,
    odd: u64,
    leaves: Present,
    _lock: MutexGuard<'a, ()>,
    protocol: std::marker::PhantomData<P>,
}

impl Counter {
    /// Opens a write section that `leaves` entries of these usages. The caller holds the object's
    /// lock, so there is one writer at most.
    #[inline]
    pub(crate) fn open<'a, P: Protocol>(
        &'a self,
        lock: &'a Mutex<()>,
        leaves: Present,
    ) -> Section<'a, P> {
        let lock = lock.lock();
        // Nobody else changes anything but marks.
        let mut even = self.word.load_own();
        if P::CLEARS_MARKS {
            even |= MARKS;
        }
        let odd = even + ODD;
        // Release: pairs with the Acquire load in `see_the_first_section` (d). The Release of each data store
        // orders it before that store (b).
        self.word.store_over(odd, P::OPEN_STORE);
        Section {
            counter: self,
            odd,
            leaves,
            _lock: lock,
            protocol: std::marker::PhantomData,
        }
    }

    /// The word before a read.
    #[inline]
    pub(crate) fn load<P: Protocol>(&self) -> Word {
        // Acquire: pairs with the Release store that closes a section (a) and with the Release
        // compare-and-swap that sets a mark (c).
        Word(self.word.load(P::FIRST_LOAD))
    }

    /// Whether a read that began at `noted` can begin: no section was open.
    #[inline]
    pub(crate) fn may_read(&self, noted: Word) -> bool {
        if !noted.is_even() {
            spin_loop();
        }
        noted.is_even()
    }

    /// Whether all that was read since `noted` is of one instant.
    #[inline]
    pub(crate) fn is_current<P: Protocol>(&self, noted: Word) -> bool {
        // Relaxed: the Acquire of each data load orders it after that load (b).
        !P::VALIDATES || self.word.load(Ordering::Relaxed) ^ noted.0 <= MARKS
    }

    /// Marks `usages` if the word is still the one that was noted. The caller has found everything
    /// of the noted set with a usage in `usages` signalled.
    pub(crate) fn mark<P: Protocol>(&self, noted: Word, usages: UsageSet) {
        let marks = u64::from(usages.bits());
        if P::MARKS_WHAT_IT_SAW {
            // Release: pairs with the Acquire load in `load` (c). Relaxed if it fails: nothing is
            // concluded from what is there instead.
            let _ = self.word.compare_exchange(
                noted.0,
                noted.0 & !marks,
                P::MARK_STORE,
                Ordering::Relaxed,
            );
        } else {
            self.word.fetch_and(!marks, P::MARK_STORE);
        }
    }

    /// Makes what the first section was preceded by visible to a reader who has seen that there was
    /// one.
    pub(crate) fn see_the_first_section(&self) {
        // Acquire: pairs with the Release stores that open and close sections (d). The caller has
        // read such a store, so this load finds it, a later one, or marks on top of one, which are
        // read-modify-writes and so continue its release sequence.
        let _ = self.word.load(Ordering::Acquire);
    }
}

impl<P: Protocol> Drop for Section<'_, P> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the Acquire loads in `load` (a, c) and `see_the_first_section` (d).
        let even = (self.odd + ODD) & !(MARKS & !self.leaves.bits());
        self.counter.word.store_over(even, P::CLOSE_STORE);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Without races: what a reader concludes from the word before, in and after a section.
    #[test]
    fn b1_a_read_counts_only_if_no_section_was_open_or_came_between() {
        let (counter, lock) = (Counter::default(), Mutex::default());
        for _ in 0..3 {
            let before = counter.load::<Sound>();
            assert!(counter.may_read(before));
            assert!(counter.is_current::<Sound>(before));
            let section = counter.open::<Sound>(&lock, Present::ALL);
            assert!(!counter.is_current::<Sound>(before), "a section is open");
            let inside = counter.load::<Sound>();
            assert!(!counter.may_read(inside), "a section is open");
            drop(section);
            assert!(!counter.is_current::<Sound>(before), "a section was open");
            assert!(!counter.is_current::<Sound>(inside), "it has closed");
            let after = counter.load::<Sound>();
            assert!(counter.may_read(after));
            assert!(counter.is_current::<Sound>(after));
        }
    }

    /// Marks that others set disturb no reader, and a word that was overtaken is not marked.
    #[test]
    fn b2_marks_come_with_the_set_that_they_are_about() {
        let (counter, lock) = (Counter::default(), Mutex::default());
        let (read, write) = (
            UsageSet::of(&[Usage::Read]),
            UsageSet::of(&[Usage::Read, Usage::Write]),
        );
        let mut leaves = Present::default();
        leaves.insert(Usage::Read);
        leaves.insert(Usage::Write);
        drop(counter.open::<Sound>(&lock, leaves));
        let noted = counter.load::<Sound>();
        assert!(noted.says_idle(UsageSet::of(&[Usage::Kernel, Usage::Bookkeep])));
        assert!(!noted.says_idle(read));

        counter.mark::<Sound>(noted, read);
        assert!(counter.load::<Sound>().says_idle(read));
        assert!(!counter.load::<Sound>().says_idle(write));
        assert!(counter.is_current::<Sound>(noted), "only marks have come");

        let section = counter.open::<Sound>(&lock, leaves);
        assert!(
            !counter.load::<Sound>().says_idle(read),
            "a section begins without"
        );
        drop(section);
        assert!(!counter.load::<Sound>().says_idle(read));
        counter.mark::<Sound>(noted, write);
        assert!(
            !counter.load::<Sound>().says_idle(read),
            "marked an older set"
        );
    }
}
