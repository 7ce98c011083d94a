//! The report as data: the one source of both its text and its JSON.

use serde::Serialize;
use std::collections::BTreeMap;

use super::differ::SemanticsDiff;
use super::play::RunCounts;

/// All that a replay has to say.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was read.
    pub recording: RecordingPart,
    /// How jobs got their buffers.
    pub buffers: BuffersPart,
    /// Each semantics on each back end.
    pub runs: Vec<RunPart>,
    /// What differs between one semantics and the next.
    pub differences: Vec<SemanticsDiff>,
}

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
    /// Jobs.
    pub jobs: u64,
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
    /// Assumed edges that the recorded start of the waiter speaks against.
    pub contradicted: u64,
    /// The digest of the edges.
    pub edges_digest: String,
    /// The sum of stalls: at least that much.
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
    /// Who waits.
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

impl Report {
    /// The report as a JSON document.
    ///
    /// # Errors
    /// Never in practice: nothing in a report has no JSON form.
    pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    /// Whether on every back end every answer was that of the reference.
    pub fn is_identical(&self) -> bool {
        self.runs.iter().all(|run| run.identical_to_reference)
    }
}
