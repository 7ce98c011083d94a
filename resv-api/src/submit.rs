//! One call that submits a job which uses many objects.
//!
//! # The concept
//!
//! A job is about to go to a queue. It has a fence, and uses some buffers, each in its way. [`submit`]
//!
//! 1. locks all of them: tries each, and if one cannot be had at once, gives up all and takes them in the order
//!    of their addresses, so that no two submits deadlock or back off from each other
//!    ([`lock`](crate::lock), Locks in order),
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

use crate::ascending::{TRIES_FIRST, are_distinct, ascending, lock_ascending, room_for};
use crate::flatten::LeafRoom;
use crate::noted::Noted;
use crate::patience::{Patience, TimedOut};
use crate::submittable::{Fences, Job, Submittable};
use crate::transact::Transaction;
use crate::waits::Waits;
use resv_core::fence::Clones;
use resv_core::lock::{Class, Rings};
use resv_core::{Fence, LockProof, Plan, ReserveError, Usage};
use smallvec::SmallVec;
use std::fmt;
use std::mem::ManuallyDrop;

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
// In line, so that the list is moved once less: it was just stored in parts, and a processor waits for these. Not in a
// debug build, where that is only more to compile.
#[cfg_attr(debug_assertions, inline)]
#[cfg_attr(not(debug_assertions), inline(always))]
#[cfg_attr(feature = "checks", track_caller)]
pub fn submit<F: Fences + ?Sized, T: Submittable + ?Sized>(
    fences: &F,
    uses: &[(&T, Usage)],
) -> Result<Waits, ReserveError> {
    Transaction::new().submit(fences, uses)
}

/// [`submit`] for a class: at once if no lock must be waited for, else with patience. What goes wrong then becomes an
/// error of the caller's by `error`.
#[inline(always)]
#[cfg_attr(feature = "checks", track_caller)]
pub(crate) fn submit_or_wait<T: Submittable + ?Sized, E: From<ReserveError>>(
    fences: &[Fence],
    uses: &[(&T, Usage)],
    (class, patience): (&'static Class, Patience),
    error: impl FnOnce(SubmitError) -> E,
) -> Result<Waits, E> {
    if TRIES_FIRST && let Some(fence) = whole(fences) {
        let job = InTwoSteps {
            job: Job::of(fence),
            uses,
        };
        let (mut members, mut noted) = (Members::of(uses), job.noted());
        if job.try_prepare(&mut members, &mut noted)? {
            if noted.is_empty() {
                job.commit(&mut members);
                members.forget();
                // Made where it is returned.
                return Ok(Waits::default());
            }
            let waits = noted.list();
            if waits.is_ok() {
                job.commit(&mut members);
            }
            return waits;
        }
    }
    wait_and_submit(class, patience, fences, uses).map_err(error)
}

/// The fence of a job that has one, which is not taken apart.
#[inline]
fn whole(fences: &[Fence]) -> Option<&Fence> {
    match fences {
        [fence] if !fence.is_composed() => Some(fence),
        _ => None,
    }
}

/// The same where a lock must be waited for: in the order of addresses, and with single steps for what two do not do.
#[cold]
#[inline(never)]
#[cfg_attr(feature = "checks", track_caller)]
fn wait_and_submit<T: Submittable + ?Sized>(
    class: &'static Class,
    patience: Patience,
    fences: &[Fence],
    uses: &[(&T, Usage)],
) -> Result<Waits, SubmitError> {
    match ascending(uses.len(), |at| uses[at].0.object_lock())? {
        None => submit_in_order(class, patience, fences, uses, true),
        Some(order) => {
            let mut sorted = SmallVec::<[_; MANY]>::new();
            let room = sorted.try_reserve_exact(uses.len());
            room.map_err(|_| ReserveError::new(uses.len()))?;
            sorted.extend(order.iter().map(|&(_, at)| uses[at]));
            submit_in_order(class, patience, fences, &sorted, are_distinct(&order))
        }
    }
}

/// The same for uses in the order of addresses; `distinct` if each names another object.
#[cfg_attr(feature = "checks", track_caller)]
fn submit_in_order<T: Submittable + ?Sized>(
    class: &'static Class,
    patience: Patience,
    fences: &[Fence],
    uses: &[(&T, Usage)],
    distinct: bool,
) -> Result<Waits, SubmitError> {
    match whole(fences).filter(|_| distinct) {
        Some(fence) => {
            let job = Job::of(fence);
            InTwoSteps { job, uses }.wait_and_submit(class, patience)
        }
        None => InSingleSteps { fences, uses }.submit(class, patience),
    }
}

/// A job with more uses than this allocates.
const MANY: usize = 20;

/// Objects that are locked, by place of the uses. Dropping it publishes what is not published, and
/// unlocks.
struct Members<'u, 'a, T: Submittable + ?Sized> {
    uses: &'u [(&'a T, Usage)],
    all: SmallVec<[Member<'a>; MANY]>,
    /// Whether all are released.
    are_released: bool,
}

/// One object that is locked.
struct Member<'a> {
    /// `None` when it is released, and at a place that names the object of the place before. Only
    /// [`Members`] drops it.
    held: ManuallyDrop<Option<LockProof<'a>>>,
    /// What the first of two steps has noted, until the second.
    plan: Plan,
}

impl<'u, 'a, T: Submittable + ?Sized> Members<'u, 'a, T> {
    #[inline(always)]
    fn of(uses: &'u [(&'a T, Usage)]) -> Self {
        // Without its capacity: it would be made elsewhere and moved here.
        let all = SmallVec::new();
        Members {
            uses,
            all,
            are_released: false,
        }
    }

    /// Gets memory for all of them. By itself, as what may fail is made elsewhere and moved.
    #[inline(always)]
    fn make_room(&mut self) -> Result<(), ReserveError> {
        if self.uses.len() > MANY {
            let room = self.all.try_reserve_exact(self.uses.len());
            room.map_err(|_| ReserveError::new(self.uses.len()))?;
        }
        Ok(())
    }

    #[inline]
    fn push(&mut self, held: Option<LockProof<'a>>, plan: Plan) {
        let held = ManuallyDrop::new(held);
        self.all.push(Member { held, plan });
    }

    // A function by itself, so that the compiler does not put it where others are pushed.
    #[cold]
    #[inline(never)]
    fn push_unprepared(&mut self, held: LockProof<'a>) {
        self.push(Some(held), Plan::default());
    }

    /// Ends the list when all are released, in line: there is nothing to drop but its own memory.
    #[inline(always)]
    fn forget(self) {
        if self.all.spilled() {
            drop(self);
        } else {
            std::mem::forget(self);
        }
    }

    /// Publishes what is not published, and unlocks those that are not released.
    #[inline(never)]
    fn finish(&mut self, rings: &mut Rings) {
        for (member, (object, _)) in self.all.iter_mut().zip(self.uses) {
            if let Some(held) = &mut *member.held {
                object.finish(held);
                release(member, rings);
            }
        }
    }
}

/// Fences that were removed from objects, to be dropped when all locks are released: in one step for each
/// fence that was in several objects, one after the other.
#[derive(Default)]
struct Removed {
    last: Option<Clones>,
    others: SmallVec<[Clones; MANY]>,
}

impl Removed {
    #[inline]
    fn put(&mut self, fence: Fence) {
        let other = match &mut self.last {
            Some(last) => last.put_in(fence),
            None => Some(fence),
        };
        if let Some(other) = other {
            self.put_other(other);
        }
    }

    #[inline(never)]
    fn put_other(&mut self, fence: Fence) {
        if let Some(last) = self.last.replace(fence.into())
            && self.others.len() < self.others.inline_size()
        {
            // Beyond, they are dropped at once: an add does not allocate.
            self.others.push(last);
        }
    }

    /// Drops them, and has nothing to do any more when it is dropped itself.
    #[inline(always)]
    fn give_back(&mut self) {
        drop(self.last.take());
        if !self.others.is_empty() {
            self.drop_others();
        }
    }

    #[inline(never)]
    fn drop_others(&mut self) {
        self.others.clear();
    }
}

/// Unlocks; the tasks that are to be woken for that, when all locks are released, come to `rings`.
#[inline]
fn release(member: &mut Member<'_>, rings: &mut Rings) {
    if let Some(held) = member.held.take() {
        held.release(rings);
    }
}

impl<T: Submittable + ?Sized> Drop for Members<'_, '_, T> {
    #[inline]
    fn drop(&mut self) {
        // The ordinary end is that all are committed and released.
        if !self.are_released {
            self.finish(&mut Rings::default());
        }
    }
}

/// A job with one fence, which is added as it is, to objects that are named once each.
struct InTwoSteps<'u, 'a, T: ?Sized> {
    job: Job<'u>,
    uses: &'u [(&'a T, Usage)],
}

impl<'u, 'a, T: Submittable + ?Sized> InTwoSteps<'u, 'a, T> {
    /// A place for what the job must wait for, without its own fence; it is empty.
    #[inline(always)]
    fn noted(&self) -> Noted<'u> {
        Noted::new(std::slice::from_ref(self.job.fence()))
    }

    /// Prepares all, if each lock can be had at once; otherwise says `false`.
    ///
    /// No lock is waited for, so they are taken in any order. An object that is named twice is locked the second
    /// time, as if another thread had it.
    #[inline(always)]
    #[cfg_attr(feature = "checks", track_caller)]
    fn try_prepare(
        &self,
        members: &mut Members<'u, 'a, T>,
        noted: &mut Noted<'_>,
    ) -> Result<bool, ReserveError> {
        members.make_room()?;
        let mut rest = self.uses;
        while let Some((&(object, usage), others)) = rest.split_first() {
            rest = others;
            // A locked instruction waits for all before it: what comes after it is to be near by then.
            if let Some((next, _)) = others.first() {
                next.prefetch();
            }
            if let Some((second, _)) = others.get(1) {
                resv_sync::prefetch(std::ptr::from_ref(*second));
            }
            let Some(held) = object.object_lock().try_lock() else {
                return Ok(false);
            };
            self.prepare(members, noted, object, usage, held)?;
        }
        Ok(true)
    }

    /// The job, for uses in the order of addresses.
    #[cfg_attr(feature = "checks", track_caller)]
    fn wait_and_submit(
        &self,
        class: &'static Class,
        patience: Patience,
    ) -> Result<Waits, SubmitError> {
        let mut locks = room_for(self.uses.len())?;
        locks.extend(self.uses.iter().map(|(object, _)| object.object_lock()));
        let mut members = Members::of(self.uses);
        members.make_room()?;
        let mut noted = self.noted();
        let all = lock_ascending(class, &locks, patience)?;
        for (held, &(object, usage)) in all.into_iter().zip(self.uses) {
            self.prepare(&mut members, &mut noted, object, usage, held)?;
        }
        let waits = noted.list();
        if waits.is_ok() {
            self.commit(&mut members);
        }
        waits
    }

    /// Collects the waits of one object and gets its memory. It becomes a member, whatever comes of that.
    #[inline(always)]
    fn prepare(
        &self,
        members: &mut Members<'u, 'a, T>,
        noted: &mut Noted<'_>,
        object: &'a T,
        usage: Usage,
        mut held: LockProof<'a>,
    ) -> Result<(), ReserveError> {
        let plan = match object.prepare(&mut held, &self.job, usage, noted) {
            Ok(plan) => plan,
            Err(error) => {
                members.push_unprepared(held);
                return Err(error);
            }
        };
        members.push(Some(held), plan);
        Ok(())
    }

    /// Everything is there: adds, publishes, unlocks.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    fn commit(&self, members: &mut Members<'u, 'a, T>) {
        // Tasks that wait for one of these locks are woken when all are released.
        let mut rings = Rings::default();
        let mut removed = Removed::default();
        let spares = self.job.fence().clones(self.uses.len());
        let places = members.all.iter_mut().zip(self.uses);
        for ((member, &(object, usage)), spare) in places.zip(spares) {
            if let Some(held) = &mut *member.held {
                let gone = self.commit_to(object, held, member.plan, spare, usage);
                release(member, &mut rings);
                if let Some(fence) = gone {
                    removed.put(fence);
                }
            }
        }
        members.are_released = true;
        drop(rings);
        removed.give_back();
        std::mem::forget(removed);
    }

    #[inline(always)]
    #[cfg_attr(feature = "checks", track_caller)]
    fn commit_to(
        &self,
        object: &T,
        held: &mut LockProof<'_>,
        plan: Plan,
        spare: Fence,
        usage: Usage,
    ) -> Option<Fence> {
        object.commit(held, plan, &self.job, spare, usage)
    }
}

/// A job of which several entries may be added to an object.
struct InSingleSteps<'u, 'a, T: ?Sized> {
    fences: &'u [Fence],
    uses: &'u [(&'a T, Usage)],
}

impl<'u, 'a, T: Submittable + ?Sized> InSingleSteps<'u, 'a, T> {
    #[inline(never)]
    #[cfg_attr(feature = "checks", track_caller)]
    fn submit(&self, class: &'static Class, patience: Patience) -> Result<Waits, SubmitError> {
        let mut members = Members::of(self.uses);
        members.make_room()?;
        if !(TRIES_FIRST && self.try_lock(&mut members)) {
            members.finish(&mut Rings::default());
            members.all.clear();
            self.lock(&mut members, class, patience)?;
        }
        let (mut noted, mut room) = (Noted::new(self.fences), LeafRoom::default());
        let mut from = 0;
        while from < self.uses.len() {
            let to = self.behind(from);
            let (object, _) = self.uses[from];
            let mut slots = 0;
            if let Some(held) = &mut *members.all[from].held {
                for &(_, usage) in &self.uses[from..to] {
                    object.note_waits(held, usage, &mut noted)?;
                    slots += object.slots(self.fences, usage);
                }
                object.reserve(held, slots)?;
                room.reserve(slots)?;
            }
            from = to;
        }
        let waits = noted.list::<SubmitError>()?;
        self.add(&mut members, &mut room);
        Ok(waits)
    }

    /// The place behind the last that names the object of this one.
    fn behind(&self, from: usize) -> usize {
        let lock = self.uses[from].0.object_lock();
        let same = self.uses[from..]
            .iter()
            .take_while(|(object, _)| std::ptr::eq(object.object_lock(), lock));
        from + same.count()
    }

    /// Takes each lock if all can be had at once.
    fn try_lock(&self, members: &mut Members<'u, 'a, T>) -> bool {
        let mut from = 0;
        while from < self.uses.len() {
            let held = self.uses[from].0.object_lock().try_lock();
            if held.is_none() {
                return false;
            }
            members.push(held, Plan::default());
            let to = self.behind(from);
            (from + 1..to).for_each(|_| members.push(None, Plan::default()));
            from = to;
        }
        true
    }

    #[cold]
    #[inline(never)]
    #[cfg_attr(feature = "checks", track_caller)]
    fn lock(
        &self,
        members: &mut Members<'u, 'a, T>,
        class: &'static Class,
        patience: Patience,
    ) -> Result<(), SubmitError> {
        let mut locks = room_for(self.uses.len())?;
        let mut from = 0;
        while from < self.uses.len() {
            locks.push(self.uses[from].0.object_lock());
            from = self.behind(from);
        }
        let mut from = 0;
        for held in lock_ascending(class, &locks, patience)? {
            members.push(Some(held), Plan::default());
            let to = self.behind(from);
            (from + 1..to).for_each(|_| members.push(None, Plan::default()));
            from = to;
        }
        Ok(())
    }

    /// Everything is there: adds, publishes, unlocks.
    #[cfg_attr(feature = "checks", track_caller)]
    fn add(&self, members: &mut Members<'u, 'a, T>, room: &mut LeafRoom) {
        for fence in self.fences {
            let mut from = 0;
            // One of the places that name an object holds its lock.
            for (at, (&(object, usage), spare)) in self
                .uses
                .iter()
                .zip(fence.clones(self.uses.len()))
                .enumerate()
            {
                if members.all[at].held.is_some() {
                    from = at;
                }
                if let Some(held) = &mut *members.all[from].held {
                    object.add(held, spare, usage, room);
                }
            }
        }
        // Tasks that wait for one of these locks are woken when all are released.
        members.finish(&mut Rings::default());
    }
}
