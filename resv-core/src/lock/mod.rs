//! The lock of one reservation object, the proof that it is held, and how to take many without
//! deadlock.
//!
//! # The concept
//!
//! A thread that edits an object holds its lock. A back end keeps the state that only the holder may
//! touch beside the lock, and asks for a [`LockProof`] of *that* lock before it hands the state out:
//! [`LockProof::is_for`] is the check. So mutual exclusion is decided here, in safe code, and a back end
//! needs one comparison and no second lock.
//!
//! A job uses many buffers, in an order that nobody can prescribe. So locks are taken in any order,
//! by an acquire [`Context`] with a *ticket*, its age; and where two contexts wait for each other,
//! the younger one is told to [back off](LockError::Deadlock): it releases everything, takes the
//! lock in question first, and begins again **with the same ticket**. (Linux calls this `ww_mutex`;
//! the rules are L-01 to L-11 of `docs/hazards.md`.)
//!
//! Readers never take these locks, and to wait for a fence takes none. To wait for one with an object's
//! lock held is legal, as in Linux, which is why nothing that a fence needs in order to signal may take it.
//!
//! # The two algorithms
//!
//! When a context would wait for another one, either the waiter is older or it is younger:
//!
//! | | [`WoundWait`](Algorithm::WoundWait) | [`WaitDie`](Algorithm::WaitDie) |
//! |---|---|---|
//! | an older one waits for a younger holder | the holder is *wounded* (and woken, if it sleeps); it backs off at its next contended lock, or finishes if it needs none | it waits |
//! | a younger one, holding something, waits for an older one (holder, or queued before it) | it waits | it *dies*: backs off at once |
//!
//! The algorithm is a matter of the younger of the two, so both may be in use at one lock. A context
//! that holds nothing never backs off. A request without a context ([`ObjectLock::lock`]) queues
//! among the others and neither dies nor wounds nor is wounded: nothing detects a
//! deadlock among several of those.
//!
//! **No deadlock.** In a cycle of waits take the youngest context. Another one waits for it, and is
//! older. Under wound-wait it was wounded for that, and woken: it backs off. Under wait-die it waits
//! itself for an older one while it holds something: it has backed off. Places in a queue add no
//! cycle, as a context only ever queues behind older ones or those that hold nothing.
//!
//! **Progress.** Tickets are never reused and are kept over retries, so every context becomes the
//! oldest in its time. The oldest one never dies, nobody wounds it, whom it waits for yields or
//! finishes, and in the queue it stands before all other contexts. A lock that is released may be
//! taken by any thread (*barging*), since waking a sleeper takes longer than most holders hold it; but a
//! waiter that has lost it so for half a millisecond gets it by *fair hand-off*: the release makes it the
//! holder.
//!
//! # Locks in order
//!
//! A job that names all of its buffers beforehand takes their locks in the order of their addresses
//! ([`LockSet::in_order`]). Such contexts cannot deadlock among each other, so none of them ever backs
//! off from another. Among all contexts they count as the youngest, equally old, and they die: one
//! that holds something and would wait for a context of another kind is told to back off.
//! Before that, such a job may try its locks in whatever order: a thread that only tries waits for nobody, and
//! releases all if one cannot be had.
//!
//! **No deadlock.** A cycle of waits has an edge from a context in order to one of another kind, or it
//! has no context in order, or no other. In the first case the one in order holds something, and waits
//! for an older one: it has backed off. The second is the case above. In the third, each waits at a
//! higher address than all that it holds, or behind one of its kind in the queue of the same lock, which
//! has come before it and holds no lock at a higher address: follow the waits, and the address never
//! falls; where it stays, the place in the queue falls. So there is no cycle.
//!
//! **Progress.** A context that was told to back off begins again with a ticket of its own and becomes the oldest
//! in its time.
//!
//! # The protocol
//!
//! An [`ObjectLock`] is one word: free, or the holder's ticket and algorithm; and a *queued* flag.
//! Free to held and back are one compare-and-swap each as long as the flag is not set. All else,
//! anything that sets, sees or clears the flag, happens under the mutex of the lock's queue, which
//! lives in a process-wide table. Lock order: queue, then the registry of wounds, then a sleeper's
//! own mutex.
//!
//! | file | what it does |
//! |---|---|
//! | `word` | what the word says; ages and algorithms |
//! | `context` | classes and acquire contexts |
//! | `set` | a context with the locks that it holds |
//! | `queue` | the table of waiters, and what a waiter sleeps on |
//! | `wounds` | which contexts are wounded |
//! | `watch` | waiting for a lock without a thread |
//! | `contended` | the decisions: which request waits, which yields, which is served |
//! | `inject` | artificial back-offs, with the feature `inject-backoff` |
//!
//! **Nobody sleeps for ever.** A waiter flags the word and is queued before it sleeps, both under the
//! queue's mutex. So the holder's fast release fails; the slow one, under the mutex, finds that waiter
//! or one before it, takes the one it finds out of the queue, and wakes it. A woken waiter tries the
//! lock *before* it considers time or wounds; if the lock is taken, the same holds for the new holder.
//! So whenever a lock is free and a waiter is queued, a woken waiter is on its way to it.
//!
//! # Orderings
//!
//! * taking: Acquire, in `try_take` and under the queue's mutex; pairs with
//! * releasing: Release, in `release` and under the queue's mutex.
//! * reading the word without taking the lock: Relaxed; a hint, or about the reader's own claim.
//! * a lock that is handed over: Release by the old holder, then the mutex of the queue, which the new
//!   holder locks before it returns.
//!
//! # Tasks
//!
//! A task tries its locks within one poll and holds none while it is suspended: a [`LockProof`] must stay
//! on its thread, as back ends prepare that thread when they reserve, and a thread that waited for a
//! suspended task might be the one that has to run it. What wakes the task is a [`Watch`]; the form
//! for users is `resv_api::exec_async`.

mod contended;
mod context;
mod defect;
#[cfg(feature = "inject-backoff")]
mod inject;
#[cfg(all(test, loom))]
mod loom_models;
mod queue;
mod set;
#[cfg(all(test, not(loom)))]
mod tests;
mod watch;
mod word;
mod wounds;

pub use context::{Class, Context, LockError};
#[cfg(feature = "inject-backoff")]
pub use inject::inject_backoffs;
pub use queue::Rings;
pub use set::LockSet;
pub use watch::Watch;
pub use word::Algorithm;

use crate::checks::LockTrack;
use crate::fence::Until;
use contended::Request;
use defect::{Defect, Seam};
use resv_sync::sync::atomic::{AtomicU64, Ordering};
use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;
use word::{Claim, FREE};

/// What is kept for contended locks, over all locks of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockStats {
    /// Requests, and watches, that are queued at a lock.
    pub waiters: usize,
    /// Contexts that were wounded, or slept, since they last held nothing.
    pub records: usize,
}

/// Counts them, part by part: exact when no lock is contended meanwhile, and zero when none is held.
/// For tests and diagnostics (L-09).
pub fn lock_stats() -> LockStats {
    LockStats {
        waiters: queue::queued(),
        records: wounds::records(),
    }
}

/// The lock of one reservation object: one word. See the [module](self) for the protocol.
pub struct ObjectLock {
    word: AtomicU64,
    checks: LockTrack,
    seam: Seam,
}

/// Locks that are checked, modelled or tested have more in them.
#[cfg(not(any(feature = "checks", test, loom, shuttle)))]
const _: () = assert!(size_of::<ObjectLock>() == 8);

/// The proof that the current thread holds an [`ObjectLock`]; dropping it releases the lock.
///
/// There is at most one for a lock at a time: back ends rely on that for soundness. It is neither
/// `Send` nor `Sync`. Nothing in it is tied to a thread, but reserving prepares the thread that
/// publishes later (the epoch flavour's retire lists), so an edit begins and ends on one thread.
///
/// ```compile_fail,E0277
/// # use resv_core::ObjectLock;
/// let lock = ObjectLock::new();
/// let held = lock.lock();
/// std::thread::scope(|scope| { scope.spawn(|| drop(held)); }); // cannot be sent
/// ```
#[must_use = "the lock is released when this is dropped"]
pub struct LockProof<'a> {
    lock: &'a ObjectLock,
    /// Whose claim the lock's word has as long as this exists.
    context: Option<&'a Context>,
    stays_on_its_thread: PhantomData<*const ()>,
}

impl ObjectLock {
    /// A free lock.
    pub fn new() -> Self {
        ObjectLock {
            word: AtomicU64::new(FREE),
            checks: LockTrack::new(),
            seam: Seam::SOUND,
        }
    }

    /// Takes the lock; sleeps while another thread holds it.
    ///
    /// Taking a lock that the current thread holds already blocks for ever. Without a context
    /// nothing detects a deadlock: hold no other object's lock.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock(&self) -> LockProof<'_> {
        self.checks.wanted(None);
        if !self.try_take(Claim::PLAIN) {
            contended::acquire(self, Request::PLAIN, None)
                .expect("without a context and a deadline nothing fails");
        }
        self.checks.taken(None);
        self.held(Request::PLAIN)
    }

    /// Takes the lock, or gives up: after a [`Duration`](std::time::Duration), at an [`Instant`], or never
    /// with `None`. A lock that is free is taken whatever the time.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock_until(&self, until: impl Into<Until>) -> Option<LockProof<'_>> {
        let until = until.into();
        self.wanted_until(None, until);
        if !self.try_take(Claim::PLAIN) {
            contended::acquire(self, Request::PLAIN, until.deadline()).ok()?;
        }
        self.checks.taken(None);
        Some(self.held(Request::PLAIN))
    }

    /// Takes the lock if it is free.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn try_lock(&self) -> Option<LockProof<'_>> {
        self.try_request(Request::PLAIN)
    }

    /// Takes the lock for `context`; sleeps while another thread holds it and waiting is safe.
    ///
    /// # Errors
    ///
    /// * [`LockError::Deadlock`]: `context` must back off. Never if it holds nothing.
    /// * [`LockError::AlreadyHeld`]: `context` holds this lock.
    ///
    /// # Panics
    ///
    /// When `context` was declared [done](Context::done) and does not hold this lock.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock_with<'a>(&'a self, context: &'a Context) -> Result<LockProof<'a>, LockError> {
        self.checks.wanted(Some(context));
        self.request(context, || None)
    }

    /// [`lock_with`](ObjectLock::lock_with) that gives up, as [`lock_until`](ObjectLock::lock_until).
    ///
    /// # Errors
    ///
    /// Also [`LockError::TimedOut`]; a context that must back off is told so first.
    ///
    /// # Panics
    ///
    /// When `context` was declared [done](Context::done) and does not hold this lock.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock_with_until<'a>(
        &'a self,
        context: &'a Context,
        until: impl Into<Until>,
    ) -> Result<LockProof<'a>, LockError> {
        let until = until.into();
        self.wanted_until(Some(context), until);
        self.request(context, || until.deadline())
    }

    /// Tells the checks of a request with a time.
    #[cfg_attr(feature = "checks", track_caller)]
    fn wanted_until(&self, context: Option<&Context>, until: Until) {
        match until {
            Until::Forever => self.checks.wanted(context),
            _ => self.checks.wanted_for_a_time(context),
        }
    }

    /// Takes the lock for a context that holds nothing, so that it cannot fail: after a back-off,
    /// the lock that it was about.
    ///
    /// # Panics
    ///
    /// When `context` holds a lock: release everything first.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock_slow<'a>(&'a self, context: &'a Context) -> LockProof<'a> {
        assert_eq!(
            context.held(),
            0,
            "a context that backs off releases everything first"
        );
        self.lock_with(context)
            .expect("a context that holds nothing never backs off")
    }

    /// Takes the lock for `context` if it is free; never backs off.
    ///
    /// # Panics
    ///
    /// When `context` was declared [done](Context::done).
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn try_lock_with<'a>(&'a self, context: &'a Context) -> Option<LockProof<'a>> {
        if context.is_done() {
            context.refuse();
        }
        let held = self.try_request(Request::of(context))?;
        context.taken();
        Some(held)
    }

    /// Whether the lock is held. A hint: it may have changed by the time this returns.
    pub fn is_locked(&self) -> bool {
        Claim::of_holder(self.word.load(Ordering::Relaxed)).is_some()
    }

    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    fn request<'a>(
        &'a self,
        context: &'a Context,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<LockProof<'a>, LockError> {
        self.take_with(context, deadline)?;
        self.checks.taken(Some(context));
        Ok(self.held(Request::of(context)))
    }

    /// Takes the lock for `context` and counts it; the caller answers for its being released once.
    #[inline]
    fn take_with(
        &self,
        context: &Context,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<(), LockError> {
        let request = Request::of(context);
        if context.is_done() {
            if contended::is_held_by(self, request.claim) {
                return Err(LockError::AlreadyHeld);
            }
            context.refuse();
        }
        #[cfg(feature = "inject-backoff")]
        if context.injects() && !contended::is_held_by(self, request.claim) {
            return Err(context.backs_off());
        }
        if self.has(Defect::RefusesTheWounded) && wounds::has_record(request.claim) {
            return Err(context.backs_off());
        }
        if !self.try_take(request.claim) {
            contended::acquire(self, request, deadline())?;
        }
        context.taken();
        Ok(())
    }

    /// Takes the lock for `context` if it can be had at once, and counts it, as
    /// [`take_with`](ObjectLock::take_with) does; says [`LockError::Deadlock`] if it cannot.
    fn try_take_with(&self, context: &Context) -> Result<(), LockError> {
        let request = Request::of(context);
        if contended::is_held_by(self, request.claim) {
            return Err(LockError::AlreadyHeld);
        }
        if context.is_done() {
            context.refuse();
        }
        #[cfg(feature = "inject-backoff")]
        if context.injects() {
            return Err(context.backs_off());
        }
        if !self.try_take_now(request) {
            return Err(context.backs_off());
        }
        context.taken();
        Ok(())
    }

    /// Releases the lock, for its holder; the caller counts.
    #[inline]
    fn release(&self, context: Option<&Context>) -> Rings {
        let claim = context.map_or(Claim::PLAIN, Context::claim);
        if self.try_release(claim) {
            Rings::default()
        } else {
            contended::release(self, context)
        }
    }

    /// Releases the lock, for its holder, if nobody is queued.
    #[inline]
    fn try_release(&self, claim: Claim) -> bool {
        self.checks.released();
        let ordering = if self.has(Defect::ReleasesRelaxed) {
            Ordering::Relaxed
        } else {
            // Release: pairs with the Acquire of the next taker.
            Ordering::Release
        };
        // It fails only when the flag is set.
        self.word
            .compare_exchange(claim.word(), FREE, ordering, Ordering::Relaxed)
            .is_ok()
    }

    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    fn try_request<'a>(&'a self, request: Request<'a>) -> Option<LockProof<'a>> {
        if !self.try_take_now(request) {
            return None;
        }
        self.checks.taken(request.context);
        Some(self.held(request))
    }

    #[inline]
    fn try_take_now(&self, request: Request<'_>) -> bool {
        self.try_take(request.claim) || {
            // Relaxed: a hint, looked at again under the queue's mutex.
            let word = self.word.load(Ordering::Relaxed);
            Claim::of_holder(word).is_none() && contended::try_acquire(self, request)
        }
    }

    /// Takes the lock if it is free and nobody is queued.
    #[inline]
    fn try_take(&self, claim: Claim) -> bool {
        // Acquire: pairs with the Release in `release` and in `contended::serve`.
        self.word
            .compare_exchange(FREE, claim.word(), Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// The proof, for the thread that has just written `request.claim` into the word.
    #[inline]
    fn held<'a>(&'a self, request: Request<'a>) -> LockProof<'a> {
        LockProof {
            lock: self,
            context: request.context,
            stays_on_its_thread: PhantomData,
        }
    }

    /// What the queue is found by. Two live locks never share an address, as a lock is not
    /// zero-sized.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// For [`HolderCell`](resv_sync::holder::HolderCell).
impl resv_sync::holder::Lock for ObjectLock {
    type Proof<'a> = LockProof<'a>;

    #[inline]
    fn is_held_by(&self, proof: &LockProof<'_>) -> bool {
        proof.is_for(self)
    }
}

impl Default for ObjectLock {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether it is held.
impl fmt::Debug for ObjectLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectLock")
            .field("is_locked", &self.is_locked())
            .finish()
    }
}

impl LockProof<'_> {
    /// Whether this is the proof for `lock` and for no other.
    ///
    /// Two live locks never share an address, as a lock is not zero-sized.
    #[inline]
    pub fn is_for(&self, lock: &ObjectLock) -> bool {
        std::ptr::eq(self.lock, lock)
    }

    /// Declares the context that took this lock [done](Context::done); does nothing without one.
    #[inline]
    pub fn done(&self) {
        if let Some(context) = self.context {
            context.done();
        }
    }

    fn is_of(&self, context: &Context) -> bool {
        self.context.is_some_and(|its| std::ptr::eq(its, context))
    }
}

impl LockProof<'_> {
    /// Releases the lock, and adds the tasks that watch it to `rings`: they are woken when that is dropped, for a
    /// thread that has more locks to release first.
    #[inline]
    pub fn release(self, rings: &mut Rings) {
        std::mem::ManuallyDrop::new(self).release_to(rings);
    }

    #[inline]
    fn release_to(&self, rings: &mut Rings) {
        // By value, so that a proof need not be in memory. Asked once: each case by itself asks no more.
        match (self.lock, self.context) {
            (lock, None) => {
                if !lock.try_release(Claim::PLAIN) {
                    rings.append(contended::release(lock, None));
                }
            }
            (lock, Some(context)) => release_of(lock, context, rings),
        }
    }
}

#[inline(never)]
fn release_of(lock: &ObjectLock, context: &Context, rings: &mut Rings) {
    rings.append(lock.release(Some(context)));
    context.released(1);
}

impl Drop for LockProof<'_> {
    #[inline]
    fn drop(&mut self) {
        self.release_to(&mut Rings::default());
    }
}
