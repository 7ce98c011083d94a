//! How fast a recording is read, played and reported, and in how much memory: `cargo run --release -p resv-cli --example read_speed`.
//!
//! Writes a recording of the given size in MB (100) as a desktop's tracer prints it, most of it jobs and their fences, to a file, and
//! runs what `resv replay --semantics usage-levels --backend locked` does on it. Two more runs show what memory goes with: the
//! same jobs among ten times the lines, and ten times fewer jobs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use resv_api::{BackendKind, SemanticsKind};
use resv_cli::recording;
use resv_cli::replay::{Report, Times, choose, load};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = std::env::args().nth(1);
    let megabytes: u64 = argument.as_deref().unwrap_or("100").parse()?;
    let folder = std::env::temp_dir().join(format!("resv-read-speed-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    println!(
        "{:<28} {:>7} {:>9} {:>8} {:>8} {:>9} {:>9} {:>9}",
        "recording", "MB", "lines", "jobs", "s", "cpu s", "MB/cpu s", "peak MB"
    );
    for (name, size, noise) in [
        ("a tenth of it", megabytes / 10, 0),
        ("a tenth of the jobs", megabytes, 9),
        ("jobs and fences only", megabytes, 0),
    ] {
        let path = folder.join("recording.txt");
        write(&path, size * 1_000_000, noise)?;
        measure(name, &path)?;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Jobs of six timelines on three rings, each with the fences that the kernel makes for it; and `noise` times as much text of
/// events that say nothing here.
fn write(path: &Path, bytes: u64, noise: u32) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let (mut written, mut number) = (0, 0u64);
    while written < bytes {
        let (at, context, seqno) = (number * 37, 21 + 2 * (number % 6), number / 6 + 1);
        let ring = format!("ring_{}.0.0", number % 3);
        let mut text = String::new();
        let mut line = |us: u64, task: &str, event: String| {
            let us = at + us;
            text.push_str(&format!(
                "{task:>24}  [00{}] .....  {:5}.{:06}: {event}\n",
                us % 4,
                5000 + us / 1_000_000,
                us % 1_000_000
            ));
        };
        line(
            0,
            "compositor:cs0-1203",
            format!(
                "drm_sched_job_queue: dev=0000:03:00.0, fence={context}:{seqno}, ring={ring}, job count:1, hw job count:1, client_id:4"
            ),
        );
        line(
            1,
            "compositor:cs0-1203",
            format!(
                "dma_fence_init: driver=drm_sched timeline={ring} context={context} seqno={seqno}"
            ),
        );
        line(
            20,
            "kworker/u32:4-512",
            format!(
                "drm_sched_job_run: dev=0000:03:00.0, fence={context}:{seqno}, ring={ring}, job count:1, hw job count:1, client_id:4"
            ),
        );
        line(
            21,
            "kworker/u32:4-512",
            format!(
                "dma_fence_emit: driver=amdgpu timeline={ring} context={} seqno={number}",
                number % 3 + 3
            ),
        );
        line(
            90,
            "<idle>-0",
            format!(
                "dma_fence_signaled: driver=amdgpu timeline={ring} context={} seqno={number}",
                number % 3 + 3
            ),
        );
        line(
            91,
            "<idle>-0",
            format!("drm_sched_job_done: fence={context}:{seqno} signaled"),
        );
        line(
            92,
            "<idle>-0",
            format!(
                "dma_fence_signaled: driver=drm_sched timeline={ring} context={context} seqno={seqno}"
            ),
        );
        let of_job = text.len();
        let mut line = |us: u64| {
            text.push_str(&format!("{:>24}  [001] d..2.  {:5}.{:06}: sched_switch: prev_comm=swapper/1 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=kworker/1:1 next_pid=41 next_prio=120\n", "<idle>-0", 5000 + (at + us) / 1_000_000, (at + us) % 1_000_000));
        };
        for us in 0..noise * of_job as u32 / 180 {
            line(us.into());
        }
        out.write_all(text.as_bytes())?;
        written += text.len() as u64;
        number += 1;
    }
    out.flush()
}

fn measure(name: &str, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = path.metadata()?.len();
    forget_peak();
    let (started, started_cpu) = (Instant::now(), cpu_seconds());
    let mut reader = recording::open(path)?;
    let (recorded, fault) = load(&mut reader, |_| {});
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    let (lines, jobs) = (recorded.stats().lines, recorded.jobs().len());
    let times = Times::of(&recorded);
    let workload = choose(recorded, None);
    let (report, _) = Report::with_runs(
        &workload,
        &times,
        &[SemanticsKind::UsageLevels],
        &[BackendKind::Locked],
    )?;
    let mut text = Vec::new();
    report.to_summary(&mut text)?;
    let seconds = started.elapsed().as_secs_f64();
    // On a machine that does other things, too, the clock on the wall says little.
    let cpu = cpu_seconds() - started_cpu;
    let cpu = if cpu > 0.0 { cpu } else { seconds };
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{name:<28} {megabytes:>7.1} {lines:>9} {jobs:>8} {seconds:>8.2} {cpu:>9.2} {:>9.1} {:>9}",
        megabytes / cpu,
        peak_megabytes().map_or_else(|| "?".to_owned(), |peak| peak.to_string()),
    );
    Ok(())
}

/// Seconds that this thread has been on a processor; 0 where the system does not say.
fn cpu_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = told
        .split_whitespace()
        .next()
        .and_then(|ns| ns.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

/// Linux counts the peak anew when told to.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak_megabytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1000)
}
