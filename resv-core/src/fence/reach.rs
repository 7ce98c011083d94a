//! How far a timeline has come, and what hangs on it coming further.
//!
//! A timeline knows the greatest seqno that has signalled. Because fences of one timeline signal in
//! order, that number says of every place whether it has been reached, also of places that were skipped
//! and of places to come. Linux builds chains of fences for this; here it is one number, a map of the points
//! that wait, and a map of what later places have to wait for.
//!
//! # Protocol: waiting for a place
//!
//! The signaller raises `completed` (1) and then reads `waiting` (2). A thread that asks for a point raises
//! `waiting` (3) and then reads `completed` (4). All four are SeqCst, so they stand in one order in
//! which 1 is before 2 and 3 before 4. If 2 comes before 3, then 1 is before 4, which sees it: the point is
//! found reached. If 3 comes before 2, the signaller finds the point. The signaller takes the lock only if
//! a point waits, and 2 is a plain load on x86.
//!
//! loom takes SeqCst accesses for AcqRel. Under it, SeqCst fences stand for the one order.
//!
//! # Protocol: places that are attached or counted
//!
//! A place that was [attached](super::Timeline::attach) to a fence is *held* until that fence has signalled;
//! one that was [counted](super::Timeline::issue_counted), until the count has reached it. Holds are under
//! the lock. When one goes, its place is *done*, and `completed` is raised under the lock to the last place
//! that is done before the first that is held still. An attachment is entered *before*
//! the timeline watches the fence. If the watcher is in time, the fence's signaller finds it and takes the
//! hold away; if not, the attaching thread finds the fence signalled and does so.

use super::handle::Fence;
use super::status::{FenceError, FenceStatus};
use super::watchers;
use resv_sync::sync::Mutex;
#[cfg(loom)]
use resv_sync::sync::atomic::fence;
use resv_sync::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// How far a timeline has come, and what hangs on it coming further.
///
/// In memory that stays ([`Line`](super::line::Line)), so that a signaler can have it without counting: the fence
/// that it is to signal keeps the line.
pub(super) struct Reach {
    /// The greatest seqno that has signalled; 0 at first.
    completed: AtomicU64,
    /// How many points wait: written under the lock of `places`.
    waiting: AtomicUsize,
    places: Mutex<Places>,
}

/// The fence of a place that has not been reached.
pub(super) struct Point {
    pub(super) fence: Fence,
    /// The error of the fence that is, or was attached, at this very place.
    pub(super) error: Option<FenceError>,
}

/// The name of an attachment: its place, and a number that no other has.
pub(super) type Hold = (u64, u64);

/// A fence that has to signal before a place is reached.
struct Attached {
    fence: Fence,
    /// Where the timeline is among those that watch the fence, once it is.
    watched: Option<watchers::Place>,
}

/// What asking for a place gives.
pub(super) enum Place {
    Reached,
    /// The fence of it.
    Ahead(Fence),
    /// The timeline has ended with this error before it.
    Never(FenceError),
}

/// What attaching a place to a fence asks for, besides watching the fence.
pub(super) struct NewHold {
    /// The place or a later one is waited for: the fence is to be asked for its work.
    pub(super) is_awaited: bool,
    pub(super) deadline: Option<Instant>,
}

resv_sync::known_bad! {
    /// A step that is left out.
    pub(super) enum Defect, seam Seam {
        /// A thread that asks for a point looks before it says so, and not again.
        LooksTooEarly,
        /// The end of a timeline forgets that points still wait.
        EndForgets,
        /// The end of a timeline does not look whether its last place has been reached by now.
        EndDoesNotLook,
    }
}

#[derive(Default)]
struct Places {
    seam: Seam,
    /// Those that were asked for and are not reached.
    points: BTreeMap<u64, Point>,
    /// What few timelines have.
    more: Option<Box<More>>,
}

/// What is attached and counted, and how far it is waited for.
#[derive(Default)]
struct More {
    attached: BTreeMap<Hold, Attached>,
    counted: BTreeSet<u64>,
    /// Places whose attached fences have signalled, and that are not reached as an earlier one is held.
    done: BTreeSet<u64>,
    /// How far was counted.
    counted_to: u64,
    /// Errors of attached fences at places that have not been reached.
    failed: BTreeMap<u64, FenceError>,
    /// The greatest place that a thread or task has begun to wait for.
    awaited: u64,
    /// Deadlines of places: those of later places are later, as a deadline counts for earlier places, too.
    deadlines: BTreeMap<u64, Instant>,
    /// The last place that will be reached, and the error of those behind it: they fail when it is.
    end: Option<(u64, FenceError)>,
}

impl Places {
    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Takes out the points up to `completed`, in order; all of them, if the timeline ends there.
    fn take_reached(&mut self, completed: u64) -> Vec<Point> {
        let mut up_to = completed;
        if let Some(more) = &mut self.more {
            more.failed = split_off(&mut more.failed, completed);
            more.deadlines = split_off(&mut more.deadlines, completed);
            if more.ended(completed).is_some() {
                up_to = u64::MAX;
            }
        }
        let mut reached = Vec::new();
        while let Some(first) = self.points.first_entry().filter(|p| *p.key() <= up_to) {
            reached.push(first.remove());
        }
        reached
    }
}

impl More {
    /// The first place that is held; 2^64 - 1 if none is.
    fn first_held(&self) -> u64 {
        let attached = self.attached.keys().next().map(|(seqno, _)| *seqno);
        let counted = self.counted.first().copied();
        let first = attached.into_iter().chain(counted).min();
        first.unwrap_or(u64::MAX)
    }

    /// How far it has come by what was attached and counted: the last place before the first that is held
    /// that is done. All are up to which was counted; otherwise a place in a gap is reached with the next
    /// one.
    fn settled(&mut self) -> u64 {
        let first_held = self.first_held();
        let counted_to = self.counted_to.min(first_held - 1);
        match self.done.range(..first_held).next_back() {
            None => counted_to,
            Some(&done) => {
                self.done = self.done.split_off(&(done + 1));
                done.max(counted_to)
            }
        }
    }

    /// The error that place `seqno` has, as far as it is known.
    fn error_at(&self, seqno: u64) -> Option<FenceError> {
        let end = self.end.filter(|(last, _)| seqno > *last);
        let failed = self.failed.get(&seqno).copied();
        failed.or(end.map(|(_, error)| error))
    }

    /// The error of all places to come, if the timeline has ended and come to its end.
    fn ended(&self, completed: u64) -> Option<FenceError> {
        let end = self.end.filter(|(last, _)| *last <= completed);
        end.map(|(_, error)| error)
    }

    /// Takes away what places up to `last` are held by.
    fn give_up_holds(&mut self, last: u64) -> BTreeMap<Hold, Attached> {
        self.counted = self.counted.split_off(&(last + 1));
        let later = self.attached.split_off(&(last + 1, 0));
        std::mem::replace(&mut self.attached, later)
    }
}

/// What `map` has for places after `completed`.
fn split_off<V>(map: &mut BTreeMap<u64, V>, completed: u64) -> BTreeMap<u64, V> {
    match map.is_empty() {
        true => BTreeMap::new(),
        // The greatest seqno is 2^64 - 2, so there is a next one.
        false => map.split_off(&(completed + 1)),
    }
}

impl Reach {
    /// Of no timeline yet.
    pub(super) fn vacant() -> Reach {
        Reach {
            completed: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            places: Mutex::new(Places::default()),
        }
    }

    /// The timeline and its fences are gone, so this is unused until it is another one's.
    pub(super) fn reset(&self) {
        let places = std::mem::take(&mut *self.places.lock());
        debug_assert!(places.points.is_empty(), "a point that was not reached");
        if let Some(more) = places.more {
            leave(more.attached.into_values());
        }
        // Relaxed: the next timeline gets it through the pool, which orders this.
        self.completed.store(0, Ordering::Relaxed);
    }

    pub(super) fn completed(&self) -> u64 {
        // Acquire: pairs with the Release in `advance`, so that a thread that sees a place reached sees
        // what the signallers up to it did (F-05).
        self.completed.load(Ordering::Acquire)
    }

    /// The fence with this seqno has signalled. Returns whether a point waits; if so
    /// the caller looks at [`take_reached`](Reach::take_reached).
    #[inline]
    pub(super) fn advance(&self, seqno: u64) -> bool {
        // SeqCst: step 1 of the protocol; as a Release it pairs with the Acquire in `completed`.
        self.completed.fetch_max(seqno, Ordering::SeqCst);
        #[cfg(loom)]
        fence(Ordering::SeqCst);
        // SeqCst: step 2. What it guards is read under the lock.
        self.waiting.load(Ordering::SeqCst) != 0
    }

    /// The fence with this seqno is about to count as signalled, with `error`: so is the point, if it
    /// was asked for before.
    #[cold]
    pub(super) fn fails(&self, seqno: u64, error: FenceError) {
        // Acquire: pairs with step 3. A point that is asked for later may be found reached, without error.
        if self.waiting.load(Ordering::Acquire) != 0
            && let Some(point) = self.places.lock().points.get_mut(&seqno)
        {
            point.error.get_or_insert(error);
        }
    }

    /// The fence of place `seqno`: `point`, if this place was not asked for before.
    pub(super) fn insert(&self, seqno: u64, point: Fence) -> Place {
        self.insert_into(&mut self.places.lock(), seqno, point)
    }

    /// [`insert`](Reach::insert), of a place that is to be counted.
    pub(super) fn insert_counted(&self, seqno: u64, point: Fence) -> Place {
        let mut places = self.places.lock();
        let place = self.insert_into(&mut places, seqno, point);
        if let Place::Ahead(_) = place {
            places.more().counted.insert(seqno);
        }
        place
    }

    fn insert_into(&self, places: &mut Places, seqno: u64, point: Fence) -> Place {
        let early = places.seam.has(Defect::LooksTooEarly);
        let early = early.then(|| self.completed());
        // SeqCst: step 3 of the protocol.
        self.waiting
            .store(places.points.len() + 1, Ordering::SeqCst);
        #[cfg(loom)]
        fence(Ordering::SeqCst);
        // SeqCst: step 4; as an Acquire it pairs as in `completed`.
        let completed = early.unwrap_or_else(|| self.completed.load(Ordering::SeqCst));
        let place = if completed >= seqno {
            Place::Reached
        } else if let Some(known) = places.points.get(&seqno) {
            Place::Ahead(known.fence.clone())
        } else if let Some(error) = places.more.as_ref().and_then(|more| more.ended(completed)) {
            Place::Never(error)
        } else {
            let fence = point.clone();
            let error = places.more.as_ref().and_then(|more| more.error_at(seqno));
            places.points.insert(seqno, Point { fence, error });
            return Place::Ahead(point);
        };
        // Relaxed: a signaller that finds the old number finds less to do under the lock.
        self.waiting.store(places.points.len(), Ordering::Relaxed);
        place
    }

    /// Takes out the points that have been reached, in order; the caller signals them.
    pub(super) fn take_reached(&self) -> Vec<Point> {
        self.take_from(&mut self.places.lock())
    }

    fn take_from(&self, places: &mut Places) -> Vec<Point> {
        let reached = places.take_reached(self.completed());
        // Relaxed: as in `insert_into`.
        self.waiting.store(places.points.len(), Ordering::Relaxed);
        reached
    }

    /// A name for an attachment at place `seqno`.
    pub(super) fn name(seqno: u64) -> Hold {
        // Tells attachments apart and orders nothing, so it stays real under loom.
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        (
            seqno,
            NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        )
    }

    /// The place of `hold` is not reached before `fence` has signalled. `None`: it has been reached.
    ///
    /// The caller watches the fence, says where ([`watched`](Reach::watched)), and takes the hold away if
    /// the fence has signalled.
    pub(super) fn attach(&self, hold: Hold, fence: &Fence) -> Option<NewHold> {
        let (seqno, _) = hold;
        let attached = Attached {
            fence: fence.clone(),
            watched: None,
        };
        let mut places = self.places.lock();
        if self.completed() >= seqno {
            return None;
        }
        let more = places.more();
        more.attached.insert(hold, attached);
        let later = more.deadlines.range(seqno..).next();
        Some(NewHold {
            is_awaited: more.awaited >= seqno,
            deadline: later.map(|(_, deadline)| *deadline),
        })
    }

    /// The timeline is at `place` among those that watch the fence of `hold`.
    pub(super) fn watched(&self, hold: Hold, place: watchers::Place) {
        // Gone if the fence has signalled meanwhile.
        let mut places = self.places.lock();
        if let Some(attached) = places.more().attached.get_mut(&hold) {
            attached.watched = Some(place);
        }
    }

    /// The fence of `hold` has signalled. Returns the points that have been reached, for the caller to signal.
    pub(super) fn release(&self, hold: Hold, status: FenceStatus) -> Vec<Point> {
        let (_attached, reached) = {
            let mut places = self.places.lock();
            // Nothing there: the timeline has gone, or everything of it has failed.
            let Some(attached) = places.more().attached.remove(&hold) else {
                return Vec::new();
            };
            if let FenceStatus::Error(error) = status {
                places.more().failed.entry(hold.0).or_insert(error);
                if let Some(point) = places.points.get_mut(&hold.0) {
                    point.error.get_or_insert(error);
                }
            }
            places.more().done.insert(hold.0);
            (attached, self.settle(&mut places))
        };
        reached
    }

    /// Everything up to `seqno` has been counted. Returns as [`release`](Reach::release).
    pub(super) fn count_to(&self, seqno: u64) -> Vec<Point> {
        let mut places = self.places.lock();
        let more = places.more();
        more.counted = more.counted.split_off(&(seqno + 1));
        more.counted_to = more.counted_to.max(seqno);
        self.settle(&mut places)
    }

    fn settle(&self, places: &mut Places) -> Vec<Point> {
        self.raise(places);
        self.take_from(places)
    }

    /// Raises `completed` as far as what was attached and counted has come.
    fn raise(&self, places: &mut Places) {
        let settled = places.more().settled();
        // SeqCst: as in `advance`; `waiting` is read under the lock.
        self.completed.fetch_max(settled, Ordering::SeqCst);
    }

    /// A counted place will be reached with `error`. `false`: it has been reached, or is not counted.
    pub(super) fn counted_fails(&self, seqno: u64, error: FenceError) -> bool {
        let mut places = self.places.lock();
        let counted = places.more().counted.contains(&seqno);
        if counted && let Some(point) = places.points.get_mut(&seqno) {
            point.error.get_or_insert(error);
        }
        counted
    }

    /// Whether a point waits; when the last handle of the timeline has been dropped.
    pub(super) fn is_awaited(&self) -> bool {
        // Relaxed: a thread that asked for a point had a handle.
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// The timeline will not come further than `last`. Points behind that have `error` and stay until `last` is
    /// reached, as a point stands for all that is before it. The caller signals the points that are returned.
    ///
    /// `last` is reached at the latest when its signaler is dropped or the fence that it is attached to signals.
    pub(super) fn end(&self, last: u64, error: FenceError) -> Vec<Point> {
        self.end_from(&mut self.places.lock(), last, error)
    }

    /// [`end`](Reach::end), when the last handle is dropped: what is to be counted never will be. Such places
    /// have `error`, and are reached with the place before them.
    pub(super) fn end_uncounted(&self, last: u64, error: FenceError) -> Vec<Point> {
        let mut places = self.places.lock();
        let Some(more) = &mut places.more else {
            return self.end_from(&mut places, last, error);
        };
        let attached = more.attached.last_key_value();
        let last = attached.map_or(last, |((seqno, _), _)| last.max(*seqno));
        let uncounted = std::mem::take(&mut more.counted);
        for seqno in &uncounted {
            if let Some(point) = places.points.get_mut(seqno) {
                point.error.get_or_insert(error);
            }
        }
        for seqno in uncounted {
            self.raise(&mut places);
            let more = places.more();
            // The greatest seqno is 2^64 - 2, so there is a next one.
            if self.completed() + 1 == seqno && more.first_held() > seqno {
                more.done.insert(seqno);
            }
        }
        self.raise(&mut places);
        self.end_from(&mut places, last, error)
    }

    fn end_from(&self, places: &mut Places, last: u64, error: FenceError) -> Vec<Point> {
        places.more().end = Some((last, error));
        // The greatest seqno is 2^64 - 2, so there is a next one.
        for (_, point) in places.points.range_mut(last + 1..) {
            point.error.get_or_insert(error);
        }
        if places.seam.has(Defect::EndDoesNotLook) {
            return Vec::new();
        }
        let reached = self.take_from(places);
        if places.seam.has(Defect::EndForgets) {
            self.waiting.store(0, Ordering::Relaxed);
        }
        reached
    }

    /// Makes it do something wrong, until it is given back.
    #[cfg(all(test, loom))]
    pub(super) fn plant(&self, defect: Defect) {
        self.places.lock().seam = Seam::planted(defect);
    }

    /// Takes away what places up to `last` are held by.
    pub(super) fn give_up_holds(&self, last: u64) {
        let attached = {
            let mut places = self.places.lock();
            places.more().give_up_holds(last)
        };
        leave(attached.into_values());
    }

    /// A thread or task has begun to wait for place `seqno`: the fences to be asked for their work that have not
    /// been asked before.
    pub(super) fn start(&self, seqno: u64) -> Vec<Fence> {
        let mut places = self.places.lock();
        let more = places.more();
        let from = more.awaited;
        if from >= seqno {
            return Vec::new();
        }
        more.awaited = seqno;
        let attached = more.attached.range((from + 1, 0)..=(seqno, u64::MAX));
        attached
            .map(|(_, attached)| attached.fence.clone())
            .collect()
    }

    /// Place `seqno` should be reached by `deadline`: the fences to be told.
    pub(super) fn set_deadline(&self, seqno: u64, deadline: Instant) -> Vec<Fence> {
        let mut places = self.places.lock();
        let more = places.more();
        let later = more.deadlines.range(seqno..).next();
        if later.is_some_and(|(_, soonest)| *soonest <= deadline) {
            return Vec::new();
        }
        while let Some((&earlier, &known)) = more.deadlines.range(..=seqno).next_back()
            && known >= deadline
        {
            more.deadlines.remove(&earlier);
        }
        more.deadlines.insert(seqno, deadline);
        let attached = more.attached.range(..=(seqno, u64::MAX));
        attached
            .map(|(_, attached)| attached.fence.clone())
            .collect()
    }
}

/// Leaves fences that places were attached to, with no lock held.
fn leave(attached: impl Iterator<Item = Attached>) {
    for attached in attached {
        if let Some(place) = attached.watched {
            attached.fence.unwatch(place);
        }
    }
}
