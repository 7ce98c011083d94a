//! A list of arrays that is linked through their headers, so that keeping one needs no memory.
//!
//! The link belongs to the owner of the element, and a builder is unique by construction. So no two lists ever write one link.

use super::array::{ArrayBuilder, Header};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// What can be an element.
///
/// # Safety
///
/// At any time at most one value of any type that implements this trait exists for an array, as a
/// value or within a list.
pub(crate) unsafe trait Link: Sized {
    /// The array, alive until [`from_raw`](Link::from_raw).
    fn into_raw(self) -> NonNull<Header>;

    /// The value again.
    ///
    /// # Safety
    ///
    /// `header` came from [`into_raw`](Link::into_raw) of this type, and each such call is undone
    /// once.
    unsafe fn from_raw(header: NonNull<Header>) -> Self;
}

// SAFETY: a builder cannot be cloned, and an array has one until it is shared.
unsafe impl Link for ArrayBuilder {
    fn into_raw(self) -> NonNull<Header> {
        self.into_raw()
    }

    unsafe fn from_raw(header: NonNull<Header>) -> Self {
        // SAFETY: the caller's promise is the same one.
        unsafe { ArrayBuilder::from_raw(header) }
    }
}

/// A list that owns its elements; last in, first out.
pub(crate) struct List<T: Link> {
    head: Option<NonNull<Header>>,
    len: usize,
    owns: PhantomData<T>,
}

impl<T: Link> List<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, element: T) {
        let header = element.into_raw();
        // SAFETY: the element is alive, and its link is ours: it is in no other list (`Link`).
        unsafe { (*header.as_ptr()).next = self.head };
        self.head = Some(header);
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let header = self.head?;
        // SAFETY: the element was pushed and not popped since, so it is alive and its link is ours;
        // with `head` moved on, it is popped once.
        unsafe {
            self.head = (*header.as_ptr()).next;
            self.len -= 1;
            Some(T::from_raw(header))
        }
    }
}

impl<T: Link> Default for List<T> {
    fn default() -> Self {
        List {
            head: None,
            len: 0,
            owns: PhantomData,
        }
    }
}

impl<T: Link> Drop for List<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

// SAFETY: a list owns its elements and nothing else.
unsafe impl<T: Link + Send> Send for List<T> {}
// SAFETY: a shared list shows its length and nothing else.
unsafe impl<T: Link + Sync> Sync for List<T> {}
