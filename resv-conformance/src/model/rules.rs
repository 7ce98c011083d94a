//! The three semantics, stated a second time, for the models.
//!
//! Written from the prose, not from the tables of `resv-core`, and in another shape: a rule here
//! edits a vector in place, a table there answers a question about two keys.

use super::{At, Item};
use resv_core::{Access, AnySemantics, Key, Semantics, SemanticsKind, TimelineId, Usage};

/// A semantics whose answers are written down a second time: in [`Rules`], in
/// [`SlotModel`](super::SlotModel) and in the worked examples. Others are believed where their answers are a
/// matter of their tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Linux until 5.18.
    ExclusiveShared,
    /// The proposal of 2019.
    WritersReadersOthers,
    /// Linux since 5.19.
    UsageLevels,
}

impl Generation {
    /// The three, oldest first.
    pub const ALL: [Generation; 3] = [
        Generation::ExclusiveShared,
        Generation::WritersReadersOthers,
        Generation::UsageLevels,
    ];

    /// The name of the semantics.
    pub const fn name(self) -> &'static str {
        self.kind().name()
    }

    /// The semantics of this project that it restates.
    pub const fn kind(self) -> SemanticsKind {
        match self {
            Generation::ExclusiveShared => SemanticsKind::ExclusiveShared,
            Generation::WritersReadersOthers => SemanticsKind::WritersReadersOthers,
            Generation::UsageLevels => SemanticsKind::UsageLevels,
        }
    }

    /// The one that is meant by a semantics of that name.
    pub fn named(name: &str) -> Option<Generation> {
        Generation::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// The rules of one semantics, for a [`Model`](super::Model).
#[derive(Clone, Debug)]
pub enum Rules {
    /// One of the three, restated.
    Restated(Generation),
    /// Any other semantics, whose own tables are believed: then only the back end is tested.
    Believed(AnySemantics),
}

impl Rules {
    /// The restated rules of `kind`.
    pub fn of(kind: SemanticsKind) -> Rules {
        Rules::for_semantics(kind.any())
    }

    /// The restated rules of the semantics that bears that name; its own if there is none.
    pub fn for_semantics(semantics: AnySemantics) -> Rules {
        match Generation::named(semantics.name()) {
            Some(generation) => Rules::Restated(generation),
            None => Rules::Believed(semantics),
        }
    }

    /// The usage under which a fence is kept that was added as `usage`.
    pub fn kept_as(&self, usage: Usage) -> Usage {
        use Generation::{ExclusiveShared, UsageLevels, WritersReadersOthers};
        match self {
            Rules::Restated(UsageLevels) => usage,
            // Memory management is a writer like any other before 5.19.
            Rules::Restated(_) if is_writer(usage) => Usage::Write,
            // Two categories: what is not exclusive is shared.
            Rules::Restated(ExclusiveShared) => Usage::Read,
            // Three categories: readers and others stay apart.
            Rules::Restated(WritersReadersOthers) => usage,
            Rules::Believed(semantics) => semantics.class(usage),
        }
    }

    /// Whether an add as `usage` is a write, which makes the content whole again.
    pub fn is_write(&self, usage: Usage) -> bool {
        match self {
            Rules::Restated(Generation::UsageLevels) => usage == Usage::Write,
            Rules::Restated(_) => is_writer(usage),
            Rules::Believed(semantics) => semantics.class(usage) == semantics.class(Usage::Write),
        }
    }

    /// Whether `access` must wait for what is kept as `kept`.
    pub fn waits_for(&self, access: Access, kept: Usage) -> bool {
        use Generation::{ExclusiveShared, UsageLevels, WritersReadersOthers};
        match self {
            // A cut through four levels: everything up to the one that the access names.
            Rules::Restated(UsageLevels) => match access {
                Access::Explicit => kept as u8 == 0,
                Access::Read => kept as u8 <= 1,
                Access::Write => kept as u8 <= 2,
                Access::Move => true,
            },
            Rules::Restated(ExclusiveShared) => match access {
                Access::Explicit => false,
                Access::Read => kept == Usage::Write,
                Access::Write | Access::Move => true,
            },
            Rules::Restated(WritersReadersOthers) => match access {
                Access::Explicit => false,
                Access::Read => kept == Usage::Write,
                Access::Write => kept != Usage::Bookkeep,
                Access::Move => true,
            },
            Rules::Believed(semantics) => semantics.waits_for(access).contains(kept),
        }
    }

    /// Adds `fence` to `set`, dropping what it supersedes.
    pub fn add(&self, set: &mut Vec<Item>, fence: At, usage: Usage) {
        let usage = self.kept_as(usage);
        let covered = |old: At| old.timeline == fence.timeline && old.seqno <= fence.seqno;
        let newer = |old: At| old.timeline == fence.timeline && old.seqno > fence.seqno;
        match self {
            Rules::Restated(Generation::ExclusiveShared) if usage == Usage::Write => {
                // A new exclusive fence stands for all that was there.
                set.retain(|old| newer(old.at));
            }
            Rules::Restated(Generation::WritersReadersOthers) if usage == Usage::Write => {
                // A new writer stands for writers and readers; others are none of its business.
                set.retain(|old| newer(old.at) || old.usage == Usage::Bookkeep);
            }
            Rules::Restated(Generation::ExclusiveShared | Generation::WritersReadersOthers) => {
                // Within its category, the later fence of a timeline stands for the earlier.
                set.retain(|old| !(old.usage == usage && covered(old.at)));
            }
            Rules::Restated(Generation::UsageLevels) => {
                // The later fence stands for earlier ones that concern no more of the users.
                set.retain(|old| !(covered(old.at) && old.usage as u8 >= usage as u8));
            }
            Rules::Believed(semantics) => {
                let new = key(fence, usage);
                set.retain(|old| !semantics.supersedes(new, key(old.at, old.usage)));
            }
        }
        set.push(Item { at: fence, usage });
    }
}

/// Whether generations before 5.19 count the usage as a writer.
pub(super) fn is_writer(usage: Usage) -> bool {
    matches!(usage, Usage::Kernel | Usage::Write)
}

fn key(at: At, usage: Usage) -> Key {
    Key {
        timeline: TimelineId::from_raw(at.timeline as u64),
        seqno: at.seqno,
        usage,
    }
}
