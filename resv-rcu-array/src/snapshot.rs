//! What a reader with a reference has: the entries of one array, whichever memory that is in.

use resv_core::{Entry, EntryRef, EntrySet, UsageSet};
use std::fmt;
use std::ops::Deref;

/// The entries that were published at one instant: one counted reference to an array that never
/// changes while there is one; `A` is that reference.
///
/// It keeps the fences alive. Some may have signalled meanwhile, or even before.
#[derive(Clone)]
pub struct Snapshot<A>(pub(crate) Option<A>);

impl<A: Deref<Target = [Entry]>> Snapshot<A> {
    #[inline]
    fn entries(&self) -> &[Entry] {
        self.0.as_deref().unwrap_or(&[])
    }
}

impl<A: Deref<Target = [Entry]> + Clone + Send + Sync + 'static> EntrySet for Snapshot<A> {
    #[inline]
    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.entries().iter().map(EntryRef::from)
    }

    fn len(&self) -> usize {
        self.entries().len()
    }
}

impl<A: Deref<Target = [Entry]>> fmt::Debug for Snapshot<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}

/// The pending ones of `entries` with a usage in `usages`.
pub(crate) fn pending_in(entries: &[Entry], usages: UsageSet) -> impl Iterator<Item = &Entry> {
    entries
        .iter()
        .filter(move |entry| usages.contains(entry.usage) && !entry.fence.is_signaled())
}
