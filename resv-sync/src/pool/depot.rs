//! The cells that no thread has.

use super::{BATCH, Defect, Seam};
use crate::sync::Mutex;
use std::fmt;

/// A handle of a cell, with two links in the cell. While the cell is free they belong to its pool.
///
/// A handle is a promise that the memory lives. What the links hold while the cell is in use is of no
/// interest to a pool; it reads only what it has written since the cell was freed.
pub trait Linked: Copy {
    /// The next cell of the chain.
    fn next(self) -> Option<Self>;

    /// Sets what [`next`](Linked::next) returns.
    fn set_next(self, next: Option<Self>);

    /// The first cell of the next batch, of the first cell of a batch.
    fn next_batch(self) -> Option<Self>;

    /// Sets what [`next_batch`](Linked::next_batch) returns.
    fn set_next_batch(self, next: Option<Self>);
}

/// Free cells, the last one freed first.
#[derive(Clone, Copy)]
pub struct Chain<C> {
    pub(super) first: Option<C>,
    pub(super) len: usize,
}

impl<C: Linked> Chain<C> {
    /// No cells.
    pub const EMPTY: Chain<C> = Chain {
        first: None,
        len: 0,
    };

    /// `len` cells, which `first` leads through by their links; the last one leads nowhere.
    #[inline]
    pub fn of(first: C, len: usize) -> Chain<C> {
        Chain {
            first: Some(first),
            len,
        }
    }

    /// How many cells there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Takes the cell that was put last.
    #[inline]
    pub fn pop(&mut self) -> Option<C> {
        let cell = self.first?;
        self.first = cell.next();
        self.len -= 1;
        Some(cell)
    }

    /// Puts a cell, which the caller has and gives up.
    #[inline]
    pub fn push(&mut self, cell: C) {
        cell.set_next(self.first);
        self.first = Some(cell);
        self.len += 1;
    }
}

/// The cells of a pool that no thread has: full batches, and fewer cells than a batch.
pub struct Depot<C> {
    lists: Mutex<Lists<C>>,
    batch: usize,
    pub(super) seam: Seam,
}

struct Lists<C> {
    /// The first cell of the first batch. Each batch is a full chain.
    batches: Option<C>,
    /// Fewer cells than a batch.
    loose: Chain<C>,
}

impl<C: Linked> Lists<C> {
    const EMPTY: Lists<C> = Lists {
        batches: None,
        loose: Chain::EMPTY,
    };

    fn put_batch(&mut self, first: C) {
        first.set_next_batch(self.batches);
        self.batches = Some(first);
    }

    fn put(&mut self, cell: C, batch: usize) {
        self.loose.push(cell);
        if self.loose.len == batch
            && let Some(first) = self.loose.first
        {
            self.loose = Chain::EMPTY;
            self.put_batch(first);
        }
    }

    /// What there is to take: a batch, if there is one, or else the loose cells.
    fn next(&self, batch: usize) -> Chain<C> {
        match self.batches {
            Some(first) => Chain {
                first: Some(first),
                len: batch,
            },
            None => self.loose,
        }
    }

    fn remove_next(&mut self) {
        match self.batches {
            Some(first) => self.batches = first.next_batch(),
            None => self.loose = Chain::EMPTY,
        }
    }
}

impl<C: Linked> Depot<C> {
    /// An empty one that exchanges [`BATCH`] cells at a time.
    #[cfg(not(loom))]
    pub const fn new() -> Depot<C> {
        Depot::of_batch(BATCH)
    }

    /// An empty one that exchanges [`BATCH`] cells at a time.
    #[cfg(loom)]
    pub fn new() -> Depot<C> {
        Depot::of_batch(BATCH)
    }

    /// An empty one that exchanges `batch` cells at a time, at least one.
    #[cfg(not(loom))]
    pub const fn of_batch(batch: usize) -> Depot<C> {
        assert!(batch > 0, "a batch has cells");
        Depot {
            lists: Mutex::new(Lists::EMPTY),
            batch,
            seam: Seam::SOUND,
        }
    }

    /// An empty one that exchanges `batch` cells at a time, at least one.
    #[cfg(loom)]
    pub fn of_batch(batch: usize) -> Depot<C> {
        assert!(batch > 0, "a batch has cells");
        Depot {
            lists: Mutex::new(Lists::EMPTY),
            batch,
            seam: Seam::SOUND,
        }
    }

    /// How many cells are exchanged at a time.
    #[inline]
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Takes a batch, or what there is; empty if that is nothing.
    #[cold]
    pub fn take(&self) -> Chain<C> {
        let mut lists = self.lists.lock();
        let chain = lists.next(self.batch);
        if self.seam.has(Defect::TakesInTwoSteps) {
            drop(lists);
            lists = self.lists.lock();
        }
        lists.remove_next();
        chain
    }

    /// Takes one cell.
    #[cold]
    pub fn take_one(&self) -> Option<C> {
        let mut lists = self.lists.lock();
        if lists.loose.is_empty() {
            lists.loose = lists.next(self.batch);
            if !lists.loose.is_empty() {
                lists.batches = lists.batches.and_then(C::next_batch);
            }
        }
        lists.loose.pop()
    }

    /// Puts cells, which the caller has and gives up: in one step if that is a batch.
    #[cold]
    pub fn put(&self, mut chain: Chain<C>) {
        if chain.is_empty() {
            return;
        }
        let mut lists = self.lists.lock();
        match chain.first {
            Some(first) if chain.len == self.batch => lists.put_batch(first),
            _ => {
                while let Some(cell) = chain.pop() {
                    lists.put(cell, self.batch);
                }
            }
        }
    }

    /// Puts a cell, which the caller has and gives up.
    #[cold]
    pub fn put_one(&self, cell: C) {
        self.lists.lock().put(cell, self.batch);
    }

    /// How many cells there are: looks at each batch. Meant for diagnostics.
    pub fn count(&self) -> usize {
        let lists = self.lists.lock();
        let batches = std::iter::successors(lists.batches, |first| first.next_batch());
        batches.count() * self.batch + lists.loose.len
    }
}

impl<C: Linked> Default for Depot<C> {
    fn default() -> Self {
        Depot::new()
    }
}

impl<C> fmt::Debug for Depot<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Depot")
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
