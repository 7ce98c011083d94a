//! The pool of cells: by size, grown in chunks, its address space never given back.
//!
//! A class has twice the bytes of the one before it. What comes back is handed out next, so that reuse
//! without a grace period is the normal case (H-01, H-03) and every test is about it.
//!
//! Free cells of the small classes lie with the thread that freed them, in magazines over one depot for each
//! class ([`resv_sync::pool`]), so threads that do not meet share no lock. The links are in the cells: giving
//! one back neither allocates nor fails.
//!
//! # Memory that comes back
//!
//! A cell's memory stays a cell for ever, as a reader may look at it at any time; but of a *large* cell
//! that is free (8 KiB and more) the pages of the slots go back to the system on Linux, and read as
//! slots without an entry from then on. So what stays resident of free cells is bounded by the most
//! small cells that were in use at one time.

use super::cell::Cell;
use super::word::MAX_SLOTS;
use resv_sync::pool::{Chain, Depot, Linked};
use resv_sync::process_wide;
use resv_sync::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many classes there are.
const CLASSES: usize = 16;
/// The most bytes that a class grows by at a time, unless one cell is larger.
const MAX_CHUNK: usize = if cfg!(loom) { 1 } else { 1 << 16 };
/// How many cells a magazine exchanges with the depot of its class.
const BATCH: usize = 8;

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

process_wide!(
    /// The free cells of each class that no thread has.
    static DEPOTS: [Depot<Cell>; CLASSES] = each Depot::of_batch(BATCH)
);

/// How many cells of each class exist. A hint for growing, so it is real in a model.
static CELLS: [AtomicUsize; CLASSES] = [const { AtomicUsize::new(0) }; CLASSES];

process_wide!(
    /// The first cell of each piece of memory: leak checkers do not see the addresses in heads.
    static CHUNKS: Mutex<Vec<Cell>> = Mutex::new(Vec::new())
);

/// The cells that a thread has. Models go to the depot for each: magazines have models of their own.
#[cfg(not(any(loom, shuttle)))]
mod magazines {
    use super::{Cell, DEPOTS};
    use resv_sync::pool::{Depot, Magazine};

    /// The classes of which a thread keeps cells: 256, 512 and 1024 bytes, so 28 KiB at most.
    const SMALL: usize = 3;

    thread_local! {
        static MAGAZINES: [Magazine<Cell, &'static Depot<Cell>>; SMALL] = const {
            [
                Magazine::new(&DEPOTS[0]),
                Magazine::new(&DEPOTS[1]),
                Magazine::new(&DEPOTS[2]),
            ]
        };
    }

    pub(super) fn take(class: usize) -> Option<Cell> {
        let taken = MAGAZINES.try_with(|all| all.get(class).map(Magazine::take));
        match taken {
            Ok(Some(cell)) => cell,
            // A large cell, or a thread whose locals are gone.
            _ => DEPOTS[class].take_one(),
        }
    }

    pub(super) fn put(class: usize, cell: Cell) {
        let put = MAGAZINES.try_with(|all| all.get(class).map(|magazine| magazine.put(cell)));
        if !matches!(put, Ok(Some(()))) {
            DEPOTS[class].put_one(cell);
        }
    }
}

#[cfg(any(loom, shuttle))]
mod magazines {
    use super::{Cell, DEPOTS};

    pub(super) fn take(class: usize) -> Option<Cell> {
        DEPOTS[class].take_one()
    }

    pub(super) fn put(class: usize, cell: Cell) {
        DEPOTS[class].put_one(cell);
    }
}

/// The smallest class with at least `wanted` slots.
fn class_for(wanted: usize) -> Option<usize> {
    (0..CLASSES).find(|&class| slots(class) >= wanted)
}

/// A free cell with at least `wanted` slots, which is the caller's; `None` when it cannot be had.
pub(super) fn take(wanted: usize) -> Option<Cell> {
    let class = class_for(wanted)?;
    magazines::take(class).or_else(|| grow(class))
}

/// Makes cells. Returns one; the others are in the depot.
#[cold]
fn grow(class: usize) -> Option<Cell> {
    let (slots, cells) = (slots(class), &CELLS[class]);
    let count = (MAX_CHUNK / super::cell::bytes(slots))
        .min(cells.load(Ordering::Relaxed))
        .max(1);
    // Held only by threads that grow a pool. Not in a model, which has no leak checker.
    let mut chunks = (!cfg!(loom)).then(|| CHUNKS.lock());
    if let Some(chunks) = &mut chunks {
        chunks.try_reserve(1).ok()?;
    }
    let (mut first, mut chain) = (None, Chain::EMPTY);
    Cell::allocate(slots, count, |cell| {
        if first.is_none() {
            first = Some(cell);
            return;
        }
        if chain.len() == BATCH {
            DEPOTS[class].put(std::mem::replace(&mut chain, Chain::EMPTY));
        }
        chain.push(cell);
    })?;
    DEPOTS[class].put(chain);
    cells.fetch_add(count, Ordering::Relaxed);
    if let Some(chunks) = &mut chunks {
        chunks.extend(first);
    }
    first
}

/// Takes a cell back, which the caller owned and gives up.
pub(super) fn put(cell: Cell) {
    cell.give_back_pages();
    let class = class_for(cell.capacity()).expect("every cell is of a class");
    magazines::put(class, cell);
}

/// A free cell keeps its links where a writer keeps what it knows; a writer begins with a new state.
impl Linked for Cell {
    fn next(self) -> Option<Self> {
        // SAFETY: (13) the pool sees to it that one thread has a free cell; it is free, so its owner's
        // state is the pool's, and holds what `set_next` has put there.
        unsafe {
            let links = self.owned();
            Cell::at(join(links.end, links.first))
        }
    }

    fn set_next(self, next: Option<Self>) {
        // SAFETY: (13) as above.
        let links = unsafe { self.owned() };
        (links.end, links.first) = split(next);
    }

    fn next_batch(self) -> Option<Self> {
        // SAFETY: (13) as above, of `set_next_batch`.
        unsafe {
            let links = self.owned();
            Cell::at(join(links.alive, links.dead))
        }
    }

    fn set_next_batch(self, next: Option<Self>) {
        // SAFETY: (13) as above.
        let links = unsafe { self.owned() };
        (links.alive, links.dead) = split(next);
    }
}

/// The two halves of a cell's address; 0 of none.
fn split(cell: Option<Cell>) -> (u32, u32) {
    let address = cell.map_or(0, Cell::address) as u64;
    (address as u32, (address >> 32) as u32)
}

/// The address of which these are the halves.
fn join(low: u32, high: u32) -> usize {
    (u64::from(high) << 32 | u64::from(low)) as usize
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use resv_core::{Backend, Budget, Entry, Timeline, Usage, UsageSet};

    /// Each of 100 threads takes more cells of a class than a thread keeps, gives them back and ends: all
    /// use the cells of the first. Large cells lie in the depot all the time.
    #[test]
    fn b8_threads_that_come_and_go_need_no_new_cells() {
        for class in [2, 4] {
            let made = || CELLS[class].load(Ordering::Relaxed);
            let before = made();
            for _ in 0..100 {
                std::thread::spawn(move || {
                    let cells: Vec<Cell> = (0..30).filter_map(|_| take(slots(class))).collect();
                    assert_eq!(cells.len(), 30);
                    cells.into_iter().for_each(put);
                })
                .join()
                .expect("it does not fail");
            }
            // Other tests take some meanwhile. A leak makes 3,000, and what a thread keeps 1,400.
            assert!(made() - before < 400, "{}", made() - before);
        }
    }

    /// A predicate that panics while a cell is filled costs no cell.
    #[test]
    fn b3_a_panic_while_a_cell_is_filled_keeps_none() {
        let made = || {
            CELLS
                .iter()
                .map(|cells| cells.load(Ordering::Relaxed))
                .sum::<usize>()
        };
        let object = crate::RcuArray::<crate::Stable>::default();
        let line = Timeline::new("t");
        let jobs: Vec<_> = (0..slots(0))
            .map(|_| line.issue().expect("seqnos are left"))
            .collect();
        let mut held = object.object_lock().lock();
        object
            .reserve(
                &mut held,
                Budget {
                    adds: jobs.len(),
                    publishes: 1,
                },
            )
            .expect("memory");
        for job in &jobs {
            let (fence, usage) = (job.fence().clone(), Usage::Read);
            object.edit(&mut held, |_| false, Some(Entry { fence, usage }));
        }
        object.finish(&mut held);
        let before = made();
        for _ in 0..3_000 {
            let prepare =
                || object.prepare(&mut held, UsageSet::EMPTY, |_, _| Ok(()), |_| panic!());
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(prepare)).expect_err("it panics");
        }
        // Other tests take some meanwhile.
        assert!(made() - before < 1_000, "{}", made() - before);
    }
}
