//! Closing: taking the list, and running what is in it.

use super::defect::Defect;
use super::node::{Act, Header, apply};
use super::{CLOSED, Callbacks, MARKED, MET, WALKED, closed, free_all, has, newest};
use crate::sync::Ordering;
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};

/// What the one who closed owes: the callbacks, and a look at what was marked.
///
/// Dropping it drops the callbacks that have not been run.
#[must_use = "the callbacks are to be run"]
#[derive(Debug)]
pub struct Closed<'a> {
    list: &'a Callbacks,
    outcome: u32,
    marked: bool,
    /// The next callback to run.
    first: *mut Header,
    /// All nodes, if there is a walker or was one at the time of closing.
    met: Option<*mut Header>,
}

/// One callback that is to be run.
#[derive(Debug)]
pub struct Callback<'a> {
    node: NonNull<Header>,
    outcome: u32,
    /// Whether a walker may still look at the node: then its memory is freed with the rest.
    shared: bool,
    _closed: PhantomData<&'a Closed<'a>>,
}

impl Callbacks {
    /// Closes; the one who does gets the callbacks. On a closed one nothing happens and there are none.
    ///
    /// Without callbacks this is one load and one read-modify-write.
    ///
    /// # Panics
    ///
    /// When `outcome` is greater than [`MAX_OUTCOME`](Callbacks::MAX_OUTCOME).
    #[inline]
    pub fn close(&self, outcome: u32) -> Closed<'_> {
        assert!(outcome <= Self::MAX_OUTCOME, "an outcome has 28 bits");
        let mut now = Closed {
            list: self,
            outcome,
            marked: false,
            first: null_mut(),
            met: None,
        };
        // Relaxed, here and on failure: a guess. A word that is closed is none of ours.
        let mut word = self.word.load(Ordering::Relaxed);
        while !has(word, CLOSED) {
            let met = has(word, WALKED) && !self.has_defect(Defect::ClosesAlone);
            let bits = if met { WALKED | MET } else { 0 };
            // Release: publishes what the closer did before. Acquire: pairs with the Release of each
            // push in the list, and with a walker's leaving.
            match self.word.compare_exchange_weak(
                word,
                closed(outcome, bits),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    now.marked = has(word, MARKED);
                    if word.addr() & !MARKED != 0 {
                        now.take(newest(word), met);
                    }
                    break;
                }
                Err(other) => word = other,
            }
        }
        now
    }
}

impl<'a> Closed<'a> {
    /// Whether the word was [marked](Callbacks::mark).
    pub fn is_marked(&self) -> bool {
        self.marked
    }

    /// The next callback, in the order in which they were stored.
    #[inline]
    pub fn next_callback(&mut self) -> Option<Callback<'_>> {
        let node = NonNull::new(self.first)?;
        let shared = self.met.is_some();
        // SAFETY: the node lives: it is ours, or nobody frees it before this is dropped.
        let header = unsafe { node.as_ref() };
        self.first = if shared {
            header.later()
        } else {
            header.next.load(Ordering::Relaxed)
        };
        Some(Callback {
            node,
            outcome: self.outcome,
            shared,
            _closed: PhantomData,
        })
    }

    /// Puts the nodes in order, oldest first.
    #[cold]
    fn take(&mut self, newest: Option<NonNull<Header>>, met: bool) {
        if met {
            self.met = Some(newest.map_or(null_mut(), NonNull::as_ptr));
        }
        let mut at = newest;
        while let Some(node) = at {
            // SAFETY: the node lives: without a meeting it is ours, and in a meeting nobody frees it
            // before `MET` is cleared.
            let header = unsafe { node.as_ref() };
            header.look();
            at = NonNull::new(header.next.load(Ordering::Relaxed));
            if !met {
                header.next.store(self.first, Ordering::Relaxed);
            } else if !header.claim(self.first) && !self.list.has_defect(Defect::ClaimsAnyway) {
                continue;
            }
            self.first = node.as_ptr();
        }
    }
}

impl Drop for Closed<'_> {
    #[inline]
    fn drop(&mut self) {
        while let Some(callback) = self.next_callback() {
            drop(callback);
        }
        if let Some(nodes) = self.met {
            // Relaxed: published with the word, to the walker that finds `MET` cleared.
            self.list.left.store(nodes, Ordering::Relaxed);
            let word = self
                .list
                .change(|word| Some(word.map_addr(|addr| addr & !MET)));
            if word.is_ok_and(|word| !has(word, WALKED)) {
                // SAFETY: the walker has left, none can enter, and the closures have been taken out:
                // ours above, the walker's before it left.
                unsafe { free_all(nodes) };
            }
        }
    }
}

impl Callback<'_> {
    /// Runs it, with the outcome.
    #[inline]
    pub fn run(self) {
        let Callback {
            node,
            outcome,
            shared,
            ..
        } = *std::mem::ManuallyDrop::new(self);
        let alone = !shared;
        // SAFETY: the closer owns the closure, and the node too unless it is shared.
        unsafe { apply(node, Act::Run { outcome, alone }) };
    }
}

impl Drop for Callback<'_> {
    fn drop(&mut self) {
        let alone = !self.shared;
        // SAFETY: as in `run`.
        unsafe { apply(self.node, Act::Discard { alone }) };
    }
}
