//! The rules of locking many objects, L-01 to L-11, as far as objects can tell, with
//! both algorithms.
//!
//! Tests of the lock itself, with contexts at hand, are in `resv-core`, and so are the models that
//! reject known-bad variants of it. Here is what a back end must not spoil: by a lock that is not
//! one lock, by one that several objects share, by an edit of its own that needs no lock. L-05 and
//! L-08 take many threads and time: they are the stress's ([`stress`](crate::stress)).
//!
//! A thread that has taken no lock before gets the youngest ticket of all. So where an age matters,
//! threads are started in its order, and each begins its transaction when the one before has.

use crate::support::{A_MOMENT, Meeting, add, entries, is_busy, lone_job, side_by_side};
use crate::{Object, Subject};
use resv_api::lock::{Algorithm, Class};
use resv_api::{
    Access, AnyBackend, AnySemantics, ExecError, Receipt, ReserveError, TimedOut, Transaction, Tx,
    Usage,
};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// A class that only the caller uses, so that its back-offs can be counted.
fn class(algorithm: Algorithm) -> &'static Class {
    Box::leak(Box::new(Class::new(algorithm)))
}

/// L-09: every lock is free, and taking all of them again needs no back-off.
#[track_caller]
fn assert_free(objects: &[Object], class: &'static Class) {
    let backoffs = class.backoffs();
    for (at, object) in objects.iter().enumerate() {
        assert!(object.try_lock().is_some(), "object {at} is still locked");
    }
    let slice: Vec<_> = objects.iter().collect();
    drop(Transaction::new().class(class).lock_all(&slice));
    assert_eq!(class.backoffs(), backoffs, "nobody else wants them");
}

/// Waits until another thread has released an object that it is about to release.
fn until_free(object: &Object) {
    while object.try_lock().is_none() {
        thread::yield_now();
    }
}

/// Runs a transaction that locks what `f` says, without an error of its own.
fn transact<'env, T>(
    class: &'static Class,
    mut f: impl for<'t> FnMut(&'t Tx<'env>) -> Result<T, ExecError<Infallible>>,
) -> T {
    match Transaction::new().class(class).run(|tx| f(tx)) {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

/// L-01: one holder at a time, whichever way each of them takes the lock.
pub fn l_01_one_holder_at_a_time_in_all_mixes(on: Subject) {
    const ROUNDS: usize = 40;
    for algorithm in Algorithm::ALL {
        let class = class(algorithm);
        let object = &on.object();
        let (inside, entered) = (&AtomicBool::new(false), &AtomicUsize::new(0));
        let work = &|| {
            assert!(!inside.swap(true, Ordering::Relaxed), "two at once");
            thread::yield_now();
            entered.fetch_add(1, Ordering::Relaxed);
            inside.store(false, Ordering::Relaxed);
        };
        let locks: [&(dyn Fn() + Sync); 4] = [
            &|| {
                let _guard = object.lock();
                work();
            },
            &|| loop {
                if let Some(_guard) = object.try_lock() {
                    return work();
                }
                thread::yield_now();
            },
            &|| {
                transact(class, |tx| {
                    tx.lock(object)?;
                    work();
                    Ok(())
                });
            },
            &|| {
                let _guards = Transaction::new().class(class).lock_all(&[object, object]);
                work();
            },
        ];
        thread::scope(|scope| {
            for lock in locks {
                scope.spawn(move || (0..ROUNDS).for_each(|_| lock()));
            }
        });
        assert_eq!(entered.load(Ordering::Relaxed), locks.len() * ROUNDS);
        assert!(object.try_lock().is_some());
    }
}

/// L-02: locking twice changes nothing: nobody else gets in, and one release is enough.
pub fn l_02_locking_twice_is_locking_once(on: Subject) {
    for algorithm in Algorithm::ALL {
        let class = class(algorithm);
        let objects = on.objects(2);
        // Another thread tells the same as the holder's own.
        let is_free = |at: usize| {
            let asks = || objects[at].try_lock().is_some();
            let elsewhere = thread::scope(|scope| scope.spawn(asks).join().expect("no panic"));
            assert_eq!(asks(), elsewhere);
            elsewhere
        };
        transact(class, |tx| {
            let receipts = [tx.lock(&objects[0])?, tx.lock(&objects[0])?];
            assert!(receipts[0].is_same(&receipts[1]));
            assert_eq!((tx.held(), is_free(0), is_free(1)), (1, false, true));
            Ok(())
        });
        assert!(is_free(0) && is_free(1));
        let guards = Transaction::new()
            .class(class)
            .lock_all(&[&objects[1], &objects[1]]);
        assert_eq!((is_free(0), is_free(1)), (true, false));
        drop(guards);
        assert_free(&objects, class);
        assert_eq!(class.backoffs(), 0);
    }
}

/// Two transactions that hold one object each and want the other's. Answers how often each ran.
fn crosswise(
    objects: &[Object],
    class: &'static Class,
    gives_up: bool,
) -> [Result<usize, &'static str>; 2] {
    let both_hold = &Meeting::of(2);
    // The winner gives up one object after the other. The loser comes back when both are free, or it
    // may meet the winner again.
    let winner_is_done = &Meeting::of(2);
    let cross = |first: usize, second: usize| {
        let mut runs = 0;
        let ended = Transaction::new().class(class).run(|tx| {
            runs += 1;
            if runs == 2 {
                winner_is_done.wait();
            }
            let _first = tx.lock(&objects[first])?;
            if runs == 1 {
                both_hold.wait();
            }
            match tx.lock(&objects[second]) {
                Ok(_) => Ok(runs),
                Err(_) if gives_up => Err(ExecError::Failed("gave up")),
                Err(backoff) => Err(backoff.into()),
            }
        });
        if ended == Ok(1) && !gives_up {
            winner_is_done.wait();
        }
        ended
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| cross(1, 0));
        [cross(0, 1), other.join().expect("no panic")]
    })
}

/// L-03: A then B against B then A: one of the two backs off. If it tries again both finish, if it
/// gives up the other one does.
pub fn l_03_ab_against_ba(on: Subject) {
    for algorithm in Algorithm::ALL {
        for gives_up in [false, true] {
            let class = class(algorithm);
            let objects = on.objects(2);
            let mut runs = crosswise(&objects, class, gives_up);
            runs.sort_unstable();
            let loser = if gives_up { Err("gave up") } else { Ok(2) };
            assert_eq!(runs, [Ok(1), loser], "{algorithm:?}");
            assert_eq!(class.backoffs(), 1, "{algorithm:?}");
            assert_free(&objects, class);
        }
    }
}

/// L-04: a cycle of n transactions, each holding one object and wanting the next one's: all finish,
/// and each has added its fence to both of its objects once.
pub fn l_04_cycles_come_apart(on: Subject) {
    // The two that are added to an object, in any order.
    let beside = on.beside_others();
    let (usage, stay) = (
        beside.unwrap_or(Usage::Read),
        1 + usize::from(beside.is_some()),
    );
    for algorithm in Algorithm::ALL {
        for n in 2..=5 {
            let class = class(algorithm);
            let objects = &on.objects(n);
            let all_hold = &Meeting::of(n);
            let jobs: Vec<_> = (0..n).map(|_| lone_job()).collect();
            thread::scope(|scope| {
                for (at, job) in jobs.iter().enumerate() {
                    scope.spawn(move || {
                        let mut runs = 0;
                        let done = Transaction::new()
                            .class(class)
                            .run::<_, ReserveError>(|tx| {
                                runs += 1;
                                let mine = tx.lock(&objects[at])?.reserve(1)?;
                                if runs == 1 {
                                    all_hold.wait();
                                }
                                let next = tx.lock(&objects[(at + 1) % n])?.reserve(1)?;
                                for mut slots in [mine, next] {
                                    slots.add(job.fence(), usage);
                                }
                                Ok(())
                            });
                        done.expect("memory");
                    });
                }
            });
            assert!(class.backoffs() > 0, "{algorithm:?}: {n} in a circle");
            assert_free(objects, class);
            for object in objects {
                assert_eq!(entries(object).len(), stay, "{algorithm:?} of {n}");
                assert!(is_busy(object, on.access(Access::Write, &[usage])));
            }
        }
    }
}

/// Holds something while it runs what it is given.
type Holder<'a> = &'a dyn Fn(&dyn Fn());

/// L-06: a context that holds nothing never backs off, be the holder older, younger, or without context.
pub fn l_06_a_context_that_holds_nothing_never_backs_off(on: Subject) {
    for algorithm in Algorithm::ALL {
        let class = class(algorithm);
        let objects = &on.objects(1);
        let object = &objects[0];
        let holders: [Holder<'_>; 3] = [
            &|inside| {
                let _guard = object.lock();
                inside();
            },
            &|inside| {
                let _guards = Transaction::new().class(class).lock_all(&[object]);
                inside();
            },
            &|inside| {
                transact(class, |tx| {
                    tx.lock(object)?;
                    inside();
                    Ok(())
                });
            },
        ];
        for holder in holders {
            for waiters in [1, 3] {
                thread::scope(|scope| {
                    holder(&|| {
                        let (begun, begins) = mpsc::channel();
                        for _ in 0..waiters {
                            let begun = begun.clone();
                            scope.spawn(move || {
                                let mut runs = 0;
                                transact(class, |tx| {
                                    runs += 1;
                                    begun.send(()).expect("somebody listens");
                                    tx.lock(object)?;
                                    assert_eq!(runs, 1, "L-06");
                                    Ok(())
                                });
                            });
                        }
                        (0..waiters).for_each(|_| begins.recv().expect("they begin"));
                    });
                });
            }
        }
        assert_eq!(class.backoffs(), 0, "{algorithm:?}");
        assert_free(objects, class);
    }
}

/// L-07: a transaction keeps its age over a back-off: against one that began later it is the older
/// one, and finishes in its next run.
pub fn l_07_age_is_kept_over_a_back_off(on: Subject) {
    for algorithm in Algorithm::ALL {
        let class = class(algorithm);
        let objects = &on.objects(2);
        let (a, b) = (&objects[0], &objects[1]);
        let (oldest_begins, middle_may_begin) = mpsc::channel();
        // The first gives up `a` before `b`: the one that finds `a` free waits until `b` is, too.
        let (oldest_is_done, middle_may_call) = mpsc::channel();
        let (middle_is_done, youngest_may_end) = mpsc::channel();
        let (middle_is_back, youngest_may_begin) = mpsc::channel();
        let (first_cross, second_cross) = (&Meeting::of(2), &Meeting::of(2));
        let runs = thread::scope(|scope| {
            let oldest = scope.spawn(move || {
                let mut runs = 0;
                let runs = transact(class, |tx| {
                    runs += 1;
                    tx.lock(a)?;
                    oldest_begins.send(()).expect("the middle one waits");
                    first_cross.wait();
                    tx.lock(b)?;
                    Ok(runs)
                });
                oldest_is_done.send(()).expect("the middle one waits");
                runs
            });
            let middle = scope.spawn(move || {
                middle_may_begin.recv().expect("the oldest begins");
                let mut runs = 0;
                let runs = transact(class, |tx| {
                    runs += 1;
                    if runs == 1 {
                        tx.lock(b)?;
                        first_cross.wait();
                        tx.lock(a)?;
                        panic!("the younger of two that cross goes on");
                    }
                    assert_eq!(tx.held(), 1, "what it backed off for comes first");
                    tx.lock(a)?;
                    if runs == 2 {
                        middle_may_call.recv().expect("the oldest ends");
                        middle_is_back.send(()).expect("the youngest waits");
                        second_cross.wait();
                    }
                    tx.lock(b)?;
                    Ok(runs)
                });
                middle_is_done.send(()).expect("the youngest waits");
                runs
            });
            let youngest = scope.spawn(move || {
                youngest_may_begin.recv().expect("the middle one is back");
                let mut runs = 0;
                transact(class, |tx| {
                    runs += 1;
                    if runs == 2 {
                        youngest_may_end.recv().expect("the middle one ends");
                    }
                    tx.lock(b)?;
                    if runs == 1 {
                        second_cross.wait();
                    }
                    tx.lock(a)?;
                    Ok(runs)
                })
            });
            [oldest, middle, youngest].map(|it| it.join().expect("no panic"))
        });
        assert_eq!(runs, [1, 2, 2], "{algorithm:?}");
        assert_eq!(class.backoffs(), 2, "{algorithm:?}");
        assert_free(objects, class);
    }
}

/// L-10: under wound-wait, a wounded context that needs no more contended lock finishes.
pub fn l_10_the_wounded_finishes_if_it_needs_no_more(on: Subject) {
    let class = class(Algorithm::WoundWait);
    let objects = &on.objects(3);
    let (older_begins, younger_may_begin) = mpsc::channel();
    let (younger_holds, older_may_wound) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            transact(class, |tx| {
                older_begins.send(()).expect("the younger one waits");
                older_may_wound.recv().expect("the younger one holds it");
                tx.lock(&objects[0])?;
                Ok(())
            });
        });
        scope.spawn(move || {
            younger_may_begin.recv().expect("the older one begins");
            let mut runs = 0;
            transact(class, |tx| {
                runs += 1;
                let receipt = tx.lock(&objects[0])?;
                younger_holds.send(()).expect("the older one waits");
                // Time to be wounded in; it finishes either way.
                thread::sleep(A_MOMENT / 10);
                tx.lock(&objects[1])?;
                tx.lock(&objects[2])?;
                assert!(receipt.entries().is_empty());
                assert_eq!(runs, 1);
                Ok(())
            });
        });
    });
    assert_eq!(class.backoffs(), 0);
    assert_free(objects, class);
}

/// L-11: a back-off at any point of a transaction leaves nothing locked and nothing changed. Here
/// each is a real one; the feature `inject-backoff` of `resv-api` does the same at random.
pub fn l_11_a_back_off_at_any_point_leaves_nothing_locked(on: Subject) {
    const OBJECTS: usize = 4;
    /// What every transaction does: locks all, and adds to all when it has them.
    fn edit<'t, 'env>(
        receipts: &[Receipt<'t, 'env, AnySemantics, AnyBackend>],
        job: &resv_api::Signaler,
    ) -> Result<(), ExecError<ReserveError>> {
        let each = receipts.iter().map(|receipt| receipt.reserve(1));
        for mut slots in each.collect::<Result<Vec<_>, _>>()? {
            slots.add(job.fence(), Usage::Read);
        }
        Ok(())
    }
    for algorithm in Algorithm::ALL {
        for at in 1..OBJECTS {
            let class = class(algorithm);
            let objects = &on.objects(OBJECTS);
            let (jobs, backs_off) = (side_by_side::<2>(), &Meeting::of(2));
            let (older_begins, younger_may_begin) = mpsc::channel();
            let jobs = &jobs;
            thread::scope(|scope| {
                scope.spawn(move || {
                    let older = Transaction::new().class(class).run(|tx| {
                        let mut receipts = vec![tx.lock(&objects[at])?];
                        older_begins.send(()).expect("the younger one waits");
                        backs_off.wait();
                        // The younger one holds this, and waits for ours: it has to give it back.
                        receipts.push(tx.lock(&objects[0])?);
                        for (other, object) in objects.iter().enumerate() {
                            if other != 0 && other != at {
                                until_free(object);
                                assert!(entries(object).is_empty());
                            }
                        }
                        edit(&receipts, &jobs[0])
                    });
                    older.expect("memory");
                });
                scope.spawn(move || {
                    younger_may_begin.recv().expect("the older one begins");
                    let mut runs = 0;
                    let younger = Transaction::new().class(class).run(|tx| {
                        runs += 1;
                        let mut receipts = Vec::new();
                        for (number, object) in objects.iter().enumerate() {
                            if runs == 1 && number == at {
                                backs_off.wait();
                            }
                            let receipt = tx.lock(object)?;
                            let _given_up = receipt.reserve(3)?;
                            receipts.push(receipt);
                        }
                        edit(&receipts, &jobs[1])?;
                        Ok(runs)
                    });
                    // Once for the older one's sake; under wait-die once more if that has given back
                    // this one's first object and not yet the other.
                    assert!(
                        matches!(younger, Ok(2 | 3)),
                        "{algorithm:?}: contended at {at}: {younger:?}"
                    );
                });
            });
            assert_free(objects, class);
            for (number, object) in objects.iter().enumerate() {
                let both = number == 0 || number == at;
                assert_eq!(entries(object).len(), 1 + usize::from(both));
            }
        }
    }
}

/// A timeout ends a wait for a contended lock too, of whichever context, and a context with time left
/// gets it in the end.
pub fn timeouts_of_both_algorithms(on: Subject) {
    for algorithm in Algorithm::ALL {
        let class = class(algorithm);
        let objects = &on.objects(2);
        let job = lone_job();
        add(&objects[1], &job, Usage::Write);
        transact(class, |tx| {
            tx.lock(&objects[1])?;
            let late = thread::scope(|scope| {
                let late = scope.spawn(|| {
                    let mut runs = 0;
                    let slice = [&objects[0], &objects[1]];
                    let batch = Transaction::new()
                        .class(class)
                        .until(A_MOMENT / 20)
                        .lock_all(&slice)
                        .is_err();
                    let time = A_MOMENT / 20;
                    let exec = Transaction::new()
                        .class(class)
                        .until(time)
                        .run::<(), TimedOut>(|tx| {
                            runs += 1;
                            tx.lock_all(&slice)?;
                            Ok(())
                        });
                    (batch, exec, runs)
                });
                late.join().expect("no panic")
            });
            // Wait-die tells it to back off first, which releases everything; then the time is up.
            assert_eq!(late, (true, Err(TimedOut), 1), "{algorithm:?}");
            assert!(objects[0].try_lock().is_some());
            Ok(())
        });
        assert_eq!(entries(&objects[1]).len(), 1);
        let patient = Transaction::new()
            .class(class)
            .until(None)
            .run::<_, TimedOut>(|tx| {
                tx.lock_all(&[&objects[1], &objects[0]])?;
                Ok(tx.held())
            });
        assert_eq!(patient, Ok(2));
        assert_eq!(entries(&objects[0]).len(), 0);
    }
}
