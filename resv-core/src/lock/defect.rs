//! Known-bad variants of a lock, which models and tests plant in it ([`resv_sync::known_bad`]).

use super::ObjectLock;

resv_sync::known_bad! {
    /// What a lock does wrong.
    pub(super) enum Defect, seam Seam {
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
        /// A context that would have to wait yields, or wounds the holder, whichever of the two is older.
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
}

impl ObjectLock {
    #[inline(always)]
    pub(super) fn has(&self, defect: Defect) -> bool {
        self.seam.has(defect)
    }

    /// A free lock that does something wrong.
    #[cfg(test)]
    pub(super) fn with_defect(defect: Option<Defect>) -> Self {
        ObjectLock {
            seam: defect.map_or(Seam::SOUND, Seam::planted),
            ..ObjectLock::new()
        }
    }
}
