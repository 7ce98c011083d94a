//! How fast the objects are: the operations of a play, and nothing else.
//!
//! The clock runs while fences are issued, objects asked and edited, and fences signalled. Nothing is watched or compared
//! meanwhile. A short recording is played over and over until the clock has something to show; the speed is that of the
//! middle round, so that a round during which the machine did something else does not count.

use std::time::{Duration, Instant};

use resv_api::{BackendKind, Counters, Edit, Garbage, SemanticsKind, Signaler};

use super::error::PlayError;
use super::play::{counters, objects, timelines};
use super::workload::Workload;

/// The least time to measure.
const LEAST: Duration = Duration::from_millis(5);
/// The most rounds to play for it.
const MOST_ROUNDS: u64 = 64;

/// What a measurement gave.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Lists of what to wait for, idle tests, transactions and signals.
    pub operations: u64,
    /// The time they took.
    pub elapsed: Duration,
    /// Operations in a second, in the middle round; 0 if there was none.
    pub ops_per_second: f64,
    /// What readers had to do.
    pub counters: Counters,
    /// What was retired at the end, and the most at one time.
    pub garbage: Garbage,
}

/// Plays a workload for speed alone.
///
/// The figure for retired memory counts all objects of the back end in the process.
///
/// # Errors
/// As [`play`](super::play()).
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
