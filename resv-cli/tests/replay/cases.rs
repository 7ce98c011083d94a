//! Small inputs of the kinds that people post, each with the right answer. The lines are this project's own.

use super::*;
use serde_json::{Value, json};

/// The lists that `--json --times` adds.
fn times_of(text: &str) -> [Value; 3] {
    let recorded = recorded(text);
    let times = Times::of(&recorded);
    let jobs = serde_json::to_value(job_parts(&recorded, &times)).expect("a document");
    let fences = serde_json::to_value(fence_parts(&recorded)).expect("a document");
    let waits = serde_json::to_value(wait_parts(&recorded)).expect("a document");
    [jobs, fences, waits]
}

/// The first screen.
fn screen(text: &str) -> String {
    let workload = choose(recorded(text), None);
    let report = Report::new(&workload, &SemanticsKind::ALL, &BACKENDS).expect("plays");
    let mut screen = Vec::new();
    report.to_summary(&mut screen).expect("memory takes all");
    let screen = String::from_utf8(screen).expect("text");
    assert!(screen.lines().count() <= 40, "{screen}");
    assert!(!text_of(&report).is_empty());
    screen
}

#[test]
fn a_job_in_lines_without_a_cpu_and_with_four_decimals() {
    let with_cpu = "\
        game-77 [003] .... 90.500000: amdgpu_cs_ioctl: sched_job=18, timeline=gfx, context=31, seqno=605, ring_name=ffff94d7a00d4694, num_ibs=3\n\
        gfx-40 [001] .... 90.500100: amdgpu_sched_run_job: sched_job=18, timeline=gfx, context=31, seqno=605, ring_name=ffff94d7a00d4694, num_ibs=3\n\
        <idle>-0 [000] d.h. 90.500200: fence_signaled: driver=amd_sched timeline=gfx context=31 seqno=605\n";
    let bare = with_cpu
        .replace("[003] .... ", "")
        .replace("[001] .... ", "")
        .replace("[000] d.h. ", "")
        .replace("00: ", ": ");
    for text in [with_cpu, &bare] {
        let [jobs, fences, _] = times_of(text);
        let expected = json!([{
            "job": "gfx#31:605", "timeline": "gfx#31", "ring": "gfx",
            "submit_ns": 90_500_000_000u64, "run_ns": 90_500_100_000u64, "done_ns": 90_500_200_000u64,
            "queued_ns": 100_000, "ran_ns": 100_000, "hw_ns": 100_000,
        }]);
        assert_eq!(jobs, expected, "{text}");
        assert_eq!(fences, json!([]));
    }
}

#[test]
fn scheduler_events_as_posted_in_june_2024_on_two_devices() {
    let text = "\
        a-1 [0] 7.000010: drm_sched_job: id=57, fence=(context:79, seqno:9), ring=gfx, job count:0, hw job count:1, dependencies:{(context:84, seqno:14), (context:84, seqno:15)}\n\
        k-2 [1] 7.000020: drm_run_job: dev=0000:0e:00.0, id=32, fence=(context:84, seqno:14), ring=gfx, job count:0, hw job count:1\n\
        k-3 [2] 7.000030: drm_run_job: dev=0000:0b:00.0, id=56, fence=(context:66, seqno:17), ring=gfx, job count:0, hw job count:2\n\
        b-4 [3] 7.000040: drm_sched_job: id=58, fence=(context:66, seqno:18), ring=gfx, job count:0, hw job count:2, dependencies:{}\n\
        k-3 [2] 7.000050: drm_sched_job_wait_dep: fence=(context:66, seqno:18) depends on fence=(context:79, seqno:9)\n\
        k-2 [1] 7.000060: drm_sched_process_job: fence=(context:84, seqno:14) signaled\n";
    let recorded = recorded(text);
    let stats = recorded.stats();
    assert_eq!((stats.submits, stats.runs, stats.dones), (2, 2, 1));
    assert_eq!(stats.skipped.total, 0);
    let [jobs, ..] = times_of(text);
    let names: Vec<_> = jobs
        .as_array()
        .into_iter()
        .flatten()
        .map(|job| job["job"].clone())
        .collect();
    assert_eq!(names, ["gfx#79:9", "gfx#84:14", "gfx#66:17", "gfx#66:18"]);
    // The rings of two devices are two, though they have one name; 66:18 is on the device of its context.
    assert_eq!(jobs[1]["ring"], "gfx@0000:0e:00.0");
    assert_eq!(jobs[3]["ring"], "gfx@0000:0b:00.0");
    // 79:9 on 84:14, 66:18 on 79:9; 84:15 is not in the recording.
    let counts = recorded.counts();
    assert_eq!(
        (
            counts.dependency_events,
            counts.dependencies,
            counts.dependencies_unknown
        ),
        (3, 2, 1)
    );
}

#[test]
fn a_job_that_runs_under_two_devices_is_two_jobs() {
    let text = "\
        k-2 [1] 7.000020: drm_run_job: dev=0000:0e:00.0, id=32, fence=(context:84, seqno:14), ring=gfx, job count:0, hw job count:1\n\
        k-3 [2] 7.000030: drm_run_job: dev=0000:0b:00.0, id=32, fence=(context:84, seqno:14), ring=gfx, job count:0, hw job count:2\n\
        k-2 [1] 7.000040: drm_run_job: dev=0000:0e:00.0, id=7, fence=ffff000000000001, ring=gfx, job count:0, hw job count:1\n\
        k-3 [2] 7.000050: drm_run_job: dev=0000:0b:00.0, id=7, fence=ffff000000000002, ring=gfx, job count:0, hw job count:2\n";
    let recorded = recorded(text);
    assert_eq!(recorded.jobs().len(), 4);
    assert_eq!(recorded.rings().len(), 2);
}

#[test]
fn fences_without_jobs_of_two_drivers_before_4_10() {
    let text = "\
        t-1  (    1) [010] ....   50.064394: dma_fence_init: driver=virtio_gpu timeline=controlq context=1 seqno=0\n\
        k-2  (    2) [002] d...   50.065121: dma_fence_signaled: driver=virtio_gpu timeline=controlq context=1 seqno=977\n\
        h-3  (    3) [001] ....   58.195956: fence_init: driver=sde_fence:crtc1:25 timeline=crtc1 context=3 seqno=2560\n\
        c-4  (    4) [001] d..1   58.213897: fence_signaled: driver=sde_fence:crtc1:25 timeline=crtc1 context=3 seqno=2560\n";
    let [jobs, fences, _] = times_of(text);
    assert_eq!(jobs, json!([]));
    let expected = json!([
        {"fence": "controlq#1:977", "timeline": "controlq#1", "init_ns": null, "emit_ns": null, "signaled_ns": 50_065_121_000u64, "busy_ns": null},
        {"fence": "crtc1#3:2560", "timeline": "crtc1#3", "init_ns": 58_195_956_000u64, "emit_ns": null, "signaled_ns": 58_213_897_000u64, "busy_ns": 17_941_000},
    ]);
    assert_eq!(fences, expected);
    assert_eq!(recorded(text).counts().fences_unnumbered, 1);
    let screen = screen(text);
    assert!(
        screen.contains("no jobs, 2 fences") && screen.contains("17.941 ms"),
        "{screen}"
    );
}

#[test]
fn a_fence_gets_its_number_when_it_is_emitted_and_its_work_begins_then() {
    let fence = |us: u64, event: &str, task: &str, seqno: u64| {
        format!(
            "{task} [000] 5.{us:06}: dma_fence_{event}: driver=virtio_gpu timeline=controlq context=1 seqno={seqno}\n"
        )
    };
    let text = [
        fence(0, "init", "a-1", 0),
        fence(5, "init", "b-2", 0),
        fence(10, "emit", "b-2", 7),
        fence(20, "emit", "a-1", 8),
        fence(30, "signaled", "irq-9", 7),
        fence(50, "signaled", "irq-9", 8),
    ]
    .concat();
    let [_, fences, _] = times_of(&text);
    let times = |fence: &Value| {
        let at = |key: &str| fence[key].as_u64().map(|ns| ns / 1000 % 1000);
        (
            at("init_ns"),
            at("emit_ns"),
            at("signaled_ns"),
            fence["busy_ns"].as_u64(),
        )
    };
    assert_eq!(
        times(&fences[0]),
        (Some(5), Some(10), Some(30), Some(20_000))
    );
    // 8 was emitted at 20; the timeline was busy with 7 until 30.
    assert_eq!(
        times(&fences[1]),
        (Some(0), Some(20), Some(50), Some(20_000))
    );
}

#[test]
fn a_task_waits_for_fences_and_each_wait_ends_in_its_way() {
    let text = "\
        disp-41 [000] .... 20.100000: dma_fence_wait_start: driver=pvr timeline=PVR context=12 seqno=501\n\
        k-60    [001] .... 20.889000: dma_fence_signaled: driver=pvr timeline=PVR context=12 seqno=501\n\
        disp-41 [000] .... 20.889050: dma_fence_wait_end: driver=detached-driver timeline=signaled-timeline context=12 seqno=501\n\
        k-60    [001] .... 20.900000: dma_fence_emit: driver=pvr timeline=PVR context=12 seqno=502\n\
        disp-41 [000] .... 20.910000: dma_fence_wait_start: driver=pvr timeline=PVR context=12 seqno=502\n\
        disp-41 [000] .... 20.930000: dma_fence_wait_end: driver=pvr timeline=PVR context=12 seqno=502\n\
        disp-41 [000] .... 20.940000: dma_fence_wait_start: driver=pvr timeline=PVR context=12 seqno=502\n\
        disp-41 [000] .... 20.940001: dma_fence_wait_end: driver=pvr timeline=PVR context=12 seqno=499\n\
        irq-9   [001] .... 20.950000: irq_handler_entry: irq=37 name=SGX ISR\n";
    let [_, _, waits] = times_of(text);
    let waits = waits.as_array().expect("a list");
    let told: Vec<_> = waits
        .iter()
        .map(|w| {
            (
                w["fence"].as_str().unwrap(),
                w["waited_ns"].as_u64().unwrap(),
                w["ended"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("PVR#12:501", 789_050_000, "signaled"),
        ("PVR#12:502", 20_000_000, "timed-out"),
        ("PVR#12:502", 10_000_000, "open"),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        (&waits[0]["task"], &waits[0]["pid"]),
        (&json!("disp"), &json!(41))
    );
    assert_eq!(waits[0]["begin_ns"], 20_100_000_000u64);
    assert_eq!(recorded(text).counts().waits_cut, 1);
    let screen = screen(text);
    assert!(
        screen.contains("789.050 ms  disp-41 for PVR#12:501\n"),
        "{screen}"
    );
    assert!(screen.contains("irq_handler_entry 1"), "{screen}");
}

#[test]
fn requests_of_i915_as_far_as_their_fields_go() {
    let text = "\
        w-204 [000] .... 30.695055: i915_gem_request_add: dev=0, ring=0, ctx=29, seqno=3337, global=0\n\
        w-212 [000] d.s2 30.747787: i915_gem_request_in: dev=0, ring=0, ctx=29, seqno=1186, global=2372, port=0\n\
        w-89  [000] ..s1 30.909560: gep_log: execlists_submit_ports pid=89 hw_ctx=4 fence_ctx=5 seqno=2043\n\
        s-452 [000] .... 31.118768: i915_gep_read_req: pid=203 vgpu_id=0 hw_ctx=3 fence.ctx=29 seqno=10492\n\
        k-16  [000] .... 31.512448: intel_gpu_freq_change: new_freq=517\n\
        X-1   [002] .... 32.012345: i915_request_submit: dev=0000:00:02.0, engine=rcs0, ctx=5, seqno=1024, tail=0x1a00\n\
        X-1   [002] .... 32.012350: i915_request_execute: dev=0000:00:02.0, engine=rcs0, ctx=5, seqno=1024\n\
        X-1   [002] .... 32.012400: i915_request_in: dev=0000:00:02.0, engine=rcs0, ctx=5, seqno=1024, port=0\n\
        k-42  [002] .... 32.013000: i915_request_out: dev=0, engine=0:0, ctx=5, seqno=1024, completed?=0\n\
        k-42  [002] .... 32.015678: i915_request_out: dev=0000:00:02.0, engine=rcs0, ctx=5, seqno=1024, completed\n\
        k-42  [002] .... 32.016000: i915_request_retire: dev=0000:00:02.0, engine=rcs0, ctx=5, seqno=1024\n\
        X-1   [002] .... 33.000000: i915_request_queue: dev=0, engine=2:1, ctx=6, seqno=2, flags=0x0\n\
        X-1   [002] .... 33.000100: i915_request_wait_begin: dev=0, engine=2:1, ctx=6, seqno=2, flags=0x1\n\
        X-1   [002] .... 33.000300: i915_request_wait_end: dev=0, engine=2:1, ctx=6, seqno=2\n\
        k-42  [002] .... 33.000310: i915_request_retire: dev=0, engine=2:1, ctx=6, seqno=2\n";
    let recorded = recorded(text);
    assert_eq!(recorded.stats().skipped.total, 0);
    let [jobs, _, waits] = times_of(text);
    let expected = json!({
        "job": "rcs0#5:1024", "timeline": "rcs0#5", "ring": "rcs0",
        "submit_ns": 32_012_345_000u64, "run_ns": 32_012_400_000u64, "done_ns": 32_015_678_000u64,
        "queued_ns": 55_000, "ran_ns": 3_278_000, "hw_ns": 3_278_000,
    });
    let jobs = jobs.as_array().expect("a list");
    assert!(jobs.contains(&expected), "{jobs:?}");
    let names: Vec<_> = jobs
        .iter()
        .map(|job| job["job"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["ring0#29:1186", "ring0#29:3337", "rcs0#5:1024", "vcs1#6:2"]
    );
    assert_eq!(jobs[3]["done_ns"], 33_000_310_000u64);
    assert_eq!(
        (&waits[0]["fence"], &waits[0]["ended"]),
        (&json!("vcs1#6:2"), &json!("signaled"))
    );
    let screen = screen(text);
    assert!(
        screen.contains("gep_log 1, i915_gep_read_req 1"),
        "{screen}"
    );
}

#[test]
fn a_job_lies_in_the_queue_for_a_dependency_before_6_17() {
    let text = "\
        kwin-1200 [001] ..... 10.000100: drm_sched_job:        entity=ffff888101000000, id=12345, fence=ffff888201000000, ring=gfx, job count:5, hw job count:2\n\
        kw-77     [001] ..... 10.000200: drm_sched_job_wait_dep: job ring=gfx, id=12345, depends fence=ffff888301000000, context=1234, seq=567\n\
        kw-77     [001] ..... 10.000900: drm_run_job:          entity=ffff888101000000, id=12345, fence=ffff888201000000, ring=gfx, job count:5, hw job count:2\n\
        <idle>-0  [001] d.h.. 10.005900: drm_sched_process_job: fence=ffff888201000000 signaled\n";
    let [jobs, ..] = times_of(text);
    assert_eq!(
        (&jobs[0]["queued_ns"], &jobs[0]["hw_ns"]),
        (&json!(800_000), &json!(5_000_000))
    );
    let screen = screen(text);
    let told = "queued 0.100 ms, waited 0.700 ms for ?#1234:567, hardware 5.000 ms";
    assert!(screen.contains(told), "{screen}");
}

/// The times are those of a lost interrupt: half a second, until a timer looks for it.
#[test]
fn a_watchdog_is_named_beside_the_job_whose_end_it_brought() {
    let text = "\
        app-7 [000] .... 1.000000: drm_sched_job_queue: dev=d, fence=5:1, ring=gfx, job count:0, hw job count:0, client_id:3\n\
        kw-8 [001] .... 1.000100: drm_sched_job_run: dev=d, fence=5:1, ring=gfx, job count:0, hw job count:1, client_id:3\n\
        kw-8 [001] .... 1.000200: drm_sched_job_run: dev=d, fence=5:2, ring=gfx, job count:0, hw job count:1, client_id:3\n\
        <idle>-0 [002] ..s. 1.503900: timer_expire_entry: timer=00000000deadbeef function=amdgpu_fence_fallback now=4294 baseclk=4294\n\
        <idle>-0 [002] d.s. 1.504100: dma_fence_signaled: driver=drm_sched timeline=gfx context=5 seqno=1\n\
        <idle>-0 [003] d.s. 1.504200: dma_fence_signaled: driver=drm_sched timeline=gfx context=5 seqno=2\n";
    let screen = screen(text);
    assert!(screen.contains("504.100 ms  gfx#5:1: queued 0.100 ms, hardware 504.000 ms, end brought by amdgpu_fence_fallback"), "{screen}");
    assert!(
        screen.contains("1 job ended by amdgpu_fence_fallback"),
        "{screen}"
    );
}

/// Three jobs on a ring at a time: each is on the hardware when the one before it has ended.
#[test]
fn hardware_time_begins_where_the_job_before_on_the_ring_ends() {
    let text = [
        queue(0, "5:1", 1),
        queue(0, "9:1", 2),
        ran(10, "5:1"),
        ran(20, "9:1"),
        done(100, "5:1"),
        done(250, "9:1"),
    ]
    .concat();
    let [jobs, ..] = times_of(&text);
    let times =
        |at: usize| ["queued_ns", "ran_ns", "hw_ns"].map(|key| jobs[at][key].as_u64().unwrap());
    assert_eq!(times(0), [10_000, 90_000, 90_000]);
    assert_eq!(times(1), [20_000, 230_000, 150_000]);
    let recorded = recorded(&text);
    let ring = Times::of(&recorded).rings[0];
    assert_eq!((ring.jobs, ring.busy_ns, ring.hw_ns), (2, 240_000, 240_000));
    assert_eq!(ring.longest, Some((150_000, 1)));
}

#[test]
fn an_edge_that_the_recording_contradicts_counts_for_nothing() {
    let text = [
        queue(0, "5:1", 1),
        queue(10, "9:1", 2),
        ran(20, "9:1"),
        done(500, "5:1"),
        done(600, "9:1"),
    ]
    .concat();
    let workload = workload(&text, &BufferRule::Handoff);
    let run = run(&workload, UsageLevels);
    assert_eq!(run.counts.edges_assumed, 1);
    let timing = &run.timing;
    assert_eq!((timing.judged, timing.contradicted), (1, 1));
    assert_eq!(
        (timing.stall_ns, timing.stalled_jobs, timing.longest.len()),
        (0, 0, 0)
    );
    assert_eq!(timing.by_timeline, [0, 0]);
    assert_eq!(timing.earliest[0].stall_ns, 480_000);
    // So the rule is not chosen, and the reason is told.
    let chosen = choose(recorded(&text), None);
    assert_eq!(chosen.account().rule, "recorded");
    let screen = screen(&text);
    assert!(
        screen.contains("contradicts 1 of the 1 edges of handoff"),
        "{screen}"
    );
    // Where the waiter has waited, it is.
    let kept = text.replace("7.000020", "7.000550");
    assert_eq!(choose(recorded(&kept), None).account().rule, "handoff");
}

#[test]
fn other_drivers_are_named_with_what_to_record_instead() {
    let text = "\
        a-1 [000] 1.000000: v3d_submit_cl: dev=0, RCL, seqno=7, 0x0..0x1\n\
        a-1 [000] 1.000001: kgsl_issueibcmds: ctx=1 ib=0x0 numibs=1 ts=5\n\
        a-1 [000] 1.000002: kgsl_issueibcmds: ctx=1 ib=0x0 numibs=1 ts=6\n\
        a-1 [000] broken line\n";
    let mut reader =
        recording::open_stream("demo", Cursor::new(text.as_bytes()), None).expect("text");
    let (_, fault) = load(&mut reader, |_| {});
    assert!(fault.is_none());
    let error = reader
        .finish()
        .expect_err("no event that is understood")
        .to_string();
    for part in [
        "2 of Qualcomm kgsl",
        "record '-e dma_fence'",
        "1 of v3d",
        "first at line 4",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

/// Everything that can be told at once still fits.
#[test]
fn the_first_screen_has_at_most_40_lines() {
    let mut text = String::new();
    for n in 0..60u64 {
        let (us, job) = (n * 1000, format!("{}:{}", 5 + n % 9, n + 1));
        let ring = n % 7;
        text.push_str(&queue(us, &job, 1).replace("ring=gfx", &format!("ring=r{ring}")));
        text.push_str(&line(
            us + 5,
            &format!(
                "drm_sched_job_unschedulable: fence={job} depends on fence={}:{n} unsignalled",
                5 + (n + 8) % 9
            ),
        ));
        text.push_str(&ran(us + 100, &job).replace("ring=gfx", &format!("ring=r{ring}")));
        text.push_str(&line(
            us + 110,
            &format!(
                "dma_fence_wait_start: driver=d timeline=t context={} seqno={}",
                5 + n % 9,
                n + 1
            ),
        ));
        text.push_str(&line(
            us + 600,
            "timer_expire_entry: timer=1 function=amdgpu_fence_fallback now=1",
        ));
        text.push_str(&done(us + 700, &job));
        text.push_str(&line(
            us + 710,
            &format!(
                "dma_fence_wait_end: driver=d timeline=t context={} seqno={}",
                5 + n % 9,
                n + 1
            ),
        ));
        for other in [
            "v3d_submit_cl",
            "kgsl_a",
            "kgsl_b",
            "kgsl_c",
            "sched_switch",
            "xe_x",
            "mali_y",
            "kgsl_d",
        ] {
            text.push_str(&line(us + 711, &format!("{other}: x=1")));
        }
    }
    text.push_str("nonsense\nCPU:0 [LOST 3 EVENTS]\n");
    let told = screen(&text);
    for part in [
        "further ring",
        "in the scheduler's queue",
        "ended by amdgpu",
        "not used: ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

/// A compositor that looks at a buffer each frame and draws without it; a task that looks and then blocks is no poll.
#[test]
fn a_program_that_polls_shows_what_it_skipped_and_how_long() {
    let add = |us: u64, task: &str, resv: u64, usage: &str, job: u64| {
        format!(
            "{task} [000] 5.{us:06}: resv_add_fence: resv={resv} usage={usage} driver=resv timeline=gfx context=3 seqno={job}\n"
        )
    };
    let look = |us: u64, task: &str, event: &str, resv: u64, access: &str| {
        format!("{task} [000] 5.{us:06}: {event}: resv={resv} access={access}\n")
    };
    let fence = |us: u64, task: &str, event: &str, job: u64| {
        format!(
            "{task} [000] 5.{us:06}: dma_fence_{event}: driver=resv timeline=gfx context=3 seqno={job}\n"
        )
    };
    let text = [
        add(0, "game-1", 7, "write", 1),
        look(10, "comp-2", "resv_busy", 7, "read"),
        look(20, "comp-2", "resv_busy", 7, "read"),
        // Told what to wait for, and waits.
        look(30, "app-3", "resv_waits_for", 7, "read"),
        fence(31, "app-3", "wait_start", 1),
        fence(50, "irq-9", "signaled", 1),
        fence(52, "app-3", "wait_end", 1),
        // Told what to wait for, and adds.
        add(60, "game-1", 7, "bookkeep", 2),
        look(65, "game-1", "resv_waits_for", 7, "move"),
        add(66, "game-1", 7, "write", 3),
        look(70, "comp-2", "resv_waits_for", 7, "read"),
        fence(90, "irq-9", "signaled", 3),
    ]
    .concat();
    let recorded = recorded(&text);
    let polls = recorded.polls();
    assert_eq!(polls.len(), 1, "{polls:?}");
    // From 10 to 50, and from 70 to 90.
    assert_eq!(
        (polls[0].pid, polls[0].skipped, polls[0].busy_ns),
        (2, 3, 60_000)
    );
    let screen = screen(&text);
    assert!(
        screen.contains("0.060 ms  comp-2 found resv#7 busy for read and went on, 3 times"),
        "{screen}"
    );
    assert!(screen.contains("0.021 ms  app-3 for gfx#3:1"), "{screen}");
}
