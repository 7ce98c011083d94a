//! A vector whose first memory may be had or not.

use resv_core::ReserveError;
use std::alloc::{Layout, alloc};

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
