//! The sequence counter: even while the data rest, odd while they change.
//!
//! # Protocol
//!
//! A *write section* makes the counter odd, changes the data, makes it even again. A reader notes an
//! even value, reads the data, and looks again: the same value means that no write section touched
//! the data in between, so all that was read is of one instant. Any other value means that what was
//! read is to be thrown away.
//!
//! The data are atomics, so a reader that overlaps a write section reads some mixture of old and new
//! values but never races.
//!
//! # Orderings
//!
//! | who | what | ordering | partner |
//! |---|---|---|---|
//! | writer | counter := odd | Relaxed | ordered before the data stores by their Release |
//! | writer | data stores | Release | (b) |
//! | writer | counter := even | Release | (a) |
//! | reader | counter, first load | Acquire | (a) counter := even |
//! | reader | data loads | Acquire | (b) data stores |
//! | reader | counter, second load | Relaxed | ordered after the data loads by their Acquire |
//!
//! (a) A reader that notes the even value of a section sees all its stores. (b) A reader that has
//! read any store of a section synchronises with that store, so "counter := odd" happens before its
//! second look, which sees that value or a later one, and the check fails.
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
//! The counter has the width of a pointer and only grows. On 64 bit it does not wrap. On 32 bit a
//! reader would have to sleep through exactly 2^31 sections between its two loads.
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

use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, load_own, spin_loop};

/// How often a reader tries before it shuts writers out.
#[cfg(not(any(loom, shuttle)))]
pub(crate) const ATTEMPTS: u32 = 16;
/// Few, so that both the retry and the fallback are common in random schedules.
#[cfg(shuttle)]
pub(crate) const ATTEMPTS: u32 = 2;
#[cfg(loom)]
pub(crate) const ATTEMPTS: u32 = 1;

/// The parts of the protocol that a defective variant leaves out, so that tests can show that
/// leaving them out is caught. The product is [`Sound`].
pub trait Protocol: Send + Sync + 'static {
    /// Readers look at the counter again after reading.
    const VALIDATES: bool = true;
    /// How the slots and the length are stored (b).
    const DATA_STORE: Ordering = Ordering::Release;
    /// A publish is one write section, and not one for each entry.
    const ONE_SECTION: bool = true;
}

/// The protocol as documented.
#[derive(Debug, Default)]
pub struct Sound;

impl Protocol for Sound {}

/// A sequence counter with its section lock.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    sequence: AtomicUsize,
    section: Mutex<()>,
}

/// The even value that a reader noted.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(usize);

/// An open write section; dropping it closes the section.
pub(crate) struct Section<'a> {
    counter: &'a Counter,
    odd: usize,
    _lock: MutexGuard<'a, ()>,
}

impl Counter {
    /// Opens a write section. The caller holds the object's lock, so there is one writer at most.
    pub(crate) fn open(&self) -> Section<'_> {
        let lock = self.section.lock();
        let odd = load_own(&self.sequence) + 1;
        // Relaxed: the Release of each data store orders it before that store (b).
        self.sequence.store(odd, Ordering::Relaxed);
        Section {
            counter: self,
            odd,
            _lock: lock,
        }
    }

    /// Notes the value before a read; `None` while a section is open.
    #[inline]
    pub(crate) fn note(&self) -> Option<Ticket> {
        // Acquire: pairs with the Release store that closes a section (a).
        let sequence = self.sequence.load(Ordering::Acquire);
        if sequence & 1 == 0 {
            Some(Ticket(sequence))
        } else {
            spin_loop();
            None
        }
    }

    /// Whether all that was read since `ticket` is of one instant.
    #[inline]
    pub(crate) fn is_current<P: Protocol>(&self, ticket: Ticket) -> bool {
        // Relaxed: the Acquire of each data load orders it after that load (b).
        !P::VALIDATES || self.sequence.load(Ordering::Relaxed) == ticket.0
    }

    /// Shuts writers out for one read.
    pub(crate) fn shut_out_writers(&self) -> MutexGuard<'_, ()> {
        self.section.lock()
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire load in `note` (a).
        self.counter.sequence.store(self.odd + 1, Ordering::Release);
    }
}
