//! Reservation objects with swappable semantics and, independently, swappable implementations.
//!
//! # The concept
//!
//! A [`Resv`] sits beside a shared buffer and keeps the [`Fence`]s of the jobs that use it. To touch
//! the buffer, a job
//!
//! 1. takes the object's lock ([`Resv::lock`]),
//! 2. asks what it must wait for ([`waits_for`](Resv::waits_for), with an [`Access`]),
//! 3. reserves memory ([`Guard::reserve`]): the last step that can fail,
//! 4. goes to the hardware, and
//! 5. leaves its own fence behind ([`Slots::add`], with a [`Usage`]), which cannot fail any more.
//!
//! A job that uses many buffers does all of this in one call, [`submit`](submit()): it locks all of
//! them without deadlock, answers what the job must wait for, and leaves the fence in each. A job that
//! must look at an object before it knows what it adds locks one by one, in any order, with
//! [`exec`](exec()); a task does with [`exec_async`](exec_async()). [`Transaction`] says for how long
//! they wait for locks, and how.
//!
//! Everybody else reads without the object's lock: [`snapshot`](Resv::snapshot) is the fences as of now,
//! [`is_idle`](Resv::is_idle) a test, [`wait`](Resv::wait) sleeps, [`wait_async`](Resv::wait_async)
//! is a future. Over many objects at once there are [`wait_all`] and [`wait_any`].
//!
//! A fence that failed has signalled: nobody waits for it any more. A wait for an object or a snapshot
//! reports the first error among the fences that were pending when the wait began, on every back end the
//! same; what had failed before is not part of it. Whether the content of a buffer is broken is another
//! question, and [`failure`](Resv::failure) answers it.
//!
//! `Resv<S, B>` has two parameters that know nothing of each other:
//!
//! * `S`, a [`Semantics`], decides what the object *means*: which fences a new one supersedes, which
//!   an access waits for, when an add becomes visible. [`UsageLevels`] (the default),
//!   [`WritersReadersOthers`], [`ExclusiveShared`].
//! * `B`, a [`Backend`], decides how fences are *stored*, published and read while others write:
//!   under the contract B1 to B10 ([`backend`]). [`DefaultBackend`] unless you say otherwise.
//!
//! Changing one never changes what the other does, so either can be reverted alone. The
//! [`guide`] works through E1 to E17, the cases in which the semantics differ.
//!
//! # Example
//!
//! ```
//! use resv_api::{Access, Resv, Timeline, Usage, Waited};
//! use std::time::Duration;
//!
//! let buffer = Resv::new();
//! let decoder = Timeline::new("vcn");
//!
//! // The decoder writes a frame into the buffer.
//! let job = decoder.issue()?;
//! let mut guard = buffer.lock();
//! let mut slots = guard.reserve(1)?; // may fail; nothing has happened yet
//! slots.add(job.fence(), Usage::Write); // cannot fail: the job may be running already
//! drop(guard);
//!
//! // A compositor wants to read it: what must it wait for?
//! let waits: Vec<_> = buffer.waits_for(Access::Read).iter().map(|e| e.fence.clone()).collect();
//! assert_eq!(waits, [job.fence().clone()]);
//! assert!(!buffer.is_idle(Access::Read));
//! assert_eq!(buffer.wait(Access::Read, Some(Duration::ZERO)), Waited::TimedOut);
//!
//! job.signal();
//! assert!(buffer.is_idle(Access::Read));
//! assert_eq!(buffer.wait(Access::Read, None), Waited::Signaled);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An add without a reservation does not compile:
//!
//! ```compile_fail,E0599
//! # use resv_api::{Resv, Timeline, Usage};
//! # let (buffer, job) = (Resv::new(), Timeline::new("vcn").issue().unwrap());
//! let mut guard = buffer.lock();
//! guard.add(job.fence(), Usage::Write); // no such method: only `Slots` can add
//! ```
//!
//! # Features
//!
//! | feature | effect |
//! |---|---|
//! | `rcu-array` (default) | compiles in the fence-array back end [`rcu_array`], in type-stable memory |
//! | `arc-swap` | compiles in the same design in safe code, under arc-swap; it makes [`rcu_array`] visible, too |
//! | `seqcount` | compiles in the legacy seqcount back end |
//! | `prefer-seqcount` | makes the seqcount back end [`DefaultBackend`]: the revert switch |
//! | `all` | every back end; changes no default |
//! | `fd` | readiness as a file descriptor, for poll and epoll: module `fd` (Linux) |
//! | `calloop` | an event source for calloop: `FenceSource`; implies `fd` |
//! | `tracing` | trace events with Linux' names, and a recorder that writes what `resv replay` reads: module `trace` |
//! | `checks` | reports misuse, in the manner of lockdep: module [`checks`] |
//! | `inject-backoff` | for tests: lets transactions that lock one by one back off without a reason |
//!
//! [`DefaultBackend`] is the seqcount one under `prefer-seqcount`, else the first of rcu-array,
//! arc-swap, seqcount that is compiled in, else [`Locked`].
//!
//! # Finding misuse
//!
//! With the feature `checks`, a use that can deadlock is reported when it is first seen, whether or
//! not it deadlocks then: a lock in a signalling section, a wait for what oneself must signal, two
//! locks in both orders, a fence that nobody will signal. A report names both places and what to do,
//! and goes to standard error:
//!
//! ```text
//! resv checks: LockInSection: in the signalling section entered at src/irq.rs:40:19, a reservation
//! lock is waited for at src/irq.rs:52:24, whose holder may wait for what the section signals;
//! remedy: take the lock before the section begins or after it has ended, or use try_lock
//! ```
//!
//! Put [`checks::signalling_section`] around the code that completes jobs, [`checks::timeline_ended`]
//! where a device goes away, and run the tests with the feature and `RESV_CHECKS=panic`. The module
//! [`checks`] says what each report means, what is not found, and what it costs.
//!
//! A program that chooses at run time uses [`Reservation`], the object-safe form, with
//! [`SemanticsKind`] and [`BackendKind`].

#![forbid(unsafe_code)]

mod ascending;
mod batch;
#[cfg(feature = "calloop")]
mod calloop;
mod countdown;
pub mod describe;
mod dynamic;
pub mod exec;
pub mod exec_async;
#[cfg(feature = "fd")]
pub mod fd;
mod flatten;
pub mod future;
pub mod guide;
mod kind;
mod noted;
mod object;
mod patience;
mod receipt;
mod recorded;
mod snapshot;
pub mod submit;
mod submittable;
#[cfg(feature = "tracing")]
pub mod trace;
mod transact;
mod transaction;
pub mod wait;
mod waits;

pub use batch::{Guards, lock_all};
#[cfg(feature = "calloop")]
pub use calloop::FenceSource;
pub use describe::{DRIVER, Description, FenceDescription, FenceLine, describe};
pub use dynamic::{Edit, Reservation, new_reservation};
pub use exec::{Backoff, ExecError, Tx, exec, exec_until};
pub use exec_async::{ExecFuture, exec_async};
#[cfg(feature = "fd")]
pub use fd::{Readiness, ReadyFd};
pub use future::WaitFuture;
pub use kind::{BackendKind, DefaultBackend, NotCompiledIn};
pub use object::Resv;
pub use patience::TimedOut;
pub use receipt::{Receipt, Reserved};
pub use snapshot::Snapshot;
pub use submit::{SubmitError, submit};
pub use submittable::{Fences, Submittable};
pub use transact::{TimedTransaction, Transaction};
pub use transaction::{Guard, Slots};
pub use wait::{Waitable, WaitedAny, wait_all, wait_any};
pub use waits::Waits;

#[allow(
    unused_imports,
    unreachable_pub,
    reason = "no back end need be compiled in"
)]
pub use kind::crates::*;
pub use resv_core::semantics::*;
pub use resv_core::{
    Access, AlreadySignaled, AnyBackend, Backend, CallbackId, Counters, Entry, EntryRef, Fence,
    FenceError, FenceStatus, Garbage, Key, Locked, ParseWordError, ReserveError, SeqnoError,
    Signaler, Timeline, TimelineId, Until, Usage, UsageSet, Waited, backend, checks, failure,
    fence, lock,
};
