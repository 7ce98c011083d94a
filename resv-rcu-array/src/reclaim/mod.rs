//! Reclamation: how a reader gets at the published array while a publisher replaces it.
//!
//! An array is counted, so an owned snapshot needs one increment and the last owner frees it. What
//! the count does not solve is the first step: between loading the pointer and incrementing the
//! count that it leads to, the array may be freed. A member of [`Reclaim`] closes that gap.
//!
//! | | [`Stable`](crate::Stable) | `ArcSwapped` |
//! |---|---|---|
//! | closes the gap by | never freeing: the reader looks again whether the array was the published one | paying the reader's debt: the publisher increments on its behalf |
//! | a read costs | two loads of the pointer and two of the cell's life | one exchange on a slot of the thread, and one to give it back |
//! | a publish costs | one store, two counts | one exchange, and a walk over every thread that ever read |
//! | garbage | none; the pool of cells never shrinks | none |
//! | a reader that is descheduled in the middle | holds back nothing | holds back one array |
//!
//! Each has an object of its own: `stable/` and `counted.rs`.

#[cfg(feature = "arc-swap")]
mod arc_swap;

#[cfg(feature = "arc-swap")]
pub use self::arc_swap::ArcSwapped;

#[cfg(feature = "arc-swap")]
use {
    resv_core::Garbage,
    std::sync::atomic::{AtomicUsize, Ordering},
};

/// A flavour of reclamation. Sealed: the members are in this crate.
///
/// A value is the published pointer of one object.
pub trait Reclaim: sealed::Flavour {}

pub(crate) mod sealed {
    #[cfg(feature = "arc-swap")]
    use crate::raw::array::{ArrayBuilder, ArrayRef};
    use resv_core::Backend;
    #[cfg(feature = "arc-swap")]
    use resv_core::Garbage;

    /// What a flavour is made of.
    pub trait Flavour: 'static {
        /// The object.
        type Object: Backend + Default;

        /// Frees what this thread has retired and what else can be freed now.
        fn collect();
    }

    /// The pointer through which readers reach the array of one object.
    ///
    /// An array is published at most once (publishing consumes its builder), and is not freed while
    /// a reader looks at it or owns a reference. So a reader that finds the same array published
    /// twice knows that nothing else was published between: there is no ABA.
    #[cfg(feature = "arc-swap")]
    pub trait PublishedCell: Default + Send + Sync + 'static {
        /// The name of the back end.
        const NAME: &'static str;

        /// Gets everything that the next `publishes` calls of [`publish`](Self::publish) on this
        /// thread need, so that they do not allocate.
        fn prepare(&self, publishes: usize);

        /// Publishes an array, or that there is none, and returns a reference to it. The array
        /// before it is dropped when no reader can look at it any more.
        fn publish(&self, new: Option<ArrayBuilder>) -> Option<ArrayRef>;

        /// Shows `look` the published array, which stays alive meanwhile. `look` must be short and
        /// run no foreign code: it may hold up the freeing of other arrays.
        fn read<T>(&self, look: impl FnOnce(Option<&ArrayRef>) -> T) -> T;

        /// Whether `array`, to which the caller has a reference or which it is being shown, is
        /// published now.
        fn is_current(&self, array: &ArrayRef) -> bool;

        /// Arrays that are retired and not yet dropped.
        fn garbage() -> Garbage;

        /// Starts a new measurement of the peak.
        fn reset_garbage_peak();
    }
}

/// A number, and the greatest that it was.
///
/// Relaxed throughout, and real under loom: it is only reported.
#[cfg(feature = "arc-swap")]
pub(crate) struct Tally {
    live: AtomicUsize,
    peak: AtomicUsize,
}

#[cfg(feature = "arc-swap")]
impl Tally {
    pub(crate) const fn new() -> Tally {
        Tally {
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }
    }

    pub(crate) fn add(&self, count: usize) {
        let now = self.live.fetch_add(count, Ordering::Relaxed) + count;
        if now > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(now, Ordering::Relaxed);
        }
    }

    pub(crate) fn sub(&self, count: usize) {
        self.live.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn report(&self) -> Garbage {
        Garbage {
            live: self.live.load(Ordering::Relaxed),
            peak: self.peak.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn reset_peak(&self) {
        self.peak
            .store(self.live.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}
