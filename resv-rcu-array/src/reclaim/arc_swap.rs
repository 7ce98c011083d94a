//! Reclamation by debts, as the crate `arc-swap` does it.
//!
//! A reader writes the pointer that it loaded into a slot of its thread: a debt, "I use this array
//! and have not counted myself". A publisher exchanges the pointer, then walks the slots of all
//! threads that ever read anything through arc-swap, and where it finds the old array it increments
//! the count on the reader's behalf and clears the slot. After that walk the count is complete and
//! the publisher drops its reference; the last owner frees the array.
//!
//! So nothing is ever put aside, and a reader that is descheduled holds back one array. The price is
//! the walk: a publish costs time in proportion to the number of threads. It suits objects that are
//! read much more than written.
//!
//! # Orderings
//!
//! They are arc-swap's: exchanges and loads of the pointer and of the slots are SeqCst, so either
//! the publisher finds the debt or the reader finds that the pointer has changed.
//!
//! # Known limits
//!
//! * A thread's first use allocates its slots (kept for ever and used again by later threads), and
//!   aborts the process when there is no memory; `reserve` sees to it that a publish is not the
//!   first use. Destructors that run while a thread ends may allocate them again.
//! * The check that an array is still published is a second full load, as the crate has no way to
//!   look at the pointer alone.

use super::sealed::{Flavour, PublishedCell};
use super::{Reclaim, Tally};
use crate::counted::Counted;
use crate::raw::array::{ArrayBuilder, ArrayRef};
use arc_swap::ArcSwapAny;
use resv_core::Garbage;

static RETIRED: Tally = Tally::new();

/// Reclamation by arc-swap: clone, edit, publish; readers dereference a guard.
///
/// ```
/// use resv_core::Backend;
/// use resv_rcu_array::{ArcSwapped, RcuArray};
/// assert_eq!(RcuArray::<ArcSwapped>::default().name(), "rcu-array/arc-swap");
/// ```
#[derive(Default)]
pub struct ArcSwapped {
    head: ArcSwapAny<Option<ArrayRef>>,
}

impl Reclaim for ArcSwapped {}

impl Flavour for ArcSwapped {
    type Object = Counted<ArcSwapped>;

    fn collect() {}
}

impl PublishedCell for ArcSwapped {
    const NAME: &'static str = "rcu-array/arc-swap";

    fn prepare(&self, _publishes: usize) {
        drop(self.head.load());
    }

    fn publish(&self, new: Option<ArrayBuilder>) -> Option<ArrayRef> {
        let (mine, theirs) = new.map(ArrayBuilder::share).unzip();
        // Retired while the debts on it are settled.
        RETIRED.add(1);
        drop(self.head.swap(theirs));
        RETIRED.sub(1);
        mine
    }

    #[inline]
    fn read<T>(&self, look: impl FnOnce(Option<&ArrayRef>) -> T) -> T {
        look(self.head.load().as_ref())
    }

    #[inline]
    fn is_current(&self, array: &ArrayRef) -> bool {
        self.head
            .load()
            .as_ref()
            .is_some_and(|now| now.is_same(array))
    }

    fn garbage() -> Garbage {
        RETIRED.report()
    }

    fn reset_garbage_peak() {
        RETIRED.reset_peak();
    }
}
