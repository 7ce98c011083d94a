//! What is asked of a member.

use crate::era::Era;
use crate::rule::{Asker, Mode};
use resv_core::Owner;
use resv_core::{Access, ParseWordError};
use std::fmt;
use std::str::FromStr;

/// A question about an object: an access, or one that only a policy tells apart from an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// An access. Under a policy a read and a write are a submission of client 1 of device 0, which
    /// the rule does not tell apart; explicit is one on a buffer that is flagged so.
    Access(Access),
    /// Client 1 takes a mapping out of its page tables.
    Unmap,
    /// Compute validates or restores its buffers.
    Compute,
    /// Compute updates directories in a call that names no device.
    ComputeNoDevice,
}

impl Query {
    /// The four accesses.
    pub const ACCESSES: [Query; 4] = [
        Query::Access(Access::Explicit),
        Query::Access(Access::Read),
        Query::Access(Access::Write),
        Query::Access(Access::Move),
    ];

    /// What is asked where both sides are policies.
    pub const ALL: [Query; 7] = [
        Query::Access(Access::Explicit),
        Query::Access(Access::Read),
        Query::Access(Access::Write),
        Query::Access(Access::Move),
        Query::Unmap,
        Query::Compute,
        Query::ComputeNoDevice,
    ];

    /// The word on command lines and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Query::Access(access) => access.name(),
            Query::Unmap => "unmap",
            Query::Compute => "compute",
            Query::ComputeNoDevice => "compute-no-device",
        }
    }

    /// The access that asks without a policy: for what only policies tell apart, a write.
    pub const fn access(self) -> Access {
        match self {
            Query::Access(access) => access,
            _ => Access::Write,
        }
    }

    /// How the driver of `era` asks, or `None` where it does not ask its rule but takes everything.
    ///
    /// Since [`Era::P7`] the rule looks up to read, and moves no longer go through it.
    pub fn asked_in(self, era: Era) -> Option<(Asker, Mode)> {
        let client = Asker {
            owner: Owner::Client(1),
            device: Some(0),
        };
        let compute = |device| Asker {
            owner: Owner::Compute,
            device,
        };
        Some(match self {
            Query::Access(Access::Read | Access::Write) => (client, Mode::NotEqual),
            Query::Access(Access::Explicit) => (client, Mode::Explicit),
            Query::Access(Access::Move) if era >= Era::P7 => return None,
            Query::Access(Access::Move) => {
                let owner = Owner::Undefined;
                (
                    Asker {
                        owner,
                        device: None,
                    },
                    Mode::Always,
                )
            }
            // Until modes came, the unmapping asked as compute did (since 5.1).
            Query::Unmap if era < Era::P2 => (compute(Some(0)), Mode::NotEqual),
            Query::Unmap => (client, Mode::Equal),
            Query::Compute => (compute(Some(0)), Mode::NotEqual),
            Query::ComputeNoDevice => (compute(None), Mode::NotEqual),
        })
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Query {
    type Err = ParseWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Query::ALL
            .into_iter()
            .find(|query| query.name() == word)
            .ok_or_else(|| {
                ParseWordError::new(
                    word,
                    "the accesses explicit, read, write, move, and of policies unmap, compute, \
                     compute-no-device",
                )
            })
    }
}
