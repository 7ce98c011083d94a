//! How the driver of an era adds its fences: the other half of a policy. A pure function.
//!
//! The rule of [`decide`](crate::decide) only works on objects that were filled as the driver fills
//! them. While there was one exclusive slot, a driver whose queues must not wait for each other could
//! not put its writes there; it filed them as shared, where other drivers' readers do not look, and
//! found another answer every time that a buffer was shared with one.

use crate::era::Era;
use resv_core::{ParseWordError, Usage};
use std::fmt;
use std::str::FromStr;

/// What adds a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Producer {
    /// A job of a client.
    Submission,
    /// An update of page tables.
    PageTables,
    /// The eviction fence of a compute process.
    Compute,
    /// Memory management moves the buffer.
    Move,
    /// Memory management still vacates the space of a new buffer.
    Vacate,
    /// A job of a gang other than its leader; before there were gangs, a submission.
    GangMember,
    /// A job of a user queue.
    UserQueue,
    /// The eviction fence of user queues.
    UserQueueEviction,
}

/// How a fence is put into an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filing {
    /// Not at all.
    Nothing,
    /// With this usage. Before 5.19 write stands for the exclusive slot and read for a shared one.
    Add(Usage),
    /// As a new link of the chain in the exclusive slot, which keeps what was there, and as shared.
    Link,
}

/// What happens to an object when another driver attaches to its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnAttach {
    /// The attaching driver sleeps until everything in the object has signalled.
    Wait,
    /// All fences, eviction fences included, become one exclusive fence.
    Collapse,
    /// Nothing.
    Keep,
}

impl Producer {
    /// All of them.
    pub const ALL: [Producer; 8] = [
        Producer::Submission,
        Producer::PageTables,
        Producer::Compute,
        Producer::Move,
        Producer::Vacate,
        Producer::GangMember,
        Producer::UserQueue,
        Producer::UserQueueEviction,
    ];

    /// The name in the scenario language.
    pub const fn name(self) -> &'static str {
        match self {
            Producer::Submission => "submission",
            Producer::PageTables => "page-tables",
            Producer::Compute => "compute",
            Producer::Move => "move",
            Producer::Vacate => "vacate",
            Producer::GangMember => "gang-member",
            Producer::UserQueue => "user-queue",
            Producer::UserQueueEviction => "user-queue-eviction",
        }
    }
}

impl fmt::Display for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Producer {
    type Err = ParseWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Producer::ALL
            .into_iter()
            .find(|producer| producer.name() == word)
            .ok_or_else(|| {
                ParseWordError::new(
                    word,
                    "the producers submission, page-tables, compute, move, vacate, gang-member, \
                     user-queue, user-queue-eviction",
                )
            })
    }
}

/// How the driver of `era` adds a fence of `producer` to a buffer that another driver is attached to
/// or not (in [`Era::P4`]: that is exported or imported), and that is flagged explicit or not.
///
/// A user queue says itself whether its job reads or writes; here it writes. Producers that the era
/// does not have file nothing.
pub fn file(era: Era, producer: Producer, attached: bool, explicit: bool) -> Filing {
    use Filing::{Add, Link, Nothing};
    use Usage::{Bookkeep, Kernel, Read, Write};
    let usage_levels = era >= Era::P5;
    match producer {
        Producer::Submission | Producer::GangMember if !usage_levels => match attached {
            false => Add(Read),
            true if era < Era::P4 => Add(Write),
            true if explicit => Add(Read),
            true => Link,
        },
        Producer::GangMember if era >= Era::P6a => Add(Read),
        Producer::Submission | Producer::GangMember => Add(Write),
        Producer::PageTables if era == Era::P2 => Nothing,
        Producer::PageTables | Producer::Compute => match era >= Era::P6a {
            true => Add(Bookkeep),
            false => Add(Read),
        },
        Producer::Move if usage_levels => Add(Kernel),
        Producer::Move => Add(Write),
        Producer::Vacate if usage_levels => Add(Kernel),
        Producer::Vacate => Add(Read),
        Producer::UserQueue if era >= Era::P6a => Add(Write),
        Producer::UserQueueEviction if era >= Era::P6a => Add(Bookkeep),
        Producer::UserQueue | Producer::UserQueueEviction => Nothing,
    }
}

/// What happens in `era` when another driver attaches.
///
/// The change from waiting to collapsing came with 5.0, within [`Era::P1`]; that era is shown as it
/// was from then on.
pub fn on_attach(era: Era) -> OnAttach {
    match era {
        Era::P0 => OnAttach::Wait,
        Era::P1 | Era::P2 | Era::P3 => OnAttach::Collapse,
        _ => OnAttach::Keep,
    }
}
