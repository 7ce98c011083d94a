//! Phase 1: m threads lock k of n objects, each in an order of its own (L-08).

use super::phase::{self, Phase};
use super::post::Doing;
use super::worker::Worker;
use super::{Config, Failure, Fault, Tally, class};
use crate::Subject;
use resv_api::lock::Algorithm;
use resv_api::{ExecError, Transaction, Tx};
use std::fmt;
use std::time::Duration;

/// What a transaction does about its order when it has to back off. The three of the kernel's
/// `test-ww_mutex`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// It keeps its order, and meets the contended object, which it then holds already, where it
    /// met it before.
    InOrder,
    /// The contended object becomes the first of its order.
    Reorder,
    /// There is no order: all want the same one object.
    One,
}

impl Strategy {
    /// All three.
    pub const ALL: [Strategy; 3] = [Strategy::InOrder, Strategy::Reorder, Strategy::One];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::InOrder => "in order",
            Strategy::Reorder => "reordered",
            Strategy::One => "all on one",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Random orders for about `time`.
///
/// # Errors
///
/// The first thing that was found not to be true.
///
/// # Panics
///
/// When a number in `config` is 0.
pub fn random(
    on: Subject,
    config: &Config,
    strategy: Strategy,
    algorithm: Algorithm,
    time: Duration,
) -> Result<Tally, Failure> {
    let phase = Phase {
        name: format!("random, {strategy}, {}", algorithm.name()),
        threads: config.threads,
        objects: config.objects,
        time,
    };
    let locks = config.locks.clamp(1, config.objects.max(1));
    phase::run(on, config, phase, |worker| {
        let mut order = Vec::new();
        loop {
            match strategy {
                Strategy::One => order = vec![0],
                Strategy::InOrder | Strategy::Reorder => worker.choose(locks, &mut order),
            }
            transact(worker, strategy, algorithm, &mut order)?;
            worker.pause()?;
            if !worker.crew.goes_on() {
                return Ok(());
            }
        }
    })
}

/// One transaction over the objects of `order`.
pub(super) fn transact(
    worker: &mut Worker<'_>,
    strategy: Strategy,
    algorithm: Algorithm,
    order: &mut [usize],
) -> Result<(), Fault> {
    Transaction::new().class(class(algorithm)).run(|tx| {
        let run = run_once(worker, tx, strategy, order);
        if let Err(ExecError::Backoff(_)) = run
            && tx.held() == 0
        {
            let fault = Fault::new("a context backs off, but holds nothing");
            return Err(ExecError::Failed(fault));
        }
        run
    })
}

/// One run of the closure of a transaction.
pub(super) fn run_once<'env>(
    worker: &mut Worker<'env>,
    tx: &Tx<'env>,
    strategy: Strategy,
    order: &mut [usize],
) -> Result<(), ExecError<Fault>> {
    let crew = worker.crew;
    let mut held = Vec::with_capacity(order.len());
    for nth in 0..order.len() {
        let at = order[nth];
        worker.beat(Doing::Wants, at);
        match tx.lock(&crew.world.objects[at].resv) {
            Ok(receipt) => held.push((worker.enter(at).map_err(ExecError::Failed)?, receipt)),
            Err(backoff) => {
                let stays = held.into_iter().map(|(stay, _)| stay);
                worker.abandon(stays).map_err(ExecError::Failed)?;
                if strategy == Strategy::Reorder {
                    order[..=nth].rotate_right(1);
                }
                return Err(backoff.into());
            }
        }
    }
    worker.use_all(held).map_err(ExecError::Failed)
}
