//! The rules of locking, L-01 to L-11.

mod corners;
mod rules;

use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Barrier, mpsc};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

fn context(algorithm: Algorithm) -> Context {
    Context::in_class(Class::shared(algorithm))
}

/// Contexts, the oldest first.
fn contexts<const N: usize>(algorithm: Algorithm) -> [Context; N] {
    [(); N].map(|()| context(algorithm))
}

/// Runs what the checks report, and rightly: a thread that asks for a lock that it holds.
fn deliberately<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(feature = "checks")]
    {
        let (result, reports) = crate::checks::collect(f);
        let relocks = |report: &crate::checks::Report| report.kind == crate::checks::Misuse::Relock;
        assert!(reports.iter().all(relocks), "{reports:#?}");
        assert_eq!(reports.len(), 1);
        result
    }
    #[cfg(not(feature = "checks"))]
    f()
}

fn locks(count: usize) -> Vec<ObjectLock> {
    (0..count).map(|_| ObjectLock::new()).collect()
}

/// A small generator of test orders.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// `count` different numbers below `bound`, in random order.
    fn choose(&mut self, count: usize, bound: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..bound).collect();
        for at in 0..count {
            let other = at + self.below(bound - at);
            all.swap(at, other);
        }
        all.truncate(count);
        all
    }
}

/// Takes those of `locks` that `chosen` names, backing off as often as it must.
fn lock_all<'a>(
    context: &'a Context,
    locks: &'a [ObjectLock],
    chosen: &[usize],
    backoffs: &AtomicUsize,
) -> Vec<LockProof<'a>> {
    let mut contended: Option<&ObjectLock> = None;
    'again: loop {
        let mut held = Vec::new();
        if let Some(lock) = contended {
            held.push(lock.lock_slow(context));
        }
        for &at in chosen {
            let lock = &locks[at];
            match lock.lock_with(context) {
                Ok(proof) => held.push(proof),
                Err(LockError::AlreadyHeld) => {}
                Err(LockError::Deadlock) => {
                    assert!(context.held() > 0, "L-06");
                    backoffs.fetch_add(1, Ordering::Relaxed);
                    contended = Some(lock);
                    continue 'again;
                }
                Err(LockError::TimedOut) => unreachable!("no timeout was given"),
            }
        }
        return held;
    }
}

/// How many are queued at `lock`.
fn queued(lock: &ObjectLock) -> usize {
    queue::of_lock(lock.address()).len(lock.address())
}

/// Waits until `count` are queued at `lock`.
fn until_queued(lock: &ObjectLock, count: usize) {
    while queued(lock) < count {
        thread::yield_now();
    }
}

fn assert_free(lock: &ObjectLock) {
    assert!(!lock.is_locked(), "L-09: still held");
    assert_eq!(queued(lock), 0, "L-09: still queued");
    drop(lock.try_lock().expect("free"));
    assert_eq!(lock.word.load(Ordering::Relaxed), FREE);
}

#[test]
fn a_proof_is_for_one_lock_only() {
    let (a, b) = (ObjectLock::new(), ObjectLock::new());
    let held = a.lock();
    assert!(held.is_for(&a));
    assert!(!held.is_for(&b));
    assert!(a.try_lock().is_none());
    assert!(b.try_lock().is_some());
    drop(held);
    assert_free(&a);
}

#[test]
fn l_01_mutual_exclusion_in_all_mixes() {
    const ROUNDS: usize = 2_000;
    let lock = ObjectLock::new();
    let inside = AtomicBool::new(false);
    let entered = AtomicUsize::new(0);
    let enter = |_held: LockProof<'_>| {
        assert!(!inside.swap(true, Ordering::Relaxed), "two holders");
        entered.fetch_add(1, Ordering::Relaxed);
        inside.store(false, Ordering::Relaxed);
    };
    let ways: [&(dyn Fn() + Sync); 6] = [
        &|| enter(lock.lock()),
        &|| {
            lock.try_lock().into_iter().for_each(enter);
        },
        &|| {
            lock.lock_until(SOON).into_iter().for_each(enter);
        },
        &|| enter(lock.lock_with(&context(Algorithm::WoundWait)).unwrap()),
        &|| enter(lock.lock_with(&context(Algorithm::WaitDie)).unwrap()),
        &|| {
            let context = context(Algorithm::WaitDie);
            lock.try_lock_with(&context).into_iter().for_each(enter);
        },
    ];
    thread::scope(|scope| {
        for way in ways {
            scope.spawn(move || (0..ROUNDS).for_each(|_| way()));
        }
    });
    assert!(entered.into_inner() >= 3 * ROUNDS);
    assert_free(&lock);
}

#[test]
fn l_02_locking_twice_is_refused_and_changes_nothing() {
    for algorithm in Algorithm::ALL {
        let lock = ObjectLock::new();
        let context = context(algorithm);
        let held = lock.lock_with(&context).unwrap();
        assert_eq!(lock.lock_with(&context).err(), Some(LockError::AlreadyHeld));
        assert_eq!(
            lock.lock_with_until(&context, SOON).err(),
            Some(LockError::AlreadyHeld)
        );
        assert!(lock.try_lock_with(&context).is_none());
        assert!(lock.try_lock().is_none());
        assert_eq!(context.held(), 1);
        drop(held);
        assert_free(&lock);
    }
}

/// Runs `older` with a and `younger` with b held, each then asking for the other's lock.
fn crosswise(
    algorithm: Algorithm,
    older: impl FnOnce(&Context, &ObjectLock, &ObjectLock) + Send,
    younger: impl FnOnce(&Context, &ObjectLock, &ObjectLock) + Send,
) {
    let (a, b) = (ObjectLock::new(), ObjectLock::new());
    let [first, second] = contexts(algorithm);
    assert!(first.ticket() < second.ticket());
    thread::scope(|scope| {
        let (a, b) = (&a, &b);
        scope.spawn(move || older(&first, a, b));
        scope.spawn(move || younger(&second, b, a));
    });
    assert_free(&a);
    assert_free(&b);
}

#[test]
fn l_03_ab_ba_the_survivor_finishes_without_back_off() {
    for algorithm in Algorithm::ALL {
        let both = &Barrier::new(2);
        crosswise(
            algorithm,
            |context, a, b| {
                let _a = a.lock_with(context).unwrap();
                both.wait();
                let _b = b.lock_with(context).expect("the older one survives");
            },
            |context, b, a| {
                let _b = b.lock_with(context).unwrap();
                both.wait();
                assert_eq!(a.lock_with(context).err(), Some(LockError::Deadlock));
                assert_eq!(context.held(), 1);
            },
        );
    }
}

#[test]
fn l_03_ab_ba_both_finish_with_back_off() {
    for algorithm in Algorithm::ALL {
        let both = &Barrier::new(2);
        let one = |context: &Context, first: &ObjectLock, second: &ObjectLock| {
            let ticket = context.ticket();
            let held = first.lock_with(context).unwrap();
            both.wait();
            if second.lock_with(context).is_err() {
                drop(held);
                let _second = second.lock_slow(context);
                let _first = first
                    .lock_with(context)
                    .expect("the other one has finished");
                assert_eq!(context.held(), 2);
            }
            assert_eq!(context.ticket(), ticket, "L-07");
        };
        crosswise(algorithm, one, one);
    }
}

#[test]
fn l_04_cycles_of_2_to_9() {
    for algorithm in Algorithm::ALL {
        for n in 2..=9 {
            let locks = &locks(n);
            let all = &Barrier::new(n);
            let backoffs = &AtomicUsize::new(0);
            thread::scope(|scope| {
                for at in 0..n {
                    scope.spawn(move || {
                        let next = (at + 1) % n;
                        let context = context(algorithm);
                        let held = locks[at].lock_with(&context).unwrap();
                        all.wait();
                        if locks[next].lock_with(&context).is_err() {
                            backoffs.fetch_add(1, Ordering::Relaxed);
                            drop(held);
                            drop(lock_all(&context, locks, &[next, at], backoffs));
                        }
                    });
                }
            });
            assert!(backoffs.load(Ordering::Relaxed) > 0, "a cycle was broken");
            locks.iter().for_each(assert_free);
        }
    }
}

#[test]
fn l_05_the_oldest_never_dies_and_l_07_keeps_its_ticket() {
    for algorithm in Algorithm::ALL {
        let locks = &locks(6);
        let stop = &AtomicBool::new(false);
        let started = &Barrier::new(3);
        let oldest = context(algorithm);
        thread::scope(|scope| {
            for seed in 1..=2 {
                scope.spawn(move || {
                    started.wait();
                    let (mut random, ignored) = (Random(seed), AtomicUsize::new(0));
                    while !stop.load(Ordering::Relaxed) {
                        let context = context(algorithm);
                        drop(lock_all(&context, locks, &random.choose(4, 6), &ignored));
                    }
                });
            }
            let (ticket, mut random) = (oldest.ticket(), Random(99));
            started.wait();
            for _ in 0..500 {
                let held: Vec<_> = random
                    .choose(4, 6)
                    .into_iter()
                    .map(|at| locks[at].lock_with(&oldest).expect("the oldest survives"))
                    .collect();
                assert_eq!(held.len(), oldest.held());
            }
            assert_eq!(oldest.ticket(), ticket);
            stop.store(true, Ordering::Relaxed);
        });
        locks.iter().for_each(assert_free);
    }
}

/// Threads that take random locks in random order, each counting up what the locks protect: without
/// atomicity, so that an update is lost when exclusion fails.
#[test]
fn l_08_random_orders_lose_no_update() {
    let plans = [(64, 8), (8, 8), (3, 2), (1, 1)];
    for algorithm in Algorithm::ALL {
        for (n, k) in plans {
            let locks = &locks(n);
            let counters = &(0..n).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>();
            let until = Instant::now() + Duration::from_millis(120);
            let run = move |seed: u64| {
                let (mut random, backoffs) = (Random(seed * 7919), AtomicUsize::new(0));
                let mut done = vec![0; n];
                while Instant::now() < until {
                    let chosen = random.choose(k, n);
                    let context = context(algorithm);
                    let _held = lock_all(&context, locks, &chosen, &backoffs);
                    for at in chosen {
                        let value = counters[at].load(Ordering::Relaxed);
                        counters[at].store(value + 1, Ordering::Relaxed);
                        done[at] += 1;
                    }
                }
                done
            };
            let mut sums = vec![0; n];
            thread::scope(|scope| {
                let threads: Vec<ScopedJoinHandle<'_, Vec<usize>>> =
                    (1..=4).map(|seed| scope.spawn(move || run(seed))).collect();
                for thread in threads {
                    let done = thread.join().expect("no panic");
                    sums.iter_mut().zip(done).for_each(|(sum, n)| *sum += n);
                }
            });
            for at in 0..n {
                assert_eq!(counters[at].load(Ordering::Relaxed), sums[at], "lost");
                assert_free(&locks[at]);
            }
        }
    }
}

/// Both algorithms, and plain requests, at the same locks.
#[test]
fn l_08_mixed_algorithms_get_along() {
    let locks = &locks(4);
    let backoffs = &AtomicUsize::new(0);
    thread::scope(|scope| {
        for seed in 1..=4 {
            scope.spawn(move || {
                let mut random = Random(seed * 104_729);
                for _ in 0..2_000 {
                    let context = context(Algorithm::ALL[(seed % 2) as usize]);
                    drop(lock_all(&context, locks, &random.choose(3, 4), backoffs));
                    drop(locks[random.below(4)].lock());
                }
            });
        }
    });
    locks.iter().for_each(assert_free);
}

#[cfg(feature = "inject-backoff")]
#[test]
fn l_11_injected_back_offs_leave_nothing_locked() {
    let locks = locks(8);
    let backoffs = AtomicUsize::new(0);
    for seed in 0..200 {
        let context = Context::new().with_injection(seed);
        // An injected back-off is about a lock that nobody holds.
        let all: Vec<usize> = (0..8).collect();
        assert_eq!(lock_all(&context, &locks, &all, &backoffs).len(), 8);
        assert_eq!(context.held(), 0);
        locks.iter().for_each(assert_free);
    }
    assert!(backoffs.into_inner() >= 200);
}
