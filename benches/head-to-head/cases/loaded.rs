//! An object with a number of fences, and what keeps them pending.

use crate::subjects::Subject;
use resv_core::{Access, Signaler, Timeline, Usage};

/// The usage of all fences of the cases.
pub(crate) const USAGE: Usage = Usage::Read;
/// The access that must wait for all of them.
pub(crate) const ACCESS: Access = Access::Write;

/// Timelines, and a pending fence of each.
pub(crate) struct Jobs {
    pub(crate) timelines: Vec<Timeline>,
    pub(crate) signalers: Vec<Signaler>,
    turn: usize,
}

impl Jobs {
    pub(crate) fn new(count: usize) -> Jobs {
        let timelines: Vec<Timeline> = (0..count)
            .map(|at| Timeline::new(&format!("t{at}")))
            .collect();
        Jobs::of(&timelines)
    }

    /// A pending fence of each of these.
    pub(crate) fn of(timelines: &[Timeline]) -> Jobs {
        Jobs {
            signalers: timelines.iter().map(issue).collect(),
            timelines: timelines.to_vec(),
            turn: 0,
        }
    }

    /// Issues the next fence of the next timeline and has `add` put it where the one before was,
    /// which then signals.
    #[inline]
    pub(crate) fn next(&mut self, add: impl FnOnce(&Signaler)) {
        self.turn += 1;
        if self.turn >= self.timelines.len() {
            self.turn = 0;
        }
        let job = issue(&self.timelines[self.turn]);
        add(&job);
        std::mem::replace(&mut self.signalers[self.turn], job).signal();
    }

    /// Signals all but the last `pending`.
    pub(crate) fn signal_all_but(&mut self, pending: usize) {
        let count = self.signalers.len() - pending;
        self.signalers.drain(..count).for_each(Signaler::signal);
    }
}

pub(crate) fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("2^64 fences are enough")
}

/// An object that holds the fences of some jobs.
pub(crate) struct Loaded<S> {
    pub(crate) object: S,
    pub(crate) jobs: Jobs,
}

impl<S: Subject> Loaded<S> {
    /// With `n` pending fences, each on a timeline of its own.
    pub(crate) fn pending(n: usize) -> Self {
        let loaded = Loaded {
            object: S::new(),
            jobs: Jobs::new(n),
        };
        for job in &loaded.jobs.signalers {
            loaded.object.add(job.fence(), USAGE);
        }
        loaded
    }

    /// With `n` fences, of which only the last `pending` have not signalled.
    pub(crate) fn signaled_but(n: usize, pending: usize) -> Self {
        let mut loaded = Self::pending(n);
        loaded.jobs.signal_all_but(pending);
        loaded
    }

    /// With `n` pending fences that came with as many others, in turn, which have signalled and were dropped
    /// by an add: where entries stay in place, every other place is empty.
    pub(crate) fn with_holes(n: usize) -> Self {
        let mut loaded = Self::pending(2 * n);
        let all = std::mem::take(&mut loaded.jobs.signalers);
        for (at, job) in all.into_iter().enumerate() {
            match at % 2 {
                0 => job.signal(),
                _ => loaded.jobs.signalers.push(job),
            }
        }
        if let (Some(timeline), Some(last)) = (
            loaded.jobs.timelines.last(),
            loaded.jobs.signalers.last_mut(),
        ) {
            let job = issue(timeline);
            loaded.object.add(job.fence(), USAGE);
            std::mem::replace(last, job).signal();
        }
        loaded
    }

    /// Issues a fence, adds it over the one of the same timeline, and signals that one.
    #[inline]
    pub(crate) fn turn(&mut self) {
        let object = &self.object;
        self.jobs.next(|job| object.add(job.fence(), USAGE));
    }

    /// The same in the steps of a guard, where the subject has them.
    #[inline]
    pub(crate) fn turn_with_a_guard(&mut self) {
        let object = &self.object;
        self.jobs
            .next(|job| object.add_around(job.fence(), USAGE, || {}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every subject answers every question as it must, so that no figure is about something else.
    fn holds_what_it_was_given<S: Subject>() {
        for n in [0, 1, 4, 8] {
            let mut loaded = Loaded::<S>::pending(n);
            assert_eq!(loaded.object.is_idle(ACCESS), n == 0, "{} {n}", S::name());
            assert_eq!(loaded.object.waits_for(ACCESS), n, "{} {n}", S::name());
            assert_eq!(loaded.object.visit(ACCESS), n as u64, "{} {n}", S::name());
            assert!(loaded.object.is_idle(Access::Read), "{} {n}", S::name());
            if n > 0 {
                for _ in 0..2 * n {
                    loaded.turn();
                }
                assert_eq!(loaded.object.waits_for(ACCESS), n, "{} {n}", S::name());
                assert_eq!(
                    loaded.object.visit(ACCESS),
                    3 * n as u64,
                    "{} {n}",
                    S::name()
                );
                loaded.jobs.signal_all_but(1);
                assert!(!loaded.object.is_idle(ACCESS), "{} {n}", S::name());
                assert_eq!(loaded.object.visit(ACCESS), 3, "{} {n}", S::name());
                loaded.jobs.signal_all_but(0);
            }
            assert!(loaded.object.is_idle(ACCESS), "{} {n}", S::name());
        }
        let holes = Loaded::<S>::with_holes(4);
        assert_eq!(holes.object.waits_for(ACCESS), 4, "{}", S::name());
        let objects = [S::new(), S::new()];
        let job = issue(&Timeline::new("one"));
        S::transaction(&[&objects[0], &objects[1]], job.fence(), USAGE);
        assert!(objects.iter().all(|object| object.waits_for(ACCESS) == 1));
        job.signal();
    }

    #[test]
    fn every_subject_holds_what_it_was_given() {
        each_subject!(8, holds_what_it_was_given());
    }
}
