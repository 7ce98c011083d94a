//! The pool of fence cells, which are never given back to the allocator ([`resv_sync::pool`]).
//!
//! A freed cell is the next one that its thread takes, so that reuse without a grace period, the case that
//! hazard H-01 is about, is the normal case here and not a rare one.
//!
//! Making a fence and dropping its last handle touch the thread's own free cells, and take no lock that
//! another thread takes, except once for 16 cells at most. Dropping never allocates.

use super::cell::FenceCell;
use super::extra::Extra;
use super::handle::Fence;
use super::timeline::TimelineId;
use super::trace;
use resv_sync::pool::{Link, Pooled};
use resv_sync::stable_pool;

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

stable_pool!(static POOL: FenceCell);

impl Pooled for FenceCell {
    fn vacant() -> FenceCell {
        FenceCell::vacant()
    }

    #[inline]
    fn link(&self) -> &Link<FenceCell> {
        self.link()
    }
}

/// Takes a vacant cell.
#[inline]
pub(super) fn take() -> &'static FenceCell {
    POOL.take()
}

/// Puts back a cell whose last reference is gone.
pub(super) fn put(cell: &'static FenceCell) {
    if let Some(extra) = retire(cell) {
        dismantle(extra);
    }
}

/// Makes the cell vacant and returns the extra that the fence owned.
fn retire(cell: &'static FenceCell) -> Option<Box<Extra>> {
    let (line, extra) = cell.vacate();
    trace::destroy(cell, line.as_deref());
    POOL.put(cell);
    extra
}

/// Drops what dead fences owned, without recursion and without allocating: fences that die because
/// of it are chained through their extras (H-18).
fn dismantle(extra: Box<Extra>) {
    let mut dead = Some(extra);
    while let Some(mut extra) = dead.take() {
        let Some(child) = extra.release_child() else {
            dead = extra.next_dead.take();
            continue;
        };
        dead = Some(extra);
        let cell = child.into_cell();
        if cell.release()
            && let Some(mut more) = retire(cell)
        {
            more.next_dead = dead.take();
            dead = Some(more);
        }
    }
}

/// How many callbacks are registered in this process, and how many children composed fences watch
/// (once for each time). Looks at every cell, one by one: exact when nobody waits or signals
/// meanwhile. For tests and diagnostics.
pub fn registrations() -> usize {
    let cells = POOL.all();
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
    let cells = POOL.all();
    // Without a reference first: it costs the others nothing. Then with one, as the cell may be another
    // fence by now.
    let fences = cells
        .filter(|cell| is_one(cell))
        .filter_map(Fence::try_acquire);
    fences.filter(|fence| is_one(fence.cell())).collect()
}

fn registrations_of(cell: &FenceCell) -> usize {
    let extra = &cell.cold().lock().extra;
    let watchers = extra.as_ref().map_or(0, |extra| extra.watchers.len());
    cell.outcome().count() + watchers
}

/// How many fences there are in this process. Looks at every cell, one by one: exact when nobody makes or
/// drops one meanwhile. For tests and diagnostics.
pub fn pool_stats() -> PoolStats {
    PoolStats {
        live: POOL.all().filter(|cell| cell.is_referenced()).count(),
        capacity: POOL.capacity(),
    }
}
