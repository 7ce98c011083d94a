//! Phase 2: context i holds object i and wants object i + 1, the last one wants object 0 (L-04). Only
//! a back-off takes that apart.

use super::crew::Crew;
use super::phase::{self, Phase};
use super::post::Doing;
use super::worker::Worker;
use super::{Config, Failure, Fault, Tally, class};
use crate::Subject;
use resv_api::lock::Algorithm;
use resv_api::{ExecError, Transaction};
use resv_sync::sync::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Cycles of so many contexts, at least 2, for about `time`.
///
/// # Errors
///
/// The first thing that was found not to be true.
///
/// # Panics
///
/// When there are fewer than two contexts.
pub fn cycles(
    on: Subject,
    config: &Config,
    contexts: usize,
    algorithm: Algorithm,
    time: Duration,
) -> Result<Tally, Failure> {
    assert!(contexts >= 2, "a cycle has two contexts or more");
    let phase = Phase {
        name: format!("cycles of {contexts}, {}", algorithm.name()),
        threads: contexts,
        objects: contexts,
        time,
    };
    let (meeting, rounds) = (Meeting::new(contexts), AtomicU64::new(0));
    let is_last = AtomicBool::new(false);
    let before = class(algorithm).backoffs();
    let mut tally = phase::run(on, config, phase, |worker| {
        loop {
            go_round(worker, algorithm, &meeting)?;
            if worker.thread == 0 {
                let rounds = rounds.fetch_add(1, Ordering::Relaxed) + 1;
                if class(algorithm).backoffs() - before < rounds {
                    return Err(Fault::new("a cycle came apart without a back-off"));
                }
                is_last.store(!worker.crew.goes_on(), Ordering::Relaxed);
            }
            // Or one would hold its object while another still needs it for the round before.
            meeting.meet(worker)?;
            if is_last.load(Ordering::Relaxed) {
                return Ok(());
            }
            worker.pause()?;
        }
    })?;
    tally.cycles = rounds.into_inner();
    Ok(tally)
}

fn go_round(worker: &mut Worker<'_>, algorithm: Algorithm, meeting: &Meeting) -> Result<(), Fault> {
    let crew = worker.crew;
    let world = &crew.world;
    let own = worker.thread;
    let next = (own + 1) % world.objects.len();
    let mut has_met = false;
    Transaction::new().class(class(algorithm)).run(|tx| {
        let mut held = Vec::with_capacity(2);
        for at in [own, next] {
            worker.beat(Doing::Wants, at);
            match tx.lock(&world.objects[at].resv) {
                Ok(receipt) => held.push((worker.enter(at).map_err(ExecError::Failed)?, receipt)),
                Err(backoff) => {
                    let stays = held.into_iter().map(|(stay, _)| stay);
                    worker.abandon(stays).map_err(ExecError::Failed)?;
                    return Err(backoff.into());
                }
            }
            if !has_met {
                has_met = true;
                meeting.meet(worker).map_err(ExecError::Failed)?;
            }
        }
        worker.use_all(held).map_err(ExecError::Failed)
    })
}

/// A barrier that is given up when a thread has found a failure, and so will not come.
struct Meeting {
    size: usize,
    /// How many have come so far, in all meetings.
    come: Mutex<u64>,
    changed: Condvar,
}

impl Meeting {
    fn new(size: usize) -> Meeting {
        Meeting {
            size,
            come: Mutex::new(0),
            changed: Condvar::new(),
        }
    }

    fn meet(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        worker.beat(Doing::Meets, 0);
        let crew: &Crew = worker.crew;
        let size = self.size as u64;
        let mut come = self.come.lock();
        let complete = (*come / size + 1) * size;
        *come += 1;
        self.changed.notify_all();
        while *come < complete {
            if crew.has_failed() {
                return Err(Fault::new("the others have failed"));
            }
            let soon = Instant::now() + Duration::from_millis(100);
            (come, _) = self.changed.wait_until(come, Some(soon));
        }
        Ok(())
    }
}
