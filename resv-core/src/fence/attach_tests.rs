//! Places that are attached and counted, waits for submission, ends with an error, lost devices: what
//! sync objects ask of a timeline, and what the chain self-tests of Linux say about chains.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const LOST: FenceStatus = FenceStatus::Error(FenceError::IO);

fn issue() -> Signaler {
    Timeline::new("job").issue().expect("a seqno is left")
}

fn issue_many(count: usize) -> Vec<Signaler> {
    (0..count).map(|_| issue()).collect()
}

fn chain() -> Timeline {
    Timeline::new("chain")
}

fn attach(chain: &Timeline, seqno: u64, job: &Signaler) {
    chain.attach(seqno, job.fence()).expect("attached");
}

#[test]
fn a_place_is_reached_when_its_fence_and_all_earlier_ones_have_signalled() {
    let (chain, jobs) = (chain(), issue_many(3));
    let early = chain.point(2);
    for (seqno, job) in (1..).zip(&jobs) {
        attach(&chain, seqno, job);
    }
    let points: Vec<_> = (1..=4).map(|seqno| chain.point(seqno)).collect();
    assert_eq!(points[1], early);
    let signaled = || points.iter().filter(|point| point.is_signaled()).count();
    let [first, second, third] = jobs.try_into().expect("three");
    second.signal();
    assert_eq!((signaled(), chain.completed_seqno()), (0, 0));
    first.signal();
    assert_eq!((signaled(), chain.completed_seqno()), (2, 2));
    third.signal_error(FenceError::IO);
    assert_eq!((signaled(), chain.completed_seqno()), (3, 3));
    assert_eq!(points[2].status(), LOST);
    assert_eq!(points[3].status(), FenceStatus::Pending);
}

/// find_gap: places 2, 4, .. 128 are attached; a place in between is reached with the next one.
#[test]
fn c5_a_place_in_a_gap_is_reached_with_the_next_one() {
    let (chain, jobs) = (chain(), issue_many(64));
    for (n, job) in (0..).zip(&jobs) {
        attach(&chain, 2 * n + 2, job);
    }
    for (n, job) in (0..).zip(jobs) {
        let (gap, own) = (chain.point(2 * n + 1), chain.point(2 * n + 2));
        assert!(!gap.is_signaled() && !own.is_signaled());
        job.signal();
        assert!(gap.is_signaled() && own.is_signaled());
    }
}

/// signal_forward, signal_backward, and 4,096 links in random order.
#[test]
fn c7_c8_c11_the_fences_of_a_chain_signal_in_any_order() {
    for order in 0..3 {
        let (chain, mut jobs) = (chain(), issue_many(4096));
        for (seqno, job) in (1..).zip(&jobs) {
            attach(&chain, seqno, job);
        }
        let last = chain.point(4096);
        match order {
            0 => {}
            1 => jobs.reverse(),
            _ => {
                let mut random = 0x2545_F491_4F6C_DD1D_u64;
                for n in (1..jobs.len()).rev() {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    jobs.swap(n, (random % (n as u64 + 1)) as usize);
                }
            }
        }
        for job in jobs {
            assert!(!last.is_signaled());
            job.signal();
        }
        assert_eq!(last.status(), FenceStatus::Signaled);
    }
}

#[test]
fn a_fence_that_has_signalled_is_attached_with_its_error() {
    let (chain, held) = (chain(), issue());
    let point = chain.point(2);
    attach(&chain, 1, &held);
    let failed = issue();
    let fence = failed.fence().clone();
    failed.signal_error(FenceError::IO);
    chain.attach(2, &fence).expect("attached");
    // Asked for before and after it was attached.
    assert_eq!(chain.point(2), point);
    assert_eq!(point.status(), FenceStatus::Pending);
    held.signal();
    assert_eq!(point.status(), LOST);
    chain.attach(3, &Fence::signaled()).expect("attached");
    assert_eq!(chain.completed_seqno(), 3);
}

#[test]
fn an_earlier_place_may_be_attached_later_unless_it_has_been_reached() {
    let (chain, a, b, c) = (chain(), issue(), issue(), issue());
    attach(&chain, 7, &a);
    attach(&chain, 3, &b);
    attach(&chain, 7, &c); // a second fence for the same place
    let (third, seventh) = (chain.point(3), chain.point(7));
    a.signal();
    assert_eq!(chain.completed_seqno(), 0);
    b.signal();
    assert_eq!(chain.completed_seqno(), 3);
    assert!(third.is_signaled() && !seventh.is_signaled());
    c.signal_error(FenceError::IO);
    assert_eq!(seventh.status(), LOST);
    let late = chain.attach(7, &third);
    assert_eq!(late, Err(SeqnoError::Reached(7)));
    for seqno in [0, u64::MAX] {
        let wrong = chain.attach(seqno, &third);
        assert_eq!(wrong, Err(SeqnoError::OutOfRange(seqno)), "{seqno}");
    }
}

#[test]
fn a_place_cannot_wait_for_itself_but_for_an_earlier_one() {
    let chain = chain();
    let job = chain.issue().expect("a seqno is left");
    let circular = chain.attach(2, &chain.point(2));
    assert_eq!(circular, Err(SeqnoError::Circular(2)));
    chain.attach(3, &chain.point(1)).expect("attached");
    let third = chain.point(3);
    job.signal();
    assert!(third.is_signaled());
}

/// Timelines of which each is attached to a point of the one before.
#[test]
fn a_chain_of_timelines_needs_no_stack() {
    let length = 100_000;
    let thread = std::thread::Builder::new().stack_size(128 * 1024);
    let run = thread.spawn(move || {
        for is_dropped in [false, true] {
            let job = issue();
            let mut last = job.fence().clone();
            let mut chains = Vec::new();
            for _ in 0..length {
                let chain = chain();
                chain.attach(1, &last).expect("attached");
                last = chain.point(1);
                chains.push(chain);
            }
            drop(chains);
            assert!(!last.is_signaled());
            match is_dropped {
                false => job.signal(),
                true => drop(job),
            }
            let canceled = FenceStatus::Error(FenceError::CANCELED);
            let expected = [FenceStatus::Signaled, canceled][usize::from(is_dropped)];
            assert_eq!(last.status(), expected);
        }
    });
    run.expect("a thread").join().expect("the stack was enough");
}

#[test]
fn a_timeline_that_goes_away_leaves_what_it_was_attached_to() {
    let job = issue();
    let (seen, chain) = (chain(), chain());
    attach(&chain, 1, &job);
    attach(&seen, 1, &job);
    let watchers = || {
        let extra = job.fence().cell().extra().lock();
        extra.as_ref().map_or(0, |extra| extra.watchers.len())
    };
    assert_eq!(watchers(), 2);
    drop(chain);
    assert_eq!(watchers(), 1);
    // With a point that is kept, it stays as long as that is pending.
    let point = seen.point(1);
    drop(seen);
    assert_eq!(watchers(), 1);
    job.signal_error(FenceError::IO);
    assert_eq!(point.status(), LOST);
}

#[test]
fn waiting_for_a_place_asks_what_it_and_earlier_ones_are_attached_to() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let lazy = |name: u64| {
        let calls = Arc::clone(&calls);
        let hook = move || calls.lock().expect("not poisoned").push(name);
        Timeline::new("lazy")
            .issue_lazy(hook)
            .expect("a seqno is left")
    };
    let (chain, jobs) = (chain(), [1, 2, 3, 4].map(lazy));
    attach(&chain, 1, &jobs[0]);
    attach(&chain, 2, &jobs[1]);
    attach(&chain, 4, &jobs[3]);
    let point = chain.point(3);
    assert!(!point.is_signaled());
    let called = || calls.lock().expect("not poisoned").clone();
    assert!(called().is_empty(), "to attach and to look is not to wait");
    assert_eq!(point.wait(Some(Duration::from_millis(1))), Waited::TimedOut);
    assert_eq!(called(), [1, 2]);
    attach(&chain, 3, &jobs[2]); // it is waited for already
    assert_eq!(called(), [1, 2, 3]);
    let all = Fence::all([&chain.point(9)]).expect("not empty");
    assert_eq!(all.wait(Some(Duration::from_millis(1))), Waited::TimedOut);
    assert_eq!(called(), [1, 2, 3, 4]);
}

#[test]
fn deadlines_reach_what_is_attached_now_and_later() {
    let now = Instant::now();
    let at = |ms| now + Duration::from_millis(ms);
    let (chain, jobs) = (chain(), issue_many(5));
    attach(&chain, 1, &jobs[0]);
    chain.point(2).set_deadline(at(20));
    chain.point(4).set_deadline(at(30));
    chain.point(3).set_deadline(at(40)); // a later place has a sooner one
    attach(&chain, 2, &jobs[1]);
    attach(&chain, 3, &jobs[2]);
    attach(&chain, 5, &jobs[4]);
    let deadlines = || -> Vec<_> { jobs.iter().map(Signaler::deadline).collect() };
    let expected = [Some(at(20)), Some(at(20)), Some(at(30)), None, None];
    assert_eq!(deadlines(), expected);
    chain.point(4).set_deadline(at(10));
    attach(&chain, 4, &jobs[3]);
    let soon = Some(at(10));
    assert_eq!(deadlines(), [soon, soon, soon, soon, None]);
}

#[test]
fn a_counted_timeline_signals_in_order_up_to_the_count() {
    let ring = Timeline::new("ring");
    let fences: Vec<_> = (0..5)
        .map(|_| ring.issue_counted().expect("a seqno is left"))
        .collect();
    let log = Arc::new(Mutex::new(Vec::new()));
    for fence in &fences {
        let (log, seqno) = (Arc::clone(&log), fence.seqno());
        let write = move |_| log.lock().expect("not poisoned").push(seqno);
        assert!(fence.on_signal(write).is_ok());
    }
    assert!(ring.set_error(2, FenceError::IO));
    ring.signal_up_to(3).expect("issued");
    ring.signal_up_to(1).expect("going back does nothing");
    assert_eq!(*log.lock().expect("not poisoned"), [1, 2, 3]);
    assert_eq!(fences[1].status(), LOST);
    assert_eq!((ring.last_seqno(), ring.completed_seqno()), (5, 3));
    assert!(!ring.set_error(3, FenceError::IO) && !ring.set_error(9, FenceError::IO));
    ring.signal_up_to(8).expect("a count may run ahead");
    assert_eq!((ring.last_seqno(), ring.completed_seqno()), (8, 8));
    // Nobody can count any more.
    let left = ring.issue_counted().expect("a seqno is left");
    drop(ring);
    assert_eq!(left.status(), FenceStatus::Error(FenceError::CANCELED));
}

/// A place that nobody is left to count holds up none behind it, whether that was done before or after.
#[test]
fn a_place_behind_one_that_is_never_counted_is_reached() {
    for is_done_before in [true, false] {
        let (chain, job) = (chain(), issue());
        let counted = chain.issue_counted().expect("a seqno is left");
        let (between, at) = (chain.point(2), chain.point(3));
        attach(&chain, 3, &job);
        if is_done_before {
            job.signal();
            assert!(!between.is_signaled() && !at.is_signaled());
            drop(chain);
        } else {
            drop(chain);
            job.signal();
        }
        assert_eq!(counted.status(), FenceStatus::Error(FenceError::CANCELED));
        for point in [between, at] {
            assert_eq!(point.status(), FenceStatus::Signaled, "{is_done_before}");
        }
    }
}

#[test]
fn counted_attached_and_issued_places_get_along() {
    let ring = Timeline::new("ring");
    let counted = ring.issue_counted().expect("a seqno is left"); // 1
    let job = issue();
    attach(&ring, 2, &job);
    let behind = ring.issue_counted().expect("a seqno is left"); // 3
    let issued = ring.issue().expect("a seqno is left"); // 4
    ring.signal_up_to(3).expect("issued");
    assert!(counted.is_signaled() && !behind.is_signaled());
    job.signal();
    assert!(behind.is_signaled());
    let uncounted = ring.issue_counted().expect("a seqno is left"); // 5
    let (at, after) = (ring.point(4), ring.point(6));
    drop(ring);
    for point in [&uncounted, &after, &at] {
        assert_eq!(point.status(), FenceStatus::Pending, "a place before it");
    }
    issued.signal();
    assert_eq!(at.status(), FenceStatus::Signaled);
    let canceled = FenceStatus::Error(FenceError::CANCELED);
    assert_eq!([uncounted.status(), after.status()], [canceled; 2]);
}

/// Found by fuzzing: a point stands for all fences before it, so it must not fail before these signal. Each
/// kind of last place in turn.
#[test]
fn a_point_behind_the_end_outlasts_what_is_before_it() {
    type Ends = fn(Timeline);
    let ends: [(Ends, FenceError); 3] = [
        (|ring| drop(ring), FenceError::CANCELED),
        (|ring| ring.close(FenceError::IO), FenceError::IO),
        (
            |ring| {
                ring.issue_counted().expect("a seqno is left");
                drop(ring);
            },
            FenceError::CANCELED,
        ),
    ];
    for (end, error) in ends {
        let issued = Timeline::new("issued");
        let job = issued.issue().expect("a seqno is left");
        let attached = Timeline::new("attached");
        attach(&attached, 1, &job);
        let held = Timeline::new("held");
        let counted = held.issue_counted().expect("a seqno is left");
        attach(&held, 1, &job);
        let pending = held.issue().expect("a seqno is left");
        let points = [issued.point(9), attached.point(9), held.point(9)];
        let all = merge([job.fence(), &points[0]]);
        for ring in [issued, attached, held] {
            end(ring);
        }
        for point in &points {
            assert_eq!(point.status(), FenceStatus::Pending);
        }
        assert!(!all.is_signaled());
        job.signal();
        assert_eq!(all.status(), FenceStatus::Error(error));
        for point in &points[..2] {
            assert_eq!(point.status(), FenceStatus::Error(error));
        }
        assert_eq!(points[2].status(), FenceStatus::Pending);
        pending.signal();
        assert_eq!(points[2].status(), FenceStatus::Error(error));
        assert!(counted.is_signaled());
    }
}

/// Places that are left uncounted do not hold up what is behind them, nor go before what is before them.
#[test]
fn places_that_are_never_counted_keep_their_order() {
    let ring = Timeline::new("ring");
    let count = || ring.issue_counted().expect("a seqno is left");
    let first = [count(), count()];
    let job = issue();
    attach(&ring, 2, &job); // beside the count
    let between = [count(), count()];
    let issued = ring.issue().expect("a seqno is left"); // 5
    let last = count();
    drop(ring);
    let canceled = FenceStatus::Error(FenceError::CANCELED);
    let statuses = |fences: &[Fence]| fences.iter().map(Fence::status).collect::<Vec<_>>();
    assert_eq!(
        statuses(&first),
        [canceled, FenceStatus::Pending],
        "1 at once; 2 is attached"
    );
    assert_eq!(statuses(&between), [FenceStatus::Pending; 2]);
    job.signal();
    assert_eq!(statuses(&first), [canceled; 2]);
    issued.signal();
    assert_eq!(statuses(&between), [canceled; 2]);
    assert_eq!(last.status(), canceled);
}

#[test]
fn submission_is_seen_whatever_is_submitted() {
    let ring = Timeline::new("ring");
    let submitted: Vec<_> = (1..=5).map(|seqno| ring.submitted(seqno)).collect();
    let count = || submitted.iter().filter(|fence| fence.is_signaled()).count();
    assert_eq!(merge(&submitted), submitted[4], "the latest stands for all");
    let issued = ring.issue().expect("a seqno is left");
    assert_eq!(count(), 1);
    let job = issue();
    attach(&ring, 2, &job);
    assert_eq!(count(), 2);
    let lazy = ring.issue_lazy(|| ()).expect("a seqno is left");
    assert_eq!(count(), 3);
    let at = ring.issue_at(4).expect("in range");
    assert_eq!(count(), 4);
    ring.issue_counted().expect("a seqno is left");
    assert_eq!(count(), 5);
    assert!(ring.submitted(5).is_signaled());
    let sixth = ring.submitted(6);
    ring.signal_up_to(6).expect("a count may run ahead");
    assert!(sixth.is_signaled());
    drop((issued, lazy, at));
    let never = ring.submitted(7);
    drop(ring);
    assert_eq!(never.status(), FenceStatus::Error(FenceError::CANCELED));
}

#[test]
fn closing_fails_what_nobody_has_promised() {
    let ring = Timeline::new("ring");
    let (job, counted) = (ring.issue(), ring.issue_counted());
    let (job, counted) = (
        job.expect("a seqno is left"),
        counted.expect("a seqno is left"),
    );
    let (promised, never) = (ring.point(1), ring.point(3));
    let (submitted, waits) = (ring.submitted(2), ring.submitted(3));
    ring.close(FenceError::IO);
    ring.close(FenceError::CANCELED); // does nothing
    let later = ring.point(9);
    for point in [&never, &later] {
        assert_eq!(point.status(), FenceStatus::Pending, "a place before it");
    }
    assert_eq!([waits.status(), ring.submitted(9).status()], [LOST; 2]);
    assert!(submitted.is_signaled() && !promised.is_signaled());
    let refused = [
        ring.issue().map(drop),
        ring.issue_at(2).map(drop),
        ring.issue_lazy(|| ()).map(drop),
        ring.issue_counted().map(drop),
        ring.attach(4, &Fence::signaled()),
        ring.signal_up_to(3),
    ];
    assert_eq!(refused, [Err(SeqnoError::Closed); 6]);
    assert_eq!(ring.last_seqno(), 2);
    job.signal();
    ring.signal_up_to(2).expect("issued");
    assert!(promised.is_signaled() && counted.is_signaled());
    let at_last = ring.point(7);
    for point in [never, later, at_last] {
        assert_eq!(point.status(), LOST);
    }
}

#[test]
fn a_lost_device_fails_everything_in_order_and_once() {
    let ring = Timeline::new("ring");
    let done = ring.issue().expect("a seqno is left"); // 1
    let jobs: Vec<_> = (2..=40)
        .map(|_| ring.issue().expect("a seqno is left"))
        .collect();
    let counted = ring.issue_counted().expect("a seqno is left"); // 41
    let (foreign, other) = (issue(), Timeline::new("other").issue());
    attach(&ring, 42, &foreign);
    let (attached, ahead, in_gap) = (ring.point(42), ring.point(43), ring.point(5));
    done.signal();
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut watched: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
    watched.extend([counted, attached]);
    watched.reverse();
    for fence in &watched {
        let (log, seqno) = (Arc::clone(&log), fence.seqno());
        let write = move |status| {
            assert_eq!(status, LOST);
            log.lock().expect("not poisoned").push(seqno);
        };
        assert!(fence.on_signal(write).is_ok());
    }
    ring.fail_all(FenceError::IO);
    let order: Vec<u64> = (2..=42).collect();
    assert_eq!(*log.lock().expect("not poisoned"), order);
    assert_eq!((in_gap.status(), ring.completed_seqno()), (LOST, 42));
    assert_eq!(ahead.status(), FenceStatus::Pending);
    assert!(!foreign.fence().is_signaled());
    assert!(!other.expect("a seqno is left").fence().is_signaled());
    // Too late; and the timeline goes on.
    for job in jobs {
        assert_eq!(job.deadline(), None);
        job.on_deadline(|_| ());
        job.signal();
    }
    foreign.signal();
    ring.issue().expect("a seqno is left").signal();
    assert_eq!(ahead.status(), FenceStatus::Signaled);
    assert_eq!(log.lock().expect("not poisoned").len(), 41);
}

#[test]
fn a_callback_that_panics_does_not_keep_a_lost_device_from_failing_the_rest() {
    let ring = Timeline::new("ring");
    let jobs: Vec<_> = (0..3)
        .map(|_| ring.issue().expect("a seqno is left"))
        .collect();
    assert!(jobs[0].fence().on_signal(|_| panic!("a callback")).is_ok());
    let run = std::panic::AssertUnwindSafe(|| ring.fail_all(FenceError::IO));
    assert!(std::panic::catch_unwind(run).is_err());
    assert!(jobs.iter().all(|job| job.fence().status() == LOST));
}

/// Signallers and a lost device at once: each fence signals once, and each callback runs once.
#[test]
fn stress_signal_against_fail_all() {
    let runs = Arc::new(AtomicUsize::new(0));
    for _ in 0..300 {
        let ring = Timeline::new("ring");
        let jobs: Vec<_> = (0..20)
            .map(|_| ring.issue().expect("a seqno is left"))
            .collect();
        for job in &jobs {
            let runs = Arc::clone(&runs);
            let count = move |_| {
                runs.fetch_add(1, Ordering::Relaxed);
            };
            assert!(job.fence().on_signal(count).is_ok());
        }
        std::thread::scope(|scope| {
            scope.spawn(|| ring.fail_all(FenceError::IO));
            scope.spawn(|| jobs.into_iter().for_each(Signaler::signal));
        });
        assert_eq!(ring.completed_seqno(), 20);
    }
    assert_eq!(runs.load(Ordering::Relaxed), 300 * 20);
}

/// Attaching against the fences' signals and against threads that ask: no place is lost.
#[test]
fn stress_attach_against_signal() {
    for _ in 0..300 {
        let (chain, jobs) = (chain(), issue_many(16));
        let fences: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| jobs.into_iter().for_each(Signaler::signal));
            scope.spawn(|| {
                for (seqno, fence) in (1..).zip(&fences) {
                    chain.attach(seqno, fence).expect("attached");
                }
            });
            let chain = &chain;
            scope.spawn(move || {
                for seqno in 1..=16 {
                    let asked = chain.submitted(seqno).wait(Some(Duration::from_secs(20)));
                    assert_eq!(asked, Waited::Signaled, "lost submission {seqno}");
                    let reached = chain.point(seqno).wait(Some(Duration::from_secs(20)));
                    assert_eq!(reached, Waited::Signaled, "lost point {seqno}");
                }
            });
        });
        assert_eq!(chain.completed_seqno(), 16);
    }
}
