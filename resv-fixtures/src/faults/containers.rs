//! The proposals of August 2019: three containers of a fence array each, read under RCU. Never
//! merged.

use crate::fault::{Fault, Faulty, Gap, Inner, Removes, lock, now, readers, writers};
use crate::fixture::{Fixture, fault, faulty};
use crate::step::{edit, held, is_idle_with_gap, publish, publishes_at_once, reserve, snapshot};
use resv_core::{
    AnyBackend, Backend, Budget, Entry, Key, Locked, ReserveError, Usage, UsageSet,
    WritersReadersOthers,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

type Semantics = WritersReadersOthers;

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<Semantics>(
        "array_recycled_without_a_grace_period",
        "H-03",
        "RFC 7/10; Daniel Vetter, 20190821160454.GN11147@phenom.ffwll.local",
        "the next set is built in the memory of the one before, in the midst of its readers",
        &["contract::b1_a_read_is_of_one_instant"],
        faulty::<RecyclesWithoutGrace>,
    ),
    fault::<Semantics>(
        "recycled_while_a_reader_has_it",
        "H-04",
        "the answer to H-03: c1ff88ef-0e49-fd7a-6317-de432a04ddf2@amd.com; derived",
        "a reader's reference does not keep the array from being built anew: its view changes",
        &["contract::b6_a_snapshot_never_changes"],
        faulty::<SnapshotTakenLate>,
    ),
    fault::<Semantics>(
        "exclusive_read_before_shared",
        "H-05",
        "v2 9/9, derived: the writer stores exclusive first, then shared",
        "a test reads the exclusive container first, so it can miss both",
        &["contract::b2_idle_was_true"],
        || {
            is_idle_with_gap(|gap, object, usages| {
                let writers_are_idle = object.is_idle(usages.intersection(writers()));
                gap.wait(1);
                let readers_are_idle = object.is_idle(usages.intersection(readers()));
                writers_are_idle && readers_are_idle
            })
        },
    ),
    fault::<Semantics>(
        "prune_of_nothing",
        "H-07",
        "RFC; Chris Wilson, 156640446349.20466.1523574549056596842@skylake-alporthouse-com",
        "pruning an empty container uses the array that is not there",
        &["hazards::h_07_pruning"],
        faulty::<PruneOfNothing>,
    ),
    fault::<Semantics>(
        "prune_drops_what_is_pending",
        "H-07",
        "RFC, the test for \"all have signalled\" reversed; derived",
        "pruning drops the whole array if any of it has signalled",
        &[
            "hazards::h_07_pruning",
            "contract::b9_nothing_is_lost_in_growing_and_shrinking",
        ],
        faulty::<PrunesPending>,
    ),
    fault::<Semantics>(
        "probe_by_address",
        "H-09",
        "proposed by Chris Wilson, 156640106246.20466.15153611256655352471; left open",
        "a test without a reference compares the array's address before and after, and the address \
         has come round again",
        &["contract::b2_idle_was_true"],
        faulty::<ProbeByAddress>,
    ),
    fault::<Semantics>(
        "array_tested_once",
        "B2",
        "derived: what an immutable array invites to",
        "\"idle\" is told from an array that is not the current one any more",
        &["contract::b2_idle_was_true"],
        || {
            is_idle_with_gap(|gap, object, usages| {
                let array = now(object);
                gap.wait(2);
                !array
                    .iter()
                    .any(|e| usages.contains(e.usage) && !e.fence.is_signaled())
            })
        },
    ),
    fault::<Semantics>(
        "writer_in_two_containers",
        "H-10",
        "RFC 7/10 to 10/10; Daniel Vetter's review",
        "the writer is kept among the readers, too",
        &["hazards::h_10_a_superseded_writer_is_gone_everywhere"],
        || {
            snapshot(|object| {
                let mut all = object.snapshot()?;
                let writers: Vec<Entry> = all
                    .iter()
                    .filter(|e| e.usage == Usage::Write)
                    .cloned()
                    .collect();
                all.extend(writers.into_iter().map(|entry| Entry {
                    usage: Usage::Read,
                    ..entry
                }));
                Ok(all)
            })
        },
    ),
    fault::<Semantics>(
        "signalled_array_is_not_seen",
        "H-12",
        "Chris Wilson, 156665294650.4019.8311918110818842888@skylake-alporthouse-com; v2 1/9",
        "an array counts its children down only when a wait for it has begun, so a test \
         alone never finds it done",
        &["fences::f_02_a_callback_may_edit_the_object"],
        faulty::<SignalledArrayIsNotSeen>,
    ),
    fault::<Semantics>(
        "empty_array_is_published",
        "H-13",
        "Chris Wilson, 156690626744.15406.4672497135424922383@skylake-alporthouse-com",
        "committing nothing publishes an array of no fences, which counts as signalled for ever",
        &["hazards::h_13_publishing_nothing"],
        faulty::<EmptyArrayIsPublished>,
    ),
    fault::<Semantics>(
        "unlock_commits_readers_only",
        "H-26",
        "RFC, derived",
        "what was added to the others stays staged for ever",
        &[
            "hazards::h_26_unlocking_publishes_every_category",
            "examples::e09_a_page_table_update",
        ],
        || {
            publish(|object| {
                let others = |entry: &Entry| entry.usage == Usage::Bookkeep;
                if object.entries().iter().any(others) && object.reserve(Budget::ONE).is_ok() {
                    object.edit(|old| old.usage == Usage::Bookkeep, None);
                }
                object.publish();
            })
        },
    ),
    fault::<Semantics>(
        "copy_files_others_under_readers",
        "H-27",
        "RFC 10/10, derived",
        "a copy writes the source's others into the destination's readers",
        &[
            "hazards::h_27_a_copy_keeps_categories_and_leaks_nothing",
            "examples::e15_a_copy",
        ],
        || {
            copy(|entry| {
                entry.usage = Usage::Read;
            })
        },
    ),
    fault::<Semantics>(
        "copy_takes_a_reference_too_many",
        "H-27",
        "RFC, derived",
        "every fence that is copied is referenced once more, for ever",
        &["hazards::h_27_a_copy_keeps_categories_and_leaks_nothing"],
        || copy(|entry| std::mem::forget(entry.clone())),
    ),
    fault::<Semantics>(
        "set_discards_staged_adds",
        "H-21, E12",
        "RFC 7/10",
        "a writer that is set throws away adds of other categories that are not published yet",
        &["examples::e12_a_writer_after_a_staged_add"],
        || {
            edit(|object, removes, add| {
                let published: Vec<Key> = now(object).iter().map(Entry::key).collect();
                let is_set = add.as_ref().is_some_and(|add| add.usage == Usage::Write);
                let mut removes = |old: Key| removes(old) || (is_set && !published.contains(&old));
                object.edit(&mut removes, add);
            })
        },
    ),
    fault::<Semantics>(
        "set_publishes_at_once",
        "H-21",
        "RFC 7/10",
        "a writer is published in the middle of the transaction that it is part of",
        &["hazards::h_21_staged_adds_are_visible_when_the_semantics_says"],
        || publishes_at_once(|add| add.is_some_and(|add| add.usage == Usage::Write)),
    ),
    fault::<Semantics>(
        "holder_does_not_read_its_own_adds",
        "H-21",
        "RFC 7/10: deref gives the published array",
        "the holder of the lock is shown the object as it was before its edits",
        &[
            "contract::b4_edits_become_visible_together",
            "selftests::t3_for_each_with_the_lock",
        ],
        || held(|object, _| now(object)),
    ),
    fault::<Semantics>(
        "reserve_forgets_staged",
        "B4, E13",
        "RFC 7/10 as it might have been: the base of a new array is the published one; derived",
        "a second reservation in a transaction drops what was added after the first",
        &["contract::b4_a_second_reservation_keeps_what_was_added"],
        || {
            reserve(|object, room| {
                object.reserve_more(room, 1)?;
                let published: Vec<Key> = now(object).iter().map(Entry::key).collect();
                let is_staged = |entry: &Entry| !published.contains(&entry.key());
                if object.entries().iter().any(is_staged) {
                    object.edit(|old| !published.contains(&old), None);
                }
                Ok(())
            })
        },
    ),
];

/// H-03: the array is `cells`, read one by one; the current set is always built in it.
#[derive(Default)]
pub struct RecyclesWithoutGrace {
    cells: Mutex<Vec<Entry>>,
    gap: Gap,
}

impl RecyclesWithoutGrace {
    fn read(&self, usages: UsageSet) -> Vec<Entry> {
        let len = lock(&self.cells).len();
        let mut read = Vec::new();
        for at in 0..len {
            if at == 1 {
                self.gap.wait(1);
            }
            let cell = lock(&self.cells).get(at).cloned();
            read.extend(cell.filter(|e| usages.contains(e.usage) && !e.fence.is_signaled()));
        }
        read
    }
}

impl Fault for RecyclesWithoutGrace {
    fn published(&self, object: &Locked) {
        // The old references go with the lock released.
        let _old = std::mem::replace(&mut *lock(&self.cells), now(object));
        self.gap.note_publish();
    }

    fn snapshot(&self, _: &Locked) -> Result<Vec<Entry>, ReserveError> {
        Ok(self.read(UsageSet::ALL))
    }

    fn visit(&self, _: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        self.read(usages).iter().for_each(|entry| show(entry.key()));
    }
}

/// H-04.
#[derive(Default)]
pub struct SnapshotTakenLate;

impl Fault for SnapshotTakenLate {
    fn snapshot_is_late(&self) -> bool {
        true
    }
}

/// H-07: the unlock prunes, and the panic comes with the next question, as it must not come out of a
/// destructor.
#[derive(Default)]
pub struct PruneOfNothing {
    is_null_used: AtomicBool,
}

impl Fault for PruneOfNothing {
    fn unreserve(&self, object: &mut Inner<'_, '_>) {
        object.unreserve();
        let is_null = now(object).is_empty();
        self.is_null_used.fetch_or(is_null, Ordering::Relaxed);
    }

    fn snapshot(&self, object: &Locked) -> Result<Vec<Entry>, ReserveError> {
        let is_null_used = self.is_null_used.load(Ordering::Relaxed);
        assert!(!is_null_used, "there was no array to prune");
        object.snapshot()
    }
}

/// H-07.
#[derive(Default)]
pub struct PrunesPending {
    added: AtomicUsize,
}

impl Fault for PrunesPending {
    fn reserve(&self, object: &mut Inner<'_, '_>, room: Budget) -> Result<(), ReserveError> {
        object.reserve(room)?;
        let pending = now(object).len();
        if pending < self.added.load(Ordering::Relaxed) {
            object.reserve_more(room, 1)?;
            object.edit(|_| true, None);
            object.publish();
            self.added.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn published(&self, object: &Locked) {
        self.added.store(now(object).len(), Ordering::Relaxed);
    }
}

/// H-09: two arrays take turns, so an address says nothing about what is in it now.
#[derive(Default)]
pub struct ProbeByAddress {
    published: AtomicUsize,
    gap: Gap,
}

impl ProbeByAddress {
    fn address(&self) -> usize {
        self.published.load(Ordering::Acquire) % 2
    }
}

impl Fault for ProbeByAddress {
    fn published(&self, _: &Locked) {
        self.published.fetch_add(1, Ordering::Release);
        self.gap.note_publish();
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        loop {
            let address = self.address();
            let array = now(object);
            self.gap.wait(2);
            let idle = !array
                .iter()
                .any(|e| usages.contains(e.usage) && !e.fence.is_signaled());
            if self.address() == address {
                return idle;
            }
        }
    }
}

/// H-12.
pub struct SignalledArrayIsNotSeen {
    is_counting: AtomicBool,
    is_empty: AtomicBool,
}

impl Default for SignalledArrayIsNotSeen {
    fn default() -> Self {
        SignalledArrayIsNotSeen {
            is_counting: AtomicBool::new(false),
            is_empty: AtomicBool::new(true),
        }
    }
}

impl Fault for SignalledArrayIsNotSeen {
    fn published(&self, object: &Locked) {
        self.is_empty
            .store(now(object).is_empty(), Ordering::Relaxed);
        self.is_counting.store(false, Ordering::Relaxed);
    }

    fn snapshot(&self, object: &Locked) -> Result<Vec<Entry>, ReserveError> {
        self.is_counting.store(true, Ordering::Relaxed);
        object.snapshot()
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        let counted =
            self.is_counting.load(Ordering::Relaxed) || self.is_empty.load(Ordering::Relaxed);
        counted && object.is_idle(usages)
    }
}

/// H-13.
#[derive(Default)]
pub struct EmptyArrayIsPublished {
    edited: AtomicBool,
}

impl Fault for EmptyArrayIsPublished {
    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        self.edited.store(true, Ordering::Relaxed);
        object.edit(removes, add);
    }

    fn publish(&self, object: &mut Inner<'_, '_>) {
        if !self.edited.load(Ordering::Relaxed) && object.reserve(Budget::ONE).is_ok() {
            object.edit(|_| true, None);
        }
        object.publish();
    }

    fn unreserve(&self, object: &mut Inner<'_, '_>) {
        object.unreserve();
        // Unlocking commits once more, which is harmless after a commit.
        self.edited.store(true, Ordering::Relaxed);
    }

    fn reserve(&self, object: &mut Inner<'_, '_>, room: Budget) -> Result<(), ReserveError> {
        self.edited.store(
            room.adds > 0 && self.edited.load(Ordering::Relaxed),
            Ordering::Relaxed,
        );
        object.reserve(room)
    }
}

/// H-27: `f` has a look at each entry that a copy adds.
fn copy(f: fn(&mut Entry)) -> AnyBackend {
    struct Copied {
        is_copy: AtomicBool,
        f: fn(&mut Entry),
    }
    impl Fault for Copied {
        fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, mut add: Option<Entry>) {
            match &mut add {
                // A copy begins by emptying the destination.
                None => self.is_copy.store(true, Ordering::Relaxed),
                Some(entry) if self.is_copy.load(Ordering::Relaxed) => (self.f)(entry),
                Some(_) => {}
            }
            object.edit(removes, add);
        }

        fn publish(&self, object: &mut Inner<'_, '_>) {
            self.is_copy.store(false, Ordering::Relaxed);
            object.publish();
        }
    }
    let is_copy = AtomicBool::new(false);
    AnyBackend::new(Faulty::new(Copied { is_copy, f }))
}
