//! The reservation object: a semantics and a back end put together, and its lock-free queries.

use crate::future::WaitFuture;
use crate::kind::DefaultBackend;
use crate::recorded::ObjectId;
use crate::snapshot::Snapshot;
use crate::submittable::{Job, Submittable};
use crate::transaction::{Guard, finish};
use crate::wait::{Waitable, sleep_for_all};
use resv_core::{
    Access, Backend, Counters, Fence, FenceError, Key, LockProof, ReserveError, Semantics, Until,
    Usage, UsageLevels, UsageSet, Waited,
};
use std::alloc::{Layout, handle_alloc_error};
use std::fmt;

/// A reservation object: the fences of the jobs that use one buffer.
///
/// `S` says what it means, `B` how it is stored. See the [crate](crate) for the concept.
///
/// Every query but [`failure`](Resv::failure) is about one instant between its call and its return (B1),
/// takes no lock that a holder of [`lock`](Resv::lock) keeps for long, and may be made with or without that
/// lock held. Queries of the object never see unpublished edits; the [`Guard`] has its own.
pub struct Resv<S = UsageLevels, B = DefaultBackend> {
    backend: B,
    id: ObjectId,
    semantics: S,
}

impl Resv {
    /// An empty object with the default semantics and back end.
    ///
    /// For others use [`Default`]: `Resv::<ExclusiveShared, Locked>::default()`.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S: Semantics + Default, B: Backend + Default> Default for Resv<S, B> {
    fn default() -> Self {
        Resv::with(S::default(), B::default())
    }
}

impl<S: Semantics, B: Backend> Resv<S, B> {
    /// An object of the given semantics over the given back end, for those that are values of their
    /// own: a semantics that is chosen at run time, a back end that is configured.
    ///
    /// ```
    /// use resv_api::{Access, Locked, Resv, SemanticsKind};
    ///
    /// let semantics: SemanticsKind = "exclusive-shared".parse()?;
    /// let buffer = Resv::with(semantics, Locked::default());
    /// assert!(buffer.is_idle(Access::Write));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with(semantics: S, backend: B) -> Self {
        Resv {
            backend,
            id: ObjectId::default(),
            semantics,
        }
    }

    /// Takes the object's lock, with which it can be edited; sleeps while another thread holds it.
    ///
    /// Taking it again on the same thread blocks for ever. Waiting for fences with the lock held is
    /// legal; so nothing that is needed to signal a fence may take it.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn lock(&self) -> Guard<'_, S, B> {
        Guard::new(self, self.backend.object_lock().lock())
    }

    /// Takes the object's lock if it is free.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn try_lock(&self) -> Option<Guard<'_, S, B>> {
        let held = self.backend.object_lock().try_lock()?;
        Some(Guard::new(self, held))
    }

    /// Adds the fence of one job that uses this object alone: locks, gets the memory, adds, publishes, and
    /// unlocks.
    ///
    /// For a fence that comes from elsewhere and is only to be recorded, as a client's fence that a compositor
    /// attaches to its buffer. A job that must also be told what to wait for, or uses several objects, is
    /// [submitted](crate::submit()).
    ///
    /// # Errors
    ///
    /// When memory cannot be had. Nothing has changed then. What drivers do is to wait for the fence instead of
    /// recording it.
    ///
    /// ```
    /// use resv_api::{Access, Resv, Timeline, Usage};
    ///
    /// let buffer = Resv::new();
    /// let job = Timeline::new("client").issue()?;
    /// buffer.add(job.fence(), Usage::Write)?;
    /// assert!(!buffer.is_idle(Access::Read));
    /// # job.signal();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn add(&self, fence: &Fence, usage: Usage) -> Result<(), ReserveError> {
        if fence.is_composed() {
            self.lock().reserve_for(fence, usage)?.add(fence, usage);
            return Ok(());
        }
        let (mut held, job) = (self.backend.object_lock().lock(), Job::of(fence));
        let ends = Ends(self, &mut held);
        let plan = self.prepare_for(ends.1, &job, usage, UsageSet::EMPTY, |_, _| Ok(()))?;
        let removed = self.commit(ends.1, plan, &job, fence.clone(), usage);
        // A commit leaves nothing to be given up.
        std::mem::forget(ends);
        drop(held);
        // The drop of a fence may run its owner's code, so the lock is free by then.
        drop(removed);
        Ok(())
    }

    /// The fences of one instant, owned: they stay alive and the set never changes (B6).
    ///
    /// Aborts the process when memory cannot be had, as collections do;
    /// [`try_snapshot`](Resv::try_snapshot) reports it.
    #[inline]
    pub fn snapshot(&self) -> Snapshot<S, B> {
        self.try_snapshot()
            .unwrap_or_else(|error| out_of_memory(error))
    }

    /// [`snapshot`](Resv::snapshot), reporting want of memory.
    ///
    /// # Errors
    ///
    /// When a back end that copies cannot get memory. The array back end never fails.
    #[inline]
    pub fn try_snapshot(&self) -> Result<Snapshot<S, B>, ReserveError> {
        let entries = self.backend.snapshot()?;
        Ok(Snapshot::new(entries, self.semantics))
    }

    /// The pending fences that `access` must wait for, as of one instant, owned.
    ///
    /// Fences added later are not part of it.
    #[inline]
    pub fn waits_for(&self, access: Access) -> Snapshot<S, B> {
        let waits = self.snapshot().narrow(access);
        self.id.asked(access);
        waits
    }

    /// Whether `access` has nothing to wait for.
    ///
    /// `true` was true at an instant between call and return (B2). Takes no reference where something is
    /// pending. Where nothing is, the array and the seqcount back end find that out once and keep it with the
    /// published set, and from then on it is one load.
    #[inline]
    pub fn is_idle(&self, access: Access) -> bool {
        let is_idle = self.is_idle_untold(access);
        if !is_idle {
            self.id.busy(access);
        }
        is_idle
    }

    /// [`is_idle`](Resv::is_idle) for a wait, which tells the trace of itself.
    #[inline]
    fn is_idle_untold(&self, access: Access) -> bool {
        self.backend.is_idle(self.semantics.waits_for(access))
    }

    /// Shows `f` the keys of the pending fences that `access` must wait for; `f` carries a value from one to
    /// the next.
    ///
    /// They are of one published set. What is shown was pending when it was looked at; what is not shown
    /// had signalled by then. If nothing is shown, there was an instant at which there was nothing to wait
    /// for.
    ///
    /// Cheaper than a snapshot where no fence has to be kept.
    ///
    /// ```
    /// use resv_api::{Access, Resv, Timeline, Usage};
    /// let buffer = Resv::new();
    /// let job = Timeline::new("gfx").issue()?;
    /// buffer.lock().reserve(1)?.add(job.fence(), Usage::Write);
    /// let count = buffer.visit(Access::Read, 0, |count, _key| count + 1);
    /// assert_eq!(count, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn visit<A>(&self, access: Access, init: A, f: impl FnMut(A, Key) -> A) -> A {
        self.backend
            .visit(self.semantics.waits_for(access), init, f)
    }

    /// Sleeps until everything that `access` must wait for *now* has signalled: for ever with
    /// `None`, at most for a [`Duration`](std::time::Duration), or until an
    /// [`Instant`](std::time::Instant).
    ///
    /// Covers the fences of one instant at its start, not those added later; for them there is
    /// [`wait_until_idle`](Resv::wait_until_idle). Holds no lock, delays no editor of the object,
    /// registers and sleeps once. A zero timeout is a pure poll and answers like
    /// [`is_idle`](Resv::is_idle) (H-14); an idle object costs no allocation. Fences that have
    /// signalled before the call, with an error or without, are not part of it; of those waited for,
    /// the first error is reported.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn wait(&self, access: Access, until: impl Into<Until>) -> Waited {
        let until = until.into();
        if self.is_idle_untold(access) {
            return Waited::Signaled;
        }
        if until.is_poll() {
            self.id.busy(access);
            return Waited::TimedOut;
        }
        sleep_for_all(&self.waits_for(access), until)
    }

    /// Sleeps until the object has nothing left that `access` must wait for, fences that are added
    /// during the wait included.
    ///
    /// [`Waited::Signaled`] and [`Waited::Failed`] say that the object was idle at an instant before
    /// the return (B2); the error is the first among the fences that were slept for. While others
    /// keep adding fences that may be never, so give it a time. A zero timeout is a pure poll.
    ///
    /// To use a buffer, [`wait`](Resv::wait) is enough: a job that is added later waits for the user, not
    /// the other way round. This is for a caller that has stopped new users and wants the old ones out,
    /// before memory is moved or freed.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn wait_until_idle(&self, access: Access, until: impl Into<Until>) -> Waited {
        let mut until = until.into();
        let mut ended = Waited::Signaled;
        while !self.is_idle_untold(access) {
            if until.is_poll() {
                self.id.busy(access);
                return Waited::TimedOut;
            }
            // One time for all rounds.
            until = until.fixed();
            match sleep_for_all(&self.waits_for(access), until) {
                // A fence may have been added meanwhile, or everything may have signalled at the last
                // moment: only the object can tell.
                Waited::Signaled | Waited::TimedOut => {}
                failed if ended == Waited::Signaled => ended = failed,
                Waited::Failed(_) => {}
            }
        }
        ended
    }

    /// [`wait`](Resv::wait) as a future: resolves when everything that `access` must wait for at
    /// *this call* has signalled. See [`WaitFuture`].
    pub fn wait_async(&self, access: Access) -> WaitFuture {
        self.waits_for(access).when_signaled()
    }

    /// A file descriptor that becomes readable when everything that `access` must wait for at *this
    /// call* has signalled, or the news that nothing is pending.
    ///
    /// The rules of polling a dma-buf: input is [`Access::Read`], output [`Access::Write`]. See the
    /// [module](crate::fd).
    ///
    /// # Errors
    ///
    /// When the kernel gives no descriptor (EMFILE, ENFILE, ENOMEM). Nothing is registered then.
    #[cfg(feature = "fd")]
    pub fn readiness(&self, access: Access) -> std::io::Result<crate::Readiness> {
        self.waits_for(access).readiness()
    }

    /// Whether what `access` wants to use is broken: the error of a fence that this access would have waited
    /// for and after which no write has come, however long ago it failed.
    ///
    /// A write is an add that the semantics keeps as it keeps [`Usage::Write`](crate::Usage::Write). Of several
    /// errors the one with the smallest errno is answered. [The rule](crate::failure#the-rule) says which
    /// fences count. It is a question about the content, not about waiting: a failed fence holds nobody up,
    /// and a pending one has no error yet. A wait reports what fails while it lasts.
    ///
    /// It takes the object's [`lock`](Resv::lock), so that no other call pays for it. The holder of that lock
    /// asks [`Guard::failure`] instead; a fence's callback must not ask at all.
    ///
    /// ```
    /// use resv_api::{Access, FenceError, Resv, Timeline, Usage, Waited};
    /// let (buffer, gfx) = (Resv::new(), Timeline::new("gfx"));
    /// let job = gfx.issue()?;
    /// buffer.lock().reserve(1)?.add(job.fence(), Usage::Write);
    /// job.signal_error(FenceError::IO);
    /// // There is nothing to wait for any more, and the content is broken.
    /// assert_eq!(buffer.wait(Access::Read, None), Waited::Signaled);
    /// assert_eq!(buffer.failure(Access::Read), Some(FenceError::IO));
    ///
    /// let again = gfx.issue()?;
    /// buffer.lock().reserve(1)?.add(again.fence(), Usage::Write);
    /// assert_eq!(buffer.failure(Access::Read), None);
    /// # again.signal();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn failure(&self, access: Access) -> Option<FenceError> {
        self.lock().failure(access)
    }

    /// What readers of this object had to do (B7).
    pub fn counters(&self) -> Counters {
        self.backend.counters()
    }

    /// The number that trace events give this object as `resv`. See [`trace`](crate::trace).
    #[cfg(feature = "tracing")]
    pub fn trace_id(&self) -> u64 {
        self.id.get()
    }

    pub(crate) fn id(&self) -> &ObjectId {
        &self.id
    }

    /// The semantics of this object.
    #[inline]
    pub fn semantics(&self) -> S {
        self.semantics
    }

    /// The back end, for tests and measurements of one.
    pub fn backend(&self) -> &B {
        &self.backend
    }
}

/// Ends the process as a collection does that cannot grow.
#[cold]
pub(crate) fn out_of_memory(error: ReserveError) -> ! {
    match Layout::array::<resv_core::Entry>(error.entries()) {
        Ok(layout) => handle_alloc_error(layout),
        Err(_) => handle_alloc_error(Layout::new::<resv_core::Entry>()),
    }
}

/// The semantics, the back end, and the pending entries.
impl<S: Semantics, B: Backend> fmt::Debug for Resv<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Resv<{}, {}> ",
            self.semantics.name(),
            self.backend.name()
        )?;
        match self.try_snapshot() {
            Ok(snapshot) => f.debug_list().entries(snapshot.iter()).finish(),
            Err(error) => write!(f, "({error})"),
        }
    }
}

/// Gives up what an add in one call has got under the lock, where a step fails or panics.
struct Ends<'h, 'l, S: Semantics, B: Backend>(&'h Resv<S, B>, &'h mut LockProof<'l>);

impl<S: Semantics, B: Backend> Drop for Ends<'_, '_, S, B> {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        finish(self.0, self.1);
    }
}
