//! Editing an object: the guard that holds its lock, and the slots that permit an edit.
//!
//! What an edit does is written once, in [`Editor`], for guards and for transactions over many
//! objects ([`exec`](crate::exec())).

use crate::flatten::LeafRoom;
use crate::noted::Noted;
use crate::object::Resv;
use crate::snapshot::order;
use crate::waits::Waits;
use resv_core::lock::Rings;
use resv_core::{
    Access, Backend, Budget, Entry, EntryRef, Fence, FenceError, Key, LockProof, ReserveError,
    Semantics, TimelineId, Usage, Visibility, checks,
};

/// What was reserved under a lock and not used so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Unused {
    pub(crate) edits: usize,
    /// Reservations, each of which may be published by itself.
    pub(crate) batches: usize,
}

impl Unused {
    fn publishes(self, semantics: impl Semantics) -> usize {
        match semantics.visibility() {
            Visibility::AtOnce => self.edits,
            Visibility::AtPublish => self.batches,
        }
    }
}

/// An object, and the proof that its lock is held: all that an edit needs.
pub(crate) struct Editor<'h, 'l, S, B> {
    pub(crate) resv: &'h Resv<S, B>,
    pub(crate) held: &'h mut LockProof<'l>,
}

impl<S: Semantics, B: Backend> Editor<'_, '_, S, B> {
    /// Gets memory for `edits` edits, on top of what is reserved and `unused` already.
    #[inline]
    pub(crate) fn reserve(&mut self, unused: Unused, edits: usize) -> Result<(), ReserveError> {
        let semantics = self.resv.semantics();
        let room = Budget {
            adds: unused.edits.saturating_add(edits),
            publishes: unused
                .publishes(semantics)
                .saturating_add(match semantics.visibility() {
                    Visibility::AtOnce => edits,
                    Visibility::AtPublish => edits.min(1),
                }),
        };
        self.resv.backend().reserve(self.held, room)
    }

    /// Adds `fence`, or each of its leaves, in as many slots as [`slots_for`] says.
    #[inline]
    pub(crate) fn add(&mut self, fence: &Fence, usage: Usage, room: &mut LeafRoom) {
        let semantics = self.resv.semantics();
        self.overwrite(usage);
        self.edit_each(fence, usage, None, room, |_, new, old| {
            semantics.supersedes(new, old)
        });
    }

    /// Adds `fence`, of which the caller has a handle to give, in one slot: it is not taken apart.
    #[inline]
    pub(crate) fn add_whole(&mut self, fence: Fence, usage: Usage) {
        let semantics = self.resv.semantics();
        self.overwrite(usage);
        self.edit_one(fence, usage, None, |new, old| {
            semantics.supersedes(new, old)
        });
    }

    /// If what is added next, under `usage`, is a write, what there is counts no more for a failure (B10).
    #[inline]
    fn overwrite(&mut self, usage: Usage) {
        if is_write(self.resv.semantics(), usage) {
            // As in `edit`: from here on, something has been done.
            self.held.done();
            self.resv.backend().overwrite(self.held);
        }
    }

    /// Whether a fence of `timeline` is pending.
    pub(crate) fn has(&self, timeline: TimelineId) -> bool {
        visit_held(self.resv, self.held, false, |found, e| {
            found || e.fence.timeline_id() == timeline
        })
    }

    /// Puts `fence`, or its leaves, in the place of the fences of `timeline`.
    pub(crate) fn replace(
        &mut self,
        timeline: TimelineId,
        fence: &Fence,
        usage: Usage,
        room: &mut LeafRoom,
    ) {
        // The first leaf takes the place of the old fences, the others stand beside it.
        self.edit_each(fence, usage, Some(timeline), room, |first, new, old| {
            (first && old.timeline == timeline) || is_dominated(old, new)
        });
    }

    /// Edits once for `fence`, or for each of its leaves; `removes` is told whether it is the first.
    #[inline]
    fn edit_each(
        &mut self,
        fence: &Fence,
        as_told: Usage,
        replaced: Option<TimelineId>,
        room: &mut LeafRoom,
        removes: impl Fn(bool, Key, Key) -> bool,
    ) {
        let semantics = self.resv.semantics();
        if fence.is_composed() && should_flatten(semantics, fence, semantics.class(as_told)) {
            self.edit_leaves(fence, as_told, replaced, room, removes);
        } else {
            self.edit_one(fence.clone(), as_told, replaced, |new, old| {
                removes(true, new, old)
            });
        }
    }

    /// Edits for each leaf of `fence`: at once if there are many, otherwise one by one.
    #[inline(never)]
    fn edit_leaves(
        &mut self,
        fence: &Fence,
        as_told: Usage,
        replaced: Option<TimelineId>,
        room: &mut LeafRoom,
        removes: impl Fn(bool, Key, Key) -> bool,
    ) {
        if let Some(leaves) = room.fill(fence) {
            for leaf in leaves.iter() {
                self.resv.id().adding(leaf, as_told, replaced);
            }
            let semantics = self.resv.semantics();
            let mut leaves = leaves.sort(semantics.class(as_told), |new, old| {
                removes(false, new, old)
            });
            // As in `edit`: from here on, something has been done.
            self.held.done();
            let goes = |old: Key| replaced == Some(old.timeline) || leaves.supersede(old);
            let backend = self.resv.backend();
            backend.edit(self.held, goes, None);
            backend.append(self.held, leaves.take_entries());
            if semantics.visibility() == Visibility::AtOnce {
                self.publish();
            }
            return;
        }
        for (at, leaf) in fence.leaves().enumerate() {
            self.edit_one(leaf, as_told, replaced, |new, old| {
                removes(at == 0, new, old)
            });
        }
    }

    #[inline]
    fn edit_one(
        &mut self,
        fence: Fence,
        as_told: Usage,
        replaced: Option<TimelineId>,
        removes: impl Fn(Key, Key) -> bool,
    ) {
        self.resv.id().adding(&fence, as_told, replaced);
        let usage = self.resv.semantics().class(as_told);
        let add = Entry { fence, usage };
        let new = add.key();
        self.edit(|old| removes(new, old), add);
    }

    /// Makes the object hold exactly these entries.
    pub(crate) fn assign<'e>(
        &mut self,
        unused: Unused,
        entries: impl Iterator<Item = impl Into<EntryRef<'e>>>,
    ) -> Result<(), ReserveError> {
        let semantics = self.resv.semantics();
        let mut wanted = Vec::new();
        for entry in entries.map(Into::into) {
            wanted
                .try_reserve(1)
                .map_err(|_| ReserveError::new(wanted.len() + 1))?;
            wanted.push(Entry {
                fence: entry.fence.clone(),
                usage: semantics.class(entry.usage),
            });
        }
        // Where the source kept apart what this semantics treats alike, one entry is enough (H-17).
        wanted.sort_unstable_by_key(order);
        wanted.dedup_by_key(|entry| entry.key());
        let backend = self.resv.backend();
        let room = Budget {
            adds: unused.edits + wanted.len(),
            publishes: unused.publishes(semantics) + 1,
        };
        backend.reserve(self.held, room)?;
        backend.overwrite(self.held);
        backend.edit(self.held, |_| true, None);
        backend.append(self.held, wanted.into_iter());
        self.held.done();
        if semantics.visibility() == Visibility::AtOnce {
            self.publish();
        }
        self.resv.id().copied();
        Ok(())
    }

    pub(crate) fn publish(&mut self) {
        self.resv.backend().publish(self.held);
    }

    #[inline]
    fn edit(&mut self, removes: impl FnMut(Key) -> bool, add: Entry) {
        // What is added is never taken back, so a holder of several locks must have them all.
        self.held.done();
        let backend = self.resv.backend();
        match self.resv.semantics().visibility() {
            Visibility::AtOnce => backend.edit_and_publish(self.held, removes, Some(add)),
            Visibility::AtPublish => backend.edit(self.held, removes, Some(add)),
        }
    }
}

/// Whether an add under `usage` makes the content whole again: see the [rule](resv_core::failure#the-rule).
#[inline]
pub(crate) fn is_write(semantics: impl Semantics, usage: Usage) -> bool {
    semantics.class(usage) == semantics.class(Usage::Write)
}

/// [`Backend::visit_held`]: the pending entries, unpublished edits included.
fn visit_held<S: Semantics, B: Backend, A>(
    resv: &Resv<S, B>,
    held: &LockProof<'_>,
    init: A,
    f: impl FnMut(A, EntryRef<'_>) -> A,
) -> A {
    resv.backend().visit_held(held, init, f)
}

/// The pending entries, unpublished edits included, in the order in which a
/// [`Description`](crate::Description) lists them.
pub(crate) fn entries<S: Semantics, B: Backend>(
    resv: &Resv<S, B>,
    held: &LockProof<'_>,
) -> Vec<Entry> {
    let mut entries = visit_held(resv, held, Vec::new(), |mut entries, entry| {
        entries.push(entry.to_entry());
        entries
    });
    entries.sort_by_key(order);
    entries
}

/// Notes what `access` must wait for, unpublished edits included, without `but`.
#[inline]
pub(crate) fn note_waits<S: Semantics, B: Backend>(
    resv: &Resv<S, B>,
    held: &LockProof<'_>,
    access: Access,
    noted: &mut Noted<'_>,
) -> Result<(), ReserveError> {
    let usages = resv.semantics().waits_for(access);
    visit_held(resv, held, Ok(()), |so_far, entry| {
        if usages.contains(entry.usage) {
            return so_far.and_then(|()| noted.note(entry.fence, entry.key()));
        }
        so_far
    })
}

/// Whether `access` has nothing to wait for, unpublished edits included.
pub(crate) fn is_idle<S: Semantics, B: Backend>(
    resv: &Resv<S, B>,
    held: &LockProof<'_>,
    access: Access,
) -> bool {
    let waits = resv.semantics().waits_for(access);
    visit_held(resv, held, true, |idle, entry| {
        idle && !waits.contains(entry.usage)
    })
}

/// The failure for `access`, unpublished edits included.
pub(crate) fn failure<S: Semantics, B: Backend>(
    resv: &Resv<S, B>,
    held: &LockProof<'_>,
    access: Access,
) -> Option<FenceError> {
    let waits = resv.semantics().waits_for(access);
    resv.backend().failure(held, waits)
}

/// Publishes what is not published yet and gives up what was reserved and not used, before the lock
/// is released.
pub(crate) fn finish<S: Semantics, B: Backend>(resv: &Resv<S, B>, held: &mut LockProof<'_>) {
    resv.backend().finish(held);
    resv.id().unlocked();
}

/// Why a guard has its proof.
const HELD: &str = "a guard holds the lock until it is dropped";

/// The object's lock, held. Dropping it publishes what is not published yet, gives up what was
/// reserved and not used, and releases the lock.
///
/// That is so on every path, a panic included: a fence is added because its job has gone to the
/// hardware, so an add is never taken back.
///
/// Its queries show the object as the holder has made it, unpublished edits included.
pub struct Guard<'a, S: Semantics, B: Backend> {
    resv: &'a Resv<S, B>,
    /// `None` when it is released.
    held: Option<LockProof<'a>>,
    /// Whether there may be something to publish or to give up.
    touched: bool,
}

impl<'a, S: Semantics, B: Backend> Guard<'a, S, B> {
    pub(crate) fn new(resv: &'a Resv<S, B>, held: LockProof<'a>) -> Self {
        Guard {
            resv,
            held: Some(held),
            touched: false,
        }
    }

    #[inline]
    fn held(&self) -> &LockProof<'a> {
        self.held.as_ref().expect(HELD)
    }

    /// Gets memory for `edits` adds or replacements, which then cannot fail.
    ///
    /// The array back end gets one piece of memory at most, however many edits it is for.
    ///
    /// # Errors
    ///
    /// When memory cannot be had. Nothing has changed then. What drivers do is to wait for the
    /// fence instead of recording it.
    pub fn reserve(&mut self, edits: usize) -> Result<Slots<'_, 'a, S, B>, ReserveError> {
        self.editor().reserve(Unused::default(), edits)?;
        let mut leaves = LeafRoom::default();
        leaves.reserve(edits)?;
        Ok(Slots {
            guard: self,
            left: edits,
            leaves,
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
        entries: impl Iterator<Item = impl Into<EntryRef<'e>>>,
    ) -> Result<(), ReserveError> {
        self.editor().assign(Unused::default(), entries)
    }

    /// The pending entries, unpublished edits included: strongest usage first, then by age of the
    /// timeline, then by seqno.
    pub fn entries(&self) -> Vec<Entry> {
        entries(self.resv, self.held())
    }

    /// Whether `access` has nothing to wait for, unpublished edits included.
    pub fn is_idle(&self, access: Access) -> bool {
        is_idle(self.resv, self.held(), access)
    }

    /// Whether what `access` wants to use is broken, unpublished edits included: see [`Resv::failure`].
    pub fn failure(&self, access: Access) -> Option<FenceError> {
        failure(self.resv, self.held(), access)
    }

    /// What a job with `access` must wait for, unpublished edits included: of each timeline the latest
    /// fence.
    ///
    /// # Errors
    ///
    /// When there are many, and no memory for them.
    pub fn waits_for(&self, access: Access) -> Result<Waits, ReserveError> {
        let mut noted = Noted::new(&[]);
        note_waits(self.resv, self.held(), access, &mut noted)?;
        noted.list()
    }

    /// [`reserve`](Guard::reserve) for one add of `fence` under `usage`: a slot, or one for each of its
    /// leaves.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Guard::reserve).
    pub fn reserve_for(
        &mut self,
        fence: &Fence,
        usage: Usage,
    ) -> Result<Slots<'_, 'a, S, B>, ReserveError> {
        let slots = slots_for(self.resv.semantics(), fence, usage);
        self.reserve(slots)
    }

    /// Publishes and releases the lock; the tasks to be woken for that come to `rings`.
    pub(crate) fn release(mut self, rings: &mut Rings) {
        if std::mem::take(&mut self.touched) {
            self.finish();
        }
        if let Some(held) = self.held.take() {
            held.release(rings);
        }
    }

    /// Publishes, and gives up the rest.
    #[inline(never)]
    fn finish(&mut self) {
        let held = self.held.as_mut().expect(HELD);
        finish(self.resv, held);
    }

    fn editor(&mut self) -> Editor<'_, 'a, S, B> {
        self.touched = true;
        Editor {
            resv: self.resv,
            held: self.held.as_mut().expect(HELD),
        }
    }
}

impl<S: Semantics, B: Backend> Drop for Guard<'_, S, B> {
    #[inline]
    fn drop(&mut self) {
        if self.touched {
            self.finish();
        }
        // `held` is dropped after this and releases the lock.
    }
}

/// Memory for a number of edits: the permission to make them. What is not used is given up.
#[must_use = "slots that are not used are given up"]
pub struct Slots<'g, 'a, S: Semantics, B: Backend> {
    guard: &'g mut Guard<'a, S, B>,
    left: usize,
    leaves: LeafRoom,
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
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn add(&mut self, fence: &Fence, usage: Usage) {
        let slots = slots_for(self.guard.resv.semantics(), fence, usage);
        self.use_slots(slots);
        self.guard.editor().add(fence, usage, &mut self.leaves);
        checks::added(fence);
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
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn replace(&mut self, timeline: TimelineId, fence: &Fence, usage: Usage) -> bool {
        if !self.guard.editor().has(timeline) {
            return false;
        }
        let slots = slots_for(self.guard.resv.semantics(), fence, usage);
        self.use_slots(slots);
        let mut editor = self.guard.editor();
        editor.replace(timeline, fence, usage, &mut self.leaves);
        checks::added(fence);
        true
    }

    /// Makes the edits so far visible together and uses up the slots. To edit on, reserve again.
    pub fn publish(self) {
        self.guard.editor().publish();
    }

    fn use_slots(&mut self, wanted: usize) {
        self.left = take_slots(self.left, wanted);
    }
}

/// How many slots an add of `fence`, or a replacement by it, uses.
#[inline]
pub(crate) fn slots_for(semantics: impl Semantics, fence: &Fence, usage: Usage) -> usize {
    if fence.is_composed() && should_flatten(semantics, fence, semantics.class(usage)) {
        fence.leaves().count_left()
    } else {
        1
    }
}

/// What is left of `left` slots after `wanted` are used. Nothing is done by halves: this comes before
/// the first edit.
pub(crate) fn take_slots(left: usize, wanted: usize) -> usize {
    left.checked_sub(wanted).unwrap_or_else(|| {
        panic!(
            "all reserved slots are used: {wanted} wanted, {left} left; reserve as many as you add"
        )
    })
}

/// Whether the leaves of `fence` are added, and not the whole: when there is one, or none supersedes
/// one of another timeline. Leaves do not wait for each other.
#[inline(never)]
fn should_flatten(semantics: impl Semantics, fence: &Fence, usage: Usage) -> bool {
    let mut leaves = fence.leaves().map(|leaf| Key::new(&leaf, usage));
    let Some(mut last) = leaves.next() else {
        return true;
    };
    leaves.all(|leaf| {
        let apart = leaf.timeline == last.timeline || !semantics.supersedes(leaf, last);
        last = leaf;
        apart
    })
}

/// Whether each access that would wait for `old` waits for `new`, which is at least as late.
fn is_dominated(old: Key, new: Key) -> bool {
    old.timeline == new.timeline && old.seqno <= new.seqno && old.usage >= new.usage
}
