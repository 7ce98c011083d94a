//! How fast the objects are: the operations of a play, and nothing else.
//!
//! The clock runs while fences are issued, objects asked and edited, and fences signalled. Nothing is watched or compared
//! meanwhile. A short recording is played over and over until the clock has something to show; the speed is that of the
//! middle round, so that a round during which the machine did something else does not count.

use std::time::{Duration, Instant};

use resv_api::{BackendKind, Counters, Edit, SemanticsKind, Signaler};

use super::error::PlayError;
use super::play::{Run, play_watched};
use super::stage::{Measured, counters, objects, timelines};
use super::workload::Workload;

/// The least time to measure.
const LEAST: Duration = Duration::from_millis(5);
/// The most rounds to play for it.
const MOST_ROUNDS: u64 = 64;

/// Plays a workload through objects of the given semantics and back end, then once more for speed alone.
///
/// # Errors
/// If the back end is not compiled in, or memory cannot be had.
///
/// ```
/// use resv_cli::recording::Reader;
/// use resv_cli::replay::{BufferRule, Workload, load, play};
/// use resv_api::{BackendKind, SemanticsKind};
///
/// let text = "\
/// game-7 [000] 1.000000: drm_sched_job_queue: dev=0, fence=5:1, ring=gfx, job count:0, hw job count:0, client_id:3
/// comp-8 [001] 1.000200: drm_sched_job_queue: dev=0, fence=9:1, ring=gfx, job count:0, hw job count:0, client_id:4
/// irq-9 [000] 1.000500: drm_sched_job_done: fence=5:1 signaled
/// ";
/// let (recorded, _) = load(&mut Reader::new("demo", text.as_bytes()), |_| {});
/// let workload = Workload::new(recorded, &BufferRule::Handoff);
/// let run = play(&workload, SemanticsKind::UsageLevels, BackendKind::Locked)?;
/// assert_eq!((run.counts.edges_assumed, run.timing.stall_ns), (1, 300_000)); // 9:1 reads what 5:1 writes
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn play(
    workload: &Workload,
    semantics: SemanticsKind,
    backend: BackendKind,
) -> Result<Run, PlayError> {
    let mut run = play_watched(workload, semantics, backend, None)?;
    run.measured = measure(workload, semantics, backend)?;
    Ok(run)
}

/// Plays a workload for speed alone.
///
/// The figure for retired memory counts all objects of the back end in the process.
///
/// # Errors
/// As [`play`].
pub fn measure(
    workload: &Workload,
    semantics: SemanticsKind,
    backend: BackendKind,
) -> Result<Measured, PlayError> {
    let mut measured = Measured::default();
    backend.reset_garbage_peak()?;
    let mut rates = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let (operations, elapsed) = round(workload, semantics, backend, &mut measured.counters)?;
        measured.operations += operations;
        measured.elapsed += elapsed;
        let seconds = elapsed.as_secs_f64();
        rates.push(if seconds > 0.0 {
            operations as f64 / seconds
        } else {
            0.0
        });
        if measured.elapsed >= LEAST {
            break;
        }
    }
    rates.sort_unstable_by(f64::total_cmp);
    measured.ops_per_second = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
    measured.garbage = backend.garbage()?;
    Ok(measured)
}

fn round(
    workload: &Workload,
    semantics: SemanticsKind,
    backend: BackendKind,
    sum: &mut Counters,
) -> Result<(u64, Duration), PlayError> {
    let objects = objects(workload, semantics, backend)?;
    let timelines = timelines(workload);
    let mut signalers: Vec<Option<Signaler>> = Vec::new();
    signalers.resize_with(workload.recorded.jobs.len(), || None);
    let mut operations = 0;
    let started = Instant::now();
    for step in &workload.recorded.steps {
        let touches = workload.touches(step.job);
        if step.is_end {
            if let Some(signaler) = signalers[step.job as usize].take() {
                signaler.signal();
                operations += 1;
            }
            continue;
        }
        if touches.is_empty() {
            continue;
        }
        for touch in touches {
            let object = &objects[touch.buffer as usize];
            std::hint::black_box(object.waits_for(touch.access)?);
            std::hint::black_box(object.is_idle(touch.access));
        }
        let line = workload.job(step.job).timeline as usize;
        let signaler = timelines[line].issue_at(u64::from(step.job) + 1)?;
        for touch in touches {
            objects[touch.buffer as usize].transact(&[Edit::Add {
                fence: signaler.fence().clone(),
                usage: touch.usage,
            }])?;
        }
        operations += 3 * touches.len() as u64;
        signalers[step.job as usize] = Some(signaler);
    }
    let elapsed = started.elapsed();
    let counters = counters(&objects);
    sum.retries += counters.retries;
    sum.fallbacks += counters.fallbacks;
    Ok((operations, elapsed))
}
