//! Taking compositions apart: the walk over the leaves of a fence.
//!
//! The walk goes through shared parts once, so it has to know where it has been; and it holds no lock of a
//! fence between two leaves, so it has to know where it is. For compositions that are nested a little both fit
//! in the walk itself, which then allocates nothing. A borrowed walk with no memory at all is not possible:
//! what is met twice by many ways would be gone through on each of them.

use super::cell::Kind;
use super::extra::{Child, Mode};
use super::handle::Fence;
use super::id::TimelineId;
use std::collections::BTreeSet;

/// So deep are compositions nested of which the walk allocates nothing.
const DEPTH: usize = 4;
/// And so many are there within the fence.
const FEW: usize = 8;

impl Fence {
    /// The fences that are to be waited for in place of this one: what a pending
    /// [`all`](Fence::all) was made of, in order, some of which may have signalled; of any other fence, an
    /// [`any`](Fence::any) included, the fence itself. An `all` within an `all` is gone through in its
    /// place, the first time that it occurs.
    ///
    /// Allocates only if more than eight `all`s are within this one, or if they are nested more than four deep.
    /// What signals meanwhile may be left out.
    pub fn leaves(&self) -> Leaves<'_> {
        Leaves {
            fence: self,
            next: 0,
            inner: None,
        }
    }
}

/// The fences to be waited for in place of one: see [`Fence::leaves`].
#[derive(Clone, Debug)]
pub struct Leaves<'a> {
    fence: &'a Fence,
    /// The next child of `fence` to look at.
    next: usize,
    inner: Option<Inner>,
}

/// Where the walk is below the fence itself.
#[derive(Clone, Debug, Default)]
struct Inner {
    within: Within,
    seen: Seen,
}

/// The compositions within the fence that the walk is in, and the next child of each to look at.
#[derive(Clone, Debug, Default)]
struct Within {
    first: [Option<(Fence, usize)>; DEPTH],
    more: Vec<(Fence, usize)>,
}

impl Within {
    fn push(&mut self, fence: Fence) {
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some((fence, 0)),
            None => self.more.push((fence, 0)),
        }
    }

    /// Leaves the innermost one; `false` if there is none.
    fn pop(&mut self) -> bool {
        let is_more = self.more.pop().is_some();
        is_more
            || self
                .first
                .iter_mut()
                .rev()
                .any(|place| place.take().is_some())
    }

    fn last_mut(&mut self) -> Option<&mut (Fence, usize)> {
        let last = self.more.last_mut();
        last.or_else(|| self.first.iter_mut().rev().flatten().next())
    }
}

/// The compositions within the fence that the walk has been in.
#[derive(Clone, Debug, Default)]
struct Seen {
    first: [Option<TimelineId>; FEW],
    more: BTreeSet<TimelineId>,
}

impl Seen {
    /// Whether it is new.
    fn insert(&mut self, timeline: TimelineId) -> bool {
        for place in &mut self.first {
            match *place {
                Some(seen) if seen == timeline => return false,
                Some(_) => {}
                None => {
                    *place = Some(timeline);
                    return true;
                }
            }
        }
        self.more.insert(timeline)
    }
}

impl Leaves<'_> {
    /// How many are left at present: at least as many as will come. Looks at each.
    pub fn count_left(&self) -> usize {
        // At the start there is always one: the fence itself, if it signals meanwhile.
        self.clone().count().max(usize::from(self.next == 0))
    }

    /// Leaves the innermost composition; `false` if that is the fence itself.
    fn leave(&mut self) -> bool {
        self.inner.as_mut().is_some_and(|inner| inner.within.pop())
    }

    /// The next child of the innermost composition. `Some(None)`: there is none. `None`: it has signalled,
    /// or is none.
    fn next_child(&mut self) -> Option<Option<Fence>> {
        let within = self.inner.as_mut();
        let (fence, next) = match within.and_then(|inner| inner.within.last_mut()) {
            Some((fence, next)) => (&*fence, next),
            None => (self.fence, &mut self.next),
        };
        let at = *next;
        *next += 1;
        fence
            .composition(|c| {
                let children = c.children.get(at..).unwrap_or_default();
                // What was merged is what is pending.
                let shown = |child: &&Child| c.merged.is_none() || !child.fence.is_signaled();
                let skipped = children.iter().take_while(|child| !shown(child)).count();
                *next += skipped;
                let child = children.get(skipped).map(|child| child.fence.clone());
                (c.mode == Mode::All).then_some(child)
            })
            .flatten()
    }
}

impl Iterator for Leaves<'_> {
    type Item = Fence;

    fn next(&mut self) -> Option<Fence> {
        loop {
            match self.next_child() {
                Some(Some(child)) if child.cell().kind() != Kind::All => return Some(child),
                Some(Some(child)) => {
                    // One that has signalled has no leaves any more.
                    let inner = self.inner.get_or_insert_default();
                    if !child.is_signaled() && inner.seen.insert(child.timeline_id()) {
                        inner.within.push(child);
                    }
                }
                Some(None) | None if self.leave() => {}
                // A fence that is no composition, or none any more, is its own leaf.
                None if self.next == 1 => return Some(self.fence.clone()),
                Some(None) | None => return None,
            }
        }
    }
}

/// The [leaves](Fence::leaves) of `fence`.
pub fn unwrap(fence: &Fence) -> Vec<Fence> {
    fence.leaves().collect()
}
