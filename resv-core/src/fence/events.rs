//! Emitting the events that [`trace`](super::trace) describes.

use super::cell::FenceCell;
#[cfg(feature = "tracing")]
use super::cell::Kind;

/// The driver name of the fences of this library, in traces and descriptions.
pub const DRIVER: &str = "resv";

/// Emits one event: the kernel's name for a step in a fence's life, and the kernel's fields.
#[cfg(feature = "tracing")]
macro_rules! emit {
    // What a point would tell its fence tells.
    (unless point, $name:literal, $fence:ident $(, if $first:expr)?) => {
        if $fence.kind() != Kind::Point {
            emit!($name, $fence $(, if $first)?);
        }
    };
    ($name:literal, $fence:ident $(, if $first:expr)?) => {
        emit!($name, &*$fence.timeline_name(), $fence.key_parts().0, $fence.key_parts().1 $(, if $first)?)
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
    // The panic hook has told of it; nothing more can be done here.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(emit)) {
        super::run_queue::discard(panic);
    }
    IN_SUBSCRIBER.set(false);
}

/// A fence was made.
#[inline(always)]
pub(super) fn init(_cell: &FenceCell) {
    emit!(unless point, "dma_fence_init", _cell);
}

/// A job is behind the fence.
#[inline(always)]
pub(super) fn emit(_cell: &FenceCell) {
    emit!("dma_fence_emit", _cell);
}

/// The signal of a fence is asked for.
#[inline(always)]
pub(super) fn enable_signal(_cell: &FenceCell) {
    #[cfg(feature = "tracing")]
    emit!(
        unless point,
        "dma_fence_enable_signal",
        _cell,
        if _cell.asked().is_first()
    );
}

/// The fence has signalled; its callbacks have not run.
#[inline(always)]
pub(super) fn signaled(_cell: &FenceCell) {
    emit!(unless point, "dma_fence_signaled", _cell);
}

/// The fence is no more; its cell is not yet another one's.
#[inline(always)]
pub(super) fn destroy(_cell: &FenceCell) {
    #[cfg(feature = "tracing")]
    if _cell.kind() != Kind::Point {
        let (timeline, seqno) = _cell.key_parts();
        emit!(
            "dma_fence_destroy",
            &*_cell.timeline_name(),
            timeline,
            seqno
        );
    }
}

/// A wait for the fence begins.
#[inline(always)]
pub(super) fn wait_start(_cell: &FenceCell) {
    emit!("dma_fence_wait_start", _cell);
}

/// A wait for the fence has ended.
#[inline(always)]
pub(super) fn wait_end(_cell: &FenceCell) {
    emit!("dma_fence_wait_end", _cell);
}
