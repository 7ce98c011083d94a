//! Linux' own conversion for 5.19: a driver of the older generation, on a list with usages.
//!
//! | call | becomes |
//! |---|---|
//! | `add_excl` by memory management | add kernel |
//! | `add_excl` by a submission | add write |
//! | `add_shared` of a job that reads | add read |
//! | `add_shared` of a page-table update or an eviction fence | add bookkeep; in 5.19 and 6.0 add read |
//! | `wait(false)`, `test(false)`, `get_excl` | up to write |
//! | `wait(true)`, `test(true)` | up to read; by memory management up to bookkeep |
//! | `add_excl(null)` | replace each timeline by a signalled fence |
//!
//! Every add needs a reserved slot, exclusive ones included, and reservations do not add up when they
//! are nested.

use super::{Map, Row};
use crate::maps::rows::claim;
use crate::member::table;
use crate::prover::Class;
use crate::store::{FenceRef, Slot, Store};
use crate::table::Table;
use resv_core::{Access, SemanticsKind, Usage};
use std::sync::LazyLock;

/// The map as Linux has it, or with one line changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conversion {
    /// As Linux has it since 6.1.
    Linux,
    /// As in 5.19 and 6.0: page-table updates and eviction fences are reads.
    BookkeepAsRead,
    /// Moves are writes.
    MovesAsWrites,
    /// `get_excl` gives the first fence that is a write.
    FirstWrite,
    /// `wait(obj, 1)` left as it was: the number is write now.
    WaitOne,
    /// `test(false)` asks up to read whatever it is told.
    AlwaysRead,
    /// Memory management asks up to read.
    MovesAskRead,
    /// The branch of a job that reads reserves a slot and adds nothing.
    ReadsNotAdded,
    /// `get_excl` makes one fence of several; if memory for it cannot be had, the object counts as idle.
    ErrorIsIdle,
}

impl Conversion {
    /// All of them.
    pub const ALL: [Conversion; 9] = [
        Conversion::Linux,
        Conversion::BookkeepAsRead,
        Conversion::MovesAsWrites,
        Conversion::FirstWrite,
        Conversion::WaitOne,
        Conversion::AlwaysRead,
        Conversion::MovesAskRead,
        Conversion::ReadsNotAdded,
        Conversion::ErrorIsIdle,
    ];

    /// The name on command lines and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Conversion::Linux => "map:conversion",
            Conversion::BookkeepAsRead => "map:conversion/bookkeep-as-read",
            Conversion::MovesAsWrites => "map:conversion/moves-as-writes",
            Conversion::FirstWrite => "map:conversion/first-write",
            Conversion::WaitOne => "map:conversion/wait-1",
            Conversion::AlwaysRead => "map:conversion/always-read",
            Conversion::MovesAskRead => "map:conversion/moves-ask-read",
            Conversion::ReadsNotAdded => "map:conversion/reads-not-added",
            Conversion::ErrorIsIdle => "map:conversion/error-is-idle",
        }
    }
}

static TARGET: LazyLock<Table> = LazyLock::new(|| Table::of(SemanticsKind::UsageLevels));

impl Map for Conversion {
    fn source(&self) -> SemanticsKind {
        SemanticsKind::ExclusiveShared
    }

    fn rows(&self) -> &'static [Row] {
        ROWS
    }

    fn add<F: FenceRef>(&self, store: &mut Store<F>, fence: F, usage: Usage) {
        let usage = match (self, usage) {
            (Conversion::ReadsNotAdded, Usage::Read) => return,
            (Conversion::BookkeepAsRead, Usage::Bookkeep) => Usage::Read,
            (Conversion::MovesAsWrites, Usage::Kernel) => Usage::Write,
            _ => usage,
        };
        table::add(&TARGET, store, fence, usage);
    }

    fn replace<F: FenceRef>(&self, store: &mut Store<F>, timeline: u64, fence: F, usage: Usage) {
        table::replace(&TARGET, store, timeline, fence, usage);
    }

    fn visit<'s, F: FenceRef>(
        &self,
        store: &'s Store<F>,
        access: Access,
        visit: &mut impl FnMut(&'s F),
    ) {
        let cut = match (self, access) {
            (_, Access::Explicit) => Usage::Kernel,
            (Conversion::AlwaysRead, Access::Read) => Usage::Read,
            (_, Access::Read) => Usage::Write,
            (Conversion::WaitOne, Access::Write | Access::Move) => Usage::Write,
            (_, Access::Write) => Usage::Read,
            (Conversion::MovesAskRead, Access::Move) => Usage::Read,
            (_, Access::Move) => Usage::Bookkeep,
        };
        if *self == Conversion::FirstWrite && access == Access::Read {
            let is_write = |slot: &&Slot<F>| slot.usage == Usage::Write;
            store
                .pending()
                .find(is_write)
                .into_iter()
                .for_each(|slot| visit(&slot.fence));
            return;
        }
        let seen = || store.pending().filter(|slot| slot.usage <= cut);
        let finds_none = *self == Conversion::ErrorIsIdle && access == Access::Read;
        if finds_none && seen().count() > 1 {
            return;
        }
        seen().for_each(|slot| visit(&slot.fence));
    }
}

const ROWS: &[Row] = &[
    Row {
        call: "add_excl by a submission",
        becomes: "add write",
        class: Class::Exact,
        why: "if the job waits for what it replaces; else the object keeps what the older one loses",
        claims: &[
            claim(
                "exclusive-shared",
                "map:conversion",
                "add-write,signal",
                "read",
                Class::Exact,
            )
            .with_duty("exclusive-shared"),
            claim(
                "exclusive-shared",
                "map:conversion",
                "add-write,signal",
                "read",
                Class::Over,
            ),
        ],
    },
    Row {
        call: "add_excl by memory management",
        becomes: "add write",
        class: Class::Unsound,
        why: "an explicit job of today does not look at writes",
        claims: &[claim(
            "usage-levels",
            "map:conversion/moves-as-writes",
            "add-kernel,signal",
            "explicit",
            Class::Unsound,
        )],
    },
    Row {
        call: "add_shared of a job that reads",
        becomes: "add read",
        class: Class::Exact,
        why: "a reader is a reader",
        claims: &[claim(
            "exclusive-shared",
            "map:conversion",
            "add-read,signal",
            "write",
            Class::Exact,
        )],
    },
    Row {
        call: "add_shared of a job that reads",
        becomes: "a reservation, and no add",
        class: Class::Unsound,
        why: "the next writer does not wait for the reader",
        claims: &[claim(
            "exclusive-shared",
            "map:conversion/reads-not-added",
            "add-read,signal",
            "write",
            Class::Unsound,
        )],
    },
    Row {
        call: "add_shared of an eviction fence",
        becomes: "add read",
        class: Class::Over,
        why: "a writer waits for it, and a lazy fence is asked for its work",
        claims: &[claim(
            "usage-levels",
            "map:conversion/bookkeep-as-read",
            "add,copy,signal",
            "write",
            Class::Over,
        )],
    },
    Row {
        call: "add_shared of an eviction fence",
        becomes: "add bookkeep",
        class: Class::Exact,
        why: "for a move; a writer no longer waits for it, which is what was wanted",
        claims: &[
            claim(
                "exclusive-shared",
                "map:conversion",
                "add-bookkeep,signal",
                "move",
                Class::Exact,
            ),
            claim(
                "exclusive-shared",
                "map:conversion",
                "add-bookkeep,signal",
                "write",
                Class::Unsound,
            ),
        ],
    },
    Row {
        call: "wait(true) by memory management",
        becomes: "wait up to read",
        class: Class::Unsound,
        why: "page-table updates and eviction fences are missed",
        claims: &[claim(
            "exclusive-shared",
            "map:conversion/moves-ask-read",
            "add-bookkeep,signal",
            "move",
            Class::Unsound,
        )],
    },
    Row {
        call: "test(false)",
        becomes: "test up to read",
        class: Class::Over,
        why: "a reader waits for readers",
        claims: &[claim(
            "exclusive-shared",
            "map:conversion/always-read",
            "add-read,signal",
            "read",
            Class::Over,
        )],
    },
    Row {
        call: "wait(obj, 1)",
        becomes: "the number as it is, which means write now",
        class: Class::Unsound,
        why: "it meant all",
        claims: &[claim(
            "exclusive-shared",
            "map:conversion/wait-1",
            "add-read,signal",
            "write",
            Class::Unsound,
        )],
    },
    Row {
        call: "get_excl",
        becomes: "the first fence that is a write",
        class: Class::Unsound,
        why: "other writers are missed, and every move",
        claims: &[
            claim(
                "usage-levels",
                "map:conversion/first-write",
                "add-write,signal",
                "read",
                Class::Unsound,
            ),
            claim(
                "exclusive-shared",
                "map:conversion/first-write",
                "add-kernel,signal",
                "read",
                Class::Unsound,
            ),
        ],
    },
    Row {
        call: "get_excl",
        becomes: "one fence of all up to write; without memory for it, none",
        class: Class::Unsound,
        why: "with two writers an error is taken for idle",
        claims: &[claim(
            "usage-levels",
            "map:conversion/error-is-idle",
            "add-write,signal",
            "read",
            Class::Unsound,
        )],
    },
];
