//! The fences of one instant, owned.

use resv_core::fence::wait_each;
use resv_core::{Access, Backend, Entry, Semantics, UsageSet, Waited};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The fences of one instant, for all accesses or narrowed to one.
///
/// It keeps its fences alive and its membership never changes (B6). Which of them are still pending
/// is asked anew each time: signalled fences are never shown.
///
/// With the array back ends it is one reference, and cloning it one more.
pub struct Snapshot<S: Semantics, B: Backend> {
    entries: B::Snapshot,
    usages: UsageSet,
    semantics: PhantomData<fn() -> S>,
}

impl<S: Semantics, B: Backend> Snapshot<S, B> {
    pub(crate) fn new(entries: B::Snapshot) -> Self {
        Snapshot {
            entries,
            usages: UsageSet::ALL,
            semantics: PhantomData,
        }
    }

    /// Only what `access` must wait for.
    #[must_use]
    pub fn narrow(mut self, access: Access) -> Self {
        self.usages = self.usages.intersection(S::waits_for(access));
        self
    }

    /// The members, signalled or not.
    fn members(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .as_ref()
            .iter()
            .filter(|entry| self.usages.contains(entry.usage))
    }

    /// The members that are pending now, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.members().filter(|entry| !entry.fence.is_signaled())
    }

    /// Whether every member has signalled.
    pub fn is_idle(&self) -> bool {
        self.members().all(|entry| entry.fence.is_signaled())
    }

    /// Sleeps until every member has signalled, at most for `timeout` in all; for ever with `None`.
    ///
    /// The first error among the members is reported, also of members that signalled before the
    /// call. Holds no lock.
    pub fn wait(&self, timeout: Option<Duration>) -> Waited {
        wait_each(self.members().map(|entry| &entry.fence), timeout)
    }
}

impl<S: Semantics, B: Backend> Clone for Snapshot<S, B> {
    fn clone(&self) -> Self {
        Snapshot {
            entries: self.entries.clone(),
            usages: self.usages,
            semantics: PhantomData,
        }
    }
}

impl<S: Semantics, B: Backend> fmt::Debug for Snapshot<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
