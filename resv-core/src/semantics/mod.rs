//! What a reservation object means: three semantics, each a pure table.
//!
//! A [`Semantics`] answers four questions, and nothing else:
//!
//! 1. [`class`](Semantics::class): under which usage is a fence kept that was added with a given
//!    one? (Older semantics know fewer categories.)
//! 2. [`supersedes`](Semantics::supersedes): does a new fence make an old one superfluous?
//! 3. [`waits_for`](Semantics::waits_for): which usages must an access wait for?
//! 4. [`visibility`](Semantics::visibility): when do others see an add?
//!
//! | | [`ExclusiveShared`] | [`WritersReadersOthers`] | [`UsageLevels`] |
//! |---|---|---|---|
//! | where | Linux until 5.18 | proposed in August 2019 | Linux: usages since 5.19, this rule since 6.7 |
//! | categories | exclusive, shared | writers, readers, others | kernel, write, read, bookkeep |
//! | a new **writer** drops | everything | writers and readers | nothing of another timeline |
//! | a **read** waits for | exclusive | writers | kernel, write |
//! | a **write** waits for | exclusive, shared | writers, readers | kernel, write, read |
//! | a **move** waits for | exclusive, shared | writers, readers, others | everything |
//! | an **explicit** job waits for | nothing | nothing | kernel |
//! | an add is visible | at once | at publish or unlock | at once |
//!
//! # One rule for all three
//!
//! **An add of an older fence never removes a newer one of its timeline.** Fences of one timeline
//! signal in order, so waiting for the newest is enough, and dropping it for an older one would let
//! memory go while it is in use (hazard H-16; Linux commit a3f7c10a269d). Linux before 6.0 did that;
//! here no semantics does. Under each, adding A3 after A5 of the same timeline keeps both. A replace
//! is no add: it removes every pending fence of its timeline.
//!
//! # Superseding is by dominance, not by slot luck
//!
//! A new fence removes *every* entry that it supersedes. Linux scans its slots and overwrites the
//! first that matches, so it may keep an entry that the new one dominates. As fences of a timeline
//! signal in order, the latest pending seqno of each timeline under each access is the same in
//! both; that is the equivalence which the conformance suite checks. `docs/kernel.md` has its conditions.

mod any;
mod exclusive_shared;
mod kind;
mod usage_levels;
mod writers_readers_others;

pub use any::AnySemantics;
pub use exclusive_shared::ExclusiveShared;
pub use kind::SemanticsKind;
pub use usage_levels::UsageLevels;
pub use writers_readers_others::WritersReadersOthers;

use crate::entry::Key;
use crate::usage::{Access, Usage, UsageSet};

/// When others see what the holder of an object's lock has added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// By the time that the add returns, while the lock is still held.
    AtOnce,
    /// At an explicit publish, or when the lock is released; all adds together.
    AtPublish,
}

impl Visibility {
    /// A phrase for tables: `at once`, `at publish or unlock`.
    pub const fn name(self) -> &'static str {
        match self {
            Visibility::AtOnce => "at once",
            Visibility::AtPublish => "at publish or unlock",
        }
    }
}

/// The meaning of a reservation object, as a pure table.
///
/// A value of it is held by each object. Every function is a function of that value and of its
/// arguments alone, and gives the same answer each time; the three members have size zero, so that
/// the calls cost nothing. The usages in a [`Key`] have gone through [`class`](Semantics::class) already.
///
/// # The contract
///
/// What every semantics promises, those from elsewhere included. The conformance suite checks it over
/// all usages, on one timeline and on two, earlier, same and later.
///
/// 1. A class is its own class: `class(class(u)) == class(u)`.
/// 2. A more demanding access waits for no less: what explicit waits for, a read waits for; what a read
///    waits for, a write does; what a write waits for, a move does.
/// 3. A move waits for every class, or memory is given away while it is in use.
/// 4. A fence stands for itself: `supersedes(k, k)`, so that adding it again keeps one entry (H-17).
/// 5. An older fence never removes a newer one of its timeline (H-16).
/// 6. **Nobody is left without a fence to wait for.** If `supersedes(new, old)`, each access that waits
///    for `old.usage` waits for `new.usage`.
/// 7. **A loss is declared.** Fences of one timeline signal in order, so a later one stands for an
///    earlier one. Fences of two timelines signal in any order: if `supersedes(new, old)` across
///    timelines, a job that waits for `new` may find `old` at work still, unless the job of `new` has waited
///    for `old` itself. That duty of the job is what [`loses`](Semantics::loses) declares.
/// 8. Only usages, order and sameness count: `supersedes` asks whether the two timelines are the same and
///    which seqno is greater, not which they are.
///
/// ```
/// use resv_core::{Access, ExclusiveShared, Semantics, Usage, UsageLevels, WritersReadersOthers};
///
/// // A page-table update (bookkeep) must not hold up an ordinary writer. The legacy semantics
/// // cannot say so: it keeps the update as a shared fence, and a writer waits for those.
/// fn writer_waits_for_page_table_update(semantics: impl Semantics) -> bool {
///     let kept_as = semantics.class(Usage::Bookkeep);
///     semantics.waits_for(Access::Write).contains(kept_as)
/// }
/// assert!(writer_waits_for_page_table_update(ExclusiveShared));
/// assert!(!writer_waits_for_page_table_update(WritersReadersOthers));
/// assert!(!writer_waits_for_page_table_update(UsageLevels));
/// ```
pub trait Semantics: Copy + Send + Sync + 'static {
    /// The name on command lines and in reports.
    fn name(&self) -> &'static str;

    /// When others see an add.
    fn visibility(&self) -> Visibility;

    /// The usage under which a fence is kept that is added with `usage`. Idempotent.
    fn class(&self, usage: Usage) -> Usage;

    /// The usages whose pending fences `access` must wait for.
    fn waits_for(&self, access: Access) -> UsageSet;

    /// Whether adding `new` removes the entry `old`.
    ///
    /// Must be true for `old == new`, so that adding a fence twice keeps one entry (H-17), and
    /// false where `old` is of the same timeline and later (H-16). See [the contract](#the-contract).
    fn supersedes(&self, new: Key, old: Key) -> bool;

    /// Whether adding `new` removes the pending fence `old` of another timeline, so that the job of `new`
    /// has the duty to wait for `old`: a job that does not makes the object lose a fence (H-11).
    ///
    /// The default says what [`supersedes`](Semantics::supersedes) does. A semantics that loses nothing
    /// says `false`, and the suite holds it to that.
    fn loses(&self, new: Key, old: Key) -> bool {
        new.timeline != old.timeline && self.supersedes(new, old)
    }
}

/// Whether `old` is on the timeline of `new` and later: then nothing about `new` may remove it.
fn is_newer_on_same_timeline(old: Key, new: Key) -> bool {
    old.timeline == new.timeline && old.seqno > new.seqno
}

/// Whether `old` is on the timeline of `new` and not later.
fn is_covered_by(old: Key, new: Key) -> bool {
    old.timeline == new.timeline && old.seqno <= new.seqno
}

#[cfg(test)]
mod tests;
