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
//! it has keeps another cell from getting the address. The holder of the lock reads at the length that it
//! will publish.
//!
//! What it costs against the default flavour: each read of the head is arc-swap's (two read-modify-writes
//! of a word of the thread), each slot an atomic of its own, dead entries give up their fences with their
//! cell only, and a swap walks all threads that ever read anything through arc-swap. Tests of an idle
//! object lose to a mutex; snapshots do not.
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

use arc_swap::ArcSwapOption;
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, EntrySet, Failures, FenceError, FenceStatus, Key,
    LockProof, ObjectLock, ReserveError, UsageSet,
};
use resv_sync::sync::{Mutex, MutexGuard};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// `died` of an entry that is alive; also while it is judged to go.
const ALIVE: usize = usize::MAX;
const GOES: usize = ALIVE - 1;
/// The slots of the smallest cell.
const FEW: usize = 8;
/// An object that nobody has locked keeps more slots than this only for an eighth as many entries.
const ROOMY: usize = 248;

struct Slot {
    entry: OnceLock<Entry>,
    died: AtomicUsize,
}

struct Cell {
    slots: Box<[Slot]>,
    /// How many slots are published.
    len: AtomicUsize,
}

impl Cell {
    fn new(count: usize) -> Option<Arc<Cell>> {
        let mut slots = Vec::new();
        slots.try_reserve_exact(count).ok()?;
        slots.extend((0..count).map(|_| Slot {
            entry: OnceLock::new(),
            died: AtomicUsize::new(ALIVE),
        }));
        Vec::<[u64; 8]>::new().try_reserve_exact(1).ok()?;
        Some(Arc::new(Cell {
            slots: slots.into_boxed_slice(),
            len: AtomicUsize::new(0),
        }))
    }

    fn len(&self) -> usize {
        // Acquire: pairs with the Release store in `publish`.
        self.len.load(Ordering::Acquire)
    }

    /// The entries that are visible at length `len`, and where they are.
    fn at(&self, len: usize) -> impl Iterator<Item = (&Entry, usize)> {
        let slots = self.slots[..len].iter().enumerate();
        slots.filter_map(move |(at, slot)| {
            let is_visible = slot.died.load(Ordering::Relaxed) > len;
            Some((slot.entry.get().filter(|_| is_visible)?, at))
        })
    }

    /// Those of them that are pending.
    fn pending(&self, len: usize) -> impl Iterator<Item = &Entry> {
        let entries = self.at(len).map(|(entry, _)| entry);
        entries.filter(|entry| !entry.fence.is_signaled())
    }
}

/// What the holder of the object's lock knows. Its mutex is never contended.
#[derive(Default)]
struct Holder {
    /// The cell that edits go to, how many of its slots are in use, and whether it is not the head yet.
    cell: Option<Arc<Cell>>,
    end: usize,
    is_new: bool,
    is_edited: bool,
    budget: Budget,
    /// The entries in the first so many slots count for no failure; and what has counted and is gone (B10).
    overwritten: usize,
    failures: Failures,
}

impl Holder {
    /// How many slots of the cell readers may see.
    fn published(&self) -> usize {
        let head = self.cell.as_ref().filter(|_| !self.is_new);
        head.map_or(0, |cell| cell.len())
    }

    fn slots(&self) -> usize {
        self.cell.as_ref().map_or(0, |cell| cell.slots.len())
    }

    fn alive(&self) -> usize {
        self.cell
            .as_ref()
            .map_or(0, |cell| cell.at(self.end).count())
    }

    /// Goes over to a new cell with what is pending and `room` more slots.
    fn move_on(&mut self, room: usize) -> Option<()> {
        let old = self.cell.clone();
        let pending = old.as_ref().map_or(0, |old| old.pending(self.end).count());
        let new = Cell::new(room.checked_add(pending.checked_mul(3)?)?.max(FEW))?;
        let (mut end, mut overwritten) = (0, 0);
        for (entry, at) in old.iter().flat_map(|old| old.at(self.end)) {
            let (status, counts) = (entry.fence.status(), at >= self.overwritten);
            if status == FenceStatus::Pending && end < pending {
                let _ = new.slots[end].entry.set(entry.clone());
                end += 1;
                overwritten += usize::from(!counts);
            } else if counts {
                self.failures.note(entry.usage, status);
            }
        }
        (self.cell, self.end, self.is_new) = (Some(new), end, true);
        self.overwritten = overwritten;
        Some(())
    }

    /// Publishes at one instant what is there.
    fn publish(&mut self, head: &ArcSwapOption<Cell>) {
        self.is_edited = false;
        if let Some(cell) = &self.cell {
            // Release: pairs with the Acquire load in `len`.
            cell.len.store(self.end, Ordering::Release);
            if std::mem::take(&mut self.is_new) {
                head.store(Some(Arc::clone(cell)));
            }
        }
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
pub struct Snapshot(Option<Arc<Cell>>, usize);

impl EntrySet for Snapshot {
    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        let entries = self.0.iter().flat_map(|cell| cell.at(self.1));
        entries.map(|(entry, _)| entry.into())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl ArcSwappedObject {
    fn holder(&self, held: &LockProof<'_>) -> MutexGuard<'_, Holder> {
        let is_ours = held.is_for(&self.lock);
        assert!(is_ours, "the lock of another object is held");
        self.holder.lock()
    }

    /// Whether `cell` is published at length `len` still, which the caller has.
    fn is_current(&self, cell: &Arc<Cell>, len: usize) -> bool {
        let now = self.head.load();
        let is_same = now.as_ref().is_some_and(|now| Arc::ptr_eq(now, cell)) && cell.len() == len;
        if !is_same {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        is_same
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
        let mut holder = self.holder(held);
        let mut wanted = holder.budget;
        wanted.widen(budget);
        // One slot for each add, and one for each publish without an add.
        let slots = wanted.adds.saturating_add(wanted.publishes);
        let alive = holder.alive();
        let is_dense = holder.end - alive <= 2 * alive + FEW;
        if slots > holder.slots() - holder.end || !is_dense {
            let moved = holder.move_on(slots);
            moved.ok_or(ReserveError::new(budget.adds))?;
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
        let mut guard = self.holder(held);
        let holder = &mut *guard;
        let mut left = holder.budget;
        left.spend_on_edit(add.is_some());
        let published = holder.published();
        let cell = holder.cell.as_ref().expect("a budget is room in a cell");
        // All are judged before the first of them dies: a predicate that panics changes nothing.
        for (entry, at) in cell.at(holder.end) {
            let status = entry.fence.status();
            let goes = status != FenceStatus::Pending || removes(entry.key());
            let judged = if goes { GOES } else { ALIVE };
            cell.slots[at].died.store(judged, Ordering::Relaxed);
            if at >= holder.overwritten {
                holder.failures.note(entry.usage, status);
            }
        }
        for (at, Slot { died, .. }) in cell.slots[..holder.end].iter().enumerate() {
            if died.load(Ordering::Relaxed) == GOES {
                // Not a length that a reader has. Relaxed: the length that is published next orders it.
                let length = if at < published { published + 1 } else { 0 };
                died.store(length, Ordering::Relaxed);
            }
        }
        // An edit that only removes takes a slot, too: each publication is a length of its own.
        let takes_slot = add.is_some() || holder.end == published;
        if let Some(entry) = add {
            let _ = cell.slots[holder.end].entry.set(entry);
        }
        holder.end += usize::from(takes_slot);
        holder.is_edited = true;
        holder.budget = left;
    }

    fn append(&self, held: &mut LockProof<'_>, entries: impl ExactSizeIterator<Item = Entry>) {
        let mut guard = self.holder(held);
        let holder = &mut *guard;
        let left = holder.budget.adds.checked_sub(entries.len());
        holder.budget.adds = left.expect("no room is reserved for this add");
        let cell = holder.cell.as_ref().filter(|_| holder.is_edited);
        let cell = cell.expect("an append needs an edit that is not published");
        for entry in entries {
            let _ = cell.slots[holder.end].entry.set(entry);
            holder.end += 1;
        }
    }

    fn overwrite(&self, held: &mut LockProof<'_>) {
        let mut holder = self.holder(held);
        (holder.overwritten, holder.failures) = (holder.end, Failures::default());
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        let holder = self.holder(held);
        let mut failures = holder.failures;
        for (entry, at) in holder.cell.iter().flat_map(|cell| cell.at(holder.end)) {
            if at >= holder.overwritten {
                failures.note(entry.usage, entry.fence.status());
            }
        }
        failures.smallest(usages)
    }

    fn publish(&self, held: &mut LockProof<'_>) {
        let mut holder = self.holder(held);
        if holder.is_edited {
            holder.budget.publishes = holder.budget.publishes.saturating_sub(1);
            holder.publish(&self.head);
        }
    }

    fn unreserve(&self, held: &mut LockProof<'_>) {
        let mut holder = self.holder(held);
        holder.budget = Budget::default();
        if holder.is_edited {
            return;
        }
        let is_sparse = holder.slots() > ROOMY && holder.alive() < holder.slots() / 8;
        // A new cell shows what the old one does.
        if holder.is_new || is_sparse && holder.move_on(0).is_some() {
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
        let (cell, end) = {
            let holder = self.holder(held);
            (holder.cell.clone(), holder.end)
        };
        let pending = cell.iter().flat_map(|cell| cell.pending(end));
        pending.fold(init, |acc, entry| f(acc, entry.into()))
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
            for entry in cell
                .pending(len)
                .filter(|entry| usages.contains(entry.usage))
            {
                init = f(init, entry.key());
                shown = true;
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
            if cell.pending(len).any(|entry| usages.contains(entry.usage)) {
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
        Counters {
            retries: self.retries.load(Ordering::Relaxed),
            fallbacks: 0,
        }
    }
}
