//! Many locks at once. `n` is how many.
//!
//! | case | what one operation is |
//! |---|---|
//! | `exec_k` | lock `n` objects, unlock them; nobody else wants them |
//! | `exec_k_contended` | the same on two threads, each time another choice out of 64 objects, in random order, with 1 us of work inside |
//!
//! | subject | what it is |
//! |---|---|
//! | `exec`, `lock_all` | this project's, over the default back end, with wait-die |
//! | `exec-wound-wait` | `exec` with the other algorithm |
//! | `parking-lot-sorted` | parking_lot mutexes that the caller has sorted by address: the reference |
//! | `happylock`, `cooptex` | crates that do the sorting or the backing off (feature `lock-peers`) |
//!
//! Sorting is not part of what is timed for `parking-lot-sorted`: it stands for a program that keeps
//! its buffers in order all the time. A program that calls `lock_all` has its references at hand; here
//! they are made of numbers, on the stack, within what is timed.

use super::{Case, Kind};
use crate::harness::{Bench, Effort, Series, per_op, timed};
use crate::report::Head;
use resv_api::{Resv, Transaction, lock_all};
use resv_core::lock::{Algorithm, Class};
use std::convert::Infallible;
use std::hint::{black_box, spin_loop};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

const SORTED: &str = "parking-lot-sorted";
const OBJECTS: usize = 64;
const WORK: Duration = Duration::from_micros(1);
/// Different choices of objects that a thread goes through.
const CHOICES: usize = 64;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for k in [2, 8, 32] {
        cases.push(Case::paired("exec_k", k, SORTED, move || {
            lockers()
                .into_iter()
                .map(|(name, locker)| uncontended(name, locker, k))
                .collect()
        }));
    }
    for k in [2, 8, 32] {
        cases.push(Case {
            head: Head {
                case: "exec_k_contended".to_owned(),
                n: k,
                threads: 2,
                reference: SORTED,
            },
            kind: Kind::Own(Box::new(move |effort| contended(k, effort))),
        });
    }
    cases
}

/// Locks the objects of these numbers, which are sorted if it says so, and does the work.
type Locker = Arc<dyn Fn(&[usize], &dyn Fn()) + Send + Sync>;

struct Named {
    lock: Locker,
    /// Whether the caller sorts the numbers, which is the order of addresses.
    sorted: bool,
}

fn lockers() -> Vec<(&'static str, Named)> {
    let resvs: Arc<Vec<Resv>> = Arc::new((0..OBJECTS).map(|_| Resv::new()).collect());
    let mutexes: Vec<parking_lot::Mutex<u64>> =
        (0..OBJECTS).map(|_| parking_lot::Mutex::new(0)).collect();
    let exec_all = |algorithm| {
        let (resvs, class) = (Arc::clone(&resvs), Class::shared(algorithm));
        move |chosen: &[usize], work: &dyn Fn()| {
            let done = Transaction::new().class(class).run::<_, Infallible>(|tx| {
                for &at in chosen {
                    tx.lock(&resvs[at])?;
                }
                work();
                Ok(())
            });
            match done {
                Ok(()) => {}
                Err(never) => match never {},
            }
        }
    };
    let wound_wait = exec_all(Algorithm::WoundWait);
    let wait_die = exec_all(Algorithm::WaitDie);
    let batch = move |chosen: &[usize], work: &dyn Fn()| {
        let mut slice = [&resvs[0]; OBJECTS];
        for (place, &at) in slice.iter_mut().zip(chosen) {
            *place = &resvs[at];
        }
        let guards = lock_all(&slice[..chosen.len()]);
        work();
        drop(guards);
    };
    let sorted = move |chosen: &[usize], work: &dyn Fn()| {
        let mut guards = Vec::with_capacity(chosen.len());
        for &at in chosen {
            guards.push(mutexes[at].lock());
        }
        work();
        drop(guards);
    };
    let named = |lock: Locker, sorted| Named { lock, sorted };
    #[allow(unused_mut)]
    let mut all = vec![
        ("exec", named(Arc::new(wait_die), false)),
        ("exec-wound-wait", named(Arc::new(wound_wait), false)),
        ("lock_all", named(Arc::new(batch), false)),
        (SORTED, named(Arc::new(sorted), true)),
    ];
    #[cfg(feature = "lock-peers")]
    {
        all.push(("happylock", named(peers::happylock(), false)));
        all.push(("cooptex", named(peers::cooptex(), false)));
    }
    all
}

#[cfg(feature = "lock-peers")]
mod peers {
    use super::{Locker, OBJECTS};
    use cooptex::{CoopMutex, retry_loop};
    use happylock::{LockCollection, Mutex, ThreadKey};
    use std::sync::Arc;

    /// happylock: a collection of references, which it sorts.
    pub(super) fn happylock() -> Locker {
        let mutexes: Vec<Mutex<u64>> = (0..OBJECTS).map(|_| Mutex::new(0)).collect();
        Arc::new(move |chosen, work| {
            let chosen: Vec<&Mutex<u64>> = chosen.iter().map(|&at| &mutexes[at]).collect();
            let key = ThreadKey::get().expect("this thread holds no other key");
            let locks = LockCollection::try_new(chosen).expect("no object is chosen twice");
            let guards = locks.lock(key);
            work();
            drop(guards);
        })
    }

    /// cooptex: backs off and tries again.
    pub(super) fn cooptex() -> Locker {
        let mutexes: Vec<CoopMutex<u64>> = (0..OBJECTS).map(|_| CoopMutex::new(0)).collect();
        Arc::new(move |chosen, work| {
            retry_loop(|| {
                let mut guards = Vec::with_capacity(chosen.len());
                for &at in chosen {
                    guards.push(mutexes[at].lock()?.expect("no holder panics"));
                }
                work();
                Ok(())
            });
        })
    }
}

fn uncontended(name: &'static str, named: Named, k: usize) -> Bench {
    Bench::new(name, move || {
        // Of ours the worst order, of the reference the one that it needs.
        let mut chosen: Vec<usize> = (0..k).collect();
        if !named.sorted {
            chosen.reverse();
        }
        move |count| timed(count, || (named.lock)(black_box(&chosen), &|| {}))
    })
}

/// Choices of `k` objects, in random order, the same for the same `seed`.
fn choices(k: usize, mut seed: u64) -> Vec<Vec<usize>> {
    (0..CHOICES)
        .map(|_| {
            let mut all: Vec<usize> = (0..OBJECTS).collect();
            for at in 0..k {
                // xorshift64
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                all.swap(at, at + (seed % (OBJECTS - at) as u64) as usize);
            }
            all.truncate(k);
            all
        })
        .collect()
}

fn work() {
    let until = Instant::now() + WORK;
    while Instant::now() < until {
        spin_loop();
    }
}

fn contended(k: usize, effort: &Effort) -> Vec<Series> {
    let subjects = lockers();
    let mut series: Vec<Series> = subjects.iter().map(|(name, _)| Series::new(name)).collect();
    for round in 0..effort.few_rounds() {
        for turn in 0..subjects.len() {
            let at = (turn + round) % subjects.len();
            series[at]
                .ns
                .push(fight(&subjects[at].1, k, effort.crowd_span));
        }
    }
    series
}

/// The time of a transaction, as each of two threads sees it.
fn fight(named: &Named, k: usize, span: Duration) -> f64 {
    let start = Barrier::new(2);
    let fighter = |seed| {
        let mut choices = choices(k, seed);
        if named.sorted {
            choices.iter_mut().for_each(|chosen| chosen.sort_unstable());
        }
        start.wait();
        let began = Instant::now();
        let mut count = 0_u64;
        while began.elapsed() < span {
            for chosen in &choices[..8] {
                (named.lock)(chosen, &work);
                count += 1;
            }
            choices.rotate_left(8);
        }
        (began.elapsed(), count)
    };
    let (a, b) = std::thread::scope(|scope| {
        let other = scope.spawn(|| fighter(0x1234_5678_9ABC_DEF1));
        (
            fighter(0xFEDC_BA98_7654_3211),
            other.join().expect("nobody panics"),
        )
    });
    per_op(a.0 + b.0, a.1 + b.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_names_no_object_twice() {
        for mut chosen in choices(32, 7) {
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), 32);
        }
    }
}
