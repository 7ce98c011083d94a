//! The outcome of a fence and the callbacks that wait for it, in one word.
//!
//! # The concept
//!
//! A fence is open until it is closed with an outcome, once. Until then callbacks may be stored with it
//! and taken back. [`Callbacks`] keeps both in one word: while it is open the word is the newest callback
//! of a list, and when it is closed the word is the outcome. So *closing takes the list*, in one
//! read-modify-write, and a callback is either in the list that the closer takes or finds the word closed
//! and is handed back. Nothing is to be looked at twice.
//!
//! No thread waits for another here, with one exception: two threads that take callbacks back from the
//! same list do so one after the other. A thread that is descheduled while it stores a callback or takes
//! one back holds up no closer, and no foreign code is run on its behalf: callbacks run on the closing
//! thread only, in the order in which they were stored.
//!
//! # Example
//!
//! ```
//! use resv_sync::callbacks::Callbacks;
//! use std::sync::{Arc, Mutex};
//!
//! let fence = Callbacks::open();
//! let log = Arc::new(Mutex::new(Vec::new()));
//! let names = [0, 1, 2].map(|id| {
//!     let log = Arc::clone(&log);
//!     let stored = fence.push(move |outcome| log.lock().unwrap().push((id, outcome)));
//!     stored.ok().expect("it is open").name
//! });
//! drop(fence.cancel(names[1]).expect("it has not run"));
//!
//! fence.close(7).run(|panic| std::panic::resume_unwind(panic));
//! assert_eq!(*log.lock().unwrap(), [(0, 7), (2, 7)]);
//! assert_eq!(fence.outcome(), Some(7));
//! assert!(fence.push(|_| unreachable!()).is_err());
//! ```
//!
//! # Protocol
//!
//! | word | low bits | the rest |
//! |---|---|---|
//! | open | `SLOW_PATH`: the closer must take the slow path; `WALKED`: a walker is in the list | address of the newest node, or null |
//! | closed | `CLOSED`; `WALKED` and `RACED`: see below; both: it is being opened again | the outcome |
//!
//! * **push** links a new node before the newest and swings the word to it by compare-and-swap. It
//!   reads no node but its own, so a node that has been freed and allocated again at the same address
//!   does no harm (no ABA). On a closed word the closure is handed back.
//! * **close** swings the word to the outcome. If nobody walked, nobody else can reach the nodes any
//!   more: pushers and walkers start from the word. The closer owns them, notes (`in_order`) where they
//!   are, runs one after the other, the oldest first, and frees them all at once.
//! * **A walker** (a thread that takes a callback back, or counts) holds `walking`, so there is one at a
//!   time. It sets `WALKED`; as long as that is set no node in the list is freed. It claims the node that it
//!   wants, unlinks it, and clears `WALKED`.
//! * **Taking back costs the same wherever the node is.** The name of a callback leads to its node. A node is
//!   unlinked from the one that was stored after it, its *newer* neighbour. Pushers do not write that link;
//!   a walker notes it in each node that came since the last walk, from the newest down to the first where
//!   it is noted already. So a push is paid for once.
//! * **A name is of one callback.** The memory of nodes stays, and each has a *generation*, which grows with each
//!   callback that is put into it, and again when that is taken back. A list counts how often it was *opened*
//!   again. A name says both, and a walker that finds another value of either leaves the node alone. If it
//!   finds both, the node is in this list: what the list has had since it was opened leaves it by a walker, which
//!   ends the generation while it has `walking`, or by a closer, and then the word is closed. And it stays
//!   there: its generation changes by the walker only, and nothing is freed as long as `WALKED` is set.
//!   Closing writes no generation, so a callback that runs costs one store less.
//! * **A close may race with a walker**: the word was walked as it was closed, and both use the nodes. The
//!   closer sets `RACED`. The first to claim a node has its closure. The list keeps its form: the closer
//!   runs its claims in an order that it notes aside, and a walker that has unlinked a node that the
//!   closer may have seen links it in again, and moves the closure out. Each clears its bit when it needs
//!   the nodes no more, and the last one out, which finds the other's bit cleared, frees them all. Neither
//!   waits; and as only memory is handed over, callbacks are run by the closer alone.
//!
//! # Orderings
//!
//! All changes of the word are read-modify-writes, so each belongs to the release sequences of all
//! before it. Publishing a node is Release, and close, a walker's entry and a refused push are Acquire:
//! a thread that takes the list sees its nodes whole, and one that finds the word closed sees what the
//! closer did before (F-05). Leaving after a race is `AcqRel`: what the first to leave did to the nodes
//! happens before the second frees them. `next` and `claim` are Relaxed: the first is written before its
//! node is published or by the one walker, and a stale value leads to a node that lives; the second
//! decides which thread has the closure, and orders nothing.
//!
//! # What the models cannot see
//!
//! loom takes no notice of the addresses, so a reader that would follow a freed one shows as a node
//! that is freed unordered to a look at it.

#![allow(unsafe_code)]

mod closer;
mod defect;
mod in_order;
#[cfg(all(test, loom))]
mod loom_models;
mod memory;
mod node;
#[cfg(all(test, not(any(loom, shuttle))))]
mod stress;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
mod walker;

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
pub use closer::{Callback, Closed, Due, Panic};
use defect::{Defect, Seam};
use node::{Header, free};
use std::fmt;
use std::ptr::{NonNull, null_mut, without_provenance_mut};
pub use walker::TakenBack;

const CLOSED: usize = 1;
const SLOW_PATH: usize = 2;
const WALKED: usize = 4;
const RACED: usize = 8;
/// The bits of an open word.
const FLAGS: usize = CLOSED | SLOW_PATH | WALKED;
/// The bits of a closed one.
const BITS: usize = FLAGS | RACED;
const SHIFT: u32 = 4;

/// A value of the word.
type Word = *mut Header;

fn has(word: Word, bit: usize) -> bool {
    word.addr() & bit != 0
}

fn newest(word: Word) -> Option<NonNull<Header>> {
    NonNull::new(word.map_addr(|addr| addr & !FLAGS))
}

fn with_newest(word: Word, node: *mut Header) -> Word {
    node.map_addr(|addr| addr | (word.addr() & FLAGS))
}

fn outcome(word: Word) -> Option<u32> {
    // Cannot truncate: `closed` made it of a `u32` below 2^28.
    has(word, CLOSED).then(|| (word.addr() >> SHIFT) as u32)
}

fn closed(outcome: u32, bits: usize) -> Word {
    without_provenance_mut((outcome as usize) << SHIFT | CLOSED | bits)
}

/// What is run when the outcome is there: any closure, or a type of one's own that is to come back as
/// such when it is refused.
pub trait Notify: Send + 'static {
    /// Runs it.
    fn notify(self, outcome: u32);
}

impl<F: FnOnce(u32) + Send + 'static> Notify for F {
    #[inline]
    fn notify(self, outcome: u32) {
        self(outcome);
    }
}

/// Names one callback that was stored, to take it back. It is of no use for any other, nor with another
/// list or with this one in another place, also when memory is used again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    list: *const Callbacks,
    node: NonNull<Header>,
    generation: u64,
    opening: u64,
}

// SAFETY: the list is compared and never looked at; of the node, whose memory stays, an atomic is read.
unsafe impl Send for Name {}
// SAFETY: as above.
unsafe impl Sync for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({:?}, {})", self.node, self.generation)
    }
}

/// A callback has been stored.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// What it is called in [`cancel`](Callbacks::cancel).
    pub name: Name,
    /// Whether the [slow-path flag](Callbacks::set_slow_path) was set.
    pub takes_slow_path: bool,
}

/// An outcome that is set once, and the callbacks to be run then. See the [module](self).
pub struct Callbacks {
    word: AtomicPtr<Header>,
    /// The nodes that a closer leaves to the walker that it raced with. Read once `RACED` is cleared.
    left: AtomicPtr<Header>,
    /// Held by a walker.
    walking: Mutex<()>,
    /// How often it was opened again. Written by the one thread that does that, before it is open.
    opening: AtomicU64,
    seam: Seam,
    /// What tests call their callbacks.
    #[cfg(test)]
    names: std::sync::Mutex<Vec<(u64, Name)>>,
}

// SAFETY: closures are `Send` and are run, dropped and moved by one thread each (module text).
unsafe impl Send for Callbacks {}
// SAFETY: as above; everything else that is shared is atomic or guarded by the protocol.
unsafe impl Sync for Callbacks {}

impl Callbacks {
    /// The greatest outcome, 2^28 - 1.
    pub const MAX_OUTCOME: u32 = (1 << 28) - 1;

    /// Open, with no callbacks.
    pub fn open() -> Callbacks {
        Self::of(null_mut())
    }

    /// Closed.
    pub fn closed(outcome: u32) -> Callbacks {
        Self::of(closed(outcome & Self::MAX_OUTCOME, 0))
    }

    fn of(word: Word) -> Callbacks {
        Callbacks {
            word: AtomicPtr::new(word),
            left: AtomicPtr::new(null_mut()),
            walking: Mutex::new(()),
            opening: AtomicU64::new(0),
            seam: Seam::SOUND,
            #[cfg(test)]
            names: std::sync::Mutex::default(),
        }
    }

    /// The outcome, if it is closed: one acquire load.
    #[inline]
    pub fn outcome(&self) -> Option<u32> {
        // Acquire: pairs with the Release of `close`.
        outcome(self.word.load(Ordering::Acquire))
    }

    /// Whether it is open: one acquire load.
    #[inline]
    pub fn is_open(&self) -> bool {
        // Acquire: as in `outcome`.
        !has(self.word.load(Ordering::Acquire), CLOSED)
    }

    /// Whether the list is closed, with another outcome than 0.
    #[inline]
    pub fn is_closed_but_with_0(&self) -> bool {
        // Acquire: as in `outcome`.
        let word = self.word.load(Ordering::Acquire);
        // One step for both, and no branch: which of them holds is chance.
        has(word, CLOSED) & (word.addr() >> SHIFT != 0)
    }

    /// Whether it is open and there are no callbacks.
    pub fn is_empty(&self) -> bool {
        let word = self.word.load(Ordering::Acquire);
        !has(word, CLOSED) && newest(word).is_none()
    }

    /// Makes a closed one open again, with no callbacks; `slow_path` as by [`set_slow_path`](Callbacks::set_slow_path).
    ///
    /// # Panics
    ///
    /// When it is not closed, or the closer or a walker is not through yet.
    #[inline]
    pub fn reopen(&self, slow_path: bool) {
        let word = if slow_path { SLOW_PATH } else { 0 };
        self.replace(without_provenance_mut(word));
    }

    /// Gives a closed one another outcome.
    ///
    /// # Panics
    ///
    /// As [`reopen`](Callbacks::reopen).
    pub fn close_again(&self, outcome: u32) {
        self.replace(closed(outcome & Self::MAX_OUTCOME, 0));
    }

    #[inline]
    fn replace(&self, word: Word) {
        // Relaxed: a guess, which the exchange checks.
        let now = self.word.load(Ordering::Relaxed);
        let taken = now.map_addr(|addr| addr | BITS);
        // Acquire: pairs with the AcqRel of the last one to leave after a race. An exchange and not a store: of
        // two threads that do this at once, the second finds the word changed; a store would forget the nodes
        // that were pushed meanwhile, and the walker that is among them. Relaxed on failure: it is a bug.
        let is_taken = now.addr() & BITS == CLOSED
            && self
                .word
                .compare_exchange(now, taken, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        assert!(is_taken, "opened or closed again while in use");
        // Relaxed, both: this thread's alone as long as the word is taken, and seen with the word that is next.
        let opening = self.opening.load(Ordering::Relaxed) + 1;
        self.opening.store(opening, Ordering::Relaxed);
        // Release: a reader of the new word sees what made the old one void, and the opening. A store: nobody
        // changes a word that is taken.
        self.word.store(word, Ordering::Release);
    }

    /// Stores a callback. The thread that [closes](Callbacks::close) runs it, with the outcome, unless it
    /// is [taken back](Callbacks::cancel) by its name.
    ///
    /// # Errors
    ///
    /// On a closed one the callback is handed back.
    #[inline]
    pub fn push<F: Notify>(&self, callback: F) -> Result<Stored, F> {
        // Acquire, here and on failure: a refusal shows what the closer did before.
        let mut word = self.word.load(Ordering::Acquire);
        if has(word, CLOSED) {
            return Err(callback);
        }
        let (node, generation) = node::make(callback);
        let stored = |word| Stored {
            name: Name {
                list: self,
                node,
                generation,
                // Relaxed: the open word that the compare-and-swap has found was stored after it.
                opening: self.opening.load(Ordering::Relaxed),
            },
            takes_slow_path: has(word, SLOW_PATH),
        };
        loop {
            if has(word, CLOSED) {
                // SAFETY: made above with this `F` and never published.
                return Err(unsafe { node::unmake(node) });
            }
            let older = newest(word).map_or(null_mut(), NonNull::as_ptr);
            // SAFETY: ours. Relaxed: published by the compare-and-swap.
            unsafe { node.as_ref() }
                .next
                .store(older, Ordering::Relaxed);
            if self.seam.has(Defect::StoredUnlooked) {
                self.word.store(node.as_ptr(), Ordering::Release);
                return Ok(stored(node.as_ptr()));
            }
            // Release: publishes the node to the closer and to walkers.
            match self.word.compare_exchange_weak(
                word,
                with_newest(word, node.as_ptr()),
                Ordering::Release,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(stored(word)),
                Err(now) => word = now,
            }
        }
    }

    /// Sets the slow-path flag: the closer must look at more than callbacks ([`Closed::takes_slow_path`]).
    /// The flag stays. Returns `false` on a closed one, with nothing changed.
    ///
    /// What the closer is to look at has to be guarded by a lock of the caller's, held here and taken
    /// by the closer.
    pub fn set_slow_path(&self) -> bool {
        self.change(|word| (!has(word, CLOSED)).then(|| word.map_addr(|addr| addr | SLOW_PATH)))
            .is_ok()
    }

    /// Changes the word as `to` says, until that works; `Err` when `to` says that there is nothing to
    /// change. Returns the word that was there.
    fn change(&self, to: impl Fn(Word) -> Option<Word>) -> Result<Word, Word> {
        // Acquire: a word that is not changed shows what its writer did before.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let Some(new) = to(word) else {
                return Err(word);
            };
            // AcqRel: what the caller did to nodes happens before what the next one does, and what
            // the last one did before this.
            match self
                .word
                .compare_exchange_weak(word, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Ok(word),
                Err(now) => word = now,
            }
        }
    }
}

/// What tests call their callbacks: numbers.
#[cfg(test)]
impl Callbacks {
    fn push_as<F: Notify>(&self, id: u64, callback: F) -> Result<bool, F> {
        let stored = self.push(callback)?;
        let mut names = self.names.lock().expect("no panic while it is held");
        names.push((id, stored.name));
        Ok(stored.takes_slow_path)
    }

    fn name_of(&self, id: u64) -> Option<Name> {
        let names = self.names.lock().expect("no panic while it is held");
        let named = names.iter().rev().find(|(known, _)| *known == id);
        named.map(|(_, name)| *name)
    }

    fn cancel_as(&self, id: u64) -> Option<TakenBack> {
        self.cancel(self.name_of(id)?)
    }
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        let word = self.word.load(Ordering::Acquire);
        if has(word, CLOSED) {
            return;
        }
        let mut at = newest(word);
        while let Some(node) = at {
            // SAFETY: nobody else has the list, so its nodes live and their closures are ours.
            unsafe {
                at = NonNull::new(node.as_ref().next.load(Ordering::Relaxed));
                Header::discard(node);
            }
        }
        // SAFETY: as above, and the closures have been taken out.
        unsafe { free_all(word.map_addr(|addr| addr & !FLAGS)) };
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Ordering::Acquire);
        f.debug_struct("Callbacks")
            .field("outcome", &outcome(word))
            .field("any", &newest(word).is_some())
            .finish()
    }
}

/// Frees the nodes of a list, whose closures have been taken out.
///
/// # Safety
///
/// Nobody uses the nodes any more.
unsafe fn free_all(list: *mut Header) {
    let Some(first) = NonNull::new(list) else {
        return;
    };
    let (mut last, mut count) = (first, 1);
    // SAFETY: by the contract the nodes are ours.
    while let Some(next) = NonNull::new(unsafe { last.as_ref() }.next.load(Ordering::Relaxed)) {
        last = next;
        count += 1;
    }
    // SAFETY: as above; `last` is where the list ends.
    unsafe { free(first, last, count) };
}
