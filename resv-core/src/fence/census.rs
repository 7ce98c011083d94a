//! Looking at all fences of the process, one by one: for diagnostics, and for a device that is lost.

use super::cell::FenceCell;
use super::handle::Fence;
use super::id::TimelineId;
use super::pool;

/// How many fences there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Fences alive: referenced by a [`Signaler`](super::Signaler), a [`Fence`](super::Fence), an
    /// object or a snapshot.
    pub live: usize,
    /// Cells that exist, alive or free. Never shrinks: as many as there were fences at a time, a quarter
    /// more at most (64 to 4096 cells), and 32 for each thread that lives.
    pub capacity: usize,
}

/// How many callbacks are registered in this process, and how many children composed fences watch
/// (once for each time). Looks at every cell, one by one: exact when nobody waits or signals
/// meanwhile. For tests and diagnostics.
pub fn registrations() -> usize {
    let cells = pool::all();
    // With a reference, so that the cell does not become another fence meanwhile.
    let fences = cells.filter_map(Fence::try_acquire);
    fences.map(|fence| registrations_of(fence.cell())).sum()
}

/// The pending fences of a timeline up to seqno `last`. Looks at every cell.
pub(super) fn pending_of(timeline: TimelineId, last: u64) -> Vec<Fence> {
    let is_one = |cell: &FenceCell| {
        let (own, seqno) = cell.key_parts();
        own == timeline && seqno <= last && cell.is_pending()
    };
    let cells = pool::all();
    // Without a reference first: it costs the others nothing. Then with one, as the cell may be another
    // fence by now.
    let fences = cells
        .filter(|cell| is_one(cell))
        .filter_map(Fence::try_acquire);
    fences.filter(|fence| is_one(fence.cell())).collect()
}

fn registrations_of(cell: &FenceCell) -> usize {
    let extra = cell.extra().lock();
    let watchers = extra.as_ref().map_or(0, |extra| extra.watchers.len());
    cell.outcome().count() + watchers
}

/// How many fences there are in this process. Looks at every cell, one by one: exact when nobody makes or
/// drops one meanwhile. For tests and diagnostics.
pub fn pool_stats() -> PoolStats {
    PoolStats {
        live: pool::all().filter(|cell| cell.is_referenced()).count(),
        capacity: pool::capacity(),
    }
}
