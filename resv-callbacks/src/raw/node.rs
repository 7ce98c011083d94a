//! The memory of one callback: a header that the list knows, and the closure behind it.
//!
//! A [`Node`] is one allocation. The list sees its [`Header`] only; the type of the closure is kept
//! in the header's `act`, the one function that knows it.

use super::Notify;
use crate::sync::{AtomicPtr, Ordering, UnsafeCell};
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

/// What may be done to a node by who does not know its type.
#[derive(Clone, Copy)]
pub(super) enum Act {
    /// Takes the closure out, frees the node if it is `alone`, and runs the closure.
    Run { outcome: u32, alone: bool },
    /// The same, and drops the closure.
    Discard { alone: bool },
    /// Moves the closure to a node of its own, which is returned.
    MoveOut,
    /// Frees a node whose closure has been taken out.
    Free,
}

#[repr(C)]
struct Node<F> {
    header: Header,
    closure: UnsafeCell<MaybeUninit<F>>,
}

/// Allocates a node. It is the caller's, until it is put into a list.
pub(super) fn allocate<F: Notify>(id: u64, closure: F) -> NonNull<Header> {
    let node = Box::new(Node {
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
    NonNull::from(Box::leak(node)).cast()
}

/// Frees a node of [`allocate`] with this `F` and gives its closure back.
///
/// # Safety
///
/// `node` is the result of `allocate::<F>`, nobody else knows its address, and its closure has not been
/// taken out.
pub(super) unsafe fn unmake<F>(node: NonNull<Header>) -> F {
    // SAFETY: by the contract the node is a `Node<F>` of a `Box` and the caller's alone.
    let node = unsafe { Box::from_raw(node.cast::<Node<F>>().as_ptr()) };
    node.closure.with_mut(|closure| {
        // SAFETY: the closure was put there by `allocate` and is taken out once, here.
        unsafe { closure.read().assume_init() }
    })
}

/// Takes the closure out of a node that somebody may still look at.
///
/// # Safety
///
/// `node` is the result of `allocate::<F>` and lives; the caller owns the closure, and takes it out once.
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
/// `node` is the result of `allocate::<F>` and lives. The caller owns the closure, except for
/// [`Act::Free`]: then it has been taken out. For `Free`, and where it is `alone`, nobody else uses the
/// node any more.
unsafe fn act<F: Notify>(node: NonNull<Header>, act: Act) -> Option<NonNull<Header>> {
    let take = |alone: bool| {
        if alone {
            // SAFETY: nobody else uses the node, and its closure is there.
            unsafe { unmake::<F>(node) }
        } else {
            // SAFETY: the node lives, and the closure is the caller's.
            unsafe { take_out::<F>(node) }
        }
    };
    match act {
        Act::Run { outcome, alone } => take(alone).notify(outcome),
        Act::Discard { alone } => drop(take(alone)),
        Act::MoveOut => {
            // SAFETY: the node lives, and its `id` is never written again.
            let id = unsafe { node.as_ref() }.id;
            return Some(allocate(id, take(false)));
        }
        // SAFETY: the node came from a `Box` and nobody uses it. The closure is `MaybeUninit`: it is
        // not dropped again.
        Act::Free => drop(unsafe { Box::from_raw(node.cast::<Node<F>>().as_ptr()) }),
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

/// Does `what` to a node.
///
/// # Safety
///
/// The node lives and the contract of [`act`] holds for what is done.
pub(super) unsafe fn apply(node: NonNull<Header>, what: Act) -> Option<NonNull<Header>> {
    // SAFETY: the node lives.
    let header = unsafe { node.as_ref() };
    #[cfg(loom)]
    if matches!(
        what,
        Act::Free | Act::Run { alone: true, .. } | Act::Discard { alone: true }
    ) {
        header.life.with_mut(|_| ());
    }
    let act = header.act;
    // SAFETY: `act` is the instance for the closure of this node; the rest is the caller's contract.
    unsafe { act(node, what) }
}
