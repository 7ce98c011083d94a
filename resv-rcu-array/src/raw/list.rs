//! A list of arrays that is linked through their headers, so that keeping one needs no memory.
//!
//! The link belongs to whoever owns the element. Both element types exist once for an array: a
//! builder is unique by construction, and what `epoch` keeps here is unique since an array is
//! published once and unlinked once. So no two lists ever write one link.
//!
//! [`SharedList`] passes lists from thread to thread: whole lists are pushed, and all of them are
//! taken at once, so there is no element that one thread looks at while another takes it.

use super::array::{ArrayBuilder, Header};
#[cfg(feature = "crossbeam-epoch")]
use crate::sync::{AtomicPtr, Ordering};
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

/// Lists on their way from any thread to any other. Lock-free.
#[cfg(feature = "crossbeam-epoch")]
pub(crate) struct SharedList<T: Link> {
    head: AtomicPtr<Header>,
    owns: PhantomData<T>,
}

#[cfg(feature = "crossbeam-epoch")]
impl<T: Link> SharedList<T> {
    /// Adds a list. Allocates nothing.
    pub(crate) fn push_all(&self, mut list: List<T>) {
        let Some(first) = list.head.take() else {
            return;
        };
        let mut last = first;
        // SAFETY: all elements are alive and their links ours until the exchange below succeeds.
        while let Some(next) = unsafe { (*last.as_ptr()).next } {
            last = next;
        }
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: as above. What `head` leads to is not looked at.
            unsafe { (*last.as_ptr()).next = NonNull::new(head) };
            // Release: pairs with the exchange in `take_all`; a chain of exchanges keeps the
            // pairing for all lists that were pushed before.
            match self.head.compare_exchange_weak(
                head,
                first.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes everything that was added.
    pub(crate) fn take_all(&self) -> List<T> {
        // Acquire: pairs with the exchanges in `push_all`.
        let head = NonNull::new(self.head.swap(std::ptr::null_mut(), Ordering::Acquire));
        let mut len = 0;
        let mut at = head;
        while let Some(header) = at {
            // SAFETY: the elements were pushed with their ownership, and taken once.
            at = unsafe { (*header.as_ptr()).next };
            len += 1;
        }
        List {
            head,
            len,
            owns: PhantomData,
        }
    }
}

#[cfg(feature = "crossbeam-epoch")]
impl<T: Link> Default for SharedList<T> {
    fn default() -> Self {
        SharedList {
            head: AtomicPtr::new(std::ptr::null_mut()),
            owns: PhantomData,
        }
    }
}

#[cfg(feature = "crossbeam-epoch")]
impl<T: Link> Drop for SharedList<T> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

// SAFETY: a shared list owns its elements and nothing else.
#[cfg(feature = "crossbeam-epoch")]
unsafe impl<T: Link + Send> Send for SharedList<T> {}
// SAFETY: elements go from thread to thread by value, each to one thread.
#[cfg(feature = "crossbeam-epoch")]
unsafe impl<T: Link + Send> Sync for SharedList<T> {}

// SAFETY: a list owns its elements and nothing else.
unsafe impl<T: Link + Send> Send for List<T> {}
// SAFETY: a shared list shows its length and nothing else.
unsafe impl<T: Link + Sync> Sync for List<T> {}

#[cfg(all(test, loom, feature = "crossbeam-epoch"))]
mod models {
    use super::*;
    use loom::sync::Arc;

    fn list_of_one() -> List<ArrayBuilder> {
        let mut array = ArrayBuilder::with_capacity(0).expect("memory");
        array.retain(|_| true); // counts as a write to the array
        let mut list = List::default();
        list.push(array);
        list
    }

    /// Two threads push while a third takes: every element arrives once, and what was done to it
    /// before is visible.
    #[test]
    fn elements_arrive_once_and_whole() {
        loom::model(|| {
            let shared = Arc::new(SharedList::default());
            let pushers = [0, 1].map(|_| {
                let shared = Arc::clone(&shared);
                loom::thread::spawn(move || shared.push_all(list_of_one()))
            });
            let mut arrived = 0;
            let mut take = || {
                let mut list = shared.take_all();
                while let Some(array) = list.pop() {
                    assert!(array.is_empty()); // counts as a read, its drop as a write
                    arrived += 1;
                }
            };
            take();
            take();
            for pusher in pushers {
                pusher.join().expect("no panic");
            }
            take();
            assert_eq!(arrived, 2);
        });
    }
}
