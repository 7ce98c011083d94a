//! Known-bad variants, for the models: each leaves one step of the protocol out.

crate::known_bad! {
    /// A step that is left out.
    pub(super) enum Defect, seam Seam {
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
        /// A walker unlinks the newest node as it was when the walker entered.
        MissesWhatCame,
        /// A walker leaves the generation of what it takes back as it is.
        EndsNoGeneration,
    }
}
