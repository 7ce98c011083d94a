//! Models of publish, read and retire, on the code of the epoch flavour. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg loom --cfg crossbeam_loom" LOOM_MAX_PREEMPTIONS=2 \
//!     cargo test -p resv-rcu-array --release --lib --test loom
//! ```
//!
//! A model explores every order of the steps of its threads, with at most two preemptions, and every
//! value that a load may see under the C11 model as loom has it. Models whose name begins with
//! `must_find` contain a defect; they show that the ones without can fail.
#![cfg(all(loom, feature = "crossbeam-epoch"))]

use loom::sync::Arc;
use resv_core::{Backend, Entry, Key, Room, Signaler, Timeline, Usage, UsageSet};
use resv_rcu_array::{Epoch, NoGrace, RcuArray, Reclaim, RelaxedPublish};

fn commit<R: Reclaim>(object: &RcuArray<R>, removes: impl Fn(Key) -> bool, job: Option<&Signaler>) {
    let mut held = object.object_lock().lock();
    let room = Room {
        adds: usize::from(job.is_some()),
        publishes: 1,
    };
    object.reserve(&mut held, room).expect("memory");
    let add = job.map(|job| Entry {
        fence: job.fence().clone(),
        usage: Usage::Write,
    });
    object.edit(&mut held, removes, add);
    object.publish(&mut held);
    object.unreserve(&mut held);
}

fn issue() -> Signaler {
    Timeline::new("t").issue().expect("seqnos are left")
}

/// An object with one pending fence.
fn object_with<R: Reclaim>(job: &Signaler) -> Arc<RcuArray<R>> {
    let object = Arc::new(RcuArray::<R>::default());
    commit(&object, |_| false, Some(job));
    object
}

fn timelines(entries: &[Entry]) -> Vec<u64> {
    entries
        .iter()
        .map(|entry| entry.fence.timeline_id().as_raw())
        .collect()
}

/// Frees everything before the model ends: the fence pool does not outlive it. loom's threads can
/// be joined before their thread-locals are gone, hence the loop.
fn end<R: Reclaim>(object: Arc<RcuArray<R>>) {
    drop(object);
    RcuArray::<R>::collect();
    while RcuArray::<R>::garbage().live > 0 {
        loom::thread::yield_now();
        RcuArray::<R>::collect();
    }
}

/// A reader takes a snapshot while a writer replaces the array and frees the old one.
fn publish_snapshot_retire<R: Reclaim>() {
    let (a, b) = (issue(), issue());
    let old = timelines(&[Entry {
        fence: a.fence().clone(),
        usage: Usage::Write,
    }]);
    let new = timelines(&[Entry {
        fence: b.fence().clone(),
        usage: Usage::Write,
    }]);
    let object = object_with::<R>(&a);
    let reader = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || {
            let snapshot = object.snapshot().expect("no memory needed");
            let seen = timelines(snapshot.as_ref());
            assert!(seen == old || seen == new, "half a set");
        }
    });
    commit(&object, |_| true, Some(&b));
    RcuArray::<R>::collect();
    reader.join().expect("no panic");
    end(object);
}

/// A reader takes a snapshot while the first array is published.
fn publish_and_snapshot<R: Reclaim>() {
    let a = issue();
    let object = Arc::new(RcuArray::<R>::default());
    let reader = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || object.snapshot().expect("no memory needed").as_ref().len()
    });
    commit(&object, |_| false, Some(&a));
    assert!(reader.join().expect("no panic") <= 1);
    end(object);
}

/// A reader tests while a writer adds a fence before it signals the one that is there: something is
/// pending at every instant.
fn always_pending<R: Reclaim>(idle: impl Fn(&RcuArray<R>) -> bool + Copy + 'static) {
    let (a, b) = (issue(), issue());
    let object = object_with::<R>(&a);
    let reader = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || assert!(!idle(&object), "idle was never true")
    });
    commit(&object, |_| false, Some(&b));
    a.signal();
    reader.join().expect("no panic");
    end(object);
}

/// The same, for a visit.
fn always_pending_visit<R: Reclaim>() {
    always_pending::<R>(|object| object.fold(UsageSet::ALL, 0, |count, _| count + 1) == 0);
}

/// A reader visits {A, B} while A signals and then B: it may find both, B, or none, but never A
/// alone, as A was never pending without B.
fn signals_in_order<R: Reclaim>(visit: impl Fn(&RcuArray<R>) -> Vec<Key> + Copy + 'static) {
    let (a, b) = (issue(), issue());
    let first = a.fence().timeline_id();
    let object = object_with::<R>(&a);
    commit(&object, |_| false, Some(&b));
    let reader = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || {
            let keys = visit(&object);
            let first_alone = keys.len() == 1 && keys[0].timeline == first;
            assert!(!first_alone, "no instant was like this");
        }
    });
    a.signal();
    b.signal();
    reader.join().expect("no panic");
    end(object);
}

/// What was before a signal is visible to a reader who finds the object idle, also when it does so
/// by finding it empty.
fn idle_is_after_the_signal<R: Reclaim>() {
    let a = issue();
    let object = object_with::<R>(&a);
    let work = Arc::new(loom::cell::UnsafeCell::new(0));
    let reader = loom::thread::spawn({
        let (object, work) = (Arc::clone(&object), Arc::clone(&work));
        move || {
            if object.is_idle(UsageSet::ALL) {
                // A read that loom checks: it must be ordered after the write below.
                work.with(|_| ());
            }
        }
    });
    work.with_mut(|_| ());
    a.signal();
    commit(&object, |_| false, None);
    reader.join().expect("no panic");
    end(object);
}

/// Two writers and a reader: each writer's fence is there in the end.
fn two_writers<R: Reclaim>() {
    let (a, b) = (issue(), issue());
    let object = Arc::new(RcuArray::<R>::default());
    let other = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || {
            commit(&object, |_| false, Some(&b));
            // Nothing is left for the end of the thread, which loom may put after the model's.
            RcuArray::<R>::collect();
            b
        }
    });
    commit(&object, |_| false, Some(&a));
    let _b = other.join().expect("no panic");
    let count = object.fold(UsageSet::ALL, 0, |count, _| count + 1);
    assert_eq!(count, 2, "an update was lost");
    end(object);
}

#[test]
fn b6_a_snapshot_is_whole_and_alive() {
    loom::model(publish_snapshot_retire::<Epoch>);
}

#[test]
fn b6_a_first_snapshot_is_whole() {
    loom::model(publish_and_snapshot::<Epoch>);
}

#[test]
fn b2_idle_is_never_a_lie() {
    loom::model(|| always_pending::<Epoch>(|object| object.is_idle(UsageSet::ALL)));
}

#[test]
fn b1_a_visit_is_of_one_instant() {
    loom::model(always_pending_visit::<Epoch>);
}

#[test]
fn b1_a_visit_shows_what_was_pending_together() {
    loom::model(|| {
        signals_in_order::<Epoch>(|object| {
            object.fold(UsageSet::ALL, Vec::new(), |mut keys, key| {
                keys.push(key);
                keys
            })
        });
    });
}

#[test]
fn f05_idle_shows_what_was_before_the_signal() {
    loom::model(idle_is_after_the_signal::<Epoch>);
}

#[test]
fn b9_two_writers_lose_nothing() {
    loom::model(two_writers::<Epoch>);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn must_find_a_publish_without_release() {
    loom::model(publish_and_snapshot::<RelaxedPublish>);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn must_find_a_retire_without_grace_period() {
    loom::model(publish_snapshot_retire::<NoGrace>);
}

#[test]
#[should_panic(expected = "idle was never true")]
fn must_find_a_test_without_the_second_look() {
    loom::model(|| {
        always_pending::<Epoch>(|object| {
            let snapshot = object.snapshot().expect("no memory needed");
            snapshot.as_ref().iter().all(|e| e.fence.is_signaled())
        });
    });
}

#[test]
#[should_panic(expected = "no instant was like this")]
fn must_find_a_visit_that_tests_each_fence_once() {
    loom::model(|| {
        signals_in_order::<Epoch>(|object| {
            let snapshot = object.snapshot().expect("no memory needed");
            let pending = snapshot.as_ref().iter().filter(|e| !e.fence.is_signaled());
            pending.map(Entry::key).collect()
        });
    });
}
