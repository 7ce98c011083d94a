//! Broken promises to writers: B3, B4, B8, B9.

use crate::fault::{Fault, ONE, lock, now};
use crate::fixture::{Fixture, fault};
use resv_core::{
    Backend, Budget, Entry, Garbage, Key, LockProof, Locked, ReserveError, UsageLevels,
    WritersReadersOthers,
};
use std::sync::Mutex;

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<UsageLevels, FailureEmpties>(
        "failed_reservation_empties",
        "H-31, B3",
        "derived",
        "a reservation that cannot be had has emptied the object",
        &[
            "hazards::h_31_a_failed_reservation_changes_and_leaks_nothing",
            "contract::b3_reserving_too_much_is_refused",
        ],
    ),
    fault::<UsageLevels, PromisesAnything>(
        "impossible_room_is_promised",
        "B3",
        "derived: overflow in the computation of a capacity",
        "a reservation that cannot be had is granted",
        &["contract::b3_reserving_too_much_is_refused"],
    ),
    fault::<UsageLevels, RoomIsNotChecked>(
        "room_is_not_checked",
        "B3",
        "derived: all generations crash instead",
        "an add without a reservation allocates",
        &[
            "contract::b3_the_back_end_refuses_an_add_without_room",
            "contract::b4_unlocking_gives_up_reserved_slots",
        ],
    ),
    fault::<UsageLevels, AnyLockWillDo>(
        "any_lock_will_do",
        "B3",
        "derived: what lockdep checks in the kernel",
        "the lock of another object is taken for proof",
        &["contract::b3_the_lock_of_another_object_is_no_proof"],
    ),
    fault::<WritersReadersOthers, PublishesEarly>(
        "staged_edits_are_published_early",
        "H-21, B4",
        "derived: what the explicit publish of the RFC is to prevent",
        "every edit is published by itself",
        &[
            "contract::b4_edits_become_visible_together",
            "hazards::h_21_staged_adds_are_visible_when_the_semantics_says",
            "examples::e11_asked_between_add_and_unlock",
        ],
    ),
    fault::<WritersReadersOthers, PanicPublishesNothing>(
        "panic_publishes_nothing",
        "B4",
        "derived",
        "what a holder added before it panicked is lost, and its job is running",
        &["contract::b4_a_panic_publishes_what_was_added"],
    ),
    fault::<UsageLevels, SlotsOutliveTheLock>(
        "slots_outlive_the_lock",
        "B4, E13",
        "Linux without lock debugging",
        "slots that were reserved under one lock are there under the next",
        &[
            "contract::b4_unlocking_gives_up_reserved_slots",
            "examples::e13_a_reservation_ends_with_the_lock",
        ],
    ),
    fault::<UsageLevels, CommitPublishesTwice>(
        "commit_publishes_before_the_add",
        "B4",
        "derived: two stores where one is due",
        "a commit publishes what it removes before what it adds is stored",
        &["two_steps::b4_a_commit_is_of_one_instant"],
    ),
    fault::<UsageLevels, PlanForgetsRoom>(
        "prepare_forgets_the_reservation",
        "B3",
        "derived: the look without the memory",
        "the first of two steps looks, and gets no memory",
        &[
            "two_steps::b3_an_add_in_two_steps_is_an_add",
            "two_steps::b3_a_commit_gives_up_what_was_reserved",
        ],
    ),
    fault::<UsageLevels, LeaksEverything>(
        "superseded_fences_are_leaked",
        "B8",
        "derived",
        "an entry's reference is never given back",
        &["contract::b8_what_is_superseded_is_freed"],
    ),
    fault::<UsageLevels, PeakIsNoPeak>(
        "peak_below_what_is_retired",
        "B8",
        "derived",
        "the peak of garbage is less than the garbage there is",
        &["contract::b8_the_peak_is_a_peak"],
    ),
    fault::<UsageLevels, LosesOnGrowth>(
        "entry_lost_in_growing",
        "B9",
        "derived: Linux until 5.18 moves references when its list grows",
        "an entry is lost when the number of entries comes to a power of two",
        &[
            "contract::b9_nothing_is_lost_in_growing_and_shrinking",
            "selftests::reserve_grows",
        ],
    ),
];

/// B4: a set is published that was never to be.
#[derive(Default)]
pub struct CommitPublishesTwice;

impl Fault for CommitPublishesTwice {
    fn prepare(&self, object: &Locked, held: &mut LockProof<'_>) -> Result<(), ReserveError> {
        let room = Budget {
            adds: 1,
            publishes: 2,
        };
        object.reserve(held, room)
    }

    fn commit(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Entry,
    ) {
        object.edit(held, removes, None);
        object.publish(held);
        // Long enough for a reader to come by.
        std::thread::sleep(std::time::Duration::from_micros(20));
        object.edit(held, |_| false, Some(add));
        object.publish(held);
    }
}

/// B3: what is added next finds no memory.
#[derive(Default)]
pub struct PlanForgetsRoom;

impl Fault for PlanForgetsRoom {
    fn prepare(&self, _object: &Locked, _held: &mut LockProof<'_>) -> Result<(), ReserveError> {
        Ok(())
    }
}

/// H-31.
#[derive(Default)]
pub struct FailureEmpties;

impl Fault for FailureEmpties {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        room: Budget,
    ) -> Result<(), ReserveError> {
        let reserved = object.reserve(held, room);
        if reserved.is_err() {
            object.reserve(held, ONE)?;
            object.edit(held, |_| true, None);
        }
        reserved
    }
}

/// B3.
#[derive(Default)]
pub struct PromisesAnything;

impl Fault for PromisesAnything {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        room: Budget,
    ) -> Result<(), ReserveError> {
        let adds = if room.adds > usize::MAX / 4 {
            1
        } else {
            room.adds
        };
        object.reserve(held, Budget { adds, ..room })
    }
}

/// B3.
#[derive(Default)]
pub struct RoomIsNotChecked;

impl Fault for RoomIsNotChecked {
    fn edit(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        object.reserve(held, ONE).expect("memory for one entry");
        object.edit(held, removes, add);
    }
}

/// B3.
#[derive(Default)]
pub struct AnyLockWillDo;

impl Fault for AnyLockWillDo {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        room: Budget,
    ) -> Result<(), ReserveError> {
        if held.is_for(object.object_lock()) {
            object.reserve(held, room)
        } else {
            Ok(())
        }
    }
}

/// B4.
#[derive(Default)]
pub struct PublishesEarly;

impl Fault for PublishesEarly {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        room: Budget,
    ) -> Result<(), ReserveError> {
        let publishes = room.publishes.saturating_add(room.adds).saturating_add(1);
        object.reserve(held, Budget { publishes, ..room })
    }

    fn edit(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        object.edit(held, removes, add);
        object.publish(held);
    }
}

/// B4.
#[derive(Default)]
pub struct PanicPublishesNothing;

impl Fault for PanicPublishesNothing {
    fn publish(&self, object: &Locked, held: &mut LockProof<'_>) {
        if !std::thread::panicking() {
            object.publish(held);
        }
    }
}

/// B4.
#[derive(Default)]
pub struct SlotsOutliveTheLock {
    kept: Mutex<Option<Budget>>,
}

impl Fault for SlotsOutliveTheLock {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        room: Budget,
    ) -> Result<(), ReserveError> {
        object.reserve(held, room)?;
        *lock(&self.kept) = Some(room);
        Ok(())
    }

    fn edit(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        if let Some(room) = lock(&self.kept).as_mut()
            && room.adds > 0
        {
            object.reserve(held, *room).expect("it was had before");
            room.adds -= 1;
        }
        object.edit(held, removes, add);
    }
}

/// B8.
#[derive(Default)]
pub struct LeaksEverything;

impl Fault for LeaksEverything {
    fn edit(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        std::mem::forget(add.clone());
        object.edit(held, removes, add);
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

/// B9.
#[derive(Default)]
pub struct LosesOnGrowth;

impl Fault for LosesOnGrowth {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        room: Budget,
    ) -> Result<(), ReserveError> {
        let publishes = room.publishes.saturating_add(1);
        object.reserve(held, Budget { publishes, ..room })?;
        let count = now(object).len();
        if count >= 4 && count.is_power_of_two() {
            let mut first = true;
            object.edit(held, |_| std::mem::take(&mut first), None);
            object.publish(held);
        }
        Ok(())
    }
}
