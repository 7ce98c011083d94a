//! All memory of an object, tables that it has outgrown included, is freed with it.
#![cfg(not(any(loom, shuttle)))]

#[path = "../../resv-rcu-array/tests/common/mod.rs"]
mod common;

use common::{balance, failing};
use resv_core::{Backend, Budget, Entry, Signaler, Timeline, Usage, UsageSet};
use resv_seqcount::Seqcount;

fn room(adds: usize) -> Budget {
    Budget { adds, publishes: 1 }
}

fn jobs(count: usize) -> Vec<Signaler> {
    let line = Timeline::new("t");
    (0..count).map(|_| line.issue().expect("seqnos")).collect()
}

/// Adds them one by one.
fn add(object: &Seqcount, jobs: &[Signaler]) {
    for job in jobs {
        let mut held = object.object_lock().lock();
        object.reserve(&mut held, room(1)).expect("memory");
        let (fence, usage) = (job.fence().clone(), Usage::Read);
        object.edit(&mut held, |_| false, Some(Entry { fence, usage }));
        object.publish(&mut held);
        object.unreserve(&mut held);
    }
}

#[test]
fn b8_an_object_that_grew_leaves_no_memory_behind() {
    let jobs = jobs(100);
    // Whatever is made once for a thread or the process is there now.
    add(&Seqcount::default(), &jobs);
    let before = balance();
    let object = Seqcount::default();
    assert_eq!(balance(), before, "an empty object owns no memory");
    add(&object, &jobs);
    drop(object.snapshot());
    assert!(balance() > before);
    drop(object);
    assert_eq!(balance(), before);
}

/// The memory of a reservation: the side, if there is none yet; the bits of the slots behind the first 64,
/// of what goes, of what is overwritten and of what a look finds; the table.
#[test]
fn b3_every_allocation_of_a_reservation_may_fail() {
    let jobs = jobs(4);
    add(&Seqcount::default(), &jobs);
    let before = balance();
    for (published, allocations) in [(0, 5), (4, 4)] {
        for k in 0..=allocations {
            let object = Seqcount::default();
            add(&object, &jobs[..published]);
            let mut held = object.object_lock().lock();
            let (result, failed) = failing(k, || object.reserve(&mut held, room(200)));
            assert_eq!(failed, k < allocations, "{published} {k}");
            if failed {
                let error = result.expect_err("an allocation failed");
                assert_eq!(error.entries(), 200, "what was asked for");
            } else {
                result.expect("no allocation failed");
            }
            let count = object.visit(UsageSet::ALL, 0, |n, _| n + 1);
            assert_eq!(count, published);
            object.reserve(&mut held, room(200)).expect("memory");
        }
    }
    assert_eq!(balance(), before);
}

/// A visit of as many entries as fit beside it allocates nothing, and neither does a test.
#[test]
fn a_visit_allocates_nothing() {
    let jobs = jobs(64);
    for count in [1, 4, 64] {
        let object = Seqcount::default();
        add(&object, &jobs[..count]);
        let visit = || object.visit(UsageSet::ALL, 0, |n, _| n + 1);
        assert_eq!(failing(0, visit), (count, false));
        let test = || object.is_idle(UsageSet::of(&[Usage::Read]));
        assert_eq!(failing(0, test), (false, false));
    }
}
