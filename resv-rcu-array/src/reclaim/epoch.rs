//! Reclamation by epochs.
//!
//! A reader announces that it is reading (it *pins* its thread); a publisher keeps the old array
//! until every thread that was pinned at that moment has been unpinned once. The announcing and the
//! waiting are `crossbeam-epoch`'s, with a [`Collector`](crossbeam_epoch::Collector) of this crate's
//! own, so that another user of that crate who stays pinned holds up nothing here.
//!
//! # What is done where
//!
//! `crossbeam-epoch` allocates now and then, in the functions that take garbage and even in the one
//! that pins, and it aborts the process when it gets no memory. A publish may do neither (B3). So:
//!
//! * A publish links the old array into a list of its thread, through the array's own header. It
//!   does not call the collector, and the holder of an object's lock never pins.
//! * `reserve` makes the thread known to the collector, and hands the list over when it and the
//!   publishes to come exceed [`BATCH`](Epoch::BATCH). It also drops what the collector has given
//!   back. Readers that pin may have to help the collector along, but never drop an array that they
//!   did not take a reference to.
//! * While more than [`LIMIT`](Epoch::LIMIT) arrays are handed over and not dropped, `reserve` goes
//!   on helping, and yields to the readers that it waits for. They are between two loads of a scan
//!   or were descheduled there; no reader runs foreign code while pinned, so the wait ends. Readers
//!   wait for nothing.
//!
//! # Bound on garbage
//!
//! Let `t` be the number of threads that publish, and `p` the greatest number of publishes that one
//! thread has reserved at a time, over all objects that it holds. A list is at most `BATCH + p` long,
//! so at most `LIMIT + 2 * t * (BATCH + p)` arrays are retired at any time: for each thread one list
//! that grows and one that was just handed over, and what had been handed over before. A thread that
//! ends hands its list over.
//!
//! # Known limits
//!
//! * A thread's first read or reservation registers it, and so do the reads and publishes of
//!   destructors that run while a thread ends; the collector allocates for that and for each batch,
//!   and about once in a thousand reads of a thread that never reserves. If it gets no memory, the
//!   process is aborted.
//! * A quiet thread keeps up to `BATCH` arrays, with their fences, until it reserves again, ends or
//!   calls [`RcuArray::collect`](crate::RcuArray::collect). What was handed over last stays as well
//!   until some thread reserves or collects.

use super::Reclaim;
use super::sealed::{Flavour, PublishedCell};
use crate::counted::Counted;
use crate::raw::array::{ArrayBuilder, ArrayRef};
use crate::raw::epoch::{self, EpochCell};
use crate::sync::yield_now;
use resv_core::Garbage;

/// Reclamation by epochs: reads cost a pin, retired arrays wait for a grace period.
///
/// ```
/// use resv_core::Backend;
/// use resv_rcu_array::{Epoch, RcuArray};
/// assert_eq!(RcuArray::<Epoch>::NAME, "rcu-array/epoch");
/// ```
#[derive(Default)]
pub struct Epoch {
    cell: EpochCell,
}

impl Epoch {
    /// How many retired arrays a thread gathers before it hands them to the collector.
    pub const BATCH: usize = if cfg!(loom) { 1 } else { 32 };

    /// How many arrays may be handed over and not freed before a reservation waits for readers.
    pub const LIMIT: usize = 4096;
}

impl Reclaim for Epoch {}

impl Flavour for Epoch {
    type Object = Counted<Epoch>;

    fn collect() {
        collect();
    }
}

pub(super) fn prepare(publishes: usize) {
    let retired = epoch::touch();
    if retired == 0 || retired.saturating_add(publishes) <= Epoch::BATCH {
        return;
    }
    epoch::hand_over();
    while epoch::handed_over() > Epoch::LIMIT {
        yield_now();
        epoch::hand_over();
    }
}

pub(super) fn collect() {
    // An array is ready when the epoch has moved on twice, which takes three rounds when nobody is
    // pinned; one round makes up to eight lists ready.
    for _ in 0..3 {
        epoch::hand_over();
    }
    while epoch::handed_over() > 0 {
        let before = epoch::handed_over();
        epoch::hand_over();
        if epoch::handed_over() >= before {
            break;
        }
    }
}

impl PublishedCell for Epoch {
    const NAME: &'static str = "rcu-array/epoch";

    fn prepare(&self, publishes: usize) {
        prepare(publishes);
    }

    fn publish(&self, new: Option<ArrayBuilder>) -> Option<ArrayRef> {
        self.cell.publish(new)
    }

    #[inline]
    fn read<T>(&self, look: impl FnOnce(Option<&ArrayRef>) -> T) -> T {
        self.cell.read(look)
    }

    #[inline]
    fn is_current(&self, array: &ArrayRef) -> bool {
        self.cell.is_current(array)
    }

    fn garbage() -> Garbage {
        epoch::retired().report()
    }

    fn reset_garbage_peak() {
        epoch::retired().reset_peak();
    }
}
