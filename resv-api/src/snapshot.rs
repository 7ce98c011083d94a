//! The fences of one instant, owned.

use crate::wait::{Waitable, wait_all};
use resv_core::fence::merge;
use resv_core::{
    Access, Backend, Entry, EntryRef, EntrySet, Fence, Semantics, TimelineId, Until, Usage,
    UsageSet, Waited,
};
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

    /// One fence that has signalled when all members that are pending now have: of each timeline the
    /// latest, ordered by timeline; that very fence if there is one, one born signalled if there is none.
    /// See [`merge`](crate::fence::merge).
    pub fn merged(&self) -> Fence {
        let pending: Vec<Fence> = self.iter().map(|entry| entry.fence.clone()).collect();
        merge(&pending)
    }

    /// Sleeps until every member has signalled: for ever with `None`, at most for a
    /// [`Duration`](std::time::Duration), or until an [`Instant`](std::time::Instant).
    ///
    /// [`wait_all`] of this snapshot: an error is reported if a member failed that was pending when the
    /// wait began; of several, the first as a [`Description`](crate::Description) lists them. Holds no
    /// lock; registers and sleeps once.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn wait(&self, until: impl Into<Until>) -> Waited {
        wait_all(self, until)
    }
}

/// The members that are pending: what has signalled is not part of a wait that begins later.
impl<S: Semantics, B: Backend> Waitable for Snapshot<S, B> {
    fn visit_fences(&self, visit: &mut dyn FnMut(&Fence)) {
        self.iter().for_each(|entry| visit(entry.fence));
    }

    /// In one order whatever the back end.
    fn cover(&self, covered: &mut Vec<Fence>) {
        let mut pending: Vec<Entry> = self.iter().map(EntryRef::to_entry).collect();
        pending.sort_by_key(order);
        covered.extend(pending.into_iter().map(|entry| entry.fence));
    }
}

/// The order in which entries are listed and their errors reported: strongest usage first, then by age
/// of the timeline, then by seqno.
pub(crate) fn order(entry: &Entry) -> (Usage, TimelineId, u64) {
    let key = entry.key();
    (key.usage, key.timeline, key.seqno)
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
