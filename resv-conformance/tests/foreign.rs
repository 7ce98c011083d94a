//! The suite on semantics from elsewhere: it holds for legal ones, whatever their answers are. Unsafe ones
//! are fixtures (`resv-fixtures/src/semantics.rs`); here is one with a name of its own.

use crate::silence_properties;
use resv_conformance::{PROPERTIES, Property, Subject};
use resv_core::{
    Access, ExclusiveShared, Key, Locked, Semantics, Usage, UsageLevels, UsageSet, Visibility,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `$name` is `$base` under a name of its own, but for what is said.
macro_rules! foreign {
    ($(#[$doc:meta])* $name:ident is $base:ident
        $(, visibility $visibility:expr)?
        $(, class $class:expr)?
        $(, waits_for $waits_for:expr)?
        $(, supersedes $supersedes:expr)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        struct $name;

        #[allow(unreachable_code, reason = "what is said comes before what is inherited")]
        impl Semantics for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn visibility(&self) -> Visibility {
                $(return $visibility;)?
                $base.visibility()
            }

            fn class(&self, usage: Usage) -> Usage {
                $(return $class(usage);)?
                $base.class(usage)
            }

            fn waits_for(&self, access: Access) -> UsageSet {
                $(return $waits_for(access);)?
                $base.waits_for(access)
            }

            fn supersedes(&self, new: Key, old: Key) -> bool {
                $(return $supersedes(new, old);)?
                $base.supersedes(new, old)
            }
        }
    };
}

fn up_to(weakest: Usage) -> UsageSet {
    let mut usages = Usage::ALL.to_vec();
    usages.retain(|usage| *usage <= weakest);
    UsageSet::of(&usages)
}

/// Whether `old` is on the timeline of `new` and not later.
fn is_covered(new: Key, old: Key) -> bool {
    new.timeline == old.timeline && old.seqno <= new.seqno
}

foreign! {
    /// A device whose reads disturb each other.
    ReadsWaitForReads is UsageLevels, waits_for |access| match access {
        Access::Read => up_to(Usage::Read),
        access => UsageLevels.waits_for(access),
    }
}
foreign! {
    /// All reads come from one queue that runs in order, so the last one stands for those before.
    ReadsStandForReads is UsageLevels, supersedes |new: Key, old: Key| {
        let reads = new.usage == Usage::Read && old.usage == Usage::Read;
        (reads && new.timeline != old.timeline) || UsageLevels.supersedes(new, old)
    }
}
foreign! {
    /// Usage levels whose adds are published together.
    StagedLevels is UsageLevels, visibility Visibility::AtPublish
}
foreign! {
    /// The legacy semantics with staging.
    StagedExclusive is ExclusiveShared, visibility Visibility::AtPublish
}
foreign! {
    /// Every fence stays until it signals.
    KeepsAll is UsageLevels, supersedes |new: Key, old: Key| new == old
}
foreign! {
    /// A mutual exclusion: every use is a write, and every access waits for it.
    OneCategory is UsageLevels
    , class |_: Usage| Usage::Write
    , waits_for |_: Access| UsageSet::of(&[Usage::Write])
    , supersedes is_covered
}
foreign! {
    /// The same, as bookkeeping, which an explicit job does not wait for.
    OnlyBookkeeping is UsageLevels
    , class |_: Usage| Usage::Bookkeep
    , waits_for |access: Access| match access {
        Access::Explicit => UsageSet::EMPTY,
        _ => UsageSet::of(&[Usage::Bookkeep]),
    }
    , supersedes is_covered
}
foreign! {
    /// Only a move waits.
    OnlyMovesWait is UsageLevels, waits_for |access: Access| match access {
        Access::Move => UsageSet::ALL,
        _ => UsageSet::EMPTY,
    }
}
foreign! {
    /// Any use stands for all uses of all other timelines: the extreme of a writer's duty.
    LastStandsForAll is UsageLevels
    , class |_: Usage| Usage::Write
    , waits_for |_: Access| UsageSet::of(&[Usage::Write])
    , supersedes |new: Key, old: Key| new.timeline != old.timeline || old.seqno <= new.seqno
}

foreign! {
    /// A bookkeep that removes its own timeline's pending write: a reader is left with nothing to wait for.
    BookkeepHidesWrite is UsageLevels, supersedes |new: Key, old: Key| is_covered(new, old)
}

/// The properties that do not hold, with what they say.
fn rejections<S: Semantics + Default>() -> Vec<String> {
    silence_properties();
    let on = Subject::of::<S, Locked>();
    let holds = |property: &&Property| catch_unwind(AssertUnwindSafe(|| property.check(on))).err();
    let rejected = PROPERTIES.iter().filter_map(|property| {
        let said = holds(&property)?;
        let text = said.downcast_ref::<String>().cloned();
        let text = text.or_else(|| said.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Some(format!("{}: {}", property.name, text.unwrap_or_default()))
    });
    rejected.collect()
}

macro_rules! legal {
    ($($test:ident: $S:ident)*) => {
        $(#[test]
        fn $test() {
            let rejected = rejections::<$S>();
            assert!(rejected.is_empty(), "{}", rejected.join("\n"));
        })*
    };
}

legal! {
    a_read_may_wait_for_reads: ReadsWaitForReads
    reads_may_stand_for_reads_of_other_timelines: ReadsStandForReads
    levels_may_be_staged: StagedLevels
    the_legacy_semantics_may_be_staged: StagedExclusive
    every_fence_may_be_kept: KeepsAll
    there_may_be_one_category: OneCategory
    there_may_be_bookkeeping_alone: OnlyBookkeeping
    only_a_move_may_wait: OnlyMovesWait
    the_last_may_stand_for_all: LastStandsForAll
}

/// Under a name of its own it is believed where answers are a matter of its table; the table is not.
#[test]
fn bookkeeping_must_not_hide_a_write() {
    let rejected = rejections::<BookkeepHidesWrite>();
    let by = "tables::b9_what_is_removed_is_covered: ";
    assert!(
        rejected.iter().any(|told| told.starts_with(by)),
        "{}",
        rejected.join("\n")
    );
}
