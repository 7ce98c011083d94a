//! Closing: taking the list, and running what is in it.

use super::defect::Defect;
use super::node::{Act, Header, apply, free};
use super::{CLOSED, Callbacks, RACED, SLOW_PATH, WALKED, closed, free_all, has, newest};
use crate::sync::atomic::Ordering;
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};

/// The pending completion: what a thread that has closed is left to do. It runs the callbacks, and takes the
/// slow path if the flag for that was set.
///
/// Dropping it drops the callbacks that have not been run.
#[must_use = "the callbacks are to be run"]
#[derive(Debug)]
pub struct Closed<'a> {
    list: &'a Callbacks,
    outcome: u32,
    took_effect: bool,
    slow_path: bool,
    /// The next callback to run.
    first: *mut Header,
    /// All nodes; from the oldest to the newest, or after a race the newest and nothing.
    nodes: (*mut Header, *mut Header),
    /// How many they are, unless there was a race.
    count: usize,
    /// Whether there was a walker at the time of closing.
    raced: bool,
}

/// One callback that is to be run.
#[derive(Debug)]
pub struct Callback<'a> {
    node: NonNull<Header>,
    outcome: u32,
    _closed: PhantomData<&'a Closed<'a>>,
}

impl Callbacks {
    /// Closes, and gets the callbacks. On a closed one nothing happens and there are none.
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
            took_effect: false,
            slow_path: false,
            first: null_mut(),
            nodes: (null_mut(), null_mut()),
            count: 0,
            raced: false,
        };
        // Relaxed, here and on failure: a guess. A word that is closed is none of ours.
        let mut word = self.word.load(Ordering::Relaxed);
        while !has(word, CLOSED) {
            let raced = has(word, WALKED) && !self.seam.has(Defect::ClosesAlone);
            let bits = if raced { WALKED | RACED } else { 0 };
            // Release: publishes what the closer did before. Acquire: pairs with the Release of each
            // push in the list, and with a walker's leaving.
            match self.word.compare_exchange_weak(
                word,
                closed(outcome, bits),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    now.took_effect = true;
                    now.slow_path = has(word, SLOW_PATH);
                    if word.addr() & !SLOW_PATH != 0 {
                        now.take(newest(word), raced);
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
    /// Whether it was open: of several that close, one is told so.
    #[inline]
    pub fn took_effect(&self) -> bool {
        self.took_effect
    }

    /// Whether the [slow-path flag](Callbacks::set_slow_path) was set.
    pub fn takes_slow_path(&self) -> bool {
        self.slow_path
    }

    /// Whether there are callbacks left.
    #[inline]
    pub fn has_callbacks(&self) -> bool {
        !self.first.is_null()
    }

    /// The next callback, in the order in which they were stored.
    #[inline]
    pub fn next_callback(&mut self) -> Option<Callback<'_>> {
        let node = NonNull::new(self.first)?;
        // SAFETY: the node lives: nodes are freed when this is dropped.
        let header = unsafe { node.as_ref() };
        self.first = if self.raced {
            header.later()
        } else {
            header.next.load(Ordering::Relaxed)
        };
        Some(Callback {
            node,
            outcome: self.outcome,
            _closed: PhantomData,
        })
    }

    /// Puts the nodes in order, oldest first.
    #[cold]
    fn take(&mut self, newest: Option<NonNull<Header>>, raced: bool) {
        self.raced = raced;
        let newest_or_null = newest.map_or(null_mut(), NonNull::as_ptr);
        let mut at = newest;
        while let Some(node) = at {
            // SAFETY: the node lives: without a race it is ours, and after one nobody frees it
            // before `RACED` is cleared.
            let header = unsafe { node.as_ref() };
            header.look();
            at = NonNull::new(header.next.load(Ordering::Relaxed));
            if !raced {
                self.count += 1;
                header.next.store(self.first, Ordering::Relaxed);
            } else if !header.claim(self.first) && !self.list.seam.has(Defect::ClaimsAnyway) {
                continue;
            }
            self.first = node.as_ptr();
        }
        self.nodes = if raced {
            (newest_or_null, null_mut())
        } else {
            (self.first, newest_or_null)
        };
    }
}

impl Drop for Closed<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Most fences have no callbacks.
        if self.raced || !self.nodes.0.is_null() {
            self.finish();
        }
    }
}

impl Closed<'_> {
    /// Drops the callbacks that have not been run, and gives up the nodes.
    #[inline(never)]
    fn finish(&mut self) {
        while let Some(callback) = self.next_callback() {
            drop(callback);
        }
        let (first, last) = self.nodes;
        if self.raced {
            self.part(first);
        } else if let (Some(first), Some(last)) = (NonNull::new(first), NonNull::new(last)) {
            // SAFETY: the nodes are the closer's, in this order, and every closure was taken out.
            unsafe { free(first, last, self.count) };
        }
    }

    /// Leaves after a race: the last one out frees the nodes.
    #[cold]
    fn part(&self, nodes: *mut Header) {
        // Relaxed: published with the word, to the walker that finds `RACED` cleared.
        self.list.left.store(nodes, Ordering::Relaxed);
        let word = self
            .list
            .change(|word| Some(word.map_addr(|addr| addr & !RACED)));
        if word.is_ok_and(|word| !has(word, WALKED)) {
            // SAFETY: the walker has left, none can enter, and the closures have been taken out: the
            // closer's before this, the walker's before it left.
            unsafe { free_all(nodes) };
        }
    }
}

impl Callback<'_> {
    /// Runs it, with the outcome.
    #[inline]
    pub fn run(self) {
        let callback = std::mem::ManuallyDrop::new(self);
        // SAFETY: the node lives, and the closer owns its closure.
        unsafe { apply(callback.node, Act::Run(callback.outcome)) };
    }
}

impl Drop for Callback<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `run`.
        unsafe { apply(self.node, Act::Discard) };
    }
}
