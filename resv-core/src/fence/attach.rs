//! What a sync object needs of a timeline: places that are attached to fences, places that are counted,
//! an end with an error, and a device that is lost. The table is on the [front page](super).

use super::census;
use super::completion::spread_points;
use super::extra::Watcher;
use super::handle::Fence;
use super::point::{new_point, place};
use super::reach::Reach;
use super::run_queue::Panics;
use super::status::FenceError;
use super::task::{self, Task};
use super::timeline::{SeqnoError, Timeline};

impl Timeline {
    /// Place `seqno` is reached when `fence` has signalled, and every earlier place that was attached or
    /// [counted](Timeline::issue_counted) is reached (Linux: adding a point to a chain). The point signals
    /// with the error of `fence`, if that fails; with several fences, of the first that fails.
    ///
    /// Attaching is not waiting: a lazy `fence` is asked for its work when the point or a later one
    /// is waited for. The timeline keeps `fence` until it has signalled.
    ///
    /// An earlier place may be attached after a later one, as long as it has not been reached. A
    /// [`Signaler`](super::Signaler) of the same timeline that signals reaches every earlier place whatever it
    /// is attached to: to signal in order is its duty.
    ///
    /// # Errors
    ///
    /// When `seqno` is 0 or 2^64 - 1; when it has been reached; when `fence` is of this timeline and not
    /// earlier; when the timeline is [closed](Timeline::close). A circle by way of other timelines is not
    /// seen, and never signals.
    pub fn attach(&self, seqno: u64, fence: &Fence) -> Result<(), SeqnoError> {
        let is_circular = fence.timeline_id() == self.id() && fence.seqno() >= seqno;
        if is_circular && seqno > 0 {
            return Err(SeqnoError::Circular(seqno));
        }
        self.claim(seqno)?;
        let (reach, hold) = (self.reach(), Reach::name(seqno));
        // Before it is watched: a fence that signals meanwhile finds what it is to take away.
        let Some(new) = reach.attach(hold, fence) else {
            return Err(SeqnoError::Reached(seqno));
        };
        match fence.watch(Watcher::Place(reach, hold)) {
            Ok((place, _)) => reach.watched(hold, place),
            Err(status) => spread_points(reach.release(hold, status)),
        }
        self.announce(seqno);
        if let Some(deadline) = new.deadline {
            fence.set_deadline(deadline);
        }
        if new.is_awaited {
            task::run(Task::Start(fence.clone()));
        }
        Ok(())
    }

    /// Issues the next fence, without a [`Signaler`](super::Signaler): it signals when the timeline has
    /// [counted up](Timeline::signal_up_to) to its seqno. For a device that writes the seqno of its last
    /// finished job to memory: the driver keeps no map of signalers.
    ///
    /// Such fences are canceled when the last handle of the timeline is dropped: each as soon as what is before
    /// it has signalled.
    ///
    /// ```
    /// use resv_core::{FenceError, FenceStatus, Timeline};
    /// let ring = Timeline::new("gfx");
    /// let jobs = [ring.issue_counted()?, ring.issue_counted()?, ring.issue_counted()?];
    /// assert!(ring.set_error(2, FenceError::IO));
    /// ring.signal_up_to(2)?; // what the device has written
    /// assert_eq!(jobs[0].status(), FenceStatus::Signaled);
    /// assert_eq!(jobs[1].status(), FenceStatus::Error(FenceError::IO));
    /// assert_eq!(jobs[2].status(), FenceStatus::Pending);
    /// # Ok::<(), resv_core::SeqnoError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the seqnos are used up, or the timeline is [closed](Timeline::close).
    pub fn issue_counted(&self) -> Result<Fence, SeqnoError> {
        let seqno = {
            let mut book = self.book().lock();
            let seqno = self.next_seqno()?;
            // The point counts itself.
            self.line().count_skipped(1);
            if seqno - 1 != book.counted {
                book.not_counted = seqno - 1;
            }
            book.counted = seqno;
            seqno
        };
        let point = new_point(self.line(), seqno);
        let place = place(
            self.line(),
            seqno,
            self.reach().insert_counted(seqno, point),
        );
        self.announce(seqno);
        Ok(place)
    }

    /// Everything up to `seqno` is done, as far as it was counted or never issued: such places are reached in
    /// order, as far as no earlier one is held by a fence that it is [attached](Timeline::attach) to. Fences
    /// that have a [`Signaler`](super::Signaler) are left to it. Going back does nothing.
    ///
    /// # Errors
    ///
    /// When `seqno` is 2^64 - 1, or it has not been issued and the timeline is [closed](Timeline::close).
    pub fn signal_up_to(&self, seqno: u64) -> Result<(), SeqnoError> {
        if seqno > self.last_seqno() {
            self.claim(seqno)?;
        }
        spread_points(self.reach().count_to(seqno));
        self.announce(seqno);
        Ok(())
    }

    /// The fence that was [counted](Timeline::issue_counted) with this seqno will signal with `error`, when
    /// it does. `false`: it has signalled, or is none.
    pub fn set_error(&self, seqno: u64, error: FenceError) -> bool {
        self.reach().counted_fails(seqno, error)
    }

    /// Nothing will be issued, attached or counted any more. What has been signals as it would have. Points
    /// behind it fail with `error` when it has signalled, since a point stands for all that is before it; those
    /// that are asked for from now on, too. Closing again does nothing.
    pub fn close(&self, error: FenceError) {
        let (last, issues) = {
            let mut book = self.book().lock();
            let Some(last) = self.close_with(&mut book, error) else {
                return;
            };
            (last, book.issues.clone())
        };
        spread_points(self.reach().end(last, error));
        if let Some(issues) = issues {
            spread_points(issues.line().reach().end(last, error));
        }
    }

    /// The device is lost: every fence of this timeline that has been issued, attached or counted and has not
    /// signalled fails with `error`, in the order of their seqnos. Their [`Signaler`](super::Signaler)s do
    /// nothing from then on; fences that places were attached to are left. Points of places to come wait on,
    /// and fences may be issued again; [`close`](Timeline::close) ends that.
    ///
    /// A fence that another thread issues or signals meanwhile may or may not be among them. Looks at all
    /// fences of the process.
    ///
    /// ```
    /// use resv_core::{FenceError, FenceStatus, Timeline};
    /// let ring = Timeline::new("gfx");
    /// let (a, b) = (ring.issue()?, ring.issue()?);
    /// let fences = [a.fence().clone(), b.fence().clone()];
    /// ring.fail_all(FenceError::IO);
    /// for fence in fences {
    ///     assert_eq!(fence.status(), FenceStatus::Error(FenceError::IO));
    /// }
    /// a.signal(); // too late: nothing happens
    /// # Ok::<(), resv_core::SeqnoError>(())
    /// ```
    pub fn fail_all(&self, error: FenceError) {
        let (last, reach) = (self.last_seqno(), self.reach());
        reach.give_up_holds(last);
        let mut fences = census::pending_of(self.id(), last);
        fences.sort_by_key(Fence::seqno);
        let mut panics = Panics::default();
        for fence in fences {
            panics.catch(|| fence.complete(reach, Some(error)));
        }
        if last > 0 {
            panics.catch(|| spread_points(reach.count_to(last)));
        }
        panics.resume();
    }
}
