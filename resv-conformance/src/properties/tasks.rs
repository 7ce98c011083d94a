//! Tasks that do not do what is expected of them: futures that are forgotten or not polled, hooks and wakers
//! that panic. None of it is a matter of the back end, so none of it may differ between them.

use crate::support::{add, is_busy, lone_job};
use crate::{Object, Subject};
use resv_api::{
    Access, FenceError, Signaler, Timeline, Usage, Waited, exec_async, lock_all, submit,
};
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts how often its task was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    fn new() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::<Wakes>::default();
        (Arc::clone(&wakes), wakes.into())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A transaction of a task that locks one object.
fn locks(object: &Object) -> impl Future<Output = Result<(), Infallible>> + Unpin {
    exec_async(move |tx| tx.lock(object).map(drop).map_err(Into::into))
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// A hook that panics in a poll ends no wait: polled again the future is pending, until all has signalled.
pub fn a_hook_that_panics_in_a_poll_ends_no_wait(on: Subject) {
    for usage in Usage::ALL
        .into_iter()
        .filter(|&usage| on.stays(usage, usage))
    {
        let object = on.object();
        let plain = lone_job();
        let lazy = Timeline::new("lazy")
            .issue_lazy(|| panic!("the hook's own"))
            .expect("a seqno");
        add(&object, &plain, usage);
        add(&object, &lazy, usage);
        let mut future = pin!(object.wait_async(Access::Move));
        let mut cx = Context::from_waker(Waker::noop());
        let first = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
        assert!(first.is_err(), "the panic is the poller's");
        assert_eq!(future.as_mut().poll(&mut cx), Poll::Pending);
        assert!(is_busy(&object, Access::Move));
        plain.signal();
        assert_eq!(future.as_mut().poll(&mut cx), Poll::Pending);
        lazy.signal_error(FenceError::IO);
        let failed = Poll::Ready(Waited::Failed(FenceError::IO));
        assert_eq!(future.as_mut().poll(&mut cx), failed);
    }
}

/// A transaction that is forgotten while it waits for the lock leaves nothing that the next object at this
/// address inherits.
pub fn a_forgotten_transaction_leaves_no_stale_waiter(on: Subject) {
    let (forgotten, waker) = Wakes::new();
    let object = Box::new(on.object());
    let held = object.lock();
    let mut future = locks(&object);
    assert!(poll(&mut future, &waker).is_pending());
    std::mem::forget(future);
    drop(held);
    assert_eq!(forgotten.count(), 1);
    drop(object);
    let object = Box::new(on.object());
    let held = object.lock();
    let (wakes, waker) = Wakes::new();
    let mut future = locks(&object);
    assert!(poll(&mut future, &waker).is_pending());
    drop(held);
    assert_eq!((wakes.count(), forgotten.count()), (1, 1));
    assert!(poll(&mut future, &waker).is_ready());
}

/// A future that waits for a fence and is forgotten keeps its registration until the fence signals, and nobody
/// else from anything.
pub fn a_forgotten_wait_is_in_nobodys_way(on: Subject) {
    let (object, job) = (on.object(), lone_job());
    add(&object, &job, Usage::Write);
    let (forgotten, waker) = Wakes::new();
    let mut future = object.wait_async(Access::Move);
    assert!(poll(&mut future, &waker).is_pending());
    std::mem::forget(future);
    let (wakes, waker) = Wakes::new();
    let mut future = object.wait_async(Access::Move);
    assert!(poll(&mut future, &waker).is_pending());
    job.signal();
    assert_eq!((wakes.count(), forgotten.count()), (1, 1));
    assert_eq!(poll(&mut future, &waker), Poll::Ready(Waited::Signaled));
    assert!(!is_busy(&object, Access::Move));
}

/// A task that was woken and is not polled keeps the lock from nobody.
pub fn a_transaction_that_is_not_polled_is_in_nobodys_way(on: Subject) {
    let object = on.object();
    let ((kept_wakes, kept_waker), (wakes, waker)) = (Wakes::new(), Wakes::new());
    let (mut kept, mut other) = (locks(&object), locks(&object));
    let held = object.lock();
    assert!(poll(&mut kept, &kept_waker).is_pending());
    assert!(poll(&mut other, &waker).is_pending());
    drop(held);
    assert_eq!((kept_wakes.count(), wakes.count()), (1, 1));
    assert!(poll(&mut other, &waker).is_ready());
    assert!(object.try_lock().is_some());
    assert!(poll(&mut kept, &kept_waker).is_ready());
}

/// Looks, when it is woken, how many objects are free and published; then panics.
struct Looks {
    objects: Vec<Object>,
    free: AtomicUsize,
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        let is_free =
            |object: &&Object| object.try_lock().is_some() && object.snapshot().iter().count() == 1;
        let free = self.objects.iter().filter(is_free).count();
        self.free.fetch_add(free, Ordering::SeqCst);
        panic!("the waker's own");
    }
}

/// Wakers run when all locks of a batch, a transaction or a submit are released and all is published; their
/// panics do not reach the thread that releases.
pub fn wakers_run_when_all_locks_are_released(on: Subject) {
    type Way = fn(&[&Object], &Signaler, &mut dyn FnMut());
    let ways: [Way; 2] = [
        |objects, job, watch| {
            let mut guards = lock_all(objects);
            for guard in guards.objects_mut() {
                let mut slots = guard.reserve(1).expect("memory");
                slots.add(job.fence(), Usage::Read);
            }
            watch();
        },
        |objects, job, watch| {
            let done = resv_api::exec::<_, Infallible>(|tx| {
                for receipt in tx.lock_all(objects)? {
                    let mut slots = receipt.reserve(1).expect("memory");
                    slots.add(job.fence(), Usage::Read);
                }
                watch();
                Ok(())
            });
            assert_eq!(done, Ok(()));
        },
    ];
    for way in ways {
        let job = lone_job();
        let looks = Arc::new(Looks {
            objects: on.objects(3),
            free: AtomicUsize::new(0),
        });
        let all: Vec<_> = looks.objects.iter().collect();
        let waker = Waker::from(Arc::clone(&looks));
        let mut future = locks(&looks.objects[0]);
        way(&all, &job, &mut || {
            assert!(poll(&mut future, &waker).is_pending());
        });
        assert_eq!(looks.free.load(Ordering::SeqCst), 3, "woken too early");
        assert!(poll(&mut future, &waker).is_ready());
    }
}

/// The wakers of waits that a submit ends by its own signal run with no lock held, too.
pub fn a_callback_may_submit_to_the_object_that_it_waited_for(on: Subject) {
    let objects = Arc::new(on.objects(2));
    let (job, next) = (lone_job(), lone_job());
    let uses: Vec<_> = objects
        .iter()
        .map(|object| (object, Usage::Write))
        .collect();
    submit(job.fence(), &uses).expect("memory");
    let (of_callback, fence) = (Arc::clone(&objects), next.fence().clone());
    let callback = move |_| {
        let uses: Vec<_> = of_callback
            .iter()
            .map(|object| (object, Usage::Write))
            .collect();
        let waits = submit(&fence, &uses).expect("memory");
        assert!(waits.is_empty(), "what it was called for has signalled");
    };
    assert!(job.fence().on_signal(callback).is_ok());
    job.signal();
    assert!(objects.iter().all(|object| is_busy(object, Access::Move)));
    next.signal();
    assert!(objects.iter().all(|object| !is_busy(object, Access::Move)));
}
