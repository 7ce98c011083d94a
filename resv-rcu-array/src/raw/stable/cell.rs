//! The memory of an array: type-stable, so that anybody may look at it at any time.
//!
//! A cell is one array: a header, *slots* for readers who own nothing, and *entries* for those who own
//! a reference. It comes from a pool that never gives memory back, so that a stale address always
//! leads to a cell; what may have changed is which array it holds.
//!
//! ```text
//!   life | refs | len, capacity | owner's | slots: (fence cell, usage) ... | entries ...
//!   atomics, read by anybody              | atomics, read by anybody       | plain, read by owners
//! ```
//!
//! # Life
//!
//! `life` counts the states of a cell: **even**, it is an array that does not change; **odd**, it is
//! free or being filled. It is made even when an array is sealed and odd when its last reference is
//! gone, so an even value names one array for ever. Whoever reads slots without owning a reference
//! reads `life` before and after; if it is the same even value, what was read is of that array.
//!
//! # References
//!
//! `refs` counts owners; [`DEAD`] is added while there is no array. Taking a reference is one
//! increment: if the old count had `DEAD` in it there was nothing to take, and the increment is dropped
//! again like any reference, since by then the cell may hold an array whose other owners have gone.
//! Who drops the count to zero exchanges zero for `DEAD`, and whoever succeeds owns the cell; a reader
//! that came between has a reference to an array that is still whole, and does the same in its turn.
//!
//! # Orderings
//!
//! | store | load | why |
//! |---|---|---|
//! | `life` := odd, Relaxed, then slots and `len`, Release | slots and `len`, Acquire, then `life` | whoever reads anything of a later array sees at the second look that the first is over |
//! | slots, then `life` := even, Release | `life`, Acquire, then slots | whoever sees an array begun sees its slots |
//! | `refs` down, Release | `refs` zero to `DEAD`, Acquire | all uses of the entries come before they are dropped or changed |
//! | sealed: `refs` without `DEAD`, Release | `refs` up, Acquire | whoever has a reference sees the entries |
//!
//! What happens to a fence *cell* after its fence was dropped is ordered likewise: an entry is dropped
//! after `life` was made odd, and the next fence in that cell stores its key and state with Release.

use super::model;
use resv_core::fence::cell::FenceCell;
use resv_core::{Entry, Usage, UsageSet};
use resv_sync::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, OwnerAccess,
};
use std::alloc::Layout;
use std::ptr::{self, NonNull};

/// Added to the count of references while there is no array.
pub(super) const DEAD: usize = 1 << (usize::BITS - 1);

/// Cells begin at multiples of this, so that the low bits of an address are free.
pub(super) const ALIGN: usize = 64;

/// The low bits of a slot that hold the usage.
const USAGE: usize = 0b11;
const _: () = assert!(align_of::<FenceCell>() > USAGE);

/// What precedes the slots. Always reached through a raw pointer, field by field.
#[repr(C)]
pub(super) struct Header {
    pub(super) life: AtomicU64,
    pub(super) refs: AtomicUsize,
    /// Slots in use; never more than `capacity`.
    len: AtomicU32,
    /// Never changes.
    capacity: u32,
    /// A hint of readers: the low 16 bits say how many of the first entries have signalled, the others
    /// of which life that is true. Every life begins with none.
    first: AtomicU64,
    /// What follows belongs to whoever owns the cell while it is free or being filled.
    pub(super) owned: Owned,
    pub(super) model: model::Bytes,
}

/// What only the owner of a cell that is no array touches.
pub(super) struct Owned {
    pub(super) next: Option<ArrayCell>,
    /// How many of the entries are initialised.
    pub(super) len: u32,
    /// How many of the first entries are borrowed from the published array.
    pub(super) borrowed: u32,
    pub(super) role: super::Role,
}

/// Where the slots begin.
const SLOTS: usize = size_of::<Header>().next_multiple_of(align_of::<Slot>());
const EACH: usize = size_of::<Slot>() + size_of::<Entry>();

/// A fence cell and a usage in one word, so that they can only be read together.
struct Slot(AtomicPtr<FenceCell>);

impl Slot {
    /// What is in the slot, for a reader who owns no reference.
    #[inline]
    fn load(&self) -> Option<(&'static FenceCell, Usage)> {
        // Acquire: pairs with the Release store in `seal`.
        let word = self.0.load(Ordering::Acquire);
        let usage = word.addr() & USAGE;
        // Not `map_addr`, of which the compiler makes two subtractions and an addition.
        let cell = word.wrapping_byte_sub(usage).cast_const();
        // SAFETY: a word that is not null is made in `seal` from the address of a cell, which is never
        // freed, and its tag is taken off again.
        let cell = unsafe { cell.as_ref() }?;
        Some((cell, Usage::from_bits(usage as u8)))
    }
}

/// The bytes of a cell of size class `class`, and how many entries that is.
pub(super) const fn size(class: u32) -> Option<(usize, u32)> {
    // The atomics of the model checkers are large.
    let unit: usize = if cfg!(any(loom, shuttle)) { 1024 } else { 128 };
    let Some(bytes) = unit.checked_shl(class) else {
        return None;
    };
    if bytes < unit || bytes > isize::MAX as usize / 2 {
        return None;
    }
    let capacity = if cfg!(any(loom, shuttle)) {
        // Small, so that growth is in reach of a model.
        2 << class
    } else {
        (bytes - SLOTS) / EACH
    };
    if capacity > u32::MAX as usize || SLOTS + capacity * EACH > bytes {
        return None;
    }
    Some((bytes, capacity as u32))
}

/// The address of a cell. Looking at its atomics is always allowed; it owns nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArrayCell(NonNull<Header>);

// SAFETY: an address; what it leads to lives for ever. The functions of this type that touch more than
// atomics are unsafe, and say who may call them.
unsafe impl Send for ArrayCell {}
// SAFETY: as above.
unsafe impl Sync for ArrayCell {}

/// The even value of `life` that a reader noted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life(u64);

impl ArrayCell {
    /// Makes memory cells of size class `class`; `None` when it cannot be had. Calls `each` with every
    /// one of `count`.
    pub(super) fn allocate(
        class: u32,
        count: usize,
        mut each: impl FnMut(ArrayCell),
    ) -> Option<()> {
        let (bytes, capacity) = size(class)?;
        let layout = Layout::from_size_align(bytes.checked_mul(count)?, ALIGN).ok()?;
        // SAFETY: the layout is not empty.
        let memory = NonNull::new(unsafe { std::alloc::alloc(layout) })?;
        for at in 0..count {
            // SAFETY: the memory is fresh, `bytes * count` long and aligned to `ALIGN`, of which
            // `bytes` is a multiple; a header and `capacity` slots and entries fit in `bytes` (`size`).
            unsafe {
                let header = memory.byte_add(at * bytes).cast::<Header>();
                header.write(Header {
                    life: AtomicU64::new(1),
                    refs: AtomicUsize::new(DEAD),
                    len: AtomicU32::new(0),
                    capacity,
                    first: AtomicU64::new(0),
                    owned: Owned {
                        next: None,
                        len: 0,
                        borrowed: 0,
                        role: super::Role::Cached,
                    },
                    model: model::Bytes::new(),
                });
                let slots = header.byte_add(SLOTS).cast::<Slot>();
                for slot in 0..capacity as usize {
                    slots.add(slot).write(Slot(AtomicPtr::new(ptr::null_mut())));
                }
                each(ArrayCell(header));
            }
        }
        Some(())
    }

    /// The address, whose low bits are zero.
    pub(super) fn as_ptr(self) -> *mut Header {
        self.0.as_ptr()
    }

    /// The cell at an address that [`as_ptr`](Self::as_ptr) gave; `None` for null.
    ///
    /// # Safety
    ///
    /// The address is null or came from `as_ptr`.
    #[inline]
    pub(super) unsafe fn from_ptr(address: *mut Header) -> Option<ArrayCell> {
        NonNull::new(address).map(ArrayCell)
    }

    #[inline]
    pub(super) fn refs(self) -> &'static AtomicUsize {
        // SAFETY: cells live for ever, and `refs` is only ever used as an atomic.
        unsafe { &(*self.as_ptr()).refs }
    }

    #[inline]
    pub(super) fn life(self) -> &'static AtomicU64 {
        // SAFETY: as in `refs`.
        unsafe { &(*self.as_ptr()).life }
    }

    #[inline]
    fn len_word(self) -> &'static AtomicU32 {
        // SAFETY: as in `refs`.
        unsafe { &(*self.as_ptr()).len }
    }

    #[inline]
    fn first_word(self) -> &'static AtomicU64 {
        // SAFETY: as in `refs`.
        unsafe { &(*self.as_ptr()).first }
    }

    /// How many entries there is memory for.
    #[inline]
    pub(crate) fn capacity(self) -> usize {
        // SAFETY: as in `refs`; `capacity` never changes.
        unsafe { (*self.as_ptr()).capacity as usize }
    }

    #[inline]
    fn slots(self) -> &'static [Slot] {
        // SAFETY: the slots were made by `allocate`, and are only ever used as atomics.
        unsafe {
            std::slice::from_raw_parts(self.0.byte_add(SLOTS).cast().as_ptr(), self.capacity())
        }
    }

    /// Where the entries are.
    pub(super) fn entries(self) -> *mut Entry {
        const { assert!(align_of::<Entry>() <= align_of::<Slot>()) };
        // SAFETY: there is memory for `capacity` slots and as many entries (`size`), and an entry needs
        // no greater alignment than a slot.
        unsafe {
            let slots = self.as_ptr().byte_add(SLOTS);
            slots.byte_add(self.capacity() * size_of::<Slot>()).cast()
        }
    }

    /// What only the owner of a cell that is no array touches, to read.
    ///
    /// # Safety
    ///
    /// The cell is no array, and whoever owns it changes nothing while the result is in use.
    pub(super) unsafe fn owned_ref(self) -> &'static Owned {
        // SAFETY: the caller's promise.
        unsafe { &(*self.as_ptr()).owned }
    }

    /// The same, to change.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which is no array, and nothing else that this or
    /// [`owned_ref`](Self::owned_ref) gave is in use.
    pub(super) unsafe fn owned(self) -> &'static mut Owned {
        // SAFETY: the caller is the only one.
        unsafe { &mut (*self.as_ptr()).owned }
    }

    pub(super) fn model(self) -> &'static model::Bytes {
        // SAFETY: never changed after it was made.
        unsafe { &(*self.as_ptr()).model }
    }

    /// Notes the life of the array before a read; `None` if there is none now.
    #[inline]
    pub(crate) fn note(self) -> Option<Life> {
        // Acquire: pairs with the Release store in `seal`.
        let life = self.life().load(Ordering::Acquire);
        (life & 1 == 0).then_some(Life(life))
    }

    /// Whether all that was read since `life` was noted is of that array.
    #[inline]
    pub(crate) fn still_lives(self, life: Life) -> bool {
        // Relaxed: the Acquire of each load of a slot orders it after that load.
        self.life().load(Ordering::Relaxed) == life.0
    }

    /// How many slots are in use.
    #[inline]
    pub(crate) fn len(self) -> usize {
        // Acquire: pairs with the Release store in `seal`.
        self.len_word().load(Ordering::Acquire) as usize
    }

    /// What the first `len` slots hold, for a reader who owns no reference.
    #[inline]
    pub(crate) fn read(self, from: usize) -> impl Iterator<Item = (&'static FenceCell, Usage)> {
        let slots = self.slots_in_use().get(from..).unwrap_or(&[]);
        slots.iter().filter_map(Slot::load)
    }

    /// Whether entry `at` has a usage in `usages` and is pending, for a reader who owns no reference.
    #[inline]
    pub(crate) fn is_pending_at(self, at: usize, usages: UsageSet) -> bool {
        let slot = self.slots_in_use().get(at).and_then(Slot::load);
        slot.is_some_and(|(fence, usage)| usages.contains(usage) && fence.is_pending())
    }

    #[inline]
    fn slots_in_use(self) -> &'static [Slot] {
        let len = self.len();
        debug_assert!(len <= self.capacity());
        // SAFETY: `len` is only ever stored by `seal`, which has filled as many slots; there are
        // `capacity` slots in this cell for ever, which are only used as atomics.
        unsafe { std::slice::from_raw_parts(self.0.byte_add(SLOTS).cast().as_ptr(), len) }
    }

    /// Which entry to look at first: the one behind those that are known to have signalled, in this life
    /// or another. Only where to look; what is found there has to be of one life.
    #[inline]
    pub(crate) fn likely_pending(self) -> usize {
        // Relaxed: nothing is concluded from it.
        (self.first_word().load(Ordering::Relaxed) & 0xffff) as usize
    }

    /// How many of the first entries are known to have signalled in this life.
    #[inline]
    pub(crate) fn signaled_prefix(self, life: Life) -> (usize, Hint) {
        // Acquire: pairs with the Release in `note_signaled`: what was before those signals is visible
        // to whoever does not look at them any more.
        let word = self.first_word().load(Ordering::Acquire);
        let of_this_life = word >> 16 == life.0 & (u64::MAX >> 16);
        (
            if of_this_life {
                (word & 0xffff) as usize
            } else {
                0
            },
            Hint(word),
        )
    }

    /// Remembers that the first `count` entries have signalled, which the caller has seen in a read that
    /// was of `life`.
    pub(crate) fn note_signaled(self, life: Life, count: usize, seen: Hint) {
        let word = life.0 << 16 | count.min(0xffff) as u64;
        // Release: the signals that this thread has seen happen before it is believed. One value names
        // one life, so a late hint is ignored; nobody waits for this to succeed.
        let _ =
            self.first_word()
                .compare_exchange(seen.0, word, Ordering::Release, Ordering::Relaxed);
    }

    /// Notes something about entry `at` in its slot, which means nothing to readers.
    ///
    /// Release: as any store to a slot, so that a reader who comes upon it learns that `life` is odd.
    pub(super) fn scribble(self, at: usize, flag: bool) {
        let word = ptr::null_mut::<FenceCell>().map_addr(|_| usize::from(flag));
        self.slots()[at].0.store(word, Ordering::Release);
    }

    /// What [`scribble`](Self::scribble) noted.
    pub(super) fn scribbled(self, at: usize) -> bool {
        // Relaxed: the caller's own store.
        self.slots()[at].0.load(Ordering::Relaxed).addr() == 1
    }

    /// Makes slots and `life` say what the entries are; the caller publishes the cell next. Returns which
    /// usages there are.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which is no array, and its first `len` entries are initialised.
    pub(super) unsafe fn seal(self, len: usize) -> u8 {
        let mut usages = 0;
        let entries = self.entries();
        for (at, slot) in self.slots()[..len].iter().enumerate() {
            // SAFETY: the caller's promise.
            let entry = unsafe { &*entries.add(at) };
            usages |= 1 << entry.usage as u8;
            let word = ptr::from_ref(entry.fence.cell())
                .cast_mut()
                .map_addr(|address| address | entry.usage as usize);
            // Release: pairs with the Acquire load in `read`.
            slot.0.store(word, Ordering::Release);
        }
        // Release: pairs with the Acquire load in `len`.
        self.len_word().store(len as u32, Ordering::Release);
        // Only the owner changes it, so a load and a store will do.
        let life = self.life().load_own();
        debug_assert!(life & 1 == 1, "sealed twice");
        // A hint, and this life's: a reader that comes late with one of another exchanges it no more.
        self.first_word()
            .store_over((life + 1) << 16, Ordering::Relaxed);
        // Release: pairs with the Acquire load in `note`.
        self.life().store(life + 1, Ordering::Release);
        // Release: pairs with the Acquire increment in `acquire`.
        self.refs().fetch_sub(DEAD - 1, Ordering::Release);
        usages
    }

    /// The array is over; the caller owns the cell.
    pub(super) fn end(self) {
        let life = self.life().load_own();
        // Relaxed: ordered before the slots of the next array by their Release, and before the fences
        // of this one are dropped by the Release of their count.
        self.life().store(life + 1, Ordering::Relaxed);
    }

    /// Counts a reference of the array that is in this cell now. `false`: there was none, and the caller
    /// [releases](Self::release) the count again, as by then there may be one.
    #[inline]
    pub(super) fn acquire(self) -> bool {
        // Acquire: pairs with the Release in `seal`.
        self.refs().fetch_add(1, Ordering::Acquire) & DEAD == 0
    }

    /// Ends the array if the caller has the only reference; the caller owns the cell then.
    #[inline]
    pub(super) fn claim(self) -> bool {
        // Acquire: pairs with the Release decrements of all who had references.
        self.refs()
            .compare_exchange(1, DEAD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Drops a reference; `true`: it was the last one, and the caller owns the cell.
    #[inline]
    pub(super) fn release(self) -> bool {
        // Release: this owner's uses happen before the entries are dropped ...
        if self.refs().fetch_sub(1, Ordering::Release) != 1 {
            return false;
        }
        // ... Acquire: by whoever succeeds here; its read is of a value that ends the release sequences
        // of all decrements.
        self.refs()
            .compare_exchange(0, DEAD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

/// What a reader found where hints are kept.
#[derive(Clone, Copy)]
pub(crate) struct Hint(u64);

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// A class has as many entries as there is memory for, and there is no class that would not fit
    /// into an address or a count.
    #[test]
    fn each_class_has_twice_the_memory_and_uses_it() {
        let each = (size_of::<usize>() + size_of::<Entry>()) as u128;
        let head = SLOTS as u128;
        let mut last = 0;
        for class in 0..200 {
            let bytes = 128_u128.checked_shl(class).unwrap_or(0);
            let capacity = bytes.saturating_sub(head) / each;
            let fits =
                class < 100 && bytes <= isize::MAX as u128 / 2 && capacity <= u128::from(u32::MAX);
            let expected = fits.then_some((bytes as usize, capacity as u32));
            assert_eq!(size(class), expected, "{class}");
            if let Some((_, capacity)) = expected {
                assert!(capacity > last, "{class}");
                last = capacity;
            }
        }
        assert!(last > 1 << 30);
    }
}
