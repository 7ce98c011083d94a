//! A slice of objects, locked in one call.

use crate::object::Resv;
use crate::patience::{Patience, TimedOut};
use crate::transaction::Guard;
use resv_core::lock::{Class, Context, LockError, LockSet};
use resv_core::{Backend, Semantics, Until};
use std::fmt;
use std::ops::{Index, IndexMut};

/// Takes the locks of all of `resvs`, in any order and with any repetitions, without deadlock.
///
/// This is [`exec`](crate::exec()) for objects of one kind that are known beforehand: there is
/// nothing to run again, and the guards are the ordinary ones.
///
/// ```
/// use resv_api::{Access, Resv, Timeline, Usage, lock_all};
///
/// let (a, b) = (Resv::new(), Resv::new());
/// let job = Timeline::new("gfx").issue()?;
///
/// let mut guards = lock_all(&[&b, &a, &b]);
/// assert_eq!((guards.len(), guards.objects().len()), (3, 2));
/// let mut slots = Vec::new();
/// for guard in guards.objects_mut() {
///     slots.push(guard.reserve(1)?); // all of the memory, before anything happens
/// }
/// for slots in &mut slots {
///     slots.add(job.fence(), Usage::Read);
/// }
/// drop(guards);
/// assert!(!a.is_idle(Access::Write) && !b.is_idle(Access::Write));
/// # job.signal();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// While the guards live, no other lock of an object may be waited for on this thread.
#[inline]
#[cfg_attr(feature = "checks", track_caller)]
pub fn lock_all<'a, S: Semantics, B: Backend>(resvs: &[&'a Resv<S, B>]) -> Guards<'a, S, B> {
    lock_all_in(<&Class>::default(), resvs)
}

/// [`lock_all`] in a class of one's own, which decides the algorithm and counts the back-offs.
#[inline]
#[cfg_attr(feature = "checks", track_caller)]
pub fn lock_all_in<'a, S: Semantics, B: Backend>(
    class: &'static Class,
    resvs: &[&'a Resv<S, B>],
) -> Guards<'a, S, B> {
    if TRIES_FIRST && let Some(guards) = try_each(resvs) {
        return guards;
    }
    let locked = wait_for_each(class, resvs, Patience::Unbounded);
    locked.expect("only a batch with a deadline runs out of time")
}

/// [`lock_all`] that gives up when the locks cannot be had in time: after a
/// [`Duration`](std::time::Duration), at an [`Instant`](std::time::Instant), or never with `None`.
///
/// Locks that are free are taken whatever the time, so a zero timeout tries and never sleeps.
///
/// # Errors
///
/// [`TimedOut`]: nothing is held then, and nothing has changed.
///
/// ```
/// use resv_api::{Resv, TimedOut, lock_all_until};
/// use std::time::Duration;
///
/// let (a, b) = (Resv::new(), Resv::new());
/// let somebody = b.lock();
/// assert_eq!(lock_all_until(Duration::ZERO, &[&a, &b]).err(), Some(TimedOut));
/// assert!(a.try_lock().is_some());
/// drop(somebody);
/// assert!(lock_all_until(Duration::ZERO, &[&a, &b]).is_ok());
/// ```
#[cfg_attr(feature = "checks", track_caller)]
pub fn lock_all_until<'a, S: Semantics, B: Backend>(
    until: impl Into<Until>,
    resvs: &[&'a Resv<S, B>],
) -> Result<Guards<'a, S, B>, TimedOut> {
    lock_all_until_in(<&Class>::default(), until, resvs)
}

/// [`lock_all_until`] in a class of one's own, which decides the algorithm and counts the back-offs.
///
/// # Errors
///
/// As [`lock_all_until`].
#[cfg_attr(feature = "checks", track_caller)]
pub fn lock_all_until_in<'a, S: Semantics, B: Backend>(
    class: &'static Class,
    until: impl Into<Until>,
    resvs: &[&'a Resv<S, B>],
) -> Result<Guards<'a, S, B>, TimedOut> {
    if TRIES_FIRST && let Some(guards) = try_each(resvs) {
        return Ok(guards);
    }
    wait_for_each(class, resvs, Patience::until(until))
}

/// Whether the locks are tried first. Not where that would leave out what the feature is for: what
/// the checks are told when a lock is waited for, and the points at which back-offs are injected.
const TRIES_FIRST: bool = !cfg!(any(feature = "checks", feature = "inject-backoff"));

/// The guards, if every lock can be had at once; otherwise nothing is held.
///
/// Who only tries waits for nobody, so it needs no context to keep out of a deadlock, and no lock
/// has to be taken away from a context afterwards.
#[inline(always)]
fn try_each<'a, S: Semantics, B: Backend>(resvs: &[&'a Resv<S, B>]) -> Option<Guards<'a, S, B>> {
    let mut guards = Vec::with_capacity(resvs.len());
    for (at, &resv) in resvs.iter().enumerate() {
        let Some(held) = resv.backend().object_lock().try_lock() else {
            return try_others(resvs, at, guards);
        };
        // So that nothing can come between the lock and the place of the guard. Where the vector might
        // have to grow, the guard is made elsewhere first and moved, which costs as much as the lock.
        assert!(guards.len() < guards.capacity(), "a place for each object");
        guards.push(Guard::new(resv, held));
    }
    Some(Guards {
        guards,
        places: Places::default(),
    })
}

/// The same from the place on whose lock is not free: if it is a repetition, the others are tried.
#[cold]
#[inline(never)]
fn try_others<'a, S: Semantics, B: Backend>(
    resvs: &[&'a Resv<S, B>],
    first: usize,
    mut guards: Vec<Guard<'a, S, B>>,
) -> Option<Guards<'a, S, B>> {
    let mut places = Places::default();
    for (at, &resv) in resvs.iter().enumerate().skip(first) {
        if let Some(guard) = resv.try_lock() {
            places.note(at, guards.len());
            guards.push(guard);
        } else {
            let is_held = |guard: &Guard<'_, S, B>| std::ptr::eq(guard.resv(), resv);
            places.note(at, guards.iter().position(is_held)?);
        }
    }
    Some(Guards { guards, places })
}

/// The guards, by a context, which waits and backs off as the others demand.
#[cold]
#[inline(never)]
#[cfg_attr(feature = "checks", track_caller)]
fn wait_for_each<'a, S: Semantics, B: Backend>(
    class: &'static Class,
    resvs: &[&'a Resv<S, B>],
    patience: Patience,
) -> Result<Guards<'a, S, B>, TimedOut> {
    let mut locks = LockSet::new(Context::in_class(class));
    // By address: batches that meet no others than batches never have to back off.
    let mut order: Vec<usize> = (0..resvs.len()).collect();
    order.sort_unstable_by_key(|&at| std::ptr::from_ref(resvs[at]).addr());
    let mut objects = Vec::with_capacity(resvs.len());
    let mut places = vec![0; resvs.len()];
    let mut next = 0;
    while let Some(&at) = order.get(next) {
        let resv = resvs[at];
        let lock = resv.backend().object_lock();
        match patience.lock(&locks, lock) {
            Ok(place) => {
                places[at] = place;
                objects.push(resv);
            }
            Err(LockError::AlreadyHeld) => {
                let place = locks.position(lock);
                places[at] = place.expect("what the set holds has a place");
            }
            Err(LockError::Deadlock) => {
                patience.back_off(&mut locks, lock)?;
                // It comes first, and all others once more.
                objects.clear();
                objects.push(resv);
                next = 0;
                continue;
            }
            Err(LockError::TimedOut) => return Err(TimedOut),
        }
        next += 1;
    }
    // Nothing more is locked, so each lock can be held by itself.
    let held = locks.into_proofs();
    let guards = objects.into_iter().zip(held);
    Ok(Guards {
        guards: guards.map(|(resv, held)| Guard::new(resv, held)).collect(),
        places: Places(places),
    })
}

/// The locks of a slice of objects, held. See [`lock_all`].
///
/// Indexed like the slice: places that named the same object have the same guard.
pub struct Guards<'a, S: Semantics, B: Backend> {
    guards: Vec<Guard<'a, S, B>>,
    places: Places,
}

/// Which guard each place of the slice has. Empty, and without memory, as long as each has the one
/// of its own number.
#[derive(Debug, Default)]
struct Places(Vec<usize>);

impl Places {
    /// The next place, `at`, has this guard.
    #[inline]
    fn note(&mut self, at: usize, guard: usize) {
        if at != guard || !self.0.is_empty() {
            self.note_other(at, guard);
        }
    }

    #[cold]
    fn note_other(&mut self, at: usize, guard: usize) {
        if self.0.is_empty() {
            self.0.extend(0..at);
        }
        self.0.push(guard);
    }

    /// Which guard a place has.
    fn get(&self, at: usize) -> usize {
        if self.0.is_empty() { at } else { self.0[at] }
    }
}

impl<'a, S: Semantics, B: Backend> Guards<'a, S, B> {
    /// The length of the slice.
    pub fn len(&self) -> usize {
        self.guards.len().max(self.places.0.len())
    }

    /// Whether the slice was empty.
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// One guard for each object, in the order in which they were locked.
    pub fn objects(&self) -> &[Guard<'a, S, B>] {
        &self.guards
    }

    /// One guard for each object, to edit.
    pub fn objects_mut(&mut self) -> &mut [Guard<'a, S, B>] {
        &mut self.guards
    }
}

impl<'a, S: Semantics, B: Backend> Index<usize> for Guards<'a, S, B> {
    type Output = Guard<'a, S, B>;

    fn index(&self, place: usize) -> &Self::Output {
        &self.guards[self.places.get(place)]
    }
}

impl<S: Semantics, B: Backend> IndexMut<usize> for Guards<'_, S, B> {
    fn index_mut(&mut self, place: usize) -> &mut Self::Output {
        &mut self.guards[self.places.get(place)]
    }
}

/// Which guard each place of the slice has.
impl<S: Semantics, B: Backend> fmt::Debug for Guards<'_, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<usize> = (0..self.len()).map(|at| self.places.get(at)).collect();
        f.debug_struct("Guards")
            .field("places", &places)
            .finish_non_exhaustive()
    }
}
