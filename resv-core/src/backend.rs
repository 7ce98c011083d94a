//! The port that an implementation fills in, and the contract it signs.
//!
//! A back end stores a set of [`Entry`]s, applies edits to it for the holder of the object's lock,
//! and serves readers that hold nothing. It knows no usage rule: which entries an edit removes is
//! decided by a predicate over [`Key`]s that the caller passes, and which usages a test is about by
//! a [`UsageSet`]. So no change of a semantics ever touches a back end, and the other way round.
//!
//! # The contract
//!
//! * **B1 One instant.** A read ([`snapshot`](Backend::snapshot), [`visit`](Backend::visit),
//!   [`is_idle`](Backend::is_idle)) is about one set: the one that was published at some instant
//!   between its call and its return, across *all* usages together, never half of a transaction.
//!   (H-02, H-05, H-23)
//! * **B2 "Idle" was true.** If [`is_idle`](Backend::is_idle) says so, there was an instant between
//!   call and return when every matching fence in the object had signalled. An immutable array does
//!   not give this by itself: by the time that the last fence was tested, a new array may have been
//!   published, and before that the old one was pending. (H-25, H-09)
//! * **B3 Reserve, then add.** [`reserve`](Backend::reserve) is where memory is got, and where
//!   failure is reported, with nothing changed. [`edit`](Backend::edit) and
//!   [`publish`](Backend::publish) within the reserved [`Budget`] neither allocate nor fail: a fence
//!   is added after the job has gone to the hardware, when nothing can be rolled back any more. Time
//!   and memory of a reservation are at most proportional to what is in the object and what is
//!   asked for.
//! * **B4 A transaction publishes once.** Edits become visible together, at
//!   [`publish`](Backend::publish). The holder reads its own edits through
//!   [`visit_held`](Backend::visit_held). (H-21, H-26)
//! * **B5 No foreign code inside.** While readers are shut out, or a set is half built, no fence is
//!   signalled, called back or dropped, and no caller's closure runs. Two things may happen there, as
//!   they run nobody's code: testing a fence, which is one load, and the predicates over keys, which
//!   are pure. (FreeBSD drm-kmod #9, #116)
//! * **B6 Readers hold what they see.** A snapshot keeps its fences alive and never changes. No
//!   borrowed pointer leaves a guard. (H-06, H-20)
//! * **B7 Progress.** Readers of an array back end never wait for writers. Readers of a seqcount
//!   back end retry a bounded number of times and then shut the writer out for one read; both count
//!   what they did ([`Counters`]).
//! * **B8 Bounded garbage.** What is kept beyond the current set, by the object or for the sake of a
//!   snapshot, has a bound that the back end states: for an array, what one cell of it holds. The
//!   peak of memory that is retired and not yet freed is observable ([`Garbage`]).
//! * **B9 Nothing lost.** A pending fence leaves the object only because an edit's predicate named
//!   its key. Signalled fences may be dropped at any time. No visit shows one that had signalled
//!   before the call; a snapshot may still own some.
//! * **B10 A failure is not forgotten.** [`failure`](Backend::failure) is a function of what was added,
//!   removed, overwritten and signalled, and in which order: whether the fence that failed is still stored
//!   is in no answer. The rule is told in [`failure`](crate::failure).
//!
//! # What a visit shows
//!
//! A visit takes time, and fences signal meanwhile. So it promises four things:
//!
//! 1. It is about one published set, as every read (B1).
//! 2. What it shows was pending when it was looked at, which is after the call.
//! 3. What it does not show, of that set and the asked-for usages, had signalled by then.
//! 4. If it shows nothing, there was an instant at which nothing with these usages was pending (B2).
//!
//! It does *not* promise that all that it shows was pending at one instant. Let A and B be pending,
//! and let A signal and then B: a visit may look at A before and at B after, and show A alone, although
//! A was never pending without B. That costs no waiter anything: B has signalled. A caller that must
//! know whether the object was idle asks [`is_idle`](Backend::is_idle) (B2).
//!
//! # In two steps
//!
//! A job that uses many buffers locks all of them, collects what it must wait for, and adds its fence to
//! each. The single steps would look at each object five times: to collect, to reserve, to edit, to
//! publish, to give up what is left. So there are two steps that do the same:
//!
//! * [`prepare`](Backend::prepare) looks once at what is pending and shows it, as
//!   [`visit_held`](Backend::visit_held) does. It gets the memory (B3: it is the last step that can fail,
//!   and changes nothing). It may decide in the same look what the add is going to remove, and note that
//!   in a [`Plan`]: which fences are pending may change until the second step, but nobody else edits the
//!   object. A fence that signals in between may be removed or left (B9).
//! * [`commit`](Backend::commit) is the edit, the publish (B4: the entry and what it removes, at one
//!   instant) and the giving up of the rest. Fences that it removes are dropped when the set is complete
//!   and published (B5).
//!
//! A plan that is not committed is dropped; the lock's holder then calls
//! [`unreserve`](Backend::unreserve) as after a reservation. `see` runs with nobody shut out and nothing
//! half built (B5).
//!
//! A caller that adds several entries, or composes an edit of several, uses the single steps. Both may
//! follow each other under one lock, but nothing may come between the two halves, unless it be an
//! [`overwrite`](Backend::overwrite), which touches no entry.
//!
//! A back end that fills in neither has both, made of the single steps.
//!
//! # Writing one
//!
//! Implement [`Backend`], then run the suite of `resv-conformance` on it. [`Locked`](crate::Locked)
//! is the shortest example.

use crate::entry::{Entry, EntryRef, Key};
use crate::fence::{Fence, FenceError};
use crate::lock::{LockProof, ObjectLock};
use crate::usage::UsageSet;
use std::fmt;

/// How many edits and publishes a reservation is for, or what is left of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// How many entries are going to be added.
    pub adds: usize,
    /// How often edits are going to be published.
    pub publishes: usize,
}

impl Budget {
    /// One add that is published by itself.
    pub const ONE: Budget = Budget {
        adds: 1,
        publishes: 1,
    };

    /// Makes this budget at least as large as `other`.
    pub fn widen(&mut self, other: Budget) {
        self.adds = self.adds.max(other.adds);
        self.publishes = self.publishes.max(other.publishes);
    }

    /// Takes from the budget what one edit needs, which adds an entry or does not.
    ///
    /// # Panics
    ///
    /// When nothing is left for the add, or for the publishing of an edit.
    pub fn spend_on_edit(&mut self, adds: bool) {
        let left = self
            .adds
            .checked_sub(usize::from(adds))
            .expect("no room is reserved for this add");
        assert!(self.publishes > 0, "no room is reserved for a publish");
        self.adds = left;
    }
}

/// The entries of one published set, owned by a reader (B6).
///
/// The entries need not be contiguous in memory, nor stored as [`Entry`]s, so there is no slice of
/// them: they are shown one by one.
pub trait EntrySet: Clone + Send + Sync + 'static {
    /// The entries, signalled or not, in an order that stays the same.
    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>>;

    /// How many [`iter`](EntrySet::iter) shows. May look at each of them.
    fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl EntrySet for Vec<Entry> {
    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.as_slice().iter().map(EntryRef::from)
    }

    fn len(&self) -> usize {
        self.len()
    }
}

/// What a back end has noted in [`Backend::prepare`] for [`Backend::commit`]: bits that mean something to
/// that back end only. One that notes nothing uses the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan(pub u64);

/// Which entries an add in two steps removes: a predicate, or what makes one.
///
/// Every predicate that can be copied is one. A type of its own may be small, and get what the predicate needs
/// where it is asked for: in registers, once for a look at many entries.
///
/// A predicate is pure: it may be made and asked any number of times, in both steps, and where others are shut out (B5).
pub trait Removes: Copy {
    /// The predicate.
    fn predicate(self) -> impl Fn(Key) -> bool + Copy;
}

impl<F: Fn(Key) -> bool + Copy> Removes for F {
    #[inline(always)]
    fn predicate(self) -> impl Fn(Key) -> bool + Copy {
        self
    }
}

/// [`Backend::prepare`] in single steps: what it is by default, and for a back end that takes a way of its own
/// where that is shorter.
///
/// # Errors
///
/// As [`Backend::prepare`].
#[inline(never)]
pub fn prepare_in_steps<B: Backend + ?Sized>(
    backend: &B,
    held: &mut LockProof<'_>,
    usages: UsageSet,
    mut see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
) -> Result<Plan, ReserveError> {
    if !usages.is_empty() {
        backend.visit_held(held, Ok(()), |so_far, entry| {
            if usages.contains(entry.usage) {
                return so_far.and_then(|()| see(entry.fence, entry.key()));
            }
            so_far
        })?;
    }
    backend.reserve(held, Budget::ONE)?;
    Ok(Plan::default())
}

/// An implementation of the storage of one reservation object. See the [module](self) for the
/// contract.
///
/// Functions that take a [`LockProof`] panic unless it is the proof for *this* object's lock.
pub trait Backend: Send + Sync + 'static {
    /// The name on command lines and in reports.
    fn name(&self) -> &'static str;

    /// The entries of one published set, owned. Entries that had signalled before the snapshot was
    /// taken may be missing.
    type Snapshot: EntrySet;

    /// The lock whose holder may edit.
    fn object_lock(&self) -> &ObjectLock;

    /// Brings near what the holder of the lock will look at first, while the calling thread does other things: for a
    /// caller that will soon lock this object, after others. Only a hint: it changes nothing, and does nothing by
    /// default.
    #[inline]
    fn prefetch(&self) {}

    /// Gets memory for `budget`, on top of what is in the object now and of what was reserved and
    /// used under this lock.
    ///
    /// # Errors
    ///
    /// When the memory cannot be had. Nothing has changed then.
    fn reserve(&self, held: &mut LockProof<'_>, budget: Budget) -> Result<(), ReserveError>;

    /// Removes every entry whose key `removes` names, then adds `add`. Invisible to readers until
    /// [`publish`](Backend::publish).
    ///
    /// Signalled entries may or may not be offered to `removes`; they may be dropped in any case.
    ///
    /// # Panics
    ///
    /// When no room is reserved for `add`, or none for the publishing of an edit.
    fn edit(&self, held: &mut LockProof<'_>, removes: impl FnMut(Key) -> bool, add: Option<Entry>);

    /// Adds these entries and removes none, as part of the last [`edit`](Backend::edit), which is not
    /// published yet: for a caller that sets the whole content, or adds many fences at once. Each needs room as
    /// an edit that adds does.
    ///
    /// Takes steps in proportion to the entries, whatever is there: this looks at none of the others, as `n`
    /// edits would, which cost `n` looks at `n` entries. The iterator runs nobody's code (B5).
    ///
    /// # Panics
    ///
    /// As [`edit`](Backend::edit).
    fn append(&self, held: &mut LockProof<'_>, entries: impl ExactSizeIterator<Item = Entry>);

    /// Says that what the holder sees is overwritten: no entry that is there now counts for
    /// [`failure`](Backend::failure) any more, nor does what was dropped before (B10). Changes nothing else,
    /// and takes no memory. Called before the edit that adds the write, or between
    /// [`prepare`](Backend::prepare) and [`commit`](Backend::commit).
    fn overwrite(&self, held: &mut LockProof<'_>);

    /// The smallest error of a fence that counts, with a usage in `usages`, unpublished edits included
    /// (B10).
    ///
    /// What [`edit`](Backend::edit) and [`append`](Backend::append) add counts. What a predicate of `edit` has
    /// named while it was pending does not count any more; what had failed by then, named or not, does.
    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError>;

    /// Makes all edits since the last publish visible, at one instant. Does nothing if there are
    /// none.
    fn publish(&self, held: &mut LockProof<'_>);

    /// [`edit`](Backend::edit), then [`publish`](Backend::publish): what is done for each add under a
    /// semantics that publishes at once. A back end may do it in fewer steps.
    ///
    /// # Panics
    ///
    /// As [`edit`](Backend::edit).
    #[inline]
    fn edit_and_publish(
        &self,
        held: &mut LockProof<'_>,
        removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        self.edit(held, removes, add);
        self.publish(held);
    }

    /// Gives up what was reserved and not used. Called before the lock is released, after the last
    /// [`publish`](Backend::publish), if [`reserve`](Backend::reserve) or [`prepare`](Backend::prepare)
    /// was called under this lock, whether it got the memory or not; a lock that was taken to look only is
    /// released without. After a [`commit`](Backend::commit) there is nothing left to give up.
    fn unreserve(&self, held: &mut LockProof<'_>);

    /// [`publish`](Backend::publish), then [`unreserve`](Backend::unreserve): what is done last before the
    /// lock is released. A back end may do it in fewer steps.
    #[inline]
    fn finish(&self, held: &mut LockProof<'_>) {
        self.publish(held);
        self.unreserve(held);
    }

    /// The first half of one add that is published by itself: one look at all that is pending. See
    /// [In two steps](self#in-two-steps).
    ///
    /// Shows `see` the pending entries whose usage is in `usages`, each with its key, until it fails; and
    /// gets the memory for the [`commit`](Backend::commit) of one entry. `removes` is what `commit` gets; its
    /// predicate may be asked here, there, or in both.
    ///
    /// A caller that must wait for nothing asks for no usage, and pays for no look at what it did not ask for.
    ///
    /// # Errors
    ///
    /// When the memory cannot be had, or what `see` failed with. Nothing has changed then.
    fn prepare(
        &self,
        held: &mut LockProof<'_>,
        usages: UsageSet,
        see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
        removes: impl Removes,
    ) -> Result<Plan, ReserveError> {
        let _ = removes;
        prepare_in_steps(self, held, usages, see)
    }

    /// The second half: removes every entry whose key `removes` names, adds `add`, publishes, and gives up
    /// what was reserved. Neither allocates nor fails.
    ///
    /// May hand out the fence of one entry that it removed, instead of dropping it: a caller that edits
    /// many objects drops those together, when all locks are released.
    ///
    /// Only after a [`prepare`](Backend::prepare) of this object that succeeded, with its `plan`, with the
    /// same predicate, and with nothing done to the object in between.
    ///
    /// # Panics
    ///
    /// Perhaps, without such a `prepare`: when there is no room for `add`.
    fn commit(
        &self,
        held: &mut LockProof<'_>,
        plan: Plan,
        removes: impl Removes,
        add: Entry,
    ) -> Option<Fence> {
        let _ = plan;
        self.edit_and_publish(held, removes.predicate(), Some(add));
        self.unreserve(held);
        None
    }

    /// Shows `f` the pending entries as the holder sees them, unpublished edits included; `f` carries a
    /// value from one to the next, as in [`Iterator::fold`].
    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A;

    /// The published entries of one instant, owned.
    ///
    /// # Errors
    ///
    /// When the memory cannot be had. A back end that need not allocate never fails.
    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError>;

    /// Shows `f` the keys of the pending entries whose usage is in `usages`; `f` carries a value from
    /// one to the next, as in [`Iterator::fold`].
    ///
    /// See [above](self#what-a-visit-shows) for what may be missing. `f` runs once for each, with no
    /// lock held and nobody shut out, and may do anything: edit this object, or panic.
    fn visit<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A;

    /// Whether no entry with a usage in `usages` is pending (B2).
    ///
    /// The array and the seqcount back end take no lock for it, but for a reader of the latter that has
    /// retried in vain (B7). By default it is a [`visit`](Backend::visit) that shows nothing, which looks at all
    /// entries where one that is pending would do.
    fn is_idle(&self, usages: UsageSet) -> bool {
        self.visit(usages, true, |_, _| false)
    }

    /// What readers of this object had to do (B7).
    fn counters(&self) -> Counters {
        Counters::default()
    }

    /// How many fences that left the set an object may keep alive while nobody has a snapshot of it, if
    /// there were never more than `most` in the set (B8).
    fn superseded_bound(&self, most: usize) -> usize {
        let _ = most;
        0
    }

    /// What is retired and not yet freed, over all objects of this back end in the process (B8).
    fn garbage(&self) -> Garbage {
        Garbage::default()
    }

    /// Starts a new measurement of [`Garbage::peak`].
    fn reset_garbage_peak(&self) {}
}

/// What the readers of one object had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Reads that were started again because an edit came between.
    pub retries: u64,
    /// Reads that gave up retrying and shut the writer out.
    pub fallbacks: u64,
}

/// Memory that is retired and waits to be freed: arrays or slot tables, each with the fences it
/// owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Retired now.
    pub live: usize,
    /// The most that was retired at one time since the last reset.
    pub peak: usize,
}

/// Memory for a reservation, a copy or a snapshot could not be had; nothing has changed.
///
/// What drivers do then is to wait for the fence instead of recording it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReserveError {
    entries: usize,
}

impl ReserveError {
    /// The error of a request for `entries` entries.
    pub fn new(entries: usize) -> Self {
        ReserveError { entries }
    }

    /// How many entries were asked for.
    pub fn entries(&self) -> usize {
        self.entries
    }
}

impl fmt::Display for ReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no memory for {} fence entries; nothing has changed",
            self.entries
        )
    }
}

impl std::error::Error for ReserveError {}
