//! Whole recordings: faulty, empty and strange ones, the sample, and a real one where it is at hand.

use super::*;

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
        assert_eq!(
            (
                newer.counts.lost,
                newer.counts.missed,
                newer.counts.needless
            ),
            (0, 0, 0)
        );
        if round % 8 < 4 {
            let report = Report::new(&workload, &SemanticsKind::ALL, &[BackendKind::RcuArray]);
            let report = report.expect("plays");
            assert!(report.is_identical() && !text_of(&report).is_empty());
        }
        for semantics in [ExclusiveShared, WritersReadersOthers] {
            let older = run(&workload, semantics);
            assert_eq!(older.counts.edges_recorded, newer.counts.edges_recorded);
            // Whatever is lost was dropped; whatever is missed for good is missed.
            assert!(
                older.counts.lost <= older.counts.superseded
                    && older.counts.missed_for_good <= older.counts.missed
            );
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
    let rule = rule.expect("it has one");
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
    assert_eq!(report.runs.len(), SemanticsKind::ALL.len() * BACKENDS.len());
    for run in &report.runs {
        // Edges, from objects, superseded, lost, needless, missed, stall in microseconds.
        let expected = match run.semantics.as_str() {
            "exclusive-shared" => (85, 62, 62, 31, 12, 22, 285_446),
            "writers-readers-others" => (73, 50, 50, 31, 0, 22, 281_621),
            "usage-levels" => (73, 72, 16, 0, 0, 0, 281_621),
            // A semantics that is not in Linux has no figures here.
            _ => continue,
        };
        let found = (
            run.counts.edges,
            run.counts.edges_from_objects,
            run.counts.superseded,
            run.counts.lost,
            run.counts.needless,
            run.counts.missed,
            run.stall_ns / 1000,
        );
        assert_eq!(found, expected, "{} on {}", run.semantics, run.backend);
        assert_eq!((run.counts.edges_recorded, run.stall_unknown_jobs), (73, 0));
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
        assert_eq!(
            (
                run.counts.edges,
                run.counts.lost,
                run.counts.needless,
                run.counts.missed
            ),
            expected
        );
        // Of the edges that can be judged, the recording contradicts all but one; that one is what stalls.
        assert_eq!(run.contradicted + 1, run.judged);
        assert!(run.stall_ns < 1_000_000);
    }
    for runs in report.runs.chunks(BACKENDS.len()) {
        assert!(
            runs.iter()
                .all(|run| run.edges_digest == runs[0].edges_digest)
        );
    }
}
