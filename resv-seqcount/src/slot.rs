//! One slot: a fence and its usage in one word, so that they can only change together (D-7).

use resv_core::fence::cell::FenceCell;
use resv_core::{Usage, UsageSet};
use resv_sync::slot::TaggedSlot;
use resv_sync::sync::atomic::Ordering;

/// What a slot in use holds.
pub(crate) type Content = (&'static FenceCell, Usage);

/// A fence cell and a usage, or nothing. A slot in use owns one reference of the fence; loading it
/// takes none.
#[derive(Debug)]
pub(crate) struct Slot(TaggedSlot<FenceCell, 3>);

/// Added to the usage in a tag, so that no slot in use has the tag of an empty one.
pub(crate) const IN_USE: usize = 4;

/// The usages that a reader asks for, in the form that slots are tested with.
#[derive(Clone, Copy)]
pub(crate) struct Asked(u32);

impl Asked {
    /// For these usages.
    #[inline]
    pub(crate) fn new(usages: UsageSet) -> Asked {
        Asked(u32::from(usages.bits()) << IN_USE)
    }
}

#[inline]
fn content((cell, tag): (&'static FenceCell, usize)) -> Content {
    // Of the tag only the usage counts there.
    (cell, Usage::from_bits(tag as u8))
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

    /// Calls `f` with the same, if the usage is asked for.
    #[inline(always)]
    pub(crate) fn if_asked<R>(
        &self,
        asked: Asked,
        f: impl FnOnce(Content) -> Option<R>,
    ) -> Option<R> {
        // Acquire, in there: as in `load`.
        self.0
            .if_tagged(asked.0, |cell, tag| f(content((cell, tag))))
    }

    /// What the holder of the object's lock has in the slot; it stays the same fence.
    #[inline]
    pub(crate) fn load_held(&self) -> Option<Content> {
        self.0.load_own().map(content)
    }

    /// The same, and the tag: the usage and [`IN_USE`].
    #[inline(always)]
    pub(crate) fn load_held_tag(&self) -> Option<(Content, u32)> {
        let (cell, tag) = self.0.load_own_wide()?;
        Some((content((cell, tag as usize)), tag))
    }

    /// Changes the slot; ownership of references is the caller's business. `order` is Release: it pairs
    /// with the Acquire load in `load`.
    #[inline]
    pub(crate) fn store(&self, content: Option<Content>, order: Ordering) {
        let content = content.map(|(cell, usage)| (cell, usage as usize | IN_USE));
        self.0.store(content, order);
    }
}
