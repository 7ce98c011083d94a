//! Linux since 5.19: one list of fences with usages, changed in place and walked without the lock.

use crate::fault::{Fault, Inner, Removes, lock, now};
use crate::fixture::{Fixture, fault, faulty};
use resv_core::fence::cell::FenceCell;
use resv_core::{Entry, Fence, Key, Locked, ReserveError, UsageLevels, UsageSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<UsageLevels>(
        "list_address_comes_round",
        "D-6, H-29",
        "derived from Linux 5.16 and later",
        "a visit notices a new list by its address, and the second new list has that of the first",
        &["hazards::h_29_h_30_an_object_replaced_in_the_middle_of_a_visit"],
        faulty::<ListAddressComesRound>,
    ),
    fault::<UsageLevels>(
        "list_becomes_null",
        "D-4, H-30",
        "derived from Linux 5.16 and later",
        "a visit of a list that is taken away shows the last fence again and again",
        &["hazards::h_29_h_30_an_object_replaced_in_the_middle_of_a_visit"],
        faulty::<ListBecomesNull>,
    ),
    fault::<UsageLevels>(
        "restart_shows_entries_twice",
        "D-5",
        "Linux 5.16 and later, to consumers that do not look at the restarted flag; derived",
        "a visit that is disturbed begins again and has shown the entries of its first pass already",
        &["selftests::t4_for_each_without_the_lock"],
        faulty::<RestartShowsTwice>,
    ),
    fault::<UsageLevels>(
        "replace_forgets_references",
        "H-32",
        "early 5.19 (047a1b877ed4)",
        "one reference is taken where a replacement fills several slots, so one too many is given back",
        &["hazards::h_32_a_replacement_owns_what_it_needs"],
        faulty::<ReplaceForgetsReferences>,
    ),
    fault::<UsageLevels>(
        "dead_fence_in_a_slot",
        "H-33",
        "derived from get_rcu_safe",
        "a slot keeps the address of a fence that it does not own, and readers try for ever to get it",
        &["hazards::h_33_an_entry_owns_a_reference"],
        faulty::<DeadFenceInASlot>,
    ),
];

/// H-29: lists take turns in two places.
#[derive(Default)]
pub struct ListAddressComesRound {
    published: AtomicUsize,
}

impl Fault for ListAddressComesRound {
    fn published(&self, _: &Locked) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        let address = || self.published.load(Ordering::Relaxed) % 2;
        let captured = (address(), now(object));
        for at in 0..captured.1.len() {
            // Same address, so the captured length is used with what is there now.
            let entry = if address() == captured.0 {
                now(object).get(at).cloned()
            } else {
                captured.1.get(at).cloned()
            };
            if let Some(entry) = entry.filter(|entry| usages.contains(entry.usage)) {
                show(entry.key());
            }
        }
    }
}

/// H-30.
#[derive(Default)]
pub struct ListBecomesNull {
    is_null: AtomicBool,
}

impl Fault for ListBecomesNull {
    fn published(&self, object: &Locked) {
        self.is_null
            .store(now(object).is_empty(), Ordering::Relaxed);
    }

    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        let mut list = now(object);
        list.retain(|entry| usages.contains(entry.usage));
        for entry in list {
            show(entry.key());
            for again in 0.. {
                if !self.is_null.load(Ordering::Relaxed) {
                    break;
                }
                assert!(again < 1000, "the visit does not end");
                show(entry.key());
            }
        }
    }
}

/// D-5.
#[derive(Default)]
pub struct RestartShowsTwice {
    published: AtomicUsize,
}

impl Fault for RestartShowsTwice {
    fn published(&self, _: &Locked) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        let version = || self.published.load(Ordering::Relaxed);
        let (mut begun, mut list, mut at) = (version(), now(object), 0);
        while let Some(entry) = list.get(at) {
            if usages.contains(entry.usage) && !entry.fence.is_signaled() {
                show(entry.key());
            }
            at += 1;
            if version() != begun {
                (begun, list, at) = (version(), now(object), 0);
            }
        }
    }
}

/// H-32: an object that is dropped gives back what it does not own. The pool's cells stay cells, so
/// this endangers no memory, but it ends fences under their owners; runs are one at a time.
#[derive(Default)]
pub struct ReplaceForgetsReferences {
    filled_several: Mutex<Vec<Key>>,
}

impl Fault for ReplaceForgetsReferences {
    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        let (mut removed, key) = (0, add.as_ref().map(Entry::key));
        let mut count = |old: Key| {
            let goes = removes(old);
            removed += usize::from(goes);
            goes
        };
        object.edit(&mut count, add);
        lock(&self.filled_several).extend(key.filter(|_| removed > 1));
    }

    fn on_drop(&self, object: &Locked) {
        let several = lock(&self.filled_several);
        for entry in now(object)
            .iter()
            .filter(|entry| several.contains(&entry.key()))
        {
            drop(Fence::from_cell(entry.fence.cell()));
        }
    }
}

/// H-33: what readers see are addresses. Superseded fences are taken out, signalled ones are not.
#[derive(Default)]
pub struct DeadFenceInASlot {
    slots: Mutex<Vec<(&'static FenceCell, Key)>>,
}

impl Fault for DeadFenceInASlot {
    fn published(&self, object: &Locked) {
        let entries = now(object);
        let mut slots = lock(&self.slots);
        slots.retain(|(cell, key)| {
            let is_current = entries.iter().any(|entry| entry.key() == *key);
            is_current || !cell.is_pending()
        });
        for entry in &entries {
            if !slots.iter().any(|(_, key)| *key == entry.key()) {
                slots.push((entry.fence.cell(), entry.key()));
            }
        }
    }

    fn snapshot(&self, _: &Locked) -> Result<Vec<Entry>, ReserveError> {
        let slots = lock(&self.slots).clone();
        let get = |&(cell, key): &(&'static FenceCell, Key)| {
            let mut tries = 0..1000;
            loop {
                let fence = Fence::try_acquire(cell);
                let fence = fence.filter(|fence| Key::new(fence, key.usage) == key);
                if let Some(fence) = fence {
                    let usage = key.usage;
                    return (!fence.is_signaled()).then_some(Entry { fence, usage });
                }
                assert!(tries.next().is_some(), "the reader does not get on");
            }
        };
        Ok(slots.iter().filter_map(get).collect())
    }
}
