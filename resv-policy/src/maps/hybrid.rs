//! The hybrid within the cycle of 5.19, which no release has: usages on calls, the old store beneath.
//!
//! | call | becomes |
//! |---|---|
//! | add kernel, write | the exclusive fence; shared ones stay |
//! | add read, bookkeep | a shared fence |
//! | replace | exclusive and shared |
//! | ask up to write | exclusive |
//! | ask up to read, bookkeep | exclusive and shared |
//!
//! A new exclusive fence no longer drops the shared ones, but it still drops the old exclusive one.

use super::{Map, Row, exclusive};
use crate::maps::rows::{Claim, claim};
use crate::prover::Class;
use crate::store::{FenceRef, Store};
use resv_core::{Access, SemanticsKind, Usage};

/// Its table is at the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hybrid;

impl Map for Hybrid {
    fn source(&self) -> SemanticsKind {
        SemanticsKind::UsageLevels
    }

    fn rows(&self) -> &'static [Row] {
        ROWS
    }

    fn add<F: FenceRef>(&self, store: &mut Store<F>, fence: F, usage: Usage) {
        match usage {
            Usage::Kernel | Usage::Write => exclusive::set_alone(store, fence),
            Usage::Read | Usage::Bookkeep => exclusive::add_shared(store, fence, Usage::Read),
        }
    }

    fn replace<F: FenceRef>(&self, store: &mut Store<F>, timeline: u64, fence: F, _: Usage) {
        exclusive::replace(store, timeline, &fence);
    }

    fn visit<'s, F: FenceRef>(
        &self,
        store: &'s Store<F>,
        access: Access,
        visit: &mut impl FnMut(&'s F),
    ) {
        match access {
            Access::Explicit => {}
            Access::Read => exclusive::visit_exclusive(store, visit),
            Access::Write | Access::Move => exclusive::visit_all(store, visit),
        }
    }
}

const LOST: &[Claim] = &[claim(
    "usage-levels",
    "hybrid",
    "add-write,signal",
    "read",
    Class::Unsound,
)];

const KEPT: &[Claim] = &[
    claim(
        "usage-levels",
        "hybrid",
        "add-read,signal",
        "write",
        Class::Exact,
    ),
    claim(
        "usage-levels",
        "exclusive-shared",
        "add-read,add-write,signal",
        "write",
        Class::Unsound,
    ),
];

const ROWS: &[Row] = &[
    Row {
        call: "add write",
        becomes: "the exclusive fence",
        class: Class::Unsound,
        why: "the exclusive fence that was there is lost, as it always was",
        claims: LOST,
    },
    Row {
        call: "add read",
        becomes: "a shared fence, which a new exclusive one leaves alone",
        class: Class::Exact,
        why: "the older store dropped it",
        claims: KEPT,
    },
];
