//! The foreign code that fences run: callbacks of fences that have signalled, hooks of lazy fences and of
//! deadlines. All of it goes through the [run queue](super::run_queue) of the thread.

use super::extra::{DeadlineHook, Extra};
use super::handle::Fence;
use super::reach::Reach;
use super::run_queue::{self, Panics, RunQueue};
use super::status::FenceStatus;
use resv_sync::callbacks::Closed;
use std::mem::ManuallyDrop;
use std::time::Instant;

/// What remains to be done for a fence that has just become signalled.
pub(super) struct Completion {
    pub(super) status: FenceStatus,
    pub(super) callbacks: Closed<'static>,
    pub(super) extra: Option<Box<Extra>>,
    /// How far the timeline has come, if a point of it is waited for.
    pub(super) awaited: Option<&'static Reach>,
    /// Keeps the fence until the callbacks have run.
    pub(super) _fence: Fence,
}

/// See the [module](self).
pub(super) enum Task {
    /// The callbacks of a fence that has nothing else.
    Callbacks(Closed<'static>, Fence),
    /// The callbacks of all fences that one completed, in order; then what they owned is dropped.
    Completions(Vec<Completion>),
    /// A wait for this fence has begun.
    Start(Fence),
    /// A deadline has been set.
    Deadline(DeadlineHook, Instant),
}

resv_sync::thread_wide! {
    /// Not dropped at the end of the thread, so that it is there for what signals in a destructor of
    /// another thread-local. It owns no memory while it does not run.
    static QUEUE: ManuallyDrop<RunQueue<Task>> = const { ManuallyDrop::new(RunQueue::new()) }
}

/// Runs `task`: now, or after the one that this thread is running.
#[inline]
pub(super) fn run(task: Task) {
    QUEUE.with(|queue| queue.run(task));
}

/// Runs the callbacks of a fence that has nothing else, as [`run`] does.
#[inline(never)]
pub(super) fn run_callbacks_of(fence: Fence, callbacks: Closed<'static>) {
    if !QUEUE.with(|queue| queue.begin()) {
        return queue_callbacks_of(fence, callbacks);
    }
    let mut panics = Panics::default();
    callbacks.run_all(|panic| panics.keep(panic));
    QUEUE.with(|queue| queue.end(&mut panics));
}

#[cold]
#[inline(never)]
fn queue_callbacks_of(fence: Fence, callbacks: Closed<'static>) {
    QUEUE.with(|queue| queue.push(Task::Callbacks(callbacks, fence)));
}

/// Runs the callbacks and hooks that wait for their turn on this thread: to be called before the thread
/// sleeps for something that they may bring about.
///
/// A callback that signals a fence goes on before the callbacks of that fence run (see
/// [`Fence::on_signal`]). The waits of this library call this; a wait of one's own that may be used
/// inside a callback has to as well. Elsewhere it does nothing.
pub fn run_before_sleep() {
    QUEUE.with(|queue| queue.run_all());
}

impl run_queue::Task for Task {
    fn run(self, panics: &mut Panics) {
        match self {
            Task::Callbacks(mut callbacks, _fence) => callbacks.run(|panic| panics.keep(panic)),
            Task::Completions(mut completions) => {
                for completion in &mut completions {
                    completion.callbacks.run(|panic| panics.keep(panic));
                }
                for completion in completions {
                    // Hooks that were never called may own anything.
                    panics.catch(|| drop(completion));
                }
            }
            Task::Start(fence) => fence.start_now(panics),
            Task::Deadline(hook, deadline) => panics.catch(|| hook(deadline)),
        }
    }
}
