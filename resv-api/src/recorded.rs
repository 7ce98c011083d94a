//! What an object tells the trace of: what was asked, what was added. Nothing without feature `tracing`.
//!
//! The events and what they are for are described in the module `trace`.

use resv_core::{Access, Fence, TimelineId, Usage};

/// The name of an object in a trace: a number that no other object of the process has, from 1.
///
/// Not the address: an object may be moved before it is shared, and another may get its place.
#[cfg(feature = "tracing")]
pub(crate) struct ObjectId(u64);

/// Nothing: there is no trace.
#[cfg(not(feature = "tracing"))]
#[derive(Default)]
pub(crate) struct ObjectId(());

#[cfg(feature = "tracing")]
mod events {
    use super::*;
    use resv_core::fence::trace::{DRIVER, undisturbed};
    use std::sync::atomic::{AtomicU64, Ordering};
    use tracing::Level;

    impl Default for ObjectId {
        fn default() -> Self {
            static NEXT: AtomicU64 = AtomicU64::new(1);
            ObjectId(NEXT.fetch_add(1, Ordering::Relaxed))
        }
    }

    impl ObjectId {
        /// The number.
        pub(crate) fn get(&self) -> u64 {
            self.0
        }

        /// An asker was told what `access` must wait for.
        pub(crate) fn asked(&self, access: Access) {
            undisturbed(|| {
                tracing::event!(
                    name: "resv_waits_for",
                    target: "resv",
                    Level::TRACE,
                    resv = self.0,
                    access = %access,
                );
            });
        }

        /// A task tested whether the object is idle for `access`, and it was not.
        pub(crate) fn busy(&self, access: Access) {
            undisturbed(|| {
                tracing::event!(
                    name: "resv_busy",
                    target: "resv",
                    Level::TRACE,
                    resv = self.0,
                    access = %access,
                );
            });
        }

        /// A fence is being added; with `replaced`, in the place of those of that timeline.
        pub(crate) fn adding(&self, fence: &Fence, usage: Usage, replaced: Option<TimelineId>) {
            undisturbed(|| match replaced {
                None => tracing::event!(
                    name: "resv_add_fence",
                    target: "resv",
                    Level::TRACE,
                    resv = self.0,
                    usage = %usage,
                    driver = DRIVER,
                    timeline = &*fence.timeline_name(),
                    context = fence.timeline_id().as_raw(),
                    seqno = fence.seqno(),
                ),
                Some(replaced) => tracing::event!(
                    name: "resv_replace_fence",
                    target: "resv",
                    Level::TRACE,
                    resv = self.0,
                    usage = %usage,
                    replaced = replaced.as_raw(),
                    driver = DRIVER,
                    timeline = &*fence.timeline_name(),
                    context = fence.timeline_id().as_raw(),
                    seqno = fence.seqno(),
                ),
            });
        }

        /// The object holds what another one held.
        pub(crate) fn copied(&self) {
            undisturbed(|| {
                tracing::event!(name: "resv_copy", target: "resv", Level::TRACE, resv = self.0);
            });
        }

        /// The lock is about to be released, everything published.
        pub(crate) fn unlocked(&self) {
            undisturbed(|| {
                tracing::event!(name: "resv_unlock", target: "resv", Level::TRACE, resv = self.0);
            });
        }
    }
}

#[cfg(not(feature = "tracing"))]
impl ObjectId {
    #[inline(always)]
    pub(crate) fn asked(&self, _: Access) {}
    #[inline(always)]
    pub(crate) fn busy(&self, _: Access) {}
    #[inline(always)]
    pub(crate) fn adding(&self, _: &Fence, _: Usage, _: Option<TimelineId>) {}
    #[inline(always)]
    pub(crate) fn copied(&self) {}
    #[inline(always)]
    pub(crate) fn unlocked(&self) {}
}
