//! Which job follows which: what is certain to be over when a job starts.
//!
//! A job follows the earlier jobs of its timeline, the jobs it depends on, and whatever those follow. As a timeline is in
//! order, "follows" is one number for each timeline: the latest job of it (a vector clock). Jobs that are over need no entry,
//! so a clock is as long as there are timelines with pending work, not as long as the recording.

use super::error::PlayError;
use super::recorded::JobId;
use super::workload::Workload;

/// The most entries of all clocks of a run together. Where thousands of timelines share a buffer and never end, each job follows all
/// before it.
const MOST: usize = 1 << 26;

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
    /// While a clock is made: the jobs that it follows directly.
    on: Vec<JobId>,
    /// Entries of all clocks.
    entries: usize,
}

impl Follow {
    pub(super) fn new(workload: &Workload) -> Follow {
        let recorded = &workload.recorded;
        Follow {
            clocks: vec![Box::default(); recorded.jobs.len()],
            last: vec![None; recorded.timelines.len()],
            latest: vec![None; recorded.timelines.len()],
            used: Vec::new(),
            on: Vec::new(),
            entries: 0,
        }
    }

    /// Makes the clock of `job`, which depends on `dependencies`; `is_over` tells of each job whether it has ended.
    ///
    /// # Errors
    /// If all clocks together have more than [`MOST`] entries.
    pub(super) fn begin(
        &mut self,
        workload: &Workload,
        job: JobId,
        dependencies: impl Iterator<Item = JobId>,
        is_over: &[bool],
    ) -> Result<(), PlayError> {
        let line = workload.job(job).timeline;
        let before = self.last[line as usize].filter(|&before| before < job);
        let mut on = std::mem::take(&mut self.on);
        on.extend(before.into_iter().chain(dependencies));
        // The latest first: it may follow the others.
        on.sort_unstable_by_key(|&on| std::cmp::Reverse((workload.job(on).begin_ns, on)));
        for on in on.drain(..) {
            let line = workload.job(on).timeline;
            // What follows a job follows all that it follows.
            if self.latest[line as usize] >= Some(on) {
                continue;
            }
            self.raise(line, on);
            let clock = std::mem::take(&mut self.clocks[on as usize]);
            for &(line, latest) in &clock {
                if !is_over[latest as usize] {
                    self.raise(line, latest);
                }
            }
            self.clocks[on as usize] = clock;
        }
        self.on = on;
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
        self.entries += clock.len();
        if self.entries > MOST {
            return Err(PlayError::TooMany { most: MOST });
        }
        self.clocks[job as usize] = clock.into_boxed_slice();
        self.last[line as usize] = Some(job);
        Ok(())
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
