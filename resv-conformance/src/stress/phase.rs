//! One phase: a crew of threads on a world of objects, from the start to the last check.

use super::crew::Crew;
use super::leftovers::Before;
use super::post::{Doing, Post};
use super::watchdog;
use super::worker::{Remains, Worker};
use super::{Config, Failure, Fault, Tally, class};
use crate::Subject;
use resv_api::Access;
use resv_api::lock::Algorithm;
use resv_core::Signaler;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

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
    let counts = [threads, threads * Worker::TIMELINES, objects];
    let crew = Crew::new(on, phase, config.seed, counts, time);
    let remains = thread::scope(|scope| {
        let (ended, watched) = mpsc::channel();
        let (crew, work) = (&crew, &work);
        let watchdog = scope.spawn(move || watchdog::watch_crew(scope, crew, config, &watched));
        let server = scope.spawn(|| crew.jobs.serve());
        let workers: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || live(crew, thread, work)))
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
    let mut check = |post: &Post| audit(&crew, &mut remains, post);
    watchdog::watched(config, &crew.phase, &mut check)?;
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

/// One thread, from its start to its end. A panic of the library is a failure like any other.
fn live(
    crew: &Crew,
    thread: usize,
    work: impl Fn(&mut Worker<'_>) -> Result<(), Fault>,
) -> Option<Remains> {
    let mut worker = Worker::new(crew, thread, crew.seed);
    let worked = catch_unwind(AssertUnwindSafe(|| work(&mut worker)));
    if let Err(fault) = worked.unwrap_or_else(|panic| Err(Fault::of_panic(&*panic))) {
        crew.fails(thread, fault);
    }
    crew.posts[thread].beat(Doing::Ended, 0);
    (!crew.has_failed()).then(|| worker.into_remains())
}

/// The checks when all threads have ended: first while the kept jobs are pending, then when they
/// have signalled.
fn audit(crew: &Crew, remains: &mut [Remains], post: &Post) -> Result<(), Fault> {
    for at in 0..crew.world.objects.len() {
        post.beat(Doing::Works, at);
        let uses = remains.iter().map(|remains| remains.uses[at]).sum();
        crew.world.audit(at, uses)?;
    }
    Before::no_waiters()?;
    let kept = remains
        .iter_mut()
        .flat_map(|remains| remains.kept.drain(..));
    kept.for_each(Signaler::signal);
    for (at, object) in crew.world.objects.iter().enumerate() {
        post.beat(Doing::Works, at);
        if !object.resv.is_idle(Access::Move) {
            return Err(Fault::at(at, "every job is done, but it is not idle"));
        }
    }
    Ok(())
}
