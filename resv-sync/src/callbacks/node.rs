//! One callback: a header that the list knows, and the closure behind it, in one [`Block`].
//!
//! The list sees the [`Header`] only; the type of the closure is kept in the header's `act`, the one
//! function that knows it. A closure that does not fit is boxed.

use super::Notify;
use super::memory::{self, Block};
use crate::cell::UnsafeCell;
use crate::sync::atomic::{AtomicPtr, Ordering};
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null_mut};

const CLAIMED: usize = 1;

/// The start of every node. Its alignment leaves the three low bits of its address to the word.
#[repr(C, align(8))]
pub(super) struct Header {
    /// The callback that was stored before this one.
    pub(super) next: AtomicPtr<Header>,
    /// What the callback is called in [`cancel`](super::Callbacks::cancel).
    pub(super) id: u64,
    /// Null until somebody has claimed the closure, which is needed only by walkers and by closers
    /// that meet one. A closer puts the address there of the node that it is to run after this one,
    /// plus `CLAIMED`.
    claim: AtomicPtr<Header>,
    act: unsafe fn(NonNull<Header>, Act) -> Option<NonNull<Header>>,
    /// Written by who frees, read by who looks: loom finds a node that is freed under a reader.
    #[cfg(loom)]
    life: UnsafeCell<()>,
}

/// What may be done to a node by who does not know its type. The closure is the caller's.
#[derive(Clone, Copy)]
pub(super) enum Act {
    /// Takes the closure out and runs it with the outcome.
    Run(u32),
    /// Takes the closure out and drops it.
    Discard,
    /// Takes the closure out, to a node of its own, which is returned.
    MoveOut,
}

#[repr(C)]
struct Node<F> {
    header: Header,
    closure: UnsafeCell<MaybeUninit<F>>,
}

impl<F> Node<F> {
    const FITS: bool =
        size_of::<Self>() <= size_of::<Block>() && align_of::<Self>() <= align_of::<Block>();
}

/// A closure that does not fit into a block.
struct Boxed<F>(Box<F>);

impl<F: Notify> Notify for Boxed<F> {
    fn notify(self, outcome: u32) {
        self.0.notify(outcome);
    }
}

/// Makes a node. It is the caller's, until it is put into a list.
#[inline]
pub(super) fn make<F: Notify>(id: u64, closure: F) -> NonNull<Header> {
    if Node::<F>::FITS {
        make_fitting(id, closure)
    } else {
        make_fitting(id, Boxed(Box::new(closure)))
    }
}

#[inline]
fn make_fitting<F: Notify>(id: u64, closure: F) -> NonNull<Header> {
    const { assert!(Node::<F>::FITS || Node::<Boxed<F>>::FITS) };
    let node = memory::get().cast::<Node<F>>();
    // SAFETY: the block is ours, and large enough and aligned: `make` has looked, and a box fits.
    unsafe {
        node.write(Node {
            header: Header {
                next: AtomicPtr::new(null_mut()),
                id,
                claim: AtomicPtr::new(null_mut()),
                act: act::<F>,
                #[cfg(loom)]
                life: UnsafeCell::new(()),
            },
            closure: UnsafeCell::new(MaybeUninit::new(closure)),
        });
    }
    node.cast()
}

/// Takes a node of [`make`] apart that was never put into a list.
///
/// # Safety
///
/// `node` is the result of `make::<F>`, and nobody else knows its address.
pub(super) unsafe fn unmake<F: Notify>(node: NonNull<Header>) -> F {
    // SAFETY: by the contract the node is the caller's alone, and it is of the type that `make` made.
    unsafe {
        let closure = if Node::<F>::FITS {
            take_out::<F>(node)
        } else {
            *take_out::<Boxed<F>>(node).0
        };
        free(node, node);
        closure
    }
}

/// Takes the closure out of a node.
///
/// # Safety
///
/// `node` is a `Node<F>` and lives; the caller owns the closure, and takes it out once.
unsafe fn take_out<F>(node: NonNull<Header>) -> F {
    // SAFETY: the node lives and is a `Node<F>`.
    let node = unsafe { node.cast::<Node<F>>().as_ref() };
    node.closure.with_mut(|closure| {
        // SAFETY: the closure is the caller's and still there.
        unsafe { closure.read().assume_init() }
    })
}

/// # Safety
///
/// As [`take_out`].
unsafe fn act<F: Notify>(node: NonNull<Header>, act: Act) -> Option<NonNull<Header>> {
    // SAFETY: the contract is the same.
    let closure = unsafe { take_out::<F>(node) };
    match act {
        Act::Run(outcome) => closure.notify(outcome),
        Act::Discard => drop(closure),
        Act::MoveOut => {
            // SAFETY: the node lives, and its `id` is never written again.
            return Some(make_fitting(unsafe { node.as_ref() }.id, closure));
        }
    }
    None
}

impl Header {
    /// Whether the caller is the first to claim the closure, which is then the caller's. Keeps `later`
    /// for [`later`](Header::later).
    pub(super) fn claim(&self, later: *mut Header) -> bool {
        self.look();
        let claimed = later.map_addr(|addr| addr | CLAIMED);
        // Relaxed: it decides who, and orders nothing. The closure was published with the node, and
        // what its taker does to it happens before the node is freed by way of the word.
        self.claim
            .compare_exchange(null_mut(), claimed, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// What was given to [`claim`](Header::claim), by the same thread.
    pub(super) fn later(&self) -> *mut Header {
        let claimed = self.claim.load(Ordering::Relaxed);
        claimed.map_addr(|addr| addr & !CLAIMED)
    }

    /// Tells loom that the node is in use.
    pub(super) fn look(&self) {
        #[cfg(loom)]
        self.life.with(|_| ());
    }
}

/// Does `what` to the closure of a node.
///
/// # Safety
///
/// The node lives; the caller owns its closure, which is there.
#[inline]
pub(super) unsafe fn apply(node: NonNull<Header>, what: Act) -> Option<NonNull<Header>> {
    // SAFETY: the node lives, and `act` is the instance for its closure.
    unsafe { (node.as_ref().act)(node, what) }
}

/// Gives back the memory of nodes whose closures have been taken out.
///
/// # Safety
///
/// `first` leads to `last` by `next`, and nobody uses these nodes any more.
#[inline]
pub(super) unsafe fn free(first: NonNull<Header>, last: NonNull<Header>) {
    #[cfg(loom)]
    {
        let mut at = first;
        loop {
            // SAFETY: the caller's contract.
            let header = unsafe { at.as_ref() };
            header.life.with_mut(|_| ());
            if at == last {
                break;
            }
            at = NonNull::new(header.next.load(Ordering::Relaxed)).expect("it leads to the last");
        }
    }
    // SAFETY: the caller's contract.
    unsafe { memory::put(first, last) };
}
