//! The pool of array cells: by size class, grown in chunks, never given back.
//!
//! A class has twice the bytes of the one before it. What comes back is handed out next, so that reuse
//! without a grace period is the normal case (H-01, H-03) and every test is about it.
//!
//! The lists are linked through the cells, so giving one back allocates nothing and does not fail.

use super::array::Builder;
use super::cell::{ArrayCell, size};
use resv_sync::process_wide;
use resv_sync::sync::Mutex;

/// How many classes there are; beyond them a request fails as for want of memory.
const CLASSES: usize = 48;
/// The most bytes that a class grows by at a time, unless one cell is larger.
const MAX_CHUNK: usize = if cfg!(loom) { 1 } else { 1 << 16 };

struct Class {
    free: Option<ArrayCell>,
    /// Cells that exist, in use or free.
    cells: usize,
}

process_wide!(
    /// The classes, one mutex each.
    static POOL: [Mutex<Class>; CLASSES] = each Mutex::new(Class { free: None, cells: 0 })
);

fn class_for(capacity: usize) -> Option<u32> {
    (0..CLASSES as u32).find(|&class| size(class).is_some_and(|(_, has)| has as usize >= capacity))
}

/// An empty builder with memory for at least `capacity` entries; `None` when it cannot be had.
pub(super) fn take(capacity: usize) -> Option<Builder> {
    let class = class_for(capacity)?;
    let mut pool = POOL[class as usize].lock();
    if pool.free.is_none() {
        let (bytes, _) = size(class)?;
        let count = (MAX_CHUNK / bytes).min(pool.cells).max(1);
        ArrayCell::allocate(class, count, |cell| {
            // SAFETY: the cell is new: it is this function's.
            unsafe { cell.owned().next = pool.free };
            pool.free = Some(cell);
        })?;
        pool.cells += count;
    }
    let cell = pool.free?;
    // SAFETY: a cell on the list belongs to the list, which is locked; off the list it belongs to the
    // builder that is made here.
    unsafe {
        pool.free = cell.owned().next.take();
        Some(Builder::of(cell, 0))
    }
}

/// Takes a cell back.
///
/// # Safety
///
/// The caller owns the cell, which has no entries, and gives it up.
pub(super) unsafe fn put(cell: ArrayCell) {
    let class = class_for(cell.capacity()).expect("every cell is of a class");
    let mut pool = POOL[class as usize].lock();
    // SAFETY: the caller's promise.
    unsafe { cell.owned().next = pool.free };
    pool.free = Some(cell);
}
