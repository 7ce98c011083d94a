//! What is compared: reservation objects of this project, and what people put in their place.
//!
//! | subject | what it is |
//! |---|---|
//! | `seqcount`, `rcu-array`, `rcu-array/arc-swap`, `locked` | this project's back ends, behind `Resv` |
//! | `mutex-vec`, `rwlock-vec`, `std-rwlock-vec` | a vector of entries under a lock of parking_lot or std |
//! | `arc-swap-vec`, `epoch-vec` | a vector replaced as a whole, behind arc-swap or crossbeam-epoch |
//! | `seqlock-crate` | an array of plain words in the `seqlock` crate |
//! | `liburcu-seq`, `liburcu-list` | the two algorithms of Linux, in C over liburcu (feature `liburcu`) |
//!
//! All of them keep the same fences under the same rule ([`UsageLevels`](resv_core::UsageLevels)), so that it is the
//! containers that are compared. They do not all promise the same: `arc-swap-vec`, `epoch-vec`,
//! `seqlock-crate` and `liburcu-list` may answer "idle" when that was true at no instant (B2), and
//! nobody but this project's back ends separates reserving from adding (B3).
//!
//! `seqlock-crate` can only hold plain data, so it holds the *cell* of a fence, whose memory is never
//! given back, and takes a reference where a snapshot needs one. Its readers copy the whole array
//! while a writer may write, which the crate's authors know to be outside of the Rust memory model.
//! liburcu's fences are C structures: a reference count, a state word and a key.

mod locks;
mod product;
mod seqlock;
mod swap;
mod vector;

pub(crate) use locks::{MutexVec, RwLockVec, StdRwLockVec};
pub(crate) use product::Product;
pub(crate) use seqlock::SeqlockArray;
pub(crate) use swap::{ArcSwapVec, copy_with_room};
pub(crate) use vector::{Entries, count_pending, is_idle, matching, put, visit};

use resv_api::BackendKind;
use resv_core::{Access, Fence, Usage};

/// The subject that `vs_mutex` is about, unless a case says otherwise.
pub(crate) const MUTEX: &str = "mutex-vec";

/// A container of fences.
pub(crate) trait Subject: Send + Sync + Sized + 'static {
    /// Its name in reports.
    fn name() -> &'static str;

    /// The fences of one instant, owned.
    type Snapshot;

    /// An empty one.
    fn new() -> Self;

    /// Whether `access` has nothing to wait for.
    fn is_idle(&self, access: Access) -> bool;

    /// The sum of the seqnos that `access` must wait for.
    fn visit(&self, access: Access) -> u64;

    /// All fences, owned.
    fn snapshot(&self) -> Self::Snapshot;

    /// Gets what `access` must wait for, owned, and counts what of it is pending.
    fn waits_for(&self, access: Access) -> usize;

    /// A whole write of one fence. `pause` is called with the write begun and not visible yet.
    fn add_around(&self, fence: &Fence, usage: Usage, pause: impl FnOnce());

    /// A whole write of one fence.
    fn add(&self, fence: &Fence, usage: Usage) {
        self.add_around(fence, usage, || {});
    }

    /// Locks all objects, adds the fence to each, unlocks them. Sorted by address: peers take their
    /// locks in this order.
    fn transaction(objects: &[&Self], fence: &Fence, usage: Usage);
}

/// Evaluates to `vec![$bench::<Product<B>>($args), ...]` for every back end of the registry.
macro_rules! each_of_ours {
    ($bench:ident $args:tt) => {
        resv_api::for_each_backend!(each_product! ($bench $args))
    };
}

macro_rules! each_product {
    (($bench:ident $args:tt) $(
        $(#[$doc:meta])* $kind:ident $module:ident $name:literal [$($feature:literal)?] $type:ty;
    )*) => {
        vec![$($bench::<$crate::subjects::Product<$type>> $args),*]
    };
}

/// The same for those that a large object can be made of one add at a time.
macro_rules! each_that_grows {
    ($bench:ident $args:tt) => {{
        let mut all = each_of_ours!($bench $args);
        all.push($bench::<$crate::subjects::MutexVec> $args);
        all
    }};
}

/// The same for every subject; the `seqlock` crate's array has room for `$n` fences.
macro_rules! each_subject {
    ($n:expr, $bench:ident $args:tt) => {{
        use $crate::subjects as s;
        let mut all = each_that_grows!($bench $args);
        all.extend([
            $bench::<s::RwLockVec> $args,
            $bench::<s::StdRwLockVec> $args,
            $bench::<s::ArcSwapVec> $args,
            $bench::<$crate::raw::epoch_vec::EpochVec> $args,
            match $n {
                0..=8 => $bench::<s::SeqlockArray<8>> $args,
                9..=16 => $bench::<s::SeqlockArray<16>> $args,
                17..=64 => $bench::<s::SeqlockArray<64>> $args,
                _ => $bench::<s::SeqlockArray<256>> $args,
            },
        ]);
        all
    }};
}

/// Whether this is one of this project's back ends, or what is done with several of them.
pub(crate) fn is_ours(subject: &str) -> bool {
    const OURS: [&str; 5] = ["exec", "exec-wound-wait", "lock_all", "submit", "fence"];
    subject.parse::<BackendKind>().is_ok() || OURS.contains(&subject)
}
