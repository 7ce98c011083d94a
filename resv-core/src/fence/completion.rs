//! Signalling: what happens, in which order, when a fence and all that hangs on it signals.
//!
//! 1. The fence becomes signalled, and so do the composed fences that this completes, theirs in
//!    turn, and the points that the timelines have reached: a list, not a recursion, so a chain of
//!    compositions may be of any length. No foreign code runs, and one fence's lock is held at a
//!    time: that of a fence with something more than callbacks. A plain fence that nobody waits for
//!    costs the change of its outcome, the raise of its timeline's reach, and a look at who waits for
//!    that.
//! 2. Their callbacks run, those of the first fence first, with no lock held: now, or, inside a
//!    callback, when the thread [comes to it](super::run_queue). So a callback sees everything signalled
//!    that its fence completes.
//! 3. What they owned is dropped: the children of compositions, hooks that were never called.

use super::extra::{Child, Composition, Counted, Watcher};
use super::handle::Fence;
use super::point::Reach;
use super::status::{FenceError, FenceStatus, outcome};
use super::task::{self, Completion, Task};
use super::trace;
use crate::checks;
use resv_sync::callbacks::Closed;
use std::collections::VecDeque;

impl Fence {
    /// Signals. Called once for each fence: by its signaler, which knows the reach of the timeline.
    #[inline]
    pub(super) fn complete(self, reach: &'static Reach, error: Option<FenceError>) {
        let (callbacks, awaited) = self.close(reach, error);
        if callbacks.is_marked() || awaited.is_some() {
            let completion = self.look_further(callbacks, awaited, error);
            trace::signaled(&completion.fence);
            spread(completion);
        } else {
            trace::signaled(&self);
            if callbacks.has_callbacks() {
                task::run(Task::Callbacks(callbacks, self));
            }
        }
    }

    /// A point has been reached.
    fn reached(self, reach: &'static Reach) -> Completion {
        let (callbacks, awaited) = self.close(reach, None);
        self.look_further(callbacks, awaited, None)
    }

    /// Takes, if there was a mark, what there is besides callbacks.
    fn look_further(
        self,
        callbacks: Closed<'static>,
        awaited: Option<&'static Reach>,
        error: Option<FenceError>,
    ) -> Completion {
        let marked = callbacks.is_marked();
        let take = || self.cell().cold().lock().extra.take();
        let extra = marked.then(take).flatten();
        Completion {
            status: FenceStatus::of(Some(outcome(error))),
            callbacks,
            extra,
            awaited,
            fence: self,
        }
    }

    /// Runs `f` on the composition of this composed fence; `None` if it has signalled.
    pub(super) fn in_composition<R>(&self, f: impl FnOnce(&mut Composition) -> R) -> Option<R> {
        let mut cold = self.cell().cold().lock();
        cold.extra.as_mut()?.composition.as_mut().map(f)
    }

    /// These are the children of this composed fence. If that completes it, it becomes signalled and the
    /// caller [spreads](spread) it.
    pub(super) fn make_whole(&self, children: Vec<Child>) -> Option<Completion> {
        match self.clone().count(|c| c.make_whole(children))? {
            News::Signaled(completion) => Some(completion),
            News::WillFail(..) => None,
        }
    }

    /// One child of this composed fence has signalled, with `status`. If that completes this one,
    /// it becomes signalled and the caller [spreads](spread) it.
    pub(super) fn child_signaled(self, status: FenceStatus) -> Option<News> {
        self.count(|c| c.count(status))
    }

    /// A child of this composed fence, a composition itself, will signal with `error`.
    fn child_will_fail(self, error: FenceError) -> Option<News> {
        self.count(|c| match c.will_fail(error) {
            true => Counted::WillFail(error),
            false => Counted::Nothing,
        })
    }

    fn count(self, f: impl FnOnce(&mut Composition) -> Counted) -> Option<News> {
        let (callbacks, awaited, extra, error) = {
            let mut cold = self.cell().cold().lock();
            // Nothing there: it has signalled already, as `any` does before its last child.
            let extra = cold.extra.as_mut()?;
            match f(extra.composition.as_mut()?) {
                Counted::Nothing => return None,
                Counted::WillFail(error) => {
                    let parents = extra.watchers.iter().copied().collect();
                    return Some(News::WillFail(error, parents));
                }
                Counted::Completes(error) => {
                    let reach = cold.line().reach();
                    let (callbacks, awaited) = self.close(reach, error);
                    // Under the same lock as the count: no later child finds anything to count.
                    (callbacks, awaited, cold.extra.take(), error)
                }
            }
        };
        trace::signaled(&self);
        Some(News::Signaled(Completion {
            status: FenceStatus::of(Some(outcome(error))),
            callbacks,
            extra,
            awaited,
            fence: self,
        }))
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

/// What happened to a fence, for those that are composed of it.
pub(super) enum News {
    /// It has signalled.
    Signaled(Completion),
    /// It is pending and will signal with this error: it is an `all` with a leaf that failed. These are
    /// composed of it.
    WillFail(FenceError, Vec<Watcher>),
}

/// Signals everything that `first` completes, and runs the callbacks of all of them.
pub(super) fn spread(first: Completion) {
    let mut todo = VecDeque::from([News::Signaled(first)]);
    let mut done = Vec::new();
    while let Some(news) = todo.pop_front() {
        let mut completion = match news {
            News::Signaled(completion) => completion,
            News::WillFail(error, parents) => {
                let parents = parents.into_iter().filter_map(Watcher::upgrade);
                todo.extend(parents.filter_map(|parent| parent.child_will_fail(error)));
                continue;
            }
        };
        if let Some(extra) = &mut completion.extra {
            let watchers = std::mem::take(&mut extra.watchers);
            let parents = watchers.iter().filter_map(|parent| parent.upgrade());
            todo.extend(parents.filter_map(|parent| parent.child_signaled(completion.status)));
        }
        for point in completion
            .awaited
            .take()
            .into_iter()
            .flat_map(Reach::reached)
        {
            let (fence, reach) = point.into_parts();
            let next = fence.reached(reach);
            trace::signaled(&next.fence);
            todo.push_back(News::Signaled(next));
        }
        done.push(completion);
    }
    // `any` leaves children behind that have not signalled.
    for extra in done.iter().rev().filter_map(|c| c.extra.as_ref()) {
        if let Some(composition) = &extra.composition {
            composition.children.iter().for_each(Child::unwatch);
        }
    }
    task::run(Task::Completions(done));
}
