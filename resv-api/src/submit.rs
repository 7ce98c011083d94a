//! One call that submits a job which uses many objects.
//!
//! # The concept
//!
//! A job is about to go to a queue. It has a fence, and uses some buffers, each in its way. [`submit`]
//!
//! 1. locks all of them, in the order of their addresses, so that no two submits deadlock or back off
//!    from each other ([`lock`](crate::lock), Locks in order),
//! 2. collects what the job must wait for: in each object what the [access](Usage::access) of its usage
//!    waits for, all in one list ([`Waits`]),
//! 3. gets the memory in all of them: the last step that can fail,
//! 4. adds the fence to each, publishes, and unlocks.
//!
//! All locks are held before the first is released, so submits are in one order: of two that share
//! objects in conflicting ways, one waits for the other in all of them.
//!
//! ```
//! use resv_api::{Access, Resv, Timeline, Usage, submit};
//!
//! let (texture, target) = (Resv::new(), Resv::new());
//! let (upload, gfx) = (Timeline::new("dma"), Timeline::new("gfx"));
//!
//! let copy = upload.issue()?;
//! let waits = submit(copy.fence(), &[(&texture, Usage::Write)])?;
//! assert!(waits.is_empty());
//!
//! let draw = gfx.issue()?;
//! let waits = submit(draw.fence(), &[(&target, Usage::Write), (&texture, Usage::Read)])?;
//! assert_eq!(waits[..], [copy.fence().clone()]); // the queue waits for these, then draws
//! assert!(!target.is_idle(Access::Read));
//! # copy.signal();
//! # draw.signal();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A job that must look at an object before it knows what it will add uses [`exec`](crate::exec()).

use crate::ascending::{Order, TRIES_FIRST, ascending, lock_ascending};
use crate::object::Resv;
use crate::patience::{Patience, TimedOut};
use crate::transact::Transaction;
use crate::transaction::{Editor, Promised, finish, note_waits, slots_for};
use crate::waits::Waits;
use resv_core::lock::{Class, Rings};
use resv_core::{Backend, Fence, LockProof, ObjectLock, ReserveError, Semantics, Usage, checks};
use smallvec::SmallVec;
use std::fmt;

/// The fences of one job: one, or several, all of which are added to each object.
pub trait Fences {
    /// All of them.
    fn as_slice(&self) -> &[Fence];
}

impl Fences for Fence {
    fn as_slice(&self) -> &[Fence] {
        std::slice::from_ref(self)
    }
}

impl Fences for [Fence] {
    fn as_slice(&self) -> &[Fence] {
        self
    }
}

impl<const N: usize> Fences for [Fence; N] {
    fn as_slice(&self) -> &[Fence] {
        self
    }
}

impl Fences for Vec<Fence> {
    fn as_slice(&self) -> &[Fence] {
        self
    }
}

/// What can be submitted to: a [`Resv`] of any kind, and `dyn Reservation`, whose kinds may differ.
///
/// Its functions are steps of [`submit`], which knows their order.
pub trait Submittable: sealed::Sealed + Sync {
    #[doc(hidden)]
    fn object_lock(&self) -> &ObjectLock;

    /// What a job that uses the object so must wait for goes to `waits`.
    #[doc(hidden)]
    fn note_waits(
        &self,
        held: &LockProof<'_>,
        fences: &[Fence],
        usage: Usage,
        waits: &mut Waits,
    ) -> Result<(), ReserveError>;

    /// How many slots the fences need.
    #[doc(hidden)]
    fn slots(&self, fences: &[Fence], usage: Usage) -> usize;

    #[doc(hidden)]
    fn reserve(&self, held: &mut LockProof<'_>, slots: usize) -> Result<(), ReserveError>;

    /// Adds one fence, of which `spare` is a handle to give.
    #[doc(hidden)]
    #[cfg_attr(feature = "checks", track_caller)]
    fn add(&self, held: &mut LockProof<'_>, spare: Fence, usage: Usage);

    /// Publishes and gives up the rest.
    #[doc(hidden)]
    fn finish(&self, held: &mut LockProof<'_>);
}

mod sealed {
    pub trait Sealed {}
    impl<S: super::Semantics, B: super::Backend> Sealed for super::Resv<S, B> {}
}

impl<S: Semantics, B: Backend> Submittable for Resv<S, B> {
    #[inline]
    fn object_lock(&self) -> &ObjectLock {
        self.backend().object_lock()
    }

    #[inline]
    fn note_waits(
        &self,
        held: &LockProof<'_>,
        fences: &[Fence],
        usage: Usage,
        waits: &mut Waits,
    ) -> Result<(), ReserveError> {
        self.id().asked(usage.access());
        note_waits(self, held, usage.access(), fences, waits)
    }

    #[inline]
    fn slots(&self, fences: &[Fence], usage: Usage) -> usize {
        let slots = fences
            .iter()
            .map(|fence| slots_for(self.semantics(), fence, usage));
        slots.sum()
    }

    #[inline]
    fn reserve(&self, held: &mut LockProof<'_>, slots: usize) -> Result<(), ReserveError> {
        Editor { resv: self, held }.reserve(Promised::default(), slots)
    }

    #[inline]
    fn add(&self, held: &mut LockProof<'_>, spare: Fence, usage: Usage) {
        let mut editor = Editor { resv: self, held };
        if spare.is_composed() {
            editor.add(&spare, usage);
            checks::added(&spare);
        } else {
            checks::added(&spare);
            editor.add_whole(spare, usage);
        }
    }

    #[inline]
    fn finish(&self, held: &mut LockProof<'_>) {
        finish(self, held);
    }
}

/// Why a [submit](crate::Transaction::submit) with a time did not happen. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// The locks could not be had in time.
    TimedOut(TimedOut),
    /// Memory could not be had.
    Reserve(ReserveError),
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubmitError::TimedOut(error) => error.fmt(f),
            SubmitError::Reserve(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SubmitError {}

impl From<TimedOut> for SubmitError {
    fn from(error: TimedOut) -> Self {
        SubmitError::TimedOut(error)
    }
}

impl From<ReserveError> for SubmitError {
    fn from(error: ReserveError) -> Self {
        SubmitError::Reserve(error)
    }
}

/// Adds the fence of a job, or several, to all objects that it uses, and answers what the job must wait
/// for. See the [module](self).
///
/// The same object may be named several times, with the same usage or another. The answer is what was
/// pending before; a fence of the job itself is not in it.
///
/// Sleeps while others hold the locks; with a time, a class or an algorithm:
/// [`Transaction::submit`](crate::Transaction::submit). While this thread holds the lock of an object,
/// it must not call this.
///
/// # Errors
///
/// When memory cannot be had. Nothing has changed then, in any of the objects.
#[inline]
#[cfg_attr(feature = "checks", track_caller)]
pub fn submit<F: Fences + ?Sized, T: Submittable + ?Sized>(
    fences: &F,
    uses: &[(&T, Usage)],
) -> Result<Waits, ReserveError> {
    Transaction::new().submit(fences, uses)
}

/// [`submit`] for a class, with patience.
#[inline]
#[cfg_attr(feature = "checks", track_caller)]
pub(crate) fn submit_with<T: Submittable + ?Sized>(
    class: &'static Class,
    patience: Patience,
    fences: &[Fence],
    uses: &[(&T, Usage)],
) -> Result<Waits, SubmitError> {
    let job = Job {
        fences,
        uses,
        order: ascending(uses.len(), |at| uses[at].0.object_lock()),
    };
    if TRIES_FIRST {
        let mut members = Members::new();
        let mut waits = Waits::default();
        if job.try_prepare(&mut members, &mut waits)? {
            return Ok(job.add(&mut members, waits));
        }
    }
    job.wait_and_prepare(class, patience)
}

/// Objects that are locked, in the order of their addresses.
type Members<'a, T> = SmallVec<[Member<'a, T>; 8]>;

/// One object that is locked for a submit. Dropping it publishes, and unlocks.
struct Member<'a, T: Submittable + ?Sized> {
    object: &'a T,
    held: Option<LockProof<'a>>,
    /// Which places of the order name it.
    from: usize,
    to: usize,
}

impl<T: Submittable + ?Sized> Member<'_, T> {
    /// Publishes and unlocks; the tasks that are to be woken for that, when all locks are released.
    #[inline]
    fn release(&mut self) -> Rings {
        let Some(mut held) = self.held.take() else {
            return Rings::default();
        };
        self.object.finish(&mut held);
        held.release()
    }
}

impl<T: Submittable + ?Sized> Drop for Member<'_, T> {
    #[inline]
    fn drop(&mut self) {
        drop(self.release());
    }
}

/// What is to be done.
struct Job<'j, 'a, T: ?Sized> {
    fences: &'j [Fence],
    uses: &'j [(&'a T, Usage)],
    order: Option<Order>,
}

impl<'a, T: Submittable + ?Sized> Job<'_, 'a, T> {
    #[inline]
    fn at(&self, place: usize) -> (&'a T, Usage) {
        match &self.order {
            None => self.uses[place],
            Some(order) => self.uses[order[place]],
        }
    }

    /// The object at a place of the order, and the place behind the last that names it.
    #[inline]
    fn object(&self, from: usize) -> (&'a T, usize) {
        let (object, _) = self.at(from);
        let mut to = from + 1;
        // In an order of its own the slice names each object once.
        if self.order.is_some() {
            let lock = object.object_lock();
            while to < self.uses.len() && std::ptr::eq(self.at(to).0.object_lock(), lock) {
                to += 1;
            }
        }
        (object, to)
    }

    /// Locks and prepares each object if its lock can be had at once; otherwise `false`, and nothing is
    /// to be made of what is held.
    #[inline]
    fn try_prepare(
        &self,
        members: &mut Members<'a, T>,
        waits: &mut Waits,
    ) -> Result<bool, ReserveError> {
        let mut from = 0;
        while from < self.uses.len() {
            let (object, to) = self.object(from);
            let Some(held) = object.object_lock().try_lock() else {
                return Ok(false);
            };
            self.prepare(members, waits, object, held, from..to)?;
            from = to;
        }
        Ok(true)
    }

    #[cold]
    #[inline(never)]
    #[cfg_attr(feature = "checks", track_caller)]
    fn wait_and_prepare(
        &self,
        class: &'static Class,
        patience: Patience,
    ) -> Result<Waits, SubmitError> {
        let mut locks = Vec::with_capacity(self.uses.len());
        let mut from = 0;
        while from < self.uses.len() {
            let (object, to) = self.object(from);
            locks.push(object.object_lock());
            from = to;
        }
        let mut members = Members::new();
        let mut waits = Waits::default();
        let mut from = 0;
        for held in lock_ascending(class, &locks, patience)? {
            let (object, to) = self.object(from);
            self.prepare(&mut members, &mut waits, object, held, from..to)?;
            from = to;
        }
        Ok(self.add(&mut members, waits))
    }

    /// Collects the waits of one object and gets its memory.
    #[inline]
    fn prepare(
        &self,
        members: &mut Members<'a, T>,
        waits: &mut Waits,
        object: &'a T,
        held: LockProof<'a>,
        places: std::ops::Range<usize>,
    ) -> Result<(), ReserveError> {
        members.push(Member {
            object,
            held: Some(held),
            from: places.start,
            to: places.end,
        });
        let member = members.last_mut().expect("it was pushed");
        let held = member.held.as_mut().expect("it is held");
        let mut slots = 0;
        for place in places {
            let usage = self.at(place).1;
            object.note_waits(held, self.fences, usage, waits)?;
            slots += object.slots(self.fences, usage);
        }
        object.reserve(held, slots)
    }

    /// Everything is there: adds, publishes, unlocks.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    fn add(&self, members: &mut Members<'a, T>, waits: Waits) -> Waits {
        for fence in self.fences {
            let mut spares = fence.clones(self.uses.len());
            for member in members.iter_mut() {
                let held = member.held.as_mut().expect("it is held");
                for place in member.from..member.to {
                    let spare = spares.next().expect("a handle for each place");
                    member.object.add(held, spare, self.at(place).1);
                }
            }
        }
        // Tasks that wait for one of these locks are woken when all are released.
        let mut rings = Rings::default();
        for member in members.iter_mut() {
            rings.append(member.release());
        }
        waits.in_order()
    }
}
