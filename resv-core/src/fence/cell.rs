//! The memory of a fence, for back ends: type-stable, counted, all atomic.
//!
//! # Protocol
//!
//! A [`FenceCell`] comes from a pool that never returns memory, so a `&'static FenceCell` may be
//! kept and dereferenced by anybody at any time. What may change under a reader who owns no
//! reference is *which fence* the cell is: after the last reference is dropped the cell becomes
//! another fence, at once, with no grace period.
//!
//! So a reader without a reference
//!
//! 1. takes the cell's address from a place that owns a reference (a slot of an object),
//! 2. reads what it needs: [`key_parts`](FenceCell::key_parts), [`is_pending`](FenceCell::is_pending),
//!    or [`try_acquire`](super::Fence::try_acquire) for a reference of its own,
//! 3. checks that the place has owned that reference all the time (a sequence count, say). If so,
//!    the cell has been the same fence all the time and what was read is true. If not, what was read
//!    is about some fence, not necessarily this one, and is thrown away.
//!
//! Nothing here is `unsafe`: a back end that skips step 3 reads wrong answers, not wild memory.
//!
//! # Orderings
//!
//! * `state`: stored with Release by the signaller, loaded with Acquire by testers: what happened
//!   before the signal is visible to whoever saw it (F-05).
//! * `refs`: a new fence stores 1 with Release after writing its key and state;
//!   [`try_acquire`](super::Fence::try_acquire) increments with Acquire and so sees them; when it
//!   finds zero, also with Acquire, it sees what the last owner did before. Counting up
//!   from a reference that is owned is Relaxed, as with `Arc`. Counting down is Release, and the
//!   one who reaches zero issues an Acquire fence, so that all uses of the old fence happen before
//!   the cell is written for the new one.
//! * `timeline`, `seqno`, and `state` of a new fence: stored with Release, loaded with Acquire. A
//!   cell is reused after its last reference was dropped, so after it was removed from every object.
//!   A reader who reads any of the new values therefore sees that removal in step 3.

use super::extra::Extra;
use super::handle::Callback;
use super::status::{FenceStatus, StateWord};
use super::timeline::{Timeline, TimelineId};
use super::trace::Asked;
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, fence};
// Only the owners of a reference read `composed`, and it is written before there is one.
use std::sync::atomic::AtomicBool;

/// The memory of one fence. See the [module](self) for how to read it without a reference.
#[derive(Debug)]
#[repr(align(64))]
pub struct FenceCell {
    refs: AtomicUsize,
    state: AtomicU32,
    composed: AtomicBool,
    asked: Asked,
    timeline: AtomicU64,
    seqno: AtomicU64,
    cold: Mutex<Cold>,
}

/// What only registrations, the signaller and descriptions touch.
#[derive(Default)]
pub(super) struct Cold {
    pub(super) timeline: Option<Timeline>,
    pub(super) callbacks: Vec<(u64, Callback)>,
    /// What few fences have: a hook, a deadline, children, or somebody composed of them.
    pub(super) extra: Option<Box<Extra>>,
    /// Never reset, so that an id is never valid for a later fence in the same cell.
    pub(super) next_callback: u64,
}

impl Cold {
    /// How many callbacks are registered here, and how many composed fences watch.
    pub(super) fn registrations(&self) -> usize {
        let watchers = self.extra.as_ref().map_or(0, |extra| extra.watchers.len());
        self.callbacks.len() + watchers
    }
}

impl std::fmt::Debug for Cold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cold")
            .field("timeline", &self.timeline)
            .field("callbacks", &self.callbacks.len())
            .finish()
    }
}

impl FenceCell {
    /// A cell that is no fence yet.
    pub(super) fn vacant() -> FenceCell {
        FenceCell {
            refs: AtomicUsize::new(0),
            state: AtomicU32::new(StateWord::SIGNALED.0),
            composed: AtomicBool::new(false),
            asked: Asked::default(),
            timeline: AtomicU64::new(0),
            seqno: AtomicU64::new(0),
            cold: Mutex::new(Cold::default()),
        }
    }

    /// Makes a vacant cell a pending fence that has one reference.
    pub(super) fn occupy(
        &self,
        timeline: Timeline,
        seqno: u64,
        state: StateWord,
        extra: Option<Box<Extra>>,
    ) {
        let composed = extra.as_ref().is_some_and(|e| e.composition.is_some());
        // Relaxed: handing over the reference orders it.
        self.composed.store(composed, Ordering::Relaxed);
        self.asked.reset();
        // Release, each: pairs with the Acquire loads in `key_parts`, `is_pending` and `status`. A
        // reader without a reference that reads the new fence here must not go on to believe that
        // the place it came from still holds the old one (step 3).
        self.timeline
            .store(timeline.id().as_raw(), Ordering::Release);
        self.seqno.store(seqno, Ordering::Release);
        self.state.store(state.0, Ordering::Release);
        {
            let mut cold = self.cold.lock();
            cold.timeline = Some(timeline);
            cold.extra = extra;
        }
        // Release: pairs with the Acquire increment in `try_acquire`.
        self.refs.store(1, Ordering::Release);
    }

    /// Ends the fence in this cell; the caller has dropped the last reference, and drops what it
    /// owned: that may run foreign code.
    pub(super) fn vacate(&self) -> (Option<Timeline>, Option<Box<Extra>>) {
        let mut cold = self.cold.lock();
        (cold.timeline.take(), cold.extra.take())
    }

    /// Whether the fence was made of others; for the owner of a reference.
    #[inline]
    pub(super) fn is_composed(&self) -> bool {
        self.composed.load(Ordering::Relaxed)
    }

    /// Whether somebody has asked for its signal, for [`trace`](super::trace).
    #[cfg(feature = "tracing")]
    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    pub(super) fn cold(&self) -> &Mutex<Cold> {
        &self.cold
    }

    /// Whether the fence has not signalled: one acquire load.
    #[inline]
    pub fn is_pending(&self) -> bool {
        // Acquire: pairs with the Release store in `set_state`.
        self.state.load(Ordering::Acquire) == StateWord::PENDING.0
    }

    /// The state of the fence: one acquire load.
    #[inline]
    pub fn status(&self) -> FenceStatus {
        StateWord(self.state.load(Ordering::Acquire)).status()
    }

    /// The timeline and the seqno of the fence: two acquire loads, which may tear when the caller
    /// owns no reference.
    #[inline]
    pub fn key_parts(&self) -> (TimelineId, u64) {
        // Acquire: pairs with the Release stores in `occupy`.
        (
            TimelineId::from_raw(self.timeline.load(Ordering::Acquire)),
            self.seqno.load(Ordering::Acquire),
        )
    }

    /// Signals; called once for each fence, with the cold part locked.
    pub(super) fn set_state(&self, word: StateWord) {
        // Release: pairs with the Acquire loads in `is_pending` and `status`.
        self.state.store(word.0, Ordering::Release);
    }

    /// Adds a reference on behalf of somebody who owns one.
    #[inline]
    pub(super) fn acquire(&self) {
        self.refs.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds a reference unless there is none, in which case the cell is no fence at present.
    #[inline]
    pub(super) fn acquire_unless_vacant(&self) -> bool {
        // Acquire, each: a success pairs with the Release store in `occupy`; a zero pairs with the
        // Release decrement of the last owner, so that whoever finds the cell vacant also sees that
        // it was removed from where the address came from (step 3).
        let mut refs = self.refs.load(Ordering::Acquire);
        while refs != 0 {
            match self.refs.compare_exchange_weak(
                refs,
                refs + 1,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => refs = now,
            }
        }
        false
    }

    /// Drops a reference; `true` when it was the last one.
    #[inline]
    pub(super) fn release(&self) -> bool {
        // Release: this owner's uses happen before the cell is reused ...
        if self.refs.fetch_sub(1, Ordering::Release) != 1 {
            return false;
        }
        // ... Acquire: by the one who reached zero; pairs with the decrements of all others.
        fence(Ordering::Acquire);
        true
    }
}
