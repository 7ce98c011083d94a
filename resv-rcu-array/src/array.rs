//! The back end that users name: a flavour's object under one type.

use crate::Stable;
use crate::reclaim::Reclaim;
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, Garbage, Key, LockProof, ObjectLock, ReserveError,
    UsageSet,
};
use std::fmt;

/// An immutable fence array per object, published with one pointer.
///
/// `R` is the flavour of reclamation. See the [crate](crate) for how it works, and for an example.
pub struct RcuArray<R: Reclaim = Stable> {
    object: R::Object,
}

impl<R: Reclaim> RcuArray<R> {
    /// Frees what the current thread has retired, and what other threads handed over, as far as no
    /// reader can look at it any more. Never needed for the bound on garbage; for tests, and before
    /// a thread that has published goes to sleep for long.
    pub fn collect() {
        R::collect();
    }
}

impl<R: Reclaim> Default for RcuArray<R> {
    fn default() -> Self {
        RcuArray {
            object: R::Object::default(),
        }
    }
}

impl<R: Reclaim> fmt::Debug for RcuArray<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RcuArray")
            .field("flavour", &self.object.name())
            .finish_non_exhaustive()
    }
}

impl<R: Reclaim> Backend for RcuArray<R> {
    type Snapshot = <R::Object as Backend>::Snapshot;

    fn name(&self) -> &'static str {
        self.object.name()
    }

    #[inline]
    fn object_lock(&self) -> &ObjectLock {
        self.object.object_lock()
    }

    #[inline]
    fn reserve(&self, held: &mut LockProof<'_>, room: Budget) -> Result<(), ReserveError> {
        self.object.reserve(held, room)
    }

    #[inline]
    fn edit(&self, held: &mut LockProof<'_>, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        self.object.edit(held, removes, add);
    }

    #[inline]
    fn edit_and_publish(
        &self,
        held: &mut LockProof<'_>,
        removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        self.object.edit_and_publish(held, removes, add);
    }

    #[inline]
    fn publish(&self, held: &mut LockProof<'_>) {
        self.object.publish(held);
    }

    #[inline]
    fn unreserve(&self, held: &mut LockProof<'_>) {
        self.object.unreserve(held);
    }

    #[inline]
    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        self.object.visit_held(held, init, f)
    }

    #[inline]
    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError> {
        self.object.snapshot()
    }

    #[inline]
    fn visit<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        self.object.visit(usages, init, f)
    }

    #[inline]
    fn is_idle(&self, usages: UsageSet) -> bool {
        self.object.is_idle(usages)
    }

    fn counters(&self) -> Counters {
        self.object.counters()
    }

    fn garbage(&self) -> Garbage {
        self.object.garbage()
    }

    fn reset_garbage_peak(&self) {
        self.object.reset_garbage_peak();
    }
}
