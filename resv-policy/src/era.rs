//! Nine eras of one driver's rule: Linux' amdgpu from 4.15 to today.

use resv_core::{ParseWordError, SemanticsKind};
use std::fmt;
use std::str::FromStr;

/// An era: the kernels between two changes of the owner rule, or of how the driver adds its fences.
///
/// | era | kernels | what begins it |
/// |---|---|---|
/// | `p0` | 4.15, 4.16 | a buffer may be flagged explicit |
/// | `p1` | 4.17 to 5.6 | compute has eviction fences, which only an undefined asker waits for |
/// | `p2` | 5.7 | the asker names a mode; page-table updates leave no fence in objects |
/// | `p3` | 5.8 to 5.14 | page-table updates leave fences again, which nobody finds implicitly |
/// | `p4` | 5.15 to 5.18 | a chain in the exclusive slot; the exclusive slot is filtered, too |
/// | `p5` | 5.19, 6.0 | usages; every submission writes; the rule looks at bookkeep fences |
/// | `p6a` | 6.1 to 6.7 as released | page tables and compute add as bookkeep; gangs |
/// | `p6b` | 6.8 to 6.15, and stable kernels | compute waits for page-table updates |
/// | `p7` | since 6.16 | the rule looks up to read: bookkeep fences are out of its sight |
///
/// Source: the history of Linux' `amdgpu_sync.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    /// Linux 4.15 and 4.16.
    P0,
    /// Linux 4.17 to 5.6.
    P1,
    /// Linux 5.7.
    P2,
    /// Linux 5.8 to 5.14.
    P3,
    /// Linux 5.15 to 5.18.
    P4,
    /// Linux 5.19 and 6.0.
    P5,
    /// Linux 6.1 to 6.7 as released.
    P6a,
    /// Linux 6.8 to 6.15, and the stable kernels that took the correction.
    P6b,
    /// Linux since 6.16.
    P7,
}

impl Era {
    /// All, the oldest first.
    pub const ALL: [Era; 9] = [
        Era::P0,
        Era::P1,
        Era::P2,
        Era::P3,
        Era::P4,
        Era::P5,
        Era::P6a,
        Era::P6b,
        Era::P7,
    ];

    /// The name in the scenario language.
    pub const fn name(self) -> &'static str {
        match self {
            Era::P0 => "p0",
            Era::P1 => "p1",
            Era::P2 => "p2",
            Era::P3 => "p3",
            Era::P4 => "p4",
            Era::P5 => "p5",
            Era::P6a => "p6a",
            Era::P6b => "p6b",
            Era::P7 => "p7",
        }
    }

    /// The kernels, for people.
    pub const fn kernels(self) -> &'static str {
        match self {
            Era::P0 => "4.15, 4.16",
            Era::P1 => "4.17 to 5.6",
            Era::P2 => "5.7",
            Era::P3 => "5.8 to 5.14",
            Era::P4 => "5.15 to 5.18",
            Era::P5 => "5.19, 6.0",
            Era::P6a => "6.1 to 6.7 as released",
            Era::P6b => "6.8 to 6.15, and stable kernels",
            Era::P7 => "since 6.16",
        }
    }

    /// The semantics of the objects of that time.
    pub const fn semantics(self) -> SemanticsKind {
        match self {
            Era::P0 | Era::P1 | Era::P2 | Era::P3 | Era::P4 => SemanticsKind::ExclusiveShared,
            Era::P5 | Era::P6a | Era::P6b | Era::P7 => SemanticsKind::UsageLevels,
        }
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Era {
    type Err = ParseWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Era::ALL
            .into_iter()
            .find(|era| era.name() == word)
            .ok_or_else(|| {
                ParseWordError::new(word, "the eras p0, p1, p2, p3, p4, p5, p6a, p6b, p7")
            })
    }
}
