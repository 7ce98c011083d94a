//! The consumer's handle: a counted reference, what is asked of a fence, and comparing.

use super::cell::{FenceCell, Kind};
use super::events;
use super::extra::{self, Extra};
use super::id::TimelineId;
use super::line::Line;
use super::pool;
use super::status::{FenceError, FenceStatus, outcome};
use super::tag::Tag;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A promise that its signaler keeps: it can be tested, waited for and called back.
///
/// Cloning adds a reference. Two handles are equal when they are of the same fence.
///
/// See the [module](super) for the rules.
pub struct Fence {
    cell: &'static FenceCell,
}

impl Fence {
    /// A fence that is born signalled, on a timeline of its own (Linux: the stub fence).
    ///
    /// ```
    /// assert!(resv_core::Fence::signaled().is_signaled());
    /// ```
    pub fn signaled() -> Fence {
        let fence = Fence::alone(Kind::Stub, Some(outcome(None)), None);
        events::signaled(fence.cell);
        fence
    }

    /// A fence of a timeline that is born signalled, with `error`.
    pub(super) fn born_failed(line: &'static Line, seqno: u64, error: FenceError) -> Fence {
        line.count_fence();
        let timeline = (line.id(), Some(line));
        let outcome = Some(outcome(Some(error)));
        let fence = Fence::new(Kind::Point, timeline, seqno, outcome, None);
        events::signaled(fence.cell);
        fence
    }

    /// A pending fence of a timeline, which the caller counts.
    #[inline]
    pub(super) fn pending(
        kind: Kind,
        line: &'static Line,
        seqno: u64,
        extra: Option<Box<Extra>>,
    ) -> Fence {
        Fence::new(kind, (line.id(), Some(line)), seqno, None, extra)
    }

    /// The one fence of a timeline of its own, pending or born with an `outcome`.
    pub(super) fn alone(kind: Kind, outcome: Option<u32>, extra: Option<Box<Extra>>) -> Fence {
        Fence::new(kind, (TimelineId::take(), None), 1, outcome, extra)
    }

    #[inline]
    fn new(
        kind: Kind,
        timeline: (TimelineId, Option<&'static Line>),
        seqno: u64,
        outcome: Option<u32>,
        extra: Option<Box<Extra>>,
    ) -> Fence {
        let cell = pool::take();
        cell.occupy(kind, timeline, seqno, outcome, extra);
        let fence = Fence { cell };
        events::init(fence.cell);
        fence
    }

    /// The timeline's identity.
    #[inline]
    pub fn timeline_id(&self) -> TimelineId {
        self.cell.key_parts().0
    }

    /// The position on the timeline.
    #[inline]
    pub fn seqno(&self) -> u64 {
        self.cell.key_parts().1
    }

    /// The timeline's name. Takes a short lock; meant for descriptions.
    pub fn timeline_name(&self) -> Arc<str> {
        self.cell.timeline_name()
    }

    /// The tag of the timeline. A composed fence has none of its own: ask its
    /// [leaves](Fence::leaves). Takes a short lock.
    pub fn tag(&self) -> Tag {
        self.cell.line().map_or(Tag::default(), Line::tag)
    }

    /// Whether the fence has signalled, with success or an error: one acquire load.
    #[inline]
    pub fn is_signaled(&self) -> bool {
        !self.cell.is_pending()
    }

    /// Pending, signalled, or signalled with an error: one acquire load.
    #[inline]
    pub fn status(&self) -> FenceStatus {
        self.cell.status()
    }

    /// Whether the fence was made of others: by [`all`](Fence::all), [`any`](Fence::any) or
    /// [`merge`](crate::fence::merge). One load, and no more than a hint at what there is to take apart: the
    /// fence may have signalled.
    #[inline]
    pub fn is_composed(&self) -> bool {
        self.cell.is_composed()
    }

    /// Whether this fence is later than `other` on the same timeline; `None` for different
    /// timelines, between which there is no order.
    pub fn is_later_than(&self, other: &Fence) -> Option<bool> {
        (self.timeline_id() == other.timeline_id()).then(|| self.seqno() > other.seqno())
    }

    /// The memory of this fence, for back ends (see [`cell`](super::cell)).
    #[inline]
    pub fn cell(&self) -> &'static FenceCell {
        self.cell
    }

    /// Gives up the handle and keeps its reference: the holder of the result makes one
    /// [`from_cell`](Fence::from_cell). For back ends that keep fences in atomic slots.
    #[inline]
    pub fn into_cell(self) -> &'static FenceCell {
        std::mem::ManuallyDrop::new(self).cell
    }

    /// Makes a handle of a reference that [`into_cell`](Fence::into_cell) kept.
    ///
    /// A reference that nobody kept is a bug that costs no memory safety but makes the cell become
    /// another fence while this one is still in use.
    #[inline]
    pub fn from_cell(cell: &'static FenceCell) -> Fence {
        Fence { cell }
    }

    /// A handle of the fence in `cell` that is lent, for a back end that owns a reference of it as long as
    /// the result is used; dropping it is impossible, cloning it takes a reference.
    ///
    /// Without that reference the result is another fence's handle some day, see
    /// [`from_cell`](Fence::from_cell).
    #[inline]
    pub fn borrowed_from(cell: &'static FenceCell) -> &'static Fence {
        cell.handle()
    }

    /// Takes a reference of the fence that is in `cell` now, if there is one.
    ///
    /// It need not be the fence that the caller meant; see [`cell`](super::cell), step 3.
    #[inline]
    pub fn try_acquire(cell: &'static FenceCell) -> Option<Fence> {
        // Lazily: a handle that is made is a reference that is dropped.
        cell.acquire_unless_vacant().then(|| Fence { cell })
    }
}

/// Handles of one fence that were counted together; see [`Fence::clones`].
#[derive(Debug)]
pub struct Clones {
    cell: &'static FenceCell,
    left: usize,
}

impl Iterator for Clones {
    type Item = Fence;

    #[inline]
    fn next(&mut self) -> Option<Fence> {
        self.left = self.left.checked_sub(1)?;
        Some(Fence { cell: self.cell })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Clones {}

impl Clones {
    /// Takes a handle in, to be given back with the others; one of another fence comes back.
    #[inline]
    pub fn put_in(&mut self, handle: Fence) -> Option<Fence> {
        if !std::ptr::eq(handle.cell, self.cell) {
            return Some(handle);
        }
        std::mem::forget(handle);
        self.left += 1;
        None
    }
}

/// One handle.
impl From<Fence> for Clones {
    #[inline]
    fn from(handle: Fence) -> Clones {
        Clones {
            cell: handle.into_cell(),
            left: 1,
        }
    }
}

impl Drop for Clones {
    #[inline]
    fn drop(&mut self) {
        // What was not taken out is given back in one step.
        let left = std::mem::take(&mut self.left);
        if left > 0 && self.cell.release_many(left) {
            extra::drop_fence(self.cell);
        }
    }
}

impl Fence {
    /// `count` more handles, counted in one step: one read-modify-write however many they are. Those
    /// that are not taken out are given back.
    ///
    /// ```
    /// let fence = resv_core::Fence::signaled();
    /// let handles: Vec<_> = fence.clones(3).collect();
    /// assert!(handles.iter().all(|handle| *handle == fence));
    /// ```
    #[inline]
    pub fn clones(&self, count: usize) -> Clones {
        if count > 0 {
            self.cell.acquire_many(count);
        }
        Clones {
            cell: self.cell,
            left: count,
        }
    }
}

impl Clone for Fence {
    #[inline]
    fn clone(&self) -> Self {
        self.cell.acquire();
        Fence { cell: self.cell }
    }
}

impl Drop for Fence {
    #[inline]
    fn drop(&mut self) {
        if self.cell.release() {
            extra::drop_fence(self.cell);
        }
    }
}

impl PartialEq for Fence {
    fn eq(&self, other: &Fence) -> bool {
        std::ptr::eq(self.cell, other.cell)
    }
}

impl Eq for Fence {}

impl Hash for Fence {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.cell).hash(state);
    }
}

/// `TIMELINE:SEQNO`.
impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.timeline_name(), self.seqno())
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fence({self} {:?})", self.status())
    }
}
