//! What an object holds, for people: the fence lines of Linux' `dma_buf/bufinfo`.
//!
//! ```
//! use resv_api::{Resv, Timeline, Usage};
//! let buffer = Resv::new();
//! let (moved, drawn) = (Timeline::new("sdma0").issue_at(7)?, Timeline::new("gfx_0.0.0").issue()?);
//! let mut guard = buffer.lock();
//! let mut slots = guard.reserve(2)?;
//! slots.add(drawn.fence(), Usage::Write);
//! slots.add(moved.fence(), Usage::Kernel);
//! drop(guard);
//! assert_eq!(
//!     buffer.describe()?.to_string(),
//!     "\tkernel fence:resv sdma0 seq 7 unsignalled\n\
//!      \twrite fence:resv gfx_0.0.0 seq 1 unsignalled\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::dynamic::Reservation;
use crate::object::Resv;
use crate::snapshot::Snapshot;
use resv_core::{
    Backend, EntryRef, FenceStatus, ParseWordError, ReserveError, Semantics, TimelineId, Usage,
};
use std::fmt;
use std::str::FromStr;

pub use resv_core::fence::trace::DRIVER;

/// One entry, as it was found.
///
/// Displayed as one line, without the line's end: a tab, then
/// `USAGE fence:DRIVER TIMELINE seq SEQNO signalled`, or `unsignalled` at its end. This is how Linux
/// writes it (`dma_resv_describe` and `dma_fence_describe`, 5.19 and later), so what reads bufinfo
/// reads this. An error is not in the line, as it is not there: a failed fence is `signalled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceDescription {
    /// What the job does to the buffer; the class that the semantics keeps it as.
    pub usage: Usage,
    /// The name of the timeline.
    pub timeline: String,
    /// The identity of the timeline: names need not be unique.
    pub timeline_id: TimelineId,
    /// The position on the timeline.
    pub seqno: u64,
    /// The state when it was looked at.
    pub status: FenceStatus,
}

impl fmt::Display for FenceDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let un = match self.status {
            FenceStatus::Pending => "un",
            FenceStatus::Signaled | FenceStatus::Error(_) => "",
        };
        let FenceDescription {
            usage,
            timeline,
            seqno,
            ..
        } = self;
        write!(
            f,
            "\t{usage} fence:{DRIVER} {timeline} seq {seqno} {un}signalled"
        )
    }
}

/// The entries of an object or a snapshot: strongest usage first, then by age of the timeline, then
/// by seqno. Displayed as one line for each, see [`FenceDescription`]; an idle object has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// One for each entry.
    pub entries: Vec<FenceDescription>,
}

impl Description {
    /// Of any entries.
    pub fn of<'e>(entries: impl IntoIterator<Item = impl Into<EntryRef<'e>>>) -> Description {
        let describe = |entry| {
            let EntryRef { fence, usage } = entry;
            FenceDescription {
                usage,
                timeline: fence.timeline_name().as_ref().to_owned(),
                timeline_id: fence.timeline_id(),
                seqno: fence.seqno(),
                status: fence.status(),
            }
        };
        let mut entries: Vec<_> = entries.into_iter().map(Into::into).map(describe).collect();
        entries.sort_by_key(|entry| (entry.usage, entry.timeline_id, entry.seqno));
        Description { entries }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries
            .iter()
            .try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

/// A fence line that was read: from a [`Description`], or from bufinfo of a running system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceLine {
    /// The usage.
    pub usage: Usage,
    /// The driver; [`DRIVER`] for fences of this library.
    pub driver: String,
    /// The name of the timeline. It may contain blanks; the driver's name may not.
    pub timeline: String,
    /// The position on the timeline.
    pub seqno: u64,
    /// Whether it had signalled.
    pub signaled: bool,
}

impl FromStr for FenceLine {
    type Err = ParseWordError;

    /// Reads one line; blanks around it do not matter.
    ///
    /// # Errors
    ///
    /// When it does not have the form that [`FenceDescription`] states.
    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            ParseWordError::new(
                line,
                "the fence lines USAGE fence:DRIVER TIMELINE seq SEQNO (un)signalled",
            )
        };
        let parse = || {
            let (usage, rest) = line.trim().split_once(" fence:")?;
            let (driver, rest) = rest.split_once(' ')?;
            let (timeline, rest) = rest.rsplit_once(" seq ")?;
            let (seqno, state) = rest.split_once(' ')?;
            Some(FenceLine {
                usage: usage.parse().ok()?,
                driver: driver.to_owned(),
                timeline: timeline.to_owned(),
                // As it is printed: no sign, no zeros in front.
                seqno: seqno
                    .parse()
                    .ok()
                    .filter(|n: &u64| n.to_string() == seqno)?,
                signaled: match state {
                    "signalled" => true,
                    "unsignalled" => false,
                    _ => return None,
                },
            })
        };
        parse().ok_or_else(wrong)
    }
}

/// Describes the [`entries`](Reservation::entries) of an object that is chosen at run time.
///
/// # Errors
///
/// When memory cannot be had for them.
pub fn describe(resv: &dyn Reservation) -> Result<Description, ReserveError> {
    Ok(Description::of(&resv.entries()?))
}

impl<S: Semantics, B: Backend> Resv<S, B> {
    /// Describes the pending fences of one instant; one that signals meanwhile is shown as
    /// signalled. See [`Description`].
    ///
    /// # Errors
    ///
    /// When a back end that copies cannot get memory. The array back end never fails.
    pub fn describe(&self) -> Result<Description, ReserveError> {
        Ok(Description::of(self.try_snapshot()?.iter()))
    }
}

impl<S: Semantics, B: Backend> Snapshot<S, B> {
    /// Describes the members that are pending now; one that signals meanwhile is shown as signalled.
    /// See [`Description`].
    pub fn describe(&self) -> Description {
        Description::of(self.iter())
    }
}
