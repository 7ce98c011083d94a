//! Where the memory of callbacks comes from: blocks of one size, of which those that are not in use
//! hang in one list.
//!
//! A closer gives back all its blocks with one read-modify-write; an allocator that freed them one by one
//! took most of the time of a signal with callbacks. A thread that wants a block takes the whole list
//! and keeps it for the next times; it gives the rest back when it ends. The memory stays with the
//! process: as much as was in use at a time, plus what threads keep.
//!
//! Under loom and shuttle, whose atomics belong to one execution, and under fuzzing and
//! ThreadSanitizer, which are to see each block's end, a block is a box. The list has a model of its own.

use std::mem::MaybeUninit;

/// The size of a block in bytes: a header and a closure of 32 bytes. loom's atomics are larger.
pub(super) const SIZE: usize = if cfg!(any(loom, shuttle)) { 1024 } else { 64 };

/// Memory for one node.
#[repr(C, align(64))]
pub(super) struct Block(MaybeUninit<[u8; SIZE]>);

#[cfg(not(any(loom, shuttle, fuzzing, tsan)))]
mod imp {
    use super::Block;
    use crate::callbacks::depot::Depot;
    use crate::callbacks::node::Header;
    use crate::sync::atomic::{AtomicPtr, Ordering};
    use std::cell::Cell;
    use std::ptr::{NonNull, null_mut};

    /// How many blocks are made at a time: 2 KiB.
    const CHUNK: usize = 32;

    static DEPOT: Depot = Depot::new();

    /// The blocks that this thread keeps.
    struct Kept(Cell<*mut Header>);

    thread_local! {
        static KEPT: Kept = const { Kept(Cell::new(null_mut())) };
    }

    impl Drop for Kept {
        fn drop(&mut self) {
            if let Some(first) = NonNull::new(self.0.get()) {
                // SAFETY: the blocks are this thread's.
                unsafe { put(first, last_of(first)) };
            }
        }
    }

    /// A block that is the caller's alone.
    #[inline]
    pub(in crate::callbacks) fn get() -> NonNull<Block> {
        // A thread that is ending keeps nothing any more.
        let block = KEPT.try_with(|kept| match NonNull::new(kept.0.get()) {
            Some(first) => split(first, kept),
            None => refill(kept),
        });
        block.unwrap_or_else(|_| refill(&Kept(Cell::new(null_mut()))))
    }

    fn split(first: NonNull<Header>, kept: &Kept) -> NonNull<Block> {
        // SAFETY: the blocks are this thread's.
        let rest = unsafe { first.as_ref() }.next.load(Ordering::Relaxed);
        kept.0.set(rest);
        first.cast()
    }

    #[cold]
    fn refill(kept: &Kept) -> NonNull<Block> {
        match NonNull::new(DEPOT.take_all()) {
            Some(first) => split(first, kept),
            None => split(chunk(), kept),
        }
    }

    /// How many chunks were made: a leak makes many.
    #[cfg(test)]
    pub(in crate::callbacks) static CHUNKS: std::sync::atomic::AtomicUsize =
        std::sync::atomic::AtomicUsize::new(0);

    /// New blocks, linked, which stay with the process.
    fn chunk() -> NonNull<Header> {
        #[cfg(test)]
        CHUNKS.fetch_add(1, Ordering::Relaxed);
        let blocks: Box<[Block]> = (0..CHUNK)
            .map(|_| Block(std::mem::MaybeUninit::uninit()))
            .collect();
        let mut first = null_mut();
        for block in Box::leak(blocks) {
            let block = NonNull::from(block).cast::<Header>();
            // SAFETY: the block is ours, aligned for a header and large enough. Only the link is
            // written: the rest is when the block becomes a node.
            unsafe { (&raw mut (*block.as_ptr()).next).write(AtomicPtr::new(first)) };
            first = block.as_ptr();
        }
        NonNull::new(first).expect("a chunk has blocks")
    }

    fn last_of(first: NonNull<Header>) -> NonNull<Header> {
        let mut last = first;
        // SAFETY: the blocks are the caller's.
        while let Some(next) = NonNull::new(unsafe { last.as_ref() }.next.load(Ordering::Relaxed)) {
            last = next;
        }
        last
    }

    /// Gives back a chain of blocks.
    ///
    /// # Safety
    ///
    /// As [`Depot::put`].
    pub(in crate::callbacks) unsafe fn put(first: NonNull<Header>, last: NonNull<Header>) {
        // SAFETY: the caller's contract.
        unsafe { DEPOT.put(first, last) };
    }
}

#[cfg(any(loom, shuttle, fuzzing, tsan))]
mod imp {
    use super::Block;
    use crate::callbacks::node::Header;
    use crate::sync::atomic::Ordering;
    use std::mem::MaybeUninit;
    use std::ptr::NonNull;

    pub(in crate::callbacks) fn get() -> NonNull<Block> {
        NonNull::from(Box::leak(Box::new(Block(MaybeUninit::uninit()))))
    }

    /// # Safety
    ///
    /// As `Depot::put`.
    pub(in crate::callbacks) unsafe fn put(first: NonNull<Header>, last: NonNull<Header>) {
        if cfg!(loom) {
            // Kept for good: a known-bad variant is to be reported, and not to crash.
            return;
        }
        let mut at = first;
        loop {
            // SAFETY: the blocks are the caller's, and each is a box of `get` that is a node whose
            // closure was taken out. The next is read before this one goes.
            unsafe {
                let next = NonNull::new(at.as_ref().next.load(Ordering::Relaxed));
                at.drop_in_place();
                drop(Box::from_raw(at.cast::<Block>().as_ptr()));
                match next {
                    Some(next) if at != last => at = next,
                    _ => return,
                }
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle, fuzzing, tsan))))]
pub(super) use imp::CHUNKS;
pub(super) use imp::{get, put};
