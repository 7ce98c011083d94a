//! A reference for ever and a tag of a few bits, in one word, so that they can only change together.
//!
//! Type-stable memory is never given back, so a slot may be read at any time, and what it leads to may be
//! looked at; that it still is what the reader meant is for the reader's own protocol to say.

#![allow(unsafe_code)]

use crate::sync::atomic::{AtomicPtr, Ordering, OwnerAccess};
use std::ptr::null_mut;

/// A `&'static T` and a tag of `BITS` bits, or nothing. Whether a slot in use owns a reference to what is
/// in that memory is for its user to say; loading takes none.
///
/// ```
/// use resv_sync::slot::TaggedSlot;
/// use resv_sync::sync::atomic::Ordering;
///
/// static SEVEN: u64 = 7;
/// let slot = TaggedSlot::<u64, 2>::empty();
/// assert_eq!(slot.load(), None);
/// slot.store(Some((&SEVEN, 3)), Ordering::Release);
/// assert_eq!(slot.load(), Some((&7, 3)));
/// ```
#[derive(Debug)]
pub struct TaggedSlot<T: 'static, const BITS: u32> {
    /// Null, or made of a `&'static T`, whose low bits are zero, and a tag.
    word: AtomicPtr<T>,
}

// SAFETY: it is a `&'static T`, which may be sent if `T` may be shared.
unsafe impl<T: Sync, const BITS: u32> Send for TaggedSlot<T, BITS> {}
// SAFETY: as above; the word is atomic.
unsafe impl<T: Sync, const BITS: u32> Sync for TaggedSlot<T, BITS> {}

impl<T, const BITS: u32> TaggedSlot<T, BITS> {
    /// The bits of a word that hold the tag.
    const TAG: usize = {
        let tag = (1 << BITS) - 1;
        assert!(
            align_of::<T>() > tag,
            "the low bits of an address hold the tag"
        );
        tag
    };

    /// Nothing.
    pub fn empty() -> Self {
        TaggedSlot {
            word: AtomicPtr::new(null_mut()),
        }
    }

    /// What is in the slot at some moment: an Acquire load, which pairs with the Release of
    /// [`store`](TaggedSlot::store).
    #[inline]
    pub fn load(&self) -> Option<(&'static T, usize)> {
        Self::content(self.word.load(Ordering::Acquire))
    }

    /// Calls `f` with what is in the slot at some moment, as by [`load`](TaggedSlot::load), if its tag is one
    /// of `tags`: bit `t` stands for tag `t`. An empty slot has tag 0, so bit 0 does not count. This is fewer
    /// steps than looking at what `load` gives.
    ///
    /// ```
    /// use resv_sync::slot::TaggedSlot;
    /// use resv_sync::sync::atomic::Ordering;
    ///
    /// #[repr(align(64))]
    /// struct Seven(u64);
    /// static SEVEN: Seven = Seven(7);
    /// let slot = TaggedSlot::<Seven, 3>::empty();
    /// let seven = |tags| slot.if_tagged(tags, |seven, tag| Some((seven.0, tag)));
    /// assert_eq!(seven(!0), None);
    /// slot.store(Some((&SEVEN, 5)), Ordering::Release);
    /// assert_eq!(seven(1 << 5), Some((7, 5)));
    /// assert_eq!(seven(!(1 << 5)), None);
    /// ```
    #[inline(always)]
    pub fn if_tagged<R>(
        &self,
        tags: u32,
        f: impl FnOnce(&'static T, usize) -> Option<R>,
    ) -> Option<R> {
        const {
            assert!(
                BITS <= 5 && align_of::<T>() >= 32,
                "five bits are of the tag"
            );
        }
        // Acquire: as in `load`.
        let word = self.word.load(Ordering::Acquire);
        if (tags & !1) >> (word.addr() % 32) & 1 == 0 {
            return None;
        }
        let tag = word.addr() & Self::TAG;
        // By way of the address, which costs one step where `content` has the compiler do three at each use.
        let target = std::ptr::with_exposed_provenance::<T>(word.addr() & !Self::TAG);
        // SAFETY: the five low bits of the word are its tag, which is not 0: so the word is not null, and was
        // made in `store` from a `&'static T`, whose provenance was exposed there.
        f(unsafe { &*target }, tag)
    }

    /// What is in the slot, for the one thread that may store to it at present.
    #[inline]
    pub fn load_own(&self) -> Option<(&'static T, usize)> {
        Self::content(self.word.load_own())
    }

    /// The same, the tag as a number below 32, with one step less where it is the number of a bit.
    ///
    /// ```
    /// use resv_sync::slot::TaggedSlot;
    /// use resv_sync::sync::atomic::Ordering;
    ///
    /// #[repr(align(64))]
    /// struct Seven(u64);
    /// static SEVEN: Seven = Seven(7);
    /// let slot = TaggedSlot::<Seven, 3>::empty();
    /// slot.store(Some((&SEVEN, 5)), Ordering::Release);
    /// assert!(matches!(slot.load_own_wide(), Some((&Seven(7), 5))));
    /// ```
    #[inline(always)]
    pub fn load_own_wide(&self) -> Option<(&'static T, u32)> {
        const {
            assert!(
                BITS <= 5 && align_of::<T>() >= 32,
                "five bits are of the tag"
            );
        }
        let word = self.word.load_own();
        let (target, _) = Self::content(word)?;
        Some((target, word.addr() as u32 % 32))
    }

    #[inline]
    fn content(word: *mut T) -> Option<(&'static T, usize)> {
        let tag = word.addr() & Self::TAG;
        // Not `map_addr`, of which the compiler makes two subtractions and an addition.
        let target = word.wrapping_byte_sub(tag);
        // SAFETY: a word that is not null is made from a `&'static T` in `store`, and its tag is taken
        // off again.
        let target = unsafe { target.cast_const().as_ref() }?;
        Some((target, tag))
    }

    /// Changes the slot.
    ///
    /// `order` is Release, which publishes what was done to the target before; a known-bad variant passes
    /// Relaxed.
    #[inline]
    pub fn store(&self, content: Option<(&'static T, usize)>, order: Ordering) {
        let word = match content {
            None => null_mut(),
            Some((target, tag)) => {
                debug_assert!(tag <= Self::TAG, "a tag of {BITS} bits");
                let target = std::ptr::from_ref(target).cast_mut();
                target.expose_provenance();
                target.map_addr(|addr| addr | (tag & Self::TAG))
            }
        };
        self.word.store(word, order);
    }
}
