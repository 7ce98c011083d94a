//! Threads that share nothing: each works on what is its own. `n` is 1.
//!
//! | case | what one operation is | reference |
//! |---|---|---|
//! | `disjoint_issue` | issue a fence on the thread's own timeline, signal it, drop it | `box` |
//! | `disjoint_signaled` | make a fence that is born signalled, drop it | `box` |
//!
//! `box` is a box of the size of a fence, made and dropped: what the allocator does for threads that do not
//! meet. `vs_one_thread` is how many operations the threads do together for each that one thread does alone,
//! in the same round: on two processors it is 2 at best, also with four threads.
//!
//! The threads are bound to the processors that the process may use, in turns, and so is the one that runs alone:
//! to the first in one round, to the next in the next. Otherwise a run in which the scheduler left two threads on
//! one processor would tell of the scheduler. It is done for all subjects alike.

use super::Case;
use crate::crowd::{Apart, side_by_side};
use crate::harness::{Effort, ONE_THREAD, Series};
use crate::report::Head;
use resv_core::{Fence, Timeline};
use std::hint::black_box;

const BOX: &str = "box";
/// Operations between two looks at whether the time is up.
const BATCH: u64 = 256;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let each = |case: &'static str, subject: Run| {
        [1, 2, 4].map(|threads| Case {
            head: Head {
                case: case.to_owned(),
                n: 1,
                threads,
                reference: BOX,
            },
            kind: super::Kind::Own(Box::new(move |effort| {
                paired(threads, &[("fence", subject), (BOX, boxes)], effort)
            })),
        })
    };
    let issue = each("disjoint_issue", issues);
    let signaled = each("disjoint_signaled", stubs);
    issue.into_iter().chain(signaled).collect()
}

fn issues(apart: Apart) -> f64 {
    run(
        apart,
        || Timeline::new("own"),
        |timeline| {
            let job = timeline.issue().expect("seqnos are left");
            black_box(&job);
            job.signal();
        },
    )
}

fn stubs(apart: Apart) -> f64 {
    run(apart, || (), |()| drop(black_box(Fence::signaled())))
}

fn boxes(apart: Apart) -> f64 {
    run(apart, || (), |()| drop(black_box(Box::new([0_u64; 16]))))
}

/// Nanoseconds an operation, as each of the threads sees it.
fn run<T>(apart: Apart, make: fn() -> T, op: fn(&T)) -> f64 {
    side_by_side(apart, make, |own| {
        (0..BATCH).for_each(|_| op(own));
        BATCH
    })
}

/// A subject's operation, by as many threads: nanoseconds, as each of them sees it.
pub(super) type Run = fn(Apart) -> f64;

/// Each subject with so many threads and with one, in turn.
pub(super) fn paired(
    threads: usize,
    subjects: &[(&'static str, Run)],
    effort: &Effort,
) -> Vec<Series> {
    let mut all: Vec<_> = subjects
        .iter()
        .map(|&(name, run)| (Series::new(name), Vec::new(), run))
        .collect();
    for round in 0..effort.few_rounds() {
        for turn in 0..all.len() {
            let at = (turn + round) % all.len();
            let (series, alone, run) = &mut all[at];
            let run = |threads| {
                run(Apart {
                    threads,
                    span: effort.crowd_span,
                    first: round,
                })
            };
            alone.push(run(1));
            series.ns.push(run(threads));
        }
    }
    let series = all.into_iter().map(|(mut series, alone, _)| {
        series.beside.push((ONE_THREAD, alone));
        series
    });
    series.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_subject_runs_alone_and_together_in_every_round() {
        let effort = Effort {
            rounds: 4,
            span: Duration::ZERO,
            crowd_span: Duration::from_micros(10),
        };
        for series in paired(2, &[("fence", issues), (BOX, boxes)], &effort) {
            assert_eq!(series.ns.len(), effort.few_rounds());
            let (name, alone) = &series.beside[0];
            assert_eq!((*name, alone.len()), (ONE_THREAD, series.ns.len()));
            assert!(series.ns.iter().chain(alone).all(|&ns| ns > 0.0));
        }
    }
}
