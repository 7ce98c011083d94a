//! A place for a few values on the stack: [`Keys`], and [`columns`] for what is used at once.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
// No part of any protocol.
use std::sync::atomic::{Ordering, compiler_fence};

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

/// What [`columns`] has picked: the rows, each column by itself.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a, A, B, C>(&'a [A], &'a [B], &'a [C]);

impl<A: Copy, B: Copy, C: Copy> Columns<'_, A, B, C> {
    /// The rows.
    #[inline]
    pub fn rows(self) -> impl Iterator<Item = (A, B, C)> {
        let others = self.1.iter().zip(self.2);
        self.0.iter().zip(others).map(|(&a, (&b, &c))| {
            // Orders nothing. The values have been stored one by one just now, so a load of several at once,
            // which the compiler would make of a sum, would wait until all of them are in the cache.
            compiler_fence(Ordering::Acquire);
            (a, b, c)
        })
    }
}

/// Shows `then` what `pick` has picked of each of `from`; `None`: these are more than `N`, and nothing
/// happens.
///
/// Each column is a variable of its own, so if all of this is inlined, a column that `then` never looks at is
/// not even written: of a key, most visitors want one field. That is why they are no fields of a struct.
///
/// ```
/// use resv_sync::keys::columns;
/// let even = |&n: &u32| (n % 2 == 0).then_some((n, 10 * n, ()));
/// let sum = columns::<8, _, _, _, _, _>(&[1, 2, 3, 4], even, |picked| picked.rows().map(|row| row.1).sum());
/// assert_eq!(sum, Some(60));
/// assert!(columns::<3, _, _, _, _, _>(&[1, 2, 3, 4], even, |_| unreachable!()).is_none());
/// ```
#[inline(always)]
pub fn columns<const N: usize, T, A: Copy, B: Copy, C: Copy, R>(
    from: &[T],
    mut pick: impl FnMut(&T) -> Option<(A, B, C)>,
    then: impl FnOnce(Columns<'_, A, B, C>) -> R,
) -> Option<R> {
    if from.len() > N {
        return None;
    }
    let mut first = [const { MaybeUninit::<A>::uninit() }; N];
    let mut second = [const { MaybeUninit::<B>::uninit() }; N];
    let mut third = [const { MaybeUninit::<C>::uninit() }; N];
    let mut len = 0;
    let mut look_at = |value: &T| {
        if let Some((a, b, c)) = pick(value) {
            // SAFETY: each of `from` is looked at once, so there is one row at most of each, and they are not
            // more than `N`.
            unsafe {
                first.get_unchecked_mut(len).write(a);
                second.get_unchecked_mut(len).write(b);
                third.get_unchecked_mut(len).write(c);
            }
            len += 1;
        }
    };
    // Four at a time: the way round the loop is as long as the look at one.
    let mut fours = from.chunks_exact(4);
    for four in &mut fours {
        four.iter().for_each(&mut look_at);
    }
    fours.remainder().iter().for_each(look_at);
    // SAFETY: the first `len` places of each column, of which there are `N`, were written above.
    let picked = unsafe {
        Columns(
            std::slice::from_raw_parts(first.as_ptr().cast(), len),
            std::slice::from_raw_parts(second.as_ptr().cast(), len),
            std::slice::from_raw_parts(third.as_ptr().cast(), len),
        )
    };
    Some(then(picked))
}
