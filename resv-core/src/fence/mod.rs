//! Fences: a promise that signals once.
//!
//! # The concept
//!
//! A [`Timeline`] (Linux: a fence context) is a sequence of promises that are kept in order: a
//! hardware ring, a decoder session, a queue. [`Timeline::issue`] makes the next promise and returns
//! its [`Signaler`], the one handle that can keep it. Everybody else holds a [`Fence`], which can be
//! tested, waited for and called back, and never signals.
//!
//! # Rules
//!
//! * A fence goes from pending to signalled once and never back (F-01), with success or with an
//!   error. It cannot be signalled twice: [`Signaler::signal`] consumes the handle.
//! * A [`Signaler`] dropped without signalling signals [`FenceError::CANCELED`] (F-06): nobody waits
//!   for ever on a promise whose maker has gone.
//! * What the signaller did before signalling is visible to a thread that saw the fence signalled (F-05).
//! * Callbacks that are not cancelled run exactly once, in the order in which they were registered, on the
//!   signalling thread, with no lock of this library held (F-02). Registering on a signalled fence hands the
//!   callback back instead of running it.
//! * Callbacks never run inside each other: those of a fence that a callback signals wait until that
//!   callback has returned, in the order of the signals. So chains of any length need no stack. The
//!   state changes at once.
//! * [`Fence::is_signaled`] is one acquire load. Waiting takes no object's lock.
//! * Fences of one timeline must signal in the order of their seqnos. Everything that lets a later
//!   fence stand for an earlier one rests on it. It is the signaller's duty; a signaller that breaks
//!   it endangers no memory, but waits may end early.
//!
//! # Fences made of fences
//!
//! [`Fence::all`] and [`Fence::any`] compose, [`merge`] composes what is left to wait for,
//! [`Fence::leaves`] and [`unwrap()`] take apart. [`Timeline::point`] is a fence for a place on a
//! timeline that need not have a fence yet. All of them are ordinary fences.
//!
//! A [lazy](Timeline::issue_lazy) fence is asked for its work when the first wait for it begins,
//! and never by being looked at. A [deadline](Fence::set_deadline) is a hint to the signaller.
//!
//! # Sync objects
//!
//! A timeline sync object of Linux or Vulkan is a [`Timeline`]:
//!
//! | sync object | here |
//! |---|---|
//! | add a point with a fence; transfer a point | [`attach`](Timeline::attach) |
//! | signal a point from the host | [`signal_up_to`](Timeline::signal_up_to) |
//! | query | [`completed_seqno`](Timeline::completed_seqno), [`last_seqno`](Timeline::last_seqno) |
//! | wait for a point; also before it is submitted | [`point`](Timeline::point) |
//! | wait until a point is available | [`submitted`](Timeline::submitted) |
//! | the client dies | [`close`](Timeline::close), or the last handle is dropped |
//!
//! A binary one is a timeline with a count of its resets: with n resets, signalling it is
//! `signal_up_to(n + 1)` or `attach(n + 1, fence)`, waiting for it is `point(n + 1)`, and resetting it is to
//! add one to n. Waiters for what came before a reset are not disturbed, as on Linux.
//!
//! ```
//! use resv_core::{FenceError, FenceStatus, Timeline};
//!
//! let (render, acquire) = (Timeline::new("gfx"), Timeline::new("acquire"));
//! let early = acquire.point(2); // nobody has submitted it
//! let (a, b) = (render.issue()?, render.issue()?);
//! acquire.attach(2, b.fence())?;
//! acquire.attach(1, a.fence())?;
//! a.signal();
//! assert_eq!(acquire.completed_seqno(), 1);
//! b.signal();
//! assert!(early.is_signaled());
//!
//! let never = acquire.point(3);
//! acquire.close(FenceError::IO); // the client is gone
//! assert_eq!(never.status(), FenceStatus::Error(FenceError::IO));
//!
//! let mut resets = 0;
//! let binary = Timeline::new("binary");
//! binary.signal_up_to(resets + 1)?;
//! assert!(binary.point(resets + 1).is_signaled());
//! resets += 1;
//! assert!(!binary.point(resets + 1).is_signaled());
//! # Ok::<(), resv_core::SeqnoError>(())
//! ```
//!
//! # Seqnos
//!
//! 64 bit, compared as plain integers, valid from 1 to 2^64 - 2. Zero is left for "nothing yet", the
//! greatest value so that a next one always exists in the type.
//!
//! # Where fences live
//!
//! In cells of a pool that is never given back ([`cell`]): memory that has been a fence stays a
//! fence for ever. A reader that races with the last drop therefore touches a living object of the
//! right type, and finds out by a second look at where it had the address from that it is no longer the
//! one it meant. That is
//! how Linux drivers with type-stable slabs do it, it keeps `unsafe` out of this crate, and it makes
//! hazard H-01 something the back ends really have to face.
//!
//! # Example
//!
//! ```
//! use resv_core::{FenceError, FenceStatus, Timeline, Waited};
//! use std::time::Duration;
//!
//! let ring = Timeline::new("gfx");
//! let (a, b) = (ring.issue()?, ring.issue()?);
//! let (fa, fb) = (a.fence().clone(), b.fence().clone());
//!
//! assert_eq!(fa.wait(Some(Duration::ZERO)), Waited::TimedOut);
//! a.signal();
//! assert_eq!(fa.wait(None), Waited::Signaled);
//!
//! drop(b); // the job is given up
//! assert_eq!(fb.status(), FenceStatus::Error(FenceError::CANCELED));
//! # Ok::<(), resv_core::SeqnoError>(())
//! ```

// One circle is in the data, and no module leaves it: a fence (`handle`) is a cell from the pool, a cell leads to what
// few fences have (`extra`) and to its timeline (`line`, `reach`), and those own fences. What tells of fences (`events`)
// is in it, as it looks at cells. All other modules use what is beneath them.
mod attach;
mod callbacks;
pub mod cell;
mod census;
mod completion;
mod compose;
mod deadline;
mod events;
mod extra;
mod handle;
mod id;
mod lazy;
mod leaves;
mod line;
mod merge;
mod point;
mod pool;
mod reach;
mod run_queue;
mod status;
mod tag;
#[cfg(all(test, not(loom)))]
mod tag_tests;
mod task;
mod timeline;
pub mod trace;
mod until;
mod wait;
mod watchers;

pub use callbacks::{AlreadySignaled, CallbackId};
pub use census::{PoolStats, pool_stats, registrations};
pub use handle::{Clones, Fence};
pub use id::TimelineId;
pub use leaves::{Leaves, unwrap};
pub use merge::merge;
pub use status::{FenceError, FenceStatus, Waited};
pub use tag::{Owner, Tag};
pub use task::run_before_sleep;
pub use timeline::{SeqnoError, Signaler, Timeline};
pub use until::Until;

#[cfg(all(test, not(loom)))]
mod attach_tests;
#[cfg(all(test, not(loom)))]
mod chain_tests;
#[cfg(all(test, not(loom)))]
mod compose_tests;
#[cfg(all(test, not(loom)))]
mod lazy_tests;
#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, not(loom)))]
mod merge_tests;
#[cfg(all(test, not(loom)))]
mod point_tests;
#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(all(test, feature = "tracing", not(loom)))]
mod trace_tests;
