//! The times of a recording as parts of a report: what went on on each ring, what took longest, and every job, fence and wait.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::document::{
    BlockedPart, FencePart, JobPart, LanePart, LongJobPart, PollPart, TaskWaitPart, TimesPart,
    WaitsPart,
};
use super::recorded::{Ended, FenceRef, JobId, Polled, Recorded, TaskWait};
use super::times::{LaneTime, Times};

/// How many of the longest are named.
const NAMED: usize = 10;

impl TimesPart {
    pub(super) fn of(recorded: &Recorded, times: &Times) -> TimesPart {
        let lane = |name: String, lane: &LaneTime| LanePart {
            name,
            jobs: lane.jobs,
            busy_ns: lane.busy_ns,
            hw_ns: lane.hw_ns,
            longest_ns: lane.longest.map(|(ns, _)| ns),
            longest_job: lane.longest.map(|(_, job)| recorded.job_name(job)),
        };
        let by_busy = |mut lanes: Vec<LanePart>| {
            lanes.sort_by_key(|lane| Reverse((lane.busy_ns, lane.jobs)));
            lanes
        };
        let rings = recorded.rings.iter().zip(&times.rings);
        let timelines = (0..).zip(&times.timelines);
        let mut watchdogs: BTreeMap<String, u64> = BTreeMap::new();
        for job in &recorded.jobs {
            if let Some(watchdog) = job.watchdog {
                *watchdogs.entry(watchdog.to_owned()).or_default() += 1;
            }
        }
        TimesPart {
            rings: by_busy(
                rings
                    .map(|(ring, time)| lane(ring.name.clone(), time))
                    .collect(),
            ),
            timelines: by_busy(
                timelines
                    .map(|(line, time)| lane(recorded.timeline_name(line), time))
                    .collect(),
            ),
            longest_jobs: longest_jobs(recorded, times),
            waits: waits(recorded),
            blocked: blocked(recorded),
            watchdogs,
            polls: polls(recorded),
        }
    }
}

/// The greatest `NAMED` by `key`; of equal ones the earlier.
fn greatest<T>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> u64) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for item in items {
        let place = kept.partition_point(|other| key(other) >= key(&item));
        if place < NAMED {
            kept.truncate(NAMED - 1);
            kept.insert(place.min(kept.len()), item);
        }
    }
    kept
}

fn longest_jobs(recorded: &Recorded, times: &Times) -> Vec<LongJobPart> {
    let totals = (0..)
        .zip(&recorded.jobs)
        .filter_map(|(id, job): (JobId, _)| {
            let begin = job.submit_ns.or(job.run_ns)?;
            Some((job.done_ns?.checked_sub(begin)?, id))
        });
    let longest = greatest(totals, |&(total, _)| total);
    let part = |(total_ns, id): (u64, JobId)| {
        let (job, time) = (&recorded.jobs[id as usize], times.jobs[id as usize]);
        let blocked = recorded.blocked(id);
        let since = blocked.first().map(|blocked| blocked.since_ns);
        LongJobPart {
            job: recorded.job_name(id),
            ring: recorded.rings[job.ring as usize].name.clone(),
            total_ns,
            queued_ns: time.queued_ns.filter(|_| !recorded.plays_fences),
            blocked_ns: since
                .zip(job.run_ns)
                .map_or(0, |(since, run)| run.saturating_sub(since)),
            blocked_on: blocked
                .last()
                .map(|blocked| recorded.fence_name(blocked.on)),
            ran_ns: time.ran_ns,
            hw_ns: time.hw_ns,
            watchdog: job.watchdog.map(str::to_owned),
        }
    };
    longest.into_iter().map(part).collect()
}

fn waits(recorded: &Recorded) -> WaitsPart {
    let ended = |as_was: Ended| {
        let waits = recorded.waits.iter().filter(|wait| wait.ended == as_was);
        waits.count() as u64
    };
    let longest = greatest(recorded.waits.iter(), |wait| wait.waited_ns);
    WaitsPart {
        count: recorded.waits.len() as u64,
        signaled: ended(Ended::Signaled),
        timed_out: ended(Ended::TimedOut),
        open: ended(Ended::Open),
        waited_ns: waited(recorded),
        longest: longest
            .into_iter()
            .map(|wait| wait_part(recorded, wait))
            .collect(),
    }
}

/// How long tasks waited: the time in which a task waits for several fences counts once.
fn waited(recorded: &Recorded) -> u64 {
    let mut until: HashMap<u32, u64> = HashMap::new();
    let mut sum = 0u64;
    // By their beginnings.
    for wait in &recorded.waits {
        let covered = until.entry(wait.pid).or_default();
        let end = wait.begin_ns.saturating_add(wait.waited_ns);
        sum = sum.saturating_add(end.saturating_sub(wait.begin_ns.max(*covered)));
        *covered = end.max(*covered);
    }
    sum
}

fn polls(recorded: &Recorded) -> Vec<PollPart> {
    let longest = recorded.polls.iter().take(NAMED);
    let part = |polled: &Polled| PollPart {
        task: recorded
            .task_of
            .get(&polled.pid)
            .and_then(|&name| recorded.tasks.get(name as usize))
            .map_or_else(|| "?".to_owned(), Clone::clone),
        pid: polled.pid,
        buffer: format!("resv#{}", polled.resv),
        access: polled.access.to_string(),
        skipped: polled.skipped,
        busy_ns: polled.busy_ns,
    };
    longest.map(part).collect()
}

fn wait_part(recorded: &Recorded, wait: &TaskWait) -> TaskWaitPart {
    TaskWaitPart {
        task: recorded.task_name(wait).to_owned(),
        pid: wait.pid,
        fence: recorded.fence_name(wait.on),
        begin_ns: wait.begin_ns,
        waited_ns: wait.waited_ns,
        ended: wait.ended.name(),
        start_of: match wait.on {
            FenceRef::Scheduled(job) => Some(recorded.job_name(job)),
            _ => None,
        },
    }
}

fn blocked(recorded: &Recorded) -> Vec<BlockedPart> {
    let spans = (0..).zip(&recorded.jobs).flat_map(|(id, job): (JobId, _)| {
        let blocked = recorded.blocked(id);
        blocked.iter().enumerate().filter_map(move |(at, one)| {
            let next = blocked.get(at + 1).map(|next| next.since_ns);
            let until = next.or(job.run_ns)?;
            Some((until.checked_sub(one.since_ns)?, id, one.on))
        })
    });
    let longest = greatest(spans, |&(waited, ..)| waited);
    let part = |(waited_ns, id, on): (u64, JobId, FenceRef)| BlockedPart {
        job: recorded.job_name(id),
        on: recorded.fence_name(on),
        waited_ns,
    };
    longest.into_iter().map(part).collect()
}

/// Every job, with its times; none where fences are played like jobs.
pub fn job_parts(recorded: &Recorded, times: &Times) -> Vec<JobPart> {
    if recorded.plays_fences {
        return Vec::new();
    }
    let lines: Vec<String> = (0..recorded.timelines.len() as u32)
        .map(|line| recorded.timeline_name(line))
        .collect();
    let jobs = recorded.jobs.iter().zip(&times.jobs);
    jobs.map(|(job, time)| {
        let timeline = lines[job.timeline as usize].clone();
        JobPart {
            job: format!("{timeline}:{}", job.seqno),
            timeline,
            ring: recorded.rings[job.ring as usize].name.clone(),
            submit_ns: job.submit_ns,
            run_ns: job.run_ns,
            done_ns: job.done_ns,
            queued_ns: time.queued_ns,
            ran_ns: time.ran_ns,
            hw_ns: time.hw_ns,
        }
    })
    .collect()
}

/// Every fence that belongs to no job, with its times.
pub fn fence_parts(recorded: &Recorded) -> Vec<FencePart> {
    let fences = recorded.fences.iter();
    fences
        .map(|info| {
            let timeline = recorded.context_name(info.context);
            FencePart {
                fence: format!("{timeline}:{}", info.seqno),
                timeline,
                init_ns: info.init_ns,
                emit_ns: info.emit_ns,
                signaled_ns: info.signaled_ns,
                busy_ns: info.busy_ns,
            }
        })
        .collect()
}

/// Every wait of a task, by its beginning.
pub fn wait_parts(recorded: &Recorded) -> Vec<TaskWaitPart> {
    recorded
        .waits
        .iter()
        .map(|wait| wait_part(recorded, wait))
        .collect()
}
