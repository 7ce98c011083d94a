//! How a broken back end is written: [`Fault`] is the reference back end with some steps replaced.

use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, EntrySet, Fence, FenceError, Garbage, Key,
    LockProof, Locked, ObjectLock, Plan, ReserveError, Usage, UsageSet,
};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// What an edit removes.
pub type Removes<'a> = &'a mut dyn FnMut(Key) -> bool;

/// The sound object under a fault, with its lock held.
pub struct Inner<'a, 'l> {
    object: &'a Locked,
    held: &'a mut LockProof<'l>,
}

/// The object as readers see it.
impl Deref for Inner<'_, '_> {
    type Target = Locked;

    fn deref(&self) -> &Locked {
        self.object
    }
}

impl Inner<'_, '_> {
    /// Whether the lock that is held is the object's.
    pub(crate) fn is_locked(&self) -> bool {
        self.held.is_for(self.object.object_lock())
    }

    /// Declares the locking context done.
    pub(crate) fn done(&mut self) {
        self.held.done();
    }

    /// [`Backend::reserve`].
    pub(crate) fn reserve(&mut self, room: Budget) -> Result<(), ReserveError> {
        self.object.reserve(self.held, room)
    }

    /// [`Backend::reserve`], and so many publishes on top.
    pub(crate) fn reserve_more(&mut self, room: Budget, more: usize) -> Result<(), ReserveError> {
        let publishes = room.publishes.saturating_add(more);
        self.reserve(Budget { publishes, ..room })
    }

    /// [`Backend::edit`].
    pub(crate) fn edit(&mut self, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        self.object.edit(self.held, removes, add);
    }

    /// [`Backend::overwrite`].
    pub(crate) fn overwrite(&mut self) {
        self.object.overwrite(self.held);
    }

    /// [`Backend::publish`].
    pub(crate) fn publish(&mut self) {
        self.object.publish(self.held);
    }

    /// [`Backend::unreserve`].
    pub(crate) fn unreserve(&mut self) {
        self.object.unreserve(self.held);
    }

    /// [`Backend::failure`].
    pub(crate) fn failure(&self, usages: UsageSet) -> Option<FenceError> {
        self.object.failure(self.held, usages)
    }

    /// The entries as the holder sees them.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        held_entries(self.object, self.held)
    }

    /// Takes the first entry out of the object.
    pub(crate) fn lose_first(&mut self, room: Budget) -> Result<(), ReserveError> {
        self.reserve_more(room, 1)?;
        let mut first = true;
        self.edit(|_| std::mem::take(&mut first), None);
        self.publish();
        Ok(())
    }
}

/// One defect, as a layer over a sound object: what is not overridden is right.
///
/// One value of the type belongs to one object, so a fault may have state.
pub trait Fault: Send + Sync {
    /// [`Backend::object_lock`]. The calls below are made with the lock of `object` in any case.
    fn object_lock<'a>(&'a self, object: &'a Locked) -> &'a ObjectLock {
        object.object_lock()
    }

    /// [`Backend::reserve`].
    fn reserve(&self, object: &mut Inner<'_, '_>, room: Budget) -> Result<(), ReserveError> {
        object.reserve(room)
    }

    /// [`Backend::edit`].
    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        object.edit(removes, add);
    }

    /// [`Backend::append`] of one entry. An edit, however slow that is: most faults are in edits.
    fn append(&self, object: &mut Inner<'_, '_>, entry: Entry) {
        self.edit(object, &mut |_| false, Some(entry));
    }

    /// [`Backend::overwrite`].
    fn overwrite(&self, object: &mut Inner<'_, '_>) {
        object.overwrite();
    }

    /// [`Backend::failure`].
    fn failure(
        &self,
        object: &Locked,
        held: &LockProof<'_>,
        usages: UsageSet,
    ) -> Option<FenceError> {
        object.failure(held, usages)
    }

    /// [`Backend::publish`].
    fn publish(&self, object: &mut Inner<'_, '_>) {
        object.publish();
    }

    /// The reservation of [`Backend::prepare`], when all was shown.
    fn prepare(&self, object: &mut Inner<'_, '_>) -> Result<(), ReserveError> {
        self.reserve(object, Budget::ONE)
    }

    /// The edit and the publish of [`Backend::commit`].
    fn commit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Entry) {
        self.edit(object, removes, Some(add));
        self.publish(object);
    }

    /// Edits have just been published: there were some.
    fn published(&self, object: &Locked) {
        let _ = object;
    }

    /// [`Backend::unreserve`].
    fn unreserve(&self, object: &mut Inner<'_, '_>) {
        object.unreserve();
    }

    /// [`Backend::visit_held`].
    fn held(&self, object: &Locked, held: &LockProof<'_>) -> Vec<Entry> {
        held_entries(object, held)
    }

    /// [`Backend::snapshot`].
    fn snapshot(&self, object: &Locked) -> Result<Vec<Entry>, ReserveError> {
        object.snapshot()
    }

    /// Whether a snapshot is taken when it is first looked at, and not at the call.
    fn snapshot_is_late(&self) -> bool {
        false
    }

    /// [`Backend::visit`].
    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        object.visit(usages, (), |(), key| show(key));
    }

    /// [`Backend::is_idle`].
    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        object.is_idle(usages)
    }

    /// [`Backend::counters`].
    fn counters(&self) -> Counters {
        Counters::default()
    }

    /// [`Backend::garbage`].
    fn garbage(&self) -> Garbage {
        Garbage::default()
    }

    /// What becomes of the object at its end.
    fn on_drop(&self, object: &Locked) {
        let _ = object;
    }
}

/// No defect: the control.
#[derive(Default)]
pub struct Sound;

impl Fault for Sound {}

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reference back end with a fault.
pub struct Faulty {
    inner: Arc<Locked>,
    fault: Box<dyn Fault>,
    staged: AtomicBool,
}

/// A snapshot of [`Faulty`].
#[derive(Clone)]
pub struct View {
    entries: OnceLock<Vec<Entry>>,
    /// What is read at the first look.
    late: Option<Arc<Locked>>,
}

impl EntrySet for View {
    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        let late = || self.late.as_deref().map(now).unwrap_or_default();
        self.entries.get_or_init(late).iter()
    }
}

impl Faulty {
    /// An object with `fault`.
    pub fn new(fault: impl Fault + 'static) -> Faulty {
        Faulty {
            inner: Arc::default(),
            fault: Box::new(fault),
            staged: AtomicBool::new(false),
        }
    }
}

/// Without a fault: the control.
impl Default for Faulty {
    fn default() -> Self {
        Faulty::new(Sound)
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.fault.on_drop(&self.inner);
    }
}

impl Faulty {
    /// A lock for the inner object where the fault has one of its own, of which `held` is the proof:
    /// it is taken for as long as one call lasts.
    fn own_lock(&self, held: &LockProof<'_>) -> Option<LockProof<'_>> {
        let (inner, lock) = (self.inner.object_lock(), self.object_lock());
        if std::ptr::eq(lock, inner) {
            return None;
        }
        assert!(held.is_for(lock), "the lock of another object is held");
        Some(inner.lock())
    }

    /// Calls `f` with the inner object and a proof for it.
    fn locked<R>(&self, held: &mut LockProof<'_>, f: impl FnOnce(&mut Inner<'_, '_>) -> R) -> R {
        let object = &*self.inner;
        match self.own_lock(held) {
            Some(mut own) => f(&mut Inner {
                object,
                held: &mut own,
            }),
            None => f(&mut Inner { object, held }),
        }
    }
}

impl Backend for Faulty {
    type Snapshot = View;

    fn name(&self) -> &'static str {
        "faulty"
    }

    fn object_lock(&self) -> &ObjectLock {
        self.fault.object_lock(&self.inner)
    }

    fn reserve(&self, held: &mut LockProof<'_>, room: Budget) -> Result<(), ReserveError> {
        self.locked(held, |object| self.fault.reserve(object, room))
    }

    fn edit(
        &self,
        held: &mut LockProof<'_>,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        self.staged.store(true, Ordering::Relaxed);
        self.locked(held, |object| self.fault.edit(object, &mut removes, add));
    }

    fn append(&self, held: &mut LockProof<'_>, entries: impl ExactSizeIterator<Item = Entry>) {
        self.staged.store(true, Ordering::Relaxed);
        self.locked(held, |object| {
            entries.for_each(|entry| self.fault.append(object, entry));
        });
    }

    fn overwrite(&self, held: &mut LockProof<'_>) {
        self.locked(held, |object| self.fault.overwrite(object));
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        let own = self.own_lock(held);
        let held = own.as_ref().unwrap_or(held);
        self.fault.failure(&self.inner, held, usages)
    }

    fn publish(&self, held: &mut LockProof<'_>) {
        let mut publish = || {
            self.locked(held, |object| self.fault.publish(object));
        };
        if std::thread::panicking() {
            // A panic must not come out of the guard that is dropped by another panic.
            let _ = catch_unwind(AssertUnwindSafe(&mut publish));
        } else {
            publish();
        }
        if self.staged.swap(false, Ordering::Relaxed) {
            self.fault.published(&self.inner);
        }
    }

    fn unreserve(&self, held: &mut LockProof<'_>) {
        self.locked(held, |object| self.fault.unreserve(object));
    }

    fn prepare(
        &self,
        held: &mut LockProof<'_>,
        usages: UsageSet,
        mut see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
        _removes: impl resv_core::Removes,
    ) -> Result<Plan, ReserveError> {
        let entries = self.visit_held(held, Vec::new(), |mut all, entry| {
            all.push(entry.to_entry());
            all
        });
        for entry in entries.iter().filter(|entry| usages.contains(entry.usage)) {
            see(entry.fence, entry.key())?;
        }
        self.locked(held, |object| self.fault.prepare(object))?;
        Ok(Plan::default())
    }

    fn commit(
        &self,
        held: &mut LockProof<'_>,
        _plan: Plan,
        removes: impl resv_core::Removes,
        add: Entry,
    ) -> Option<Fence> {
        self.locked(held, |object| {
            self.fault.commit(object, &mut removes.predicate(), add);
        });
        self.fault.published(&self.inner);
        self.unreserve(held);
        None
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        let entries = {
            let own = self.own_lock(held);
            self.fault.held(&self.inner, own.as_ref().unwrap_or(held))
        };
        entries.iter().fold(init, f)
    }

    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError> {
        if self.fault.snapshot_is_late() {
            return Ok(View {
                entries: OnceLock::new(),
                late: Some(Arc::clone(&self.inner)),
            });
        }
        let entries = self.fault.snapshot(&self.inner)?;
        Ok(View {
            entries: entries.into(),
            late: None,
        })
    }

    fn visit<A>(&self, usages: UsageSet, init: A, mut f: impl FnMut(A, Key) -> A) -> A {
        let mut so_far = Some(init);
        self.fault.visit(&self.inner, usages, &mut |key| {
            so_far = so_far.take().map(|so_far| f(so_far, key));
        });
        so_far.expect("each step returns an accumulator")
    }

    fn is_idle(&self, usages: UsageSet) -> bool {
        self.fault.is_idle(&self.inner, usages)
    }

    fn counters(&self) -> Counters {
        self.fault.counters()
    }

    fn garbage(&self) -> Garbage {
        self.fault.garbage()
    }
}

/// The gap between two reads that should have been one: lets a writer in.
///
/// A reader that comes to the gap waits until another thread has published so and so often, or for
/// a moment if no thread does. So a race that takes luck elsewhere takes none here.
#[derive(Default)]
pub(crate) struct Gap {
    published: Mutex<(u64, Option<ThreadId>)>,
}

impl Gap {
    /// Longer than a writer of the suite's races needs for a publish, unless it has just been
    /// descheduled.
    const PATIENCE: Duration = Duration::from_millis(2);

    /// An edit was published.
    pub(crate) fn note_publish(&self) {
        let mut published = lock(&self.published);
        *published = (published.0 + 1, Some(std::thread::current().id()));
    }

    /// Waits for `publishes` of another thread.
    pub(crate) fn wait(&self, publishes: u64) {
        let (before, by) = *lock(&self.published);
        if by.is_none_or(|by| by == std::thread::current().id()) {
            return; // One thread does it all: nobody will come.
        }
        let end = Instant::now() + Self::PATIENCE;
        while lock(&self.published).0 < before + publishes && Instant::now() < end {
            std::thread::yield_now();
        }
    }
}

/// The pending entries of now, in order of their adding.
pub(crate) fn now(object: &Locked) -> Vec<Entry> {
    object.snapshot().expect("memory for a few entries")
}

/// The entries as the holder sees them.
pub(crate) fn held_entries(object: &Locked, held: &LockProof<'_>) -> Vec<Entry> {
    object.visit_held(held, Vec::new(), |mut all, entry| {
        all.push(entry.to_entry());
        all
    })
}

/// Kernel and write.
pub(crate) fn writers() -> UsageSet {
    UsageSet::of(&[Usage::Kernel, Usage::Write])
}

/// Read and bookkeep.
pub(crate) fn readers() -> UsageSet {
    UsageSet::of(&[Usage::Read, Usage::Bookkeep])
}
