//! What a table says, on a store: superseding by dominance.

use crate::store::{FenceRef, Store};
use crate::table::{Relation, Table};
use resv_core::Usage;

fn relation<F: FenceRef>(old: &F, new: &F) -> Relation {
    Relation::of((old.timeline(), old.seqno()), (new.timeline(), new.seqno()))
}

/// Adds a fence: it removes every one that it supersedes.
pub(crate) fn add<F: FenceRef>(table: &Table, store: &mut Store<F>, fence: F, usage: Usage) {
    let usage = table.class(usage);
    store.slots.retain(|old| {
        !old.fence.is_signaled()
            && !table.supersedes(usage, old.usage, relation(&old.fence, &fence))
    });
    store.push(fence, usage);
}

/// Replaces the pending fences of `timeline`, if there are any.
pub(crate) fn replace<F: FenceRef>(
    table: &Table,
    store: &mut Store<F>,
    timeline: u64,
    fence: F,
    usage: Usage,
) {
    store.prune();
    if !store.slots.iter().any(|s| s.fence.timeline() == timeline) {
        return;
    }
    let usage = table.class(usage);
    store.slots.retain(|old| {
        let is_dominated = old.fence.is_covered_by(&fence) && old.usage >= usage;
        old.fence.timeline() != timeline && !is_dominated
    });
    if !fence.is_signaled() {
        store.push(fence, usage);
    }
}
