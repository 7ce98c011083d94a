//! Many objects, and how large one is.
//!
//! | case | what one operation is |
//! |---|---|
//! | `objects_1k_idle`, `_32k_`, `_1m_` | the idle test of the next object in random order; each holds `n` fences, all signalled |
//! | `objects_1k_pending`, ... | the same, with `n` pending fences each |
//! | `bytes_per_object` | nothing is timed: bytes of an object with `n` pending fences, its lock and its share of the heap included, the fences themselves not |
//!
//! Here `load` is not a load of one word but of one word in each of as many cache lines, in the same
//! order: the floor of the memory. A million objects of every subject do not fit into memory at once,
//! so subjects come one after the other, each in turns with a floor and a mutex of its own rounds.

use super::loaded::{ACCESS, Jobs, Loaded, USAGE};
use super::{Case, Kind};
use crate::harness::{ARC_CLONE, Effort, LOAD, Series, per_op, timed};
use crate::raw::counting::counted;
use crate::report::Head;
use crate::subjects::{MUTEX, MutexVec, Subject};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (label, objects) in [("1k", 1 << 10), ("32k", 1 << 15), ("1m", 1_000_000)] {
        for (state, n, is_pending) in [("idle", 0, false), ("idle", 1, false), ("pending", 1, true)]
        {
            cases.push(Case {
                head: Head {
                    case: format!("objects_{label}_{state}"),
                    n,
                    threads: 1,
                    reference: MUTEX,
                },
                kind: Kind::Own(Box::new(move |effort| many(objects, n, is_pending, effort))),
            });
        }
    }
    for n in [0, 1, 4] {
        cases.push(Case {
            head: Head {
                case: "bytes_per_object".to_owned(),
                n,
                threads: 1,
                reference: MUTEX,
            },
            kind: Kind::Own(Box::new(move |_| each_subject!(n, bytes(n)))),
        });
    }
    cases
}

/// One cache line.
#[repr(align(64))]
struct Line(AtomicU64);

/// Objects of one subject, each with fences of its own.
struct Many<S> {
    objects: Vec<S>,
    _jobs: Vec<Jobs>,
}

impl<S: Subject> Many<S> {
    fn new(count: usize, n: usize, is_pending: bool) -> Self {
        let (mut objects, mut all_jobs) = (Vec::with_capacity(count), Vec::new());
        // The same timelines for all: it is the objects and fences that are many.
        let timelines = Jobs::new(n).timelines;
        for _ in 0..count {
            let object = S::new();
            let mut jobs = Jobs::of(&timelines);
            for job in &jobs.signalers {
                object.add(job.fence(), USAGE);
            }
            if is_pending {
                all_jobs.push(jobs);
            } else {
                jobs.signal_all_but(0);
            }
            objects.push(object);
        }
        Many {
            objects,
            _jobs: all_jobs,
        }
    }

    /// Tests every object once, so that what a first test writes down is written down.
    fn test_each(&self) {
        for object in &self.objects {
            black_box(object.is_idle(ACCESS));
        }
    }
}

/// The numbers below `count` in random order, the same every time.
fn shuffled(count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for last in (1..count).rev() {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
    order
}

/// Tests the next `count` objects.
fn walk<T>(order: &[u32], place: &Cell<usize>, count: u64, test: impl Fn(usize) -> T) -> f64 {
    let mut at = place.get();
    let took = timed(count, || {
        at = if at + 1 < order.len() { at + 1 } else { 0 };
        test(order[at] as usize)
    });
    place.set(at);
    per_op(took, count)
}

fn many(count: usize, n: usize, is_pending: bool, effort: &Effort) -> Vec<Series> {
    let order = shuffled(count);
    let lines: Vec<Line> = (0..count).map(|_| Line(AtomicU64::new(1))).collect();
    let mutexes = Many::<MutexVec>::new(count, n, is_pending);
    mutexes.test_each();
    let beside = Beside {
        order: &order,
        lines: &lines,
        mutexes: &mutexes,
        setting: (n, is_pending),
        places: Default::default(),
        rounds: effort.few_rounds(),
        // A part of the way, which goes on from where it ended: nothing is still in the caches from
        // the part before, except where all of it fits into them.
        walk: (effort.span.as_nanos() as u64 / 15).clamp(1, 1 << 20),
    };
    let together = each_subject!(n, one(&beside));
    let mut all = Vec::new();
    for (own, floors) in together {
        // The floors and the mutex are reported from the rounds of the mutex.
        if own.subject == MUTEX {
            all.extend(floors);
        } else {
            all.push(own);
        }
    }
    all
}

/// What each subject takes turns with.
struct Beside<'a> {
    order: &'a [u32],
    lines: &'a [Line],
    mutexes: &'a Many<MutexVec>,
    setting: (usize, bool),
    /// How far the walks over the lines and the mutexes have come.
    places: [Cell<usize>; 2],
    rounds: usize,
    walk: u64,
}

/// The series of `S`, scaled to those of the floors that it took turns with.
fn one<S: Subject>(beside: &Beside<'_>) -> (Series, Vec<Series>) {
    let subject = Many::<S>::new(beside.order.len(), beside.setting.0, beside.setting.1);
    let shared = Arc::new(1_u64);
    let mut own = Series::new(S::name());
    let mut floors = [LOAD, ARC_CLONE, MUTEX].map(Series::new);
    let place = Cell::new(0);
    subject.test_each();
    for _ in 0..beside.rounds {
        let (order, count) = (beside.order, beside.walk);
        // Acquire: as readers of the subjects load; there is no store that it pairs with.
        let load = |at: usize| beside.lines[at].0.load(Ordering::Acquire);
        floors[0]
            .ns
            .push(walk(order, &beside.places[0], count, load));
        let took = timed(count, || drop(black_box(Arc::clone(&shared))));
        floors[1].ns.push(per_op(took, count));
        let mutex = |at: usize| beside.mutexes.objects[at].is_idle(ACCESS);
        floors[2]
            .ns
            .push(walk(order, &beside.places[1], count, mutex));
        let test = |at: usize| subject.objects[at].is_idle(ACCESS);
        own.ns.push(walk(order, &place, count, test));
    }
    own.beside = floors.iter().map(|f| (f.subject, f.ns.clone())).collect();
    (own, floors.into())
}

/// Writes to another object for so long that nothing is retired any more but what its last writes
/// left, and the memory of fences has grown as far as it does.
fn settle<S: Subject>() {
    let mut other = Loaded::<S>::pending(4);
    for _ in 0..20_000 {
        other.turn();
    }
}

fn bytes<S: Subject>(n: usize) -> Series {
    const OBJECTS: usize = 10_000;
    let jobs = Jobs::new(n);
    settle::<S>();
    let (objects, heap) = counted(|| {
        let objects: Vec<S> = (0..OBJECTS).map(|_| S::new()).collect();
        for object in &objects {
            for job in &jobs.signalers {
                object.add(job.fence(), USAGE);
            }
        }
        settle::<S>();
        objects
    });
    let mut series = Series::new(S::name());
    // The vector of objects is on the heap, too, so their inline part is in it.
    series.bytes = Some(heap as f64 / objects.len() as f64);
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffled_order_names_every_object_once() {
        let mut order = shuffled(1000);
        assert_ne!(order, (0..1000).collect::<Vec<u32>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<u32>>());
    }
}
