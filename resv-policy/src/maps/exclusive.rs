//! The target of the backward maps: one exclusive slot and a list of shared fences, as Linux had them
//! until 5.18.
//!
//! Exclusive is what the store keeps as kernel or write; several of those are a chain. The mark says
//! that the link carries its usage. A shared fence takes the place of that of its timeline, later or
//! not, as it did there.

use crate::store::{FenceRef, Slot, Store};
use resv_core::Usage;

fn is_exclusive<F>(slot: &Slot<F>) -> bool {
    slot.usage <= Usage::Write
}

/// `add_excl`: everything else goes.
pub(super) fn set<F: FenceRef>(store: &mut Store<F>, fence: F) {
    store.slots.clear();
    store.push(fence, Usage::Write);
}

/// A new exclusive fence that leaves the shared ones alone.
pub(super) fn set_alone<F: FenceRef>(store: &mut Store<F>, fence: F) {
    store.slots.retain(|slot| !is_exclusive(slot));
    store.push(fence, Usage::Write);
}

/// A new link of the chain in the exclusive slot, which carries its usage.
///
/// Links of the same timeline that are covered are dropped: that changes no answer, as the new one
/// signals after them.
pub(super) fn link<F: FenceRef>(store: &mut Store<F>, fence: F, usage: Usage) {
    store.slots.retain(|old| {
        !(is_exclusive(old) && old.fence.is_covered_by(&fence) && old.usage >= usage && old.mark)
    });
    store.slots.push(Slot {
        fence,
        usage,
        mark: true,
    });
}

/// `add_shared`; the usage is kept beside it, to be looked at.
pub(super) fn add_shared<F: FenceRef>(store: &mut Store<F>, fence: F, usage: Usage) {
    let same = |old: &Slot<F>| old.fence.timeline() == fence.timeline();
    store.slots.retain(|old| is_exclusive(old) || !same(old));
    store.push(fence, usage);
}

/// Replaces in both places.
pub(super) fn replace<F: FenceRef>(store: &mut Store<F>, timeline: u64, fence: &F) {
    for slot in &mut store.slots {
        if slot.fence.timeline() == timeline {
            slot.fence = fence.clone();
        }
    }
    store.prune();
    dedup(store);
}

/// Of equal slots one is enough.
pub(super) fn dedup<F: FenceRef>(store: &mut Store<F>) {
    let mut kept: Vec<Slot<F>> = Vec::with_capacity(store.slots.len());
    for slot in store.slots.drain(..) {
        if !kept.contains(&slot) {
            kept.push(slot);
        }
    }
    store.slots = kept;
}

/// The exclusive fence, or all links.
pub(super) fn visit_exclusive<'s, F: FenceRef>(store: &'s Store<F>, visit: &mut impl FnMut(&'s F)) {
    for slot in store.pending().filter(|slot| is_exclusive(slot)) {
        visit(&slot.fence);
    }
}

/// The exclusive fence and the shared ones.
pub(super) fn visit_all<'s, F: FenceRef>(store: &'s Store<F>, visit: &mut impl FnMut(&'s F)) {
    store.pending().for_each(|slot| visit(&slot.fence));
}
