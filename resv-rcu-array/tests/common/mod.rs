//! A global allocator that counts, and fails on request, for the current thread only. The tests of
//! resv-api use it, too.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Constants without destructors: using them never allocates.
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    static FREED: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static TOTAL_BYTES: Cell<usize> = const { Cell::new(0) };
    /// Allocations until one fails; negative: none does.
    static UNTIL_FAILURE: Cell<isize> = const { Cell::new(-1) };
    /// Bytes from which on an allocation fails, and whether one has.
    static LIMIT: Cell<isize> = const { Cell::new(isize::MAX) };
    static HIT_LIMIT: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator, or answered with null, which a caller
// has to expect. `realloc` is the default one, which calls `alloc` and `dealloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let left = UNTIL_FAILURE.get();
        if left == 0 {
            UNTIL_FAILURE.set(-1);
            return std::ptr::null_mut();
        }
        if left > 0 {
            UNTIL_FAILURE.set(left - 1);
        }
        if layout.size().cast_signed() > LIMIT.get().saturating_sub(BYTES.get()) {
            HIT_LIMIT.set(true);
            return std::ptr::null_mut();
        }
        ALLOCATED.set(ALLOCATED.get() + 1);
        BYTES.set(BYTES.get() + layout.size().cast_signed());
        TOTAL_BYTES.set(TOTAL_BYTES.get() + layout.size());
        // SAFETY: the caller's promise is the same one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        FREED.set(FREED.get() + 1);
        BYTES.set(BYTES.get() - layout.size().cast_signed());
        // SAFETY: the caller's promise is the same one.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Runs `f` and says how often this thread allocated and freed in it.
#[allow(dead_code, reason = "each test file uses a part")]
pub(crate) fn counted<T>(f: impl FnOnce() -> T) -> (T, usize, usize) {
    let (allocated, freed) = (ALLOCATED.get(), FREED.get());
    let result = f();
    (result, ALLOCATED.get() - allocated, FREED.get() - freed)
}

/// Bytes that this thread has allocated and not freed.
#[allow(dead_code, reason = "each test file uses a part")]
pub(crate) fn bytes() -> isize {
    BYTES.get()
}

/// Bytes that this thread has allocated, freed or not.
#[allow(dead_code, reason = "each test file uses a part")]
pub(crate) fn total_bytes() -> usize {
    TOTAL_BYTES.get()
}

/// Allocations of this thread that it has not freed.
#[allow(dead_code, reason = "each test file uses a part")]
pub(crate) fn balance() -> isize {
    let count = |count: usize| isize::try_from(count).expect("not that many");
    count(ALLOCATED.get()) - count(FREED.get())
}

/// Runs `f`, in which allocation number `k` (from 0) of this thread fails, and says whether it did.
#[allow(dead_code, reason = "each test file uses a part")]
pub(crate) fn failing<T>(k: isize, f: impl FnOnce() -> T) -> (T, bool) {
    UNTIL_FAILURE.set(k);
    let result = f();
    let failed = UNTIL_FAILURE.get() < 0;
    UNTIL_FAILURE.set(-1);
    (result, failed)
}

/// Runs `f`, in which this thread gets no more than `more` bytes on top of what it has, and says whether it
/// wanted more.
#[allow(dead_code, reason = "each test file uses a part")]
pub(crate) fn failing_above<T>(more: isize, f: impl FnOnce() -> T) -> (T, bool) {
    LIMIT.set(BYTES.get().saturating_add(more));
    HIT_LIMIT.set(false);
    let result = f();
    LIMIT.set(isize::MAX);
    (result, HIT_LIMIT.get())
}
