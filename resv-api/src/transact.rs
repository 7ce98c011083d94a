//! How a transaction over many objects takes its locks: a builder for all forms of it.

use crate::batch::{Guards, lock_all_with};
use crate::exec::{ExecError, Tx, run};
use crate::exec_async::ExecFuture;
use crate::object::Resv;
use crate::patience::{Patience, TimedOut};
use crate::submit::{SubmitError, submit_or_wait};
use crate::submittable::{Fences, Submittable};
use crate::waits::Waits;
use resv_core::lock::{Algorithm, Class};
use resv_core::{Backend, ReserveError, Semantics, Until, Usage};

/// A transaction over many objects that is to be made: in which class its contexts are, and for how long
/// it waits for locks.
///
/// | what | short form |
/// |---|---|
/// | [`run`](Transaction::run) a closure that locks one by one | [`exec`](crate::exec()), [`exec_until`](crate::exec_until) |
/// | [`run_async`](Transaction::run_async), the same by a task | [`exec_async`](crate::exec_async()) |
/// | [`lock_all`](Transaction::lock_all) of a slice | [`lock_all`](crate::lock_all) |
/// | [`submit`](Transaction::submit) a job | [`submit`](crate::submit()) |
///
/// ```
/// use resv_api::lock::{Algorithm, Class};
/// use resv_api::{Resv, Transaction};
/// use std::convert::Infallible;
/// use std::time::Duration;
///
/// static EVICTION: Class = Class::new(Algorithm::WaitDie);
/// let transaction = Transaction::new().class(&EVICTION);
///
/// let buffers = [Resv::new(), Resv::new()];
/// let pending = transaction.run::<_, Infallible>(|tx| {
///     let mut pending = 0;
///     for buffer in &buffers {
///         pending += tx.lock(buffer)?.entries().len();
///     }
///     Ok(pending)
/// });
/// assert_eq!(pending, Ok(0));
/// assert_eq!(EVICTION.backoffs(), 0);
///
/// let in_time = transaction.until(Duration::from_millis(1));
/// assert!(in_time.lock_all(&[&buffers[0], &buffers[1]]).is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is locked by this alone"]
pub struct Transaction {
    class: &'static Class,
}

impl Default for Transaction {
    fn default() -> Self {
        Transaction::new()
    }
}

impl Transaction {
    /// In the default class: wait-die. It waits for ever.
    pub fn new() -> Transaction {
        Transaction {
            class: <&Class>::default(),
        }
    }

    /// In a class of one's own, which decides the algorithm and counts the back-offs.
    pub fn class(self, class: &'static Class) -> Transaction {
        Transaction { class }
    }

    /// In the class of all transactions that name this algorithm and no class.
    pub fn algorithm(self, algorithm: Algorithm) -> Transaction {
        self.class(Class::shared(algorithm))
    }

    /// Gives up when the locks cannot be had in time: after a [`Duration`](std::time::Duration), at an
    /// [`Instant`](std::time::Instant), or never with `None`. The clock starts at the call that locks.
    pub fn until(self, until: impl Into<Until>) -> TimedTransaction {
        TimedTransaction {
            class: self.class,
            until: until.into(),
        }
    }

    /// Runs `f` until it holds everything that it wants to lock; see [`exec`](crate::exec()).
    ///
    /// # Errors
    ///
    /// What `f` [failed](ExecError::Failed) with. Everything is released then, and what was not added
    /// to is as it was.
    ///
    /// # Panics
    ///
    /// When `f` locks an object, or backs off, after it has added.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn run<'env, T, E>(
        self,
        f: impl for<'t> FnMut(&'t Tx<'env>) -> Result<T, ExecError<E>>,
    ) -> Result<T, E> {
        let ended = run(Tx::new(self.class, Patience::Unbounded), f);
        ended.expect("only a transaction with a deadline runs out of time")
    }

    /// [`run`](Transaction::run) by a task; see [`exec_async`](crate::exec_async()). The class counts
    /// the runs that were given up.
    pub fn run_async<'env, T, E, F>(self, f: F) -> ExecFuture<'env, F>
    where
        F: for<'t> FnMut(&'t Tx<'env>) -> Result<T, ExecError<E>>,
    {
        ExecFuture::new(self.class, f)
    }

    /// Takes the locks of all of `resvs`; see [`lock_all`](crate::lock_all).
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock_all<'a, S: Semantics, B: Backend>(
        self,
        resvs: &[&'a Resv<S, B>],
    ) -> Guards<'a, S, B> {
        let locked = lock_all_with(self.class, Patience::Unbounded, resvs);
        locked.expect("only a batch with a deadline runs out of time")
    }

    /// Adds the fences of a job to all objects that it uses; see [`submit`](crate::submit()).
    ///
    /// # Errors
    ///
    /// When memory cannot be had. Nothing has changed then.
    // In line, as `submit`.
    #[cfg_attr(debug_assertions, inline)]
    #[cfg_attr(not(debug_assertions), inline(always))]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn submit<F: Fences + ?Sized, T: Submittable + ?Sized>(
        self,
        fences: &F,
        uses: &[(&T, Usage)],
    ) -> Result<Waits, ReserveError> {
        let (class, fences) = (self.class, fences.as_slice());
        submit_or_wait(
            fences,
            uses,
            (class, Patience::Unbounded),
            |error| match error {
                SubmitError::Reserve(error) => error,
                SubmitError::TimedOut(_) => {
                    unreachable!("only one with a deadline runs out of time")
                }
            },
        )
    }
}

/// A [`Transaction`] that gives up when the locks cannot be had in time.
///
/// The time is for waiting, over all runs of a closure together. Locks that are free are taken whatever
/// the time, so a zero timeout tries and never sleeps; and nothing interrupts a closure.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is locked by this alone"]
pub struct TimedTransaction {
    class: &'static Class,
    until: Until,
}

impl TimedTransaction {
    /// [`Transaction::run`] that gives up; see [`exec_until`](crate::exec_until).
    ///
    /// # Errors
    ///
    /// What `f` failed with, or [`TimedOut`]. Everything is released then, and what was not added to is
    /// as it was; after a time-out that is everything.
    ///
    /// # Panics
    ///
    /// As [`Transaction::run`].
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn run<'env, T, E: From<TimedOut>>(
        self,
        f: impl for<'t> FnMut(&'t Tx<'env>) -> Result<T, ExecError<E>>,
    ) -> Result<T, E> {
        run(Tx::new(self.class, Patience::until(self.until)), f)?
    }

    /// [`Transaction::lock_all`] that gives up.
    ///
    /// # Errors
    ///
    /// [`TimedOut`]: nothing is held then, and nothing has changed.
    ///
    /// ```
    /// use resv_api::{Resv, TimedOut, Transaction};
    /// use std::time::Duration;
    ///
    /// let (a, b) = (Resv::new(), Resv::new());
    /// let at_once = Transaction::new().until(Duration::ZERO);
    /// let somebody = b.lock();
    /// assert_eq!(at_once.lock_all(&[&a, &b]).err(), Some(TimedOut));
    /// assert!(a.try_lock().is_some());
    /// drop(somebody);
    /// assert!(at_once.lock_all(&[&a, &b]).is_ok());
    /// ```
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock_all<'a, S: Semantics, B: Backend>(
        self,
        resvs: &[&'a Resv<S, B>],
    ) -> Result<Guards<'a, S, B>, TimedOut> {
        lock_all_with(self.class, Patience::until(self.until), resvs)
    }

    /// [`Transaction::submit`] that gives up.
    ///
    /// # Errors
    ///
    /// [`SubmitError`]: nothing has changed then.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn submit<F: Fences + ?Sized, T: Submittable + ?Sized>(
        self,
        fences: &F,
        uses: &[(&T, Usage)],
    ) -> Result<Waits, SubmitError> {
        let (class, fences) = (self.class, fences.as_slice());
        let patience = Patience::until(self.until);
        submit_or_wait(fences, uses, (class, patience), |error| error)
    }
}
