//! Tags: on whose behalf a timeline runs, and on which device.
//!
//! A [`Tag`] is fixed when a timeline is made ([`Timeline::tagged`](super::Timeline::tagged)), and every
//! fence and point of the timeline carries it, wherever it goes: through objects, snapshots and copies,
//! and as a [leaf](super::Fence::leaves) through compositions and merges. Nothing in this library decides
//! by it: it is there for *policies* that sit on top, such as amdgpu's rule that a client need not wait
//! for its own jobs, and for descriptions.

use crate::usage::ParseWordError;
use std::fmt;
use std::str::FromStr;

/// On whose behalf the jobs of a timeline run (amdgpu: the owner of a fence).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// Nobody in particular: the kernel itself, memory management, another driver.
    #[default]
    Undefined,
    /// Updates of page tables.
    PageTables,
    /// A compute process under eviction control (amdkfd).
    Compute,
    /// A client of the device (a process' virtual address space), by a number of the caller's choice.
    Client(u64),
}

/// `undefined`, `page-tables`, `compute` or `client:N`.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Undefined => f.pad("undefined"),
            Owner::PageTables => f.pad("page-tables"),
            Owner::Compute => f.pad("compute"),
            Owner::Client(id) => f.pad(&format!("client:{id}")),
        }
    }
}

impl FromStr for Owner {
    type Err = ParseWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        // As it is printed: no sign, no zeros in front.
        let client = || {
            let number: u64 = word.strip_prefix("client:")?.parse().ok()?;
            (word == Owner::Client(number).to_string()).then_some(number)
        };
        match word {
            "undefined" => Ok(Owner::Undefined),
            "page-tables" => Ok(Owner::PageTables),
            "compute" => Ok(Owner::Compute),
            _ => client().map(Owner::Client).ok_or_else(|| {
                ParseWordError::new(
                    word,
                    "the owners undefined, page-tables, compute, client:N (N from 0 to 2^64 - 1)",
                )
            }),
        }
    }
}

/// What a timeline says of its jobs: their owner and their device.
///
/// Fixed when a timeline is made ([`Timeline::tagged`](super::Timeline::tagged)); every fence and point of it
/// carries the tag through objects, snapshots and copies, and as a [leaf](super::Fence::leaves) through
/// compositions and merges. Nothing in this library decides by it: it is for policies on top.
///
/// ```
/// use resv_core::{Owner, Tag, Timeline};
///
/// let tag = Tag::new(Owner::Client(1)).on_device(0);
/// let job = Timeline::tagged("gfx", tag).issue()?;
/// assert_eq!(job.fence().tag(), tag);
/// assert_eq!((tag.owner(), tag.device()), (Owner::Client(1), Some(0)));
/// assert_eq!(Timeline::new("dma").tag(), Tag::default());
/// # Ok::<(), resv_core::SeqnoError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    owner: Owner,
    device: Option<u32>,
}

impl Tag {
    /// Jobs of `owner`, on no device that is known here.
    pub const fn new(owner: Owner) -> Tag {
        Tag {
            owner,
            device: None,
        }
    }

    /// The same, on the device with this number, which is for the caller to choose.
    pub const fn on_device(self, device: u32) -> Tag {
        Tag {
            owner: self.owner,
            device: Some(device),
        }
    }

    /// On whose behalf the jobs run.
    pub const fn owner(self) -> Owner {
        self.owner
    }

    /// The device that they run on; `None` for a foreign or unknown one.
    pub const fn device(self) -> Option<u32> {
        self.device
    }
}
