//! A vector of entries that is replaced as a whole, behind arc-swap.

use super::{Entries, Subject, count_pending, is_idle, put, visit};
use arc_swap::ArcSwap;
use resv_core::{Access, Entry, Fence, Usage};
use std::sync::Arc;

/// `ArcSwap<Vec>`, with a mutex for writers.
pub(crate) struct ArcSwapVec {
    entries: ArcSwap<Entries>,
    writer: parking_lot::Mutex<()>,
}

impl ArcSwapVec {
    /// For the holder of `writer`.
    fn replace(&self, fence: &Fence, usage: Usage) {
        let mut entries = copy_with_room(&self.entries.load());
        put(
            &mut entries,
            Entry {
                fence: fence.clone(),
                usage,
            },
        );
        self.entries.store(Arc::new(entries));
    }
}

/// A copy with room for one more entry.
pub(crate) fn copy_with_room(entries: &[Entry]) -> Entries {
    let mut copy = Entries::with_capacity(entries.len() + 1);
    copy.extend_from_slice(entries);
    copy
}

impl Subject for ArcSwapVec {
    fn name() -> &'static str {
        "arc-swap-vec"
    }

    type Snapshot = Arc<Entries>;

    fn new() -> Self {
        ArcSwapVec {
            entries: ArcSwap::default(),
            writer: parking_lot::Mutex::new(()),
        }
    }

    #[inline]
    fn is_idle(&self, access: Access) -> bool {
        is_idle(&self.entries.load(), access)
    }

    #[inline]
    fn visit(&self, access: Access) -> u64 {
        visit(&self.entries.load(), access)
    }

    #[inline]
    fn snapshot(&self) -> Arc<Entries> {
        self.entries.load_full()
    }

    #[inline]
    fn waits_for(&self, access: Access) -> usize {
        count_pending(&self.snapshot(), access)
    }

    #[inline]
    fn add_around(&self, fence: &Fence, usage: Usage, pause: impl FnOnce()) {
        let _writer = self.writer.lock();
        pause();
        self.replace(fence, usage);
    }

    fn transaction(objects: &[&Self], fence: &Fence, usage: Usage) {
        let mut guards = Vec::with_capacity(objects.len());
        for object in objects {
            guards.push(object.writer.lock());
        }
        for object in objects {
            object.replace(fence, usage);
        }
    }
}
