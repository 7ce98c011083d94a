//! Fences that have been issued and not signalled: where that was, and where they were added.
//!
//! Lock order: a fence's own lock, then the one here. Nothing of a fence is called under it.

use super::report::{Misuse, Place, Report, tell};
use crate::fence::cell::FenceCell;
use crate::fence::{Fence, Timeline, TimelineId};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// How many issued fences are kept; no more are added.
const MAX_PENDING: usize = 65_536;
/// How many points, and how many ended timelines, are kept; the oldest go first.
const MAX_TIMELINES: usize = 4096;

/// A place of a timeline that has been asked for.
#[derive(Clone)]
struct Point {
    asked: Place,
    /// The greatest seqno issued; `None` when nobody can issue any more.
    last_issued: Arc<dyn Fn() -> Option<u64> + Send + Sync>,
}

struct Issued {
    /// To be asked whether the fence is pending, while it is the same one.
    cell: &'static FenceCell,
    issued: Place,
    added: Option<Place>,
}

#[derive(Default)]
struct Pending {
    fences: BTreeMap<(TimelineId, u64), Issued>,
    points: BTreeMap<(TimelineId, u64), Point>,
    ended: BTreeSet<TimelineId>,
}

static PENDING: LazyLock<Mutex<Pending>> = LazyLock::new(Mutex::default);

fn pending() -> MutexGuard<'static, Pending> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[track_caller]
pub(super) fn issued(fence: &Fence) {
    let issued = Issued {
        cell: fence.cell(),
        issued: Location::caller(),
        added: None,
    };
    let key = (fence.timeline_id(), fence.seqno());
    let mut pending = pending();
    if pending.fences.len() < MAX_PENDING {
        pending.fences.insert(key, issued);
    }
}

/// `fence` is being signalled at `place`, and not canceled.
pub(super) fn signals(fence: &Fence, place: Place) {
    let key = (fence.timeline_id(), fence.seqno());
    let earlier = {
        let pending = pending();
        let mut earlier = pending.fences.range((key.0, 0)..key);
        // The record goes a moment after the fence has signalled, so the fence is asked.
        let is_pending = |key: &(TimelineId, u64), cell: &FenceCell| {
            cell.key_parts() == *key && cell.is_pending()
        };
        let earlier = earlier.find(|(key, earlier)| is_pending(key, earlier.cell));
        earlier.map(|((_, seqno), earlier)| (*seqno, earlier.issued))
    };
    if let Some((seqno, issued)) = earlier {
        let name = fence.timeline_name();
        tell(Report {
            kind: Misuse::OutOfOrder,
            first: issued,
            second: place,
            message: format!(
                "fence {fence} signals at {place} before {name}:{seqno}, issued at {issued}, has: a \
                 fence stands for the earlier ones of its timeline, so waits for them may end early"
            ),
        });
    }
}

pub(super) fn settled(fence: &Fence) {
    let key = (fence.timeline_id(), fence.seqno());
    pending().fences.remove(&key);
}

/// `point` has signalled: nothing is told about it any more.
pub(super) fn reached(point: &Fence) {
    let key = (point.timeline_id(), point.seqno());
    let known = pending().points.remove(&key);
    // With the mutex released.
    drop(known);
}

/// A point of `of` has been asked for.
#[track_caller]
pub(super) fn pointed(of: &Timeline, seqno: u64) {
    let point = Point {
        asked: Location::caller(),
        last_issued: of.last_issued_if_alive(),
    };
    let mut pending = pending();
    pending.points.insert((of.id(), seqno), point);
    let oldest = (pending.points.len() > MAX_TIMELINES).then(|| pending.points.pop_first());
    drop(pending);
    drop(oldest);
}

/// `fence` is added to an object at `place`.
pub(super) fn added(fence: &Fence, place: Place) {
    if fence.is_signaled() {
        return;
    }
    let timeline = fence.timeline_id();
    let key = (timeline, fence.seqno());
    let (point, ended_issued) = {
        let mut pending = pending();
        let ended = pending.ended.contains(&timeline);
        let issued = pending.fences.get_mut(&key).map(|issued| {
            issued.added = Some(place);
            issued.issued
        });
        (pending.points.get(&key).cloned(), issued.filter(|_| ended))
    };
    if let Some(issued) = ended_issued {
        tell(lost(&fence.timeline_name(), fence.seqno(), issued, place));
    }
    if let Some(point) = point
        && let Some(last) = (point.last_issued)()
        && last < key.1
    {
        let asked = point.asked;
        tell(Report {
            kind: Misuse::NoSignaler,
            first: asked,
            second: place,
            message: format!(
                "the point {fence}, asked for at {asked}, is added at {place}, but its timeline has \
                 issued no more than seqno {last}: nobody has promised to signal it"
            ),
        });
    }
}

/// Nobody signals fences of `timeline` any more.
pub(super) fn timeline_ended(timeline: &Timeline) {
    let mut pending = pending();
    pending.ended.insert(timeline.id());
    if pending.ended.len() > MAX_TIMELINES {
        pending.ended.pop_first();
    }
    let mut left: Vec<_> = pending
        .fences
        .iter()
        .filter(|((id, _), _)| *id == timeline.id())
        .filter_map(|((_, seqno), issued)| Some((*seqno, issued.issued, issued.added?)))
        .collect();
    drop(pending);
    left.sort_by_key(|(seqno, ..)| *seqno);
    for (seqno, issued, added) in left {
        tell(lost(timeline.name(), seqno, issued, added));
    }
}

fn lost(timeline: &str, seqno: u64, issued: Place, added: Place) -> Report {
    Report {
        kind: Misuse::NoSignaler,
        first: issued,
        second: added,
        message: format!(
            "fence {timeline}:{seqno}, issued at {issued} and added at {added}, is pending, and its \
             timeline was declared ended: its signaler was leaked, or never got to signal"
        ),
    }
}
