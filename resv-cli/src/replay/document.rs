//! The parts of a report as data: the one source of its text, its JSON, its page and its picture.

use serde::Serialize;
use std::collections::BTreeMap;

use super::play::RunCounts;

/// What was read.
#[derive(Clone, Debug, Serialize)]
pub struct RecordingPart {
    /// The name of the recording.
    pub name: String,
    /// Lines, of whatever kind.
    pub lines: u64,
    /// Lines that gave an event.
    pub events: u64,
    /// Events that submit a job.
    pub submits: u64,
    /// Events that hand a job to the hardware.
    pub runs: u64,
    /// Signals of fences.
    pub signals: u64,
    /// Events that say that a job is done.
    pub dones: u64,
    /// Events that this program understands, by name.
    pub known_events: BTreeMap<&'static str, u64>,
    /// Jobs.
    pub jobs: u64,
    /// Fences that are played like jobs, as the recording has no job.
    pub fences_played: u64,
    /// Fences that belong to no job.
    pub fences_without_jobs: u64,
    /// Fences that were made with seqno 0 and whose number is not known.
    pub fences_unnumbered: u64,
    /// Jobs that end after a later one of their timeline has ended.
    pub jobs_out_of_order: u64,
    /// Jobs cut at the start, at the end, or at both.
    pub jobs_cut: u64,
    /// Jobs without a recorded submission.
    pub jobs_cut_start: u64,
    /// Jobs without a recorded end.
    pub jobs_cut_end: u64,
    /// Jobs of which nothing but the end was seen.
    pub jobs_ended_first: u64,
    /// Jobs that a later signal of their timeline ends.
    pub implied: u64,
    /// Jobs whose recorded end is before their submission.
    pub reversed: u64,
    /// Jobs that are named by address.
    pub jobs_by_address: u64,
    /// Jobs of the kernel.
    pub kernel_jobs: u64,
    /// Different contexts that any event names.
    pub timelines: u64,
    /// Those that jobs are on.
    pub job_timelines: u64,
    /// Signals of jobs.
    pub job_signals: u64,
    /// Signals of fences that belong to no job.
    pub fences: u64,
    /// Waits for a fence that were begun.
    pub waits: u64,
    /// Ends of waits without a beginning.
    pub waits_cut: u64,
    /// Fences that were added to reservation objects.
    pub adds: u64,
    /// Those that are played too early, as their job had begun before.
    pub adds_late: u64,
    /// Buffer moves.
    pub moves: u64,
    /// Dependency events.
    pub dependency_events: u64,
    /// Different pairs of jobs among them.
    pub dependencies: u64,
    /// Between jobs of one timeline.
    pub dependencies_same_timeline: u64,
    /// On a job's scheduled fence.
    pub dependencies_scheduled: u64,
    /// On or of something unknown.
    pub dependencies_unknown: u64,
    /// From the first event to the last.
    pub span_ns: u64,
    /// Events earlier than the one on the line above.
    pub backwards: u64,
    /// Empty lines.
    pub blank: u64,
    /// Comments and headers.
    pub headers: u64,
    /// Stack frames.
    pub call_chain: u64,
    /// Lines on which the tracer says that it lost events.
    pub loss_reports: u64,
    /// Events that the tracer says it lost.
    pub lost_events: u64,
    /// Lines that could not be used.
    pub lines_skipped: u64,
    /// Why, and where.
    pub skipped: Vec<SkippedPart>,
    /// Events of no use here, by name.
    pub other_events: BTreeMap<String, u64>,
    /// Events of GPU drivers among them, by driver.
    pub foreign: Vec<ForeignPart>,
}

/// Events of a driver that this program does not understand.
#[derive(Clone, Debug, Serialize)]
pub struct ForeignPart {
    /// The driver.
    pub driver: String,
    /// How many events.
    pub events: u64,
    /// The most frequent one.
    pub example: String,
    /// What to record instead.
    pub instead: String,
}

/// Where the time went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TimesPart {
    /// By ring, the busiest first.
    pub rings: Vec<LanePart>,
    /// By timeline, the busiest first.
    pub timelines: Vec<LanePart>,
    /// The jobs that took longest from submission to end.
    pub longest_jobs: Vec<LongJobPart>,
    /// Waits of tasks.
    pub waits: WaitsPart,
    /// The longest times that jobs lay in the scheduler's queue because of a dependency.
    pub blocked: Vec<BlockedPart>,
    /// Jobs whose end a watchdog brought about, by watchdog.
    pub watchdogs: BTreeMap<String, u64>,
    /// Tasks that looked at an object, found it busy and went on.
    pub polls: Vec<PollPart>,
}

/// What went on on a ring or a timeline.
#[derive(Clone, Debug, Serialize)]
pub struct LanePart {
    /// Its name.
    pub name: String,
    /// Its jobs.
    pub jobs: u64,
    /// The time in which at least one job was between its run and its end.
    pub busy_ns: u64,
    /// The sum of the times of its jobs on the hardware.
    pub hw_ns: u64,
    /// The longest time of a job on the hardware.
    pub longest_ns: Option<u64>,
    /// That job.
    pub longest_job: Option<String>,
}

/// A job that took long.
#[derive(Clone, Debug, Serialize)]
pub struct LongJobPart {
    /// The job.
    pub job: String,
    /// Its ring.
    pub ring: String,
    /// From its submission (where that is not recorded, its run) to its end.
    pub total_ns: u64,
    /// From its submission to its run.
    pub queued_ns: Option<u64>,
    /// How much of that it lay there because of a dependency, as recorded.
    pub blocked_ns: u64,
    /// The last of those dependencies.
    pub blocked_on: Option<String>,
    /// From its run to its end.
    pub ran_ns: Option<u64>,
    /// On the hardware.
    pub hw_ns: Option<u64>,
    /// What brought its end about, if a watchdog did.
    pub watchdog: Option<String>,
}

/// The waits of tasks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WaitsPart {
    /// Waits in all.
    pub count: u64,
    /// Those that ended by a signal.
    pub signaled: u64,
    /// Those that ended before the signal.
    pub timed_out: u64,
    /// Those whose end is not recorded.
    pub open: u64,
    /// How long tasks waited, summed over tasks; the time in which one waits for several fences counts once.
    pub waited_ns: u64,
    /// The longest.
    pub longest: Vec<TaskWaitPart>,
}

/// A task that waited for a fence.
#[derive(Clone, Debug, Serialize)]
pub struct TaskWaitPart {
    /// The task.
    pub task: String,
    /// Its thread id.
    pub pid: u32,
    /// What it waited for: `TIMELINE#CONTEXT:SEQNO`.
    pub fence: String,
    /// Since when, by the recording's clock.
    pub begin_ns: u64,
    /// How long.
    pub waited_ns: u64,
    /// `signaled`, `timed-out` or `open`.
    pub ended: &'static str,
    /// The job whose start it was that the task waited for.
    #[serde(skip)]
    pub start_of: Option<String>,
}

/// A job that lay in the scheduler's queue because of a dependency.
#[derive(Clone, Debug, Serialize)]
pub struct BlockedPart {
    /// The job.
    pub job: String,
    /// The dependency.
    pub on: String,
    /// From when the scheduler found it pending to when the job ran or lay because of another one.
    pub waited_ns: u64,
}

/// A task that looked at an object, found it busy and went on.
#[derive(Clone, Debug, Serialize)]
pub struct PollPart {
    /// The task.
    pub task: String,
    /// Its thread id.
    pub pid: u32,
    /// The object.
    pub buffer: String,
    /// What it asked for.
    pub access: String,
    /// How often it went on.
    pub skipped: u64,
    /// From the first look to the time the object was free, or to the last look; summed over all times.
    pub busy_ns: u64,
}

/// The times of a job.
#[derive(Clone, Debug, Serialize)]
pub struct JobPart {
    /// `TIMELINE#CONTEXT:SEQNO`
    pub job: String,
    /// `TIMELINE#CONTEXT`
    pub timeline: String,
    /// Where it ran.
    pub ring: String,
    /// When it was submitted, by the recording's clock.
    pub submit_ns: Option<u64>,
    /// When it ran.
    pub run_ns: Option<u64>,
    /// When it ended.
    pub done_ns: Option<u64>,
    /// From its submission to its run.
    pub queued_ns: Option<u64>,
    /// From its run to its end.
    pub ran_ns: Option<u64>,
    /// From the later of its run and the end before it on the same ring, to its end.
    pub hw_ns: Option<u64>,
}

/// The times of a fence that belongs to no job.
#[derive(Clone, Debug, Serialize)]
pub struct FencePart {
    /// `TIMELINE#CONTEXT:SEQNO`
    pub fence: String,
    /// `TIMELINE#CONTEXT`
    pub timeline: String,
    /// When it was made, by the recording's clock.
    pub init_ns: Option<u64>,
    /// When its work was handed to the hardware.
    pub emit_ns: Option<u64>,
    /// When it signalled.
    pub signaled_ns: Option<u64>,
    /// From the later of its beginning and the signal before it on its timeline, to its signal.
    pub busy_ns: Option<u64>,
}

/// Lines that could not be used for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct SkippedPart {
    /// The reason.
    pub reason: String,
    /// How many.
    pub lines: u64,
    /// The numbers of the first few.
    pub first: Vec<u64>,
}

/// How jobs got their buffers.
#[derive(Clone, Debug, Serialize)]
pub struct BuffersPart {
    /// The rule's name.
    pub rule: String,
    /// What it says.
    pub description: String,
    /// Why it was chosen, where nobody did.
    pub why: Option<String>,
    /// How many buffers there are.
    pub buffers: u64,
    /// Uses of a buffer by a job.
    pub touches: u64,
    /// Jobs with a buffer.
    pub jobs: u64,
    /// Jobs to which the rule gives none.
    pub jobs_without: u64,
    /// Jobs that take no part, as only their end was seen.
    pub jobs_ended_first: u64,
    /// Moves that became a use.
    pub moves_used: u64,
    /// Moves that did not.
    pub moves_unused: u64,
    /// Lines of a sidecar that fit no job.
    pub lines_unused: u64,
}

/// One semantics on one back end.
#[derive(Clone, Debug, Serialize)]
pub struct RunPart {
    /// The semantics.
    pub semantics: String,
    /// The back end.
    pub backend: String,
    /// What there was how often; each a key of its own beside the others.
    #[serde(flatten)]
    pub counts: RunCounts,
    /// Assumed edges of which the recording shows whether the waiter ran before the dependency had ended.
    pub judged: u64,
    /// Those where it did. They count for nothing in stalls and waits.
    pub contradicted: u64,
    /// Recorded edges where it did.
    pub contradicted_recorded: u64,
    /// The contradicted edges whose waiter ran earliest: `stall_ns` is how much too early.
    pub contradicted_examples: Vec<WaitPart>,
    /// The digest of the edges.
    pub edges_digest: String,
    /// The sum of stalls over all jobs, many of which stall at the same time: at least that much.
    pub stall_ns: u64,
    /// Jobs with a stall.
    pub stalled_jobs: u64,
    /// Jobs that may have stalled longer, as a moment is not recorded.
    pub stall_unknown_jobs: u64,
    /// Stalls by timeline.
    pub stall_by_timeline: Vec<StallPart>,
    /// The longest stalls.
    pub longest_waits: Vec<WaitPart>,
    /// The fences lost that the most later jobs should have waited for.
    pub lost_examples: Vec<LostPart>,
    /// Answers given.
    pub answers: u64,
    /// The digest of the answers.
    pub answers_digest: String,
    /// Whether every answer is that of the reference back end.
    pub identical_to_reference: bool,
    /// Operations in a second.
    pub ops_per_second: f64,
    /// Operations measured.
    pub operations: u64,
    /// Reads that were started again.
    pub retries: u64,
    /// Reads that shut writers out.
    pub fallbacks: u64,
    /// The most memory blocks retired and not yet freed at one time.
    pub peak_garbage: u64,
}

/// The stalls of a timeline.
#[derive(Clone, Debug, Serialize)]
pub struct StallPart {
    /// The timeline.
    pub timeline: String,
    /// Its jobs.
    pub jobs: u64,
    /// The sum of their stalls.
    pub stall_ns: u64,
}

/// A long stall.
#[derive(Clone, Debug, Serialize)]
pub struct WaitPart {
    /// The waiter.
    pub job: String,
    /// For whom last.
    pub dependency: String,
    /// How long.
    pub stall_ns: u64,
    /// On which buffer; none if the edge is only recorded.
    pub buffer: Option<String>,
    /// Why.
    pub why: String,
    /// The recording has the edge.
    pub recorded: bool,
}

/// A lost fence.
#[derive(Clone, Debug, Serialize)]
pub struct LostPart {
    /// The job behind it.
    pub job: String,
    /// What that job does with the buffer.
    pub usage: String,
    /// The buffer.
    pub buffer: String,
    /// Whose add dropped it.
    pub dropped_by: String,
    /// When, in nanoseconds from the first event.
    pub at_ns: u64,
    /// How many later jobs the objects do not make wait for it though they should.
    pub unguarded: u64,
    /// How many of them the recording makes wait all the same.
    pub unguarded_recorded: u64,
    /// The first few of them.
    pub unguarded_jobs: Vec<String>,
}
