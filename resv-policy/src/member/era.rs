//! An era's objects: how its driver fills them, and what its rule finds there.
//!
//! Before 5.19 an object has an exclusive slot. What is kept there as a chain is several slots with
//! the usage write, the oldest link first; what was collapsed into one exclusive fence is the same, as
//! nobody waits for less than the whole of it.

use crate::era::Era;
use crate::filing::{Filing, OnAttach, Producer, file as filing, on_attach};
use crate::member::table;
use crate::query::Query;
use crate::rule::{Asker, Mode, Place, decide};
use crate::store::{FenceRef, Slot, Store};
use crate::table::Table;
use resv_core::{SemanticsKind, Usage};

/// Adds `fence` as the driver of `era` does.
pub(crate) fn file<F: FenceRef>(
    era: Era,
    semantics: &Table,
    store: &mut Store<F>,
    fence: F,
    producer: Producer,
    attached: bool,
    explicit: bool,
) {
    match filing(era, producer, attached, explicit) {
        Filing::Nothing => {}
        Filing::Add(usage) => table::add(semantics, store, fence, usage),
        Filing::Link => {
            store.prune();
            // The links keep their order; what is shared has none.
            store.push(fence.clone(), Usage::Write);
            drop_idle_links(store);
            table::add(semantics, store, fence, Usage::Read);
        }
    }
}

/// Drops the links that no walk can stop at or pass on its way to one that matters: those that are
/// neither the latest of their timeline in the chain, nor the latest of it below the latest of
/// another timeline. Fences of a timeline signal in order, so the answers stay the same.
fn drop_idle_links<F: FenceRef>(store: &mut Store<F>) {
    let links: Vec<(usize, u64)> = store
        .slots
        .iter()
        .enumerate()
        .filter(|(_, slot)| slot.usage == Usage::Write)
        .map(|(at, slot)| (at, slot.fence.timeline()))
        .collect();
    let latest = |of: u64, before: usize| {
        let mut below = links.iter().rev().filter(|(at, _)| *at < before);
        below.find(|(_, timeline)| *timeline == of).map(|l| l.0)
    };
    let mut kept = vec![false; store.slots.len()];
    for &(_, timeline) in &links {
        let Some(head) = latest(timeline, usize::MAX) else {
            continue;
        };
        kept[head] = true;
        for &(_, other) in &links {
            if let Some(below) = latest(other, head) {
                kept[below] = true;
            }
        }
    }
    let mut at = 0;
    store.slots.retain(|slot| {
        at += 1;
        slot.usage != Usage::Write || kept[at - 1]
    });
}

/// Another driver attaches.
pub(crate) fn attach<F: FenceRef>(era: Era, store: &mut Store<F>) {
    if on_attach(era) != OnAttach::Collapse {
        return;
    }
    for slot in &mut store.slots {
        slot.usage = Usage::Write;
    }
    // A fence that was exclusive and shared is one member of the array; of a timeline the latest
    // stands for the others.
    let slots = std::mem::take(&mut store.slots);
    for (at, slot) in slots.iter().enumerate() {
        let is_covered = |(other_at, other): (usize, &Slot<F>)| {
            slot.fence.is_covered_by(&other.fence) && (slot.fence != other.fence || other_at < at)
        };
        if !slots.iter().enumerate().any(|o| o.0 != at && is_covered(o)) {
            store.slots.push(slot.clone());
        }
    }
}

/// Calls `visit` with each fence that is waited for.
pub(crate) fn visit<'s, F: FenceRef>(
    era: Era,
    store: &'s Store<F>,
    query: Query,
    visit: &mut impl FnMut(&'s F),
) {
    match query.asked_in(era) {
        None => store.pending().for_each(|slot| visit(&slot.fence)),
        Some((asker, mode)) => {
            let entries = store.pending().map(|slot| (&slot.fence, slot.usage));
            wait_set(era, asker, mode, entries, visit);
        }
    }
}

/// What `asker` waits for among `entries`: pairs of a fence and the usage under which it is kept, in
/// which the links of a chain in the exclusive slot stand in their order, the oldest first.
///
/// Calls `visit` with each. A link that is waited for stands for all older ones, which are visited,
/// too, whatever their owner.
pub fn wait_set<'s, F: FenceRef + 's>(
    era: Era,
    asker: Asker,
    mode: Mode,
    entries: impl DoubleEndedIterator<Item = (&'s F, Usage)>,
    visit: &mut impl FnMut(&'s F),
) {
    let has_exclusive = era.semantics() == SemanticsKind::ExclusiveShared;
    let cut = if era >= Era::P7 {
        Usage::Read
    } else {
        Usage::Bookkeep
    };
    let mut is_older_link = false;
    for (fence, usage) in entries.rev() {
        let is_link = has_exclusive && usage <= Usage::Write;
        let place = if is_link {
            Place::Exclusive
        } else {
            Place::Shared
        };
        let waits = is_link && is_older_link
            || usage <= cut && decide(era, mode, asker, fence.tag(), place);
        if waits {
            is_older_link |= is_link;
            visit(fence);
        }
    }
}
