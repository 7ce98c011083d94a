//! A back end for reservation objects: an immutable fence array per object, published with one
//! pointer.
//!
//! # The concept
//!
//! An object is one pointer. It is null, or it leads to an array of all entries of the object, of
//! *every* usage. Nobody changes an array that readers can reach. Whoever edits makes a new array
//! and exchanges the pointer; readers take the pointer as it is and see the object as it was at that
//! instant.
//!
//! ```text
//!   holder of the lock                                readers
//!   ------------------                                -------
//!   reserve: get empty arrays
//!   edit:    copy what is pending,          head ---> [ E1 w | S1 r | S2 r ]  <--- snapshot A
//!            remove, add
//!   publish: exchange head                  head ---> [ S1 r | S2 r | E2 w ]  <--- snapshot B
//!            retire the old array                     [ E1 w | S1 r | S2 r ]  <--- snapshot A
//! ```
//!
//! Three things have to be right, and each has its place in the code:
//!
//! 1. *A reader must not reach into freed memory.* Arrays are counted; an owned snapshot is one
//!    count. What happens between loading the pointer and counting is the business of a member of
//!    [`Reclaim`]: memory that is never freed, with a second look ([`Stable`], the default), or
//!    arc-swap's debts.
//! 2. *"All have signalled" must have been true.* See B2 below: an immutable array is not enough.
//! 3. *Publishing must not need memory.* See B3 below: not even for what reclamation puts aside.
//!
//! # Example
//!
//! ```
//! use resv_core::{Backend, Entry, EntrySet, Budget, Timeline, Usage, UsageSet};
//! use resv_rcu_array::RcuArray;
//!
//! let object = <RcuArray>::default();
//! let (decode, scale) = (Timeline::new("vcn").issue()?, Timeline::new("gfx").issue()?);
//! let entry = |job: &resv_core::Signaler, usage| Entry { fence: job.fence().clone(), usage };
//!
//! let mut held = object.object_lock().lock();
//! object.reserve(&mut held, Budget { adds: 2, publishes: 1 })?; // the one place that can fail
//! object.edit(&mut held, |_| false, Some(entry(&decode, Usage::Write)));
//! object.edit(&mut held, |_| false, Some(entry(&scale, Usage::Read)));
//! assert!(object.is_idle(UsageSet::ALL)); // staged, not published
//! object.publish(&mut held); // both appear at once
//! object.unreserve(&mut held);
//! drop(held);
//!
//! let snapshot = object.snapshot()?;
//! decode.signal();
//! assert!(object.is_idle(UsageSet::of(&[Usage::Write])));
//! assert!(!object.is_idle(UsageSet::of(&[Usage::Read])));
//! assert_eq!(snapshot.len(), 2); // a snapshot never changes
//! # scale.signal();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to look
//!
//! | file | idea |
//! |---|---|
//! | `array.rs` | the back end as users name it |
//! | `stable/` | the default flavour: its protocol and proof, its object, its holder's side |
//! | `counted.rs` | the object of the other: what is staged, how readers ask |
//! | `snapshot.rs` | what a reader with a reference has |
//! | `marks.rs` | which entries were pending at one instant |
//! | `reclaim/` | the trait [`Reclaim`], and its member `ArcSwapped` |
//! | `raw/stable/` | type-stable arrays, their pool, the pointer with its marks |
//! | `raw/array.rs` | the counted array and its builder |
//! | `raw/list.rs` | lists of arrays that need no memory |
//! | `raw/holder.rs` | the state that only the holder of the lock can reach |
//! | `sync.rs` | real primitives or loom's |
//!
//! `unsafe` is in `raw/` only. The races are proved in `tests/loom.rs`, and tried in
//! `tests/stress.rs`.
//!
//! # No tearing between categories
//!
//! The design of August 2019 (specification 2.2) published one array per category: writers, readers,
//! others. Each was a perfect snapshot, and a reader that took first the one and then the other could
//! still see an object that never was: exclusive fence E1 replaced by E2 while shared fence S1 left,
//! read as "E1 has signalled, nothing shared" (H-02, H-05). Here all usages are in one array behind
//! one pointer. There is one load, so there is nothing to tear, and no order of loads to get right.
//!
//! What follows is about the flavour that keeps arrays for its readers, `ArcSwapped`;
//! the same points for [`Stable`] are in the module `stable`.
//!
//! # No ABA
//!
//! Two reads ask "is the array that I tested still the published one?" and compare addresses. That
//! an address is the same does not show in general that it has been the same all the time: the array
//! might be freed and another put in its place (H-09, H-29). Not here. The reader that asks is pinned
//! or owns a reference, so the array that it holds has not been freed and no other can have its
//! address; and an array is published at most once, as publishing consumes its builder. So equal
//! addresses mean one publication, and both loads have read one and the same store.
//!
//! # Orderings
//!
//! | store | load | why |
//! |---|---|---|
//! | exchange of the pointer, Release | load by a reader, Acquire | the entries are visible with the pointer; so is, with an empty or pruned set, what was before the signals that the publisher saw |
//! | fence state, Release (signaller) | fence state, Acquire (tester), then the pointer again, Relaxed | whoever sees a fence signalled sees every publication before the signal, hence not an array that was replaced before it |
//! | count down, Release | count once more at zero, Acquire | all uses come before freeing |
//!
//! # The contract, point by point
//!
//! * **B1 One instant.** A snapshot is the array that one load found. A visit ([`visit`]) also leaves
//!   out what has signalled, and fences signal while it looks; so it marks what is pending, then
//!   checks that the array is still published and that all that it marked still is pending. As a
//!   fence never becomes pending again, the marks were right at the instant of that check.
//!   Otherwise it starts again. The caller's closure runs afterwards, once for each mark.
//! * **B2 "Idle" was true.** By the time that the last fence of an array was found signalled, another
//!   array may be published, and before that a fence of the old one was pending: a reader that
//!   answers "idle" now may be wrong about every instant. So [`is_idle`] loads the pointer again
//!   before it says yes. If it has not changed, yes was true at that second load. "No" needs
//!   nothing: the fence was pending at the first load as well. An object whose pointer is null is
//!   idle at that load.
//! * **B3 Reserve, then add.** [`reserve`] gets an empty array for each publish, and what reclamation
//!   needs on this thread. An edit fills an array within its capacity; a publish exchanges a pointer
//!   and links the old array into a list through its own header. Neither allocates.
//! * **B4 A transaction publishes once.** Edits go to a staged array that only the holder sees.
//! * **B5 No foreign code inside.** Readers are never shut out, so there is no such inside for them.
//!   The staged array is a complete set at every step: while entries are copied to it, their fences
//!   are tested by one atomic load each, which runs nobody's code; an edit judges all entries before
//!   it drops the first; no closure of a reader runs pinned.
//! * **B6 Readers hold what they see.** A snapshot owns a reference; no function hands out
//!   anything that is borrowed from a pinned section.
//! * **B7 Progress.** Reading waits for nobody and takes no lock. A snapshot is one pass (one pin in
//!   128 also helps the collector along, which is lock-free); `is_idle` and visits start again when a
//!   publish (or, for a visit, a signal) came between, so they are lock-free: whenever one starts
//!   again, somebody else has got something done. [`counters`] tells how often. Whoever drops the
//!   last reference to an array drops its fences, as with any owned value. Writers wait for each
//!   other at the lock, and for readers only in `reserve`, see B8.
//! * **B8 Bounded garbage.** There is none: the last owner of an array frees it.
//! * **B9 Nothing lost.** The staged array begins as a copy of all that is pending, and an entry
//!   leaves it only by the predicate. What is staged and never published is kept for the next
//!   holder, even across [`unreserve`]. A snapshot may show a fence that has signalled; a visit does
//!   not, nor what the holder folds.
//!
//! # What it costs
//!
//! With `n` entries, in accesses that others can see:
//!
//! | operation | `Stable` |
//! |---|---|
//! | `is_idle`, all signalled | one load, once a reader has marked it |
//! | `is_idle`, the first is pending | eight loads |
//! | `snapshot`, and dropping it | one increment and two loads; one decrement; whatever `n` is |
//! | `visit` | `4n` loads up to 64 entries, as a snapshot beyond |
//! | first edit | `n` copies, no count |
//! | publish | one store, two counts, `n` stores; `n` counts if somebody has the old array |
//! | `reserve` | nothing if the last array was freed; else a cell of the pool for each publish |
//!
//! So a write costs time in proportion to `n`. That is the price of snapshots that cost one count.
//! Objects that are written much more than read are better off with a back end that edits in place.
//!
//! [`visit`]: resv_core::Backend::visit
//! [`is_idle`]: resv_core::Backend::is_idle
//! [`reserve`]: resv_core::Backend::reserve
//! [`unreserve`]: resv_core::Backend::unreserve
//! [`counters`]: resv_core::Backend::counters

#![deny(unsafe_code)]

mod array;
#[cfg(feature = "arc-swap")]
mod counted;
mod marks;
mod raw;
mod reclaim;
mod snapshot;
mod stable;
#[cfg(all(test, not(loom)))]
mod tests;

pub use array::RcuArray;
#[cfg(feature = "arc-swap")]
pub use reclaim::ArcSwapped;
pub use reclaim::Reclaim;
pub use stable::Stable;
#[doc(hidden)]
pub use {
    raw::stable::{Protocol, Sound},
    stable::StableWith,
};
