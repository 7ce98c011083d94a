//! One slot: a fence and its usage in one word, so that they can only change together (D-7).

use crate::counter::Protocol;
use resv_core::Usage;
use resv_core::fence::cell::FenceCell;
use resv_sync::sync::atomic::{AtomicPtr, Ordering, OwnerAccess};

/// The low bits of a cell's address that hold the usage.
const USAGE: usize = 0b11;
const _: () = assert!(align_of::<FenceCell>() > USAGE);

/// What a slot in use holds.
pub(crate) type Content = (&'static FenceCell, Usage);

/// A fence cell and a usage, or nothing. A slot in use owns one reference of the fence; loading it
/// takes none.
#[derive(Debug)]
pub(crate) struct Slot {
    word: AtomicPtr<FenceCell>,
}

impl Slot {
    pub(crate) fn empty() -> Slot {
        Slot {
            word: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The cell and the usage at some moment. The cell may have become another fence since, unless
    /// the sequence counter says that the slot has not changed.
    #[inline]
    pub(crate) fn load(&self) -> Option<Content> {
        // Acquire: pairs with the Release store in `store`: the cell is initialised (H-28), and the
        // reader's second look at the counter comes after this (`counter.rs`, b).
        Self::content(self.word.load(Ordering::Acquire))
    }

    /// What the holder of the object's lock has in the slot; it stays the same fence.
    #[inline]
    pub(crate) fn load_held(&self) -> Option<Content> {
        Self::content(self.word.load_own())
    }

    #[inline]
    fn content(word: *mut FenceCell) -> Option<Content> {
        let usage = word.addr() & USAGE;
        // Not `map_addr`, of which the compiler makes two subtractions and an addition.
        let cell = word.wrapping_byte_sub(usage);
        // SAFETY: a non-null word is only ever made from a `&'static FenceCell` in `store`, and its
        // tag bits are taken off again. Cells are never freed.
        let cell = unsafe { cell.cast_const().as_ref() }?;
        Some((cell, Usage::from_bits(usage as u8)))
    }

    /// Changes the slot; ownership of references is the caller's business.
    #[inline]
    pub(crate) fn store<P: Protocol>(&self, content: Option<Content>) {
        let word = match content {
            None => std::ptr::null_mut(),
            Some((cell, usage)) => std::ptr::from_ref(cell)
                .cast_mut()
                .map_addr(|addr| addr | usage as usize),
        };
        // Release: pairs with the Acquire load in `load`.
        self.word.store(word, P::DATA_STORE);
    }
}
