//! The requests that are queued at a lock: one process-wide table, so that an object pays for one word only.
//!
//! The table has a fixed number of buckets, each a mutex around the waiters of every lock whose
//! address falls into it. A waiter is in the table only while it borrows the lock, so no address in
//! it is ever stale. Waiters of one lock stand in the order in which they are served: contexts by
//! age, those without a context in order of arrival among them.
//!
//! A [`Parker`] is what one waiter sleeps on. What it is told is written under the bucket's mutex
//! (a wound under the registry's); the thread is woken after that mutex is released, so that it does
//! not wake up only to block on it.

use super::word::Claim;
use resv_sync::process_wide;
use resv_sync::sync::atomic::Ordering;
use resv_sync::sync::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
// A hint takes part in no protocol.
use std::sync::atomic::AtomicBool;
use std::task::{Poll, Waker};
use std::time::Instant;

/// Rounds of [`spin`] that keep the processor, together less than a microsecond.
pub(super) const PAUSES: u32 = 4;
/// Rounds that offer it to others, some microseconds.
pub(super) const YIELDS: u32 = 8;

/// Asks again and again until there is an answer, `rounds` times at most.
#[cfg(not(any(loom, shuttle)))]
pub(super) fn spin<R>(rounds: u32, mut ask: impl FnMut() -> Option<R>) -> Option<R> {
    for round in 0..rounds {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if round < PAUSES {
            (0..1 << round).for_each(|_| std::hint::spin_loop());
        } else {
            std::thread::yield_now();
        }
    }
    None
}

/// Spinning shows a model nothing that asking once does not.
#[cfg(any(loom, shuttle))]
pub(super) fn spin<R>(_rounds: u32, mut ask: impl FnMut() -> Option<R>) -> Option<R> {
    ask()
}

/// What a sleeper has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Word {
    #[default]
    Nothing,
    /// Something has changed: look again.
    Look,
    /// The lock is yours.
    Granted,
}

/// What one waiter sleeps on.
#[derive(Debug, Default)]
pub(super) struct Parker {
    told: Mutex<Told>,
    changed: Condvar,
    /// Whether there is something in `told`: a hint, for a waiter that has not gone to sleep yet.
    heard: AtomicBool,
}

#[derive(Debug, Default)]
struct Told {
    word: Word,
    /// Whether a thread has to be woken: waking is a system call.
    is_asleep: bool,
}

impl Parker {
    /// Forgets what was told before. A notification that is still on its way does no harm.
    pub(super) fn reset(&self) {
        self.told.lock().word = Word::Nothing;
        // Relaxed, here and below: a hint. What counts is read under the mutex.
        self.heard.store(false, Ordering::Relaxed);
    }

    /// Tells the sleeper to look again; [`notify`](Parker::notify) it afterwards.
    pub(super) fn disturb(&self) {
        let mut told = self.told.lock();
        // A grant is never taken back.
        if told.word == Word::Nothing {
            told.word = Word::Look;
        }
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Tells the sleeper that the lock is its own; [`notify`](Parker::notify) it afterwards.
    pub(super) fn grant(&self) {
        self.told.lock().word = Word::Granted;
        self.heard.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_granted(&self) -> bool {
        self.told.lock().word == Word::Granted
    }

    /// Wakes the sleeper up. What it was told is set by now, under `told`: so either it sees that
    /// before it sleeps, or it sleeps by now and is woken.
    pub(super) fn notify(&self) {
        if self.told.lock().is_asleep {
            self.changed.notify_one();
        }
    }

    /// Waits until told something, or until `deadline`: awake for a few microseconds, as long as waking
    /// up would take, and then asleep.
    pub(super) fn sleep(&self, deadline: Option<Instant>) {
        spin(PAUSES + YIELDS, || {
            self.heard.load(Ordering::Relaxed).then_some(())
        });
        let mut told = self.told.lock();
        while told.word == Word::Nothing {
            told.is_asleep = true;
            let in_time;
            (told, in_time) = self.changed.wait_until(told, deadline);
            told.is_asleep = false;
            if !in_time {
                return;
            }
        }
    }
}

/// What wakes the task of one [watch](super::Watch).
#[derive(Debug)]
pub(super) struct Bell(Mutex<Option<Waker>>);

impl Bell {
    pub(super) fn new(waker: Waker) -> Self {
        Bell(Mutex::new(Some(waker)))
    }

    /// Wakes the task; called once, by the thread that took the watch out of the queue, with no mutex of
    /// ours held.
    ///
    /// A waker is foreign code. If it panics, that has been reported by the panic hook and ends here,
    /// even if dropping what it panicked with panics again: a thread that releases a lock has nothing to
    /// do with the task, and may be unwinding already.
    fn ring(&self) {
        let waker = self.0.lock().take();
        if let Some(waker) = waker
            && let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake()))
            && let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic)))
        {
            std::mem::forget(again);
        }
    }

    /// Whether it has rung; if not, it will wake `waker`.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<()> {
        // A waker is foreign code: cloned before the lock is taken, dropped after its release.
        let waker = waker.clone();
        let mut slot = self.0.lock();
        if slot.is_none() {
            return Poll::Ready(());
        }
        let replaced = slot.replace(waker);
        drop(slot);
        drop(replaced);
        Poll::Pending
    }
}

/// Tasks that are to be woken as a lock that they watch was released; dropping it wakes them.
///
/// Their wakers are foreign code. So a thread that releases several locks keeps this until it has
/// released all ([`LockProof::release`](super::LockProof::release)).
#[derive(Debug, Default)]
#[must_use = "dropping it wakes tasks"]
pub struct Rings(Option<Box<[Arc<Bell>]>>);

impl Rings {
    /// Adds those of another lock.
    #[inline]
    pub fn append(&mut self, mut other: Rings) {
        if let Some(others) = other.0.take() {
            self.append_some(others);
        }
    }

    #[cold]
    fn append_some(&mut self, others: Box<[Arc<Bell>]>) {
        self.0 = Some(match self.0.take() {
            None => others,
            Some(mine) => mine.into_iter().chain(others).collect(),
        });
    }
}

impl Drop for Rings {
    #[inline]
    fn drop(&mut self) {
        if let Some(bells) = self.0.take() {
            ring_all(bells);
        }
    }
}

#[cold]
#[inline(never)]
fn ring_all(bells: Box<[Arc<Bell>]>) {
    for bell in bells {
        bell.ring();
    }
}

/// A task that wants to know when a lock is released, by its place among the watches: those of one lock
/// stand beside each other, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WatchKey {
    /// The address of the lock.
    lock: usize,
    /// The age of its context.
    ticket: u64,
    /// The address of its bell, which no other watch has at the same time.
    bell: usize,
}

impl WatchKey {
    pub(super) fn new(lock: usize, claim: Claim, bell: &Arc<Bell>) -> WatchKey {
        WatchKey {
            lock,
            ticket: claim.ticket().unwrap_or(0),
            bell: Arc::as_ptr(bell).addr(),
        }
    }

    /// The place before all watches of a lock.
    const fn first(lock: usize) -> WatchKey {
        WatchKey {
            lock,
            ticket: 0,
            bell: 0,
        }
    }
}

/// One waiter.
pub(super) struct Waiter {
    /// The address of the lock.
    pub(super) lock: usize,
    pub(super) claim: Claim,
    /// Whether it holds other locks, so that it can be told to back off.
    pub(super) holds: bool,
    /// Whether it has waited long enough to be given the lock, rather than a chance to take it.
    pub(super) is_impatient: bool,
    /// Whether it was served before and lost the lock to a barging request.
    pub(super) lost: bool,
    pub(super) parker: Arc<Parker>,
}

impl Waiter {
    /// Whether this one, being queued behind `older`, has to back off.
    pub(super) fn dies_behind(&self, older: Claim) -> bool {
        self.holds && self.claim.dies() && older.is_older_than(self.claim)
    }
}

/// The waiters of the locks of one bucket, and beside them the watches: they ask for nothing, so
/// they take part in no decision about waiters, but a release has to come and ring.
pub(super) struct Queue {
    waiters: Vec<Waiter>,
    watches: BTreeMap<WatchKey, Arc<Bell>>,
}

impl Queue {
    const EMPTY: Queue = Queue {
        waiters: Vec::new(),
        watches: BTreeMap::new(),
    };

    fn of(&self, lock: usize) -> impl DoubleEndedIterator<Item = (usize, &Waiter)> {
        let waiters = self.waiters.iter().enumerate();
        waiters.filter(move |(_, waiter)| waiter.lock == lock)
    }

    /// Whether nobody waits for the lock and nobody watches it, so that its word needs no flag.
    pub(super) fn is_empty(&self, lock: usize) -> bool {
        self.of(lock).next().is_none() && self.first_watch(lock).is_none()
    }

    fn first_watch(&self, lock: usize) -> Option<WatchKey> {
        let (&place, _) = self.watches.range(WatchKey::first(lock)..).next()?;
        Some(place).filter(|place| place.lock == lock)
    }

    /// Enters a watch.
    pub(super) fn watch(&mut self, place: WatchKey, bell: Arc<Bell>) {
        self.watches.insert(place, bell);
    }

    /// Takes a watch out, if it is there still: in a few steps, however many there are.
    pub(super) fn unwatch(&mut self, place: WatchKey) {
        self.watches.remove(&place);
    }

    /// Takes out the watches of the lock, at most so many, to be rung.
    pub(super) fn pop_watches(&mut self, lock: usize, most: usize) -> Rings {
        let mut bells = Vec::new();
        while bells.len() < most
            && let Some(first) = self.first_watch(lock)
        {
            bells.extend(self.watches.remove(&first));
        }
        Rings((!bells.is_empty()).then(|| bells.into_boxed_slice()))
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn len(&self, lock: usize) -> usize {
        self.of(lock).count()
    }

    /// Whether a context older than `claim` is queued at `lock`.
    pub(super) fn has_older(&self, lock: usize, claim: Claim) -> bool {
        self.of(lock)
            .any(|(_, waiter)| waiter.claim.is_older_than(claim))
    }

    /// Puts a waiter in its place: a context before the first younger one, one without a context
    /// last, or first if it has been served before.
    pub(super) fn insert(&mut self, waiter: Waiter) {
        let lock = waiter.lock;
        let at = if waiter.claim.ticket().is_some() {
            self.of(lock)
                .find(|(_, other)| waiter.claim.is_older_than(other.claim))
        } else {
            self.of(lock).next().filter(|_| waiter.lost)
        };
        match at.map(|(at, _)| at) {
            Some(at) => self.waiters.insert(at, waiter),
            None => self.waiters.push(waiter),
        }
    }

    /// Takes out the one to be served next.
    pub(super) fn pop(&mut self, lock: usize) -> Option<Waiter> {
        let at = self.of(lock).next()?.0;
        Some(self.waiters.remove(at))
    }

    /// Takes out the waiter that sleeps on `parker`, if it is there.
    pub(super) fn remove(&mut self, parker: &Arc<Parker>) {
        self.waiters
            .retain(|waiter| !Arc::ptr_eq(&waiter.parker, parker));
    }

    /// Takes out, and wakes, the contexts that have to back off now that `older` holds the lock or is queued
    /// at it.
    pub(super) fn kill_behind(&mut self, lock: usize, older: Claim) {
        let killed = |waiter: &mut Waiter| waiter.lock == lock && waiter.dies_behind(older);
        for waiter in self.waiters.extract_if(.., killed) {
            waiter.parker.disturb();
            waiter.parker.notify();
        }
    }
}

/// On a cache line of its own.
#[repr(align(128))]
struct Bucket(Mutex<Queue>);

#[cfg(not(any(loom, shuttle)))]
const BUCKET_BITS: u32 = 7;
/// Which bucket an address falls into is chance, and a model must not depend on it.
#[cfg(any(loom, shuttle))]
const BUCKET_BITS: u32 = 0;

const BUCKETS: usize = 1 << BUCKET_BITS;

process_wide!(static TABLE: [Bucket; BUCKETS] = each Bucket(Mutex::new(Queue::EMPTY)));

/// How many waiters and watches there are, over all locks of the process.
pub(super) fn queued() -> usize {
    let count = |queue: &Queue| queue.waiters.len() + queue.watches.len();
    TABLE.iter().map(|bucket| count(&bucket.0.lock())).sum()
}

/// The queue of the lock at `address`, locked.
pub(super) fn of_lock(address: usize) -> MutexGuard<'static, Queue> {
    // The upper bits of the product depend on all bits of the address.
    let spread = (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let index = spread.checked_shr(u64::BITS - BUCKET_BITS).unwrap_or(0);
    TABLE[index as usize].0.lock()
}
