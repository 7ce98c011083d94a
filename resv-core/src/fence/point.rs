//! Points: a fence for a place on a timeline, which need not have a fence yet.
//!
//! A timeline knows how far it has come: the greatest seqno that has signalled. Because fences of one
//! timeline signal in order, that number says of every place whether it has been reached, also of
//! places that were skipped and of places to come. Linux builds chains of fences for this; here it
//! is one number and a map of those who wait.
//!
//! # Protocol
//!
//! The signaller raises `completed` (1) and then reads `waiting` (2). Who asks for a point raises
//! `waiting` (3) and then reads `completed` (4). All four are SeqCst, so they stand in one order in
//! which 1 is before 2 and 3 before 4: if 2 misses 3, then 1 is before 4, which sees it. Either the
//! point is found reached, or the signaller finds the point. The signaller takes the lock of the map
//! only if there is somebody in it, and 2 is a plain load on x86.
//!
//! loom takes SeqCst accesses for AcqRel. Under it, SeqCst fences stand for the one order.

use super::handle::Fence;
use super::timeline::{Line, Signaler, Timeline};
use crate::checks;
use resv_sync::pool::{Link, Pooled};
use resv_sync::stable_pool;
use resv_sync::sync::Mutex;
#[cfg(loom)]
use resv_sync::sync::atomic::fence;
use resv_sync::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::collections::BTreeMap;

/// How far a timeline has come, and who waits for it to come further.
///
/// In memory that stays, so that a signaler can have it without counting: the fence that it is to signal
/// keeps the [`Line`], and that keeps this.
#[repr(align(64))]
pub(super) struct Reach {
    /// The greatest seqno that has signalled; 0 at first.
    completed: AtomicU64,
    /// How many points wait: written under the lock of `points`.
    waiting: AtomicUsize,
    points: Mutex<BTreeMap<u64, Signaler>>,
    /// For the pool, while no timeline has this.
    link: Link<Reach>,
}

stable_pool!(static REACHES: Reach);

impl Pooled for Reach {
    fn vacant() -> Reach {
        Reach {
            completed: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            points: Mutex::new(BTreeMap::new()),
            link: Link::new(),
        }
    }

    fn link(&self) -> &Link<Reach> {
        &self.link
    }
}

impl Reach {
    /// Of a new timeline.
    pub(super) fn take() -> &'static Reach {
        REACHES.take()
    }

    /// No seqno after `last` will be issued, nor a point asked for: cancels the points that nobody will
    /// reach. For the others there is `last` itself, which signals at the latest when its signaler is
    /// dropped.
    pub(super) fn end_after(&self, last: u64) {
        // Relaxed: who asked for a point had a handle of the timeline, and the last one has been dropped.
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let canceled = {
            let mut points = self.points.lock();
            // The greatest seqno is 2^64 - 2, so there is a next one.
            let canceled = points.split_off(&(last + 1));
            // Relaxed: a signaller that finds the old number finds less to do under the lock.
            self.waiting.store(points.len(), Ordering::Relaxed);
            canceled
        };
        // With no lock held: they signal.
        drop(canceled);
    }

    /// The known-bad variant of `end_after`: forgets that earlier points still wait.
    #[cfg(all(test, loom))]
    pub(super) fn end_after_and_forget(&self, last: u64) {
        let mut points = self.points.lock();
        let canceled = points.split_off(&(last + 1));
        self.waiting.store(0, Ordering::Relaxed);
        drop(points);
        drop(canceled);
    }

    /// The timeline and its fences are gone, so nobody uses this any more.
    pub(super) fn give_back(&'static self) {
        debug_assert!(self.points.lock().is_empty(), "a point that nobody reached");
        // Relaxed: the next timeline gets it through the pool, which orders this.
        self.completed.store(0, Ordering::Relaxed);
        REACHES.put(self);
    }

    fn completed(&self) -> u64 {
        // Acquire: pairs with the Release in `advance`, so that who sees a place reached sees what
        // the signallers up to it did (F-05).
        self.completed.load(Ordering::Acquire)
    }

    /// The fence with this seqno has signalled. Returns whether somebody waits for a point; if so
    /// the caller looks at [`reached`](Reach::reached).
    pub(super) fn advance(&self, seqno: u64) -> bool {
        // SeqCst: step 1 of the protocol; as a Release it pairs with the Acquire in `completed`.
        self.completed.fetch_max(seqno, Ordering::SeqCst);
        #[cfg(loom)]
        fence(Ordering::SeqCst);
        // SeqCst: step 2. What it guards is read under the lock.
        self.waiting.load(Ordering::SeqCst) != 0
    }

    /// The fence of place `seqno`: `point`, if nobody has asked for this place before. `None`: the
    /// place has been reached.
    fn insert(&self, seqno: u64, point: Signaler) -> Option<Fence> {
        let mut points = self.points.lock();
        // SeqCst: step 3 of the protocol.
        self.waiting.store(points.len() + 1, Ordering::SeqCst);
        #[cfg(loom)]
        fence(Ordering::SeqCst);
        // SeqCst: step 4; as an Acquire it pairs as in `completed`.
        let reached = self.completed.load(Ordering::SeqCst) >= seqno;
        let known = points.get(&seqno).map(|known| known.fence().clone());
        if reached || known.is_some() {
            self.waiting.store(points.len(), Ordering::Relaxed);
            drop(points);
            // With the lock released: it signals, though nobody has seen it.
            drop(point);
            return if reached { None } else { known };
        }
        let fence = point.fence().clone();
        points.insert(seqno, point);
        Some(fence)
    }

    /// The known-bad variant of `insert`: announces without looking again.
    #[cfg(all(test, loom))]
    pub(super) fn insert_without_looking_again(&self, seqno: u64, point: Signaler) -> Fence {
        if self.completed() >= seqno {
            return Fence::signaled();
        }
        let mut points = self.points.lock();
        self.waiting.store(points.len() + 1, Ordering::Relaxed);
        let fence = point.fence().clone();
        points.insert(seqno, point);
        fence
    }

    /// Takes out the points that have been reached, in order; the caller signals them.
    pub(super) fn reached(&self) -> impl Iterator<Item = Signaler> + use<> {
        let mut points = self.points.lock();
        // The greatest seqno is 2^64 - 2, so there is a next one.
        let later = points.split_off(&(self.completed() + 1));
        self.waiting.store(later.len(), Ordering::Relaxed);
        std::mem::replace(&mut *points, later).into_values()
    }
}

impl Timeline {
    /// The greatest seqno that has signalled; 0 if none.
    pub fn completed_seqno(&self) -> u64 {
        self.reach().completed()
    }

    /// A fence that signals when the timeline has reached `seqno`: when a fence of it with this
    /// seqno or a greater one has signalled, with success or not. That fence need not exist yet. A
    /// place that has been reached gives a fence that is born signalled.
    ///
    /// The point is an ordinary fence on a timeline of its own; it always signals with success,
    /// except that it is [canceled](super::FenceError::CANCELED) when the last handle of the timeline
    /// is dropped before a fence was issued that reaches the place: then nobody can any more. Neither
    /// fences nor points are handles. A callback may own one; if what it waits for is a point of that
    /// very timeline, somebody else has to issue the fence.
    ///
    /// Asking again for a place gives the same fence. The timeline holds it until it is reached.
    ///
    /// A [deadline](Fence::set_deadline) of a point reaches nobody: who will signal it is not known.
    ///
    /// ```
    /// let ring = resv_core::Timeline::new("gfx");
    /// let third = ring.point(3);
    /// let jobs = [ring.issue()?, ring.issue()?, ring.issue()?];
    /// for job in jobs {
    ///     assert!(!third.is_signaled());
    ///     job.signal();
    /// }
    /// assert!(third.is_signaled());
    /// assert!(ring.point(2).is_signaled());
    /// # Ok::<(), resv_core::SeqnoError>(())
    /// ```
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn point(&self, seqno: u64) -> Fence {
        if self.completed_seqno() >= seqno {
            return Fence::signaled();
        }
        // Made before the lock is taken, so that no signaller waits for the allocator.
        let own = Line::tagged(&format!("{}@{seqno}", self.name()), self.tag());
        let point = Signaler::new(&own, 1, None);
        checks::pointed(own.id(), self, seqno);
        self.reach()
            .insert(seqno, point)
            .unwrap_or_else(Fence::signaled)
    }
}
