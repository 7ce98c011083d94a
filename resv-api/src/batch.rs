//! A slice of objects, locked in one call.

use crate::object::Resv;
use crate::transaction::Guard;
use resv_core::lock::{Class, Context, LockError, LockSet};
use resv_core::{Backend, Semantics};
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
#[cfg_attr(feature = "checks", track_caller)]
pub fn lock_all<'a, S: Semantics, B: Backend>(resvs: &[&'a Resv<S, B>]) -> Guards<'a, S, B> {
    lock_all_in(<&Class>::default(), resvs)
}

/// [`lock_all`] in a class of one's own, which decides the algorithm and counts the back-offs.
#[cfg_attr(feature = "checks", track_caller)]
pub fn lock_all_in<'a, S: Semantics, B: Backend>(
    class: &'static Class,
    resvs: &[&'a Resv<S, B>],
) -> Guards<'a, S, B> {
    let mut locks = LockSet::new(Context::in_class(class));
    let mut objects = Vec::with_capacity(resvs.len());
    let mut places = Vec::with_capacity(resvs.len());
    let mut next = 0;
    while let Some(&resv) = resvs.get(next) {
        let lock = resv.backend().object_lock();
        match locks.lock(lock) {
            Ok(place) => {
                objects.push(resv);
                places.push(place);
            }
            Err(LockError::AlreadyHeld) => {
                let place = locks.position(lock);
                places.push(place.expect("what the set holds has a place"));
            }
            Err(LockError::Deadlock) => {
                locks.back_off(lock);
                objects.clear();
                objects.push(resv);
                places.clear();
                next = 0;
                continue;
            }
            Err(LockError::TimedOut) => unreachable!("no timeout was given"),
        }
        next += 1;
    }
    // Nothing more is locked, so each lock can be held by itself.
    let held = locks.into_held();
    Guards {
        guards: objects
            .into_iter()
            .zip(held)
            .map(|(resv, held)| Guard::new(resv, held))
            .collect(),
        places,
    }
}

/// The locks of a slice of objects, held. See [`lock_all`].
///
/// Indexed like the slice: places that named the same object have the same guard.
pub struct Guards<'a, S: Semantics, B: Backend> {
    guards: Vec<Guard<'a, S, B>>,
    /// Which guard each place of the slice has.
    places: Vec<usize>,
}

impl<'a, S: Semantics, B: Backend> Guards<'a, S, B> {
    /// The length of the slice.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether the slice was empty.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
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
        &self.guards[self.places[place]]
    }
}

impl<S: Semantics, B: Backend> IndexMut<usize> for Guards<'_, S, B> {
    fn index_mut(&mut self, place: usize) -> &mut Self::Output {
        &mut self.guards[self.places[place]]
    }
}

/// The places of the slice.
impl<S: Semantics, B: Backend> fmt::Debug for Guards<'_, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guards")
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}
