//! Policies and members on real objects.
//!
//! # The concept
//!
//! A policy is applied to an object from outside. [`wait_set`] takes what the object shows at one
//! instant and leaves out what the rule skips; [`file`](fn@file) and [`attach`] make the edits that the
//! driver of an era makes. They work on any [`Reservation`], whatever its semantics and its back end,
//! and neither learns of it.
//!
//! ```
//! use resv_api::{BackendKind, SemanticsKind, Timeline, new_reservation};
//! use resv_policy::{Asker, Era, Mode, Owner, Producer, Tag, objects};
//!
//! let buffer = new_reservation(SemanticsKind::UsageLevels, BackendKind::Locked)?;
//! let mine = Timeline::tagged("gfx", Tag::new(Owner::Client(1)).on_device(0));
//! let job = mine.issue()?;
//! objects::file(&*buffer, Era::P7, job.fence(), Producer::Submission, false, false)?;
//!
//! // Another client waits for the job; its own does not.
//! let ask = |client| {
//!     let asker = Asker { owner: Owner::Client(client), device: Some(0) };
//!     objects::wait_set(&*buffer, Era::P7, asker, Mode::NotEqual)
//! };
//! assert_eq!(ask(2)?, [job.fence().clone()]);
//! assert!(ask(1)?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Chains and arrays
//!
//! A chain in the exclusive slot is a fence made of fences ([`Fence::all`]), the newest link first. So an
//! access waits for all of it, and a lazy fence in it is asked for its work when a job waits for the
//! whole. What is collapsed on attaching is made in the same way.

use crate::era::Era;
use crate::filing::{Filing, OnAttach, Producer, file as filing, on_attach};
use crate::member::{Machine, Member};
use crate::query::Query;
use crate::rule::{Asker, Mode, Place, decide};
use crate::store::{FenceRef, Store};
use resv_api::{Edit, Reservation};
use resv_core::fence::unwrap;
use resv_core::{Access, Entry, Fence, Owner, ReserveError, SemanticsKind, Tag, TimelineId, Usage};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What `asker` waits for in `object` under the rule of `era`: each fence once, the members of chains
/// and arrays one by one.
///
/// An object of the oldest semantics has an exclusive slot; in others all fences stand side by side.
///
/// # Errors
///
/// When memory cannot be had.
pub fn wait_set(
    object: &dyn Reservation,
    era: Era,
    asker: Asker,
    mode: Mode,
) -> Result<Vec<Fence>, ReserveError> {
    let has_exclusive = object.semantics() == SemanticsKind::ExclusiveShared.name();
    let cut = if era >= Era::P7 {
        Usage::Read
    } else {
        Usage::Bookkeep
    };
    let mut waits: Vec<Fence> = Vec::new();
    let mut add = |fence: Fence| {
        if !waits.contains(&fence) {
            waits.push(fence);
        }
    };
    for entry in object.entries()? {
        let is_exclusive = has_exclusive && entry.usage <= Usage::Write;
        let place = match is_exclusive {
            true => Place::Exclusive,
            false => Place::Shared,
        };
        // The newest link comes first. The first that is waited for stands for all older ones.
        let mut is_older_link = false;
        for leaf in pending_leaves(&entry.fence) {
            let waits = is_older_link
                || (has_exclusive || entry.usage <= cut)
                    && decide(era, mode, asker, leaf.tag(), place);
            is_older_link |= waits && is_exclusive;
            if waits {
                add(leaf);
            }
        }
    }
    Ok(waits)
}

/// The pending fences of compute in `object`, bookkeep ones included.
///
/// Since [`Era::P7`] the rule looks up to read, and does not see them. The unmapping of a live mapping of a
/// buffer waits for them besides its [`wait_set`]: compute is evicted before its mapping goes.
///
/// # Errors
///
/// When memory cannot be had.
pub fn compute_fences(object: &dyn Reservation) -> Result<Vec<Fence>, ReserveError> {
    let mut fences: Vec<Fence> = Vec::new();
    for entry in object.entries()? {
        for leaf in pending_leaves(&entry.fence) {
            if leaf.tag().owner() == Owner::Compute && !fences.contains(&leaf) {
                fences.push(leaf);
            }
        }
    }
    Ok(fences)
}

/// Adds `fence` to `object` as the driver of `era` does for `producer`, to a buffer that another driver
/// is attached to or not, and that is flagged explicit or not.
///
/// # Errors
///
/// When memory cannot be had. Nothing has changed then.
pub fn file(
    object: &dyn Reservation,
    era: Era,
    fence: &Fence,
    producer: Producer,
    attached: bool,
    explicit: bool,
) -> Result<(), ReserveError> {
    match filing(era, producer, attached, explicit) {
        Filing::Nothing => Ok(()),
        Filing::Add(usage) => object.transact(&[Edit::Add {
            fence: fence.clone(),
            usage,
        }]),
        Filing::Link => link(object, fence),
    }
}

/// A new link in the exclusive slot, and the same fence as a shared one. Published at once, so that no
/// reader finds the shared ones missing.
fn link(object: &dyn Reservation, fence: &Fence) -> Result<(), ReserveError> {
    let (exclusive, shared): (Vec<Entry>, Vec<Entry>) = object
        .entries()?
        .into_iter()
        .partition(|entry| entry.usage <= Usage::Write);
    let mut links = vec![fence.clone()];
    links.extend(
        exclusive
            .iter()
            .flat_map(|entry| pending_leaves(&entry.fence)),
    );
    let is_replaced =
        |old: &Fence| old.timeline_id() == fence.timeline_id() && old.seqno() <= fence.seqno();
    let mut entries: Vec<Entry> = shared
        .into_iter()
        .filter(|entry| !is_replaced(&entry.fence))
        .collect();
    entries.push(Entry {
        fence: fence.clone(),
        usage: Usage::Read,
    });
    entries.push(Entry {
        fence: whole(&links).unwrap_or_else(|| fence.clone()),
        usage: Usage::Write,
    });
    object.assign(&entries)
}

/// Another driver attaches to the buffer of `object`.
///
/// Where the attaching driver of the era sleeps ([`OnAttach::Wait`]), this only begins to wait, so lazy
/// fences are asked for their work; the object keeps its fences until they have signalled.
///
/// # Errors
///
/// When memory cannot be had. Nothing has changed then.
pub fn attach(object: &dyn Reservation, era: Era) -> Result<(), ReserveError> {
    let fences = || -> Result<Vec<Fence>, ReserveError> {
        let mut fences: Vec<Fence> = Vec::new();
        for entry in object.entries()? {
            for leaf in pending_leaves(&entry.fence) {
                if !fences.contains(&leaf) {
                    fences.push(leaf);
                }
            }
        }
        Ok(fences)
    };
    match on_attach(era) {
        OnAttach::Keep => Ok(()),
        OnAttach::Wait => {
            fences()?.iter().for_each(begin_to_wait);
            Ok(())
        }
        OnAttach::Collapse => match whole(&fences()?) {
            None => Ok(()),
            Some(fence) => object.assign(&[Entry {
                fence,
                usage: Usage::Write,
            }]),
        },
    }
}

/// Begins to wait for `fence`, as a waiter does that has a callback put on it: a lazy fence is asked for
/// its work.
pub fn begin_to_wait(fence: &Fence) {
    // If it has signalled meanwhile, there is nothing to wait for.
    let _ = fence.on_signal(|_| ());
}

/// The fences to be waited for in place of one, without those that have signalled.
pub fn pending_leaves(fence: &Fence) -> impl Iterator<Item = Fence> + use<> {
    unwrap(fence).into_iter().filter(|leaf| !leaf.is_signaled())
}

/// One fence for all; none if there are none.
fn whole(fences: &[Fence]) -> Option<Fence> {
    match fences {
        [one] => Some(one.clone()),
        more => Fence::all(more),
    }
}

/// A real fence is one that members and rules look at.
impl FenceRef for Fence {
    fn timeline(&self) -> u64 {
        self.timeline_id().as_raw()
    }

    fn seqno(&self) -> u64 {
        Fence::seqno(self)
    }

    fn is_signaled(&self) -> bool {
        Fence::is_signaled(self)
    }

    fn tag(&self) -> Tag {
        Fence::tag(self)
    }
}

/// A member of a comparison on real fences: what `resv script` runs a counterexample on.
///
/// It is a rule behind a mutex, for looking at; it is no back end.
///
/// ```
/// use resv_api::{Access, Edit, Timeline, Usage};
/// use resv_policy::objects::MemberObject;
///
/// let buffer = MemberObject::new("linux-6.7".parse()?);
/// let job = Timeline::new("gfx").issue()?;
/// buffer.transact(&[Edit::Add { fence: job.fence().clone(), usage: Usage::Write }]);
/// assert!(!buffer.is_idle(Access::Read));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MemberObject {
    machine: Machine,
    store: Mutex<Store<Fence>>,
}

impl MemberObject {
    /// An empty object of `member`.
    pub fn new(member: Member) -> MemberObject {
        MemberObject {
            machine: Machine::new(member),
            store: Mutex::default(),
        }
    }

    /// The member.
    pub fn member(&self) -> &Member {
        self.machine.member()
    }

    fn store(&self) -> MutexGuard<'_, Store<Fence>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`file`](fn@file).
    pub fn file(&self, fence: &Fence, producer: Producer, attached: bool, explicit: bool) {
        let mut store = self.store();
        let fence = fence.clone();
        self.machine
            .file(&mut store, fence, producer, attached, explicit);
    }

    /// [`attach`].
    pub fn attach(&self) {
        self.machine.attach(&mut self.store());
    }

    /// [`wait_set`], if the member is a policy.
    pub fn wait_set(&self, asker: Asker, mode: Mode) -> Option<Vec<Fence>> {
        let Member::Policy(era) = *self.member() else {
            return None;
        };
        let store = self.store();
        let entries = store.pending().map(|slot| (&slot.fence, slot.usage));
        let mut waits = Vec::new();
        crate::member::era::wait_set(era, asker, mode, entries, &mut |fence: &Fence| {
            if !waits.contains(fence) {
                waits.push(fence.clone());
            }
        });
        Some(waits)
    }

    /// Holds what is pending in `source`, an object of the same member.
    pub fn copy_from(&self, source: &MemberObject) {
        let mut copy = source.store().clone();
        self.machine.copy(&mut copy);
        *self.store() = copy;
    }

    /// Makes the edits in order.
    pub fn transact(&self, edits: &[Edit]) {
        let mut store = self.store();
        for edit in edits {
            match edit {
                Edit::Add { fence, usage } => {
                    for leaf in unwrap(fence) {
                        self.machine.add(&mut store, leaf, *usage);
                    }
                }
                Edit::Replace {
                    timeline,
                    fence,
                    usage,
                } => {
                    let fence = fence.clone();
                    self.machine
                        .replace(&mut store, TimelineId::as_raw(*timeline), fence, *usage);
                }
            }
        }
    }

    /// The pending entries, in the order of the slots.
    pub fn entries(&self) -> Vec<Entry> {
        let store = self.store();
        let entry = |slot: &crate::store::Slot<Fence>| Entry {
            fence: slot.fence.clone(),
            usage: slot.usage,
        };
        store.pending().map(entry).collect()
    }

    /// What `access` must wait for.
    pub fn waits_for(&self, access: Access) -> Vec<Entry> {
        let store = self.store();
        let mut waits: Vec<Entry> = Vec::new();
        self.machine
            .visit(&store, Query::Access(access), &mut |fence: &Fence| {
                let kept = store.slots.iter().find(|slot| slot.fence == *fence);
                let usage = kept.map_or(Usage::Write, |slot| slot.usage);
                let fence = fence.clone();
                waits.push(Entry { fence, usage });
            });
        waits
    }

    /// Whether `access` has nothing to wait for.
    pub fn is_idle(&self, access: Access) -> bool {
        self.waits_for(access).is_empty()
    }
}
