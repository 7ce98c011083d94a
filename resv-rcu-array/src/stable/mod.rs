//! Arrays in type-stable memory: no grace period, no debt, and readers who look twice.
//!
//! # The concept
//!
//! The memory of an array is never given back; when an array is over, its cell becomes the next one at
//! once, perhaps of another object. A reader may therefore look at any cell at any time, and finds out
//! afterwards whether what it saw was the array that it meant. This is what Christian König answered to
//! the objection that arrays were recycled without a grace period (H-03, H-04), with the two looks that
//! it needs spelled out.
//!
//! ```text
//!   reader without a reference                 reader who takes a snapshot
//!   --------------------------                 ---------------------------
//!   1 load the pointer                         1 load the pointer
//!   2 note the life of the cell                2 count a reference, unless there is no array
//!   3 read slots, test fences                  3 load the pointer: the same? then it is ours
//!   4 load the pointer: the same?                otherwise drop it, start again
//!   5 the life: the same? then it counts
//!     otherwise start again
//! ```
//!
//! # Why two looks suffice
//!
//! *Without a reference.* Let the pointer have led to cell C both times, and its life have been the same
//! even number L both times. L names one array for ever ([`ArrayCell`]'s life), and all loads between the
//! looks at it saw slots of that array, as whoever sees a store for a later one sees an odd or greater
//! life at the second look. The load of step 4 read a publication of C. It was one of array L: a
//! publication of an earlier array of C was undone before L began, and coherence would have shown that to
//! a reader who had seen L begun; one of a later array would have made the life of step 5 greater. So at
//! step 4 the object had exactly the entries that were read: that is the instant of B1. Fences that were
//! found signalled still are signalled then, so "idle" is true at it (B2). Looking at the pointer alone
//! would not do: the cell may have gone and come back (H-09, H-29).
//!
//! *With a reference.* A count that was taken while there was an array keeps that array. If the pointer
//! leads to the cell at step 3, the array is published at that instant, and stays as it is as long as the
//! reference lives (B6). If it does not, the reference was to an array of another time or of another
//! object; it is dropped like any other, which may make this reader the one who drops that array's
//! fences.
//!
//! # Marks
//!
//! The word of the pointer says with four bits for which usages nothing is pending ([`Head`]). A publisher
//! sets those of which there is no entry. A reader who has found everything signalled that it asked for
//! sets the others: it takes a reference, tests again, and exchanges the word that it has seen for one
//! with more marks. The reference keeps the array, so the same address is the same array and a newer one
//! is never marked. "All entries of this usage have signalled" never becomes untrue of an array, so a
//! marked word is an answer by itself: `is_idle` is one load (B2 at that load), and what happened before
//! the signals is visible by the chain of the marker's loads of the fences, Acquire, its exchange,
//! Release, and this load, Acquire (F-05).
//!
//! # References move
//!
//! A new array begins with the entries of the published one, *borrowed*. When it has been published, the
//! publisher tries to take the old array out of circulation: one exchange of the count, from one (the
//! published pointer's own) to none. If that succeeds, nobody else has the old array, and its references
//! belong to the new one without having been counted. Otherwise the publisher counts them for the new
//! one, and then drops the pointer's reference to the old one. In both cases the old array owns them
//! until then, and the new one cannot be over before: only the holder of the lock, who is the publisher,
//! could replace it. A reader who races with the exchange either has its reference, and the exchange
//! fails, or finds that there is no array, and starts again.
//!
//! # Progress and garbage
//!
//! Readers wait for nobody. A read is started again when a publish came between, so it is lock-free
//! (B7). Nothing is retired: a cell is an array, a builder, or free in the pool (B8). The pool grows to
//! what was in use at one time and never shrinks; that is the price, as it is for the pool of fences.

mod object;
mod writer;

use object::StableObject;

use crate::raw::stable::{Protocol, Sound};
use crate::reclaim::Reclaim;
use crate::reclaim::sealed::Flavour;
use std::marker::PhantomData;

#[cfg(doc)]
use crate::raw::stable::{ArrayCell, Head};

/// Arrays in type-stable memory: the default flavour. A test of an idle object is one load, a snapshot
/// one increment, and nothing waits for a grace period.
///
/// ```
/// use resv_core::Backend;
/// use resv_rcu_array::{RcuArray, Stable};
/// assert_eq!(RcuArray::<Stable>::default().name(), "rcu-array");
/// ```
pub type Stable = StableWith<Sound>;

/// [`Stable`] with its protocol as a parameter, so that tests can leave parts of it out.
pub struct StableWith<P: Protocol> {
    protocol: PhantomData<P>,
}

impl<P: Protocol> Reclaim for StableWith<P> {}

impl<P: Protocol> Flavour for StableWith<P> {
    type Object = StableObject<P>;

    fn collect() {}
}
