//! Which back ends there are, and which one is the default.

use resv_core::ParseWordError;
use std::fmt;
use std::str::FromStr;

/// The back end that [`Resv`](crate::Resv) uses unless told otherwise.
#[cfg(feature = "prefer-seqcount")]
pub type DefaultBackend = resv_seqcount::Seqcount;
/// The back end that [`Resv`](crate::Resv) uses unless told otherwise.
#[cfg(all(feature = "rcu-array", not(feature = "prefer-seqcount")))]
pub type DefaultBackend = resv_rcu_array::RcuArray;
/// The back end that [`Resv`](crate::Resv) uses unless told otherwise.
#[cfg(all(
    feature = "arc-swap",
    not(any(feature = "rcu-array", feature = "prefer-seqcount"))
))]
pub type DefaultBackend = resv_rcu_array::RcuArray<resv_rcu_array::ArcSwapped>;
/// The back end that [`Resv`](crate::Resv) uses unless told otherwise.
#[cfg(all(
    feature = "seqcount",
    not(any(
        feature = "arc-swap",
        feature = "rcu-array",
        feature = "prefer-seqcount"
    ))
))]
pub type DefaultBackend = resv_seqcount::Seqcount;
/// The back end that [`Resv`](crate::Resv) uses unless told otherwise.
#[cfg(not(any(feature = "seqcount", feature = "arc-swap", feature = "rcu-array")))]
pub type DefaultBackend = resv_core::Locked;

/// A back end as a value, for programs that choose at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum BackendKind {
    /// Slots in place under a sequence counter: the legacy design (feature `seqcount`).
    Seqcount,
    /// An immutable array in type-stable memory (feature `rcu-array`).
    RcuArray,
    /// An immutable array, reclaimed by arc-swap (feature `arc-swap`).
    RcuArrayArcSwap,
    /// A mutex around a vector: the reference.
    Locked,
}

impl BackendKind {
    /// All of them, compiled in or not.
    pub const ALL: [BackendKind; 4] = [
        BackendKind::Seqcount,
        BackendKind::RcuArray,
        BackendKind::RcuArrayArcSwap,
        BackendKind::Locked,
    ];

    /// The name on command lines and in reports; the same as `Backend::NAME`.
    pub const fn name(self) -> &'static str {
        match self {
            BackendKind::Seqcount => "seqcount",
            BackendKind::RcuArray => "rcu-array",
            BackendKind::RcuArrayArcSwap => "rcu-array/arc-swap",
            BackendKind::Locked => "locked",
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for BackendKind {
    type Err = ParseWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        BackendKind::ALL
            .into_iter()
            .find(|k| k.name() == word)
            .ok_or_else(|| {
                ParseWordError::new(
                    word,
                    "the back ends seqcount, rcu-array, rcu-array/arc-swap, locked",
                )
            })
    }
}

/// The back end exists, but this build was made without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCompiledIn(pub BackendKind);

impl fmt::Display for NotCompiledIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let feature = match self.0 {
            BackendKind::RcuArrayArcSwap => "arc-swap",
            kind => kind.name(),
        };
        write!(
            f,
            "the back end {} is not compiled in: build with the feature '{feature}'",
            self.0
        )
    }
}

impl std::error::Error for NotCompiledIn {}
