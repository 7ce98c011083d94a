//! Linux' rule since 5.19: scan the slots from the front and overwrite the first that matches.
//!
//! A slot matches when its fence has signalled, or when it is of the same timeline, its usage is not
//! stronger than the new one, and the new fence is later. What "later" means is the only thing that
//! has changed:
//!
//! | rule | kernels | the new fence must be |
//! |---|---|---|
//! | `linux-5.19` | 5.19 | of the same timeline; an older one may replace a newer one |
//! | `linux-6.0` | 6.0 to 6.6 | later |
//! | `linux-6.7` | since 6.7, and stable kernels | later, or the same fence |
//!
//! A signalled slot in front of one that the new fence dominates is taken instead, so dominated fences
//! may stay behind it: without bound, because each slot that signals may hide another.

use crate::store::{FenceRef, Slot, Store};
use resv_core::{Access, Usage};

/// One version of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotRule {
    /// Linux 5.19.
    Linux519,
    /// Linux 6.0 to 6.6.
    Linux60,
    /// Linux since 6.7.
    Linux67,
}

impl SlotRule {
    /// All three.
    pub const ALL: [SlotRule; 3] = [SlotRule::Linux519, SlotRule::Linux60, SlotRule::Linux67];

    /// The name on command lines and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            SlotRule::Linux519 => "linux-5.19",
            SlotRule::Linux60 => "linux-6.0",
            SlotRule::Linux67 => "linux-6.7",
        }
    }

    /// Whether a pending slot is overwritten by a new fence with `usage`.
    pub fn overwrites<F: FenceRef>(self, old: &Slot<F>, fence: &F, usage: Usage) -> bool {
        let is_late_enough = match self {
            SlotRule::Linux519 => true,
            SlotRule::Linux60 => fence.seqno() > old.fence.seqno(),
            SlotRule::Linux67 => fence.seqno() >= old.fence.seqno(),
        };
        old.fence.timeline() == fence.timeline() && old.usage >= usage && is_late_enough
    }

    /// Reserves one slot and adds.
    pub(crate) fn add<F: FenceRef>(self, store: &mut Store<F>, fence: F, usage: Usage) {
        if store.slots.len() >= store.capacity {
            // A new list of twice the size, into which only pending fences are taken.
            store.capacity = (2 * store.capacity).max(4);
            store.prune();
        }
        let slot = store
            .slots
            .iter_mut()
            .find(|old| old.fence.is_signaled() || self.overwrites(old, &fence, usage));
        match slot {
            Some(slot) => {
                slot.fence = fence;
                slot.usage = usage;
            }
            None => store.push(fence, usage),
        }
    }
}

/// Every slot of `timeline`, signalled or not, becomes `fence`.
pub(crate) fn replace<F: FenceRef>(store: &mut Store<F>, timeline: u64, fence: F, usage: Usage) {
    for slot in &mut store.slots {
        if slot.fence.timeline() == timeline {
            slot.fence = fence.clone();
            slot.usage = usage;
        }
    }
}

/// The cut of an access: a read asks for everything up to write, and so on.
pub(crate) fn visit<'s, F: FenceRef>(
    store: &'s Store<F>,
    access: Access,
    visit: &mut impl FnMut(&'s F),
) {
    let cut = match access {
        Access::Explicit => Usage::Kernel,
        Access::Read => Usage::Write,
        Access::Write => Usage::Read,
        Access::Move => Usage::Bookkeep,
    };
    for slot in store.pending().filter(|slot| slot.usage <= cut) {
        visit(&slot.fence);
    }
}
