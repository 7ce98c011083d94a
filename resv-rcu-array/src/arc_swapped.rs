//! The same idea in safe code, on the crate `arc-swap`: the array of 2019, stated plainly.
//!
//! A cell is an array of slots that are written once, one number for each slot that says at which length
//! the entry died, and the published length. Appending and publishing within the cell are a store each;
//! only when the cell is full is another one made and swapped in, by [`ArcSwapOption`].
//!
//! ```text
//!   head ---> Arc { slots: [ E1 | S1 | S2 | E2 |    ]      a reader at length 3 sees E1, S1, S2
//!                   died:  [  4 |  - |  - |  - |    ]      a reader at length 4 sees S1, S2, E2
//!                   len:   4 }
//! ```
//!
//! A reader clones the `Arc` (or borrows it from `arc-swap`, which then owes a count) and loads the
//! length: the set at that length was published between the two. It finds out that everything has
//! signalled, looks again whether cell and length are the same, and only then says so (B2): the `Arc` that
//! it has keeps another cell from getting the address.
//!
//! What it costs against the default flavour: each read of the head is arc-swap's (two read-modify-writes
//! of a word of the thread), each slot an atomic of its own, dead entries give up their fences with their
//! cell only, and a swap walks all threads that ever read anything through arc-swap. Tests of an idle
//! object lose to a mutex; snapshots do not.
//!
//! # Orderings
//!
//! | store | load | why |
//! |---|---|---|
//! | slot (`OnceLock`), then `len`, Release | `len`, Acquire, then the slot | a reader that sees the length sees the entries |
//! | `died` := a length that is not published yet, Relaxed | `died`, Relaxed | at the length that the reader has, both values say "visible" |
//! | `died`, then `len`, Release | `len`, Acquire, then `died` | a reader that sees the length sees what is dead at it |
//! | swap of the head, SeqCst in `arc-swap` | load of it, SeqCst | the cell is visible with its address |
//!
//! # Known limits
//!
//! * A thread's first use of `arc-swap` allocates, and aborts the process when there is no memory;
//!   `reserve` sees to it that a publish is not the first use. `Arc::new` aborts as well: the memory is
//!   asked for, and given back, just before.

use arc_swap::ArcSwapOption;
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, EntrySet, Key, LockProof, ObjectLock, ReserveError,
    UsageSet,
};
use resv_sync::sync::Mutex;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// `died` of an entry that is alive.
const ALIVE: u32 = u32::MAX;
/// The slots of the smallest cell.
const FEW: usize = 8;
/// An object that nobody has locked keeps more slots than this only for an eighth as many entries.
const ROOMY: usize = 248;

struct Slot {
    entry: OnceLock<Entry>,
    died: AtomicU32,
}

struct Cell {
    slots: Box<[Slot]>,
    /// How many slots are published.
    len: AtomicU32,
}

impl Cell {
    fn new(count: usize) -> Option<Arc<Cell>> {
        u32::try_from(count).ok().filter(|&count| count < ALIVE)?;
        let mut slots = Vec::new();
        slots.try_reserve_exact(count).ok()?;
        slots.extend((0..count).map(|_| Slot {
            entry: OnceLock::new(),
            died: AtomicU32::new(ALIVE),
        }));
        // `Arc::new` ends the process when it gets no memory: ask first.
        Vec::<[u64; 8]>::new().try_reserve_exact(1).ok()?;
        Some(Arc::new(Cell {
            slots: slots.into_boxed_slice(),
            len: AtomicU32::new(0),
        }))
    }

    fn len(&self) -> u32 {
        // Acquire: pairs with the Release store in `publish`.
        self.len.load(Ordering::Acquire)
    }

    /// The entries that are visible at length `len`.
    fn at(&self, len: u32) -> impl Iterator<Item = EntryRef<'_>> {
        let slots = self.slots[..len as usize].iter();
        slots.filter_map(move |slot| {
            let is_visible = slot.died.load(Ordering::Relaxed) > len;
            slot.entry.get().filter(|_| is_visible).map(EntryRef::from)
        })
    }

    /// What the holder of the lock sees of the first `end` slots, and where: entries that have not died.
    fn living(&self, end: u32) -> impl Iterator<Item = (&Entry, usize)> {
        let slots = self.slots[..end as usize].iter().enumerate();
        slots.filter_map(|(at, slot)| {
            let is_alive = slot.died.load(Ordering::Relaxed) == ALIVE;
            Some((slot.entry.get().filter(|_| is_alive)?, at))
        })
    }
}

/// What the holder of the object's lock knows. Its mutex is never contended.
#[derive(Default)]
struct Holder {
    /// The cell that edits go to, and how many of its slots are in use.
    working: Option<Arc<Cell>>,
    end: usize,
    /// How many of them are visible to the holder.
    alive: usize,
    /// Whether it is in the head.
    is_published: bool,
    is_edited: bool,
    budget: Budget,
    /// Where an edit writes down which entries go; has memory for all of them.
    goes: Vec<usize>,
}

impl Holder {
    fn living(&self) -> impl Iterator<Item = (&Entry, usize)> {
        let cell = self.working.iter();
        cell.flat_map(|cell| cell.living(self.end as u32))
    }

    fn pending(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.living().map(|(entry, _)| entry);
        entries.filter(|entry| !entry.fence.is_signaled())
    }

    /// Goes over to a new cell with what is pending and `room` more slots, published by the next publish.
    fn move_on(&mut self, room: usize) -> Option<()> {
        let pending = self.pending().count();
        let slots = room.checked_add(pending.checked_mul(3)?)?.max(FEW);
        self.goes.try_reserve(slots).ok()?;
        let cell = Cell::new(slots)?;
        for (entry, slot) in self.pending().zip(&cell.slots) {
            let _ = slot.entry.set(entry.clone());
        }
        self.working = Some(cell);
        (self.end, self.alive, self.is_published) = (pending, pending, false);
        Some(())
    }

    fn published(&self) -> usize {
        let published = self.working.as_ref().filter(|_| self.is_published);
        published.map_or(0, |cell| cell.len() as usize)
    }
}

/// An object of this flavour.
#[derive(Default)]
pub struct ArcSwappedObject {
    lock: ObjectLock,
    head: ArcSwapOption<Cell>,
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

/// A cell and the length that the reader saw.
#[derive(Clone)]
pub struct Snapshot(Option<Arc<Cell>>, u32);

impl EntrySet for Snapshot {
    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.0.iter().flat_map(|cell| cell.at(self.1))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl ArcSwappedObject {
    fn check(&self, held: &LockProof<'_>) {
        let is_ours = held.is_for(&self.lock);
        assert!(is_ours, "the lock of another object is held");
    }

    /// Whether `cell` is published at length `len` still, which the caller has.
    fn is_current(&self, cell: &Arc<Cell>, len: u32) -> bool {
        let now = self.head.load();
        let is_same = now.as_ref().is_some_and(|now| Arc::ptr_eq(now, cell)) && cell.len() == len;
        if !is_same {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        is_same
    }

    fn publish_held(&self, holder: &mut Holder) {
        if !std::mem::take(&mut holder.is_edited) {
            return;
        }
        holder.budget.publishes = holder.budget.publishes.saturating_sub(1);
        let Some(cell) = &holder.working else {
            return;
        };
        // Release: pairs with the Acquire load in `len`.
        cell.len.store(holder.end as u32, Ordering::Release);
        if !std::mem::replace(&mut holder.is_published, true) {
            self.head.store(Some(Arc::clone(cell)));
        }
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
        self.check(held);
        let mut holder = self.holder.lock();
        let mut wanted = holder.budget;
        wanted.widen(budget);
        // One slot for each add, and one for each publish without an add.
        let slots = wanted.adds.saturating_add(wanted.publishes);
        let has = holder.working.as_ref().map_or(0, |cell| cell.slots.len());
        let is_dense = holder.end - holder.alive <= 2 * holder.alive + FEW;
        if slots > has - holder.end || !is_dense {
            holder
                .move_on(slots)
                .ok_or(ReserveError::new(budget.adds))?;
        }
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
        self.check(held);
        let mut guard = self.holder.lock();
        let holder = &mut *guard;
        let mut left = holder.budget;
        left.spend_on_edit(add.is_some());
        let published = holder.published();
        // All are judged before the first of them dies: a predicate that panics changes nothing.
        let mut goes = std::mem::take(&mut holder.goes);
        goes.clear();
        for (entry, at) in holder.living() {
            if entry.fence.is_signaled() || removes(entry.key()) {
                goes.push(at);
            }
        }
        let cell = holder
            .working
            .as_ref()
            .expect("what is reserved is in a cell");
        for &at in &goes {
            // Not a length that a reader has. Relaxed: the length that is published next orders it.
            let length = if at < published {
                published as u32 + 1
            } else {
                0
            };
            cell.slots[at].died.store(length, Ordering::Relaxed);
        }
        holder.alive = holder.alive + usize::from(add.is_some()) - goes.len();
        // An edit that only removes takes a slot, too: each publication is a length of its own.
        let takes_slot = add.is_some() || !holder.is_edited;
        if let Some(entry) = add {
            let _ = cell.slots[holder.end].entry.set(entry);
        }
        holder.end += usize::from(takes_slot);
        holder.is_edited = true;
        (holder.goes, holder.budget) = (goes, left);
    }

    fn publish(&self, held: &mut LockProof<'_>) {
        self.check(held);
        self.publish_held(&mut self.holder.lock());
    }

    fn unreserve(&self, held: &mut LockProof<'_>) {
        self.check(held);
        let mut holder = self.holder.lock();
        holder.budget = Budget::default();
        if holder.is_edited {
            return;
        }
        if !holder.is_published {
            // A cell that nothing was done to: back to the published one.
            let current = self.head.load_full();
            holder.end = current.as_ref().map_or(0, |cell| cell.len() as usize);
            holder.is_published = current.is_some();
            holder.working = current;
            holder.alive = holder.living().count();
        }
        let has = holder.working.as_ref().map_or(0, |cell| cell.slots.len());
        if has > ROOMY && holder.alive < has / 8 && holder.move_on(0).is_some() {
            holder.is_edited = true;
            self.publish_held(&mut holder);
        }
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        mut f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        self.check(held);
        // `f` runs with no mutex locked; the lock, which is held, keeps the cell as it is.
        let (cell, end) = {
            let holder = self.holder.lock();
            (holder.working.clone(), holder.end as u32)
        };
        let living = cell.iter().flat_map(|cell| cell.living(end));
        let pending = living.filter(|(entry, _)| !entry.fence.is_signaled());
        pending.fold(init, |acc, (entry, _)| f(acc, entry.into()))
    }

    fn snapshot(&self) -> Result<Snapshot, ReserveError> {
        let cell = self.head.load_full();
        let len = cell.as_ref().map_or(0, |cell| cell.len());
        Ok(Snapshot(cell, len))
    }

    fn visit<A>(&self, usages: UsageSet, mut init: A, mut f: impl FnMut(A, Key) -> A) -> A {
        loop {
            // Owned, as `f` may do anything.
            let Some(cell) = self.head.load_full() else {
                return init;
            };
            let (len, mut shown) = (cell.len(), false);
            for entry in cell.at(len) {
                if usages.contains(entry.usage) && !entry.fence.is_signaled() {
                    init = f(init, entry.key());
                    shown = true;
                }
            }
            // That nothing was pending is true of this instant (B2), if this is published still.
            if shown || self.is_current(&cell, len) {
                return init;
            }
        }
    }

    fn is_idle(&self, usages: UsageSet) -> bool {
        loop {
            let head = self.head.load();
            let Some(cell) = &*head else {
                return true;
            };
            let len = cell.len();
            let mut waits = cell.at(len).filter(|entry| usages.contains(entry.usage));
            if waits.any(|entry| !entry.fence.is_signaled()) {
                return false;
            }
            if self.is_current(cell, len) {
                return true;
            }
        }
    }

    /// What has died stays in its cell, which is left when it holds more than this.
    fn superseded_bound(&self, most: usize) -> usize {
        3 * most + FEW + 1
    }

    fn counters(&self) -> Counters {
        let retries = self.retries.load(Ordering::Relaxed);
        Counters {
            retries,
            fallbacks: 0,
        }
    }
}
