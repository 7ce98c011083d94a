//! The forms of a line, the spellings of each event, and the account.

mod hostile;

use super::*;

/// The only event of `line`.
fn event(line: &str) -> Event {
    let mut reader = Reader::new("demo", line.as_bytes());
    match reader.next() {
        Some(Ok(event)) => event,
        Some(Err(error)) => panic!("{error}"),
        None => panic!("no event in: {line}\n{:?}", reader.stats().skipped),
    }
}

fn stats(bytes: &[u8]) -> ReadStats {
    let mut reader = Reader::new("demo", bytes);
    assert!(reader.by_ref().all(|item| item.is_ok()));
    check_sum(reader.stats());
    reader.stats().clone()
}

/// Every line is accounted for, once.
fn check_sum(stats: &ReadStats) {
    let sum = stats.events + stats.blank + stats.headers + stats.call_chain + stats.loss_reports;
    assert_eq!(stats.lines, sum + stats.skipped.total, "{stats:?}");
    let reasons = stats.skipped.reasons.values().map(|entry| entry.count);
    assert_eq!(stats.skipped.total, reasons.sum::<u64>());
    assert!(stats.other.values().sum::<u64>() <= stats.events);
}

fn point(context: u64, seqno: u64) -> JobKey {
    JobKey::Point { context, seqno }
}

const DONE: &str = "drm_sched_job_done: fence=57:4 signaled";

#[test]
fn columns_of_every_form() {
    // (line up to the event, task, thread, CPU, time)
    for (columns, comm, pid, cpu, time_ns) in [
        (
            "gfx-190 [003] 630659.133156506:",
            "gfx",
            190,
            Some(3),
            630_659_133_156_506,
        ),
        (
            "<...>-199 [003] 630659.230527929:",
            "<...>",
            199,
            Some(3),
            630_659_230_527_929,
        ),
        (
            "amdgpu_cs:0-1150 [003] 1.000001:",
            "amdgpu_cs:0",
            1150,
            Some(3),
            1_000_001_000,
        ),
        (
            "alsa-sink-HDMI -1849 [000] 1.000000:",
            "alsa-sink-HDMI",
            1849,
            Some(0),
            1_000_000_000,
        ),
        (
            "          <idle>-0     [012] d.h1.  5021.1034220001:",
            "",
            0,
            None,
            0,
        ),
        (
            "          <idle>-0     [012] d.h1.  5021.103422:",
            "<idle>",
            0,
            Some(12),
            5_021_103_422_000,
        ),
        (
            "  orbit game:cs0-2290  [001] .....     0.000000:",
            "orbit game:cs0",
            2290,
            Some(1),
            0,
        ),
        (
            "     my [9] app-7 (  123) [001] d..2.  3.000001:",
            "my [9] app",
            7,
            Some(1),
            3_000_001_000,
        ),
        (
            "           rcu-7 (-----) [001] d..2  3.000001:",
            "rcu",
            7,
            Some(1),
            3_000_001_000,
        ),
        (
            "       a (b)-7 (-------) [001] 3.000001:",
            "a (b)",
            7,
            Some(1),
            3_000_001_000,
        ),
        (
            "shell  1128 [003] 630.868295:  ",
            "shell",
            1128,
            Some(3),
            630_868_295_000,
        ),
        (
            "shell  1128/1130 [003] 630.868295:",
            "shell",
            1130,
            Some(3),
            630_868_295_000,
        ),
        (
            "my-app 2  77/78 [003] 630.868295:     1 ",
            "my-app 2",
            78,
            Some(3),
            630_868_295_000,
        ),
        (
            "glxgears  5234 630.868295: gpu_scheduler:",
            "glxgears",
            5234,
            None,
            630_868_295_000,
        ),
        (
            "glx [3]  5234 630.868295: ",
            "glx [3]",
            5234,
            None,
            630_868_295_000,
        ),
        (
            "glxgears-5234 630.868295: ",
            "glxgears",
            5234,
            None,
            630_868_295_000,
        ),
        // Names that imitate columns.
        (
            "a-1 [0] 1.0: b:-12 [001] 4.000000:",
            "a-1 [0] 1.0: b:",
            12,
            Some(1),
            4_000_000_000,
        ),
        (
            "-1 [0] 1.000000-12 [001] 4.000000:",
            "-1 [0] 1.000000",
            12,
            Some(1),
            4_000_000_000,
        ),
        ("-12 [001] 4.000000:", "", 12, Some(1), 4_000_000_000),
        (
            "größe-12 [001] 4.000000:",
            "größe",
            12,
            Some(1),
            4_000_000_000,
        ),
    ] {
        let joint = if columns.ends_with(':') && !columns.contains("scheduler") {
            " "
        } else {
            ""
        };
        let line = format!("{columns}{joint}{DONE}");
        if comm.is_empty() && cpu.is_none() {
            assert_eq!(stats(line.as_bytes()).skipped.total, 1, "{line}");
            continue;
        }
        let event = event(&line);
        assert_eq!(event.comm, comm, "{line}");
        assert_eq!((event.pid, event.cpu), (Some(pid), cpu), "{line}");
        assert_eq!(event.time_ns, time_ns, "{line}");
        assert_eq!(event.kind, EventKind::Done { job: point(57, 4) }, "{line}");
    }
}

#[test]
fn lines_that_are_no_events() {
    let text = "\u{feff}# tracer: nop\n#  TASK-PID CPU# TIMESTAMP\ncpus=8\nversion = 6\nCPU 0 is empty\n\
        \n   \t\n\r\n\
        CPU:2 [LOST 12 EVENTS]\nCPU:3 [EVENTS DROPPED]\nCPU:1 [7 EVENTS DROPPED]\n\
        a-1 [000] 1.000000: <stack trace>\n => dma_fence_signal\n => amdgpu_fence_process\n\
        b 1 [000] 1.000000: gpu_scheduler:drm_sched_job_done: fence=1:2 signaled\n\
        \tffffffffb3c5f5a4 dma_fence_signal+0x34 ([kernel.kallsyms])\n\
        \t    7f12 [unknown] (/usr/lib/libdrm.so)\n\t  drm.c:12\n\n\
        \t  drm.c:12\n\
        # c-1 [000] 1.000000: drm_sched_job_done: fence=1:2 signaled\n";
    let stats = stats(text.as_bytes());
    assert_eq!(stats.headers, 6);
    assert_eq!(stats.blank, 4);
    assert_eq!((stats.loss_reports, stats.lost_events), (3, 19));
    assert_eq!(stats.call_chain, 5);
    assert_eq!(stats.events, 2);
    assert_eq!(stats.other.get("<stack trace>"), Some(&1));
    let reasons = &stats.skipped.reasons;
    assert_eq!(reasons.len(), 1);
    assert_eq!(reasons[&SkipReason::NotATraceLine].lines, [20]);
}

#[test]
fn fence_events() {
    for (name, step) in [
        ("init", FenceStep::Init),
        ("emit", FenceStep::Emit),
        ("enable_signal", FenceStep::EnableSignal),
        ("signaled", FenceStep::Signaled),
        ("destroy", FenceStep::Destroy),
        ("wait_start", FenceStep::WaitStart),
        ("wait_end", FenceStep::WaitEnd),
    ] {
        for (fields, driver, timeline) in [
            (
                "driver=amdgpu timeline=gfx context=9 seqno=4294967295",
                "amdgpu",
                "gfx",
            ),
            (
                "driver=amdgpu, timeline=gfx, context=9, seqno=4294967295",
                "amdgpu",
                "gfx",
            ),
            (
                "driver=amdgpu timeline= context=9 seqno=4294967295",
                "amdgpu",
                "",
            ),
            (
                "driver=my drv timeline=my app [3] context=9 seqno=4294967295",
                "my drv",
                "my app [3]",
            ),
            (
                "driver=d timeline=x context=1 seqno=2 context=9 seqno=4294967295",
                "d",
                "x context=1 seqno=2",
            ),
            (
                "context=9 seqno=4294967295 timeline=gfx driver=amdgpu",
                "amdgpu",
                "gfx",
            ),
        ] {
            let event = event(&format!("a-1 [000] 1.000000: dma_fence_{name}: {fields}"));
            let expected = FenceEvent {
                step,
                driver: driver.to_owned(),
                timeline: timeline.to_owned(),
                context: 9,
                seqno: 4_294_967_295,
            };
            assert_eq!(event.kind, EventKind::Fence(expected), "{fields}");
        }
    }
}

fn job(line: &str) -> JobEvent {
    match event(&format!("a-1 [000] 1.000000: {line}")).kind {
        EventKind::Submit(job) | EventKind::Run(job) => job,
        other => panic!("{other:?}"),
    }
}

#[test]
fn amdgpu_jobs_of_all_ages() {
    for fields in [
        "sched_job_id=348 timeline=gfx context=49 seqno=3200 fence=0 ring_name=18446622900245085648 num_ibs=1",
        "sched_job=348, timeline=gfx, context=49, seqno=3200, ring_name=ffff94d7a00d4694, num_ibs=1",
        "timeline=gfx, context=49, seqno=3200, ring_name=gfx_0.0.0, num_ibs=1",
        "timeline=gfx, fence=49:3200, ring_name=gfx_0.0.0, num_ibs=1",
    ] {
        for name in ["amdgpu_cs_ioctl", "amdgpu_sched_run_job"] {
            let job = job(&format!("{name}: {fields}"));
            assert_eq!(job.key, point(49, 3200), "{fields}");
            assert_eq!(job.lane(), "gfx");
            assert_eq!(job.num_ibs, Some(1));
            assert_eq!(job.id, fields.starts_with("sched").then_some(348));
            assert_eq!(job.source, JobSource::Amdgpu);
        }
    }
}

#[test]
fn scheduler_jobs_of_all_ages() {
    let old = "entity=0000000012345678, id=17, fence=00000000deadbeef, ring=gfx, job count:2, hw job count:-1";
    for name in ["drm_sched_job", "drm_run_job"] {
        let job = job(&format!("{name}: {old}"));
        assert_eq!(job.key, JobKey::Pointer(0xdead_beef));
        assert_eq!((job.id, job.entity), (Some(17), Some(0x1234_5678)));
        assert_eq!((job.lane(), job.client), ("gfx", None));
    }
    for new in [
        "dev=0000:03:00.0, id=17, fence=57:4, ring=gfx_0.0.0, job count:2, hw job count:1, client_id:11",
        "dev=0000:03:00.0, fence=57:4, ring=gfx_0.0.0, job count:2, hw job count:1, client_id:11",
        "dev=0000:03:00.0 fence=57:4 ring=gfx_0.0.0 job count: 2 hw job count: 1 client_id: 11",
    ] {
        for name in ["drm_sched_job_queue", "drm_sched_job_run"] {
            let job = job(&format!("{name}: {new}"));
            assert_eq!(job.key, point(57, 4));
            assert_eq!(job.dev.as_deref(), Some("0000:03:00.0"));
            assert_eq!((job.lane(), job.client), ("gfx_0.0.0", Some(11)));
        }
    }
    assert_eq!(point(57, 4).to_string(), "57:4");
    assert_eq!(JobKey::Pointer(0xdead).to_string(), "0xdead");
}

#[test]
fn dependencies_and_ends() {
    let kind = |line: &str| event(&format!("a-1 [000] 1.000000: {line}")).kind;
    let depends = |kind, waiter, pointer| {
        EventKind::Depends(DependencyEvent {
            kind,
            waiter,
            context: 41,
            seqno: 9,
            pointer,
        })
    };
    assert_eq!(
        kind("drm_sched_job_add_dep: fence=57:4 depends on fence=41:9"),
        depends(DependencyKind::Added, Waiter::Job(point(57, 4)), None)
    );
    assert_eq!(
        kind("drm_sched_job_unschedulable: fence=57:4 depends on unsignalled fence=41:9"),
        depends(DependencyKind::Blocked, Waiter::Job(point(57, 4)), None)
    );
    let waiter = Waiter::OnRing {
        ring: "gfx".to_owned(),
        id: 17,
    };
    assert_eq!(
        kind(
            "drm_sched_job_wait_dep: job ring=gfx, id=17, depends fence=00000000deadbeef, context=41, seq=9"
        ),
        depends(DependencyKind::Blocked, waiter, Some(0xdead_beef))
    );
    for (line, job) in [
        (
            "drm_sched_process_job: fence=00000000deadbeef signaled",
            JobKey::Pointer(0xdead_beef),
        ),
        (
            "drm_sched_process_job: fence=0xffff8e41c2a40c58 signaled",
            JobKey::Pointer(0xffff_8e41_c2a4_0c58),
        ),
        ("drm_sched_job_done: fence=57:4 signaled", point(57, 4)),
    ] {
        assert_eq!(kind(line), EventKind::Done { job });
    }
    for name in ["amdgpu_ttm_bo_move", "amdgpu_bo_move"] {
        let expected = MoveEvent {
            bo: 18_446_622_896_667_924_480,
            size: 1_048_576,
            new_placement: 2,
            old_placement: 0,
        };
        let rest = "bo_size=1048576 new_placement=2 old_placement=0";
        let decimal = format!("{name}: bo=18446622896667924480 {rest}");
        let hex = format!("{name}: bo={:#x}, {}", expected.bo, rest.replace(' ', ", "));
        assert_eq!(kind(&decimal), EventKind::Move(expected));
        assert_eq!(kind(&hex), EventKind::Move(expected));
    }
}

#[test]
fn faults_of_fields_are_named() {
    for (line, reason) in [
        (
            "dma_fence_signaled: driver=a timeline=b context=1",
            "dma_fence_signaled: field 'seqno' is missing",
        ),
        (
            "dma_fence_signaled: driver=a timeline=b seqno=1",
            "dma_fence_signaled: field 'context' is missing",
        ),
        (
            "dma_fence_init: timeline=b context=1 seqno=1",
            "dma_fence_init: field 'driver' is missing",
        ),
        (
            "dma_fence_emit: driver=b context=1 seqno=1",
            "dma_fence_emit: field 'timeline' is missing",
        ),
        (
            "dma_fence_emit:",
            "dma_fence_emit: field 'driver' is missing",
        ),
        (
            "dma_fence_emit: driver=a timeline=b context=1 seqno=12x",
            "dma_fence_emit: field 'seqno' is malformed",
        ),
        (
            "dma_fence_emit: driver=a timeline=b context=1 seqno=18446744073709551616",
            "dma_fence_emit: field 'seqno' is out of range",
        ),
        (
            "amdgpu_cs_ioctl: timeline=gfx context=4 num_ibs=1",
            "amdgpu_cs_ioctl: field 'seqno' is missing",
        ),
        (
            "amdgpu_cs_ioctl: timeline=gfx, fence=0, num_ibs=1",
            "amdgpu_cs_ioctl: field 'context' is missing",
        ),
        (
            "amdgpu_cs_ioctl: context=4 seqno=-1",
            "amdgpu_cs_ioctl: field 'seqno' is out of range",
        ),
        (
            "drm_sched_job_run: fence=57:4",
            "drm_sched_job_run: field 'ring' is missing",
        ),
        (
            "drm_sched_job_run: fence=57: ring=gfx",
            "drm_sched_job_run: field 'fence' is malformed",
        ),
        (
            "drm_sched_job_run: fence=(null), ring=gfx",
            "drm_sched_job_run: field 'fence' is malformed",
        ),
        (
            "drm_sched_job_done: signaled",
            "drm_sched_job_done: field 'fence' is missing",
        ),
        (
            "drm_sched_job_add_dep: fence=1:2",
            "drm_sched_job_add_dep: field 'depends on' is missing",
        ),
        (
            "drm_sched_job_add_dep: fence=1:2 depends on fence=0xff",
            "drm_sched_job_add_dep: field 'depends on fence' is malformed",
        ),
        (
            "drm_sched_job_wait_dep: job ring=gfx, id=1, depends fence=0xff, context=1",
            "drm_sched_job_wait_dep: field 'seq' is missing",
        ),
        (
            "amdgpu_bo_move: bo=0x1, bo_size=4",
            "amdgpu_bo_move: field 'new_placement' is missing",
        ),
    ] {
        let stats = stats(format!("\na-1 [000] 1.000000: {line}").as_bytes());
        let reasons = stats.skipped.reasons.iter();
        let found: Vec<_> = reasons
            .map(|(why, n)| (why.to_string(), n.lines.clone()))
            .collect();
        assert_eq!(found, [(reason.to_owned(), vec![2])], "{line}");
        assert_eq!(stats.events, 0);
    }
}

#[test]
fn reasons_for_skipping() {
    let text = b"nonsense\n\
        a-1 [000] 1234567: drm_sched_job_done: fence=1:2 signaled\n\
        a-1 [000] 18446744074.000000: drm_sched_job_done: fence=1:2 signaled\n\
        a-1 [000] 1.000000: do_IRQ common_interrupt\n\
        a-1 [000] 1.000000:\n\
        a-1 [000] 1.000000: x\0y: z\n\
        \xff\xfe-1 [000] 1.000000: drm_sched_job_done: fence=1:2 signaled\n\
        nonsense\nnonsense\nnonsense\n";
    let stats = stats(text);
    let count = |reason| {
        let entry = stats
            .skipped
            .reasons
            .get(&reason)
            .cloned()
            .unwrap_or_default();
        (entry.count, entry.lines)
    };
    assert_eq!(count(SkipReason::NotATraceLine), (4, vec![1, 8, 9]));
    assert_eq!(count(SkipReason::BadTime), (2, vec![2, 3]));
    assert_eq!(count(SkipReason::NoEventName), (2, vec![4, 5]));
    assert_eq!(count(SkipReason::Nul), (1, vec![6]));
    assert_eq!(count(SkipReason::NotUtf8), (1, vec![7]));
    assert_eq!(stats.skipped.total, 10);
}

#[test]
fn other_events_are_counted_by_name() {
    let text = "a-1 [000] 2.000000: drm_vblank_event: crtc=1 seq=5\n\
        a 1 [000] 1.000000: drm:drm_vblank_event: crtc=1 seq=5\n\
        a 1 [000] 1.500000: cycles:u:  ffffff main\n\
        a-1 [000] 0.500000: sched_switch: prev_comm=x ==> next_comm=y\n";
    let stats = stats(text.as_bytes());
    assert_eq!(stats.other.get("drm_vblank_event"), Some(&2));
    assert_eq!(stats.other.get("cycles:u"), Some(&1));
    assert_eq!((stats.events, stats.known()), (4, 0));
    assert_eq!(stats.backwards, 2);
    assert_eq!(stats.span_ns, Some((500_000_000, 2_000_000_000)));
    let many: String = (0..5_000)
        .map(|n| format!("a-1 [000] 1.000000: event{n}: x\n"))
        .collect();
    let stats = self::stats(many.as_bytes());
    assert_eq!(stats.other.len(), 4_097);
    assert_eq!(stats.other[ReadStats::OTHER_NAMES], 904);
}

#[test]
fn finish_wants_a_gpu_event() {
    let judge = |text: &str| {
        let mut reader = Reader::new("demo", text.as_bytes());
        assert!(reader.by_ref().all(|item| item.is_ok()));
        reader
            .finish()
            .map(|stats| stats.events)
            .map_err(|error| error.to_string())
    };
    assert_eq!(judge(&format!("a-1 [000] 1.000000: {DONE}")), Ok(1));
    let remedy = "record with 'trace-cmd record -e gpu_scheduler -e dma_fence' (and '-e amdgpu' or '-e i915' where that is the driver)";
    assert_eq!(
        judge("\n# x\n"),
        Err(format!("demo: no GPU event found in 2 lines: {remedy}"))
    );
    assert_eq!(
        judge("a-1 [000] 1.000000: sched_switch: x\nhello\n"),
        Err(format!(
            "demo: no GPU event found in 2 lines, 1 of them other events ('sched_switch' the most), \
             1 of them skipped (first at line 2: not a trace line (expected TASK-PID [CPU] SECONDS: EVENT: ...)): {remedy}"
        ))
    );
}
