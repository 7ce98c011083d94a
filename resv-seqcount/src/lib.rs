//! Reservation objects in the legacy design: slots changed in place under a sequence counter.
//!
//! # The concept
//!
//! An object has a table of slots; each holds a fence and its usage in one word. The holder of the
//! object's lock changes slots in place, inside a *write section* that makes a counter odd before
//! and even after. Readers take no lock: they note the counter, read the slots, look at the counter
//! again, and start over if it moved. This is how Linux kept fences until 5.18,
//! in spirit: one table for all usages instead of one exclusive pointer and a list.
//!
//! The counter shares its word with *idle bits*, one for each usage: everything in the set with this
//! usage is known to have signalled. A reader that has scanned the slots and found nothing pending
//! caches that in them, so the next reader need not scan. Linux has nothing like it.
//!
//! # The contract, and why it holds
//!
//! * **B1, B2.** Every answer, busy or idle, is given only after the counter was seen unchanged. So
//!   between the two looks no write section ran, the set was constant, and all that was read of it
//!   is of any instant in between. Signalling is one-way: a fence tested early is still signalled at
//!   the second look, when the set still holds; that is the instant at which "idle" is true. (Linux
//!   gave its idle answer without the second look; H-25.) An idle bit is set by a compare-and-swap on the
//!   word that was noted, which is a second look too, and goes when a section opens: so it is true
//!   whenever it is read. A reader of it sees what was before the signals (F-05).
//! * **B3.** [`reserve`](resv_core::Backend::reserve) gets the side structure, which an object has
//!   from its first reservation on and in which its first table is, and grows the table, in a write section
//!   of its own that moves the same fences to a larger table. An edit within the room finds a slot.
//! * **B4.** Edits are staged in the table, behind the slots that readers look at, and applied in one write
//!   section.
//! * **B5.** In a write section there are stores to slots and nothing else. Fences are tested before
//!   it, dropped after it.
//! * **B6.** A snapshot owns a reference of each of its fences, taken by counting up unless zero and
//!   kept only if the counter did not move. What an overtaken attempt took is given back with no lock
//!   held: it may be the last reference.
//! * **B7.** A reader tries a bounded number of times, then takes its *turn*: a writer that finds a flag up
//!   waits before it opens a section. That is not the object's lock, whose holder may be waiting for the very
//!   thread that reads (see `turns.rs`). Retries and fallbacks are counted.
//! * **B8.** Removed fences go at once, with no grace period: their memory is type-stable
//!   ([`resv_core::fence::cell`]), so a reader that still looks at one reads a living object, maybe
//!   another fence, and then fails its check (H-01). Outgrown tables stay until the object is
//!   dropped; as each is at least twice its predecessor, together they have fewer slots than the
//!   current one.
//! * **B9.** Only staged edits and signalled fences leave.
//!
//! # What it costs
//!
//! | what | cost |
//! |---|---|
//! | a test, empty or known to have signalled | one load of the word, flat in the number of fences, in the object's own cache line |
//! | a test otherwise | two loads of the word, two of the table, two for each slot; one compare-and-swap if that finds everything signalled |
//! | a visit | the same and two loads for each pending fence, and one store for each field of its key that the visitor looks at; allocates only for more than 64 |
//! | a snapshot | one allocation, and a compare-and-swap for each pending fence |
//! | an edit | a load for each slot, and three for each that is pending; no read-modify-write |
//! | a publish | a load, two stores to the word, and a store for each slot that changes; no read-modify-write |
//! | the memory of an object | one allocation for up to four fences, one more for up to 16, then one each time it doubles |
//! | an empty object | three words beside its lock; no memory |
//!
//! A writer that never pauses makes readers retry and then queue: that is the price of the design,
//! and what the array back end does not pay.
//!
//! # Example
//!
//! Programs use it through `resv-api`, as `Resv<S, Seqcount>`; by itself it is a
//! [`Backend`](resv_core::Backend):
//!
//! ```
//! use resv_core::{Backend, Entry, Budget, Timeline, Usage, UsageSet};
//! use resv_seqcount::Seqcount;
//!
//! let object = Seqcount::default();
//! let job = Timeline::new("gfx").issue()?;
//!
//! let mut held = object.object_lock().lock();
//! object.reserve(&mut held, Budget { adds: 1, publishes: 1 })?;
//! let entry = Entry { fence: job.fence().clone(), usage: Usage::Write };
//! object.edit(&mut held, |_| false, Some(entry));
//! object.publish(&mut held);
//! object.unreserve(&mut held);
//! drop(held);
//!
//! assert!(!object.is_idle(UsageSet::ALL));
//! job.signal();
//! assert!(object.is_idle(UsageSet::ALL));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

mod counter;
mod garbage;
mod object;
mod one_change;
mod planned;
mod raw;
mod reader;
mod slot;
mod slot_set;
mod turns;
mod writer;

pub use object::Seqcount;

#[cfg(all(test, loom))]
mod loom_idle_bits;
#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, loom))]
mod loom_turns;
#[cfg(all(test, not(loom)))]
mod tests;
