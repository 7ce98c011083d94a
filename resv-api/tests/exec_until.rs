//! Transactions over many objects that give up in time.

use resv_api::lock::{Algorithm, Class};
use resv_api::{
    Backoff, ExecError, Locked, ReserveError, Resv, Signaler, TimedOut, Timeline, Transaction,
    Usage, UsageLevels, exec_until,
};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

type Object = Resv<UsageLevels, Locked>;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(2);

fn job() -> Signaler {
    Timeline::new("test").issue().expect("a seqno is left")
}

fn objects(count: usize) -> Vec<Object> {
    (0..count).map(|_| Object::default()).collect()
}

/// How many entries each object has; every lock must be free.
fn pending(objects: &[Object]) -> Vec<usize> {
    let each = objects.iter().map(|object| object.try_lock());
    each.map(|guard| guard.expect("free").entries().len())
        .collect()
}

/// What a program makes of both errors.
#[derive(Debug, PartialEq)]
enum SubmitError {
    Memory(ReserveError),
    Late,
}

impl From<ReserveError> for SubmitError {
    fn from(error: ReserveError) -> Self {
        SubmitError::Memory(error)
    }
}

impl From<TimedOut> for SubmitError {
    fn from(_: TimedOut) -> Self {
        SubmitError::Late
    }
}

#[test]
#[cfg_attr(
    feature = "checks",
    ignore = "waits for a lock of its own thread, which the checks report"
)]
fn both_errors_come_out_as_the_programs_own() {
    let objects = objects(2);
    let job = job();
    let submit = || {
        exec_until(SHORT, |tx| {
            let each = objects.iter().map(|object| tx.lock(object));
            let receipts = each.collect::<Result<Vec<_>, Backoff>>()?;
            let _too_many = receipts[0].reserve(1)?;
            receipts[1].reserve(1)?.add(job.fence(), Usage::Write);
            Ok(())
        })
    };
    let somebody = objects[1].lock();
    assert_eq!(submit(), Err(SubmitError::Late));
    drop(somebody);
    assert_eq!(pending(&objects), [0, 0]);
    assert_eq!(submit(), Ok(()));
    assert_eq!(pending(&objects), [0, 1]);
}

#[test]
#[cfg_attr(
    feature = "checks",
    ignore = "waits for a lock of its own thread, which the checks report"
)]
fn deadlines_and_for_ever_are_times_too() {
    let objects = objects(2);
    let slice = [&objects[0], &objects[1]];
    let past = Instant::now();
    assert_eq!(
        Transaction::new()
            .until(past)
            .lock_all(&slice)
            .map(|it| it.len()),
        Ok(2)
    );
    let held = exec_until::<_, TimedOut>(past, |tx| {
        tx.lock_all(&slice)?;
        Ok(tx.held())
    });
    assert_eq!(held, Ok(2));
    let somebody = objects[0].lock();
    assert_eq!(
        Transaction::new().until(past).lock_all(&slice).err(),
        Some(TimedOut)
    );
    let (waits, waiting) = mpsc::channel();
    thread::scope(|scope| {
        let patient = scope.spawn(|| {
            waits.send(()).expect("somebody listens");
            Transaction::new()
                .until(None)
                .lock_all(&slice)
                .map(|it| it.len())
        });
        waiting.recv().expect("it begins");
        drop(somebody);
        assert_eq!(patient.join().expect("no panic"), Ok(2));
    });
    let never = exec_until::<(), _>(Duration::MAX, |_| Err(ExecError::Failed(TimedOut)));
    assert_eq!(never, Err(TimedOut), "the closure's own");
}

/// The closure may also do without the object that it could not have.
#[test]
#[cfg_attr(
    feature = "checks",
    ignore = "waits for a lock of its own thread, which the checks report"
)]
fn a_closure_may_go_on_without_what_is_late() {
    let objects = objects(2);
    let job = job();
    let _somebody = objects[0].lock();
    let done = exec_until::<_, SubmitError>(SHORT, |tx| {
        let late = tx.lock(&objects[0]).is_err();
        let receipt = tx.lock(&objects[1])?;
        receipt.reserve(1)?.add(job.fence(), Usage::Write);
        Ok(late)
    });
    assert_eq!(done, Ok(true));
    assert_eq!(pending(&objects[1..]), [1]);
}

/// One of two that cross backs off, and sleeps for the object it was about. If the other one keeps
/// that, the time ends there; if not, the closure runs again.
#[test]
fn the_time_is_for_all_runs_together() {
    for algorithm in Algorithm::ALL {
        for keeps in [false, true] {
            let class: &'static Class = Box::leak(Box::new(Class::new(algorithm)));
            let objects = &objects(2);
            let (both_hold, late) = (&Barrier::new(2), &Barrier::new(2));
            let (older_begins, younger_may_begin) = mpsc::channel();
            let (older_ends, younger_may_go_on) = mpsc::channel();
            let runs = thread::scope(|scope| {
                scope.spawn(move || {
                    let older = Transaction::new()
                        .class(class)
                        .run::<_, ReserveError>(|tx| {
                            tx.lock(&objects[0])?;
                            older_begins.send(()).expect("the younger one waits");
                            both_hold.wait();
                            tx.lock(&objects[1])?;
                            if keeps {
                                late.wait();
                            }
                            Ok(())
                        });
                    older.expect("no memory is needed");
                    older_ends.send(()).expect("the younger one listens");
                });
                let younger = scope.spawn(move || {
                    younger_may_begin.recv().expect("the older one begins");
                    let mut runs = 0;
                    let time = if keeps { SHORT } else { LONG };
                    let ended = Transaction::new()
                        .class(class)
                        .until(time)
                        .run::<_, TimedOut>(|tx| {
                            runs += 1;
                            if runs == 2 {
                                // Not before both are free: the older one gives up one after the other.
                                younger_may_go_on.recv().expect("the older one ends");
                            }
                            tx.lock(&objects[1])?;
                            if runs == 1 {
                                both_hold.wait();
                            }
                            tx.lock(&objects[0])?;
                            Ok(())
                        });
                    if keeps {
                        // All that it held is free by now, or the older one would not have it.
                        let slice = [&objects[1], &objects[0], &objects[1]];
                        let batch = Transaction::new()
                            .class(class)
                            .until(Duration::ZERO)
                            .lock_all(&slice);
                        assert_eq!(batch.err(), Some(TimedOut));
                        late.wait();
                        younger_may_go_on.recv().expect("the older one ends");
                    }
                    (ended, runs)
                });
                younger.join().expect("no panic")
            });
            let expected = if keeps {
                (Err(TimedOut), 1)
            } else {
                (Ok(()), 2)
            };
            assert_eq!(runs, expected, "{algorithm:?}");
            assert_eq!(pending(objects), [0, 0]);
        }
    }
}

#[test]
#[cfg_attr(
    feature = "checks",
    ignore = "waits for a lock of its own thread, which the checks report"
)]
fn no_time_out_after_the_first_add() {
    let objects = objects(2);
    let job = job();
    let run = || {
        exec_until::<(), SubmitError>(SHORT, |tx| {
            let late = tx.lock(&objects[0]).expect_err("somebody holds it");
            let slots = tx.lock(&objects[1])?.reserve(1);
            slots?.add(job.fence(), Usage::Write);
            Err(late.into())
        })
    };
    let somebody = objects[0].lock();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    drop(somebody);
    let panic = panic.expect_err("an add cannot be taken back");
    let message = panic.downcast_ref::<&str>().expect("a message");
    assert!(
        message.contains("has added and then backs off"),
        "{message}"
    );
    assert_eq!(pending(&objects), [0, 1]);
}
