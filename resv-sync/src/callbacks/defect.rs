//! Known-bad variants, for the models: each leaves one step of the protocol out.
//!
//! Outside loom's tests [`has_defect`](Callbacks::has_defect) is `false` at compile time.

use super::Callbacks;

/// A step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// A push stores the word without looking whether it has changed.
    StoredUnlooked,
    /// A walker does not set `WALKED`.
    WalksUnseen,
    /// A closer takes the nodes for its own though `WALKED` is set.
    ClosesAlone,
    /// A closer that meets a walker runs what the walker has claimed.
    ClaimsAnyway,
    /// A walker that meets a closer takes the node with it.
    KeepsItsNode,
}

impl Callbacks {
    #[cfg(all(test, loom))]
    pub(super) fn has_defect(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    #[cfg(not(all(test, loom)))]
    #[inline(always)]
    pub(super) const fn has_defect(&self, _: Defect) -> bool {
        false
    }
}
