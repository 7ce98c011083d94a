//! Whatever is composed, pointed at, waited for, cancelled and dropped: in the end as many fences are
//! alive as in the beginning. One test, so that nothing else in the process makes fences.
#![cfg(not(loom))]

use resv_core::fence::{merge, pool_stats, registrations};
use resv_core::{Fence, Signaler, Timeline};
use std::time::{Duration, Instant};

fn jobs(count: usize) -> Vec<Signaler> {
    (0..count)
        .map(|_| Timeline::new("t").issue().expect("a seqno is left"))
        .collect()
}

fn all(jobs: &[Signaler]) -> Fence {
    Fence::all(jobs.iter().map(Signaler::fence)).expect("not empty")
}

fn any(jobs: &[Signaler]) -> Fence {
    Fence::any(jobs.iter().map(Signaler::fence)).expect("not empty")
}

#[test]
fn as_many_fences_live_in_the_end_as_in_the_beginning() {
    let start = pool_stats().live;

    // Dropped unsignalled, before the children; with a wait that timed out; with a deadline.
    let pending = jobs(3);
    let array = all(&pending);
    let nested = Fence::any([&array, pending[0].fence()]).expect("not empty");
    assert!(!nested.wait(Some(Duration::from_millis(1))).is_signaled());
    nested.set_deadline(Instant::now());
    drop((array, nested));
    assert_eq!(pool_stats().live, start + 3);

    // A callback keeps its fence until it has run, then no more.
    let (first, every) = (any(&pending), all(&pending));
    assert!(first.on_signal(|_| ()).is_ok() && every.on_signal(|_| ()).is_ok());
    drop((first, every));
    assert_eq!(pool_stats().live, start + 5);
    // Two callbacks, and three children that each of the two watches.
    assert_eq!(registrations(), 2 + 6);
    let id = all(&pending).on_signal(|_| ());
    assert!(id.is_ok());
    drop(pending);
    assert_eq!(pool_stats().live, start);

    // Points: reached, asked for twice, asked for in vain.
    let ring = Timeline::new("ring");
    let points = [ring.point(1), ring.point(1), ring.point(7)];
    ring.issue().expect("a seqno is left").signal();
    drop(ring);
    assert!(points.iter().all(Fence::is_signaled));
    drop(points);
    assert_eq!(pool_stats().live, start);

    // A lazy fence whose hook owns another one.
    let other = jobs(1);
    let owned = other[0].fence().clone();
    let lazy = Timeline::new("kfd").issue_lazy(move || drop(owned));
    drop((lazy, other));
    assert_eq!(pool_stats().live, start);

    // Threads that signal against threads that compose, merge and drop.
    for _ in 0..300 {
        let pending = jobs(4);
        let fences: Vec<_> = pending.iter().map(|job| job.fence().clone()).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| pending.into_iter().for_each(Signaler::signal));
            scope.spawn(|| {
                let both = [Fence::all(&fences), Fence::any(&fences)].map(Option::unwrap);
                let merged = merge(&both);
                if let Ok(id) = merged.on_signal(|_| ()) {
                    merged.cancel(id);
                }
                let _ = both[0].on_signal(|_| ());
            });
        });
    }
    assert_eq!(pool_stats().live, start);
    assert_eq!(registrations(), 0);
}
