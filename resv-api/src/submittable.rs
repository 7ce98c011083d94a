//! What [`submit`](crate::submit()) is about: the fences of a job, and the objects that it uses.

use crate::flatten::LeafRoom;
use crate::noted::Noted;
use crate::object::Resv;
use crate::transaction::{Editor, Unused, finish, is_write, note_waits, slots_for};
use resv_core::{
    Backend, Entry, Fence, Key, LockProof, ObjectLock, Plan, Removes, ReserveError, Semantics,
    TimelineId, Usage, UsageSet, checks,
};

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

/// A job with one fence, which is not taken apart.
#[derive(Debug)]
pub struct Job<'f> {
    fence: &'f Fence,
    timeline: TimelineId,
    seqno: u64,
}

impl<'f> Job<'f> {
    #[inline]
    pub(crate) fn of(fence: &'f Fence) -> Job<'f> {
        // Once for all objects: each look is two atomic loads.
        let (timeline, seqno) = fence.cell().key_parts();
        Job {
            fence,
            timeline,
            seqno,
        }
    }

    #[inline]
    pub(crate) fn fence(&self) -> &'f Fence {
        self.fence
    }

    #[inline]
    fn key(&self, usage: Usage) -> Key {
        Key {
            timeline: self.timeline,
            seqno: self.seqno,
            usage,
        }
    }
}

/// What an add of the job removes: the fences that its own supersedes.
#[derive(Clone, Copy)]
struct Supersedes<'j, S> {
    job: &'j Job<'j>,
    /// The usage under which the fence is kept.
    class: Usage,
    semantics: S,
}

impl<'j, S: Semantics> Supersedes<'j, S> {
    #[inline(always)]
    fn by(job: &'j Job<'j>, usage: Usage, semantics: S) -> Self {
        let class = semantics.class(usage);
        Supersedes {
            job,
            class,
            semantics,
        }
    }
}

impl<S: Semantics> Removes for Supersedes<'_, S> {
    #[inline(always)]
    fn predicate(self) -> impl Fn(Key) -> bool + Copy {
        let (new, semantics) = (self.job.key(self.class), self.semantics);
        move |old| semantics.supersedes(new, old)
    }
}

/// What can be submitted to: a [`Resv`] of any kind, and `dyn Reservation`, whose kinds may differ.
///
/// Its functions are steps of [`submit`](crate::submit()), which knows their order.
pub trait Submittable: sealed::Sealed + Sync {
    #[doc(hidden)]
    fn object_lock(&self) -> &ObjectLock;

    #[doc(hidden)]
    fn prefetch(&self);

    /// For a job that names the object once: what it must wait for is `noted`, and the memory is got.
    #[doc(hidden)]
    fn prepare(
        &self,
        held: &mut LockProof<'_>,
        job: &Job<'_>,
        usage: Usage,
        noted: &mut Noted<'_>,
    ) -> Result<Plan, ReserveError>;

    /// Adds the fence that was prepared for, publishes and gives up the rest; a fence that was removed.
    #[doc(hidden)]
    #[cfg_attr(feature = "checks", track_caller)]
    fn commit(
        &self,
        held: &mut LockProof<'_>,
        plan: Plan,
        job: &Job<'_>,
        spare: Fence,
        usage: Usage,
    ) -> Option<Fence>;

    /// What a job that uses the object so must wait for is `noted`.
    #[doc(hidden)]
    fn note_waits(
        &self,
        held: &LockProof<'_>,
        usage: Usage,
        noted: &mut Noted<'_>,
    ) -> Result<(), ReserveError>;

    /// How many slots the fences need.
    #[doc(hidden)]
    fn slots(&self, fences: &[Fence], usage: Usage) -> usize;

    #[doc(hidden)]
    fn reserve(&self, held: &mut LockProof<'_>, slots: usize) -> Result<(), ReserveError>;

    /// Adds one fence, of which `spare` is a handle to give.
    #[doc(hidden)]
    #[cfg_attr(feature = "checks", track_caller)]
    fn add(&self, held: &mut LockProof<'_>, spare: Fence, usage: Usage, room: &mut LeafRoom);

    /// Publishes and gives up the rest.
    #[doc(hidden)]
    fn finish(&self, held: &mut LockProof<'_>);
}

mod sealed {
    pub trait Sealed {}
    impl<S: super::Semantics, B: super::Backend> Sealed for super::Resv<S, B> {}
}

impl<S: Semantics, B: Backend> Resv<S, B> {
    /// Shows `see` what is pending of `asked`, and gets the memory for the job's add.
    #[inline(always)]
    pub(crate) fn prepare_for(
        &self,
        held: &mut LockProof<'_>,
        job: &Job<'_>,
        usage: Usage,
        asked: UsageSet,
        see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
    ) -> Result<Plan, ReserveError> {
        let removes = Supersedes::by(job, usage, self.semantics());
        self.backend().prepare(held, asked, see, removes)
    }
}

impl<S: Semantics, B: Backend> Submittable for Resv<S, B> {
    #[inline]
    fn object_lock(&self) -> &ObjectLock {
        self.backend().object_lock()
    }

    #[inline(always)]
    fn prefetch(&self) {
        self.backend().prefetch();
    }

    #[inline(always)]
    fn prepare(
        &self,
        held: &mut LockProof<'_>,
        job: &Job<'_>,
        usage: Usage,
        noted: &mut Noted<'_>,
    ) -> Result<Plan, ReserveError> {
        self.id().asked(usage.access());
        let asked = self.semantics().waits_for(usage.access());
        let note = move |pending: &Fence, key| noted.note(pending, key);
        self.prepare_for(held, job, usage, asked, note)
    }

    #[inline(always)]
    fn commit(
        &self,
        held: &mut LockProof<'_>,
        plan: Plan,
        job: &Job<'_>,
        spare: Fence,
        usage: Usage,
    ) -> Option<Fence> {
        checks::added(&spare);
        self.id().adding(&spare, usage, None);
        let semantics = self.semantics();
        if is_write(semantics, usage) {
            self.backend().overwrite(held);
        }
        let removes = Supersedes::by(job, usage, semantics);
        let add = Entry {
            fence: spare,
            usage: removes.class,
        };
        let removed = self.backend().commit(held, plan, removes, add);
        self.id().unlocked();
        removed
    }

    #[inline]
    fn note_waits(
        &self,
        held: &LockProof<'_>,
        usage: Usage,
        noted: &mut Noted<'_>,
    ) -> Result<(), ReserveError> {
        self.id().asked(usage.access());
        note_waits(self, held, usage.access(), noted)
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
        Editor { resv: self, held }.reserve(Unused::default(), slots)
    }

    #[inline]
    fn add(&self, held: &mut LockProof<'_>, spare: Fence, usage: Usage, room: &mut LeafRoom) {
        let mut editor = Editor { resv: self, held };
        if spare.is_composed() {
            editor.add(&spare, usage, room);
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
