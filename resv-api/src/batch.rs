//! A slice of objects, locked in one call.

use crate::ascending::{TRIES_FIRST, ascending, lock_ascending};
use crate::object::{Resv, out_of_memory};
use crate::patience::{Patience, TimedOut};
use crate::submit::SubmitError;
use crate::transact::Transaction;
use crate::transaction::Guard;
use resv_core::lock::{Class, Rings};
use resv_core::{Backend, Semantics};
use std::fmt;
use std::ops::{Index, IndexMut};

/// Takes the locks of all of `resvs`, in any order and with any repetitions, without deadlock. With a
/// class, an algorithm or a time: [`Transaction::lock_all`].
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
    Transaction::new().lock_all(resvs)
}

/// [`lock_all`] for a class, with patience.
#[inline]
#[cfg_attr(feature = "checks", track_caller)]
pub(crate) fn lock_all_with<'a, S: Semantics, B: Backend>(
    class: &'static Class,
    patience: Patience,
    resvs: &[&'a Resv<S, B>],
) -> Result<Guards<'a, S, B>, TimedOut> {
    if TRIES_FIRST && let Some(guards) = try_each(resvs) {
        return Ok(guards);
    }
    wait_for_each(class, resvs, patience)
}

/// The guards, if every lock can be had at once; otherwise nothing is held. A slice that names an object
/// twice is left to [`wait_for_each`].
///
/// A caller that only tries waits for nobody, so it needs no context to keep out of a deadlock, and no lock
/// has to be taken away from a context afterwards.
#[inline(always)]
fn try_each<'a, S: Semantics, B: Backend>(resvs: &[&'a Resv<S, B>]) -> Option<Guards<'a, S, B>> {
    let mut guards = Vec::with_capacity(resvs.len());
    for &resv in resvs {
        let held = resv.backend().object_lock().try_lock()?;
        // So that nothing can come between the lock and the place of the guard. Where the vector might
        // have to grow, the guard is made elsewhere first and moved, which costs as much as the lock.
        assert!(guards.len() < guards.capacity(), "a place for each object");
        guards.push(Guard::new(resv, held));
    }
    Some(Guards {
        guards,
        places: Vec::new(),
    })
}

/// The guards, in the order of addresses: two batches wait for each other and never back off.
#[cold]
#[inline(never)]
#[cfg_attr(feature = "checks", track_caller)]
fn wait_for_each<'a, S: Semantics, B: Backend>(
    class: &'static Class,
    resvs: &[&'a Resv<S, B>],
    patience: Patience,
) -> Result<Guards<'a, S, B>, TimedOut> {
    let lock = |at: usize| resvs[at].backend().object_lock();
    let order = ascending(resvs.len(), lock).unwrap_or_else(|error| out_of_memory(error));
    let order = order.unwrap_or_else(|| (0..resvs.len()).map(|at| (0, at)).collect());
    // Each object once, and at which of them each place of the slice is.
    let mut objects: Vec<&'a Resv<S, B>> = Vec::with_capacity(resvs.len());
    let mut places = vec![0; resvs.len()];
    for (_, at) in order {
        let is_new = objects
            .last()
            .is_none_or(|last| !std::ptr::eq(*last, resvs[at]));
        if is_new {
            objects.push(resvs[at]);
        }
        places[at] = objects.len() - 1;
    }
    let locks: Vec<_> = objects
        .iter()
        .map(|resv| resv.backend().object_lock())
        .collect();
    let held = match lock_ascending(class, &locks, patience) {
        Ok(held) => held,
        Err(SubmitError::TimedOut(error)) => return Err(error),
        Err(SubmitError::Reserve(error)) => out_of_memory(error),
    };
    let guards = objects.into_iter().zip(held);
    Ok(Guards {
        guards: guards.map(|(resv, held)| Guard::new(resv, held)).collect(),
        places,
    })
}

/// The locks of a slice of objects, held. See [`lock_all`].
///
/// Indexed like the slice: places that named the same object have the same guard.
pub struct Guards<'a, S: Semantics, B: Backend> {
    guards: Vec<Guard<'a, S, B>>,
    /// Which guard each place of the slice has. Empty, and without memory, if each has the one of its
    /// own number.
    places: Vec<usize>,
}

impl<'a, S: Semantics, B: Backend> Guards<'a, S, B> {
    /// The length of the slice.
    pub fn len(&self) -> usize {
        self.guards.len().max(self.places.len())
    }

    /// Whether the slice was empty.
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// Which guard a place of the slice has.
    fn guard_of(&self, place: usize) -> usize {
        if self.places.is_empty() {
            place
        } else {
            self.places[place]
        }
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

/// Publishes and releases all. Tasks that watch one of the locks are woken when all are released.
impl<S: Semantics, B: Backend> Drop for Guards<'_, S, B> {
    fn drop(&mut self) {
        let mut rings = Rings::default();
        for guard in self.guards.drain(..) {
            guard.release(&mut rings);
        }
    }
}

impl<'a, S: Semantics, B: Backend> Index<usize> for Guards<'a, S, B> {
    type Output = Guard<'a, S, B>;

    fn index(&self, place: usize) -> &Self::Output {
        &self.guards[self.guard_of(place)]
    }
}

impl<S: Semantics, B: Backend> IndexMut<usize> for Guards<'_, S, B> {
    fn index_mut(&mut self, place: usize) -> &mut Self::Output {
        let guard = self.guard_of(place);
        &mut self.guards[guard]
    }
}

/// Which guard each place of the slice has.
impl<S: Semantics, B: Backend> fmt::Debug for Guards<'_, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<usize> = (0..self.len()).map(|at| self.guard_of(at)).collect();
        f.debug_struct("Guards")
            .field("places", &places)
            .finish_non_exhaustive()
    }
}
