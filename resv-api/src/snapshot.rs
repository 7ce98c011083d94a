//! The fences of one instant, owned.

use crate::wait::{Until, Waitable, wait_all};
use resv_core::{Access, Backend, EntryRef, EntrySet, Fence, Semantics, UsageSet, Waited};
use std::fmt;

/// The fences of one instant, for all accesses or narrowed to one.
///
/// It keeps its fences alive and its membership never changes (B6). Which of them are still pending
/// is asked anew each time: signalled fences are never shown.
///
/// With the array back ends it is one reference, and cloning it one more.
pub struct Snapshot<S: Semantics, B: Backend> {
    entries: B::Snapshot,
    usages: UsageSet,
    semantics: S,
}

impl<S: Semantics, B: Backend> Snapshot<S, B> {
    pub(crate) fn new(entries: B::Snapshot, semantics: S) -> Self {
        Snapshot {
            entries,
            usages: UsageSet::ALL,
            semantics,
        }
    }

    /// Only what `access` must wait for.
    #[must_use]
    pub fn narrow(mut self, access: Access) -> Self {
        self.usages = self.usages.intersection(self.semantics.waits_for(access));
        self
    }

    /// The members, signalled or not.
    pub(crate) fn members(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.entries
            .iter()
            .filter(|entry| self.usages.contains(entry.usage))
    }

    /// The members that are pending now, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.members().filter(|entry| !entry.fence.is_signaled())
    }

    /// Whether every member has signalled.
    pub fn is_idle(&self) -> bool {
        self.members().all(|entry| entry.fence.is_signaled())
    }

    /// Sleeps until every member has signalled: for ever with `None`, at most for a
    /// [`Duration`](std::time::Duration), or until an [`Instant`](std::time::Instant).
    ///
    /// [`wait_all`] of this snapshot: the first error among the members is reported, also of members
    /// that signalled before the call. Holds no lock; registers and sleeps once.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn wait(&self, until: impl Into<Until>) -> Waited {
        wait_all(self, until)
    }
}

/// All members, signalled or not.
impl<S: Semantics, B: Backend> Waitable for Snapshot<S, B> {
    fn visit_fences<'a>(&'a self, visit: &mut dyn FnMut(&'a Fence)) {
        self.members().for_each(|entry| visit(entry.fence));
    }
}

impl<S: Semantics, B: Backend> Clone for Snapshot<S, B> {
    fn clone(&self) -> Self {
        Snapshot {
            entries: self.entries.clone(),
            usages: self.usages,
            semantics: self.semantics,
        }
    }
}

impl<S: Semantics, B: Backend> fmt::Debug for Snapshot<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
