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
    /// The capacity, and above it the length; a length of [`NO_MEMORY`] when it could not be had.
    lens: u64,
}

/// More than the length of a [`Picked`] can be.
const NO_MEMORY: u32 = u32::MAX;

impl<T> Picked<T> {
    /// What `pick` picks of each of `from`; `None` if that are too many. Length and capacity are stored
    /// once and not after each value. If `pick` panics, what it had picked is leaked.
    #[inline]
    pub(crate) fn of<S>(from: &[S], mut pick: impl FnMut(&S) -> Option<T>) -> Option<Picked<T>> {
        let capacity = u32::try_from(from.len()).ok().filter(|&n| n < NO_MEMORY)?;
        let Ok(vector) = try_with_capacity::<T>(from.len()) else {
            return Some(Picked {
                first: NonNull::dangling(),
                lens: u64::from(NO_MEMORY) << 32 | u64::from(capacity),
            });
        };
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

    /// # Errors
    ///
    /// When the memory for it could not be had.
    #[inline]
    pub(crate) fn into_vec(self) -> Result<Vec<T>, ReserveError> {
        let (len, capacity) = ((self.lens >> 32) as u32, self.lens as u32 as usize);
        if len == NO_MEMORY {
            return Err(ReserveError::new(capacity));
        }
        // SAFETY: the parts of a vector that `of` got with this capacity, of which so many values were
        // written.
        Ok(unsafe { Vec::from_raw_parts(self.first.as_ptr(), len as usize, capacity) })
    }
}
