//! The back end that users name: a flavour's object under one type.

use crate::versioned::Versioned;
use resv_core::{
    Backend, Budget, Counters, Entry, EntryRef, Fence, FenceError, Garbage, Key, LockProof,
    ObjectLock, Plan, Removes, ReserveError, UsageSet,
};
use std::fmt;

/// A fence array per object, which readers see at a length.
///
/// `F` is the flavour. See the [crate](crate) for how it works, and for an example.
pub struct RcuArray<F: Flavour = Stable> {
    object: F::Object,
}

/// A flavour of the array: [`Stable`], or `ArcSwapped` with the feature `arc-swap`. Sealed: the members are
/// in this crate.
pub trait Flavour: sealed::Flavour {}

pub(crate) mod sealed {
    /// What a flavour is made of.
    pub trait Flavour: 'static {
        /// The object.
        type Object: resv_core::Backend + Default;
    }
}

/// The default flavour: cells in type-stable memory. A test of an idle object is one load, a snapshot
/// one increment, and nothing waits for a grace period.
///
/// ```
/// use resv_core::Backend;
/// use resv_rcu_array::{RcuArray, Stable};
/// assert_eq!(RcuArray::<Stable>::default().name(), "rcu-array");
/// ```
pub struct Stable;

impl Flavour for Stable {}

impl sealed::Flavour for Stable {
    type Object = Versioned;
}

#[cfg(feature = "arc-swap")]
impl Flavour for crate::ArcSwapped {}

#[cfg(feature = "arc-swap")]
impl sealed::Flavour for crate::ArcSwapped {
    type Object = crate::arc_swapped::ArcSwappedObject;
}

impl<F: Flavour> Default for RcuArray<F> {
    fn default() -> Self {
        RcuArray {
            object: F::Object::default(),
        }
    }
}

impl<F: Flavour> fmt::Debug for RcuArray<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RcuArray")
            .field("flavour", &self.object.name())
            .finish_non_exhaustive()
    }
}

impl<F: Flavour> Backend for RcuArray<F> {
    type Snapshot = <F::Object as Backend>::Snapshot;

    fn name(&self) -> &'static str {
        self.object.name()
    }

    #[inline]
    fn object_lock(&self) -> &ObjectLock {
        self.object.object_lock()
    }

    #[inline(always)]
    fn prefetch(&self) {
        self.object.prefetch();
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

    fn append(&self, held: &mut LockProof<'_>, entries: impl ExactSizeIterator<Item = Entry>) {
        self.object.append(held, entries);
    }

    #[inline]
    fn overwrite(&self, held: &mut LockProof<'_>) {
        self.object.overwrite(held);
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        self.object.failure(held, usages)
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
    fn finish(&self, held: &mut LockProof<'_>) {
        self.object.finish(held);
    }

    #[inline(always)]
    fn prepare(
        &self,
        held: &mut LockProof<'_>,
        usages: UsageSet,
        see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
        removes: impl Removes,
    ) -> Result<Plan, ReserveError> {
        self.object.prepare(held, usages, see, removes)
    }

    #[inline(always)]
    fn commit(
        &self,
        held: &mut LockProof<'_>,
        plan: Plan,
        removes: impl Removes,
        add: Entry,
    ) -> Option<Fence> {
        self.object.commit(held, plan, removes, add)
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

    fn superseded_bound(&self, most: usize) -> usize {
        self.object.superseded_bound(most)
    }

    fn garbage(&self) -> Garbage {
        self.object.garbage()
    }

    fn reset_garbage_peak(&self) {
        self.object.reset_garbage_peak();
    }
}
