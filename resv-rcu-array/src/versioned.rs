//! The default flavour: how readers ask. All safe code; the protocol and its proof are in
//! [`proof`](crate::proof).

use crate::raw::{CellRef, Defect, Head, Life, Object, Published, key};
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, EntrySet, Fence, FenceError, Key, LockProof,
    ObjectLock, Plan, Removes, ReserveError, UsageSet,
};
use resv_sync::hint::spin_loop;
use std::fmt;
use std::sync::atomic::Ordering;

/// A reservation object whose entries are appended to type-stable cells.
#[derive(Default)]
pub struct Versioned {
    raw: Object,
}

impl Versioned {
    #[cfg(test)]
    pub(crate) fn with_defect(defect: Defect) -> Self {
        let mut object = Versioned::default();
        object.raw.defect = crate::raw::Seam::planted(defect);
        object
    }

    /// Has the next test look where nothing is first.
    #[cfg(all(test, loom))]
    pub(crate) fn look_elsewhere(&self) {
        if let Some(seen) = self.raw.published(self.raw.head()) {
            seen.cell().set_look(u32::MAX);
        }
    }

    /// The first half of a test: what it notes.
    #[cfg(all(test, loom))]
    pub(crate) fn begin_test(&self) -> Option<(Published, Life)> {
        let seen = self.raw.published(self.raw.head())?;
        Some((seen, seen.cell().note()?))
    }

    #[cold]
    fn count_retry(&self) {
        // Relaxed: only reported.
        self.raw.retries.fetch_add(1, Ordering::Relaxed);
        // The publisher that came between may still be at it; in a model, the reader sees it now.
        spin_loop();
    }

    /// Whether what was read of `seen` since `life` was noted is what is published.
    #[inline]
    fn second_look(&self, seen: Published, life: Life) -> bool {
        // The one at the head comes before the one at the life: see the proof.
        (self.raw.has(Defect::NoSecondLook) || self.raw.head().is_same_publication(seen.head()))
            && self.still_lives(seen, life)
    }

    #[inline]
    fn still_lives(&self, seen: Published, life: Life) -> bool {
        self.raw.has(Defect::NoLife) || seen.cell().still_lives(life)
    }

    /// A reference to what is published; `None` for an object in which nothing is pending.
    #[inline]
    fn acquire(&self) -> Option<CellRef> {
        let head = self.raw.head();
        if head.says_idle(UsageSet::ALL) {
            return None;
        }
        match self.raw.acquire(self.raw.published(head)?) {
            Ok(cell) => Some(cell),
            Err(stale) => self.acquire_again(stale),
        }
    }

    #[cold]
    #[inline(never)]
    fn acquire_again(&self, mut stale: CellRef) -> Option<CellRef> {
        loop {
            drop(stale);
            self.count_retry();
            let head = self.raw.head();
            if head.says_idle(UsageSet::ALL) {
                return None;
            }
            match self.raw.acquire(self.raw.published(head)?) {
                Ok(cell) => return Some(cell),
                Err(again) => stale = again,
            }
        }
    }

    /// [`is_idle`](Backend::is_idle) where the idle bits do not say it: looks first at the entry that the
    /// last test found pending.
    #[inline]
    fn is_idle_by_looking(&self, head: Head, usages: UsageSet) -> bool {
        if let Some(seen) = self.raw.published(head)
            && let Some(life) = seen.cell().note()
            && seen.is_pending_at(seen.cell().look(), usages)
            // The second look, at the whole word: new idle bits are as rare as a new publication.
            && (self.raw.has(Defect::NoSecondLook) || self.raw.head() == head)
            && self.still_lives(seen, life)
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
            let seen = match self.raw.published(head) {
                Some(seen) if !head.says_idle(usages) => seen,
                _ => return true,
            };
            if let Some(life) = seen.cell().note()
                && let Some(is_idle) = self.end_test((seen, life), usages)
            {
                return is_idle;
            }
            self.count_retry();
        }
    }

    /// What follows when head and life are noted: whether nothing is pending; `None` if what was read may be of
    /// several sets.
    #[inline]
    pub(crate) fn end_test(
        &self,
        (seen, life): (Published, Life),
        usages: UsageSet,
    ) -> Option<bool> {
        let found = seen.find_pending(seen.cell().below(), usages);
        if !self.second_look(seen, life) {
            return None;
        }
        match found {
            Some(at) => seen.cell().set_look(at),
            None => self.set_idle(seen.head(), usages),
        }
        Some(found.is_none())
    }

    /// Sets idle bits after all entries with these usages were found signalled, so that the next test is
    /// one load.
    #[cold]
    #[inline(never)]
    fn set_idle(&self, seen: Head, usages: UsageSet) {
        if self.raw.has(Defect::IdleBitsUnowned) {
            self.raw.set_idle(seen, usages);
        } else if let Some(cell) = self.acquire()
            && let published = cell.published()
            && published.find_pending(cell.from(), usages).is_none()
        {
            self.raw.set_idle(published.head(), usages);
        }
    }

    /// [`visit`](Backend::visit) where the idle bits of `head` do not say that there is nothing to show.
    #[inline(never)]
    fn visit_by_looking<A>(
        &self,
        head: Head,
        usages: UsageSet,
        init: A,
        mut f: impl FnMut(A, Key) -> A,
    ) -> A {
        let Some(seen) = self.raw.published(head) else {
            return init;
        };
        let cell = match self.raw.acquire(seen) {
            Ok(cell) => cell,
            Err(stale) => return self.visit_again(stale, usages, init, f),
        };
        let (acc, shown) = walk(&cell, usages, init, &mut f);
        if shown || self.is_published(&cell) {
            return cell.give_up(acc);
        }
        self.visit_again(cell, usages, acc, f)
    }

    /// The visits after the first, which has shown nothing; `stale` is what it has counted.
    #[cold]
    #[inline(never)]
    fn visit_again<A>(
        &self,
        stale: CellRef,
        usages: UsageSet,
        init: A,
        mut f: impl FnMut(A, Key) -> A,
    ) -> A {
        self.count_retry();
        drop(stale);
        let mut acc = init;
        while let Some(cell) = self.acquire() {
            let shown;
            (acc, shown) = walk(&cell, usages, acc, &mut f);
            if shown || self.is_published(&cell) {
                break;
            }
            self.count_retry();
        }
        acc
    }

    /// Whether what the reference is to is published still.
    #[inline]
    fn is_published(&self, cell: &CellRef) -> bool {
        let head = cell.published().head();
        self.raw.head().is_same_publication(head)
    }
}

/// Shows `f` the keys of what is pending of a publication, and says whether there was anything. If there was
/// nothing, that is true of the instant of the walk if the set is published still after it (B2).
#[inline(always)]
fn walk<A>(
    cell: &CellRef,
    usages: UsageSet,
    init: A,
    f: &mut impl FnMut(A, Key) -> A,
) -> (A, bool) {
    let mut pending = cell.published().pending(cell.from(), usages);
    // The first by itself: there is no note to take of the others.
    let Some((fence, usage)) = pending.next() else {
        return (init, false);
    };
    let mut acc = f(init, key(fence, usage));
    for (fence, usage) in pending {
        acc = f(acc, key(fence, usage));
    }
    (acc, true)
}

/// The entries that were visible at one length of one cell.
///
/// It keeps their fences alive; some may have signalled meanwhile, or even before.
#[derive(Clone)]
pub struct Snapshot(Option<CellRef>);

impl EntrySet for Snapshot {
    #[inline]
    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.0.iter().flat_map(CellRef::iter)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Backend for Versioned {
    type Snapshot = Snapshot;

    fn name(&self) -> &'static str {
        "rcu-array"
    }

    #[inline]
    fn object_lock(&self) -> &ObjectLock {
        self.raw.lock()
    }

    #[inline(always)]
    fn prefetch(&self) {
        self.raw.prefetch();
    }

    #[inline]
    fn reserve(&self, held: &mut LockProof<'_>, budget: Budget) -> Result<(), ReserveError> {
        self.raw.holder(held).reserve(budget)
    }

    fn edit(&self, held: &mut LockProof<'_>, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        self.raw.holder(held).edit(removes, add);
    }

    fn edit_and_publish(
        &self,
        held: &mut LockProof<'_>,
        removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let mut holder = self.raw.holder(held);
        match add {
            Some(add) => holder.add_and_publish(removes, add),
            None => {
                holder.edit(removes, None);
                holder.publish();
            }
        }
    }

    fn append(&self, held: &mut LockProof<'_>, entries: impl ExactSizeIterator<Item = Entry>) {
        self.raw.holder(held).append(entries);
    }

    #[inline]
    fn overwrite(&self, held: &mut LockProof<'_>) {
        self.raw.holder(held).overwrite();
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        self.raw.failure(held, usages)
    }

    #[inline]
    fn publish(&self, held: &mut LockProof<'_>) {
        self.raw.holder(held).publish();
    }

    #[inline]
    fn unreserve(&self, held: &mut LockProof<'_>) {
        self.raw.holder(held).unreserve();
    }

    #[inline]
    fn finish(&self, held: &mut LockProof<'_>) {
        self.raw.holder(held).finish();
    }

    #[inline(always)]
    fn prepare(
        &self,
        held: &mut LockProof<'_>,
        usages: UsageSet,
        see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
        removes: impl Removes,
    ) -> Result<Plan, ReserveError> {
        self.raw.holder(held).prepare(usages, see, removes)
    }

    #[inline(always)]
    fn commit(
        &self,
        held: &mut LockProof<'_>,
        plan: Plan,
        removes: impl Removes,
        add: Entry,
    ) -> Option<Fence> {
        self.raw.holder(held).commit(plan, removes, add)
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        self.raw.visit_held(held, init, f)
    }

    #[inline]
    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError> {
        Ok(Snapshot(self.acquire()))
    }

    #[inline]
    fn visit<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        let head = self.raw.head();
        if head.says_idle(usages) {
            return init;
        }
        self.visit_by_looking(head, usages, init, f)
    }

    #[inline]
    fn is_idle(&self, usages: UsageSet) -> bool {
        // Idle bits are an answer by themselves; an object without a cell has them all.
        let head = self.raw.head();
        head.says_idle(usages) || self.is_idle_by_looking(head, usages)
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
