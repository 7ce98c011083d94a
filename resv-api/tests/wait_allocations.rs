//! What a wait allocates: nothing if there is nothing to sleep for, and nothing that stays.

#[path = "../../resv-rcu-array/tests/common/mod.rs"]
mod common;

use common::{balance, counted};
use resv_api::*;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn allocations<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let (result, allocated, _) = counted(run);
    (allocated, result)
}

fn object() -> (Resv<UsageLevels, Locked>, Signaler) {
    let resv = Resv::default();
    let job = Timeline::new("gfx").issue().unwrap();
    resv.lock()
        .reserve(1)
        .unwrap()
        .add(job.fence(), Usage::Write);
    (resv, job)
}

#[test]
fn signalled_futures_resolve_on_the_first_poll_without_allocating() {
    let (resv, job) = object();
    let snapshot = resv.snapshot();
    let fence = job.fence().clone();
    job.signal();
    let (allocations, polls) = allocations(|| {
        let mut cx = Context::from_waker(Waker::noop());
        [
            Pin::new(&mut fence.when_signaled()).poll(&mut cx),
            Pin::new(&mut snapshot.when_signaled()).poll(&mut cx),
        ]
    });
    assert_eq!(polls, [Poll::Ready(Waited::Signaled); 2]);
    assert_eq!(allocations, 0);
}

#[test]
fn polls_and_idle_objects_allocate_nothing() {
    let (resv, job) = object();
    let fence = job.fence().clone();
    let zero = Duration::ZERO;
    let (polling, _) = allocations(|| {
        assert_eq!(resv.wait(Access::Write, zero), Waited::TimedOut);
        assert_eq!(resv.wait_until_idle(Access::Write, zero), Waited::TimedOut);
        assert_eq!(wait_all(&fence, zero), Waited::TimedOut);
        assert_eq!(wait_any(&[&fence], zero), WaitedAny::TimedOut);
    });
    job.signal();
    let (idle, _) = allocations(|| {
        assert_eq!(resv.wait(Access::Write, None), Waited::Signaled);
        assert_eq!(resv.wait_until_idle(Access::Write, None), Waited::Signaled);
        assert_eq!(wait_all(&fence, None), Waited::Signaled);
    });
    assert_eq!((polling, idle), (0, 0));
}

#[test]
fn waits_that_end_early_leave_nothing_behind() {
    let (resv, job) = object();
    let fences = [
        job.fence().clone(),
        Timeline::new("t").issue().unwrap().fence().clone(),
    ];
    let late = Timeline::new("late").issue().unwrap();
    let pair = [job.fence(), late.fence()];
    let short = Duration::from_micros(50);
    let waits = || {
        assert_eq!(resv.wait(Access::Read, short), Waited::TimedOut);
        assert_eq!(resv.snapshot().wait(short), Waited::TimedOut);
        assert_eq!(wait_all(&pair, short), Waited::TimedOut);
        assert_eq!(wait_any(&pair, short), WaitedAny::TimedOut);
        // The second member is canceled already, so the first is still pending when it ends.
        assert_eq!(
            wait_any(&fences, short),
            WaitedAny::Failed(1, FenceError::CANCELED)
        );
        let mut future = pair.when_signaled();
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut future).poll(&mut cx), Poll::Pending);
    };
    waits(); // lists of callbacks have grown, and keep their room
    let before = balance();
    (0..20).for_each(|_| waits());
    assert_eq!(balance(), before);
}
