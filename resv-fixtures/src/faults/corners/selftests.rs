//! Corners into which only one of Linux' own tests looks.

use crate::fault::{Fault, Inner, Removes, held_entries, lock, now};
use crate::fixture::{Fixture, fault, faulty};
use crate::step::{edit, held, is_idle, reserve, visit};
use resv_core::{
    Backend, Budget, Entry, ExclusiveShared, Key, LockProof, Locked, ReserveError, Usage,
    UsageLevels, UsageSet, WritersReadersOthers,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<UsageLevels>(
        "busy_once_locked",
        "B2",
        "mutant",
        "an object at which a holder has looked, and that was never edited, is busy",
        &["selftests::t1_sanitycheck"],
        faulty::<BusyOnceLocked>,
    ),
    fault::<WritersReadersOthers>(
        "holder_sees_wrong_usage",
        "B4",
        "mutant",
        "the holder is shown its unpublished adds under another usage",
        &["selftests::t3_for_each_with_the_lock"],
        || {
            held(|object, held| {
                let published = now(object);
                let mut all = held_entries(object, held);
                for entry in all.iter_mut().filter(|entry| !published.contains(entry)) {
                    entry.usage = Usage::Bookkeep;
                }
                all
            })
        },
    ),
    fault::<UsageLevels>(
        "visit_goes_on_into_appended",
        "B1",
        "mutant",
        "a visit shows what was appended since it began",
        &["selftests::t4_for_each_without_the_lock"],
        || {
            visit(|object, usages, show| {
                let concerns = |entry: &&Entry| usages.contains(entry.usage);
                let list = now(object);
                list.iter()
                    .filter(concerns)
                    .for_each(|entry| show(entry.key()));
                let later = now(object);
                if later.len() > list.len() && later.starts_with(&list) {
                    later[list.len()..]
                        .iter()
                        .filter(concerns)
                        .for_each(|entry| show(entry.key()));
                }
            })
        },
    ),
    fault::<UsageLevels>(
        "lone_move_is_overlooked",
        "B2",
        "mutant",
        "a reader is told idle while nothing but a move is pending",
        &["selftests::usage_inclusion"],
        || {
            is_idle(|object, usages| {
                let is_read = usages == UsageSet::of(&[Usage::Kernel, Usage::Write]);
                let is_lone_move =
                    matches!(now(object).as_slice(), [one] if one.usage == Usage::Kernel);
                (is_read && is_lone_move) || object.is_idle(usages)
            })
        },
    ),
    fault::<ExclusiveShared>(
        "raised_fence_is_lost",
        "B9",
        "mutant",
        "a shared fence that is replaced by itself as exclusive is removed and not added",
        &["selftests::reserve_hands_out_slots"],
        || {
            edit(|object, removes, add| {
                let is_raised = |new: &Entry| {
                    let same = |old: &Entry| old.fence == new.fence && old.usage > new.usage;
                    object.entries().iter().any(same)
                };
                let add = add.filter(|new| !is_raised(new));
                object.edit(removes, add);
            })
        },
    ),
    fault::<UsageLevels>(
        "large_reservation_loses_an_entry",
        "B9",
        "mutant",
        "an entry is lost when many slots are reserved on top of many entries",
        &["selftests::reserve_grows"],
        || {
            reserve(|object, room| {
                if (64..1000).contains(&room.adds) && now(object).len() >= 64 {
                    object.lose_first(room)?;
                }
                object.reserve(room)
            })
        },
    ),
    fault::<UsageLevels>(
        "replace_takes_neighbours",
        "B9",
        "mutant",
        "a replacement of several entries takes those of other timelines along",
        &["selftests::replace_takes_one_timeline"],
        || {
            edit(|object, removes, add| {
                let going: Vec<Key> = object
                    .entries()
                    .iter()
                    .map(Entry::key)
                    .filter(|key| removes(*key))
                    .collect();
                let several = add.is_some()
                    && matches!(going.as_slice(), [a, b, ..] if a.timeline == b.timeline);
                object.edit(|old| several || going.contains(&old), add);
            })
        },
    ),
    fault::<UsageLevels>(
        "holder_sees_signalled",
        "B4",
        "mutant",
        "the holder is shown a signalled entry as long as another of its usage is pending",
        &["selftests::replace_of_nothing_is_nothing"],
        faulty::<HolderSeesSignalled>,
    ),
    fault::<UsageLevels>(
        "signalled_add_is_skipped",
        "B9",
        "mutant",
        "an edit that adds a signalled fence removes nothing either",
        &["selftests::replace_by_a_signalled_fence_removes"],
        || {
            edit(|object, removes, add| {
                if !add.as_ref().is_some_and(|add| add.fence.is_signaled()) {
                    object.edit(removes, add);
                }
            })
        },
    ),
    fault::<UsageLevels>(
        "copy_keeps_bookkeeping",
        "H-27",
        "mutant",
        "a copy onto an object that is not empty keeps its bookkeeping entries",
        &["selftests::copy_overwrites"],
        faulty::<CopyKeepsBookkeeping>,
    ),
];

/// See its fixture.
#[derive(Default)]
pub struct BusyOnceLocked {
    reserved: AtomicBool,
    is_busy: AtomicBool,
}

impl Fault for BusyOnceLocked {
    fn reserve(&self, object: &mut Inner<'_, '_>, room: Budget) -> Result<(), ReserveError> {
        self.reserved.store(true, Ordering::Relaxed);
        self.is_busy.store(false, Ordering::Relaxed);
        object.reserve(room)
    }

    fn held(&self, object: &Locked, held: &LockProof<'_>) -> Vec<Entry> {
        if !self.reserved.load(Ordering::Relaxed) {
            self.is_busy.store(true, Ordering::Relaxed);
        }
        held_entries(object, held)
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        !self.is_busy.load(Ordering::Relaxed) && object.is_idle(usages)
    }
}

/// See its fixture.
#[derive(Default)]
pub struct HolderSeesSignalled {
    published: Mutex<Vec<Entry>>,
}

impl Fault for HolderSeesSignalled {
    fn published(&self, object: &Locked) {
        let _old = std::mem::replace(&mut *lock(&self.published), now(object));
    }

    fn held(&self, object: &Locked, held: &LockProof<'_>) -> Vec<Entry> {
        let mut all = held_entries(object, held);
        let published = lock(&self.published).clone();
        let done = published
            .into_iter()
            .filter(|entry| entry.fence.is_signaled());
        let shown: Vec<Entry> = done
            .filter(|old| all.iter().any(|entry| entry.usage == old.usage))
            .collect();
        all.extend(shown);
        all
    }
}

/// See its fixture.
#[derive(Default)]
pub struct CopyKeepsBookkeeping {
    is_copy: AtomicBool,
}

impl Fault for CopyKeepsBookkeeping {
    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        if add.is_none() {
            self.is_copy.store(true, Ordering::Relaxed);
            object.edit(|old| old.usage != Usage::Bookkeep && removes(old), None);
        } else {
            self.is_copy.store(false, Ordering::Relaxed);
            object.edit(removes, add);
        }
    }

    fn publish(&self, object: &mut Inner<'_, '_>) {
        // Nothing has come since: the source was empty.
        if self.is_copy.swap(false, Ordering::Relaxed) && object.reserve(Budget::ONE).is_ok() {
            object.edit(|_| true, None);
        }
        object.publish();
    }
}
