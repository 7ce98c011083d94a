//! Four ordered usages: Linux since 5.19, with the rule of superseding that it has since 6.7.

use super::{Semantics, Visibility, is_covered_by};
use crate::entry::Key;
use crate::usage::{Access, Usage, UsageSet};

/// Four ordered usages, and nothing is lost. Linux has these usages and these waits since 5.19, and this
/// rule of superseding since 6.7.
///
/// | added as | kept as | removes |
/// |---|---|---|
/// | any usage *u* | *u* | entries of its timeline that are not later and whose usage is *u* or weaker |
///
/// | access | waits for |
/// |---|---|
/// | explicit | kernel |
/// | read | kernel, write |
/// | write | kernel, write, read |
/// | move | kernel, write, read, bookkeep |
///
/// Visible at once.
///
/// A fence of another timeline is never removed, so a writer has no duty to wait for anything (H-11
/// cannot happen), and several unordered writers may stand side by side (E2). A usage can be raised
/// by adding the fence again (bookkeep, then read: one entry), never lowered (write, then bookkeep:
/// two entries, and readers still wait; E7, E8).
///
/// Source: Linux 6.7 and later, where the same fence counts as "later or same" (H-17, Linux commit
/// 95ba893c9f4f). 5.19 let an older fence remove a newer one of its timeline (H-16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UsageLevels;

impl Semantics for UsageLevels {
    fn name(&self) -> &'static str {
        "usage-levels"
    }

    fn visibility(&self) -> Visibility {
        Visibility::AtOnce
    }

    fn class(&self, usage: Usage) -> Usage {
        usage
    }

    fn waits_for(&self, access: Access) -> UsageSet {
        use Usage::{Bookkeep, Kernel, Read, Write};
        match access {
            Access::Explicit => const { UsageSet::of(&[Kernel]) },
            Access::Read => const { UsageSet::of(&[Kernel, Write]) },
            Access::Write => const { UsageSet::of(&[Kernel, Write, Read]) },
            Access::Move => const { UsageSet::of(&[Kernel, Write, Read, Bookkeep]) },
        }
    }

    fn supersedes(&self, new: Key, old: Key) -> bool {
        is_covered_by(old, new) && old.usage >= new.usage
    }

    /// Nothing: fences of other timelines stay.
    fn loses(&self, _new: Key, _old: Key) -> bool {
        false
    }
}
