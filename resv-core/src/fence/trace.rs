//! Trace events with the names that Linux gives them (feature `tracing`).
//!
//! # The events
//!
//! All have target `dma_fence`, level TRACE, and the kernel's fields: `driver` ([`DRIVER`]),
//! `timeline` (its name), `context` ([`TimelineId`](super::TimelineId)) and `seqno`, both 64 bit.
//!
//! | event | when |
//! |---|---|
//! | `dma_fence_init` | a fence is made: issued, composed, or born signalled |
//! | `dma_fence_emit` | it has got a [`Signaler`](super::Signaler), so a job is behind it; at once after `init` |
//! | `dma_fence_enable_signal` | its signal is asked for the first time: once for each fence |
//! | `dma_fence_signaled` | it has signalled: after the state has changed, before callbacks run |
//! | `dma_fence_wait_start` | a thread, a future or a descriptor begins to wait for it |
//! | `dma_fence_wait_end` | that wait lets go of it, signalled or not |
//! | `dma_fence_destroy` | its last reference is gone, and its memory not yet given to another |
//!
//! A [point](super::Timeline::point) has the timeline and the seqno of the fence at its place, so only waits
//! for it tell of it: the rest would be told twice.
//!
//! # Where a wait begins and ends
//!
//! It begins before the waiter registers with the fence, so only with a fence that was pending: a
//! fence that has signalled and a wait of no length give no event. (Linux gives a pair then, too.) It
//! ends when the waiter takes its registration back or finds that it has been used up: a thread
//! when it goes on, a future when it resolves or is dropped, a descriptor when it is closed. So there
//! is one end for each start, and it is on the waiter's side, as in Linux. A wait for many fences
//! begins with all of them and ends with all of them.
//!
//! # What a subscriber may do
//!
//! A subscriber is foreign code (B5). Every event is emitted with no lock of a fence, of the pool or
//! of a timeline held, no sequence count odd and no array half built. Those of
//! this module may be emitted by a thread that drops the last reference of a fence, so also
//! by a thread that holds a reservation object's lock: a subscriber must not take one. It may use
//! fences; what it does with them is not traced. One that panics loses the event and disturbs
//! nobody: waiters are woken all the same.
//!
//! Contract B3 (edits do not allocate) holds for the library, not for what a subscriber does.
//!
//! # Order
//!
//! `dma_fence_signaled` comes after the change that it tells of. Another thread may see the fence
//! signalled, and tell of what it does next, before the event is written.
//!
//! # Cost
//!
//! Without the feature all of this is empty and inlined. With it and without a subscriber an event
//! is one relaxed load and a branch that is not taken.

use super::events;
use super::handle::Fence;

pub use super::events::DRIVER;
#[cfg(feature = "tracing")]
#[doc(hidden)]
pub use super::events::undisturbed;

/// A wait for `fence` begins: for code that builds a wait on [`Fence::on_signal`]. One
/// [`wait_end`] is owed.
#[inline(always)]
pub fn wait_start(fence: &Fence) {
    events::wait_start(fence.cell());
}

/// A wait for `fence` has ended, in whatever way.
#[inline(always)]
pub fn wait_end(fence: &Fence) {
    events::wait_end(fence.cell());
}

/// A wait that begins here and ends where this is dropped.
pub(super) struct Wait<'f>(&'f Fence);

#[inline(always)]
pub(super) fn wait(fence: &Fence) -> Wait<'_> {
    wait_start(fence);
    Wait(fence)
}

impl Drop for Wait<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        wait_end(self.0);
    }
}
