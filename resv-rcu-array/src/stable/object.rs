//! The object: how readers ask. All safe code.

use super::writer;
use crate::marks::Marks;
use crate::raw::stable::{ArrayCell, ArrayRef, Head, Keys, Life, Object, Protocol};
use crate::snapshot::{Snapshot, pending_in};
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, Key, LockProof, ObjectLock, ReserveError, UsageSet,
};
use resv_sync::hint::spin_loop;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;

/// A reservation object in type-stable arrays.
pub struct StableObject<P: Protocol> {
    raw: Object,
    protocol: PhantomData<P>,
}

/// A visit of at most as many entries takes no reference.
const INLINE: usize = if cfg!(loom) { 2 } else { 64 };

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
        self.second_look(cell, life).then_some(result)
    }

    /// Whether what was read since `life` was noted is of the array that is published.
    #[inline]
    fn second_look(&self, cell: ArrayCell, life: Life) -> bool {
        // The one at the pointer comes before the one at the life: see the module.
        (!P::SECOND_LOOK || self.raw.head().leads_to(cell)) && (!P::LIFE || cell.still_lives(life))
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
    // Always: as a call, with its answer in memory, it costs as much as all else.
    #[inline(always)]
    fn acquire_at(&self, cell: ArrayCell) -> Option<(ArrayRef, Head)> {
        let array = ArrayRef::acquire(cell)?;
        let now = self.raw.head();
        (!P::SECOND_LOOK || now.leads_to(cell)).then_some((array, now))
    }

    /// [`is_idle`](Backend::is_idle) where the marks do not say it: looks at the first fence that is not
    /// known to have signalled.
    #[inline(never)]
    fn is_idle_unmarked(&self, head: Head, usages: UsageSet) -> bool {
        if let Some(cell) = head.cell()
            && let Some(life) = cell.note()
            && cell.is_pending_at(cell.likely_pending(), usages)
            && self.second_look(cell, life)
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

    /// [`visit`](Backend::visit) where the marks do not say that there is nothing to show.
    #[inline(never)]
    fn fold_unmarked<A>(
        &self,
        mut head: Head,
        usages: UsageSet,
        init: A,
        f: impl FnMut(A, Key) -> A,
    ) -> A {
        let mut keys = Keys::<INLINE>::new();
        while let Some(cell) = head.cell() {
            let may_fit = cell.len() <= INLINE;
            match self.look_twice(cell, |_| may_fit && keys.fill(pending_keys(cell, usages))) {
                Some(true) => return keys.as_slice().iter().copied().fold(init, f),
                Some(false) => return self.fold_owned(usages, init, f),
                None => self.count_retry(),
            }
            head = self.raw.head();
        }
        init
    }

    /// [`visit`](Backend::visit) with a reference, for arrays that are not small.
    #[inline(never)]
    fn fold_owned<A>(&self, usages: UsageSet, init: A, mut f: impl FnMut(A, Key) -> A) -> A {
        loop {
            let Some((array, _)) = self.acquire() else {
                return init;
            };
            let marks = Marks::of_pending(&array, usages);
            // What was not marked had signalled by now; it counts if the array is still published.
            if self.raw.head().leads_to(array.cell()) {
                return marks.fold(&array, init, |acc, entry| f(acc, entry.key()));
            }
            self.count_retry();
        }
    }
}

/// The keys of the pending entries with a usage in `usages`, for a reader without a reference.
#[inline]
fn pending_keys(cell: ArrayCell, usages: UsageSet) -> impl Iterator<Item = Key> {
    cell.read(0)
        .filter(move |&(fence, usage)| usages.contains(usage) && fence.is_pending())
        .map(|(fence, usage)| {
            let (timeline, seqno) = fence.key_parts();
            Key {
                timeline,
                seqno,
                usage,
            }
        })
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
    if first > from {
        // If the life has ended meanwhile, nobody will believe it.
        cell.note_signaled(life, first, hint);
    }
    found
}

impl<P: Protocol> Backend for StableObject<P> {
    type Snapshot = Snapshot<ArrayRef>;

    fn name(&self) -> &'static str {
        "rcu-array"
    }

    #[inline]
    fn object_lock(&self) -> &ObjectLock {
        self.raw.lock()
    }

    #[inline]
    fn reserve(&self, held: &mut LockProof<'_>, room: Budget) -> Result<(), ReserveError> {
        writer::reserve(self.raw.holder(held), room)
    }

    fn edit(&self, held: &mut LockProof<'_>, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        writer::edit(self.raw.holder(held), removes, add);
    }

    fn edit_and_publish(
        &self,
        held: &mut LockProof<'_>,
        removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        writer::edit_and_publish::<P>(&self.raw, held, removes, add);
    }

    #[inline]
    fn publish(&self, held: &mut LockProof<'_>) {
        writer::publish::<P>(&self.raw, held);
    }

    #[inline]
    fn unreserve(&self, held: &mut LockProof<'_>) {
        writer::unreserve(self.raw.holder(held));
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        let entries = match self.raw.spares(held).staged() {
            Some(staged) => staged,
            None => self.raw.current(held),
        };
        pending_in(entries, UsageSet::ALL)
            .map(EntryRef::from)
            .fold(init, f)
    }

    #[inline]
    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError> {
        Ok(Snapshot(self.acquire().map(|(array, _)| array)))
    }

    #[inline]
    fn visit<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        let head = self.raw.head();
        if head.marks(usages) {
            return init;
        }
        self.fold_unmarked(head, usages, init, f)
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
