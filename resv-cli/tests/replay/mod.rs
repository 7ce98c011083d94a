//! Replaying recordings: small ones worked out by hand, the sample, and a real one where it is at hand.

mod cases;
mod edges;
mod jobs;
mod kernels;
mod recordings;
mod strange;

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use resv_api::{Access, BackendKind, SemanticsKind, Usage};
use resv_cli::recording::{self, ReadError};
use resv_cli::replay::{
    BufferRule, Recorded, Report, Run, Times, Workload, choose, default_sidecar, diff_backends,
    diff_semantics, fence_parts, job_parts, load, measure, play, stress, wait_parts,
};
use resv_cli::sidecar::Sidecar;

use SemanticsKind::{ExclusiveShared, UsageLevels, WritersReadersOthers};

const BACKENDS: [BackendKind; BackendKind::ALL.len()] = BackendKind::ALL;

fn load_from(name: &str, source: impl Read + Send + 'static) -> (Recorded, Option<ReadError>) {
    let mut reader = recording::open_stream(name, source, None).expect("a text");
    load(&mut reader, |_| {})
}

fn recorded(text: &str) -> Recorded {
    let (recorded, fault) = load_from("test", Cursor::new(text.to_owned()));
    assert!(fault.is_none());
    recorded
}

fn sidecar(text: &str) -> BufferRule {
    BufferRule::Sidecar {
        name: "test.buffers".to_owned(),
        sidecar: Box::new(Sidecar::parse("test.buffers", text).expect("a sidecar")),
    }
}

fn workload(text: &str, rule: &BufferRule) -> Workload {
    Workload::new(recorded(text), rule)
}

/// Plays on every back end; all must agree.
fn run(workload: &Workload, semantics: SemanticsKind) -> Run {
    let reference = play(workload, semantics, BackendKind::Locked).expect("plays");
    for backend in BACKENDS {
        let run = play(workload, semantics, backend).expect("plays");
        assert_eq!(run.answers_digest, reference.answers_digest, "{backend}");
        assert_eq!(run.edges_digest, reference.edges_digest, "{backend}");
        assert_eq!(
            run.counts.edges,
            run.counts.edges_assumed + run.counts.edges_recorded
        );
        assert_eq!(run.disagreements, 0);
        assert_eq!(run.timing, reference.timing);
    }
    reference
}

/// The edges of a run as `JOB<-DEPENDENCY`.
fn edges_of(workload: &Workload, run: &Run) -> Vec<String> {
    let name = |job| workload.recorded().job_name(job);
    let edges = run.edge_list().iter();
    edges
        .map(|edge| format!("{}<-{}", name(edge.job), name(edge.dependency)))
        .collect()
}

fn text_of(report: &Report) -> String {
    let mut text = Vec::new();
    report.to_text(&mut text).expect("memory takes all");
    String::from_utf8(text).expect("text")
}

/// `us` microseconds into the test, a line of a tracer.
fn line(us: u64, event: &str) -> String {
    format!("task-1 [000] 7.{us:06}: {event}\n")
}

fn queue(us: u64, job: &str, client: u64) -> String {
    line(
        us,
        &format!(
            "drm_sched_job_queue: dev=d, fence={job}, ring=gfx, job count:0, hw job count:0, client_id:{client}"
        ),
    )
}

fn ran(us: u64, job: &str) -> String {
    line(
        us,
        &format!(
            "drm_sched_job_run: dev=d, fence={job}, ring=gfx, job count:0, hw job count:0, client_id:1"
        ),
    )
}

fn done(us: u64, job: &str) -> String {
    line(us, &format!("drm_sched_job_done: fence={job} signaled"))
}

/// A game (5) and a compositor (9): what the one draws the other reads.
fn game_and_compositor() -> String {
    [
        queue(0, "5:1", 1),
        queue(100, "9:1", 2),
        queue(200, "5:2", 1),
        done(500, "5:1"),
        done(700, "9:1"),
        done(900, "5:2"),
    ]
    .concat()
}
