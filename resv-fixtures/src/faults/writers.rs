//! Broken promises to writers: B3, B4, B8, B9.

use crate::fault::{Fault, Inner, Removes, lock, now};
use crate::fixture::{Fixture, fault, faulty};
use crate::step::{edit, publish, publishes_at_once, reserve};
use resv_core::{Budget, Entry, Garbage, ReserveError, UsageLevels, WritersReadersOthers};
use std::sync::Mutex;

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<UsageLevels>(
        "failed_reservation_empties",
        "H-31, B3",
        "derived",
        "a reservation that cannot be had has emptied the object",
        &[
            "hazards::h_31_a_failed_reservation_changes_and_leaks_nothing",
            "contract::b3_reserving_too_much_is_refused",
        ],
        || {
            reserve(|object, room| {
                let reserved = object.reserve(room);
                if reserved.is_err() {
                    object.reserve(Budget::ONE)?;
                    object.edit(|_| true, None);
                }
                reserved
            })
        },
    ),
    fault::<UsageLevels>(
        "impossible_room_is_promised",
        "B3",
        "derived: overflow in the computation of a capacity",
        "a reservation that cannot be had is granted",
        &["contract::b3_reserving_too_much_is_refused"],
        || {
            reserve(|object, room| {
                let adds = if room.adds > usize::MAX / 4 {
                    1
                } else {
                    room.adds
                };
                object.reserve(Budget { adds, ..room })
            })
        },
    ),
    fault::<UsageLevels>(
        "room_is_not_checked",
        "B3",
        "derived: all generations crash instead",
        "an add without a reservation allocates",
        &[
            "contract::b3_the_back_end_refuses_an_add_without_room",
            "contract::b4_unlocking_gives_up_reserved_slots",
        ],
        || {
            edit(|object, removes, add| {
                object.reserve(Budget::ONE).expect("memory for one entry");
                object.edit(removes, add);
            })
        },
    ),
    fault::<UsageLevels>(
        "any_lock_will_do",
        "B3",
        "derived: what lockdep checks in the kernel",
        "the lock of another object is taken for proof",
        &["contract::b3_the_lock_of_another_object_is_no_proof"],
        || {
            reserve(|object, room| {
                if object.is_locked() {
                    object.reserve(room)
                } else {
                    Ok(())
                }
            })
        },
    ),
    fault::<WritersReadersOthers>(
        "staged_edits_are_published_early",
        "H-21, B4",
        "derived: what the explicit publish of the RFC is to prevent",
        "every edit is published by itself",
        &[
            "contract::b4_edits_become_visible_together",
            "hazards::h_21_staged_adds_are_visible_when_the_semantics_says",
            "examples::e11_asked_between_add_and_unlock",
        ],
        || publishes_at_once(|_| true),
    ),
    fault::<WritersReadersOthers>(
        "panic_publishes_nothing",
        "B4",
        "derived",
        "what a holder added before it panicked is lost, and its job is running",
        &["contract::b4_a_panic_publishes_what_was_added"],
        || {
            publish(|object| {
                if !std::thread::panicking() {
                    object.publish();
                }
            })
        },
    ),
    fault::<UsageLevels>(
        "slots_outlive_the_lock",
        "B4, E13",
        "Linux without lock debugging",
        "slots that were reserved under one lock are there under the next",
        &[
            "contract::b4_unlocking_gives_up_reserved_slots",
            "examples::e13_a_reservation_ends_with_the_lock",
        ],
        faulty::<SlotsOutliveTheLock>,
    ),
    fault::<UsageLevels>(
        "commit_publishes_before_the_add",
        "B4",
        "derived: two stores where one is due",
        "a commit publishes what it removes before what it adds is stored",
        &["two_steps::b4_a_commit_is_of_one_instant"],
        faulty::<CommitPublishesTwice>,
    ),
    fault::<UsageLevels>(
        "prepare_forgets_the_reservation",
        "B3",
        "derived: the look without the memory",
        "the first of two steps looks, and gets no memory",
        &[
            "two_steps::b3_an_add_in_two_steps_is_an_add",
            "two_steps::b3_a_commit_gives_up_what_was_reserved",
        ],
        faulty::<PlanForgetsRoom>,
    ),
    fault::<UsageLevels>(
        "superseded_fences_are_leaked",
        "B8",
        "derived",
        "an entry's reference is never given back",
        &["contract::b8_what_is_superseded_is_freed"],
        || {
            edit(|object, removes, add| {
                std::mem::forget(add.clone());
                object.edit(removes, add);
            })
        },
    ),
    fault::<UsageLevels>(
        "peak_below_what_is_retired",
        "B8",
        "derived",
        "the peak of garbage is less than the garbage there is",
        &["contract::b8_the_peak_is_a_peak"],
        faulty::<PeakIsNoPeak>,
    ),
    fault::<UsageLevels>(
        "append_removes",
        "B9",
        "derived: an append that is an edit with the rule of the last one",
        "an entry that is appended takes the place of another one of its timeline",
        &["leaves::leaves_at_once_are_leaves_one_by_one"],
        faulty::<AppendRemoves>,
    ),
    fault::<UsageLevels>(
        "entry_lost_in_growing",
        "B9",
        "derived: Linux until 5.18 moves references when its list grows",
        "an entry is lost when the number of entries comes to a power of two",
        &[
            "contract::b9_nothing_is_lost_in_growing_and_shrinking",
            "selftests::reserve_grows",
        ],
        || {
            reserve(|object, room| {
                object.reserve_more(room, 1)?;
                let count = now(object).len();
                if count >= 4 && count.is_power_of_two() {
                    let mut first = true;
                    object.edit(|_| std::mem::take(&mut first), None);
                    object.publish();
                }
                Ok(())
            })
        },
    ),
];

/// B4: a set is published that was never to be.
#[derive(Default)]
pub struct CommitPublishesTwice;

impl Fault for CommitPublishesTwice {
    fn prepare(&self, object: &mut Inner<'_, '_>) -> Result<(), ReserveError> {
        let room = Budget {
            adds: 1,
            publishes: 2,
        };
        object.reserve(room)
    }

    fn commit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Entry) {
        object.edit(removes, None);
        object.publish();
        // Long enough for a reader to come by.
        std::thread::sleep(std::time::Duration::from_micros(20));
        object.edit(|_| false, Some(add));
        object.publish();
    }
}

/// B3: what is added next finds no memory.
#[derive(Default)]
pub struct PlanForgetsRoom;

impl Fault for PlanForgetsRoom {
    fn prepare(&self, _object: &mut Inner<'_, '_>) -> Result<(), ReserveError> {
        Ok(())
    }
}

/// B4.
#[derive(Default)]
pub struct SlotsOutliveTheLock {
    kept: Mutex<Option<Budget>>,
}

impl Fault for SlotsOutliveTheLock {
    fn reserve(&self, object: &mut Inner<'_, '_>, room: Budget) -> Result<(), ReserveError> {
        object.reserve(room)?;
        *lock(&self.kept) = Some(room);
        Ok(())
    }

    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        if let Some(room) = lock(&self.kept).as_mut()
            && room.adds > 0
        {
            object.reserve(*room).expect("it was had before");
            room.adds -= 1;
        }
        object.edit(removes, add);
    }
}

/// B8.
#[derive(Default)]
pub struct PeakIsNoPeak;

impl Fault for PeakIsNoPeak {
    fn garbage(&self) -> Garbage {
        Garbage { live: 2, peak: 1 }
    }
}

/// B9: an append removes none.
#[derive(Default)]
pub struct AppendRemoves;

impl Fault for AppendRemoves {
    fn append(&self, object: &mut Inner<'_, '_>, entry: Entry) {
        let timeline = entry.fence.timeline_id();
        object.edit(|old| old.timeline == timeline, Some(entry));
    }
}
