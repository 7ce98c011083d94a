//! The object-safe form, for programs that choose semantics and back end at run time.

use crate::kind::{BackendKind, NotCompiledIn};
use crate::object::Resv;
use crate::snapshot::order;
use crate::submittable::Submittable;
use resv_core::{
    Access, Backend, Counters, Entry, EntryRef, Fence, FenceError, ReserveError, Semantics,
    SemanticsKind, TimelineId, Until, Usage, Waited,
};

/// One edit of a transaction.
#[derive(Clone, Debug)]
pub enum Edit {
    /// [`Slots::add`](crate::Slots::add).
    Add {
        /// The fence to add.
        fence: Fence,
        /// What its job does to the buffer.
        usage: Usage,
    },
    /// [`Slots::replace`](crate::Slots::replace).
    Replace {
        /// The timeline whose fences are replaced.
        timeline: TimelineId,
        /// What they become.
        fence: Fence,
        /// The usage they get.
        usage: Usage,
    },
}

impl Edit {
    /// How many slots the edit takes: one, or one for each leaf of a composed fence.
    fn slots(&self) -> usize {
        let (Edit::Add { fence, .. } | Edit::Replace { fence, .. }) = self;
        fence.leaves().count_left()
    }
}

/// A reservation object whose semantics and back end are chosen at run time.
///
/// Each method is that of [`Resv`] under the same name.
///
/// ```
/// use resv_api::{Access, Edit, Locked, Reservation, Resv, Timeline, Usage, UsageLevels};
///
/// let buffer: Box<dyn Reservation> = Box::new(Resv::<UsageLevels, Locked>::default());
/// let job = Timeline::new("gfx").issue()?;
/// buffer.transact(&[Edit::Add { fence: job.fence().clone(), usage: Usage::Read }])?;
/// assert!(buffer.is_idle(Access::Read));
/// assert!(!buffer.is_idle(Access::Write));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Reservation: Submittable + Send + Sync {
    /// The name of the semantics.
    fn semantics(&self) -> &'static str;

    /// The name of the back end.
    fn backend(&self) -> &'static str;

    /// Locks the object, reserves, makes the edits in order, publishes, and unlocks.
    ///
    /// # Errors
    ///
    /// When memory cannot be had. Nothing has changed then.
    fn transact(&self, edits: &[Edit]) -> Result<(), ReserveError>;

    /// Makes this object hold exactly the pending fences of `source`.
    ///
    /// # Errors
    ///
    /// When memory cannot be had. Nothing has changed then.
    fn copy_from(&self, source: &dyn Reservation) -> Result<(), ReserveError>;

    /// Makes this object hold exactly these entries, published at once: for what is no transaction of
    /// adds, as taking a buffer over from elsewhere.
    ///
    /// # Errors
    ///
    /// When memory cannot be had. Nothing has changed then.
    fn assign(&self, entries: &[Entry]) -> Result<(), ReserveError>;

    /// The entries of one instant, without those that have signalled since: strongest usage first, then
    /// by age of the timeline, then by seqno.
    ///
    /// So an empty answer means that there is nothing left to wait for of that instant; whether the
    /// object is idle is asked with [`is_idle`](Reservation::is_idle).
    ///
    /// # Errors
    ///
    /// When memory cannot be had.
    fn entries(&self) -> Result<Vec<Entry>, ReserveError>;

    /// Of the [`entries`](Reservation::entries), those that `access` must wait for.
    ///
    /// # Errors
    ///
    /// When memory cannot be had.
    fn waits_for(&self, access: Access) -> Result<Vec<Entry>, ReserveError>;

    /// Whether `access` has nothing to wait for.
    fn is_idle(&self, access: Access) -> bool;

    /// Whether what `access` wants to use is broken. Takes the object's lock.
    fn failure(&self, access: Access) -> Option<FenceError>;

    /// Sleeps until what `access` must wait for now has signalled.
    ///
    /// `dyn Reservation` has it as [`wait`](#method.wait) with any time, as all others do.
    #[doc(hidden)]
    fn wait_until(&self, access: Access, until: Until) -> Waited;

    /// What readers of this object had to do.
    fn counters(&self) -> Counters;
}

impl dyn Reservation + '_ {
    /// Sleeps until what `access` must wait for now has signalled: for ever with `None`, at most for a
    /// [`Duration`](std::time::Duration), or until an [`Instant`](std::time::Instant). As
    /// [`Resv::wait`].
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn wait(&self, access: Access, until: impl Into<Until>) -> Waited {
        self.wait_until(access, until.into())
    }
}

fn collect<'e>(entries: impl Iterator<Item = EntryRef<'e>>) -> Result<Vec<Entry>, ReserveError> {
    let mut collected = Vec::new();
    for entry in entries {
        collected
            .try_reserve(1)
            .map_err(|_| ReserveError::new(collected.len() + 1))?;
        collected.push(entry.to_entry());
    }
    collected.sort_unstable_by_key(order);
    Ok(collected)
}

impl<S: Semantics, B: Backend> Reservation for Resv<S, B> {
    fn semantics(&self) -> &'static str {
        Resv::semantics(self).name()
    }

    fn backend(&self) -> &'static str {
        Resv::backend(self).name()
    }

    fn transact(&self, edits: &[Edit]) -> Result<(), ReserveError> {
        let mut guard = self.lock();
        let mut slots = guard.reserve(edits.iter().map(Edit::slots).sum())?;
        for edit in edits {
            match edit {
                Edit::Add { fence, usage } => slots.add(fence, *usage),
                Edit::Replace {
                    timeline,
                    fence,
                    usage,
                } => {
                    slots.replace(*timeline, fence, *usage);
                }
            }
        }
        Ok(())
    }

    fn copy_from(&self, source: &dyn Reservation) -> Result<(), ReserveError> {
        self.assign(&source.entries()?)
    }

    fn assign(&self, entries: &[Entry]) -> Result<(), ReserveError> {
        self.lock().assign(entries.iter())
    }

    fn entries(&self) -> Result<Vec<Entry>, ReserveError> {
        collect(self.try_snapshot()?.iter())
    }

    fn waits_for(&self, access: Access) -> Result<Vec<Entry>, ReserveError> {
        let waits = self.try_snapshot()?.narrow(access);
        self.id().asked(access);
        collect(waits.iter())
    }

    fn is_idle(&self, access: Access) -> bool {
        Resv::is_idle(self, access)
    }

    fn failure(&self, access: Access) -> Option<FenceError> {
        Resv::failure(self, access)
    }

    fn wait_until(&self, access: Access, until: Until) -> Waited {
        self.wait(access, until)
    }

    fn counters(&self) -> Counters {
        Resv::counters(self)
    }
}

/// A new, empty object.
///
/// # Errors
///
/// When the back end is not compiled in.
///
/// ```
/// use resv_api::{BackendKind, SemanticsKind, new_reservation};
/// let buffer = new_reservation(SemanticsKind::ExclusiveShared, BackendKind::Locked)?;
/// assert_eq!((buffer.semantics(), buffer.backend()), ("exclusive-shared", "locked"));
/// # Ok::<(), resv_api::NotCompiledIn>(())
/// ```
pub fn new_reservation(
    semantics: SemanticsKind,
    backend: BackendKind,
) -> Result<Box<dyn Reservation>, NotCompiledIn> {
    backend.new_reservation(semantics)
}
