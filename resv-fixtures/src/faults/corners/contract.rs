//! Corners of the contract of a back end, of long runs, and of several threads and objects.

use crate::fault::{Fault, Inner, Removes, lock, now};
use crate::fixture::{Fixture, fault, faulty};
use crate::step::{edit, publish, reserve, visit};
use resv_core::{
    Backend, Budget, Entry, Key, Locked, Usage, UsageLevels, UsageSet, WritersReadersOthers,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<UsageLevels>(
        "entries_are_offered_twice",
        "B9",
        "mutant",
        "an edit asks its predicate twice about each entry",
        &["contract::b9_an_edit_removes_what_its_predicate_names"],
        || {
            edit(|object, removes, add| {
                object.edit(|old| removes(old) | removes(old), add);
            })
        },
    ),
    fault::<WritersReadersOthers>(
        "reserving_nothing_undoes",
        "B3",
        "mutant",
        "a reservation of no slots takes back what was added before it",
        &["contract::b3_reserving_nothing"],
        || {
            reserve(|object, room| {
                object.reserve(room)?;
                let published = now(object);
                if room.adds == 0 && object.entries().len() > published.len() {
                    let published: Vec<Key> = published.iter().map(Entry::key).collect();
                    object.edit(|old| !published.contains(&old), None);
                }
                Ok(())
            })
        },
    ),
    fault::<UsageLevels>(
        "test_sees_staged_edits",
        "B4",
        "mutant",
        "a test looks at edits that are not published",
        &["contract::b4_edits_become_visible_together"],
        faulty::<TestSeesStaged>,
    ),
    fault::<WritersReadersOthers>(
        "only_the_first_publish_counts",
        "B4",
        "mutant",
        "what is added after an explicit publish is not published by the unlock",
        &["contract::b4_an_explicit_publish_shows_what_was_added"],
        faulty::<PublishesOnce>,
    ),
    fault::<WritersReadersOthers>(
        "panic_loses_others",
        "B4",
        "mutant",
        "what a panicking holder added to the others is lost",
        &[
            "contract::b4_a_panic_publishes_what_was_added",
            "transactions::b4_what_was_added_before_a_failure_stays",
            "transactions::b4_the_guards_of_a_slice_publish_what_was_added",
        ],
        || publish(|object| panic_loses(object, Usage::Bookkeep)),
    ),
    fault::<WritersReadersOthers>(
        "panic_loses_readers",
        "B4",
        "mutant",
        "what a panicking holder added to the readers is lost",
        &["contract::b3_adding_beyond_the_slots_panics_and_harms_nothing"],
        || publish(|object| panic_loses(object, Usage::Read)),
    ),
    fault::<UsageLevels>(
        "visit_within_a_visit_hangs",
        "B5",
        "mutant",
        "a visit that is begun inside another waits for it",
        &["contract::b5_a_closure_of_a_read_may_do_anything"],
        || {
            let visitor = Mutex::new(None);
            visit(move |object, usages, show| {
                let me = Some(std::thread::current().id());
                let before = std::mem::replace(&mut *lock(&visitor), me);
                assert_ne!(before, me, "this thread waits for itself");
                object.visit(usages, (), |(), key| show(key));
                *lock(&visitor) = None;
            })
        },
    ),
    fault::<UsageLevels>(
        "leaks_after_a_thousand_edits",
        "B8",
        "mutant",
        "from the thousandth edit on references are not given back",
        &["contract::b8_what_is_superseded_is_freed"],
        || {
            let edits = AtomicUsize::new(0);
            edit(move |object, removes, add| {
                if edits.fetch_add(1, Ordering::Relaxed) > 1000 {
                    std::mem::forget(add.clone());
                }
                object.edit(removes, add);
            })
        },
    ),
    fault::<UsageLevels>(
        "two_hundredth_entry_is_lost",
        "B9",
        "mutant",
        "an object never has more than two hundred entries",
        &["contract::b9_nothing_is_lost_in_growing_and_shrinking"],
        || {
            reserve(|object, room| {
                if now(object).len() == 199 {
                    object.lose_first(room)?;
                }
                object.reserve(room)
            })
        },
    ),
    fault::<UsageLevels>(
        "other_thread_loses_an_entry",
        "L-01",
        "mutant",
        "the first edit of another thread begins with an entry too few",
        &["contract::b9_two_writers_lose_nothing"],
        || {
            let editor = Mutex::new(None);
            reserve(move |object, room| {
                let me = Some(std::thread::current().id());
                let before = std::mem::replace(&mut *lock(&editor), me);
                if before.is_some() && before != me {
                    object.lose_first(room)?;
                }
                object.reserve(room)
            })
        },
    ),
    fault::<UsageLevels>(
        "replace_keeps_moves",
        "B9",
        "mutant",
        "a replacement under a weaker usage leaves kernel entries in place",
        &["random::any_script_is_answered_like_the_model"],
        || {
            edit(|object, removes, add| {
                let weaker = add.as_ref().is_some_and(|add| add.usage != Usage::Kernel);
                let mut removes =
                    |old: Key| removes(old) && !(weaker && old.usage == Usage::Kernel);
                object.edit(&mut removes, add);
            })
        },
    ),
    fault::<UsageLevels>(
        "signal_is_seen_in_one_object",
        "F-01",
        "mutant",
        "of several objects that hold a fence only the first learns that it has signalled",
        &["fences::f_01_a_signal_is_seen_in_every_object"],
        faulty::<SignalIsSeenInOneObject>,
    ),
];

/// Publishes, and loses what was added under `lost` if this is a panic.
fn panic_loses(object: &mut Inner<'_, '_>, lost: Usage) {
    if std::thread::panicking() && object.reserve(Budget::ONE).is_ok() {
        object.edit(|old| old.usage == lost, None);
    }
    object.publish();
}

/// See its fixture.
#[derive(Default)]
pub struct TestSeesStaged {
    staged: Mutex<Vec<Entry>>,
}

impl Fault for TestSeesStaged {
    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        object.edit(removes, add);
        let _old = std::mem::replace(&mut *lock(&self.staged), object.entries());
    }

    fn published(&self, _: &Locked) {
        let _old = std::mem::take(&mut *lock(&self.staged));
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        let staged = lock(&self.staged).clone();
        let is_pending = |e: &Entry| usages.contains(e.usage) && !e.fence.is_signaled();
        object.is_idle(usages) && !staged.iter().any(is_pending)
    }
}

/// See its fixture.
#[derive(Default)]
pub struct PublishesOnce {
    is_done: AtomicBool,
}

impl Fault for PublishesOnce {
    fn publish(&self, object: &mut Inner<'_, '_>) {
        if object.entries() == now(object) || !self.is_done.swap(true, Ordering::Relaxed) {
            object.publish();
        }
    }

    fn unreserve(&self, object: &mut Inner<'_, '_>) {
        self.is_done.store(false, Ordering::Relaxed);
        object.unreserve();
    }
}

/// Which object a fence was added to first, by address.
static FIRST: Mutex<Vec<(Key, usize)>> = Mutex::new(Vec::new());

/// See its fixture.
#[derive(Default)]
pub struct SignalIsSeenInOneObject {
    published: Mutex<Vec<Entry>>,
}

impl SignalIsSeenInOneObject {
    fn same(a: &Key, b: &Key) -> bool {
        (a.timeline, a.seqno) == (b.timeline, b.seqno)
    }
}

impl Fault for SignalIsSeenInOneObject {
    fn published(&self, object: &Locked) {
        let entries = now(object);
        let mut first = lock(&FIRST);
        for key in entries.iter().map(Entry::key) {
            if !first.iter().any(|(have, _)| Self::same(have, &key)) {
                first.push((key, std::ptr::from_ref(object).addr()));
            }
        }
        drop(first);
        let _old = std::mem::replace(&mut *lock(&self.published), entries);
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        let is_cached = |entry: &Entry| {
            let first = lock(&FIRST);
            let known = first
                .iter()
                .find(|(have, _)| Self::same(have, &entry.key()));
            known.is_some_and(|(_, at)| *at != std::ptr::from_ref(object).addr())
        };
        let published = lock(&self.published).clone();
        let cached = published
            .iter()
            .filter(|entry| usages.contains(entry.usage));
        object.is_idle(usages) && !cached.into_iter().any(is_cached)
    }

    fn on_drop(&self, object: &Locked) {
        let at = std::ptr::from_ref(object).addr();
        lock(&FIRST).retain(|(_, have)| *have != at);
    }
}
