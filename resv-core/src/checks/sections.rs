//! Signalling sections against waits and locks.
//!
//! Two things are remembered of a timeline: that one of its fences was waited for with a lock held,
//! and that one of its sections took a lock. Each alone is or may be harmless at the time; together
//! they are a deadlock between two threads, whatever the objects: a section cannot know which lock
//! its waiter holds.

use super::held::{Held, HeldLock};
use super::report::{Misuse, Place, Report, tell};
use super::thread::{self, Section};
use crate::fence::{Fence, TimelineId};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How deep fences made of fences are looked into.
const MAX_DEPTH: usize = 8;
/// How many timelines are kept in each map; the oldest go first.
const MAX_TIMELINES: usize = 4096;

/// By timeline, where it happened first.
#[derive(Default)]
struct Seen {
    waited_with_lock: BTreeMap<TimelineId, Place>,
    locked_in_section: BTreeMap<TimelineId, Place>,
}

static SEEN: Mutex<Seen> = Mutex::new(Seen {
    waited_with_lock: BTreeMap::new(),
    locked_in_section: BTreeMap::new(),
});

/// Keeps the first value of a key. Identities of timelines grow, so the first key is the oldest.
fn keep_first<V>(map: &mut BTreeMap<TimelineId, V>, key: TimelineId, value: V) {
    map.entry(key).or_insert(value);
    if map.len() > MAX_TIMELINES {
        map.pop_first();
    }
}

/// Whether `fence` cannot signal before a fence does for which `is` holds: one of the parts that all
/// have to, or each of those of which one is enough.
fn hangs_on(fence: &Fence, depth: usize, is: &mut dyn FnMut(TimelineId, u64) -> bool) -> bool {
    if fence.is_signaled() {
        return false;
    }
    if let Some((is_any, parts)) = fence.parts() {
        if depth == 0 {
            return false;
        }
        let mut each = parts.iter();
        return match is_any {
            true => each.all(|part| hangs_on(part, depth - 1, is)),
            false => each.any(|part| hangs_on(part, depth - 1, is)),
        };
    }
    is(fence.timeline_id(), fence.seqno())
}

fn hangs_on_section(fence: &Fence, section: &Section) -> bool {
    hangs_on(fence, MAX_DEPTH, &mut |timeline, seqno| {
        timeline == section.timeline && seqno >= section.from
    })
}

/// The section of this thread that must signal `fence`.
pub(super) fn own_section(fence: &Fence) -> Option<Section> {
    let sections = thread::sections();
    let mut each = sections.into_iter();
    each.find(|section| hangs_on_section(fence, section))
}

/// This thread is about to sleep for `fence`.
pub(super) fn waiting(fence: &Fence, place: Place) {
    if let Some(section) = own_section(fence) {
        let entered = section.place;
        tell(Report {
            kind: Misuse::WaitInSection,
            first: entered,
            second: place,
            message: format!(
                "in the signalling section entered at {entered}, fence {fence} is waited for at \
                 {place}, and it signals only when the section goes on"
            ),
        });
    }
    if let Some(held) = thread::with_held(Held::last) {
        waiting_with_lock(fence, held, place);
    }
}

fn waiting_with_lock(fence: &Fence, held: HeldLock, place: Place) {
    let mut timelines = Vec::new();
    hangs_on(fence, MAX_DEPTH, &mut |timeline, _| {
        timelines.push(timeline);
        false
    });
    let mut found = None;
    {
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        for timeline in timelines {
            keep_first(&mut seen.waited_with_lock, timeline, place);
            found = found.or_else(|| seen.locked_in_section.get(&timeline).copied());
        }
    }
    if let Some(locked) = found {
        tell_both(
            place,
            locked,
            format!(", with the lock held that was taken at {}", held.place),
        );
    }
}

/// This thread is about to sleep for a lock.
pub(super) fn locking(place: Place) {
    for section in thread::sections() {
        let entered = section.place;
        tell(Report {
            kind: Misuse::LockInSection,
            first: entered,
            second: place,
            message: format!(
                "in the signalling section entered at {entered}, a reservation lock is waited for \
                 at {place}, whose holder may wait for what the section signals"
            ),
        });
        let waited = {
            let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
            keep_first(&mut seen.locked_in_section, section.timeline, place);
            seen.waited_with_lock.get(&section.timeline).copied()
        };
        if let Some(waited) = waited {
            tell_both(waited, place, String::new());
        }
    }
}

fn tell_both(waited: Place, locked: Place, detail: String) {
    tell(Report {
        kind: Misuse::WaitHoldsLock,
        first: waited,
        second: locked,
        message: format!(
            "a fence is waited for at {waited}{detail} while a reservation lock is held; at {locked} \
             the signalling section of its timeline takes a reservation lock"
        ),
    });
}
