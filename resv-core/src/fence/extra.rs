//! What few fences have, kept out of the cell: children, watchers, a hook, a deadline.
//!
//! A plain fence has none of it and pays the test of one bit, of a word that it has at hand, when it is
//! registered on and when it signals.
//!
//! # What owns what
//!
//! A composed fence owns its children until it signals. A child knows its parents only by
//! [`Watcher`]: the address of a cell, and the timeline that the fence in it must have. So a parent
//! that nobody wants any more goes away at once, and takes its watchers off its children on the way.
//! The exception is a parent with callbacks, which have been promised to run: it owns itself
//! ([`Extra::keep`]) until it signals or the last of them is taken back.

use super::cell::FenceCell;
use super::events;
use super::handle::Fence;
use super::id::TimelineId;
use super::pool;
use super::reach::{Hold, Reach};
use super::status::{FenceError, FenceStatus};
use super::watchers::{Place, Watchers};
use std::sync::Arc;
use std::time::Instant;

/// Asks for the work of a lazy fence.
pub(super) type StartHook = Box<dyn FnOnce() + Send>;
/// Told a deadline that is sooner than all before.
pub(super) type DeadlineHook = Arc<dyn Fn(Instant) + Send + Sync>;

/// See the [module](self). Guarded by the lock of the fence's cell; taken out when it signals.
#[derive(Default)]
pub(super) struct Extra {
    /// The composed fences that have this one as a child, once for each time they have it, and the
    /// timelines of which a place is attached to it.
    pub(super) watchers: Watchers<Watcher>,
    /// The children, of a fence that is composed.
    pub(super) composition: Option<Composition>,
    /// The hook of a lazy fence that nobody has waited for yet.
    pub(super) start: Option<StartHook>,
    /// The timeline's, of a point.
    pub(super) point: Option<&'static Reach>,
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
            None => self.start.is_some() || self.point.is_some(),
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
        child.unwatch();
        Some(child.fence)
    }
}

/// What is to be told when a fence signals.
#[derive(Clone, Copy)]
pub(super) enum Watcher {
    /// A composed fence that has it as a child: the fence in this cell, as long as that has this timeline.
    ///
    /// A cell is never freed and a composed fence has a timeline of its own, so that can be asked at any
    /// time.
    Composition(&'static FenceCell, TimelineId),
    /// A timeline of which a place is attached to it. The name of an attachment is never used again, so the
    /// memory may be another timeline's by now.
    Place(&'static Reach, Hold),
}

impl Watcher {
    /// The composed fence `parent`, for as long as it exists.
    pub(super) fn of(parent: &Fence) -> Watcher {
        Watcher::Composition(parent.cell(), parent.timeline_id())
    }

    /// The composed fence, if it is one and is still there. Never with a lock held: what is in the cell by
    /// now may be another fence, whose last handle is then dropped here.
    pub(super) fn composition(self) -> Option<Fence> {
        match self {
            Watcher::Composition(cell, timeline) => {
                Fence::try_acquire(cell).filter(|fence| fence.timeline_id() == timeline)
            }
            Watcher::Place(..) => None,
        }
    }
}

/// How many children have to signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    All,
    Any,
}

/// One child of a composed fence, and where the composition is in the list of those that watch it.
pub(super) struct Child {
    pub(super) fence: Fence,
    /// `None` if it had signalled when it was to be watched.
    pub(super) place: Option<Place>,
}

impl Child {
    /// Takes the composition off the child, if that has not signalled.
    pub(super) fn unwatch(&self) {
        if let Some(place) = self.place {
            self.fence.unwatch(place);
        }
    }
}

/// The children of a composed fence, and what has become of them.
pub(super) struct Composition {
    pub(super) mode: Mode,
    /// In the order in which they were given. Empty until the composition is
    /// [whole](Composition::make_whole).
    pub(super) children: Vec<Child>,
    /// How many children have signalled; of an `any` at most one counts.
    pub(super) signaled: usize,
    /// How many have to. `None` until the composition is whole: nothing completes it before.
    needed: Option<usize>,
    /// The error of the leaf that was the first to fail; of an `any`, of the child that signalled first.
    pub(super) error: Option<FenceError>,
    /// Whether the children have been asked for their work.
    pub(super) started: bool,
    /// Of what was merged.
    pub(super) merged: Option<Merged>,
}

/// What [merging](super::merge) needs to know of a composition that it has made: a node of a search tree, whose
/// children are the fences of a timeline each, or nodes.
pub(super) struct Merged {
    /// How many levels of nodes are below.
    pub(super) height: u32,
    /// How many leaves there were when it was made.
    pub(super) len: usize,
    /// The first timeline of each child; none for leaves, which have one.
    pub(super) firsts: Box<[TimelineId]>,
}

/// What the signal of a child means for a composition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// Nothing yet.
    Nothing,
    /// It is still pending, and it is news that it will signal with this error.
    WillFail(FenceError),
    /// The fence signals now, with this error if any.
    Completes(Option<FenceError>),
}

impl Composition {
    /// A composition that has no children yet, and does not signal before it has got them.
    pub(super) fn new(mode: Mode) -> Composition {
        Composition {
            mode,
            children: Vec::new(),
            signaled: 0,
            needed: None,
            error: None,
            started: false,
            merged: None,
        }
    }

    /// A child has signalled.
    pub(super) fn count(&mut self, status: FenceStatus) -> Counted {
        if self.mode == Mode::Any && self.signaled > 0 {
            return Counted::Nothing;
        }
        self.signaled += 1;
        let news = match status {
            FenceStatus::Error(error) if self.error.is_none() => {
                self.error = Some(error);
                (self.mode == Mode::All).then_some(error)
            }
            _ => None,
        };
        self.outcome(news)
    }

    /// A child that is pending will fail. Returns whether that is news.
    pub(super) fn will_fail(&mut self, error: FenceError) -> bool {
        let is_news = self.mode == Mode::All && self.error.is_none();
        if is_news {
            self.error = Some(error);
        }
        is_news
    }

    /// These are the children, and each of them is watched or has been counted.
    pub(super) fn make_whole(&mut self, children: Vec<Child>) -> Counted {
        self.needed = Some(match self.mode {
            Mode::All => children.len(),
            Mode::Any => 1,
        });
        self.children = children;
        self.outcome(None)
    }

    /// The error with which a pending `all` will signal, as far as that is known.
    pub(super) fn known_error(&self) -> Option<FenceError> {
        self.error.filter(|_| self.mode == Mode::All)
    }

    fn outcome(&self, news: Option<FenceError>) -> Counted {
        match news {
            _ if self.needed.is_some_and(|needed| self.signaled >= needed) => {
                Counted::Completes(self.error)
            }
            Some(error) => Counted::WillFail(error),
            None => Counted::Nothing,
        }
    }
}

/// Ends a fence whose last reference is gone.
pub(super) fn drop_fence(cell: &'static FenceCell) {
    if let Some(extra) = retire(cell) {
        dismantle(extra);
    }
}

/// Makes the cell vacant and returns the extra that the fence owned.
fn retire(cell: &'static FenceCell) -> Option<Box<Extra>> {
    let extra = cell.vacate();
    let line = cell.line();
    events::destroy(cell);
    pool::put(cell);
    if let Some(line) = line {
        line.fence_is_gone();
    }
    extra
}

/// Drops what dead fences owned, without recursion and without allocating: fences that die because
/// of it are chained through their extras (H-18).
fn dismantle(extra: Box<Extra>) {
    let mut dead = Some(extra);
    while let Some(mut extra) = dead.take() {
        let Some(child) = extra.release_child() else {
            dead = extra.next_dead.take();
            continue;
        };
        dead = Some(extra);
        let cell = child.into_cell();
        if cell.release()
            && let Some(mut more) = retire(cell)
        {
            more.next_dead = dead.take();
            dead = Some(more);
        }
    }
}
