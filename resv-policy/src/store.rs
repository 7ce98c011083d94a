//! What an object holds, as a member of a comparison sees it: slots with fences.
//!
//! The prover plays a member on fences that are numbers, `resv script` on real ones. [`FenceRef`] is
//! what a member may ask of either.

use resv_core::Tag;
use resv_core::Usage;

/// A fence, as far as a rule may look at it.
pub trait FenceRef: Clone + PartialEq {
    /// The identity of its timeline.
    fn timeline(&self) -> u64;

    /// Its position on the timeline.
    fn seqno(&self) -> u64;

    /// Whether it has signalled.
    fn is_signaled(&self) -> bool;

    /// Owner and device of its timeline.
    fn tag(&self) -> Tag;

    /// Whether it is on the timeline of `other` and not later.
    fn is_covered_by(&self, other: &Self) -> bool {
        self.timeline() == other.timeline() && self.seqno() <= other.seqno()
    }
}

/// One fence in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot<F> {
    /// The fence.
    pub fence: F,
    /// Under which usage it is kept.
    pub usage: Usage,
    /// What else a member notes of it; what it means is said by the member.
    pub mark: bool,
}

/// The content of one object: slots in the order in which they are scanned.
///
/// Members that know an exclusive slot and shared ones keep as exclusive what has the usage kernel or
/// write, and more than one of those is a chain, the oldest link first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store<F> {
    /// The slots.
    pub slots: Vec<Slot<F>>,
    /// For how many slots there is memory; only the slot rules ask.
    pub capacity: usize,
}

impl<F> Default for Store<F> {
    fn default() -> Self {
        Store {
            slots: Vec::new(),
            capacity: 0,
        }
    }
}

impl<F: FenceRef> Store<F> {
    /// Forgets what has signalled.
    pub fn prune(&mut self) {
        self.slots.retain(|slot| !slot.fence.is_signaled());
    }

    /// Appends a slot without a mark.
    pub fn push(&mut self, fence: F, usage: Usage) {
        self.slots.push(Slot {
            fence,
            usage,
            mark: false,
        });
    }

    /// The slots whose fences are pending.
    pub fn pending(&self) -> impl DoubleEndedIterator<Item = &Slot<F>> {
        self.slots.iter().filter(|slot| !slot.fence.is_signaled())
    }
}
