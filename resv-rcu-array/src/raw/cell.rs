//! The memory of a set of entries: type-stable, so that anybody may look at it at any time.
//!
//! A cell is a header and slots. It comes from a pool that never gives its address space back, so a
//! stale address always leads to a cell; what may have changed is whose it is and what it holds.
//!
//! ```text
//!   life | refs | below, look | capacity | owned | slot 0 | slot 1 | slot 2 ...
//!   atomics, read by anybody             | owner | atomics, read by anybody
//! ```
//!
//! # Life
//!
//! `life` counts the states of a cell: **even**, it is published in an object, or was and a snapshot has
//! it; **odd**, it is free or its first length is being filled. So an even value names one stay of one
//! cell in one object for ever, and within it lengths only grow.
//!
//! # References
//!
//! `refs` counts owners: the head of the object, and snapshots. [`DEAD`] is added while `life` is odd.
//! Taking a reference is one increment: if the old count had `DEAD` in it there was nothing to take, and
//! the increment is dropped again like any reference, as by then the cell may be published elsewhere and
//! its other owners gone. The owner that drops the count to zero exchanges zero for `DEAD`; if that
//! succeeds, the cell is its.
//!
//! # Which thread writes
//!
//! Slots, `below` and `owned` are written by one thread at a time: by the holder of the object's lock as
//! long as the object owns a reference, or the cell itself (a spare); after that by the thread that
//! drops the last reference. Readers only set `look`.

use super::near::SHORT;
use super::word::{Asked, CELL_ALIGN, Head, Slot};
use resv_core::fence::cell::FenceCell;
use resv_core::{Failures, Usage, UsageSet};
use resv_sync::cell::UnsafeCell;
use resv_sync::pool::fits;
use resv_sync::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, OwnerAccess};
use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32 as Hint;

/// Added to the count of references while the cell is in no object.
pub(super) const DEAD: usize = 1 << (usize::BITS - 1);

/// What precedes the slots: a cache line, and what the writer alone touches now and then.
#[repr(C, align(16))]
struct Header {
    life: AtomicU64,
    refs: AtomicUsize,
    /// All slots below are dead, at the published length.
    below: AtomicU32,
    /// Where a test looks first. Nothing is concluded from it, so it is real in a model.
    look: Hint,
    /// Never changes.
    capacity: u32,
    /// What only the writer touches.
    owned: UnsafeCell<Owned>,
}

/// What the writer of a cell knows about it. First what an ordinary add touches, which is in one line of the
/// cache with the rest of the header.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Owned {
    /// Slots in use.
    pub(super) end: u32,
    /// All below are dead, staged edits included.
    pub(super) first: u32,
    /// Entries that have not died, staged edits included.
    pub(super) alive: u32,
    /// Entries that have died and own their fence still; all are at `dead_from` or behind.
    pub(super) dead: u32,
    /// Entries that may still be added.
    pub(super) adds: u32,
    /// Edits that may still be published.
    pub(super) publishes: u32,
    /// Usages of the living entries.
    pub(super) usages: u8,
    /// Whether there was an edit since this spare cell was filled from another one.
    pub(super) edited: bool,
    pub(super) dead_from: u32,
    /// How many of the first entries of a spare cell belong to the published one still.
    pub(super) borrowed: u32,
    /// The entries in the first so many slots count no more for the object's failure (B10).
    pub(super) overwritten: u32,
    /// Of entries that counted and are gone.
    pub(super) failures: Failures,
}

/// Where the slots begin.
pub(super) const SLOTS: usize = size_of::<Header>();
#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(SLOTS == 80);

/// The bytes of a cell with so many slots.
pub(super) const fn bytes(slots: usize) -> usize {
    (SLOTS + slots * size_of::<AtomicU64>()).next_multiple_of(CELL_ALIGN)
}

/// The address of a cell. Looking at its atomics is always allowed; it owns nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell(NonNull<Header>);

// SAFETY: (2) an address; what it leads to lives for ever and is made of atomics, `capacity`, which never
// changes, and `owned`, which the functions that touch it ask about.
unsafe impl Send for Cell {}
// SAFETY: (2) as for `Send`.
unsafe impl Sync for Cell {}

/// The even value of `life` that a reader noted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life(u64);

impl Cell {
    /// Makes memory cells of `slots` slots; `None` when it cannot be had, or not at an address that a
    /// head can hold. Calls `each` with every one of `count`.
    pub(super) fn allocate(slots: usize, count: usize, mut each: impl FnMut(Cell)) -> Option<()> {
        let bytes = bytes(slots);
        let layout = Layout::from_size_align(bytes.checked_mul(count)?, CELL_ALIGN).ok()?;
        // SAFETY: (3) the layout is not empty.
        let memory = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })?;
        if !fits(memory.addr().get() + layout.size()) {
            // SAFETY: (3) it was allocated with this layout, and nobody has seen it.
            unsafe { std::alloc::dealloc(memory.as_ptr(), layout) };
            return None;
        }
        for at in 0..count {
            // SAFETY: (3) the memory is fresh, `bytes * count` long and aligned to `CELL_ALIGN`, of which
            // `bytes` is a multiple; a header and `slots` slots fit in `bytes`.
            unsafe {
                let header = memory.byte_add(at * bytes).cast::<Header>();
                header.as_ptr().expose_provenance();
                header.write(Header {
                    life: AtomicU64::new(1),
                    refs: AtomicUsize::new(DEAD),
                    below: AtomicU32::new(0),
                    look: Hint::new(0),
                    capacity: slots as u32,
                    owned: UnsafeCell::new(Owned::default()),
                });
                // Zeroed memory is an `AtomicU64` of `Slot::NONE`; a model's is more than that.
                if cfg!(any(loom, shuttle)) {
                    let first = header.byte_add(SLOTS).cast::<AtomicU64>();
                    for slot in 0..slots {
                        first.add(slot).write(AtomicU64::new(Slot::NONE.0));
                    }
                }
                each(Cell(header));
            }
        }
        Some(())
    }

    /// The address, a multiple of [`CELL_ALIGN`].
    #[inline]
    pub(super) fn address(self) -> usize {
        self.0.addr().get()
    }

    /// The cell at an address.
    ///
    /// # Safety
    ///
    /// It is 0 or came from [`address`](Self::address).
    #[inline]
    pub(super) unsafe fn at(address: usize) -> Option<Cell> {
        NonNull::new(std::ptr::with_exposed_provenance_mut(address)).map(Cell)
    }

    #[inline]
    fn header(self) -> &'static Header {
        // SAFETY: (4) cells live for ever. What of the header is no atomic is `capacity`, which never
        // changes, and an `UnsafeCell`.
        unsafe { self.0.as_ref() }
    }

    /// How many slots there are.
    #[inline]
    pub(crate) fn capacity(self) -> usize {
        self.header().capacity as usize
    }

    #[inline]
    pub(super) fn slots(self) -> &'static [AtomicU64] {
        // SAFETY: (5) `allocate` made `capacity` slots behind the header, which live for ever and are only
        // used as atomics.
        unsafe {
            let first = self.0.byte_add(SLOTS).cast().as_ptr();
            std::slice::from_raw_parts(first, self.capacity())
        }
    }

    /// The slots from `from` to `to`, as far as there are any.
    #[inline]
    pub(super) fn range(self, from: u32, to: u32) -> &'static [AtomicU64] {
        let slots = self.slots();
        let to = (to as usize).min(slots.len());
        slots.get(from as usize..to).unwrap_or(&[])
    }

    /// The slots from `from` to `to`, if these are not more than [`SHORT`], and slot `to`, if there is one.
    #[inline(always)]
    pub(super) fn near(
        self,
        from: u32,
        to: u32,
    ) -> Option<(&'static [AtomicU64], &'static AtomicU64)> {
        // Wraps, and is too large, if `from` is greater than `to`.
        if u64::from(to).wrapping_sub(u64::from(from)) > SHORT as u64 {
            return None;
        }
        let free = self.slots().get(to as usize)?;
        // SAFETY: (5) so `from` is not greater than `to`, which is less than the number of slots.
        let taken = unsafe { self.slots().get_unchecked(from as usize..to as usize) };
        Some((taken, free))
    }

    /// So many of the first slots.
    ///
    /// # Panics
    ///
    /// When there are fewer.
    #[inline]
    pub(super) fn first_slots(self, count: u32) -> &'static [AtomicU64] {
        &self.slots()[..count as usize]
    }

    /// What slot `at` says, for the writer.
    #[inline]
    pub(super) fn own(self, at: u32) -> Slot {
        own(&self.slots()[at as usize])
    }

    /// What the slots from `from` to `to` say, for the writer.
    #[inline]
    pub(super) fn own_slots(self, from: u32, to: u32) -> impl Iterator<Item = Slot> + use<> {
        self.range(from, to).iter().map(own)
    }

    /// The same, and where they are.
    #[inline]
    pub(super) fn own_range(self, from: u32, to: u32) -> impl Iterator<Item = (u32, Slot)> + use<> {
        (from..).zip(self.own_slots(from, to))
    }

    /// Changes slot `at`; for the writer.
    #[inline]
    pub(super) fn set(self, at: u32, slot: Slot, order: Ordering) {
        self.slots()[at as usize].store(slot.0, order);
    }

    /// All slots below are dead at the length of some publication, or of one of another life.
    #[inline]
    pub(crate) fn below(self) -> u32 {
        // Acquire: pairs with the Release store in `set_below`: a reader that skips slots because of it sees
        // the head of the publication at which they were dead.
        self.header().below.load(Ordering::Acquire)
    }

    /// Says that all slots below are dead; for the writer.
    #[inline]
    pub(super) fn set_below(self, below: u32) {
        // Release: pairs with the Acquire load in `below`.
        self.header().below.store(below, Ordering::Release);
    }

    /// Where to look first for what is pending: only where to look.
    #[inline]
    pub(crate) fn look(self) -> u32 {
        self.header().look.load(Ordering::Relaxed)
    }

    /// Tells the next test where to look.
    #[inline]
    pub(crate) fn set_look(self, at: u32) {
        self.header().look.store(at, Ordering::Relaxed);
    }

    /// What the writer knows.
    ///
    /// # Safety
    ///
    /// The caller is the one thread that may write, and nothing else that this gave is in use.
    #[inline]
    pub(super) unsafe fn owned<'a>(self) -> &'a mut Owned {
        // SAFETY: (6) the caller's promise.
        self.header().owned.with_mut(|owned| unsafe { &mut *owned })
    }

    /// Notes the life before a read; `None` if the cell is in no object now.
    #[inline]
    pub(crate) fn note(self) -> Option<Life> {
        // Acquire: pairs with the Release store in `begin`.
        let life = self.header().life.load(Ordering::Acquire);
        (life & 1 == 0).then_some(Life(life))
    }

    /// Whether all that was read since `life` was noted is of that life.
    #[inline]
    pub(crate) fn still_lives(self, life: Life) -> bool {
        // Relaxed: the Acquire of each load of a slot orders it after that load.
        self.header().life.load(Ordering::Relaxed) == life.0
    }

    /// Begins a life, with one reference; for the writer, which publishes the cell next.
    pub(super) fn begin(self) {
        let life = self.header().life.load_own();
        debug_assert!(life & 1 == 1, "a life that has begun");
        // Release: pairs with the Acquire load in `note`.
        self.header().life.store(life + 1, Ordering::Release);
        // Release: pairs with the Acquire increment in `acquire`.
        self.header().refs.fetch_sub(DEAD - 1, Ordering::Release);
    }

    /// Ends a life; the caller owns the cell.
    pub(super) fn end(self) {
        let life = self.header().life.load_own();
        debug_assert!(life & 1 == 0, "a life that has ended");
        // Relaxed: every store to a slot that follows is Release, and so is the count of a fence that is
        // dropped; a reader that sees any of them with Acquire sees this.
        self.header().life.store(life + 1, Ordering::Relaxed);
    }

    /// Counts a reference. `false`: the cell was in no object, and the caller
    /// [releases](Self::release) it again, as by then it may be.
    #[inline]
    pub(super) fn acquire(self) -> bool {
        // Acquire: pairs with the Release in `begin`, and with `is_held`, a read-modify-write: a thread that
        // counts after it sees the head that was stored before it.
        self.header().refs.fetch_add(1, Ordering::Acquire) & DEAD == 0
    }

    /// Whether anybody but the object has the cell; for the writer, after a publish.
    #[inline]
    pub(super) fn is_held(self, plain: bool) -> bool {
        let refs = &self.header().refs;
        if plain {
            return refs.load(Ordering::Acquire) != 1;
        }
        // A read-modify-write: every other one of this word comes before it, and is seen in the number,
        // or after it, and sees the head (Release, paired with the Acquire in `acquire`). A plain load
        // and the store of the head could both come late. Acquire: pairs with the Release decrements in
        // `release`: what snapshots did happens before their fences are given up.
        refs.fetch_add(0, Ordering::AcqRel) != 1
    }

    /// Takes the cell out of circulation if the caller has the only reference; it is the caller's then.
    #[inline]
    pub(super) fn claim(self) -> bool {
        // Acquire: pairs with the Release decrements of all holders of references.
        self.header()
            .refs
            .compare_exchange(1, DEAD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Drops a reference; `true`: it was the last one, and the cell is the caller's.
    #[inline]
    pub(super) fn release(self) -> bool {
        self.uncount() && self.is_taken()
    }

    /// The first half of [`release`](Self::release); `true`: then comes the second half.
    #[inline]
    pub(super) fn uncount(self) -> bool {
        // Release: this owner's uses happen before the fences are dropped.
        self.header().refs.fetch_sub(1, Ordering::Release) == 1
    }

    /// The second half of [`release`](Self::release); `true`: the cell is the caller's.
    #[inline]
    pub(super) fn is_taken(self) -> bool {
        // Acquire: by the thread that succeeds here; its read is of a value that ends the release sequences
        // of all decrements.
        self.header()
            .refs
            .compare_exchange(0, DEAD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Gives the pages behind the header back to the system, if they are many; the caller owns the cell,
    /// whose slots own nothing.
    pub(super) fn give_back_pages(self) {
        #[cfg(all(target_os = "linux", not(any(loom, shuttle, miri))))]
        {
            const LARGE: usize = 1 << 13;
            const PAGE: usize = 1 << 12;
            let (begin, end) = (self.address(), self.address() + bytes(self.capacity()));
            let (first, last) = ((begin + SLOTS).next_multiple_of(PAGE), end / PAGE * PAGE);
            if end - begin < LARGE || first >= last {
                return;
            }
            // SAFETY: (7) the pages are slots of this cell and of nobody else; they read as zeros
            // afterwards, which are slots without an entry. Failing is as good as not trying.
            let _ = unsafe {
                let pages = self.0.byte_add(first - begin).as_ptr().cast();
                rustix::mm::madvise(pages, last - first, rustix::mm::Advice::LinuxDontNeed)
            };
        }
    }
}

/// What a slot says, for the writer of its cell.
#[inline]
pub(super) fn own(slot: &AtomicU64) -> Slot {
    // As `load_own`, in one step where that takes two.
    Slot(if cfg!(loom) {
        slot.fetch_or(0, Ordering::Relaxed)
    } else {
        slot.load_own()
    })
}

/// A cell, with a head that names it: the length at which it is published, or was.
#[derive(Clone, Copy)]
pub(crate) struct Published {
    cell: Cell,
    head: Head,
}

impl Published {
    /// # Safety
    ///
    /// The head names the cell.
    #[inline]
    pub(super) unsafe fn new(cell: Cell, head: Head) -> Published {
        Published { cell, head }
    }

    #[inline]
    pub(crate) fn cell(self) -> Cell {
        self.cell
    }

    #[inline]
    pub(crate) fn head(self) -> Head {
        self.head
    }

    /// The slots of the length from `from` on, whatever is in them.
    #[inline]
    fn slots(self, from: u32) -> Slots {
        // SAFETY: (5) as in `Cell::slots`; a head is made with a length that is not more than the capacity
        // of the cell that it names, which never changes.
        let (first, end) = unsafe {
            let first = self.cell.0.byte_add(SLOTS).cast::<AtomicU64>().as_ptr();
            (first, first.add(self.head.len() as usize))
        };
        Slots {
            // Nothing is read there if that is behind the end.
            at: first.wrapping_add(from as usize),
            end,
        }
    }

    /// The entries that are visible, from slot `from` on, and where they are.
    #[inline]
    pub(crate) fn entries(
        self,
        from: u32,
    ) -> impl Iterator<Item = (u32, &'static FenceCell, Usage)> + use<> {
        let bound = self.head.bound();
        let slots = (from..).zip(self.slots(from));
        slots.filter_map(move |(at, slot)| {
            let (fence, usage) = bound.visible(slot)?;
            Some((at, fence, usage))
        })
    }

    /// The entries that are visible, pending, and asked for, from slot `from` on.
    #[inline(always)]
    pub(crate) fn pending(
        self,
        from: u32,
        usages: UsageSet,
    ) -> impl Iterator<Item = (&'static FenceCell, Usage)> + use<> {
        let (bound, asked) = (self.head.bound(), Asked::new(usages));
        self.slots(from).filter_map(
            #[inline(always)]
            move |slot| {
                // The word says all but whether the fence is pending, which is in another line.
                let visible = bound.visible(slot).filter(|_| asked.asks_for(slot));
                visible.filter(|(fence, _)| fence.is_pending())
            },
        )
    }

    /// Whether the entry in slot `at` is visible, pending, and asked for.
    #[inline]
    pub(crate) fn is_pending_at(self, at: u32, usages: UsageSet) -> bool {
        if at >= self.head.len() {
            // It may be staged: it is no entry of this publication.
            return false;
        }
        // SAFETY: (5) as in `slots`; the slot is one of the length.
        let slot = unsafe { &*self.slots(at).at };
        self.head
            .shows_pending(Slot::load(slot), Asked::new(usages))
    }

    /// Where, from slot `from` on, the first entry is that is visible, pending, and asked for.
    #[inline]
    pub(crate) fn find_pending(self, from: u32, usages: UsageSet) -> Option<u32> {
        let mut entries = self.entries(from);
        entries
            .find(|&(_, fence, usage)| usages.contains(usage) && fence.is_pending())
            .map(|(at, ..)| at)
    }
}

/// Slots of a publication, loaded one by one.
struct Slots {
    at: *const AtomicU64,
    end: *const AtomicU64,
}

impl Iterator for Slots {
    type Item = Slot;

    #[inline(always)]
    fn next(&mut self) -> Option<Slot> {
        if self.at >= self.end {
            return None;
        }
        // SAFETY: (5) `end` is that of slots of a cell, which live for ever and are only used as atomics;
        // `at` was one of these before it, or is.
        let slot = unsafe { &*self.at };
        self.at = self.at.wrapping_add(1);
        Some(Slot::load(slot))
    }
}
