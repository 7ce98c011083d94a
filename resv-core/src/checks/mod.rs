//! Misuse checks in the manner of Linux's lockdep, with the feature `checks`.
//!
//! # The concept
//!
//! A deadlock needs two threads at the wrong moment; the code that makes it possible is wrong every
//! time it runs. So the checks do not look for threads that hang. They note what each thread holds
//! and has promised, and report a use that *can* hang, the first time that its two halves have been
//! seen, even if nothing went wrong. Each `Report` names two places in the caller's source.
//!
//! Without the feature the hooks are empty functions and types of no size: nothing is left of them.
//! What user code calls ([`signalling_section`], [`timeline_ended`]) compiles either way.
//!
//! # What is reported
//!
//! | `Misuse` | first place | second place | why |
//! |---|---|---|---|
//! | `WaitInSection` | the section was entered | the wait | the thread sleeps until it does itself what it does not do while it sleeps |
//! | `LockInSection` | the section was entered | the lock | the holder of the lock may wait for the fence |
//! | `WaitHoldsLock` | the wait with a lock held | the lock in the section | both halves of the above were seen |
//! | `LockOrder` | the lock, in the one order | the lock, in the other | two threads that do one each wait for each other |
//! | `Relock` | the lock was taken | it is asked for again | a thread waits for itself |
//! | `ContextDropped` | the context was made | the lock was taken | a proof was leaked, so the lock stays locked for ever |
//! | `OutOfOrder` | the earlier fence was issued | the later one was signalled | later fences stand for earlier ones, so waits end early |
//! | `NoSignaler` | the fence was issued, or the point asked for | it was added | every user of the object waits for ever |
//!
//! # What is decidable, and what is not
//!
//! A false alarm costs more than a miss: it teaches people to look away. So:
//!
//! * **Sections.** A [`signalling_section`] says: this thread must come to the end of it before
//!   fences of that timeline signal (Linux: `dma_fence_begin_signalling`). The thread itself may not
//!   wait for them: nor for a fence of all of which one is theirs, for one of any of which all are,
//!   or for a [point](crate::Timeline::point). Waiting for *other* timelines is reported by Linux
//!   and not here: a scheduler waits for the dependencies of its jobs. Whether the other timeline
//!   waits for this one in turn depends on seqnos that nobody knows beforehand.
//! * **Waits** are those that may sleep, with or without a timeout; a poll is none. A future is not
//!   a wait of the thread that polls it. Waiting with a lock held is legal.
//! * **Locks** in a section: those that may sleep. `try_lock` is legal.
//! * **Order.** Objects, not kinds of objects: taking A, then B and somewhere else B, then A. Locks
//!   of one context have no order, that is what contexts are for. A lock taken by `try_lock` or with
//!   a timeout ends no cycle, but it counts as held. Two orders that are only ever used under one
//!   common lock are legal.
//! * **Signalers.** A [`Signaler`] that is dropped cancels its fence, so only one
//!   that was leaked never signals; and nobody can tell a leaked value from one that is in use
//!   elsewhere. So its owner says when there is none left: [`timeline_ended`], at the end of a
//!   device or a test. By itself, an add of a [point](crate::Timeline::point) is reported whose
//!   fence has not been issued: a promise that nobody has made (no "future fences", 1.12).
//! * **Order of signals.** A fence that is signalled, with success or an error, while an earlier one of its
//!   timeline is pending. One that is canceled is none: a program that gives up several jobs drops their
//!   signalers in any order. Nor is a place that is [attached](crate::Timeline::attach), which waits for earlier ones.
//! * **Contexts.** What a context holds borrows it, so it is dropped first only if a proof was leaked
//!   (`mem::forget`). A whole [`LockSet`](crate::lock::LockSet) that is leaked takes its context
//!   along, and is seen only when a lock is asked for again on the same thread (`Relock`).
//! * **Threads.** A lock counts as held by the thread that took it. Do not send a set that holds any.
//!
//! # Where reports go
//!
//! To standard error, each pair of places once; to the function of `set_handler`; or, within
//! `collect`, to the caller. With `RESV_CHECKS=panic` in the environment the default is to panic, so
//! that a test fails; `RESV_CHECKS=panic,-OutOfOrder` leaves a kind out. Nothing else changes: a wait that is
//! reported is then waited for.
//!
//! # Bounds
//!
//! Fixed numbers of records, beyond which new ones are not kept, or displace the oldest: misses,
//! never false alarms. 4,096 lock orders, from which an object that dies is taken out; 4,096
//! timelines waited for with a lock held, as many whose sections took a lock, as many that ended,
//! and as many points that are not reached; 65,536 issued fences that have not signalled; 1,024 pairs of places
//! printed. A thread that holds more than 64 locks learns no order from the next one.
//!
//! # Costs
//!
//! With the feature on, in each lock and unlock a search in a list of the thread's own, whose steps
//! grow with the logarithm of the locks held; with a lock held that no context orders, and in each
//! issue, add and signal, a process-wide mutex and a map. Without it, nothing. `examples/checks_cost.rs`, the least of a thousand runs on a two-core x86-64 server:
//!
//! | | without | with |
//! |---|---|---|
//! | lock, unlock | 5 ns | 18 ns |
//! | lock two one after the other, unlock | 9 ns | 105 ns |
//! | issue, signal | 17 ns | 40 ns |
//! | enter and leave a section | 0.3 ns | 6 ns |
//!
//! # Places
//!
//! Functions of this crate and of `resv-api` hand on the place of their caller, except where Rust
//! cannot: calls through `dyn Reservation` are named by the line in `resv-api` behind them.
//!
//! ```
//! use resv_core::{ObjectLock, Timeline, checks};
//!
//! let (ring, object) = (Timeline::new("gfx"), ObjectLock::new());
//! let section = checks::signalling_section(&ring);
//! let try_it = object.try_lock(); // `lock` would be reported
//! drop(section);
//! # drop(try_it);
//! ```

#[cfg(all(feature = "checks", not(loom)))]
mod held;
#[cfg(all(feature = "checks", not(loom)))]
mod hooks;
#[cfg(all(feature = "checks", not(loom)))]
mod order;
#[cfg(all(feature = "checks", not(loom)))]
mod pending;
#[cfg(all(feature = "checks", not(loom)))]
mod report;
#[cfg(all(feature = "checks", not(loom)))]
mod sections;
#[cfg(all(feature = "checks", not(loom)))]
mod thread;

#[cfg(not(all(feature = "checks", not(loom))))]
#[path = "off.rs"]
mod hooks;

pub(crate) use hooks::{ContextTrack, LockTrack, issued, pointed, reached, settled, signals};
#[doc(hidden)]
pub use hooks::{added, waiting, waiting_all, waiting_any};
#[cfg(all(feature = "checks", not(loom)))]
pub use report::{Misuse, Place, Report, collect, set_handler};

use crate::fence::{Signaler, Timeline, TimelineId};
use std::marker::PhantomData;

/// What a thread can promise to signal: a [`Timeline`], with all of its fences, or one
/// [`Signaler`], with its fence and the later ones of the timeline, which cannot signal before.
pub trait Signals: sealed::Sealed {
    /// The timeline, and the first seqno of it.
    #[doc(hidden)]
    fn promised(&self) -> (TimelineId, u64);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::Timeline {}
    impl Sealed for crate::Signaler {}
}

impl Signals for Timeline {
    fn promised(&self) -> (TimelineId, u64) {
        (self.id(), 0)
    }
}

impl Signals for Signaler {
    fn promised(&self) -> (TimelineId, u64) {
        (self.fence().timeline_id(), self.fence().seqno())
    }
}

/// From here until the result is dropped, this thread must make progress for fences of `what` to
/// signal (Linux: `dma_fence_begin_signalling`).
///
/// To be entered by the thread that completes jobs: an interrupt thread, the part of a worker between
/// taking a job and signalling it. Sections nest, and end in any order. It borrows nothing, so a
/// [`Signaler`] may signal inside the section that it was named for.
///
/// ```
/// use resv_core::{Timeline, checks};
///
/// let job = Timeline::new("gfx").issue()?;
/// let section = checks::signalling_section(&job);
/// // ... finish the job; no lock of an object, no wait for this fence ...
/// job.signal();
/// drop(section);
/// # Ok::<(), resv_core::SeqnoError>(())
/// ```
#[cfg_attr(feature = "checks", track_caller)]
#[inline]
pub fn signalling_section<W: Signals>(what: &W) -> SignallingSection {
    SignallingSection {
        entered: hooks::Entered::new(what),
        stays_on_its_thread: PhantomData,
    }
}

/// A thread is in a [`signalling_section`] as long as this exists. Has no size without the feature
/// `checks`.
#[must_use = "the section ends when this is dropped"]
#[derive(Debug)]
pub struct SignallingSection {
    entered: hooks::Entered,
    stays_on_its_thread: PhantomData<*const ()>,
}

#[cfg(not(all(feature = "checks", not(loom))))]
const _: () = assert!(size_of::<SignallingSection>() == 0 && size_of::<LockTrack>() == 0);

impl Drop for SignallingSection {
    #[inline]
    fn drop(&mut self) {
        self.entered.leave();
    }
}

/// Nobody will signal a fence of `timeline` any more: the device is gone, the test is at its end.
///
/// Reports each of its fences that was added to an object and is pending still, and each that is
/// added from now on. (A fence whose signaler was dropped is not pending but canceled.) The places
/// are those where the fence was issued and where it was added last.
#[inline]
pub fn timeline_ended(timeline: &Timeline) {
    hooks::timeline_ended(timeline);
}
