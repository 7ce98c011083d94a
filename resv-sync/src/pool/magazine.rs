//! The free cells of one thread.

use super::{Chain, Defect, Depot, Linked};
use std::cell::Cell;
use std::ops::Deref;

/// Two chains of free cells of one thread, each a batch at most. What it has when it is dropped goes to the
/// depot.
///
/// With one chain, a thread that takes and frees a cell in turn just where the chain ends would go to the
/// depot every time. With two it goes there once for a batch of cells.
///
/// `D` leads to the depot: a reference, or an `Arc`.
pub struct Magazine<C: Linked, D: Deref<Target = Depot<C>>> {
    /// The chain in use.
    current: Cell<Chain<C>>,
    /// Empty, or a batch.
    other: Cell<Chain<C>>,
    depot: D,
}

impl<C: Linked, D: Deref<Target = Depot<C>>> Magazine<C, D> {
    /// An empty one.
    pub const fn new(depot: D) -> Self {
        Magazine {
            current: Cell::new(Chain::EMPTY),
            other: Cell::new(Chain::EMPTY),
            depot,
        }
    }

    /// Takes a cell; `None` if neither the thread nor the depot has one.
    #[inline]
    pub fn take(&self) -> Option<C> {
        let mut chain = self.current.get();
        if chain.is_empty() {
            chain = self.refill();
        }
        let cell = chain.pop();
        self.current.set(chain);
        cell
    }

    /// Another chain to take from, in the place of the empty one.
    #[cold]
    #[inline(never)]
    fn refill(&self) -> Chain<C> {
        let other = self.other.replace(Chain::EMPTY);
        if other.is_empty() {
            self.depot.take()
        } else {
            other
        }
    }

    /// Puts a cell, which the caller has and gives up.
    #[inline]
    pub fn put(&self, cell: C) {
        let mut chain = self.current.get();
        if chain.len() >= self.depot.batch() {
            chain = self.make_room(chain);
        }
        chain.push(cell);
        self.current.set(chain);
    }

    /// Puts `len` cells, which the caller has and gives up: `first` leads to `last` by their links, and where
    /// `last` leads does not matter. In one step if there is room for them in the chain.
    #[inline]
    pub fn put_all(&self, first: C, last: C, len: usize) {
        let chain = self.current.get();
        if chain.len() + len <= self.depot.batch() {
            last.set_next(chain.first);
            self.current.set(Chain::of(first, chain.len() + len));
        } else {
            self.put_beyond(first, last, len);
        }
    }

    /// The same if they are more than there is room for: looks at those for which there is room.
    #[cold]
    #[inline(never)]
    fn put_beyond(&self, mut first: C, last: C, mut len: usize) {
        while self.current.get().len() + len > self.depot.batch() {
            let room = self.depot.batch() - self.current.get().len();
            for _ in 0..room {
                let next = first.next();
                self.put(first);
                let Some(next) = next else { return };
                first = next;
            }
            len -= room;
            let empty = self.make_room(self.current.get());
            self.current.set(empty);
        }
        self.put_all(first, last, len);
    }

    /// Another chain to put to, in the place of the full one.
    #[cold]
    #[inline(never)]
    fn make_room(&self, full: Chain<C>) -> Chain<C> {
        let other = self.other.replace(full);
        if !other.is_empty() {
            self.depot.put(other);
            if self.depot.seam.has(Defect::KeepsWhatItGave) {
                return other;
            }
        }
        Chain::EMPTY
    }

    /// Puts cells that the caller has just made, to be taken before all others.
    ///
    /// # Panics
    ///
    /// When there are more than a batch, or there are cells to take.
    pub fn supply(&self, chain: Chain<C>) {
        assert!(chain.len() <= self.depot.batch(), "a batch at most");
        let before = self.current.replace(chain);
        assert!(before.is_empty(), "supplied with cells left");
    }

    /// How many cells it has.
    pub fn count(&self) -> usize {
        self.current.get().len() + self.other.get().len()
    }
}

impl<C: Linked, D: Deref<Target = Depot<C>>> Drop for Magazine<C, D> {
    fn drop(&mut self) {
        let other = self.other.get();
        if !self.depot.seam.has(Defect::EndsWithOneChain) {
            self.depot.put(other);
        }
        self.depot.put(self.current.get());
    }
}
