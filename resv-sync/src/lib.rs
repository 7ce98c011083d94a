//! What the other crates stand on: primitives that models can explore, and the `unsafe` code that more
//! than one crate needs.
//!
//! # The concept
//!
//! A concurrent protocol is to be shown right, and a model checker can only show what it can see. So no
//! crate of this project uses the atomics, mutexes and threads of `std` in a protocol: it takes those of
//! this crate, which are `std`'s in a program, and loom's or shuttle's in a model. (The flavour of the array on
//! the crate `arc-swap` is the exception: that crate has `std`'s, so the flavour is in no model.) Where a protocol needs
//! `unsafe` and more than one crate needs the protocol, the code is here too, with its proof, its models,
//! and variants of it with a known defect that the models reject.
//!
//! | module | what it holds |
//! |---|---|
//! | [`sync`], [`thread`], [`cell`], [`hint`] | the facade: the names of `std`, what a model can explore |
//! | [`process_wide!`], [`thread_wide!`] | statics, which each execution of a model has anew |
//! | [`callbacks`] | the outcome of a fence and the callbacks that wait for it, in one word |
//! | [`pool`] | type-stable memory, with a magazine of free cells for each thread |
//! | [`holder`] | state that only the holder of an object's lock can reach |
//! | [`slot`] | a reference for ever and a tag, in one word |
//! | [`tally`] | a count of those that have gone, which the last one learns |
//! | [`keys`] | a few values on the stack |
//! | [`prefetch()`] | a hint for the processor about what will be looked at soon |
//! | [`known_bad!`] | how a test plants a defect in the code that it tests |
//!
//! # Example
//!
//! ```
//! use resv_sync::sync::atomic::{AtomicU64, Ordering};
//! use resv_sync::sync::Mutex;
//!
//! resv_sync::process_wide!(static LOG: Mutex<Vec<u64>> = Mutex::new(Vec::new()));
//!
//! let next = AtomicU64::new(7);
//! LOG.lock().push(next.fetch_add(1, Ordering::Relaxed));
//! assert_eq!(*LOG.lock(), [7]);
//! ```

#![deny(unsafe_code)] // each module that needs it allows it, and says what it leans on

pub mod callbacks;
mod facade;
pub mod holder;
pub mod keys;
pub mod known_bad;
pub mod pool;
mod prefetch;
pub mod slot;
pub mod tally;

pub use facade::{cell, hint, sync, thread};
pub use prefetch::prefetch;

#[doc(hidden)]
pub use facade::expansion;
