//! Transactions over many objects.

use resv_api::lock::{Algorithm, Class};
use resv_api::{
    Access, Backend, ExclusiveShared, ExecError, Locked, Resv, Semantics, Signaler, Timeline,
    Transaction, Usage, UsageLevels, WritersReadersOthers, exec, lock_all,
};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

type Object = Resv<UsageLevels, Locked>;

fn job() -> Signaler {
    Timeline::new("test")
        .issue()
        .expect("the timeline has seqnos left")
}

/// A class counts its back-offs, so a test has its own.
const fn one_for_each_algorithm() -> [Class; 2] {
    let [one, other] = Algorithm::ALL;
    [Class::new(one), Class::new(other)]
}

fn objects(count: usize) -> Vec<Object> {
    (0..count).map(|_| Object::default()).collect()
}

fn assert_untouched<S: Semantics + Default, B: Backend + Default>(resv: &Resv<S, B>) {
    let guard = resv.try_lock().expect("free");
    assert!(guard.entries().is_empty());
}

fn pending<S: Semantics + Default, B: Backend + Default>(resv: &Resv<S, B>) -> usize {
    resv.try_lock().expect("free").entries().len()
}

#[test]
fn objects_of_all_kinds_meet_in_one_transaction() {
    let a = Resv::<ExclusiveShared, Locked>::default();
    let b = Resv::<WritersReadersOthers, Locked>::default();
    let c = Resv::new();
    let job = job();
    let held = exec::<_, resv_api::ReserveError>(|tx| {
        let (a, b, c) = (tx.lock(&a)?, tx.lock(&b)?, tx.lock(&c)?);
        let (mut a, mut b, mut c) = (a.reserve(1)?, b.reserve(1)?, c.reserve(1)?);
        a.add(job.fence(), Usage::Write);
        b.add(job.fence(), Usage::Write);
        c.add(job.fence(), Usage::Write);
        Ok(tx.held())
    });
    assert_eq!(held, Ok(3));
    assert!(!a.is_idle(Access::Read) && !b.is_idle(Access::Read) && !c.is_idle(Access::Read));
    assert_eq!((pending(&a), pending(&b), pending(&c)), (1, 1, 1));
    job.signal();
}

#[test]
fn an_object_that_is_held_is_the_same_receipt_and_slots_add_up() {
    fn check<S: Semantics + Default>() {
        let (a, b) = (Resv::<S, Locked>::default(), Resv::<S, Locked>::default());
        let (job, next) = (job(), job());
        exec::<_, resv_api::ReserveError>(|tx| {
            let once = tx.lock(&a)?;
            let other = tx.lock(&b)?;
            let again = tx.lock(&a)?;
            assert!(once.is_same(&again) && !once.is_same(&other));
            assert_eq!(tx.held(), 2);
            let mut first = once.reserve(1)?;
            let mut second = again.reserve(1)?;
            first.add(job.fence(), Usage::Read);
            // What is held already may be asked for at any time.
            assert_eq!(tx.lock(&a)?.entries().len(), 1);
            first.publish();
            second.add(next.fence(), Usage::Read);
            assert_eq!(once.entries().len(), 2);
            assert!(!once.is_idle(Access::Write));
            Ok(())
        })
        .unwrap();
        assert_eq!(pending(&a), 2);
        assert_untouched(&b);
        job.signal();
        next.signal();
    }
    check::<ExclusiveShared>();
    check::<WritersReadersOthers>();
    check::<UsageLevels>();
}

#[test]
fn replacing_and_copying_under_a_transaction() {
    let (a, b) = (Object::default(), Object::default());
    let timeline = Timeline::new("eviction");
    let (old, new) = (timeline.issue().unwrap(), job());
    exec::<_, resv_api::ReserveError>(|tx| {
        let (from, to) = (tx.lock(&a)?, tx.lock(&b)?);
        let mut slots = from.reserve(2)?;
        slots.add(old.fence(), Usage::Bookkeep);
        assert!(slots.replace(timeline.id(), new.fence(), Usage::Write));
        assert!(!slots.replace(timeline.id(), new.fence(), Usage::Write));
        assert_eq!(slots.left(), 0);
        slots.publish();
        let mut promised = to.reserve(1)?;
        to.copy_from(from.resv())?;
        promised.add(new.fence(), Usage::Write);
        Ok(())
    })
    .unwrap();
    assert_eq!((pending(&a), pending(&b)), (1, 1));
    old.signal();
    new.signal();
}

#[test]
fn an_error_of_the_closure_passes_and_leaves_everything_as_it_was() {
    let objects = objects(3);
    let mut runs = 0;
    let failed = exec(|tx| {
        runs += 1;
        for object in &objects {
            let _slots = tx.lock(object)?.reserve(2).expect("memory");
        }
        Err::<(), _>(ExecError::Failed("no"))
    });
    assert_eq!((failed, runs), (Err("no"), 1));
    objects.iter().for_each(assert_untouched);
}

#[test]
fn a_panic_of_the_closure_leaves_everything_as_it_was() {
    let objects = objects(3);
    let run = || {
        exec::<(), Infallible>(|tx| {
            let receipts = tx.lock_all(&objects.iter().collect::<Vec<_>>())?;
            let _slots = receipts[1].reserve(2).expect("memory");
            panic!("in the closure");
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    objects.iter().for_each(assert_untouched);
}

#[test]
fn nothing_is_locked_after_the_first_add() {
    let objects = objects(2);
    let job = job();
    let run = || {
        exec::<_, Infallible>(|tx| {
            let mut slots = tx.lock(&objects[0])?.reserve(1).expect("memory");
            slots.add(job.fence(), Usage::Write);
            tx.lock(&objects[1])?;
            Ok(())
        })
    };
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("refused");
    let message = panic.downcast_ref::<&str>().expect("a message");
    assert!(message.contains("lock everything before"), "{message}");
    // An add is never taken back.
    assert_eq!(pending(&objects[0]), 1);
    assert_untouched(&objects[1]);
    job.signal();
}

#[test]
fn a_transaction_may_hold_nothing_or_many() {
    assert_eq!(exec::<_, Infallible>(|_| Ok(7)), Ok(7));
    let objects = objects(2_000);
    let held = exec::<_, Infallible>(|tx| {
        for object in &objects {
            tx.lock(object)?;
        }
        Ok(tx.held())
    });
    assert_eq!(held, Ok(2_000));
    objects.iter().for_each(assert_untouched);
}

/// Two transactions cross for certain: one of them is run again, from the start, with what it
/// needed held already.
#[test]
fn l_03_a_closure_that_backs_off_is_run_again() {
    static CLASSES: [Class; 2] = one_for_each_algorithm();
    for class in &CLASSES {
        let objects = &objects(2);
        let (both, crossed) = (&Barrier::new(2), &AtomicUsize::new(0));
        // The one that goes through gives up one lock after the other: the other one goes on when
        // both are free, or it might meet it again.
        let over = &Barrier::new(2);
        thread::scope(|scope| {
            for [first, second] in [[0, 1], [1, 0]] {
                scope.spawn(move || {
                    let mut runs = 0;
                    Transaction::new()
                        .class(class)
                        .run::<_, Infallible>(|tx| {
                            runs += 1;
                            let was_held = tx.held();
                            if runs == 2 {
                                over.wait();
                            }
                            let _first = tx.lock(&objects[first])?;
                            if runs == 1 {
                                assert_eq!(was_held, 0);
                                both.wait();
                            } else {
                                assert_eq!(was_held, 1, "the contended one comes first");
                                crossed.fetch_add(1, Ordering::Relaxed);
                            }
                            let _second = tx.lock(&objects[second])?;
                            assert_eq!(tx.held(), 2);
                            Ok(())
                        })
                        .unwrap();
                    if runs == 1 {
                        over.wait();
                    }
                });
            }
        });
        assert_eq!(crossed.load(Ordering::Relaxed), 1);
        assert_eq!(class.backoffs(), 1);
        objects.iter().for_each(assert_untouched);
    }
}

/// A small generator of test orders.
fn shuffle(state: &mut u64, items: &mut [usize]) {
    for at in 1..items.len() {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        items.swap(at, (*state % (at as u64 + 1)) as usize);
    }
}

/// Transactions in random orders move amounts between accounts that only the locks protect; half
/// of them lock with `exec`, half with `lock_all`.
#[test]
fn l_08_random_orders_lose_nothing() {
    const OBJECTS: usize = 6;
    static CLASSES: [Class; 2] = one_for_each_algorithm();
    for class in &CLASSES {
        let objects = &objects(OBJECTS);
        let values = &[const { AtomicUsize::new(0) }; OBJECTS];
        let bump = |at: usize| {
            let value = values[at].load(Ordering::Relaxed);
            values[at].store(value + 1, Ordering::Relaxed);
        };
        thread::scope(|scope| {
            for seed in 1..=3_u64 {
                scope.spawn(move || {
                    let mut state = seed * 7_919;
                    let mut order: Vec<usize> = (0..OBJECTS).collect();
                    for round in 0..2_000 {
                        shuffle(&mut state, &mut order);
                        let chosen = &order[..4];
                        if round % 2 == 0 {
                            Transaction::new()
                                .class(class)
                                .run::<_, Infallible>(|tx| {
                                    for &at in chosen {
                                        tx.lock(&objects[at])?;
                                    }
                                    chosen.iter().for_each(|&at| bump(at));
                                    Ok(())
                                })
                                .unwrap();
                        } else {
                            let slice: Vec<_> = chosen.iter().map(|&at| &objects[at]).collect();
                            let guards = Transaction::new().class(class).lock_all(&slice);
                            chosen.iter().for_each(|&at| bump(at));
                            drop(guards);
                        }
                    }
                });
            }
        });
        let sum: usize = values.iter().map(|v| v.load(Ordering::Relaxed)).sum();
        assert_eq!(sum, 3 * 2_000 * 4);
        objects.iter().for_each(assert_untouched);
    }
}

#[test]
fn a_slice_is_locked_in_any_order_with_repetitions() {
    let objects = objects(3);
    let (a, b, c) = (&objects[0], &objects[1], &objects[2]);
    let job = job();
    let mut guards = lock_all(&[c, a, c, b, a]);
    assert_eq!((guards.len(), guards.objects().len()), (5, 3));
    assert!(!guards.is_empty());
    assert!(objects.iter().all(|object| object.try_lock().is_none()));
    guards[2].reserve(1).unwrap().add(job.fence(), Usage::Write);
    assert_eq!(guards[0].entries().len(), 1);
    assert_eq!(guards[1].entries().len(), 0);
    // No further back-off is possible: the guards are independent of each other and of any context.
    guards[1].reserve(1).unwrap().add(job.fence(), Usage::Write);
    drop(guards);
    assert_eq!((pending(a), pending(b), pending(c)), (1, 0, 1));
    assert!(lock_all::<UsageLevels, Locked>(&[]).is_empty());
    job.signal();
}
