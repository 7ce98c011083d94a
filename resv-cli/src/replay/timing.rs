//! What the edges of a run cost, in the time of the recording.
//!
//! A job is *ready* when it has been submitted and the last of the jobs it depends on has ended, as recorded. What lies
//! between submission and readiness is its *stall*: time that no semantics and no faster ring can win back once the edge is
//! there. It says nothing of the time a job then waits for its ring.
//!
//! An edge is *contradicted* where the recording shows that the waiter ran before the dependency had ended. Such an edge counts
//! for nothing here: neither in a stall nor in a list of waits. It is counted apart, with how much too early the waiter ran.
//!
//! Where the recording lacks the end of a job, nothing is guessed: a job that depends on it is ready when the others have ended, *at
//! the earliest*, and is counted as not wholly known, unless a later signal of that timeline shows that it did not matter. A
//! job whose submission is not recorded has no stall, and is counted likewise. So all sums are lower bounds.

use super::edges::Edge;
use super::workload::Workload;

/// How many of the longest waits are kept.
const LONGEST: usize = 5;

/// The stalls of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// The sum over all jobs: at least that much.
    pub stall_ns: u64,
    /// Jobs with a stall above zero.
    pub stalled_jobs: u64,
    /// Jobs that depend on others and may have stalled longer, as a moment is not recorded.
    pub unknown_jobs: u64,
    /// The sum for each timeline.
    pub by_timeline: Vec<u64>,
    /// The longest, in order.
    pub longest: Vec<LongWait>,
    /// Assumed edges of which the recording shows whether the waiter ran before the dependency had ended.
    pub judged: u64,
    /// Those where it did: here the buffer rule is in doubt.
    pub contradicted: u64,
    /// The same of recorded edges: the job depended on less than the end of the other.
    pub contradicted_recorded: u64,
    /// The contradicted edges whose waiter ran earliest, with how much too early, in order.
    pub earliest: Vec<LongWait>,
}

/// A job that waits long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongWait {
    /// How long.
    pub stall_ns: u64,
    /// The job that waits, and for which one last.
    pub edge: Edge,
}

impl Timing {
    /// `edges` are in order of the waiting job.
    pub(super) fn of(workload: &Workload, edges: &[Edge]) -> Timing {
        let mut timing = Timing {
            by_timeline: vec![0; workload.recorded.timelines.len()],
            ..Timing::default()
        };
        for edges in edges.chunk_by(|a, b| a.job == b.job) {
            timing.job(workload, edges);
        }
        timing
    }

    fn job(&mut self, workload: &Workload, edges: &[Edge]) {
        let Some(first) = edges.first() else { return };
        let job = workload.job(first.job);
        let mut last: Option<(u64, &Edge)> = None;
        // Where an end is only implied, it is the latest that it can have been.
        let mut latest_unknown: Option<u64> = None;
        let mut is_known = job.submit_ns.is_some();
        // Where the start is not recorded, the end is the next best.
        let started = job.run_ns.or(job.done_ns);
        for edge in edges {
            let dependency = workload.job(edge.dependency);
            let Some(end) = dependency.known_end_ns() else {
                latest_unknown = latest_unknown.max(dependency.end_ns);
                is_known &= dependency.end_ns.is_some();
                continue;
            };
            self.judged += u64::from(started.is_some() && !edge.is_recorded);
            if let Some(started) = started.filter(|&started| started < end) {
                match edge.is_recorded {
                    true => self.contradicted_recorded += 1,
                    false => self.contradicted += 1,
                }
                let stall_ns = end - started;
                keep(
                    &mut self.earliest,
                    LongWait {
                        stall_ns,
                        edge: *edge,
                    },
                );
                continue;
            }
            if last.is_none_or(|(latest, _)| end > latest) {
                last = Some((end, edge));
            }
        }
        let submit = job.submit_ns.unwrap_or(job.begin_ns);
        let ready = match (job.submit_ns, last) {
            (Some(submit), Some((end, _))) => end.max(submit),
            _ => submit,
        };
        if !is_known || latest_unknown.is_some_and(|latest| latest > ready) {
            self.unknown_jobs += 1;
        }
        let stall_ns = ready - submit;
        let (Some((_, edge)), 1..) = (last, stall_ns) else {
            return;
        };
        self.stalled_jobs += 1;
        self.stall_ns = self.stall_ns.saturating_add(stall_ns);
        let sum = &mut self.by_timeline[job.timeline as usize];
        *sum = sum.saturating_add(stall_ns);
        keep(
            &mut self.longest,
            LongWait {
                stall_ns,
                edge: *edge,
            },
        );
    }
}

/// Keeps the longest; of equal ones the earlier job.
fn keep(longest: &mut Vec<LongWait>, wait: LongWait) {
    let place = longest.partition_point(|other| other.stall_ns >= wait.stall_ns);
    if place < LONGEST {
        longest.truncate(LONGEST - 1);
        longest.insert(place.min(longest.len()), wait);
    }
}
