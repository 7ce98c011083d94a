//! A vector of entries that is replaced as a whole, reclaimed by crossbeam-epoch: copy on write as
//! its documentation shows it.
//!
//! The pointer is that of an [`Arc`], so that a snapshot is one reference.

use crate::subjects::{Entries, Subject, count_pending, is_idle, put, visit};
use crossbeam_epoch::{Guard, pin};
use resv_core::{Access, Entry, Fence, Usage};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A pointer to a vector, with a mutex for writers.
pub(crate) struct EpochVec {
    /// From `Arc::into_raw`; never null; owns one reference.
    entries: AtomicPtr<Entries>,
    writer: parking_lot::Mutex<()>,
}

impl EpochVec {
    fn load<'g>(&self, _pinned: &'g Guard) -> &'g Entries {
        // Acquire: pairs with the Release swap in `replace`.
        let entries = self.entries.load(Ordering::Acquire);
        // SAFETY: `entries` is from `Arc::into_raw`. The reference that this object owns of it is
        // given up by a deferred call after the pointer was replaced, which epoch reclamation runs
        // no sooner than every guard that was pinned then is gone, this one included.
        unsafe { &*entries }
    }

    /// For the holder of `writer`.
    fn replace(&self, fence: &Fence, usage: Usage) {
        let pinned = pin();
        let mut entries = crate::subjects::copy_with_room(self.load(&pinned));
        let fence = fence.clone();
        put(&mut entries, Entry { fence, usage });
        let new = Arc::into_raw(Arc::new(entries)).cast_mut();
        // AcqRel: Release pairs with the Acquire load in `load`; Acquire with the swap before.
        let old = self.entries.swap(new, Ordering::AcqRel);
        // SAFETY: `old` is from `Arc::into_raw`, and its reference is this object's, which the swap
        // has given to this call alone. The closure owns all that it uses, and `Entries` is `Send`.
        unsafe { pinned.defer_unchecked(move || drop(Arc::from_raw(old.cast_const()))) };
    }
}

impl Subject for EpochVec {
    fn name() -> &'static str {
        "epoch-vec"
    }

    type Snapshot = Arc<Entries>;

    fn new() -> Self {
        EpochVec {
            entries: AtomicPtr::new(Arc::into_raw(Arc::new(Entries::new())).cast_mut()),
            writer: parking_lot::Mutex::new(()),
        }
    }

    #[inline]
    fn is_idle(&self, access: Access) -> bool {
        is_idle(self.load(&pin()), access)
    }

    #[inline]
    fn visit(&self, access: Access) -> u64 {
        visit(self.load(&pin()), access)
    }

    #[inline]
    fn snapshot(&self) -> Arc<Entries> {
        let pinned = pin();
        let entries: *const Entries = self.load(&pinned);
        // SAFETY: the pointer is from `Arc::into_raw`, and the object's reference keeps the count
        // above zero as long as this thread is pinned (see `load`). The new reference is the one
        // that `from_raw` takes over.
        unsafe {
            Arc::increment_strong_count(entries);
            Arc::from_raw(entries)
        }
    }

    #[inline]
    fn waits_for(&self, access: Access) -> usize {
        count_pending(&self.snapshot(), access)
    }

    #[inline]
    fn add_around(&self, fence: &Fence, usage: Usage, pause: impl FnOnce()) {
        let _writer = self.writer.lock();
        pause();
        self.replace(fence, usage);
    }

    fn transaction(objects: &[&Self], fence: &Fence, usage: Usage) {
        let mut guards = Vec::with_capacity(objects.len());
        for object in objects {
            guards.push(object.writer.lock());
        }
        for object in objects {
            object.replace(fence, usage);
        }
    }
}

impl Drop for EpochVec {
    fn drop(&mut self) {
        // SAFETY: from `Arc::into_raw`; nobody else has this object any more, so its reference is
        // given up once, here.
        unsafe { drop(Arc::from_raw(self.entries.get_mut().cast_const())) };
    }
}
