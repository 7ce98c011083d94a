//! What is left over when nobody wants anything any more: it must be nothing.

use super::Fault;
use super::post::{Doing, Post};
use crate::Subject;
use resv_api::Usage;
use resv_core::fence::{pool_stats, registrations};
use resv_core::lock::lock_stats;
use resv_core::{Signaler, Timeline};
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

/// What the process holds for reservation objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Fences alive, without the one that the stress keeps to itself.
    pub fences: usize,
    /// Callbacks that are registered, children that composed fences watch, requests that are queued
    /// at locks, and records of wounds.
    pub waiters: usize,
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fences live {}, waiters {}", self.fences, self.waiters)
    }
}

/// What there is now. Exact when no other thread does anything with fences or objects.
pub fn leftovers() -> Leftovers {
    Leftovers {
        fences: pool_stats().live - usize::from(FLUSH.get().is_some()),
        waiters: waiters(),
    }
}

fn waiters() -> usize {
    let locks = lock_stats();
    registrations() + locks.waiters + locks.records
}

/// The fence that [`flush`] adds: always the same, so that what is retired last, and stays until
/// something is retired again, holds no other.
static FLUSH: OnceLock<Signaler> = OnceLock::new();

/// Edits an object of its own, so that a back end that frees in batches does so.
fn flush(on: Subject, post: &Post) {
    let flush = FLUSH.get_or_init(|| {
        let flush = Timeline::new("flush").issue();
        flush.expect("a new timeline has seqnos left")
    });
    let elsewhere = on.object();
    for _ in 0..64 {
        post.beat(Doing::Works, 0);
        if let Ok(mut slots) = elsewhere.lock().reserve(1) {
            slots.add(flush.fence(), Usage::Write);
        }
    }
}

/// How many fences are alive before a phase.
pub(super) struct Before {
    live: usize,
}

impl Before {
    pub(super) fn new(on: Subject, post: &Post) -> Before {
        flush(on, post);
        Before {
            live: pool_stats().live,
        }
    }

    /// While the objects and their pending fences are still there, but nobody waits for anything.
    pub(super) fn no_waiters() -> Result<(), Fault> {
        let (callbacks, locks) = (registrations(), lock_stats());
        if waiters() == 0 {
            return Ok(());
        }
        Err(Fault::new(format_args!(
            "nobody waits, but {callbacks} callbacks are registered or children watched, {} requests \
             are queued at locks, and {} wounds are recorded",
            locks.waiters, locks.records
        )))
    }

    /// When the objects are gone.
    pub(super) fn no_fences(&self, on: Subject, post: &Post) -> Result<(), Fault> {
        /// How often a back end is given occasion to free what is retired. (Judged by occasions and
        /// not by time.)
        const OCCASIONS: usize = 2_000;
        for _ in 0..OCCASIONS {
            if pool_stats().live == self.live {
                return Ok(());
            }
            flush(on, post);
            std::thread::sleep(Duration::from_millis(1));
        }
        let (live, before) = (pool_stats().live, self.live);
        Err(Fault::new(format_args!(
            "the objects are gone and every job is done, but {live} fences are alive, after {before} \
             before the phase"
        )))
    }
}
