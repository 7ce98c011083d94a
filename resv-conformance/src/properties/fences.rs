//! Fences as seen through the objects that hold them.
//!
//! The fence primitive has tests of its own in `resv-core`; it does not depend on a semantics or a
//! back end. Here is what an object must not spoil.

use crate::support::{
    AGES, Watched, add, add_fence, assert_superseded_freed, entries, is_busy, job, lone_job, look,
};
use crate::{Object, Subject};
use resv_api::{Access, FenceError, FenceStatus, Timeline, Usage, Waited};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Instant;

/// F-01: one signal is seen in every object that holds the fence, and stays seen.
pub fn f_01_a_signal_is_seen_in_every_object(on: Subject) {
    let objects: [Object; 4] = std::array::from_fn(|_| on.object());
    let job = lone_job();
    for (object, usage) in objects.iter().zip(Usage::ALL) {
        add(object, &job, usage);
        assert!(is_busy(object, Access::Move), "{usage}");
    }
    job.signal();
    for object in &objects {
        for access in Access::ALL {
            assert!(!is_busy(object, access), "{access}");
        }
    }
}

/// F-02: a callback runs with no lock held, so it may edit the very object that holds its fence.
pub fn f_02_a_callback_may_edit_the_object(on: Subject) {
    let object = Arc::new(on.object());
    let timeline = Timeline::new("gfx");
    let (first, second) = (job(&timeline), job(&timeline));
    add(&object, &first, Usage::Write);
    let (inside, next) = (Arc::clone(&object), second.fence().clone());
    let registered = first.fence().on_signal(move |_| {
        assert!(inside.is_idle(Access::Move), "the state changes first");
        add_fence(&inside, &next, Usage::Write);
    });
    registered.expect("the fence is pending");
    first.signal();
    assert!(is_busy(&object, on.read()));
    second.signal();
    assert!(!is_busy(&object, on.read()));
}

/// F-05: what the job did before it signalled is visible to the reader that was told "idle", without any
/// other synchronisation.
pub fn f_05_what_a_job_did_is_seen_by_a_reader_that_finds_the_object_idle(on: Subject) {
    for round in 0..50 {
        let object = on.object();
        let result = AtomicU64::new(0);
        let job = lone_job();
        add(&object, &job, Usage::Write);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                result.store(42, Ordering::Relaxed);
                job.signal();
            });
            if round % 2 == 0 {
                assert_eq!(object.wait(on.read(), Some(AGES)), Waited::Signaled);
            } else {
                let begun = Instant::now();
                while !object.is_idle(on.read()) {
                    assert!(begun.elapsed() < AGES, "busy for ever");
                    std::thread::yield_now();
                }
            }
            assert_eq!(result.load(Ordering::Relaxed), 42);
        });
    }
}

/// F-06: a job that is given up frees the object, with an error in its fence.
pub fn f_06_a_dropped_signaler_frees_the_object(on: Subject) {
    let object = on.object();
    let job = lone_job();
    let fence = job.fence().clone();
    add(&object, &job, Usage::Write);
    let mut begun = pin!(object.wait_async(on.read()));
    assert!(look(begun.as_mut()).is_pending());
    drop(job);
    assert!(!is_busy(&object, Access::Move));
    assert_eq!(fence.status(), FenceStatus::Error(FenceError::CANCELED));
    let canceled = Waited::Failed(FenceError::CANCELED);
    assert_eq!(look(begun), Poll::Ready(canceled));
    assert_eq!(object.wait(Access::Move, None), Waited::Signaled);
}

/// F-07: a fence whose last reference is gone cannot be had back, however often one tries, and the
/// trying spoils nothing for the fence that its memory becomes.
pub fn f_07_a_fence_that_is_gone_is_not_had_back(on: Subject) {
    let object = on.object();
    let timeline = Timeline::new("gfx");
    let gone: Vec<Watched> = (0..100)
        .map(|_| {
            let job = job(&timeline);
            let fence = Watched::new(job.fence());
            add(&object, &job, Usage::Write);
            fence
        })
        .collect();
    // The last one stays until it is superseded.
    let last = job(&timeline);
    add(&object, &last, Usage::Write);
    for _ in 0..3 {
        assert_superseded_freed(on, 1, &gone, "superseded fences");
    }
    let gone: Vec<Watched> = gone.into_iter().filter(|fence| !fence.is_alive()).collect();
    let strangers: Vec<_> = (0..100).map(|_| lone_job()).collect();
    for stranger in &strangers {
        assert!(Watched::new(stranger.fence()).is_alive());
    }
    assert!(gone.iter().all(|fence| !fence.is_alive()));
    assert_eq!(entries(&object).len(), 1);
    drop(last);
}
