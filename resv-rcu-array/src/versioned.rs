//! The default flavour: how readers ask. All safe code; the protocol and its proof are in
//! [`proof`](crate::proof).

use crate::raw::{CellRef, Defect, Head, Life, Object, Published, key};
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, EntrySet, Key, LockProof, ObjectLock, ReserveError,
    UsageSet,
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
            && (self.raw.has(Defect::NoLife) || seen.cell().still_lives(life))
    }

    /// A reference to what is published; `None` for an object in which nothing is pending.
    #[inline]
    fn acquire(&self) -> Option<CellRef> {
        let head = self.raw.head();
        if head.says_idle(UsageSet::ALL) {
            return None;
        }
        let acquired = self.raw.acquire(self.raw.published(head)?);
        acquired.or_else(|| self.acquire_again())
    }

    #[cold]
    #[inline(never)]
    fn acquire_again(&self) -> Option<CellRef> {
        loop {
            self.count_retry();
            let head = self.raw.head();
            if head.says_idle(UsageSet::ALL) {
                return None;
            }
            let acquired = self.raw.acquire(self.raw.published(head)?);
            if acquired.is_some() {
                return acquired;
            }
        }
    }

    /// [`is_idle`](Backend::is_idle) where the idle bits do not say it: looks first at the entry that the
    /// last test found pending.
    #[inline(never)]
    fn is_idle_unmarked(&self, head: Head, usages: UsageSet) -> bool {
        if let Some(seen) = self.raw.published(head)
            && let Some(life) = seen.cell().note()
            && seen.is_pending_at(seen.cell().look(), usages)
            && self.second_look(seen, life)
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
            let cell = seen.cell();
            if let Some(life) = cell.note() {
                let found = seen.find_pending(cell.below(), usages);
                if self.second_look(seen, life) {
                    match found {
                        Some(at) => cell.set_look(at),
                        None => self.set_idle(head, usages),
                    }
                    return found.is_none();
                }
            }
            self.count_retry();
        }
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

    /// [`visit`](Backend::visit) where the idle bits do not say that there is nothing to show.
    #[inline(never)]
    fn visit_unmarked<A>(&self, usages: UsageSet, init: A, mut f: impl FnMut(A, Key) -> A) -> A {
        let mut acc = init;
        loop {
            let Some(cell) = self.acquire() else {
                return acc;
            };
            let mut shown = false;
            for (fence, usage) in cell.entries() {
                if usages.contains(usage) && fence.is_pending() {
                    shown = true;
                    acc = f(acc, key(fence, usage));
                }
            }
            // Nothing was pending, which is true of this instant if the set is published still (B2).
            let head = cell.published().head();
            if shown || self.raw.head().is_same_publication(head) {
                return acc;
            }
            self.count_retry();
        }
    }
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
        holder.edit(removes, add);
        holder.publish();
    }

    fn append(&self, held: &mut LockProof<'_>, entries: Vec<Entry>) {
        self.raw.holder(held).append(entries);
    }

    #[inline]
    fn publish(&self, held: &mut LockProof<'_>) {
        self.raw.holder(held).publish();
    }

    #[inline]
    fn unreserve(&self, held: &mut LockProof<'_>) {
        self.raw.holder(held).unreserve();
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
        if self.raw.head().says_idle(usages) {
            return init;
        }
        self.visit_unmarked(usages, init, f)
    }

    #[inline]
    fn is_idle(&self, usages: UsageSet) -> bool {
        // Idle bits are an answer by themselves; an object without a cell has them all.
        let head = self.raw.head();
        head.says_idle(usages) || self.is_idle_unmarked(head, usages)
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
