//! What a timeline and its fences have in common: the identity, the name, the tag, how far it was issued, and
//! how far it has come.
//!
//! # What keeps it
//!
//! A line is memory that stays ([`resv_sync::pool`]), so a fence names it by its address. It goes back to its pool
//! when its [owner](LineOwner), which the handles of the timeline share, and all its fences are gone.
//!
//! Of the fences only those that go are counted ([`Tally`]): how many have come, the last seqno says. Whatever
//! raises that without making a fence, and whatever makes a fence without raising it, is rare and notes the
//! difference ([`count_fence`](Line::count_fence), [`count_skipped`](Line::count_skipped)). All that is done by way
//! of a handle, so the sum is final when the last handle is dropped.
//!
//! # Lines of the cache
//!
//! A thread that issues and one that signals write different lines of the cache, and those of two timelines are not
//! neighbours.

use super::id::TimelineId;
use super::reach::Reach;
use super::tag::Tag;
use resv_sync::pool::{Link, Pooled};
use resv_sync::stable_pool;
use resv_sync::sync::Mutex;
use resv_sync::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use resv_sync::tally::Tally;
// The identity is written before there is a fence or a handle: it takes part in no protocol.
use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Word;

/// See the [module](self).
#[repr(C, align(128))]
pub(super) struct Line {
    id: Word,
    /// The greatest seqno issued; 0 at first. The timeline says what else it may be.
    pub(super) last: AtomicU64,
    /// Whether a task waits for a seqno to be issued, or has waited: set once in the life of a timeline.
    pub(super) is_awaited: AtomicU32,
    /// How many fences there are besides one for each seqno up to the last, modulo 2^64.
    besides: AtomicU64,
    /// For the pool, while no timeline has this.
    link: Link<Line>,
    signaled: Signaled,
    about: Mutex<About>,
}

/// What a thread that signals writes.
#[repr(C, align(64))]
struct Signaled {
    reach: Reach,
    /// The fences that are gone.
    gone: Tally,
}

/// What people are told.
#[derive(Default)]
struct About {
    /// `None` while no timeline has this.
    name: Option<Arc<str>>,
    tag: Tag,
}

stable_pool!(static LINES: Line);

impl Pooled for Line {
    fn vacant() -> Line {
        Line {
            id: Word::new(0),
            last: AtomicU64::new(0),
            is_awaited: AtomicU32::new(0),
            besides: AtomicU64::new(0),
            link: Link::new(),
            signaled: Signaled {
                reach: Reach::vacant(),
                gone: Tally::new(),
            },
            about: Mutex::new(About::default()),
        }
    }

    fn link(&self) -> &Link<Line> {
        &self.link
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Line").field(&self.name()).finish()
    }
}

impl Line {
    #[inline]
    pub(super) fn id(&self) -> TimelineId {
        TimelineId::from_raw(self.id.load(Ordering::Relaxed))
    }

    /// Takes a short lock.
    pub(super) fn name(&self) -> Arc<str> {
        let name = self.about.lock().name.clone();
        name.unwrap_or_default()
    }

    /// Takes a short lock.
    pub(super) fn tag(&self) -> Tag {
        self.about.lock().tag
    }

    /// How far the timeline has come, and what waits for it to come further.
    #[inline]
    pub(super) fn reach(&self) -> &Reach {
        &self.signaled.reach
    }

    /// A fence is made that is not the one of a new last seqno. By way of a handle.
    pub(super) fn count_fence(&self) {
        // Relaxed: dropping the handle orders it before the sum.
        self.besides.fetch_add(1, Ordering::Relaxed);
    }

    /// The last seqno was raised by so many, none of which has made a fence. By way of a handle.
    pub(super) fn count_skipped(&self, seqnos: u64) {
        // Relaxed: as in `count_fence`.
        self.besides.fetch_sub(seqnos, Ordering::Relaxed);
    }

    /// A fence is gone.
    #[inline]
    pub(super) fn fence_is_gone(&'static self) {
        if self.signaled.gone.leave() {
            self.give_back();
        }
    }

    /// The owner and all fences are gone, so this is unused.
    #[cold]
    #[inline(never)]
    fn give_back(&'static self) {
        self.reach().reset();
        let about = std::mem::take(&mut *self.about.lock());
        drop(about);
        // Relaxed, all: the next timeline gets it through the pool, which orders this. The tally is at 0.
        self.last.store(0, Ordering::Relaxed);
        self.is_awaited.store(0, Ordering::Relaxed);
        self.besides.store(0, Ordering::Relaxed);
        LINES.put(self);
    }
}

/// The right to make fences of a line.
pub(super) struct LineOwner(&'static Line);

impl LineOwner {
    pub(super) fn new(name: Arc<str>, tag: Tag) -> LineOwner {
        let line = LINES.take();
        line.id
            .store(TimelineId::take().as_raw(), Ordering::Relaxed);
        *line.about.lock() = About {
            name: Some(name),
            tag,
        };
        LineOwner(line)
    }

    /// As long as there is the owner, or a fence of it.
    #[inline]
    pub(super) fn line(&self) -> &'static Line {
        self.0
    }
}

impl Drop for LineOwner {
    fn drop(&mut self) {
        // Relaxed, both: every change was made by way of a handle, and dropping those ordered them.
        let last = self.0.last.load(Ordering::Relaxed);
        let fences = last.wrapping_add(self.0.besides.load(Ordering::Relaxed));
        if self.0.signaled.gone.close(fences) {
            self.0.give_back();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::fence::{Fence, FenceError, Timeline};

    /// Each way to make a fence and to raise the last seqno is counted right: what is counted too often never goes
    /// back to the pool, and what is not counted goes back while a fence still has its name from there.
    #[test]
    #[cfg_attr(
        feature = "checks",
        ignore = "fences signal out of order, which the checks report"
    )]
    fn a_line_goes_back_when_its_timeline_and_all_its_fences_are_gone() {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut below = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let other = Timeline::new("other");
        for round in 0..4000 {
            let name = format!("line {round}");
            let timeline = Timeline::new(&name);
            let mut jobs = Vec::new();
            let mut fences: Vec<Fence> = Vec::new();
            for _ in 0..below(9) {
                let later = timeline.last_seqno().saturating_add(1 + below(3));
                let earlier = 1 + below(5);
                match below(9) {
                    0 => jobs.extend(timeline.issue_at(later).ok()),
                    1 => jobs.extend(timeline.issue_at(earlier).ok()),
                    2 => fences.push(timeline.point(later)),
                    3 => fences.push(timeline.submitted(later)),
                    4 => fences.extend(timeline.issue_counted().ok()),
                    5 => {
                        let _ = timeline.signal_up_to(later);
                    }
                    6 => {
                        let job = other.issue().expect("seqnos are left");
                        let _ = timeline.attach(later, job.fence());
                        jobs.push(job);
                    }
                    7 if below(3) == 0 => timeline.close(FenceError::IO),
                    _ => jobs.extend(timeline.issue().ok()),
                }
            }
            let id = timeline.id();
            fences.extend(jobs.iter().map(|job| job.fence().clone()));
            let mut timeline = Some(timeline);
            while !fences.is_empty() || timeline.is_some() || !jobs.is_empty() {
                match below(3) {
                    0 if !fences.is_empty() => {
                        let fence = fences.swap_remove(below(fences.len() as u64) as usize);
                        if fence.timeline_id() == id {
                            assert_eq!(*fence.timeline_name(), *name);
                        }
                    }
                    1 => timeline = timeline.filter(|_| below(4) > 0),
                    2 if !jobs.is_empty() => {
                        jobs.swap_remove(below(jobs.len() as u64) as usize).signal();
                    }
                    _ => {}
                }
            }
        }
        let is_left = |line: &&Line| line.name().starts_with("line ");
        assert_eq!(LINES.all().filter(is_left).count(), 0);
    }
}
