//! One answer whatever the back end: the same history on all of them, with signalled entries that one
//! back end still stores and another has dropped.
//!
//! What is asked is everything that the public interface can answer about an object in which fences
//! have failed: each way to wait, with a thread, a future, a descriptor and the object-safe form; the
//! lists and their order; the descriptions.

#[macro_use]
mod each;

use resv_api::*;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

const EIO: FenceError = FenceError::IO;
const ENODEV: FenceError = match FenceError::from_errno(19) {
    Some(error) => error,
    None => panic!("19 is an errno"),
};

fn job(timeline: &Timeline) -> Signaler {
    timeline.issue().unwrap()
}

fn add<S: Semantics, B: Backend>(resv: &Resv<S, B>, job: &Signaler, usage: Usage) {
    let mut guard = resv.lock();
    guard.reserve(1).unwrap().add(job.fence(), usage);
}

/// How a wait that nothing is left for ends, asked in every way that never sleeps.
fn all_ways<B: Backend>(
    resv: &Resv<SemanticsKind, B>,
    snapshot: &Snapshot<SemanticsKind, B>,
    access: Access,
) -> Vec<Waited> {
    let narrowed = snapshot.clone().narrow(access);
    let object: &dyn Reservation = resv;
    let poll = |future: WaitFuture| match pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(waited) => waited,
        Poll::Pending => Waited::TimedOut,
    };
    let any = [
        wait_any(&[&narrowed], None),
        wait_any(&[resv.waits_for(access)], None),
    ];
    #[allow(unused_mut, reason = "more ways are added with the feature fd")]
    let mut all = vec![
        resv.wait(access, None),
        resv.wait_until_idle(access, None),
        object.wait(access, None),
        poll(resv.wait_async(access)),
        resv.waits_for(access).wait(None),
        narrowed.wait(None),
        narrowed.wait(Duration::ZERO),
        poll(narrowed.when_signaled()),
        wait_all(&narrowed, None),
        wait_all(&[&narrowed, &narrowed], None),
        wait_all(&(&narrowed, Fence::signaled()), None),
        any[0].waited(),
        any[1].waited(),
    ];
    #[cfg(feature = "fd")]
    for readiness in [
        resv.readiness(access).unwrap(),
        narrowed.readiness().unwrap(),
        vec![narrowed.clone()].readiness().unwrap(),
    ] {
        all.push(match readiness {
            Readiness::Already(waited) => waited,
            Readiness::Fd(fd) => fd.outcome().unwrap_or(Waited::TimedOut),
        });
    }
    all
}

/// The breach: a fence failed, then a wait began. Back ends that still stored the entry reported the
/// error, the others did not, and a look or an unrelated add changed the answer.
fn what_signalled_before_is_not_part_of_a_wait<B: Backend + Default>(semantics: SemanticsKind) {
    for (looked, edited) in [(false, false), (true, false), (false, true), (true, true)] {
        let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
        let resv = Resv::with(semantics, B::default());
        let failing = job(&gfx);
        add(&resv, &failing, Usage::Write);
        let before = resv.snapshot();
        failing.signal_error(EIO);
        if looked {
            assert!(resv.is_idle(Access::Move));
        }
        if edited {
            let done = job(&dma);
            add(&resv, &done, Usage::Bookkeep);
            done.signal();
        }
        for snapshot in [&before, &resv.snapshot()] {
            for access in Access::ALL {
                let ways = all_ways(&resv, snapshot, access);
                let name = resv.backend().name();
                assert_eq!(ways, vec![Waited::Signaled; ways.len()], "{name} {access}");
            }
            assert_eq!(snapshot.iter().count(), 0);
            assert_eq!(snapshot.describe(), Description::default());
            assert_eq!(format!("{snapshot:?}"), "[]");
        }
        assert_eq!(resv.describe(), Ok(Description::default()));
        assert_eq!(resv.lock().entries(), []);
        let object: &dyn Reservation = &resv;
        assert_eq!(object.entries(), Ok(vec![]));
        assert_eq!(resv.visit(Access::Move, 0, |count, _| count + 1), 0);
    }
}

#[test]
fn b9_what_signalled_before_a_wait_is_not_part_of_it_on_any_back_end() {
    on_each!(what_signalled_before_is_not_part_of_a_wait);
}

/// A fence that the caller names is part of the wait, whatever its state.
#[test]
fn the_errors_of_fences_that_the_caller_names_are_reported() {
    let failing = job(&Timeline::new("gfx"));
    let resv = Resv::new();
    add(&resv, &failing, Usage::Write);
    let (fence, snapshot) = (failing.fence().clone(), resv.snapshot());
    failing.signal_error(EIO);
    let failed = Waited::Failed(EIO);
    assert_eq!(wait_all(&fence, None), failed);
    assert_eq!(wait_all(&(&snapshot, &fence), None), failed);
    assert_eq!(wait_any(&[&fence], None), WaitedAny::Failed(0, EIO));
    assert_eq!(snapshot.wait(None), Waited::Signaled);
}

/// Fences that fail during the wait are part of it; of two errors the order of the description
/// decides, and not the order of storage.
fn the_first_error_is_the_same<B: Backend + Default>(semantics: SemanticsKind) {
    let timelines = ["old", "mid", "new"].map(Timeline::new);
    // Added in this order; signalled entries lie in between.
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let resv = Resv::with(semantics, B::default());
        let mut jobs: Vec<Option<Signaler>> = timelines.iter().map(|t| Some(job(t))).collect();
        for at in order {
            let done = job(&Timeline::new("done"));
            add(&resv, &done, Usage::Read);
            done.signal_error(FenceError::CANCELED);
            add(&resv, jobs[at].as_ref().unwrap(), Usage::Read);
        }
        let (snapshot, access) = (resv.snapshot(), Access::Write);
        thread::scope(|scope| {
            let waits: Vec<thread::ScopedJoinHandle<'_, Waited>> = vec![
                scope.spawn(|| resv.wait(access, None)),
                scope.spawn(|| resv.wait_until_idle(access, None)),
                scope.spawn(|| snapshot.wait(None)),
                scope.spawn(|| wait_any(&[&snapshot], None).waited()),
                scope.spawn(|| (&resv as &dyn Reservation).wait(access, None)),
            ];
            let mut future = pin!(resv.wait_async(access));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut cx).is_pending());
            #[cfg(feature = "fd")]
            let Readiness::Fd(fd) = resv.readiness(access).unwrap() else {
                panic!("three fences are pending");
            };
            // Only this test registers anything for longer than a moment.
            let waiters = waits.len() + 1 + usize::from(cfg!(feature = "fd"));
            while fence::registrations() < 3 * waiters {
                thread::yield_now();
            }
            // The newest fails first, and the oldest last.
            jobs[2].take().unwrap().signal_error(EIO);
            jobs[1].take().unwrap().signal_error(ENODEV);
            jobs[0].take().unwrap().signal();
            for wait in waits {
                assert_eq!(
                    wait.join().unwrap(),
                    Waited::Failed(ENODEV),
                    "{}",
                    resv.backend().name()
                );
            }
            let ended = future.as_mut().poll(&mut cx);
            assert_eq!(
                ended,
                Poll::Ready(Waited::Failed(ENODEV)),
                "{}",
                resv.backend().name()
            );
            #[cfg(feature = "fd")]
            assert_eq!(fd.outcome(), Some(Waited::Failed(ENODEV)));
        });
    }
}

#[test]
fn of_several_errors_every_back_end_reports_the_same() {
    on_each!(the_first_error_is_the_same);
}

/// Lists have one order, whatever the order of storage.
fn lists_are_in_order<B: Backend + Default>(semantics: SemanticsKind) {
    let (old, new) = (Timeline::new("old"), Timeline::new("new"));
    let resv = Resv::with(semantics, B::default());
    let jobs = [job(&new), job(&old), job(&Timeline::new("newest"))];
    let done = job(&Timeline::new("done"));
    add(&resv, &done, Usage::Bookkeep);
    for job in &jobs {
        add(&resv, job, Usage::Read);
    }
    done.signal();
    let sorted = [&jobs[1], &jobs[0], &jobs[2]].map(|job| job.fence().clone());
    let fences = |entries: Vec<Entry>| -> Vec<Fence> {
        entries.into_iter().map(|entry| entry.fence).collect()
    };
    let object: &dyn Reservation = &resv;
    assert_eq!(
        fences(resv.lock().entries()),
        sorted,
        "{}",
        resv.backend().name()
    );
    assert_eq!(
        fences(object.entries().unwrap()),
        sorted,
        "{}",
        resv.backend().name()
    );
    assert_eq!(fences(object.waits_for(Access::Write).unwrap()), sorted);
    let described = resv.describe().unwrap().entries;
    let described: Vec<_> = described.iter().map(|line| line.timeline_id).collect();
    assert_eq!(described, sorted.clone().map(|fence| fence.timeline_id()));
}

#[test]
fn every_back_end_lists_in_the_same_order() {
    on_each!(lists_are_in_order);
}
