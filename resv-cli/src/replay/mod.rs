//! Replaying a recording: the GPU work of a real machine, played through reservation objects.
//!
//! # The concept
//!
//! A recording says when jobs were submitted, started and ended, on which timeline. Give each job the buffers it touches
//! ([`BufferRule`]: no Linux event names them), put a reservation object beside each buffer, and play: at its submission a job asks
//! the objects what it must wait for and leaves its fence there; at its end the fence signals. What the objects answer is a
//! graph of dependencies, and with the recorded times its price. Play the same under another *semantics* and the graph
//! changes: that is what the semantics means for this machine. Play it on another *back end* and nothing may change but the
//! speed: that is checked answer by answer.
//!
//! ```text
//! lines -> Reader -> load -> Recorded -> Workload::new(rule) -> play(semantics, back end) -> Run
//!                                                    |                                  \
//!                                                    +-> Report::new, diff_*, stress     edges, losses, stalls, digests
//! ```
//!
//! # Two kinds of edges
//!
//! *Recorded* edges are what the recording itself says a job depends on (`drm_sched_job_add_dep` and its like). *Assumed*
//! edges come from the objects and rest on the buffer rule. They are never mixed up: an edge that is both counts as recorded.
//! Where the recording shows that a job ran before an assumed dependency of its had ended, the rule is in doubt: the edge counts
//! for nothing, and is listed apart.
//!
//! # Modules
//!
//! | module | idea |
//! |---|---|
//! | `collect`, `fences`, `names` | from events to a compact list; fences, their names and numbers, and the waits for them |
//! | `jobs`, `assemble` | from that to jobs, whatever way the kernel names them, and to all that a recording holds |
//! | [`recorded`] | jobs, timelines, fences, waits; and what is missing in a recording that was cut |
//! | `times`, `details` | where the time went: queues, hardware, rings; what waited for what |
//! | `objects`, `polls` | which reservation objects a job used, and which tasks looked and went on, where the recording says so |
//! | `rule`, `choice`, [`workload`] | which buffers a job touches, which rule says so where nobody did, and what is played |
//! | `play`, `edges`, `answers` | the play itself, its edges, and the log of all answers |
//! | `follow`, `truth` | which job follows which, and what is really in use: what no object knows |
//! | `timing` | stalls, in the time of the recording |
//! | `differ` | why two semantics differ; that two back ends do not |
//! | `stage`, `measure`, `stress` | what every play needs; speed, alone and with several threads |
//! | `document`, `report` | the report as data, and how it is made |
//! | `summary`, `text`, `text_differ`, `table` | the report for people: the first screen, and everything |
//! | `page`, `picture` | the report for a web browser, and for Perfetto |
//!
//! Memory grows with the number of jobs, fences, waits and edges, and not with lines. Nothing here panics on any input.

mod answers;
mod assemble;
mod choice;
mod collect;
mod details;
mod differ;
mod digest;
mod document;
mod edges;
mod error;
mod fences;
mod follow;
mod jobs;
mod lists;
mod measure;
mod names;
mod objects;
mod page;
mod picture;
mod play;
mod polls;
pub mod recorded;
mod report;
mod rule;
mod stage;
mod stress;
mod summary;
mod table;
mod text;
mod text_differ;
mod times;
mod timing;
mod truth;
pub mod workload;

pub use choice::choose;
pub use details::{fence_parts, job_parts, wait_parts};
pub use differ::{
    BackendDiff, EdgeExample, FirstDifference, Group, Reason, SemanticsDiff, Side, diff_backends,
    diff_semantics,
};
pub use document::{
    BlockedPart, BuffersPart, FencePart, ForeignPart, JobPart, LanePart, LongJobPart, LostPart,
    PollPart, RecordingPart, RunPart, SkippedPart, StallPart, TaskWaitPart, TimesPart, WaitPart,
    WaitsPart,
};
pub use edges::{Edge, Via};
pub use error::PlayError;
pub use jobs::load;
pub use measure::{measure, play};
pub use page::page;
pub use picture::trace;
pub use play::{Lost, Run, RunCounts, Superseded};
pub use recorded::{Counts, Job, JobId, Recorded, TimelineInfo};
pub use report::Report;
pub use rule::{BufferId, BufferRule, RuleAccount, Touch, default_sidecar};
pub use stage::Measured;
pub use stress::{StressReport, stress};
pub use summary::times_to_text;
pub use times::{JobTime, LaneTime, Times};
pub use timing::{LongWait, Timing};
pub use workload::Workload;
