//! Signalling: what happens, in which order, when a fence and all that hangs on it signals.
//!
//! 1. The fence becomes signalled, and so do the composed fences that this completes, theirs in
//!    turn, and the points that the timelines have reached: a list, not a recursion, so a chain of
//!    compositions may be of any length. No foreign code runs, and one fence's lock is held at a
//!    time: that of a fence with something more than callbacks. A plain fence that nobody waits for
//!    costs the change of its outcome, the raise of its timeline's reach, and a look at what waits for
//!    that.
//! 2. Their callbacks run, those of the first fence first, with no lock held: now, or, inside a
//!    callback, when the thread [comes to it](super::run_queue). So a callback sees everything signalled
//!    that its fence completes.
//! 3. What they owned is dropped: the children of compositions, hooks that were never called.

use super::events;
use super::extra::{Child, Composition, Counted, Watcher};
use super::handle::Fence;
use super::reach::{Point, Reach};
use super::status::{FenceError, FenceStatus, outcome};
use super::task::{self, Completion, Task};
use crate::checks;
use resv_sync::callbacks::Closed;
use std::collections::VecDeque;

impl Fence {
    /// Signals, if it has not: by its signaler, which knows the reach of the timeline, or by the timeline.
    ///
    /// What most fences come to is by itself, and ends in a call if there is more: nothing is saved for that.
    #[inline(never)]
    pub(super) fn complete(self, reach: &'static Reach, error: Option<FenceError>) {
        match error {
            None => self.complete_with(reach, None),
            Some(error) => self.complete_failed(reach, error),
        }
    }

    #[cold]
    #[inline(never)]
    fn complete_failed(self, reach: &'static Reach, error: FenceError) {
        self.complete_with(reach, Some(error));
    }

    #[inline(always)]
    fn complete_with(self, reach: &'static Reach, error: Option<FenceError>) {
        let callbacks = self.cell().outcome().close(outcome(error));
        if !callbacks.took_effect() {
            // The timeline has failed all its fences.
            return;
        }
        checks::settled(&self);
        if let Some(error) = error {
            reach.fails(self.seqno(), error);
        }
        let is_awaited = reach.advance(self.seqno());
        if callbacks.takes_slow_path() || is_awaited || events::are_wanted() {
            self.spread_with(callbacks, error, is_awaited.then_some(reach));
        } else if callbacks.has_callbacks() {
            task::run_callbacks_of(self, callbacks);
        }
    }

    /// The rest of a signal that reaches others, or that is told of.
    #[cold]
    #[inline(never)]
    fn spread_with(
        self,
        callbacks: Closed<'static>,
        error: Option<FenceError>,
        awaited: Option<&'static Reach>,
    ) {
        events::signaled(self.cell());
        let mut completion = self.completion(callbacks, error);
        completion.awaited = awaited;
        spread([completion]);
    }

    /// What remains to be done: with the callbacks, if the slow-path flag was set, what there is besides.
    fn completion(self, callbacks: Closed<'static>, error: Option<FenceError>) -> Completion {
        let take = || self.cell().extra().lock().take();
        Completion {
            status: FenceStatus::of(Some(outcome(error))),
            extra: callbacks.takes_slow_path().then(take).flatten(),
            callbacks,
            awaited: None,
            _fence: self,
        }
    }

    /// Runs `f` on the composition of this composed fence; `None` if it has signalled.
    pub(super) fn in_composition<R>(&self, f: impl FnOnce(&mut Composition) -> R) -> Option<R> {
        let mut locked = self.cell().extra().lock();
        locked.as_mut()?.composition.as_mut().map(f)
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
        let (callbacks, extra, error) = {
            let mut locked = self.cell().extra().lock();
            // Nothing there: it has signalled already, as `any` does before its last child.
            let extra = locked.as_mut()?;
            match f(extra.composition.as_mut()?) {
                Counted::Nothing => return None,
                Counted::WillFail(error) => {
                    let watchers = extra.watchers.iter().copied().collect();
                    return Some(News::WillFail(error, watchers));
                }
                Counted::Completes(error) => {
                    let callbacks = self.cell().outcome().close(outcome(error));
                    // Under the same lock as the count: no later child finds anything to count.
                    (callbacks, locked.take(), error)
                }
            }
        };
        events::signaled(self.cell());
        Some(News::Signaled(Completion {
            status: FenceStatus::of(Some(outcome(error))),
            callbacks,
            extra,
            awaited: None,
            _fence: self,
        }))
    }
}

impl Point {
    /// The place has been reached, or never will be. `None`: the timeline has failed all its fences.
    pub(super) fn complete(self) -> Option<Completion> {
        let Point { fence, error } = self;
        let callbacks = fence.cell().outcome().close(outcome(error));
        if !callbacks.took_effect() {
            return None;
        }
        checks::reached(&fence);
        events::signaled(fence.cell());
        Some(fence.completion(callbacks, error))
    }
}

/// Signals points, and all that they complete.
pub(super) fn spread_points(points: Vec<Point>) {
    if !points.is_empty() {
        spread(points.into_iter().filter_map(Point::complete));
    }
}

/// What happened to a fence, for those that are composed of it.
pub(super) enum News {
    /// It has signalled.
    Signaled(Completion),
    /// It is pending and will signal with this error: it is an `all` with a leaf that failed. These watch
    /// it.
    WillFail(FenceError, Vec<Watcher>),
}

/// Signals everything that `first` complete, and runs the callbacks of all of them.
pub(super) fn spread(first: impl IntoIterator<Item = Completion>) {
    let mut todo: VecDeque<_> = first.into_iter().map(News::Signaled).collect();
    let mut done = Vec::new();
    while let Some(news) = todo.pop_front() {
        let mut completion = match news {
            News::Signaled(completion) => completion,
            News::WillFail(error, watchers) => {
                let parents = watchers.into_iter().filter_map(Watcher::composition);
                todo.extend(parents.filter_map(|parent| parent.child_will_fail(error)));
                continue;
            }
        };
        if let Some(extra) = &mut completion.extra {
            for watcher in std::mem::take(&mut extra.watchers).iter() {
                match watcher {
                    Watcher::Composition(..) => {
                        let parent = watcher.composition();
                        todo.extend(parent.and_then(|p| p.child_signaled(completion.status)));
                    }
                    Watcher::Place(reach, hold) => {
                        todo.extend(reached(reach.release(*hold, completion.status)));
                    }
                }
            }
        }
        if let Some(reach) = completion.awaited.take() {
            todo.extend(reached(reach.take_reached()));
        }
        done.push(completion);
    }
    // `any` leaves children behind that have not signalled.
    for extra in done.iter().rev().filter_map(|c| c.extra.as_ref()) {
        if let Some(composition) = &extra.composition {
            composition.children.iter().for_each(Child::unwatch);
        }
    }
    if !done.is_empty() {
        task::run(Task::Completions(done));
    }
}

fn reached(points: Vec<Point>) -> impl Iterator<Item = News> {
    let completions = points.into_iter().filter_map(Point::complete);
    completions.map(News::Signaled)
}
