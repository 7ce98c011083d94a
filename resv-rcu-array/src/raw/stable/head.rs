//! The published pointer of one object, with what is known of its array; and the object's lock with
//! the state of its holder.
//!
//! The word is the address of a cell and four *marks*, one for each usage: "every entry with this
//! usage has signalled, or there is none". A mark is a bit that is *not* set, so that the word of an empty
//! object is 0, and a test for marks is a test for zero.

use super::array::{ArrayRef, Builder, Spares, end};
use super::cell::{ALIGN, ArrayCell, Header};
use resv_core::{Entry, LockProof, ObjectLock, UsageSet};
use resv_sync::sync::atomic::{AtomicPtr, Ordering, OwnerAccess};
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::AtomicU32;

const MARKS: usize = UsageSet::ALL.bits() as usize;
const _: () = assert!(MARKS < ALIGN);

/// The parts of the protocol that a defective variant leaves out, so that tests can show that leaving
/// them out is found. The product is [`Sound`].
pub trait Protocol: Send + Sync + 'static {
    /// How marks are set.
    const MARK: Ordering = Ordering::Release;
    /// Readers look at the pointer again after reading.
    const SECOND_LOOK: bool = true;
    /// Readers look at the life of the cell again after reading.
    const LIFE: bool = true;
    /// Whoever sets marks owns a reference meanwhile.
    const MARKS_OWN: bool = true;
    /// A publisher takes references for the new array while somebody else has the old one.
    const COUNTS: bool = true;
}

/// The protocol as documented.
#[derive(Debug, Default)]
pub struct Sound;

impl Protocol for Sound {}

/// What the published pointer said at some moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head(*mut Header);

impl Head {
    const EMPTY: Head = Head(ptr::null_mut());

    /// Whether all of `usages` are marked.
    #[inline]
    pub(crate) fn marks(self, usages: UsageSet) -> bool {
        self.0.addr() & usages.bits() as usize == 0
    }

    /// The cell of the array.
    #[inline]
    pub(crate) fn cell(self) -> Option<ArrayCell> {
        let address = self.0.map_addr(|address| address & !MARKS);
        // SAFETY: the word is made of an address from `as_ptr`, or none, and of marks.
        unsafe { ArrayCell::from_ptr(address) }
    }

    /// Whether that is where the array is.
    #[inline]
    pub(crate) fn leads_to(self, cell: ArrayCell) -> bool {
        self.0.addr() & !MARKS == cell.as_ptr().addr()
    }

    /// Of a new array, which has entries of these usages and no others.
    fn of(cell: ArrayCell, usages: u8) -> Head {
        Head(cell.as_ptr().map_addr(|address| address | usages as usize))
    }

    fn with_marks(self, marks: u8) -> Head {
        Head(self.0.map_addr(|address| address & !(marks as usize)))
    }
}

/// The shared parts of an object.
pub(crate) struct Object {
    lock: ObjectLock,
    head: AtomicPtr<Header>,
    spares: UnsafeCell<Spares>,
    adds: UnsafeCell<u32>,
    /// Reads that were started again. Only reported, so it stays real under loom.
    pub(crate) retries: AtomicU32,
}

/// What the holder of the object's lock works with.
pub(crate) struct Holder<'a> {
    /// The published entries.
    pub(crate) current: &'a [Entry],
    pub(crate) spares: &'a mut Spares,
    /// Entries that may still be added.
    pub(crate) adds: &'a mut u32,
}

impl Object {
    #[inline]
    pub(crate) fn lock(&self) -> &ObjectLock {
        &self.lock
    }

    /// What is published now.
    #[inline]
    pub(crate) fn head(&self) -> Head {
        // Acquire: pairs with the Release store in `publish`: the array is visible; and with the
        // exchange in `mark`: what was before the signals that the marks stand for is.
        Head(self.head.load(Ordering::Acquire))
    }

    /// Marks `usages` if `seen` is still published with no more marks than it had.
    ///
    /// The caller has seen all entries of these usages signalled, and owns a reference to the array, so
    /// that the same address means the same array.
    pub(crate) fn mark<P: Protocol>(&self, seen: Head, usages: UsageSet) {
        let marked = seen.with_marks(usages.bits());
        // Release: pairs with the Acquire load in `head`. A failure means that there is something newer
        // to say, or that somebody else was faster: nothing is lost.
        let _ = self
            .head
            .compare_exchange(seen.0, marked.0, P::MARK, Ordering::Relaxed);
    }

    /// What is published, for the holder of the lock.
    fn head_held(&self) -> Head {
        // Relaxed: nobody else publishes, and the lock orders earlier holders.
        Head(self.head.load_own())
    }

    fn check(&self, held: &LockProof<'_>) {
        assert!(
            held.is_for(&self.lock),
            "the lock of another object is held"
        );
    }

    /// What is published, for the holder of the lock.
    ///
    /// # Panics
    ///
    /// When another object's lock is held.
    pub(crate) fn current<'a>(&'a self, held: &'a LockProof<'_>) -> &'a [Entry] {
        self.check(held);
        self.current_held()
    }

    /// What is published; the lock is held for as long as the result is used.
    fn current_held(&self) -> &[Entry] {
        let Some(cell) = self.head_held().cell() else {
            return &[];
        };
        // SAFETY: the published pointer owns a reference, and only the holder of the lock takes it away,
        // in `publish`, which needs the proof that the caller's result borrows. The handle is not
        // dropped; the entries live as long as the array.
        unsafe {
            let array = ManuallyDrop::new(ArrayRef::from_cell(cell));
            let entries: *const [Entry] = &raw const **array;
            &*entries
        }
    }

    /// What the holder of the lock works with.
    ///
    /// # Panics
    ///
    /// When another object's lock is held.
    pub(crate) fn holder<'a>(&'a self, held: &'a mut LockProof<'_>) -> Holder<'a> {
        self.check(held);
        // SAFETY: there is one `LockProof` for this lock at a time, and it is borrowed mutably for as long as
        // the result lives, so there is no other reference to either. Earlier holders happen before, as
        // the lock orders its holders.
        unsafe {
            Holder {
                current: self.current_held(),
                spares: &mut *self.spares.get(),
                adds: &mut *self.adds.get(),
            }
        }
    }

    /// The holder's builders, to read.
    ///
    /// # Panics
    ///
    /// When another object's lock is held.
    pub(crate) fn spares<'a>(&'a self, held: &'a LockProof<'_>) -> &'a Spares {
        self.check(held);
        // SAFETY: as in `holder`; whoever shares the `LockProof` gets shared references only.
        unsafe { &*self.spares.get() }
    }

    /// Publishes an array, or that there is none, in the place of the one before.
    ///
    /// What `new` has borrowed from the published array becomes its own. Returns what is left of the old
    /// array, if nobody has it any more: its entries are to be dropped, its memory can be used again.
    /// Allocates nothing, and runs nobody's code: unless this thread drops the last reference of an
    /// array that a reader has just given up.
    ///
    /// # Panics
    ///
    /// When another object's lock is held.
    #[inline]
    pub(crate) fn publish<P: Protocol>(
        &self,
        held: &mut LockProof<'_>,
        new: Option<Builder>,
    ) -> Option<Builder> {
        self.check(held);
        let old = self.head_held().cell();
        let borrowed = new.as_ref().map_or(0, Builder::borrowed);
        let mut head = Head::EMPTY;
        let new = new.map(|new| {
            let (array, usages) = new.seal();
            // Whoever publishes sees which usages there are not; readers mark the others.
            head = Head::of(array.cell(), usages);
            // The published pointer keeps the reference.
            ManuallyDrop::new(array)
        });
        // Release: pairs with the Acquire load in `head`. Over marks that a reader may set at the same
        // time: they are about the array before.
        self.head.store_over(head.0, Ordering::Release);
        let old = old?;
        let moved = new.as_ref().map_or(&[][..], |new| &new[..borrowed]);
        if old.claim() {
            // SAFETY: that was the reference of the published pointer and the only one.
            let mut rest = unsafe { end(old) };
            rest.moved_to(moved);
            return Some(rest);
        }
        // Readers have the old array, and with it the references; the new one takes its own while the
        // old one's are still there.
        if P::COUNTS {
            moved.iter().cloned().for_each(std::mem::forget);
        }
        // SAFETY: the published pointer owned this reference.
        drop(unsafe { ArrayRef::from_cell(old) });
        None
    }
}

impl Default for Object {
    fn default() -> Self {
        Object {
            lock: ObjectLock::default(),
            head: AtomicPtr::new(Head::EMPTY.0),
            spares: UnsafeCell::default(),
            adds: UnsafeCell::default(),
            retries: AtomicU32::new(0),
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(cell) = self.head().cell() {
            // What is staged has borrowed from this array, and goes first.
            drop(std::mem::take(self.spares.get_mut()));
            // SAFETY: the published pointer owns this reference.
            drop(unsafe { ArrayRef::from_cell(cell) });
        }
    }
}

// SAFETY: an object is its parts; nobody borrows them when it moves.
unsafe impl Send for Object {}
// SAFETY: the atomics may be shared; the rest is reached with the proof that the lock is held, which
// exists once. Builders may go from thread to thread (`Send`) and be read by several (`Sync`).
unsafe impl Sync for Object {}
