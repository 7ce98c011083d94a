//! The helper of nvidia's display driver: usages where the kernel has them, the old calls elsewhere.
//!
//! | call | becomes |
//! |---|---|
//! | add kernel, write | `add_excl` |
//! | add read, bookkeep | `add_shared` |
//! | replace | not used: nothing |
//! | ask up to kernel, write | exclusive |
//! | ask up to read, bookkeep | exclusive and shared |

use super::{Map, Row, exclusive};
use crate::maps::rows::claim;
use crate::prover::Class;
use crate::store::{FenceRef, Store};
use resv_core::{Access, SemanticsKind, Usage};

/// Its table is at the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nvidia;

impl Map for Nvidia {
    fn source(&self) -> SemanticsKind {
        SemanticsKind::UsageLevels
    }

    fn rows(&self) -> &'static [Row] {
        ROWS
    }

    fn add<F: FenceRef>(&self, store: &mut Store<F>, fence: F, usage: Usage) {
        match usage {
            Usage::Kernel | Usage::Write => exclusive::set(store, fence),
            Usage::Read | Usage::Bookkeep => exclusive::add_shared(store, fence, Usage::Read),
        }
    }

    fn replace<F: FenceRef>(&self, _: &mut Store<F>, _: u64, _: F, _: Usage) {}

    fn visit<'s, F: FenceRef>(
        &self,
        store: &'s Store<F>,
        access: Access,
        visit: &mut impl FnMut(&'s F),
    ) {
        match access {
            Access::Explicit | Access::Read => exclusive::visit_exclusive(store, visit),
            Access::Write | Access::Move => exclusive::visit_all(store, visit),
        }
    }
}

const ROWS: &[Row] = &[
    Row {
        call: "add write",
        becomes: "add_excl",
        class: Class::Unsound,
        why: "it drops all that is there; exact only if the job waits for all of it",
        claims: &[
            claim(
                "usage-levels",
                "map:nvidia",
                "add-write,signal",
                "read",
                Class::Unsound,
            ),
            claim(
                "usage-levels",
                "map:nvidia",
                "add-write,signal",
                "read",
                Class::Exact,
            )
            .with_duty("exclusive-shared"),
        ],
    },
    Row {
        call: "add read",
        becomes: "add_shared",
        class: Class::Exact,
        why: "a reader is a reader",
        claims: &[claim(
            "usage-levels",
            "map:nvidia",
            "add-read,signal",
            "write",
            Class::Exact,
        )],
    },
    Row {
        call: "ask up to kernel",
        becomes: "exclusive",
        class: Class::Over,
        why: "writes are taken for moves",
        claims: &[claim(
            "usage-levels",
            "map:nvidia",
            "add-write,signal",
            "explicit",
            Class::Over,
        )],
    },
];
