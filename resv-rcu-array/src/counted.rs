//! The object of the flavours that count arrays and keep them for readers: what its holder has staged,
//! and how readers ask. All safe code.
//!
//! The writer side lives beside the object's lock and is reached with the proof that the lock is
//! held. The holder has a reference of its own to the published array, so that it reads what it
//! needs without the reader's protocol, which may allocate.

use crate::marks::Marks;
use crate::raw::array::{ArrayBuilder, ArrayRef};
use crate::raw::holder::HolderCell;
use crate::raw::list::List;
use crate::reclaim::sealed::PublishedCell;
use crate::snapshot::{Snapshot, pending_in};
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, Garbage, Key, LockProof, ObjectLock, ReserveError,
    UsageSet,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// An object whose published pointer is a `C`.
pub struct Counted<C: PublishedCell> {
    published: C,
    holder: HolderCell<Writer>,
    /// Reads that were started again. Only reported, so it stays real under loom.
    retries: AtomicU64,
}

/// What only the holder of the lock touches.
#[derive(Default)]
struct Writer {
    /// The published array.
    current: Option<ArrayRef>,
    /// What edits have made of it; it is published next.
    staged: Option<ArrayBuilder>,
    /// Empty arrays for later publishes.
    spares: List<ArrayBuilder>,
    /// How many entries each spare has memory for.
    spare_capacity: usize,
    /// Entries that may still be added.
    adds: usize,
}

impl Writer {
    /// Gets room so that `room.adds` entries can be added and `room.publishes` publishes made.
    /// Changes nothing when it fails.
    fn reserve(&mut self, room: Budget) -> Result<(), ReserveError> {
        let error = ReserveError::new(room.adds);
        let adds = self.adds.max(room.adds);
        let entries = match (&self.staged, &self.current) {
            (Some(staged), _) => staged.len(),
            (None, Some(current)) => pending(current).count(),
            (None, None) => 0,
        };
        // Enough for every array until the room is used up: entries only come by adding, and a
        // fence that is not pending now never will be.
        let capacity = entries.checked_add(adds).ok_or(error)?;

        let mut larger = match &self.staged {
            Some(staged) if staged.capacity() < capacity => {
                // Twice as much, so that a long row of small reservations copies little.
                let capacity = capacity.max(staged.capacity().saturating_mul(2));
                Some(ArrayBuilder::with_capacity(capacity).ok_or(error)?)
            }
            _ => None,
        };

        // What is staged has its array already.
        let wanted = room.publishes - room.publishes.min(usize::from(self.staged.is_some()));
        let wanted = wanted.max(self.spares.len());
        let replace = self.spare_capacity < capacity;
        let have = if replace { 0 } else { self.spares.len() };
        let capacity = capacity.max(self.spare_capacity * usize::from(have > 0));
        let mut fresh = List::default();
        for _ in have..wanted {
            fresh.push(ArrayBuilder::with_capacity(capacity).ok_or(error)?);
        }

        // Nothing fails from here on.
        if let (Some(larger), Some(staged)) = (&mut larger, &mut self.staged) {
            larger.append(staged);
            std::mem::swap(larger, staged);
        }
        if have == 0 {
            self.spares = fresh;
            self.spare_capacity = capacity;
        } else {
            while let Some(spare) = fresh.pop() {
                self.spares.push(spare);
            }
        }
        self.adds = adds;
        Ok(())
    }

    /// What is staged; a copy of what is pending now if nothing is yet.
    fn stage(&mut self) -> &mut ArrayBuilder {
        let Writer {
            staged,
            spares,
            current,
            ..
        } = self;
        staged.get_or_insert_with(|| {
            let mut copy = spares.pop().expect("no room is reserved for a publish");
            for entry in current.iter().flat_map(|current| pending(current)) {
                copy.push(entry.clone());
            }
            copy
        })
    }

    /// The entries as the holder sees them.
    fn entries(&self) -> &[Entry] {
        match (&self.staged, &self.current) {
            (Some(staged), _) => staged,
            (None, Some(current)) => current,
            (None, None) => &[],
        }
    }
}

fn pending(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| !entry.fence.is_signaled())
}

impl<C: PublishedCell> Counted<C> {
    #[cold]
    fn count_retry(&self) {
        // Relaxed: only reported.
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
}

impl<C: PublishedCell> Default for Counted<C> {
    fn default() -> Self {
        Counted {
            published: C::default(),
            holder: HolderCell::default(),
            retries: AtomicU64::new(0),
        }
    }
}

impl<C: PublishedCell> Backend for Counted<C> {
    type Snapshot = Snapshot<ArrayRef>;

    fn name(&self) -> &'static str {
        C::NAME
    }

    fn object_lock(&self) -> &ObjectLock {
        self.holder.lock()
    }

    fn reserve(&self, held: &mut LockProof<'_>, room: Budget) -> Result<(), ReserveError> {
        self.holder.get_mut(held).reserve(room)?;
        self.published.prepare(room.publishes);
        Ok(())
    }

    fn edit(
        &self,
        held: &mut LockProof<'_>,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let writer = self.holder.get_mut(held);
        // Both panics come before anything is changed.
        let adds = writer
            .adds
            .checked_sub(usize::from(add.is_some()))
            .expect("no room is reserved for this add");
        let staged = writer.stage();
        staged.retain(|entry| !removes(entry.key()));
        if let Some(entry) = add {
            staged.push(entry);
        }
        writer.adds = adds;
    }

    fn publish(&self, held: &mut LockProof<'_>) {
        let writer = self.holder.get_mut(held);
        let Some(staged) = writer.staged.take() else {
            return;
        };
        let new = (!staged.is_empty()).then_some(staged);
        if new.is_none() && writer.current.is_none() {
            return;
        }
        writer.current = self.published.publish(new);
    }

    fn unreserve(&self, held: &mut LockProof<'_>) {
        let writer = self.holder.get_mut(held);
        writer.spares = List::default();
        writer.spare_capacity = 0;
        writer.adds = 0;
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        pending(self.holder.get(held).entries())
            .map(EntryRef::from)
            .fold(init, f)
    }

    #[inline]
    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError> {
        Ok(Snapshot(self.published.read(|array| array.cloned())))
    }

    fn visit<A>(&self, usages: UsageSet, init: A, mut f: impl FnMut(A, Key) -> A) -> A {
        let (array, marks) = loop {
            let Some(array) = self.published.read(|array| array.cloned()) else {
                return init;
            };
            let marks = Marks::of_pending(&array, usages);
            // If the array is still published after the last test, and what was pending then still
            // is, this is the instant: the marks say of every entry what was true at it, since a
            // fence that has signalled stays signalled.
            if self.published.is_current(&array) && marks.still_pending(&array) {
                break (array, marks);
            }
            self.count_retry();
        };
        marks.fold(&array, init, |acc, entry| f(acc, entry.key()))
    }

    #[inline]
    fn is_idle(&self, usages: UsageSet) -> bool {
        loop {
            let answer = self.published.read(|array| match array {
                None => Some(true),
                // It was pending when the pointer was loaded, too.
                Some(array) if pending_in(array, usages).next().is_some() => Some(false),
                // All had signalled by now; it counts if the array is still the published one.
                Some(array) => self.published.is_current(array).then_some(true),
            });
            match answer {
                Some(idle) => return idle,
                None => self.count_retry(),
            }
        }
    }

    fn counters(&self) -> Counters {
        Counters {
            retries: self.retries.load(Ordering::Relaxed),
            fallbacks: 0,
        }
    }

    fn garbage(&self) -> Garbage {
        C::garbage()
    }

    fn reset_garbage_peak(&self) {
        C::reset_garbage_peak();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
