//! Defects that the suite cannot show by itself: loom variants of the real code, and what cannot be
//! expressed.

use crate::fixture::{Elsewhere, Shown};
use resv_conformance::eviction::Flaw;

const SEQCOUNT: &str = "resv-seqcount/src/loom_models.rs";
const RCU_ARRAY: &str = "resv-rcu-array/src/models.rs";
const FENCE: &str = "resv-core/src/fence/loom_models.rs";
const CALLBACKS: &str = "resv-sync/src/callbacks/loom_models.rs";
const LOCK: &str = "resv-core/src/lock/loom_models.rs";

const fn loom(
    defects: &'static str,
    origin: &'static str,
    what: &'static str,
    file: &'static str,
    test: &'static str,
) -> Elsewhere {
    Elsewhere {
        defects,
        origin,
        what,
        shown: Shown::Loom { file, test },
    }
}

const fn test(
    defects: &'static str,
    origin: &'static str,
    what: &'static str,
    file: &'static str,
    test: &'static str,
    why: &'static str,
) -> Elsewhere {
    Elsewhere {
        defects,
        origin,
        what,
        shown: Shown::Test { file, test, why },
    }
}

const fn inexpressible(
    defects: &'static str,
    origin: &'static str,
    what: &'static str,
    why: &'static str,
) -> Elsewhere {
    Elsewhere {
        defects,
        origin,
        what,
        shown: Shown::Inexpressible(why),
    }
}

const fn driver(defects: &'static str, origin: &'static str, flaw: Flaw) -> Elsewhere {
    Elsewhere {
        defects,
        origin,
        what: flaw.what(),
        shown: Shown::Driver(flaw),
    }
}

/// Every such defect.
pub const ELSEWHERE: &[Elsewhere] = &[
    loom(
        "H-01",
        "5d344f58da76, put back by b016cd6ed4b7",
        "the seqcount reader takes references and does not look at the counter again",
        SEQCOUNT,
        "h_01_known_bad_skips_validation",
    ),
    loom(
        "H-02, B1",
        "5d344f58da76, put back by b016cd6ed4b7",
        "the seqcount reader does not look at the counter again, and a transaction is torn",
        SEQCOUNT,
        "b1_known_bad_skips_validation",
    ),
    loom(
        "D-2, H-25, B2",
        "derived from 5.10",
        "the seqcount reader does not look again before it says \"idle\"",
        SEQCOUNT,
        "b2_known_bad_skips_validation",
    ),
    loom(
        "B4",
        "derived",
        "each entry of a transaction has a write section of its own",
        SEQCOUNT,
        "b1_known_bad_many_sections",
    ),
    loom(
        "D-3, D-7, H-28",
        "Linux since 5.19: the plain store in place; derived",
        "slots are stored without an order, so a reader pairs old and new ones",
        SEQCOUNT,
        "b1_known_bad_unordered_stores",
    ),
    loom(
        "D-7, H-28",
        "the patches of August 2019, orderings; derived",
        "a length is published without Release, so a reader sees half of a transaction",
        RCU_ARRAY,
        "must_find_a_head_without_release",
    ),
    loom(
        "H-03",
        "RFC 7/10; Daniel Vetter, 20190821160454.GN11147@phenom.ffwll.local",
        "a fence is given up under a reader that has taken the array it was in",
        RCU_ARRAY,
        "must_find_a_plain_load_before_fences_are_given_up",
    ),
    loom(
        "B2",
        "derived: what an immutable array invites to",
        "\"idle\" is told without a second look at what is published",
        RCU_ARRAY,
        "must_find_no_second_look",
    ),
    loom(
        "F-02",
        "derived; kernel self-test race_signal_callback",
        "a callback is lost between the test of the fence and the registration",
        CALLBACKS,
        "f_02_known_bad_storing_without_looking",
    ),
    loom(
        "F-02",
        "derived; kernel self-test race_signal_callback",
        "a callback is taken back and run as well",
        CALLBACKS,
        "f_02_known_bad_claiming_anyway",
    ),
    loom(
        "F-02",
        "derived",
        "a thread that takes a callback back frees what the signaller looks at",
        CALLBACKS,
        "f_02_known_bad_keeping_a_node_that_the_closer_looks_at",
    ),
    loom(
        "H-12",
        "156665294650.4019.8311918110818842888@skylake-alporthouse-com",
        "a child that signals while it is being composed is never counted",
        FENCE,
        "h_12_known_bad_watching_unmarked",
    ),
    loom(
        "F-09",
        "derived",
        "two children are counted down in two steps each, and the array signals twice or never",
        FENCE,
        "all_known_bad_counting_in_two_steps",
    ),
    loom(
        "points",
        "derived",
        "a point of a timeline is announced without looking again whether it has been reached",
        FENCE,
        "points_known_bad_without_looking_again",
    ),
    loom(
        "L-01",
        "derived",
        "releasing the lock publishes nothing",
        LOCK,
        "l_01_known_bad_release_publishes_nothing",
    ),
    loom(
        "L-01",
        "derived",
        "a lock that is handed over is left free as well",
        LOCK,
        "l_01_known_bad_handed_over_and_left_free",
    ),
    loom(
        "L-03, L-09",
        "derived",
        "nobody backs off, a wounded sleeper is not woken, a sleeper is not flagged: four deadlocks",
        LOCK,
        "known_bad_deadlocks_are_found",
    ),
    test(
        "H-18",
        "header documentation of 5.19",
        "a container in a container, or in an object: recursion without bound",
        "resv-core/src/fence/compose_tests.rs",
        "h_18_dropping_a_tower_does_not_recurse",
        "overflowing the stack ends the process, so a broken variant cannot be caught in a test",
    ),
    test(
        "H-15",
        "review of dma_buf_poll, 2021",
        "poll uses a fence that it does not own",
        "resv-api/tests/fd.rs",
        "p05_closing_while_callbacks_are_pending_is_safe",
        "a descriptor owns its fences by type; a borrowed one does not compile",
    ),
    driver(
        "lazy fences, V2",
        "derived: what is collapsed or exported as one fence",
        Flaw::ArrayOfAll,
    ),
    driver(
        "lazy fences, V7",
        "derived; amdgpu warns of it",
        Flaw::ReplacesPending,
    ),
    driver("lazy fences, V4", "derived", Flaw::FenceAfterQueues),
    driver("lazy fences, V3", "derived", Flaw::SignalBeforeOff),
    driver(
        "lazy fences, V5",
        "drm-kmod c616d96242: freed page tables evicted their own process",
        Flaw::NeverRemoved,
    ),
    driver("lazy fences, V4", "derived", Flaw::ResumesWithout),
    driver(
        "lazy fences, V7",
        "amdgpu user queues of 2025: a last job of more than 100 ms",
        Flaw::LeavesBusyQueues,
    ),
    driver(
        "lazy fences, V3",
        "derived: one preemption stops all queues of an Xe VM",
        Flaw::NextBeforeAllOff,
    ),
    inexpressible(
        "H-06, H-20",
        "20190822130251.GT11147; the iterators of 5.16",
        "drivers read the array by themselves and look at memory that has been recycled",
        "no function hands out a pointer or a borrowed array: a snapshot owns, a visit shows plain keys",
    ),
    inexpressible(
        "H-08",
        "156640466565.20466.15873039258008813430@skylake-alporthouse-com",
        "the callback list is read after the signal, when its memory holds the timestamp",
        "callbacks are taken out of the cell by the signal, under its lock; nothing shares their memory",
    ),
    inexpressible(
        "B3",
        "all generations: an add without a reservation crashes",
        "too few slots, or no list at all",
        "Slots is the only way to add, and it is made by reserve alone; what a back end must do when \
         it is called all the same is room_is_not_checked",
    ),
];
