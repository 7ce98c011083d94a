//! Editing an object: the guard that holds its lock, and the slots that permit an edit.

use crate::object::Resv;
use resv_core::{
    Access, Backend, Entry, Fence, Held, Key, ReserveError, Room, Semantics, TimelineId, Usage,
    Visibility,
};

/// The object's lock, held. Dropping it publishes what is not published yet, gives up what was
/// reserved and not used, and releases the lock.
///
/// That is so on every path, a panic included: a fence is added because its job has gone to the
/// hardware, so an add is never taken back.
///
/// Its queries show the object as the holder has made it, unpublished edits included.
pub struct Guard<'a, S: Semantics, B: Backend> {
    resv: &'a Resv<S, B>,
    held: Held<'a>,
}

impl<'a, S: Semantics, B: Backend> Guard<'a, S, B> {
    pub(crate) fn new(resv: &'a Resv<S, B>, held: Held<'a>) -> Self {
        Guard { resv, held }
    }

    /// Gets memory for `edits` adds or replacements, which then cannot fail.
    ///
    /// Under a semantics that publishes each add at once, an array back end gets one array for each
    /// of them; adds that belong together are cheaper under one that publishes at the end.
    ///
    /// # Errors
    ///
    /// When memory cannot be had. Nothing has changed then. What drivers do is to wait for the
    /// fence instead of recording it.
    pub fn reserve(&mut self, edits: usize) -> Result<Slots<'_, 'a, S, B>, ReserveError> {
        let room = Room {
            adds: edits,
            publishes: match S::VISIBILITY {
                Visibility::AtOnce => edits,
                Visibility::AtPublish => edits.min(1),
            },
        };
        self.resv.backend().reserve(&mut self.held, room)?;
        Ok(Slots {
            guard: self,
            left: edits,
        })
    }

    /// Makes the object hold exactly the pending fences that `source` has now, with their usages.
    ///
    /// # Errors
    ///
    /// When memory cannot be had. Nothing has changed then.
    pub fn copy_from<B2: Backend>(&mut self, source: &Resv<S, B2>) -> Result<(), ReserveError> {
        let snapshot = source.try_snapshot()?;
        self.assign(snapshot.iter())
    }

    /// Makes the object hold exactly these entries.
    pub(crate) fn assign<'e>(
        &mut self,
        entries: impl Iterator<Item = &'e Entry>,
    ) -> Result<(), ReserveError> {
        let mut wanted = Vec::new();
        for entry in entries {
            wanted
                .try_reserve(1)
                .map_err(|_| ReserveError::new(wanted.len() + 1))?;
            wanted.push(Entry {
                fence: entry.fence.clone(),
                usage: S::class(entry.usage),
            });
        }
        let (backend, held) = (self.resv.backend(), &mut self.held);
        let room = Room {
            adds: wanted.len(),
            publishes: 1,
        };
        backend.reserve(held, room)?;
        backend.edit(held, |_| true, None);
        for entry in wanted {
            // Where `source` kept apart what this semantics treats alike, one entry is enough (H-17).
            let key = entry.key();
            backend.edit(held, |old| old == key, Some(entry));
        }
        self.after_edit();
        Ok(())
    }

    /// The pending entries, unpublished edits included, in no particular order.
    pub fn entries(&self) -> Vec<Entry> {
        self.fold(Vec::new(), |mut entries, entry| {
            entries.push(entry.clone());
            entries
        })
    }

    /// Whether `access` has nothing to wait for, unpublished edits included.
    pub fn is_idle(&self, access: Access) -> bool {
        let waits = S::waits_for(access);
        self.fold(true, |idle, entry| idle && !waits.contains(entry.usage))
    }

    fn fold<A>(&self, init: A, f: impl FnMut(A, &Entry) -> A) -> A {
        self.resv.backend().fold_held(&self.held, init, f)
    }

    fn after_edit(&mut self) {
        if S::VISIBILITY == Visibility::AtOnce {
            self.resv.backend().publish(&mut self.held);
        }
    }
}

impl<S: Semantics, B: Backend> Drop for Guard<'_, S, B> {
    fn drop(&mut self) {
        let backend = self.resv.backend();
        backend.publish(&mut self.held);
        backend.unreserve(&mut self.held);
        // `held` is dropped after this and releases the lock.
    }
}

/// Memory for a number of edits: the permission to make them. What is not used is given up.
#[must_use = "slots that are not used are given up"]
pub struct Slots<'g, 'a, S: Semantics, B: Backend> {
    guard: &'g mut Guard<'a, S, B>,
    left: usize,
}

impl<S: Semantics, B: Backend> Slots<'_, '_, S, B> {
    /// How many edits there is memory for.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Adds `fence` under `usage`, and removes what it supersedes. Neither allocates nor fails.
    ///
    /// Visible at once or at publish, as the semantics says.
    ///
    /// Of a pending fence composed by [`Fence::all`] the leaves are added instead, each in a slot of
    /// its own, because a leaf supersedes and is superseded on its own timeline and the whole would
    /// not (H-18): reserve as many as [`Fence::leaves`] has. Where one leaf would supersede another,
    /// as an exclusive fence of [`ExclusiveShared`](crate::ExclusiveShared) does with all others, the
    /// composed fence is added as it is, in one slot. So is [`Fence::any`], always.
    ///
    /// # Panics
    ///
    /// When there are not enough slots left: reserve as many as you add. Nothing has been added then.
    pub fn add(&mut self, fence: &Fence, usage: Usage) {
        self.edit_each(fence, usage, |_, new, old| S::supersedes(new, old));
    }

    /// Makes every pending fence of `timeline` in the object into `fence` under `usage`. Returns
    /// whether there was any; if not, nothing happens and no slot is used. Neither allocates nor
    /// fails.
    ///
    /// The caller promises that the jobs behind the old fences cannot touch the buffer once `fence`
    /// has signalled. Replacing by a signalled fence removes (that is how an eviction fence is taken
    /// off). Unlike an add it supersedes nothing of other timelines, except what lies behind
    /// `fence` on its own.
    ///
    /// # Panics
    ///
    /// When all slots are used.
    pub fn replace(&mut self, timeline: TimelineId, fence: &Fence, usage: Usage) -> bool {
        let found = self
            .guard
            .fold(false, |found, e| found || e.fence.timeline_id() == timeline);
        if !found {
            return false;
        }
        // The first leaf takes the place of the old fences, the others stand beside it.
        self.edit_each(fence, usage, |first, new, old| {
            (first && old.timeline == timeline) || is_dominated(old, new)
        });
        true
    }

    /// Makes the edits so far visible together and uses up the slots. To edit on, reserve again.
    pub fn publish(self) {
        self.guard.resv.backend().publish(&mut self.guard.held);
    }

    /// Edits once for `fence`, or once for each of its leaves; `removes` is told whether it is the
    /// first time. Nothing is done by halves: there is a slot for each, or nothing is edited.
    fn edit_each(&mut self, fence: &Fence, usage: Usage, removes: impl Fn(bool, Key, Key) -> bool) {
        let usage = S::class(usage);
        let leaves = fence.leaves().count_left();
        let apart = leaves == 1 || stand_side_by_side::<S>(fence, usage);
        let wanted = if apart { leaves } else { 1 };
        assert!(
            wanted <= self.left,
            "all reserved slots are used: {wanted} wanted, {} left; reserve as many as you add",
            self.left
        );
        if apart {
            for (at, leaf) in fence.leaves().enumerate() {
                self.edit(leaf, usage, |new, old| removes(at == 0, new, old));
            }
        } else {
            self.edit(fence.clone(), usage, |new, old| removes(true, new, old));
        }
    }

    fn edit(&mut self, fence: Fence, usage: Usage, removes: impl Fn(Key, Key) -> bool) {
        self.left -= 1;
        let add = Entry { fence, usage };
        let new = add.key();
        let backend = self.guard.resv.backend();
        backend.edit(&mut self.guard.held, |old| removes(new, old), Some(add));
        self.guard.after_edit();
    }
}

/// Whether no leaf of `fence` supersedes one of another timeline: leaves do not wait for each other.
fn stand_side_by_side<S: Semantics>(fence: &Fence, usage: Usage) -> bool {
    let mut leaves = fence.leaves().map(|leaf| Key::new(&leaf, usage));
    let Some(mut last) = leaves.next() else {
        return true;
    };
    leaves.all(|leaf| {
        let apart = leaf.timeline == last.timeline || !S::supersedes(leaf, last);
        last = leaf;
        apart
    })
}

/// Whether everybody who would wait for `old` waits for `new`, which is at least as late.
fn is_dominated(old: Key, new: Key) -> bool {
    old.timeline == new.timeline && old.seqno <= new.seqno && old.usage >= new.usage
}
