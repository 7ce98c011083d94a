//! Waiting with a thread, for many fences at once.
//!
//! [`wait_all`] and [`wait_any`] register once with everything that is pending and sleep once, on
//! one event; they hold no lock, so nobody who submits work is delayed by a waiter. What has
//! signalled already costs one load. A wait that ends leaves no callback behind.
//!
//! What is waited for is a [`Waitable`]: a fence, a snapshot, or a collection of them. Its fences
//! are those it has when the wait starts; [`Resv::wait_until_idle`](crate::Resv::wait_until_idle) is
//! the wait that follows fences added later.
//!
//! ```
//! use resv_api::{Access, Resv, Timeline, Usage, Waited, WaitedAny, wait_all, wait_any};
//! use std::time::Duration;
//!
//! let (left, right) = (Resv::new(), Resv::new());
//! let (a, b) = (Timeline::new("gfx").issue()?, Timeline::new("vcn").issue()?);
//! left.lock().reserve(1)?.add(a.fence(), Usage::Write);
//! right.lock().reserve(1)?.add(b.fence(), Usage::Write);
//!
//! let buffers = [left.waits_for(Access::Read), right.waits_for(Access::Read)];
//! assert_eq!(wait_any(&buffers, Duration::ZERO), WaitedAny::TimedOut);
//! b.signal();
//! assert_eq!(wait_any(&buffers, None), WaitedAny::Signaled(1));
//! assert_eq!(wait_all(&buffers, Duration::ZERO), Waited::TimedOut);
//! a.signal();
//! assert_eq!(wait_all(&buffers, None), Waited::Signaled);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::countdown::{Complete, Countdown};
use crate::future::WaitFuture;
use resv_core::{Entry, Fence, FenceError, FenceStatus, Waited, checks};
use resv_sync::sync::{Condvar, Mutex};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a wait may sleep.
///
/// Functions take `impl Into<Until>`: a [`Duration`] is a timeout from the call on, an [`Instant`] a
/// deadline, `None` means for ever. A zero timeout and a deadline that has passed at the call make the
/// wait a pure poll, which never sleeps and asks no lazy fence for its work. Any other time asks, however
/// short it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until it has signalled, however long that takes.
    Forever,
    /// At most for this long from the call on. One that ends beyond the clock is for ever.
    Timeout(Duration),
    /// At most until then.
    Deadline(Instant),
}

impl From<Duration> for Until {
    fn from(timeout: Duration) -> Until {
        Until::Timeout(timeout)
    }
}

impl From<Instant> for Until {
    fn from(deadline: Instant) -> Until {
        Until::Deadline(deadline)
    }
}

/// `None` is for ever.
impl From<Option<Duration>> for Until {
    fn from(timeout: Option<Duration>) -> Until {
        timeout.map_or(Until::Forever, Until::Timeout)
    }
}

impl Until {
    /// With the clock started: a timeout becomes a deadline, except zero, which needs no clock.
    pub(crate) fn fixed(self) -> Until {
        match self {
            Until::Timeout(timeout) if !timeout.is_zero() => Instant::now()
                .checked_add(timeout)
                .map_or(Until::Forever, Until::Deadline),
            other => other,
        }
    }

    /// Whether no sleep is allowed.
    pub(crate) fn is_poll(self) -> bool {
        match self {
            Until::Forever => false,
            Until::Timeout(timeout) => timeout.is_zero(),
            Until::Deadline(at) => Instant::now() >= at,
        }
    }

    /// The instant at which to give up, now if no sleep is allowed; `None` for ever.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self.fixed() {
            Until::Forever => None,
            Until::Timeout(_zero) => Some(Instant::now()),
            Until::Deadline(at) => Some(at),
        }
    }
}

/// Something made of fences, which is ready when all of them have signalled.
///
/// A [`Fence`], an [`Entry`], a [`Snapshot`](crate::Snapshot), and slices, arrays, vectors, pairs
/// and references of what is waitable. Without fences it is ready.
pub trait Waitable {
    /// Shows each of the fences, signalled or not, in an order that stays the same.
    fn visit_fences<'a>(&'a self, visit: &mut dyn FnMut(&'a Fence));

    /// A future that resolves when all of its present fences have signalled. See [`WaitFuture`].
    fn when_signaled(&self) -> WaitFuture {
        WaitFuture::new(self)
    }

    /// A file descriptor that becomes readable when all of its present fences have signalled, or
    /// the news that they have. See [`Readiness`](crate::Readiness).
    ///
    /// # Errors
    ///
    /// When the kernel gives no descriptor (EMFILE, ENFILE, ENOMEM). Nothing is registered then.
    #[cfg(feature = "fd")]
    fn readiness(&self) -> std::io::Result<crate::Readiness> {
        crate::Readiness::of(self)
    }
}

impl Waitable for Fence {
    fn visit_fences<'a>(&'a self, visit: &mut dyn FnMut(&'a Fence)) {
        visit(self);
    }
}

impl Waitable for Entry {
    fn visit_fences<'a>(&'a self, visit: &mut dyn FnMut(&'a Fence)) {
        visit(&self.fence);
    }
}

impl<W: Waitable + ?Sized> Waitable for &W {
    fn visit_fences<'a>(&'a self, visit: &mut dyn FnMut(&'a Fence)) {
        (**self).visit_fences(visit);
    }
}

impl<W: Waitable> Waitable for [W] {
    fn visit_fences<'a>(&'a self, visit: &mut dyn FnMut(&'a Fence)) {
        for part in self {
            part.visit_fences(visit);
        }
    }
}

impl<W: Waitable, const N: usize> Waitable for [W; N] {
    fn visit_fences<'a>(&'a self, visit: &mut dyn FnMut(&'a Fence)) {
        self.as_slice().visit_fences(visit);
    }
}

impl<W: Waitable> Waitable for Vec<W> {
    fn visit_fences<'a>(&'a self, visit: &mut dyn FnMut(&'a Fence)) {
        self.as_slice().visit_fences(visit);
    }
}

impl<V: Waitable, W: Waitable> Waitable for (V, W) {
    fn visit_fences<'a>(&'a self, visit: &mut dyn FnMut(&'a Fence)) {
        self.0.visit_fences(visit);
        self.1.visit_fences(visit);
    }
}

/// How `what` has ended, with its first error; `None` while something is pending. Allocates nothing.
pub(crate) fn outcome<W: Waitable + ?Sized>(what: &W) -> Option<Waited> {
    let mut outcome = Some(Waited::Signaled);
    what.visit_fences(&mut |fence| {
        outcome = match (outcome, fence.status()) {
            (None, _) | (_, FenceStatus::Pending) => None,
            (Some(Waited::Signaled), FenceStatus::Error(error)) => Some(Waited::Failed(error)),
            (so_far, _) => so_far,
        };
    });
    outcome
}

/// Set once; one thread sleeps on it.
struct Event<T> {
    value: Mutex<Option<T>>,
    set: Condvar,
}

impl<T: Copy> Event<T> {
    fn new() -> Self {
        Event {
            value: Mutex::new(None),
            set: Condvar::new(),
        }
    }

    /// The first value stays.
    fn set(&self, value: T) {
        let mut slot = self.value.lock();
        slot.get_or_insert(value);
        drop(slot);
        self.set.notify_one();
    }

    fn get(&self) -> Option<T> {
        *self.value.lock()
    }

    /// Sleeps until set; `None` if the deadline passed first.
    fn wait(&self, deadline: Option<Instant>) -> Option<T> {
        let mut slot = self.value.lock();
        let mut in_time = true;
        while slot.is_none() && in_time {
            (slot, in_time) = self.set.wait_until(slot, deadline);
        }
        *slot
    }
}

/// Sets an event that several completions share to the index of the first.
struct SetTo {
    event: Arc<Event<usize>>,
    index: usize,
}

impl Complete for SetTo {
    fn complete(&self) {
        self.event.set(self.index);
    }
}

/// Registers with each of `groups` until one is found ready, sleeps until one is, and takes the
/// callbacks back. The index of the first that was.
fn sleep_for_any<W: Waitable>(groups: &[W], until: Until) -> Option<usize> {
    let deadline = until.deadline();
    let event = Arc::new(Event::new());
    let mut registered = Vec::with_capacity(groups.len());
    for (index, group) in groups.iter().enumerate() {
        let mut fences: Vec<&Fence> = Vec::new();
        group.visit_fences(&mut |fence| fences.push(fence));
        let event = Arc::clone(&event);
        registered.push(Countdown::start(fences, SetTo { event, index }));
        if registered[index].completion().event.get().is_some() {
            break;
        }
    }
    // Inside a callback: what is to signal these fences may be what comes after it.
    resv_core::fence::run_before_sleep();
    event.wait(deadline)
}

/// Sleeps until every fence of `what` has signalled.
///
/// Reports the first error in the order of `what`, also of fences that had signalled before the
/// call. Fences that have all signalled when the time runs out count as signalled (Linux may report
/// a time-out then; specification 1.5). Allocates only if it has to sleep.
///
/// A thread that has to signal one of the fences itself must not call this.
#[cfg_attr(feature = "checks", track_caller)]
pub fn wait_all<W: Waitable + ?Sized>(what: &W, until: impl Into<Until>) -> Waited {
    let until = until.into();
    match outcome(what) {
        Some(done) => done,
        None if until.is_poll() => Waited::TimedOut,
        None => sleep_for_all(what, until),
    }
}

/// The rest of [`wait_all`], once it is known to be no poll: lazy fences are asked for their work, even if
/// the time is over by now.
#[cfg_attr(feature = "checks", track_caller)]
pub(crate) fn sleep_for_all<W: Waitable + ?Sized>(what: &W, until: Until) -> Waited {
    checks::waiting_all(|visit| what.visit_fences(&mut |fence| visit(fence)));
    sleep_for_any(&[what], until);
    outcome(what).unwrap_or(Waited::TimedOut)
}

/// How a [`wait_any`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a wait may have timed out"]
pub enum WaitedAny {
    /// All fences of the member with this index, from 0, have signalled with success.
    Signaled(usize),
    /// All fences of the member with this index have signalled, and this is its first error.
    Failed(usize, FenceError),
    /// The time ran out while every member had something pending; or there was no member.
    TimedOut,
}

impl WaitedAny {
    /// Which member was ready.
    pub const fn index(self) -> Option<usize> {
        match self {
            WaitedAny::Signaled(index) | WaitedAny::Failed(index, _) => Some(index),
            WaitedAny::TimedOut => None,
        }
    }

    /// How its wait ended.
    pub const fn waited(self) -> Waited {
        match self {
            WaitedAny::Signaled(_) => Waited::Signaled,
            WaitedAny::Failed(_, error) => Waited::Failed(error),
            WaitedAny::TimedOut => Waited::TimedOut,
        }
    }
}

/// Sleeps until one of `groups` is ready: all of its fences have signalled.
///
/// If several are ready at the call, the lowest index is reported; else the first to become ready.
/// With no member at all nothing can become ready, and the answer is
/// [`TimedOut`](WaitedAny::TimedOut) at once, whatever the time.
///
/// A thread that has to signal one of the fences itself must not call this.
#[cfg_attr(feature = "checks", track_caller)]
pub fn wait_any<W: Waitable>(groups: &[W], until: impl Into<Until>) -> WaitedAny {
    let until = until.into();
    let found = match lowest_ready(groups) {
        None if !groups.is_empty() && !until.is_poll() => {
            checks::waiting_any(groups.len(), |at, visit| {
                groups[at].visit_fences(&mut |fence| visit(fence));
            });
            match sleep_for_any(groups, until) {
                Some(index) => outcome(&groups[index]).map(|done| (index, done)),
                None => lowest_ready(groups),
            }
        }
        found => found,
    };
    match found {
        Some((index, Waited::Signaled)) => WaitedAny::Signaled(index),
        Some((index, Waited::Failed(error))) => WaitedAny::Failed(index, error),
        Some((_, Waited::TimedOut)) | None => WaitedAny::TimedOut,
    }
}

fn lowest_ready<W: Waitable>(groups: &[W]) -> Option<(usize, Waited)> {
    let mut each = groups.iter().enumerate();
    each.find_map(|(index, group)| outcome(group).map(|done| (index, done)))
}
