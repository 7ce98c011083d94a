//! A place for keys on the stack.

use resv_core::Key;
use std::mem::MaybeUninit;

/// Up to `N` keys.
///
/// An `ArrayVec` whose length is stored once and not after each key: a visit is hardly more than
/// writing and reading this.
pub(crate) struct Keys<const N: usize> {
    places: [MaybeUninit<Key>; N],
    /// How many of the first places are initialised.
    len: usize,
}

impl<const N: usize> Keys<N> {
    #[inline]
    pub(crate) fn new() -> Self {
        Keys {
            places: [const { MaybeUninit::uninit() }; N],
            len: 0,
        }
    }

    /// Takes these keys in the place of those before; `false`: there were more than `N`, and none is
    /// kept.
    #[inline]
    pub(crate) fn fill(&mut self, keys: impl Iterator<Item = Key>) -> bool {
        self.len = 0;
        let mut len = 0;
        for key in keys {
            let Some(place) = self.places.get_mut(len) else {
                return false;
            };
            place.write(key);
            len += 1;
        }
        self.len = len;
        true
    }

    /// The keys.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[Key] {
        // SAFETY: `fill` has written the first `len` places, which are not more than there are.
        unsafe { std::slice::from_raw_parts(self.places.as_ptr().cast(), self.len) }
    }
}
