//! A counted, immutable array of entries in one allocation, and the builder that it is made of.
//!
//! # Life of an array
//!
//! ```text
//! ArrayBuilder::with_capacity     one owner, may change      (the only allocation, may fail)
//!        | share()                one plain store
//!        v
//! ArrayRef, ArrayRef              two owners, immutable
//!        | clone, drop            one increment, one decrement
//!        v
//! last drop                       entries are dropped, memory is freed
//! ```
//!
//! A builder can be shared once, as sharing consumes it: an array that has been visible to readers
//! never becomes a builder again, and never gets published a second time.
//!
//! `Arc<[Entry]>` would do for the counting, but it cannot be allocated fallibly on stable Rust, nor
//! be filled after it was allocated without a second copy.
//!
//! # Orderings
//!
//! As in `Arc`. Counting up is Relaxed: whoever clones has a reference already, or a grace period
//! that keeps one alive. Counting down is Release, and the one who reaches zero loads the count once
//! more with Acquire: it pairs with the decrements of all others, so that their uses happen before
//! the memory is freed. (`Arc` issues a fence instead. It means the same, but ThreadSanitizer does
//! not understand fences.)
//!
//! # Under loom
//!
//! The header carries a loom cell that stands for "the bytes of this array". Writing and freeing
//! count as writes to it, looking as a read, so a model fails when an array is published without
//! Release or freed under a reader. The memory itself is not given back, so that a broken variant
//! is reported instead of crashing the model; loom's allocation tracking still reports leaks.

use resv_core::Entry;
use resv_sync::sync::atomic::{AtomicUsize, Ordering};
use std::alloc::Layout;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

/// What precedes the entries. Always reached through a raw pointer and field by field: no reference
/// to a whole header is ever made, since its fields have different owners.
#[repr(C)]
pub(crate) struct Header {
    /// How many [`ArrayRef`]s there are; meaningless before the array is shared.
    refs: AtomicUsize,
    /// How many entries are initialised. Only a builder changes it.
    len: usize,
    /// How many entries there is memory for.
    capacity: usize,
    /// The link of [`list`](super::list). Owned by whoever owns the element.
    pub(super) next: Option<NonNull<Header>>,
    #[cfg(loom)]
    model: model::Bytes,
}

/// Where the entries begin.
const ENTRIES: usize = size_of::<Header>().next_multiple_of(align_of::<Entry>());

/// More references than this and the count could wrap round to zero.
const MAX_REFS: usize = isize::MAX as usize;

fn layout(capacity: usize) -> Option<Layout> {
    let bytes = capacity
        .checked_mul(size_of::<Entry>())?
        .checked_add(ENTRIES)?;
    Layout::from_size_align(bytes, align_of::<Header>().max(align_of::<Entry>())).ok()
}

/// The first entry.
///
/// # Safety
///
/// `header` is that of an array that has not been freed.
unsafe fn entries(header: NonNull<Header>) -> *mut Entry {
    // SAFETY: the allocation is at least ENTRIES bytes long (see `layout`), and ENTRIES is a
    // multiple of the alignment of an entry.
    unsafe { header.as_ptr().byte_add(ENTRIES).cast() }
}

/// The initialised entries.
///
/// # Safety
///
/// `header` is that of an array that is not freed and whose entries are not changed during `'a`.
unsafe fn slice<'a>(header: NonNull<Header>) -> &'a [Entry] {
    // SAFETY: the caller keeps the array alive and unchanged; `len` entries are initialised.
    unsafe {
        #[cfg(loom)]
        model::read(header);
        std::slice::from_raw_parts(entries(header), (*header.as_ptr()).len)
    }
}

/// Drops the entries and frees the memory.
///
/// # Safety
///
/// The caller is the only one who can reach the array, and does not use it again.
unsafe fn free(header: NonNull<Header>) {
    // SAFETY: the array is the caller's alone, `len` entries are initialised, and the memory came
    // from `with_capacity` with the layout of the same capacity.
    unsafe {
        #[cfg(loom)]
        model::write(header);
        let len = (*header.as_ptr()).len;
        ptr::drop_in_place(ptr::slice_from_raw_parts_mut(entries(header), len));
        #[cfg(loom)]
        model::end(header);
        #[cfg(not(loom))]
        {
            let capacity = (*header.as_ptr()).capacity;
            let bytes = ENTRIES + capacity * size_of::<Entry>();
            let align = align_of::<Header>().max(align_of::<Entry>());
            ptr::drop_in_place(header.as_ptr());
            std::alloc::dealloc(
                header.as_ptr().cast(),
                Layout::from_size_align_unchecked(bytes, align),
            );
        }
    }
}

/// An array that has one owner and may change, within its capacity.
pub struct ArrayBuilder {
    header: NonNull<Header>,
}

impl ArrayBuilder {
    /// An empty array with memory for `capacity` entries; `None` when it cannot be had.
    pub fn with_capacity(capacity: usize) -> Option<ArrayBuilder> {
        let layout = layout(capacity)?;
        // SAFETY: the layout is not empty: it has at least a header.
        let memory = unsafe { std::alloc::alloc(layout) };
        let header = NonNull::new(memory.cast::<Header>())?;
        // SAFETY: the memory is fresh, large enough for a header, and aligned for it.
        unsafe {
            header.write(Header {
                refs: AtomicUsize::new(0),
                len: 0,
                capacity,
                next: None,
                #[cfg(loom)]
                model: model::Bytes::new(),
            });
        }
        Some(ArrayBuilder { header })
    }

    /// How many entries there is memory for.
    pub fn capacity(&self) -> usize {
        // SAFETY: the builder owns the array.
        unsafe { (*self.header.as_ptr()).capacity }
    }

    /// Appends an entry.
    ///
    /// # Panics
    ///
    /// When there is no memory for it.
    pub fn push(&mut self, entry: Entry) {
        let len = self.len();
        assert!(len < self.capacity(), "the array is full");
        // SAFETY: the builder owns the array, and there is memory for one entry behind the last.
        unsafe {
            #[cfg(loom)]
            model::write(self.header);
            entries(self.header).add(len).write(entry);
            (*self.header.as_ptr()).len = len + 1;
        }
    }

    /// Keeps the entries that `keep` names, in their order, and drops the others after the last one
    /// was judged.
    ///
    /// Entries only change places while `keep` runs, so a panic in it loses none.
    pub fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        let mut kept = 0;
        for at in 0..self.len() {
            if keep(&self[at]) {
                self.swap(kept, at);
                kept += 1;
            }
        }
        let dropped = self.len() - kept;
        // SAFETY: the builder owns the array. The entries from `kept` on are initialised, and are
        // outside the array before the first of them is dropped, so they are dropped once.
        unsafe {
            #[cfg(loom)]
            model::write(self.header);
            (*self.header.as_ptr()).len = kept;
            let tail = entries(self.header).add(kept);
            ptr::drop_in_place(ptr::slice_from_raw_parts_mut(tail, dropped));
        }
    }

    /// Moves all entries of `other` behind those of this array; `other` is empty then.
    ///
    /// # Panics
    ///
    /// When there is no memory for them.
    pub fn append(&mut self, other: &mut ArrayBuilder) {
        let (len, more) = (self.len(), other.len());
        assert!(more <= self.capacity() - len, "the array is full");
        // SAFETY: two builders own two different arrays; there is memory for `more` entries behind
        // the last; `other` no longer counts the entries that were moved out of it.
        unsafe {
            #[cfg(loom)]
            model::write(self.header);
            (*other.header.as_ptr()).len = 0;
            ptr::copy_nonoverlapping(entries(other.header), entries(self.header).add(len), more);
            (*self.header.as_ptr()).len = len + more;
        }
    }

    /// Makes the array immutable, with two owners. Allocates nothing.
    pub fn share(self) -> (ArrayRef, ArrayRef) {
        let header = ManuallyDrop::new(self).header;
        // SAFETY: nobody else can reach the array yet, so the count may be set by a plain store;
        // whoever hands a reference to another thread orders that.
        unsafe { (*header.as_ptr()).refs = AtomicUsize::new(2) };
        (ArrayRef { header }, ArrayRef { header })
    }

    /// Gives up the builder without freeing the array.
    pub(super) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).header
    }

    /// The builder that [`into_raw`](Self::into_raw) gave up.
    ///
    /// # Safety
    ///
    /// `header` came from `into_raw`, and has not been made a builder again since.
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> ArrayBuilder {
        ArrayBuilder { header }
    }
}

impl Deref for ArrayBuilder {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        // SAFETY: the builder owns the array, and changing it takes `&mut self`.
        unsafe { slice(self.header) }
    }
}

impl DerefMut for ArrayBuilder {
    fn deref_mut(&mut self) -> &mut [Entry] {
        // SAFETY: the builder owns the array; `len` entries are initialised.
        unsafe {
            #[cfg(loom)]
            model::write(self.header);
            std::slice::from_raw_parts_mut(entries(self.header), (*self.header.as_ptr()).len)
        }
    }
}

impl Drop for ArrayBuilder {
    fn drop(&mut self) {
        // SAFETY: the builder owns the array and is gone after this.
        unsafe { free(self.header) };
    }
}

// SAFETY: a builder owns its array as a `Vec<Entry>` would.
unsafe impl Send for ArrayBuilder where Entry: Send {}
// SAFETY: a shared builder gives out `&[Entry]` and nothing else.
unsafe impl Sync for ArrayBuilder where Entry: Sync {}

/// One reference to an immutable array.
pub struct ArrayRef {
    header: NonNull<Header>,
}

impl ArrayRef {
    /// Whether both refer to one array.
    #[inline]
    pub fn is_same(&self, other: &ArrayRef) -> bool {
        self.header == other.header
    }

    fn refs(&self) -> &AtomicUsize {
        // SAFETY: a reference keeps the array alive. Once it is shared, `refs` is only used as the
        // atomic that it is.
        unsafe { &(*self.header.as_ptr()).refs }
    }
}

/// For flavours, which keep references in pointers.
impl ArrayRef {
    /// Where the array is; no reference comes or goes.
    #[inline]
    pub(super) fn as_raw(&self) -> NonNull<Header> {
        self.header
    }

    /// Gives up the handle and keeps its reference.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).header
    }

    /// The handle of a reference that [`into_raw`](Self::into_raw) kept.
    ///
    /// # Safety
    ///
    /// `header` is that of a shared array, and the caller owns one of its references and gives it
    /// up; or the array stays alive as long as the result, which is then not dropped.
    #[inline]
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> ArrayRef {
        ArrayRef { header }
    }
}

impl Deref for ArrayRef {
    type Target = [Entry];

    #[inline]
    fn deref(&self) -> &[Entry] {
        // SAFETY: a reference keeps the array alive, and a shared array does not change.
        unsafe { slice(self.header) }
    }
}

impl Clone for ArrayRef {
    #[inline]
    fn clone(&self) -> ArrayRef {
        // SAFETY: a reference keeps the array alive.
        #[cfg(loom)]
        unsafe {
            model::read(self.header);
        }
        // Relaxed: the new reference is derived from one that exists; nothing is published by it.
        if self.refs().fetch_add(1, Ordering::Relaxed) > MAX_REFS {
            std::process::abort();
        }
        ArrayRef {
            header: self.header,
        }
    }
}

impl Drop for ArrayRef {
    #[inline]
    fn drop(&mut self) {
        // Release: this owner's uses happen before the memory is freed ...
        if self.refs().fetch_sub(1, Ordering::Release) == 1 {
            // ... Acquire: by the one who reached zero. It reads its own decrement, which ends the
            // release sequences of all others, so it pairs with every one of them.
            self.refs().load(Ordering::Acquire);
            // SAFETY: this was the last reference, and no new one can be made from none.
            unsafe { free(self.header) };
        }
    }
}

// SAFETY: several threads may read the entries and drop the last reference, as with `Arc<[Entry]>`.
unsafe impl Send for ArrayRef where Entry: Send + Sync {}
// SAFETY: as for `Send`: cloning a shared handle gives a reference to another thread.
unsafe impl Sync for ArrayRef where Entry: Send + Sync {}

/// The stand-in for "the bytes of an array", by which loom finds unordered uses.
#[cfg(loom)]
mod model {
    use super::Header;
    use std::ptr::NonNull;

    pub(super) struct Bytes {
        access: loom::cell::UnsafeCell<()>,
        life: Option<loom::alloc::Track<()>>,
    }

    impl Bytes {
        pub(super) fn new() -> Bytes {
            Bytes {
                access: loom::cell::UnsafeCell::new(()),
                life: Some(loom::alloc::Track::new(())),
            }
        }
    }

    /// # Safety
    ///
    /// `header` was written by `with_capacity`.
    pub(super) unsafe fn read(header: NonNull<Header>) {
        // SAFETY: memory is never given back under loom, and this field is only used here.
        unsafe { (*header.as_ptr()).model.access.with(|_| ()) };
    }

    /// # Safety
    ///
    /// `header` was written by `with_capacity`.
    pub(super) unsafe fn write(header: NonNull<Header>) {
        // SAFETY: as in `read`.
        unsafe { (*header.as_ptr()).model.access.with_mut(|_| ()) };
    }

    /// # Safety
    ///
    /// `header` was written by `with_capacity`, and this is called once for it.
    pub(super) unsafe fn end(header: NonNull<Header>) {
        // SAFETY: as in `read`; the caller is the last user.
        unsafe { drop((*header.as_ptr()).model.life.take()) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use resv_core::{Timeline, Usage};

    fn entry(timeline: &Timeline) -> Entry {
        let job = timeline.issue().expect("seqnos are left");
        Entry {
            fence: job.fence().clone(),
            usage: Usage::Write,
        }
    }

    fn seqnos(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|e| e.fence.seqno()).collect()
    }

    #[test]
    fn retain_keeps_the_order_and_drops_the_others_once() {
        let line = Timeline::new("t");
        let mut array = ArrayBuilder::with_capacity(8).expect("memory");
        for _ in 0..8 {
            array.push(entry(&line));
        }
        array.retain(|e| e.fence.seqno() % 3 != 0);
        assert_eq!(seqnos(&array), [1, 2, 4, 5, 7, 8]);
        array.retain(|_| true);
        assert_eq!(array.len(), 6);
        array.retain(|_| false);
        assert!(array.is_empty());
    }

    #[test]
    fn a_panic_while_judging_loses_no_entry() {
        let line = Timeline::new("t");
        let mut array = ArrayBuilder::with_capacity(4).expect("memory");
        for _ in 0..4 {
            array.push(entry(&line));
        }
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            array.retain(|e| {
                assert!(e.fence.seqno() < 3, "on purpose");
                e.fence.seqno() == 2
            });
        }));
        assert!(panicked.is_err());
        let mut left = seqnos(&array);
        left.sort_unstable();
        assert_eq!(left, [1, 2, 3, 4]);
    }

    #[test]
    fn appending_moves_and_does_not_count() {
        let line = Timeline::new("t");
        let mut small = ArrayBuilder::with_capacity(2).expect("memory");
        small.push(entry(&line));
        small.push(entry(&line));
        let mut large = ArrayBuilder::with_capacity(3).expect("memory");
        large.push(entry(&line));
        large.append(&mut small);
        assert!(small.is_empty());
        assert_eq!(seqnos(&large), [3, 1, 2]);
    }

    #[test]
    #[should_panic(expected = "the array is full")]
    fn an_array_never_grows() {
        let line = Timeline::new("t");
        let mut array = ArrayBuilder::with_capacity(0).expect("memory");
        array.push(entry(&line));
    }

    #[test]
    fn more_than_can_be_addressed_is_refused() {
        assert!(ArrayBuilder::with_capacity(usize::MAX).is_none());
        assert!(ArrayBuilder::with_capacity(usize::MAX / size_of::<Entry>()).is_none());
        assert!(ArrayBuilder::with_capacity(isize::MAX as usize / size_of::<Entry>()).is_none());
    }

    #[test]
    fn the_last_reference_drops_the_entries() {
        let line = Timeline::new("t");
        let job = line.issue().expect("seqnos are left");
        let cell = job.fence().cell();
        let mut array = ArrayBuilder::with_capacity(1).expect("memory");
        array.push(Entry {
            fence: job.fence().clone(),
            usage: Usage::Read,
        });
        job.signal();
        let (a, b) = array.share();
        let c = a.clone();
        assert!(a.is_same(&b) && a.is_same(&c));
        drop(a);
        drop(b);
        assert_eq!(c.len(), 1);
        assert_eq!(c[0].fence.cell() as *const _, cell as *const _);
    }
}
