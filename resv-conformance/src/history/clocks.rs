//! What threads tell each other while they run: counters with one storing thread at a time.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Clock(AtomicU64);

impl Clock {
    pub(super) fn set(&self, to: u64) {
        // Release: pairs with the Acquire in `get`.
        self.0.store(to, Ordering::Release);
    }

    pub(super) fn get(&self) -> u64 {
        // Acquire: pairs with the Release in `set`.
        self.0.load(Ordering::Acquire)
    }
}

/// A counter before something is done, and one after.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) begun: Clock,
    pub(super) done: Clock,
}

/// All clocks of one history.
#[derive(Debug)]
pub(super) struct Clocks {
    /// Stored by the holder of the object's lock.
    pub(super) transactions: Pair,
    /// One for each writer, stored by it.
    pub(super) signals: Vec<Pair>,
    /// One for each reader, stored by it.
    pub(super) reads: Vec<Clock>,
}

impl Clocks {
    pub(super) fn new(writers: usize, readers: usize) -> Clocks {
        let mut clocks = Clocks {
            transactions: Pair::default(),
            signals: Vec::new(),
            reads: Vec::new(),
        };
        clocks.signals.resize_with(writers, Pair::default);
        clocks.reads.resize_with(readers, Clock::default);
        clocks
    }

    /// Notes what is surely over: before a read.
    pub(super) fn note_done(&self, stamps: &mut Vec<u64>) {
        stamps.push(self.transactions.done.get());
        stamps.extend(self.signals.iter().map(|pair| pair.done.get()));
        stamps.extend(self.reads.iter().map(Clock::get));
    }

    /// Notes what may have happened: after a read.
    pub(super) fn note_begun(&self, stamps: &mut Vec<u64>) {
        stamps.push(self.transactions.begun.get());
        stamps.extend(self.signals.iter().map(|pair| pair.begun.get()));
    }
}

/// The stamps of one read, as [`Clocks::note_done`] and [`Clocks::note_begun`] leave them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamps<'s> {
    /// Published before the call.
    pub(super) done: u64,
    /// Signals of each writer that were over before the call.
    pub(super) done_signals: &'s [u64],
    /// Reads of each reader that had returned before the call.
    pub(super) reads: &'s [u64],
    /// Begun before the return.
    pub(super) begun: u64,
    /// Signals of each writer that had begun before the return.
    pub(super) begun_signals: &'s [u64],
}

impl<'s> Stamps<'s> {
    /// The stamps of read number `index`.
    pub(super) fn of(stamps: &'s [u64], index: usize, writers: usize, readers: usize) -> Self {
        let size = 2 * (1 + writers) + readers;
        let (before, after) = stamps[index * size..][..size].split_at(1 + writers + readers);
        let (done_signals, reads) = before[1..].split_at(writers);
        Stamps {
            done: before[0],
            done_signals,
            reads,
            begun: after[0],
            begun_signals: &after[1..],
        }
    }
}
