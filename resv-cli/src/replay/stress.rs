//! A workload played by several threads at once, to see whether the objects hold.
//!
//! Each timeline is one task that plays its own jobs in order: it asks, adds and signals as the recording has it on that
//! timeline, while the other timelines do the same to the same objects at their own pace. Which answers come is up to the
//! scheduler; what must hold is not:
//!
//! * nothing panics;
//! * a fence is in the object right after its own add, as long as it is pending (its own task signals it, later) and no job of
//!   another timeline may, by the tables, have superseded it meanwhile;
//! * when all fences have signalled, every object is idle and empty.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use resv_api::{
    Access, BackendKind, Edit, Key, Reservation, SemanticsKind, Signaler, Timeline, TimelineId,
    Usage,
};
use serde::Serialize;

use super::error::PlayError;
use super::recorded::{JobId, Step};
use super::rule::Touch;
use super::stage::{counters, objects, timelines};
use super::workload::Workload;

/// How many failures are told in words.
const FAILURES_TOLD: usize = 8;
/// Jobs to play at least, over all rounds.
const LEAST_JOBS: u64 = 20_000;
/// The most rounds to play for it.
const MOST_ROUNDS: u64 = 50;

/// The outcome of a stress run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StressReport {
    /// The semantics.
    pub semantics: String,
    /// The back end.
    pub backend: String,
    /// Threads that played.
    pub threads: usize,
    /// Times the workload was played.
    pub rounds: u64,
    /// Lists of what to wait for, idle tests, transactions and signals.
    pub operations: u64,
    /// Operations in a second, all threads together, checks included in the time.
    pub ops_per_second: f64,
    /// Reads that were started again.
    pub retries: u64,
    /// Reads that shut writers out.
    pub fallbacks: u64,
    /// The most memory blocks retired and not yet freed at one time.
    pub peak_garbage: u64,
    /// Checks that failed.
    pub failed_checks: u64,
    /// The first few of them in words.
    pub failures: Vec<String>,
}

impl StressReport {
    /// Whether every check held.
    pub fn passed(&self) -> bool {
        self.failed_checks == 0
    }
}

/// Plays a workload on `threads` threads (at least one).
///
/// # Errors
/// If the back end is not compiled in or the threads cannot be started. What goes wrong while they play is a failed check.
pub fn stress(
    workload: &Workload,
    semantics: SemanticsKind,
    backend: BackendKind,
    threads: usize,
) -> Result<StressReport, PlayError> {
    let threads = threads.max(1);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| PlayError::Threads(error.to_string()))?;
    backend.reset_garbage_peak()?;
    let jobs = (workload.recorded.jobs.len() as u64).max(1);
    let rounds = LEAST_JOBS.div_ceil(jobs).clamp(1, MOST_ROUNDS);
    let faults = Faults::default();
    let mut report = StressReport {
        semantics: semantics.to_string(),
        backend: backend.to_string(),
        threads,
        rounds,
        operations: 0,
        ops_per_second: 0.0,
        retries: 0,
        fallbacks: 0,
        peak_garbage: 0,
        failed_checks: 0,
        failures: Vec::new(),
    };
    let parts = Parts::of(workload);
    let mut elapsed = Duration::ZERO;
    for _ in 0..rounds {
        let round = Round {
            workload,
            semantics,
            parts: &parts,
            objects: objects(workload, semantics, backend)?,
            timelines: timelines(workload),
            operations: AtomicU64::new(0),
            faults: &faults,
        };
        let started = Instant::now();
        let played = catch_unwind(AssertUnwindSafe(|| pool.install(|| round.play())));
        elapsed += started.elapsed();
        if played.is_err() {
            faults.add(|| "a thread panicked".to_owned());
        } else {
            round.check_idle();
        }
        let counters = counters(&round.objects);
        report.retries += counters.retries;
        report.fallbacks += counters.fallbacks;
        report.operations += round.operations.load(Ordering::Relaxed);
    }
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 {
        report.ops_per_second = report.operations as f64 / seconds;
    }
    report.peak_garbage = backend.garbage()?.peak as u64;
    report.failed_checks = faults.count.load(Ordering::Relaxed);
    report.failures = match faults.told.into_inner() {
        Ok(told) => told,
        Err(poisoned) => poisoned.into_inner(),
    };
    Ok(report)
}

/// Checks that failed, over all rounds and threads.
#[derive(Default)]
struct Faults {
    // Relaxed throughout: a count, read when the threads have gone.
    count: AtomicU64,
    told: Mutex<Vec<String>>,
}

impl Faults {
    fn add(&self, text: impl FnOnce() -> String) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut told) = self.told.lock()
            && told.len() < FAILURES_TOLD
        {
            told.push(text());
        }
    }
}

/// The timeline of the jobs that use a buffer in one way: none, one, or several.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Users {
    #[default]
    None,
    One(u32),
    Several,
}

/// A workload cut up for tasks.
struct Parts {
    /// For each timeline its steps.
    steps: Vec<Vec<Step>>,
    /// For each buffer and usage, whose jobs use it so.
    users: Vec<[Users; 4]>,
}

impl Parts {
    fn of(workload: &Workload) -> Parts {
        let recorded = &workload.recorded;
        let mut steps = vec![Vec::new(); recorded.timelines.len()];
        for step in &recorded.steps {
            steps[workload.job(step.job).timeline as usize].push(*step);
        }
        let mut users = vec![[Users::None; 4]; workload.buffers.len()];
        for (job, info) in (0..).zip(&recorded.jobs) {
            for touch in workload.touches(job) {
                let users = &mut users[touch.buffer as usize][touch.usage as usize];
                *users = match *users {
                    Users::None => Users::One(info.timeline),
                    Users::One(line) if line == info.timeline => Users::One(line),
                    _ => Users::Several,
                };
            }
        }
        Parts { steps, users }
    }

    /// Whether a job of another timeline may supersede a fence of `line` that was added with `touch`.
    fn may_go(&self, semantics: SemanticsKind, line: u32, touch: &Touch) -> bool {
        let key = |timeline: u64, usage: Usage| Key {
            timeline: TimelineId::from_raw(timeline),
            seqno: 1,
            usage: semantics.class(usage),
        };
        let mine = key(1, touch.usage);
        Usage::ALL.into_iter().any(|usage| {
            let is_used = match self.users[touch.buffer as usize][usage as usize] {
                Users::None => false,
                Users::One(other) => other != line,
                Users::Several => true,
            };
            is_used && semantics.supersedes(key(2, usage), mine)
        })
    }
}

struct Round<'a> {
    workload: &'a Workload,
    semantics: SemanticsKind,
    parts: &'a Parts,
    objects: Vec<Box<dyn Reservation>>,
    timelines: Vec<Timeline>,
    operations: AtomicU64,
    faults: &'a Faults,
}

impl Round<'_> {
    fn play(&self) {
        rayon::scope(|scope| {
            for (line, steps) in self.parts.steps.iter().enumerate() {
                scope.spawn(move |_| {
                    let operations = self.timeline(line, steps).unwrap_or_else(|error| {
                        self.faults.add(|| error.to_string());
                        0
                    });
                    self.operations.fetch_add(operations, Ordering::Relaxed);
                });
            }
        });
    }

    /// Plays one timeline; gives the number of operations.
    fn timeline(&self, line: usize, steps: &[Step]) -> Result<u64, PlayError> {
        // In order of seqno, as they are signalled.
        let mut pending: std::collections::BTreeMap<JobId, Signaler> = Default::default();
        let mut operations = 0;
        for step in steps {
            if step.is_end {
                if let Some(signaler) = pending.remove(&step.job) {
                    signaler.signal();
                    operations += 1;
                }
                continue;
            }
            let touches = self.workload.touches(step.job);
            if touches.is_empty() {
                continue;
            }
            for touch in touches {
                let object = &self.objects[touch.buffer as usize];
                std::hint::black_box(object.waits_for(touch.access)?);
                std::hint::black_box(object.is_idle(touch.access));
            }
            let signaler = self.timelines[line].issue_at(u64::from(step.job) + 1)?;
            for touch in touches {
                self.add(step.job, touch, &signaler)?;
            }
            operations += 3 * touches.len() as u64;
            pending.insert(step.job, signaler);
        }
        operations += pending.len() as u64;
        for (_, signaler) in pending {
            signaler.signal();
        }
        Ok(operations)
    }

    fn add(&self, job: JobId, touch: &Touch, signaler: &Signaler) -> Result<(), PlayError> {
        let object = &self.objects[touch.buffer as usize];
        object.transact(&[Edit::Add {
            fence: signaler.fence().clone(),
            usage: touch.usage,
        }])?;
        let entries = object.entries()?;
        let is_there = entries.iter().any(|entry| entry.fence == *signaler.fence());
        let line = self.workload.job(job).timeline;
        if !is_there && !self.parts.may_go(self.semantics, line, touch) {
            self.faults.add(|| {
                let name = self.workload.recorded.job_name(job);
                let buffer = self.workload.buffer_name(touch.buffer);
                format!(
                    "{name} is not in {buffer} after its own add {}",
                    touch.usage
                )
            });
        }
        Ok(())
    }

    fn check_idle(&self) {
        for (object, name) in self.objects.iter().zip(&self.workload.buffers) {
            let is_idle = Access::ALL.into_iter().all(|access| object.is_idle(access));
            let is_empty = object.entries().is_ok_and(|entries| entries.is_empty());
            if !is_idle || !is_empty {
                self.faults
                    .add(|| format!("{name} is not idle though all fences have signalled"));
            }
        }
    }
}
