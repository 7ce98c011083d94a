//! What the words of the protocol say: the head of an object, and a slot of a cell.
//!
//! ```text
//!   head   | published length | address of a cell >> 3        | busy bits 0..4 |
//!   slot   | died             | address of a fence >> 3       | lives | note | usage |
//!            20 bits            44 bits, the low ones of which are free
//! ```
//!
//! So "visible at this length" is one comparison of two words ([`Bound`]). The split is that of x86-64,
//! whose user addresses have 47 bits; elsewhere it is 19 and 45, for 48 bits. Memory at a higher address
//! is refused where it is got ([`fits`]).

use resv_core::fence::cell::FenceCell;
use resv_core::{Fence, Key, Usage, UsageSet};
use resv_sync::pool::{ADDRESS_BITS, fits};
use resv_sync::sync::atomic::{AtomicU64, Ordering};

/// Where the length, or `died`, begins.
const SHIFT: u32 = ADDRESS_BITS - 3;
/// What is below it.
const LOW: u64 = (1 << SHIFT) - 1;
/// Busy bits, one for each usage.
const BUSY: u64 = UsageSet::ALL.bits() as u64;
/// The low bits of a slot that hold the usage.
const USAGE: u64 = 0b11;
/// The holder's note on an entry, which means nothing to readers.
const NOTE: u64 = 0b100;
/// The entry has not died: what the holder asks of each slot, in one instruction. Readers go by `died`.
const LIVES: u64 = 0b1000;
/// The low bits of a shifted address that are zero in a slot, as fences are aligned as cells are.
const FENCE_TAG: u64 = BUSY;
const _: () = assert!(FENCE_TAG == USAGE | NOTE | LIVES);
const _: () = assert!(align_of::<FenceCell>() >= CELL_ALIGN);

/// Cells begin at multiples of this, so that four low bits of a shifted address are free.
pub(crate) const CELL_ALIGN: usize = 128;
const _: () = assert!(BUSY < CELL_ALIGN as u64 >> 3);

/// `died` of an entry that is alive, and no length.
const ALIVE: u64 = (1 << (64 - SHIFT)) - 1;
/// More slots than this a cell cannot have: each length, and one more, is less than [`ALIVE`].
pub(crate) const MAX_SLOTS: usize = ALIVE as usize - 2;

/// What the head of an object said at some moment: which cell, which length of it is published, and for
/// which usages a fence may be pending.
///
/// A *busy bit* that is clear is an *idle bit*: nothing with that usage is pending. The word of an object
/// without a cell is 0, so a test for idle bits is a test for zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head(pub(super) u64);

impl Head {
    pub(super) const EMPTY: Head = Head(0);

    /// The head that publishes the first `len` slots of the cell at `address`.
    pub(super) fn new(address: usize, len: u32, busy: u8) -> Head {
        debug_assert!(fits(address) && address.is_multiple_of(CELL_ALIGN));
        debug_assert!(len as usize <= MAX_SLOTS && u64::from(busy) <= BUSY);
        Head(u64::from(len) << SHIFT | address as u64 >> 3 | u64::from(busy))
    }

    /// Whether nothing with a usage in `usages` is pending.
    #[inline]
    pub(crate) fn says_idle(self, usages: UsageSet) -> bool {
        self.0 & u64::from(usages.bits()) == 0
    }

    /// The published length.
    #[inline]
    pub(crate) fn len(self) -> u32 {
        (self.0 >> SHIFT) as u32
    }

    /// The address of the cell, 0 for none.
    #[inline]
    pub(super) fn address(self) -> usize {
        ((self.0 & LOW & !BUSY) << 3) as usize
    }

    /// Whether both name the same publication, if both were seen in one life of the cell.
    #[inline]
    pub(crate) fn is_same_publication(self, other: Head) -> bool {
        (self.0 ^ other.0) & !BUSY == 0
    }

    /// Whether an entry with this word is visible at this length, pending, and asked for: what
    /// [`bound`](Head::bound) is for many slots, for one.
    #[inline]
    pub(super) fn shows_pending(self, slot: Slot, asked: Asked) -> bool {
        // SAFETY: (1) as in `Bound::visible`.
        slot.0 >> SHIFT > self.0 >> SHIFT
            && asked.asks_for(slot)
            && unsafe { &*slot.address() }.is_pending()
    }

    /// What slots must be greater than to be visible.
    #[inline]
    pub(crate) fn bound(self) -> Bound {
        Bound(self.0 | LOW)
    }

    pub(super) fn with_idle(self, usages: UsageSet) -> Head {
        Head(self.0 & !u64::from(usages.bits()))
    }
}

/// A published length, in the form that slots are compared with.
#[derive(Clone, Copy)]
pub(crate) struct Bound(u64);

impl Bound {
    /// Whether an entry with this word is visible at this length.
    #[inline]
    pub(crate) fn shows(self, slot: Slot) -> bool {
        slot.0 > self.0
    }

    /// What is in the slot, if it is visible at this length.
    #[inline]
    pub(crate) fn visible(self, slot: Slot) -> Option<(&'static FenceCell, Usage)> {
        if !self.shows(slot) {
            return None;
        }
        // SAFETY: (1) its `died` is greater than some length, so not 0: the word was made from that of a
        // living entry, which has a fence.
        let fence = unsafe { &*slot.address() };
        Some((fence, slot.usage()))
    }
}

/// The usages that are asked for, in the form that slots are tested with: bit `i` says whether the usage
/// in the two low bits of `i` is asked for. So the low bits of a slot need not be cut out.
#[derive(Clone, Copy)]
pub(crate) struct Asked(u32);

impl Asked {
    #[inline]
    pub(crate) fn new(usages: UsageSet) -> Asked {
        const _: () = assert!(BUSY == 0xF && USAGE == 0b11);
        Asked(u32::from(usages.bits()) * 0x1111_1111)
    }

    /// Whether the usage of the entry is asked for.
    #[inline]
    pub(crate) fn asks_for(self, slot: Slot) -> bool {
        self.0 >> slot.low_bits() & 1 != 0
    }
}

/// What a slot said at some moment: a fence, a usage, and at which length the entry died. Owns nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(super) u64);

impl Slot {
    /// No entry: a tombstone, or one whose fence was given up. Visible to nobody, as its `died` is 0.
    pub(super) const NONE: Slot = Slot(0);

    /// What a slot says, for a reader.
    #[inline]
    pub(super) fn load(slot: &AtomicU64) -> Slot {
        // Acquire: pairs with the Release of every store to a slot: a fence that is found there is
        // initialised; and a reader that finds a slot empty, or of another life, sees the head or the life
        // that was stored before.
        Slot(slot.load(Ordering::Acquire))
    }

    /// A living entry. The fence's reference goes over to where the word is stored.
    #[inline]
    pub(super) fn alive(fence: Fence, usage: Usage) -> Slot {
        let address = std::ptr::from_ref(fence.into_cell()).expose_provenance();
        // The pool of fences has no others.
        debug_assert!(fits(address));
        Slot(ALIVE << SHIFT | address as u64 >> 3 | LIVES | usage as u64)
    }

    /// The same entry, which is not visible from length `died` on.
    #[inline]
    pub(super) fn dead_from(self, died: u32) -> Slot {
        Slot(self.0 & LOW & !(LIVES | NOTE) | u64::from(died) << SHIFT)
    }

    /// Whether the entry has not died: what the holder of the lock sees.
    #[inline]
    pub(super) fn lives(self) -> bool {
        self.0 & LIVES != 0
    }

    /// What is in the slot, if it has not died.
    #[inline]
    pub(super) fn living(self) -> Option<(&'static FenceCell, Usage)> {
        if !self.lives() {
            return None;
        }
        // SAFETY: (1) as in `Bound::visible`: the bit was set by `alive`.
        let fence = unsafe { &*self.address() };
        Some((fence, self.usage()))
    }

    #[inline]
    pub(super) fn is_noted(self) -> bool {
        self.0 & NOTE != 0
    }

    #[inline]
    pub(super) fn with_note(self, note: bool) -> Slot {
        Slot(self.0 & !NOTE | if note { NOTE } else { 0 })
    }

    /// Whether both are entries with the same usage.
    #[inline]
    pub(super) fn is_same_usage(self, other: Slot) -> bool {
        (self.0 ^ other.0) & USAGE == 0
    }

    /// Whether both are entries of the same fence.
    #[inline]
    pub(super) fn is_same_fence(self, other: Slot) -> bool {
        (self.0 ^ other.0) & LOW & !FENCE_TAG == 0
    }

    #[inline]
    pub(crate) fn usage(self) -> Usage {
        Usage::from_bits((self.0 & USAGE) as u8)
    }

    /// The usage, and above it what is there as well: so it need not be cut out before it is shifted by.
    #[inline]
    pub(super) fn low_bits(self) -> u32 {
        self.0 as u32 % u32::BITS
    }

    /// The usages in a word that has a bit for the [low bits](Slot::low_bits) of each entry.
    #[inline]
    pub(super) fn usages_of_low_bits(bits: u32) -> u8 {
        const _: () = assert!(BUSY == 0xF && USAGE == 0b11);
        let bits = bits | bits >> 16;
        let bits = bits | bits >> 8;
        ((bits | bits >> 4) as u64 & BUSY) as u8
    }

    #[inline]
    fn address(self) -> *const FenceCell {
        let address = ((self.0 & LOW & !FENCE_TAG) << 3) as usize;
        std::ptr::with_exposed_provenance(address)
    }

    /// The memory of the fence.
    #[inline]
    pub(crate) fn fence(self) -> Option<&'static FenceCell> {
        let cell = self.address();
        // SAFETY: (1) a word that is not 0 was made by `alive` from the address of a fence cell, whose
        // provenance was exposed there, and whose memory is never given back.
        unsafe { cell.as_ref() }
    }
}

/// What a semantics may know about it.
#[inline]
pub(crate) fn key(fence: &FenceCell, usage: Usage) -> Key {
    let (timeline, seqno) = fence.key_parts();
    Key {
        timeline,
        seqno,
        usage,
    }
}
