//! The identity of a timeline.

use std::cell::Cell;
// No protocol reads it, so it stays real under loom.
use std::sync::atomic::{AtomicU64 as Counter, Ordering};

/// The identity of a timeline: unique in the process, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimelineId(u64);

impl TimelineId {
    /// An identity that no timeline has or had.
    ///
    /// A thread takes the numbers in blocks: a counter that all threads write would cost more than the rest
    /// of making a timeline.
    pub(super) fn take() -> TimelineId {
        const BLOCK: u64 = 64;
        static BLOCKS: Counter = Counter::new(0);
        thread_local! {
            /// The last number that this thread has taken; a multiple of the block when none is left.
            static LAST: Cell<u64> = const { Cell::new(0) };
        }
        let mut last = LAST.get();
        if last.is_multiple_of(BLOCK) {
            last = BLOCKS.fetch_add(1, Ordering::Relaxed) * BLOCK;
        }
        LAST.set(last + 1);
        TimelineId(last + 1)
    }

    /// The identity with this number. Timelines of [`Timeline::new`](super::Timeline::new) count from 1.
    pub const fn from_raw(raw: u64) -> TimelineId {
        TimelineId(raw)
    }

    /// The number.
    pub const fn as_raw(self) -> u64 {
        self.0
    }
}
