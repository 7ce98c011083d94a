//! Who follows whom: what is certain to be over when a job starts.
//!
//! A job follows the earlier jobs of its timeline, the jobs it depends on, and whatever those follow. As a timeline is in
//! order, "follows" is one number for each timeline: the latest job of it (a vector clock). Jobs that are over need no entry,
//! so a clock is as long as there are timelines with pending work, not as long as the recording.

use super::workload::{JobId, Workload};

/// The clocks of one run, filled in as jobs begin.
#[derive(Clone, Debug)]
pub(super) struct Follow {
    /// For each job that has begun: timelines, ascending, each with the latest job followed.
    clocks: Vec<Box<[(u32, JobId)]>>,
    /// The job that began last on each timeline.
    last: Vec<Option<JobId>>,
    /// While a clock is made: the latest job of each timeline, and which timelines have one.
    latest: Vec<Option<JobId>>,
    used: Vec<u32>,
}

impl Follow {
    pub(super) fn new(workload: &Workload) -> Follow {
        let recorded = &workload.recorded;
        Follow {
            clocks: vec![Box::default(); recorded.jobs.len()],
            last: vec![None; recorded.timelines.len()],
            latest: vec![None; recorded.timelines.len()],
            used: Vec::new(),
        }
    }

    /// Makes the clock of `job`, which depends on `dependencies`; `is_over` tells of each job whether it has ended.
    pub(super) fn begin(
        &mut self,
        workload: &Workload,
        job: JobId,
        dependencies: impl Iterator<Item = JobId>,
        is_over: &[bool],
    ) {
        let line = workload.job(job).timeline;
        let before = self.last[line as usize].filter(|&before| before < job);
        for on in before.into_iter().chain(dependencies) {
            self.raise(workload.job(on).timeline, on);
            let clock = std::mem::take(&mut self.clocks[on as usize]);
            for &(line, latest) in &clock {
                if !is_over[latest as usize] {
                    self.raise(line, latest);
                }
            }
            self.clocks[on as usize] = clock;
        }
        self.raise(line, job);
        self.used.sort_unstable();
        let mut clock = Vec::with_capacity(self.used.len());
        for line in self.used.drain(..) {
            if let Some(latest) = self.latest[line as usize].take()
                && !is_over[latest as usize]
            {
                clock.push((line, latest));
            }
        }
        self.clocks[job as usize] = clock.into_boxed_slice();
        self.last[line as usize] = Some(job);
    }

    fn raise(&mut self, line: u32, job: JobId) {
        let latest = &mut self.latest[line as usize];
        if latest.is_none() {
            self.used.push(line);
        }
        *latest = (*latest).max(Some(job));
    }

    /// Whether `job`, which has begun, follows `other`, which had not ended when it did.
    pub(super) fn follows(&self, workload: &Workload, job: JobId, other: JobId) -> bool {
        let line = workload.job(other).timeline;
        let clock = &self.clocks[job as usize];
        clock
            .binary_search_by_key(&line, |&(line, _)| line)
            .is_ok_and(|place| clock[place].1 >= other)
    }
}
