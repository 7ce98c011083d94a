//! One fence, no object. `n` is the number of callbacks.
//!
//! | case | what one operation is | reference |
//! |---|---|---|
//! | `signal_no_waiters` | signal a fence that nobody waits for, while its handle is kept | `rmw`, one read-modify-write |
//! | `signal_and_free` | the same with the last handle: its memory goes back to the pool | `rmw` |
//! | `callbacks_1`, `callbacks_8` | signal a fence with so many callbacks, which run and are freed | `mutex-vec-box` |
//! | `register_1`, `register_8` | register so many callbacks | `mutex-vec-box` |
//!
//! Making the fences is not timed. A batch of them is made, then all are signalled under the clock.

use super::Case;
use super::loaded::issue;
use crate::harness::Bench;
use event_listener::Event;
use parking_lot::{Condvar, Mutex};
use resv_core::{Fence, Signaler, Timeline};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many are signalled between two looks at the clock.
const BATCH: u64 = 256;

const RMW: &str = "rmw";
const BOXES: &str = "mutex-vec-box";

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![Case::paired("signal_no_waiters", 0, RMW, || {
        vec![
            batches("fence", kept_fences, Kept::signal),
            batches(RMW, words, |word: &mut AtomicU64| {
                // AcqRel: what a signal needs, to publish and to see the waiters.
                black_box(word.fetch_or(1, Ordering::AcqRel));
            }),
            batches(
                "condvar",
                condvars,
                |(state, changed): &mut (Mutex<bool>, Condvar)| {
                    *state.lock() = true;
                    changed.notify_all();
                },
            ),
            batches(
                "event-listener",
                events,
                |(state, event): &mut (AtomicBool, Event)| {
                    // Release: as a waiter's Acquire load would need it.
                    state.store(true, Ordering::Release);
                    event.notify(usize::MAX);
                },
            ),
        ]
    })];
    cases.push(Case::paired("signal_and_free", 0, RMW, || {
        vec![
            batches("fence", fences, Signaler::signal),
            batches(RMW, words, |word: &mut AtomicU64| {
                // AcqRel: as above.
                black_box(word.fetch_or(1, Ordering::AcqRel));
            }),
        ]
    }));
    for k in [1, 8] {
        cases.push(Case::paired(
            &format!("callbacks_{k}"),
            k,
            BOXES,
            move || {
                vec![
                    batches(
                        "fence",
                        move || {
                            let jobs = kept_fences();
                            jobs.iter().for_each(|job| register(&job.fence, k));
                            jobs
                        },
                        Kept::signal,
                    ),
                    batches(BOXES, move || boxes(k), Boxes::signal),
                ]
            },
        ));
    }
    for k in [1, 8] {
        cases.push(Case::paired(
            &format!("register_{k}"),
            k,
            BOXES,
            move || {
                vec![
                    batches("fence", kept_fences, move |job: &mut Kept| {
                        register(&job.fence, k);
                    }),
                    batches(
                        BOXES,
                        || boxes(0),
                        move |boxes: &mut Boxes| boxes.register(k),
                    ),
                ]
            },
        ));
    }
    cases
}

/// An operation that uses up what it is done to, or changes it for good.
trait Once<T, How> {
    fn run(&self, all: &mut Vec<T>);
}

struct ByValue;
struct ByReference;

impl<T, F: Fn(T)> Once<T, ByValue> for F {
    fn run(&self, all: &mut Vec<T>) {
        all.drain(..).for_each(self);
    }
}

impl<T, F: Fn(&mut T)> Once<T, ByReference> for F {
    fn run(&self, all: &mut Vec<T>) {
        all.iter_mut().for_each(self);
    }
}

/// Makes a batch, and times `op` on all of it. What is left of the batch is freed after the clock.
fn batches<T: 'static, How: 'static>(
    subject: &'static str,
    make: impl Fn() -> Vec<T> + 'static,
    op: impl Once<T, How> + 'static,
) -> Bench {
    Bench::new(subject, move || {
        move |count: u64| {
            let mut took = Duration::ZERO;
            let batches = count.div_ceil(BATCH);
            for _ in 0..batches {
                let mut all = make();
                let start = Instant::now();
                op.run(&mut all);
                took += start.elapsed();
                drop(all);
            }
            took.mul_f64(count as f64 / (batches * BATCH) as f64)
        }
    })
}

/// A pending fence of which a handle is left when it has signalled.
struct Kept {
    signaler: Option<Signaler>,
    fence: Fence,
}

impl Kept {
    fn signal(&mut self) {
        if let Some(signaler) = self.signaler.take() {
            signaler.signal();
        }
    }
}

fn kept_fences() -> Vec<Kept> {
    let kept = |signaler: Signaler| Kept {
        fence: signaler.fence().clone(),
        signaler: Some(signaler),
    };
    fences().into_iter().map(kept).collect()
}

/// Pending fences. Signalling one gives its memory back, too.
fn fences() -> Vec<Signaler> {
    let timeline = Timeline::new("bench");
    (0..BATCH).map(|_| issue(&timeline)).collect()
}

fn words() -> Vec<AtomicU64> {
    (0..BATCH).map(|_| AtomicU64::new(0)).collect()
}

fn condvars() -> Vec<(Mutex<bool>, Condvar)> {
    (0..BATCH)
        .map(|_| (Mutex::new(false), Condvar::new()))
        .collect()
}

fn events() -> Vec<(AtomicBool, Event)> {
    (0..BATCH)
        .map(|_| (AtomicBool::new(false), Event::new()))
        .collect()
}

static CALLED: AtomicU64 = AtomicU64::new(0);

/// What a callback does: enough that it must be run, and a box that is not empty.
fn callback(number: u64) -> impl FnOnce() + Send + 'static {
    move || {
        // Relaxed: a statistic that nobody reads.
        CALLED.store(number, Ordering::Relaxed);
    }
}

fn register(fence: &Fence, k: usize) {
    for number in 0..k as u64 {
        let callback = callback(number);
        let registered = fence.on_signal(move |_| callback());
        assert!(registered.is_ok(), "the fence is pending");
    }
}

type Callback = Box<dyn FnOnce() + Send>;

/// What a program without fences has: whether it is over, and whom to tell.
struct Boxes(Mutex<(bool, Vec<Callback>)>);

impl Boxes {
    fn register(&self, k: usize) {
        for number in 0..k as u64 {
            let callback = Box::new(callback(number));
            self.0.lock().1.push(callback);
        }
    }

    fn signal(self) {
        let callbacks = {
            let mut inner = self.0.lock();
            inner.0 = true;
            std::mem::take(&mut inner.1)
        };
        callbacks.into_iter().for_each(|callback| callback());
    }
}

fn boxes(k: usize) -> Vec<Boxes> {
    (0..BATCH)
        .map(|_| {
            let boxes = Boxes(Mutex::new((false, Vec::new())));
            boxes.register(k);
            boxes
        })
        .collect()
}
