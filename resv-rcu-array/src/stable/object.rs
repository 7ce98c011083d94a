//! The object: how readers ask. All safe code.

use super::writer;
use crate::marks::Marks;
use crate::raw::stable::{ArrayCell, ArrayRef, Head, Life, Object, Protocol};
use crate::snapshot::{Snapshot, pending_in};
use crate::sync::spin_loop;
use arrayvec::ArrayVec;
use resv_core::{Backend, Counters, Entry, Held, Key, ObjectLock, ReserveError, Room, UsageSet};
use std::marker::PhantomData;
use std::sync::atomic::Ordering;

/// A reservation object in type-stable arrays.
pub struct StableObject<P: Protocol> {
    raw: Object,
    protocol: PhantomData<P>,
}

/// A visit of at most as many entries takes no reference.
const INLINE: usize = if cfg!(loom) { 2 } else { 32 };

/// A test that began with as many signalled fences notes how many.
const HINT: usize = if cfg!(any(loom, shuttle)) { 1 } else { 8 };

impl<P: Protocol> Default for StableObject<P> {
    fn default() -> Self {
        StableObject {
            raw: Object::default(),
            protocol: PhantomData,
        }
    }
}

impl<P: Protocol> StableObject<P> {
    #[cold]
    fn count_retry(&self) {
        // Relaxed: only reported.
        self.raw.retries.fetch_add(1, Ordering::Relaxed);
        // Whoever published in between may still be at it; in a model, the reader sees it now.
        spin_loop();
    }

    /// Reads the array in `cell` with `read`, and returns the result if that array was published when
    /// `read` had ended.
    #[inline]
    fn look_twice<T>(&self, cell: ArrayCell, read: impl FnOnce(Life) -> T) -> Option<T> {
        let life = cell.note()?;
        let result = read(life);
        // The second look at the pointer comes before the one at the life: see the module.
        let is_published = !P::SECOND_LOOK || self.raw.head().cell() == Some(cell);
        let is_the_same = !P::LIFE || cell.still_lives(life);
        (is_published && is_the_same).then_some(result)
    }

    /// A reference to the published array, and the pointer that leads to it; `None` for an object in
    /// which nothing is pending.
    #[inline]
    fn acquire(&self) -> Option<(ArrayRef, Head)> {
        loop {
            let head = self.raw.head();
            if head.marks(UsageSet::ALL) {
                return None;
            }
            let acquired = self.acquire_at(head.cell()?);
            if acquired.is_some() {
                return acquired;
            }
            self.count_retry();
        }
    }

    /// The same, for a reader to whom the pointer led to `cell`; `None` if it does not any more, or
    /// there is no array.
    #[inline]
    fn acquire_at(&self, cell: ArrayCell) -> Option<(ArrayRef, Head)> {
        let array = ArrayRef::acquire(cell)?;
        let now = self.raw.head();
        (!P::SECOND_LOOK || now.cell() == Some(cell)).then_some((array, now))
    }

    /// [`is_idle`](Backend::is_idle) where the marks do not say it: looks at the first fence that is not
    /// known to have signalled.
    #[inline(never)]
    fn is_idle_unmarked(&self, head: Head, usages: UsageSet) -> bool {
        if let Some(cell) = head.cell()
            && let Some(true) = self.look_twice(cell, |life| {
                let at = match cell.len() {
                    ..=HINT => 0,
                    _ => cell.signaled_prefix(life).0,
                };
                cell.is_pending_at(at, usages)
            })
        {
            return false;
        }
        self.is_idle_thoroughly(usages)
    }

    /// The same, for whatever is further behind, disturbed reads and the answer yes.
    #[cold]
    #[inline(never)]
    fn is_idle_thoroughly(&self, usages: UsageSet) -> bool {
        loop {
            let head = self.raw.head();
            let Some(cell) = head.cell().filter(|_| !head.marks(usages)) else {
                return true;
            };
            match self.look_twice(cell, |life| is_pending(cell, life, usages)) {
                Some(true) => return false,
                Some(false) => {
                    self.mark(head, usages);
                    return true;
                }
                None => self.count_retry(),
            }
        }
    }

    /// Marks `usages` after all entries with them were found signalled, so that the next test is one
    /// load.
    #[cold]
    #[inline(never)]
    fn mark(&self, seen: Head, usages: UsageSet) {
        if !P::MARKS_OWN {
            self.raw.mark::<P>(seen, usages);
        } else if let Some((array, head)) = self.acquire()
            && pending_in(&array, usages).next().is_none()
        {
            self.raw.mark::<P>(head, usages);
        }
    }

    /// [`fold`](Backend::fold) with a reference, for arrays that are not small.
    #[inline(never)]
    fn fold_owned<A>(&self, usages: UsageSet, init: A, mut f: impl FnMut(A, Key) -> A) -> A {
        loop {
            let Some((array, _)) = self.acquire() else {
                return init;
            };
            let marks = Marks::of_pending(&array, usages);
            // What was not marked had signalled by now; it counts if the array is still published.
            if self.raw.head().cell() == Some(array.cell()) {
                return marks.fold(&array, init, |acc, entry| f(acc, entry.key()));
            }
            self.count_retry();
        }
    }
}

/// Whether an entry with a usage in `usages` is pending, for a reader without a reference: begins behind
/// those that are known to have signalled, and notes how many those are.
fn is_pending(cell: ArrayCell, life: Life, usages: UsageSet) -> bool {
    let (from, hint) = cell.signaled_prefix(life);
    let mut first = from;
    let mut rest = cell.read(from);
    let found = loop {
        match rest.next() {
            None => break false,
            Some((fence, usage)) if fence.is_pending() => {
                break usages.contains(usage)
                    || rest.any(|(fence, usage)| usages.contains(usage) && fence.is_pending());
            }
            Some(_) => first += 1,
        }
    };
    if first >= from + HINT {
        // If the life has ended meanwhile, nobody will believe it.
        cell.note_signaled(life, first, hint);
    }
    found
}

impl<P: Protocol> Backend for StableObject<P> {
    const NAME: &'static str = "rcu-array";
    type Snapshot = Snapshot<ArrayRef>;

    #[inline]
    fn object_lock(&self) -> &ObjectLock {
        self.raw.lock()
    }

    fn reserve(&self, held: &mut Held<'_>, room: Room) -> Result<(), ReserveError> {
        writer::reserve(self.raw.holder(held), room)
    }

    fn edit(&self, held: &mut Held<'_>, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        writer::edit(self.raw.holder(held), removes, add);
    }

    fn publish(&self, held: &mut Held<'_>) {
        writer::publish::<P>(&self.raw, held);
    }

    fn unreserve(&self, held: &mut Held<'_>) {
        writer::unreserve(self.raw.holder(held));
    }

    fn fold_held<A>(&self, held: &Held<'_>, init: A, f: impl FnMut(A, &Entry) -> A) -> A {
        let entries = match self.raw.spares(held).staged() {
            Some(staged) => staged,
            None => self.raw.current(held),
        };
        pending_in(entries, UsageSet::ALL).fold(init, f)
    }

    #[inline]
    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError> {
        Ok(Snapshot(self.acquire().map(|(array, _)| array)))
    }

    #[inline]
    fn fold<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        let mut keys = ArrayVec::<Key, INLINE>::new();
        loop {
            let head = self.raw.head();
            let Some(cell) = head.cell().filter(|_| !head.marks(usages)) else {
                return init;
            };
            let is_small = self.look_twice(cell, |_| {
                if cell.len() > INLINE {
                    return false;
                }
                cell.for_each_pending(usages, |fence, usage| {
                    // Full: not the array whose length was looked at.
                    if !keys.is_full() {
                        let (timeline, seqno) = fence.key_parts();
                        keys.push(Key {
                            timeline,
                            seqno,
                            usage,
                        });
                    }
                });
                true
            });
            match is_small {
                // Not `into_iter`, which moves the whole buffer.
                Some(true) => return keys.iter().copied().fold(init, f),
                Some(false) => return self.fold_owned(usages, init, f),
                None => keys.clear(),
            }
            self.count_retry();
        }
    }

    #[inline]
    fn is_idle(&self, usages: UsageSet) -> bool {
        // Marks are an answer by themselves; an empty object has them all.
        let head = self.raw.head();
        head.marks(usages) || self.is_idle_unmarked(head, usages)
    }

    fn counters(&self) -> Counters {
        Counters {
            retries: self.raw.retries.load(Ordering::Relaxed).into(),
            fallbacks: 0,
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
