//! Replaying recordings: small ones worked out by hand, the sample, and a real one where it is at hand.

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use resv_api::{Access, BackendKind, SemanticsKind, Usage};
use resv_cli::recording::{self, ReadError};
use resv_cli::replay::{
    BufferRule, Recorded, Report, Run, Workload, default_sidecar, diff_backends, diff_semantics,
    load, measure, play, stress,
};
use resv_cli::sidecar::Sidecar;

use SemanticsKind::{ExclusiveShared, UsageLevels, WritersReadersOthers};

const BACKENDS: [BackendKind; 5] = BackendKind::ALL;

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
        assert_eq!(run.edges, run.edges_assumed + run.edges_recorded);
        assert_eq!(run.disagreements, 0);
        assert_eq!(run.timing, reference.timing);
    }
    reference
}

/// The edges of a run as `JOB<-DEPENDENCY`.
fn edges(workload: &Workload, run: &Run) -> Vec<String> {
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

#[test]
fn handoff_by_hand() {
    let workload = workload(&game_and_compositor(), &BufferRule::Handoff);
    assert_eq!(workload.buffers(), ["gfx#5.out", "gfx#9.out"]);
    for (semantics, superseded) in [
        (ExclusiveShared, 2),
        (WritersReadersOthers, 2),
        (UsageLevels, 1),
    ] {
        let run = run(&workload, semantics);
        assert_eq!(
            edges(&workload, &run),
            ["gfx#5:2<-gfx#9:1", "gfx#9:1<-gfx#5:1"]
        );
        assert_eq!((run.edges_assumed, run.edges_recorded), (2, 0));
        // 5:2 finds 5:1 in its own buffer.
        assert_eq!(run.same_timeline, 1);
        assert_eq!((run.superseded, run.lost), (superseded, 0));
        assert_eq!((run.needless, run.missed), (0, 0));
        // 9:1 waits from 100 to 500, 5:2 from 200 to 700.
        assert_eq!(run.timing.stall_ns, 900_000);
        assert_eq!(run.timing.by_timeline, [500_000, 400_000]);
        assert_eq!((run.timing.stalled_jobs, run.timing.unknown_jobs), (2, 0));
        let longest: Vec<u64> = run.timing.longest.iter().map(|w| w.stall_ns).collect();
        assert_eq!(longest, [500_000, 400_000]);
        // Stable across versions: the same edges have the same name for ever.
        assert_eq!(format!("{:016x}", run.edges_digest), "a5e36ebee03aa3ff");
    }
}

#[test]
fn private_buffers_give_no_edge_and_a_single_one_orders_all() {
    let text = game_and_compositor();
    let private = workload(&text, &BufferRule::Private);
    let single = workload(&text, &BufferRule::Single);
    for semantics in SemanticsKind::ALL {
        assert_eq!(run(&private, semantics).edges, 0);
        assert_eq!(run(&single, semantics).edges, 2);
    }
    assert!(matches!(
        BufferRule::parse("single"),
        Some(BufferRule::Single)
    ));
    assert!(BufferRule::parse("a/single").is_none());
}

#[test]
fn the_order_of_lines_does_not_matter_if_their_times_tell() {
    let sorted = game_and_compositor();
    let mut lines: Vec<&str> = sorted.lines().collect();
    lines.reverse();
    let reversed = lines.join("\n");
    let [a, b] = [sorted.as_str(), &reversed].map(|text| {
        let workload = workload(text, &BufferRule::Handoff);
        run(&workload, UsageLevels).edges_digest
    });
    assert_eq!(a, b);
}

/// Two explicit writers of one image, and a reader of it.
fn two_explicit_writers(extra: &str) -> Workload {
    let text = [
        &queue(0, "5:1", 1),
        &queue(100, "7:1", 1),
        &queue(200, "9:1", 2),
        extra,
        &done(300, "7:1"),
        &done(600, "5:1"),
        &done(900, "9:1"),
    ]
    .map(str::to_owned)
    .concat();
    let rule = "job 5:* img write/explicit\njob 7:* img write/explicit\njob 9:* img read\n";
    workload(&text, &sidecar(rule))
}

#[test]
fn an_explicit_writer_makes_the_older_semantics_lose_a_fence() {
    let workload = two_explicit_writers("");
    for semantics in [ExclusiveShared, WritersReadersOthers] {
        let run = run(&workload, semantics);
        assert_eq!(edges(&workload, &run), ["gfx#9:1<-gfx#7:1"]);
        assert_eq!(run.timing.stall_ns, 100_000);
        assert_eq!((run.lost, run.missed, run.missed_for_good), (1, 1, 1));
        let lost = &run.lost_list()[0];
        let name = |job| workload.recorded().job_name(job);
        assert_eq!(
            (name(lost.job), name(lost.by)),
            ("gfx#5:1".into(), "gfx#7:1".into())
        );
        assert_eq!((lost.unguarded, lost.unguarded_recorded), (1, 0));
        assert_eq!(name(lost.unguarded_jobs[0]), "gfx#9:1");
    }
    let run = run(&workload, UsageLevels);
    assert_eq!(
        edges(&workload, &run),
        ["gfx#9:1<-gfx#5:1", "gfx#9:1<-gfx#7:1"]
    );
    assert_eq!(run.timing.stall_ns, 400_000);
    assert_eq!((run.lost, run.missed, run.superseded), (0, 0, 0));

    let diff = diff_semantics(&workload, ExclusiveShared, UsageLevels, BackendKind::Locked)
        .expect("plays");
    assert_eq!((diff.common, diff.a.only_here, diff.b.only_here), (1, 0, 1));
    assert_eq!(diff.stall_change_ns, 300_000);
    let group = &diff.b.groups[0];
    assert!(group.reason.contains("lost the fence"), "{}", group.reason);
    let example = &group.examples[0];
    assert_eq!(example.dropped_by.as_deref(), Some("gfx#7:1"));
    assert_eq!(
        example.to_string(),
        "gfx#9:1 (read) <- gfx#5:1 (write) on img, dropped by gfx#7:1"
    );
}

#[test]
fn a_recorded_dependency_is_told_apart_and_keeps_fences_from_being_lost() {
    // The reader is recorded to wait for both: the object still loses one, but nobody is the worse for it.
    let depends = |job: &str, on: &str| {
        line(
            200,
            &format!("drm_sched_job_add_dep: fence={job} depends on fence={on}"),
        )
    };
    let both = [depends("9:1", "5:1"), depends("9:1", "7:1")].concat();
    let workload = two_explicit_writers(&both);
    let older = run(&workload, ExclusiveShared);
    assert_eq!(
        (older.edges, older.edges_recorded, older.edges_assumed),
        (2, 2, 0)
    );
    assert_eq!(older.edges_from_objects, 1);
    assert_eq!((older.lost, older.missed, older.missed_for_good), (1, 1, 0));
    assert_eq!(older.lost_list()[0].unguarded_recorded, 1);
    assert_eq!(older.timing.stall_ns, 400_000);

    // The second writer is recorded to wait for the first: nothing is lost.
    let workload = two_explicit_writers(&depends("7:1", "5:1"));
    let run = run(&workload, ExclusiveShared);
    assert_eq!((run.superseded, run.lost), (1, 0));
}

#[test]
fn dependencies_that_are_no_edges_are_counted() {
    let depends = |on: &str| {
        line(
            10,
            &format!("drm_sched_job_add_dep: fence=5:2 depends on fence={on}"),
        )
    };
    let text = [
        queue(0, "5:1", 1),
        queue(1, "9:1", 1),
        queue(2, "5:2", 1),
        depends("9:1"),
        depends("9:1"),
        depends("5:1"),
        depends("8:1"),
        depends("77:1"),
    ]
    .concat();
    let counts = *recorded(&text).counts();
    assert_eq!(counts.dependency_events, 5);
    assert_eq!(counts.dependencies, 1);
    assert_eq!(counts.dependencies_within, 1);
    assert_eq!(counts.dependencies_scheduled, 1);
    assert_eq!(counts.dependencies_unknown, 1);
}

#[test]
fn bookkeep_and_kernel_are_where_the_tables_part() {
    let text = [
        queue(0, "3:1", 0),
        queue(10, "5:1", 1),
        queue(20, "3:2", 0),
        queue(30, "7:1", 1),
    ]
    .concat();
    let rule =
        "job 3:1 pt bookkeep\njob 5:1 pt write\njob 3:2 tex kernel\njob 7:1 tex read/explicit\n";
    let workload = workload(&text, &sidecar(rule));
    let older = run(&workload, ExclusiveShared);
    assert_eq!(edges(&workload, &older), ["gfx#5:1<-gfx#3:1"]);
    assert_eq!((older.needless, older.missed), (1, 1));
    let middle = run(&workload, WritersReadersOthers);
    assert_eq!((middle.edges, middle.needless, middle.missed), (0, 0, 1));
    let newer = run(&workload, UsageLevels);
    assert_eq!(edges(&workload, &newer), ["gfx#7:1<-gfx#3:2"]);
    assert_eq!((newer.needless, newer.missed), (0, 0));
    // No end is recorded: no stall is known, and it is said so.
    assert_eq!((newer.timing.stall_ns, newer.timing.unknown_jobs), (0, 1));

    let diff = diff_semantics(&workload, ExclusiveShared, UsageLevels, BackendKind::Locked)
        .expect("plays");
    assert!(
        diff.a.groups[0]
            .reason
            .contains("bookkeep counts as shared")
    );
    assert!(
        diff.b.groups[0]
            .reason
            .contains("explicit job waits for the kernel")
    );
}

#[test]
fn handoff_gives_the_kernel_its_part() {
    let text = [
        queue(0, "5:1", 1),
        ran(10, "3:7"),
        line(
            20,
            "amdgpu_bo_move: bo=0xabcd, bo_size=4096, new_placement=2, old_placement=0",
        ),
        ran(30, "3:8"),
        ran(40, "3:9"),
    ]
    .concat();
    let workload = workload(&text, &BufferRule::Handoff);
    let recorded = workload.recorded();
    let touch = |seqno: u64| {
        let job = (0..).zip(recorded.jobs()).find(|(_, job)| {
            job.seqno == seqno && recorded.timelines()[job.timeline as usize].context == 3
        });
        let (id, job) = job.expect("it is there");
        assert!(job.is_kernel);
        let touch = workload.touches(id)[0];
        assert_eq!(workload.buffers()[touch.buffer as usize], "gfx#5.out");
        (touch.usage, touch.access)
    };
    assert_eq!(touch(7), (Usage::Bookkeep, Access::Explicit));
    assert_eq!(touch(8), (Usage::Kernel, Access::Move));
    assert_eq!(touch(9), (Usage::Bookkeep, Access::Explicit));
    assert_eq!(workload.account().moves_used, 1);
    // The move waits for the job and for the update before it; the update after it for the move: two on their own timeline.
    let run = run(&workload, UsageLevels);
    assert_eq!(edges(&workload, &run), ["gfx#3:8<-gfx#5:1"]);
    assert_eq!(run.same_timeline, 2);
}

#[test]
fn a_sidecar_knows_moves_and_lines_without_a_job() {
    let text = [
        queue(0, "5:1", 1),
        line(
            20,
            "amdgpu_bo_move: bo=0xabcd, bo_size=4096, new_placement=2, old_placement=0",
        ),
        line(
            20,
            "amdgpu_bo_move: bo=0xffff, bo_size=4096, new_placement=2, old_placement=0",
        ),
        queue(30, "3:8", 0),
        queue(40, "7:1", 1),
    ]
    .concat();
    let rule = "move 0xabcd tex\njob 5:* tex read\njob 6:* tex read\n";
    let workload = workload(&text, &sidecar(rule));
    let account = workload.account();
    assert_eq!((account.moves_used, account.moves_unused), (1, 1));
    assert_eq!(
        (account.jobs_with_buffers, account.jobs_without_buffers),
        (2, 1)
    );
    assert_eq!(account.lines_unused, 1);
    let run = run(&workload, UsageLevels);
    assert_eq!(edges(&workload, &run), ["gfx#3:8<-gfx#5:1"]);
}

#[test]
fn jobs_cut_at_both_ends() {
    let text = [
        done(0, "5:1"),
        ran(10, "5:2"),
        queue(20, "5:3", 1),
        done(30, "5:3"),
        queue(40, "5:4", 1),
        ran(50, "7:1"),
        line(
            60,
            "dma_fence_signaled: driver=drm_sched timeline=gfx context=7 seqno=9",
        ),
        line(
            60,
            "dma_fence_signaled: driver=amdgpu timeline=gfx context=1 seqno=9",
        ),
    ]
    .concat();
    let recorded = recorded(&text);
    let counts = recorded.counts();
    assert_eq!(recorded.jobs().len(), 6);
    // Without a submission: 5:1, 5:2, 7:1, 7:9. Without an end: 5:2, 5:4, 7:1.
    assert_eq!((counts.cut_start, counts.cut_end, counts.cut), (4, 3, 5));
    assert_eq!(counts.ended_first, 2);
    // 5:3 ends 5:2, 7:9 ends 7:1.
    assert_eq!(counts.implied, 2);
    assert_eq!((counts.job_signals, counts.fences), (1, 1));
    assert_eq!(counts.timelines, 3);
    assert_eq!(counts.kernel_jobs, 2);
    let workload = Workload::new(recorded, &BufferRule::Single);
    assert_eq!(workload.account().jobs_ended_first, 2);
    for semantics in SemanticsKind::ALL {
        run(&workload, semantics);
    }
}

#[test]
fn ends_out_of_order_end_the_earlier_jobs_too() {
    let text = [
        queue(0, "5:1", 1),
        queue(10, "5:2", 1),
        queue(20, "9:1", 1),
        done(30, "5:2"),
        done(90, "5:1"),
        done(99, "9:1"),
    ]
    .concat();
    let workload = workload(&text, &BufferRule::Handoff);
    assert_eq!(workload.recorded().counts().implied, 1);
    let run = run(&workload, UsageLevels);
    // 5:1 stands behind 5:2 in the buffer; the stall is that of 5:2.
    assert_eq!(edges(&workload, &run), ["gfx#9:1<-gfx#5:2"]);
    assert_eq!(run.timing.stall_ns, 10_000);
}

#[test]
fn an_assumed_edge_that_the_recording_speaks_against() {
    let text = [
        queue(0, "5:1", 1),
        queue(10, "9:1", 1),
        ran(20, "9:1"),
        done(30, "9:1"),
        done(40, "5:1"),
    ]
    .concat();
    let run = run(&workload(&text, &BufferRule::Handoff), UsageLevels);
    assert_eq!((run.edges, run.timing.contradicted), (1, 1));
}

#[test]
fn fences_are_compared_modulo_2_to_the_32() {
    let text = [
        queue(0, "4294967301:8589934599", 1),
        line(
            10,
            "dma_fence_signaled: driver=drm_sched timeline=gfx context=5 seqno=7",
        ),
    ]
    .concat();
    let recorded = recorded(&text);
    assert_eq!(recorded.jobs().len(), 1);
    assert_eq!(recorded.job_name(0), "gfx#4294967301:8589934599");
    assert_eq!(recorded.counts().cut, 0);
    // A 32 bit seqno that wraps goes on counting.
    let text = [queue(0, "5:4294967295", 1), queue(10, "5:0", 1)].concat();
    let recorded = crate::recorded(&text);
    let seqnos: Vec<u64> = recorded.jobs().iter().map(|job| job.seqno).collect();
    assert_eq!(seqnos, [4_294_967_295, 0]);
}

#[test]
fn jobs_named_by_address_which_is_used_again() {
    let job = |us: u64, event: &str, entity: &str, id: u64, fence: &str| {
        let fields = format!("entity={entity}, id={id}, fence={fence}, ring=gfx, job count:0");
        line(us, &format!("{event}: {fields}, hw job count:0"))
    };
    let done = |us: u64, fence: &str| {
        line(
            us,
            &format!("drm_sched_process_job: fence={fence} signaled"),
        )
    };
    let text = [
        job(0, "drm_sched_job", "0xe1", 1, "0xf1"),
        job(5, "drm_run_job", "0xe1", 1, "0xf1"),
        done(10, "0xf1"),
        // The same address, another job; and again, though the end of that one is not recorded.
        job(20, "drm_sched_job", "0xe2", 2, "0xf1"),
        job(30, "drm_sched_job", "0xe1", 3, "0xf3"),
        line(
            35,
            "drm_sched_job_wait_dep: job ring=gfx, id=3, depends fence=0xf1, context=88, seq=5",
        ),
        job(40, "drm_sched_job", "0xe2", 4, "0xf1"),
        done(50, "0xf1"),
        done(60, "0xf3"),
        done(70, "0xdead"),
    ]
    .concat();
    let recorded = recorded(&text);
    let counts = recorded.counts();
    assert_eq!((recorded.jobs().len(), counts.by_address), (5, 5));
    // 0xdead is seen only by its end; job 2 has no end of its own, but job 4 is behind it.
    assert_eq!(
        (counts.cut_start, counts.cut_end, counts.implied),
        (1, 1, 1)
    );
    let names: Vec<String> = (0..5).map(|job| recorded.job_name(job)).collect();
    assert_eq!(names, ["gfx#1:1", "gfx#1:2", "gfx#2:1", "gfx#2:2", "?#3:1"]);
    assert_eq!(recorded.recorded_dependencies(1), [2]);
    // Contexts 1 to 3 are made up, 88 is in the recording.
    assert_eq!(counts.timelines, 4);
}

#[test]
fn a_job_told_by_two_tracers_is_one_job() {
    let text = [
        line(0, "amdgpu_cs_ioctl: sched_job=41, timeline=gfx, context=9, seqno=4, ring_name=gfx, num_ibs=1"),
        line(1, "drm_sched_job: entity=0xe1, id=41, fence=0xf1, ring=gfx, job count:0, hw job count:0"),
        line(2, "drm_run_job: entity=0xe1, id=41, fence=0xf1, ring=gfx, job count:0, hw job count:0"),
        line(3, "amdgpu_sched_run_job: sched_job=41, timeline=gfx, context=9, seqno=4, ring_name=gfx, num_ibs=1"),
        // Begun before the recording: the scheduler speaks first.
        line(4, "drm_run_job: entity=0xe1, id=40, fence=0xf0, ring=gfx, job count:0, hw job count:0"),
        line(5, "amdgpu_sched_run_job: sched_job=40, timeline=gfx, context=9, seqno=3, ring_name=gfx, num_ibs=1"),
        line(6, "drm_sched_process_job: fence=0xf0 signaled"),
        line(7, "drm_sched_process_job: fence=0xf1 signaled"),
        line(8, "dma_fence_signaled: driver=drm_sched timeline=gfx context=9 seqno=4"),
    ]
    .concat();
    let recorded = recorded(&text);
    assert_eq!((recorded.stats().submits, recorded.stats().runs), (2, 4));
    let names: Vec<String> = (0..2).map(|job| recorded.job_name(job)).collect();
    assert_eq!(
        (recorded.jobs().len(), names),
        (2, vec!["gfx#9:3".into(), "gfx#9:4".into()])
    );
    let counts = recorded.counts();
    assert_eq!(
        (counts.by_address, counts.cut_start, counts.cut_end),
        (0, 1, 0)
    );
    assert_eq!(recorded.jobs()[1].done_ns, Some(7_000_007_000));
}

#[test]
fn what_comes_before_a_fault_of_the_source_is_replayed() {
    let mut text = String::new();
    for seqno in 1..500 {
        text.push_str(&queue(10 * seqno, &format!("5:{seqno}"), 1));
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).expect("memory takes all");
    let mut bytes = gzip.finish().expect("memory takes all");
    bytes.truncate(bytes.len() / 2);
    let (recorded, fault) = load_from("cut.gz", Cursor::new(bytes));
    assert!(matches!(fault, Some(ReadError::CutOff { .. })), "{fault:?}");
    assert!((1..499).contains(&recorded.jobs().len()));
}

#[test]
fn a_recording_without_jobs_is_no_trouble() {
    let text = line(
        0,
        "dma_fence_signaled: driver=amdgpu timeline=gfx context=1 seqno=9",
    );
    let workload = workload(&text, &BufferRule::Handoff);
    let report = Report::new(&workload, &SemanticsKind::ALL, &BACKENDS).expect("plays");
    assert!(report.is_identical());
    assert_eq!(report.recording.fences, 1);
    assert!(text_of(&report).contains("RECORDING  test"));
    let speed = measure(&workload, UsageLevels, BackendKind::Locked).expect("plays");
    assert_eq!(speed.operations, 0);
}

/// Nothing that a recording says may be too strange to play; and some laws hold whatever it says.
#[test]
fn strange_recordings() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    const SEQNOS: [u64; 9] = [0, 1, 2, 3, 4, 5, 4_294_967_295, 4_294_967_296, u64::MAX];
    for round in 0..40 {
        let mut text = String::new();
        for _ in 0..120 {
            let us = random(50);
            let job = format!("{}:{}", random(5), SEQNOS[random(9) as usize]);
            let on = format!("{}:{}", random(5), SEQNOS[random(9) as usize]);
            let (id, address) = (random(4), random(4));
            let old = format!("entity=0x{}, id={id}, fence=0x{address}", random(2));
            text.push_str(&match random(12) {
                0..=2 => queue(us, &job, random(2)),
                3 => ran(us, &job),
                4 | 5 => done(us, &job),
                6 => line(us, &format!("drm_sched_job: {old}, ring=gfx, job count:0, hw job count:0")),
                7 => line(us, &format!("drm_run_job: {old}, ring=gfx, job count:0, hw job count:0")),
                8 => line(us, &format!("drm_sched_process_job: fence=0x{address} signaled")),
                9 => line(us, &format!("drm_sched_job_add_dep: fence={job} depends on fence={on}")),
                10 => line(us, &format!("drm_sched_job_wait_dep: job ring=gfx, id={id}, depends fence=0x{address}, context=3, seq=1")),
                _ => line(us, "amdgpu_bo_move: bo=0x1, bo_size=1, new_placement=1, old_placement=0"),
            });
        }
        let rule = match round % 4 {
            0 => BufferRule::Handoff,
            1 => BufferRule::Single,
            2 => BufferRule::Private,
            _ => sidecar(
                "job 0:* a write b read\njob 1:* a write/explicit\njob 2:* b bookkeep a read\njob 3:* b kernel\njob 4:* a read/explicit b write\n",
            ),
        };
        let workload = workload(&text, &rule);
        let newer = run(&workload, UsageLevels);
        assert_eq!((newer.lost, newer.missed, newer.needless), (0, 0, 0));
        if round % 8 < 4 {
            let report = Report::new(&workload, &SemanticsKind::ALL, &[BackendKind::RcuArray]);
            let report = report.expect("plays");
            assert!(report.is_identical() && !text_of(&report).is_empty());
        }
        for semantics in [ExclusiveShared, WritersReadersOthers] {
            let older = run(&workload, semantics);
            assert_eq!(older.edges_recorded, newer.edges_recorded);
            // Whatever is lost was dropped; whatever is missed for good is missed.
            assert!(older.lost <= older.superseded && older.missed_for_good <= older.missed);
            let diff = diff_semantics(&workload, semantics, UsageLevels, BackendKind::Locked);
            let diff = diff.expect("plays");
            for side in [&diff.a, &diff.b] {
                assert_eq!(
                    side.groups.iter().map(|g| g.edges).sum::<u64>(),
                    side.only_here
                );
                assert!(
                    side.groups
                        .iter()
                        .all(|g| !g.reason.contains("none of the known")),
                    "{side:?}"
                );
            }
        }
    }
}

#[test]
fn several_threads() {
    for rule in [BufferRule::Handoff, BufferRule::Single] {
        let workload = workload(&game_and_compositor(), &rule);
        for semantics in SemanticsKind::ALL {
            for backend in BACKENDS {
                let report = stress(&workload, semantics, backend, 3).expect("plays");
                assert!(report.passed(), "{report:?}");
                assert!(report.operations > 0);
            }
        }
    }
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/desktop.report")
}

fn sample_workload() -> Workload {
    let mut reader = recording::open(&sample()).expect("the sample is there");
    let (recorded, fault) = load(&mut reader, |_| {});
    assert!(fault.is_none());
    assert!(default_sidecar(&sample()).ends_with("desktop.buffers"));
    let rule = BufferRule::for_recording(&sample()).expect("its sidecar is sound");
    assert!(matches!(rule, BufferRule::Sidecar { .. }));
    Workload::new(recorded, &rule)
}

#[test]
fn the_sample() {
    let workload = sample_workload();
    let report = Report::new(&workload, &SemanticsKind::ALL, &BACKENDS).expect("plays");
    assert!(report.is_identical());
    let recording = &report.recording;
    assert_eq!(
        (recording.submits, recording.runs, recording.signals),
        (200, 200, 402)
    );
    assert_eq!((recording.jobs, recording.jobs_cut), (204, 7));
    assert_eq!((recording.timelines, recording.job_timelines), (16, 10));
    assert_eq!(
        (recording.dependencies, recording.dependencies_unknown),
        (73, 0)
    );
    assert_eq!(report.buffers.jobs_without, 0);
    assert_eq!(report.buffers.lines_unused, 0);
    assert_eq!(report.runs.len(), 3 * BACKENDS.len());
    for run in &report.runs {
        // Edges, from objects, superseded, lost, needless, missed, stall in microseconds.
        let expected = match run.semantics.as_str() {
            "exclusive-shared" => (85, 62, 62, 31, 12, 22, 306_619),
            "writers-readers-others" => (73, 50, 50, 31, 0, 22, 281_621),
            _ => (73, 72, 16, 0, 0, 0, 281_621),
        };
        let found = (
            run.edges,
            run.edges_from_objects,
            run.superseded,
            run.lost,
            run.needless,
            run.missed,
            run.stall_ns / 1000,
        );
        assert_eq!(found, expected, "{} on {}", run.semantics, run.backend);
        assert_eq!((run.edges_recorded, run.stall_unknown_jobs), (73, 0));
    }
    let text = text_of(&report);
    assert!(text.is_ascii());
    for part in [
        "RECORDING",
        "BUFFERS",
        "SEMANTICS",
        "STALL",
        "LONGEST",
        "LOST",
        "DIFFERENCE",
        "BACK ENDS",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let same = diff_backends(
        &workload,
        UsageLevels,
        BackendKind::Seqcount,
        BackendKind::RcuArray,
    );
    let same = same.expect("plays");
    assert!(same.identical && same.answers == 1305);
}

#[test]
fn the_json_document_has_its_keys() {
    let report = Report::new(&sample_workload(), &[UsageLevels], &[BackendKind::Locked]);
    let json = report.expect("plays").to_json().expect("a document");
    for key in [
        "events",
        "submits",
        "runs",
        "signals",
        "jobs",
        "jobs_cut",
        "timelines",
        "lines_skipped",
    ] {
        assert!(json["recording"][key].is_u64(), "{key}");
    }
    let run = &json["runs"][0];
    assert_eq!(run["semantics"], "usage-levels");
    assert_eq!(run["backend"], "locked");
    for key in [
        "edges",
        "edges_assumed",
        "edges_recorded",
        "lost",
        "stall_ns",
        "retries",
    ] {
        assert!(run[key].is_u64(), "{key}");
    }
    assert!(run["ops_per_second"].is_f64());
    assert_eq!(run["identical_to_reference"], true);
    let digest = run["edges_digest"].as_str().expect("a string");
    assert!(digest.len() == 16 && digest.bytes().all(|b| b.is_ascii_hexdigit()));
}

#[test]
fn the_amd_recording() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/recordings/amdgpu-steamvr.ftrace.txt.gz");
    if !path.is_file() {
        println!(
            "skipped: the AMD recording is not at hand ({})",
            path.display()
        );
        return;
    }
    let mut reader = recording::open(&path).expect("it is readable");
    let (recorded, fault) = load(&mut reader, |_| {});
    assert!(fault.is_none());
    let workload = Workload::new(recorded, &BufferRule::Handoff);
    let report = Report::new(&workload, &SemanticsKind::ALL, &BACKENDS).expect("plays");
    let recording = &report.recording;
    assert_eq!(
        (recording.submits, recording.runs, recording.signals),
        (755, 693, 1976)
    );
    assert_eq!((recording.job_signals, recording.fences), (641, 1335));
    assert_eq!(
        (recording.jobs, recording.timelines, recording.job_timelines),
        (783, 10, 4)
    );
    assert_eq!(
        (recording.jobs_cut_start, recording.jobs_cut_end),
        (28, 142)
    );
    assert_eq!((report.buffers.moves_used, recording.lines_skipped), (2, 0));
    assert!(report.is_identical());
    for run in &report.runs {
        let expected = match run.semantics.as_str() {
            "exclusive-shared" => (524, 0, 1, 0),
            "writers-readers-others" => (525, 0, 0, 0),
            _ => (845, 0, 0, 0),
        };
        assert_eq!((run.edges, run.lost, run.needless, run.missed), expected);
        assert!(run.stall_ns > 1_000_000_000);
    }
    for runs in report.runs.chunks(BACKENDS.len()) {
        assert!(
            runs.iter()
                .all(|run| run.edges_digest == runs[0].edges_digest)
        );
    }
}
