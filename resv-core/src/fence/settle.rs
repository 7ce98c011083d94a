//! Signalling: what happens, in which order, when a fence and all that hangs on it signals.
//!
//! 1. The fence becomes signalled, and so do the composed fences that this completes, theirs in
//!    turn, and the points that the timelines have reached: a list, not a recursion, so a chain of
//!    compositions may be of any length. No foreign code runs, and one fence's lock is held at a
//!    time: that of a fence with something more than callbacks. A plain fence that nobody waits for
//!    costs the change of its outcome, the raise of its timeline's reach, and a look at who waits for
//!    that.
//! 2. Their callbacks run, those of the first fence first, with no lock held. So a callback sees
//!    everything signalled that its fence completes.
//! 3. What they owned is dropped: the children of compositions, hooks that were never called.

use super::extra::Extra;
use super::handle::Fence;
use super::point::Reach;
use super::status::{FenceError, FenceStatus, outcome};
use super::trace;
use crate::checks;
use resv_sync::callbacks::Closed;
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
    callbacks: Closed<'static>,
    extra: Option<Box<Extra>>,
    /// How far the timeline has come, if somebody waits for a point of it.
    awaited: Option<&'static Reach>,
    /// Keeps a fence that was found by the way until the callbacks have run.
    _handle: Option<Fence>,
}

impl Settled {
    fn new(
        callbacks: Closed<'static>,
        extra: Option<Box<Extra>>,
        awaited: Option<&'static Reach>,
        error: Option<FenceError>,
    ) -> Settled {
        Settled {
            status: FenceStatus::of(Some(outcome(error))),
            callbacks,
            extra,
            awaited,
            _handle: None,
        }
    }
}

/// Runs callbacks, all of them.
fn run(callbacks: &mut Closed<'_>, panics: &mut Panics) {
    while callbacks.has_callbacks() {
        // Again after a panic: what has been begun is not there any more.
        panics.catch(|| {
            while let Some(callback) = callbacks.next_callback() {
                callback.run();
            }
        });
    }
}

impl Fence {
    /// Signals. Called once for each fence: by its signaler, which knows the reach of the timeline.
    #[inline]
    pub(super) fn complete(&self, reach: &'static Reach, error: Option<FenceError>) {
        let (mut callbacks, awaited) = self.close(reach, error);
        if callbacks.is_marked() || awaited.is_some() {
            let settled = self.look_further(callbacks, awaited, error);
            trace::signaled(self);
            spread(settled);
        } else {
            trace::signaled(self);
            if callbacks.has_callbacks() {
                let mut panics = Panics::default();
                run(&mut callbacks, &mut panics);
                panics.resume();
            }
        }
    }

    /// A point has been reached.
    fn settle(&self, reach: &'static Reach) -> Settled {
        let (callbacks, awaited) = self.close(reach, None);
        self.look_further(callbacks, awaited, None)
    }

    /// Takes, if there was a mark, what there is besides callbacks.
    fn look_further(
        &self,
        callbacks: Closed<'static>,
        awaited: Option<&'static Reach>,
        error: Option<FenceError>,
    ) -> Settled {
        let marked = callbacks.is_marked();
        let take = || self.cell().cold().lock().extra.take();
        let extra = marked.then(take).flatten();
        Settled::new(callbacks, extra, awaited, error)
    }

    /// One child of this composed fence has signalled, with `status`. If that completes this one,
    /// it becomes signalled and the caller [spreads](spread) it.
    pub(super) fn child_signaled(self, status: FenceStatus) -> Option<Settled> {
        let mut settled = {
            let mut cold = self.cell().cold().lock();
            // Nothing there: it has signalled already, as `any` does before its last child.
            let composition = cold.extra.as_mut()?.composition.as_mut()?;
            let error = composition.count(status)?;
            let reach = cold.line().reach();
            let (callbacks, awaited) = self.close(reach, error);
            // Under the same lock as the count: no later child finds anything to count.
            Settled::new(callbacks, cold.extra.take(), awaited, error)
        };
        trace::signaled(&self);
        settled._handle = Some(self);
        Some(settled)
    }

    /// Becomes signalled. Returns the callbacks, and the reach if somebody waits for a point of it.
    #[inline]
    fn close(
        &self,
        reach: &'static Reach,
        error: Option<FenceError>,
    ) -> (Closed<'static>, Option<&'static Reach>) {
        let callbacks = self.cell().outcome().close(outcome(error));
        checks::settled(self);
        let is_awaited = reach.advance(self.seqno());
        (callbacks, is_awaited.then_some(reach))
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
        for point in settled.awaited.take().into_iter().flat_map(Reach::reached) {
            let (fence, reach) = point.into_parts();
            let mut next = fence.settle(reach);
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
        run(&mut settled.callbacks, &mut panics);
    }
    drop(done);
    panics.resume();
}
