//! The system's allocator, which counts while it is asked to.
//!
//! At other times it costs one relaxed load a call, the same for every subject.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The allocator of the program.
pub(crate) struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);

/// Runs `make` and returns what it made, with the bytes that were requested and not given back.
/// Sizes are those that were asked for; what the allocator adds is not counted.
pub(crate) fn counted<T>(make: impl FnOnce() -> T) -> (T, i64) {
    // Relaxed throughout: one thread makes and reads, and an allocation elsewhere would only be
    // counted or not.
    let before = LIVE.load(Ordering::Relaxed);
    ON.store(true, Ordering::Relaxed);
    let made = make();
    ON.store(false, Ordering::Relaxed);
    (made, LIVE.load(Ordering::Relaxed) - before)
}

fn count(bytes: usize, sign: i64) {
    if ON.load(Ordering::Relaxed) {
        LIVE.fetch_add(sign * bytes as i64, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to `System` with the arguments of the caller, which keeps the
// contract of `GlobalAlloc`; counting touches no memory but two atomics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: `memory` came from `System` with this layout, as all of ours does.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's layout is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        // SAFETY: `memory` came from `System` with this layout; the caller vouches for `size`.
        unsafe { System.realloc(memory, layout, size) }
    }
}
