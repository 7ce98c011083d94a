//! The default flavour: how readers ask. All safe code; the protocol and its proof are in
//! [`proof`](crate::proof).

use crate::raw::{Cell, CellRef, Defect, Head, Life, Object, is_pending, key};
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
        if let Some(cell) = self.raw.cell(self.raw.head()) {
            cell.set_look(u32::MAX);
        }
    }

    #[cold]
    fn count_retry(&self) {
        // Relaxed: only reported.
        self.raw.retries.fetch_add(1, Ordering::Relaxed);
        // Whoever published in between may still be at it; in a model, the reader sees it now.
        spin_loop();
    }

    /// Whether what was read at `head` since `life` was noted is what is published.
    #[inline]
    fn second_look(&self, cell: Cell, head: Head, life: Life) -> bool {
        // The one at the head comes before the one at the life: see the proof.
        (self.raw.has(Defect::NoSecondLook) || self.raw.head().is_same_publication(head))
            && (self.raw.has(Defect::NoLife) || cell.still_lives(life))
    }

    /// A reference to what is published, and the head that says so; `None` for an object in which nothing
    /// is pending.
    #[inline]
    fn acquire(&self) -> Option<(CellRef, Head)> {
        let head = self.raw.head();
        if head.says_idle(UsageSet::ALL) {
            return None;
        }
        self.raw.acquire(head).or_else(|| self.acquire_again())
    }

    #[cold]
    #[inline(never)]
    fn acquire_again(&self) -> Option<(CellRef, Head)> {
        loop {
            self.count_retry();
            let head = self.raw.head();
            if head.says_idle(UsageSet::ALL) {
                return None;
            }
            let acquired = self.raw.acquire(head);
            if acquired.is_some() {
                return acquired;
            }
        }
    }

    /// [`is_idle`](Backend::is_idle) where the idle bits do not say it: looks first at the entry that the
    /// last test found pending.
    #[inline(never)]
    fn is_idle_unmarked(&self, head: Head, usages: UsageSet) -> bool {
        if let Some(cell) = self.raw.cell(head)
            && let Some(life) = cell.note()
        {
            // Once: another reader may change it.
            let look = cell.look();
            let slot = cell.read_at(look);
            // A slot behind the length may be staged: it is no entry of this publication.
            if look < head.len()
                && head.bound().shows(slot)
                && let Some(fence) = slot.fence()
                && is_pending((fence, slot.usage()), usages)
                && self.second_look(cell, head, life)
            {
                return false;
            }
        }
        self.is_idle_thoroughly(usages)
    }

    /// The same, for whatever is further behind, disturbed reads and the answer yes.
    #[cold]
    #[inline(never)]
    fn is_idle_thoroughly(&self, usages: UsageSet) -> bool {
        loop {
            let head = self.raw.head();
            let cell = match self.raw.cell(head) {
                Some(cell) if !head.says_idle(usages) => cell,
                _ => return true,
            };
            if let Some(life) = cell.note() {
                let found = cell.find_pending(cell.below(), head, usages);
                if self.second_look(cell, head, life) {
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
        } else if let Some((cell, head)) = self.acquire()
            && cell
                .cell()
                .find_pending(cell.from(), head, usages)
                .is_none()
        {
            self.raw.set_idle(head, usages);
        }
    }

    /// [`visit`](Backend::visit) where the idle bits do not say that there is nothing to show.
    #[inline]
    fn visit_unmarked<A>(&self, usages: UsageSet, init: A, mut f: impl FnMut(A, Key) -> A) -> A {
        let mut acc = init;
        loop {
            let Some((cell, head)) = self.acquire() else {
                return acc;
            };
            let mut shown = false;
            for slot in cell.slots() {
                if let Some(fence) = slot.fence()
                    && is_pending((fence, slot.usage()), usages)
                {
                    shown = true;
                    acc = f(acc, key((fence, slot.usage())));
                }
            }
            // Nothing was pending, which is true of this instant if the set is published still (B2).
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
        Ok(Snapshot(self.acquire().map(|(cell, _)| cell)))
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
