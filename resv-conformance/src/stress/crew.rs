//! What the threads of a phase share.

use super::jobs::Jobs;
use super::post::Post;
use super::world::World;
use super::{Failure, Fault};
use crate::Subject;
use resv_sync::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the threads of a phase share.
pub(super) struct Crew {
    pub(super) phase: String,
    pub(super) world: World,
    pub(super) jobs: Jobs,
    pub(super) posts: Vec<Post>,
    pub(super) seed: u64,
    until: Instant,
    /// Set when a thread has found a failure.
    failed: AtomicBool,
    first: Mutex<Option<Failure>>,
}

impl Crew {
    /// The crew of a phase that begins now.
    pub(super) fn new(
        on: Subject,
        phase: String,
        seed: u64,
        [threads, timelines, objects]: [usize; 3],
        time: Duration,
    ) -> Crew {
        Crew {
            phase,
            world: World::new(on, objects),
            jobs: Jobs::new(timelines),
            posts: (0..threads).map(|_| Post::new()).collect(),
            seed,
            until: Instant::now() + time,
            failed: AtomicBool::new(false),
            first: Mutex::new(None),
        }
    }

    /// Whether another round is to be begun.
    pub(super) fn goes_on(&self) -> bool {
        !self.has_failed() && Instant::now() < self.until
    }

    /// Whether a thread has found a failure.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The first failure.
    pub(super) fn found(&self) -> Option<Failure> {
        let first = self.first.lock();
        first.clone()
    }

    pub(super) fn fails(&self, thread: usize, fault: Fault) {
        let failure = fault.found_by(Some(thread), &self.phase, self.seed);
        let mut first = self.first.lock();
        first.get_or_insert(failure);
        self.failed.store(true, Ordering::Relaxed);
    }
}
