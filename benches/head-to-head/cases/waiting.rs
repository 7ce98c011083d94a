//! Sleepers: how soon one wakes, and whether they are in the way of threads that add.
//!
//! | case | what one operation is | reference |
//! |---|---|---|
//! | `wakeup` | from just before the signal until the sleeper runs; two threads | `futex`, the system call |
//! | `add_under_waiters` | issue a fence, add it over the one of its timeline, signal and free that one, while `n` waiters (half of them threads, half futures) wait up to 10 s for another fence of the object | the same subject with `n` = 0 |
//!
//! The second is the case of wgpu #9470, where a waiter held the lock that a submission needed.

use super::loaded::{ACCESS, Loaded, USAGE, issue};
use super::{Case, Kind};
use crate::harness::{Effort, Series, per_op, timed};
use crate::report::Head;
use crate::subjects::{Product, Subject};
use resv_core::{Backend, Timeline};
use rustix::thread::futex;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

const FUTEX: &str = "futex";
/// Until a thread that is about to sleep can be taken to be asleep.
const ASLEEP: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(10);
const WAITERS: usize = 1000;
/// Pending fences in the object beside the one that is waited for.
const FENCES: usize = 3;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let head = |case: &str, n, threads, reference| Head {
        case: case.to_owned(),
        n,
        threads,
        reference,
    };
    vec![
        Case {
            head: head("wakeup", 1, 2, FUTEX),
            kind: Kind::Own(Box::new(wakeups)),
        },
        Case {
            // Without waiters first: the table shows both.
            head: head("add_under_waiters", 0, 1, "none"),
            kind: Kind::Own(Box::new(|effort| adds(0, effort))),
        },
        Case {
            head: head("add_under_waiters", WAITERS, 1 + WAITERS / 2, NOBODY_WAITS),
            kind: Kind::Own(Box::new(|effort| adds(WAITERS, effort))),
        },
    ]
}

/// The name under which the rounds without waiters stand beside those with.
const NOBODY_WAITS: &str = "the same with n=0";

/// Sends a fresh thing to sleep on, and the moment before it is signalled.
fn wakeup<T: Clone + Send + 'static>(
    make: impl Fn() -> T,
    sleep: impl Fn(T) + Send + 'static,
    mut wake: impl FnMut(T),
    times: usize,
) -> f64 {
    let (send, receive) = channel::<T>();
    let (woken, awake) = channel();
    let sleeper = thread::spawn(move || {
        for what in receive {
            sleep(what);
            if woken.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    let mut latencies = Vec::with_capacity(times);
    for _ in 0..times {
        let what = make();
        send.send(what.clone()).expect("the sleeper runs");
        thread::sleep(ASLEEP);
        let start = Instant::now();
        wake(what);
        let end = awake.recv().expect("the sleeper answers");
        latencies.push((end - start).as_secs_f64() * 1e9);
    }
    drop(send);
    sleeper.join().expect("the sleeper does not panic");
    latencies.sort_unstable_by(f64::total_cmp);
    latencies[latencies.len() / 2]
}

fn wakeups(effort: &Effort) -> Vec<Series> {
    const TIMES: usize = 25;
    let mut all = ["fence", FUTEX, "park"].map(Series::new);
    for round in 0..effort.few_rounds() {
        for turn in 0..all.len() {
            let at = (turn + round) % all.len();
            let ns = match at {
                0 => wake_fence(TIMES),
                1 => wake_futex(TIMES),
                _ => wake_parked(TIMES),
            };
            all[at].ns.push(ns);
        }
    }
    all.into()
}

fn wake_fence(times: usize) -> f64 {
    let timeline = Timeline::new("sleep");
    let job = std::cell::RefCell::new(None);
    wakeup(
        || {
            let new = issue(&timeline);
            let fence = new.fence().clone();
            *job.borrow_mut() = Some(new);
            fence
        },
        |fence| {
            let _ = fence.wait(None);
        },
        |_| job.take().expect("a fence was made").signal(),
        times,
    )
}

fn wake_futex(times: usize) -> f64 {
    use std::sync::Arc;
    wakeup(
        || Arc::new(AtomicU32::new(0)),
        |word| {
            // Acquire: pairs with the Release store of the waker.
            while word.load(Ordering::Acquire) == 0 {
                // An interrupted or late call is tried again.
                let _ = futex::wait(&word, futex::Flags::PRIVATE, 0, None);
            }
        },
        |word| {
            // Release: pairs with the Acquire load of the sleeper.
            word.store(1, Ordering::Release);
            let _ = futex::wake(&word, futex::Flags::PRIVATE, 1);
        },
        times,
    )
}

fn wake_parked(times: usize) -> f64 {
    use std::sync::{Arc, OnceLock};
    type Parking = Arc<(AtomicBool, OnceLock<thread::Thread>)>;
    wakeup(
        Parking::default,
        |parking| {
            parking.1.get_or_init(thread::current);
            // Acquire: pairs with the Release store of the waker.
            while !parking.0.load(Ordering::Acquire) {
                thread::park();
            }
        },
        |parking| {
            // Release: pairs with the Acquire load of the sleeper.
            parking.0.store(true, Ordering::Release);
            if let Some(sleeper) = parking.1.get() {
                sleeper.unpark();
            }
        },
        times,
    )
}

fn adds(waiters: usize, effort: &Effort) -> Vec<Series> {
    macro_rules! each {
        ($args:tt $(
            $(#[$doc:meta])* $kind:ident $module:ident $name:literal [$($feature:literal)?] $type:ty;
        )*) => {
            vec![$(add::<$type> $args),*]
        };
    }
    resv_api::for_each_backend!(each!(waiters, effort))
}

/// Adds to an object with waiters, in turns with adds to one without.
fn add<B: Backend + Default>(waiters: usize, effort: &Effort) -> Series {
    let timeline = Timeline::new("late");
    let (late, unwatched_late) = (issue(&timeline), issue(&timeline));
    let with = Product::<B>::new();
    with.add(late.fence(), USAGE);
    let stop = AtomicBool::new(false);
    let asleep = AtomicUsize::new(0);
    let mut series = Series::new(B::default().name());
    let mut without = Loaded::<Product<B>>::pending(FENCES);
    without.object.add(unwatched_late.fence(), USAGE);

    // Looked at when the threads are gone: a panic before would leave them waiting.
    let (mut watched, mut registered) = (false, true);

    thread::scope(|scope| {
        for _ in 0..waiters / 2 {
            let spawned = thread::Builder::new()
                .stack_size(64 << 10)
                .spawn_scoped(scope, || {
                    asleep.fetch_add(1, Ordering::Relaxed);
                    // Relaxed: it only ends the loop. A waiter that ran out of time waits again.
                    while !stop.load(Ordering::Relaxed) {
                        let _ = with.0.wait(ACCESS, Some(PATIENCE));
                    }
                });
            spawned.expect("a thread with a small stack");
        }
        let mut futures: Vec<_> = (0..waiters - waiters / 2)
            .map(|_| with.0.wait_async(ACCESS))
            .collect();
        for future in &mut futures {
            registered &= Pin::new(future)
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending();
        }
        while asleep.load(Ordering::Relaxed) < waiters / 2 {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(50));

        let mut jobs = super::loaded::Jobs::new(FENCES);
        for job in &jobs.signalers {
            with.add(job.fence(), USAGE);
        }
        let mut adds = |count| {
            let took = timed(count, || jobs.next(|job| with.add(job.fence(), USAGE)));
            per_op(took, count)
        };
        let count = (effort.span.as_nanos() as u64 / 100).max(64);
        let mut nobody = Vec::new();
        for _ in 0..effort.rounds {
            adds(count / 8);
            series.ns.push(adds(count));
            timed(count / 8, || without.turn());
            nobody.push(per_op(timed(count, || without.turn()), count));
        }
        series.beside.push((NOBODY_WAITS, nobody));
        watched = !with.is_idle(ACCESS);
        // Relaxed: seen at the latest when the waits end, by the signal.
        stop.store(true, Ordering::Relaxed);
        late.signal();
        drop(jobs);
    });
    unwatched_late.signal();
    assert!(
        watched && registered,
        "the fence that is waited for was in the object"
    );
    series
}
