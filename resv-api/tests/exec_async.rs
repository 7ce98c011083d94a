//! Transactions by tasks.

use resv_api::lock::{Algorithm, Class};
use resv_api::{
    Access, Backend, ExecError, Locked, ReserveError, Resv, Timeline, Transaction, Usage,
    UsageLevels, exec, exec_async, lock_all,
};
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

type Object = Resv<UsageLevels, Locked>;

/// Counts how often a task was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn wakes() -> (Arc<Wakes>, Waker) {
    let wakes = Arc::<Wakes>::default();
    (Arc::clone(&wakes), wakes.into())
}

fn is_free<B: Backend + Default>(resv: &Resv<UsageLevels, B>) -> bool {
    resv.try_lock().is_some()
}

#[test]
fn uncontended_it_is_done_in_one_poll() {
    let objects: Vec<Object> = (0..3).map(|_| Object::default()).collect();
    let job = Timeline::new("gfx").issue().unwrap();
    let (wakes, waker) = wakes();
    {
        let mut future = pin!(exec_async::<_, ReserveError, _>(|tx| {
            let receipts = tx.lock_all(&[&objects[2], &objects[0], &objects[1], &objects[0]])?;
            assert_eq!(tx.held(), 3);
            for receipt in receipts {
                receipt.reserve(1)?.add(job.fence(), Usage::Write);
            }
            Ok("done")
        }));
        let mut cx = Context::from_waker(&waker);
        assert_eq!(future.as_mut().poll(&mut cx), Poll::Ready(Ok("done")));
    }
    assert_eq!(wakes.count(), 0);
    for object in &objects {
        assert!(is_free(object) && !object.is_idle(Access::Read));
    }
    job.signal();
}

#[test]
fn suspended_it_holds_nothing_and_a_release_wakes_it_once() {
    let (a, b) = (Object::default(), Object::default());
    let (wakes, waker) = wakes();
    let mut cx = Context::from_waker(&waker);
    static CLASS: Class = Class::new(Algorithm::WaitDie);
    let mut future = pin!(
        Transaction::new()
            .class(&CLASS)
            .run_async::<_, Infallible, _>(|tx| {
                tx.lock(&a)?;
                tx.lock(&b)?;
                Ok(())
            })
    );
    let held = b.lock();
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert!(is_free(&a), "a suspended task holds no lock");
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert_eq!((wakes.count(), CLASS.backoffs()), (0, 1));
    drop(held);
    assert_eq!(wakes.count(), 1);
    // Another task comes first: it tries, and watches again.
    let held = b.lock();
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert!(is_free(&a));
    drop(held);
    assert_eq!((wakes.count(), CLASS.backoffs()), (2, 2));
    assert_eq!(future.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
    assert!(is_free(&a) && is_free(&b));
}

/// A release wakes all tasks that watch the object. It used to wake one, and one that was kept and not
/// polled (a `select!` that went another way) kept all others waiting with the lock free.
#[test]
fn a_future_that_is_kept_and_not_polled_is_in_nobodys_way() {
    let (a, b) = (Object::default(), Object::default());
    let tasks: Vec<_> = (0..3).map(|_| wakes()).collect();
    let count = |index: usize| tasks[index].0.count();
    let poll = |future: &mut (dyn Future<Output = Result<(), Infallible>> + Unpin),
                index: usize| {
        let mut cx = Context::from_waker(&tasks[index].1);
        std::pin::Pin::new(future).poll(&mut cx)
    };
    let want_both = || {
        exec_async::<_, Infallible, _>(|tx| {
            tx.lock(&b)?;
            tx.lock(&a)?;
            Ok(())
        })
    };
    let (mut kept, mut second, mut third) = (want_both(), want_both(), want_both());
    let held = a.lock();
    assert!(poll(&mut kept, 0).is_pending());
    assert!(poll(&mut second, 1).is_pending());
    assert!(poll(&mut third, 2).is_pending());
    drop(held);
    assert_eq!((count(0), count(1), count(2)), (1, 1, 1));
    // The first is not polled, and the third gets both locks.
    assert!(poll(&mut third, 2).is_ready());
    let held = b.lock();
    assert!(poll(&mut second, 1).is_pending()); // it waits for the other object now
    drop(held);
    assert_eq!((count(0), count(1)), (1, 2));
    assert!(poll(&mut second, 1).is_ready());
    assert!(poll(&mut kept, 0).is_ready());
    // Nobody is left in the queues.
    assert!(is_free(&a) && is_free(&b));
}

/// A future that is forgotten leaves nothing with the object that another one at the same address would
/// inherit.
#[test]
fn a_forgotten_future_leaves_no_stale_waiter() {
    let mut place = Some(Object::default());
    let (forgotten, waker) = wakes();
    {
        let object = place.as_ref().unwrap();
        let held = object.lock();
        let mut future =
            exec_async::<_, Infallible, _>(|tx| tx.lock(object).map(drop).map_err(Into::into));
        assert!(
            std::pin::Pin::new(&mut future)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        std::mem::forget(future);
        drop(held);
    }
    assert_eq!(forgotten.count(), 1);
    place = Some(Object::default());
    let object = place.as_ref().unwrap();
    let held = object.lock();
    let (wakes, waker) = wakes();
    let mut future =
        exec_async::<_, Infallible, _>(|tx| tx.lock(object).map(drop).map_err(Into::into));
    let mut cx = Context::from_waker(&waker);
    assert!(std::pin::Pin::new(&mut future).poll(&mut cx).is_pending());
    drop(held);
    assert_eq!(
        (wakes.count(), forgotten.count()),
        (1, 1),
        "the next one is woken"
    );
    assert!(std::pin::Pin::new(&mut future).poll(&mut cx).is_ready());
}

/// Looks, when it is woken, whether the objects are free; then panics with something whose drop panics.
struct Looks(Arc<[Object; 3]>, AtomicUsize);

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("dropping what a waker panicked with");
    }
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        let free = self.0.iter().filter(|object| is_free(object)).count();
        self.1.fetch_add(free, Ordering::SeqCst);
        std::panic::panic_any(PanicsInDrop);
    }
}

/// Wakers are foreign code: they run when all locks of the set are released, and neither their panic nor
/// one from dropping what they panicked with reaches the thread that releases.
#[test]
fn wakers_run_when_all_locks_of_a_set_are_released() {
    let objects: Arc<[Object; 3]> = Arc::default();
    let all: Vec<&Object> = objects.iter().collect();
    type Release<'r> = Box<dyn FnOnce() + 'r>;
    let lock_all_of_them = || -> Release<'_> {
        Box::new({
            let guards = lock_all(&all);
            move || drop(guards)
        })
    };
    let lock_all_in_a_transaction = |watch: &mut dyn FnMut()| {
        exec::<_, Infallible>(|tx| {
            tx.lock_all(&all)?;
            watch();
            Ok(())
        })
    };
    for in_a_transaction in [false, true] {
        let looks = Arc::new(Looks(Arc::clone(&objects), AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&looks));
        let mut cx = Context::from_waker(&waker);
        let mut future =
            exec_async::<_, Infallible, _>(|tx| tx.lock(&objects[0]).map(drop).map_err(Into::into));
        let mut watch = || assert!(std::pin::Pin::new(&mut future).poll(&mut cx).is_pending());
        if in_a_transaction {
            assert_eq!(lock_all_in_a_transaction(&mut watch), Ok(()));
        } else {
            let release = lock_all_of_them();
            watch();
            release();
        }
        assert_eq!(looks.1.load(Ordering::SeqCst), 3, "woken with locks held");
        assert!(std::pin::Pin::new(&mut future).poll(&mut cx).is_ready());
    }
}

#[test]
fn an_error_and_a_panic_release_everything() {
    let (a, b) = (Object::default(), Object::default());
    let mut cx = Context::from_waker(Waker::noop());
    let mut fails = pin!(exec_async::<(), _, _>(|tx| {
        tx.lock(&a)?;
        tx.lock(&b)?;
        Err(ExecError::Failed("no memory for the job"))
    }));
    let failed = fails.as_mut().poll(&mut cx);
    assert_eq!(failed, Poll::Ready(Err("no memory for the job")));
    let again = catch_unwind(AssertUnwindSafe(|| fails.as_mut().poll(&mut cx).is_ready()));
    assert!(again.is_err(), "it has ended");

    let mut panics = pin!(exec_async::<(), Infallible, _>(|tx| {
        tx.lock(&a)?;
        panic!("in the closure");
    }));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        panics.as_mut().poll(&mut cx).is_ready()
    }));
    assert!(panicked.is_err());
    assert!(is_free(&a) && is_free(&b));
}

#[test]
#[should_panic(expected = "lock everything before the first edit")]
fn a_run_that_has_added_cannot_be_given_up() {
    let (a, b) = (Object::default(), Object::default());
    let job = Timeline::new("gfx").issue().unwrap();
    let _held = b.lock();
    let mut future = pin!(exec_async::<_, ReserveError, _>(|tx| {
        tx.lock(&a)?.reserve(1)?.add(job.fence(), Usage::Read);
        tx.lock(&b)?;
        Ok(())
    }));
    let _ = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
}

/// Tasks on one thread and transactions of other threads, over the same objects in every order: all
/// come through, one after the other.
#[test]
fn tasks_and_threads_over_the_same_objects() {
    const ROUNDS: usize = 200;
    struct Counted {
        resv: Resv,
        value: AtomicUsize,
    }
    impl Counted {
        /// Not atomic as a whole: it is the lock that has to keep others out.
        fn bump(&self) {
            let value = self.value.load(Ordering::Relaxed);
            std::hint::spin_loop();
            self.value.store(value + 1, Ordering::Relaxed);
        }
    }
    let objects: Arc<[Counted]> = (0..4)
        .map(|_| Counted {
            resv: Resv::new(),
            value: AtomicUsize::new(0),
        })
        .collect();
    let order = |salt: usize, round: usize| {
        let first = (salt + round) % 4;
        let step = if (salt + round).is_multiple_of(3) {
            3
        } else {
            1
        };
        [first, (first + step) % 4, (first + 2) % 4]
    };
    let threads: Vec<_> = (0..2)
        .map(|salt| {
            let objects = Arc::clone(&objects);
            std::thread::spawn(move || {
                for round in 0..ROUNDS {
                    exec::<_, Infallible>(|tx| {
                        let wanted = order(salt, round);
                        for index in wanted {
                            tx.lock(&objects[index].resv)?;
                        }
                        wanted.iter().for_each(|&index| objects[index].bump());
                        Ok(())
                    })
                    .unwrap();
                }
            })
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (2..6)
            .map(|salt| {
                let objects = Arc::clone(&objects);
                tokio::spawn(async move {
                    for round in 0..ROUNDS {
                        exec_async::<_, Infallible, _>(|tx| {
                            let wanted = order(salt, round);
                            for index in wanted {
                                tx.lock(&objects[index].resv)?;
                            }
                            wanted.iter().for_each(|&index| objects[index].bump());
                            Ok(())
                        })
                        .await
                        .unwrap();
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    for thread in threads {
        thread.join().unwrap();
    }
    let bumps: usize = objects
        .iter()
        .map(|o| o.value.load(Ordering::Relaxed))
        .sum();
    assert_eq!(bumps, 6 * ROUNDS * 3, "an update was lost");
    assert!(objects.iter().all(|object| is_free(&object.resv)));
}
