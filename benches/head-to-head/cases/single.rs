//! One object, one thread. `n` is the number of fences in it; in `transaction_k`, the number of
//! objects.
//!
//! | case | what one operation is |
//! |---|---|
//! | `test_idle` | the idle test, with every fence signalled |
//! | `test_pending` | the idle test, with none signalled |
//! | `test_last_pending` | the idle test, with all but the last signalled |
//! | `visit` | summing the seqnos of the pending fences |
//! | `visit_holes` | the same, where every other place is empty, as what was there has signalled |
//! | `snapshot` | taking all fences, owned, and giving them back |
//! | `waits_for` | the same for one access, and counting what is pending of it |
//! | `add_fresh` | issue a fence, add it over the one of its timeline, signal and free that one |
//! | `add_guarded` | the same with a guard: lock, reserve, add, unlock |
//! | `add_growing` | one add into an object that grows from empty to `n`; the object's own life included |
//! | `transaction_k` | issue a fence, lock `n` objects of four fences each, add it to each, unlock; signal and free the old one |

use super::Case;
use super::loaded::{ACCESS, Jobs, Loaded, USAGE};
use crate::harness::{Bench, timed};
use crate::subjects::{MUTEX, Subject};
use std::hint::black_box;
use std::time::Duration;

const SIZES: [usize; 8] = [0, 1, 2, 4, 8, 16, 64, 256];
/// Twice as many must fit in every subject.
const HOLES: [usize; 4] = [4, 16, 64, 128];
/// Growth curves, of those that do not copy everything for each add: an object of this size takes a while.
const GROWN: [usize; 3] = [1024, 4096, 16_384];
const GUARDED: [usize; 3] = [4, 16, 64];
const TRANSACTIONS: [usize; 5] = [1, 2, 4, 8, 16];

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    /// One case for each of these sizes; each with all subjects.
    macro_rules! case {
        ($name:ident, $sizes:expr) => {
            for n in $sizes.iter().copied() {
                cases.push(Case::paired(stringify!($name), n, MUTEX, move || {
                    with_c(stringify!($name), n, each_subject!(n, $name(n)))
                }));
            }
        };
    }
    case!(test_idle, SIZES);
    case!(test_pending, SIZES[1..]);
    case!(test_last_pending, SIZES[2..]);
    case!(visit, SIZES);
    for n in HOLES {
        cases.push(Case::paired("visit_holes", n, MUTEX, move || {
            each_subject!(2 * n, visit_holes(n))
        }));
    }
    case!(snapshot, SIZES);
    case!(waits_for, SIZES);
    case!(add_fresh, SIZES[1..]);
    case!(add_guarded, GUARDED);
    case!(add_growing, SIZES[1..]);
    for n in GROWN {
        cases.push(Case::paired("add_growing", n, MUTEX, move || {
            each_that_grows!(add_growing(n))
        }));
    }
    for k in TRANSACTIONS {
        cases.push(Case::paired("transaction_k", k, MUTEX, move || {
            with_c("transaction_k", k, each_subject!(8, transaction(k)))
        }));
    }
    cases
}

/// Adds the C peers.
fn with_c(case: &str, n: usize, benches: Vec<Bench>) -> Vec<Bench> {
    #[cfg(feature = "liburcu")]
    let benches = {
        let mut benches = benches;
        benches.extend(crate::raw::liburcu::benches(case, n));
        benches
    };
    let _ = (case, n);
    benches
}

/// An operation that only reads an object of `n` fences, of which the last `pending` are pending.
fn read<S: Subject, T>(n: usize, pending: usize, op: impl Fn(&S) -> T + 'static) -> Bench {
    Bench::new(S::name(), move || {
        let loaded = Loaded::<S>::signaled_but(n, pending);
        move |count| {
            // All of it is captured: a signaler that is dropped cancels its fence.
            let loaded: &Loaded<S> = black_box(&loaded);
            assert_eq!(loaded.object.waits_for(ACCESS), pending, "{}", S::name());
            timed(count, || op(&loaded.object))
        }
    })
}

fn test_idle<S: Subject>(n: usize) -> Bench {
    read(n, 0, |o: &S| o.is_idle(ACCESS))
}

fn test_pending<S: Subject>(n: usize) -> Bench {
    read(n, n, |o: &S| o.is_idle(ACCESS))
}

fn test_last_pending<S: Subject>(n: usize) -> Bench {
    read(n, 1, |o: &S| o.is_idle(ACCESS))
}

fn visit<S: Subject>(n: usize) -> Bench {
    read(n, n, |o: &S| o.visit(ACCESS))
}

fn visit_holes<S: Subject>(n: usize) -> Bench {
    Bench::new(S::name(), move || {
        let loaded = Loaded::<S>::with_holes(n);
        move |count| {
            let loaded: &Loaded<S> = black_box(&loaded);
            timed(count, || loaded.object.visit(ACCESS))
        }
    })
}

fn snapshot<S: Subject>(n: usize) -> Bench {
    read(n, n, |o: &S| {
        black_box(&o.snapshot());
    })
}

fn waits_for<S: Subject>(n: usize) -> Bench {
    read(n, n, |o: &S| o.waits_for(ACCESS))
}

fn add_fresh<S: Subject>(n: usize) -> Bench {
    Bench::new(S::name(), move || {
        let mut loaded = Loaded::<S>::pending(n);
        move |count| timed(count, || loaded.turn())
    })
}

fn add_guarded<S: Subject>(n: usize) -> Bench {
    Bench::new(S::name(), move || {
        let mut loaded = Loaded::<S>::pending(n);
        move |count| timed(count, || loaded.turn_with_a_guard())
    })
}

fn add_growing<S: Subject>(n: usize) -> Bench {
    Bench::new(S::name(), move || {
        let jobs = Jobs::new(n);
        move |count: u64| {
            // Whole objects only, so what is timed is divided by adds made and not by those asked.
            let objects = count.div_ceil(n as u64);
            let took = timed(objects, || {
                let object = S::new();
                for job in &jobs.signalers {
                    object.add(job.fence(), USAGE);
                }
                object
            });
            share(took, count, objects * n as u64)
        }
    })
}

/// The time of `count` operations, if `made` took `took`.
fn share(took: Duration, count: u64, made: u64) -> Duration {
    took.mul_f64(count as f64 / made as f64)
}

fn transaction<S: Subject>(k: usize) -> Bench {
    const FENCES: usize = 4;
    Bench::new(S::name(), move || {
        let mut jobs = Jobs::new(FENCES);
        // In one allocation: sorted by address.
        let objects: Vec<S> = (0..k).map(|_| S::new()).collect();
        for job in &jobs.signalers {
            for object in &objects {
                object.add(job.fence(), USAGE);
            }
        }
        move |count| {
            let objects: Vec<&S> = objects.iter().collect();
            timed(count, || {
                jobs.next(|job| S::transaction(&objects, job.fence(), USAGE));
            })
        }
    })
}
