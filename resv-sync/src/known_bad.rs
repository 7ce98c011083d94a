//! The one way in which this project plants a defect in its own code.
//!
//! A model or a test that has never rejected anything shows little. So each step of a protocol that can be
//! left out has a *known-bad variant*, and a test that must reject it. [`known_bad!`](crate::known_bad!)
//! makes the list of the variants of one protocol, and a *seam* for it: a field of the object that runs the
//! protocol, which says what that object does wrong.
//!
//! The variants exist in the tests and models of the crate that has them. In every other build the seam has
//! no size, asking it is `false` at compile time, and there is no way to plant anything; it is private to
//! its crate in all of them.
//!
//! ```
//! use std::cell::Cell;
//!
//! resv_sync::known_bad! {
//!     /// What a counter does wrong.
//!     enum Defect, seam Seam {
//!         /// It stays where it is.
//!         CountsNothing,
//!     }
//! }
//!
//! #[derive(Default)]
//! struct Counter(Cell<u32>, Seam);
//!
//! impl Counter {
//!     fn count(&self) {
//!         if !self.1.has(Defect::CountsNothing) {
//!             self.0.set(self.0.get() + 1);
//!         }
//!     }
//! }
//!
//! let counter = Counter::default();
//! counter.count();
//! assert_eq!(counter.0.get(), 1);
//! // In a test of that crate: Counter(Cell::new(0), Seam::planted(Defect::CountsNothing))
//! ```

/// Makes the list of known-bad variants of a protocol, and the seam through which a test plants one. See
/// the [module](crate::known_bad!).
#[macro_export]
macro_rules! known_bad {
    (
        $(#[$meta:meta])*
        $vis:vis enum $Defect:ident, seam $Seam:ident {
            $($(#[$of_variant:meta])* $Variant:ident,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $Defect {
            $($(#[$of_variant])* $Variant,)*
        }

        #[doc = concat!("Which [`", stringify!($Defect), "`] an object has: none, but in tests and models.")]
        #[derive(Clone, Copy, Debug, Default)]
        $vis struct $Seam {
            #[cfg(any(test, loom, shuttle))]
            planted: ::core::option::Option<$Defect>,
        }

        #[allow(dead_code)]
        impl $Seam {
            /// No defect.
            $vis const SOUND: $Seam = $Seam {
                #[cfg(any(test, loom, shuttle))]
                planted: ::core::option::Option::None,
            };

            /// This defect.
            #[cfg(any(test, loom, shuttle))]
            $vis const fn planted(defect: $Defect) -> $Seam {
                $Seam { planted: ::core::option::Option::Some(defect) }
            }

            /// Whether the object has this defect.
            #[cfg(any(test, loom, shuttle))]
            #[inline]
            $vis fn has(self, defect: $Defect) -> bool {
                self.planted == ::core::option::Option::Some(defect)
            }

            /// Whether the object has this defect: no.
            #[cfg(not(any(test, loom, shuttle)))]
            #[inline(always)]
            $vis const fn has(self, _defect: $Defect) -> bool {
                false
            }
        }
    };
}
