//! What a transaction over many objects holds, and the receipts that permit editing it.
//!
//! The transaction owns the locks; a [`Receipt`] names one of them, and may be copied. Each call
//! borrows the member for as long as it runs, so receipts for one object never get in each other's
//! way, and slots reserved through several of them add up.

use crate::flatten::LeafRoom;
use crate::noted::Noted;
use crate::object::Resv;
use crate::patience::{Patience, TimedOut};
use crate::transaction::{
    Editor, Unused, entries, failure, finish, is_idle, note_waits, slots_for, take_slots,
};
use crate::waits::Waits;
use resv_core::lock::{Context, LockSet};
use resv_core::{
    Access, Backend, Entry, Fence, FenceError, LockProof, ObjectLock, ReserveError, Semantics,
    TimelineId, Usage, checks,
};
use std::cell::RefCell;
use std::collections::TryReserveError;
use std::fmt;

/// An object whose type is forgotten, so that one transaction can hold several kinds.
pub(crate) trait Finish: Sync {
    /// Publishes and gives up the rest, before the lock is released.
    fn finish(&self, held: &mut LockProof<'_>);
}

impl<S: Semantics, B: Backend> Finish for Resv<S, B> {
    fn finish(&self, held: &mut LockProof<'_>) {
        finish(self, held);
    }
}

/// What a transaction holds, in the order in which it was locked. Dropping it publishes, and
/// releases all.
pub(crate) struct Members<'env> {
    locks: LockSet<'env>,
    /// By place; shorter than the set, or empty, if nothing was reserved.
    touched: RefCell<Vec<Option<Touched<'env>>>>,
}

/// For how many notes there is memory at first.
const FIRST_NOTES: usize = 16;

/// An object for which memory was reserved.
struct Touched<'env> {
    object: &'env dyn Finish,
    unused: Unused,
}

impl<'env> Members<'env> {
    #[inline]
    pub(crate) fn new(context: Context) -> Self {
        Members {
            locks: LockSet::new(context),
            touched: RefCell::default(),
        }
    }

    pub(crate) fn locks(&self) -> &LockSet<'env> {
        &self.locks
    }

    /// Publishes, and releases all.
    pub(crate) fn release(&mut self) {
        self.finish();
        self.locks.release_all();
    }

    /// With nothing held: takes `lock`, and sleeps until it can or the time is up.
    #[cfg_attr(feature = "checks", track_caller)]
    pub(crate) fn lock_first(
        &mut self,
        lock: &'env ObjectLock,
        patience: Patience,
    ) -> Result<(), TimedOut> {
        patience.back_off(&mut self.locks, lock)
    }

    /// Gets memory to note what is reserved for the member at a place, of which `edits` are wanted:
    /// want of it is an error of the reservation like any other.
    #[inline]
    fn make_note(&self, place: usize, edits: usize) -> Result<(), ReserveError> {
        let mut touched = self.touched.borrow_mut();
        if place < touched.len() {
            return Ok(());
        }
        // A transaction that locks and reserves by turns is always at the next place.
        if place == touched.len() && place < touched.capacity() {
            touched.push(None);
            return Ok(());
        }
        let wanted = self.locks.len().max(place + 1);
        Self::make_notes(&mut touched, wanted).map_err(|_| ReserveError::new(edits))
    }

    #[inline(never)]
    fn make_notes(
        touched: &mut Vec<Option<Touched<'env>>>,
        wanted: usize,
    ) -> Result<(), TryReserveError> {
        // Most transactions get memory for their notes once.
        touched.try_reserve(wanted.max(FIRST_NOTES) - touched.len())?;
        touched.resize_with(wanted, || None);
        Ok(())
    }

    /// What is reserved for the member at a place, which is `object`; there is a
    /// [note](Members::make_note) of it.
    #[inline]
    fn unused<R>(
        &self,
        place: usize,
        object: &'env dyn Finish,
        f: impl FnOnce(&mut Unused) -> R,
    ) -> R {
        let mut touched = self.touched.borrow_mut();
        let touched = touched[place].get_or_insert(Touched {
            object,
            unused: Unused::default(),
        });
        f(&mut touched.unused)
    }

    #[inline(never)]
    fn finish(&mut self) {
        for (place, touched) in self.touched.take().into_iter().enumerate() {
            if let Some(touched) = touched {
                self.locks.with(place, |held| touched.object.finish(held));
            }
        }
    }
}

impl Drop for Members<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.touched.get_mut().is_empty() {
            self.finish();
        }
        // `locks` is dropped after this and releases all.
    }
}

/// An object that is locked by a transaction: the permission to reserve and add.
///
/// See [`exec`](crate::exec()). It may be copied, and ends with the run of the closure that got it.
pub struct Receipt<'t, 'env, S: Semantics, B: Backend> {
    members: &'t Members<'env>,
    place: usize,
    resv: &'env Resv<S, B>,
}

impl<'t, 'env, S: Semantics, B: Backend> Receipt<'t, 'env, S, B> {
    #[inline]
    pub(crate) fn new(members: &'t Members<'env>, place: usize, resv: &'env Resv<S, B>) -> Self {
        Receipt {
            members,
            place,
            resv,
        }
    }

    /// The object.
    pub fn resv(&self) -> &'env Resv<S, B> {
        self.resv
    }

    /// Whether both are for the same object.
    pub fn is_same(&self, other: &Receipt<'_, '_, S, B>) -> bool {
        std::ptr::eq(self.resv, other.resv)
    }

    /// Gets memory for `edits` adds or replacements, which then cannot fail.
    ///
    /// What is reserved through several receipts of one object adds up.
    ///
    /// # Errors
    ///
    /// When memory cannot be had. Nothing has changed then.
    #[inline]
    pub fn reserve(&self, edits: usize) -> Result<Reserved<'t, 'env, S, B>, ReserveError> {
        self.members.make_note(self.place, edits)?;
        let mut leaves = LeafRoom::default();
        self.edit(|mut editor, unused| {
            editor.reserve(*unused, edits)?;
            leaves.reserve(edits)?;
            unused.edits += edits;
            unused.batches += 1;
            Ok(())
        })?;
        Ok(Reserved {
            receipt: *self,
            left: edits,
            leaves,
        })
    }

    /// Makes the object hold exactly the pending fences that `source` has now, with their usages.
    /// `source` may or may not be locked. Counts as an add.
    ///
    /// # Errors
    ///
    /// When memory cannot be had. Nothing has changed then.
    pub fn copy_from<B2: Backend>(&self, source: &Resv<S, B2>) -> Result<(), ReserveError> {
        let snapshot = source.try_snapshot()?;
        let edits = snapshot.iter().count();
        self.members.make_note(self.place, edits)?;
        self.edit(|mut editor, unused| editor.assign(*unused, snapshot.iter()))
    }

    /// The pending entries, unpublished edits included: strongest usage first, then by age of the
    /// timeline, then by seqno.
    pub fn entries(&self) -> Vec<Entry> {
        self.look(entries)
    }

    /// What a job with `access` must wait for, unpublished edits included: of each timeline the latest
    /// fence.
    ///
    /// # Errors
    ///
    /// When there are many, and no memory for them.
    pub fn waits_for(&self, access: Access) -> Result<Waits, ReserveError> {
        let mut noted = Noted::new(&[]);
        self.note_waits(access, &mut noted)?;
        noted.list()
    }

    pub(crate) fn note_waits(
        &self,
        access: Access,
        noted: &mut Noted<'_>,
    ) -> Result<(), ReserveError> {
        self.look(|resv, held| note_waits(resv, held, access, noted))
    }

    /// Whether `access` has nothing to wait for, unpublished edits included.
    pub fn is_idle(&self, access: Access) -> bool {
        self.look(|resv, held| is_idle(resv, held, access))
    }

    /// Whether what `access` wants to use is broken, unpublished edits included: see [`Resv::failure`].
    pub fn failure(&self, access: Access) -> Option<FenceError> {
        self.look(|resv, held| failure(resv, held, access))
    }

    /// Runs `f` with the object as the holder sees it.
    #[inline]
    fn look<R>(&self, f: impl FnOnce(&Resv<S, B>, &LockProof<'_>) -> R) -> R {
        self.members
            .locks
            .with(self.place, |held| f(self.resv, held))
    }

    /// Runs `f` with the object and with what is reserved for it.
    #[inline]
    fn edit<R>(&self, f: impl FnOnce(Editor<'_, '_, S, B>, &mut Unused) -> R) -> R {
        self.members.locks.with(self.place, |held| {
            let resv = self.resv;
            let f = |unused: &mut Unused| f(Editor { resv, held }, unused);
            self.members.unused(self.place, resv, f)
        })
    }
}

impl<S: Semantics, B: Backend> Clone for Receipt<'_, '_, S, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Semantics, B: Backend> Copy for Receipt<'_, '_, S, B> {}

/// The object.
impl<S: Semantics, B: Backend> fmt::Debug for Receipt<'_, '_, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receipt").field(self.resv).finish()
    }
}

/// Memory for a number of edits of an object in a transaction: the permission to make them. What
/// is not used is given up.
///
/// What [`Slots`](crate::Slots) is for one object.
#[must_use = "slots that are not used are given up"]
pub struct Reserved<'t, 'env, S: Semantics, B: Backend> {
    receipt: Receipt<'t, 'env, S, B>,
    left: usize,
    leaves: LeafRoom,
}

impl<S: Semantics, B: Backend> Reserved<'_, '_, S, B> {
    /// How many edits there is memory for.
    pub fn left(&self) -> usize {
        self.left
    }

    /// [`Slots::add`](crate::Slots::add): neither allocates nor fails.
    ///
    /// No further object can be locked by the transaction after this.
    ///
    /// # Panics
    ///
    /// When all slots are used: reserve as many as you add.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn add(&mut self, fence: &Fence, usage: Usage) {
        let slots = self.use_slots(fence, usage);
        self.receipt.edit(|mut editor, unused| {
            unused.edits -= slots;
            editor.add(fence, usage, &mut self.leaves);
        });
        checks::added(fence);
    }

    /// [`Slots::replace`](crate::Slots::replace): neither allocates nor fails.
    ///
    /// If there is anything to replace, no further object can be locked by the transaction after
    /// this.
    ///
    /// # Panics
    ///
    /// When all slots are used.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn replace(&mut self, timeline: TimelineId, fence: &Fence, usage: Usage) -> bool {
        if !self.receipt.edit(|editor, _| editor.has(timeline)) {
            return false;
        }
        let slots = self.use_slots(fence, usage);
        self.receipt.edit(|mut editor, unused| {
            unused.edits -= slots;
            editor.replace(timeline, fence, usage, &mut self.leaves);
        });
        checks::added(fence);
        true
    }

    /// Makes the edits of this object so far visible together, before the transaction ends, and uses
    /// up the slots. To edit on, reserve again.
    pub fn publish(self) {
        self.receipt.edit(|mut editor, _| editor.publish());
    }

    fn use_slots(&mut self, fence: &Fence, usage: Usage) -> usize {
        let slots = slots_for(self.receipt.resv.semantics(), fence, usage);
        self.left = take_slots(self.left, slots);
        slots
    }
}

impl<S: Semantics, B: Backend> Drop for Reserved<'_, '_, S, B> {
    fn drop(&mut self) {
        let left = self.left;
        let Receipt {
            members,
            place,
            resv,
        } = self.receipt;
        members.unused(place, resv, |unused| {
            unused.edits -= left;
            unused.batches -= 1;
        });
    }
}
