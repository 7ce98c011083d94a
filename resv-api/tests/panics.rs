//! Foreign code that panics: callbacks, wakers, closures, and threads that die with a lock held. What
//! others see is consistent, locks are released, and everybody else goes on.
//!
//! The closure of `exec` and `exec_async` that panics by itself is in exec.rs and exec_async.rs, a
//! guard's holder in the conformance suite (`b4_a_panic_publishes_what_was_added`), a callback of a
//! lone fence in resv-core.

mod panicking_semantics;

use resv_api::fence::{pool_stats, registrations};
use resv_api::{
    Access, Backend, Fence, Locked, ReserveError, Resv, Signaler, Timeline, Usage, UsageLevels,
    Waited, exec, exec_async,
};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Fences are counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Long enough for a thread that is not stuck.
const LONG: Duration = Duration::from_secs(60);

fn job() -> Signaler {
    Timeline::new("t").issue().expect("seqnos are left")
}

fn add<B: Backend + Default>(object: &Resv<UsageLevels, B>, fence: &Fence, usage: Usage) {
    let mut guard = object.lock();
    guard.reserve(1).expect("memory").add(fence, usage);
}

fn pending<B: Backend + Default>(object: &Resv<UsageLevels, B>) -> usize {
    let guard = object.try_lock().expect("the lock was released");
    let entries = guard.entries().len();
    assert_eq!(object.snapshot().iter().count(), entries);
    entries
}

fn panics(run: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

/// Counts its wakes, and panics.
#[derive(Default)]
struct Broken(AtomicUsize);

impl Wake for Broken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("in a waker");
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The signaller gets the panic, after everything that the signal owes.
fn a_callback_that_panics_keeps_nobody_waiting<B: Backend + Default>() {
    let _alone = alone();
    let before = (pool_stats().live, registrations());
    let object = Resv::<UsageLevels, B>::default();
    let (first, second) = (job(), job());
    add(&object, first.fence(), Usage::Write);
    add(&object, second.fence(), Usage::Read);
    // On the fence, and on one that is composed of it.
    let both = Fence::any([first.fence(), second.fence()]).expect("not empty");
    assert!(first.fence().on_signal(|_| panic!("in a callback")).is_ok());
    assert!(both.on_signal(|_| panic!("in another callback")).is_ok());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| object.wait(Access::Write, LONG));
        let reader = scope.spawn(|| object.wait(Access::Read, LONG));
        while registrations() < before.1 + 2 + 2 + 2 + 1 {
            thread::yield_now();
        }
        assert!(panics(|| first.signal()));
        assert_eq!(reader.join().expect("no panic"), Waited::Signaled);
        assert_eq!(pending(&object), 1);
        assert!(object.is_idle(Access::Read) && !object.is_idle(Access::Write));
        second.signal();
        assert_eq!(waiter.join().expect("no panic"), Waited::Signaled);
    });
    assert!(object.is_idle(Access::Write));
    add(&object, job().fence(), Usage::Write);
    drop((object, both));
    assert_eq!(registrations(), before.1);
    nothing_is_kept(before.0);
}

/// Of two tasks that wait for one fence the one with a sound waker is woken, whatever the order.
fn a_waker_that_panics_at_a_signal_harms_no_other_task<B: Backend + Default>() {
    let _alone = alone();
    for broken_first in [true, false] {
        let object = Resv::<UsageLevels, B>::default();
        let job = job();
        add(&object, job.fence(), Usage::Write);
        let (broken, count) = (Arc::new(Broken::default()), Arc::new(Count::default()));
        let mut wakers = [
            Waker::from(Arc::clone(&broken)),
            Waker::from(Arc::clone(&count)),
        ];
        if !broken_first {
            wakers.reverse();
        }
        let mut futures = wakers.map(|waker| {
            let mut future = object.wait_async(Access::Read);
            let mut cx = Context::from_waker(&waker);
            assert!(pin!(&mut future).poll(&mut cx).is_pending());
            future
        });
        assert!(panics(|| job.signal()));
        assert_eq!(broken.0.load(Ordering::Relaxed), 1);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        for future in &mut futures {
            // The task with the broken waker too, if it is polled for another reason.
            let mut cx = Context::from_waker(Waker::noop());
            assert!(pin!(future).poll(&mut cx).is_ready());
        }
        assert_eq!(pending(&object), 0);
    }
}

/// A job that is dropped by a panic cancels its fence, and the callback's panic is not a second one,
/// which would end the process.
#[test]
fn a_callback_that_panics_while_its_signaller_panics() {
    let _alone = alone();
    let object = Resv::<UsageLevels, Locked>::default();
    let job = job();
    add(&object, job.fence(), Usage::Write);
    assert!(job.fence().on_signal(|_| panic!("in a callback")).is_ok());
    let died = panics(|| {
        let _job = job;
        panic!("the driver dies");
    });
    assert!(died);
    assert!(object.is_idle(Access::Read));
    assert_eq!(pending(&object), 0);
}

/// Suspends a task on `object`, which is locked; its waker panics.
fn watched<B: Backend + Default>(object: &Resv<UsageLevels, B>, run: impl FnOnce()) {
    let broken = Arc::new(Broken::default());
    let waker = Waker::from(Arc::clone(&broken));
    let mut task = pin!(exec_async::<(), Infallible, _>(|tx| {
        tx.lock(object)?;
        Ok(())
    }));
    let mut cx = Context::from_waker(&waker);
    assert!(task.as_mut().poll(&mut cx).is_pending());
    run();
    assert_eq!(broken.0.load(Ordering::Relaxed), 1, "woken once");
    // Polled for another reason, it gets the lock.
    assert!(task.as_mut().poll(&mut cx).is_ready());
    assert_eq!(pending(object), 0);
}

/// A thread that releases a lock has nothing to do with the tasks that want it: a waker that panics is not
/// noticed, and each of the locks is released once.
fn a_waker_that_panics_at_a_release_harms_no_holder<B: Backend + Default>() {
    let _alone = alone();
    let objects: Vec<_> = (0..3).map(|_| Resv::<UsageLevels, B>::default()).collect();
    let free = |objects: &[Resv<UsageLevels, B>]| objects.iter().all(|it| it.try_lock().is_some());

    // A guard.
    let guard = objects[0].lock();
    watched(&objects[0], || drop(guard));
    assert!(free(&objects));

    // A guard that is dropped by a panic: a second one would end the process.
    let guard = objects[0].lock();
    watched(&objects[0], || {
        assert!(panics(|| {
            let _guard = guard;
            panic!("the holder dies");
        }));
    });
    assert!(free(&objects));

    // The end of a transaction, of a thread and of a task. The lock in question is the first of
    // three: the others have to be released as well, and none of them twice.
    let suspended = || {
        let mut task = Box::pin(exec_async::<(), Infallible, _>(|tx| {
            tx.lock(&objects[0])?;
            Ok(())
        }));
        let waker = Waker::from(Arc::new(Broken::default()));
        assert!(
            task.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        task
    };
    let mut waiting = None;
    let done = exec::<_, Infallible>(|tx| {
        tx.lock_all(&objects.iter().collect::<Vec<_>>())?;
        waiting = Some(suspended());
        Ok(tx.held())
    });
    assert_eq!(done, Ok(3));
    assert!(free(&objects));
    drop(waiting.take());
    let mut task = pin!(exec_async::<_, Infallible, _>(|tx| {
        tx.lock_all(&objects.iter().collect::<Vec<_>>())?;
        waiting = Some(suspended());
        Ok(tx.held())
    }));
    let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(3))));
    assert!(free(&objects));
    drop(waiting);
    assert!(free(&objects));
}

/// A thread dies with a lock held, others wait for it: they get it, what was added is there, and what
/// was only reserved is not in anybody's way.
fn a_holder_that_dies_hands_the_lock_on<B: Backend + Default>() {
    let _alone = alone();
    let object = Resv::<UsageLevels, B>::default();
    let jobs: Vec<_> = (0..4).map(|_| job()).collect();
    let held = Barrier::new(3);
    thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let mut guard = object.lock();
            let mut slots = guard.reserve(5).expect("memory");
            slots.add(jobs[0].fence(), Usage::Write);
            held.wait();
            thread::sleep(Duration::from_millis(5));
            panic!("the holder dies");
        });
        let others = [1, 2].map(|at| {
            let (object, jobs, held) = (&object, &jobs, &held);
            scope.spawn(move || {
                held.wait();
                add(object, jobs[at].fence(), Usage::Read);
            })
        });
        assert!(holder.join().is_err());
        for other in others {
            other.join().expect("it goes on");
        }
    });
    assert_eq!(pending(&object), 3);
    // Nothing is reserved any more.
    let late = panics(|| {
        let mut guard = object.lock();
        let mut none = guard.reserve(0).expect("nothing is wanted");
        none.add(jobs[3].fence(), Usage::Read);
    });
    assert!(late);
    add(&object, jobs[3].fence(), Usage::Read);
    assert_eq!(pending(&object), 4);
}

/// Transactions over the same objects in every order; one after the other dies at every point of the
/// closure. The others finish, and nobody finds half of a transaction.
fn transactions_that_die_let_the_others_finish<B: Backend + Default>() {
    const ROUNDS: usize = 60;
    let _alone = alone();
    let objects: Vec<_> = (0..3).map(|_| Resv::<UsageLevels, B>::default()).collect();
    let died = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..3 {
            let (objects, died) = (&objects, &died);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let job = job();
                    // 0: before all, 1 to 3: after that many locks, 4: when reserved, 5: when added
                    // to each; from 6 on it lives.
                    let point = (round + thread) % 8;
                    let is_dead = panics(|| {
                        exec::<_, ReserveError>(|tx| {
                            let die_at = |at| assert_ne!(point, at, "the transaction dies");
                            die_at(0);
                            let mut receipts = Vec::new();
                            for at in 0..objects.len() {
                                receipts.push(tx.lock(&objects[(thread + at) % objects.len()])?);
                                die_at(1 + at);
                            }
                            let mut slots = Vec::new();
                            for receipt in &receipts {
                                slots.push(receipt.reserve(1)?);
                            }
                            die_at(4);
                            for slots in &mut slots {
                                slots.add(job.fence(), Usage::Bookkeep);
                            }
                            die_at(5);
                            Ok(())
                        })
                        .expect("memory");
                    });
                    assert_eq!(is_dead, point < 6);
                    died.fetch_add(usize::from(is_dead), Ordering::Relaxed);
                    // All of it or nothing, as the death came before or after the adds.
                    let there = objects.iter().filter(|object| {
                        let snapshot = object.snapshot();
                        snapshot.iter().any(|entry| entry.fence == job.fence())
                    });
                    let expected = if point >= 5 { objects.len() } else { 0 };
                    assert_eq!(there.count(), expected, "died at {point}");
                    job.signal();
                }
            });
        }
    });
    assert!(died.load(Ordering::Relaxed) > ROUNDS);
    for object in &objects {
        assert_eq!(pending(object), 0);
        assert!(object.is_idle(Access::Write));
    }
}

/// A reader's closure that panics leaves no section open: a writer and other readers go on.
fn a_visit_that_panics_holds_up_nobody<B: Backend + Default>() {
    let _alone = alone();
    let before = pool_stats().live;
    let object = Resv::<UsageLevels, B>::default();
    let jobs = [job(), job()];
    add(&object, jobs[0].fence(), Usage::Write);
    for _ in 0..100 {
        assert!(panics(
            || object.visit(Access::Write, (), |(), _| panic!("in a visit"))
        ));
    }
    add(&object, jobs[1].fence(), Usage::Read);
    assert_eq!(object.visit(Access::Write, 0, |count, _| count + 1), 2);
    jobs.into_iter().for_each(Signaler::signal);
    assert!(object.is_idle(Access::Write));
    for _ in 0..100 {
        add(&object, job().fence(), Usage::Write);
    }
    drop(object);
    nothing_is_kept(before);
}

/// There are no more fences than `before`, once threads that have ended have dropped what they had.
fn nothing_is_kept(before: usize) {
    let end = Instant::now() + LONG;
    while pool_stats().live > before {
        assert!(Instant::now() < end, "fences are kept alive");
        thread::yield_now();
    }
}

macro_rules! on_each_backend {
    ($tests:tt $(
        $(#[$doc:meta])* $kind:ident $module:ident $name:literal [$($feature:literal)?] $type:ty;
    )*) => {
        $($(#[cfg(feature = $feature)])?
        mod $module {
            tests!($type, $tests);
        })*
    };
}

macro_rules! tests {
    ($type:ty, ($($test:ident)*)) => {
        $(#[test] fn $test() { super::$test::<$type>(); })*
    };
}

resv_api::for_each_backend!(on_each_backend! (
    a_callback_that_panics_keeps_nobody_waiting
    a_waker_that_panics_at_a_signal_harms_no_other_task
    a_waker_that_panics_at_a_release_harms_no_holder
    a_holder_that_dies_hands_the_lock_on
    transactions_that_die_let_the_others_finish
    a_visit_that_panics_holds_up_nobody
));
