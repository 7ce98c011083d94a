//! What recording costs a program: `cargo run --release -p resv-cli --features tracing --example recorder_cost`.
//!
//! The same jobs with and without a recorder, side by side: each is issued, asks two objects what it must wait for, is added to both
//! in a transaction each, and signals. Prints jobs in a second, what the recorder adds to a job, and bytes of recording for a job.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use resv_api::trace::FtraceWriter;
use resv_api::{Access, Resv, Timeline, Usage};

const JOBS: u32 = 20_000;
const ROUNDS: usize = 9;

/// Counts and drops what is written.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicU64>);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nanoseconds for each job.
fn jobs() -> Result<f64, Box<dyn std::error::Error>> {
    let (target, texture) = (Resv::new(), Resv::new());
    let timeline = Timeline::new("gfx");
    let started = Instant::now();
    for _ in 0..JOBS {
        std::hint::black_box(target.waits_for(Access::Write));
        std::hint::black_box(texture.waits_for(Access::Read));
        let job = timeline.issue()?;
        target.lock().reserve(1)?.add(job.fence(), Usage::Write);
        texture.lock().reserve(1)?.add(job.fence(), Usage::Read);
        job.signal();
    }
    Ok(started.elapsed().as_nanos() as f64 / f64::from(JOBS))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut plain, mut recorded) = (Vec::new(), Vec::new());
    let written = Counting::default();
    for _ in 0..ROUNDS {
        plain.push(jobs()?);
        let recorder = FtraceWriter::new(written.clone());
        recorded.push(tracing::subscriber::with_default(recorder.clone(), jobs)?);
        recorder.finish()?;
    }
    for times in [&mut plain, &mut recorded] {
        times.sort_by(f64::total_cmp);
    }
    let (plain, recorded) = (plain[ROUNDS / 2], recorded[ROUNDS / 2]);
    let bytes = written.0.load(Ordering::Relaxed) / (u64::from(JOBS) * ROUNDS as u64);
    println!(
        "without a recorder: {plain:.0} ns a job, {:.0} jobs/s",
        1e9 / plain
    );
    println!(
        "with one:           {recorded:.0} ns a job, {:.0} jobs/s",
        1e9 / recorded
    );
    println!("it adds {:.0} ns and {bytes} bytes a job", recorded - plain);
    Ok(())
}
