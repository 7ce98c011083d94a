//! What a job must wait for: one list of fences, each timeline once.

use crate::wait::{Waitable, wait_all};
use resv_core::{Fence, Key, ReserveError, Until, Waited};
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::ops::Deref;

/// As many fences have their place in the list itself; there are rarely more timelines.
const INLINE: usize = 8;

/// Up to as many fences, a new one is looked for among those that are there; beyond, all are sorted in
/// the end.
const FEW: usize = 16;

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
#[derive(Clone, Debug, Default)]
pub struct Waits {
    fences: SmallVec<[Fence; INLINE]>,
}

impl Waits {
    /// A pending fence, and its key, unless it is `but`.
    #[inline(never)]
    pub(crate) fn note_but(
        &mut self,
        but: &Fence,
        fence: &Fence,
        key: Key,
    ) -> Result<(), ReserveError> {
        if fence == but {
            return Ok(());
        }
        self.note(fence, key)
    }

    /// A pending fence, and its key.
    #[inline]
    pub(crate) fn note(&mut self, fence: &Fence, key: Key) -> Result<(), ReserveError> {
        // Objects that are used together hold the same fences.
        if self.fences.len() <= FEW && self.fences.contains(fence) {
            return Ok(());
        }
        self.note_new(fence, key)
    }

    /// A fence that was not found among few.
    #[inline(never)]
    fn note_new(&mut self, fence: &Fence, key: Key) -> Result<(), ReserveError> {
        if self.fences.len() <= FEW {
            let mut known = self.fences.iter_mut();
            if let Some(known) = known.find(|known| known.timeline_id() == key.timeline) {
                if known.seqno() < key.seqno {
                    *known = fence.clone();
                }
                return Ok(());
            }
        }
        let wanted = self.fences.len() + 1;
        let reserved = self.fences.try_reserve(1);
        reserved.map_err(|_| ReserveError::new(wanted))?;
        self.fences.push(fence.clone());
        Ok(())
    }

    /// The list when all are noted, in an order that does not depend on how objects store them.
    #[inline]
    pub(crate) fn in_order(mut self) -> Self {
        self.put_in_order();
        self
    }

    /// As [`in_order`](Waits::in_order), where it is.
    #[inline]
    pub(crate) fn put_in_order(&mut self) {
        if self.fences.len() > 1 {
            self.sort();
        }
    }

    fn sort(&mut self) {
        let place = |fence: &Fence| (fence.timeline_id(), Reverse(fence.seqno()));
        self.fences.sort_unstable_by_key(place);
        self.fences.dedup_by_key(|fence| fence.timeline_id());
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

    fn into_iter(self) -> Self::IntoIter {
        self.fences.into_iter()
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

#[cfg(test)]
mod tests {
    use super::*;
    use resv_core::{Signaler, Timeline, Usage};

    /// More timelines than are looked through: the list has still each timeline once, with its latest.
    #[test]
    fn many_timelines_are_listed_once_each() {
        const TIMELINES: usize = 50;
        let timelines: Vec<_> = (0..TIMELINES).map(|_| Timeline::new("t")).collect();
        let mut waits = Waits::default();
        let mut jobs: Vec<Signaler> = Vec::new();
        for round in 0..3 {
            for at in 0..TIMELINES {
                // In another order each time.
                let at = (at * 7 + round) % TIMELINES;
                jobs.push(timelines[at].issue().unwrap());
                let fence = jobs[jobs.len() - 1].fence();
                waits.note(fence, Key::new(fence, Usage::Read)).unwrap();
            }
        }
        let waits = waits.in_order();
        assert_eq!(waits.len(), TIMELINES);
        for (fence, timeline) in waits.iter().zip(&timelines) {
            assert_eq!((fence.timeline_id(), fence.seqno()), (timeline.id(), 3));
        }
    }
}
