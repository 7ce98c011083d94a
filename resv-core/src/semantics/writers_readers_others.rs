//! Writers, readers and others: the proposal of August 2019.

use super::{Semantics, Visibility, is_covered_by, is_newer_on_same_timeline};
use crate::entry::Key;
use crate::usage::{Access, Usage, UsageSet};

/// The meaning that was proposed in August 2019 and never merged: three categories.
///
/// | added as | kept as | removes |
/// |---|---|---|
/// | kernel, write | `write` (writers) | all writers and readers, except later fences of its own timeline |
/// | read | `read` (readers) | readers of its timeline that are not later |
/// | bookkeep | `bookkeep` (others) | others of its timeline that are not later |
///
/// | access | waits for |
/// |---|---|
/// | explicit | nothing: a kernel move is a writer like any other (H-22) |
/// | read | writers |
/// | write | writers and readers |
/// | move | writers, readers and others |
///
/// Visible **at publish or unlock**: what the holder adds is staged, and all of it becomes visible
/// together (H-21, E11). The holder reads its own edits all along.
///
/// A new writer has the same duty as a new exclusive fence has under
/// [`ExclusiveShared`](super::ExclusiveShared): its job must wait for the writers and readers it
/// drops. What this generation gains is a category, *others*, that no implicit access waits for.
///
/// **Not kept** are the defects of the posted patches: a wait for everything that also waited for
/// others on behalf of a writer, staged writers and others that unlocking did not publish (H-26),
/// staged adds thrown away when the object was set (E12), a copy that put fences into the wrong
/// category and leaked (H-27).
///
/// Source: the patches of August 2019, with the hazards H-10, H-26 and H-27 mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WritersReadersOthers;

impl Semantics for WritersReadersOthers {
    fn name(&self) -> &'static str {
        "writers-readers-others"
    }

    fn visibility(&self) -> Visibility {
        Visibility::AtPublish
    }

    fn class(&self, usage: Usage) -> Usage {
        match usage {
            Usage::Kernel | Usage::Write => Usage::Write,
            Usage::Read => Usage::Read,
            Usage::Bookkeep => Usage::Bookkeep,
        }
    }

    fn waits_for(&self, access: Access) -> UsageSet {
        match access {
            Access::Explicit => UsageSet::EMPTY,
            Access::Read => const { UsageSet::of(&[Usage::Write]) },
            Access::Write => const { UsageSet::of(&[Usage::Write, Usage::Read]) },
            Access::Move => const { UsageSet::of(&[Usage::Write, Usage::Read, Usage::Bookkeep]) },
        }
    }

    fn supersedes(&self, new: Key, old: Key) -> bool {
        match self.class(new.usage) {
            Usage::Kernel | Usage::Write => {
                old.usage != Usage::Bookkeep && !is_newer_on_same_timeline(old, new)
            }
            class => self.class(old.usage) == class && is_covered_by(old, new),
        }
    }
}
