//! Futures, polled by hand and by an executor of a dozen lines.

use resv_api::*;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Counts wake-ups. Its strong count is 1 when nobody is going to wake it.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll(future: &mut WaitFuture, count: &Arc<Count>) -> Poll<Waited> {
    let waker = Waker::from(Arc::clone(count));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    let watchdog = Instant::now() + Duration::from_secs(60);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => {
                thread::park_timeout(watchdog.saturating_duration_since(Instant::now()));
                assert!(Instant::now() < watchdog, "a task was never woken");
            }
        }
    }
}

fn jobs(n: usize) -> (Vec<Signaler>, Vec<Fence>) {
    let jobs: Vec<_> = (0..n)
        .map(|_| Timeline::new("t").issue().unwrap())
        .collect();
    let fences = jobs.iter().map(|job| job.fence().clone()).collect();
    (jobs, fences)
}

#[test]
fn wakes_once_when_the_last_has_signalled() {
    let (jobs, fences) = jobs(3);
    let count = Arc::new(Count::default());
    let mut future = fences.when_signaled();
    assert_eq!(poll(&mut future, &count), Poll::Pending);
    for job in jobs {
        assert_eq!(count.get(), 0);
        assert_eq!(poll(&mut future, &count), Poll::Pending);
        job.signal();
    }
    assert_eq!(count.get(), 1);
    assert_eq!(poll(&mut future, &count), Poll::Ready(Waited::Signaled));
    assert_eq!(poll(&mut future, &count), Poll::Ready(Waited::Signaled));
    assert_eq!(Arc::strong_count(&count), 1);
}

#[test]
fn the_waker_of_the_latest_poll_is_woken() {
    let (jobs, fences) = jobs(1);
    let (old, new) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut future = fences.when_signaled();
    assert_eq!(poll(&mut future, &old), Poll::Pending);
    assert_eq!(poll(&mut future, &new), Poll::Pending);
    assert_eq!(Arc::strong_count(&old), 1, "the old waker is let go");
    drop(jobs);
    assert_eq!((old.get(), new.get()), (0, 1));
    assert_eq!(
        poll(&mut future, &new),
        Poll::Ready(Waited::Failed(FenceError::CANCELED))
    );
}

#[test]
fn a_dropped_future_leaves_no_callback_behind() {
    let (mut jobs, fences) = jobs(3);
    let count = Arc::new(Count::default());
    let mut future = fences.when_signaled();
    assert_eq!(poll(&mut future, &count), Poll::Pending);
    jobs.remove(1).signal();
    assert!(Arc::strong_count(&count) > 1);
    drop(future);
    assert_eq!(Arc::strong_count(&count), 1);
    drop(jobs);
    assert_eq!(count.get(), 0);
}

#[test]
fn signals_before_and_between_polls_are_seen() {
    let (mut jobs, fences) = jobs(2);
    let count = Arc::new(Count::default());
    let mut future = fences.when_signaled();
    jobs.remove(1).signal_error(FenceError::IO);
    assert_eq!(poll(&mut future, &count), Poll::Pending);
    drop(jobs);
    // In the order of the fences, not of time.
    let first = Waited::Failed(FenceError::CANCELED);
    assert_eq!(poll(&mut future, &count), Poll::Ready(first));
    assert_eq!(
        poll(&mut fences.when_signaled(), &count),
        Poll::Ready(first)
    );
}

#[test]
fn an_access_on_an_object_is_fixed_at_the_call() {
    let (mut jobs, fences) = jobs(2);
    let resv = Resv::new();
    resv.lock()
        .reserve(1)
        .unwrap()
        .add(&fences[0], Usage::Write);
    let now = resv.wait_async(Access::Read);
    resv.lock()
        .reserve(1)
        .unwrap()
        .add(&fences[1], Usage::Write);
    jobs.remove(0).signal();
    assert_eq!(block_on(now), Waited::Signaled);
    assert_eq!(
        block_on(resv.wait_async(Access::Explicit)),
        Waited::Signaled
    );
    thread::scope(|scope| {
        scope.spawn(|| drop(jobs));
        let _late_or_canceled = block_on(resv.wait_async(Access::Read));
    });
    assert!(resv.is_idle(Access::Read));
}

#[test]
fn stress_polls_and_signals_race() {
    for _ in 0..500 {
        let (jobs, fences) = jobs(2);
        thread::scope(|scope| {
            for job in jobs {
                scope.spawn(|| job.signal());
            }
            assert_eq!(block_on(fences.when_signaled()), Waited::Signaled);
        });
    }
}

/// Signals its fence when it has been shown for the `at`th time.
struct Racy {
    fence: Fence,
    job: Mutex<Option<Signaler>>,
    left: AtomicUsize,
}

impl Waitable for Racy {
    fn visit_fences(&self, visit: &mut dyn FnMut(&Fence)) {
        visit(&self.fence);
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            drop(self.job.lock().unwrap().take());
        }
    }
}

#[test]
fn signals_while_the_future_is_made_are_seen() {
    for at in [1, 2] {
        let (mut jobs, mut fences) = jobs(1);
        let racy = Racy {
            fence: fences.remove(0),
            job: Mutex::new(jobs.pop()),
            left: AtomicUsize::new(at),
        };
        let canceled = Waited::Failed(FenceError::CANCELED);
        assert_eq!(block_on(racy.when_signaled()), canceled);
    }
}

#[test]
fn stress_drops_and_signals_race() {
    for _ in 0..300 {
        let (jobs, fences) = jobs(2);
        let count = Arc::new(Count::default());
        thread::scope(|scope| {
            let mut future = fences.when_signaled();
            let polled = poll(&mut future, &count);
            for job in jobs {
                scope.spawn(|| job.signal());
            }
            drop(future);
            assert_eq!(polled, Poll::Pending);
        });
        assert!(count.get() <= 1);
        assert_eq!(Arc::strong_count(&count), 1);
    }
}

#[test]
fn it_can_move_between_threads() {
    fn check<T: Send + Sync + Unpin>() {}
    check::<WaitFuture>();
}

/// A hook that panics in the first poll leaves the future as it was: it used to forget its fences
/// there, and said "signalled" when it was polled again.
#[test]
fn a_hook_that_panics_in_a_poll_does_not_make_the_fence_signalled() {
    let lazy = Timeline::new("kfd")
        .issue_lazy(|| panic!("the hook's own"))
        .unwrap();
    let plain = Timeline::new("gfx").issue().unwrap();
    let fences = [plain.fence().clone(), lazy.fence().clone()];
    let mut future = pin!(fences.when_signaled());
    let mut cx = Context::from_waker(Waker::noop());
    let first = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
    assert!(first.is_err(), "the panic is the poller's");
    assert_eq!(future.as_mut().poll(&mut cx), Poll::Pending);
    plain.signal();
    assert_eq!(future.as_mut().poll(&mut cx), Poll::Pending);
    lazy.signal_error(FenceError::IO);
    let failed = Poll::Ready(Waited::Failed(FenceError::IO));
    assert_eq!(future.as_mut().poll(&mut cx), failed);
}
