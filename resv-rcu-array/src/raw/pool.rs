//! The pool of cells: by size, grown in chunks, its address space never given back.
//!
//! A class has twice the bytes of the one before it. What comes back is handed out next, so that reuse
//! without a grace period is the normal case (H-01, H-03) and every test is about it.
//!
//! A free list has room for every cell of its class, so giving one back neither allocates nor fails.
//!
//! # Memory that comes back
//!
//! A cell's memory stays a cell for ever, as a reader may look at it at any time; but of a *large* cell
//! that is free (16 KiB and more) the pages of the slots go back to the system on Linux, and read as
//! slots without an entry from then on. So what stays resident of free cells is bounded by the most
//! small cells that were in use at one time.

use super::cell::Cell;
use super::word::MAX_SLOTS;
use resv_sync::process_wide;
use resv_sync::sync::Mutex;

/// How many classes there are.
const CLASSES: usize = 16;
/// The most bytes that a class grows by at a time, unless one cell is larger.
const MAX_CHUNK: usize = if cfg!(loom) { 1 } else { 1 << 16 };

/// How many slots a cell of class `class` has.
pub(super) const fn slots(class: usize) -> usize {
    if cfg!(any(loom, shuttle)) {
        // Few, so that full cells are in reach of a model.
        return 2 << class;
    }
    let bytes = 256 << class;
    let slots = (bytes - super::cell::SLOTS) / size_of::<u64>();
    if slots < MAX_SLOTS { slots } else { MAX_SLOTS }
}

struct Class {
    free: Vec<Cell>,
    /// Cells that exist, in use or free.
    cells: usize,
    /// The first cell of each piece of memory: leak checkers do not see the addresses in heads.
    chunks: Vec<Cell>,
}

process_wide!(static POOL: [Mutex<Class>; CLASSES] = each Mutex::new(Class {
    free: Vec::new(),
    cells: 0,
    chunks: Vec::new(),
}));

/// The smallest class with at least `wanted` slots.
fn class_for(wanted: usize) -> Option<usize> {
    (0..CLASSES).find(|&class| slots(class) >= wanted)
}

/// A free cell with at least `wanted` slots, which is the caller's; `None` when it cannot be had.
pub(super) fn take(wanted: usize) -> Option<Cell> {
    let class = class_for(wanted)?;
    let mut pool = POOL[class].lock();
    if let Some(cell) = pool.free.pop() {
        return Some(cell);
    }
    let slots = slots(class);
    let count = (MAX_CHUNK / super::cell::bytes(slots))
        .min(pool.cells)
        .max(1);
    let cells = pool.cells + count;
    pool.free.try_reserve(cells).ok()?;
    pool.chunks.try_reserve(1).ok()?;
    Cell::allocate(slots, count, |cell| pool.free.push(cell))?;
    pool.cells = cells;
    let first = pool.free.first().copied();
    pool.chunks.extend(first);
    pool.free.pop()
}

/// Takes a cell back, which the caller owned and gives up.
pub(super) fn put(cell: Cell) {
    cell.give_back_pages();
    let class = class_for(cell.capacity()).expect("every cell is of a class");
    POOL[class].lock().free.push(cell);
}
