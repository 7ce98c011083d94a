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

use arc_swap::ArcSwap;
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, EntrySet, Failures, FenceError, FenceStatus, Key,
    LockProof, ObjectLock, ReserveError, UsageSet,
};
use resv_sync::sync::{Mutex, MutexGuard};
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

#[derive(Default)]
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
        let (slots, len) = (slots.into_boxed_slice(), AtomicUsize::new(0));
        Some(Arc::new(Cell { slots, len }))
    }

    fn len(&self) -> usize {
        // Acquire: pairs with the Release store in `publish`.
        self.len.load(Ordering::Acquire)
    }

    /// The entries that are visible at length `len`, and where they are.
    fn at(&self, len: usize) -> impl Iterator<Item = (usize, &Entry)> {
        let slots = self.slots[..len].iter().enumerate();
        let visible = slots.filter(move |(_, slot)| slot.died.load(Ordering::Relaxed) > len);
        visible.filter_map(|(at, slot)| Some((at, slot.entry.get()?)))
    }

    /// Those of them that are pending.
    fn pending(&self, len: usize) -> impl Iterator<Item = &Entry> {
        let entries = self.at(len).map(|(_, entry)| entry);
        entries.filter(|entry| !entry.fence.is_signaled())
    }
}

/// What the holder of the object's lock knows. Its mutex is never contended.
#[derive(Default)]
struct Holder {
    /// The cell that edits go to, how many of its slots are in use, and whether it is not the head yet.
    cell: Arc<Cell>,
    end: usize,
    is_new: bool,
    is_edited: bool,
    budget: Budget,
    /// The entries in the first so many slots count for no failure; and what has counted and is gone (B10).
    overwritten: usize,
    failures: Failures,
}

impl Holder {
    /// Goes over to a new cell with what is pending and `room` more slots.
    fn move_on(&mut self, room: usize) -> Option<()> {
        let pending = self.cell.pending(self.end).count();
        let new = Cell::new(room.checked_add(pending.checked_mul(3)?)?.max(FEW))?;
        let (mut end, mut overwritten) = (0, 0);
        for (at, entry) in self.cell.at(self.end) {
            let (status, counts) = (entry.fence.status(), at >= self.overwritten);
            if status == FenceStatus::Pending && end < pending {
                let _ = new.slots[end].entry.set(entry.clone());
                end += 1;
                overwritten += usize::from(!counts);
            } else if counts {
                self.failures.note(entry.usage, status);
            }
        }
        (self.cell, self.end, self.is_new) = (new, end, true);
        self.overwritten = overwritten;
        Some(())
    }

    /// Publishes at one instant what is there.
    fn publish(&mut self, head: &ArcSwap<Cell>) {
        self.is_edited = false;
        // Release: pairs with the Acquire load in `len`.
        self.cell.len.store(self.end, Ordering::Release);
        if std::mem::take(&mut self.is_new) {
            head.store(Arc::clone(&self.cell));
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

/// A cell and the length that the reader saw.
#[derive(Clone)]
pub struct Snapshot(Arc<Cell>, usize);

impl EntrySet for Snapshot {
    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.0.at(self.1).map(|(_, entry)| entry.into())
    }
}

impl ArcSwappedObject {
    fn holder(&self, held: &LockProof<'_>) -> MutexGuard<'_, Holder> {
        let is_ours = held.is_for(&self.lock);
        assert!(is_ours, "the lock of another object is held");
        self.holder.lock()
    }

    /// Looks for something in what is published. That there is none is true of one instant (B2): `look` has
    /// found nothing, and cell and length are the same still.
    fn find<R>(&self, mut look: impl FnMut(&Cell, usize) -> Option<R>) -> Option<R> {
        loop {
            let cell = self.head.load();
            let len = cell.len();
            let found = look(&cell, len);
            let is_current = || Arc::ptr_eq(&self.head.load(), &cell) && cell.len() == len;
            if found.is_some() || is_current() {
                return found;
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
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
        let holder = &mut *self.holder(held);
        let mut wanted = holder.budget;
        wanted.widen(budget);
        // One slot for each add, and one for each publish without an add.
        let slots = wanted.adds.saturating_add(wanted.publishes);
        let (alive, all) = (holder.cell.at(holder.end).count(), holder.cell.slots.len());
        let is_dense = holder.end - alive <= 2 * alive + FEW;
        if slots > all - holder.end || !is_dense {
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
        let holder = &mut *self.holder(held);
        let mut left = holder.budget;
        left.spend_on_edit(add.is_some());
        let cell = &holder.cell;
        let published = if holder.is_new { 0 } else { cell.len() };
        // All are judged before the first of them dies: a predicate that panics changes nothing.
        for (at, entry) in cell.at(holder.end) {
            let status = entry.fence.status();
            let goes = status != FenceStatus::Pending || removes(entry.key());
            let judged = if goes { GOES } else { ALIVE };
            cell.slots[at].died.store(judged, Ordering::Relaxed);
            if at >= holder.overwritten {
                holder.failures.note(entry.usage, status);
            }
        }
        for Slot { died, .. } in &cell.slots[..holder.end] {
            if died.load(Ordering::Relaxed) == GOES {
                // No reader has this length. Relaxed: the length that is published next orders it.
                died.store(published + 1, Ordering::Relaxed);
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
        let holder = &mut *self.holder(held);
        let is_edited = holder.is_edited;
        assert!(is_edited, "an append needs an edit that is not published");
        let left = holder.budget.adds.checked_sub(entries.len());
        holder.budget.adds = left.expect("no room is reserved for this add");
        for entry in entries {
            let _ = holder.cell.slots[holder.end].entry.set(entry);
            holder.end += 1;
        }
    }

    fn overwrite(&self, held: &mut LockProof<'_>) {
        let holder = &mut *self.holder(held);
        (holder.overwritten, holder.failures) = (holder.end, Failures::default());
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        let holder = self.holder(held);
        let mut failures = holder.failures;
        let entries = holder.cell.at(holder.end);
        for (_, entry) in entries.filter(|&(at, _)| at >= holder.overwritten) {
            failures.note(entry.usage, entry.fence.status());
        }
        failures.smallest(usages)
    }

    fn publish(&self, held: &mut LockProof<'_>) {
        let holder = &mut *self.holder(held);
        if holder.is_edited {
            holder.budget.publishes = holder.budget.publishes.saturating_sub(1);
            holder.publish(&self.head);
        }
    }

    fn unreserve(&self, held: &mut LockProof<'_>) {
        let holder = &mut *self.holder(held);
        holder.budget = Budget::default();
        if holder.is_edited {
            return;
        }
        let (alive, all) = (holder.cell.at(holder.end).count(), holder.cell.slots.len());
        if all > ROOMY && alive < all / 8 {
            // Without memory for a small one the large one stays.
            let _ = holder.move_on(0);
        }
        if holder.is_new {
            // It shows what the old one does.
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
            (Arc::clone(&holder.cell), holder.end)
        };
        let pending = cell.pending(end);
        pending.fold(init, |acc, entry| f(acc, entry.into()))
    }

    fn snapshot(&self) -> Result<Snapshot, ReserveError> {
        let cell = self.head.load_full();
        let len = cell.len();
        Ok(Snapshot(cell, len))
    }

    fn visit<A>(&self, usages: UsageSet, init: A, mut f: impl FnMut(A, Key) -> A) -> A {
        let mut nothing = Some(init);
        let shown = self.find(|cell, len| {
            let pending = cell.pending(len).map(Entry::key);
            let mut asked_for = pending.filter(|key| usages.contains(key.usage)).peekable();
            asked_for.peek()?;
            Some(asked_for.fold(nothing.take()?, &mut f))
        });
        shown.or(nothing).expect("the one or the other")
    }

    fn is_idle(&self, usages: UsageSet) -> bool {
        let is_busy = |cell: &Cell, len| {
            let mut pending = cell.pending(len);
            pending.find(|entry| usages.contains(entry.usage)).map(drop)
        };
        self.find(is_busy).is_none()
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
