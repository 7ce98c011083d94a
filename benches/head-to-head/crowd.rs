//! Several threads at one subject.
//!
//! Readers run without pause and time one operation in a batch: a batch is as long as makes the
//! clock's own time small beside it. What is reported is the time of an operation as a reader sees it:
//! the time of all readers, through their operations.

use crate::harness::{ARC_CLONE, Effort, LOAD, Series};
use crate::processors::Processors;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, atomic::AtomicU64};
use std::time::{Duration, Instant};

/// The least time of a batch, of which one operation is timed by itself.
const BATCH: Duration = Duration::from_micros(10);
/// Samples that one reader keeps in one round.
const SAMPLES: usize = 20_000;

/// One subject, set up: runs one round with a number of readers, for a while.
pub(crate) type Round = Box<dyn FnMut(usize, Duration) -> Outcome>;

/// When readers read.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// Without pause; one operation in a batch is timed by itself.
    Flat,
    /// At fixed moments. Each operation is timed from the moment at which it was due, so that a reader
    /// that was kept waiting counts for all the reads that it missed. The clock is in it.
    Every(Duration),
}

/// What a round gave.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The time of all readers.
    took: Duration,
    operations: u64,
    samples: Vec<u32>,
}

impl Outcome {
    fn ns(&self) -> f64 {
        crate::harness::per_op(self.took, self.operations.max(1))
    }
}

/// Runs `readers` threads of `read`, and one of `write` until they are through, if there is one.
pub(crate) fn round(
    readers: usize,
    pace: Pace,
    span: Duration,
    read: impl Fn() + Sync,
    write: Option<&mut (dyn FnMut() + Send)>,
) -> Outcome {
    let start = Barrier::new(readers + usize::from(write.is_some()));
    // Relaxed: it only ends loops; what they did is joined.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..readers)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    match pace {
                        Pace::Flat => reader(span, &read),
                        Pace::Every(step) => paced_reader(step, span, &read),
                    }
                })
            })
            .collect();
        if let Some(write) = write {
            let (start, stop) = (&start, &stop);
            scope.spawn(move || {
                start.wait();
                while !stop.load(Ordering::Relaxed) {
                    write();
                }
            });
        }
        let mut sum = Outcome::default();
        for reader in readers {
            let one = reader.join().expect("a reader does not panic");
            sum.took += one.took;
            sum.operations += one.operations;
            sum.samples.extend(one.samples);
        }
        stop.store(true, Ordering::Relaxed);
        sum
    })
}

fn reader(span: Duration, read: &impl Fn()) -> Outcome {
    let start = Instant::now();
    let mut outcome = Outcome::default();
    let mut batch = 1_u64;
    let mut last = start;
    loop {
        for _ in 0..batch {
            read();
        }
        let before = Instant::now();
        read();
        let now = Instant::now();
        outcome.operations += batch + 1;
        if outcome.samples.len() < SAMPLES {
            let ns = (now - before).as_nanos();
            outcome.samples.push(u32::try_from(ns).unwrap_or(u32::MAX));
        }
        if before - last < BATCH {
            batch = (batch * 2).min(1 << 16);
        } else if before - last > 8 * BATCH {
            batch = (batch / 2).max(1);
        }
        last = now;
        if now - start >= span {
            outcome.took = now - start;
            return outcome;
        }
    }
}

fn paced_reader(step: Duration, span: Duration, read: &impl Fn()) -> Outcome {
    let start = Instant::now();
    let mut outcome = Outcome::default();
    let mut due = start;
    while due - start < span {
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        read();
        let took = due.elapsed();
        outcome.operations += 1;
        outcome.took += took;
        outcome
            .samples
            .push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        due += step;
    }
    outcome
}

/// Threads that share nothing.
#[derive(Clone, Copy)]
pub(crate) struct Apart {
    pub(crate) threads: usize,
    /// How long each works.
    pub(crate) span: Duration,
    /// Which of the processors the first of them gets; the others get those after it, in turns.
    pub(crate) first: usize,
}

/// Nanoseconds that an operation takes its thread, if each works on what it has made for itself; `batch` runs some
/// operations and says how many.
///
/// Each thread is bound to a processor before it makes anything ([`processors`](crate::processors)).
///
/// One window for all, from the first begin to the last end: if each thread had its own, those that take turns
/// on few processors would count as if they had run side by side. The threads take its times themselves: the one
/// that starts them may get a processor late.
pub(crate) fn side_by_side<T>(
    apart: Apart,
    make: impl Fn() -> T + Sync,
    batch: impl Fn(&mut T) -> u64 + Sync,
) -> f64 {
    let Apart {
        threads,
        span,
        first,
    } = apart;
    let (start, processors) = (Barrier::new(threads), Processors::of_this_thread());
    let work = |number| {
        processors.bind(first + number);
        let mut own = make();
        batch(&mut own);
        start.wait();
        let begin = Instant::now();
        let mut count = 0;
        loop {
            count += batch(&mut own);
            let now = Instant::now();
            if now - begin >= span {
                return (begin, now, count);
            }
        }
    };
    let work = &work;
    let done: Vec<(Instant, Instant, u64)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker.join().expect("a worker does not panic")
        };
        workers.into_iter().map(join).collect()
    });
    let begin = done.iter().map(|&(begin, ..)| begin).min();
    let end = done.iter().map(|&(_, end, _)| end).max();
    let window = begin.zip(end).map_or(span, |(begin, end)| end - begin);
    ns_of_each(
        window,
        &done.iter().map(|&(.., count)| count).collect::<Vec<u64>>(),
    )
}

/// Nanoseconds that an operation takes its thread, if the threads have done so many in `window`.
fn ns_of_each(window: Duration, counts: &[u64]) -> f64 {
    let done = counts.iter().sum::<u64>().max(1);
    crate::harness::per_op(window, done) * counts.len() as f64
}

/// Measures the subjects against each other and against the floors, which have as many readers and
/// no writer.
pub(crate) fn paired(
    readers: usize,
    pace: Pace,
    subjects: Vec<(&'static str, Round)>,
    effort: &Effort,
) -> Vec<Series> {
    let mut all: Vec<(Series, Round)> = floors(pace)
        .into_iter()
        .chain(subjects)
        .map(|(name, round)| (Series::new(name), round))
        .collect();
    let count = all.len();
    for round in 0..effort.few_rounds() {
        for turn in 0..count {
            let (series, run) = &mut all[(turn + round) % count];
            let outcome = run(readers, effort.crowd_span);
            series.ns.push(outcome.ns());
            series.samples.extend(outcome.samples);
        }
    }
    all.into_iter().map(|(series, _)| series).collect()
}

fn floors(pace: Pace) -> [(&'static str, Round); 2] {
    let word = AtomicU64::new(1);
    let shared = Arc::new(1_u64);
    // Acquire: as readers of the subjects load; there is no store that it pairs with.
    let load = move || {
        black_box(word.load(Ordering::Acquire));
    };
    let clone = move || drop(black_box(Arc::clone(&shared)));
    [
        (
            LOAD,
            Box::new(move |readers, span| round(readers, pace, span, &load, None)),
        ),
        (
            ARC_CLONE,
            Box::new(move |readers, span| round(readers, pace, span, &clone, None)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two of four threads had no processor in the window: together they have done what two do.
    #[test]
    fn threads_that_take_turns_do_not_count_as_if_they_ran_side_by_side() {
        let window = Duration::from_micros(8);
        let two = ns_of_each(window, &[100, 100]);
        let four = ns_of_each(window, &[100, 100, 0, 0]);
        // What `vs_one_thread` is made of: threads, through the time of an operation.
        assert!((2.0 / two - 4.0 / four).abs() < 1e-9);
        assert!((ns_of_each(window, &[100]) - 80.0).abs() < 1e-9);
    }

    #[test]
    fn all_threads_work_on_their_own() {
        let made = AtomicU64::new(0);
        let make = || made.fetch_add(1, Ordering::Relaxed);
        let apart = Apart {
            threads: 3,
            span: Duration::from_micros(100),
            first: 1,
        };
        let ns = side_by_side(apart, make, |_| 1);
        assert!(ns > 0.0);
        assert_eq!(made.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn readers_run_beside_a_writer_and_all_of_them_end() {
        let (reads, writes) = (AtomicU64::new(0), AtomicU64::new(0));
        let read = || {
            reads.fetch_add(1, Ordering::Relaxed);
        };
        let mut write = || {
            writes.fetch_add(1, Ordering::Relaxed);
        };
        let outcome = round(
            2,
            Pace::Flat,
            Duration::from_millis(2),
            read,
            Some(&mut write),
        );
        assert_eq!(outcome.operations, reads.load(Ordering::Relaxed));
        assert!(!outcome.samples.is_empty() && outcome.ns() > 0.0);
    }

    #[test]
    fn a_paced_reader_that_is_kept_waiting_counts_the_reads_it_missed() {
        let first = AtomicBool::new(true);
        let step = Duration::from_millis(1);
        let read = || {
            if first.swap(false, Ordering::Relaxed) {
                std::thread::sleep(10 * step);
            }
        };
        let outcome = round(1, Pace::Every(step), 20 * step, read, None);
        assert_eq!(outcome.samples.len(), 20);
        // Late by 10, 9, 8 and so on.
        let late = outcome.samples.iter().filter(|&&ns| ns > 1_000_000);
        assert!(late.count() >= 9);
    }
}
