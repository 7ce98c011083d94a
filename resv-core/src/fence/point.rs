//! Points: a fence for a place on a timeline, which need not have a fence yet.

use super::cell::Kind;
use super::completion::spread_points;
use super::extra::Extra;
use super::handle::Fence;
use super::line::{Line, LineOwner};
use super::reach::Place;
use super::timeline::Timeline;
use crate::checks;
use std::sync::Arc;

impl Timeline {
    /// The greatest seqno that has signalled; 0 if none.
    pub fn completed_seqno(&self) -> u64 {
        self.reach().completed()
    }

    /// A fence that signals when the timeline has reached `seqno`: when a fence of it with this
    /// seqno or a greater one has signalled, with success or not, or when what is
    /// [attached](Timeline::attach) or [counted](Timeline::signal_up_to) has come so far. It need not have
    /// been issued yet. A place that has been reached gives a fence that is born signalled.
    ///
    /// The point is a fence of the timeline at `seqno`, in all that it is asked: its key, its name, its tag.
    /// So points and fences of one timeline supersede each other in objects, and [`merge`](super::merge)
    /// keeps the latest. It signals with the error of the fence at that very place, if that fails after
    /// the point was asked for, and with success if another one reaches it.
    ///
    /// It is [canceled](super::FenceError::CANCELED) when the last handle of the timeline
    /// is dropped before a fence was issued that reaches the place: then nothing can any more. It fails when the
    /// last place that was issued, attached or counted has been reached, as it stands for all of these.
    /// Neither fences nor points are handles. A callback may own a handle; if what it waits for is a point of that
    /// very timeline, another handle has to issue the fence.
    ///
    /// Asking again for a place gives the same fence. The timeline holds it until it is reached.
    ///
    /// A [deadline](Fence::set_deadline) of a point, and the request for the work of lazy fences, reach what
    /// the place and earlier ones are attached to. The signaller of an issued fence is not known.
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
        checks::pointed(self, seqno);
        // Made before the lock is taken, so that no signaller waits for the allocator.
        let point = new_point(self.line(), seqno);
        place(self.line(), seqno, self.reach().insert(seqno, point))
    }

    /// A fence that signals when `seqno` or a greater one has been issued, attached or counted: when there
    /// is a signaller that is to reach the place (Linux: waiting for submission, or for a sync object's
    /// point to be available). What it waits for need not have signalled.
    ///
    /// It fails when nothing can be issued for the place any more: when the timeline is
    /// [closed](Timeline::close) or its last handle is dropped. Fences of this kind supersede each other,
    /// too.
    ///
    /// Its callbacks run on the thread that issues, inside [`issue`](Timeline::issue) or its like, so with
    /// what locks that thread holds.
    ///
    /// ```
    /// use resv_core::Timeline;
    /// let client = Timeline::new("client");
    /// let (submitted, done) = (client.submitted(2), client.point(2));
    /// let first = client.issue()?;
    /// assert!(!submitted.is_signaled());
    /// let second = client.issue()?;
    /// assert!(submitted.is_signaled() && !done.is_signaled());
    /// first.signal();
    /// second.signal();
    /// assert!(done.is_signaled());
    /// # Ok::<(), resv_core::SeqnoError>(())
    /// ```
    ///
    /// # Protocol
    ///
    /// A thread that issues raises the greatest seqno (1), then reads whether a fence waits for that (2). This
    /// function enters the fence, says that a fence waits (3), and then reads the greatest seqno (4). All
    /// four are SeqCst. If 2 comes before 3, then 1 is before 4, and this function finds the seqno issued;
    /// if 3 comes before 2, the issuing thread finds the fence.
    pub fn submitted(&self, seqno: u64) -> Fence {
        if self.last_seqno() >= seqno {
            return Fence::signaled();
        }
        let issues = {
            let mut book = self.book().lock();
            if let Some((_, error)) = book.closed.filter(|(last, _)| seqno > *last) {
                drop(book);
                return Fence::born_failed(self.line(), seqno, error);
            }
            let name = || format!("{} submitted", self.name()).into();
            let new = || Arc::new(LineOwner::new(name(), self.tag()));
            Arc::clone(book.issues.get_or_insert_with(new))
        };
        let line = issues.line();
        let point = new_point(line, seqno);
        let fence = place(line, seqno, line.reach().insert(seqno, point));
        self.expect_waiters();
        // Step 4. What has been issued by now need not have found the fence.
        line.reach().advance(self.last_seqno());
        spread_points(line.reach().take_reached());
        fence
    }
}

/// A new fence for a place.
pub(super) fn new_point(line: &'static Line, seqno: u64) -> Fence {
    line.count_fence();
    let extra = Extra {
        point: Some(line.reach()),
        ..Extra::default()
    };
    Fence::pending(Kind::Point, line, seqno, Some(Box::new(extra)))
}

/// The fence of a place, by what asking for it gave.
pub(super) fn place(line: &'static Line, seqno: u64, place: Place) -> Fence {
    match place {
        Place::Reached => Fence::signaled(),
        Place::Ahead(fence) => fence,
        Place::Never(error) => Fence::born_failed(line, seqno, error),
    }
}
