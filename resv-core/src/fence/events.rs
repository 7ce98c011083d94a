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
        emit!($name, $fence, if $fence.kind() != Kind::Point $(&& $first)?)
    };
    ($name:literal, $fence:ident $(, if $is_due:expr)?) => {
        undisturbed(|| {
            $(if !$is_due {
                return;
            })?
            let (timeline, seqno) = $fence.key_parts();
            // The fields are evaluated only if a subscriber wants the event.
            tracing::event!(
                name: $name,
                target: "dma_fence",
                tracing::Level::TRACE,
                driver = DRIVER,
                timeline = &*$fence.timeline_name(),
                context = timeline.as_raw(),
                seqno,
            );
        })
    };
}

#[cfg(not(feature = "tracing"))]
macro_rules! emit {
    (unless point, $name:literal, $fence:ident) => {};
    ($name:literal, $fence:ident) => {};
}

/// Whether a subscriber wants events like these: one relaxed load. Most programs have none that goes so far down.
#[inline(always)]
pub(super) fn are_wanted() -> bool {
    #[cfg(feature = "tracing")]
    return tracing::level_filters::LevelFilter::current() >= tracing::Level::TRACE;
    #[cfg(not(feature = "tracing"))]
    return false;
}

/// Runs what emits an event: without a panic of the subscriber, and not from within the subscriber.
///
/// For the crates of this workspace that have events of their own.
#[cfg(feature = "tracing")]
#[doc(hidden)]
#[inline(always)]
pub fn undisturbed(emit: impl FnOnce()) {
    // The cheap question first, and in line: what nobody wants is not to cost a call.
    if are_wanted() {
        tell(emit);
    }
}

#[cfg(feature = "tracing")]
#[cold]
#[inline(never)]
fn tell(emit: impl FnOnce()) {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    thread_local! {
        static IN_SUBSCRIBER: Cell<bool> = const { Cell::new(false) };
    }
    if IN_SUBSCRIBER.replace(true) {
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
    emit!(unless point, "dma_fence_destroy", _cell);
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
