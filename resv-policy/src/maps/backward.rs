//! The best backward map that is known: a driver of today on an object with an exclusive slot.
//!
//! | call | becomes |
//! |---|---|
//! | add kernel, write | a link that carries its usage; the memory for it is got by reserve |
//! | add read, bookkeep | a shared fence, with the usage kept beside it; of two usages of a timeline the stronger |
//! | replace | in the chain and among the shared |
//! | ask up to kernel | links that carry kernel, and plain exclusive fences |
//! | ask up to write | exclusive |
//! | ask up to read | exclusive, and shared fences that are not bookkeep |
//! | ask up to bookkeep | exclusive and shared |
//!
//! What no map can mend: drivers of the kernel's own tree that write wait for bookkeep fences, and
//! their exclusive fences drop them.

use super::{Map, Row, exclusive};
use crate::maps::rows::claim;
use crate::prover::Class;
use crate::store::{FenceRef, Slot, Store};
use resv_core::{Access, SemanticsKind, Usage};

/// Its table is at the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backward;

impl Map for Backward {
    fn source(&self) -> SemanticsKind {
        SemanticsKind::UsageLevels
    }

    fn rows(&self) -> &'static [Row] {
        ROWS
    }

    fn add<F: FenceRef>(&self, store: &mut Store<F>, fence: F, usage: Usage) {
        match usage {
            Usage::Kernel | Usage::Write => exclusive::link(store, fence, usage),
            Usage::Read | Usage::Bookkeep => {
                let same = |old: &&Slot<F>| {
                    old.usage > Usage::Write && old.fence.timeline() == fence.timeline()
                };
                let old = store.slots.iter().filter(same).map(|old| old.usage).min();
                let usage = old.map_or(usage, |old| old.min(usage));
                exclusive::add_shared(store, fence, usage);
            }
        }
    }

    fn replace<F: FenceRef>(&self, store: &mut Store<F>, timeline: u64, fence: F, usage: Usage) {
        if !store.slots.iter().any(|s| s.fence.timeline() == timeline) {
            return;
        }
        store.slots.retain(|s| s.fence.timeline() != timeline);
        if !fence.is_signaled() {
            self.add(store, fence, usage);
        }
    }

    fn visit<'s, F: FenceRef>(
        &self,
        store: &'s Store<F>,
        access: Access,
        visit: &mut impl FnMut(&'s F),
    ) {
        let is_seen = |slot: &&Slot<F>| match access {
            Access::Explicit => {
                slot.usage == Usage::Kernel || slot.usage == Usage::Write && !slot.mark
            }
            Access::Read => slot.usage <= Usage::Write,
            Access::Write => slot.usage <= Usage::Read,
            Access::Move => true,
        };
        for slot in store.pending().filter(is_seen) {
            visit(&slot.fence);
        }
    }
}

const ROWS: &[Row] = &[
    Row {
        call: "add kernel, write; replace",
        becomes: "a link that carries its usage; in the chain and among the shared",
        class: Class::Exact,
        why: "for explicit jobs, readers and moves",
        claims: &[
            claim(
                "usage-levels",
                "map:backward",
                "add,replace,copy,signal",
                "explicit",
                Class::Exact,
            ),
            claim(
                "usage-levels",
                "map:backward",
                "add,replace,copy,signal",
                "read",
                Class::Exact,
            ),
            claim(
                "usage-levels",
                "map:backward",
                "add,replace,copy,signal",
                "move",
                Class::Exact,
            ),
        ],
    },
    Row {
        call: "add bookkeep after read",
        becomes: "one shared fence, with the stronger usage",
        class: Class::Over,
        why: "a list of shared fences has one place for a timeline, so a writer waits for the bookkeep fence",
        claims: &[claim(
            "usage-levels",
            "map:backward",
            "add,replace,copy,signal",
            "write",
            Class::Over,
        )],
    },
];
