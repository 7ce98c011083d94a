//! Classes, and acquire contexts with their tickets: they take the locks.

use super::queue::Parker;
use super::word::{Algorithm, Claim};
use super::wounds;
use crate::checks::ContextTrack;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The first ticket that no thread has. One counter for all classes, so that any two contexts can be
/// compared and contexts of different classes may meet at one lock.
static TICKETS: Tickets = Tickets(AtomicU64::new(1));

/// On a cache line of its own.
#[repr(align(128))]
struct Tickets(AtomicU64);

/// How many tickets a thread takes at a time: a counter that all threads write for each transaction
/// would cost more than an uncontended lock.
const BLOCK: u64 = 16;

thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// A ticket that nobody else has or had.
#[inline]
fn take_ticket() -> u64 {
    NEXT.with(|next| {
        let mut ticket = next.get();
        if ticket.is_multiple_of(BLOCK) {
            // Relaxed: a ticket is an identity and an age; nothing is published with it.
            ticket = TICKETS.0.fetch_add(1, Ordering::Relaxed) * BLOCK;
        }
        next.set(ticket + 1);
        ticket
    })
}

/// A kind of acquire context: which algorithm its contexts follow, and how often they backed off.
///
/// Contexts of different classes, and of different algorithms, may meet at one lock. Of the two, the
/// younger one's algorithm decides: it dies by itself, or it is wounded.
///
/// ```
/// use resv_core::lock::{Algorithm, Class, Context, ObjectLock};
///
/// static SCANOUT: Class = Class::new(Algorithm::WoundWait);
///
/// let (front, back) = (ObjectLock::new(), ObjectLock::new());
/// let context = Context::in_class(&SCANOUT);
/// let _front = front.lock_with(&context)?;
/// let _back = back.lock_with(&context)?;
/// assert_eq!(context.held(), 2);
/// # Ok::<(), resv_core::lock::LockError>(())
/// ```
#[derive(Debug)]
pub struct Class {
    algorithm: Algorithm,
    backoffs: AtomicU64,
}

static WOUND_WAIT: Class = Class::new(Algorithm::WoundWait);
static WAIT_DIE: Class = Class::new(Algorithm::WaitDie);

impl Class {
    /// A class of its own.
    pub const fn new(algorithm: Algorithm) -> Class {
        Class {
            algorithm,
            backoffs: AtomicU64::new(0),
        }
    }

    /// The class of all contexts without one of their own.
    pub fn shared(algorithm: Algorithm) -> &'static Class {
        match algorithm {
            Algorithm::WoundWait => &WOUND_WAIT,
            Algorithm::WaitDie => &WAIT_DIE,
        }
    }

    /// The algorithm of its contexts.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How often its contexts were told [`LockError::Deadlock`].
    pub fn backoffs(&self) -> u64 {
        // Relaxed: only reported.
        self.backoffs.load(Ordering::Relaxed)
    }
}

/// The default class: wait-die, as in Linux. Measured with two threads that lock 32 of 64 objects at a
/// time in random order, a transaction of it takes three quarters of the time: a context that cannot win goes at
/// once, instead of holding its locks until it is wounded. (Where nothing is contended the two are the
/// same.)
impl Default for &'static Class {
    fn default() -> Self {
        Class::shared(Algorithm::WaitDie)
    }
}

/// Why a lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockError {
    /// Waiting could deadlock (Linux: `EDEADLK`). Release everything that this context holds, take
    /// the lock in question first with [`ObjectLock::lock_slow`](super::ObjectLock::lock_slow), then
    /// the others. Never reported to a context that holds nothing.
    Deadlock,
    /// This context holds the lock already (Linux: `EALREADY`). Nothing has changed.
    AlreadyHeld,
    /// The time is up. Nothing has changed.
    TimedOut,
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockError::Deadlock => "waiting could deadlock: release all locks and begin again",
            LockError::AlreadyHeld => "this context holds the lock already",
            LockError::TimedOut => "the lock was not free in time",
        })
    }
}

impl std::error::Error for LockError {}

/// Where in its life a context is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It may take locks.
    Open,
    /// It takes no more until it has released all.
    Done,
    /// It takes no more, ever: its locks were detached.
    Ended,
}

/// An acquire context: one transaction over several locks, with the age that decides which one yields.
///
/// It takes its ticket when it is made and keeps it over all retries. So it becomes the oldest one
/// sooner or later, and the oldest one yields to nobody: that is the progress guarantee, and the
/// reason not to make a new context for a retry. (Threads take tickets in blocks of 16. Contexts of
/// one thread have the ages that they have; between threads an age may be off by that much.)
///
/// It belongs to one thread at a time, and what it holds borrows it, so it cannot be dropped before.
///
/// ```
/// use resv_core::lock::{Context, LockError, ObjectLock};
///
/// let (a, b) = (ObjectLock::new(), ObjectLock::new());
/// let context = Context::new();
/// let (mut first, mut second) = (&a, &b);
/// let mut held = first.lock_with(&context)?; // a context that holds nothing never backs off
/// let both = loop {
///     match second.lock_with(&context) {
///         Err(LockError::Deadlock) => {
///             drop(held); // release everything, take the contended lock first, and try the rest
///             (first, second) = (second, first);
///             held = first.lock_slow(&context);
///         }
///         other => break (held, other?),
///     }
/// };
/// assert_eq!(context.held(), 2);
/// # drop(both);
/// # Ok::<(), LockError>(())
/// ```
///
/// For more than two there is [`LockSet`](super::LockSet), and for objects `resv_api::exec`.
pub struct Context {
    claim: Claim,
    class: &'static Class,
    holds: Cell<usize>,
    phase: Cell<Phase>,
    /// Whether the registry of wounds may have a record of this context.
    recorded: Cell<bool>,
    parker: OnceCell<Arc<Parker>>,
    checks: ContextTrack,
    #[cfg(feature = "inject-backoff")]
    injection: Cell<Option<super::inject::Injection>>,
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl Context {
    /// A context of the default class.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn new() -> Self {
        Context::in_class(<&Class>::default())
    }

    /// A context of `class`.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn in_class(class: &'static Class) -> Self {
        let ticket = take_ticket();
        Context::with_claim(class, Claim::of(ticket, class.algorithm), ticket)
    }

    /// A context that takes its locks in the order of their addresses; see
    /// [`LockSet::in_order`](super::LockSet::in_order).
    #[cfg_attr(feature = "checks", track_caller)]
    pub(super) fn in_order(class: &'static Class) -> Self {
        // The ticket is for the injection only.
        Context::with_claim(class, Claim::IN_ORDER, take_ticket())
    }

    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    #[cfg_attr(not(feature = "inject-backoff"), allow(unused_variables))]
    fn with_claim(class: &'static Class, claim: Claim, ticket: u64) -> Self {
        Context {
            claim,
            class,
            holds: Cell::new(0),
            phase: Cell::new(Phase::Open),
            recorded: Cell::new(false),
            parker: OnceCell::new(),
            checks: ContextTrack::made(),
            #[cfg(feature = "inject-backoff")]
            injection: Cell::new(super::inject::Injection::of_process(ticket)),
        }
    }

    /// The class.
    pub fn class(&self) -> &'static Class {
        self.class
    }

    /// The ticket: the smaller, the older. Never changes.
    pub fn ticket(&self) -> u64 {
        self.claim.ticket().expect("a context has a ticket")
    }

    /// How many locks it holds.
    pub fn held(&self) -> usize {
        self.holds.get()
    }

    /// Declares that no further lock is taken before all are released: from here on nothing can
    /// fail for want of a lock. Optional.
    pub fn done(&self) {
        if self.phase.get() == Phase::Open {
            self.phase.set(Phase::Done);
        }
    }

    /// Whether it was declared [done](Context::done), or takes no more locks for another reason.
    pub fn is_done(&self) -> bool {
        self.phase.get() != Phase::Open
    }

    /// From now on, reports [`LockError::Deadlock`] also where there is none, at points that `seed`
    /// determines, to exercise the code that backs off. Never while nothing is held. The intervals
    /// grow, so that a retried transaction ends.
    #[cfg(feature = "inject-backoff")]
    #[must_use]
    pub fn with_injection(self, seed: u64) -> Self {
        self.injection
            .set(Some(super::inject::Injection::new(seed)));
        self
    }

    /// Whether a back-off is injected here.
    #[cfg(feature = "inject-backoff")]
    pub(super) fn injects(&self) -> bool {
        if self.held() == 0 {
            return false;
        }
        let mut injection = self.injection.get();
        let injects = injection.as_mut().is_some_and(|it| it.strikes());
        self.injection.set(injection);
        injects
    }

    #[inline]
    pub(super) fn claim(&self) -> Claim {
        self.claim
    }

    #[inline]
    pub(super) fn taken(&self) {
        self.holds.set(self.holds.get() + 1);
    }

    /// So many locks less. They are free by now, or have other holders.
    #[inline]
    pub(super) fn released(&self, count: usize) {
        let left = self.holds.get() - count;
        self.holds.set(left);
        if left == 0 && (self.recorded.get() || self.is_done()) {
            self.end_round();
        }
    }

    /// Nothing is held any more.
    #[cold]
    fn end_round(&self) {
        if self.phase.get() == Phase::Done {
            self.phase.set(Phase::Open);
        }
        self.heal();
    }

    /// So many locks less, which stay held without this context; it takes no more.
    pub(super) fn detached(&self, count: usize) {
        if self.claim.can_be_wounded() {
            // Another context may have wounded us because of a lock that we do not release.
            self.set_recorded();
        }
        self.released(count);
        self.phase.set(Phase::Ended);
    }

    /// A wound is a matter of what is held; with nothing held there is none.
    #[inline]
    fn heal(&self) {
        if self.recorded.replace(false) {
            wounds::forget(self.claim);
        }
    }

    /// Notes that the registry of wounds may have a record from now on.
    pub(super) fn set_recorded(&self) {
        self.recorded.set(true);
    }

    /// What this context sleeps on; made when it first has to.
    pub(super) fn parker(&self) -> &Arc<Parker> {
        self.parker.get_or_init(Arc::default)
    }

    /// Panics, as the context takes no more locks.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse(&self) -> ! {
        match self.phase.get() {
            Phase::Ended => panic!("the locks of this context were detached: it takes no more"),
            _ => panic!("this context was declared done: lock everything before the first edit"),
        }
    }

    pub(super) fn backs_off(&self) -> LockError {
        // Relaxed: only reported.
        self.class.backoffs.fetch_add(1, Ordering::Relaxed);
        LockError::Deadlock
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Only after a proof was leaked is anything left to do here.
        self.checks.dropped(self);
        self.heal();
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("algorithm", &self.class.algorithm)
            .field("ticket", &self.ticket())
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}
