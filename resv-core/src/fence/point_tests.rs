//! Points: what Linux' self-tests of fence chains say about them.

use super::*;
use crate::{Key, Semantics, Usage, UsageLevels};
use std::collections::HashSet;
use std::sync::{Arc, Barrier};
use std::time::Duration;

fn jobs(timeline: &Timeline, count: usize) -> Vec<Signaler> {
    (0..count)
        .map(|_| timeline.issue().expect("a seqno is left"))
        .collect()
}

/// Other tests take places, too, but not between any two of these steps.
#[test]
fn what_a_timeline_shares_is_used_again() {
    let places: HashSet<_> = (0..1000)
        .map(|_| std::ptr::from_ref(Timeline::new("short").reach()))
        .collect();
    assert!(places.len() < 1000, "each timeline has taken new memory");
}

#[test]
fn c1_c2_a_point_before_and_after_its_fence_exists() {
    let ring = Timeline::new("ring");
    assert!(ring.point(0).is_signaled());
    let first = ring.point(1);
    assert_eq!(ring.point(1), first, "asking again gives the same fence");
    let issued = jobs(&ring, 64);
    let points: Vec<_> = (1..=64).map(|n| ring.point(n)).collect();
    assert_eq!(points[0], first);
    for (job, point) in issued.into_iter().zip(&points) {
        assert!(!point.is_signaled());
        job.signal();
        assert!(point.is_signaled());
    }
    assert_eq!(ring.completed_seqno(), 64);
    assert!(ring.point(64).is_signaled());
    assert!(!ring.point(65).is_signaled());
}

#[test]
fn c5_a_point_in_a_gap_is_reached_by_the_next_fence() {
    let ring = Timeline::new("ring");
    for n in 0..64 {
        let job = ring.issue_at(2 * n + 2).expect("in range");
        let (gap, own, next) = (
            ring.point(2 * n + 1),
            ring.point(2 * n + 2),
            ring.point(2 * n + 3),
        );
        assert!(!gap.is_signaled() && !own.is_signaled());
        job.signal();
        assert!(gap.is_signaled() && own.is_signaled() && !next.is_signaled());
    }
}

#[test]
fn c7_signal_forward() {
    let ring = Timeline::new("ring");
    let issued = jobs(&ring, 64);
    let chains: Vec<_> = (1..=64)
        .map(|n| Fence::all(issued[..n].iter().map(Signaler::fence)).expect("not empty"))
        .collect();
    for (n, job) in issued.into_iter().enumerate() {
        assert!(!chains[n].is_signaled());
        job.signal();
        assert!(chains[n].is_signaled());
    }
}

#[test]
fn c8_signal_backward() {
    // Timelines of their own: fences of one timeline signal in order.
    let mut issued: Vec<_> = (0..64)
        .map(|_| Timeline::new("t").issue().expect("a seqno is left"))
        .collect();
    let chains: Vec<_> = (1..=64)
        .map(|n| Fence::all(issued[..n].iter().map(Signaler::fence)).expect("not empty"))
        .collect();
    while let Some(job) = issued.pop() {
        assert!(chains.iter().all(|chain| !chain.is_signaled()));
        job.signal();
    }
    assert!(chains.iter().all(Fence::is_signaled));
}

/// c9 to c11: a thread sleeps on all of 4096 fences that signal ascending, descending, shuffled.
#[test]
fn c9_c10_c11_wait_in_any_order() {
    for order in 0..3 {
        let mut issued: Vec<_> = (0..4096)
            .map(|_| Timeline::new("t").issue().expect("a seqno is left"))
            .collect();
        let every = Fence::all(issued.iter().map(Signaler::fence)).expect("not empty");
        let waiter = std::thread::spawn(move || every.wait(Some(Duration::from_secs(30))));
        match order {
            0 => {}
            1 => issued.reverse(),
            _ => {
                let mut random = 0x2545_F491_4F6C_DD1D_u64;
                for n in (1..issued.len()).rev() {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    issued.swap(n, (random % (n as u64 + 1)) as usize);
                }
            }
        }
        issued.into_iter().for_each(Signaler::signal);
        assert_eq!(waiter.join().expect("it ends"), Waited::Signaled);
    }
}

#[test]
fn a_point_fails_as_the_fence_at_its_place_and_as_no_other() {
    let ring = Timeline::new("ring");
    let points: Vec<_> = (1..=3).map(|seqno| ring.point(seqno)).collect();
    let (first, third) = (ring.issue_at(1), ring.issue_at(3));
    first.expect("in range").signal_error(FenceError::IO);
    drop(third);
    let expected = [
        FenceStatus::Error(FenceError::IO),
        FenceStatus::Signaled, // in a gap
        FenceStatus::Error(FenceError::CANCELED),
    ];
    assert!(points.iter().map(Fence::status).eq(expected));
    // What has been reached says no more than that.
    assert_eq!(ring.point(1).status(), FenceStatus::Signaled);
}

#[test]
fn points_of_a_timeline_supersede_each_other() {
    let ring = Timeline::new("ring");
    let points: Vec<_> = (1..=3).map(|seqno| ring.point(seqno)).collect();
    let job = ring.issue().expect("a seqno is left");
    assert_eq!(merge(&points), points[2]);
    assert_eq!(merge([&points[1], job.fence()]), points[1]);
    let key = |fence: &Fence| Key::new(fence, Usage::Write);
    assert!(UsageLevels.supersedes(key(&points[2]), key(&points[0])));
    assert!(UsageLevels.supersedes(key(&points[2]), key(job.fence())));
    assert!(!UsageLevels.supersedes(key(&points[0]), key(&points[2])));
    assert_eq!(points[2].to_string(), "ring:3");
    assert_eq!(points[2].is_later_than(job.fence()), Some(true));
}

#[test]
fn a_point_of_a_timeline_that_goes_away_is_cancelled() {
    let ring = Timeline::new("ring");
    let (near, far) = (ring.point(1), ring.point(9));
    let job = ring.issue().expect("a seqno is left");
    let other = ring.clone();
    drop(ring);
    assert!(!near.is_signaled() && !far.is_signaled());
    drop(other);
    assert!(!near.is_signaled() && !far.is_signaled());
    job.signal();
    assert_eq!(near.status(), FenceStatus::Signaled);
    assert_eq!(far.status(), FenceStatus::Error(FenceError::CANCELED));
}

/// Found by fuzzing: fences were handles of their timeline, so a composition that waits for a point could
/// keep the timeline by another child, and itself by its callbacks, for ever.
#[test]
fn a_composition_does_not_keep_the_timeline_of_a_point_that_it_waits_for() {
    for is_signaled in [false, true] {
        let ring = Timeline::new("ring");
        let job = ring.issue().expect("a seqno is left");
        let both = Fence::all([job.fence(), &ring.point(7)]).expect("not empty");
        let (runs, told) = std::sync::mpsc::channel();
        let registered = both.on_signal(move |status| runs.send(status).expect("somebody asks"));
        assert!(registered.is_ok());
        drop(both);
        let mut job = Some(job);
        if is_signaled {
            job.take().expect("once").signal();
        }
        drop(ring);
        if let Some(job) = job {
            assert!(told.try_recv().is_err());
            job.signal();
        }
        assert_eq!(
            told.try_recv(),
            Ok(FenceStatus::Error(FenceError::CANCELED))
        );
    }
}

#[test]
fn points_compose_and_are_signalled_by_callbacks() {
    let (ring, other) = (Timeline::new("ring"), Timeline::new("other"));
    let both = Fence::all([&ring.point(2), &other.point(1)]).expect("not empty");
    let mut issued = jobs(&ring, 2);
    let (second, first) = (issued.pop().expect("two"), issued.pop().expect("two"));
    assert!(first.fence().on_signal(move |_| second.signal()).is_ok());
    first.signal();
    assert!(!both.is_signaled());
    other.issue().expect("a seqno is left").signal();
    assert!(both.is_signaled());
}

/// No point is lost between a signaller and a thread that asks: each round ends only if it is found.
#[test]
fn stress_point_against_signal() {
    let ring = Timeline::new("ring");
    let start = Arc::new(Barrier::new(2));
    const ROUNDS: u64 = 5_000;
    let asker = {
        let (ring, start) = (ring.clone(), Arc::clone(&start));
        std::thread::spawn(move || {
            for n in 1..=ROUNDS {
                start.wait();
                let waited = ring.point(n).wait(Some(Duration::from_secs(20)));
                assert_eq!(waited, Waited::Signaled, "lost point {n}");
            }
        })
    };
    for _ in 1..=ROUNDS {
        let job = ring.issue().expect("a seqno is left");
        start.wait();
        job.signal();
    }
    asker.join().expect("it ends");
}
