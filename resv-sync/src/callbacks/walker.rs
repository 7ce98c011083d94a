//! Walking the list: taking one callback back, or counting.

use super::defect::Defect;
use super::node::{Act, Header, apply, free};
use super::{CLOSED, Callbacks, MET, WALKED, free_all, has, newest, with_newest};
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
            free(self.0, self.0);
        }
    }
}

/// Where a node is that the walker has claimed.
enum Place {
    /// Unlinked, from the word: whoever takes the list from now on does not see it.
    Out,
    /// Unlinked from the node that was stored after it, by a change that a closer may have missed.
    OutAfter(NonNull<Header>),
    /// In the list, as it was closed before the node could be unlinked.
    Linked,
}

impl Callbacks {
    /// Takes the callback with this `id` back. `None`: it has run, is running or is about to, or was
    /// taken back before.
    ///
    /// Who closes meanwhile is not held up. Another `cancel` on the same list is.
    pub fn cancel(&self, id: u64) -> Option<TakenBack> {
        self.walk(|node| node.id == id)
    }

    /// How many callbacks there are: looks at each. Meant for diagnostics.
    pub fn count(&self) -> usize {
        let mut count = 0;
        self.walk(|_| {
            count += 1;
            false
        });
        count
    }

    /// Looks at the nodes until `wanted` says so of one, and takes that back if the closer has not
    /// claimed it.
    #[inline]
    pub(super) fn walk(&self, wanted: impl FnMut(&Header) -> bool) -> Option<TakenBack> {
        self.walk_and(wanted, || ())
    }

    /// The same; tests come in `before_leaving`.
    pub(super) fn walk_and(
        &self,
        mut wanted: impl FnMut(&Header) -> bool,
        before_leaving: impl FnOnce(),
    ) -> Option<TakenBack> {
        let _one_at_a_time = self.walking.lock();
        let bit = if self.has_defect(Defect::WalksUnseen) {
            0
        } else {
            WALKED
        };
        let enter = |word: *mut Header| word.map_addr(|addr| addr | bit);
        let word = self
            .change(|word| (!has(word, CLOSED)).then(|| enter(word)))
            .ok()?;
        let mut at = newest(word);
        while let Some(node) = at {
            // SAFETY: as long as `WALKED` is set no node is freed that was in the list when it was
            // set, or was pushed since.
            let header = unsafe { node.as_ref() };
            header.look();
            if wanted(header) {
                at = header.claim(null_mut()).then_some(node);
                break;
            }
            at = NonNull::new(header.next.load(Ordering::Relaxed));
        }
        match at {
            None => self.leave(None),
            Some(node) => {
                let place = self.unlink(node);
                before_leaving();
                self.leave(Some((node, place)))
            }
        }
    }

    fn unlink(&self, node: NonNull<Header>) -> Place {
        // SAFETY: as in `walk`, for all nodes here.
        let after = unsafe { node.as_ref() }.next.load(Ordering::Relaxed);
        loop {
            // Acquire: there may be nodes that were pushed since.
            let word = self.word.load(Ordering::Acquire);
            if has(word, CLOSED) {
                return Place::Linked;
            }
            let mut before = match newest(word) {
                Some(newest) if newest != node => newest,
                _ => {
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
                }
            };
            loop {
                // SAFETY: as in `walk`.
                let next = unsafe { before.as_ref() }.next.load(Ordering::Relaxed);
                match NonNull::new(next) {
                    Some(next) if next != node => before = next,
                    _ => break,
                }
            }
            // SAFETY: as in `walk`. Relaxed: the one behind was published long ago.
            unsafe { before.as_ref() }
                .next
                .store(after, Ordering::Relaxed);
            return Place::OutAfter(before);
        }
    }

    fn leave(&self, mut claimed: Option<(NonNull<Header>, Place)>) -> Option<TakenBack> {
        // Relaxed: a guess, which the compare-and-swap checks. A closed word stays closed.
        let mut word = self.word.load(Ordering::Relaxed);
        let mut taken = None;
        loop {
            if has(word, CLOSED)
                && !self.has_defect(Defect::KeepsItsNode)
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
        if has(word, CLOSED) && !has(word, MET) {
            // Relaxed: written before `MET` was cleared, which the change above has seen.
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
