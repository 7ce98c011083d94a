//! A semantics of one's own: a buffer that one job uses at a time, as with a queue that knows no reads.

use resv_core::{Access, Key, Semantics, Usage, UsageSet, Visibility};

/// Every use is a write; moves are told apart, because an explicit job waits for those alone.
///
/// | added as | kept as | removes |
/// |---|---|---|
/// | kernel | kernel | entries of its timeline that are not later |
/// | write, read, bookkeep | write | writes of its timeline that are not later |
///
/// | access | waits for |
/// |---|---|
/// | explicit | kernel |
/// | read, write, move | everything |
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OneAtATime;

impl Semantics for OneAtATime {
    fn name(&self) -> &'static str {
        "one-at-a-time"
    }

    fn visibility(&self) -> Visibility {
        Visibility::AtOnce
    }

    fn class(&self, usage: Usage) -> Usage {
        match usage {
            Usage::Kernel => Usage::Kernel,
            Usage::Write | Usage::Read | Usage::Bookkeep => Usage::Write,
        }
    }

    fn waits_for(&self, access: Access) -> UsageSet {
        match access {
            Access::Explicit => UsageSet::of(&[Usage::Kernel]),
            Access::Read | Access::Write | Access::Move => {
                UsageSet::of(&[Usage::Kernel, Usage::Write])
            }
        }
    }

    fn supersedes(&self, new: Key, old: Key) -> bool {
        let is_covered = new.timeline == old.timeline && new.seqno >= old.seqno;
        is_covered && new.usage <= old.usage
    }

    /// Nothing: fences of other timelines stay.
    fn loses(&self, _new: Key, _old: Key) -> bool {
        false
    }
}
