//! Lazy fences: the work is asked for when the first wait begins.
//!
//! An eviction fence of a compute process is on every buffer of the process, and
//! starting to wait for it *is* the request to evict. So looking at a fence must never call its
//! hook, and neither must composing it, adding it to an object or copying it: only
//! [`Fence::on_signal`] and [`Fence::wait`] do, and through them what waits by a thread, a future
//! or a file descriptor. A wait of no length ([`Fence::wait`] with a zero timeout) is a look.

use super::events;
use super::extra::Extra;
use super::handle::Fence;
use super::run_queue::Panics;
use super::timeline::{SeqnoError, Signaler, Timeline};

impl Timeline {
    /// Issues the next fence, as [`issue`](Timeline::issue) does, with a hook that asks for its work.
    ///
    /// The hook is called at most once, on the thread that is the first to wait for the fence or for one
    /// composed of it, with no lock of this library held. It may signal the fence
    /// itself, through a [`Signaler`] that it shares with the issuer, and it may wait for other lazy
    /// fences: if that is done with a callback, their hooks are called when this one has returned, so
    /// hooks that ask each other need no stack. It is dropped uncalled if the
    /// fence signals first. A hook that panics does so in the waiter, whose callback stays
    /// registered.
    ///
    /// # Errors
    ///
    /// When the seqnos are used up.
    ///
    /// ```
    /// use resv_core::{Timeline, Waited};
    /// use std::sync::{Arc, Mutex};
    ///
    /// let job = Arc::new(Mutex::new(None));
    /// let in_hook = Arc::clone(&job);
    /// let evict = move || {
    ///     if let Some(job) = in_hook.lock().unwrap().take() {
    ///         resv_core::Signaler::signal(job);
    ///     }
    /// };
    /// let signaler = Timeline::new("kfd").issue_lazy(evict)?;
    /// let fence = signaler.fence().clone();
    /// *job.lock().unwrap() = Some(signaler);
    ///
    /// assert!(!fence.is_signaled()); // a look does not evict
    /// assert_eq!(fence.wait(None), Waited::Signaled); // a wait does
    /// # Ok::<(), resv_core::SeqnoError>(())
    /// ```
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn issue_lazy(&self, hook: impl FnOnce() + Send + 'static) -> Result<Signaler, SeqnoError> {
        let extra = Extra {
            start: Some(Box::new(hook)),
            ..Extra::default()
        };
        self.issue_next(Some(Box::new(extra)))
    }
}

impl Fence {
    /// A wait has begun: calls the hooks of this fence and of what it is composed of, all of
    /// them whatever panics.
    ///
    /// A list, not a recursion. Children whose parent has signalled meanwhile are left alone: one
    /// child of an `any` is enough.
    pub(super) fn start_now(&self, panics: &mut Panics) {
        let mut todo = vec![(self.clone(), None::<Fence>)];
        while let Some((fence, parent)) = todo.pop() {
            if fence.is_signaled() || parent.is_some_and(|parent| parent.is_signaled()) {
                continue;
            }
            events::enable_signal(fence.cell());
            let (mut hook, mut point) = (None, None);
            if let Some(extra) = fence.cell().extra().lock().as_mut() {
                hook = extra.start.take();
                point = extra.point;
                if let Some(composition) = &mut extra.composition
                    && !std::mem::replace(&mut composition.started, true)
                {
                    let children = composition.children.iter().rev();
                    todo.extend(children.map(|child| (child.fence.clone(), Some(fence.clone()))));
                }
            }
            if let Some(timeline) = point {
                // What this place and earlier ones are attached to.
                let attached = timeline.start(fence.seqno()).into_iter().rev();
                todo.extend(attached.map(|attached| (attached, None)));
            }
            if let Some(hook) = hook {
                panics.catch(hook);
            }
        }
    }
}
