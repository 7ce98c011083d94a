//! The back end: the object, and what the holder of its lock does. What readers do is in `reader.rs`.

use crate::counter::{Counter, Defect, UsageMask};
use crate::garbage;
use crate::one_change::OneChange;
use crate::planned::{Planned, PlannedChange};
use crate::raw::{NewTable, Table, Tables, WriterCell};
use crate::turns::Turns;
use crate::writer::Writer;
use resv_core::backend::prepare_in_steps;
use resv_core::fence::cell::FenceCell;
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, Fence, FenceError, Garbage, Key, LockProof,
    ObjectLock, Plan, Removes, ReserveError, Usage, UsageSet,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// The legacy back end. See the [crate](crate) for how it works.
#[derive(Debug, Default)]
pub struct Seqcount {
    lock: ObjectLock,
    /// In the object itself: a test of an idle object looks at nothing else.
    pub(crate) counter: Counter,
    pub(crate) tables: Tables<Side>,
}

// An empty object is small and owns no memory. (The lock is larger with `resv-core`'s checks.)
#[cfg(all(target_pointer_width = "64", not(any(test, loom, shuttle))))]
const _: () = assert!(size_of::<Seqcount>() == size_of::<ObjectLock>() + 24);

/// What an object that never had a reservation does without, and what readers touch only when they
/// were overtaken.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// Of readers that are overtaken each time.
    pub(crate) turns: Turns,
    writer: WriterCell,
    // Statistics of the slow paths; no protocol reads them.
    pub(crate) retries: AtomicU64,
    pub(crate) fallbacks: AtomicU64,
}

impl Seqcount {
    /// Known-bad: readers do not look at the word again.
    #[cfg(shuttle)]
    #[doc(hidden)]
    pub fn that_skips_validation() -> Seqcount {
        Seqcount::with(crate::counter::Seam::planted(Defect::SkipsValidation))
    }

    /// Known-bad: each entry is published in a section of its own.
    #[cfg(shuttle)]
    #[doc(hidden)]
    pub fn that_opens_many_sections() -> Seqcount {
        Seqcount::with(crate::counter::Seam::planted(Defect::ManySections))
    }

    /// An object that does something wrong.
    #[cfg(any(test, shuttle))]
    pub(crate) fn with(seam: crate::counter::Seam) -> Seqcount {
        let mut object = Seqcount::default();
        object.counter.seam = seam;
        object
    }

    /// How many slots the object has.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn capacity(&self) -> usize {
        self.tables.current().map_or(0, |table| table.capacity())
    }

    /// The side and the table, for the holder of the lock, if there was a reservation yet.
    #[inline]
    fn held(&self, held: &LockProof<'_>) -> Option<(&Side, Table<'_>)> {
        assert!(
            held.is_for(&self.lock),
            "the lock of another object is held"
        );
        self.tables.held()
    }

    /// The same where there was one.
    #[inline]
    fn reserved(&self, held: &LockProof<'_>) -> (&Side, Table<'_>) {
        self.held(held).expect("an edit needs a reservation")
    }

    /// Publishes what is staged.
    #[inline(never)]
    fn publish_staged(
        &self,
        side: &Side,
        table: Table<'_>,
        writer: &mut Writer,
        leaves: UsageMask,
    ) {
        if !self.counter.seam.has(Defect::ManySections)
            && let Some(change) = writer.take_one_change(table)
        {
            drop(self.publish_one(side, &change));
        } else {
            self.publish_many(side, table, writer, leaves);
        }
    }

    /// Publishes one change that is not staged; the fence that it removed, to be dropped now that no section
    /// is open (B5).
    #[inline(always)]
    fn publish_one(&self, side: &Side, change: &OneChange<'_>) -> Option<Fence> {
        let section = self.counter.open(&side.turns, change.leaves);
        change.apply(self.counter.seam);
        drop(section);
        change.old.map(|(cell, _)| Fence::from_cell(cell))
    }

    /// Publishes what is more than one change.
    #[inline(never)]
    fn publish_many(&self, side: &Side, table: Table<'_>, writer: &mut Writer, leaves: UsageMask) {
        let seam = self.counter.seam;
        let mut section = Some(self.counter.open(&side.turns, leaves));
        writer.apply(table, seam, || {
            if seam.has(Defect::ManySections) {
                // The known-bad variant: readers may come in between two entries.
                drop(section.take());
                // Long enough for them on a machine that does a lot else, too.
                resv_sync::thread::yield_now();
                section = Some(self.counter.open(&side.turns, UsageMask::ALL));
            }
        });
        drop(section);
        writer.drop_removed(table);
    }

    /// Makes the edit that was planned, with a reference of the fence in `cell`. What is more than one change, and
    /// all that is rare, is a function by itself.
    #[inline(always)]
    fn commit_planned(
        &self,
        held: &mut LockProof<'_>,
        plan: Planned,
        cell: &'static FenceCell,
        usage: Usage,
    ) -> Option<Fence> {
        let (side, table) = self.reserved(held);
        let writer = side.writer.get_mut(&self.lock, held);
        let seam = self.counter.seam;
        match PlannedChange::of(table, plan, usage) {
            Some(change) if change.is_one(cell) && !side.turns.are_taken(seam) => {
                writer.unreserve();
                writer.takes(&change);
                let section = self.counter.open_at_once(change.leaves);
                change.apply((cell, usage), seam);
                drop(section);
                change.gone()
            }
            _ => self.commit_many(held, plan, cell, usage),
        }
    }

    /// The same of several slots, of entries that have failed, and in a reader's turn.
    #[inline(never)]
    fn commit_many(
        &self,
        held: &mut LockProof<'_>,
        plan: Planned,
        cell: &'static FenceCell,
        usage: Usage,
    ) -> Option<Fence> {
        let (side, table) = self.reserved(held);
        let writer = side.writer.get_mut(&self.lock, held);
        let change = PlannedChange::of(table, plan, usage).expect("the look found a slot");
        writer.unreserve();
        let section = self.counter.open(&side.turns, change.leaves);
        writer.apply_planned(&change, (cell, usage), self.counter.seam);
        drop(section);
        let gone = change.gone();
        writer.drop_removed(table);
        gone
    }

    /// An edit that was not planned.
    #[inline(never)]
    fn commit_in_steps(
        &self,
        held: &mut LockProof<'_>,
        removes: impl FnMut(Key) -> bool,
        add: Entry,
    ) -> Option<Fence> {
        self.edit_and_publish(held, removes, Some(add));
        self.unreserve(held);
        None
    }

    /// Makes the table larger, for `adds` more entries.
    #[cold]
    #[inline(never)]
    fn grow(
        &self,
        side: &Side,
        table: Table<'_>,
        writer: &mut Writer,
        adds: usize,
    ) -> Result<(), ReserveError> {
        let capacity = writer.prepare(table, adds)?;
        let new = NewTable::with_capacity(capacity).map_err(|_| ReserveError::new(adds))?;
        let present = writer.fill(new.table(), table, self.counter.seam);
        if !table.is_first() {
            garbage::retire();
        }
        let section = self.counter.open(&side.turns, present);
        let table = self.tables.push(new);
        drop(section);
        // Signalled fences that the new table left behind, dropped with no section open (B5).
        writer.drop_removed(table);
        Ok(())
    }
}

impl Backend for Seqcount {
    type Snapshot = Vec<Entry>;

    fn name(&self) -> &'static str {
        "seqcount"
    }

    fn object_lock(&self) -> &ObjectLock {
        &self.lock
    }

    #[inline]
    fn reserve(&self, held: &mut LockProof<'_>, room: Budget) -> Result<(), ReserveError> {
        let (side, table) = match self.held(held) {
            Some(both) => both,
            None => {
                let both = self.tables.init(Side::default());
                both.map_err(|_| ReserveError::new(room.adds))?
            }
        };
        let writer = side.writer.get_mut(&self.lock, held);
        if !writer.has_memory(table, room.adds) {
            self.grow(side, table, writer, room.adds)?;
        }
        writer.admit(room);
        Ok(())
    }

    fn edit(&self, held: &mut LockProof<'_>, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        let (side, table) = self.reserved(held);
        let writer = side.writer.get_mut(&self.lock, held);
        writer.edit(table, self.counter.seam, removes, add);
    }

    fn append(&self, held: &mut LockProof<'_>, entries: impl ExactSizeIterator<Item = Entry>) {
        let (side, table) = self.reserved(held);
        let writer = side.writer.get_mut(&self.lock, held);
        writer.append(table, self.counter.seam, entries);
    }

    #[inline]
    fn overwrite(&self, held: &mut LockProof<'_>) {
        if let Some((side, table)) = self.held(held) {
            side.writer.get_mut(&self.lock, held).overwrite(table);
        }
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        let (side, table) = self.held(held)?;
        side.writer.get(&self.lock, held).failure(table, usages)
    }

    #[inline]
    fn publish(&self, held: &mut LockProof<'_>) {
        let Some((side, table)) = self.held(held) else {
            return;
        };
        let writer = side.writer.get_mut(&self.lock, held);
        if let Some(leaves) = writer.staged() {
            self.publish_staged(side, table, writer, leaves);
        }
    }

    fn edit_and_publish(
        &self,
        held: &mut LockProof<'_>,
        removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let (side, table) = self.reserved(held);
        let writer = side.writer.get_mut(&self.lock, held);
        let seam = self.counter.seam;
        if seam.has(Defect::ManySections) {
            writer.edit(table, seam, removes, add);
        } else if let Some(change) = writer.edit_once(table, seam, removes, add) {
            drop(self.publish_one(side, &change));
            return;
        }
        if let Some(leaves) = writer.staged() {
            self.publish_many(side, table, writer, leaves);
        }
    }

    #[inline]
    fn unreserve(&self, held: &mut LockProof<'_>) {
        if let Some((side, _)) = self.held(held) {
            side.writer.get_mut(&self.lock, held).unreserve();
        }
    }

    #[inline]
    fn finish(&self, held: &mut LockProof<'_>) {
        if let Some((side, table)) = self.held(held) {
            let writer = side.writer.get_mut(&self.lock, held);
            if let Some(leaves) = writer.staged() {
                self.publish_staged(side, table, writer, leaves);
            }
            writer.unreserve();
        }
    }

    #[inline(always)]
    fn prepare(
        &self,
        held: &mut LockProof<'_>,
        usages: UsageSet,
        see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
        removes: impl Removes,
    ) -> Result<Plan, ReserveError> {
        if !self.counter.seam.has(Defect::ManySections)
            && let Some((side, table)) = self.held(held)
        {
            let writer = side.writer.get_mut(&self.lock, held);
            if writer.can_look(table) {
                return writer.look(table, usages, see, removes.predicate());
            }
        }
        prepare_in_steps(self, held, usages, see)
    }

    #[inline]
    fn commit(
        &self,
        held: &mut LockProof<'_>,
        plan: Plan,
        removes: impl Removes,
        add: Entry,
    ) -> Option<Fence> {
        match Planned::of_plan(plan) {
            Some(plan) => self.commit_planned(held, plan, add.fence.into_cell(), add.usage),
            None => self.commit_in_steps(held, removes.predicate(), add),
        }
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        match self.held(held) {
            None => init,
            Some((side, table)) => side.writer.get(&self.lock, held).visit(table, init, f),
        }
    }

    #[inline]
    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError> {
        let word = self.word();
        if word.says_idle(UsageSet::ALL) {
            return Ok(Vec::new());
        }
        match self.snapshot_pending(word) {
            Some(found) => found.into_vec(),
            None => self.snapshot_again(),
        }
    }

    #[inline]
    fn visit<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        let word = self.word();
        if word.says_idle(usages) {
            return init;
        }
        self.visit_pending(word, usages, init, f)
    }

    #[inline]
    fn is_idle(&self, usages: UsageSet) -> bool {
        let word = self.word();
        word.says_idle(usages) || self.scan(word, usages)
    }

    fn counters(&self) -> Counters {
        self.tables
            .side()
            .map_or(Counters::default(), |side| Counters {
                retries: side.retries.load(Ordering::Relaxed),
                fallbacks: side.fallbacks.load(Ordering::Relaxed),
            })
    }

    fn garbage(&self) -> Garbage {
        garbage::now()
    }

    fn reset_garbage_peak(&self) {
        garbage::reset_peak();
    }
}

impl Drop for Seqcount {
    fn drop(&mut self) {
        garbage::free(self.tables.retired());
        let table = self.tables.current();
        // Behind those in use: what was staged and never published.
        let owned = table.map(|table| table.used().iter().chain(table.behind()));
        for slot in owned.into_iter().flatten() {
            if let Some((cell, _)) = slot.load() {
                drop(Fence::from_cell(cell));
            }
        }
    }
}
