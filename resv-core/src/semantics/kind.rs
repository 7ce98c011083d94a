//! A semantics as a value, for programs that choose at run time.

use super::{ExclusiveShared, Semantics, UsageLevels, Visibility, WritersReadersOthers};
use crate::entry::Key;
use crate::usage::{Access, ParseWordError, Usage, UsageSet};
use std::fmt;
use std::str::FromStr;

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
    /// [`ExclusiveShared`].
    ExclusiveShared,
    /// [`WritersReadersOthers`].
    WritersReadersOthers,
    /// [`UsageLevels`].
    #[default]
    UsageLevels,
}

/// Evaluates `$body` with `$semantics` standing for the one that `$kind` names.
macro_rules! with_semantics {
    ($kind:expr, $semantics:ident => $body:expr) => {
        match $kind {
            SemanticsKind::ExclusiveShared => {
                let $semantics = ExclusiveShared;
                $body
            }
            SemanticsKind::WritersReadersOthers => {
                let $semantics = WritersReadersOthers;
                $body
            }
            SemanticsKind::UsageLevels => {
                let $semantics = UsageLevels;
                $body
            }
        }
    };
}

impl SemanticsKind {
    /// All three, oldest first.
    pub const ALL: [SemanticsKind; 3] = [
        SemanticsKind::ExclusiveShared,
        SemanticsKind::WritersReadersOthers,
        SemanticsKind::UsageLevels,
    ];

    /// [`Semantics::name`].
    pub fn name(self) -> &'static str {
        with_semantics!(self, s => s.name())
    }

    /// [`Semantics::visibility`].
    pub fn visibility(self) -> Visibility {
        with_semantics!(self, s => s.visibility())
    }

    /// [`Semantics::class`].
    pub fn class(self, usage: Usage) -> Usage {
        with_semantics!(self, s => s.class(usage))
    }

    /// [`Semantics::waits_for`].
    pub fn waits_for(self, access: Access) -> UsageSet {
        with_semantics!(self, s => s.waits_for(access))
    }

    /// [`Semantics::supersedes`].
    pub fn supersedes(self, new: Key, old: Key) -> bool {
        with_semantics!(self, s => s.supersedes(new, old))
    }
}

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
}

impl fmt::Display for SemanticsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SemanticsKind {
    type Err = ParseWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        SemanticsKind::ALL
            .into_iter()
            .find(|k| k.name() == word)
            .ok_or_else(|| {
                ParseWordError::new(
                    word,
                    "the semantics exclusive-shared, writers-readers-others, usage-levels",
                )
            })
    }
}
