//! What is promised, on each flavour, by one thread or with steps in a fixed order. Races are in
//! `tests/stress.rs` and `tests/loom.rs`, memory in `tests/no_alloc.rs` and `tests/alloc_failure.rs`.

mod editing;
mod plans;
mod reading;
mod reserving;

use self::{editing::*, reading::*, reserving::*};
use crate::{Flavour, RcuArray};
use resv_core::{
    Backend, Budget, Entry, EntryRef, EntrySet, Key, LockProof, Signaler, Timeline, Usage, UsageSet,
};

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("seqnos are left")
}

fn entry(job: &Signaler, usage: Usage) -> Entry {
    Entry {
        fence: job.fence().clone(),
        usage,
    }
}

fn room(adds: usize, publishes: usize) -> Budget {
    Budget { adds, publishes }
}

fn nothing(_: Key) -> bool {
    false
}

/// One transaction with one publish: removes what `removes` names, adds `add`.
fn commit<R: Flavour>(object: &RcuArray<R>, removes: impl Fn(Key) -> bool, add: &[Entry]) {
    let mut held = object.object_lock().lock();
    object
        .reserve(&mut held, room(add.len(), 1))
        .expect("memory");
    object.edit(&mut held, removes, None);
    for entry in add {
        object.edit(&mut held, nothing, Some(entry.clone()));
    }
    object.publish(&mut held);
    object.unreserve(&mut held);
}

fn keys(snapshot: &impl EntrySet) -> Vec<Key> {
    snapshot.iter().map(EntryRef::key).collect()
}

fn visited_keys<R: Flavour>(object: &RcuArray<R>, usages: UsageSet) -> Vec<Key> {
    object.visit(usages, Vec::new(), |mut keys, key| {
        keys.push(key);
        keys
    })
}

fn held_keys<R: Flavour>(object: &RcuArray<R>, held: &LockProof<'_>) -> Vec<Key> {
    object.visit_held(held, Vec::new(), |mut keys, entry| {
        keys.push(entry.key());
        keys
    })
}

fn panic_message(run: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).expect_err("a panic");
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .expect("a message")
}

macro_rules! on_each_flavour {
    ($($test:ident)*) => {
        mod stable {
            $(#[test] fn $test() { super::$test::<crate::Stable>(); })*
        }
        #[cfg(feature = "arc-swap")]
        mod arc_swap {
            $(#[test] fn $test() { super::$test::<crate::ArcSwapped>(); })*
        }
    };
}

on_each_flavour! {
    an_empty_object_is_idle_and_has_nothing_to_show
    b4_edits_are_seen_by_the_holder_at_once_and_by_readers_when_published
    b6_a_snapshot_never_changes_and_keeps_its_fences
    b9_only_what_the_predicate_names_leaves
    signalled_fences_are_not_shown_and_leave_with_the_next_edit
    b4_edits_of_one_transaction_add_up
    the_proof_of_another_lock_is_refused
    b3_one_reservation_lasts_for_many_publishes
    b3_reserving_again_adds_to_what_is_staged
    b3_a_smaller_reservation_takes_nothing_away
    b3_a_reservation_of_nothing_gives_no_room
    b3_every_publish_has_room_for_all_that_may_be_there
    what_is_staged_outlives_an_unreserve
    b3_a_reservation_that_cannot_be_met_changes_nothing
    editing_without_room_panics_and_changes_nothing
    b3_what_was_given_back_cannot_be_used
    a_predicate_that_panics_loses_nothing
    an_edit_published_at_once_is_the_two_steps
    b3_an_add_in_two_steps_has_room_at_every_length
    b4_two_steps_beside_what_is_dead_or_staged
    b4_two_steps_leave_what_stays
    b4_what_comes_stays_where_all_goes
    b7_a_visit_that_blocks_holds_up_nobody
    b3_a_large_reservation_is_used_in_full
    b3_publishes_without_an_add_have_their_room
    b6_snapshots_of_every_length_stay_as_they_were
}
