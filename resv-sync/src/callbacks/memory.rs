//! Where the memory of callbacks comes from: blocks of one size, in a [pool](crate::pool) with a magazine for
//! each thread.
//!
//! A closer frees all blocks of a fence in one go; an allocator that freed them one by one took most of the
//! time of a signal with callbacks. The memory stays with the process: as many blocks as were in use at a
//! time, a quarter more, and 128 for each thread that lives (8 KiB).
//!
//! A block stays a block, so that the name of a callback may be compared with it at any time. Under loom and
//! shuttle, whose atomics belong to one execution, the pool is not used; it has models of its own.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// The size of a block in bytes: a header and a closure of 32 bytes. loom's atomics are larger.
pub(super) const SIZE: usize = if cfg!(any(loom, shuttle)) { 1024 } else { 64 };

/// Memory for one node.
#[repr(C, align(64))]
pub(super) struct Block(UnsafeCell<MaybeUninit<[u8; SIZE]>>);

// SAFETY: it is memory, which nobody reads or writes by way of a reference to the block.
unsafe impl Sync for Block {}

impl Block {
    fn new() -> Block {
        Block(UnsafeCell::new(MaybeUninit::uninit()))
    }
}

#[cfg(not(any(loom, shuttle)))]
mod imp {
    use super::Block;
    use crate::callbacks::node::Header;
    use crate::pool::{Chain, Chunks, Depot, Linked, Magazine};
    use crate::sync::atomic::{AtomicPtr, Ordering};
    use std::ptr::{NonNull, null_mut};

    /// How many blocks a thread exchanges with the depot at a time. A fence may have many callbacks, so a thread
    /// uses up blocks faster than other cells.
    const BATCH: usize = 64;
    /// The most blocks that are made at a time: 64 KiB.
    const MAX_CHUNK: usize = 1024;

    static CHUNKS: Chunks<Block> = Chunks::new();
    static DEPOT: Depot<Free> = Depot::of_batch(BATCH);

    thread_local! {
        static MAGAZINE: Magazine<Free, &'static Depot<Free>> = const { Magazine::new(&DEPOT) };
    }

    /// A block that is not in use: a header of which only the links mean something, `next` and `claim`.
    #[derive(Clone, Copy)]
    struct Free(NonNull<Header>);

    // SAFETY: the pool sees to it that one thread has a block that is not in use.
    unsafe impl Send for Free {}

    impl Free {
        #[inline]
        fn next_link(&self) -> &AtomicPtr<Header> {
            // SAFETY: the links were initialised in `prepare`, or when the block was a node; memory stays.
            unsafe { &(*self.0.as_ptr()).next }
        }

        #[inline]
        fn batch_link(&self) -> &AtomicPtr<Header> {
            // SAFETY: as above.
            unsafe { &(*self.0.as_ptr()).claim }
        }
    }

    // Relaxed, all: a block that is not in use is one thread's, or guarded by the depot's mutex.
    impl Linked for Free {
        #[inline]
        fn next(self) -> Option<Self> {
            NonNull::new(self.next_link().load(Ordering::Relaxed)).map(Free)
        }

        #[inline]
        fn set_next(self, next: Option<Self>) {
            let next = next.map_or(null_mut(), |free| free.0.as_ptr());
            self.next_link().store(next, Ordering::Relaxed);
        }

        #[inline]
        fn next_batch(self) -> Option<Self> {
            NonNull::new(self.batch_link().load(Ordering::Relaxed)).map(Free)
        }

        #[inline]
        fn set_next_batch(self, next: Option<Self>) {
            let next = next.map_or(null_mut(), |free| free.0.as_ptr());
            self.batch_link().store(next, Ordering::Relaxed);
        }
    }

    /// A block that is the caller's alone.
    #[inline]
    pub(in crate::callbacks) fn get() -> NonNull<Block> {
        let free = MAGAZINE.try_with(|magazine| match magazine.take() {
            Some(free) => free,
            None => {
                let (free, rest) = grow();
                magazine.supply(rest);
                free
            }
        });
        // A thread whose locals are gone has no magazine any more.
        free.unwrap_or_else(|_| from_depot()).0.cast()
    }

    #[cold]
    fn from_depot() -> Free {
        DEPOT.take_one().unwrap_or_else(|| {
            let (free, rest) = grow();
            DEPOT.put(rest);
            free
        })
    }

    /// Makes blocks. Returns one and less than a batch more; the rest is in the depot.
    #[cold]
    #[inline(never)]
    fn grow() -> (Free, Chain<Free>) {
        let count = (CHUNKS.capacity() / 4).clamp(2 * BATCH, MAX_CHUNK);
        let blocks = CHUNKS.push(std::iter::repeat_with(Block::new).take(count).collect());
        let mut free = blocks.iter().map(|block| {
            let block = NonNull::from(block).cast();
            // SAFETY: the block is new: it is this function's, aligned, and large enough.
            unsafe { Header::prepare(block) };
            Free(block)
        });
        let first = free.next().expect("a chunk has blocks");
        let mut chain = Chain::EMPTY;
        for block in free {
            if chain.len() == BATCH {
                DEPOT.put(std::mem::replace(&mut chain, Chain::EMPTY));
            }
            chain.push(block);
        }
        (first, chain)
    }

    /// How many blocks were made: a leak makes many.
    #[cfg(test)]
    pub(in crate::callbacks) fn made() -> usize {
        CHUNKS.capacity()
    }

    /// Gives back a chain of `count` blocks.
    ///
    /// # Safety
    ///
    /// `first` leads to `last` by `next`, that are `count` nodes, and nobody uses these blocks.
    #[inline]
    pub(in crate::callbacks) unsafe fn put(
        first: NonNull<Header>,
        last: NonNull<Header>,
        count: usize,
    ) {
        let put = |magazine: &Magazine<_, _>| magazine.put_all(Free(first), Free(last), count);
        if MAGAZINE.try_with(put).is_err() {
            Free(last).set_next(None);
            DEPOT.put(Chain::of(Free(first), count));
        }
    }
}

/// Blocks are boxes that stay. In shuttle's builds, of which one process runs many executions, they are used
/// again; in loom's they are not, so that a known-bad variant is reported and does not crash.
#[cfg(any(loom, shuttle))]
mod imp {
    use super::Block;
    use crate::callbacks::node::Header;
    use crate::sync::atomic::Ordering;
    use std::ptr::NonNull;
    // No part of any model.
    use std::sync::{Mutex, PoisonError};

    /// Addresses of blocks that are not in use.
    static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

    pub(in crate::callbacks) fn get() -> NonNull<Block> {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let known = free.pop().map(std::ptr::with_exposed_provenance_mut);
        if let Some(block) = known.and_then(NonNull::new) {
            return block;
        }
        let block = NonNull::from(Box::leak(Box::new(Block::new())));
        // SAFETY: the block is new, aligned for a header and large enough.
        unsafe { Header::prepare(block.cast()) };
        block
    }

    /// # Safety
    ///
    /// `first` leads to `last` by `next`, and nobody uses these blocks.
    pub(in crate::callbacks) unsafe fn put(
        first: NonNull<Header>,
        last: NonNull<Header>,
        _count: usize,
    ) {
        if cfg!(loom) {
            return;
        }
        let mut at = first;
        loop {
            // SAFETY: the blocks are the caller's, and each is a node whose closure was taken out. The next
            // is read before this one goes. What is dropped is what shuttle keeps for its atomics; the
            // generation is a plain one and stays.
            unsafe {
                let next = NonNull::new(at.as_ref().next.load(Ordering::Relaxed));
                (&raw mut (*at.as_ptr()).next).drop_in_place();
                (&raw mut (*at.as_ptr()).claim).drop_in_place();
                let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
                free.push(at.as_ptr().expose_provenance());
                match next {
                    Some(next) if at != last => at = next,
                    _ => return,
                }
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
pub(super) use imp::made;
pub(super) use imp::{get, put};
