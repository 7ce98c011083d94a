//! The registry of back ends: which there are, which one is the default, how one is made.
//!
//! Everything that is about *every* back end takes its members from here: [`BackendKind`],
//! [`DefaultBackend`], [`new_reservation`](crate::new_reservation), the suite and its tests, `resv check`,
//! the stress. A new back end is a line of [`for_each_backend!`](crate::for_each_backend).

use crate::dynamic::Reservation;
use crate::object::Resv;
use resv_core::{AnyBackend, Backend, Garbage, ParseWordError, SemanticsKind};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

/// Hands the list of back ends to the macro `$then`, after `$args`. A line is
///
/// ```text
/// /// What it is.
/// Variant module "name" ["feature of resv-api"] type;
/// ```
///
/// The reference, which is always there, has no feature. Types are paths from this crate, so that the
/// list can be used elsewhere, where all features are on.
///
/// ```
/// macro_rules! names {
///     (() $($(#[$doc:meta])* $kind:ident $module:ident $name:literal [$($feature:literal)?] $type:ty;)*) => {
///         [$($name),*]
///     };
/// }
/// let names = resv_api::for_each_backend!(names! ());
/// assert!(names.contains(&"locked"));
/// ```
#[macro_export]
macro_rules! for_each_backend {
    ($then:ident! $args:tt) => {
        $then! { $args
            /// Slots in place under a sequence counter: the legacy design (feature `seqcount`).
            Seqcount seqcount "seqcount" ["seqcount"] $crate::seqcount::Seqcount;
            /// An array that is appended to, in type-stable memory (feature `rcu-array`).
            RcuArray rcu_array "rcu-array" ["rcu-array"] $crate::rcu_array::RcuArray;
            /// The same in safe code, on arc-swap (feature `arc-swap`).
            RcuArrayArcSwap arc_swap "rcu-array/arc-swap" ["arc-swap"]
                $crate::rcu_array::RcuArray<$crate::rcu_array::ArcSwapped>;
            /// A mutex around a vector: the reference.
            Locked locked "locked" [] $crate::Locked;
        }
    };
}

/// The crates of the back ends, for paths of the list above and for users' own.
pub(crate) mod crates {
    #[cfg(any(feature = "rcu-array", feature = "arc-swap"))]
    pub use resv_rcu_array as rcu_array;
    #[cfg(feature = "seqcount")]
    pub use resv_seqcount as seqcount;
}

macro_rules! registry {
    (() $(
        $(#[$doc:meta])* $kind:ident $module:ident $name:literal [$($feature:literal)?] $type:ty;
    )*) => {
        /// A back end as a value, for programs that choose at run time.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum BackendKind {
            $($(#[$doc])* $kind,)*
        }

        impl BackendKind {
            /// All of them, compiled in or not.
            pub const ALL: [BackendKind; [$($name),*].len()] = [$(BackendKind::$kind),*];

            /// The name on command lines and in reports; the same as [`Backend::name`].
            pub const fn name(self) -> &'static str {
                match self {
                    $(BackendKind::$kind => $name,)*
                }
            }

            /// The feature of this crate that compiles it in; none if it is always there.
            pub const fn feature(self) -> Option<&'static str> {
                match self {
                    $(BackendKind::$kind => {
                        let features: &[&'static str] = &[$($feature)?];
                        features.first().copied()
                    })*
                }
            }

            /// The function that makes the storage of a new object.
            ///
            /// # Errors
            ///
            /// When the back end is not compiled in.
            pub fn maker(self) -> Result<fn() -> AnyBackend, NotCompiledIn> {
                match self {
                    $($(#[cfg(feature = $feature)])?
                    BackendKind::$kind => Ok(|| AnyBackend::new(<$type>::default())),)*
                    #[allow(unreachable_patterns, reason = "a back end may be left out")]
                    missing => Err(NotCompiledIn(missing)),
                }
            }

            /// A new, empty object, compiled for this back end.
            pub(crate) fn new_reservation(
                self,
                semantics: SemanticsKind,
            ) -> Result<Box<dyn Reservation>, NotCompiledIn> {
                match self {
                    $($(#[cfg(feature = $feature)])?
                    BackendKind::$kind => Ok(Box::new(Resv::with(semantics, <$type>::default()))),)*
                    #[allow(unreachable_patterns, reason = "a back end may be left out")]
                    missing => Err(NotCompiledIn(missing)),
                }
            }
        }
    };
}

for_each_backend!(registry!());

/// Defines [`DefaultBackend`] as the first of the list whose feature is on.
macro_rules! default_backend {
    ([$($before:literal)*] $feature:literal => $type:ty, $($rest:tt)*) => {
        /// The back end that [`Resv`] uses unless told otherwise.
        #[cfg(all(feature = $feature, not(any($(feature = $before),*))))]
        pub type DefaultBackend = $type;
        default_backend!([$($before)* $feature] $($rest)*);
    };
    ([$($before:literal)*] _ => $type:ty) => {
        /// The back end that [`Resv`] uses unless told otherwise.
        #[cfg(not(any($(feature = $before),*)))]
        pub type DefaultBackend = $type;
    };
}

default_backend!([]
    "prefer-seqcount" => crate::seqcount::Seqcount,
    "rcu-array" => crate::rcu_array::RcuArray,
    "arc-swap" => crate::rcu_array::RcuArray<crate::rcu_array::ArcSwapped>,
    "seqcount" => crate::seqcount::Seqcount,
    _ => crate::Locked
);

impl BackendKind {
    /// [`Backend::garbage`] of this back end.
    ///
    /// # Errors
    ///
    /// When the back end is not compiled in.
    pub fn garbage(self) -> Result<Garbage, NotCompiledIn> {
        Ok(self.maker()?().garbage())
    }

    /// [`Backend::reset_garbage_peak`] of this back end.
    ///
    /// # Errors
    ///
    /// When the back end is not compiled in.
    pub fn reset_garbage_peak(self) -> Result<(), NotCompiledIn> {
        self.maker()?().reset_garbage_peak();
        Ok(())
    }

    /// Whether this back end is compiled in.
    pub fn is_compiled_in(self) -> bool {
        self.maker().is_ok()
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
        let named = BackendKind::ALL.into_iter().find(|k| k.name() == word);
        named.ok_or_else(|| {
            static NAMES: LazyLock<String> = LazyLock::new(|| {
                let names = BackendKind::ALL.map(BackendKind::name);
                format!("the back ends {}", names.join(", "))
            });
            ParseWordError::new(word, &NAMES)
        })
    }
}

/// The back end exists, but this build was made without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCompiledIn(pub BackendKind);

impl fmt::Display for NotCompiledIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the back end {} is not compiled in: build with the feature '{}'",
            self.0,
            self.0.feature().unwrap_or_default()
        )
    }
}

impl std::error::Error for NotCompiledIn {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the registry says of a back end is what the back end says of itself.
    #[test]
    fn a_kind_is_named_like_its_back_end() {
        for kind in BackendKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            if let Ok(make) = kind.maker() {
                assert_eq!(make().name(), kind.name());
            } else {
                let error = NotCompiledIn(kind).to_string();
                let feature = kind.feature().expect("what is left out has a feature");
                assert!(error.contains(feature), "{error}");
            }
        }
        let error = "rcu".parse::<BackendKind>().expect_err("no such back end");
        assert!(error.to_string().contains("rcu-array/arc-swap"), "{error}");
    }
}
