//! The list of properties, and the macros that make tests of it.

use crate::properties::{
    answers, composed, contract, examples, failures, fences, hazards, leaves, locks, random,
    selftests, tables, tasks, transactions, two_steps, waits,
};
use crate::subject::Subject;

/// Hands the list of all properties to the macro `$then`, after `$args`.
#[doc(hidden)]
#[macro_export]
macro_rules! __with_properties {
    ($then:ident! ($($args:tt)*)) => {
        $crate::$then! { ($($args)*)
            tables {
                a_class_is_its_own_class
                a_more_demanding_access_waits_for_no_less
                a_move_waits_for_every_class
                h_17_a_fence_stands_for_itself
                h_16_an_older_fence_removes_no_newer_one
                b9_what_is_removed_is_covered
                h_11_a_loss_is_declared
                only_order_and_sameness_count
            }
            answers {
                what_is_stored_is_in_no_answer
            }
            failures {
                b10_a_failure_is_told_until_a_write_comes
                b10_what_was_overwritten_may_fail
                b10_what_was_superseded_while_pending_counts_no_more
                b10_the_smallest_errno_is_told
                b10_a_job_may_fail_before_its_fence_is_added
                b10_a_replacement_is_no_write
                b10_a_copy_begins_anew
                b10_a_composition_is_one_write
                b10_the_holder_is_told_of_its_own_edits
            }
            fences {
                f_01_a_signal_is_seen_in_every_object
                f_02_a_callback_may_edit_the_object
                f_05_what_a_job_did_is_seen_by_a_reader_that_finds_the_object_idle
                f_06_a_dropped_signaler_frees_the_object
                f_07_a_fence_that_is_gone_is_not_had_back
            }
            composed {
                h_18_the_leaves_of_all_are_added
                h_18_a_composition_in_a_composition_is_flattened
                h_18_the_pending_leaves_of_a_merge_are_added
                any_is_added_as_it_is
                leaves_never_supersede_each_other
                f_09_an_object_is_idle_with_the_last_leaf
                f_10_a_merge_of_what_an_object_holds
                points_of_a_timeline_supersede_each_other
                the_first_error_of_a_composition_is_told
                deadlines_reach_what_an_object_holds
                lazy_a_look_never_asks
                lazy_a_wait_for_a_move_asks_once
                lazy_a_hook_that_signals_ends_the_wait
            }
            leaves {
                leaves_at_once_are_leaves_one_by_one
                leaves_take_the_place_of_a_timeline
            }
            waits {
                zero_is_a_poll_of_one_object_and_of_many
                signalled_failed_and_timed_out_are_told_apart
                all_waits_for_the_last_object
                any_waits_for_the_first_object
                a_wait_covers_the_instant_of_its_start
                a_wait_that_follows_covers_what_comes_later
                many_waiters_wait_for_one_object
                a_wait_that_ends_early_leaves_nothing_behind
                a_future_is_the_same_wait
            }
            tasks {
                a_hook_that_panics_in_a_poll_ends_no_wait
                a_forgotten_transaction_leaves_no_stale_waiter
                a_forgotten_wait_is_in_nobodys_way
                a_transaction_that_is_not_polled_is_in_nobodys_way
                wakers_run_when_all_locks_are_released
                a_callback_may_submit_to_the_object_that_it_waited_for
            }
            transactions {
                an_error_leaves_every_object_as_it_was
                a_panic_leaves_every_object_as_it_was
                b4_what_was_added_before_a_failure_stays
                b4_every_object_of_a_transaction_is_published
                l_02_an_object_locked_again_is_the_same_member
                locking_ends_with_the_first_add
                objects_of_all_kinds_meet_in_one_transaction
                a_transaction_replaces_and_copies
                a_slice_is_locked_in_any_order_with_repetitions
                b4_the_guards_of_a_slice_publish_what_was_added
                a_timeout_leaves_every_object_as_it_was
            }
            locks {
                l_01_one_holder_at_a_time_in_all_mixes
                l_02_locking_twice_is_locking_once
                l_03_ab_against_ba
                l_04_cycles_come_apart
                l_06_a_context_that_holds_nothing_never_backs_off
                l_07_age_is_kept_over_a_back_off
                l_10_the_wounded_finishes_if_it_needs_no_more
                l_11_a_back_off_at_any_point_leaves_nothing_locked
                timeouts_of_both_algorithms
            }
            selftests {
                t1_sanitycheck
                t2_signaling
                t3_for_each_with_the_lock
                t4_for_each_without_the_lock
                t5_get_fences
                usage_inclusion
                usage_inclusion_of_four_at_once
                reserve_hands_out_slots
                reserve_grows
                replace_takes_one_timeline
                replace_of_nothing_is_nothing
                replace_by_a_signalled_fence_removes
                copy_overwrites
                copy_crosses_back_ends
                wait_with_zero_timeout
                wait_on_an_idle_object
                wait_runs_out_of_time
                wait_ends_with_the_last_fence_that_concerns_it
                wait_does_not_cover_what_comes_later
                errors_free_the_object_and_are_told
                the_object_safe_form_is_the_same
            }
            hazards {
                h_01_a_recycled_fence_is_not_shown
                h_02_never_idle_while_the_work_is_handed_on
                h_07_pruning
                h_10_a_superseded_writer_is_gone_everywhere
                h_11_a_writer_and_the_fences_of_others
                h_13_publishing_nothing
                h_14_idle_agrees_with_wait
                h_16_an_older_fence_does_not_replace_a_newer
                h_17_adding_a_fence_again_keeps_one_entry
                h_19_as_many_come_out_as_went_in
                h_21_staged_adds_are_visible_when_the_semantics_says
                h_22_only_usage_levels_tell_a_move_from_a_write
                h_24_a_wait_for_a_writer_and_one_reader
                h_26_unlocking_publishes_every_category
                h_27_a_copy_keeps_categories_and_leaks_nothing
                h_29_h_30_an_object_replaced_in_the_middle_of_a_visit
                h_31_a_failed_reservation_changes_and_leaks_nothing
                h_32_a_replacement_owns_what_it_needs
                h_33_an_entry_owns_a_reference
                h_34_a_reader_that_fails_before_the_writer
                h_35_a_write_recorded_as_a_read
            }
            contract {
                b1_a_read_is_of_one_instant
                b2_idle_was_true
                b2_a_visit_that_shows_nothing_was_true
                b2_a_racing_snapshot_holds_fences_of_the_object
                b3_reserving_too_much_is_refused
                b3_reserving_nothing
                b3_adding_beyond_the_slots_panics_and_harms_nothing
                b3_the_back_end_refuses_an_add_without_room
                b3_the_lock_of_another_object_is_no_proof
                b4_edits_become_visible_together
                b4_a_second_reservation_keeps_what_was_added
                b4_an_explicit_publish_shows_what_was_added
                b4_a_panic_publishes_what_was_added
                b4_unlocking_gives_up_reserved_slots
                b5_a_closure_of_a_read_may_do_anything
                b5_a_fence_is_dropped_outside
                b5_a_fence_that_signals_late_is_dropped_outside
                b5_callbacks_run_outside
                b6_a_snapshot_never_changes
                b7_a_holder_holds_up_no_reader
                b7_a_quiet_read_is_not_repeated
                b8_what_is_superseded_is_freed
                b8_the_peak_is_a_peak
                b9_nothing_is_lost_in_growing_and_shrinking
                b9_an_edit_removes_what_its_predicate_names
                b9_two_writers_lose_nothing
            }
            two_steps {
                b3_an_add_in_two_steps_is_an_add
                b3_a_commit_gives_up_what_was_reserved
                b3_a_plan_that_is_dropped_changes_nothing
                b3_the_lock_of_another_object_prepares_nothing
                b4_a_commit_is_of_one_instant
            }
            examples {
                e01_readers_after_a_writer
                e01b_readers_finish_before_the_writer
                e02_unordered_writers
                e03_writer_that_ignores_a_reader
                e04_read_after_write_of_one_timeline
                e05_write_after_read_of_one_timeline
                e06_an_older_fence_keeps_the_newer
                e07_a_usage_is_raised
                e08_a_usage_is_never_lowered
                e09_a_page_table_update
                e10_a_kernel_move_and_an_explicit_job
                e11_asked_between_add_and_unlock
                e12_a_writer_after_a_staged_add
                e13_a_reservation_ends_with_the_lock
                e14_a_signalled_fence_ahead
                e15_a_copy
                e16_a_bookkeeping_fence_and_a_writer
                e17_one_fence_of_each_usage
            }
            random {
                any_script_is_answered_like_the_model
                a_long_script_is_answered_like_the_model
                dominance_answers_like_the_slot_rule
                dominance_answers_like_the_slot_rule_for_long
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __list {
    (() $($module:ident { $($property:ident)* })*) => {
        &[$($(Property {
            name: concat!(stringify!($module), "::", stringify!($property)),
            run: $module::$property,
        },)*)*]
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    (($subject:expr) $($module:ident { $($property:ident)* })*) => {
        $(mod $module {
            #[allow(unused_imports)]
            use super::*;
            $(#[test]
            fn $property() {
                $crate::property(concat!(stringify!($module), "::", stringify!($property)))
                    .check($subject);
            })*
        })*
    };
}

/// One property of reservation objects, compiled once for every semantics and back end.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// `module::name`.
    pub name: &'static str,
    run: fn(Subject),
}

impl Property {
    /// Checks the property.
    ///
    /// # Panics
    ///
    /// When it does not hold; the panic says what was seen.
    pub fn check(&self, subject: Subject) {
        (self.run)(subject);
    }
}

/// Every property, for programs that run the suite themselves.
///
/// ```
/// use resv_conformance::{PROPERTIES, Subject};
/// use resv_core::{Locked, UsageLevels};
///
/// let property = PROPERTIES[0];
/// assert_eq!(property.name, "tables::a_class_is_its_own_class");
/// property.check(Subject::of::<UsageLevels, Locked>()); // panics if it does not hold
/// ```
pub static PROPERTIES: &[Property] = __with_properties!(__list!());

/// The property of that name.
///
/// # Panics
///
/// When there is none.
pub fn property(name: &str) -> &'static Property {
    let named = PROPERTIES.iter().find(|property| property.name == name);
    named.unwrap_or_else(|| panic!("there is no property {name}"))
}

/// Makes a module `$name` of tests: the whole suite for one semantics and one back end.
///
/// The types are resolved where the macro stands.
///
/// ```
/// # mod example {
/// use resv_core::{Locked, UsageLevels};
///
/// resv_conformance::suite!(usage_levels_on_locked, UsageLevels, Locked);
/// # }
/// ```
#[macro_export]
macro_rules! suite {
    ($name:ident, $S:ty, $B:ty) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn subject() -> $crate::Subject {
                $crate::Subject::of::<$S, $B>()
            }

            $crate::__with_properties!(__tests!(subject()));
        }
    };
}

/// Makes a module `$name` of tests: the whole suite for one back end under every semantics of the
/// registry.
///
/// ```
/// # mod example {
/// resv_conformance::suite_for_backend!(locked, resv_core::Locked);
/// # }
/// ```
#[macro_export]
macro_rules! suite_for_backend {
    ($name:ident, $B:ty) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $crate::__for_each_semantics!(($crate::__suite_under)($B));
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __suite_under {
    (($B:ty) $($(#[$attribute:meta])* $kind:ident $module:ident $name:literal $type:path;)*) => {
        $($crate::suite!($module, $type, $B);)*
    };
}
