//! Whether a buffer's content is broken (B10), told from what happens to be stored.

use crate::fault::{Fault, held_entries, lock};
use crate::fixture::{Fixture, fault};
use resv_core::{
    Backend, Budget, Entry, ExclusiveShared, Failures, FenceError, Key, LockProof, Locked,
    ReserveError, UsageLevels, UsageSet, WritersReadersOthers,
};
use std::collections::HashMap;
use std::sync::Mutex;

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<UsageLevels, OnlyWhileStored>(
        "failure_only_while_stored",
        "B10",
        "derived: the errors of what is in the object",
        "the failure is that of entries in the object, and the next edit drops what has signalled",
        &[
            "failures::b10_a_failure_is_told_until_a_write_comes",
            "answers::what_is_stored_is_in_no_answer",
            "random::any_script_is_answered_like_the_model",
        ],
    ),
    fault::<ExclusiveShared, ForgetsOnGrowth>(
        "failure_forgotten_on_growth",
        "B10",
        "derived: the note stays behind in the table before",
        "an object that gets more room forgets the failures that it had noted",
        &["failures::b10_a_failure_is_told_until_a_write_comes"],
    ),
    fault::<UsageLevels, NeverOverwritten>(
        "failure_outlives_a_write",
        "B10",
        "derived: a note that nobody clears",
        "a failure is told for ever, though the content was written again",
        &[
            "failures::b10_a_failure_is_told_until_a_write_comes",
            "failures::b10_a_copy_begins_anew",
        ],
    ),
    fault::<UsageLevels, OverwrittenFailLater>(
        "failure_of_what_was_overwritten",
        "B10",
        "derived: a write that clears the note, and nothing else",
        "a fence that was overwritten while it was pending and fails later is told",
        &["failures::b10_what_was_overwritten_may_fail"],
    ),
    fault::<WritersReadersOthers, SupersededCount>(
        "failure_of_what_was_superseded",
        "B10",
        "derived: a callback on each fence that was ever added",
        "a fence that was superseded while it was pending, and fails before it is freed, is told",
        &["failures::b10_what_was_superseded_while_pending_counts_no_more"],
    ),
    fault::<UsageLevels, FirstFoundOut>(
        "failure_that_was_found_out_first",
        "B10",
        "derived: the first error stays, as in a composition",
        "of two errors the one is told that somebody asked for, or dropped, first",
        &["failures::b10_the_smallest_errno_is_told"],
    ),
];

/// See its fixture.
#[derive(Default)]
pub struct OnlyWhileStored {
    /// What is in the object since the last edit, signalled or not, and counts.
    stored: Mutex<Vec<Entry>>,
}

impl Fault for OnlyWhileStored {
    fn edit(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let new = add.clone();
        object.edit(held, removes, add);
        let left = held_entries(object, held);
        let mut stored = lock(&self.stored);
        stored.retain(|entry| left.contains(entry) && Some(entry) != new.as_ref());
        stored.extend(new);
    }

    fn overwrite(&self, object: &Locked, held: &mut LockProof<'_>) {
        object.overwrite(held);
        lock(&self.stored).clear();
    }

    fn failure(&self, _: &Locked, _: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        smallest(&lock(&self.stored), usages)
    }
}

fn smallest(entries: &[Entry], usages: UsageSet) -> Option<FenceError> {
    let mut failures = Failures::default();
    for entry in entries {
        failures.note(entry.usage, entry.fence.status());
    }
    failures.smallest(usages)
}

/// The smaller of the two.
fn smaller(one: Option<FenceError>, other: Option<FenceError>) -> Option<FenceError> {
    one.into_iter()
        .chain(other)
        .min_by_key(|error| error.errno())
}

/// See its fixture.
#[derive(Default)]
pub struct ForgetsOnGrowth;

impl Fault for ForgetsOnGrowth {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        room: Budget,
    ) -> Result<(), ReserveError> {
        if room.adds > 64 {
            object.overwrite(held);
        }
        object.reserve(held, room)
    }
}

/// See its fixture.
#[derive(Default)]
pub struct NeverOverwritten;

impl Fault for NeverOverwritten {
    fn overwrite(&self, _: &Locked, _: &mut LockProof<'_>) {}
}

/// See its fixture.
#[derive(Default)]
pub struct OverwrittenFailLater {
    overwritten: Mutex<Vec<Entry>>,
}

impl Fault for OverwrittenFailLater {
    fn overwrite(&self, object: &Locked, held: &mut LockProof<'_>) {
        object.overwrite(held);
        *lock(&self.overwritten) = held_entries(object, held);
    }

    fn failure(
        &self,
        object: &Locked,
        held: &LockProof<'_>,
        usages: UsageSet,
    ) -> Option<FenceError> {
        let failed_later = smallest(&lock(&self.overwritten), usages);
        smaller(object.failure(held, usages), failed_later)
    }
}

/// See its fixture.
#[derive(Default)]
pub struct SupersededCount {
    superseded: Mutex<Vec<Entry>>,
}

impl Fault for SupersededCount {
    fn edit(
        &self,
        object: &Locked,
        held: &mut LockProof<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let mut before = held_entries(object, held);
        object.edit(held, removes, add);
        let left = held_entries(object, held);
        before.retain(|entry| !left.contains(entry));
        *lock(&self.superseded) = before;
    }

    fn overwrite(&self, object: &Locked, held: &mut LockProof<'_>) {
        object.overwrite(held);
        lock(&self.superseded).clear();
    }

    fn failure(
        &self,
        object: &Locked,
        held: &LockProof<'_>,
        usages: UsageSet,
    ) -> Option<FenceError> {
        smaller(
            object.failure(held, usages),
            smallest(&lock(&self.superseded), usages),
        )
    }
}

/// See its fixture.
#[derive(Default)]
pub struct FirstFoundOut {
    told: Mutex<HashMap<u8, FenceError>>,
}

impl FirstFoundOut {
    fn find_out(
        &self,
        object: &Locked,
        held: &LockProof<'_>,
        usages: UsageSet,
    ) -> Option<FenceError> {
        let found = object.failure(held, usages)?;
        Some(*lock(&self.told).entry(usages.bits()).or_insert(found))
    }
}

impl Fault for FirstFoundOut {
    fn unreserve(&self, object: &Locked, held: &mut LockProof<'_>) {
        for bits in 1..=UsageSet::ALL.bits() {
            let usages: Vec<_> = UsageSet::ALL
                .iter()
                .filter(|&u| bits & 1 << u as u8 != 0)
                .collect();
            self.find_out(object, held, UsageSet::of(&usages));
        }
        object.unreserve(held);
    }

    fn overwrite(&self, object: &Locked, held: &mut LockProof<'_>) {
        object.overwrite(held);
        lock(&self.told).clear();
    }

    fn failure(
        &self,
        object: &Locked,
        held: &LockProof<'_>,
        usages: UsageSet,
    ) -> Option<FenceError> {
        self.find_out(object, held, usages)
    }
}
