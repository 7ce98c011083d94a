//! What few fences have, kept out of the cell: children, parents, a hook, a deadline.
//!
//! A plain fence has none of it and pays the test of one bit, of a word that it has at hand, when it is
//! registered on and when it signals.
//!
//! # Who owns whom
//!
//! A composed fence owns its children until it signals. A child knows its parents only by
//! [`Watcher`]: the address of a cell, and the timeline that the fence in it must have. So a parent
//! that nobody wants any more goes away at once, and takes its watchers off its children on the way.
//! The exception is a parent with callbacks, which have been promised to run: it owns itself
//! ([`Extra::keep`]) until it signals or the last of them is taken back.

use super::cell::FenceCell;
use super::handle::Fence;
use super::status::{FenceError, FenceStatus};
use super::timeline::TimelineId;
use std::sync::Arc;
use std::time::Instant;

/// Asks for the work of a lazy fence.
pub(super) type StartHook = Box<dyn FnOnce() + Send>;
/// Told a deadline that is sooner than all before.
pub(super) type DeadlineHook = Arc<dyn Fn(Instant) + Send + Sync>;

/// See the [module](self). Guarded by the lock of the fence's cell; taken out when it signals.
#[derive(Default)]
pub(super) struct Extra {
    /// The composed fences that have this one as a child, once for each time they have it.
    pub(super) watchers: Vec<Watcher>,
    /// The children, of a fence that is composed.
    pub(super) composition: Option<Composition>,
    /// The hook of a lazy fence that nobody has waited for yet.
    pub(super) start: Option<StartHook>,
    /// The soonest deadline.
    pub(super) deadline: Option<Instant>,
    pub(super) on_deadline: Option<DeadlineHook>,
    /// The fence itself, while it is composed and has callbacks.
    pub(super) keep: Option<Fence>,
    /// Chains the extras of dead fences while they are dismantled.
    pub(super) next_dead: Option<Box<Extra>>,
}

impl Extra {
    /// A callback has been registered on `fence`, whose extra this is. Returns whether the fence
    /// has to be [started](Fence::start).
    pub(super) fn on_registered(&mut self, fence: &Fence) -> bool {
        match &self.composition {
            None => self.start.is_some(),
            Some(composition) => {
                self.keep.get_or_insert_with(|| fence.clone());
                !composition.started
            }
        }
    }

    /// Takes a child away from the dead fence whose extra this is, and the watcher off the child.
    pub(super) fn release_child(&mut self) -> Option<Fence> {
        let composition = self.composition.as_mut()?;
        let child = composition.children.pop()?;
        child.unwatch(composition.own);
        Some(child)
    }
}

/// A weak reference to a composed fence.
///
/// A cell is never freed and a composed fence has a timeline of its own, so "the fence in this cell,
/// if it has this timeline" can be asked at any time.
#[derive(Clone, Copy)]
pub(super) struct Watcher {
    cell: &'static FenceCell,
    timeline: TimelineId,
}

/// The timeline says it all.
impl PartialEq for Watcher {
    fn eq(&self, other: &Watcher) -> bool {
        self.timeline == other.timeline
    }
}

impl Watcher {
    /// The fence that is in `cell` as long as it has `timeline`.
    pub(super) fn new(cell: &'static FenceCell, timeline: TimelineId) -> Watcher {
        Watcher { cell, timeline }
    }

    /// The fence, if it is still there. Never with a lock held: what is in the cell by now may be
    /// another fence, whose last handle is then dropped here.
    pub(super) fn upgrade(self) -> Option<Fence> {
        Fence::try_acquire(self.cell).filter(|fence| fence.timeline_id() == self.timeline)
    }
}

/// How many children have to signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    All,
    Any,
}

/// The children of a composed fence, and what has become of them.
pub(super) struct Composition {
    pub(super) mode: Mode,
    /// In the order in which they were given; never of the same mode themselves (H-18).
    pub(super) children: Vec<Fence>,
    /// How many children have yet to signal before the fence does.
    pub(super) pending: usize,
    /// The error of the child that was the first to fail.
    pub(super) error: Option<FenceError>,
    /// Whether the children have been asked for their work.
    pub(super) started: bool,
    /// The fence that this is the composition of.
    pub(super) own: Watcher,
}

impl Composition {
    /// A child has signalled. Returns with what error, if any, the fence signals now, if it does.
    pub(super) fn count(&mut self, status: FenceStatus) -> Option<Option<FenceError>> {
        if let FenceStatus::Error(error) = status {
            self.error.get_or_insert(error);
        }
        self.pending = self.pending.saturating_sub(1);
        (self.pending == 0).then_some(self.error)
    }
}
