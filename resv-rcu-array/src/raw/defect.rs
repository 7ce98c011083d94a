//! Known-bad variants of the protocol, each of which a test or a model rejects.

resv_sync::known_bad! {
    /// What an object does wrong.
    pub(crate) enum Defect, seam Seam {
        /// Whether a snapshot holds the cell is asked by a plain load.
        PlainLoadAtRelease,
        /// The hint that all below are dead is stored before the head.
        HintBeforeHead,
        /// A slot whose fence is given up is made empty by a Relaxed store.
        RelaxedNull,
        /// The head is stored Relaxed.
        RelaxedHead,
        /// A reader does not look at the head again.
        NoSecondLook,
        /// A reader does not look at the life of the cell again.
        NoLife,
        /// Idle bits are set by a Relaxed exchange.
        RelaxedIdleBits,
        /// Idle bits are set by a reader that owns no reference.
        IdleBitsUnowned,
        /// References move to a new cell although a snapshot holds the old one.
        MovesFromUnderReaders,
    }
}
