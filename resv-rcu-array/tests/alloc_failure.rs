//! B3, H-31: when the k-th allocation of a reservation fails, for every k, the reservation says so,
//! nothing has changed and nothing has leaked.
//!
//! What `arc-swap` allocates itself cannot fail softly (it aborts), so
//! each scene begins with the thread registered and nothing to hand over.
#![cfg(not(loom))]

mod common;

use common::{counted, failing};
use resv_core::fence::pool_stats;
use resv_core::{Backend, Budget, Entry, Key, LockProof, Signaler, Timeline, Usage, UsageSet};
use resv_rcu_array::{RcuArray, Reclaim};
use std::sync::Mutex;

/// Fences are counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn entry(job: &Signaler) -> Entry {
    Entry {
        fence: job.fence().clone(),
        usage: Usage::Write,
    }
}

fn seen_by_holder<R: Reclaim>(object: &RcuArray<R>, held: &LockProof<'_>) -> Vec<Key> {
    object.visit_held(held, Vec::new(), |mut keys, entry| {
        keys.push(entry.key());
        keys
    })
}

fn seen_by_readers<R: Reclaim>(object: &RcuArray<R>) -> Vec<Key> {
    object.visit(UsageSet::ALL, Vec::new(), |mut keys, key| {
        keys.push(key);
        keys
    })
}

/// What is there when the reservation that fails is made.
#[cfg(feature = "arc-swap")]
#[derive(Clone, Copy)]
struct Scene {
    published: usize,
    /// Reserved before, under the same lock.
    before: Budget,
    /// Of which this many adds were used and not published.
    staged: usize,
    wanted: Budget,
}

#[cfg(feature = "arc-swap")]
fn fails_cleanly<R: Reclaim>(scene: Scene) -> usize {
    let lines: Vec<_> = (0..16).map(|_| Timeline::new("t")).collect();
    let jobs: Vec<_> = lines
        .iter()
        .map(|line| line.issue().expect("seqnos are left"))
        .collect();
    for k in 0.. {
        let object = RcuArray::<R>::default();
        let mut held = object.object_lock().lock();
        let room = Budget {
            adds: scene.published,
            publishes: 1,
        };
        object.reserve(&mut held, room).expect("memory");
        for job in &jobs[..scene.published] {
            object.edit(&mut held, |_| false, Some(entry(job)));
        }
        object.publish(&mut held);
        object.reserve(&mut held, scene.before).expect("memory");
        for job in &jobs[10..10 + scene.staged] {
            object.edit(&mut held, |_| false, Some(entry(job)));
        }
        RcuArray::<R>::collect();

        let fences = pool_stats().live;
        let holder = seen_by_holder(&object, &held);
        let readers = seen_by_readers(&object);
        let ((result, failed), allocated, freed) =
            counted(|| failing(k, || object.reserve(&mut held, scene.wanted)));
        if !failed {
            result.expect("no allocation failed");
            return usize::try_from(k).expect("not negative");
        }
        let error = result.expect_err("an allocation failed");
        assert_eq!(error.entries(), scene.wanted.adds);
        assert_eq!(allocated, freed, "leaked memory, k = {k}");
        assert_eq!(pool_stats().live, fences, "leaked a fence, k = {k}");
        assert_eq!(seen_by_holder(&object, &held), holder);
        assert_eq!(seen_by_readers(&object), readers);
        // What was reserved before can still be used, without memory.
        let used = scene.before.adds - scene.staged;
        let ((), allocated, _) = counted(|| {
            for job in &jobs[..used] {
                object.edit(&mut held, |_| false, Some(entry(job)));
            }
            object.publish(&mut held);
        });
        assert_eq!(allocated, 0);
        assert_eq!(
            seen_by_readers(&object).len(),
            scene.published + scene.before.adds
        );
        // And with memory, all is well.
        object.reserve(&mut held, scene.wanted).expect("memory");
        object.unreserve(&mut held);
    }
    unreachable!("the loop ends when no allocation fails")
}

fn room(adds: usize, publishes: usize) -> Budget {
    Budget { adds, publishes }
}

#[cfg(feature = "arc-swap")]
fn every_allocation_of_a_reservation_may_fail<R: Reclaim>() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = pool_stats().live;
    let scenes = [
        // (published, reserved before, staged, wanted) and the number of arrays it takes
        (0, room(0, 0), 0, room(1, 1), 1),
        (3, room(0, 0), 0, room(4, 4), 4),
        // Something is staged: it is copied to a larger array, and needs no second one to publish.
        (3, room(2, 1), 2, room(4, 1), 1),
        (3, room(2, 1), 2, room(4, 3), 3),
        // Spares that are too small are all replaced.
        (3, room(2, 2), 1, room(8, 4), 4),
        // Spares that are large enough are kept.
        (3, room(2, 2), 0, room(2, 5), 3),
        // What is staged has room for it, if only just.
        (3, room(2, 1), 2, room(0, 1), 0),
        // Nothing is missing.
        (3, room(2, 2), 0, room(1, 1), 0),
    ];
    for (published, before, staged, wanted, arrays) in scenes {
        let scene = Scene {
            published,
            before,
            staged,
            wanted,
        };
        assert_eq!(fails_cleanly::<R>(scene), arrays);
    }
    RcuArray::<R>::collect();
    assert_eq!(pool_stats().live, before, "leaked fences");
    assert_eq!(RcuArray::<R>::default().garbage().live, 0);
}

fn all_fences_are_gone_after_the_last_object<R: Reclaim>() {
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
    // The thread has handed over what it had retired.
    RcuArray::<R>::collect();
    assert_eq!(RcuArray::<R>::default().garbage().live, 0);
    assert_eq!(pool_stats().live, before);
}

/// Edits that are never published, of entries that the published array has, too, with and without a
/// reader who has that array.
fn all_fences_are_gone_though_edits_were_staged<R: Reclaim>() {
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
            RcuArray::<R>::collect();
            drop(kept);
            drop(jobs);
            assert_eq!(pool_stats().live, before, "{adds} {publishes} {keeps}");
        }
    }
}

/// Cells of arrays are kept in a pool, so each case is about a size that nobody has used yet, of which
/// the pool has `free` cells when the fifth, the fourth, ... the first of five is missing.
#[test]
fn stable_every_cell_of_a_reservation_may_be_missing() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    type Object = RcuArray<resv_rcu_array::Stable>;
    let before = pool_stats().live;
    let jobs: Vec<_> = (0..3)
        .map(|_| Timeline::new("t").issue().expect("seqnos are left"))
        .collect();
    for free in 0..5 {
        // Larger than a chunk of the pool: cells are got one by one.
        let adds = 10_000 << free;
        {
            let other = Object::default();
            let mut held = other.object_lock().lock();
            other.reserve(&mut held, room(adds, free)).expect("memory");
        }
        let object = Object::default();
        let mut held = object.object_lock().lock();
        object.reserve(&mut held, room(3, 2)).expect("memory");
        object.edit(&mut held, |_| false, Some(entry(&jobs[0])));
        object.publish(&mut held);
        object.edit(&mut held, |_| false, Some(entry(&jobs[1])));

        // What is staged takes one of them, and the other publishes take four.
        let reserve = |held: &mut LockProof<'_>| object.reserve(held, room(adds, 5));
        let ((result, failed), ..) = counted(|| failing(0, || reserve(&mut held)));
        assert!(failed, "{free} cells are not enough");
        assert_eq!(result.expect_err("an allocation failed").entries(), adds);
        assert_eq!(seen_by_holder(&object, &held).len(), 2);
        assert_eq!(seen_by_readers(&object).len(), 1);
        // What was reserved before can still be used, without memory.
        let ((), allocated, _) = counted(|| {
            object.edit(&mut held, |_| false, Some(entry(&jobs[2])));
            object.publish(&mut held);
        });
        assert_eq!(allocated, 0);
        assert_eq!(seen_by_readers(&object).len(), 3);
        // Nothing was lost: now all but the missing cells come from the pool.
        object
            .reserve(&mut held, room(0, 0))
            .expect("nothing to get");
        let (result, allocated, _) = counted(|| reserve(&mut held));
        result.expect("memory");
        assert_eq!(allocated, 5 - free);
    }
    assert_eq!(pool_stats().live, before + jobs.len(), "leaked fences");
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
            // No other test of this file has arrays of this size.
            object.reserve(&mut held, room(30, 1)).expect("memory");
        }
    });
    // 1, 1, 2, 4, ... cells of a kilobyte, and at most 64 at a time.
    assert!(allocated <= 12, "{allocated}");
}

on_each_flavour! {
    every_allocation_of_a_reservation_may_fail
    all_fences_are_gone_after_the_last_object
    all_fences_are_gone_though_edits_were_staged
}
