//! What waits for what: the rules about buffers, the three semantics, and what a recording knows itself.

use super::*;

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
            edges_of(&workload, &run),
            ["gfx#5:2<-gfx#9:1", "gfx#9:1<-gfx#5:1"]
        );
        assert_eq!(
            (run.counts.edges_assumed, run.counts.edges_recorded),
            (2, 0)
        );
        // 5:2 finds 5:1 in its own buffer.
        assert_eq!(run.counts.same_timeline, 1);
        assert_eq!((run.counts.superseded, run.counts.lost), (superseded, 0));
        assert_eq!((run.counts.needless, run.counts.missed), (0, 0));
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
        assert_eq!(run(&private, semantics).counts.edges, 0);
        assert_eq!(run(&single, semantics).counts.edges, 2);
    }
    assert!(matches!(
        BufferRule::parse("single"),
        Some(BufferRule::Single)
    ));
    assert!(BufferRule::parse("a/single").is_none());
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
        assert_eq!(edges_of(&workload, &run), ["gfx#9:1<-gfx#7:1"]);
        assert_eq!(run.timing.stall_ns, 100_000);
        assert_eq!(
            (
                run.counts.lost,
                run.counts.missed,
                run.counts.missed_for_good
            ),
            (1, 1, 1)
        );
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
        edges_of(&workload, &run),
        ["gfx#9:1<-gfx#5:1", "gfx#9:1<-gfx#7:1"]
    );
    assert_eq!(run.timing.stall_ns, 400_000);
    assert_eq!(
        (run.counts.lost, run.counts.missed, run.counts.superseded),
        (0, 0, 0)
    );

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
        (
            older.counts.edges,
            older.counts.edges_recorded,
            older.counts.edges_assumed
        ),
        (2, 2, 0)
    );
    assert_eq!(older.counts.edges_from_objects, 1);
    assert_eq!(
        (
            older.counts.lost,
            older.counts.missed,
            older.counts.missed_for_good
        ),
        (1, 1, 0)
    );
    assert_eq!(older.lost_list()[0].unguarded_recorded, 1);
    assert_eq!(older.timing.stall_ns, 400_000);

    // The second writer is recorded to wait for the first: nothing is lost.
    let workload = two_explicit_writers(&depends("7:1", "5:1"));
    let run = run(&workload, ExclusiveShared);
    assert_eq!((run.counts.superseded, run.counts.lost), (1, 0));
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
    assert_eq!(edges_of(&workload, &older), ["gfx#5:1<-gfx#3:1"]);
    assert_eq!((older.counts.needless, older.counts.missed), (1, 1));
    let middle = run(&workload, WritersReadersOthers);
    assert_eq!(
        (
            middle.counts.edges,
            middle.counts.needless,
            middle.counts.missed
        ),
        (0, 0, 1)
    );
    let newer = run(&workload, UsageLevels);
    assert_eq!(edges_of(&workload, &newer), ["gfx#7:1<-gfx#3:2"]);
    assert_eq!((newer.counts.needless, newer.counts.missed), (0, 0));
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
    assert_eq!(edges_of(&workload, &run), ["gfx#3:8<-gfx#5:1"]);
    assert_eq!(run.counts.same_timeline, 2);
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
    assert_eq!(edges_of(&workload, &run), ["gfx#3:8<-gfx#5:1"]);
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
    assert_eq!((run.counts.edges, run.timing.contradicted), (1, 1));
}
