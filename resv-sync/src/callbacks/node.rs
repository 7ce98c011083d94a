//! One callback: a header that the list knows, and the closure behind it, in one [`Block`].
//!
//! The list sees the [`Header`] only; the type of the closure is kept in the header's `act`, the one
//! function that knows it. A closure that does not fit is boxed.

use super::Notify;
use super::in_order::{Place, kind_at};
use super::memory::{self, Block};
use crate::cell::UnsafeCell;
use crate::sync::atomic::{AtomicPtr, Ordering};
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null, null_mut};
// A name is compared with it, and no protocol stands on when that is seen (see the module's text).
use std::sync::atomic::AtomicU64;

const CLAIMED: usize = 1;

/// The start of every node. Its alignment leaves the three low bits of its address to the word.
#[repr(C, align(8))]
pub(super) struct Header {
    /// The callback that was stored before this one.
    pub(super) next: AtomicPtr<Header>,
    /// How many callbacks were put into the block and taken back out of it. Part of a callback's
    /// [name](super::Name). It may be read at any time, so it is initialised with the block and stays.
    pub(super) generation: AtomicU64,
    /// Until the closure is claimed: the node that was stored after this one, if a walker has noted it, or
    /// null. Then: `CLAIMED`. Only walkers, and closers that race with one, need to claim. A closer adds the
    /// address of the node that it is to run after this one.
    pub(super) claim: AtomicPtr<Header>,
    /// Null: no node, but the [end](super::in_order) of those that are run.
    kind: *const Kind,
    /// Written by the thread that frees, read by those that look: loom finds a node that is freed under a reader.
    #[cfg(loom)]
    life: UnsafeCell<()>,
}

/// What may be done to a node whose type is not known. The closure is the caller's.
///
/// A function for each, so that running asks nothing.
pub(super) struct Kind {
    /// Takes the closure out and runs it with the outcome.
    run: unsafe fn(NonNull<Header>, u32),
    /// The same for the node at a place, which is of this kind, and for those at the places before it, up to the first
    /// that is not. Returns the place of that one. If one panics, notes the place before that.
    run_alike: unsafe fn(Place, *const Kind, u32, &mut Place) -> Place,
    /// Takes the closure out and drops it.
    discard: unsafe fn(NonNull<Header>),
    /// Takes the closure out, to a node of its own, which is returned.
    move_out: unsafe fn(NonNull<Header>) -> NonNull<Header>,
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

/// Makes a node, and says of which generation. It is the caller's, until it is put into a list.
#[inline]
pub(super) fn make<F: Notify>(closure: F) -> (NonNull<Header>, u64) {
    if Node::<F>::FITS {
        make_fitting(closure)
    } else {
        make_fitting(Boxed(Box::new(closure)))
    }
}

#[inline]
fn make_fitting<F: Notify>(closure: F) -> (NonNull<Header>, u64) {
    const { assert!(Node::<F>::FITS || Node::<Boxed<F>>::FITS) };
    let node = memory::get().cast::<Node<F>>();
    let at = node.as_ptr();
    // SAFETY: the block is ours, and large enough and aligned: `make` has looked, and a box fits. The
    // generation, which others may read, was initialised with the block; all else is written here.
    let generation = unsafe {
        (&raw mut (*at).header.next).write(AtomicPtr::new(null_mut()));
        (&raw mut (*at).header.claim).write(AtomicPtr::new(null_mut()));
        (&raw mut (*at).header.kind).write(const { &Node::<F>::KIND });
        #[cfg(loom)]
        (&raw mut (*at).header.life).write(UnsafeCell::new(()));
        (&raw mut (*at).closure).write(UnsafeCell::new(MaybeUninit::new(closure)));
        (*at).header.begin()
    };
    (node.cast(), generation)
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
        free(node, node, 1);
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

impl<F: Notify> Node<F> {
    const KIND: Kind = Kind {
        run: run::<F>,
        run_alike: run_alike::<F>,
        discard: discard::<F>,
        move_out: move_out::<F>,
    };
}

/// # Safety
///
/// As [`take_out`].
unsafe fn run<F: Notify>(node: NonNull<Header>, outcome: u32) {
    // SAFETY: the contract is the same.
    unsafe { take_out::<F>(node) }.notify(outcome);
}

/// # Safety
///
/// As [`take_out`], for each node of this `kind`, which is the one at `at`. The places before lead to the end.
unsafe fn run_alike<F: Notify>(
    mut at: Place,
    kind: *const Kind,
    outcome: u32,
    next: &mut Place,
) -> Place {
    loop {
        // SAFETY: the contract is the same. Nodes of one kind have one function for this, so what is done here with the
        // next one is what its own function would do.
        unsafe {
            let node = *at;
            at = at.sub(1);
            let note = NoteOnPanic(next, at);
            take_out::<F>(node).notify(outcome);
            std::mem::forget(note);
            if kind_at(at) != kind {
                return at;
            }
        }
    }
}

/// Notes a place if it is dropped: nothing is written for a callback that does not panic.
struct NoteOnPanic<'a>(&'a mut Place, Place);

impl Drop for NoteOnPanic<'_> {
    #[inline]
    fn drop(&mut self) {
        *self.0 = self.1;
    }
}

/// # Safety
///
/// As [`take_out`].
unsafe fn discard<F: Notify>(node: NonNull<Header>) {
    // SAFETY: the contract is the same.
    drop(unsafe { take_out::<F>(node) });
}

/// # Safety
///
/// As [`take_out`].
unsafe fn move_out<F: Notify>(node: NonNull<Header>) -> NonNull<Header> {
    // SAFETY: the contract is the same.
    make_fitting(unsafe { take_out::<F>(node) }).0
}

impl Header {
    /// Makes a new block one that is not in use, for ever a header of which the generation may be read.
    ///
    /// # Safety
    ///
    /// The block is the caller's alone, aligned for a header and large enough.
    pub(super) unsafe fn prepare(block: NonNull<Header>) {
        let at = block.as_ptr();
        // SAFETY: the caller's contract. The rest is written when the block becomes a node.
        unsafe {
            (&raw mut (*at).next).write(AtomicPtr::new(null_mut()));
            (&raw mut (*at).claim).write(AtomicPtr::new(null_mut()));
            (&raw mut (*at).generation).write(AtomicU64::new(0));
        }
    }

    /// Whether the caller is the first to claim the closure, which is then the caller's. Keeps `later`
    /// for [`later`](Header::later).
    pub(super) fn claim(&self, later: *mut Header) -> bool {
        self.look();
        let claimed = later.map_addr(|addr| addr | CLAIMED);
        // Relaxed, all: it decides which thread has the closure, and orders nothing. The closure was published with the node, and
        // what its taker does to it happens before the node is freed by way of the word.
        let mut now = self.claim.load(Ordering::Relaxed);
        while now.addr() & CLAIMED == 0 {
            match self
                .claim
                .compare_exchange(now, claimed, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// The node that was stored after this one, as far as a walker has noted it.
    pub(super) fn newer(&self) -> Option<NonNull<Header>> {
        let claim = self.claim.load(Ordering::Relaxed);
        NonNull::new(claim).filter(|claim| claim.addr().get() & CLAIMED == 0)
    }

    /// Notes the node that was stored after this one, unless the closure is claimed. `false`: that was known.
    pub(super) fn note_newer(&self, newer: NonNull<Header>) -> bool {
        let now = self.claim.load(Ordering::Relaxed);
        let is_new = now != newer.as_ptr() && now.addr() & CLAIMED == 0;
        // A failure is a closer's claim: the list is closed, and nothing will be unlinked.
        is_new
            && self
                .claim
                .compare_exchange(now, newer.as_ptr(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// A callback is in the block from now on; its generation. One thread has the block.
    #[inline]
    fn begin(&self) -> u64 {
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        self.generation.store(generation, Ordering::Relaxed);
        generation
    }

    /// The callback is taken back. Its one walker has claimed it.
    #[inline]
    pub(super) fn end(&self) {
        self.begin();
    }

    /// What was given to [`claim`](Header::claim), by the same thread.
    pub(super) fn later(&self) -> *mut Header {
        let claimed = self.claim.load(Ordering::Relaxed);
        claimed.map_addr(|addr| addr & !CLAIMED)
    }

    /// Whether no callback was stored before this one; for the closer that owns the node.
    #[inline]
    pub(super) fn is_oldest(&self) -> bool {
        self.look();
        self.next.load(Ordering::Relaxed).is_null()
    }

    /// Tells loom that the node is in use, and counts the look in tests.
    pub(super) fn look(&self) {
        #[cfg(loom)]
        self.life.with(|_| ());
        #[cfg(all(test, not(loom)))]
        LOOKS.set(LOOKS.get() + 1);
    }
}

#[cfg(all(test, not(loom)))]
thread_local! {
    /// How often this thread has looked at a node.
    pub(super) static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// What may be done to the closure of a node.
impl Header {
    /// Runs it, with the outcome.
    ///
    /// # Safety
    ///
    /// The node lives; the caller owns its closure, which is there.
    #[inline]
    pub(super) unsafe fn run(node: NonNull<Header>, outcome: u32) {
        // SAFETY: the node lives, and the function is the instance for its closure.
        unsafe { ((*Header::kind(node)).run)(node, outcome) }
    }

    /// Runs the one at a place, and those at the places before it that are of its kind. Returns the place of the first
    /// that is not, or of the end. If one panics, the place before that one's is `next`.
    ///
    /// # Safety
    ///
    /// As [`run`](Header::run), for each; `kind` is that of the first, and the places before it lead to the end.
    #[inline]
    pub(super) unsafe fn run_alike(
        kind: *const Kind,
        at: Place,
        outcome: u32,
        next: &mut Place,
    ) -> Place {
        // SAFETY: as in `run`, and the caller's contract.
        unsafe { ((*kind).run_alike)(at, kind, outcome, next) }
    }

    /// What may be done to its closure; null if it is the end.
    ///
    /// # Safety
    ///
    /// The node lives, or it is the end.
    #[inline]
    pub(super) unsafe fn kind(node: NonNull<Header>) -> *const Kind {
        // SAFETY: the caller's contract. Of the end nothing else is there.
        unsafe { (*node.as_ptr()).kind }
    }

    /// Makes it the end of nodes that are run: no node, and no [`kind`](Header::kind).
    #[inline]
    pub(super) fn make_end(header: &mut MaybeUninit<Header>) -> NonNull<Header> {
        let header = NonNull::from(header).cast::<Header>();
        // SAFETY: it is memory for a header, and the caller's.
        unsafe { (&raw mut (*header.as_ptr()).kind).write(null()) };
        header
    }

    /// Drops it.
    ///
    /// # Safety
    ///
    /// As [`run`](Header::run).
    pub(super) unsafe fn discard(node: NonNull<Header>) {
        // SAFETY: as in `run`.
        unsafe { ((*Header::kind(node)).discard)(node) }
    }

    /// Moves it to a node of its own.
    ///
    /// # Safety
    ///
    /// As [`run`](Header::run).
    pub(super) unsafe fn move_out(node: NonNull<Header>) -> NonNull<Header> {
        // SAFETY: as in `run`.
        unsafe { ((*Header::kind(node)).move_out)(node) }
    }
}

/// Gives back the memory of nodes whose closures have been taken out.
///
/// # Safety
///
/// `first` leads to `last` by `next`, that are `count` nodes, and nobody uses them any more.
#[inline]
pub(super) unsafe fn free(first: NonNull<Header>, last: NonNull<Header>, count: usize) {
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
    unsafe { memory::put(first, last, count) };
}
