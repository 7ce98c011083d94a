//! One exclusive fence and many shared ones: Linux until 5.18.

use super::{Semantics, Visibility, is_covered_by, is_newer_on_same_timeline};
use crate::entry::Key;
use crate::usage::{Access, Usage, UsageSet};

/// The legacy meaning: one exclusive fence and many shared ones (Linux until 5.18).
///
/// | added as | kept as | removes |
/// |---|---|---|
/// | kernel, write | `write` (exclusive) | **everything**, except later fences of its own timeline |
/// | read, bookkeep | `read` (shared) | shared fences of its timeline that are not later |
///
/// | access | waits for |
/// |---|---|
/// | explicit | nothing: a kernel move is not told apart from any other writer (H-22) |
/// | read | exclusive |
/// | write, move | exclusive and shared |
///
/// Visible at once.
///
/// **The duty of a writer.** A new exclusive fence replaces all that was there, so its job must
/// itself wait for all of it. Nothing checks that; a job that does not (an explicit-sync one, say)
/// makes the object *lose* pending fences, and memory may be freed while it is in use (H-11, worked
/// examples E2 and E3). That is the meaning of this generation, not a defect of an implementation,
/// so it is kept here.
///
/// **Not kept** are the defects of its implementations: a shared fence replaced by an older one of
/// its timeline (H-16), a test that ignores the exclusive fence when shared ones exist (H-14), a
/// wait that returns early (H-24, H-25). Where the old rule kept the *older* of two exclusive
/// fences of one timeline, both are kept here.
///
/// Source: Linux until 5.18, as 4.20 and later wrote it down, with the hazards H-14, H-16, H-24 and H-25 mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExclusiveShared;

impl Semantics for ExclusiveShared {
    fn name(&self) -> &'static str {
        "exclusive-shared"
    }

    fn visibility(&self) -> Visibility {
        Visibility::AtOnce
    }

    fn class(&self, usage: Usage) -> Usage {
        match usage {
            Usage::Kernel | Usage::Write => Usage::Write,
            Usage::Read | Usage::Bookkeep => Usage::Read,
        }
    }

    fn waits_for(&self, access: Access) -> UsageSet {
        match access {
            Access::Explicit => UsageSet::EMPTY,
            Access::Read => const { UsageSet::of(&[Usage::Write]) },
            Access::Write | Access::Move => const { UsageSet::of(&[Usage::Write, Usage::Read]) },
        }
    }

    fn supersedes(&self, new: Key, old: Key) -> bool {
        match new.usage {
            Usage::Kernel | Usage::Write => !is_newer_on_same_timeline(old, new),
            Usage::Read | Usage::Bookkeep => {
                self.class(old.usage) == Usage::Read && is_covered_by(old, new)
            }
        }
    }
}
