//! What the benchmarks measure: objects in a known state, and the operations on them.
//!
//! `cargo bench -p resv-benches` runs one criterion group for each operation, with every back end as
//! a subject, so that a plot of a group compares them. Absolute times are of the machine; compare
//! within a group, of one run.
//!
//! ```
//! use resv_benches::Fixture;
//! use resv_core::{Access, Locked};
//!
//! let busy = Fixture::<Locked>::pending(4);
//! assert!(!busy.object.is_idle(Access::Move));
//! ```

#![forbid(unsafe_code)]

use resv_api::Resv;
use resv_core::{Backend, Signaler, Timeline, Usage, UsageLevels};

/// An object with a number of fences, and what keeps them pending.
pub struct Fixture<B: Backend + Default> {
    /// The object.
    pub object: Resv<UsageLevels, B>,
    /// The timeline of each fence.
    pub timelines: Vec<Timeline>,
    /// The signalers of the fences that are pending.
    pub signalers: Vec<Signaler>,
}

impl<B: Backend + Default> Fixture<B> {
    /// An object with `n` pending fences, each on a timeline of its own.
    pub fn pending(n: usize) -> Self {
        let object = Resv::default();
        let timelines: Vec<Timeline> = (0..n).map(|i| Timeline::new(&format!("t{i}"))).collect();
        let signalers: Vec<Signaler> = timelines
            .iter()
            .map(|timeline| timeline.issue().expect("a new timeline has seqnos"))
            .collect();
        for job in &signalers {
            let mut guard = object.lock();
            let mut slots = guard.reserve(1).expect("memory for one fence");
            slots.add(job.fence(), Usage::Read);
        }
        Fixture {
            object,
            timelines,
            signalers,
        }
    }

    /// An object with `n` fences that have all signalled.
    pub fn signaled(n: usize) -> Self {
        let mut fixture = Self::pending(n);
        for job in fixture.signalers.drain(..) {
            job.signal();
        }
        fixture
    }

    /// A whole write: issue a fence, lock, reserve, add it over the one of the same timeline,
    /// publish, unlock, signal the old one.
    ///
    /// # Panics
    ///
    /// When the object has no pending fence.
    pub fn add_fresh(&mut self, turn: usize) {
        let at = turn % self.timelines.len();
        let job = self.timelines[at].issue().expect("2^64 adds are enough");
        {
            let mut guard = self.object.lock();
            let mut slots = guard.reserve(1).expect("memory for one fence");
            slots.add(job.fence(), Usage::Read);
        }
        std::mem::replace(&mut self.signalers[at], job).signal();
    }
}
