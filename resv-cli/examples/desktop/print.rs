//! The two files as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::gpu::{Gpu, Key, Record};

/// The recording goes from 0 to here, in microseconds.
pub(super) const END: i64 = 500_000;
/// What the recording's clock shows at its start.
const CLOCK: i64 = 5_021_100_000;
const CPUS: usize = 4;
/// Timelines whose jobs all touch the same buffers.
const UNIFORM: [u64; 2] = [19, 75];

const REPORT_HEADER: &str = "\
# Synthetic: no machine recorded this. Made by `cargo run -p resv-cli --example make_desktop_sample -- samples`,
# in the form that `trace-cmd report` gives on Linux 6.17.
# Half a second of a desktop: a compositor with two outputs, a game, a video player, a screencast, page-table updates
# and buffer moves. It shows jobs of ten timelines on six rings that meet on shared buffers; it cuts through jobs that
# were begun before it and jobs that end after it. Which job touches which buffer is in desktop.buffers.
";

const BUFFERS_HEADER: &str = "\
# Synthetic: goes with desktop.report, made by `cargo run -p resv-cli --example make_desktop_sample -- samples`.
# Says which buffers each job touches: job CONTEXT:SEQNO BUFFER USAGE[/ACCESS] ...
#
# What it shows:
# * write/explicit (57 and 59 on game0, game1): two timelines draw different parts of one image at the same time and wait
#   for no implicit fence of it. Where a buffer has one exclusive fence, the second takes the place of the first, pending as
#   that is, and the compositor shows an image that is not finished.
# * bookkeep (17, 19, 21): page-table updates of buffers that are in use. Nobody but a move has to wait for them. Where they
#   count as readers, the writers that follow (game2, video0 to video3) are held up for nothing.
# * kernel (23): moves of textures and atlas. Everybody has to wait for them, the explicit readers of textures (57) too.
";

pub(super) fn textures_address() -> u64 {
    0xffff_8e41_c2a4_0c58
}

pub(super) fn atlas_address() -> u64 {
    0xffff_8e41_d07f_3458
}

fn recorded(gpu: &Gpu) -> impl Iterator<Item = &Record> {
    gpu.records
        .iter()
        .filter(|record| (0..END).contains(&record.at))
}

/// The recording, as `trace-cmd report` prints it.
pub(super) fn report(gpu: &Gpu) -> String {
    let mut text = format!("{REPORT_HEADER}cpus={CPUS}\n");
    for record in recorded(gpu) {
        let Record {
            at,
            task,
            flags,
            event,
            fields,
            ..
        } = record;
        let clock = CLOCK + at;
        // A thread keeps its CPU here; the idle tasks are wherever the interrupt came.
        let cpu = if task.pid == 0 {
            (at / 7) as usize % CPUS
        } else {
            task.pid as usize % CPUS
        };
        let event = format!("{event}:");
        let _ = writeln!(
            text,
            "{:>16}-{:<6} [{cpu:03}] {flags} {:>6}.{:06}: {event:<21} {fields}",
            task.comm,
            task.pid,
            clock / 1_000_000,
            clock % 1_000_000,
        );
    }
    text
}

/// The sidecar: a line for each job that the recording mentions.
pub(super) fn buffers(gpu: &Gpu) -> String {
    let mut text = format!("{BUFFERS_HEADER}\n");
    for (address, name) in [(textures_address(), "textures"), (atlas_address(), "atlas")] {
        let _ = writeln!(text, "move {address:#018x} {name}");
    }
    let mentioned: BTreeSet<Key> = recorded(gpu).filter_map(|record| record.job).collect();
    let mut lines: BTreeMap<(u64, Option<u64>), String> = BTreeMap::new();
    for (context, seqno) in mentioned {
        let Some(job) = gpu.jobs.get(&(context, seqno)) else {
            continue;
        };
        let seqno = (!UNIFORM.contains(&context)).then_some(seqno);
        let selector = seqno.map_or("*".to_owned(), |seqno| seqno.to_string());
        let touches = job.touches.join("  ");
        lines.insert(
            (context, seqno),
            format!("job {context}:{selector}  {touches}"),
        );
    }
    let mut before = None;
    for ((context, _), line) in lines {
        if before != Some(context) {
            let _ = writeln!(text, "\n# {}", about(context));
            before = Some(context);
        }
        let _ = writeln!(text, "{line}");
    }
    text
}

fn about(context: u64) -> &'static str {
    match context {
        17 => "page tables of the game",
        19 => "page tables of the compositor",
        21 => "page tables of the player",
        23 => "moves",
        41 => "the compositor: out0_* and out1_* are the buffers of its two outputs",
        57 => "the game: game2 is the image that is synchronised implicitly",
        59 => "the game's head-up display",
        63 => "the video player: each surface is decoded from the one before",
        71 => "the screencast",
        _ => "the panel",
    }
}
