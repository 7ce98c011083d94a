//! The contended path: spin a little, then decide under the lock's queue which request waits, which yields, and
//! which is served.
//!
//! Everything after the spinning runs with the queue of the lock locked. Once the word says
//! [`QUEUED`] it is changed by nobody else: the fast paths are compare-and-swaps that expect it not
//! to.

use super::context::{Context, LockError};
use super::defect::Defect;
use super::queue::{self, Queue, Rings, Waiter};
use super::word::{Claim, FREE, QUEUED};
use super::{ObjectLock, wounds};
use resv_sync::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a waiter that was woken and lost the lock to a barging request lets that happen again. Handing
/// a lock to a sleeping thread leaves it idle for as long as waking takes, so it is the exception.
const PATIENCE: Duration = Duration::from_micros(500);

/// A request for a lock.
#[derive(Clone, Copy)]
pub(super) struct Request<'r> {
    pub(super) claim: Claim,
    pub(super) context: Option<&'r Context>,
}

impl<'r> Request<'r> {
    pub(super) const PLAIN: Request<'static> = Request {
        claim: Claim::PLAIN,
        context: None,
    };

    pub(super) fn of(context: &'r Context) -> Self {
        Request {
            claim: context.claim(),
            context: Some(context),
        }
    }

    /// The context, if it can be told to back off because it holds something.
    fn yielding(self) -> Option<&'r Context> {
        self.context.filter(|context| context.held() > 0)
    }

    fn parker(self) -> Arc<queue::Parker> {
        match self.context {
            Some(context) => Arc::clone(context.parker()),
            None => Arc::default(),
        }
    }
}

/// Whether the calling context, whose claim is `me`, holds the lock.
#[cold]
pub(super) fn is_held_by(lock: &ObjectLock, me: Claim) -> bool {
    // Relaxed: while a context waits for nothing, only its own thread makes it a holder or ends
    // that, so what the word says about it is true.
    Claim::of_holder(lock.word.load(Ordering::Relaxed)) == Some(me)
}

/// Takes the lock, or says why not. The caller has found it not to be free and unqueued.
#[cold]
#[inline(never)]
pub(super) fn acquire(
    lock: &ObjectLock,
    request: Request<'_>,
    deadline: Option<Instant>,
) -> Result<(), LockError> {
    let me = request.claim;
    // A context that takes its locks in order asks for none twice, and shares its claim with others.
    if request.context.is_some() && me != Claim::IN_ORDER && is_held_by(lock, me) {
        return Err(LockError::AlreadyHeld);
    }
    if spin(lock, request) {
        return Ok(());
    }
    let address = lock.address();
    let mut queue = queue::of_lock(address);
    let mut sleep = None;
    loop {
        let Some(holder) = take_or_flag(lock, request, &mut queue) else {
            return Ok(());
        };
        if let Some(context) = request.context
            && lock.has(Defect::RefusesTheEmptyHanded)
            && context.held() == 0
            && holder.is_older_than(me)
        {
            return Err(context.backs_off());
        }
        let yielding = request.yielding();
        if let Some(context) = yielding
            && dies(lock, me, holder, &queue)
        {
            return Err(context.backs_off());
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(LockError::TimedOut);
        }
        let sleep = sleep.get_or_insert_with(|| Sleep::new(request));
        sleep.parker.reset();
        if let Some(context) = yielding
            && me.can_be_wounded()
        {
            context.set_recorded();
            if !wounds::may_sleep(me, &sleep.parker) && !lock.has(Defect::NobodyBacksOff) {
                return Err(context.backs_off());
            }
        }
        let wounds = me.is_older_than(holder) || lock.has(Defect::IgnoresAge);
        if wounds && holder.can_be_wounded() {
            wounds::wound(holder, !lock.has(Defect::WoundsWithoutWaking));
        }
        queue.kill_behind(address, me);
        queue.insert(Waiter {
            lock: address,
            claim: me,
            holds: yielding.is_some(),
            is_impatient: sleep.is_impatient(),
            lost: sleep.lost,
            parker: Arc::clone(&sleep.parker),
        });
        drop(queue);
        sleep.parker.sleep(deadline);
        queue = queue::of_lock(address);
        if sleep.parker.is_granted() {
            return Ok(());
        }
        // Woken by a release of the lock, we are out of the queue already; woken for another
        // reason or by the clock, we may not be. In any case the lock is tried before anything else
        // is decided, so a wake-up that came with a free lock is never wasted.
        if !lock.has(Defect::StaysQueued) {
            queue.remove(&sleep.parker);
        }
        sleep.lost = true;
    }
}

/// What a request that has to sleep keeps from one time to the next.
struct Sleep {
    parker: Arc<queue::Parker>,
    since: Instant,
    lost: bool,
}

impl Sleep {
    fn new(request: Request<'_>) -> Self {
        Sleep {
            parker: request.parker(),
            since: Instant::now(),
            lost: false,
        }
    }

    fn is_impatient(&self) -> bool {
        // A model has no clock: there, one loss is enough.
        self.lost && (cfg!(any(loom, shuttle)) || self.since.elapsed() >= PATIENCE)
    }
}

/// Takes the lock if it is free, with everything that the new holder owes to those queued.
/// Otherwise sees to it that the thread that releases it comes to the queue, and returns the holder.
fn take_or_flag(lock: &ObjectLock, request: Request<'_>, queue: &mut Queue) -> Option<Claim> {
    let flag = if lock.has(Defect::QueuesUnflagged) {
        0
    } else {
        QUEUED
    };
    // Acquire: pairs with the Release of the thread that freed the lock. A read-modify-write, as it must be
    // the latest word that is judged.
    let word = lock.word.fetch_or(flag, Ordering::Acquire);
    if let Some(holder) = Claim::of_holder(word) {
        return Some(holder);
    }
    let me = request.claim;
    let address = lock.address();
    let flag = if queue.is_empty(address) { 0 } else { QUEUED };
    // Relaxed: what matters was acquired above, and nobody else changes a flagged word.
    lock.word.swap(me.word() | flag, Ordering::Relaxed);
    if let Some(context) = request.context {
        queue.kill_behind(address, me);
        if me.can_be_wounded() && queue.has_older(address, me) {
            context.set_recorded();
            wounds::wound(me, false);
        }
    }
    None
}

/// Sees to it that the thread that releases the lock comes to its queue; `false` when nobody holds it.
pub(super) fn flag_if_held(lock: &ObjectLock, queue: &Queue) -> bool {
    let flag = if lock.has(Defect::QueuesUnflagged) {
        0
    } else {
        QUEUED
    };
    // Relaxed: nothing is taken. A read-modify-write, as it must be the latest word that is judged.
    let word = lock.word.fetch_or(flag, Ordering::Relaxed);
    let is_held = Claim::of_holder(word).is_some();
    if !is_held && queue.is_empty(lock.address()) {
        // Nobody has taken it meanwhile: a flagged word changes under the queue's mutex only.
        // Relaxed, both times: a read-modify-write, so the next taker still acquires what the last
        // holder released.
        lock.word.fetch_and(!QUEUED, Ordering::Relaxed);
    }
    is_held
}

/// Whether a context that holds something yields at once: wait-die.
fn dies(lock: &ObjectLock, me: Claim, holder: Claim, queue: &Queue) -> bool {
    let is_younger = || holder.is_older_than(me) || queue.has_older(lock.address(), me);
    me.dies() && (is_younger() || lock.has(Defect::IgnoresAge)) && !lock.has(Defect::NobodyBacksOff)
}

/// Takes the lock if it is free, without waiting. The caller has found it free but queued.
#[cold]
#[inline(never)]
pub(super) fn try_acquire(lock: &ObjectLock, request: Request<'_>) -> bool {
    let mut queue = queue::of_lock(lock.address());
    take_or_flag(lock, request, &mut queue).is_none()
}

/// Makes the lock that `claim` holds one that nobody in particular holds.
pub(super) fn detach(lock: &ObjectLock, claim: Claim) {
    let plain = Claim::PLAIN.word();
    // Relaxed, both: the holder stays the same thread, and publishes when it releases the lock.
    let unflagged =
        lock.word
            .compare_exchange(claim.word(), plain, Ordering::Relaxed, Ordering::Relaxed);
    if unflagged.is_err() {
        // Queued requests judge the holder under the queue's mutex.
        let _queue = queue::of_lock(lock.address());
        lock.word.swap(plain | QUEUED, Ordering::Relaxed);
    }
}

/// Releases a flagged lock, and serves the first one in its queue.
#[cold]
#[inline(never)]
pub(super) fn release(lock: &ObjectLock, context: Option<&Context>) -> Rings {
    let rings = serve(lock);
    if let Some(context) = context
        && context.claim().can_be_wounded()
    {
        // Another context may have wounded us because of this lock.
        context.set_recorded();
    }
    rings
}

fn serve(lock: &ObjectLock) -> Rings {
    let address = lock.address();
    let mut queue = queue::of_lock(address);
    let next = queue.pop(address);
    let granted = next.as_ref().filter(|next| next.is_impatient);
    // All of them: one that is rung and never polled must be in nobody's way.
    let rings = match granted {
        Some(_) => Rings::default(),
        None if lock.has(Defect::RingsOne) => queue.pop_watches(address, 1),
        None => queue.pop_watches(address, usize::MAX),
    };
    // No queued request has to yield to the new holder or the other way round: contexts behind it
    // are younger, and those of them that would have to die behind it have died when they or it came.
    let word = match granted {
        Some(next) if !lock.has(Defect::GrantsAndFrees) => next.claim.word(),
        _ => FREE,
    };
    if let Some(next) = &next {
        if next.is_impatient {
            next.parker.grant();
        } else {
            next.parker.disturb();
        }
    }
    let flag = if queue.is_empty(address) { 0 } else { QUEUED };
    // Release: pairs with the Acquire of the next taker.
    lock.word.swap(word | flag, Ordering::Release);
    drop(queue);
    if let Some(next) = next {
        next.parker.notify();
    }
    rings
}

/// Waits a moment for a holder that is about to release, as long as nobody sleeps for the lock.
fn spin(lock: &ObjectLock, request: Request<'_>) -> bool {
    const ALL: u32 = queue::PAUSES + queue::YIELDS;
    let me = request.claim;
    let holder = Claim::of_holder(lock.word.load(Ordering::Relaxed));
    let rounds = match (request.yielding(), holder) {
        // It is going to die; the sooner, the less it is in the way.
        (Some(_), Some(holder)) if me.dies() && holder.is_older_than(me) => 0,
        // The holder may wait for what we hold: a context that is to be wounded is told under the queue, and soon.
        (Some(_), _) if me.can_be_wounded() => queue::PAUSES,
        _ => ALL,
    };
    let took = queue::spin(rounds, || {
        // Relaxed: a hint.
        match lock.word.load(Ordering::Relaxed) {
            FREE if lock.try_take(me) => Some(true),
            word if word & QUEUED != 0 => Some(false),
            _ => None,
        }
    });
    took.unwrap_or(false)
}
