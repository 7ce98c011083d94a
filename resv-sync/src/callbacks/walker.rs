//! Walking the list: taking one callback back, or counting.

use super::defect::Defect;
use super::node::{Header, free};
use super::{CLOSED, Callbacks, Name, RACED, WALKED, Word, free_all, has, newest, with_newest};
use crate::sync::atomic::Ordering;
use std::ptr::{NonNull, null_mut};

/// A callback that was taken back and will not be run. Dropping it drops the closure: foreign code,
/// so not with a lock held.
#[derive(Debug)]
#[must_use = "the closure is dropped with it"]
pub struct TakenBack(NonNull<Header>);

// SAFETY: it is a closure that is `Send`, and nobody else has it.
unsafe impl Send for TakenBack {}

impl Drop for TakenBack {
    fn drop(&mut self) {
        // SAFETY: the node is this value's alone, its closure included. It goes first, so that a panic
        // in the drop of the closure loses a block and no more.
        unsafe {
            Header::discard(self.0);
            free(self.0, self.0, 1);
        }
    }
}

/// Where a node is that the walker has claimed, as long as the walker has not left.
#[derive(Clone, Copy)]
enum Place {
    /// Unlinked from the node that was stored after it, by a change that a closer may have missed.
    OutAfter(NonNull<Header>),
    /// In the list, as it was closed before the node could be unlinked.
    Linked,
}

impl Callbacks {
    /// Takes the callback with this name back. `None`: it has run, is running or is about to, or was taken
    /// back before. Costs the same wherever in the list it is.
    ///
    /// A closer is not held up meanwhile. Another `cancel` on the same list is.
    pub fn cancel(&self, name: Name) -> Option<TakenBack> {
        self.cancel_and(name, || (), || (), || ())
    }

    /// How many callbacks there are: looks at each. Meant for diagnostics.
    pub fn count(&self) -> usize {
        let mut count = 0;
        self.visit(|_| count += 1);
        count
    }

    /// Looks at all nodes, the newest first.
    pub(super) fn visit(&self, mut look: impl FnMut(&Header)) {
        let _one_at_a_time = self.walking.lock();
        let Some(mut at) = self.enter() else { return };
        while let Some(node) = at {
            // SAFETY: as long as `WALKED` is set no node is freed that was in the list when it was
            // set, or was pushed since.
            let header = unsafe { node.as_ref() };
            header.look();
            look(header);
            at = NonNull::new(header.next.load(Ordering::Relaxed));
        }
        self.leave();
    }

    /// [`cancel`](Callbacks::cancel); tests come in between its steps.
    pub(super) fn cancel_and(
        &self,
        name: Name,
        has_entered: impl FnOnce(),
        has_claimed: impl FnOnce(),
        has_unlinked: impl FnOnce(),
    ) -> Option<TakenBack> {
        if !std::ptr::eq(name.list, self) {
            return None;
        }
        let _one_at_a_time = self.walking.lock();
        let newest = self.enter()?;
        let node = name.node;
        // SAFETY: memory that was a node stays one, and this is an atomic that was initialised with it.
        let generation = unsafe { &(*node.as_ptr()).generation };
        // Relaxed, both: the caller has the name, so it sees this generation or a later one; the opening was
        // stored before the word that was found open. If it is these two, the node is in the list (see the
        // module's text).
        let is_there = self.opening.load(Ordering::Relaxed) == name.opening
            && generation.load(Ordering::Relaxed) == name.generation;
        has_entered();
        let claimed = if is_there {
            // SAFETY: the node is in the list, and `WALKED` is set: see `visit`.
            self.claim(unsafe { node.as_ref() }, newest)
        } else {
            None
        };
        let Some(newer) = claimed else {
            self.leave();
            return None;
        };
        has_claimed();
        let place = self.unlink(node, newest, newer);
        has_unlinked();
        match place {
            Some(place) if !self.leave_open() => Some(self.leave_closed(node, place)),
            _ => Some(TakenBack(node)),
        }
    }

    /// Claims a node of the list, and ends its generation. Returns the node that was stored after it, which means
    /// nothing if it is the `newest`; `None`: a closer was first.
    #[inline]
    fn claim(
        &self,
        header: &Header,
        newest: Option<NonNull<Header>>,
    ) -> Option<Option<NonNull<Header>>> {
        self.note_newer(newest, None);
        header.look();
        let newer = header.newer();
        header.claim(null_mut()).then(|| {
            // At once: the next walker finds another generation. When the closure is dropped would be too
            // late, as the block is another callback's at any time from then on.
            if !self.seam.has(Defect::EndsNoGeneration) {
                header.end();
            }
            newer
        })
    }

    /// Sets `WALKED`. Returns the newest node; `None` when the list is closed.
    fn enter(&self) -> Option<Option<NonNull<Header>>> {
        let bit = if self.seam.has(Defect::WalksUnseen) {
            0
        } else {
            WALKED
        };
        let enter = |word: *mut Header| word.map_addr(|addr| addr | bit);
        let word = self
            .change(|word| (!has(word, CLOSED)).then(|| enter(word)))
            .ok()?;
        Some(newest(word))
    }

    /// Notes in each node from `newest` on which one is newer, down to the first that knows it, or to
    /// `until`. Returns the node that is newer than `until`.
    fn note_newer(
        &self,
        newest: Option<NonNull<Header>>,
        until: Option<NonNull<Header>>,
    ) -> Option<NonNull<Header>> {
        let mut at = newest?;
        loop {
            // SAFETY: as in `visit`, for both.
            let header = unsafe { at.as_ref() };
            header.look();
            let next = NonNull::new(header.next.load(Ordering::Relaxed))?;
            if Some(next) == until {
                return Some(at);
            }
            // SAFETY: as above.
            let next_header = unsafe { next.as_ref() };
            if !next_header.note_newer(at) {
                return None;
            }
            at = next;
        }
    }

    /// Takes a node that is claimed out of the list. `newest` was the newest one as the walker entered, and
    /// `newer` the one after the node then. `None`: the node was the newest, and the change that has unlinked it
    /// from the word has cleared `WALKED`, too, so the walker has left.
    fn unlink(
        &self,
        node: NonNull<Header>,
        newest_then: Option<NonNull<Header>>,
        newer: Option<NonNull<Header>>,
    ) -> Option<Place> {
        // SAFETY: as in `visit`, for all nodes here.
        let after = unsafe { node.as_ref() }.next.load(Ordering::Relaxed);
        let mut newer = newer.filter(|_| newest_then != Some(node));
        loop {
            // Acquire: there may be nodes that were pushed since.
            let word = self.word.load(Ordering::Acquire);
            if has(word, CLOSED) {
                return Some(Place::Linked);
            }
            let is_newest = newest(word) == Some(node) || self.seam.has(Defect::MissesWhatCame);
            if newer.is_none() && !is_newest {
                // What has come since the walker entered: all of it is newer than the node, which was the
                // newest.
                newer = self.note_newer(newest(word), Some(node));
            }
            let Some(newer) = newer else {
                // AcqRel: keeps what pushers have published; gives what the walker did.
                let out = self.word.compare_exchange(
                    word,
                    with_newest(word, after).map_addr(|addr| addr & !WALKED),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                );
                match out {
                    Ok(_) => return None,
                    Err(_) => continue,
                }
            };
            // SAFETY: as in `visit`.
            let newer_header = unsafe { newer.as_ref() };
            // Relaxed: the nodes were published long ago.
            newer_header.next.store(after, Ordering::Relaxed);
            if let Some(after) = NonNull::new(after) {
                // SAFETY: as in `visit`.
                unsafe { after.as_ref() }.note_newer(newer);
            }
            return Some(Place::OutAfter(newer));
        }
    }

    /// Leaves an open list; `false` if it is closed.
    #[inline]
    fn leave_open(&self) -> bool {
        if self.seam.has(Defect::KeepsItsNode) {
            self.leave();
            return true;
        }
        // AcqRel, in there: what was done to the nodes happens before a closer, or the next walker, uses them.
        self.change(|word| (!has(word, CLOSED)).then(|| without_walker(word)))
            .is_ok()
    }

    /// Leaves a list that was closed meanwhile, with a node that the walker has claimed.
    #[cold]
    #[inline(never)]
    fn leave_closed(&self, node: NonNull<Header>, place: Place) -> TakenBack {
        let taken = match place {
            // SAFETY: the closer does not free before this walker has left, and the closure is the walker's;
            // what is linked in again is freed with the rest.
            Place::OutAfter(before) => unsafe {
                before.as_ref().next.store(node.as_ptr(), Ordering::Relaxed);
                move_out(node)
            },
            // SAFETY: as above.
            Place::Linked => unsafe { move_out(node) },
        };
        self.leave();
        taken
    }

    /// Leaves. The last one out after a race frees the nodes.
    fn leave(&self) {
        // AcqRel, in there: what was done to the nodes happens before they are freed, here or by the other.
        let left = self.change(|word| Some(without_walker(word)));
        if left.is_ok_and(|word| has(word, CLOSED) && !has(word, RACED)) {
            // Relaxed: written before `RACED` was cleared, which the change above has seen.
            let nodes = self.left.load(Ordering::Relaxed);
            // SAFETY: the closer is through with the nodes, and no walker can enter.
            unsafe { free_all(nodes) };
        }
    }
}

fn without_walker(word: Word) -> Word {
    word.map_addr(|addr| addr & !WALKED)
}

/// The closure of a node that is not the walker's to free.
///
/// # Safety
///
/// The node lives, and its closure is the caller's.
unsafe fn move_out(node: NonNull<Header>) -> TakenBack {
    // SAFETY: the caller's contract.
    TakenBack(unsafe { Header::move_out(node) })
}
