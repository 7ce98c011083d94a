//! Nothing that a recording says may be too strange to be told, drawn and played: random lines of every dialect.

use super::*;
use resv_cli::replay::{page, times_to_text, trace};

struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// Small numbers, so that they meet; and the edges of their types.
const NUMBERS: [&str; 8] = [
    "0",
    "1",
    "2",
    "3",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "-1",
];

fn event(dice: &mut Dice) -> String {
    let (context, seqno, id) = (dice.of(&NUMBERS), dice.of(&NUMBERS), dice.of(&NUMBERS));
    let step = dice.of(&[
        "init",
        "emit",
        "signaled",
        "destroy",
        "wait_start",
        "wait_end",
        "enable_signal",
    ]);
    let old = dice.of(&["dma_fence", "fence"]);
    let (driver, timeline) = (
        dice.of(&[
            "detached-driver",
            "amd_sched",
            "virtio_gpu",
            "",
            "a b",
            "stub",
        ]),
        dice.of(&[
            "signaled-timeline",
            "gfx",
            "controlq",
            "",
            "x y",
            "</script>",
        ]),
    );
    let (dev, ring) = (
        dice.of(&["", "dev=0, ", "dev=1, "]),
        dice.of(&["gfx", "", "sdma"]),
    );
    let job = match dice.below(3) {
        0 => format!("{context}:{seqno}"),
        1 => format!("(context:{context}, seqno:{seqno})"),
        _ => format!("0x{}", dice.below(4)),
    };
    let access = dice.of(&["read", "write", "move", "explicit", "peek"]);
    let usage = dice.of(&["kernel", "write", "read", "bookkeep", "draw"]);
    match dice.below(14) {
        0..=3 => format!(
            "{old}_{step}: driver={driver} timeline={timeline} context={context} seqno={seqno}"
        ),
        4 => format!(
            "{}: {dev}id={id}, fence={job}, ring={ring}, job count:0, hw job count:0, dependencies:{{({context}:{seqno})}}",
            dice.of(&["drm_sched_job", "drm_sched_job_queue"])
        ),
        5 => format!(
            "{}: {dev}id={id}, fence={job}, ring={ring}, job count:0, hw job count:0",
            dice.of(&["drm_run_job", "drm_sched_job_run"])
        ),
        6 => format!(
            "{}: fence={job} signaled",
            dice.of(&["drm_sched_process_job", "drm_sched_job_done"])
        ),
        7 => format!(
            "{}: fence={job} depends on fence={context}:{seqno}",
            dice.of(&["drm_sched_job_add_dep", "drm_sched_job_unschedulable"])
        ),
        8 => format!(
            "drm_sched_job_wait_dep: job ring={ring}, id={id}, depends fence=0x1, context={context}, seq={seqno}"
        ),
        9 => format!(
            "i915_request_{}: dev=0, engine={}, ctx={context}, seqno={seqno}, completed?={}",
            dice.of(&[
                "queue",
                "submit",
                "execute",
                "in",
                "out",
                "retire",
                "wait_begin",
                "wait_end"
            ]),
            dice.of(&["0:0", "rcs0", "9:9"]),
            dice.below(2)
        ),
        10 => dice
            .of(&[
                "timer_expire_entry: timer=1 function=amdgpu_fence_fallback",
                "timer_expire_exit: timer=1",
                "workqueue_execute_start: work struct 1: function drm_sched_job_timedout",
                "amdgpu_fence_fallback <-call_timer_fn",
            ])
            .to_owned(),
        11 => format!(
            "{}: resv={id} access={access}",
            dice.of(&["resv_busy", "resv_waits_for"])
        ),
        12 => format!(
            "resv_add_fence: resv={id} usage={usage} driver=resv timeline={timeline} context={context} seqno={seqno}"
        ),
        _ => format!("resv_unlock: resv={id}"),
    }
}

#[test]
fn strange_recordings_of_every_dialect_are_told_drawn_and_played() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for round in 0..30 {
        let mut text = String::new();
        // In some recordings there are fences only.
        let only_fences = round % 3 == 0;
        for _ in 0..150 {
            let time = match dice.below(40) {
                0 => "0.000000".to_owned(),
                1 => "18446744073.709551".to_owned(),
                _ => format!("7.{:06}", dice.below(60)),
            };
            let cpu = dice.of(&["[000] ", "[001] d.h. ", ""]);
            let event = event(&mut dice);
            if !only_fences || event.contains("fence_") && !event.contains("resv") {
                text.push_str(&format!(
                    "task {}-{} {cpu}{time}: {event}\n",
                    dice.below(2),
                    dice.below(3)
                ));
            }
        }
        let workload = match round % 5 {
            0 => choose(recorded(&text), None),
            1 => workload(&text, &BufferRule::Recorded),
            2 => workload(&text, &BufferRule::Single),
            3 => workload(&text, &BufferRule::Private),
            _ => workload(&text, &BufferRule::Handoff),
        };
        let times = Times::of(workload.recorded());
        let told = Report::with_runs(
            &workload,
            &times,
            &SemanticsKind::ALL,
            &[BackendKind::RcuArray],
        );
        let (report, runs) = told.expect("plays");
        assert!(report.is_identical(), "{text}");
        let mut screen = Vec::new();
        report.to_summary(&mut screen).expect("memory takes all");
        assert!(String::from_utf8(screen).expect("text").lines().count() <= 40);
        assert!(!text_of(&report).is_empty());
        times_to_text(workload.recorded(), &times, &mut Vec::new()).expect("memory takes all");
        let html = page(&report, &workload, &times, &runs).expect("a page");
        assert_eq!(html.matches("</script>").count(), 2);
        let mut drawn = Vec::new();
        trace(&workload, &times, &mut drawn).expect("memory takes all");
        let drawn: serde_json::Value = serde_json::from_slice(&drawn).expect("JSON");
        assert!(drawn["traceEvents"].is_array());
        // A wait lasts no longer than the recording, and one that ended in time had a signal, or none is recorded.
        let span = workload.recorded().span_ns();
        assert!(
            workload
                .recorded()
                .waits()
                .iter()
                .all(|wait| wait.waited_ns <= span)
        );
        let lanes = times.rings.iter().chain(&times.timelines);
        assert!(
            lanes
                .clone()
                .all(|lane| lane.busy_ns <= span && lane.jobs > 0)
        );
    }
}
