//! The owner rule: which asker waits for whose fence. A pure function.
//!
//! # The concept
//!
//! Several jobs of one client share a buffer and order themselves; making each wait for the others
//! through the buffer would undo the queues. So the driver looks at whose a fence is, and not at
//! whether its job reads or writes. The rule is a filter on the reading side: of what memory
//! management would wait for, it leaves out fences by the pair of owners, the device, and the mode of
//! the asker. It never adds one, and nothing of it is stored in an object.
//!
//! ```
//! use resv_policy::{Asker, Era, Mode, Owner, Place, Tag, decide};
//!
//! let me = Asker { owner: Owner::Client(1), device: Some(0) };
//! let mine = Tag::new(Owner::Client(1)).on_device(0);
//! let foreign = Tag::default();
//! assert!(!decide(Era::P7, Mode::NotEqual, me, mine, Place::Shared));
//! assert!(decide(Era::P7, Mode::NotEqual, me, foreign, Place::Shared));
//! ```

use crate::era::Era;
use resv_core::ParseWordError;
use resv_core::{Owner, Tag};
use std::fmt;
use std::str::FromStr;

/// The asker: the owner for which, and the device on which, it is asked what to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asker {
    /// On whose behalf.
    pub owner: Owner,
    /// For which device; `None` where the driver's call names none.
    pub device: Option<u32>,
}

/// What the asker says of itself besides its owner.
///
/// Modes came with [`Era::P2`]. Before, there was one bit, whether the buffer is flagged explicit:
/// [`Explicit`](Mode::Explicit) is that bit, and the other three are its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Wait, whatever the owner of the fence.
    Always,
    /// Wait unless the fence has the asker's owner: a submission.
    NotEqual,
    /// Wait unless the fence has another owner of the same device: the unmapping of page tables.
    Equal,
    /// Wait for no client: explicit sync.
    Explicit,
}

/// Where a fence is kept in an object of before 5.19; later objects have shared places only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The exclusive slot.
    Exclusive,
    /// Any other.
    Shared,
}

impl Mode {
    /// All four.
    pub const ALL: [Mode; 4] = [Mode::Always, Mode::NotEqual, Mode::Equal, Mode::Explicit];

    /// The name in the scenario language.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Always => "always",
            Mode::NotEqual => "not-equal",
            Mode::Equal => "equal",
            Mode::Explicit => "explicit",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mode {
    type Err = ParseWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Mode::ALL
            .into_iter()
            .find(|mode| mode.name() == word)
            .ok_or_else(|| {
                ParseWordError::new(word, "the modes always, not-equal, equal, explicit")
            })
    }
}

/// Whether `asker` waits for a fence with this `tag`, which is kept at `place`.
///
/// Eviction fences of compute are fences of no scheduler: they are of no device, whatever their tag
/// says.
pub fn decide(era: Era, mode: Mode, asker: Asker, tag: Tag, place: Place) -> bool {
    if place == Place::Exclusive && era < Era::P4 {
        return true;
    }
    if era < Era::P2 {
        before_modes(era, mode == Mode::Explicit, asker, tag)
    } else {
        with_modes(era, mode, asker, tag)
    }
}

/// Shared fences in P0 and P1.
fn before_modes(era: Era, explicit: bool, asker: Asker, tag: Tag) -> bool {
    let undefined = asker.owner == Owner::Undefined;
    if era == Era::P1 && tag.owner() == Owner::Compute && !undefined {
        return false;
    }
    if undefined || !is_same_device(asker, tag) {
        return true;
    }
    let one_is_page_tables =
        (asker.owner == Owner::PageTables) != (tag.owner() == Owner::PageTables);
    if one_is_page_tables && tag.owner() != Owner::Undefined {
        return false;
    }
    !(explicit || tag.owner() == asker.owner)
}

/// From P2 on: the first line that concerns the fence decides.
fn with_modes(era: Era, mode: Mode, asker: Asker, tag: Tag) -> bool {
    let undefined = asker.owner == Owner::Undefined;
    match tag.owner() {
        Owner::Undefined => return true,
        Owner::Compute if !undefined => return false,
        Owner::PageTables if !undefined && era >= Era::P3 => {
            let is_seen = asker.owner == Owner::Compute && era >= Era::P6b;
            if !is_seen {
                return false;
            }
        }
        _ => {}
    }
    let same_device = is_same_device(asker, tag);
    match mode {
        Mode::Always => true,
        Mode::NotEqual => !(same_device && tag.owner() == asker.owner),
        Mode::Equal => !(same_device && tag.owner() != asker.owner),
        Mode::Explicit => false,
    }
}

fn is_same_device(asker: Asker, tag: Tag) -> bool {
    tag.owner() != Owner::Compute && tag.device().is_some() && tag.device() == asker.device
}
