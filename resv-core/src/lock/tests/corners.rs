//! The corners of the two algorithms, of time-outs, and of sets of locks.

use super::*;

#[test]
fn a_wound_does_not_outlive_what_was_held() {
    let (a, b) = (&ObjectLock::new(), &ObjectLock::new());
    let [older, younger] = contexts(Algorithm::WoundWait);
    thread::scope(|scope| {
        let held = a.lock_with(&younger).unwrap();
        let waiting = scope.spawn(move || a.lock_with(&older).map(drop));
        until_queued(a, 1);
        drop(held);
        waiting.join().unwrap().unwrap();
        // A new round: contended, with something held, and no reason to back off.
        let _a = a.lock_with(&younger).unwrap();
        let b_held = b.lock();
        let again = deliberately(|| b.lock_with_until(&younger, SOON).err());
        assert_eq!(again, Some(LockError::TimedOut));
        drop(b_held);
    });
    drop(younger);
    assert_free(a);
}

/// A younger context is queued with something held; an older one comes and takes its place.
#[test]
fn wait_die_an_older_newcomer_kills_those_queued_behind_it() {
    let (a, b) = (&ObjectLock::new(), &ObjectLock::new());
    let [older, younger] = contexts(Algorithm::WaitDie);
    let holder = a.lock();
    thread::scope(|scope| {
        let dying = scope.spawn(move || {
            let _b = b.lock_with(&younger).unwrap();
            a.lock_with(&younger).map(drop)
        });
        until_queued(a, 1);
        let waiting = scope.spawn(move || a.lock_with(&older).map(drop));
        assert_eq!(dying.join().unwrap(), Err(LockError::Deadlock));
        drop(holder);
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
    assert_free(a);
    assert_free(b);
}

/// The same, with an older one that comes by while the lock is free but queued for.
#[test]
fn wait_die_a_new_holder_kills_the_younger_ones_queued() {
    let (a, b) = (&ObjectLock::new(), &ObjectLock::new());
    let [older, younger] = contexts(Algorithm::WaitDie);
    let holder = a.lock();
    thread::scope(|scope| {
        let dying = scope.spawn(move || {
            let _b = b.lock_with(&younger).unwrap();
            a.lock_with(&younger).map(drop)
        });
        until_queued(a, 1);
        // Free the lock as a release does, without waking anybody: what a barging taker finds.
        a.word.swap(word::QUEUED, Ordering::Release);
        std::mem::forget(holder);
        let held = a.try_lock_with(&older).expect("free");
        assert_eq!(dying.join().unwrap(), Err(LockError::Deadlock));
        drop(held);
    });
    assert_free(a);
}

/// A younger one that overtakes an older sleeper is wounded for it.
#[test]
fn wound_wait_a_context_that_overtakes_an_older_one_is_wounded() {
    let (a, b) = (&ObjectLock::new(), &ObjectLock::new());
    let [older, younger] = contexts(Algorithm::WoundWait);
    let holder = a.lock();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || a.lock_with(&older).map(drop));
        until_queued(a, 1);
        a.word.swap(word::QUEUED, Ordering::Release);
        std::mem::forget(holder);
        let held = a.try_lock_with(&younger).expect("free");
        let b_held = b.lock();
        let again = deliberately(|| b.lock_with(&younger).err());
        assert_eq!(again, Some(LockError::Deadlock));
        drop((b_held, held));
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
    assert!(!wounds::has_record(younger.claim()));
    assert_free(a);
}

/// Contexts are served by age, whatever order they came in.
#[test]
fn waiters_are_served_in_the_order_of_their_tickets() {
    for algorithm in Algorithm::ALL {
        let lock = &ObjectLock::new();
        let contexts: Vec<_> = (0..4).map(|_| context(algorithm)).collect();
        let tickets: Vec<_> = contexts.iter().map(Context::ticket).collect();
        let (sender, served) = mpsc::channel();
        let holder = lock.lock();
        thread::scope(|scope| {
            for (queued, context) in contexts.into_iter().rev().enumerate() {
                let sender = sender.clone();
                scope.spawn(move || {
                    let _held = lock.lock_with(&context).unwrap();
                    sender.send(context.ticket()).unwrap();
                });
                until_queued(lock, queued + 1);
            }
            drop(holder);
        });
        drop(sender);
        assert_eq!(served.into_iter().collect::<Vec<_>>(), tickets);
        assert_free(lock);
    }
}

#[test]
fn timeouts_leave_nothing_behind() {
    for algorithm in Algorithm::ALL {
        let lock = ObjectLock::new();
        let holder = lock.lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                let start = Instant::now();
                assert!(lock.lock_until(SOON).is_none());
                assert!(start.elapsed() >= SOON);
                let context = context(algorithm);
                for timeout in [Duration::ZERO, SOON] {
                    let refused = lock.lock_with_until(&context, timeout).err();
                    assert_eq!(refused, Some(LockError::TimedOut));
                }
                assert_eq!(context.held(), 0);
            });
        });
        drop(holder);
        let context = context(algorithm);
        drop(lock.lock_with_until(&context, LONG).expect("free"));
        drop(lock.lock_until(Duration::ZERO).expect("free"));
        assert_free(&lock);
    }
}

/// Sleepers whose time runs out as the lock is released hand the wake-up on.
#[test]
fn timeouts_racing_with_releases_lose_no_wake_up() {
    let lock = &ObjectLock::new();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                for _ in 0..300 {
                    if let Some(held) = lock.lock_until(Duration::from_micros(50)) {
                        thread::sleep(Duration::from_micros(40));
                        drop(held);
                    }
                }
            });
        }
        scope.spawn(move || (0..300).for_each(|_| drop(lock.lock())));
    });
    assert_free(lock);
}

#[test]
fn done_lasts_until_all_is_released() {
    let (a, b) = (ObjectLock::new(), ObjectLock::new());
    let context = Context::new();
    let held = a.lock_with(&context).unwrap();
    held.done();
    let refused = std::panic::AssertUnwindSafe(|| b.lock_with(&context).map(drop));
    assert!(std::panic::catch_unwind(refused).is_err());
    drop(held);
    drop(b.lock_with(&context).unwrap());
}

#[test]
#[should_panic(expected = "releases everything first")]
fn lock_slow_is_for_contexts_that_hold_nothing() {
    let (a, b) = (ObjectLock::new(), ObjectLock::new());
    let context = Context::new();
    let _held = a.lock_with(&context).unwrap();
    let _ = b.lock_slow(&context);
}

#[test]
fn detached_locks_outlive_their_context() {
    for algorithm in Algorithm::ALL {
        let locks = &locks(40);
        let older = context(algorithm);
        let set = LockSet::new(context(algorithm));
        let claim = set.context().claim();
        for lock in &locks[..] {
            set.lock(lock).unwrap();
        }
        thread::scope(|scope| {
            let wanted = &locks[3];
            let waiting = scope.spawn(move || wanted.lock_with(&older).map(drop));
            until_queued(wanted, 1);
            let held = set.into_proofs();
            assert!(!wounds::has_record(claim), "what was detached heals");
            assert!(held.iter().zip(locks).all(|(held, lock)| held.is_for(lock)));
            assert!(locks.iter().all(|lock| lock.try_lock().is_none()));
            drop(held);
            assert_eq!(waiting.join().unwrap(), Ok(()));
        });
        assert!(!wounds::has_record(claim));
        locks.iter().for_each(assert_free);
    }
}

#[test]
fn a_set_holds_many_and_lends_each() {
    let locks = locks(70);
    let mut set = LockSet::new(Context::new());
    for _ in 0..2 {
        for (index, lock) in locks.iter().enumerate() {
            assert_eq!(set.lock(lock), Ok(index));
            assert_eq!(set.lock(lock), Err(LockError::AlreadyHeld));
        }
        assert_eq!((set.len(), set.is_empty()), (70, false));
        for (index, lock) in locks.iter().enumerate() {
            assert_eq!(set.position(lock), Some(index));
            set.with(index, |held| {
                assert!(held.is_for(lock));
                // Another one may be lent out meanwhile; the same one may not.
                set.with((index + 1) % 70, |other| assert!(!other.is_for(lock)));
                let again = std::panic::AssertUnwindSafe(|| set.with(index, |_| ()));
                assert!(std::panic::catch_unwind(again).is_err());
            });
            assert!(lock.is_locked());
        }
        set.release_all();
        assert!(set.is_empty());
        locks.iter().for_each(assert_free);
    }
    set.lock(&locks[0]).unwrap();
    set.back_off(&locks[1]);
    assert_eq!((set.len(), set.position(&locks[1])), (1, Some(0)));
    drop(set);
    locks.iter().for_each(assert_free);
}

/// Back ends rely on a proof: exchanging one for another must not make two of one lock.
#[test]
fn an_exchanged_proof_is_noticed() {
    let locks = locks(3);
    let other: &'static ObjectLock = Box::leak(Box::default());
    let set = LockSet::new(Context::new());
    for lock in &locks[..] {
        set.lock(lock).unwrap();
    }
    let exchange = || {
        set.with(1, |held| {
            *held = other.lock(); // drops, and so releases, what was lent
            assert!(!locks[1].is_locked());
        });
    };
    let exchange = std::panic::AssertUnwindSafe(exchange);
    assert!(std::panic::catch_unwind(exchange).is_err());
    drop(set);
    locks.iter().for_each(assert_free);
    assert_free(other);
}

#[test]
fn a_panic_releases() {
    let lock = ObjectLock::new();
    let panics = std::panic::catch_unwind(|| {
        let context = Context::new();
        let _held = lock.lock_with(&context).unwrap();
        panic!("with the lock held");
    });
    assert!(panics.is_err());
    assert_free(&lock);
}

#[test]
#[cfg_attr(
    feature = "checks",
    ignore = "waits for a lock of its own thread, which the checks report"
)]
fn a_set_gives_up_at_its_deadline_with_what_it_holds_or_with_nothing() {
    for algorithm in Algorithm::ALL {
        let locks = locks(3);
        let mut set = LockSet::new(context(algorithm));
        let past = Instant::now();
        for (at, lock) in locks[..2].iter().enumerate() {
            assert_eq!(set.lock_until(lock, past), Ok(at), "it is free");
        }
        let held = locks[2].lock();
        let late = set.lock_until(&locks[2], Instant::now() + SOON);
        assert_eq!((late, set.len()), (Err(LockError::TimedOut), 2));
        assert_eq!(set.lock_until(&locks[1], past), Err(LockError::AlreadyHeld));
        let late = set.back_off_until(&locks[2], Instant::now() + SOON);
        assert_eq!((late, set.len()), (Err(LockError::TimedOut), 0));
        drop(held);
        assert_eq!(set.back_off_until(&locks[2], past), Ok(()));
        assert_eq!(set.position(&locks[2]), Some(0));
        drop(set);
        locks.iter().for_each(assert_free);
    }
}

/// Locks that are named twice are found again in a table: 4,000 of them used to take 8 million looks.
#[test]
fn l_02_many_that_are_held_already_take_a_look_each() {
    const MANY: usize = 4_000;
    let locks: Vec<_> = (0..MANY).map(|_| ObjectLock::new()).collect();
    for by_turns in [false, true] {
        let set = LockSet::new(Context::new());
        let before = super::super::set::LOOKS.get();
        let again = |at: usize| {
            assert_eq!(set.lock(&locks[at]).err(), Some(LockError::AlreadyHeld));
            assert_eq!(set.position(&locks[at]), Some(at));
        };
        for (at, lock) in locks.iter().enumerate() {
            assert_eq!(set.lock(lock), Ok(at));
            if by_turns {
                again(at);
            }
        }
        (0..MANY).rev().for_each(again);
        let looks = super::super::set::LOOKS.get() - before;
        assert!(looks <= 2 * MANY, "{looks}");
    }
}
