//! amdkcl, the layer under AMD's driver on kernels before 5.19: a chain in the exclusive slot.
//!
//! | call | becomes |
//! |---|---|
//! | add kernel, write | a link of a chain in the exclusive slot, which covers the old exclusive fence and carries its usage; shared fences stay |
//! | add read, bookkeep | `add_shared` |
//! | replace | shared fences; of a link neither the link's own timeline nor its fence's is the one that is asked for |
//! | ask up to kernel | the links that carry kernel |
//! | ask up to write | exclusive |
//! | ask up to read, bookkeep | exclusive and shared |
//!
//! The price of the link: adding one allocates. Out of memory, the layer blocks on the fence with the
//! object's lock held, and records nothing.

use super::{Map, Row, exclusive};
use crate::maps::rows::claim;
use crate::prover::Class;
use crate::store::{FenceRef, Store};
use resv_core::{Access, SemanticsKind, Usage};

/// The map as published, or with one line changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amdkcl {
    /// As published.
    Published,
    /// Moves come from drivers of the kernel's own tree, as plain exclusive fences.
    MovesInTree,
    /// Moves come from drivers of the kernel's own tree, which keep the old ones in an array of their
    /// own; the fence still carries no usage.
    ArraysInTree,
    /// Up to kernel asks for the whole exclusive slot.
    Untagged,
    /// Bookkeep fences are not recorded.
    WithoutBookkeep,
}

impl Amdkcl {
    /// All of them.
    pub const ALL: [Amdkcl; 5] = [
        Amdkcl::Published,
        Amdkcl::MovesInTree,
        Amdkcl::ArraysInTree,
        Amdkcl::Untagged,
        Amdkcl::WithoutBookkeep,
    ];

    /// The name on command lines and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Amdkcl::Published => "map:amdkcl",
            Amdkcl::MovesInTree => "map:amdkcl/moves-in-tree",
            Amdkcl::ArraysInTree => "map:amdkcl/arrays-in-tree",
            Amdkcl::Untagged => "map:amdkcl/untagged",
            Amdkcl::WithoutBookkeep => "map:amdkcl/without-bookkeep",
        }
    }
}

impl Map for Amdkcl {
    fn source(&self) -> SemanticsKind {
        SemanticsKind::UsageLevels
    }

    fn rows(&self) -> &'static [Row] {
        ROWS
    }

    fn add<F: FenceRef>(&self, store: &mut Store<F>, fence: F, usage: Usage) {
        match (usage, self) {
            (Usage::Kernel, Amdkcl::MovesInTree) => exclusive::set(store, fence),
            (Usage::Kernel, Amdkcl::ArraysInTree) => {
                // Without a usage: what is asked up to kernel does not find it.
                exclusive::link(store, fence, Usage::Write);
            }
            (Usage::Kernel | Usage::Write, _) => exclusive::link(store, fence, usage),
            (Usage::Bookkeep, Amdkcl::WithoutBookkeep) => {}
            (Usage::Read | Usage::Bookkeep, _) => {
                exclusive::add_shared(store, fence, Usage::Read);
            }
        }
    }

    fn replace<F: FenceRef>(&self, store: &mut Store<F>, timeline: u64, fence: F, _: Usage) {
        for slot in &mut store.slots {
            if slot.usage > Usage::Write && slot.fence.timeline() == timeline {
                slot.fence = fence.clone();
            }
        }
        store.prune();
        exclusive::dedup(store);
    }

    fn visit<'s, F: FenceRef>(
        &self,
        store: &'s Store<F>,
        access: Access,
        visit: &mut impl FnMut(&'s F),
    ) {
        match access {
            Access::Explicit if *self != Amdkcl::Untagged => {
                let kernel = |slot: &&crate::store::Slot<F>| slot.usage == Usage::Kernel;
                for slot in store.pending().filter(kernel) {
                    visit(&slot.fence);
                }
            }
            Access::Explicit | Access::Read => exclusive::visit_exclusive(store, visit),
            Access::Write | Access::Move => exclusive::visit_all(store, visit),
        }
    }
}

const ROWS: &[Row] = &[
    Row {
        call: "add kernel, write",
        becomes: "a link of the chain",
        class: Class::Exact,
        why: "for each access, as long as nothing is added as bookkeep or replaced",
        claims: &[
            claim(
                "usage-levels",
                "map:amdkcl",
                "add-kernel,add-write,add-read,copy,signal",
                "read",
                Class::Exact,
            ),
            claim(
                "usage-levels",
                "map:amdkcl",
                "add-kernel,add-write,add-read,copy,signal",
                "write",
                Class::Exact,
            ),
            claim(
                "usage-levels",
                "map:amdkcl",
                "add,copy,signal",
                "move",
                Class::Exact,
            ),
            claim(
                "usage-levels",
                "map:amdkcl",
                "add,copy,signal",
                "explicit",
                Class::Exact,
            ),
        ],
    },
    Row {
        call: "add read",
        becomes: "add_shared, which lets an older fence take the place of a newer one",
        class: Class::Unsound,
        why: "with fences that come out of order, from imports; in order it is exact",
        claims: &[
            claim(
                "usage-levels",
                "map:amdkcl",
                "add-read,older,signal",
                "write",
                Class::Unsound,
            ),
            claim(
                "usage-levels",
                "map:amdkcl",
                "add-read,signal",
                "write",
                Class::Exact,
            ),
        ],
    },
    Row {
        call: "add bookkeep",
        becomes: "add_shared",
        class: Class::Over,
        why: "a writer waits for it, and so asks a lazy fence for its work",
        claims: &[claim(
            "usage-levels",
            "map:amdkcl",
            "add,copy,signal",
            "write",
            Class::Over,
        )],
    },
    Row {
        call: "add bookkeep",
        becomes: "nothing",
        class: Class::Unsound,
        why: "for a move",
        claims: &[claim(
            "usage-levels",
            "map:amdkcl/without-bookkeep",
            "add,signal",
            "move",
            Class::Unsound,
        )],
    },
    Row {
        call: "ask up to kernel",
        becomes: "the links that carry kernel, where drivers of the kernel's tree move, too",
        class: Class::Unsound,
        why: "a plain exclusive fence carries no usage",
        claims: &[
            claim(
                "usage-levels",
                "map:amdkcl/arrays-in-tree",
                "add-kernel,signal",
                "explicit",
                Class::Unsound,
            ),
            claim(
                "usage-levels",
                "map:amdkcl/moves-in-tree",
                "add-kernel,add-write,signal",
                "read",
                Class::Unsound,
            ),
        ],
    },
    Row {
        call: "ask up to kernel",
        becomes: "exclusive",
        class: Class::Over,
        why: "writes are taken for moves",
        claims: &[claim(
            "usage-levels",
            "map:amdkcl/untagged",
            "add-kernel,add-write,signal",
            "explicit",
            Class::Over,
        )],
    },
    Row {
        call: "replace",
        becomes: "shared fences only",
        class: Class::Over,
        why: "a fence in the chain is not found, and stays",
        claims: &[claim(
            "usage-levels",
            "map:amdkcl",
            "add-kernel,replace-signaled,signal",
            "explicit",
            Class::Over,
        )],
    },
];
