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
//! | `dma_fence_enable_signal` | somebody asks for its signal for the first time: once for each fence |
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
//! this module may be emitted by whoever drops the last reference of a fence, so also
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

use super::cell::FenceCell;
#[cfg(feature = "tracing")]
use super::cell::Kind;
use super::handle::Fence;
use super::timeline::Line;

/// The driver name of the fences of this library, in traces and descriptions.
pub const DRIVER: &str = "resv";

/// Emits one event: the kernel's name for a step in a fence's life, and the kernel's fields.
#[cfg(feature = "tracing")]
macro_rules! emit {
    // What a point would tell its fence tells.
    (unless point, $name:literal, $fence:ident $(, if $first:expr)?) => {
        if $fence.cell().kind() != Kind::Point {
            emit!($name, $fence $(, if $first)?);
        }
    };
    ($name:literal, $fence:ident $(, if $first:expr)?) => {
        emit!($name, &*$fence.timeline_name(), $fence.timeline_id(), $fence.seqno() $(, if $first)?)
    };
    ($name:literal, $timeline:expr, $context:expr, $seqno:expr $(, if $first:expr)?) => {
        undisturbed(|| {
            $(if !$first {
                return;
            })?
            // The fields are evaluated only if a subscriber wants the event.
            tracing::event!(
                name: $name,
                target: "dma_fence",
                tracing::Level::TRACE,
                driver = DRIVER,
                timeline = $timeline,
                context = $context.as_raw(),
                seqno = $seqno,
            );
        })
    };
}

#[cfg(not(feature = "tracing"))]
macro_rules! emit {
    (unless point, $name:literal, $fence:ident) => {};
    ($name:literal, $fence:ident) => {};
}

/// Runs what emits an event: without a panic of the subscriber, and not from within the subscriber.
///
/// For the crates of this workspace that have events of their own.
#[cfg(feature = "tracing")]
#[doc(hidden)]
pub fn undisturbed(emit: impl FnOnce()) {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    thread_local! {
        static IN_SUBSCRIBER: Cell<bool> = const { Cell::new(false) };
    }
    // The cheap question first: most programs have no subscriber that goes so far down.
    let wanted = tracing::level_filters::LevelFilter::current() >= tracing::Level::TRACE;
    if !wanted || IN_SUBSCRIBER.replace(true) {
        return;
    }
    // The panic hook has told of it; there is nobody here who could do more.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(emit)) {
        super::run_queue::discard(panic);
    }
    IN_SUBSCRIBER.set(false);
}

/// A fence was made.
#[inline(always)]
pub(super) fn init(_fence: &Fence) {
    emit!(unless point, "dma_fence_init", _fence);
}

/// A job is behind the fence.
#[inline(always)]
pub(super) fn emit(_fence: &Fence) {
    emit!("dma_fence_emit", _fence);
}

/// Somebody asks for the signal of a fence.
#[inline(always)]
pub(super) fn enable_signal(_fence: &Fence) {
    #[cfg(feature = "tracing")]
    emit!(
        unless point,
        "dma_fence_enable_signal",
        _fence,
        if _fence.cell().asked().is_first()
    );
}

/// The fence has signalled; its callbacks have not run.
#[inline(always)]
pub(super) fn signaled(_fence: &Fence) {
    emit!(unless point, "dma_fence_signaled", _fence);
}

/// The fence is no more; its cell is not yet another one's.
#[inline(always)]
pub(super) fn destroy(_cell: &FenceCell, _line: Option<&Line>) {
    #[cfg(feature = "tracing")]
    if _cell.kind() != Kind::Point {
        let name = _line.map_or(_cell.kind().own_name(), |line| line.name());
        let (timeline, seqno) = _cell.key_parts();
        emit!("dma_fence_destroy", name, timeline, seqno);
    }
}

/// A wait for `fence` begins: for those who build a wait on [`Fence::on_signal`]. One
/// [`wait_end`] is owed.
#[inline(always)]
pub fn wait_start(_fence: &Fence) {
    emit!("dma_fence_wait_start", _fence);
}

/// A wait for `fence` has ended, in whatever way.
#[inline(always)]
pub fn wait_end(_fence: &Fence) {
    emit!("dma_fence_wait_end", _fence);
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

/// Whether somebody has asked for the signal of the fence in a cell. Without the feature it is
/// nothing.
#[derive(Debug, Default)]
pub(super) struct Asked {
    // Tells events apart and orders nothing, so it stays real under loom.
    #[cfg(feature = "tracing")]
    before: std::sync::atomic::AtomicBool,
}

impl Asked {
    /// The cell becomes another fence.
    #[inline(always)]
    pub(super) fn reset(&self) {
        #[cfg(feature = "tracing")]
        self.before
            .store(false, std::sync::atomic::Ordering::Relaxed);
    }

    /// Relaxed, as in `reset`: handing over the first reference of the new fence comes between the
    /// two. The load first, so that later waiters only read the line.
    #[cfg(feature = "tracing")]
    fn is_first(&self) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        !self.before.load(Relaxed) && !self.before.swap(true, Relaxed)
    }
}
