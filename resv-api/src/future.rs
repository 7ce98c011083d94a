//! Waiting without a thread: futures for any executor.
//!
//! ```
//! use resv_api::{Access, Resv, Waited};
//! async fn present(buffer: &Resv) -> Result<(), String> {
//!     match buffer.wait_async(Access::Read).await {
//!         Waited::Failed(error) => Err(format!("the client's frame is broken: {error}")),
//!         _ => Ok(()),
//!     }
//! }
//! # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
//! # let (buffer, mut ready) = (Resv::new(), ());
//! # let mut future = std::pin::pin!(present(&buffer));
//! # assert!(std::future::Future::poll(future.as_mut(), &mut cx).is_ready());
//! ```

use crate::countdown::{Complete, Countdown};
use crate::wait::{Waitable, covered, outcome};
use resv_core::{Fence, Waited};
use resv_sync::sync::Mutex;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Resolves when every fence it was made of has signalled: [`Waited::Signaled`], or
/// [`Waited::Failed`] with the first error; never [`Waited::TimedOut`].
///
/// * What it covers is fixed when it is made, as with [`wait_all`](crate::wait_all).
/// * Made of signalled fences it holds nothing and resolves on the first poll; neither making nor
///   polling it allocates then.
/// * It registers on the first poll that finds something pending, once for all its fences. The task
///   is woken once, by the thread that signals the last of them, with no lock of ours held.
/// * Dropping it at any time takes its callbacks back. It keeps its fences alive until it resolves.
/// * It may be polled with another waker each time, and after it has resolved: it says the same.
#[must_use = "futures do nothing unless polled"]
pub struct WaitFuture {
    state: State,
}

enum State {
    /// Not polled yet, and something was pending: the fences that were, and those that failed.
    Unregistered(Vec<Fence>),
    /// Waiting. The fences are dropped after the countdown, though either order is sound.
    Registered(Countdown<Task>, Vec<Fence>),
    Resolved(Waited),
}

/// The task to wake.
#[derive(Default)]
struct Task(Mutex<Wakeup>);

#[derive(Default)]
struct Wakeup {
    done: bool,
    waker: Option<Waker>,
}

impl Task {
    /// Whether everything has signalled; if not, `waker` is the one to wake from now on.
    fn is_done_or_wake(&self, waker: &Waker) -> bool {
        // A waker is foreign code: cloned before the lock is taken, dropped after its release.
        let waker = waker.clone();
        let mut slot = self.0.lock();
        if slot.done {
            return true;
        }
        let replaced = slot.waker.replace(waker);
        drop(slot);
        drop(replaced);
        false
    }
}

impl Complete for Task {
    fn complete(&self, _: usize) {
        let waker = {
            let mut slot = self.0.lock();
            slot.done = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl WaitFuture {
    pub(crate) fn new<W: Waitable + ?Sized>(what: &W) -> WaitFuture {
        let state = match outcome(what) {
            Some(done) => State::Resolved(done),
            None => State::Unregistered(covered(what)),
        };
        WaitFuture { state }
    }
}

impl Future for WaitFuture {
    type Output = Waited;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Waited> {
        let done = match &mut self.state {
            State::Resolved(waited) => return Poll::Ready(*waited),
            State::Registered(countdown, fences) => {
                if !countdown.completion().is_done_or_wake(cx.waker()) {
                    return Poll::Pending;
                }
                outcome(fences)
            }
            State::Unregistered(fences) => match outcome(fences) {
                None => {
                    // If a hook of a lazy fence panics in here, this stays as it was: the next poll
                    // begins again.
                    let countdown = Countdown::start(fences, &[fences.len()], Task::default());
                    let fences = std::mem::take(fences);
                    // It may have completed already, with nobody to wake: so look after leaving the
                    // waker, not before.
                    let done = countdown.completion().is_done_or_wake(cx.waker());
                    let outcome = outcome(&fences);
                    self.state = State::Registered(countdown, fences);
                    if !done {
                        return Poll::Pending;
                    }
                    outcome
                }
                done => done,
            },
        };
        let waited = done.expect("it completes when every fence has signalled");
        self.state = State::Resolved(waited);
        Poll::Ready(waited)
    }
}

impl fmt::Debug for WaitFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Unregistered(fences) | State::Registered(_, fences) => {
                f.debug_tuple("WaitFuture").field(fences).finish()
            }
            State::Resolved(waited) => f.debug_tuple("WaitFuture").field(waited).finish(),
        }
    }
}
