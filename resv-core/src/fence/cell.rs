//! The memory of a fence, for back ends: type-stable, counted, all atomic.
//!
//! # Protocol
//!
//! A [`FenceCell`] comes from a pool that never returns memory, so a `&'static FenceCell` may be
//! kept and dereferenced by anybody at any time. What may change under a reader that owns no
//! reference is *which fence* the cell is: after the last reference is dropped the cell becomes
//! another fence, at once, with no grace period.
//!
//! So a reader without a reference
//!
//! 1. takes the cell's address from a place that owns a reference (a slot of an object),
//! 2. reads what it needs: [`key_parts`](FenceCell::key_parts), [`is_pending`](FenceCell::is_pending),
//!    or [`try_acquire`](super::Fence::try_acquire) for a reference of its own,
//! 3. checks that the place has owned that reference all the time (a sequence count, say). If so,
//!    the cell has been the same fence all the time and what was read is true. If not, what was read
//!    is about some fence, not necessarily this one, and is thrown away.
//!
//! Nothing here is `unsafe`: a back end that skips step 3 reads wrong answers, not wild memory.
//!
//! # Orderings
//!
//! * `outcome`: changed with Release by the signaller, loaded with Acquire by testers: what happened
//!   before the signal is visible to a thread that saw it (F-05). It is the head of the list of callbacks
//!   until then (`resv-sync`).
//! * `refs`: a new fence stores 1 with Release after writing its key and outcome;
//!   [`try_acquire`](super::Fence::try_acquire) increments with Acquire and so sees them; when it
//!   finds zero, also with Acquire, it sees what the last owner did before. Counting up
//!   from a reference that is owned is Relaxed, as with `Arc`. Counting down is Release, and the
//!   thread that reaches zero issues an Acquire fence, so that all uses of the old fence happen before
//!   the cell is written for the new one.
//! * `timeline`, `seqno`, and `outcome` of a new fence: stored with Release, loaded with Acquire. A
//!   cell is reused after its last reference was dropped, so after it was removed from every object.
//!   A reader that reads any of the new values therefore sees that removal in step 3.

use super::extra::Extra;
use super::id::TimelineId;
use super::line::Line;
use super::status::FenceStatus;
use resv_sync::callbacks::Callbacks;
use resv_sync::pool::Link;
use resv_sync::slot::TaggedSlot;
use resv_sync::sync::Mutex;
use resv_sync::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
// Only the owners of a reference read `kind`, and it is written before there is one: it takes part in no
// protocol.
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, OnceLock};

/// What a fence is, as far as that never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Issued by a timeline.
    Issued = 0,
    /// The point of a place of a timeline.
    Point = 1,
    /// Of others of which all have to signal, on a timeline of its own.
    All = 2,
    /// Of others of which one has to signal, on a timeline of its own.
    Any = 3,
    /// Born signalled, on a timeline of its own.
    Stub = 4,
}

impl Kind {
    const KINDS: [Kind; 5] = [Kind::Issued, Kind::Point, Kind::All, Kind::Any, Kind::Stub];

    /// The name of the timeline that such a fence has of its own.
    pub(super) const fn own_name(self) -> &'static str {
        match self {
            Kind::All => "all",
            Kind::Any => "any",
            _ => "signaled",
        }
    }
}

/// The memory of one fence. See the [module](self) for how to read it without a reference.
///
/// What a look at the state and the key uses, and a signal until it gives up its reference, is in the first 64 bytes, a
/// line of the cache. The count of references is behind them: it changes with each handle that comes and goes, on whichever
/// thread, and a look on another thread does not wait for that.
#[repr(C, align(128))]
pub struct FenceCell {
    timeline: AtomicU64,
    seqno: AtomicU64,
    outcome: Callbacks,
    kind: AtomicU8,
    asked: Asked,
    /// What the timeline and its fences have in common, kept by this fence; `None` for one that has a timeline of its
    /// own.
    line: TaggedSlot<Line, 0>,
    extra: Mutex<Option<Box<Extra>>>,
    /// For the [pool](super::pool), while this is no fence.
    link: Link<FenceCell>,
    /// Not in the line of what looks use.
    refs: AtomicUsize,
    handle: Handle,
}

// Elsewhere a mutex has another size: on other systems, and in models and under a sanitizer.
#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(any(loom, shuttle, tsan))
))]
const _: () = {
    use std::mem::offset_of;
    const LINE: usize = 64;
    assert!(offset_of!(FenceCell, line) + size_of::<TaggedSlot<Line, 0>>() <= LINE);
    assert!(offset_of!(FenceCell, refs) >= LINE);
    assert!(size_of::<FenceCell>() == 2 * LINE);
};

/// A handle of whichever fence is in the cell, which is made once and never dropped: what
/// [`Fence::borrowed_from`](super::Fence::borrowed_from) lends.
#[derive(Default)]
struct Handle(OnceLock<super::Fence>);

impl std::fmt::Debug for FenceCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FenceCell")
            .field("key", &self.key_parts())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl FenceCell {
    /// A cell that is no fence yet.
    pub(super) fn vacant() -> FenceCell {
        FenceCell {
            refs: AtomicUsize::new(0),
            timeline: AtomicU64::new(0),
            seqno: AtomicU64::new(0),
            outcome: Callbacks::closed(0),
            kind: AtomicU8::new(Kind::Issued as u8),
            asked: Asked::default(),
            line: TaggedSlot::empty(),
            extra: Mutex::new(None),
            link: Link::new(),
            handle: Handle::default(),
        }
    }

    pub(super) fn link(&self) -> &Link<FenceCell> {
        &self.link
    }

    /// The handle that is lent to the borrowers of a reference.
    #[inline]
    pub(super) fn handle(&'static self) -> &'static super::Fence {
        self.handle.0.get_or_init(|| super::Fence::from_cell(self))
    }

    /// Makes a vacant cell a fence that has one reference: a pending one, or one born with an `outcome`.
    /// One of a `kind` that has a timeline of its own has no `line`; in that of another it is counted.
    #[inline]
    pub(super) fn occupy(
        &self,
        kind: Kind,
        (timeline, line): (TimelineId, Option<&'static Line>),
        seqno: u64,
        outcome: Option<u32>,
        extra: Option<Box<Extra>>,
    ) {
        // Relaxed: handing over the reference orders it.
        self.kind.store(kind as u8, Ordering::Relaxed);
        self.asked.reset();
        // Release, each: pairs with the Acquire loads in `key_parts`, `is_pending` and `status` (the
        // outcome is stored with Release in there). A
        // reader without a reference that reads the new fence here must not go on to believe that
        // the place it came from still holds the old one (step 3).
        self.timeline.store(timeline.as_raw(), Ordering::Release);
        self.seqno.store(seqno, Ordering::Release);
        self.line
            .store(line.map(|line| (line, 0)), Ordering::Release);
        match outcome {
            None => self.outcome.reopen(extra.is_some()),
            Some(outcome) => self.outcome.close_again(outcome),
        }
        if extra.is_some() {
            *self.extra.lock() = extra;
        }
        // Release: pairs with the Acquire increment in `try_acquire`.
        self.refs.store(1, Ordering::Release);
    }

    /// Ends the fence in this cell; the caller has dropped the last reference, and drops what it owned.
    #[inline]
    pub(super) fn vacate(&self) -> Option<Box<Extra>> {
        if self.is_pending() {
            return self.vacate_pending();
        }
        // The thread that signalled it has taken what there was: it was told by the slow-path flag.
        #[cfg(all(debug_assertions, not(loom)))]
        assert!(
            self.extra.lock().is_none(),
            "a fence that has signalled owns nothing"
        );
        None
    }

    /// The same for a composed fence that nobody wants any more. It has no callbacks: they would keep it.
    #[cold]
    #[inline(never)]
    fn vacate_pending(&self) -> Option<Box<Extra>> {
        drop(self.outcome.close(0));
        self.extra.lock().take()
    }

    /// The line of the timeline, of a fence that has none of its own; for the owner of a reference, and of the last one.
    #[inline]
    pub(super) fn line(&self) -> Option<&'static Line> {
        self.line.load().map(|(line, _)| line)
    }

    /// What the fence is; for the owner of a reference, and of the last one.
    #[inline]
    pub(super) fn kind(&self) -> Kind {
        Kind::KINDS[usize::from(self.kind.load(Ordering::Relaxed))]
    }

    /// Whether the fence was made of others; for the owner of a reference.
    #[inline]
    pub(super) fn is_composed(&self) -> bool {
        let kind = self.kind.load(Ordering::Relaxed);
        kind == Kind::All as u8 || kind == Kind::Any as u8
    }

    /// Whether its signal has been asked for, for [`trace`](super::trace).
    #[cfg(feature = "tracing")]
    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// What few fences have: a hook, a deadline, children, or a fence composed of them. A thread that puts
    /// something in [sets the slow path](FenceCell::set_slow_path) first: otherwise the signaller does not look.
    pub(super) fn extra(&self) -> &Mutex<Option<Box<Extra>>> {
        &self.extra
    }

    /// Whether the fence has not signalled: one acquire load.
    #[inline]
    pub fn is_pending(&self) -> bool {
        // Acquire, in there: pairs with the Release of the signaller's `close`.
        self.outcome.is_open()
    }

    /// Whether the fence has signalled with an error: one acquire load.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.outcome.is_closed_but_with_0()
    }

    /// The state of the fence: one acquire load.
    #[inline]
    pub fn status(&self) -> FenceStatus {
        FenceStatus::of(self.outcome.outcome())
    }

    /// The callbacks of the fence, and its outcome when it has signalled; for the owner of a reference.
    #[inline]
    pub(super) fn outcome(&self) -> &Callbacks {
        &self.outcome
    }

    /// Sets the slow-path flag: the signaller must look at [`extra`](FenceCell::extra), which the caller has
    /// locked. `false`: it has signalled, and nothing may be put in.
    pub(super) fn set_slow_path(&self, _locked: &mut Option<Box<Extra>>) -> bool {
        self.outcome.set_slow_path()
    }

    /// The timeline's name; for the owner of a reference. Takes a short lock.
    pub(super) fn timeline_name(&self) -> Arc<str> {
        match self.line() {
            Some(line) => line.name(),
            None => self.kind().own_name().into(),
        }
    }

    /// The timeline and the seqno of the fence: two acquire loads, which may tear when the caller
    /// owns no reference.
    #[inline]
    pub fn key_parts(&self) -> (TimelineId, u64) {
        // Acquire: pairs with the Release stores in `occupy`.
        (
            TimelineId::from_raw(self.timeline.load(Ordering::Acquire)),
            self.seqno.load(Ordering::Acquire),
        )
    }

    /// Adds a reference on behalf of an owner of one.
    #[inline]
    pub(super) fn acquire(&self) {
        self.refs.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this is a fence at present; a hint to all but the owner of a reference.
    pub(super) fn is_referenced(&self) -> bool {
        self.refs.load(Ordering::Relaxed) > 0
    }

    /// Adds so many references on behalf of an owner of one.
    #[inline]
    pub(super) fn acquire_many(&self, count: usize) {
        self.refs.fetch_add(count, Ordering::Relaxed);
    }

    /// Whether there is no reference but the caller's; for the owner of a reference.
    pub(super) fn is_only_reference(&self) -> bool {
        // Acquire: pairs with the Release decrements of the others, whose uses are over then.
        self.refs.load(Ordering::Acquire) == 1
    }

    /// Adds a reference unless there is none, in which case the cell is no fence at present.
    #[inline]
    pub(super) fn acquire_unless_vacant(&self) -> bool {
        // Acquire, each: a success pairs with the Release store in `occupy`; a zero pairs with the
        // Release decrement of the last owner, so that a thread that finds the cell vacant also sees that
        // it was removed from where the address came from (step 3).
        let mut refs = self.refs.load(Ordering::Acquire);
        while refs != 0 {
            match self.refs.compare_exchange_weak(
                refs,
                refs + 1,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => refs = now,
            }
        }
        false
    }

    /// Drops a reference; `true` when it was the last one.
    #[inline]
    pub(super) fn release(&self) -> bool {
        self.release_many(1)
    }

    /// Drops so many references; `true` when they were the last ones.
    #[inline]
    pub(super) fn release_many(&self, count: usize) -> bool {
        // Release: these owners' uses happen before the cell is reused ...
        if self.refs.fetch_sub(count, Ordering::Release) != count {
            return false;
        }
        // ... Acquire: by the thread that reached zero; pairs with the decrements of all others.
        fence(Ordering::Acquire);
        true
    }
}

/// Whether the signal of the fence in a cell has been asked for. Without the feature it is
/// nothing.
#[derive(Debug, Default)]
pub(super) struct Asked {
    // Tells events apart and orders nothing, so it stays real under loom.
    #[cfg(feature = "tracing")]
    before: std::sync::atomic::AtomicBool,
}

impl Asked {
    /// The cell becomes another fence.
    #[inline(always)]
    pub(super) fn reset(&self) {
        #[cfg(feature = "tracing")]
        self.before
            .store(false, std::sync::atomic::Ordering::Relaxed);
    }

    /// Relaxed, as in `reset`: handing over the first reference of the new fence comes between the
    /// two. The load first, so that later waiters only read the line.
    #[cfg(feature = "tracing")]
    pub(super) fn is_first(&self) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        !self.before.load(Relaxed) && !self.before.swap(true, Relaxed)
    }
}
