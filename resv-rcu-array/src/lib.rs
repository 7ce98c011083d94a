//! A back end for reservation objects: a fence array per object that readers see at a *length*.
//!
//! # The concept
//!
//! In 2019 a fence array under RCU was proposed for Linux: readers take the array as it is, a writer makes
//! a new one and exchanges the pointer. Here a writer only *appends*. All entries of an object, of every
//! usage, are in one cell of memory; each knows at which published length it *died*, if it did; and one
//! head word says which cell, and how much of it is published.
//!
//! ```text
//!   head   { length 3, cell ---> }   [ E1 died 4 | S1 | S2 |          ]    a reader at length 3: E1 S1 S2
//!
//!   edit:    E1 is superseded by E2: E1 dies at 4, E2 is appended. At length 3 nothing has changed.
//!   publish: one store.
//!
//!   head   { length 4, cell ---> }   [ E1 died 4 | S1 | S2 | E2       ]    a reader at length 4: S1 S2 E2
//! ```
//!
//! So an add copies nothing and counts nothing, and a *snapshot* is one reference to the cell and the
//! length that was published: it never changes, as of the slots that it sees only `died` may change, to
//! more than its length. When a cell is full, what is pending moves to another one and the next publish
//! changes cells.
//!
//! Two flavours: [`Stable`], the default, in memory that keeps its type; and `ArcSwapped` (feature
//! `arc-swap`), the same idea in safe code on the crate `arc-swap`, which is slower and short.
//!
//! # Example
//!
//! ```
//! use resv_core::{Backend, Budget, Entry, EntrySet, Timeline, Usage, UsageSet};
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
//! | [`proof`] | the protocol, why it is right, and one table of all orderings |
//! | `array.rs` | the back end as users name it, and the flavours |
//! | `versioned.rs` | the default flavour: how readers ask |
//! | `raw/word.rs` | what the head and a slot say |
//! | `raw/cell.rs`, `raw/pool.rs` | the memory of a cell, and where it comes from |
//! | `raw/working.rs` | the writer's side of a cell: appending, dying, giving up, moving |
//! | `raw/object.rs` | the head of an object |
//! | `raw/holder.rs` | reserve, edit, publish, unreserve; prepare, commit |
//! | `raw/reference.rs` | a snapshot |
//! | `raw/defect.rs` | the seam of the known-bad variants |
//! | `arc_swapped.rs` | the flavour in safe code |
//! | `models.rs`, `stress.rs` | models, and the known-bad variants that they reject |
//!
//! `unsafe` is in `raw/` only.
//!
//! # The contract, point by point
//!
//! For the default flavour; see [`proof`] for why.
//!
//! * **B1 One instant.** Every read is of one cell and one length. All usages are in one cell behind one
//!   head, so there is nothing to tear: the design of 2019 had an array per usage, and a reader of two of
//!   them could see an object that never was (H-02, H-05).
//! * **B2 "Idle" was true.** A test that finds everything signalled says so only if the head and the life
//!   of the cell are what they were. "No" needs the same, as the reader owns nothing. A visit that would
//!   show nothing looks again likewise.
//! * **B3 Reserve, then add.** [`reserve`] sees to it that there are free slots: one for each add, and one
//!   for each publish without an add. If there are too few it gets one spare cell, for all of them. So
//!   `n` adds that are published one by one cost `n` slots of eight bytes, and the time of what is pending.
//! * **B4 A transaction publishes once.** What is staged is behind the published length, where no reader
//!   looks.
//! * **B5 No foreign code inside.** Readers are never shut out. An edit asks the predicate about all
//!   entries before it changes the first; fences are dropped when the set is complete.
//! * **B6 Readers hold what they see.** A snapshot owns a reference to the cell. The fence of an entry that
//!   it sees is not given up before.
//! * **B7 Progress.** Reading waits for nobody and takes no lock; a read starts again when a publish came
//!   between, and a snapshot only when the cell was changed. [`counters`] tells how often.
//! * **B8 Bounded garbage.** An entry that died gives up its fence at the publish, if nobody has a
//!   snapshot of the cell. If there is one, the dead stay with it: at most as many as the cell has slots,
//!   which is about three for each entry that was pending when it was filled, and 22 at least; 54 at
//!   least after a cell that was used to its last slot. See below for memory.
//! * **B9 Nothing lost.** An entry that is pending dies by the predicate only. What is staged and never
//!   published is kept for the next holder, even across [`unreserve`].
//!
//! # Memory
//!
//! * An object that never had a reservation is 32 bytes. One with a few fences has a cell of 256 bytes.
//! * A cell has eight bytes a slot. It is left when it is full, or when more than `2 n + 8` of its slots
//!   behind the first living one are dead, for one of three slots for each of `n` pending entries. While nobody has its lock, an object
//!   has one cell; if that has more than 248 slots, at least every eighth is of a living entry, or
//!   [`unreserve`] moves to a smaller one (if memory for it can be had).
//! * Entries that have signalled count as living until the next edit, reservation or move comes by them.
//! * Free cells are kept for ever, as a reader may look at one at any time: as many as were in use at one
//!   time. Of those of 8 KiB and more the full pages go back to the system (on Linux).
//!
//! # What it costs
//!
//! With `n` living entries, in accesses that others can see:
//!
//! | operation | cost |
//! |---|---|
//! | `is_idle`, all signalled | one load, once a reader has set the idle bits |
//! | `is_idle`, something is pending | seven loads, if it is where the last test found it; else up to `2 n` |
//! | `snapshot`, and dropping it | one increment and three loads; one decrement; whatever `n` is |
//! | `visit` | as a snapshot, and `4 n` loads |
//! | an add | one look: `4 n` loads, as the rule is asked about each entry; two stores |
//! | [`prepare`] and [`commit`] | the same look and the same stores; the look is the first's, or the second's where nothing lives that was asked for |
//! | a publish | two stores; if something died, one read-modify-write, and the drop of the dead fences |
//! | a change of cells | `n` words are copied, about every `2 n + 8` adds; no count, if nobody has the old cell |
//! | `reserve` | nothing, or a cell from the pool |
//!
//! # Limits
//!
//! A cell has at most 2^20 slots (2^19 where addresses have 48 bits); a reservation for more is a
//! [`ReserveError`](resv_core::ReserveError). Addresses of more than 48 bits (47 on x86-64) do not fit in
//! the words: cells there are refused like want of memory, and the pool of fences panics. No allocator gives such
//! memory unless it is asked to; platforms that keep tags in the high bits of pointers to the heap are not supported.
//!
//! [`reserve`]: resv_core::Backend::reserve
//! [`prepare`]: resv_core::Backend::prepare
//! [`commit`]: resv_core::Backend::commit
//! [`unreserve`]: resv_core::Backend::unreserve
//! [`counters`]: resv_core::Backend::counters

#![deny(unsafe_code)]

#[cfg(feature = "arc-swap")]
mod arc_swapped;
mod array;
#[cfg(all(test, loom))]
mod models;
pub mod proof;
mod raw;
#[cfg(all(test, not(any(loom, shuttle))))]
mod stress;
#[cfg(all(test, not(loom)))]
mod tests;
mod versioned;

#[cfg(feature = "arc-swap")]
pub use arc_swapped::ArcSwapped;
pub use array::{Flavour, RcuArray, Stable};
