//! loom models of magazines over a depot, on the real code. `scripts/loom` runs them.
//!
//! What a model asks for: at the end every cell is in the depot, once. What loom asks for: no cell is used
//! by two threads, and the use of a cell comes after all that was done to it before it was freed.

use super::*;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::cell::Cell;
use std::collections::HashSet;

struct Place {
    next: Cell<Option<Handle>>,
    next_batch: Cell<Option<Handle>>,
    /// Written with every use of the cell or of its links: loom finds uses that are not ordered.
    used: UnsafeCell<()>,
}

#[derive(Clone, Copy)]
struct Handle(&'static Place);

// SAFETY: in a sound pool a thread that has a cell is the only one; in another one loom says so before a
// link is touched, and links are plain values.
#[allow(unsafe_code)]
unsafe impl Send for Handle {}

impl Handle {
    fn make() -> Handle {
        Handle(Box::leak(Box::new(Place {
            next: Cell::new(None),
            next_batch: Cell::new(None),
            used: UnsafeCell::new(()),
        })))
    }

    fn is_used(self) {
        self.0.used.with_mut(|_| ());
    }
}

impl Linked for Handle {
    fn next(self) -> Option<Self> {
        self.is_used();
        self.0.next.get()
    }

    fn set_next(self, next: Option<Self>) {
        self.is_used();
        self.0.next.set(next);
    }

    fn next_batch(self) -> Option<Self> {
        self.is_used();
        self.0.next_batch.get()
    }

    fn set_next_batch(self, next: Option<Self>) {
        self.is_used();
        self.0.next_batch.set(next);
    }
}

/// A depot with `cells` cells, in batches of `batch`.
fn depot(batch: usize, cells: usize, seam: Seam) -> Arc<Depot<Handle>> {
    let mut depot = Depot::of_batch(batch);
    depot.seam = seam;
    for _ in 0..cells {
        depot.put_one(Handle::make());
    }
    Arc::new(depot)
}

/// Takes `takes` cells, uses them and frees them; frees one more that it has made before.
fn works(depot: Arc<Depot<Handle>>, takes: usize) {
    let magazine = Magazine::new(depot);
    let mut taken: Vec<_> = (0..takes).filter_map(|_| magazine.take()).collect();
    taken.iter().for_each(|cell| cell.is_used());
    taken.drain(..).for_each(|cell| magazine.put(cell));
    if let Some(cell) = magazine.take() {
        cell.is_used();
        magazine.put(cell);
    }
}

/// Two threads that come and go over one depot.
fn come_and_go(batch: usize, cells: usize, takes: [usize; 2], seam: Seam) {
    loom::model(move || {
        let depot = depot(batch, cells, seam);
        let other = thread::spawn({
            let depot = Arc::clone(&depot);
            move || works(depot, takes[1])
        });
        works(Arc::clone(&depot), takes[0]);
        other.join().unwrap();
        let mut left = HashSet::new();
        while let Some(cell) = depot.take_one() {
            cell.is_used();
            assert!(left.insert(std::ptr::from_ref(cell.0).addr()), "twice");
        }
        assert_eq!(left.len(), cells, "what two threads gave back");
    });
}

#[test]
fn b8_every_cell_comes_back_once() {
    come_and_go(1, 3, [2, 3], Seam::SOUND);
}

#[test]
fn b8_batches_and_loose_cells_come_back() {
    come_and_go(2, 3, [3, 1], Seam::SOUND);
}

#[test]
#[should_panic]
fn h_01_known_bad_taking_in_two_steps() {
    come_and_go(1, 3, [1, 1], Seam::planted(Defect::TakesInTwoSteps));
}

#[test]
#[should_panic]
fn h_01_known_bad_keeping_what_was_given() {
    come_and_go(1, 3, [3, 1], Seam::planted(Defect::KeepsWhatItGave));
}

#[test]
#[should_panic]
fn b8_known_bad_ending_with_one_chain() {
    come_and_go(1, 3, [2, 1], Seam::planted(Defect::EndsWithOneChain));
}
