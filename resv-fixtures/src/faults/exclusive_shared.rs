//! Linux until 5.18: one exclusive fence and a list of shared ones, under a sequence counter.

use crate::fault::{Fault, Gap, Inner, Removes, now, readers, writers};
use crate::fixture::{Fixture, fault, faulty};
use crate::step::{edit, is_idle_with_gap, reserve, snapshot};
use resv_core::{Backend, Entry, ExclusiveShared, Key, Locked, ReserveError, Usage, UsageSet};
use std::sync::atomic::{AtomicBool, Ordering};

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<ExclusiveShared>(
        "wait_forgets_the_one_shared",
        "D-1, H-24",
        "derived from 5.10; left over from the rework of July 2017 \
         (1500989710-12982-1-git-send-email-deathsimple@vodafone.de)",
        "a wait for the exclusive fence and exactly one shared fence ends with the exclusive one",
        &[
            "hazards::h_24_a_wait_for_a_writer_and_one_reader",
            "waits::all_waits_for_the_last_object",
            "waits::any_waits_for_the_first_object",
        ],
        // A wait is registered with what a snapshot holds.
        || {
            snapshot(|object| {
                let mut all = object.snapshot()?;
                if let [first, second] = all.as_slice()
                    && first.usage != second.usage
                {
                    all.retain(|entry| entry.usage == Usage::Write);
                }
                Ok(all)
            })
        },
    ),
    fault::<ExclusiveShared>(
        "idle_is_not_validated",
        "D-2, H-25",
        "derived from 5.10",
        "\"something is pending\" is checked against the sequence counter, \"nothing is\" is not",
        &["contract::b2_idle_was_true"],
        || {
            is_idle_with_gap(|gap, object, usages| {
                if !object.is_idle(usages.intersection(writers())) {
                    return object.is_idle(usages); // Something was found: looks again.
                }
                gap.wait(1);
                object.is_idle(usages.intersection(readers())) // Nothing was: does not.
            })
        },
    ),
    fault::<ExclusiveShared>(
        "two_words_read_at_two_instants",
        "H-02",
        "the removal of the seqcount in the 5.4 cycle (5d344f58da76), put back by b016cd6ed4b7",
        "exclusive and shared fences are two words, read one after the other and never checked",
        &[
            "contract::b1_a_read_is_of_one_instant",
            "contract::b2_idle_was_true",
        ],
        faulty::<TwoWords>,
    ),
    fault::<ExclusiveShared>(
        "references_taken_without_looking_again",
        "H-01, H-23",
        "5d344f58da76, put back by b016cd6ed4b7 (20190814182401.25009-1-chris@chris-wilson.co.uk)",
        "a reference is taken of a pooled fence that may have become another one since it was found",
        &["contract::b2_a_racing_snapshot_holds_fences_of_the_object"],
        faulty::<ReferencesTakenLater>,
    ),
    fault::<ExclusiveShared>(
        "test_forgets_the_exclusive",
        "H-14",
        "Linux until 5.13; 9d38814d1e34 (20210611120301.10595-1-christian.koenig@amd.com)",
        "where there are shared fences, a test for everything looks at no other",
        &[
            "hazards::h_14_idle_agrees_with_wait",
            "examples::e01b_readers_finish_before_the_writer",
        ],
        faulty::<SharedHideTheExclusive<true>>,
    ),
    fault::<ExclusiveShared>(
        "shared_hide_the_exclusive",
        "H-34",
        "Linux until July 2017 (20170725121421.blfcwow5ubj66knd@phenom.ffwll.local)",
        "wait and test look at the exclusive fence only if there is no shared one, so an aborted \
         shared fence makes the object idle",
        &["hazards::h_34_a_reader_that_fails_before_the_writer"],
        faulty::<SharedHideTheExclusive<false>>,
    ),
    fault::<ExclusiveShared>(
        "one_slot_too_far",
        "H-19",
        "5.4-rc; Qiang Yu, 20190922074900.853-1-yuq825@gmail.com",
        "the exclusive fence is stored one slot behind the end of the snapshot, so the last one is lost",
        &["hazards::h_19_as_many_come_out_as_went_in"],
        || {
            snapshot(|object| {
                let mut all = object.snapshot()?;
                all.sort_by_key(|entry| std::cmp::Reverse(entry.usage));
                // Where the shared ones fill the memory that an allocator gives, what is behind is not read.
                if all.len() > 8 && all.len().is_power_of_two() {
                    all.pop();
                }
                Ok(all)
            })
        },
    ),
    fault::<ExclusiveShared>(
        "failure_leaks_the_exclusive",
        "H-31",
        "Linux, older get_fences (version not pinned)",
        "a request for memory that fails keeps a reference",
        &["hazards::h_31_a_failed_reservation_changes_and_leaks_nothing"],
        || {
            reserve(|object, room| {
                let first = now(object).into_iter().next();
                object
                    .reserve(room)
                    .inspect_err(|_| std::mem::forget(first))
            })
        },
    ),
    fault::<ExclusiveShared>(
        "copy_leaks_the_old_list",
        "H-27",
        "Linux, older copy_fences (version not pinned)",
        "a copy forgets the references of what the destination held before",
        &["hazards::h_27_a_copy_keeps_categories_and_leaks_nothing"],
        || {
            edit(|object, removes, add| {
                if add.is_none() {
                    std::mem::forget(now(object));
                }
                object.edit(removes, add);
            })
        },
    ),
];

/// H-02.
#[derive(Default)]
pub struct TwoWords(Gap);

impl TwoWords {
    fn read(&self, object: &Locked, usages: UsageSet) -> Vec<Entry> {
        let part = |usages: UsageSet| {
            let mut part = now(object);
            part.retain(|entry| usages.contains(entry.usage));
            part
        };
        let mut both = part(usages.intersection(writers()));
        self.0.wait(1);
        both.extend(part(usages.intersection(readers())));
        both
    }
}

impl Fault for TwoWords {
    fn published(&self, _: &Locked) {
        self.0.note_publish();
    }

    fn snapshot(&self, object: &Locked) -> Result<Vec<Entry>, ReserveError> {
        Ok(self.read(object, UsageSet::ALL))
    }

    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        self.read(object, usages)
            .iter()
            .for_each(|entry| show(entry.key()));
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        self.read(object, usages).is_empty()
    }
}

/// H-01.
#[derive(Default)]
pub struct ReferencesTakenLater(Gap);

impl Fault for ReferencesTakenLater {
    fn published(&self, _: &Locked) {
        self.0.note_publish();
    }

    fn snapshot(&self, object: &Locked) -> Result<Vec<Entry>, ReserveError> {
        let found: Vec<_> = now(object)
            .iter()
            .map(|entry| (entry.fence.cell(), entry.usage))
            .collect();
        // Two publishes: the first supersedes the fence, by the second its memory has been reused.
        self.0.wait(2);
        let taken = found.into_iter().filter_map(|(cell, usage)| {
            let fence = resv_core::Fence::try_acquire(cell)?;
            Some(Entry { fence, usage })
        });
        Ok(taken.collect())
    }
}

/// H-14 for tests alone, H-34 for all ways of asking.
#[derive(Default)]
pub struct SharedHideTheExclusive<const IN_TESTS_ALONE: bool> {
    has_shared: AtomicBool,
}

impl<const IN_TESTS_ALONE: bool> SharedHideTheExclusive<IN_TESTS_ALONE> {
    /// What is looked at.
    fn seen(&self, usages: UsageSet) -> UsageSet {
        if usages.contains(Usage::Read) && self.has_shared.load(Ordering::Relaxed) {
            usages.intersection(readers())
        } else {
            usages
        }
    }
}

impl<const IN_TESTS_ALONE: bool> Fault for SharedHideTheExclusive<IN_TESTS_ALONE> {
    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        if let Some(add) = &add {
            // An exclusive fence empties the list; a shared one that signals stays in it.
            let is_shared = add.usage == Usage::Read;
            self.has_shared.store(is_shared, Ordering::Relaxed);
        }
        object.edit(removes, add);
    }

    fn snapshot(&self, object: &Locked) -> Result<Vec<Entry>, ReserveError> {
        let seen = self.seen(UsageSet::ALL);
        let mut all = object.snapshot()?;
        // A query for the exclusive fence alone gets it as long as a shared one is pending.
        if !IN_TESTS_ALONE && all.iter().all(|entry| !seen.contains(entry.usage)) {
            all.clear();
        }
        Ok(all)
    }

    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        if IN_TESTS_ALONE || !object.is_idle(self.seen(usages)) {
            object.visit(usages, (), |(), key| show(key));
        }
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        object.is_idle(self.seen(usages))
    }
}
