//! A port of a current driver to 5.15, as it was posted in May 2026.
//!
//! | call | becomes |
//! |---|---|
//! | add kernel, write | `add_excl` |
//! | add read, bookkeep | `add_shared` |
//! | replace | nothing |
//! | ask up to kernel, write, read | `all` is true: exclusive and shared |
//! | ask up to bookkeep | `all` is false: exclusive |

use super::{Map, Row, exclusive};
use crate::maps::rows::claim;
use crate::prover::Class;
use crate::store::{FenceRef, Store};
use resv_core::{Access, SemanticsKind, Usage};

/// The map as published, or with one line changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port515 {
    /// As published.
    Published,
    /// Only the line for adding; what is asked is asked right.
    OnlyAdds,
    /// Only the line for asking; what is added goes into a chain.
    OnlyQueries,
    /// As only queries, but a usage is passed as it is to a boolean: zero is false, the rest true.
    UsageAsBool,
    /// Only the line for replacing.
    OnlyReplace,
}

impl Port515 {
    /// All of them.
    pub const ALL: [Port515; 5] = [
        Port515::Published,
        Port515::OnlyAdds,
        Port515::OnlyQueries,
        Port515::UsageAsBool,
        Port515::OnlyReplace,
    ];

    /// The name on command lines and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Port515::Published => "map:port-5.15",
            Port515::OnlyAdds => "map:port-5.15/only-adds",
            Port515::OnlyQueries => "map:port-5.15/only-queries",
            Port515::UsageAsBool => "map:port-5.15/usage-as-bool",
            Port515::OnlyReplace => "map:port-5.15/only-replace",
        }
    }
}

impl Map for Port515 {
    fn source(&self) -> SemanticsKind {
        SemanticsKind::UsageLevels
    }

    fn rows(&self) -> &'static [Row] {
        ROWS
    }

    fn add<F: FenceRef>(&self, store: &mut Store<F>, fence: F, usage: Usage) {
        let adds_as_published = matches!(self, Port515::Published | Port515::OnlyAdds);
        match usage {
            Usage::Kernel | Usage::Write if adds_as_published => exclusive::set(store, fence),
            Usage::Kernel | Usage::Write => exclusive::link(store, fence, usage),
            Usage::Read | Usage::Bookkeep => exclusive::add_shared(store, fence, Usage::Read),
        }
    }

    fn replace<F: FenceRef>(&self, store: &mut Store<F>, timeline: u64, fence: F, _: Usage) {
        if !matches!(self, Port515::Published | Port515::OnlyReplace) {
            exclusive::replace(store, timeline, &fence);
        }
    }

    fn visit<'s, F: FenceRef>(
        &self,
        store: &'s Store<F>,
        access: Access,
        visit: &mut impl FnMut(&'s F),
    ) {
        let all = match self {
            Port515::Published | Port515::OnlyQueries => access != Access::Move,
            Port515::UsageAsBool => access != Access::Explicit,
            Port515::OnlyAdds | Port515::OnlyReplace => {
                matches!(access, Access::Write | Access::Move)
            }
        };
        if all {
            exclusive::visit_all(store, visit);
        } else {
            exclusive::visit_exclusive(store, visit);
        }
    }
}

const ROWS: &[Row] = &[
    Row {
        call: "add kernel, write",
        becomes: "add_excl",
        class: Class::Unsound,
        why: "a preempt fence is dropped by the next write, and the move does not preempt; a write is dropped by the next one",
        claims: &[
            claim(
                "usage-levels",
                "map:port-5.15/only-adds",
                "add-write,add-bookkeep,signal",
                "move",
                Class::Unsound,
            ),
            claim(
                "usage-levels",
                "map:port-5.15/only-adds",
                "add-write,signal",
                "read",
                Class::Unsound,
            ),
        ],
    },
    Row {
        call: "ask up to bookkeep",
        becomes: "all = false: exclusive",
        class: Class::Unsound,
        why: "the path that frees memory does not find preempt fences, and the idle test says idle",
        claims: &[claim(
            "usage-levels",
            "map:port-5.15/only-queries",
            "add-bookkeep,signal",
            "move",
            Class::Unsound,
        )],
    },
    Row {
        call: "ask up to kernel, write, read",
        becomes: "all = true: exclusive and shared",
        class: Class::Over,
        why: "readers wait for readers, and everybody for preempt fences",
        claims: &[
            claim(
                "usage-levels",
                "map:port-5.15/only-queries",
                "add,copy,signal",
                "read",
                Class::Over,
            ),
            claim(
                "usage-levels",
                "map:port-5.15/only-queries",
                "add,copy,signal",
                "explicit",
                Class::Over,
            ),
        ],
    },
    Row {
        call: "a usage",
        becomes: "the boolean all, as the number it is",
        class: Class::Over,
        why: "zero is exclusive, the rest is everything; bookkeep comes out right",
        claims: &[
            claim(
                "usage-levels",
                "map:port-5.15/usage-as-bool",
                "add,copy,signal",
                "explicit",
                Class::Over,
            ),
            claim(
                "usage-levels",
                "map:port-5.15/usage-as-bool",
                "add,copy,signal",
                "read",
                Class::Over,
            ),
            claim(
                "usage-levels",
                "map:port-5.15/usage-as-bool",
                "add,copy,signal",
                "move",
                Class::Exact,
            ),
        ],
    },
    Row {
        call: "replace",
        becomes: "nothing",
        class: Class::Over,
        why: "an eviction fence stays after the unmapping: what waits for the last user evicts, or hangs",
        claims: &[claim(
            "usage-levels",
            "map:port-5.15/only-replace",
            "add-bookkeep,replace-signaled,signal",
            "move",
            Class::Over,
        )],
    },
];
