//! The chunks of a pool, newest first: a list that only grows, so that adding to it needs no lock.

#![allow(unsafe_code)]

use std::iter::successors;
use std::ptr::null_mut;
// No model explores this: a chunk is added with its values outside of any protocol.
use std::sync::atomic::{AtomicPtr, Ordering};

/// All values of a pool. Keeps them reachable for leak checkers.
pub(crate) struct Chunks<T: 'static> {
    /// Null, or a chunk that was leaked.
    newest: AtomicPtr<Chunk<T>>,
}

struct Chunk<T: 'static> {
    values: Box<[T]>,
    older: Option<&'static Chunk<T>>,
    /// How many values there are, here and in the older ones.
    capacity: usize,
}

impl<T: Sync> Chunks<T> {
    pub(crate) const fn new() -> Self {
        Chunks {
            newest: AtomicPtr::new(null_mut()),
        }
    }

    fn newest(&self) -> Option<&'static Chunk<T>> {
        // Acquire: pairs with the Release in `push`: the chunk is initialised.
        // SAFETY: null or a chunk that `push` has leaked; it is not changed after it was published.
        unsafe { self.newest.load(Ordering::Acquire).cast_const().as_ref() }
    }

    /// Keeps these values for ever.
    pub(crate) fn push(&self, values: Box<[T]>) -> &'static [T] {
        let len = values.len();
        let new = Box::into_raw(Box::new(Chunk {
            values,
            older: None,
            capacity: 0,
        }));
        loop {
            let older = self.newest();
            // SAFETY: the chunk was just made, and is this function's until it is published.
            unsafe {
                (*new).older = older;
                (*new).capacity = len + older.map_or(0, |older| older.capacity);
            }
            let before = older.map_or(null_mut(), |older| std::ptr::from_ref(older).cast_mut());
            // Release: pairs with the Acquire in `newest`.
            let published =
                self.newest
                    .compare_exchange(before, new, Ordering::Release, Ordering::Relaxed);
            if published.is_ok() {
                // SAFETY: it is never freed, and not changed any more.
                return unsafe { &(*new).values };
            }
        }
    }

    /// How many values there are.
    pub(crate) fn capacity(&self) -> usize {
        self.newest().map_or(0, |newest| newest.capacity)
    }

    /// All values at the time of the call.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static T> + use<T> {
        let chunks = successors(self.newest(), |chunk| chunk.older);
        chunks.flat_map(|chunk| &chunk.values)
    }
}
