//! Whether a buffer's content is broken: which errors an object answers with, and for how long.
//!
//! A wait reports the errors of fences that were pending when it began, and no others: what is stored of
//! fences that had signalled before is a matter of the back end. But the next user of a buffer wants to
//! know whether the job that wrote it failed, also if that was long ago. So an object has a *failure* for
//! each access, which is a function of its history alone.
//!
//! # The rule
//!
//! The failure for an access is the error of a fence that *counts*, has failed, and is kept under a usage
//! that the access waits for. Of several errors it is the one with the smallest errno.
//!
//! 1. **A fence counts from when it is added**, copied, or put in the place of others, whatever its state:
//!    a job may fail before its fence is added.
//! 2. **With a write, what was there before counts no more**, whether it has failed, fails later, or never
//!    does. A *write* is an add that the semantics keeps under the class of [`Usage::Write`]. The write
//!    itself counts. Of two unordered writers the one that was added later is the write that counts. A
//!    composition of which the leaves are added is one write, and each leaf of it counts. (A kernel move is
//!    no write under [`UsageLevels`](crate::UsageLevels), which tells the two apart: it takes the content along as
//!    it is. Older semantics do not, so there it is one.)
//! 3. **A fence that an edit removes while it is pending counts no more**: another fence stands for it.
//!    What had failed by then stays, until a write comes.
//! 4. **A replacement is no write.** What it removes is as in 3, and the new fence counts. So an eviction
//!    fence that is replaced says nothing about the content.
//! 5. **A copy begins anew.** Nothing that was in the object before counts any more; each fence that was
//!    copied counts. What the source has noted stays with the source.
//! 6. **An edit counts when it is made**, in order with the other edits of its lock. The failure is asked
//!    with the lock held ([`Backend::failure`](crate::Backend::failure)), so nobody but the holder learns of
//!    what is not published.
//!
//! The smallest errno does not depend on the order in which failures come or are found out. It prefers a
//! cause to what follows from it: [`FenceError::IO`] is 5, [`FenceError::CANCELED`] 125.
//!
//! # How a back end answers
//!
//! It looks at what it stores, and keeps [`Failures`] for what it has dropped. So it does something only
//! where it drops an entry that has signalled: it [notes](Failures::note) the error, if that entry counts.
//! [`Backend::overwrite`](crate::Backend::overwrite) clears the note and has what is stored count no more;
//! where entries are kept in the order in which they came, that is one number.

use crate::fence::{FenceError, FenceStatus};
use crate::usage::{Usage, UsageSet};

/// Errors of fences that an object does not store any more: of each usage the one with the smallest errno.
///
/// ```
/// use resv_core::{Failures, FenceError, FenceStatus, Usage, UsageSet};
/// let mut failures = Failures::default();
/// failures.note(Usage::Read, FenceStatus::Error(FenceError::CANCELED));
/// failures.note(Usage::Read, FenceStatus::Error(FenceError::IO));
/// failures.note(Usage::Write, FenceStatus::Signaled);
/// assert_eq!(failures.smallest(UsageSet::ALL), Some(FenceError::IO));
/// assert_eq!(failures.smallest(UsageSet::of(&[Usage::Write])), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures([u16; Usage::ALL.len()]);

impl Failures {
    /// Notes how a fence ended that was kept under `usage`: nothing unless it has failed.
    pub fn note(&mut self, usage: Usage, status: FenceStatus) {
        if let FenceStatus::Error(error) = status {
            let noted = &mut self.0[usage as usize];
            // No errno is 0.
            if *noted == 0 || *noted > error.errno() {
                *noted = error.errno();
            }
        }
    }

    /// The smallest error that is noted for one of `usages`.
    pub fn smallest(self, usages: UsageSet) -> Option<FenceError> {
        let noted = usages.iter().map(|usage| self.0[usage as usize]);
        noted
            .filter_map(FenceError::from_errno)
            .min_by_key(|error| error.errno())
    }
}
