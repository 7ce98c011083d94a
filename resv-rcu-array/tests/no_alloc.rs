//! B3: after a reservation, edits and publishes get no memory; and reads never do of their own.
//!
//! One test runs at a time: a lock that threads meet at may allocate when it makes one wait, and what
//! is measured here is the back end.
#![cfg(not(loom))]

mod common;

use common::counted;
use resv_core::{Backend, Budget, Entry, EntrySet, Timeline, Usage, UsageSet};
use resv_rcu_array::{Flavour, RcuArray};
use std::sync::Mutex;

static ALONE: Mutex<()> = Mutex::new(());

/// Many more publishes than any batch, bag or slot of a reclaimer has room for.
const ROUNDS: usize = 1000;

fn no_edit_and_no_publish_allocates<R: Flavour>(objects: usize, adds: usize, each: bool) {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let objects: Vec<_> = (0..objects).map(|_| RcuArray::<R>::default()).collect();
    let lines: Vec<_> = (0..adds).map(|_| Timeline::new("t")).collect();
    for round in 0..ROUNDS {
        let jobs: Vec<_> = lines
            .iter()
            .map(|line| line.issue().expect("seqnos are left"))
            .collect();
        let mut held: Vec<_> = objects.iter().map(|o| o.object_lock().lock()).collect();
        let publishes = if each { adds } else { 1 };
        for (object, held) in objects.iter().zip(&mut held) {
            let room = Budget { adds, publishes };
            object.reserve(held, room).expect("memory");
        }
        for (object, held) in objects.iter().zip(&mut held) {
            for (at, job) in jobs.iter().enumerate() {
                let entry = Entry {
                    fence: job.fence().clone(),
                    usage: Usage::ALL[(round + at) % 4],
                };
                let key = entry.key();
                let ((), allocated, _) = counted(|| {
                    object.edit(held, |old| old.timeline == key.timeline, Some(entry));
                    if each {
                        object.publish(held);
                    }
                });
                assert_eq!(allocated, 0, "edit, round {round}");
            }
            let ((), allocated, _) = counted(|| object.publish(held));
            assert_eq!(allocated, 0, "publish, round {round}");
            object.unreserve(held);
        }
        drop(held);
        for object in &objects {
            let (seen, allocated, _) = counted(|| {
                let snapshot = object.snapshot().expect("no memory needed");
                let count = object.visit(UsageSet::ALL, 0, |count, _| count + 1);
                (snapshot.len(), count, object.is_idle(UsageSet::ALL))
            });
            assert_eq!(seen, (adds, adds, adds == 0));
            assert_eq!(allocated, 0, "reads, round {round}");
        }
        // Sometimes everything signals, so that empty sets are published as well.
        if round % 7 == 0 {
            drop(jobs);
            for object in &objects {
                let mut held = object.object_lock().lock();
                let room = Budget {
                    adds: 0,
                    publishes: 1,
                };
                object.reserve(&mut held, room).expect("memory");
                let ((), allocated, _) = counted(|| {
                    object.edit(&mut held, |_| false, None);
                    object.publish(&mut held);
                });
                assert_eq!(allocated, 0, "emptying, round {round}");
                object.unreserve(&mut held);
            }
        }
    }
}

macro_rules! on_each_flavour {
    ($($test:ident($($arg:expr),*);)*) => {
        mod stable {
            $(#[test] fn $test() {
                super::no_edit_and_no_publish_allocates::<resv_rcu_array::Stable>($($arg),*);
            })*
        }
        #[cfg(feature = "arc-swap")]
        mod arc_swap {
            $(#[test] fn $test() {
                super::no_edit_and_no_publish_allocates::<resv_rcu_array::ArcSwapped>($($arg),*);
            })*
        }
    };
}

on_each_flavour! {
    one_object(1, 4, false);
    one_object_that_publishes_each_add(1, 8, true);
    // One reservation each, then more publishes at a time than a batch is long.
    eighty_objects_in_one_transaction(80, 1, false);
}
