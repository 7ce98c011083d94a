//! Signalling: what happens, in which order, when a fence and all that hangs on it signals.
//!
//! 1. The fence becomes signalled, and so do the composed fences that this completes, theirs in
//!    turn, and the points that the timelines have reached: a list, not a recursion, so a chain of
//!    compositions may be of any length. No foreign code runs, and one fence's lock is held at a
//!    time.
//! 2. Their callbacks run, those of the first fence first, with no lock held. So a callback sees
//!    everything signalled that its fence completes.
//! 3. What they owned is dropped: the children of compositions, hooks that were never called.

use super::extra::Extra;
use super::handle::{Callback, Fence};
use super::status::{FenceError, FenceStatus, StateWord};
use super::timeline::Timeline;
use super::trace;
use crate::checks;
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The first panic of several pieces of foreign code, all of which are to run.
#[derive(Default)]
pub(super) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    pub(super) fn catch(&mut self, f: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
            self.0.get_or_insert(panic);
        }
    }

    /// Goes on with the panic, if there was one and this thread is not panicking already.
    pub(super) fn resume(self) {
        if let Some(panic) = self.0
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// A fence that has just become signalled, and what it owes.
pub(super) struct Settled {
    status: FenceStatus,
    callbacks: Vec<(u64, Callback)>,
    extra: Option<Box<Extra>>,
    /// The timeline, if somebody waits for a point of it.
    awaited: Option<Timeline>,
    /// Keeps a fence that was found by the way until the callbacks have run.
    _handle: Option<Fence>,
}

impl Settled {
    fn run(&mut self, panics: &mut Panics) {
        let status = self.status;
        for (_, callback) in std::mem::take(&mut self.callbacks) {
            panics.catch(|| callback(status));
        }
    }
}

impl Fence {
    /// Signals. Called once for each fence: by its signaler.
    pub(super) fn complete(&self, result: Result<(), FenceError>) {
        let word = match result {
            Ok(()) => StateWord::SIGNALED,
            Err(error) => StateWord::error(error),
        };
        let mut settled = self.settle(word);
        trace::signaled(self);
        if settled.extra.is_some() || settled.awaited.is_some() {
            spread(settled);
        } else {
            let mut panics = Panics::default();
            settled.run(&mut panics);
            panics.resume();
        }
    }

    /// Becomes signalled; the caller runs what is owed.
    fn settle(&self, word: StateWord) -> Settled {
        self.settle_if(|_| Some(word))
            .expect("the decision is to signal")
    }

    /// One child of this composed fence has signalled, with `status`. If that completes this one,
    /// it becomes signalled and the caller [spreads](spread) it.
    pub(super) fn child_signaled(self, status: FenceStatus) -> Option<Settled> {
        let mut settled = self.settle_if(|extra| {
            // Nothing there: it has signalled already, as `any` does before its last child.
            let composition = extra.as_mut()?.composition.as_mut()?;
            composition.count(status)
        })?;
        trace::signaled(&self);
        settled._handle = Some(self);
        Some(settled)
    }

    fn settle_if(
        &self,
        decide: impl FnOnce(&mut Option<Box<Extra>>) -> Option<StateWord>,
    ) -> Option<Settled> {
        let mut cold = self.cell().cold().lock();
        let word = decide(&mut cold.extra)?;
        self.cell().set_state(word);
        checks::settled(self);
        let awaited = cold
            .timeline
            .as_ref()
            .filter(|timeline| timeline.reach().advance(self.seqno()))
            .cloned();
        Some(Settled {
            status: word.status(),
            callbacks: std::mem::take(&mut cold.callbacks),
            extra: cold.extra.take(),
            awaited,
            _handle: None,
        })
    }
}

/// Signals everything that `first` completes, and runs what all of them owe.
pub(super) fn spread(first: Settled) {
    let mut todo = VecDeque::from([first]);
    let mut done = Vec::new();
    while let Some(mut settled) = todo.pop_front() {
        if let Some(extra) = &mut settled.extra {
            let parents = std::mem::take(&mut extra.watchers);
            todo.extend(
                parents
                    .into_iter()
                    .filter_map(|parent| parent.upgrade()?.child_signaled(settled.status)),
            );
        }
        for point in settled.awaited.take().iter().flat_map(Timeline::reached) {
            let fence = point.into_fence();
            let mut next = fence.settle(StateWord::SIGNALED);
            trace::signaled(&fence);
            next._handle = Some(fence);
            todo.push_back(next);
        }
        done.push(settled);
    }
    // `any` leaves children behind that have not signalled.
    for extra in done.iter().rev().filter_map(|s| s.extra.as_ref()) {
        if let Some(composition) = &extra.composition {
            for child in composition.children.iter().rev() {
                child.unwatch(composition.own);
            }
        }
    }
    let mut panics = Panics::default();
    for settled in &mut done {
        settled.run(&mut panics);
    }
    drop(done);
    panics.resume();
}
