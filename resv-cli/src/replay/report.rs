//! Making a report: every semantics on every back end, each held against the reference.
//!
//! The reference for an answer is the `locked` back end under the same semantics, played for each semantics whether it is
//! asked for or not. What depends on the semantics alone (edges, stalls, losses) is the same on all back ends if they are
//! sound; where they are not, each run shows its own. Differences between semantics are told for the reference.

use resv_api::{BackendKind, SemanticsKind};
use serde::Serialize;

use super::differ::{SemanticsDiff, compare};
use super::digest::hex;
use super::document::{
    BuffersPart, ForeignPart, LostPart, RecordingPart, RunPart, SkippedPart, StallPart, TimesPart,
    WaitPart,
};
use super::error::PlayError;
use super::measure::measure;
use super::play::{Lost, Run, play_watched};
use super::recorded::Recorded;
use super::times::Times;
use super::timing::LongWait;
use super::workload::Workload;
use crate::recording::foreign;

/// How many lost fences are named.
const LOST_NAMED: usize = 5;

/// All that a replay has to say.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was read.
    pub recording: RecordingPart,
    /// Where the time went.
    pub times: TimesPart,
    /// How jobs got their buffers.
    pub buffers: BuffersPart,
    /// Each semantics on each back end.
    pub runs: Vec<RunPart>,
    /// What differs between one semantics and the next.
    pub differences: Vec<SemanticsDiff>,
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

    /// The first run of each semantics.
    pub(super) fn by_semantics(&self) -> Vec<&RunPart> {
        let mut firsts: Vec<&RunPart> = Vec::new();
        for run in &self.runs {
            if !firsts.iter().any(|first| first.semantics == run.semantics) {
                firsts.push(run);
            }
        }
        firsts
    }

    /// Plays a workload under each semantics on each back end.
    ///
    /// # Errors
    /// As [`play`](super::play()).
    pub fn new(
        workload: &Workload,
        semantics: &[SemanticsKind],
        backends: &[BackendKind],
    ) -> Result<Report, PlayError> {
        let times = Times::of(workload.recorded());
        Ok(Report::with_runs(workload, &times, semantics, backends)?.0)
    }

    /// The same; also the reference run of each semantics.
    ///
    /// # Errors
    /// As [`Report::new`].
    pub fn with_runs(
        workload: &Workload,
        times: &Times,
        semantics: &[SemanticsKind],
        backends: &[BackendKind],
    ) -> Result<(Report, Vec<Run>), PlayError> {
        let mut runs = Vec::new();
        let mut references = Vec::new();
        for &semantics in semantics {
            let mut reference = play_watched(workload, semantics, BackendKind::Locked, None)?;
            for &backend in backends {
                let measured = measure(workload, semantics, backend)?;
                if backend == BackendKind::Locked {
                    reference.measured = measured;
                    runs.push(run_part(workload, &reference, &reference));
                } else {
                    let mut run = play_watched(workload, semantics, backend, None)?;
                    run.measured = measured;
                    runs.push(run_part(workload, &run, &reference));
                }
            }
            references.push(reference);
        }
        let differences = references
            .windows(2)
            .map(|pair| compare(workload, &pair[0], &pair[1]))
            .collect();
        let report = Report {
            recording: recording_part(&workload.recorded),
            times: TimesPart::of(&workload.recorded, times),
            buffers: buffers_part(workload),
            runs,
            differences,
        };
        Ok((report, references))
    }
}

fn recording_part(recorded: &Recorded) -> RecordingPart {
    let (stats, counts) = (&recorded.stats, &recorded.counts);
    let skipped = stats.skipped.reasons.iter();
    RecordingPart {
        name: recorded.name.clone(),
        lines: stats.lines,
        events: stats.events,
        submits: stats.submits,
        runs: stats.runs,
        signals: stats.signals,
        dones: stats.dones,
        known_events: stats.known.iter().copied().collect(),
        jobs: if recorded.plays_fences {
            0
        } else {
            recorded.jobs.len() as u64
        },
        fences_played: if recorded.plays_fences {
            recorded.jobs.len() as u64
        } else {
            0
        },
        fences_without_jobs: recorded.fences.len() as u64,
        fences_unnumbered: counts.fences_unnumbered,
        jobs_out_of_order: counts.out_of_order,
        jobs_cut: counts.cut,
        jobs_cut_start: counts.cut_start,
        jobs_cut_end: counts.cut_end,
        jobs_ended_first: counts.ended_first,
        implied: counts.implied,
        reversed: counts.reversed,
        jobs_by_address: counts.by_address,
        kernel_jobs: counts.kernel_jobs,
        timelines: counts.timelines,
        job_timelines: recorded.timelines.len() as u64,
        job_signals: counts.job_signals,
        fences: counts.fences,
        waits: stats.waits,
        waits_cut: counts.waits_cut,
        adds: counts.adds,
        adds_late: counts.adds_late,
        moves: counts.moves,
        dependency_events: counts.dependency_events,
        dependencies: counts.dependencies,
        dependencies_same_timeline: counts.dependencies_within,
        dependencies_scheduled: counts.dependencies_scheduled,
        dependencies_unknown: counts.dependencies_unknown,
        span_ns: stats.span_ns.map_or(0, |(first, last)| last - first),
        backwards: stats.backwards,
        blank: stats.blank,
        headers: stats.headers,
        call_chain: stats.call_chain,
        loss_reports: stats.loss_reports,
        lost_events: stats.lost_events,
        lines_skipped: stats.skipped.total,
        skipped: skipped
            .map(|(reason, entry)| SkippedPart {
                reason: reason.to_string(),
                lines: entry.count,
                first: entry.lines.clone(),
            })
            .collect(),
        other_events: stats.other.clone(),
        foreign: foreign(&stats.other)
            .into_iter()
            .map(|found| ForeignPart {
                driver: found.driver.to_owned(),
                events: found.events,
                example: found.example,
                instead: found.instead.to_owned(),
            })
            .collect(),
    }
}

fn buffers_part(workload: &Workload) -> BuffersPart {
    let account = &workload.account;
    BuffersPart {
        rule: account.rule.clone(),
        description: account.description.clone(),
        why: workload.why.clone(),
        buffers: workload.buffers.len() as u64,
        touches: account.touches,
        jobs: account.jobs_with_buffers,
        jobs_without: account.jobs_without_buffers,
        jobs_ended_first: account.jobs_ended_first,
        moves_used: account.moves_used,
        moves_unused: account.moves_unused,
        lines_unused: account.lines_unused,
    }
}

fn run_part(workload: &Workload, run: &Run, reference: &Run) -> RunPart {
    let timing = &run.timing;
    let timelines = workload.recorded.timelines.iter().zip(0..);
    RunPart {
        semantics: run.semantics.to_string(),
        backend: run.backend.to_string(),
        counts: run.counts,
        judged: timing.judged,
        contradicted: timing.contradicted,
        contradicted_recorded: timing.contradicted_recorded,
        contradicted_examples: timing
            .earliest
            .iter()
            .map(|wait| wait_part(workload, wait))
            .collect(),
        edges_digest: hex(run.edges_digest),
        stall_ns: timing.stall_ns,
        stalled_jobs: timing.stalled_jobs,
        stall_unknown_jobs: timing.unknown_jobs,
        stall_by_timeline: timelines
            .map(|(info, place)| StallPart {
                timeline: workload.recorded.timeline_name(place),
                jobs: info.jobs.len() as u64,
                stall_ns: timing.by_timeline.get(place as usize).copied().unwrap_or(0),
            })
            .collect(),
        longest_waits: timing
            .longest
            .iter()
            .map(|wait| wait_part(workload, wait))
            .collect(),
        lost_examples: worst(&run.trail.lost)
            .into_iter()
            .map(|lost| lost_part(workload, lost))
            .collect(),
        answers: run.answers,
        answers_digest: hex(run.answers_digest),
        identical_to_reference: run.disagreements == 0
            && run
                .trail
                .answers
                .first_difference(&reference.trail.answers)
                .is_none(),
        ops_per_second: run.measured.ops_per_second,
        operations: run.measured.operations,
        retries: run.counters.retries + run.measured.counters.retries,
        fallbacks: run.counters.fallbacks + run.measured.counters.fallbacks,
        peak_garbage: run.measured.garbage.peak as u64,
    }
}

fn wait_part(workload: &Workload, wait: &LongWait) -> WaitPart {
    let (edge, recorded) = (&wait.edge, &wait.edge.is_recorded);
    let why = match &edge.via {
        None => "recorded".to_owned(),
        Some(via) => {
            let usage = workload.usage_of(via.dependency, via.buffer);
            let usage = usage.unwrap_or(via.kept_as);
            let mut why = format!("{} waits for {usage}", via.access);
            if usage != via.kept_as {
                why.push_str(&format!(" (kept as {})", via.kept_as));
            }
            if *recorded {
                why.push_str(", recorded too");
            } else if edge.is_needless {
                why.push_str(", needless");
            }
            why
        }
    };
    let buffer = edge
        .via
        .map(|via| workload.buffer_name(via.buffer).to_owned());
    WaitPart {
        job: workload.recorded.job_name(edge.job),
        dependency: workload.recorded.job_name(edge.dependency),
        stall_ns: wait.stall_ns,
        buffer,
        why,
        recorded: *recorded,
    }
}

/// The lost fences that the most later jobs should have waited for; of equal ones the earlier.
fn worst(lost: &[Lost]) -> Vec<&Lost> {
    let mut worst: Vec<&Lost> = Vec::new();
    for lost in lost {
        let place = worst.partition_point(|other| other.unguarded >= lost.unguarded);
        if place < LOST_NAMED {
            worst.truncate(LOST_NAMED - 1);
            worst.insert(place.min(worst.len()), lost);
        }
    }
    worst
}

fn lost_part(workload: &Workload, lost: &Lost) -> LostPart {
    let recorded = &workload.recorded;
    let unguarded = lost.unguarded_jobs.iter();
    LostPart {
        job: recorded.job_name(lost.job),
        usage: lost.usage.to_string(),
        buffer: workload.buffer_name(lost.buffer).to_owned(),
        dropped_by: recorded.job_name(lost.by),
        at_ns: recorded.since_start(workload.job(lost.by).begin_ns),
        unguarded: lost.unguarded,
        unguarded_recorded: lost.unguarded_recorded,
        unguarded_jobs: unguarded.map(|&job| recorded.job_name(job)).collect(),
    }
}
