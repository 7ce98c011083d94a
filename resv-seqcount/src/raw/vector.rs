//! Vectors whose memory may be had or not.

use resv_core::ReserveError;
use std::alloc::{Layout, alloc};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// An empty vector with room for `capacity` values.
///
/// What `Vec::try_reserve_exact` does to an empty vector, in a third of the instructions: a snapshot
/// of few fences is hardly more than this.
///
/// # Errors
///
/// When memory cannot be had.
#[inline]
pub(crate) fn try_with_capacity<T>(capacity: usize) -> Result<Vec<T>, ReserveError> {
    let error = || ReserveError::new(capacity);
    let layout = Layout::array::<T>(capacity).map_err(|_| error())?;
    if layout.size() == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the size is not zero.
    let memory = unsafe { alloc(layout) };
    if memory.is_null() {
        return Err(error());
    }
    // SAFETY: from the global allocator, with the layout of an array of `capacity` values, of which
    // none is initialised.
    Ok(unsafe { Vec::from_raw_parts(memory.cast(), 0, capacity) })
}

/// A vector in two words, which are handed on in registers: one that is stored in three parts and then moved
/// as a whole waits for the parts.
pub(crate) struct Picked<T> {
    first: NonNull<T>,
    /// The capacity, and above it the length.
    lens: u64,
}

impl<T> Picked<T> {
    /// What `pick` picks of each of `from`; `None` when memory cannot be had. Length and capacity are stored
    /// once and not after each value. If `pick` panics, what it had picked is leaked.
    #[inline]
    pub(crate) fn of<S>(from: &[S], mut pick: impl FnMut(&S) -> Option<T>) -> Option<Picked<T>> {
        let capacity = u32::try_from(from.len()).ok()?;
        let vector: Vec<T> = try_with_capacity(from.len()).ok()?;
        // The parts are put together again in `into_vec`.
        let places = NonNull::from(ManuallyDrop::new(vector).spare_capacity_mut()).cast::<T>();
        let mut len = 0;
        for value in from {
            if let Some(value) = pick(value) {
                // SAFETY: the vector has a place for each of `from`, each of which gives one value at most.
                unsafe { places.add(len).write(value) };
                len += 1;
            }
        }
        Some(Picked {
            first: places,
            lens: (len as u64) << 32 | u64::from(capacity),
        })
    }

    #[inline]
    pub(crate) fn into_vec(self) -> Vec<T> {
        let (len, capacity) = ((self.lens >> 32) as usize, self.lens as u32 as usize);
        // SAFETY: the parts of a vector that `of` got with this capacity, of which so many values were
        // written.
        unsafe { Vec::from_raw_parts(self.first.as_ptr(), len, capacity) }
    }
}
