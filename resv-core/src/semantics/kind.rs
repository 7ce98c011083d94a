//! A semantics as a value, for programs that choose at run time.

use super::{AnySemantics, Semantics, Visibility};
use crate::entry::Key;
use crate::usage::{Access, ParseWordError, Usage, UsageSet};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

/// Hands the list of this project's semantics, oldest first, to the macro at the path `$then`, after `$args`.
/// Everything that is about *every* semantics takes its members from here. A line is
///
/// ```text
/// Type module "name" path::Type;
/// ```
///
/// with `#[default]` before one of them.
///
/// ```
/// macro_rules! names {
///     (() $($(#[$attribute:meta])* $kind:ident $module:ident $name:literal $type:path;)*) => {
///         [$($name),*]
///     };
/// }
/// assert!(resv_core::for_each_semantics!((names) ()).contains(&"usage-levels"));
/// ```
#[macro_export]
macro_rules! for_each_semantics {
    (($($then:tt)+) $args:tt) => {
        $($then)+! { $args
            ExclusiveShared exclusive_shared "exclusive-shared" $crate::ExclusiveShared;
            WritersReadersOthers writers_readers_others "writers-readers-others" $crate::WritersReadersOthers;
            #[default]
            UsageLevels usage_levels "usage-levels" $crate::UsageLevels;
        }
    };
}

macro_rules! registry {
    (() $($(#[$attribute:meta])* $kind:ident $module:ident $name:literal $type:path;)*) => {
        /// One of the three semantics, as a value. Every answer is that of the type it names.
        ///
        /// ```
        /// use resv_core::{Access, SemanticsKind, Usage};
        ///
        /// let kind: SemanticsKind = "usage-levels".parse()?;
        /// assert!(kind.waits_for(Access::Explicit).contains(Usage::Kernel));
        /// # Ok::<(), resv_core::ParseWordError>(())
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum SemanticsKind {
            $(#[doc = concat!("[`", stringify!($kind), "`](crate::", stringify!($kind), ").")] $(#[$attribute])* $kind,)*
        }

        impl SemanticsKind {
            /// All of them, oldest first.
            pub const ALL: [SemanticsKind; [$($name),*].len()] = [$(SemanticsKind::$kind),*];

            /// The semantics itself, behind a pointer.
            pub const fn any(self) -> AnySemantics {
                match self {
                    $(SemanticsKind::$kind => AnySemantics::new(&$type),)*
                }
            }

            /// [`Semantics::name`].
            pub const fn name(self) -> &'static str {
                match self {
                    $(SemanticsKind::$kind => $name,)*
                }
            }

            /// [`Semantics::visibility`].
            pub fn visibility(self) -> Visibility {
                match self {
                    $(SemanticsKind::$kind => $type.visibility(),)*
                }
            }

            /// [`Semantics::class`].
            pub fn class(self, usage: Usage) -> Usage {
                match self {
                    $(SemanticsKind::$kind => $type.class(usage),)*
                }
            }

            /// [`Semantics::waits_for`].
            pub fn waits_for(self, access: Access) -> UsageSet {
                match self {
                    $(SemanticsKind::$kind => $type.waits_for(access),)*
                }
            }

            /// [`Semantics::supersedes`].
            pub fn supersedes(self, new: Key, old: Key) -> bool {
                match self {
                    $(SemanticsKind::$kind => $type.supersedes(new, old),)*
                }
            }

            /// [`Semantics::loses`].
            pub fn loses(self, new: Key, old: Key) -> bool {
                match self {
                    $(SemanticsKind::$kind => $type.loses(new, old),)*
                }
            }
        }
    };
}

for_each_semantics!((registry)());

/// So an object may have a semantics that is chosen at run time; each question is a match.
impl Semantics for SemanticsKind {
    fn name(&self) -> &'static str {
        (*self).name()
    }

    fn visibility(&self) -> Visibility {
        (*self).visibility()
    }

    fn class(&self, usage: Usage) -> Usage {
        (*self).class(usage)
    }

    fn waits_for(&self, access: Access) -> UsageSet {
        (*self).waits_for(access)
    }

    fn supersedes(&self, new: Key, old: Key) -> bool {
        (*self).supersedes(new, old)
    }

    fn loses(&self, new: Key, old: Key) -> bool {
        (*self).loses(new, old)
    }
}

impl fmt::Display for SemanticsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SemanticsKind {
    type Err = ParseWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let named = SemanticsKind::ALL.into_iter().find(|k| k.name() == word);
        named.ok_or_else(|| {
            static NAMES: LazyLock<String> = LazyLock::new(|| {
                let names = SemanticsKind::ALL.map(SemanticsKind::name);
                format!("the semantics {}", names.join(", "))
            });
            ParseWordError::new(word, &NAMES)
        })
    }
}
