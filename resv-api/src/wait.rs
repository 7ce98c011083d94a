//! Waiting with a thread, for many fences at once.
//!
//! [`wait_all`] and [`wait_any`] register once with everything that is pending and sleep once, on
//! one event; they hold no lock, so no thread that submits work is delayed by a waiter. What has
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
use resv_core::fence::run_before_sleep;
use resv_core::{Entry, Fence, FenceError, FenceStatus, Until, Waited, checks};
use resv_sync::sync::{Condvar, Mutex};
use std::time::Instant;

/// Something made of fences, which is ready when all of them have signalled.
///
/// A [`Fence`], an [`Entry`], a [`Snapshot`](crate::Snapshot), and slices, arrays, vectors, pairs
/// and references of what is waitable. Without fences it is ready.
///
/// A fence or an entry that the caller names is part of a wait whatever its state: if it failed before
/// the wait began, the wait reports that. Of a snapshot only those members are part of a wait that are
/// pending when the wait begins; which others it stores is a matter of the back end.
pub trait Waitable {
    /// Shows each fence that a wait which begins now covers.
    fn visit_fences(&self, visit: &mut dyn FnMut(&Fence));

    /// Adds to `covered` what [`visit_fences`](Waitable::visit_fences) shows, in the order in which
    /// errors are reported: of several, a wait reports the first.
    fn cover(&self, covered: &mut Vec<Fence>) {
        self.visit_fences(&mut |fence| covered.push(fence.clone()));
    }

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
    fn visit_fences(&self, visit: &mut dyn FnMut(&Fence)) {
        visit(self);
    }
}

impl Waitable for Entry {
    fn visit_fences(&self, visit: &mut dyn FnMut(&Fence)) {
        visit(&self.fence);
    }
}

/// A collection covers what its parts cover, part by part.
macro_rules! waitable_parts {
    ($(($($generics:tt)*) $what:ty, |$this:ident| $parts:expr);* $(;)?) => {$(
        impl<$($generics)*> Waitable for $what {
            fn visit_fences(&self, visit: &mut dyn FnMut(&Fence)) {
                let $this = self;
                $parts.for_each(|part| part.visit_fences(visit));
            }

            fn cover(&self, covered: &mut Vec<Fence>) {
                let $this = self;
                $parts.for_each(|part| part.cover(covered));
            }
        }
    )*};
}

waitable_parts! {
    (W: Waitable + ?Sized) &W, |this| std::iter::once(&**this);
    (W: Waitable) [W], |this| this.iter();
    (W: Waitable, const N: usize) [W; N], |this| this.iter();
    (W: Waitable) Vec<W>, |this| this.iter();
    (V: Waitable, W: Waitable) (V, W), |this| [&this.0 as &dyn Waitable, &this.1].into_iter();
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

/// What a wait that begins now covers, without what has signalled with success: nothing is to be
/// learnt from that any more.
pub(crate) fn covered<W: Waitable + ?Sized>(what: &W) -> Vec<Fence> {
    let mut covered = Vec::new();
    what.cover(&mut covered);
    covered.retain(|fence| fence.status() != FenceStatus::Signaled);
    covered
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

    /// Sleeps until set; `None` if the deadline passed first.
    fn wait(&self, deadline: Option<Instant>) -> Option<T> {
        // Inside a callback: what is to signal these fences may be what comes after it.
        run_before_sleep();
        let mut slot = self.value.lock();
        let mut in_time = true;
        while slot.is_none() && in_time {
            (slot, in_time) = self.set.wait_until(slot, deadline);
        }
        *slot
    }
}

impl Complete for Event<usize> {
    fn complete(&self, group: usize) {
        self.set(group);
    }
}

/// Sleeps until every fence of `what` has signalled.
///
/// Reports the first error in the order of `what`; also of fences that had signalled before the call,
/// where the caller names fences (see [`Waitable`]). Fences that have all signalled when the time runs
/// out count as signalled (Linux may report a time-out then). Allocates only if it has to sleep.
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
    let fences = covered(what);
    checks::waiting_all(|visit| fences.iter().for_each(visit));
    let countdown = Countdown::start(&fences, &[fences.len()], Event::new());
    countdown.completion().wait(until.deadline());
    drop(countdown);
    outcome(&fences).unwrap_or(Waited::TimedOut)
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
/// [`TimedOut`](WaitedAny::TimedOut) at once, whatever the time. A fence that many groups share is
/// registered with once.
///
/// A thread that has to signal one of the fences itself must not call this.
#[cfg_attr(feature = "checks", track_caller)]
pub fn wait_any<W: Waitable>(groups: &[W], until: impl Into<Until>) -> WaitedAny {
    let until = until.into();
    let found = match lowest_ready(groups) {
        None if !groups.is_empty() && !until.is_poll() => sleep_for_any(groups, until),
        found => found,
    };
    match found {
        Some((index, Waited::Signaled)) => WaitedAny::Signaled(index),
        Some((index, Waited::Failed(error))) => WaitedAny::Failed(index, error),
        Some((_, Waited::TimedOut)) | None => WaitedAny::TimedOut,
    }
}

/// The first of `groups` to become ready, and how it ended.
#[cfg_attr(feature = "checks", track_caller)]
fn sleep_for_any<W: Waitable>(groups: &[W], until: Until) -> Option<(usize, Waited)> {
    // The fences of all groups, one after the other, and where the groups end.
    let mut fences = Vec::new();
    let mut ends = Vec::with_capacity(groups.len());
    for group in groups {
        fences.append(&mut covered(group));
        ends.push(fences.len());
    }
    let of_group = |at: usize| {
        let begin = if at == 0 { 0 } else { ends[at - 1] };
        &fences[begin..ends[at]]
    };
    checks::waiting_any(groups.len(), |at, visit| {
        of_group(at).iter().for_each(visit);
    });
    let ready = if let Some(ready) = (0..ends.len()).find(|&at| outcome(of_group(at)).is_some()) {
        Some(ready)
    } else {
        let countdown = Countdown::start(&fences, &ends, Event::new());
        countdown.completion().wait(until.deadline())
    };
    match ready {
        Some(index) => outcome(of_group(index)).map(|done| (index, done)),
        // The time is up; a group may have become ready at the last moment.
        None => (0..ends.len()).find_map(|at| outcome(of_group(at)).map(|done| (at, done))),
    }
}

fn lowest_ready<W: Waitable>(groups: &[W]) -> Option<(usize, Waited)> {
    let mut each = groups.iter().enumerate();
    each.find_map(|(index, group)| outcome(group).map(|done| (index, done)))
}
