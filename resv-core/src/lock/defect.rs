//! Defects that a model or a test can build into one lock, to show that it would find them. In every
//! other build there are none, and asking costs nothing.

use super::ObjectLock;

/// What a lock does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// A waiter does not flag the word before it sleeps, so nobody wakes it.
    QueuesUnflagged,
    /// Neither the wounded nor the young yield.
    NobodyBacksOff,
    /// A wounded context is not woken up.
    WoundsWithoutWaking,
    /// A lock that is handed over is also left free.
    GrantsAndFrees,
    /// Releasing publishes nothing.
    ReleasesRelaxed,
    /// A release rings one watch and leaves the others, as if that one's task would be polled.
    RingsOne,
    /// Whoever would have to wait yields, or wounds the holder, whichever of the two is older.
    IgnoresAge,
    /// A context that holds nothing is told to back off where an older one holds the lock.
    RefusesTheEmptyHanded,
    /// A set that backs off to this lock begins again with a new ticket.
    RenewsTheTicket,
    /// A wounded context is told to back off although the lock is free.
    RefusesTheWounded,
    /// A set that backs off leaves this lock locked.
    StaysLocked,
    /// A sleeper that backs off stays in the queue.
    StaysQueued,
    /// A set that is to take its locks in order takes this one in any.
    TakenInAnyOrder,
}

impl ObjectLock {
    #[cfg(not(any(test, loom)))]
    #[inline(always)]
    pub(super) const fn has(&self, _defect: Defect) -> bool {
        false
    }

    #[cfg(any(test, loom))]
    pub(super) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// A free lock that does something wrong.
    #[cfg(test)]
    pub(super) fn with_defect(defect: Option<Defect>) -> Self {
        ObjectLock {
            defect,
            ..ObjectLock::new()
        }
    }
}
