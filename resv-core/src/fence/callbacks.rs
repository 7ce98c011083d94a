//! Calling back: what a thread that waits leaves with a fence.

use super::events;
use super::handle::Fence;
use super::status::FenceStatus;
use super::task::{self, Task};
use resv_sync::callbacks::{Name, Notify};
use std::fmt;

/// Names a registered callback, to take it back with [`Fence::cancel`]. It is of no use for another fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackId(Name);

/// The fence has signalled already; here is the callback back, which was not run.
pub struct AlreadySignaled<F>(pub F);

impl<F> fmt::Debug for AlreadySignaled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlreadySignaled")
    }
}

impl<F> fmt::Display for AlreadySignaled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fence has signalled already, so the callback was not registered")
    }
}

impl<F> std::error::Error for AlreadySignaled<F> {}

/// What [`Fence::on_signal`] stores.
struct OnSignal<F>(F);

impl<F: FnOnce(FenceStatus) + Send + 'static> Notify for OnSignal<F> {
    fn notify(self, outcome: u32) {
        (self.0)(FenceStatus::of(Some(outcome)));
    }
}

impl Fence {
    /// Has `callback` run once when the fence signals: on the signalling thread, after the state
    /// has changed, in order of registration, with no lock of this library held.
    ///
    /// Storing it takes no lock that the signaller takes: a thread that is descheduled in here delays
    /// nobody. Only a composed, lazy or watched fence has more to say to its signaller, under a short
    /// lock.
    ///
    /// The callback may do anything, including signalling other fences, dropping the last handle of
    /// this one, or editing an object. A fence that it signals has signalled when `signal` returns, but
    /// its callbacks run after this one has returned, in the order in which the fences signalled: callbacks
    /// never run inside each other, so a chain of them may have any length. A wait of this library inside
    /// a callback runs them first ([`run_before_sleep`](super::run_before_sleep)).
    ///
    /// A callback that panics does not keep the others from running, of this fence or of those that it
    /// signals. The first panic goes on in the `signal` that is at the bottom of the stack afterwards;
    /// later ones are dropped.
    ///
    /// This is where a wait starts: a [lazy](super::Timeline::issue_lazy) fence is asked for its work,
    /// after the callback has been registered and with no lock held; inside a callback, after it.
    ///
    /// # Errors
    ///
    /// On a fence that has signalled the callback is not run; it is handed back.
    ///
    /// ```
    /// use resv_core::Timeline;
    /// let job = Timeline::new("gfx").issue()?;
    /// let fence = job.fence().clone();
    /// fence.on_signal(|status| println!("done: {status:?}"))?;
    /// job.signal();
    /// let late = fence.on_signal(|_| unreachable!("never run by the fence"));
    /// assert!(late.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_signal<F>(&self, callback: F) -> Result<CallbackId, AlreadySignaled<F>>
    where
        F: FnOnce(FenceStatus) + Send + 'static,
    {
        if self.is_signaled() {
            return Err(AlreadySignaled(callback));
        }
        events::enable_signal(self.cell());
        // Either it is in the list that the signaller takes, or it is refused.
        let stored = self
            .cell()
            .outcome()
            .push(OnSignal(callback))
            .map_err(|OnSignal(callback)| AlreadySignaled(callback))?;
        if stored.takes_slow_path {
            self.registered();
        }
        Ok(CallbackId(stored.name))
    }

    /// What is there to be done for a callback besides storing it: a lazy fence is asked for its work.
    #[cold]
    #[inline(never)]
    fn registered(&self) {
        let start = {
            let mut locked = self.cell().extra().lock();
            let extra = locked.as_mut();
            extra.is_some_and(|extra| extra.on_registered(self))
        };
        if start {
            task::run(Task::Start(self.clone()));
        }
    }

    /// Takes a callback back. `true`: it has not run and never will. `false`: it has run, is running
    /// or is about to. The signaller does not wait for it.
    pub fn cancel(&self, id: CallbackId) -> bool {
        // Dropped at the end, with no lock held: a callback may own anything.
        let callback = self.cell().outcome().cancel(id.0);
        if self.cell().is_composed() {
            let _kept = {
                let mut locked = self.cell().extra().lock();
                let idle = self.cell().outcome().is_empty();
                let extra = locked.as_mut().filter(|_| idle);
                extra.and_then(|extra| extra.keep.take())
            };
        }
        callback.is_some()
    }
}
