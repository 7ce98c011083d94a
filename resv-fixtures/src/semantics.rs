//! Semantics that bear the name of one of the three and are wrong in one rule.

use crate::fixture::{Fixture, fault, sound};
use resv_core::{
    Access, ExclusiveShared, Key, Semantics, Usage, UsageLevels, UsageSet, Visibility,
    WritersReadersOthers,
};

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<OlderSharedReplaces>(
        "older_shared_replaces",
        "H-16",
        "Linux until 5.18, add_shared",
        "a shared fence takes the place of any of its timeline, later or not",
        &[
            "hazards::h_16_an_older_fence_does_not_replace_a_newer",
            "examples::e06_an_older_fence_keeps_the_newer",
        ],
        sound,
    ),
    fault::<OlderReplaces>(
        "older_fence_replaces",
        "H-16",
        "Linux 5.19; a3f7c10a269d (20220810172617.140047-1)",
        "a fence takes the place of any of its timeline, later or not",
        &[
            "hazards::h_16_an_older_fence_does_not_replace_a_newer",
            "examples::e06_an_older_fence_keeps_the_newer",
            "random::any_script_is_answered_like_the_model",
        ],
        sound,
    ),
    fault::<SameIsNotCovered>(
        "same_fence_eats_slots",
        "H-17",
        "Linux 6.0 to 6.6; 95ba893c9f4f (20231115093035.1889-1)",
        "only a strictly later fence replaces, so a fence does not stand for itself",
        &[
            "hazards::h_17_adding_a_fence_again_keeps_one_entry",
            "examples::e07_a_usage_is_raised",
        ],
        sound,
    ),
    fault::<NothingIsReplaced>(
        "same_timeline_is_appended",
        "H-17",
        "RFC 7/10 in debug builds; 8/10",
        "a later fence does not take the place of an earlier one of its timeline",
        &["examples::e05_write_after_read_of_one_timeline"],
        sound,
    ),
    fault::<WriterDropsReaders>(
        "writer_drops_readers",
        "H-11",
        "the \"directed graph\" rule until 5.18 (20211123142111.3885-1-christian.koenig@amd.com)",
        "a new writer is taken to depend on all readers, and they are dropped",
        &[
            "hazards::h_11_a_writer_and_the_fences_of_others",
            "examples::e03_writer_that_ignores_a_reader",
            "random::dominance_answers_like_the_slot_rule",
        ],
        sound,
    ),
    fault::<ExplicitIgnoresMoves>(
        "explicit_job_ignores_moves",
        "H-22",
        "Linux until 5.18; Chris Wilson, 156641829139.20466.3485292236947741339",
        "a move is not told apart from a write, so explicit-sync jobs do not wait for it",
        &[
            "hazards::h_22_only_usage_levels_tell_a_move_from_a_write",
            "examples::e10_a_kernel_move_and_an_explicit_job",
        ],
        sound,
    ),
    fault::<ReadersWaitForReaders>(
        "readers_wait_for_readers",
        "H-35",
        "drivers that made every fence exclusive for want of a better word; derived",
        "a reader waits for readers: nothing is lost, and nothing runs side by side",
        &["hazards::h_35_a_write_recorded_as_a_read"],
        sound,
    ),
    fault::<HiddenUntilUnlock>(
        "hidden_until_unlock",
        "H-21, B4",
        "the proposals of 2019, under a semantics that promises otherwise",
        "an add is visible at unlock where it should be at once",
        &["examples::e11_asked_between_add_and_unlock"],
        sound,
    ),
    fault::<WriterWaitsForOthers>(
        "writer_waits_for_others",
        "E9",
        "RFC, wait for everything as posted",
        "a writer waits for page-table updates",
        &[
            "examples::e09_a_page_table_update",
            "random::any_script_is_answered_like_the_model",
        ],
        sound,
    ),
    fault::<BookkeepHidesWrite>(
        "bookkeeping_hides_a_write",
        "B9",
        "derived: a slot rule that compares seqnos and no usages",
        "a later bookkeeping fence removes its timeline's pending write, for which readers wait",
        &["tables::b9_what_is_removed_is_covered"],
        sound,
    ),
    fault::<MovesForgetBookkeeping>(
        "move_forgets_bookkeeping",
        "B9",
        "derived: a table with a row too short",
        "memory is moved while a page-table update is at work",
        &["tables::a_move_waits_for_every_class"],
        sound,
    ),
    fault::<WritersForgetWrites>(
        "writer_waits_for_less_than_a_reader",
        "H-14",
        "derived: accesses that are not ordered",
        "a writer does not wait for what a reader waits for",
        &["tables::a_more_demanding_access_waits_for_no_less"],
        sound,
    ),
    fault::<ClassOfAClass>(
        "class_of_a_class",
        "H-27",
        "derived: classifying twice, as a copy does",
        "what is kept as a read is filed under bookkeeping when it is copied",
        &["tables::a_class_is_its_own_class"],
        sound,
    ),
    fault::<SilentLoss>(
        "loss_is_not_declared",
        "H-11",
        "derived: the duty of a writer, which nothing said",
        "an exclusive fence removes those of others, and the semantics says that nothing is lost",
        &["tables::h_11_a_loss_is_declared"],
        sound,
    ),
    fault::<FavoursATimeline>(
        "one_timeline_is_treated_otherwise",
        "B9",
        "derived: a rule about a certain context",
        "fences of one timeline do not supersede each other",
        &["tables::only_order_and_sameness_count"],
        sound,
    ),
    fault::<OthersBecomeReaders>(
        "others_become_readers",
        "H-27",
        "RFC 10/10, in the rule instead of the copy",
        "others are filed under readers",
        &[
            "examples::e15_a_copy",
            "examples::e17_one_fence_of_each_usage",
        ],
        sound,
    ),
];

/// `$name` is `$base` but for the functions that follow.
macro_rules! like {
    ($(#[$doc:meta])* $name:ident is $base:ident but
        $(class $class:expr)?
        $(, waits_for $waits_for:expr)?
        $(, supersedes $supersedes:expr)?
        $(, visibility $visibility:expr)?
        $(, loses $loses:expr)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default)]
        pub struct $name;

        impl Semantics for $name {
            fn name(&self) -> &'static str {
                $base.name()
            }

            fn visibility(&self) -> Visibility {
                $(return $visibility;)?
                #[allow(unreachable_code)]
                $base.visibility()
            }

            fn class(&self, usage: Usage) -> Usage {
                $(return $class(usage);)?
                #[allow(unreachable_code)]
                $base.class(usage)
            }

            fn waits_for(&self, access: Access) -> UsageSet {
                $(return $waits_for(access);)?
                #[allow(unreachable_code)]
                $base.waits_for(access)
            }

            fn supersedes(&self, new: Key, old: Key) -> bool {
                $(return $supersedes(new, old);)?
                #[allow(unreachable_code)]
                $base.supersedes(new, old)
            }

            fn loses(&self, new: Key, old: Key) -> bool {
                $(return $loses(new, old);)?
                #[allow(unreachable_code)]
                { new.timeline != old.timeline && self.supersedes(new, old) }
            }
        }
    };
}

like! {
    /// Seqnos are compared, usages are not.
    BookkeepHidesWrite is UsageLevels but
    , supersedes |new: Key, old: Key| new.timeline == old.timeline && new.seqno >= old.seqno
}

like! {
    /// The row of a move ends with reads.
    MovesForgetBookkeeping is UsageLevels but
    , waits_for |access| match access {
        Access::Move => UsageLevels.waits_for(Access::Write),
        access => UsageLevels.waits_for(access),
    }
}

like! {
    /// A writer waits for kernel moves alone.
    WritersForgetWrites is UsageLevels but
    , waits_for |access| match access {
        Access::Write => UsageLevels.waits_for(Access::Explicit),
        access => UsageLevels.waits_for(access),
    }
}

like! {
    /// The class of a class is another one.
    ClassOfAClass is UsageLevels but
    class |usage| match usage {
        Usage::Write => Usage::Read,
        Usage::Read => Usage::Bookkeep,
        usage => usage,
    }
}

like! {
    /// Says that it loses nothing.
    SilentLoss is ExclusiveShared but
    , loses |_, _| false
}

like! {
    /// A rule of its own for the third timeline of the process.
    FavoursATimeline is UsageLevels but
    , supersedes |new: Key, old: Key| {
        UsageLevels.supersedes(new, old) && (new == old || new.timeline.as_raw() != 3)
    }
}

like! {
    /// Linux 5.19: no test that the new fence is later.
    OlderReplaces is UsageLevels but
    , supersedes |new: Key, old: Key| new.timeline == old.timeline && old.usage >= new.usage
}

like! {
    /// Linux until 5.18: a shared fence replaces the shared fence of its timeline, later or not.
    OlderSharedReplaces is ExclusiveShared but
    , supersedes |new: Key, old: Key| {
        let shared = new.usage == Usage::Read && old.usage == Usage::Read;
        let replaced = shared && new.timeline == old.timeline;
        replaced || ExclusiveShared.supersedes(new, old)
    }
}

like! {
    /// Linux 6.0 to 6.6: strictly later, so a fence does not stand for itself.
    SameIsNotCovered is UsageLevels but
    , supersedes |new: Key, old: Key| {
        new.timeline == old.timeline && old.usage >= new.usage && new.seqno > old.seqno
    }
}

like! {
    /// No fence stands for another.
    NothingIsReplaced is WritersReadersOthers but
    , supersedes |new: Key, old: Key| {
        let same = new.timeline == old.timeline && new.seqno != old.seqno;
        !same && WritersReadersOthers.supersedes(new, old)
    }
}

like! {
    /// Every fence is waited for like a write.
    ReadersWaitForReaders is UsageLevels but
    , waits_for |access| match access {
        Access::Read => UsageLevels.waits_for(Access::Write),
        access => UsageLevels.waits_for(access),
    }
}

like! {
    /// The "directed graph" assumption: a writer depends on all readers.
    WriterDropsReaders is UsageLevels but
    , supersedes |new: Key, old: Key| {
        let dropped = new.usage <= Usage::Write && old.usage == Usage::Read;
        (dropped && new.timeline != old.timeline) || UsageLevels.supersedes(new, old)
    }
}

like! {
    /// Moves are not told apart.
    ExplicitIgnoresMoves is UsageLevels but
    , waits_for |access| match access {
        Access::Explicit => UsageSet::EMPTY,
        access => UsageLevels.waits_for(access),
    }
}

like! {
    /// Visible at unlock, where it should be at once.
    HiddenUntilUnlock is UsageLevels but
    , visibility Visibility::AtPublish
}

like! {
    /// The wait for everything, as posted in 2019.
    WriterWaitsForOthers is WritersReadersOthers but
    , waits_for |access| match access {
        Access::Write => WritersReadersOthers.waits_for(Access::Move),
        access => WritersReadersOthers.waits_for(access),
    }
}

like! {
    /// Others are filed under readers.
    OthersBecomeReaders is WritersReadersOthers but
    class |usage| match usage {
        Usage::Bookkeep => Usage::Read,
        usage => WritersReadersOthers.class(usage),
    }
}
