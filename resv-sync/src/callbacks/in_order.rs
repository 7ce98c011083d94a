//! Running the callbacks of a list that is the closer's alone, from the oldest to the newest.
//!
//! # The concept
//!
//! A list leads from the newest callback to the oldest, and they run the other way round. Most lists are short. The
//! closer notes the nodes of a short one on its stack, and takes them from there, the last one noted first. So the
//! list stays as it is until it is freed, and the address of a node does not wait for a word that was just
//! written to another. Of a longer list the newest [`PLACES`] are noted. Those before them are turned round, and run
//! first (`closer`).
//!
//! # Callbacks of one kind
//!
//! The callbacks of a fence are often closures of one type. What runs such a closure goes on with the next one as long
//! as that is of the same kind, so one call runs them all. Behind the last node is the *end*: a header without a
//! kind. So a look at the kind of what is next says, too, whether there is anything.
//!
//! # Why this is sound
//!
//! Nothing here is shared. `close` took the list with no walker in it: pushers and walkers start from the word,
//! which is closed, so no other thread reaches the nodes. Notes and nodes live until the closer frees the nodes,
//! after the last callback. A callback has no way to them either: it is run once it is out of its node.

use super::node::{Header, Kind};
use crate::sync::atomic::Ordering;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// How many nodes are noted at most. In models a list of three is a long one.
pub(super) const PLACES: usize = if cfg!(any(loom, shuttle)) { 2 } else { 16 };

/// Where a node is noted. At the place before it the one that runs next is, or the end.
pub(super) type Place = *const NonNull<Header>;

/// Memory for the notes, which stays where it is while they are used.
pub(super) struct Places {
    /// Only its kind is written.
    end: MaybeUninit<Header>,
    /// First the end, then the nodes.
    nodes: [MaybeUninit<NonNull<Header>>; PLACES + 1],
}

/// The nodes that were noted.
pub(super) struct Noted<'a> {
    /// Where the oldest of them is, which runs first.
    first: Place,
    pub(super) oldest: NonNull<Header>,
    /// The newest of those before, if there are too many.
    pub(super) older: Option<NonNull<Header>>,
    pub(super) count: usize,
    _places: PhantomData<&'a mut Places>,
}

impl Places {
    #[inline(always)]
    pub(super) fn new() -> Places {
        Places {
            end: MaybeUninit::uninit(),
            nodes: [const { MaybeUninit::uninit() }; PLACES + 1],
        }
    }

    /// Notes the nodes of a list from the newest on, as many as there is room for.
    ///
    /// In line: then each node is a step by itself, without a count.
    ///
    /// # Safety
    ///
    /// The nodes live, and are the caller's.
    #[inline(always)]
    pub(super) unsafe fn note(&mut self, newest: NonNull<Header>) -> Noted<'_> {
        let end = Header::make_end(&mut self.end);
        self.nodes[0].write(end);
        let (mut node, mut count) = (newest, 0);
        let older = loop {
            count += 1;
            self.nodes[count].write(node);
            // SAFETY: the caller's contract.
            let header = unsafe { node.as_ref() };
            header.look();
            let older = NonNull::new(header.next.load(Ordering::Relaxed));
            match older {
                Some(older) if count < PLACES => node = older,
                _ => break older,
            }
        };
        let nodes: Place = self.nodes.as_ptr().cast();
        Noted {
            first: nodes.wrapping_add(count),
            oldest: node,
            older,
            count,
            _places: PhantomData,
        }
    }
}

impl Noted<'_> {
    /// Runs those that are left. If one panics, those behind it are left.
    ///
    /// # Safety
    ///
    /// The nodes live and are the caller's, and their closures are there. At least one is left.
    #[inline]
    pub(super) unsafe fn run(&mut self, outcome: u32) {
        let (mut at, next) = (self.first, &mut self.first);
        // SAFETY: the place is one of a node, and each before it is, up to the end's. The closures are the caller's.
        unsafe {
            let mut kind = kind_at(at);
            loop {
                let before = at.sub(1);
                let kind_before = kind_at(before);
                if kind_before == kind {
                    at = Header::run_alike(kind, at, outcome, next);
                    kind = kind_at(at);
                } else {
                    *next = before;
                    Header::run(*at, outcome);
                    (at, kind) = (before, kind_before);
                }
                if kind.is_null() {
                    return;
                }
            }
        }
    }

    /// Whether none is left, after one that has panicked.
    pub(super) fn is_empty(&self) -> bool {
        // SAFETY: the place is one of those that were noted; nodes live until they are freed.
        unsafe { kind_at(self.first) }.is_null()
    }
}

/// The kind of what is at a place; null for the end.
///
/// # Safety
///
/// A node that lives, or the end, is at the place.
#[inline]
pub(super) unsafe fn kind_at(at: Place) -> *const Kind {
    // SAFETY: the caller's contract.
    unsafe { Header::kind(*at) }
}
