//! A pointer that is read without owning what it points to, on the epochs of `crossbeam-epoch`.
//!
//! # Protocol
//!
//! * A *reader* pins its thread, loads the pointer, looks at the array or takes a reference of its
//!   own, and unpins.
//! * A *publisher* exchanges the pointer and gets the old array back as [`Unlinked`]: the reference
//!   that the pointer owned, which may be dropped only after every thread that was pinned at the
//!   exchange has been unpinned. It goes to a list of the thread, which takes no memory and does
//!   not fail.
//! * [`hand_over`] gives the whole list to the collector as one deferred function. The collector
//!   allocates; it is called where that is allowed.
//! * The collector runs deferred functions on any thread that pins, readers included. So that no
//!   reader frees what others retired, or waits for a lock that freeing a fence takes, the function
//!   only puts the list back, on a lock-free list of what is ready to be dropped; [`hand_over`]
//!   drops that, unpinned.
//!
//! # Orderings
//!
//! * `head`, exchanged with Release and loaded with Acquire: a reader that sees the pointer sees the
//!   array. Exchanged with Acquire too: the publisher that unlinks an array writes its link.
//! * Pinning stores the thread's epoch and issues a SeqCst fence before `head` is loaded; handing
//!   over issues one after `head` was exchanged, before it reads the epoch that the list is filed
//!   under. Both are in `crossbeam-epoch`. Of two such fences one is first: either the reader sees
//!   the new pointer, or the collector sees the reader pinned and lets the list wait for it.
//! * The collector's function happens after the last unpin that it waited for; it is ordered before
//!   the dropping by the Release and Acquire exchanges of [`SharedList`].
//! * Handing over later than unlinking only moves the second fence further away from the exchange.

use super::array::{ArrayBuilder, ArrayRef, Header};
use super::list::{Link, List, SharedList};
use crate::reclaim::Tally;
use crate::sync::{AtomicPtr, Ordering, process_wide, thread_wide};
use crossbeam_epoch::{Collector, Guard, LocalHandle};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

/// What this crate keeps for the process.
struct Domain {
    /// Its own, so that another user of `crossbeam-epoch` who stays pinned holds up nothing here.
    collector: Collector,
    /// What no reader can look at any more.
    ready: SharedList<Unlinked>,
    /// Arrays that are unlinked and not yet dropped, over all threads.
    retired: Tally,
    /// Those of them that have been handed over.
    handed_over: Tally,
}

process_wide!(
    DOMAIN: Domain = Domain {
        collector: Collector::new(),
        ready: SharedList::default(),
        retired: Tally::new(),
        handed_over: Tally::new(),
    }
);

/// How many arrays are unlinked and not yet dropped.
pub(crate) fn retired() -> &'static Tally {
    &DOMAIN.retired
}

/// How many arrays have been handed over and not yet dropped.
pub(crate) fn handed_over() -> usize {
    DOMAIN.handed_over.report().live
}

/// The published array of one object; null when it is empty.
pub(crate) struct EpochCell {
    head: AtomicPtr<Header>,
}

impl EpochCell {
    /// Shows `look` the published array, in a pinned section. No pin is needed, and none is made,
    /// when there is none.
    #[inline]
    pub(crate) fn read<T>(&self, look: impl FnOnce(Option<&ArrayRef>) -> T) -> T {
        // Acquire: pairs with the Release half of the exchange. The publisher of an empty set has
        // seen fences signalled; what was before those signals is visible to who sees it empty.
        if self.head.load(Ordering::Acquire).is_null() {
            return look(None);
        }
        let _pinned = pin();
        // Acquire: pairs with the Release half of the exchange.
        let Some(header) = NonNull::new(self.head.load(Ordering::Acquire)) else {
            return look(None);
        };
        // SAFETY: the pointer owned a reference when it was loaded, and this thread was pinned
        // before, so the reference is not dropped before `_pinned` is. The handle is not dropped,
        // as it owns none.
        let array = ManuallyDrop::new(unsafe { ArrayRef::from_raw(header) });
        look(Some(&array))
    }

    /// Whether `array` is published now.
    #[inline]
    pub(crate) fn is_current(&self, array: &ArrayRef) -> bool {
        // Relaxed: nothing is read through the pointer. That a caller who has seen a fence signalled
        // does not see an array here that was replaced before the signal follows from the Acquire
        // load of the fence's state, which pairs with the signaller's Release: coherence.
        ptr::eq(self.head.load(Ordering::Relaxed), array.as_raw().as_ptr())
    }

    /// Publishes an array (or none), retires the one before, and returns a reference to the new.
    /// Allocates nothing if this thread called [`touch`].
    pub(crate) fn publish(&self, new: Option<ArrayBuilder>) -> Option<ArrayRef> {
        // AcqRel: Release pairs with the loads in `read`, Acquire with the last exchange.
        let (mine, old) = self.exchange(new, Ordering::AcqRel);
        if let Some(old) = old {
            old.retire();
        }
        mine
    }

    fn exchange(
        &self,
        new: Option<ArrayBuilder>,
        order: Ordering,
    ) -> (Option<ArrayRef>, Option<Unlinked>) {
        let (mine, theirs) = match new.map(ArrayBuilder::share) {
            Some((mine, theirs)) => (Some(mine), theirs.into_raw().as_ptr()),
            None => (None, ptr::null_mut()),
        };
        let old = NonNull::new(self.head.swap(theirs, order));
        // SAFETY: the pointer owned a reference, and an exchange returns each pointer once.
        let old = old.map(|old| Unlinked(unsafe { ArrayRef::from_raw(old) }));
        (mine, old)
    }
}

/// Defects for the models: each must be found.
#[cfg(loom)]
impl EpochCell {
    /// Publishes without Release.
    pub(crate) fn publish_relaxed(&self, new: Option<ArrayBuilder>) -> Option<ArrayRef> {
        let (mine, old) = self.exchange(new, Ordering::Relaxed);
        if let Some(old) = old {
            old.retire();
        }
        mine
    }

    /// Drops the old array at once, under readers.
    pub(crate) fn publish_without_grace(&self, new: Option<ArrayBuilder>) -> Option<ArrayRef> {
        let (mine, old) = self.exchange(new, Ordering::AcqRel);
        drop(old);
        mine
    }
}

impl Default for EpochCell {
    fn default() -> Self {
        EpochCell {
            head: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

impl Drop for EpochCell {
    fn drop(&mut self) {
        // Relaxed: `&mut self` is ordered after every use of the cell.
        if let Some(header) = NonNull::new(self.head.load(Ordering::Relaxed)) {
            // SAFETY: the pointer owns a reference, and nobody reads it any more: a pinned reader
            // borrows the cell.
            drop(unsafe { ArrayRef::from_raw(header) });
        }
    }
}

/// The reference of a pointer that was exchanged. Dropping one is right only after a grace period,
/// so none leaves this module.
///
/// There is one for an array at most: a builder is shared once, published once, and unlinked once.
struct Unlinked(ArrayRef);

impl Unlinked {
    /// Puts the array on this thread's list.
    fn retire(self) {
        DOMAIN.retired.add(1);
        let mut array = Some(self);
        let on_list = LOCAL.try_with(|local| local.push(array.take()));
        if on_list.is_err() {
            // A destructor of a thread that is ending. This one path allocates.
            Local::new().push(array);
        }
    }
}

// SAFETY: an array is unlinked once, see above; its builder is gone by then.
unsafe impl Link for Unlinked {
    fn into_raw(self) -> NonNull<Header> {
        self.0.into_raw()
    }

    unsafe fn from_raw(header: NonNull<Header>) -> Self {
        // SAFETY: the reference is the one that `into_raw` kept.
        Unlinked(unsafe { ArrayRef::from_raw(header) })
    }
}

/// What this crate keeps for a thread.
struct Local {
    handle: LocalHandle,
    retired: Cell<List<Unlinked>>,
}

thread_wide!(LOCAL: Local = Local::new());

impl Local {
    fn new() -> Local {
        Local {
            handle: DOMAIN.collector.register(),
            retired: Cell::default(),
        }
    }

    fn push(&self, array: Option<Unlinked>) {
        let mut retired = self.retired.take();
        if let Some(array) = array {
            retired.push(array);
        }
        self.retired.set(retired);
    }

    fn retired(&self) -> usize {
        let retired = self.retired.take();
        let count = retired.len();
        self.retired.set(retired);
        count
    }

    /// Gives what is retired to the collector, and drops what comes back.
    fn hand_over(&self) {
        let retired = self.retired.take();
        let guard = self.handle.pin();
        if retired.len() > 0 {
            DOMAIN.handed_over.add(retired.len());
            // Deferring waits for every thread that is pinned now, hence for every thread that was
            // pinned at the exchanges and still is.
            guard.defer(move || DOMAIN.ready.push_all(retired));
        }
        guard.flush();
        drop(guard);

        let ready = DOMAIN.ready.take_all();
        let count = ready.len();
        drop(ready);
        DOMAIN.handed_over.sub(count);
        DOMAIN.retired.sub(count);
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if self.retired() > 0 {
            self.hand_over();
        }
    }
}

/// Pins the current thread.
#[inline]
fn pin() -> Guard {
    LOCAL
        .try_with(|local| local.handle.pin())
        .unwrap_or_else(|_| DOMAIN.collector.register().pin())
}

/// Makes this thread known to the collector, and returns how many arrays are on its list.
pub(crate) fn touch() -> usize {
    LOCAL.try_with(|local| local.retired()).unwrap_or(0)
}

/// Gives this thread's list to the collector, and drops what no reader can look at any more.
pub(crate) fn hand_over() {
    if LOCAL.try_with(|local| local.hand_over()).is_err() {
        Local::new().hand_over();
    }
}
