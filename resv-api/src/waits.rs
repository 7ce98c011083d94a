//! What a job must wait for: one list of fences, each timeline once.

use crate::wait::{Waitable, wait_all};
use resv_core::{Fence, ReserveError, Until, Waited};
use smallvec::SmallVec;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;

/// As many fences have their place in the list itself; there are rarely more timelines.
// An odd number, so that the word with the count is at the end, by itself: a list that is moved is copied 16 bytes at a
// time, and a load of 16 bytes of which 8 were just stored waits until these are in the cache.
const INLINE: usize = 9;

/// What a job must wait for before it runs: the fences that were pending in its objects, of each
/// timeline the latest, which stands for the earlier ones; oldest timeline first.
///
/// A slice of fences. Allocates for more than eight timelines only. The fences were pending when they
/// were looked at; they may have signalled since.
///
/// ```
/// use resv_api::{Access, Resv, Timeline, Usage, Waited};
///
/// let (frame, gfx, dma) = (Resv::new(), Timeline::new("gfx"), Timeline::new("dma"));
/// let (first, second, copy) = (gfx.issue()?, gfx.issue()?, dma.issue()?);
/// let mut guard = frame.lock();
/// let mut slots = guard.reserve(3)?;
/// slots.add(first.fence(), Usage::Write);
/// slots.add(second.fence(), Usage::Read);
/// slots.add(copy.fence(), Usage::Read);
/// let waits = guard.waits_for(Access::Write)?;
/// assert_eq!(waits[..], [second.fence().clone(), copy.fence().clone()]);
/// # drop(guard);
/// # first.signal();
/// second.signal();
/// copy.signal();
/// assert_eq!(waits.wait(None), Waited::Signaled);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Waits {
    /// Dropped by [`drop`](Waits::drop), which asks in line whether there is anything to do.
    fences: ManuallyDrop<SmallVec<[Fence; INLINE]>>,
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Drop for Waits {
    #[inline]
    fn drop(&mut self) {
        if !self.fences.is_empty() || self.fences.spilled() {
            self.drop_fences();
        }
    }
}

impl Waits {
    /// As many fences have their place in the list itself.
    pub(crate) const INLINE: usize = INLINE;

    #[cold]
    #[inline(never)]
    fn drop_fences(&mut self) {
        drop(std::mem::take(&mut *self.fences));
    }

    /// Adds fences at the end, for which there is [room](Waits::reserve).
    #[inline]
    pub(crate) fn extend(&mut self, fences: impl Iterator<Item = Fence>) {
        self.fences.extend(fences);
    }

    /// Gets room for so many more.
    #[inline]
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), ReserveError> {
        let wanted = self.fences.len() + more;
        let room = self.fences.try_reserve(more);
        room.map_err(|_| ReserveError::new(wanted))
    }

    /// Sleeps until all have signalled: for ever with `None`, at most for a
    /// [`Duration`](std::time::Duration), or until an [`Instant`](std::time::Instant).
    ///
    /// As [`wait_all`]: a fence that had failed before the call counts.
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn wait(&self, until: impl Into<Until>) -> Waited {
        wait_all(self, until)
    }
}

impl Deref for Waits {
    type Target = [Fence];

    fn deref(&self) -> &[Fence] {
        &self.fences
    }
}

impl IntoIterator for Waits {
    type Item = Fence;
    type IntoIter = smallvec::IntoIter<[Fence; INLINE]>;

    fn into_iter(mut self) -> Self::IntoIter {
        std::mem::take(&mut *self.fences).into_iter()
    }
}

impl<'w> IntoIterator for &'w Waits {
    type Item = &'w Fence;
    type IntoIter = std::slice::Iter<'w, Fence>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Waitable for Waits {
    fn visit_fences(&self, visit: &mut dyn FnMut(&Fence)) {
        self.iter().for_each(visit);
    }
}
