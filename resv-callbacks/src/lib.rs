//! The outcome of a fence and the callbacks that wait for it, in one word.
//!
//! # The concept
//!
//! A fence is open until somebody closes it with an outcome, once. Until then callbacks may be stored
//! with it and taken back. [`Callbacks`] keeps both in one word: while it is open the word is the
//! newest callback of a list, and when it is closed the word is the outcome. So *closing takes the
//! list*, in one read-modify-write, and a callback is either in the list that the closer takes or
//! finds the word closed and is handed back. Nothing is to be looked at twice.
//!
//! Nobody waits for anybody here, with one exception: two threads that take callbacks back from the
//! same list do so one after the other. A thread that is descheduled while it stores a callback or
//! takes one back holds up no closer, and no foreign code is run on its behalf: callbacks run on the
//! closing thread only, in the order in which they were stored.
//!
//! The list needs `unsafe`, which `resv-core` forbids; it is in `raw` here
//! and nowhere else below the back ends.
//!
//! # Example
//!
//! ```
//! use resv_callbacks::Callbacks;
//! use std::sync::Mutex;
//! use std::sync::Arc;
//!
//! let fence = Callbacks::open();
//! let log = Arc::new(Mutex::new(Vec::new()));
//! for id in 0..3 {
//!     let log = Arc::clone(&log);
//!     let stored = fence.push(id, move |outcome| log.lock().unwrap().push((id, outcome)));
//!     assert!(stored.is_ok());
//! }
//! drop(fence.cancel(1).expect("it has not run"));
//!
//! let mut closed = fence.close(7);
//! while let Some(callback) = closed.next_callback() {
//!     callback.run();
//! }
//! assert_eq!(*log.lock().unwrap(), [(0, 7), (2, 7)]);
//! assert_eq!(fence.outcome(), Some(7));
//! assert!(fence.push(3, |_| unreachable!()).is_err());
//! ```
//!
//! # Where to read on
//!
//! The source of `raw/mod.rs` has the protocol and its proof, `raw/node.rs` the memory of a callback,
//! `raw/loom_models.rs` the models, each with variants that loom rejects.

#![deny(unsafe_code)] // `raw` alone allows it

mod raw;
mod sync;
#[cfg(all(test, not(loom), not(shuttle)))]
mod tests;
#[cfg(tsan)]
#[doc(hidden)]
pub mod tsan;

pub use raw::{Callback, Callbacks, Closed, Notify, TakenBack};
