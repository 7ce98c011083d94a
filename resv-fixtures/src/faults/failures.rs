//! Whether a buffer's content is broken (B10), told from what happens to be stored.

use crate::fault::{Fault, Inner, Removes, lock};
use crate::fixture::{Fixture, fault, faulty};
use crate::step::reserve;
use resv_core::{
    Backend, Entry, ExclusiveShared, Failures, FenceError, LockProof, Locked, UsageLevels,
    UsageSet, WritersReadersOthers,
};
use std::collections::HashMap;
use std::sync::Mutex;

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<UsageLevels>(
        "failure_only_while_stored",
        "B10",
        "derived: the errors of what is in the object",
        "the failure is that of entries in the object, and the next edit drops what has signalled",
        &[
            "failures::b10_a_failure_is_told_until_a_write_comes",
            "answers::what_is_stored_is_in_no_answer",
            "random::any_script_is_answered_like_the_model",
        ],
        faulty::<OnlyWhileStored>,
    ),
    fault::<ExclusiveShared>(
        "failure_forgotten_on_growth",
        "B10",
        "derived: the note stays behind in the table before",
        "an object that gets more room forgets the failures that it had noted",
        &["failures::b10_a_failure_is_told_until_a_write_comes"],
        || {
            reserve(|object, room| {
                if room.adds > 64 {
                    object.overwrite();
                }
                object.reserve(room)
            })
        },
    ),
    fault::<UsageLevels>(
        "failure_outlives_a_write",
        "B10",
        "derived: a note that nobody clears",
        "a failure is told for ever, though the content was written again",
        &[
            "failures::b10_a_failure_is_told_until_a_write_comes",
            "failures::b10_a_copy_begins_anew",
        ],
        faulty::<NeverOverwritten>,
    ),
    fault::<UsageLevels>(
        "failure_of_what_was_overwritten",
        "B10",
        "derived: a write that clears the note, and nothing else",
        "a fence that was overwritten while it was pending and fails later is told",
        &["failures::b10_what_was_overwritten_may_fail"],
        faulty::<OverwrittenFailLater>,
    ),
    fault::<WritersReadersOthers>(
        "failure_of_what_was_superseded",
        "B10",
        "derived: a callback on each fence that was ever added",
        "a fence that was superseded while it was pending, and fails before it is freed, is told",
        &["failures::b10_what_was_superseded_while_pending_counts_no_more"],
        faulty::<SupersededCount>,
    ),
    fault::<UsageLevels>(
        "failure_that_was_found_out_first",
        "B10",
        "derived: the first error stays, as in a composition",
        "of two errors the one is told that was asked for, or dropped, first",
        &["failures::b10_the_smallest_errno_is_told"],
        faulty::<FirstFoundOut>,
    ),
];

/// See its fixture.
#[derive(Default)]
pub struct OnlyWhileStored {
    /// What is in the object since the last edit, signalled or not, and counts.
    stored: Mutex<Vec<Entry>>,
}

impl Fault for OnlyWhileStored {
    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        let new = add.clone();
        object.edit(removes, add);
        let left = object.entries();
        let mut stored = lock(&self.stored);
        stored.retain(|entry| left.contains(entry) && Some(entry) != new.as_ref());
        stored.extend(new);
    }

    fn overwrite(&self, object: &mut Inner<'_, '_>) {
        object.overwrite();
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
pub struct NeverOverwritten;

impl Fault for NeverOverwritten {
    fn overwrite(&self, _: &mut Inner<'_, '_>) {}
}

/// See its fixture.
#[derive(Default)]
pub struct OverwrittenFailLater {
    overwritten: Mutex<Vec<Entry>>,
}

impl Fault for OverwrittenFailLater {
    fn overwrite(&self, object: &mut Inner<'_, '_>) {
        object.overwrite();
        *lock(&self.overwritten) = object.entries();
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
    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        let mut before = object.entries();
        object.edit(removes, add);
        let left = object.entries();
        before.retain(|entry| !left.contains(entry));
        *lock(&self.superseded) = before;
    }

    fn overwrite(&self, object: &mut Inner<'_, '_>) {
        object.overwrite();
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
    fn find_out(&self, usages: UsageSet, found: Option<FenceError>) -> Option<FenceError> {
        Some(*lock(&self.told).entry(usages.bits()).or_insert(found?))
    }
}

impl Fault for FirstFoundOut {
    fn unreserve(&self, object: &mut Inner<'_, '_>) {
        for bits in 1..=UsageSet::ALL.bits() {
            let usages: Vec<_> = UsageSet::ALL
                .iter()
                .filter(|&u| bits & 1 << u as u8 != 0)
                .collect();
            let usages = UsageSet::of(&usages);
            self.find_out(usages, object.failure(usages));
        }
        object.unreserve();
    }

    fn overwrite(&self, object: &mut Inner<'_, '_>) {
        object.overwrite();
        lock(&self.told).clear();
    }

    fn failure(
        &self,
        object: &Locked,
        held: &LockProof<'_>,
        usages: UsageSet,
    ) -> Option<FenceError> {
        self.find_out(usages, object.failure(held, usages))
    }
}
