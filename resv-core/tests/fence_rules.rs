//! The rules of fences, F-01 to F-10, that have no test of their own name elsewhere, and
//! Linux' self-tests of chains that are about what is left to wait for.
//!
//! | rule or self-test | where |
//! |---|---|
//! | F-01, F-03, F-04, F-08 | here |
//! | F-02, F-06, F-07; self-tests 7.1, `t1` to `t12` | `src/fence/tests.rs` |
//! | F-05 | `src/fence/loom_models.rs`, and the suite |
//! | F-09, F-10; self-tests 7.3, `u1` to `u10` | `src/fence/compose_tests.rs` |
//! | self-tests 7.2: `c3`, `c4`, `c6` | here |
//! | self-tests 7.2: `c1`, `c2`, `c5`, `c7` to `c11` | `src/fence/point_tests.rs` |

use resv_core::fence::{merge, unwrap};
use resv_core::{Fence, FenceError, FenceStatus, Signaler, Timeline, Waited};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("a seqno is left")
}

fn lone() -> Signaler {
    issue(&Timeline::new("lone"))
}

/// F-01: unsignalled, then signalled, once: a thread that has seen it signalled never sees it otherwise,
/// and every way of asking agrees. A second signal does not compile: the first takes the signaler.
#[test]
fn f_01_a_fence_signals_once_and_never_goes_back() {
    for _ in 0..200 {
        let job = lone();
        let fence = job.fence().clone();
        thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                while !fence.is_signaled() {
                    std::hint::spin_loop();
                }
                for _ in 0..50 {
                    assert!(fence.is_signaled());
                    assert_eq!(fence.status(), FenceStatus::Signaled);
                    assert_eq!(fence.wait(Some(Duration::ZERO)), Waited::Signaled);
                    assert!(fence.on_signal(|_| ()).is_err());
                }
            });
            job.signal();
            watcher.join().expect("it never goes back");
        });
    }
}

/// F-03: a thread that sees the signal sees all that belongs to it. (In Linux the time stamp comes a moment
/// later, and its reader spins; here the status is one word, and there is no other part.)
#[test]
fn f_03_the_signal_and_its_error_are_seen_together() {
    for _ in 0..200 {
        let job = lone();
        let fence = job.fence().clone();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !fence.is_signaled() {
                    std::hint::spin_loop();
                }
                assert_eq!(fence.status(), FenceStatus::Error(FenceError::IO));
            });
            job.signal_error(FenceError::IO);
        });
    }
}

/// F-04: an error is one of errno's numbers, and is not told before the signal.
#[test]
fn f_04_errors_are_in_range_and_come_with_the_signal() {
    for errno in [0, 4096, u16::MAX] {
        assert_eq!(FenceError::from_errno(errno), None, "{errno}");
    }
    for errno in [1, 5, 110, 4095] {
        let error = FenceError::from_errno(errno).expect("in range");
        let job = lone();
        let fence = job.fence().clone();
        assert_eq!(fence.status(), FenceStatus::Pending);
        assert_eq!(fence.wait(Some(Duration::ZERO)), Waited::TimedOut);
        job.signal_error(error);
        assert_eq!(fence.status(), FenceStatus::Error(error));
        assert_eq!(fence.wait(None), Waited::Failed(error));
    }
}

/// F-08: a reference that is got without a lock is of a fence that was in the slot at some instant of
/// the call; with another look at the slot it is so even if the memory has become another fence. Known
/// bad: the reference without that look. It is shown to get a stranger.
#[test]
fn f_08_a_reference_is_of_what_was_in_the_slot() {
    let timeline = Timeline::new("slot");
    let (cell, first) = {
        let job = issue(&timeline);
        (job.fence().cell(), job.fence().cell().key_parts())
    };
    // The slot's fence is gone. Its cell becomes other fences, sooner or later.
    let mut strangers = Vec::new();
    let stranger = loop {
        strangers.push(lone());
        if let Some(fence) = Fence::try_acquire(cell) {
            break fence;
        }
        assert!(strangers.len() < 1 << 20, "the cell is used again");
    };
    // Without looking again this would be taken for the fence of the slot.
    assert_ne!(stranger.cell().key_parts(), first);

    // With it, a reader only ever has fences of the slot's timeline, each at most as old as the last
    // that it saw.
    let slot = Mutex::new(issue(&timeline).fence().clone());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = 0;
            while !stop.load(Ordering::Relaxed) {
                let fence = slot.lock().expect("not poisoned").clone();
                assert_eq!(fence.timeline_id(), timeline.id());
                assert!(fence.seqno() >= last);
                last = fence.seqno();
            }
        });
        for _ in 0..2_000 {
            let job = issue(&timeline);
            *slot.lock().expect("not poisoned") = job.fence().clone();
            job.signal();
            drop(lone());
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Self-test find_signaled: two links, the first signalled: nothing is left of the first point to be
/// waited for, and of both the second.
#[test]
fn c3_find_signaled() {
    let (first, second) = (lone(), lone());
    let (a, b) = (first.fence().clone(), second.fence().clone());
    first.signal();
    assert!(merge([&a]).is_signaled());
    assert_eq!(merge([&a, &b]), b);
    let ring = Timeline::new("ring");
    let (one, _two) = (issue(&ring), issue(&ring));
    one.signal();
    assert!(ring.point(1).is_signaled());
    assert!(!ring.point(2).is_signaled());
}

/// Self-test find_out_of_order: of three links the middle one has signalled: what is left to be waited
/// for of the first two is exactly the first.
#[test]
fn c4_find_out_of_order() {
    let jobs = [lone(), lone(), lone()];
    let fences = jobs.each_ref().map(|job| job.fence().clone());
    let [_first, middle, _last] = jobs;
    let every = Fence::all(&fences).expect("not empty");
    middle.signal();
    assert_eq!(merge(&fences[..2]), fences[0]);
    assert_eq!(
        unwrap(&merge([&every])),
        [fences[0].clone(), fences[2].clone()]
    );
    assert!(!every.is_signaled());
}

/// Self-test find_race: threads ask for random points and wait for some while fences signal; asking
/// never fails, and no point is signalled before it has been reached.
#[test]
fn c6_find_race() {
    const FENCES: u64 = 2_000;
    let ring = Timeline::new("ring");
    let jobs: Vec<_> = (0..FENCES).map(|_| issue(&ring)).collect();
    let (called, registered) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    thread::scope(|scope| {
        for seed in 1..=3_u64 {
            let (ring, called, registered) = (&ring, &called, &registered);
            scope.spawn(move || {
                let mut random = seed * 0x9E37_79B9;
                while ring.completed_seqno() < FENCES {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let seqno = random % FENCES + 1;
                    let point = ring.point(seqno);
                    if point.is_signaled() {
                        assert!(ring.completed_seqno() >= seqno);
                    }
                    let count = Arc::clone(called);
                    let counts = move |_| {
                        count.fetch_add(1, Ordering::Relaxed);
                    };
                    if point.on_signal(counts).is_ok() {
                        registered.fetch_add(1, Ordering::Relaxed);
                    }
                    thread::yield_now();
                }
            });
        }
        jobs.into_iter().for_each(Signaler::signal);
    });
    assert_eq!(
        called.load(Ordering::Relaxed),
        registered.load(Ordering::Relaxed)
    );
    assert!((1..=FENCES).all(|seqno| ring.point(seqno).is_signaled()));
}
