//! One phase: a crew of threads on a world of objects, from the start to the last check.

use super::jobs::Jobs;
use super::leftovers::Before;
use super::watchdog::{self, Doing, Post};
use super::worker::{Remains, Worker};
use super::world::World;
use super::{Config, Failure, Fault, Tally, class};
use crate::Subject;
use resv_api::Access;
use resv_api::lock::Algorithm;
use resv_core::Signaler;
use resv_sync::sync::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What the threads of a phase share.
pub(super) struct Crew {
    pub(super) phase: String,
    pub(super) world: World,
    pub(super) jobs: Jobs,
    pub(super) posts: Vec<Post>,
    seed: u64,
    until: Instant,
    /// Set when somebody has found a failure.
    failed: AtomicBool,
    first: Mutex<Option<Failure>>,
}

impl Crew {
    /// Whether another round is to be begun.
    pub(super) fn goes_on(&self) -> bool {
        !self.has_failed() && Instant::now() < self.until
    }

    /// Whether somebody has found a failure.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The first failure.
    pub(super) fn found(&self) -> Option<Failure> {
        let first = self.first.lock();
        first.clone()
    }

    fn fails(&self, thread: usize, fault: Fault) {
        let failure = fault.found_by(Some(thread), &self.phase, self.seed);
        let mut first = self.first.lock();
        first.get_or_insert(failure);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// One thread, from its start to its end. A panic of the library is a failure like any other.
    fn work(
        &self,
        thread: usize,
        work: impl Fn(&mut Worker<'_>) -> Result<(), Fault>,
    ) -> Option<Remains> {
        let mut worker = Worker::new(self, thread, self.seed);
        let worked = catch_unwind(AssertUnwindSafe(|| work(&mut worker)));
        if let Err(fault) = worked.unwrap_or_else(|panic| Err(Fault::of_panic(&*panic))) {
            self.fails(thread, fault);
        }
        self.posts[thread].beat(Doing::Ended, 0);
        (!self.has_failed()).then(|| worker.into_remains())
    }

    /// The checks when all threads have ended: first while the kept jobs are pending, then when they
    /// have signalled.
    fn audit(&self, remains: &mut [Remains], post: &Post) -> Result<(), Fault> {
        for at in 0..self.world.objects.len() {
            post.beat(Doing::Works, at);
            let uses = remains.iter().map(|remains| remains.uses[at]).sum();
            self.world.audit(at, uses)?;
        }
        Before::no_waiters()?;
        let kept = remains
            .iter_mut()
            .flat_map(|remains| remains.kept.drain(..));
        kept.for_each(Signaler::signal);
        for (at, object) in self.world.objects.iter().enumerate() {
            post.beat(Doing::Works, at);
            if !object.resv.is_idle(Access::Move) {
                return Err(Fault::at(at, "every job is done, but it is not idle"));
            }
        }
        Ok(())
    }
}

/// What a phase is about: its name, and how many threads and objects it has.
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) threads: usize,
    pub(super) objects: usize,
    pub(super) time: Duration,
}

/// Runs `work` on each thread, and checks what must be true then.
pub(super) fn run(
    on: Subject,
    config: &Config,
    phase: Phase,
    work: impl Fn(&mut Worker<'_>) -> Result<(), Fault> + Sync,
) -> Result<Tally, Failure> {
    let Phase {
        name,
        threads,
        objects,
        time,
    } = phase;
    assert!(
        threads > 0 && objects > 0,
        "a phase has threads and objects"
    );
    let phase = format!("{name}, {on}");
    let before = watchdog::watched(config, &phase, |post| Ok(Before::new(on, post)))?;
    let backoffs = backoffs();
    let crew = Crew {
        phase,
        world: World::new(on, objects),
        jobs: Jobs::new(threads * Worker::TIMELINES),
        posts: (0..threads).map(|_| Post::new()).collect(),
        seed: config.seed,
        until: Instant::now() + time,
        failed: AtomicBool::new(false),
        first: Mutex::new(None),
    };
    let remains = thread::scope(|scope| {
        let (ended, watched) = mpsc::channel();
        let (crew, work) = (&crew, &work);
        let watchdog = scope.spawn(move || watchdog::watch_crew(scope, crew, config, &watched));
        let server = scope.spawn(|| crew.jobs.serve());
        let workers: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || crew.work(thread, work)))
            .collect();
        let remains: Vec<_> = workers
            .into_iter()
            .map(|worker| worker.join().expect("a panic of a thread is caught"))
            .collect();
        crew.jobs.end();
        server.join().expect("signalling does not panic");
        drop(ended);
        // ThreadSanitizer sees a thread joined, but not a scope that waits for it.
        watchdog.join().expect("watching does not panic");
        remains
    });
    if let Some(failure) = crew.found() {
        return Err(failure);
    }
    let mut remains: Vec<Remains> = remains.into_iter().flatten().collect();
    let mut audit = |post: &Post| crew.audit(&mut remains, post);
    watchdog::watched(config, &crew.phase, &mut audit)?;
    let mut tally = Tally::default();
    for remains in remains {
        tally += remains.tally;
    }
    tally.backoffs = self::backoffs() - backoffs;
    let Crew { phase, world, .. } = crew;
    let end = |post: &Post| {
        drop(world);
        before.no_fences(on, post)?;
        Before::no_waiters()
    };
    watchdog::watched(config, &phase, end)?;
    Ok(tally)
}

/// How often contexts under stress have backed off.
fn backoffs() -> u64 {
    let counts = Algorithm::ALL.map(|algorithm| class(algorithm).backoffs());
    counts.iter().sum()
}
