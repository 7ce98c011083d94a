//! Slot tables, the list of all tables that an object has had, and the side with the first of them.
//!
//! A table is its head followed by its slots, so that a reader comes from the object to the slots in one
//! step. The first table is small and lies in the *side*, which an object gets with its first reservation;
//! each other one is an allocation of its own.
//!
//! # What a table owns
//!
//! A slot in use owns a reference. So do some slots *behind* those in use: what is staged, or what was
//! removed and is on its way out. No reader looks at those, except one that was overtaken, which throws
//! away what it saw. All other slots own nothing, whatever word is in them.
//!
//! # Reclamation
//!
//! An object that outgrows its table gets one of at least twice the size. A reader may still be in
//! the old one, so it stays; it is freed with the object, when there is no reader: dropping needs
//! `&mut`. As sizes double, all retired tables together have fewer slots than the current one, so
//! the garbage is bounded by the live memory, with no epochs and at no cost to readers.
//!
//! Slots of a retired table keep their words but own nothing. A reader that still reads them fails
//! its check of the sequence word, as the change of table is made in a write section. Not so the first
//! table, which is made current before there is anything in it: it shows what no table shows, nothing.

use super::once::OnceBox;
use crate::slot::Slot;
use resv_core::ReserveError;
use resv_sync::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, OwnerAccess};
use std::alloc::{Layout, alloc, dealloc};
use std::fmt;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr::NonNull;

/// The slots of the first table; in models few, so that growth is in reach of a model.
const FIRST: usize = if cfg!(any(loom, shuttle)) { 1 } else { 4 };

/// What stands before the slots of a table.
struct Head {
    /// How many slots are in use, never more than `capacity`.
    len: AtomicUsize,
    /// More than [`FIRST`], but in the first table.
    capacity: usize,
    /// How many slots behind those in use own a reference. Only the holder of the object's lock looks.
    behind: AtomicUsize,
    /// The table before this one; owned, unless it is the first.
    older: *mut Head,
}

impl Head {
    fn new(capacity: usize) -> Head {
        Head {
            len: AtomicUsize::new(0),
            capacity,
            behind: AtomicUsize::new(0),
            older: std::ptr::null_mut(),
        }
    }
}

/// The side of an object, and its first table.
#[repr(C)]
struct Side<T> {
    head: Head,
    slots: [Slot; FIRST],
    value: T,
}

/// The layout of a table, and where in it the slots begin; `None` when it is too large.
fn layout(capacity: usize) -> Option<(Layout, usize)> {
    let slots = Layout::array::<Slot>(capacity).ok()?;
    let (layout, offset) = Layout::new::<Head>().extend(slots).ok()?;
    Some((layout.pad_to_align(), offset))
}

/// Where the slots begin: the same for every capacity.
const SLOTS: usize = size_of::<Head>().next_multiple_of(align_of::<Slot>());

/// A table of slots, of which the first [`len`](Table::len) are in use.
///
/// A pointer that is good for `'a`, and not a reference: it leads to the slots too, which are behind
/// the head.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    head: NonNull<Head>,
    lives: PhantomData<&'a Head>,
}

impl<'a> Table<'a> {
    #[inline]
    fn head(self) -> &'a Head {
        // SAFETY: a `Table<'a>` is made only from a pointer to a table that is initialised, is not
        // freed during `'a`, and is not changed except through atomics (`NewTable::table`,
        // `Tables::current`).
        unsafe { self.head.as_ref() }
    }

    /// The first `len` slots.
    #[inline]
    fn first(self, len: usize) -> &'a [Slot] {
        // SAFETY: as in `head`; behind the head, in the same allocation, come `capacity` slots, all
        // initialised. `len` is a value of the field, and those are never more than `capacity`
        // (`set_len`).
        unsafe {
            let slots = self.head.byte_add(SLOTS).cast::<Slot>();
            std::slice::from_raw_parts(slots.as_ptr(), len)
        }
    }

    pub(crate) fn capacity(self) -> usize {
        self.head().capacity
    }

    /// How many slots are in use; never more than there are.
    #[inline]
    pub(crate) fn len(self) -> usize {
        // Acquire: pairs with the Release store in `set_len` (`counter.rs`, b).
        self.head().len.load(Ordering::Acquire)
    }

    /// The slots in use.
    #[inline]
    pub(crate) fn used(self) -> &'a [Slot] {
        self.first(self.len())
    }

    /// The slots in use, for the holder of the object's lock.
    #[inline]
    pub(crate) fn used_held(self) -> &'a [Slot] {
        self.first(self.head().len.load_own())
    }

    /// All slots, in use or not.
    #[inline]
    pub(crate) fn all(self) -> &'a [Slot] {
        self.first(self.capacity())
    }

    /// Changes the number of slots in use. `order` is Release: it pairs with the Acquire load in `len`.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    #[inline]
    pub(crate) fn set_len(self, len: usize, order: Ordering) {
        assert!(len <= self.capacity(), "a table with that many slots");
        self.head().len.store(len, order);
    }

    /// The slots behind those in use that own a reference; for the holder of the object's lock.
    pub(crate) fn behind(self) -> &'a [Slot] {
        let len = self.head().len.load_own();
        &self.all()[len..][..self.head().behind.load_own()]
    }

    /// Whether there are none.
    #[inline]
    pub(crate) fn has_none_behind(self) -> bool {
        self.head().behind.load_own() == 0
    }

    /// Changes how many there are. Relaxed: only holders of the object's lock look at that.
    pub(crate) fn set_behind(self, count: usize) {
        self.head().behind.store(count, Ordering::Relaxed);
    }

    /// Whether this is the first table of an object.
    pub(crate) fn is_first(self) -> bool {
        self.capacity() == FIRST
    }
}

/// A table that is not in an object yet; owned.
pub(crate) struct NewTable(NonNull<Head>);

impl NewTable {
    /// An empty table with `capacity` slots, more than [`FIRST`].
    ///
    /// # Errors
    ///
    /// When memory cannot be had.
    pub(crate) fn with_capacity(capacity: usize) -> Result<NewTable, ReserveError> {
        assert!(capacity > FIRST, "the first table is part of the side");
        let error = || ReserveError::new(capacity);
        let (layout, offset) = layout(capacity).ok_or_else(error)?;
        assert_eq!(offset, SLOTS, "slots begin where they are looked for");
        // SAFETY: the layout has the size of the head at least, so it is not zero.
        let memory = unsafe { alloc(layout) };
        let head = NonNull::new(memory.cast::<Head>()).ok_or_else(error)?;
        // SAFETY: the memory is fresh, and by its layout large enough and aligned for the head and,
        // from `SLOTS` on, for `capacity` slots.
        unsafe {
            head.write(Head::new(capacity));
            let slots = head.byte_add(SLOTS).cast::<Slot>();
            for index in 0..capacity {
                slots.add(index).write(Slot::empty());
            }
        }
        Ok(NewTable(head))
    }

    pub(crate) fn table(&self) -> Table<'_> {
        Table {
            head: self.0,
            lives: PhantomData,
        }
    }
}

impl Drop for NewTable {
    fn drop(&mut self) {
        let capacity = self.table().capacity();
        let (layout, _) = layout(capacity).expect("it was allocated with this layout");
        // SAFETY: this owns the table, which `with_capacity` allocated with this layout, and nobody
        // has a `Table` of it any more: those of `table` borrow from `self`, those of
        // `Tables::current` from a `Tables` that is being dropped. Slots are dropped first, then the
        // head, each once.
        unsafe {
            let slots = self.0.byte_add(SLOTS).cast::<Slot>();
            std::ptr::slice_from_raw_parts_mut(slots.as_ptr(), capacity).drop_in_place();
            self.0.drop_in_place();
            dealloc(self.0.cast().as_ptr(), layout);
        }
    }
}

/// The tables of one object, the current one and behind it those it has outgrown; and its side, which
/// holds a `T`.
pub(crate) struct Tables<T> {
    /// Null until there is a side.
    current: AtomicPtr<Head>,
    side: OnceBox<Side<T>>,
}

// SAFETY: the raw pointers lead to tables that this list owns. Shared access reads atomics only;
// `init` and `push` are called by the holder of the object's lock (its caller's duty is only about the order
// of tables: they swap an atomic pointer and free nothing). The value is sent and shared as by `OnceBox`.
unsafe impl<T: Send> Send for Tables<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Tables<T> {}

impl<T> Default for Tables<T> {
    fn default() -> Tables<T> {
        Tables {
            current: AtomicPtr::new(std::ptr::null_mut()),
            side: OnceBox::default(),
        }
    }
}

impl<T> Tables<T> {
    /// What is at a pointer of this list, for as long as the list is borrowed: tables are freed in
    /// `drop` only, which has `&mut self`, and the side with the first one after that.
    #[inline]
    fn at(&self, table: *mut Head) -> Option<Table<'_>> {
        NonNull::new(table).map(|head| Table {
            head,
            lives: PhantomData,
        })
    }

    /// The current table, if there is one yet.
    #[inline]
    pub(crate) fn current(&self) -> Option<Table<'_>> {
        // Acquire: pairs with the Release stores in `init` and `push`: the table is initialised.
        self.at(self.current.load(Ordering::Acquire))
    }

    /// The slots in use of the current table.
    #[inline]
    pub(crate) fn used(&self) -> &[Slot] {
        self.current().map_or(&[], Table::used)
    }

    /// The value in the side, if there is one yet.
    pub(crate) fn side(&self) -> Option<&T> {
        self.side.get().map(|side| &side.value)
    }

    /// The value in the side and the current table, for the holder of the object's lock: only the holder makes
    /// them.
    #[inline]
    pub(crate) fn held(&self) -> Option<(&T, Table<'_>)> {
        let table = self.at(self.current.load_own())?;
        Some((&self.side.get_held()?.value, table))
    }

    /// Makes the side, with `value` in it and the first table, and makes that current. Called by the holder of
    /// the object's lock, when there is none yet.
    ///
    /// # Errors
    ///
    /// When the memory cannot be had.
    #[cold]
    pub(crate) fn init(&self, value: T) -> Result<(&T, Table<'_>), ReserveError> {
        let side = self.side.init(Side {
            head: Head::new(FIRST),
            slots: std::array::from_fn(|_| Slot::empty()),
            value,
        })?;
        const {
            assert!(offset_of!(Side<T>, head) == 0 && offset_of!(Side<T>, slots) == SLOTS);
        }
        // A pointer to the side and not to the head, as it leads to the slots, too.
        let table = NonNull::from(side).cast::<Head>();
        // Release: pairs with the Acquire load in `current`.
        self.current.store(table.as_ptr(), Ordering::Release);
        let lives = PhantomData;
        Ok((&side.value, Table { head: table, lives }))
    }

    /// Makes `new` current and keeps the old one behind it. Called by the holder of the object's
    /// lock, in a write section, so there is one caller at a time.
    pub(crate) fn push(&self, new: NewTable) -> Table<'_> {
        let mut head = std::mem::ManuallyDrop::new(new).0;
        // SAFETY: `new` owned the table, so there is no other reference to it.
        unsafe { head.as_mut() }.older = self.current.load_own();
        // Release: pairs with the Acquire load in `current`.
        self.current.store(head.as_ptr(), Ordering::Release);
        let lives = PhantomData;
        Table { head, lives }
    }

    /// How many tables have been outgrown, without the first, which is no memory of its own.
    pub(crate) fn retired(&self) -> usize {
        let own = |table: &Table<'_>| !table.is_first();
        let mut table = self.current().filter(own);
        let mut tables = 0;
        while let Some(this) = table {
            tables += 1;
            table = self.at(this.head().older).filter(own);
        }
        usize::saturating_sub(tables, 1)
    }
}

impl<T> Drop for Tables<T> {
    fn drop(&mut self) {
        let mut table = self.current.load(Ordering::Relaxed);
        while let Some(this) = self.at(table).filter(|table| !table.is_first()) {
            table = this.head().older;
            // This list owns the table, and nobody has it any more (`&mut self`).
            drop(NewTable(this.head));
        }
        // The first goes with the side, after this.
    }
}

impl<T> fmt::Debug for Tables<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.current();
        f.debug_struct("Tables")
            .field("capacity", &table.map_or(0, Table::capacity))
            .field("len", &table.map_or(0, Table::len))
            .finish()
    }
}
