//! A box that is made once, behind one word.

use super::vector::try_with_capacity;
use resv_core::ReserveError;
use resv_sync::sync::atomic::{AtomicPtr, Ordering, OwnerAccess};
use std::fmt;
use std::marker::PhantomData;

/// Nothing at first, then a value that stays in its place until this is dropped.
pub(crate) struct OnceBox<T> {
    value: AtomicPtr<T>,
    owns: PhantomData<Box<T>>,
}

impl<T> Default for OnceBox<T> {
    fn default() -> Self {
        OnceBox {
            value: AtomicPtr::new(std::ptr::null_mut()),
            owns: PhantomData,
        }
    }
}

// SAFETY: this is an owned `T`, sent with it.
unsafe impl<T: Send> Send for OnceBox<T> {}
// SAFETY: sharing it shares the `T`; and a value that one thread puts in may be dropped by another.
unsafe impl<T: Send + Sync> Sync for OnceBox<T> {}

impl<T> OnceBox<T> {
    /// The value, if there is one yet.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: pairs with the Release in `init`: the value is initialised.
        let value = self.value.load(Ordering::Acquire);
        // SAFETY: a non-null pointer is one that `init` made of a box, and what it leads to is freed
        // in `drop` only, which has `&mut self`. A thread that reads it synchronises with `init`.
        unsafe { value.cast_const().as_ref() }
    }

    /// The value, for the holder of the object's lock, if only holders call
    /// [`init`](OnceBox::init).
    #[inline]
    pub(crate) fn get_held(&self) -> Option<&T> {
        // SAFETY: as in `get`; the lock orders this after the `init` of an earlier holder.
        unsafe { self.value.load_own().cast_const().as_ref() }
    }

    /// Puts a value in, and returns what is in then.
    ///
    /// # Errors
    ///
    /// When the memory cannot be had.
    #[cold]
    pub(crate) fn init(&self, value: T) -> Result<&T, ReserveError> {
        // A vector, because it is what can fail: a box of one value is a vector of one value.
        let mut vector = try_with_capacity(1)?;
        vector.push(value);
        let new = Box::into_raw(vector.into_boxed_slice());
        // Release: pairs with the Acquire loads in `get` and here. Acquire, if there is one already.
        let before = self.value.compare_exchange(
            std::ptr::null_mut(),
            new.cast(),
            Ordering::Release,
            Ordering::Acquire,
        );
        let now = match before {
            Ok(_) => new.cast_const().cast(),
            Err(other) => {
                // SAFETY: from `into_raw` above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
                other.cast_const()
            }
        };
        // SAFETY: as in `get`; it is not null.
        Ok(unsafe { &*now })
    }
}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        let value = self.value.load(Ordering::Relaxed);
        if !value.is_null() {
            let boxed = std::ptr::slice_from_raw_parts_mut(value, 1);
            // SAFETY: `init` made this pointer from a box of a slice of one value, which this owns
            // and frees here once (`&mut self`).
            drop(unsafe { Box::from_raw(boxed) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_value_that_came_second_goes_at_once_and_the_first_with_the_box() {
        let (first, second) = (Arc::new(1), Arc::new(2));
        let once = OnceBox::default();
        assert!(once.get().is_none() && once.get_held().is_none());
        assert_eq!(once.init(Arc::clone(&first)), Ok(&first));
        assert_eq!(once.init(Arc::clone(&second)), Ok(&first));
        assert_eq!(once.get(), Some(&first));
        assert_eq!(once.get_held(), Some(&first));
        assert_eq!(Arc::strong_count(&first), 2);
        assert_eq!(Arc::strong_count(&second), 1);
        drop(once);
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
