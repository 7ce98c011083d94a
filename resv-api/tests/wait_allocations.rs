//! What a wait allocates: nothing if there is nothing to sleep for, and nothing that stays.

use resv_api::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The system's allocator, counting per thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; the
// counters are plain cells without destructors, so they neither allocate nor fail.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE.set(LIVE.get() + 1);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - 1);
        // SAFETY: the memory came from `System.alloc` with this layout, by the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let result = run();
    (ALLOCATIONS.get() - before, result)
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
    let before = LIVE.get();
    (0..20).for_each(|_| waits());
    assert_eq!(LIVE.get(), before);
}
