//! Memory that keeps its type, in magazines: what is free lies with the thread that freed it, and threads
//! that do not meet share no lock and no cache line.
//!
//! # The concept
//!
//! A *cell* is a piece of memory that is one kind of thing for ever (a fence, an array), in use or free. A
//! reader that comes late may still look at it, and finds out by its own protocol that it has become another
//! one. So cells are never given back to the allocator; they go round between the threads that take and free them.
//!
//! Each thread has a [`Magazine`]: two chains of at most a *batch* of free cells. It takes from one chain and
//! frees to it; when that is empty or full, it turns to the other; when that does not help either, it
//! exchanges a whole batch with the [`Depot`] of the process. So a thread that takes and frees in any order
//! goes to the depot once for a batch of cells at most, and the depot's mutex is held for a few loads and
//! stores. (Bonwick and Adams call this a magazine layer.)
//!
//! | file | idea |
//! |---|---|
//! | `depot` | chains of cells that no thread has; one mutex |
//! | `magazine` | the chains of one thread |
//! | `stable` | a pool of values of one type: what safe code uses |
//! | `chunks` | where those values lie, for ever |
//!
//! # What it promises
//!
//! * **A cell is handed out to one taker at a time.** It is in one chain, or in use.
//! * **Reuse is the normal case.** A freed cell is the next one that its thread takes, with no grace period: the
//!   protocols of readers are exercised all the time and not now and then.
//! * **Freeing never allocates and never fails.** The links are in the cells.
//! * **Memory is bounded.** There are at most as many cells as were in use at a time, one chunk more, and two
//!   batches for each thread that lives. A thread that ends gives its chains back; so does one whose
//!   thread-locals are gone already: it takes from the depot and frees to it, cell by cell.
//! * **Leak checkers see it.** Chunks hang in a list that a static leads to.
//!
//! # Orderings
//!
//! None of its own: a chain is a thread's, or guarded by the depot's mutex, and changes hands under that
//! mutex. So all that was done to a cell before it was freed happens before what its next user does to it.
//!
//! # Models
//!
//! Under loom and shuttle [`StablePool`] goes to the depot for each cell: magazines would multiply the
//! executions of every model of a fence. They have models of their own (`loom_models`), with the variants
//! that loom rejects.
//!
//! # Example
//!
//! ```
//! use resv_sync::pool::{Link, Pooled, StablePool};
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! struct Word {
//!     value: AtomicU64,
//!     link: Link<Word>,
//! }
//!
//! impl Pooled for Word {
//!     fn vacant() -> Word {
//!         Word { value: AtomicU64::new(0), link: Link::new() }
//!     }
//!     fn link(&self) -> &Link<Word> {
//!         &self.link
//!     }
//! }
//!
//! resv_sync::stable_pool!(static WORDS: Word);
//!
//! let word: &'static Word = WORDS.take();
//! word.value.store(7, Ordering::Relaxed);
//! WORDS.put(word);
//! assert!(std::ptr::eq(WORDS.take(), word), "what was freed is what is taken next");
//! ```

#![deny(unsafe_code)]

mod chunks;
mod depot;
#[cfg(all(test, loom))]
mod loom_models;
mod magazine;
mod stable;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

#[cfg(not(any(loom, shuttle)))]
pub(crate) use chunks::Chunks;
pub use depot::{Chain, Depot, Linked};
pub use magazine::Magazine;
pub use stable::{ADDRESS_BITS, Link, Pooled, StablePool, fits};

/// How many cells are exchanged with a depot at a time, unless a pool says otherwise: a thread keeps twice
/// as many at most.
pub const BATCH: usize = 16;

crate::known_bad! {
    /// What a depot or a magazine does wrong.
    pub(crate) enum Defect, seam Seam {
        /// A depot is looked at under its mutex, and changed under it later.
        TakesInTwoSteps,
        /// A magazine that has handed over a full chain keeps it.
        KeepsWhatItGave,
        /// A thread that ends gives one of its two chains back.
        EndsWithOneChain,
    }
}
