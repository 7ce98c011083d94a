//! What a job did to a buffer ([`Usage`]), what the next one wants to do ([`Access`]), and sets of
//! usages ([`UsageSet`]).
//!
//! The names are those of Linux since 5.19. Older semantics know fewer categories; each says in its
//! table which usages it keeps apart and which it treats alike.

use std::fmt;
use std::str::FromStr;

/// What the job behind a fence does to the buffer.
///
/// The order is the order of strength: an earlier member concerns more of the later users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Usage {
    /// Memory management moves, clears or swaps the memory. Everybody must look, even an
    /// explicit-sync job.
    Kernel = 0,
    /// The job writes. Implicit readers and writers must look.
    Write = 1,
    /// The job only reads. Implicit writers must look.
    Read = 2,
    /// Page-table updates, preemption and eviction fences, explicit-sync jobs. Only a job that moves
    /// or frees the memory must look.
    Bookkeep = 3,
}

impl Usage {
    /// All four, strongest first.
    pub const ALL: [Usage; 4] = [Usage::Kernel, Usage::Write, Usage::Read, Usage::Bookkeep];

    /// The name in the scenario language.
    pub const fn name(self) -> &'static str {
        match self {
            Usage::Kernel => "kernel",
            Usage::Write => "write",
            Usage::Read => "read",
            Usage::Bookkeep => "bookkeep",
        }
    }

    /// What a job of this usage must wait for before it runs.
    ///
    /// | the job | waits as |
    /// |---|---|
    /// | moves the memory (kernel) | [`Access::Move`] |
    /// | writes | [`Access::Write`] |
    /// | reads | [`Access::Read`] |
    /// | keeps books, or is synchronized explicitly (bookkeep) | [`Access::Explicit`] |
    ///
    /// Linux' `dma_resv_usage_rw` is the rows in the middle.
    pub const fn access(self) -> Access {
        match self {
            Usage::Kernel => Access::Move,
            Usage::Write => Access::Write,
            Usage::Read => Access::Read,
            Usage::Bookkeep => Access::Explicit,
        }
    }

    /// The usage with this number (the value of `usage as u8`); only the two low bits count.
    pub const fn from_bits(bits: u8) -> Usage {
        match bits & 3 {
            0 => Usage::Kernel,
            1 => Usage::Write,
            2 => Usage::Read,
            _ => Usage::Bookkeep,
        }
    }
}

/// What the next user wants to do with the buffer. A semantics says which usages it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// An explicit-sync job: it ignores implicit fences.
    Explicit,
    /// Read under implicit sync.
    Read,
    /// Write under implicit sync.
    Write,
    /// Move or free the memory.
    Move,
}

impl Access {
    /// All four, least demanding first.
    pub const ALL: [Access; 4] = [Access::Explicit, Access::Read, Access::Write, Access::Move];

    /// The name in the scenario language.
    pub const fn name(self) -> &'static str {
        match self {
            Access::Explicit => "explicit",
            Access::Read => "read",
            Access::Write => "write",
            Access::Move => "move",
        }
    }
}

/// A set of usages.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct UsageSet(u8);

impl UsageSet {
    /// No usage.
    pub const EMPTY: UsageSet = UsageSet(0);
    /// All four usages.
    pub const ALL: UsageSet = UsageSet(0b1111);

    /// The set of the given usages.
    pub const fn of(usages: &[Usage]) -> UsageSet {
        let mut bits = 0;
        let mut i = 0;
        while i < usages.len() {
            bits |= 1 << usages[i] as u8;
            i += 1;
        }
        UsageSet(bits)
    }

    /// The set as bits: bit `usage as u8` for each member.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether `usage` is in the set.
    #[inline]
    pub const fn contains(self, usage: Usage) -> bool {
        self.0 & (1 << usage as u8) != 0
    }

    /// Whether every usage of `other` is in this set.
    pub const fn is_superset(self, other: UsageSet) -> bool {
        self.0 & other.0 == other.0
    }

    /// The usages that are in both sets.
    pub const fn intersection(self, other: UsageSet) -> UsageSet {
        UsageSet(self.0 & other.0)
    }

    /// Whether the set has no member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, strongest first.
    pub fn iter(self) -> impl Iterator<Item = Usage> {
        Usage::ALL.into_iter().filter(move |&u| self.contains(u))
    }
}

impl fmt::Debug for UsageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name, read from a command line or a file, that no member of the type asked for has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseWordError {
    word: String,
    expected: &'static str,
}

impl ParseWordError {
    /// The error for `word` where one of `expected` (for a person to read) was due.
    pub fn new(word: &str, expected: &'static str) -> Self {
        ParseWordError {
            word: word.to_owned(),
            expected,
        }
    }
}

impl fmt::Display for ParseWordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not one of {}", self.word, self.expected)
    }
}

impl std::error::Error for ParseWordError {}

impl FromStr for Usage {
    type Err = ParseWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Usage::ALL
            .into_iter()
            .find(|u| u.name() == word)
            .ok_or_else(|| ParseWordError::new(word, "the usages kernel, write, read, bookkeep"))
    }
}

impl FromStr for Access {
    type Err = ParseWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Access::ALL
            .into_iter()
            .find(|a| a.name() == word)
            .ok_or_else(|| ParseWordError::new(word, "the accesses explicit, read, write, move"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for usage in Usage::ALL {
            assert_eq!(usage.name().parse(), Ok(usage));
            assert_eq!(Usage::from_bits(usage as u8), usage);
        }
        for access in Access::ALL {
            assert_eq!(access.name().parse(), Ok(access));
        }
        assert!("Write".parse::<Usage>().is_err());
        assert!("".parse::<Access>().is_err());
    }

    #[test]
    fn a_set_holds_exactly_its_members() {
        for bits in 0..16u8 {
            let members: Vec<Usage> = Usage::ALL
                .into_iter()
                .filter(|&u| bits & (1 << u as u8) != 0)
                .collect();
            let set = UsageSet::of(&members);
            assert_eq!(set.iter().collect::<Vec<_>>(), members);
            assert_eq!(set.is_empty(), bits == 0);
            assert!(UsageSet::ALL.is_superset(set));
            assert_eq!(set.is_superset(UsageSet::ALL), bits == 15);
        }
    }
}
