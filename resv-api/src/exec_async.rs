//! One transaction over many objects, by a task.
//!
//! [`exec_async`] runs the same closure as [`exec`](crate::exec()), on any executor, and never blocks
//! its thread. Each run is within one poll, from the first lock to the last add. If an object is
//! locked by another thread, the run ends there: everything is released, the task is woken when that
//! object is released, and the closure runs again.
//!
//! A suspended task holds no lock. So it is in nobody's way, neither a thread's nor the executor's
//! own, it takes no part in a deadlock, and dropping the future at any time leaves every object as
//! it was. So is a future that is kept and not polled any more: a release wakes all tasks that watch the
//! object, so none waits for another to be polled. What that costs: a task that wants many busy objects
//! may have to try often, as it keeps no place among the threads that [sleep](crate::exec()) for a lock. (Why a task must not hold a lock
//! while it is suspended: [`lock`](crate::lock), Tasks.)
//!
//! ```
//! use resv_api::{Access, ReserveError, Resv, Timeline, Usage, exec_async};
//!
//! async fn submit(from: &Resv, to: &Resv) -> Result<(), Box<dyn std::error::Error>> {
//!     let copy = Timeline::new("sdma").issue()?;
//!     exec_async::<_, ReserveError, _>(|tx| {
//!         let (from, to) = (tx.lock(from)?, tx.lock(to)?);
//!         let (mut from, mut to) = (from.reserve(1)?, to.reserve(1)?);
//!         from.add(copy.fence(), Usage::Read);
//!         to.add(copy.fence(), Usage::Write);
//!         Ok(())
//!     })
//!     .await?;
//!     copy.signal();
//!     to.wait_async(Access::Read).await;
//!     Ok(())
//! }
//! # let (from, to) = (Resv::new(), Resv::new());
//! # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
//! # let mut future = std::pin::pin!(submit(&from, &to));
//! # assert!(std::future::Future::poll(future.as_mut(), &mut cx).is_ready());
//! ```

use crate::exec::{ExecError, Tx};
use crate::patience::Patience;
use crate::transact::Transaction;
use resv_core::lock::{Class, Watch};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How often a lock that has become free in the meantime is tried again before the other tasks of
/// the executor get their turn.
const TRIES: usize = 8;

/// [`exec`](crate::exec()) for a task; see the [module](self).
///
/// The future resolves to what the closure returned, or to what it failed with.
pub fn exec_async<'env, T, E, F>(f: F) -> ExecFuture<'env, F>
where
    F: for<'t> FnMut(&'t Tx<'env>) -> Result<T, ExecError<E>>,
{
    Transaction::new().run_async(f)
}

/// What [`exec_async`] returns.
///
/// It may be dropped at any time, and is woken at most once for each poll.
#[must_use = "futures do nothing unless polled"]
pub struct ExecFuture<'env, F> {
    f: F,
    /// Between two runs it holds nothing; `None` when the last one has ended.
    tx: Option<Tx<'env>>,
    /// Of the lock that the last run was given up for.
    watch: Option<Watch<'env>>,
}

impl<F> ExecFuture<'_, F> {
    pub(crate) fn new(class: &'static Class, f: F) -> Self {
        ExecFuture {
            f,
            tx: Some(Tx::new(class, Patience::None)),
            watch: None,
        }
    }
}

// Nothing in it is pinned: the closure is called through a plain reference.
impl<F> Unpin for ExecFuture<'_, F> {}

impl<'env, T, E, F> Future for ExecFuture<'env, F>
where
    F: for<'t> FnMut(&'t Tx<'env>) -> Result<T, ExecError<E>>,
{
    type Output = Result<T, E>;

    /// # Panics
    ///
    /// As [`exec`](crate::exec()), and when polled after it has resolved or panicked.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this
            .watch
            .as_ref()
            .is_some_and(|watch| watch.poll(cx.waker()).is_pending())
        {
            return Poll::Pending;
        }
        let tx = this.tx.take();
        let mut tx = tx.expect("a transaction is not polled after it has ended");
        for _ in 0..TRIES {
            let result = match (this.f)(&tx) {
                Ok(value) => Ok(value),
                Err(ExecError::Failed(error)) => Err(error),
                Err(ExecError::Backoff(_)) => {
                    let (contended, _) = tx.give_up();
                    this.watch = None;
                    this.watch = tx.watch(contended, cx.waker());
                    if this.watch.is_some() {
                        this.tx = Some(tx);
                        return Poll::Pending;
                    }
                    continue;
                }
            };
            tx.release();
            this.watch = None;
            return Poll::Ready(result);
        }
        cx.waker().wake_by_ref();
        this.tx = Some(tx);
        Poll::Pending
    }
}

impl<F> fmt::Debug for ExecFuture<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (&self.tx, &self.watch) {
            (Some(_), None) => "to run",
            (Some(_), Some(_)) => "to run when a lock is released",
            (None, _) => "ended",
        };
        f.debug_tuple("ExecFuture").field(&state).finish()
    }
}
