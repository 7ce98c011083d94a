//! One transaction over many objects, locked in any order.
//!
//! # The concept
//!
//! A job uses many buffers, and the next job some of the same ones in another order. [`exec`] runs a
//! closure that locks the objects one by one through a [`Tx`]. If going on could deadlock with
//! another transaction, [`Tx::lock`] answers [`Backoff`], which the closure passes on with `?`; then
//! everything is released, the object in question is taken first, and the closure runs again, with
//! the same age. The oldest transaction never backs off, and every transaction becomes the oldest.
//! (The lock itself, its two algorithms and the argument for progress: [`lock`](crate::lock).)
//!
//! What [`Tx::lock`] returns is a [`Receipt`]: the permission to reserve and add. The transaction
//! keeps the lock; so locking an object again returns the same permission, and it does not matter
//! whether two helpers lock the same object. All locks are released when [`exec`] returns, on every
//! path, a panic included, and what was added is published then.
//!
//! # Lock first, add after
//!
//! A closure that backs off is run again, and an add is never taken back. So after the first add no
//! further object can be locked: that panics, whether or not the object is contended, and a test
//! finds it. In between is the place for what can fail (reserving), and for what happens once (going
//! to the hardware).
//!
//! ```
//! use resv_api::{Access, ReserveError, Resv, Timeline, Usage, exec};
//!
//! let (texture, target) = (Resv::new(), Resv::new());
//! let job = Timeline::new("gfx").issue()?;
//! exec::<_, ReserveError>(|tx| {
//!     // Lock, in any order: `?` passes a back-off on.
//!     let reads = tx.lock(&texture)?;
//!     let writes = tx.lock(&target)?;
//!     // Reserve: the last step that can fail.
//!     let mut reads = reads.reserve(1)?;
//!     let mut writes = writes.reserve(1)?;
//!     // Go to the hardware, and add: this is done once.
//!     reads.add(job.fence(), Usage::Read);
//!     writes.add(job.fence(), Usage::Write);
//!     Ok(())
//! })?;
//! assert!(texture.is_idle(Access::Read));
//! assert!(!target.is_idle(Access::Read));
//! # job.signal();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A receipt does not leave its run of the closure:
//!
//! ```compile_fail,E0521
//! # use resv_api::{ReserveError, Resv, exec};
//! # let buffer = Resv::new();
//! let mut receipt = None;
//! exec::<_, ReserveError>(|tx| {
//!     receipt = Some(tx.lock(&buffer)?); // the lock may be released before the next run
//!     Ok(())
//! });
//! ```
//!
//! A task uses [`exec_async`](crate::exec_async()), with the same closure. A thread that cannot wait for
//! ever uses [`exec_until`], which gives up with everything as it was. A job whose buffers and usages
//! are known beforehand needs no closure: [`submit`](crate::submit()). All of them are short forms of
//! [`Transaction`].
//!
//! While the closure runs, no other lock of an object may be waited for on this thread, such as
//! [`Resv::lock`] or an inner `exec`: the outer transaction would wait without being able to yield.

use crate::ascending::{ascending, room_for};
use crate::noted::Noted;
use crate::object::{Resv, out_of_memory};
use crate::patience::{Patience, TimedOut};
use crate::receipt::{Members, Receipt};
use crate::submittable::{Fences, Submittable};
use crate::transact::Transaction;
use crate::waits::Waits;
use resv_core::lock::{Class, Context, LockError, Watch};
use resv_core::{Backend, ObjectLock, ReserveError, Semantics, Until, Usage};
use std::cell::Cell;
use std::fmt;
use std::task::Waker;

/// Locking on could deadlock, or the time of [`exec_until`] is up: to be returned from the closure,
/// which is then run again, or not.
#[derive(Debug)]
#[must_use = "a back-off is to be returned from the closure"]
pub struct Backoff(());

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the transaction has to release its locks and run again")
    }
}

impl std::error::Error for Backoff {}

/// Why the closure of [`exec`] did not succeed: to be run again, or failed with an error of its
/// own.
///
/// `?` makes one of a [`Backoff`], and of a [`ReserveError`] if `E` can be made of that. For other
/// errors: `.map_err(ExecError::Failed)?`.
#[derive(Debug)]
pub enum ExecError<E> {
    /// Run the closure again.
    Backoff(Backoff),
    /// Give up; [`exec`] returns this error.
    Failed(E),
}

impl<E> From<Backoff> for ExecError<E> {
    fn from(backoff: Backoff) -> Self {
        ExecError::Backoff(backoff)
    }
}

impl<E: From<ReserveError>> From<ReserveError> for ExecError<E> {
    fn from(error: ReserveError) -> Self {
        ExecError::Failed(error.into())
    }
}

/// Runs `f` until it holds everything that it wants to lock; see the [module](self). With a class or an
/// algorithm: [`Transaction::run`].
///
/// # Errors
///
/// What `f` [failed](ExecError::Failed) with. Everything is released then, and what was not added to
/// is as it was.
///
/// # Panics
///
/// When `f` locks an object, or backs off, after it has added.
#[cfg_attr(feature = "checks", track_caller)]
pub fn exec<'env, T, E>(
    f: impl for<'t> FnMut(&'t Tx<'env>) -> Result<T, ExecError<E>>,
) -> Result<T, E> {
    Transaction::new().run(f)
}

/// [`exec`] that gives up when the locks cannot be had in time: after a
/// [`Duration`](std::time::Duration), at an [`Instant`](std::time::Instant), or never with `None`.
///
/// The time is for waiting, over all runs of the closure together. Locks that are free are taken
/// whatever the time, so a zero timeout tries and never sleeps; and nothing interrupts the closure.
///
/// # Errors
///
/// What `f` failed with, or [`TimedOut`]. Everything is released then, and what was not added to is
/// as it was; after a time-out that is everything.
///
/// # Panics
///
/// As [`exec`].
///
/// ```
/// use resv_api::{Resv, TimedOut, exec_until};
/// use std::time::Duration;
///
/// let (texture, target) = (Resv::new(), Resv::new());
/// let somebody = target.lock();
/// let both = exec_until(Duration::from_millis(1), |tx| {
///     tx.lock(&texture)?;
///     tx.lock(&target)?;
///     Ok(())
/// });
/// assert_eq!(both, Err(TimedOut));
/// assert!(texture.try_lock().is_some());
/// # drop(somebody);
/// ```
#[cfg_attr(feature = "checks", track_caller)]
pub fn exec_until<'env, T, E: From<TimedOut>>(
    until: impl Into<Until>,
    f: impl for<'t> FnMut(&'t Tx<'env>) -> Result<T, ExecError<E>>,
) -> Result<T, E> {
    Transaction::new().until(until).run(f)
}

/// Runs `f` until it holds everything, or until the time is up.
#[inline]
#[cfg_attr(feature = "checks", track_caller)]
pub(crate) fn run<'env, T, E>(
    mut tx: Tx<'env>,
    mut f: impl for<'t> FnMut(&'t Tx<'env>) -> Result<T, ExecError<E>>,
) -> Result<Result<T, E>, TimedOut> {
    loop {
        match f(&tx) {
            Ok(value) => return Ok(Ok(value)),
            Err(ExecError::Failed(error)) => return Ok(Err(error)),
            Err(ExecError::Backoff(_)) => tx.back_off()?,
        }
    }
}

/// A transaction that is being locked: what the closure of [`exec`] gets.
///
/// `'env` is how long the objects live: longer than the call of [`exec`].
pub struct Tx<'env> {
    members: Members<'env>,
    patience: Patience,
    /// The lock that the last back-off was about, and why.
    contended: Cell<Option<(&'env ObjectLock, LockError)>>,
}

impl<'env> Tx<'env> {
    #[inline]
    pub(crate) fn new(class: &'static Class, patience: Patience) -> Self {
        Tx {
            members: Members::new(Context::in_class(class)),
            patience,
            contended: Cell::new(None),
        }
    }

    /// Takes the lock of `resv`; sleeps while another transaction holds it and waiting is safe. An
    /// object that this transaction holds already is simply held: the receipt is for the same lock.
    ///
    /// Objects of different semantics and back ends may meet in one transaction.
    ///
    /// # Errors
    ///
    /// [`Backoff`], to be returned from the closure. Until then everything is still held, and the
    /// closure may also decide to do without this object.
    ///
    /// # Panics
    ///
    /// When the object is not held, and this transaction has added to one.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock<'t, S: Semantics, B: Backend>(
        &'t self,
        resv: &'env Resv<S, B>,
    ) -> Result<Receipt<'t, 'env, S, B>, Backoff> {
        let lock = resv.backend().object_lock();
        let locks = self.members.locks();
        let place = match self.patience.lock(locks, lock) {
            Ok(place) => place,
            Err(error) => self.not_taken(error, lock)?,
        };
        Ok(Receipt::new(&self.members, place, resv))
    }

    /// Takes the locks of all of `resvs`, with any repetitions; the receipts are in the order of the
    /// slice. The locks are taken in the order of their addresses, so that two calls seldom back
    /// off from each other.
    ///
    /// # Errors
    ///
    /// As [`lock`](Tx::lock).
    ///
    /// # Panics
    ///
    /// As [`lock`](Tx::lock).
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock_all<'t, S: Semantics, B: Backend>(
        &'t self,
        resvs: &[&'env Resv<S, B>],
    ) -> Result<Vec<Receipt<'t, 'env, S, B>>, Backoff> {
        let lock = |at: usize| resvs[at].backend().object_lock();
        let Some(order) = ascending(resvs.len(), lock).unwrap_or_else(|e| out_of_memory(e)) else {
            // A loop and not a closure, which would hide the place of the caller from the checks.
            let mut receipts = Vec::with_capacity(resvs.len());
            for resv in resvs {
                receipts.push(self.lock(*resv)?);
            }
            return Ok(receipts);
        };
        let mut receipts: Vec<Option<Receipt<'t, 'env, S, B>>> = vec![None; resvs.len()];
        let mut last: Option<Receipt<'t, 'env, S, B>> = None;
        for (_, at) in order {
            let again = last.filter(|last| std::ptr::eq(last.resv(), resvs[at]));
            let receipt = match again {
                Some(receipt) => receipt,
                None => self.lock(resvs[at])?,
            };
            last = Some(receipt);
            receipts[at] = last;
        }
        Ok(receipts.into_iter().flatten().collect())
    }

    /// [`submit`](crate::submit()) to objects that are locked already: collects what the job must wait
    /// for, gets the memory in all of them, and adds. Nothing is published or unlocked before the
    /// transaction ends, unless the semantics publishes at once.
    ///
    /// ```
    /// use resv_api::{Access, ReserveError, Resv, Timeline, Usage, exec};
    ///
    /// let (texture, target) = (Resv::new(), Resv::new());
    /// let job = Timeline::new("gfx").issue()?;
    /// let waits = exec::<_, ReserveError>(|tx| {
    ///     let (texture, target) = (tx.lock(&texture)?, tx.lock(&target)?);
    ///     // Look at them, decide.
    ///     Ok(tx.submit(job.fence(), &[(texture, Usage::Read), (target, Usage::Write)])?)
    /// })?;
    /// assert!(waits.is_empty());
    /// assert!(!target.is_idle(Access::Read));
    /// # job.signal();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When memory cannot be had. Nothing has changed then.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn submit<F: Fences + ?Sized, S: Semantics, B: Backend>(
        &self,
        fences: &F,
        uses: &[(Receipt<'_, 'env, S, B>, Usage)],
    ) -> Result<Waits, ReserveError> {
        let fences = fences.as_slice();
        let mut noted = Noted::new(fences);
        let mut slots = room_for(uses.len())?;
        for (receipt, usage) in uses {
            receipt.note_waits(usage.access(), &mut noted)?;
            let resv = receipt.resv();
            slots.push(receipt.reserve(Submittable::slots(resv, fences, *usage))?);
        }
        let waits = noted.list::<ReserveError>()?;
        for (slots, (_, usage)) in slots.iter_mut().zip(uses) {
            for fence in fences {
                slots.add(fence, *usage);
            }
        }
        Ok(waits)
    }

    /// How many objects are held.
    pub fn held(&self) -> usize {
        self.members.locks().len()
    }

    /// Which member the object is already, or the back-off that is due.
    #[cold]
    fn not_taken(&self, error: LockError, lock: &'env ObjectLock) -> Result<usize, Backoff> {
        match error {
            LockError::AlreadyHeld => {
                let place = self.members.locks().position(lock);
                Ok(place.expect("what this context holds is a member"))
            }
            LockError::Deadlock | LockError::TimedOut => {
                self.contended.set(Some((lock, error)));
                Err(Backoff(()))
            }
        }
    }

    /// Releases everything, and takes the contended object first.
    #[cold]
    #[cfg_attr(feature = "checks", track_caller)]
    fn back_off(&mut self) -> Result<(), TimedOut> {
        match self.give_up() {
            (_, LockError::TimedOut) => Err(TimedOut),
            (contended, _) => self.members.lock_first(contended, self.patience),
        }
    }

    /// Releases everything, and answers which object was contended, and why its lock was not taken.
    #[cold]
    pub(crate) fn give_up(&mut self) -> (&'env ObjectLock, LockError) {
        let contended = self.contended.take();
        let contended = contended.expect("a back-off of this transaction");
        assert!(
            !self.members.locks().is_done(),
            "the closure has added and then backs off: lock everything before the first add"
        );
        self.members.release();
        contended
    }

    /// Publishes, and releases everything.
    pub(crate) fn release(&mut self) {
        self.members.release();
    }

    /// With nothing held: watches a lock, or answers `None` as it is free.
    pub(crate) fn watch(&self, lock: &'env ObjectLock, waker: &Waker) -> Option<Watch<'env>> {
        self.members.locks().watch(lock, waker)
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx")
            .field("locks", self.members.locks())
            .finish_non_exhaustive()
    }
}
