//! What a recording holds, put in order: timelines, jobs, fences without a job, waits of tasks.
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
//! # Fences without a job
//!
//! A driver that has only `dma_fence` events has no jobs. Where a recording has none at all, each fence is played like one: a
//! piece of work from its emit (from its init, where its timeline never emits) to its signal. They are not called jobs in any
//! count or list of times.
//!
//! # Numbers of jobs
//!
//! Jobs are numbered by timeline, then seqno. A job's fence gets the job's number plus one as its seqno: increasing along
//! each timeline, and enough to find the job again from a fence in any answer.

use std::collections::HashMap;
use std::ops::Range;

use resv_api::{Access, Usage};

use super::lists::Lists;
use crate::recording::ReadStats;

/// When an event was: its time, and its line, which orders events of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) time_ns: u64,
    pub(super) line: u64,
}

impl At {
    /// No event.
    pub(super) const NONE: At = At {
        time_ns: u64::MAX,
        line: u64::MAX,
    };

    pub(super) fn known(self) -> Option<At> {
        (self != At::NONE).then_some(self)
    }

    pub(super) fn ns(self) -> Option<u64> {
        self.known().map(|at| at.time_ns)
    }
}

/// The place of a job in [`Recorded::jobs`].
pub type JobId = u32;

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
    /// The place of its ring in [`Recorded::rings`].
    pub ring: u32,
    /// A timer or a work item that looks for lost interrupts and hung jobs brought its end about.
    pub watchdog: Option<&'static str>,
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

/// Where jobs run: a ring of the hardware or of the scheduler; for fences without a job, the driver's name of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Its name; with `@` and the device behind it where two devices have one of that name.
    pub name: String,
    /// The device, if the recording says it.
    pub dev: String,
}

/// A job that lay in the scheduler's queue because a dependency of it was pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Since when.
    pub since_ns: u64,
    /// What it waited for.
    pub on: FenceRef,
}

/// A fence, as something else names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceRef {
    /// The finished fence of a job.
    Job(JobId),
    /// The place of a fence without a job in [`Recorded::fences`].
    Fence(u32),
    /// The scheduled fence of a job, which signals when the job runs.
    Scheduled(JobId),
    /// A fence of which nothing else is recorded; both numbers modulo 2^32.
    Other {
        /// Its timeline.
        context: u32,
        /// Its place there.
        seqno: u32,
    },
}

/// A fence that belongs to no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceInfo {
    /// Its timeline, modulo 2^32.
    pub context: u32,
    /// Its place there, modulo 2^32.
    pub seqno: u32,
    /// When it was made.
    pub init_ns: Option<u64>,
    /// When its work was handed to the hardware.
    pub emit_ns: Option<u64>,
    /// When it signalled.
    pub signaled_ns: Option<u64>,
    /// When its work began: at its emit, or at its init where its timeline never emits.
    pub begin_ns: Option<u64>,
    /// From the later of its beginning and the signal before it on its timeline, to its signal.
    pub busy_ns: Option<u64>,
    /// A timer that looks for lost interrupts brought its signal about.
    pub watchdog: Option<&'static str>,
}

/// How a task's wait for a fence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// The fence signalled.
    Signaled,
    /// Before the fence signalled: the time was up, or the task was interrupted.
    TimedOut,
    /// Not in the recording.
    Open,
}

impl Ended {
    /// `signaled`, `timed-out` or `open`.
    pub fn name(self) -> &'static str {
        match self {
            Ended::Signaled => "signaled",
            Ended::TimedOut => "timed-out",
            Ended::Open => "open",
        }
    }
}

/// A task that waited for a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskWait {
    /// The place of the task's name.
    pub(super) task: u32,
    /// The task's thread id.
    pub pid: u32,
    /// What it waited for.
    pub on: FenceRef,
    /// Since when.
    pub begin_ns: u64,
    /// How long; up to the end of the recording where the wait is open.
    pub waited_ns: u64,
    /// How it ended.
    pub ended: Ended,
}

/// A task asked an object for itself, not for a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) at: At,
    pub(super) resv: u64,
    pub(super) access: Access,
}

/// A task that looked at an object, found it busy and went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The task's thread id.
    pub pid: u32,
    /// The number of the object.
    pub resv: u64,
    /// What it asked for.
    pub access: Access,
    /// How often it went on.
    pub skipped: u64,
    /// How long the object was busy from the looks on.
    pub busy_ns: u64,
}

/// What is known of a fence context by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ContextName {
    pub(super) driver: String,
    pub(super) timeline: String,
}

/// A moment of the replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The event that causes it.
    pub(super) at: At,
    pub(super) is_end: bool,
    pub(super) job: JobId,
}

/// A buffer changed its place in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) at: At,
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
    /// Jobs that end, as recorded, after a later job of their timeline has ended.
    pub out_of_order: u64,
    /// Jobs whose recorded end is before their recorded submission; they end as they begin.
    pub reversed: u64,
    /// Jobs that the recording names by address, and whose names here are made up.
    pub by_address: u64,
    /// Jobs that the kernel submitted on its own account.
    pub kernel_jobs: u64,
    /// Ends of waits whose beginning is not in the recording.
    pub waits_cut: u64,
    /// Fences that were made with seqno 0 and are not seen again: their numbers are not known.
    pub fences_unnumbered: u64,
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
    /// The jobs are fences without a job: the recording has no other.
    pub(super) plays_fences: bool,
    pub(super) rings: Vec<Ring>,
    /// For each job how it lay in the scheduler's queue.
    pub(super) blocked: Lists<Blocked>,
    pub(super) fences: Vec<FenceInfo>,
    /// The job that each fence is played as, if fences are.
    pub(super) fence_jobs: Vec<Option<JobId>>,
    pub(super) waits: Vec<TaskWait>,
    /// What tasks asked objects for themselves, not for a job: they waited, or looked and went on. In order of time.
    pub(super) asks: Vec<Asked>,
    /// Polls, the longest first; and the names of the tasks, as places in `tasks`.
    pub(super) polls: Vec<Polled>,
    pub(super) task_of: HashMap<u32, u32>,
    pub(super) contexts: HashMap<u32, ContextName>,
    /// Names of tasks.
    pub(super) tasks: Vec<String>,
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

    /// Whether what is played are fences, as the recording has no jobs.
    pub fn plays_fences(&self) -> bool {
        self.plays_fences
    }

    /// Where jobs run.
    pub fn rings(&self) -> &[Ring] {
        &self.rings
    }

    /// How a job lay in the scheduler's queue, in order of time.
    pub fn blocked(&self, job: JobId) -> &[Blocked] {
        self.blocked.of(job)
    }

    /// The fences that belong to no job, by timeline, then seqno.
    pub fn fences(&self) -> &[FenceInfo] {
        &self.fences
    }

    /// The job that a fence without a job is played as.
    pub fn job_of_fence(&self, fence: u32) -> Option<JobId> {
        self.fence_jobs.get(fence as usize).copied().flatten()
    }

    /// The waits of tasks, by their beginning.
    pub fn waits(&self) -> &[TaskWait] {
        &self.waits
    }

    /// The tasks that looked at objects and went on, the longest busy first.
    pub fn polls(&self) -> &[Polled] {
        &self.polls
    }

    /// The name of the task that waited.
    pub fn task_name(&self, wait: &TaskWait) -> &str {
        self.tasks
            .get(wait.task as usize)
            .map_or("?", String::as_str)
    }

    /// The name of a context by its low bits: `gfx#12`.
    pub(super) fn context_name(&self, context: u32) -> String {
        let name = self
            .contexts
            .get(&context)
            .map_or("", |name| &name.timeline);
        format!("{}#{context}", if name.is_empty() { "?" } else { name })
    }

    /// `TIMELINE#CONTEXT:SEQNO`
    pub fn fence_name(&self, fence: FenceRef) -> String {
        match fence {
            FenceRef::Job(job) => self.job_name(job),
            FenceRef::Fence(place) => match self.fences.get(place as usize) {
                Some(info) => format!("{}:{}", self.context_name(info.context), info.seqno),
                None => "?".to_owned(),
            },
            FenceRef::Scheduled(job) => match self.jobs.get(job as usize) {
                Some(info) => {
                    let context = self.timelines[info.timeline as usize].context as u32;
                    let name = self.context_name(context.wrapping_sub(1));
                    format!("{name}:{}", info.seqno)
                }
                None => "?".to_owned(),
            },
            FenceRef::Other { context, seqno } => {
                format!("{}:{seqno}", self.context_name(context))
            }
        }
    }

    /// From the first event to the last.
    pub fn span_ns(&self) -> u64 {
        self.stats.span_ns.map_or(0, |(first, last)| last - first)
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
