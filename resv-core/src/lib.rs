//! Reservation objects: fences, usages, what an object means, and the port that an implementation
//! fills in.
//!
//! # The concept
//!
//! A buffer is shared between engines, queues and processes. Each job that touches it leaves a
//! [`Fence`] behind: a promise that signals once, when the job is done. The job that touches the buffer
//! next asks which fences it has to wait for. The object that keeps those fences is a *reservation
//! object* (Linux: `dma_resv`).
//!
//! Two questions about such an object have nothing to do with each other, and this crate keeps them
//! apart:
//!
//! * **What does it mean?** Which fences does a new one supersede, which must an access wait for,
//!   when does an add become visible? A [`Semantics`] answers, as a pure table: no atomics, no
//!   allocation, no knowledge of how fences are stored. There are three:
//!   [`ExclusiveShared`], [`WritersReadersOthers`] and [`UsageLevels`].
//! * **How is it stored?** How is a set of fences kept, published, and read while others write? A
//!   [`Backend`] answers, under a contract of ten promises, B1 to B10 (see [`backend`]). It knows
//!   no usage rule. This crate holds the reference one, [`Locked`]: a mutex around a vector.
//!
//! # The pieces
//!
//! | module | what it holds |
//! |---|---|
//! | [`fence`] | [`Timeline`] (a fence context), [`Signaler`] (the side that signals), [`Fence`] (the side that waits), [`FenceStatus`] |
//! | [`usage`] | [`Usage`] (what a job did to a buffer), [`Access`] (what the next one wants), [`UsageSet`] |
//! | [`semantics`] | the trait, its three members, [`SemanticsKind`] to choose one at run time |
//! | [`entry`] | [`Entry`] (a fence and its usage, in an object), [`Key`] (what a semantics sees of it) |
//! | [`backend`] | the trait and its contract |
//! | [`any`] | the object-safe form of that trait: any back end behind a pointer |
//! | [`locked`] | the reference back end, against which the others are tested |
//! | [`failure`] | which errors an object answers with, and for how long |
//! | [`checks`] | reports of misuse, with the feature `checks` |
//! | [`lock`] | the lock of one object, the proof that it is held, and contexts that take many without deadlock |
//!
//! Programs do not use this crate directly; they use `resv-api`, which puts a semantics and a back
//! end together. Words are in `docs/glossary.md`, codes such as H-16 in `docs/hazards.md`.
//!
//! # Example
//!
//! A decoder promises a frame; a compositor wants to read it.
//!
//! ```
//! use resv_core::{Access, FenceStatus, Key, Semantics, Timeline, Usage, UsageLevels};
//!
//! let decoder = Timeline::new("vcn");
//! let job = decoder.issue().expect("the timeline has seqnos left");
//! let fence = job.fence().clone();
//! assert_eq!(fence.status(), FenceStatus::Pending);
//!
//! // The decoder writes; a reader must wait for writers, an explicit-sync job need not.
//! assert!(UsageLevels.waits_for(Access::Read).contains(Usage::Write));
//! assert!(!UsageLevels.waits_for(Access::Explicit).contains(Usage::Write));
//!
//! // The next frame of the same timeline makes the first one superfluous in the object.
//! let next = decoder.issue().expect("the timeline has seqnos left");
//! let old = Key::new(&fence, Usage::Write);
//! let new = Key::new(next.fence(), Usage::Write);
//! assert!(UsageLevels.supersedes(new, old));
//! assert!(!UsageLevels.supersedes(old, new));
//!
//! job.signal();
//! assert_eq!(fence.status(), FenceStatus::Signaled);
//! # next.signal();
//! ```

#![forbid(unsafe_code)]

pub mod any;
pub mod backend;
pub mod checks;
pub mod entry;
pub mod failure;
pub mod fence;
pub mod lock;
pub mod locked;
pub mod semantics;
pub mod usage;

pub use any::AnyBackend;
pub use backend::{Backend, Budget, Counters, EntrySet, Garbage, Plan, Removes, ReserveError};
pub use entry::{Entry, EntryRef, Key};
pub use failure::Failures;
pub use fence::{
    AlreadySignaled, CallbackId, Fence, FenceError, FenceStatus, Owner, SeqnoError, Signaler, Tag,
    Timeline, TimelineId, Until, Waited,
};
pub use lock::{LockProof, ObjectLock};
pub use locked::Locked;
pub use semantics::*;
pub use usage::{Access, ParseWordError, Usage, UsageSet};
