//! The object-safe form of the back-end port, for code that is compiled once for every back end.
//!
//! [`Backend`] is generic in its closures and in its snapshot, so that a program pays for nothing: its
//! objects are compiled for the back end that it uses. A program that works with *all* back ends, such
//! as a test suite, would be compiled anew for each. [`AnyBackend`] holds one behind a pointer and is a
//! back end itself: `Resv<AnySemantics, AnyBackend>` is one type, whatever is inside.
//!
//! ```
//! use resv_core::{AnyBackend, Backend, Locked, UsageSet};
//!
//! let objects = [AnyBackend::new(Locked::default())]; // and others beside it
//! assert_eq!(objects[0].name(), "locked");
//! assert!(objects[0].is_idle(UsageSet::ALL));
//! ```
//!
//! What it costs: one allocation for each object and for each snapshot, and an indirect call for each
//! operation and for each step of a visit.

use crate::backend::{Backend, Budget, Counters, EntrySet, Garbage, Plan, Removes, ReserveError};
use crate::entry::{Entry, EntryRef, Key};
use crate::fence::{Fence, FenceError};
use crate::lock::{LockProof, ObjectLock};
use crate::usage::UsageSet;
use std::fmt;

/// [`Backend`] without type parameters. Every back end has it.
///
/// Each function is that of [`Backend`] under the same name; a visit keeps what it gathers in
/// its closure.
pub trait DynBackend: Send + Sync + 'static {
    /// [`Backend::name`].
    fn name(&self) -> &'static str;
    /// [`Backend::object_lock`].
    fn object_lock(&self) -> &ObjectLock;
    /// [`Backend::reserve`].
    ///
    /// # Errors
    ///
    /// When the memory cannot be had.
    fn reserve(&self, held: &mut LockProof<'_>, budget: Budget) -> Result<(), ReserveError>;
    /// [`Backend::edit`].
    fn edit(
        &self,
        held: &mut LockProof<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    );
    /// [`Backend::append`].
    fn append(&self, held: &mut LockProof<'_>, entries: &mut dyn ExactSizeIterator<Item = Entry>);
    /// [`Backend::overwrite`].
    fn overwrite(&self, held: &mut LockProof<'_>);
    /// [`Backend::failure`].
    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError>;
    /// [`Backend::publish`].
    fn publish(&self, held: &mut LockProof<'_>);
    /// [`Backend::edit_and_publish`].
    fn edit_and_publish(
        &self,
        held: &mut LockProof<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    );
    /// [`Backend::unreserve`].
    fn unreserve(&self, held: &mut LockProof<'_>);
    /// [`Backend::finish`].
    fn finish(&self, held: &mut LockProof<'_>);
    /// [`Backend::prepare`].
    ///
    /// # Errors
    ///
    /// When the memory cannot be had, or what `see` failed with.
    fn prepare(
        &self,
        held: &mut LockProof<'_>,
        usages: UsageSet,
        see: &mut dyn FnMut(&Fence, Key) -> Result<(), ReserveError>,
        removes: &dyn Fn(Key) -> bool,
    ) -> Result<Plan, ReserveError>;
    /// [`Backend::commit`].
    fn commit(
        &self,
        held: &mut LockProof<'_>,
        plan: Plan,
        removes: &dyn Fn(Key) -> bool,
        add: Entry,
    ) -> Option<Fence>;
    /// [`Backend::visit_held`].
    fn visit_held(&self, held: &LockProof<'_>, show: &mut dyn FnMut(EntryRef<'_>));
    /// [`Backend::snapshot`].
    ///
    /// # Errors
    ///
    /// When the memory cannot be had.
    fn snapshot(&self) -> Result<AnySnapshot, ReserveError>;
    /// [`Backend::visit`].
    fn visit(&self, usages: UsageSet, show: &mut dyn FnMut(Key));
    /// [`Backend::is_idle`].
    fn is_idle(&self, usages: UsageSet) -> bool;
    /// [`Backend::counters`].
    fn counters(&self) -> Counters;
    /// [`Backend::superseded_bound`].
    fn superseded_bound(&self, most: usize) -> usize;
    /// [`Backend::garbage`].
    fn garbage(&self) -> Garbage;
    /// [`Backend::reset_garbage_peak`].
    fn reset_garbage_peak(&self);
}

impl<B: Backend> DynBackend for B {
    fn name(&self) -> &'static str {
        Backend::name(self)
    }

    fn object_lock(&self) -> &ObjectLock {
        Backend::object_lock(self)
    }

    fn reserve(&self, held: &mut LockProof<'_>, budget: Budget) -> Result<(), ReserveError> {
        Backend::reserve(self, held, budget)
    }

    fn edit(
        &self,
        held: &mut LockProof<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        Backend::edit(self, held, removes, add);
    }

    fn append(&self, held: &mut LockProof<'_>, entries: &mut dyn ExactSizeIterator<Item = Entry>) {
        Backend::append(self, held, entries);
    }

    fn overwrite(&self, held: &mut LockProof<'_>) {
        Backend::overwrite(self, held);
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        Backend::failure(self, held, usages)
    }

    fn publish(&self, held: &mut LockProof<'_>) {
        Backend::publish(self, held);
    }

    fn edit_and_publish(
        &self,
        held: &mut LockProof<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        Backend::edit_and_publish(self, held, removes, add);
    }

    fn unreserve(&self, held: &mut LockProof<'_>) {
        Backend::unreserve(self, held);
    }

    fn finish(&self, held: &mut LockProof<'_>) {
        Backend::finish(self, held);
    }

    fn prepare(
        &self,
        held: &mut LockProof<'_>,
        usages: UsageSet,
        see: &mut dyn FnMut(&Fence, Key) -> Result<(), ReserveError>,
        removes: &dyn Fn(Key) -> bool,
    ) -> Result<Plan, ReserveError> {
        Backend::prepare(self, held, usages, see, removes)
    }

    fn commit(
        &self,
        held: &mut LockProof<'_>,
        plan: Plan,
        removes: &dyn Fn(Key) -> bool,
        add: Entry,
    ) -> Option<Fence> {
        Backend::commit(self, held, plan, removes, add)
    }

    fn visit_held(&self, held: &LockProof<'_>, show: &mut dyn FnMut(EntryRef<'_>)) {
        Backend::visit_held(self, held, (), |(), entry| show(entry));
    }

    fn snapshot(&self) -> Result<AnySnapshot, ReserveError> {
        Ok(AnySnapshot(Box::new(Backend::snapshot(self)?)))
    }

    fn visit(&self, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        Backend::visit(self, usages, (), |(), key| show(key));
    }

    fn is_idle(&self, usages: UsageSet) -> bool {
        Backend::is_idle(self, usages)
    }

    fn counters(&self) -> Counters {
        Backend::counters(self)
    }

    fn superseded_bound(&self, most: usize) -> usize {
        Backend::superseded_bound(self, most)
    }

    fn garbage(&self) -> Garbage {
        Backend::garbage(self)
    }

    fn reset_garbage_peak(&self) {
        Backend::reset_garbage_peak(self);
    }
}

/// A back end behind a pointer. See the [module](self).
pub struct AnyBackend(Box<dyn DynBackend>);

impl AnyBackend {
    /// `backend`, behind a pointer.
    pub fn new(backend: impl Backend) -> AnyBackend {
        AnyBackend(Box::new(backend))
    }
}

impl fmt::Debug for AnyBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyBackend").field(&self.0.name()).finish()
    }
}

impl Backend for AnyBackend {
    type Snapshot = AnySnapshot;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn object_lock(&self) -> &ObjectLock {
        self.0.object_lock()
    }

    fn reserve(&self, held: &mut LockProof<'_>, budget: Budget) -> Result<(), ReserveError> {
        self.0.reserve(held, budget)
    }

    fn edit(
        &self,
        held: &mut LockProof<'_>,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        self.0.edit(held, &mut removes, add);
    }

    fn append(&self, held: &mut LockProof<'_>, mut entries: impl ExactSizeIterator<Item = Entry>) {
        self.0.append(held, &mut entries);
    }

    fn overwrite(&self, held: &mut LockProof<'_>) {
        self.0.overwrite(held);
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        self.0.failure(held, usages)
    }

    fn publish(&self, held: &mut LockProof<'_>) {
        self.0.publish(held);
    }

    fn edit_and_publish(
        &self,
        held: &mut LockProof<'_>,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        self.0.edit_and_publish(held, &mut removes, add);
    }

    fn unreserve(&self, held: &mut LockProof<'_>) {
        self.0.unreserve(held);
    }

    fn finish(&self, held: &mut LockProof<'_>) {
        self.0.finish(held);
    }

    fn prepare(
        &self,
        held: &mut LockProof<'_>,
        usages: UsageSet,
        mut see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
        removes: impl Removes,
    ) -> Result<Plan, ReserveError> {
        self.0.prepare(held, usages, &mut see, &removes.predicate())
    }

    fn commit(
        &self,
        held: &mut LockProof<'_>,
        plan: Plan,
        removes: impl Removes,
        add: Entry,
    ) -> Option<Fence> {
        self.0.commit(held, plan, &removes.predicate(), add)
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        mut f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        let mut gathered = Some(init);
        self.0.visit_held(held, &mut |entry| {
            gathered = gathered.take().map(|so_far| f(so_far, entry));
        });
        gathered.expect("each step returns what is gathered")
    }

    fn snapshot(&self) -> Result<AnySnapshot, ReserveError> {
        self.0.snapshot()
    }

    fn visit<A>(&self, usages: UsageSet, init: A, mut f: impl FnMut(A, Key) -> A) -> A {
        let mut gathered = Some(init);
        self.0.visit(usages, &mut |key| {
            gathered = gathered.take().map(|so_far| f(so_far, key));
        });
        gathered.expect("each step returns what is gathered")
    }

    fn is_idle(&self, usages: UsageSet) -> bool {
        self.0.is_idle(usages)
    }

    fn counters(&self) -> Counters {
        self.0.counters()
    }

    fn superseded_bound(&self, most: usize) -> usize {
        self.0.superseded_bound(most)
    }

    fn garbage(&self) -> Garbage {
        self.0.garbage()
    }

    fn reset_garbage_peak(&self) {
        self.0.reset_garbage_peak();
    }
}

/// The snapshot of some back end, behind a pointer. Cloning it clones what is inside.
pub struct AnySnapshot(Box<dyn DynSnapshot>);

trait DynSnapshot: Send + Sync {
    fn entries(&self) -> Box<dyn Iterator<Item = EntryRef<'_>> + '_>;
    fn len(&self) -> usize;
    fn clone_boxed(&self) -> Box<dyn DynSnapshot>;
}

impl<T: EntrySet> DynSnapshot for T {
    fn entries(&self) -> Box<dyn Iterator<Item = EntryRef<'_>> + '_> {
        Box::new(self.iter())
    }

    fn len(&self) -> usize {
        EntrySet::len(self)
    }

    fn clone_boxed(&self) -> Box<dyn DynSnapshot> {
        Box::new(self.clone())
    }
}

impl EntrySet for AnySnapshot {
    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.0.entries()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl Clone for AnySnapshot {
    fn clone(&self) -> AnySnapshot {
        AnySnapshot(self.0.clone_boxed())
    }
}
