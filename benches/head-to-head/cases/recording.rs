//! Replaying a recording of GPU work as fast as it goes.
//!
//! At its submission a job asks each of its buffers what it must wait for, twice: owned, and as a
//! test; then it leaves its fence in each; at its end the fence signals. One operation is one of
//! these. `n` is the number of jobs. With two threads each plays all of it on timelines of its own,
//! over the same objects.
//!
//! The replay goes by each job's place in its timeline: a job's fence signals when a fixed number of
//! later jobs of its timeline have begun, as the depth of a real queue would have it.

use super::loaded::issue;
use super::{Case, Kind};
use crate::failure::Failure;
use crate::harness::{Effort, Series, per_op};
use crate::report::Head;
use crate::subjects::{MUTEX, Subject};
use resv_cli::recording;
use resv_cli::replay::{BufferRule, Workload, load};
use resv_core::{Signaler, Timeline};
use std::collections::VecDeque;
use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// Jobs of one timeline that are pending at a time.
const DEPTH: usize = 3;

/// The cases of this file.
pub(super) fn cases(path: &Path) -> Result<Vec<Case>, Failure> {
    let workload = Arc::new(read(path)?);
    let n = workload.recorded().jobs().len();
    Ok([1, 2]
        .map(|threads| {
            let workload = Arc::clone(&workload);
            Case {
                head: Head {
                    case: "replay_recording".to_owned(),
                    n,
                    threads,
                    reference: MUTEX,
                },
                kind: Kind::Own(Box::new(move |effort| replays(&workload, threads, effort))),
            }
        })
        .into())
}

fn read(path: &Path) -> Result<Workload, Failure> {
    let text = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let rule = BufferRule::for_recording(path).map_err(|error| text(&error))?;
    let rule = rule.unwrap_or(BufferRule::Handoff);
    let mut reader = recording::open(path).map_err(|error| text(&error))?;
    let (recorded, broken_off) = load(&mut reader, |_| {});
    if let Some(error) = broken_off {
        return Err(text(&error));
    }
    reader.finish().map_err(|error| text(&error))?;
    Ok(Workload::new(recorded, &rule))
}

type Replay = Box<dyn Fn(&Workload, usize) -> f64>;

fn replays(workload: &Workload, threads: usize, effort: &Effort) -> Vec<Series> {
    let subjects = each_subject!(64, replay());
    let mut all: Vec<(Series, Replay)> = subjects
        .into_iter()
        .map(|(name, replay)| (Series::new(name), replay))
        .collect();
    let count = all.len();
    for round in 0..effort.rounds {
        for turn in 0..count {
            let (series, replay) = &mut all[(turn + round) % count];
            series.ns.push(replay(workload, threads));
        }
    }
    all.into_iter().map(|(series, _)| series).collect()
}

fn replay<S: Subject>() -> (&'static str, Replay) {
    let run = |workload: &Workload, threads: usize| {
        let objects: Vec<S> = workload.buffers().iter().map(|_| S::new()).collect();
        let start = Barrier::new(threads);
        let plays = std::thread::scope(|scope| {
            let plays: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| play(workload, &objects, &start)))
                .collect();
            let join = plays.into_iter().map(|play| play.join());
            join.collect::<Result<Vec<_>, _>>().expect("no play panics")
        });
        let took: Duration = plays.iter().map(|(took, _)| took).sum();
        let operations: u64 = plays.iter().map(|(_, operations)| operations).sum();
        per_op(took, operations.max(1))
    };
    (S::name(), Box::new(run))
}

/// The whole recording once, with the operations that it took.
fn play<S: Subject>(workload: &Workload, objects: &[S], start: &Barrier) -> (Duration, u64) {
    let recorded = workload.recorded();
    let timelines: Vec<Timeline> = (recorded.timelines().iter())
        .map(|info| Timeline::new(&info.name))
        .collect();
    let mut pending: Vec<VecDeque<Signaler>> = timelines.iter().map(|_| VecDeque::new()).collect();
    // By when they begin; jobs are numbered by timeline.
    let mut order: Vec<u32> = (0..recorded.jobs().len() as u32).collect();
    order.sort_by_key(|&job| recorded.jobs()[job as usize].begin_ns);
    let mut operations = 0;
    start.wait();
    let began = Instant::now();
    for job in order {
        let touches = workload.touches(job);
        if touches.is_empty() {
            continue;
        }
        for touch in touches {
            let object = &objects[touch.buffer as usize];
            black_box(object.waits_for(touch.access));
            black_box(object.is_idle(touch.access));
        }
        let line = recorded.jobs()[job as usize].timeline as usize;
        let signaler = issue(&timelines[line]);
        for touch in touches {
            objects[touch.buffer as usize].add(signaler.fence(), touch.usage);
        }
        operations += 3 * touches.len() as u64;
        pending[line].push_back(signaler);
        if pending[line].len() > DEPTH
            && let Some(done) = pending[line].pop_front()
        {
            done.signal();
            operations += 1;
        }
    }
    pending.into_iter().flatten().for_each(Signaler::signal);
    (began.elapsed(), operations)
}
