//! One thread under stress: what it does with the locks that it holds.
//!
//! A thread has three timelines. Jobs of the first two are handed to [`Jobs`](super::jobs) and signal
//! soon. Jobs of the third, the *kept* ones, it signals itself, in order, and always keeps the last
//! few pending: nothing but superseding may take those out of an object, until the last check.

use super::crew::Crew;
use super::jobs::wait_to_the_end;
use super::post::Doing;
use super::world::Stay;
use super::{Fault, Tally};
use resv_api::{
    Access, AnyBackend, AnySemantics, Edit, Entry, Fence, Guard, Receipt, ReserveError, Signaler,
    Timeline, Usage,
};
use std::collections::VecDeque;
use std::time::Duration;

/// How many kept jobs a thread leaves pending.
const KEPT: usize = 12;

pub(super) struct Worker<'c> {
    pub(super) crew: &'c Crew,
    pub(super) thread: usize,
    pub(super) rng: Rng,
    pub(super) tally: Tally,
    uses: Vec<u64>,
    pub(super) soon: [Timeline; 2],
    keeps: Timeline,
    pub(super) kept: VecDeque<Signaler>,
}

/// What a thread leaves behind for the last check.
pub(super) struct Remains {
    pub(super) tally: Tally,
    /// How often it has used each object.
    pub(super) uses: Vec<u64>,
    /// Its kept jobs, oldest first.
    pub(super) kept: VecDeque<Signaler>,
}

/// An object whose lock is held, and can be edited.
pub(super) trait Editable {
    fn shown(&self) -> Vec<Entry>;
    fn edit(&mut self, edit: &Edit, slots: usize) -> Result<(), ReserveError>;
}

macro_rules! editable {
    ($Held:ty) => {
        impl Editable for $Held {
            fn shown(&self) -> Vec<Entry> {
                self.entries()
            }

            fn edit(&mut self, edit: &Edit, slots: usize) -> Result<(), ReserveError> {
                let mut slots = self.reserve(slots)?;
                match edit {
                    Edit::Add { fence, usage } => slots.add(fence, *usage),
                    Edit::Replace {
                        timeline,
                        fence,
                        usage,
                    } => {
                        slots.replace(*timeline, fence, *usage);
                    }
                }
                Ok(())
            }
        }
    };
}

editable!(Receipt<'_, '_, AnySemantics, AnyBackend>);
editable!(&mut Guard<'_, AnySemantics, AnyBackend>);

/// The job of one transaction.
struct Job {
    /// What is added.
    fence: Fence,
    /// What that is all of; or itself.
    parts: Vec<Fence>,
    /// What signals, with the timeline in [`Jobs`](super::jobs::Jobs); kept ones are not here.
    signalers: Vec<(usize, Signaler)>,
    is_kept: bool,
}

impl<'c> Worker<'c> {
    /// How many timelines a thread has in [`Jobs`](super::jobs::Jobs).
    pub(super) const TIMELINES: usize = 2;

    pub(super) fn new(crew: &'c Crew, thread: usize, seed: u64) -> Self {
        let timeline = |what| Timeline::new(&format!("{what}{thread}"));
        Worker {
            crew,
            thread,
            rng: Rng::new(seed, thread as u64),
            tally: Tally::default(),
            uses: vec![0; crew.world.objects.len()],
            soon: [timeline("soon"), timeline("also")],
            keeps: timeline("kept"),
            kept: VecDeque::new(),
        }
    }

    pub(super) fn into_remains(self) -> Remains {
        Remains {
            tally: self.tally,
            uses: self.uses,
            kept: self.kept,
        }
    }

    pub(super) fn beat(&self, doing: Doing, object: usize) {
        self.crew.posts[self.thread].beat(doing, object);
    }

    /// `order` becomes `count` different objects in random order.
    pub(super) fn choose(&mut self, count: usize, order: &mut Vec<usize>) {
        let all = self.crew.world.objects.len();
        order.clear();
        order.extend(0..all);
        for at in 0..count.min(all) {
            let other = at + self.rng.below(all - at);
            order.swap(at, other);
        }
        order.truncate(count);
    }

    /// The lock of object `at` is held now.
    pub(super) fn enter(&self, at: usize) -> Result<Stay, Fault> {
        self.beat(Doing::Works, at);
        self.crew.world.enter(at, self.thread)
    }

    /// The locks are about to be released, with nothing done.
    pub(super) fn abandon(&self, stays: impl IntoIterator<Item = Stay>) -> Result<(), Fault> {
        let mut stays = stays.into_iter();
        stays.try_for_each(|stay| self.crew.world.abandon(stay, self.thread))
    }

    /// The locks are about to be released, with the objects used.
    pub(super) fn leave(&mut self, stays: impl IntoIterator<Item = Stay>) -> Result<(), Fault> {
        for stay in stays {
            self.uses[stay.at] += 1;
            self.crew.world.leave(stay, self.thread)?;
        }
        self.tally.transactions += 1;
        Ok(())
    }

    /// Everything that a transaction does with the objects it holds, up to just before they are
    /// released.
    pub(super) fn use_all<H: Editable>(&mut self, held: Vec<(Stay, H)>) -> Result<(), Fault> {
        let mut job = self.next_job()?;
        let first = held.first().map_or(0, |(stay, _)| stay.at);
        if self.rng.one_in(4) {
            // It may be done before it is added, or meanwhile.
            self.submit(&mut job);
        }
        let mut stays = Vec::with_capacity(held.len());
        for (stay, mut object) in held {
            self.use_one(&stay, &mut object, &job)?;
            stays.push(stay);
        }
        if self.rng.one_in(16) {
            let timeline = self.rng.below(usize::MAX);
            self.crew.jobs.signal_one(timeline);
        }
        if self.rng.one_in(32) {
            self.submit(&mut job);
            self.wait_holding(first, &job)?;
        }
        if self.rng.one_in(16) {
            self.try_another()?;
        }
        self.leave(stays)?;
        self.submit(&mut job);
        Ok(())
    }

    fn use_one<H: Editable>(
        &mut self,
        stay: &Stay,
        object: &mut H,
        job: &Job,
    ) -> Result<(), Fault> {
        let at = stay.at;
        let semantics = self.crew.world.objects[at].resv.semantics();
        let mut ledger = self.crew.world.ledger(at)?;
        if self.rng.one_in(8) {
            let compared = ledger.compare(&object.shown());
            compared.map_err(|what| Fault::at(at, what))?;
        }
        // Mostly weak ones: a strong one may supersede everything else.
        let usage = match self.rng.below(8) {
            0 => Usage::Write,
            1 => Usage::Kernel,
            2..5 => Usage::Read,
            _ => Usage::Bookkeep,
        };
        let (fence, keeps) = (job.fence.clone(), self.keeps.id());
        let edit = if job.is_kept && self.rng.one_in(4) {
            ledger.replace(semantics, keeps, &fence, usage);
            Edit::Replace {
                timeline: keeps,
                fence,
                usage,
            }
        } else {
            ledger.add(semantics, &fence, &job.parts, usage);
            Edit::Add { fence, usage }
        };
        let edited = object.edit(&edit, job.parts.len());
        edited.map_err(|error| Fault::at(at, error))?;
        if self.rng.one_in(32) {
            let compared = ledger.compare(&object.shown());
            compared.map_err(|what| Fault::at(at, what))?;
        }
        Ok(())
    }

    pub(super) fn issue(timeline: &Timeline) -> Result<Signaler, Fault> {
        timeline.issue().map_err(Fault::new)
    }

    fn next_job(&mut self) -> Result<Job, Fault> {
        let own = Self::TIMELINES * self.thread;
        let plain = |signaler: Signaler, timeline| Job {
            fence: signaler.fence().clone(),
            parts: vec![signaler.fence().clone()],
            signalers: vec![(timeline, signaler)],
            is_kept: false,
        };
        Ok(match self.rng.below(16) {
            0..9 => plain(Self::issue(&self.soon[0])?, own),
            9 => plain(Self::issue(&self.soon[1])?, own + 1),
            10 => {
                let jobs = [Self::issue(&self.soon[0])?, Self::issue(&self.soon[1])?];
                let parts = jobs.each_ref().map(|job| job.fence().clone());
                Job {
                    fence: Fence::all(&parts).expect("not empty"),
                    parts: parts.to_vec(),
                    signalers: [own, own + 1].into_iter().zip(jobs).collect(),
                    is_kept: false,
                }
            }
            11 => {
                let mut job = plain(Self::issue(&self.soon[0])?, own);
                let either = job
                    .parts
                    .iter()
                    .chain(self.kept.back().map(Signaler::fence));
                job.fence = Fence::any(either).expect("not empty");
                job.parts = vec![job.fence.clone()];
                job
            }
            _ => {
                let signaler = Self::issue(&self.keeps)?;
                let fence = signaler.fence().clone();
                self.kept.push_back(signaler);
                Job {
                    parts: vec![fence.clone()],
                    fence,
                    signalers: Vec::new(),
                    is_kept: true,
                }
            }
        })
    }

    /// Hands the job to the thread that signals; keeps of the kept ones the latest.
    fn submit(&mut self, job: &mut Job) {
        for (timeline, signaler) in job.signalers.drain(..) {
            self.crew.jobs.submit(timeline, signaler);
        }
        let more = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..more).for_each(Signaler::signal);
    }

    /// Waits with locks held. That is legal: nothing that signals takes a lock that it waits for.
    fn wait_holding(&mut self, at: usize, job: &Job) -> Result<(), Fault> {
        self.beat(Doing::WaitsHolding, at);
        self.tally.waits += 1;
        if !job.is_kept && self.rng.one_in(2) {
            wait_to_the_end(&job.fence)?;
        } else {
            let access = self.access();
            let resv = &self.crew.world.objects[at].resv;
            // Unpublished edits are no part of it; how it ends is a matter of chance.
            let _ = resv.wait(access, Duration::from_micros(50));
        }
        self.beat(Doing::Works, at);
        Ok(())
    }

    /// Tries one more lock, which may be one that is held already.
    pub(super) fn try_another(&mut self) -> Result<(), Fault> {
        let at = self.rng.below(self.crew.world.objects.len());
        let crew = self.crew;
        let Some(guard) = crew.world.objects[at].resv.try_lock() else {
            return Ok(());
        };
        let stay = self.enter(at)?;
        self.leave([stay])?;
        drop(guard);
        Ok(())
    }

    pub(super) fn access(&mut self) -> Access {
        Access::ALL[self.rng.below(Access::ALL.len())]
    }
}

/// SplitMix64: what a thread wants next.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64, stream: u64) -> Rng {
        Rng(seed ^ stream.wrapping_add(1).wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0. (The bias is far below what matters here.)
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}
