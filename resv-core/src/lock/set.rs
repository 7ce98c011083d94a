//! Many locks, taken one by one and held by one context.
//!
//! A [`LockSet`] is the context of a transaction together with what it holds. It keeps the address
//! of each lock and nothing else, and lends out the proof for one of them at a time: a word written
//! between two locks costs a part of what a lock costs, and getting memory as much as half a dozen.

use super::contended::Request;
use super::defect::Defect;
use super::{Class, Context, LockError, LockProof, ObjectLock, Rings, Watch, contended};
use crate::backend::ReserveError;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::task::Waker;
use std::time::Instant;

/// How many locks have their place in the set itself.
const INLINE: usize = 32;

/// The place of one lock. Empty while its proof is lent out.
type Place<'l> = Cell<Option<&'l ObjectLock>>;

/// A context, and the locks that it holds, in the order in which they were taken. Dropping it
/// releases them.
///
/// ```
/// use resv_core::lock::{Context, LockError, LockSet, ObjectLock};
///
/// let locks = [ObjectLock::new(), ObjectLock::new()];
/// let mut set = LockSet::new(Context::new());
/// for wanted in [1, 0, 1] {
///     match set.lock(&locks[wanted]) {
///         Ok(_) | Err(LockError::AlreadyHeld) => {}
///         Err(_) => unreachable!("nobody else wants them"),
///     }
/// }
/// assert_eq!(set.position(&locks[0]), Some(1));
/// set.with(1, |held| assert!(held.is_for(&locks[0])));
/// set.release_all();
/// assert!(!locks[0].is_locked());
/// ```
pub struct LockSet<'l> {
    /// It takes and releases locks through this set only, so its count is the number of places in
    /// use.
    context: Context,
    first: [Place<'l>; INLINE],
    more: RefCell<Vec<Place<'l>>>,
    /// The places in `more` by the address of their lock, as far as they have been asked for.
    known: RefCell<BTreeMap<usize, usize>>,
}

impl<'l> LockSet<'l> {
    /// An empty set.
    #[inline]
    pub fn new(context: Context) -> Self {
        LockSet {
            context,
            first: [const { Cell::new(None) }; INLINE],
            more: RefCell::default(),
            known: RefCell::default(),
        }
    }

    /// An empty set for [`lock_in_order`](LockSet::lock_in_order). Two such sets never back off from each
    /// other.
    ///
    /// See the [module](super), Locks in order.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn in_order(class: &'static Class) -> Self {
        LockSet::new(Context::in_order(class))
    }

    /// Gets memory for so many locks in all: taking them allocates nothing then.
    ///
    /// # Errors
    ///
    /// When the memory cannot be had.
    pub fn try_reserve(&mut self, locks: usize) -> Result<(), ReserveError> {
        let more = self.more.get_mut();
        let wanted = locks.saturating_sub(INLINE).saturating_sub(more.len());
        let room = more.try_reserve_exact(wanted);
        room.map_err(|_| ReserveError::new(locks))
    }

    /// Takes all of `locks`, which are in the order of their addresses, each once: sleeps while others hold
    /// them, at most until `deadline`. For an empty set that was made [`in_order`](LockSet::in_order).
    ///
    /// # Errors
    ///
    /// [`LockError::Deadlock`] when a context that takes its locks in another order has one of them or
    /// waits for it: drop this set, and begin again with a context of one's own.
    /// [`LockError::TimedOut`].
    ///
    /// # Panics
    ///
    /// When a lock is not at a higher address than the one before.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock_in_order(
        &self,
        locks: impl IntoIterator<Item = &'l ObjectLock>,
        deadline: Option<Instant>,
    ) -> Result<(), LockError> {
        let mut last = 0;
        for lock in locks {
            let address = std::ptr::from_ref(lock).addr();
            assert!(
                address > last || lock.has(Defect::TakenInAnyOrder),
                "the locks are not in the order of their addresses"
            );
            last = address;
            match deadline {
                None => self.lock(lock)?,
                Some(deadline) => self.lock_until(lock, deadline)?,
            };
        }
        Ok(())
    }

    /// The context. A lock taken with it directly would have no place, so only tests get at it.
    #[cfg(all(test, not(loom)))]
    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// How many locks are held.
    #[inline]
    pub fn len(&self) -> usize {
        self.context.held()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// [`Context::done`].
    pub fn done(&self) {
        self.context.done();
    }

    /// [`Context::is_done`].
    pub fn is_done(&self) -> bool {
        self.context.is_done()
    }

    /// Takes a lock, and answers at which place it is.
    ///
    /// # Errors
    ///
    /// As [`ObjectLock::lock_with`].
    ///
    /// # Panics
    ///
    /// As [`ObjectLock::lock_with`].
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock(&self, lock: &'l ObjectLock) -> Result<usize, LockError> {
        lock.checks.wanted(Some(&self.context));
        self.lock_by(lock, |lock, context| lock.take_with(context, || None))
    }

    /// [`lock`](LockSet::lock) that gives up at `deadline`. A lock that is free is taken also when
    /// that has passed.
    ///
    /// # Errors
    ///
    /// Also [`LockError::TimedOut`]; a context that must back off is told so first.
    ///
    /// # Panics
    ///
    /// As [`ObjectLock::lock_with`].
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock_until(&self, lock: &'l ObjectLock, deadline: Instant) -> Result<usize, LockError> {
        lock.checks.wanted_for_a_time(Some(&self.context));
        self.lock_by(lock, |lock, context| {
            lock.take_with(context, || Some(deadline))
        })
    }

    /// Takes a lock by `take`: waiting for it, for a time, or not.
    // Always: this is the loop of a transaction over many, and a call for each lock is a quarter of it.
    #[inline(always)]
    #[cfg_attr(feature = "checks", track_caller)]
    fn lock_by(
        &self,
        lock: &'l ObjectLock,
        take: impl FnOnce(&ObjectLock, &Context) -> Result<(), LockError>,
    ) -> Result<usize, LockError> {
        let index = self.len();
        match self.first.get(index) {
            Some(place) => {
                take(lock, &self.context)?;
                place.set(Some(lock));
            }
            None => self.lock_more(index - INLINE, lock, take)?,
        }
        lock.checks.taken(Some(&self.context));
        Ok(index)
    }

    #[cold]
    fn lock_more(
        &self,
        index: usize,
        lock: &'l ObjectLock,
        take: impl FnOnce(&ObjectLock, &Context) -> Result<(), LockError>,
    ) -> Result<(), LockError> {
        let mut more = self.more.borrow_mut();
        // Before the lock is taken, as this may fail.
        more.reserve(1);
        take(lock, &self.context)?;
        debug_assert_eq!(more.len(), index);
        more.push(Cell::new(Some(lock)));
        Ok(())
    }

    /// Releases everything, and takes `lock`: what follows on [`LockError::Deadlock`].
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn back_off(&mut self, lock: &'l ObjectLock) {
        self.release_all();
        if lock.has(Defect::RenewsTheTicket) {
            self.context = Context::in_class(self.context.class());
        }
        self.lock(lock)
            .expect("a context that holds nothing never backs off");
    }

    /// [`back_off`](LockSet::back_off) that gives up at `deadline`, with nothing held.
    ///
    /// # Errors
    ///
    /// [`LockError::TimedOut`].
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn back_off_until(
        &mut self,
        lock: &'l ObjectLock,
        deadline: Instant,
    ) -> Result<(), LockError> {
        self.release_all();
        self.lock_until(lock, deadline).map(drop)
    }

    /// [`lock`](LockSet::lock) that never waits: of a lock that cannot be had at once it says
    /// [`LockError::Deadlock`].
    ///
    /// # Errors
    ///
    /// As [`lock`](LockSet::lock).
    ///
    /// # Panics
    ///
    /// As [`lock`](LockSet::lock).
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn try_lock(&self, lock: &'l ObjectLock) -> Result<usize, LockError> {
        self.lock_by(lock, ObjectLock::try_take_with)
    }

    /// Watches a lock, with nothing held; `None` when it is free.
    ///
    /// # Panics
    ///
    /// When something is held.
    pub fn watch(&self, lock: &'l ObjectLock, waker: &Waker) -> Option<Watch<'l>> {
        lock.watch(&self.context, waker)
    }

    /// At which place a lock is, if it is held.
    ///
    /// Looks through the first 32 places, and for those behind them in a table that it makes when it is
    /// first asked: locking `n` objects, each twice, costs `n` look-ups.
    pub fn position(&self, lock: &ObjectLock) -> Option<usize> {
        let first = self.first.iter().take(self.len());
        let is_it = |held: Option<&ObjectLock>| held.is_some_and(|held| std::ptr::eq(held, lock));
        first
            .map(Cell::get)
            .position(is_it)
            .or_else(|| self.position_among_more(lock))
    }

    #[cold]
    fn position_among_more(&self, lock: &ObjectLock) -> Option<usize> {
        let more = self.more.borrow();
        let mut known = self.known.borrow_mut();
        for (at, place) in more.iter().enumerate().skip(known.len()) {
            // The one whose proof is lent out is noted the next time, and all behind it.
            let Some(held) = place.get() else { break };
            looked();
            known.insert(std::ptr::from_ref(held).addr(), INLINE + at);
        }
        let address = std::ptr::from_ref(lock).addr();
        known.get(&address).copied().or_else(|| {
            let unknown = more.iter().skip(known.len());
            let mut unknown = unknown.map(|place| place.get().map(std::ptr::from_ref));
            let at = unknown.position(|held| {
                looked();
                held.is_some_and(|held| held.addr() == address)
            });
            at.map(|at| INLINE + known.len() + at)
        })
    }

    /// Lends out the proof for the lock at a place.
    ///
    /// # Panics
    ///
    /// When there is none, when it is lent out, or when `f` leaves another one in its place.
    #[inline]
    pub fn with<R>(&self, index: usize, f: impl FnOnce(&mut LockProof<'_>) -> R) -> R {
        let lock = self.place(index, Cell::take);
        let lock = lock.expect("a lock whose proof is not lent out");
        let mut lent = Lent {
            set: self,
            index,
            lock,
            held: Some(lock.held(Request::of(&self.context))),
        };
        f(lent.held.as_mut().expect("it is there until it goes back"))
    }

    #[inline]
    fn place<R>(&self, index: usize, f: impl FnOnce(&Place<'l>) -> R) -> R {
        match self.first.get(index) {
            Some(place) => f(place),
            None => f(&self.more.borrow()[index - INLINE]),
        }
    }

    /// Releases everything. Tasks that watch one of the locks are woken when all are released.
    #[inline]
    pub fn release_all(&mut self) {
        let len = self.len();
        let mut rings = Rings::default();
        for place in self.first.iter().take(len) {
            rings.append(self.release(place.get()));
        }
        if len > INLINE {
            self.known.get_mut().clear();
            for place in std::mem::take(self.more.get_mut()) {
                rings.append(self.release(place.get()));
            }
        }
        if len > 0 {
            self.context.released(len);
        }
    }

    #[inline]
    fn release(&self, lock: Option<&'l ObjectLock>) -> Rings {
        match lock {
            Some(lock) if !lock.has(Defect::StaysLocked) => lock.release(Some(&self.context)),
            _ => Rings::default(),
        }
    }

    /// The proofs, in the order in which the locks were taken, no longer tied to a context: nothing
    /// more can be taken, each can be released by itself, and nobody is told to back off any more.
    ///
    /// All of them at once, and not one by one as they are asked for: a proof belongs to the thread that
    /// took the lock, and a lock whose proof is never made would stay locked.
    ///
    /// ```compile_fail,E0277
    /// # use resv_core::lock::{Context, LockSet, ObjectLock};
    /// let lock = ObjectLock::new();
    /// let set = LockSet::new(Context::new());
    /// set.lock(&lock).unwrap();
    /// let proofs = set.into_proofs();
    /// std::thread::scope(|scope| { scope.spawn(|| drop(proofs)); }); // cannot be sent
    /// ```
    pub fn into_proofs(self) -> Vec<LockProof<'l>> {
        let room = Vec::with_capacity(self.len());
        self.into_proofs_in(room)
    }

    /// The same behind what is in `proofs`: without memory of its own, if there is room for them.
    pub fn into_proofs_in(self, mut proofs: Vec<LockProof<'l>>) -> Vec<LockProof<'l>> {
        let before = proofs.len();
        for index in 0..self.len() {
            if let Some(lock) = self.place(index, Cell::take) {
                contended::detach(lock, self.context.claim());
                proofs.push(lock.held(Request::PLAIN));
            }
        }
        self.context.detached(proofs.len() - before);
        proofs
    }
}

impl Drop for LockSet<'_> {
    #[inline]
    fn drop(&mut self) {
        self.release_all();
    }
}

impl fmt::Debug for LockSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockSet")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

/// A proof that is lent out, and goes back on every path.
struct Lent<'s, 'l> {
    set: &'s LockSet<'l>,
    index: usize,
    lock: &'l ObjectLock,
    held: Option<LockProof<'s>>,
}

impl Drop for Lent<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        let Lent {
            set, index, lock, ..
        } = *self;
        // Looked at where it is: moving it costs more than all else here.
        let is_back = |held: &LockProof<'_>| held.is_for(lock) && held.is_of(&set.context);
        if self.held.as_ref().is_some_and(is_back) {
            // The place stands for the proof again.
            std::mem::forget(self.held.take());
            set.place(index, |place| place.set(Some(lock)));
        } else {
            drop(self.held.take());
            set.exchanged();
        }
    }
}

impl LockSet<'_> {
    /// A borrower has put another proof in the place of the lent one, and that one is gone: whether
    /// it was dropped, and the lock is free, or leaked, it is not this set's any more. So that no
    /// place is taken for another, the rest is released.
    #[cold]
    fn exchanged(&self) {
        let more = self.more.borrow();
        let mut rings = Rings::default();
        for lock in self.first.iter().chain(&*more).filter_map(Cell::take) {
            rings.append(lock.release(Some(&self.context)));
            self.context.released(1);
        }
        assert!(
            std::thread::panicking(),
            "a proof that was lent out was exchanged for another"
        );
    }
}

#[cfg(all(test, not(loom)))]
thread_local! {
    /// At how many places behind the first ones this thread has looked for a lock.
    pub(super) static LOOKS: Cell<usize> = const { Cell::new(0) };
}

/// Counts a look, in tests.
#[inline]
fn looked() {
    #[cfg(all(test, not(loom)))]
    LOOKS.set(LOOKS.get() + 1);
}
