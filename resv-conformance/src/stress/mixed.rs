//! Phase 3: every way of locking at once. Transactions of both algorithms meet each other, plain
//! locking, timeouts and tries at the same locks (L-01).

use super::phase::{self, Phase};
use super::post::Doing;
use super::random::{Strategy, run_once, transact};
use super::waits::{poll, thread_waker};
use super::worker::Worker;
use super::world::Stay;
use super::{Config, Failure, Fault, Tally, class};
use crate::Subject;
use resv_api::lock::{Algorithm, Context, LockError};
use resv_api::{AnyBackend, AnySemantics, Guard, Transaction};
use resv_core::{Backend, LockProof};
use std::pin::Pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

/// A mix for about `time`.
///
/// # Errors
///
/// The first thing that was found not to be true.
///
/// # Panics
///
/// When a number in `config` is 0, or no algorithm is named.
pub fn mixed(on: Subject, config: &Config, time: Duration) -> Result<Tally, Failure> {
    let phase = Phase {
        name: "mixed".to_owned(),
        threads: config.threads,
        objects: config.objects,
        time,
    };
    let locks = config.locks.clamp(1, config.objects.max(1));
    phase::run(on, config, phase, |worker| {
        let mut order = Vec::new();
        loop {
            worker.choose(locks, &mut order);
            let at = worker.rng.below(config.algorithms.len());
            let algorithm = config.algorithms[at];
            match worker.rng.below(9) {
                0 | 1 => plain(worker, order[0])?,
                2 => timed(worker, order[0])?,
                3 => worker.try_another()?,
                4 => transact(worker, Strategy::InOrder, algorithm, &mut order)?,
                5 => transact(worker, Strategy::Reorder, algorithm, &mut order)?,
                6 => task(worker, algorithm, &mut order)?,
                7 => slice(worker, algorithm, &mut order)?,
                _ => by_hand(worker, algorithm, &order)?,
            }
            worker.pause()?;
            if !worker.crew.goes_on() {
                return Ok(());
            }
        }
    })
}

/// One object, without a context.
fn plain(worker: &mut Worker<'_>, at: usize) -> Result<(), Fault> {
    worker.beat(Doing::Wants, at);
    let crew = worker.crew;
    let mut guard = crew.world.objects[at].resv.lock();
    let stay = worker.enter(at)?;
    worker.use_all(vec![(stay, &mut guard)])
}

/// One object, or not, if that takes too long.
fn timed(worker: &mut Worker<'_>, at: usize) -> Result<(), Fault> {
    worker.beat(Doing::Wants, at);
    let patience = Duration::from_micros(worker.rng.below(300) as u64);
    let crew = worker.crew;
    let lock = crew.world.objects[at].resv.backend().object_lock();
    let Some(held) = lock.lock_until(patience) else {
        return Ok(());
    };
    let stay = worker.enter(at)?;
    worker.leave([stay])?;
    drop(held);
    Ok(())
}

/// A transaction by a task, which is dropped now and then when it has to wait.
fn task(worker: &mut Worker<'_>, algorithm: Algorithm, order: &mut [usize]) -> Result<(), Fault> {
    let gives_up = worker.rng.one_in(4);
    let waker = thread_waker();
    let mut future = Transaction::new()
        .class(class(algorithm))
        .run_async(|tx| run_once(worker, tx, Strategy::Reorder, order));
    loop {
        match poll(Pin::new(&mut future), &waker) {
            Poll::Ready(done) => return done,
            Poll::Pending if gives_up => return Ok(()),
            Poll::Pending => thread::park(),
        }
    }
}

/// Many objects in one call, one of them twice.
fn slice(
    worker: &mut Worker<'_>,
    algorithm: Algorithm,
    order: &mut Vec<usize>,
) -> Result<(), Fault> {
    let again = order[worker.rng.below(order.len())];
    order.push(again);
    let crew = worker.crew;
    let objects = &crew.world.objects;
    let resvs: Vec<_> = order.iter().map(|&at| &objects[at].resv).collect();
    worker.beat(Doing::Wants, order[0]);
    let mut guards = Transaction::new().class(class(algorithm)).lock_all(&resvs);
    // The object of each guard: they are in the order in which they were locked, which is not ours.
    let object_of = |guard: &Guard<'_, AnySemantics, AnyBackend>| {
        (0..order.len()).find(|&place| std::ptr::eq(&guards[place], guard))
    };
    let places: Vec<_> = guards.objects().iter().map(object_of).collect();
    let mut held = Vec::with_capacity(order.len());
    for (place, guard) in places.into_iter().zip(guards.objects_mut()) {
        let place = place.ok_or_else(|| Fault::new("lock_all has a guard for no place"))?;
        held.push((worker.enter(order[place])?, guard));
    }
    worker.use_all(held)
}

/// With a context by hand: one's own lock once more, a try, a timeout, the back-off.
fn by_hand(worker: &mut Worker<'_>, algorithm: Algorithm, order: &[usize]) -> Result<(), Fault> {
    let crew = worker.crew;
    let objects = &crew.world.objects;
    let lock_of = |at: usize| objects[at].resv.backend().object_lock();
    let context = Context::in_class(class(algorithm));
    let ticket = context.ticket();
    let mut stays: Vec<Stay> = Vec::with_capacity(order.len());
    let mut held: Vec<LockProof<'_>> = Vec::with_capacity(order.len());
    let mut nth = 0;
    while let Some(&at) = order.get(nth) {
        nth += 1;
        let is_held = stays.iter().any(|stay| stay.at == at);
        worker.beat(Doing::Wants, at);
        let patience = Duration::from_micros(worker.rng.below(2_000) as u64);
        match lock_of(at).lock_with_until(&context, patience) {
            Ok(_) if is_held => return Err(Fault::at(at, "one context holds the lock twice")),
            Ok(one) => {
                held.push(one);
                stays.push(worker.enter(at)?);
            }
            Err(LockError::AlreadyHeld) if is_held => {}
            Err(LockError::TimedOut) => break,
            Err(LockError::Deadlock) if !held.is_empty() => {
                worker.abandon(stays.drain(..))?;
                held.clear();
                held.push(lock_of(at).lock_slow(&context));
                stays.push(worker.enter(at)?);
                nth = 0;
            }
            Err(error) => {
                let what = format!("with {} locks held, the answer is: {error}", held.len());
                return Err(Fault::at(at, what));
            }
        }
        if lock_of(at).try_lock_with(&context).is_some() {
            return Err(Fault::at(at, "a lock that is held was had by a try"));
        }
    }
    if context.ticket() != ticket || context.held() != held.len() {
        return Err(Fault::new("the context has lost its ticket or its count"));
    }
    worker.leave(stays)
}
