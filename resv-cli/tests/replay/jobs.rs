//! Which lines make up a job, and when it begins and ends.

use super::*;

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
    assert_eq!(edges_of(&workload, &run), ["gfx#9:1<-gfx#5:2"]);
    assert_eq!(run.timing.stall_ns, 10_000);
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
    let recorded = super::recorded(&text);
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
