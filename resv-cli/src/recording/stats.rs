//! The account of a reading: no line is dropped without a number that says so.
//!
//! `lines = events + blank + headers + call_chain + loss_reports + skipped.total`, always.

use std::collections::BTreeMap;
use std::fmt;

use super::event::{Event, EventKind, FenceStep};
use super::fault::FieldFault;

/// How many line numbers are kept for each reason.
const EXAMPLES: usize = 3;
/// Different names that are counted one by one; further ones are counted together under [`ReadStats::OTHER_NAMES`].
const MAX_NAMES: usize = 4096;

/// What a [`Reader`](super::Reader) has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadStats {
    /// Lines, of whatever kind.
    pub lines: u64,
    /// Lines that gave an event, [`EventKind::Other`] among them.
    pub events: u64,
    /// Events that queue a job: `amdgpu_cs_ioctl`, `drm_sched_job`, `drm_sched_job_queue`. A recording that has two of the
    /// three tells each submission twice.
    pub submits: u64,
    /// Events that hand a job to the hardware: `amdgpu_sched_run_job`, `drm_run_job`, `drm_sched_job_run`.
    pub runs: u64,
    /// `dma_fence_signaled` events (`fence_signaled` before Linux 4.10).
    pub signals: u64,
    /// Events that say that a job is done: `drm_sched_process_job`, `drm_sched_job_done`, `i915_request_out`.
    pub dones: u64,
    /// Events with which a task begins to wait for a fence.
    pub waits: u64,
    /// Events that this program understands: each name, in order of first sight, and how many.
    pub known: Vec<(&'static str, u64)>,
    /// Events that this program does not use, by name.
    pub other: BTreeMap<String, u64>,
    /// Empty lines.
    pub blank: u64,
    /// Comments and header lines of the tracer.
    pub headers: u64,
    /// Stack frames.
    pub call_chain: u64,
    /// Lines on which the tracer says that it lost events.
    pub loss_reports: u64,
    /// Events that the tracer says it lost; a report without a number adds 0.
    pub lost_events: u64,
    /// Lines that could not be used.
    pub skipped: Skipped,
    /// Events whose time is before that of the event above them. Expected where a tracer writes one CPU after another.
    pub backwards: u64,
    /// Earliest and latest event, in nanoseconds of the recording's clock.
    pub span_ns: Option<(u64, u64)>,
}

impl ReadStats {
    /// The name under which [`ReadStats::other`] counts events once it holds very many different names.
    pub const OTHER_NAMES: &'static str = "(further names)";

    /// Events that this program understands: all but [`EventKind::Other`].
    pub fn known(&self) -> u64 {
        self.events - self.other.values().sum::<u64>()
    }

    pub(super) fn count(
        &mut self,
        event: &Event,
        name: Option<&'static str>,
        before_ns: Option<u64>,
    ) {
        let time = event.time_ns;
        self.events += 1;
        if let Some(name) = name {
            // A handful of names, each one string.
            match self
                .known
                .iter_mut()
                .find(|(known, _)| std::ptr::eq(*known, name))
            {
                Some((_, count)) => *count += 1,
                None => self.known.push((name, 1)),
            }
        }
        self.backwards += u64::from(before_ns.is_some_and(|before| time < before));
        self.span_ns = Some(match self.span_ns {
            Some((first, last)) => (first.min(time), last.max(time)),
            None => (time, time),
        });
        match &event.kind {
            EventKind::Submit(_) => self.submits += 1,
            EventKind::Run(_) => self.runs += 1,
            EventKind::Done { .. } | EventKind::RequestDone(_) => self.dones += 1,
            EventKind::Fence(fence) if fence.step == FenceStep::Signaled => self.signals += 1,
            EventKind::Other { name } => self.count_other(name),
            EventKind::Fence(fence) if fence.step == FenceStep::WaitStart => self.waits += 1,
            _ => {}
        }
    }

    fn count_other(&mut self, name: &str) {
        if let Some(count) = self.other.get_mut(name) {
            *count += 1;
            return;
        }
        let name = if self.other.len() < MAX_NAMES {
            name
        } else {
            Self::OTHER_NAMES
        };
        *self.other.entry(name.to_owned()).or_default() += 1;
    }
}

/// Lines that could not be used, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// All of them.
    pub total: u64,
    /// How many for each reason, and where.
    pub reasons: BTreeMap<SkipReason, SkipCount>,
}

impl Skipped {
    pub(super) fn add(&mut self, reason: SkipReason, line: u64) {
        self.total += 1;
        let entry = self.reasons.entry(reason).or_default();
        entry.count += 1;
        if entry.lines.len() < EXAMPLES {
            entry.lines.push(line);
        }
    }
}

/// How often a reason applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkipCount {
    /// Lines.
    pub count: u64,
    /// The numbers of the first few, from 1.
    pub lines: Vec<u64>,
}

/// Why a line could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// It has no task, time and event.
    NotATraceLine,
    /// Task and CPU are there, but the time is not seconds with 1 to 9 decimals.
    BadTime,
    /// Task, CPU and time are there, but no event name follows.
    NoEventName,
    /// It is longer than [`MAX_LINE`](super::MAX_LINE).
    TooLong,
    /// It is not UTF-8.
    NotUtf8,
    /// It holds a zero byte.
    Nul,
    /// The source failed within it.
    CutOff,
    /// The event is known, but one of its fields is not as expected.
    Field(FieldFault),
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SkipReason::NotATraceLine => {
                "not a trace line (expected TASK-PID [CPU] SECONDS: EVENT: ...)"
            }
            SkipReason::BadTime => {
                "the time is not seconds with 1 to 9 decimals (record with a clock in seconds)"
            }
            SkipReason::NoEventName => "no event name after the time",
            SkipReason::TooLong => "longer than 64 KiB",
            SkipReason::NotUtf8 => "not UTF-8 text",
            SkipReason::Nul => "holds a zero byte",
            SkipReason::CutOff => "cut off by a fault of the source",
            SkipReason::Field(fault) => return fault.fmt(f),
        })
    }
}
