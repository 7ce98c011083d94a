//! The consumer's handle: testing, comparing and calling back.

use super::cell::{FenceCell, Kind};
use super::extra::Extra;
use super::pool;
use super::status::{FenceError, FenceStatus, outcome};
use super::tag::Tag;
use super::task::{self, Task};
use super::timeline::{Line, TimelineId};
use super::trace;
use resv_sync::callbacks::{Name, Notify};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A promise that somebody else keeps: it can be tested, waited for and called back.
///
/// Cloning adds a reference. Two handles are equal when they are of the same fence.
///
/// See the [module](super) for the rules.
pub struct Fence {
    cell: &'static FenceCell,
}

/// Names a registered callback, to take it back with [`Fence::cancel`]. It is of no use for another fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackId(Name);

/// The fence has signalled already; here is the callback back, which was not run.
pub struct AlreadySignaled<F>(pub F);

impl<F> fmt::Debug for AlreadySignaled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlreadySignaled")
    }
}

impl<F> fmt::Display for AlreadySignaled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fence has signalled already, so the callback was not registered")
    }
}

impl<F> std::error::Error for AlreadySignaled<F> {}

/// What [`Fence::on_signal`] stores.
struct OnSignal<F>(F);

impl<F: FnOnce(FenceStatus) + Send + 'static> Notify for OnSignal<F> {
    fn notify(self, outcome: u32) {
        (self.0)(FenceStatus::of(Some(outcome)));
    }
}

impl Fence {
    /// A fence that is born signalled, on a timeline of its own (Linux: the stub fence).
    ///
    /// ```
    /// assert!(resv_core::Fence::signaled().is_signaled());
    /// ```
    pub fn signaled() -> Fence {
        let fence = Fence::alone(Kind::Stub, Some(outcome(None)), None);
        trace::signaled(&fence);
        fence
    }

    /// A fence of a timeline that is born signalled, with `error`.
    pub(super) fn born_failed(line: &Arc<Line>, seqno: u64, error: FenceError) -> Fence {
        let timeline = (line.id(), Some(Arc::clone(line)));
        let outcome = Some(outcome(Some(error)));
        let fence = Fence::new(Kind::Point, timeline, seqno, outcome, None);
        trace::signaled(&fence);
        fence
    }

    /// A pending fence of a timeline.
    pub(super) fn pending(
        kind: Kind,
        line: &Arc<Line>,
        seqno: u64,
        extra: Option<Box<Extra>>,
    ) -> Fence {
        Fence::new(
            kind,
            (line.id(), Some(Arc::clone(line))),
            seqno,
            None,
            extra,
        )
    }

    /// The one fence of a timeline of its own, pending or born with an `outcome`.
    pub(super) fn alone(kind: Kind, outcome: Option<u32>, extra: Option<Box<Extra>>) -> Fence {
        Fence::new(kind, (TimelineId::take(), None), 1, outcome, extra)
    }

    fn new(
        kind: Kind,
        timeline: (TimelineId, Option<Arc<Line>>),
        seqno: u64,
        outcome: Option<u32>,
        extra: Option<Box<Extra>>,
    ) -> Fence {
        let cell = pool::take();
        cell.occupy(kind, timeline, seqno, outcome, extra);
        let fence = Fence { cell };
        trace::init(&fence);
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
        match &self.cell.cold().lock().line {
            Some(line) => Arc::clone(line.name()),
            None => self.cell.kind().own_name().into(),
        }
    }

    /// The tag of the timeline. A composed fence has none of its own: ask its
    /// [leaves](Fence::leaves). Takes a short lock.
    pub fn tag(&self) -> Tag {
        let cold = self.cell.cold().lock();
        cold.line.as_ref().map_or(Tag::default(), |line| line.tag())
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

    /// Has `callback` run once when the fence signals: on the signalling thread, after the state
    /// has changed, in order of registration, with no lock of this library held.
    ///
    /// Storing it takes no lock that the signaller takes: a thread that is descheduled in here delays
    /// nobody. Only a composed, lazy or watched fence has more to say to its signaller, under a short
    /// lock.
    ///
    /// The callback may do anything, including signalling other fences, dropping the last handle of
    /// this one, or editing an object. A fence that it signals has signalled when `signal` returns, but
    /// its callbacks run after this one has returned, in the order in which the fences signalled: callbacks
    /// never run inside each other, so a chain of them may have any length. A wait of this library inside
    /// a callback runs them first ([`run_before_sleep`](super::run_before_sleep)).
    ///
    /// A callback that panics does not keep the others from running, of this fence or of those that it
    /// signals. The first panic goes on in the `signal` that is at the bottom of the stack afterwards;
    /// later ones are dropped.
    ///
    /// This is where a wait starts: a [lazy](super::Timeline::issue_lazy) fence is asked for its work,
    /// after the callback has been registered and with no lock held; inside a callback, after it.
    ///
    /// # Errors
    ///
    /// On a fence that has signalled the callback is not run; it is handed back.
    ///
    /// ```
    /// use resv_core::Timeline;
    /// let job = Timeline::new("gfx").issue()?;
    /// let fence = job.fence().clone();
    /// fence.on_signal(|status| println!("done: {status:?}"))?;
    /// job.signal();
    /// let late = fence.on_signal(|_| unreachable!("never run by the fence"));
    /// assert!(late.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_signal<F>(&self, callback: F) -> Result<CallbackId, AlreadySignaled<F>>
    where
        F: FnOnce(FenceStatus) + Send + 'static,
    {
        if self.is_signaled() {
            return Err(AlreadySignaled(callback));
        }
        trace::enable_signal(self);
        // Either it is in the list that the signaller takes, or it is refused.
        let stored = self
            .cell
            .outcome()
            .push(OnSignal(callback))
            .map_err(|OnSignal(callback)| AlreadySignaled(callback))?;
        if stored.is_marked {
            let start = {
                let mut cold = self.cell.cold().lock();
                let extra = cold.extra.as_mut();
                extra.is_some_and(|extra| extra.on_registered(self))
            };
            if start {
                task::run(Task::Start(self.clone()));
            }
        }
        Ok(CallbackId(stored.name))
    }

    /// Takes a callback back. `true`: it has not run and never will. `false`: it has run, is running
    /// or is about to. The signaller does not wait for it.
    pub fn cancel(&self, id: CallbackId) -> bool {
        // Dropped at the end, with no lock held: a callback may own anything.
        let callback = self.cell.outcome().cancel(id.0);
        if self.cell.is_composed() {
            let _kept = {
                let mut cold = self.cell.cold().lock();
                let idle = self.cell.outcome().is_empty();
                let extra = cold.extra.as_mut().filter(|_| idle);
                extra.and_then(|extra| extra.keep.take())
            };
        }
        callback.is_some()
    }

    /// The memory of this fence, for back ends (see [`cell`](super::cell)).
    #[inline]
    pub fn cell(&self) -> &'static FenceCell {
        self.cell
    }

    /// Gives up the handle and keeps its reference: whoever holds the result owes one
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

impl Drop for Clones {
    #[inline]
    fn drop(&mut self) {
        // Each handle that was not taken out is given back.
        self.for_each(drop);
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
            pool::put(self.cell);
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
