//! The back end: what readers do, and what the holder of the object's lock does.

use crate::counter::{ATTEMPTS, Counter, Defect, UsageMask, Word};
use crate::garbage;
use crate::one_change::{OneChange, OnePlan};
use crate::raw::{NewTable, OnceBox, Picked, Tables, WriterCell, try_with_capacity};
use crate::slot::{Asked, Content, Slot};
use crate::writer::Writer;
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, Fence, FenceError, Garbage, Key, LockProof,
    ObjectLock, Plan, ReserveError, UsageSet,
};
use resv_sync::keys::{Keys, columns};
use resv_sync::sync::Mutex;
use std::alloc::{Layout, handle_alloc_error};
use std::sync::atomic::{AtomicU64, Ordering};

/// The legacy back end. See the [crate](crate) for how it works.
#[derive(Debug, Default)]
pub struct Seqcount {
    lock: ObjectLock,
    /// In the object itself: a test of an idle object looks at nothing else.
    counter: Counter,
    tables: Tables,
    side: OnceBox<Side>,
}

// An empty object is small and owns no memory. (The lock is larger with `resv-core`'s checks.)
#[cfg(all(target_pointer_width = "64", not(any(test, loom, shuttle))))]
const _: () = assert!(size_of::<Seqcount>() == size_of::<ObjectLock>() + 24);

/// What an object that never had a reservation does without, and what readers touch only when they
/// were overtaken.
#[derive(Debug, Default)]
struct Side {
    /// Held around each write section, and by readers that shut writers out.
    section: Mutex<()>,
    writer: WriterCell,
    // Statistics of the slow paths; no protocol reads them.
    retries: AtomicU64,
    fallbacks: AtomicU64,
}

/// Room for one add that is published by itself.
const ONE: Budget = Budget {
    adds: 1,
    publishes: 1,
};

/// How many keys a visit keeps on the stack.
#[cfg(not(any(loom, shuttle)))]
const KEYS: usize = 64;
/// Few, so that more are in reach of random schedules.
#[cfg(shuttle)]
const KEYS: usize = 1;
/// As many as the models have: what does not fit is read twice, which is too long for loom.
#[cfg(loom)]
const KEYS: usize = 2;

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

    #[inline]
    pub(crate) fn word(&self) -> Word {
        self.counter.load()
    }

    /// Reads with `attempt` until what it read is of one instant; says also at which word it was.
    /// The first attempt begins at `first`; `None`: there was one, which was overtaken.
    ///
    /// `attempt` sees slots that may change under it. It must not wait, and what it returns when it
    /// was overtaken is dropped. What it collects goes to `state`, which is empty when an attempt
    /// begins: `discard` empties it, with no lock held, so that it may drop fences.
    #[inline]
    pub(crate) fn read<S, T>(
        &self,
        first: Option<Word>,
        state: &mut S,
        mut attempt: impl FnMut(&mut S, &[Slot]) -> T,
        discard: impl Fn(&mut S),
    ) -> (T, Word) {
        if let Some(first) = first.filter(|first| self.counter.may_read(*first)) {
            let answer = attempt(state, self.tables.used());
            if self.counter.is_current(first) {
                return (answer, first);
            }
            discard(state);
        }
        self.read_again(state, &mut attempt, &discard)
    }

    /// The attempts after the first.
    #[cold]
    #[inline(never)]
    fn read_again<S, T>(
        &self,
        state: &mut S,
        attempt: &mut impl FnMut(&mut S, &[Slot]) -> T,
        discard: &impl Fn(&mut S),
    ) -> (T, Word) {
        self.counter.see_the_first_section();
        let side = self.side.get();
        let side = side.expect("the side is there before the first section is opened");
        for _ in 1..ATTEMPTS {
            side.retries.fetch_add(1, Ordering::Relaxed);
            let word = self.word();
            if !self.counter.may_read(word) {
                continue;
            }
            let answer = attempt(state, self.tables.used());
            if self.counter.is_current(word) {
                return (answer, word);
            }
            discard(state);
        }
        side.fallbacks.fetch_add(1, Ordering::Relaxed);
        let _no_writer = side.section.lock();
        let word = self.word();
        (attempt(state, self.tables.used()), word)
    }

    /// Collects with `pick` from every slot in use, at one instant, beginning at `first` as
    /// [`read`](Seqcount::read) does. Memory is got between attempts, never inside one.
    pub(crate) fn collect<T>(
        &self,
        first: Option<Word>,
        mut pick: impl FnMut(Content) -> Option<T>,
    ) -> Result<Vec<T>, ReserveError> {
        let mut word = first;
        // A hint, which is right if nobody edits the object.
        let mut wanted = self.tables.used().len();
        loop {
            let mut found = try_with_capacity(wanted)?;
            let room = found.capacity();
            let (used, _) = self.read(
                word,
                &mut found,
                |found, slots| {
                    if slots.len() <= room {
                        let contents = slots.iter().filter_map(Slot::load);
                        contents.filter_map(&mut pick).for_each(|t| found.push(t));
                    }
                    slots.len()
                },
                Vec::clear,
            );
            if used <= room {
                return Ok(found);
            }
            wanted = used;
            word = Some(self.word());
        }
    }

    /// [`snapshot`](Backend::snapshot) where the idle bits of `first` do not answer: the first attempt of
    /// `collect`, by itself. `None`: it was overtaken, or there is no memory.
    #[inline(never)]
    fn snapshot_pending(&self, first: Word) -> Option<Picked<Entry>> {
        if !self.counter.may_read(first) {
            return None;
        }
        let all = Asked::new(UsageSet::ALL);
        let found = Picked::of(self.tables.used(), |slot| slot.if_asked(all, owned_entry))?;
        if self.counter.is_current(first) {
            return Some(found);
        }
        // With no lock held, as it may drop fences.
        drop(found.into_vec());
        None
    }

    /// The attempts after the first.
    #[cold]
    #[inline(never)]
    fn snapshot_again(&self) -> Result<Vec<Entry>, ReserveError> {
        self.collect(None, owned_entry)
    }

    /// [`visit`](Backend::visit) where the idle bits of `first` do not answer.
    #[inline(never)]
    fn visit_pending<A>(
        &self,
        first: Word,
        usages: UsageSet,
        init: A,
        mut f: impl FnMut(A, Key) -> A,
    ) -> A {
        if !self.counter.may_read(first) {
            return self.visit_again(usages, init, f);
        }
        // The first attempt of `read`, by itself: what it collects is seen by nobody but `f`, so that what
        // `f` does not look at is not even collected.
        let asked = Asked::new(usages);
        let pick = |slot: &Slot| {
            slot.if_asked(asked, |(cell, usage)| {
                let (timeline, seqno) = cell.is_pending().then(|| cell.key_parts())?;
                Some((timeline, seqno, usage))
            })
        };
        let mut init = Some(init);
        let done = columns::<KEYS, _, _, _, _, _>(self.tables.used(), pick, |picked| {
            let init = self.counter.is_current(first).then(|| init.take())??;
            let keys = picked.rows().map(|(timeline, seqno, usage)| Key {
                timeline,
                seqno,
                usage,
            });
            Some(keys.fold(init, &mut f))
        });
        match (done, init) {
            (Some(Some(acc)), _) => acc,
            (Some(None), Some(init)) => self.visit_again(usages, init, f),
            (_, init) => self.visit_many(usages, init.expect("not shown yet"), f),
        }
    }

    /// The attempts after the first.
    #[cold]
    #[inline(never)]
    fn visit_again<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        let mut keys = Keys::<Key, KEYS>::new();
        // What was collected by an attempt that was overtaken is written over.
        let (fits, _) = self.read_again(
            &mut keys,
            &mut |keys: &mut Keys<_, KEYS>, slots: &[Slot]| {
                slots.len() <= KEYS && keys.fill(pending_keys(slots, usages))
            },
            &|_| (),
        );
        match fits {
            true => keys.as_slice().iter().copied().fold(init, f),
            false => self.visit_many(usages, init, f),
        }
    }

    /// A visit of more entries than have their place on the stack.
    #[inline(never)]
    fn visit_many<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        match self.collect(Some(self.word()), |content| pending_key(content, usages)) {
            Ok(keys) => keys.into_iter().fold(init, f),
            Err(error) => match Layout::array::<Key>(error.entries()) {
                Ok(layout) => handle_alloc_error(layout),
                Err(_) => handle_alloc_error(Layout::new::<Key>()),
            },
        }
    }

    /// [`is_idle`](Backend::is_idle) where the idle bits of `first` do not answer.
    #[inline]
    pub(crate) fn scan(&self, first: Word, usages: UsageSet) -> bool {
        // The first attempt of `read`, by itself: with no call in it, it saves no registers.
        if self.counter.may_read(first) {
            let is_busy = has_pending(self.tables.used(), usages);
            if self.counter.is_current(first) {
                if !is_busy {
                    self.counter.set_idle_bits(first, usages);
                }
                return !is_busy;
            }
        }
        self.scan_again(usages)
    }

    #[cold]
    #[inline(never)]
    fn scan_again(&self, usages: UsageSet) -> bool {
        let attempt = &mut |(): &mut (), slots: &[Slot]| has_pending(slots, usages);
        let (is_busy, word) = self.read_again(&mut (), attempt, &|()| ());
        if !is_busy {
            self.counter.set_idle_bits(word, usages);
        }
        !is_busy
    }

    /// The side, for the holder of the lock.
    #[inline]
    fn side_held(&self, held: &LockProof<'_>) -> Option<&Side> {
        assert!(
            held.is_for(&self.lock),
            "the lock of another object is held"
        );
        self.side.get_held()
    }

    /// Publishes what is staged.
    #[inline(never)]
    fn publish_staged(&self, side: &Side, writer: &mut Writer, leaves: UsageMask) {
        if !self.counter.seam.has(Defect::ManySections)
            && let Some(table) = self.tables.current_held()
            && let Some(change) = writer.take_one_change(table)
        {
            drop(self.publish_one(side, &change));
        } else {
            self.publish_many(side, writer, leaves);
        }
    }

    /// Publishes one change that is not staged; the fence that it removed, to be dropped now that no section
    /// is open (B5).
    #[inline(always)]
    fn publish_one(&self, side: &Side, change: &OneChange<'_>) -> Option<Fence> {
        let old = change.old();
        let section = self.counter.open(&side.section, change.leaves);
        change.apply(self.counter.seam);
        drop(section);
        old.map(|(cell, _)| Fence::from_cell(cell))
    }

    /// [`prepare`](Backend::prepare) in single steps.
    #[cold]
    #[inline(never)]
    fn prepare_in_steps(
        &self,
        held: &mut LockProof<'_>,
        usages: UsageSet,
        mut see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
    ) -> Result<Plan, ReserveError> {
        self.visit_held(held, Ok(()), |so_far, entry| {
            if usages.contains(entry.usage) {
                return so_far.and_then(|()| see(entry.fence, entry.key()));
            }
            so_far
        })?;
        self.reserve(held, ONE)?;
        Ok(Plan::default())
    }

    /// Publishes what is more than one change.
    #[inline(never)]
    fn publish_many(&self, side: &Side, writer: &mut Writer, leaves: UsageMask) {
        let seam = self.counter.seam;
        let table = self.tables.current_held();
        let mut section = Some(self.counter.open(&side.section, leaves));
        writer.apply(table, seam, || {
            if seam.has(Defect::ManySections) {
                // The known-bad variant: readers may come in between two entries.
                drop(section.take());
                // Long enough for them on a machine that does a lot else, too.
                #[cfg(not(any(loom, shuttle)))]
                std::thread::yield_now();
                section = Some(self.counter.open(&side.section, UsageMask::ALL));
            }
        });
        drop(section);
        writer.drop_removed();
    }

    /// Makes the table larger, for `adds` more entries.
    #[cold]
    #[inline(never)]
    fn grow(&self, side: &Side, writer: &mut Writer, adds: usize) -> Result<(), ReserveError> {
        let table = self.tables.current_held();
        let capacity = writer.prepare(table, adds)?;
        let new = NewTable::with_capacity(capacity).map_err(|_| ReserveError::new(adds))?;
        let present = writer.fill(new.table(), table, self.counter.seam);
        if table.is_some() {
            garbage::retire();
        }
        let section = self.counter.open(&side.section, present);
        self.tables.push(new);
        drop(section);
        // Signalled fences that the new table left behind, dropped with no section open (B5).
        writer.drop_removed();
        Ok(())
    }
}

/// Whether an entry with one of the usages is pending.
#[inline]
fn has_pending(slots: &[Slot], usages: UsageSet) -> bool {
    let asked = Asked::new(usages);
    let is_pending =
        |slot: &Slot| slot.if_asked(asked, |(cell, _)| cell.is_pending().then_some(()));
    slots.iter().any(|slot| is_pending(slot).is_some())
}

/// The entry, owned, if it is pending.
#[inline(always)]
fn owned_entry((cell, usage): Content) -> Option<Entry> {
    // A fence whose references are gone is in no slot any more: the attempt is overtaken.
    let fence = cell.is_pending().then(|| Fence::try_acquire(cell))??;
    Some(Entry { fence, usage })
}

/// The key of an entry that is pending and has one of the usages.
#[inline]
fn pending_key((cell, usage): Content, usages: UsageSet) -> Option<Key> {
    (usages.contains(usage) && cell.is_pending()).then(|| {
        let (timeline, seqno) = cell.key_parts();
        Key {
            timeline,
            seqno,
            usage,
        }
    })
}

/// The keys of the entries that are pending and have one of the usages.
#[inline]
fn pending_keys(slots: &[Slot], usages: UsageSet) -> impl Iterator<Item = Key> {
    let contents = slots.iter().filter_map(Slot::load);
    contents.filter_map(move |content| pending_key(content, usages))
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
        let side = match self.side_held(held) {
            Some(side) => side,
            None => {
                let side = self.side.init(Side::default());
                side.map_err(|_| ReserveError::new(room.adds))?
            }
        };
        let writer = side.writer.get_mut(&self.lock, held);
        if !writer.has_memory(self.tables.current_held(), room.adds) {
            self.grow(side, writer, room.adds)?;
        }
        writer.admit(room);
        Ok(())
    }

    fn edit(&self, held: &mut LockProof<'_>, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        let side = self.side_held(held).expect("an edit needs a reservation");
        let writer = side.writer.get_mut(&self.lock, held);
        writer.edit(self.tables.current_held(), removes, add);
    }

    fn append(&self, held: &mut LockProof<'_>, entries: impl ExactSizeIterator<Item = Entry>) {
        let side = self.side_held(held).expect("an edit needs a reservation");
        side.writer.get_mut(&self.lock, held).append(entries);
    }

    #[inline]
    fn overwrite(&self, held: &mut LockProof<'_>) {
        if let Some(side) = self.side_held(held) {
            side.writer.get_mut(&self.lock, held).overwrite();
        }
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        let writer = self.side_held(held)?.writer.get(&self.lock, held);
        writer.failure(self.tables.current_held(), usages)
    }

    #[inline]
    fn publish(&self, held: &mut LockProof<'_>) {
        let Some(side) = self.side_held(held) else {
            return;
        };
        let writer = side.writer.get_mut(&self.lock, held);
        if let Some(leaves) = writer.staged() {
            self.publish_staged(side, writer, leaves);
        }
    }

    fn edit_and_publish(
        &self,
        held: &mut LockProof<'_>,
        removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let side = self.side_held(held).expect("an edit needs a reservation");
        let writer = side.writer.get_mut(&self.lock, held);
        match self.tables.current_held() {
            Some(table) if !self.counter.seam.has(Defect::ManySections) => {
                if let Some(change) = writer.edit_once(table, removes, add) {
                    drop(self.publish_one(side, &change));
                    return;
                }
            }
            table => writer.edit(table, removes, add),
        }
        if let Some(leaves) = writer.staged() {
            self.publish_many(side, writer, leaves);
        }
    }

    #[inline]
    fn unreserve(&self, held: &mut LockProof<'_>) {
        if let Some(side) = self.side_held(held) {
            side.writer.get_mut(&self.lock, held).unreserve();
        }
    }

    #[inline]
    fn prepare(
        &self,
        held: &mut LockProof<'_>,
        usages: UsageSet,
        see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
        removes: impl FnMut(Key) -> bool,
    ) -> Result<Plan, ReserveError> {
        if !self.counter.seam.has(Defect::ManySections)
            && let Some(side) = self.side_held(held)
            && let Some(table) = self.tables.current_held()
        {
            let writer = side.writer.get_mut(&self.lock, held);
            if writer.can_look(table) {
                let plan = writer.look(table, usages, see, removes)?.to_plan();
                if plan == Plan::default() {
                    // There is memory: this only permits it.
                    writer.admit(ONE);
                }
                return Ok(plan);
            }
        }
        self.prepare_in_steps(held, usages, see)
    }

    #[inline]
    fn commit(
        &self,
        held: &mut LockProof<'_>,
        plan: Plan,
        removes: impl FnMut(Key) -> bool,
        add: Entry,
    ) -> Option<Fence> {
        if let Some(plan) = OnePlan::of_plan(plan)
            && let Some(side) = self.side_held(held)
            && let Some(table) = self.tables.current_held()
        {
            let writer = side.writer.get_mut(&self.lock, held);
            let change = writer.planned(table, plan, add);
            return self.publish_one(side, &change);
        }
        self.edit_and_publish(held, removes, Some(add));
        self.unreserve(held);
        None
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        match self.side_held(held) {
            None => init,
            Some(side) => {
                let writer = side.writer.get(&self.lock, held);
                writer.visit(self.tables.current_held(), init, f)
            }
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
        self.side
            .get()
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
        for slot in self.tables.used() {
            if let Some((cell, _)) = slot.load() {
                drop(Fence::from_cell(cell));
            }
        }
    }
}
