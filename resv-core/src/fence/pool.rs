//! The pool of fence cells: grown in chunks, never given back. The same kind of memory holds what a
//! timeline shares with its signalers.
//!
//! A freed cell is the next one handed out, so that reuse without a grace period, the case that
//! hazard H-01 is about, is the normal case here and not a rare one.
//!
//! The free list has room for every cell that exists, so dropping a fence never allocates.

use super::cell::FenceCell;
use super::extra::Extra;
use super::handle::Fence;
use super::trace;
use resv_sync::process_wide;
use resv_sync::sync::Mutex;

/// How many fences there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Fences alive: referenced by a [`Signaler`](super::Signaler), a [`Fence`](super::Fence), an
    /// object or a snapshot.
    pub live: usize,
    /// Cells that exist, alive or free. Never shrinks.
    pub capacity: usize,
}

/// Memory that keeps its type: places that are handed out and come back, in chunks that stay.
pub(super) struct Stable<T: 'static> {
    free: Vec<&'static T>,
    capacity: usize,
    /// Keeps the memory reachable for leak checkers.
    chunks: Vec<&'static [T]>,
}

#[cfg(not(loom))]
const FIRST_CHUNK: usize = 64;
#[cfg(loom)]
const FIRST_CHUNK: usize = 1;
/// The largest number of cells added at a time.
const MAX_CHUNK: usize = 4096;

process_wide!(static POOL: Mutex<Stable<FenceCell>> = Mutex::new(Stable::new()));

impl<T> Stable<T> {
    pub(super) const fn new() -> Self {
        Stable {
            free: Vec::new(),
            capacity: 0,
            chunks: Vec::new(),
        }
    }

    /// A place that is free, made by `vacant` if there is none.
    pub(super) fn take(&mut self, vacant: impl FnMut() -> T) -> &'static T {
        if self.free.is_empty() {
            self.grow(vacant);
        }
        self.free.pop().expect("there is one")
    }

    /// Takes one back. Never allocates.
    pub(super) fn put(&mut self, place: &'static T) {
        self.free.push(place);
    }

    /// Called when there is none left.
    #[cold]
    fn grow(&mut self, vacant: impl FnMut() -> T) {
        let count = self.capacity.clamp(FIRST_CHUNK, MAX_CHUNK);
        let chunk: Box<[T]> = std::iter::repeat_with(vacant).take(count).collect();
        let chunk: &'static [T] = Box::leak(chunk);
        self.capacity += count;
        self.chunks.push(chunk);
        self.free.reserve(self.capacity);
        self.free.extend(chunk.iter().rev());
    }
}

/// Takes a vacant cell.
pub(super) fn take() -> &'static FenceCell {
    POOL.lock().take(FenceCell::vacant)
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
    POOL.lock().put(cell);
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
    let chunks = POOL.lock().chunks.clone();
    let cells = chunks.into_iter().flatten();
    // With a reference, so that the cell does not become another fence meanwhile.
    let fences = cells.filter_map(Fence::try_acquire);
    fences.map(|fence| registrations_of(fence.cell())).sum()
}

fn registrations_of(cell: &FenceCell) -> usize {
    let extra = &cell.cold().lock().extra;
    let watchers = extra.as_ref().map_or(0, |extra| extra.watchers.len());
    cell.outcome().count() + watchers
}

/// How many fences there are in this process.
pub fn pool_stats() -> PoolStats {
    let pool = POOL.lock();
    PoolStats {
        live: pool.capacity - pool.free.len(),
        capacity: pool.capacity,
    }
}
