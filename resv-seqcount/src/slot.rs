//! One slot: a fence and its usage in one word, so that they can only change together (D-7).

use resv_core::Usage;
use resv_core::fence::cell::FenceCell;
use resv_sync::slot::TaggedSlot;
use resv_sync::sync::atomic::Ordering;

/// What a slot in use holds.
pub(crate) type Content = (&'static FenceCell, Usage);

/// A fence cell and a usage, or nothing. A slot in use owns one reference of the fence; loading it
/// takes none.
#[derive(Debug)]
pub(crate) struct Slot(TaggedSlot<FenceCell, 2>);

#[inline]
fn content((cell, usage): (&'static FenceCell, usize)) -> Content {
    (cell, Usage::from_bits(usage as u8))
}

impl Slot {
    pub(crate) fn empty() -> Slot {
        Slot(TaggedSlot::empty())
    }

    /// The cell and the usage at some moment. The cell may have become another fence since, unless
    /// the sequence counter says that the slot has not changed.
    #[inline]
    pub(crate) fn load(&self) -> Option<Content> {
        // Acquire, in there: pairs with the Release in `store`: the cell is initialised (H-28), and the
        // reader's second look at the counter comes after this (`counter.rs`, b).
        self.0.load().map(content)
    }

    /// What the holder of the object's lock has in the slot; it stays the same fence.
    #[inline]
    pub(crate) fn load_held(&self) -> Option<Content> {
        self.0.load_own().map(content)
    }

    /// Changes the slot; ownership of references is the caller's business. `order` is Release: it pairs
    /// with the Acquire load in `load`.
    #[inline]
    pub(crate) fn store(&self, content: Option<Content>, order: Ordering) {
        let content = content.map(|(cell, usage)| (cell, usage as usize));
        self.0.store(content, order);
    }
}
