//! Who owns an array: one builder that may change it, or any number of references that may not.
//!
//! ```text
//!   pool ---> Builder  --- published ---> ArrayRef, ArrayRef, the object's own reference
//!     ^          |                              | the last one dropped, or claimed by the publisher
//!     +----------+------------------------------+
//! ```

use super::cell::{ArrayCell, Owned};
use super::{Role, pool};
use resv_core::Entry;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr;

/// A cell that is no array: its entries may change, within its capacity.
///
/// The first of the entries may be *borrowed*: they are also in the published array, which owns the
/// references. [`Object::publish`](super::Object::publish) moves the references over, or takes new ones.
pub(crate) struct Builder {
    cell: ArrayCell,
}

impl Builder {
    /// An empty builder with memory for at least `capacity` entries; `None` when it cannot be had.
    pub(crate) fn with_capacity(capacity: usize) -> Option<Builder> {
        pool::take(capacity)
    }

    /// The builder of a cell whose first `len` entries are initialised and owned.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which is no array, and gives it up to the builder.
    pub(super) unsafe fn of(cell: ArrayCell, len: usize) -> Builder {
        let mut builder = Builder { cell };
        let owned = builder.owned_mut();
        owned.len = len as u32;
        owned.borrowed = 0;
        owned.role = Role::Cached;
        builder
    }

    fn owned(&self) -> &Owned {
        // SAFETY: the builder owns the cell, and is borrowed as long as the result.
        unsafe { self.cell.owned_ref() }
    }

    fn owned_mut(&mut self) -> &mut Owned {
        // SAFETY: as above.
        unsafe { self.cell.owned() }
    }

    /// How many entries there is memory for.
    pub(crate) fn capacity(&self) -> usize {
        self.cell.capacity()
    }

    pub(crate) fn role(&self) -> Role {
        self.owned().role
    }

    pub(crate) fn set_role(&mut self, role: Role) {
        self.owned_mut().role = role;
    }

    pub(super) fn borrowed(&self) -> usize {
        self.owned().borrowed as usize
    }

    /// Puts those of `published` that `keep` names into this empty builder, without taking references. A
    /// panic in `keep` leaves it empty.
    ///
    /// # Panics
    ///
    /// When it is not empty, or there is no memory for them.
    pub(crate) fn borrow_from(
        &mut self,
        published: &[Entry],
        mut keep: impl FnMut(&Entry) -> bool,
    ) {
        assert!(self.is_empty(), "only the first entries are borrowed");
        let (capacity, entries) = (self.capacity(), self.cell.entries());
        let mut len = 0;
        for entry in published {
            if keep(entry) {
                assert!(len < capacity, "the array is full");
                self.cell.model().write();
                // SAFETY: the builder owns the cell and there is memory at `len`. A copy of the bytes is
                // a second handle for one reference; `borrowed` below sees to it that it is not dropped.
                unsafe { ptr::copy_nonoverlapping(entry, entries.add(len), 1) };
                len += 1;
            }
        }
        let owned = self.owned_mut();
        owned.len = len as u32;
        owned.borrowed = len as u32;
    }

    /// Appends an entry.
    ///
    /// # Panics
    ///
    /// When there is no memory for it.
    pub(crate) fn push(&mut self, entry: Entry) {
        let len = self.len();
        assert!(len < self.capacity(), "the array is full");
        self.cell.model().write();
        // SAFETY: the builder owns the cell and there is memory for an entry behind the last.
        unsafe { self.cell.entries().add(len).write(entry) };
        self.owned_mut().len = len as u32 + 1;
    }

    /// Keeps the entries that `keep` names, in their order, and drops the others after the last one was
    /// judged. A panic in `keep` changes nothing.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        let len = self.len();
        let mut goes = 0;
        for (at, entry) in self.iter().enumerate() {
            let flag = !keep(entry);
            self.cell.scribble(at, flag);
            goes += usize::from(flag);
        }
        if goes == 0 {
            return;
        }
        self.cell.model().write();
        let (borrowed, entries) = (self.borrowed(), self.cell.entries());
        // SAFETY: the builder owns the cell, and no code of others runs before the bookkeeping is
        // right again. Borrowed entries that go are overwritten: their references are not ours. Of the
        // owned ones those that go are swapped behind those that stay, are outside the array before
        // the first is dropped, and so are dropped once.
        unsafe {
            let mut kept = 0;
            for at in (0..borrowed).filter(|&at| !self.cell.scribbled(at)) {
                ptr::copy(entries.add(at), entries.add(kept), 1);
                kept += 1;
            }
            let mut end = borrowed;
            for at in (borrowed..len).filter(|&at| !self.cell.scribbled(at)) {
                ptr::swap(entries.add(end), entries.add(at));
                end += 1;
            }
            ptr::copy(entries.add(borrowed), entries.add(kept), end - borrowed);
            let owned = self.owned_mut();
            owned.borrowed = kept as u32;
            owned.len = (kept + end - borrowed) as u32;
            ptr::drop_in_place(ptr::slice_from_raw_parts_mut(entries.add(end), len - end));
        }
    }

    /// Moves everything, borrowed entries included, into this empty builder; `other` is empty then.
    ///
    /// # Panics
    ///
    /// When it is not empty, or there is no memory for it.
    pub(crate) fn take_all(&mut self, other: &mut Builder) {
        assert!(self.is_empty(), "only the first entries are borrowed");
        assert!(other.len() <= self.capacity(), "the array is full");
        self.cell.model().write();
        let theirs = other.owned_mut();
        let (len, borrowed) = (theirs.len, theirs.borrowed);
        (theirs.len, theirs.borrowed) = (0, 0);
        // SAFETY: two builders own two cells; `other` no longer counts what is moved out of it.
        unsafe {
            ptr::copy_nonoverlapping(other.cell.entries(), self.cell.entries(), len as usize);
        }
        let owned = self.owned_mut();
        (owned.len, owned.borrowed) = (len, borrowed);
    }

    /// Drops the entries that are owned and forgets those that are borrowed.
    pub(crate) fn clear(&mut self) {
        let (len, borrowed) = (self.len(), self.borrowed());
        if len == 0 {
            return;
        }
        self.cell.model().write();
        let owned = self.owned_mut();
        (owned.len, owned.borrowed) = (0, 0);
        // SAFETY: the builder owns the cell; these entries are initialised, owned, and no longer
        // counted, so they are dropped once.
        unsafe {
            let first = self.cell.entries().add(borrowed);
            ptr::drop_in_place(ptr::slice_from_raw_parts_mut(first, len - borrowed));
        }
    }

    /// Makes the builder an array with one reference, which is the result. Also returns which usages
    /// there are, a bit each.
    pub(super) fn seal(self) -> (ArrayRef, u8) {
        let len = self.len();
        let cell = ManuallyDrop::new(self).cell;
        // SAFETY: the builder owned the cell, and its first `len` entries are initialised.
        let usages = unsafe { cell.seal(len) };
        (ArrayRef { cell }, usages)
    }

    /// Takes what a new array has borrowed away from this one, the array that it was borrowed from, so
    /// that the new one owns it.
    ///
    /// Both have those entries in the same order.
    pub(super) fn moved_to(&mut self, new: &[Entry]) {
        self.cell.model().write();
        let (len, entries) = (self.len(), self.cell.entries());
        let (mut kept, mut moved) = (0, 0);
        for at in 0..len {
            // SAFETY: the builder owns the cell, `kept <= at < len`; what is moved is overwritten or
            // behind the new length, and not dropped.
            unsafe {
                if new.get(moved) == Some(&*entries.add(at)) {
                    moved += 1;
                } else {
                    ptr::copy(entries.add(at), entries.add(kept), 1);
                    kept += 1;
                }
            }
        }
        debug_assert_eq!(moved, new.len(), "borrowed entries keep their order");
        self.owned_mut().len = kept as u32;
    }
}

impl Deref for Builder {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        self.cell.model().read();
        // SAFETY: the builder owns the cell; `len` entries are initialised.
        unsafe { std::slice::from_raw_parts(self.cell.entries(), self.owned().len as usize) }
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        /// Gives the cell back, even when dropping an entry panics.
        struct Back(ArrayCell);
        impl Drop for Back {
            fn drop(&mut self) {
                // SAFETY: the builder that is dropped owned the cell, and has emptied it.
                unsafe { pool::put(self.0) };
            }
        }
        let _back = Back(self.cell);
        self.clear();
    }
}

/// A list of builders, in a word; last in, first out.
#[derive(Default)]
pub(crate) struct Spares {
    first: Option<Builder>,
}

impl Spares {
    pub(crate) fn push(&mut self, mut builder: Builder) {
        let next = self.first.take().map(|first| ManuallyDrop::new(first).cell);
        builder.owned_mut().next = next;
        self.first = Some(builder);
    }

    pub(crate) fn pop(&mut self) -> Option<Builder> {
        let mut first = self.first.take()?;
        let next = first.owned_mut().next.take();
        self.first = next.map(|cell| Builder { cell });
        Some(first)
    }

    /// The builder in which edits are made, which is always the first.
    pub(crate) fn staged(&self) -> Option<&Builder> {
        self.first().filter(|first| first.role() == Role::Staged)
    }

    pub(crate) fn first(&self) -> Option<&Builder> {
        self.first.as_ref()
    }

    pub(crate) fn first_mut(&mut self) -> Option<&mut Builder> {
        self.first.as_mut()
    }

    /// Takes out the builder in which edits are made.
    pub(crate) fn take_staged(&mut self) -> Option<Builder> {
        self.staged()?;
        self.pop()
    }

    /// How many of the builders `which` names by role and capacity.
    pub(crate) fn count(&self, which: impl Fn(Role, usize) -> bool) -> usize {
        let mut count = 0;
        let mut at = self.first.as_ref().map(|first| first.cell);
        while let Some(cell) = at {
            // SAFETY: the list owns its builders, hence the cell; it is borrowed meanwhile.
            let owned = unsafe { cell.owned_ref() };
            count += usize::from(which(owned.role, cell.capacity()));
            at = owned.next;
        }
        count
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// One reference to an array, which does not change while there is one.
pub struct ArrayRef {
    cell: ArrayCell,
}

impl ArrayRef {
    /// A reference to the array that is in `cell` now, if there is one.
    #[inline]
    pub(crate) fn acquire(cell: ArrayCell) -> Option<ArrayRef> {
        let was_there = cell.acquire();
        let counted = ArrayRef { cell };
        // If there was none, what was counted is dropped like any reference.
        was_there.then_some(counted)
    }

    /// The handle of a reference that somebody kept.
    ///
    /// # Safety
    ///
    /// The caller owns a reference to the array in `cell` and gives it up.
    pub(super) unsafe fn from_cell(cell: ArrayCell) -> ArrayRef {
        ArrayRef { cell }
    }

    /// Where the array is.
    #[inline]
    pub(crate) fn cell(&self) -> ArrayCell {
        self.cell
    }
}

impl Deref for ArrayRef {
    type Target = [Entry];

    #[inline]
    fn deref(&self) -> &[Entry] {
        self.cell.model().read();
        // SAFETY: a reference keeps the array from being changed or emptied; the Acquire increment or
        // the handing over of the handle orders the entries before this.
        unsafe { std::slice::from_raw_parts(self.cell.entries(), self.cell.len()) }
    }
}

impl Clone for ArrayRef {
    #[inline]
    fn clone(&self) -> ArrayRef {
        let counted = self.cell.acquire();
        debug_assert!(counted, "a reference keeps the array");
        ArrayRef { cell: self.cell }
    }
}

impl Drop for ArrayRef {
    #[inline]
    fn drop(&mut self) {
        if self.cell.release() {
            // SAFETY: the last reference is gone and no new one can be had, so the cell is ours.
            drop(unsafe { end(self.cell) });
        }
    }
}

/// Ends the array: the builder owns its entries.
///
/// # Safety
///
/// The caller owns the cell, which holds an array without references.
pub(super) unsafe fn end(cell: ArrayCell) -> Builder {
    cell.end();
    // SAFETY: the caller's promise; an array's first `len` entries are initialised and its own.
    unsafe { Builder::of(cell, cell.len()) }
}

// SAFETY: a builder owns its entries as a `Vec<Entry>` would.
unsafe impl Send for Builder where Entry: Send {}
// SAFETY: a shared builder shows `&[Entry]` and numbers.
unsafe impl Sync for Builder where Entry: Sync {}
// SAFETY: several threads may read the entries and drop the last reference, as with `Arc<[Entry]>`.
unsafe impl Send for ArrayRef where Entry: Send + Sync {}
// SAFETY: as for `Send`.
unsafe impl Sync for ArrayRef where Entry: Send + Sync {}
