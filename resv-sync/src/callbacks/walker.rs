//! Walking the list: taking one callback back, or counting.

use super::defect::Defect;
use super::node::{Act, Header, apply, free};
use super::{CLOSED, Callbacks, Name, RACED, WALKED, free_all, has, newest, with_newest};
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
            apply(self.0, Act::Discard);
            free(self.0, self.0, 1);
        }
    }
}

/// Where a node is that the walker has claimed.
enum Place {
    /// Unlinked, from the word: a closer that comes from now on does not see it.
    Out,
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
        self.leave(None);
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
        has_entered();
        let node = name.node;
        // SAFETY: memory that was a node stays one, and this is an atomic that was initialised with it.
        let generation = unsafe { &(*node.as_ptr()).generation };
        // Relaxed: the caller has the name, so it sees this generation or a later one. If it is this one,
        // the node is in the list: of this list is its name, a closer would have closed the word before it
        // ended the generation, and another walker has left, with the mutex, after it did.
        let is_there = generation.load(Ordering::Relaxed) == name.generation;
        let claimed = is_there.then(|| {
            self.note_newer(newest, None);
            // SAFETY: the node is in the list, and `WALKED` is set: see `visit`.
            let header = unsafe { node.as_ref() };
            header.look();
            let newer = header.newer();
            header.claim(null_mut()).then_some((node, newer))
        });
        let Some((node, newer)) = claimed.flatten() else {
            self.leave(None);
            return None;
        };
        has_claimed();
        let place = self.unlink(node, newest, newer);
        has_unlinked();
        self.leave(Some((node, place)))
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
    /// `newer` the one after the node then.
    fn unlink(
        &self,
        node: NonNull<Header>,
        newest_then: Option<NonNull<Header>>,
        newer: Option<NonNull<Header>>,
    ) -> Place {
        // SAFETY: as in `visit`, for all nodes here.
        let after = unsafe { node.as_ref() }.next.load(Ordering::Relaxed);
        let mut newer = newer.filter(|_| newest_then != Some(node));
        loop {
            // Acquire: there may be nodes that were pushed since.
            let word = self.word.load(Ordering::Acquire);
            if has(word, CLOSED) {
                return Place::Linked;
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
                    with_newest(word, after),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                );
                match out {
                    Ok(_) => return Place::Out,
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
            return Place::OutAfter(newer);
        }
    }

    fn leave(&self, mut claimed: Option<(NonNull<Header>, Place)>) -> Option<TakenBack> {
        // Relaxed: a guess, which the compare-and-swap checks. A closed word stays closed.
        let mut word = self.word.load(Ordering::Relaxed);
        let mut taken = None;
        loop {
            if has(word, CLOSED)
                && !self.seam.has(Defect::KeepsItsNode)
                && let Some((node, place)) = claimed.take()
            {
                taken = Some(match place {
                    Place::Out => TakenBack(node),
                    // SAFETY: the closer does not free before this walker has left, and the closure
                    // is the walker's; what is linked in again is freed with the rest.
                    Place::OutAfter(before) => unsafe {
                        before.as_ref().next.store(node.as_ptr(), Ordering::Relaxed);
                        move_out(node)
                    },
                    // SAFETY: as above.
                    Place::Linked => unsafe { move_out(node) },
                });
            }
            // AcqRel: what was done to the nodes happens before they are freed, here or by the other.
            match self.word.compare_exchange_weak(
                word,
                word.map_addr(|addr| addr & !WALKED),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        if has(word, CLOSED) && !has(word, RACED) {
            // Relaxed: written before `RACED` was cleared, which the change above has seen.
            let nodes = self.left.load(Ordering::Relaxed);
            // SAFETY: the closer is through with the nodes, and no walker can enter.
            unsafe { free_all(nodes) };
        }
        taken.or_else(|| claimed.map(|(node, _)| TakenBack(node)))
    }
}

/// The closure of a node that is not the walker's to free.
///
/// # Safety
///
/// The node lives, and its closure is the caller's.
unsafe fn move_out(node: NonNull<Header>) -> TakenBack {
    // SAFETY: the caller's contract.
    let moved = unsafe { apply(node, Act::MoveOut) };
    TakenBack(moved.expect("moving out makes a node"))
}
