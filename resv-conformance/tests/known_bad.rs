//! Does the suite find anything? Semantics and back ends with the defects of history, and a few that
//! nobody has had yet: each must be caught by the properties that are about it.
//!
//! A control shows that the wrapper that the broken back ends share is sound without its defect.

use fixtures::{Flaw, Flawed, semantics};
use resv_conformance::Suite;
use resv_core::{ExclusiveShared, Locked, Semantics, UsageLevels, WritersReadersOthers};
use std::panic::{catch_unwind, set_hook, take_hook};
use std::sync::Once;

mod fixtures;

/// Panics of properties are what these tests are after: only a test's own are printed.
fn silence_properties() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |info| {
            let here = info
                .location()
                .is_some_and(|at| at.file().ends_with("known_bad.rs"));
            if here {
                print(info);
            }
        }));
    });
}

/// The properties that do not hold, with what they said.
fn broken(properties: &[(&'static str, fn())]) -> Vec<(&'static str, String)> {
    silence_properties();
    let run = |(name, property): &(&'static str, fn())| {
        let said = catch_unwind(property).err()?;
        let said = said
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| said.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Some((*name, said.unwrap_or_default()))
    };
    properties.iter().filter_map(run).collect()
}

/// Asserts that every one of `properties` catches the defect, and returns what they said.
#[track_caller]
fn all_broken(properties: &[(&'static str, fn())]) -> Vec<String> {
    let broken = broken(properties);
    for (name, _) in properties {
        assert!(
            broken.iter().any(|(have, _)| have == name),
            "{name} does not catch the defect"
        );
    }
    broken.into_iter().map(|(_, said)| said).collect()
}

/// [`all_broken`] for the properties that are named, on a semantics and a back end.
///
/// They are not looked up in `Suite::PROPERTIES`, so that no others are compiled for these types.
macro_rules! caught_by {
    ($S:ty, $B:ty: $($module:ident :: $property:ident),+ $(,)?) => {
        all_broken(&[$((
            concat!(stringify!($module), "::", stringify!($property)),
            resv_conformance::properties::$module::$property::<$S, $B>,
        )),+])
    };
}

type Sound = Flawed<{ Flaw::NONE }>;

#[test]
fn control_the_wrapper_without_a_defect_passes_every_property() {
    assert_eq!(broken(Suite::<ExclusiveShared, Sound>::PROPERTIES), []);
    assert_eq!(broken(Suite::<WritersReadersOthers, Sound>::PROPERTIES), []);
    assert_eq!(broken(Suite::<UsageLevels, Sound>::PROPERTIES), []);
}

#[test]
fn h_16_an_older_fence_replaces_a_newer() {
    caught_by!(semantics::OlderReplaces, Locked:
        hazards::h_16_an_older_fence_does_not_replace_a_newer,
        examples::e06_an_older_fence_keeps_the_newer,
        random::any_script_is_answered_like_the_model,
    );
    caught_by!(semantics::OlderSharedReplaces, Locked:
        hazards::h_16_an_older_fence_does_not_replace_a_newer,
        examples::e06_an_older_fence_keeps_the_newer,
    );
}

#[test]
fn h_17_the_same_fence_eats_slots() {
    caught_by!(semantics::SameIsNotCovered, Locked:
        hazards::h_17_adding_a_fence_again_keeps_one_entry,
        examples::e07_a_usage_is_raised,
    );
}

#[test]
fn h_11_a_writer_drops_the_readers_of_others() {
    caught_by!(semantics::WriterDropsReaders, Locked:
        hazards::h_11_a_writer_and_the_fences_of_others,
        examples::e03_writer_that_ignores_a_reader,
        random::dominance_answers_like_the_slot_rule,
    );
}

#[test]
fn h_22_an_explicit_job_ignores_a_move() {
    caught_by!(semantics::ExplicitIgnoresMoves, Locked:
        hazards::h_22_only_usage_levels_tell_a_move_from_a_write,
        examples::e10_a_kernel_move_and_an_explicit_job,
        random::dominance_answers_like_the_slot_rule,
    );
}

#[test]
fn h_21_an_add_is_hidden_that_should_be_visible_at_once() {
    caught_by!(semantics::HiddenUntilUnlock, Locked:
        examples::e11_asked_between_add_and_unlock,
    );
}

#[test]
fn the_wait_for_everything_of_2019_waits_for_others() {
    caught_by!(semantics::WriterWaitsForOthers, Locked:
        examples::e09_a_page_table_update,
        examples::e16_a_bookkeeping_fence_and_a_writer,
        random::any_script_is_answered_like_the_model,
    );
}

#[test]
fn h_27_others_are_filed_under_readers() {
    caught_by!(semantics::OthersBecomeReaders, Locked:
        examples::e15_a_copy,
        examples::e17_one_fence_of_each_usage,
    );
    caught_by!(WritersReadersOthers, Flawed<{ Flaw::COPY_MISPLACES }>:
        hazards::h_27_a_copy_keeps_categories_and_leaks_nothing,
        examples::e15_a_copy,
        selftests::copy_overwrites,
    );
}

#[test]
fn h_14_the_test_forgets_the_exclusive_fence_when_shared_ones_exist() {
    type Bad = Flawed<{ Flaw::IDLE_FORGETS_WRITERS }>;
    caught_by!(ExclusiveShared, Bad:
        hazards::h_14_idle_agrees_with_wait,
        hazards::h_34_a_reader_that_fails_before_the_writer,
        examples::e01b_readers_finish_before_the_writer,
    );
}

#[test]
fn h_24_a_wait_for_two_waits_for_one() {
    caught_by!(ExclusiveShared, Flawed<{ Flaw::TWO_ARE_ONE }>:
        hazards::h_24_a_wait_for_a_writer_and_one_reader,
        hazards::h_19_as_many_come_out_as_went_in,
    );
}

#[test]
fn h_26_unlocking_does_not_publish_others() {
    type Bad = Flawed<{ Flaw::OTHERS_UNPUBLISHED }>;
    caught_by!(WritersReadersOthers, Bad:
        hazards::h_26_unlocking_publishes_every_category,
        hazards::h_21_staged_adds_are_visible_when_the_semantics_says,
        examples::e09_a_page_table_update,
    );
}

#[test]
fn h_27_references_are_leaked() {
    caught_by!(UsageLevels, Flawed<{ Flaw::LEAKS }>:
        hazards::h_27_a_copy_keeps_categories_and_leaks_nothing,
    );
}

#[test]
fn h_31_a_failed_reservation_empties_the_object() {
    caught_by!(UsageLevels, Flawed<{ Flaw::FAILURE_EMPTIES }>:
        hazards::h_31_a_failed_reservation_changes_and_leaks_nothing,
        contract::b3_reserving_too_much_is_refused,
    );
}

#[test]
fn b1_a_snapshot_is_put_together_from_two_instants() {
    caught_by!(UsageLevels, Flawed<{ Flaw::TORN }>: contract::b1_a_read_is_of_one_instant);
}

#[test]
fn b2_idle_is_put_together_from_two_instants() {
    caught_by!(UsageLevels, Flawed<{ Flaw::TORN }>: contract::b2_idle_was_true);
}

#[test]
fn b3_an_add_without_a_reservation_is_accepted() {
    caught_by!(UsageLevels, Flawed<{ Flaw::ROOM_UNCHECKED }>:
        contract::b3_the_back_end_refuses_an_add_without_room,
        examples::e13_a_reservation_ends_with_the_lock,
    );
}

#[test]
fn b4_staged_edits_are_published_early() {
    type Bad = Flawed<{ Flaw::PUBLISHES_EARLY }>;
    caught_by!(WritersReadersOthers, Bad:
        contract::b4_edits_become_visible_together,
        hazards::h_21_staged_adds_are_visible_when_the_semantics_says,
        examples::e11_asked_between_add_and_unlock,
        random::any_script_is_answered_like_the_model,
    );
    caught_by!(UsageLevels, Bad: contract::b4_edits_become_visible_together);
}

#[test]
fn b4_a_panicking_holder_publishes_nothing() {
    caught_by!(WritersReadersOthers, Flawed<{ Flaw::PANIC_UNPUBLISHED }>:
        contract::b4_a_panic_publishes_what_was_added,
    );
}

#[test]
fn b4_slots_outlive_the_lock() {
    caught_by!(UsageLevels, Flawed<{ Flaw::KEEPS_SLOTS }>:
        contract::b4_unlocking_gives_up_reserved_slots,
        examples::e13_a_reservation_ends_with_the_lock,
    );
}

#[test]
fn b9_an_entry_is_lost_in_growing() {
    let said = caught_by!(UsageLevels, Flawed<{ Flaw::LOSES_ON_GROWTH }>:
        contract::b9_nothing_is_lost_in_growing_and_shrinking,
        selftests::reserve_grows,
        random::any_script_is_answered_like_the_model,
    );
    assert_eq!(said.len(), 3);
}

/// What a failing random script says can be run as it stands, and shows the difference.
#[test]
fn a_failing_random_script_is_printed_in_the_scenario_language() {
    use resv_conformance::scenario::{Runner, Scenario};
    let said = caught_by!(semantics::OlderReplaces, Locked:
        random::any_script_is_answered_like_the_model,
    );
    let (first, rest) = said[0]
        .split_once('\n')
        .expect("a script follows the reason");
    assert!(first.starts_with("usage-levels on locked: "), "{first}");
    let (script, seed) = rest.rsplit_once('\n').expect("a seed follows the script");
    assert!(seed.starts_with("PROPTEST_RNG_SEED="), "{seed}");
    let script = Scenario::parse(script).expect("the script is in the language");
    let edits = script.statements().filter(|(_, s)| !s.is_query()).count();
    assert!(edits <= 30, "shrunk to {edits} statements:\n{script}");

    let right = play::<UsageLevels>(&script);
    let wrong = play::<semantics::OlderReplaces>(&script);
    assert_ne!(right, wrong);

    fn play<S: Semantics>(script: &Scenario) -> Vec<String> {
        let make = || -> Box<dyn resv_api::Reservation> {
            Box::new(resv_api::Resv::<S, Locked>::default())
        };
        let answers = Runner::with_factory(make).run(script).expect("it is valid");
        answers.iter().map(ToString::to_string).collect()
    }
}
