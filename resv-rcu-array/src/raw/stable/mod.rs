//! Arrays in type-stable memory, and the pointer through which one is published.
//!
//! | file | idea |
//! |---|---|
//! | [`cell`] | the memory: what anybody may look at, and when it means something |
//! | [`array`] | who owns it: a builder that fills it, references that keep it |
//! | [`keys`] | what a visit writes down before it is known to be of one instant |
//! | [`pool`] | where it comes from and goes back to |
//! | [`head`] | the published pointer of one object, with marks; the object's lock and its holder's state |

mod array;
mod cell;
mod head;
mod keys;
mod pool;

pub(crate) use array::{ArrayRef, Builder, Spares};
pub(crate) use cell::{ArrayCell, Life};
pub(crate) use head::{Head, Holder, Object};
pub use head::{Protocol, Sound};
pub(crate) use keys::Keys;

/// What the holder of an object's lock keeps a builder for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// To save the next reservation a walk to the pool.
    Cached,
    /// A publish has been promised it.
    Reserved,
    /// Edits are made in it.
    Staged,
}

/// The stand-in for "the entries of an array", by which loom finds unordered uses of plain memory.
#[cfg(loom)]
mod model {
    pub(super) struct Bytes(loom::cell::UnsafeCell<()>);

    impl Bytes {
        pub(super) fn new() -> Bytes {
            Bytes(loom::cell::UnsafeCell::new(()))
        }

        pub(super) fn read(&self) {
            self.0.with(|_| ());
        }

        pub(super) fn write(&self) {
            self.0.with_mut(|_| ());
        }
    }
}

#[cfg(not(loom))]
mod model {
    pub(super) struct Bytes;

    impl Bytes {
        pub(super) const fn new() -> Bytes {
            Bytes
        }

        #[inline(always)]
        pub(super) const fn read(&self) {}

        #[inline(always)]
        pub(super) const fn write(&self) {}
    }
}
