//! B3, H-31: when the k-th allocation of a reservation fails, for every k, the reservation says so,
//! nothing has changed and nothing has leaked.
//!
//! What `arc-swap` allocates itself cannot fail softly: it ends the process.
#![cfg(not(loom))]

mod common;

use common::{counted, failing};
use resv_core::fence::pool_stats;
use resv_core::{Backend, Budget, Entry, Key, LockProof, Signaler, Timeline, Usage, UsageSet};
use resv_rcu_array::{Flavour, RcuArray};
use std::sync::Mutex;

/// Fences are counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn entry(job: &Signaler) -> Entry {
    Entry {
        fence: job.fence().clone(),
        usage: Usage::Write,
    }
}

fn seen_by_holder<R: Flavour>(object: &RcuArray<R>, held: &LockProof<'_>) -> Vec<Key> {
    object.visit_held(held, Vec::new(), |mut keys, entry| {
        keys.push(entry.key());
        keys
    })
}

fn seen_by_readers<R: Flavour>(object: &RcuArray<R>) -> Vec<Key> {
    object.visit(UsageSet::ALL, Vec::new(), |mut keys, key| {
        keys.push(key);
        keys
    })
}

fn room(adds: usize, publishes: usize) -> Budget {
    Budget { adds, publishes }
}

/// Lets allocation number `k` of a reservation for `adds` fail, of an object in which one entry is
/// published, one staged and one more reserved; nothing has changed then, and all that was reserved can be
/// used. `false`: there was no such allocation.
fn fails_cleanly<F: Flavour>(k: isize, adds: usize) -> bool {
    let jobs: Vec<_> = (0..3)
        .map(|_| Timeline::new("t").issue().expect("seqnos are left"))
        .collect();
    let object = RcuArray::<F>::default();
    let mut held = object.object_lock().lock();
    object.reserve(&mut held, room(3, 2)).expect("memory");
    object.edit(&mut held, |_| false, Some(entry(&jobs[0])));
    object.publish(&mut held);
    object.edit(&mut held, |_| false, Some(entry(&jobs[1])));

    let fences = pool_stats().live;
    let reserve = |held: &mut LockProof<'_>| object.reserve(held, room(adds, 5));
    let ((result, failed), ..) = counted(|| failing(k, || reserve(&mut held)));
    if failed {
        assert_eq!(result.expect_err("an allocation failed").entries(), adds);
        assert_eq!(pool_stats().live, fences, "leaked a fence, k = {k}");
        assert_eq!(seen_by_holder(&object, &held).len(), 2);
        assert_eq!(seen_by_readers(&object).len(), 1);
    } else {
        result.expect("no allocation failed");
    }
    // What was reserved before can still be used, without memory.
    let ((), allocated, _) = counted(|| {
        object.edit(&mut held, |_| false, Some(entry(&jobs[2])));
        object.publish(&mut held);
    });
    assert_eq!(allocated, 0);
    assert_eq!(seen_by_readers(&object).len(), 3);
    // And with memory, all is well.
    reserve(&mut held).expect("memory");
    object.unreserve(&mut held);
    failed
}

/// Cells are kept in a pool, so each case is about a size that nobody has used yet: room for the cell in
/// the list for leak checkers, unless tests before this one have left some, and the cell itself.
#[test]
fn stable_every_allocation_of_a_reservation_may_fail() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = pool_stats().live;
    let failed = (0..10).take_while(|&k| fails_cleanly::<resv_rcu_array::Stable>(k, 2_000 << k));
    assert!((1..=2).contains(&failed.count()));
    assert_eq!(pool_stats().live, before, "leaked fences");
}

/// The slots, and the memory that is asked for on behalf of `Arc::new`, which would end the process: so that
/// is not let fail.
#[cfg(feature = "arc-swap")]
#[test]
fn arc_swap_every_allocation_but_one_may_fail() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = pool_stats().live;
    // This thread's first use of arc-swap is over.
    assert!(!fails_cleanly::<resv_rcu_array::ArcSwapped>(100, 1));
    for k in 0..2 {
        assert!(fails_cleanly::<resv_rcu_array::ArcSwapped>(k, 2_000), "{k}");
    }
    assert_eq!(pool_stats().live, before, "leaked fences");
}

fn all_fences_are_gone_after_the_last_object<R: Flavour>() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = pool_stats().live;
    std::thread::spawn(|| {
        let line = Timeline::new("t");
        let object = RcuArray::<R>::default();
        for _ in 0..100 {
            let job = line.issue().expect("seqnos are left");
            let mut held = object.object_lock().lock();
            object.reserve(&mut held, room(1, 1)).expect("memory");
            object.edit(&mut held, |_| false, Some(entry(&job)));
            object.publish(&mut held);
            object.unreserve(&mut held);
        }
    })
    .join()
    .expect("no panic");
    assert_eq!(pool_stats().live, before);
}

/// Edits that are never published, of entries that the published array has, too, with and without a
/// reader that has that array.
fn all_fences_are_gone_though_edits_were_staged<R: Flavour>() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = pool_stats().live;
    let line = Timeline::new("t");
    for (adds, publishes) in [(0, false), (0, true), (3, false), (3, true)] {
        for keeps in [false, true] {
            let jobs: Vec<_> = (0..8).map(|_| line.issue().expect("seqnos")).collect();
            let object = RcuArray::<R>::default();
            let mut held = object.object_lock().lock();
            object.reserve(&mut held, room(8, 2)).expect("memory");
            for job in &jobs[..5] {
                object.edit(&mut held, |_| false, Some(entry(job)));
            }
            object.publish(&mut held);
            let kept = keeps.then(|| object.snapshot().expect("no memory needed"));
            object.edit(&mut held, |key| key.seqno % 8 == 3, None);
            for job in &jobs[5..5 + adds] {
                object.edit(&mut held, |key| key.seqno % 8 == 6, Some(entry(job)));
            }
            // Moves what is staged to a larger array.
            object.reserve(&mut held, room(100, 1)).expect("memory");
            if publishes {
                object.publish(&mut held);
            }
            drop(held);
            drop(object);
            drop(kept);
            drop(jobs);
            assert_eq!(pool_stats().live, before, "{adds} {publishes} {keeps}");
        }
    }
}

macro_rules! on_each_flavour {
    ($($test:ident)*) => {
        #[cfg(feature = "arc-swap")]
        mod arc_swap {
            $(#[test] fn $test() { super::$test::<resv_rcu_array::ArcSwapped>(); })*
        }
    };
}

#[test]
fn stable_all_fences_are_gone_after_the_last_object() {
    all_fences_are_gone_after_the_last_object::<resv_rcu_array::Stable>();
}

#[test]
fn stable_all_fences_are_gone_though_edits_were_staged() {
    all_fences_are_gone_though_edits_were_staged::<resv_rcu_array::Stable>();
}

/// A size that many objects have is not got cell by cell.
#[test]
fn stable_the_pool_grows_in_ever_larger_steps() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let objects: Vec<_> = (0..200)
        .map(|_| RcuArray::<resv_rcu_array::Stable>::default())
        .collect();
    let ((), allocated, _) = counted(|| {
        for object in &objects {
            let mut held = object.object_lock().lock();
            // No other test of this file has cells of this size.
            object.reserve(&mut held, room(50, 1)).expect("memory");
        }
    });
    // 1, 1, 2, 4, ... cells of half a kilobyte, and at most 128 at a time; the lists besides.
    assert!(allocated <= 24, "{allocated}");
}

on_each_flavour! {
    all_fences_are_gone_after_the_last_object
    all_fences_are_gone_though_edits_were_staged
}
