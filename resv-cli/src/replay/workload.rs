//! What a recording holds, made ready to be played: timelines, jobs, and the order in which they begin and end.
//!
//! # Jobs
//!
//! A job is a place on a timeline: its *finished* fence. Three moments of it may be recorded: submission, start, end. A
//! recording cuts through jobs at both of its ends and may have lost events between, so each moment may be missing:
//!
//! | missing | then |
//! |---|---|
//! | the submission | the job was begun before the recording, or the kernel submitted it itself; it *begins* in the replay at the first event seen of it |
//! | the end | the next signal on its timeline ends it, as fences of one timeline signal in order (*implied*); without one it stays pending to the end |
//! | all but the end | it cannot be seen pending, so it takes no part: it touches no buffer (*ended first*) |
//!
//! # Numbers of jobs
//!
//! Jobs are numbered by timeline, then seqno. A job's fence gets the job's number plus one as its seqno: increasing along
//! each timeline, and enough to find the job again from a fence in any answer.

use std::ops::Range;

use resv_api::{Access, Usage};

use super::lists::Lists;
use super::rule::RuleAccount;
use crate::recording::ReadStats;

/// The place of a job in [`Recorded::jobs`].
pub type JobId = u32;

/// The place of a buffer in [`Workload::buffers`].
pub type BufferId = u32;

/// One job of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The place of its timeline in [`Recorded::timelines`].
    pub timeline: u32,
    /// The seqno that the recording gives it; made up, from 1, where the recording names jobs by address.
    pub seqno: u64,
    /// When it was submitted, if that is recorded.
    pub submit_ns: Option<u64>,
    /// When it was handed to the hardware, if that is recorded.
    pub run_ns: Option<u64>,
    /// When it ended, if that is recorded.
    pub done_ns: Option<u64>,
    /// When it begins in the replay.
    pub begin_ns: u64,
    /// When it ends in the replay: its recorded end or an earlier signal of its timeline behind it; `None`: never.
    pub end_ns: Option<u64>,
    /// The kernel submitted it on its own account: a page-table update, a move.
    pub is_kernel: bool,
    /// Nothing was seen of it before its end.
    pub ended_first: bool,
}

impl Job {
    /// When it ended, if an event of its own says so; where a later fence of its timeline signalled first, then.
    pub fn known_end_ns(&self) -> Option<u64> {
        self.done_ns.and(self.end_ns)
    }
}

/// A fence context that jobs are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineInfo {
    /// The context that the recording gives it; made up, from 1, where the recording names jobs by address.
    pub context: u64,
    /// The readable name of where its jobs run.
    pub name: String,
    /// Its jobs, in the order of their seqnos.
    pub jobs: Range<JobId>,
    /// Whether the recording has a submission on it.
    pub submits: bool,
}

/// A moment of the replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The event that causes it.
    pub(super) order: usize,
    pub(super) is_end: bool,
    pub(super) job: JobId,
}

/// A buffer changed its place in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) order: usize,
    pub(super) bo: u64,
}

/// A job used a reservation object, as the recording itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// The number of the object.
    pub(super) resv: u64,
    pub(super) usage: Usage,
    pub(super) access: Access,
}

/// What was found in a recording beyond what [`ReadStats`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Different fence contexts that any event names.
    pub timelines: u64,
    /// `dma_fence_signaled` events of jobs.
    pub job_signals: u64,
    /// `dma_fence_signaled` events of fences that belong to no job: scheduled fences, hardware rings.
    pub fences: u64,
    /// Jobs without a recorded submission.
    pub cut_start: u64,
    /// Jobs without a recorded end.
    pub cut_end: u64,
    /// Jobs without one or the other.
    pub cut: u64,
    /// Jobs of which nothing was seen before their end.
    pub ended_first: u64,
    /// Jobs that a later signal of their timeline ends, before their own or in place of it.
    pub implied: u64,
    /// Jobs whose recorded end is before their recorded submission; they end as they begin.
    pub reversed: u64,
    /// Jobs that the recording names by address, and whose names here are made up.
    pub by_address: u64,
    /// Jobs that the kernel submitted on its own account.
    pub kernel_jobs: u64,
    /// Buffer moves.
    pub moves: u64,
    /// Fences that were added to reservation objects.
    pub adds: u64,
    /// Those among them that came after an earlier add of the same fence, and after an add of another one to the same object in
    /// between. They are played too early: all at the first.
    pub adds_late: u64,
    /// Dependency events.
    pub dependency_events: u64,
    /// Different pairs of a job and a job of another timeline among them.
    pub dependencies: u64,
    /// Dependency events between jobs of one timeline, which are in order anyway.
    pub dependencies_within: u64,
    /// Dependency events on a *scheduled* fence of a job: not its end, but its start is waited for.
    pub dependencies_scheduled: u64,
    /// Dependency events on a fence, or of a job, that is not otherwise in the recording.
    pub dependencies_unknown: u64,
}

/// A recording, read and put in order; no buffers yet.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub(super) name: String,
    pub(super) stats: ReadStats,
    pub(super) counts: Counts,
    pub(super) timelines: Vec<TimelineInfo>,
    pub(super) jobs: Vec<Job>,
    pub(super) steps: Vec<Step>,
    pub(super) moves: Vec<Moved>,
    /// Which reservation objects jobs used, if the recording says so.
    pub(super) uses: Vec<(JobId, Use)>,
    /// For each job the jobs of other timelines that it is recorded to depend on, ascending.
    pub(super) dependencies: Lists<JobId>,
}

impl Recorded {
    /// The name of the recording.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The account of its lines.
    pub fn stats(&self) -> &ReadStats {
        &self.stats
    }

    /// What was found in it.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether the recording itself says which buffers jobs touch.
    pub fn names_buffers(&self) -> bool {
        !self.uses.is_empty()
    }

    /// The jobs, by timeline, then seqno.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The timelines that jobs are on, in order of first mention.
    pub fn timelines(&self) -> &[TimelineInfo] {
        &self.timelines
    }

    /// The jobs of other timelines that the recording says a job depends on.
    pub fn recorded_dependencies(&self, job: JobId) -> &[JobId] {
        self.dependencies.of(job)
    }

    /// A timeline's name and context: `gfx#4929`.
    pub fn timeline_name(&self, timeline: u32) -> String {
        match self.timelines.get(timeline as usize) {
            Some(info) => format!("{}#{}", info.name, info.context),
            None => "?".to_owned(),
        }
    }

    /// A job's name: `gfx#4929:3200`.
    pub fn job_name(&self, job: JobId) -> String {
        match self.jobs.get(job as usize) {
            Some(info) => format!("{}:{}", self.timeline_name(info.timeline), info.seqno),
            None => "?".to_owned(),
        }
    }

    /// Nanoseconds from the first event to `time_ns`.
    pub(super) fn since_start(&self, time_ns: u64) -> u64 {
        time_ns.saturating_sub(self.stats.span_ns.map_or(0, |(first, _)| first))
    }
}

/// One buffer that a job touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The buffer.
    pub buffer: BufferId,
    /// What the job does with it.
    pub usage: Usage,
    /// What the job waits for before.
    pub access: Access,
}

/// A recording whose jobs have buffers: what is played.
#[derive(Clone, Debug)]
pub struct Workload {
    pub(super) recorded: Recorded,
    pub(super) buffers: Vec<String>,
    pub(super) touches: Lists<Touch>,
    pub(super) account: RuleAccount,
}

impl Workload {
    /// The recording.
    pub fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    /// The names of the buffers.
    pub fn buffers(&self) -> &[String] {
        &self.buffers
    }

    /// The buffers that a job touches; different ones.
    pub fn touches(&self, job: JobId) -> &[Touch] {
        self.touches.of(job)
    }

    /// How the rule gave jobs their buffers.
    pub fn account(&self) -> &RuleAccount {
        &self.account
    }

    pub(super) fn job(&self, job: JobId) -> &Job {
        &self.recorded.jobs[job as usize]
    }

    pub(super) fn buffer_name(&self, buffer: BufferId) -> &str {
        self.buffers
            .get(buffer as usize)
            .map_or("?", String::as_str)
    }

    /// What `job` does with `buffer`.
    pub(super) fn usage_of(&self, job: JobId, buffer: BufferId) -> Option<Usage> {
        let mut touches = self.touches(job).iter();
        touches.find(|t| t.buffer == buffer).map(|t| t.usage)
    }
}
