//! What the script of the page draws, as small as it goes: columns of numbers, names once.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::super::play::Run;
use super::super::recorded::{FenceRef, JobId, Recorded};
use super::super::times::Times;
use super::super::workload::Workload;

/// With more timelines than this, a lane is a ring.
const LANES: usize = 200;
/// The most edges of each kind that are drawn.
const EDGES: usize = 200_000;
/// The most waits of tasks that are drawn; the longest.
const WAITS: usize = 100_000;

/// Times are nanoseconds from the first event; -1 is not known.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    span: u64,
    lines: Vec<String>,
    lanes: Vec<String>,
    jobs: Jobs,
    watchdogs: BTreeMap<usize, &'static str>,
    /// Waiter, dependency, waiter, dependency...
    recorded: Vec<JobId>,
    semantics: Vec<Semantics>,
    tasks: Vec<String>,
    waits: Waits,
    #[serde(skip)]
    pub(super) left_out: u64,
}

#[derive(Debug, Default, Serialize)]
struct Jobs {
    line: Vec<u32>,
    lane: Vec<u32>,
    seqno: Vec<u64>,
    submit: Vec<i64>,
    run: Vec<i64>,
    done: Vec<i64>,
    /// When a later job of the timeline ended at the latest.
    end: Vec<i64>,
    hw: Vec<i64>,
}

#[derive(Debug, Serialize)]
struct Semantics {
    name: &'static str,
    /// What the objects give, recorded or not; as `recorded`.
    given: Vec<JobId>,
}

#[derive(Debug, Default, Serialize)]
struct Waits {
    task: Vec<u32>,
    job: Vec<i64>,
    on: Vec<String>,
    begin: Vec<u64>,
    length: Vec<u64>,
    ended: Vec<&'static str>,
}

impl Data {
    pub(super) fn of(workload: &Workload, times: &Times, runs: &[Run]) -> Data {
        let recorded = workload.recorded();
        let mut left_out = 0;
        let mut pairs = |edges: &mut dyn Iterator<Item = (JobId, JobId)>| {
            let mut flat = Vec::new();
            for (waiter, on) in edges {
                if flat.len() < 2 * EDGES {
                    flat.extend([waiter, on]);
                } else {
                    left_out += 1;
                }
            }
            flat
        };
        let count = recorded.jobs().len() as JobId;
        let all = (0..count).flat_map(|job| {
            let on = recorded.recorded_dependencies(job).iter();
            on.map(move |&on| (job, on))
        });
        let recorded_pairs = pairs(&mut { all });
        let semantics = runs
            .iter()
            .map(|run| {
                let given = run.edge_list().iter().filter(|edge| edge.via.is_some());
                Semantics {
                    name: run.semantics.name(),
                    given: pairs(&mut given.map(|edge| (edge.job, edge.dependency))),
                }
            })
            .collect();
        let (lanes, lane_of) = lanes(recorded);
        let (tasks, waits) = waits(recorded);
        Data {
            span: recorded.span_ns(),
            lines: (0..recorded.timelines().len() as u32)
                .map(|line| recorded.timeline_name(line))
                .collect(),
            lanes,
            jobs: jobs(recorded, times, lane_of),
            watchdogs: (0..)
                .zip(recorded.jobs())
                .filter_map(|(at, job)| Some((at, job.watchdog?)))
                .collect(),
            recorded: recorded_pairs,
            semantics,
            tasks,
            waits,
            left_out,
        }
    }
}

/// The lanes in the order of their rings, and for each job its lane.
fn lanes(recorded: &Recorded) -> (Vec<String>, Vec<u32>) {
    let jobs = recorded.jobs();
    if recorded.timelines().len() > LANES {
        let names = recorded
            .rings()
            .iter()
            .map(|ring| ring.name.clone())
            .collect();
        return (names, jobs.iter().map(|job| job.ring).collect());
    }
    let ring_of = |line: u32| {
        let first = recorded.timelines()[line as usize].jobs.start;
        jobs.get(first as usize).map_or(0, |job| job.ring)
    };
    let mut order: Vec<u32> = (0..recorded.timelines().len() as u32).collect();
    order.sort_by_key(|&line| (ring_of(line), line));
    let mut place = vec![0; order.len()];
    for (lane, &line) in (0..).zip(&order) {
        place[line as usize] = lane;
    }
    let names = order
        .iter()
        .map(|&line| recorded.timeline_name(line))
        .collect();
    (
        names,
        jobs.iter()
            .map(|job| place[job.timeline as usize])
            .collect(),
    )
}

fn jobs(recorded: &Recorded, times: &Times, lane: Vec<u32>) -> Jobs {
    let mut columns = Jobs {
        lane,
        ..Jobs::default()
    };
    let since = |ns: Option<u64>| ns.map_or(-1, |ns| recorded.since_start(ns).cast_signed());
    for (job, time) in recorded.jobs().iter().zip(&times.jobs) {
        columns.line.push(job.timeline);
        columns.seqno.push(job.seqno);
        columns.submit.push(since(job.submit_ns));
        columns.run.push(since(job.run_ns));
        columns.done.push(since(job.done_ns));
        columns.end.push(since(job.end_ns));
        let hw = job.done_ns.zip(time.hw_ns).map(|(done, hw)| done - hw);
        columns.hw.push(since(hw));
    }
    columns
}

/// The tasks that waited, and the longest of their waits.
fn waits(recorded: &Recorded) -> (Vec<String>, Waits) {
    let mut longest: Vec<_> = recorded.waits().iter().collect();
    longest.sort_by_key(|wait| std::cmp::Reverse(wait.waited_ns));
    longest.truncate(WAITS);
    let (mut tasks, mut index) = (Vec::new(), HashMap::new());
    let mut columns = Waits::default();
    for wait in longest {
        let name = format!("{}-{}", recorded.task_name(wait), wait.pid);
        let task = *index.entry(name).or_insert_with_key(|name| {
            tasks.push(name.clone());
            tasks.len() as u32 - 1
        });
        columns.task.push(task);
        columns.job.push(match wait.on {
            FenceRef::Job(job) | FenceRef::Scheduled(job) => job.into(),
            // Where fences are played like jobs, both have the same order.
            FenceRef::Fence(place) if recorded.plays_fences() => {
                recorded.job_of_fence(place).map_or(-1, i64::from)
            }
            FenceRef::Fence(_) | FenceRef::Other { .. } => -1,
        });
        columns.on.push(recorded.fence_name(wait.on));
        columns.begin.push(recorded.since_start(wait.begin_ns));
        columns.length.push(wait.waited_ns);
        columns.ended.push(wait.ended.name());
    }
    (tasks, columns)
}
