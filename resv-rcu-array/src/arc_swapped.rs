//! The same idea in safe code, on the crate `arc-swap`: the array of 2019, stated plainly.
//!
//! A cell is an array of slots that are written once, one number for each slot that says at which length
//! the entry died, and the published length. Appending and publishing within the cell are a store each;
//! only when the cell is full is another one made and swapped in, by [`ArcSwap`].
//!
//! ```text
//!   head ---> Arc { slots: [ E1 | S1 | S2 | E2 |    ]      a reader at length 3 sees E1, S1, S2
//!                   died:  [  4 |  - |  - |  - |    ]      a reader at length 4 sees S1, S2, E2
//!                   len:   4 }
//! ```
//!
//! A reader clones the `Arc` and loads the length: the set at that length was published between the two.
//! If it shows nothing, it looks again whether cell and length are the same, and only then says so (B2): the
//! `Arc` that it has keeps another cell from getting the address. The holder of the lock sees the cell at the
//! length that it will publish.
//!
//! What it costs against the default flavour: each read clones an `Arc` through arc-swap, each slot is an
//! atomic of its own, a test looks at all entries, dead entries give up their fences with their cell only,
//! and a swap walks all threads that ever read anything through arc-swap. Tests lose to a mutex; snapshots
//! do not.
//!
//! | store | load | why |
//! |---|---|---|
//! | slot (`OnceLock`), then `len`, Release | `len`, Acquire, then the slot | a reader that sees the length sees the entries |
//! | `died` := a length that is not published yet, Relaxed | `died`, Relaxed | at the length that the reader has, both values say "visible" |
//! | `died`, then `len`, Release | `len`, Acquire, then `died` | a reader that sees the length sees what is dead at it |
//! | swap of the head, SeqCst in `arc-swap` | load of it, SeqCst | the cell is visible with its address |
//!
//! A thread's first use of `arc-swap` allocates, and ends the process when there is no memory; `reserve`
//! sees to it that a publish is not the first use. So does `Arc::new`: the memory is asked for, and given
//! back, just before.

use arc_swap::ArcSwap;
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, EntrySet, Failures, FenceError, Key, LockProof,
    ObjectLock, ReserveError, UsageSet,
};
use resv_sync::sync::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// `died` of an entry that is alive, and of one that the edit that is being made is going to remove.
const ALIVE: usize = usize::MAX;
const GOES: usize = ALIVE - 1;
/// A new cell has this many slots more than it needs.
const FEW: usize = 8;
/// An object whose lock is free has at most four slots for each entry, and this many.
const MANY: usize = 64;

struct Slot {
    entry: OnceLock<Entry>,
    died: AtomicUsize,
}

#[derive(Default)]
struct Cell {
    slots: Box<[Slot]>,
    /// How many slots are published.
    len: AtomicUsize,
}

/// A cell and a length: what a reader sees.
#[derive(Clone, Default)]
pub struct Snapshot {
    cell: Arc<Cell>,
    length: usize,
}

impl Snapshot {
    /// Of no entry, with this many free slots.
    fn new(count: usize) -> Option<Snapshot> {
        let mut slots = Vec::new();
        slots.try_reserve_exact(count).ok()?;
        slots.extend((0..count).map(|_| Slot {
            entry: OnceLock::new(),
            died: AtomicUsize::new(ALIVE),
        }));
        Vec::<[u64; 8]>::new().try_reserve_exact(1).ok()?;
        let (slots, len) = (slots.into_boxed_slice(), AtomicUsize::new(0));
        let cell = Arc::new(Cell { slots, len });
        Some(Snapshot { cell, length: 0 })
    }

    /// The entries, each with its index and its slot.
    fn slots(&self) -> impl Iterator<Item = (usize, &Slot, &Entry)> {
        let slots = self.cell.slots[..self.length].iter().enumerate();
        let visible = slots.filter(|(_, slot)| slot.died.load(Ordering::Relaxed) > self.length);
        visible.filter_map(|(at, slot)| Some((at, slot, slot.entry.get()?)))
    }

    fn pending(&self) -> impl Iterator<Item = (usize, &Slot, &Entry)> {
        self.slots()
            .filter(|(_, _, entry)| !entry.fence.is_signaled())
    }

    /// For the holder: one entry more, in the next free slot.
    fn append(&mut self, entry: Entry) {
        let _ = self.cell.slots[self.length].entry.set(entry);
        self.length += 1;
    }
}

impl EntrySet for Snapshot {
    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.slots().map(|(_, _, entry)| entry.into())
    }
}

/// What the holder of the object's lock knows. Its mutex is never contended.
#[derive(Default)]
struct Holder {
    /// The cell that edits go to, and how many of its slots are in use.
    set: Snapshot,
    is_edited: bool,
    budget: Budget,
    /// The entries in the first so many slots count for no failure; and what has counted (B10).
    overwritten: usize,
    failures: Failures,
}

impl Holder {
    /// Notes what has failed so far and counts.
    fn note_failures(&mut self) {
        for (_, _, entry) in self.set.slots().filter(|(at, ..)| *at >= self.overwritten) {
            self.failures.note(entry.usage, entry.fence.status());
        }
    }

    /// Sees to it that the cell has `room` free slots and is in proportion to them and to its entries: goes
    /// over to a new one, if need be, with what is pending. `None`, and nothing has changed, without memory.
    fn make_room(&mut self, room: usize) -> Option<()> {
        let (slots, entries) = (self.set.cell.slots.len(), self.set.len());
        if slots - self.set.length >= room && slots <= 4 * entries + room + MANY {
            return Some(());
        }
        let pending = self.set.pending().count();
        let mut new = Snapshot::new(room.checked_add(3 * pending + FEW)?)?;
        let mut overwritten = 0;
        for (at, _, entry) in self.set.pending() {
            new.append(entry.clone());
            overwritten += usize::from(at < self.overwritten);
        }
        // After that: an entry that was left out has signalled.
        self.note_failures();
        (self.set, self.overwritten) = (new, overwritten);
        Some(())
    }

    /// Publishes at one instant what is there.
    fn publish(&mut self, head: &ArcSwap<Cell>) {
        self.is_edited = false;
        self.budget.publishes = self.budget.publishes.saturating_sub(1);
        // Release: pairs with the Acquire load in `published`.
        self.set.cell.len.store(self.set.length, Ordering::Release);
        if !Arc::ptr_eq(&head.load(), &self.set.cell) {
            head.store(Arc::clone(&self.set.cell));
        }
    }
}

/// An object of this flavour.
#[derive(Default)]
pub struct ArcSwappedObject {
    lock: ObjectLock,
    head: ArcSwap<Cell>,
    holder: Mutex<Holder>,
    retries: AtomicU64,
}

/// The flavour in safe code, on `arc-swap`. Its protocol and orderings are told at the head of its file.
///
/// ```
/// use resv_core::Backend;
/// use resv_rcu_array::{ArcSwapped, RcuArray};
/// assert_eq!(RcuArray::<ArcSwapped>::default().name(), "rcu-array/arc-swap");
/// ```
pub struct ArcSwapped;

impl ArcSwappedObject {
    fn holder(&self, held: &LockProof<'_>) -> MutexGuard<'_, Holder> {
        let is_ours = held.is_for(&self.lock);
        assert!(is_ours, "the lock of another object is held");
        self.holder.lock()
    }

    fn published(&self) -> Snapshot {
        let cell = self.head.load_full();
        // Acquire: pairs with the Release store in `publish`.
        let length = cell.len.load(Ordering::Acquire);
        Snapshot { cell, length }
    }
}

impl Backend for ArcSwappedObject {
    type Snapshot = Snapshot;

    fn name(&self) -> &'static str {
        "rcu-array/arc-swap"
    }

    fn object_lock(&self) -> &ObjectLock {
        &self.lock
    }

    fn reserve(&self, held: &mut LockProof<'_>, budget: Budget) -> Result<(), ReserveError> {
        let holder = &mut *self.holder(held);
        let mut wanted = holder.budget;
        wanted.widen(budget);
        // One slot for each add, and one for each publish without an add.
        let room = wanted.adds.saturating_add(wanted.publishes);
        let is_had = holder.make_room(room);
        is_had.ok_or(ReserveError::new(budget.adds))?;
        holder.budget = wanted;
        // This thread's first use of arc-swap may allocate.
        drop(self.head.load());
        Ok(())
    }

    fn edit(
        &self,
        held: &mut LockProof<'_>,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let holder = &mut *self.holder(held);
        holder.budget.spend_on_edit(add.is_some());
        // All are judged before the first of them dies: a predicate that panics changes nothing.
        for (_, slot, entry) in holder.set.slots() {
            let goes = entry.fence.is_signaled() || removes(entry.key());
            let judged = if goes { GOES } else { ALIVE };
            slot.died.store(judged, Ordering::Relaxed);
        }
        holder.note_failures();
        // Relaxed: only holders of the lock store it, and the lock orders them.
        let published = holder.set.cell.len.load(Ordering::Relaxed);
        for (_, slot, _) in holder.set.slots() {
            if slot.died.load(Ordering::Relaxed) == GOES {
                // No reader has this length. Relaxed: the length that is published next orders it.
                slot.died.store(published + 1, Ordering::Relaxed);
            }
        }
        match add {
            Some(entry) => holder.set.append(entry),
            // An edit that only removes takes a slot, too: each publication is a length of its own.
            None if holder.set.length == published => holder.set.length += 1,
            None => {}
        }
        holder.is_edited = true;
    }

    fn append(&self, held: &mut LockProof<'_>, entries: impl ExactSizeIterator<Item = Entry>) {
        let holder = &mut *self.holder(held);
        let is_edited = holder.is_edited;
        assert!(is_edited, "an append needs an edit that is not published");
        for entry in entries {
            holder.budget.spend_on_edit(true);
            holder.set.append(entry);
        }
    }

    fn overwrite(&self, held: &mut LockProof<'_>) {
        let holder = &mut *self.holder(held);
        (holder.overwritten, holder.failures) = (holder.set.length, Failures::default());
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        let holder = &mut *self.holder(held);
        holder.note_failures();
        holder.failures.smallest(usages)
    }

    fn publish(&self, held: &mut LockProof<'_>) {
        let holder = &mut *self.holder(held);
        if holder.is_edited {
            holder.publish(&self.head);
        }
    }

    fn unreserve(&self, held: &mut LockProof<'_>) {
        let holder = &mut *self.holder(held);
        holder.budget = Budget::default();
        if !holder.is_edited {
            // Without memory for a small one a large one stays.
            let _ = holder.make_room(0);
            // A new cell shows what the old one does.
            holder.publish(&self.head);
        }
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        mut f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        // `f` runs with no mutex locked; the lock, which is held, keeps the cell as it is.
        let set = self.holder(held).set.clone();
        set.pending()
            .fold(init, |acc, (_, _, entry)| f(acc, entry.into()))
    }

    fn snapshot(&self) -> Result<Snapshot, ReserveError> {
        Ok(self.published())
    }

    fn visit<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        loop {
            let set = self.published();
            let keys = set.pending().map(|(_, _, entry)| entry.key());
            let mut asked_for = keys.filter(|key| usages.contains(key.usage)).peekable();
            if asked_for.peek().is_some() {
                return asked_for.fold(init, f);
            }
            // Nothing was pending at one instant (B2): everything has signalled, and the set is the same still.
            let now = self.published();
            if Arc::ptr_eq(&now.cell, &set.cell) && now.length == set.length {
                return init;
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What has died stays in its cell.
    fn superseded_bound(&self, most: usize) -> usize {
        4 * most + MANY
    }

    fn counters(&self) -> Counters {
        Counters {
            retries: self.retries.load(Ordering::Relaxed),
            ..Counters::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ArcSwappedObject, MANY};
    use resv_core::{Backend, Budget};

    #[test]
    fn what_is_reserved_and_not_used_is_given_back() {
        let object = ArcSwappedObject::default();
        let mut held = object.object_lock().lock();
        let many = Budget {
            adds: 10 * MANY,
            publishes: 1,
        };
        object.reserve(&mut held, many).expect("there is memory");
        let slots = || object.holder.lock().set.cell.slots.len();
        assert!(slots() > many.adds);
        object.unreserve(&mut held);
        assert!(slots() <= MANY, "{} slots", slots());
        assert!(object.published().cell.slots.len() <= MANY);
    }
}
