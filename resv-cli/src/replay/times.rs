//! Where the time of a recording went: how long jobs lay in queues and were on the hardware, and how busy each ring was.
//!
//! | time of a job | from | to |
//! |---|---|---|
//! | *queued* | its submission | its run |
//! | *ran* | its run | its end |
//! | *on the hardware* | the later of its run and the end before it on the same ring | its end |
//!
//! A ring takes several jobs at a time and works on one after the other, so a job that ran long may have been on the hardware
//! for a short while only. What is not recorded is not known: no time is guessed.

use super::recorded::{JobId, Recorded};

/// The times of one job, in nanoseconds; `None` where a moment is not recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobTime {
    /// From its submission to its run.
    pub queued_ns: Option<u64>,
    /// From its run to its end.
    pub ran_ns: Option<u64>,
    /// From the later of its run and the end before it on the same ring, to its end.
    pub hw_ns: Option<u64>,
}

/// What went on in one lane: a ring, or a timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneTime {
    /// Its jobs.
    pub jobs: u64,
    /// The time in which at least one of them was between its run and its end.
    pub busy_ns: u64,
    /// The sum of the times of its jobs on the hardware.
    pub hw_ns: u64,
    /// The job that was on the hardware longest, and how long.
    pub longest: Option<(u64, JobId)>,
}

/// The times of all jobs, rings and timelines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// By job.
    pub jobs: Vec<JobTime>,
    /// By ring, as [`Recorded::rings`].
    pub rings: Vec<LaneTime>,
    /// By timeline, as [`Recorded::timelines`].
    pub timelines: Vec<LaneTime>,
}

impl Times {
    /// The times of a recording.
    pub fn of(recorded: &Recorded) -> Times {
        let mut times = Times {
            jobs: vec![JobTime::default(); recorded.jobs.len()],
            rings: vec![LaneTime::default(); recorded.rings.len()],
            timelines: vec![LaneTime::default(); recorded.timelines.len()],
        };
        let mut by_end: Vec<(u64, JobId)> = Vec::new();
        for (id, job) in (0..).zip(&recorded.jobs) {
            let time = &mut times.jobs[id as usize];
            time.queued_ns = span(job.submit_ns, job.run_ns);
            time.ran_ns = span(job.run_ns, job.done_ns);
            by_end.extend(job.done_ns.map(|end| (end, id)));
        }
        by_end.sort_unstable();
        let mut ended = vec![0; recorded.rings.len()];
        for &(end, id) in &by_end {
            let job = &recorded.jobs[id as usize];
            let before = std::mem::replace(&mut ended[job.ring as usize], end);
            if let Some(run) = job.run_ns.filter(|&run| run <= end) {
                times.jobs[id as usize].hw_ns = Some(end - run.max(before));
            }
        }
        for (id, job) in (0..).zip(&recorded.jobs) {
            let hw_ns = times.jobs[id as usize].hw_ns;
            times.rings[job.ring as usize].add(id, hw_ns);
            times.timelines[job.timeline as usize].add(id, hw_ns);
        }
        let mut spans: Vec<(u64, u64, JobId)> = (0..)
            .zip(&recorded.jobs)
            .filter_map(|(id, job)| Some((job.run_ns?, job.done_ns?, id)))
            .collect();
        spans.sort_unstable();
        let mut rings_until = vec![0; recorded.rings.len()];
        let mut timelines_until = vec![0; recorded.timelines.len()];
        for (run, end, id) in spans {
            let job = &recorded.jobs[id as usize];
            let (ring, line) = (job.ring as usize, job.timeline as usize);
            times.rings[ring].busy_ns += cover(&mut rings_until[ring], run, end);
            times.timelines[line].busy_ns += cover(&mut timelines_until[line], run, end);
        }
        times
    }
}

impl LaneTime {
    fn add(&mut self, job: JobId, hw_ns: Option<u64>) {
        self.jobs += 1;
        let Some(hw_ns) = hw_ns else { return };
        self.hw_ns = self.hw_ns.saturating_add(hw_ns);
        if self.longest.is_none_or(|(longest, _)| hw_ns > longest) {
            self.longest = Some((hw_ns, job));
        }
    }
}

fn span(from: Option<u64>, to: Option<u64>) -> Option<u64> {
    to?.checked_sub(from?)
}

/// What `from` to `to` adds to the time covered up to `until`.
fn cover(until: &mut u64, from: u64, to: u64) -> u64 {
    let added = to.saturating_sub(from.max(*until));
    *until = to.max(*until);
    added
}
