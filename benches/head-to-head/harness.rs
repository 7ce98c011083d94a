//! The paired measurement: subjects take turns, round by round, in one process.
//!
//! A machine changes its speed from second to second. So no figure here stands alone: in each round
//! every subject of a case runs once, the floors and the reference among them, and what counts is
//! the median over the rounds of the *ratio within a round*. The order rotates, so that nobody
//! always runs behind the same neighbour.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Runs an operation this often, and says how long that took; set-up may be left out of it.
pub(crate) type Op = Box<dyn FnMut(u64) -> Duration>;

/// A subject of a case: its name, and how to make what is to be measured.
pub(crate) struct Bench {
    pub(crate) subject: &'static str,
    make: Box<dyn FnOnce() -> Op>,
}

impl Bench {
    /// `make` builds the objects and returns the operation on them.
    pub(crate) fn new<F>(subject: &'static str, make: impl FnOnce() -> F + 'static) -> Bench
    where
        F: FnMut(u64) -> Duration + 'static,
    {
        Bench {
            subject,
            make: Box::new(|| Box::new(make())),
        }
    }

    pub(crate) fn make(self) -> Op {
        (self.make)()
    }
}

/// What one subject gave, round by round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    pub(crate) subject: &'static str,
    /// Nanoseconds an operation, one for each round.
    pub(crate) ns: Vec<f64>,
    /// Nanoseconds of single operations, for percentiles.
    pub(crate) samples: Vec<u32>,
    /// Bytes an object, where that was counted.
    pub(crate) bytes: Option<f64>,
    /// The rounds of others that this one took turns with, where they are not those of the case.
    pub(crate) beside: Vec<(&'static str, Vec<f64>)>,
}

impl Series {
    pub(crate) fn new(subject: &'static str) -> Series {
        Series {
            subject,
            ..Series::default()
        }
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// How long one subject runs in one round, with one thread.
    pub(crate) span: Duration,
    /// The same, with several.
    pub(crate) crowd_span: Duration,
}

impl Effort {
    pub(crate) const QUICK: Effort = Effort {
        rounds: 15,
        span: Duration::from_micros(250),
        crowd_span: Duration::from_millis(8),
    };
    pub(crate) const FULL: Effort = Effort {
        rounds: 51,
        span: Duration::from_millis(1),
        crowd_span: Duration::from_millis(40),
    };

    /// Rounds of a case in which each takes long.
    pub(crate) fn few_rounds(&self) -> usize {
        self.rounds / 4 + 3
    }
}

/// Times `count` runs of `op`.
pub(crate) fn timed<T>(count: u64, mut op: impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        black_box(op());
    }
    start.elapsed()
}

/// Measures the benches against each other, and against the floors.
pub(crate) fn paired(benches: Vec<Bench>, effort: &Effort) -> Vec<Series> {
    let benches: Vec<Bench> = floors().into_iter().chain(benches).collect();
    let mut series: Vec<Series> = benches.iter().map(|b| Series::new(b.subject)).collect();
    let mut ops: Vec<(Op, u64)> = benches
        .into_iter()
        .map(|bench| {
            let mut op = bench.make();
            let count = calibrate(&mut op, effort.span);
            (op, count)
        })
        .collect();
    for round in 0..effort.rounds {
        for turn in 0..ops.len() {
            let at = (turn + round) % ops.len();
            let (op, count) = &mut ops[at];
            op(*count / 8 + 1); // what the others put out of the caches comes back
            series[at].ns.push(per_op(op(*count), *count));
        }
    }
    series
}

/// How often `op` runs in `span`.
fn calibrate(op: &mut Op, span: Duration) -> u64 {
    let mut count = 1;
    loop {
        let took = op(count);
        if took * 4 >= span || count >= 1 << 24 {
            let scale = span.as_secs_f64() / took.as_secs_f64().max(1e-9);
            return ((count as f64 * scale) as u64).clamp(1, 1 << 24);
        }
        count *= 2;
    }
}

pub(crate) fn per_op(took: Duration, count: u64) -> f64 {
    took.as_secs_f64() * 1e9 / count as f64
}

/// The subject that `vs_load` is about.
pub(crate) const LOAD: &str = "load";
/// The name under which the rounds of one thread stand beside those of several.
pub(crate) const ONE_THREAD: &str = "one-thread";
/// The subject that `vs_arc_clone` is about.
pub(crate) const ARC_CLONE: &str = "arc-clone";

/// What no design can beat: an acquire load in a loop, and a reference taken and given back.
pub(crate) fn floors() -> [Bench; 2] {
    [
        Bench::new(LOAD, || {
            let word = AtomicU64::new(1);
            // Acquire: as readers of the subjects load; there is no store that it pairs with.
            move |count| timed(count, || word.load(Ordering::Acquire))
        }),
        Bench::new(ARC_CLONE, || {
            let shared = Arc::new(1_u64);
            move |count| timed(count, || drop(black_box(Arc::clone(&shared))))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_runs_in_every_round() {
        let effort = Effort {
            rounds: 3,
            span: Duration::from_micros(1),
            crowd_span: Duration::ZERO,
        };
        let bench = Bench::new("mine", || |count| Duration::from_nanos(10 * count));
        let series = paired(vec![bench], &effort);
        let names: Vec<_> = series.iter().map(|s| s.subject).collect();
        assert_eq!(names, [LOAD, ARC_CLONE, "mine"]);
        assert!(series.iter().all(|s| s.ns.len() == 3));
        assert!(series[2].ns.iter().all(|&ns| (ns - 10.0).abs() < 1e-6));
    }
}
