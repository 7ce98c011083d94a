//! A place for a few values on the stack.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// Up to `N` values, filled in one go.
///
/// An `ArrayVec` whose length is stored once and not after each value: a visit of an object is hardly more
/// than writing and reading the keys of its fences.
///
/// ```
/// let mut keys = resv_sync::keys::Keys::<u32, 2>::new();
/// assert!(keys.fill([1, 2].into_iter()));
/// assert_eq!(keys.as_slice(), [1, 2]);
/// assert!(!keys.fill([1, 2, 3].into_iter()));
/// assert!(keys.as_slice().is_empty());
/// ```
pub struct Keys<K: Copy, const N: usize> {
    places: [MaybeUninit<K>; N],
    /// How many of the first places are initialised.
    len: usize,
}

impl<K: Copy, const N: usize> Keys<K, N> {
    /// None yet.
    #[inline]
    #[allow(clippy::new_without_default, reason = "made in one place")]
    pub fn new() -> Self {
        Keys {
            places: [const { MaybeUninit::uninit() }; N],
            len: 0,
        }
    }

    /// Takes these values in the place of those before; `false`: there were more than `N`, and none is
    /// kept.
    #[inline]
    pub fn fill(&mut self, values: impl Iterator<Item = K>) -> bool {
        self.len = 0;
        let mut len = 0;
        for value in values {
            let Some(place) = self.places.get_mut(len) else {
                return false;
            };
            place.write(value);
            len += 1;
        }
        self.len = len;
        true
    }

    /// The values.
    #[inline]
    pub fn as_slice(&self) -> &[K] {
        // SAFETY: `fill` has written the first `len` places, which are not more than there are.
        unsafe { std::slice::from_raw_parts(self.places.as_ptr().cast(), self.len) }
    }
}
