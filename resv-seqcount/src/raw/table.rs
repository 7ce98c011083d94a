//! Slot tables, and the list of all tables that an object has had.
//!
//! # Reclamation
//!
//! An object that outgrows its table gets one of at least twice the size. A reader may still be in
//! the old one, so it stays; it is freed with the object, when there is no reader: dropping needs
//! `&mut`. As sizes double, all retired tables together have fewer slots than the current one, so
//! the garbage is bounded by the live memory, with no epochs and at no cost to readers.
//!
//! Slots of a retired table keep their words but own nothing. A reader that still reads them fails
//! its check of the sequence counter, as the change of table is made in a write section.

use super::slot::Slot;
use crate::counter::Protocol;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, load_own, load_own_ptr};
use resv_core::ReserveError;
use std::fmt;

/// A table of slots, of which the first [`len`](Table::len) are in use.
pub(crate) struct Table {
    slots: Box<[Slot]>,
    len: AtomicUsize,
    /// The table before this one; owned.
    older: *mut Table,
}

/// A table that is not in an object yet.
pub(crate) struct NewTable(Vec<Table>);

impl NewTable {
    /// An empty table with `capacity` slots.
    ///
    /// # Errors
    ///
    /// When memory cannot be had.
    pub(crate) fn with_capacity(capacity: usize) -> Result<NewTable, ReserveError> {
        let error = |_| ReserveError::new(capacity);
        // Vectors, because they are what can fail: a box of one table is a vector of one table.
        let mut table = Vec::new();
        table.try_reserve_exact(1).map_err(error)?;
        let mut slots = Vec::new();
        slots.try_reserve_exact(capacity).map_err(error)?;
        slots.resize_with(capacity, Slot::empty);
        table.push(Table {
            slots: slots.into_boxed_slice(),
            len: AtomicUsize::new(0),
            older: std::ptr::null_mut(),
        });
        Ok(NewTable(table))
    }

    pub(crate) fn table(&self) -> &Table {
        &self.0[0]
    }
}

impl Table {
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How many slots are in use; never more than there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Acquire: pairs with the Release store in `set_len` (`counter.rs`, b).
        self.len.load(Ordering::Acquire)
    }

    /// The slots in use, for the holder of the object's lock.
    pub(crate) fn used_held(&self) -> &[Slot] {
        &self.slots[..load_own(&self.len)]
    }

    /// Changes the number of slots in use.
    pub(crate) fn set_len<P: Protocol>(&self, len: usize) {
        debug_assert!(len <= self.capacity());
        // Release: pairs with the Acquire load in `len`.
        self.len.store(len, P::DATA_STORE);
    }

    pub(crate) fn slot(&self, index: usize) -> &Slot {
        &self.slots[index]
    }

    /// The slots in use.
    #[inline]
    pub(crate) fn used(&self) -> &[Slot] {
        &self.slots[..self.len()]
    }
}

/// The tables of one object: the current one, and behind it those it has outgrown.
pub(crate) struct Tables {
    current: AtomicPtr<Table>,
}

// SAFETY: the raw pointers lead to tables that this list owns. Shared access reads atomics only;
// `push` is called by the holder of the object's lock (its caller's duty is only about the order of
// tables: `push` swaps an atomic pointer and frees nothing).
unsafe impl Send for Tables {}
// SAFETY: as above.
unsafe impl Sync for Tables {}

impl Tables {
    pub(crate) fn new() -> Tables {
        Tables {
            current: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The current table, if there is one yet.
    #[inline]
    pub(crate) fn current(&self) -> Option<&Table> {
        // Acquire: pairs with the Release store in `push`: the table is initialised.
        let table = self.current.load(Ordering::Acquire);
        // SAFETY: a non-null pointer leads to a table that `push` made current. Tables are freed in
        // `drop` only, which has `&mut self`, so not while the result is borrowed from `&self`.
        unsafe { table.cast_const().as_ref() }
    }

    /// The current table, for the holder of the object's lock.
    pub(crate) fn current_held(&self) -> Option<&Table> {
        // SAFETY: as in `current`; only the holder makes a table current.
        unsafe { load_own_ptr(&self.current).cast_const().as_ref() }
    }

    /// Makes `new` current and keeps the old one behind it. Called by the holder of the object's
    /// lock, in a write section, so there is one caller at a time.
    pub(crate) fn push(&self, new: NewTable) {
        let mut boxed: Box<[Table]> = new.0.into_boxed_slice();
        boxed[0].older = load_own_ptr(&self.current);
        let table = Box::into_raw(boxed).cast::<Table>();
        // Release: pairs with the Acquire load in `current`.
        self.current.store(table, Ordering::Release);
    }

    /// How many tables have been outgrown.
    pub(crate) fn retired(&mut self) -> usize {
        let mut retired = 0;
        let mut table = self.current.load(Ordering::Relaxed);
        // SAFETY: as in `current`.
        while let Some(this) = unsafe { table.cast_const().as_ref() } {
            table = this.older;
            retired += usize::from(!table.is_null());
        }
        retired
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        let mut table = self.current.load(Ordering::Relaxed);
        while !table.is_null() {
            let boxed = std::ptr::slice_from_raw_parts_mut(table, 1);
            // SAFETY: `push` made this pointer from a box of a slice of one table, which this list
            // owns and frees here once, with no reader left (`&mut self`).
            let boxed = unsafe { Box::from_raw(boxed) };
            table = boxed[0].older;
        }
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.current();
        f.debug_struct("Tables")
            .field("capacity", &table.map_or(0, Table::capacity))
            .field("len", &table.map_or(0, Table::len))
            .finish()
    }
}
