//! The life of eviction fences, on a virtual clock and on real objects.
//!
//! # The concept
//!
//! A process runs on queues that nobody else sees. Each of its buffers carries a lazy fence for them, as
//! bookkeep. To begin to wait for it is to ask for the eviction:
//!
//! | state | event | next |
//! |---|---|---|
//! | armed, queues on | a wait begins | requested |
//! | requested | due | queues off, *then* the fence signals; evicted |
//! | evicted | some time later | the next fence of the timeline is added to all buffers, *then* queues on; armed |
//! | armed | a buffer is unmapped | its fence there is replaced by one that has signalled; nobody is evicted |
//! | armed | suspend or reset | queues off; the fence signals though nobody asked, or stays for the time after |
//! | any | the process ends | queues off, the fence signals |
//!
//! Three drivers do so, and differ in how many fences there are and in what is due when ([`Kind`]):
//!
//! | kind | fences | due | restored after |
//! |---|---|---|---|
//! | compute (amdkfd) | one for the process | [`GRACE`] after the last restore at the earliest | [`RESTORE`] |
//! | user queues (amdgpu) | one for the file | when the last job is done, [`STOP`] after the request at the latest | the next instant |
//! | one for all (Xe) | one for each queue | at once, and then the others are asked and stopped, too | the next instant |
//!
//! [`World`] checks after each event what has to hold at every instant:
//!
//! | law | what holds |
//! |---|---|
//! | V1 | a generation of a fence is asked at most once |
//! | V2 | an access other than a move asks no fence for its work |
//! | V3 | a move is over only when the queues that could touch the buffer are off, or the buffer is unmapped |
//! | V4 | with a queue on, every mapped buffer has a pending fence of it |
//! | V5 | a buffer that is unmapped asks nobody |
//! | V6 | what an access other than a move is shown has no eviction fence in it |
//! | V7 | what was asked signals within a bound, so each move ends |
//! | order | no queue runs under the last generation when another has the next one |
//!
//! The oldest semantics has no category for such fences: there V2 and V6 leave out writers.
//! A [`Flaw`] is a way to get it wrong, which the checks find.

mod flaw;

pub use flaw::{Flaw, trial};

use resv_api::{Access, Edit, Fence, Reservation, SemanticsKind, Signaler, Timeline, Usage};
use resv_policy::objects::{begin_to_wait, pending_leaves};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Milliseconds from a restore to the next eviction of compute, at least.
pub const GRACE: u64 = 10;
/// Milliseconds from an eviction of compute to the restore.
pub const RESTORE: u64 = 100;
/// Milliseconds that user queues may take to finish their last jobs.
pub const STOP: u64 = 100;
/// A process has no more queues with fences of their own than this.
pub const MOST_QUEUES: usize = 3;

/// Whose life it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One fence for all queues of a process.
    Compute,
    /// One fence for all queues of a file, which are given time for their last jobs.
    UserQueues,
    /// A fence for each queue; one that is asked stops all.
    OneForAll,
}

impl Kind {
    /// All three.
    pub const ALL: [Kind; 3] = [Kind::Compute, Kind::UserQueues, Kind::OneForAll];

    const fn restored_after(self) -> u64 {
        match self {
            Kind::Compute => RESTORE,
            Kind::UserQueues | Kind::OneForAll => 1,
        }
    }
}

/// What happens.
///
/// Not a statement of the scenario language, which has no processes, no queues and no time.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The process maps a buffer.
    Map(usize),
    /// The process unmaps a buffer.
    Unmap(usize),
    /// An access to a buffer begins.
    Begin(usize, Access),
    /// The queues get a job that takes so many milliseconds.
    Job(u64),
    /// The process gets another queue, if each has its fence.
    Queue,
    /// All processes are stopped; their fences stay as they are, or signal.
    Suspend {
        /// They stay.
        keeps: bool,
    },
    /// All processes go on.
    Resume,
    /// Milliseconds pass.
    Pass(u64),
    /// The process ends.
    End,
}

/// A generation of a fence.
struct Generation {
    fence: Fence,
    signaler: Option<Signaler>,
    asked: Arc<AtomicUsize>,
    asked_at: Option<u64>,
    number: usize,
}

/// Queues with a fence, and the timeline of the fence.
struct Queues {
    timeline: Timeline,
    generations: Vec<Generation>,
    on: bool,
    busy_until: u64,
}

impl Queues {
    fn new() -> Queues {
        Queues {
            timeline: Timeline::new("queues"),
            generations: Vec::new(),
            on: false,
            busy_until: 0,
        }
    }

    fn pending(&self) -> Option<&Generation> {
        self.generations.last().filter(|g| g.signaler.is_some())
    }

    fn next(&mut self, number: usize) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let signaler = self.timeline.issue_lazy(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let signaler = signaler.expect("the timeline has seqnos left");
        self.generations.push(Generation {
            fence: signaler.fence().clone(),
            signaler: Some(signaler),
            asked,
            asked_at: None,
            number,
        });
    }

    fn signal(&mut self) {
        if let Some(signaler) = self.generations.last_mut().and_then(|g| g.signaler.take()) {
            signaler.signal();
        }
    }
}

/// A move that has begun: what it waits for.
struct Move {
    buffer: usize,
    waits: Vec<Fence>,
    begun: u64,
}

/// A process, its buffers, and their users.
pub struct World {
    kind: Kind,
    flaw: Option<Flaw>,
    buffers: Vec<Box<dyn Reservation>>,
    mapped: Vec<bool>,
    queues: Vec<Queues>,
    /// The number of the generation that is armed next.
    number: usize,
    has_ended: bool,
    is_suspended: bool,
    restored_at: u64,
    evicted_at: Option<u64>,
    moves: Vec<Move>,
    now: u64,
}

impl World {
    /// A process with these buffers, none of which it has mapped.
    pub fn new(kind: Kind, buffers: Vec<Box<dyn Reservation>>, flaw: Option<Flaw>) -> World {
        let mapped = vec![false; buffers.len()];
        World {
            kind,
            flaw,
            buffers,
            mapped,
            queues: vec![Queues::new()],
            number: 0,
            has_ended: false,
            is_suspended: false,
            restored_at: 0,
            evicted_at: None,
            moves: Vec::new(),
            now: 0,
        }
    }

    /// How often the fences of the process were asked for their work.
    pub fn asked(&self) -> usize {
        let generations = self.queues.iter().flat_map(|q| &q.generations);
        generations.map(|g| g.asked.load(Ordering::Relaxed)).sum()
    }

    /// How many fences the process has had.
    pub fn generations(&self) -> usize {
        self.queues.iter().map(|q| q.generations.len()).sum()
    }

    /// How many moves wait.
    pub fn waiting(&self) -> usize {
        self.moves.len()
    }

    /// Whether a queue is on.
    pub fn runs(&self) -> bool {
        self.queues.iter().any(|q| q.on)
    }

    /// Lets one event happen, and everything that is due.
    ///
    /// # Errors
    ///
    /// What does not hold.
    pub fn step(&mut self, event: Event) -> Result<(), String> {
        let asked = self.asked();
        match event {
            Event::Map(buffer) => self.map(buffer),
            Event::Unmap(buffer) => self.unmap(buffer),
            Event::Begin(buffer, access) => {
                self.begin(buffer, access);
                if access != Access::Move && self.asked() != asked {
                    return Err(format!("to begin to {access} asked for an eviction"));
                }
                if access == Access::Move && !self.mapped[buffer] && self.asked() != asked {
                    return Err("the move of an unmapped buffer asked for an eviction".to_owned());
                }
            }
            Event::Job(time) => {
                let until = self.now + time;
                for queues in self.queues.iter_mut().filter(|q| q.on) {
                    queues.busy_until = queues.busy_until.max(until);
                }
            }
            Event::Queue => self.queue(),
            Event::Suspend { keeps } => self.suspend(keeps),
            Event::Resume => {
                self.is_suspended = false;
                if self.flaw == Some(Flaw::ResumesWithout) {
                    self.switch_on();
                } else if self.evicted_at.is_none() {
                    self.go_on();
                }
            }
            Event::Pass(time) => {
                for _ in 0..time {
                    self.now += 1;
                    self.tick()?;
                }
            }
            Event::End => self.end(),
        }
        self.tick()?;
        self.look_at_answers()
    }

    fn is_running(&self) -> bool {
        !(self.has_ended || self.is_suspended) && self.evicted_at.is_none()
    }

    fn map(&mut self, buffer: usize) {
        if self.has_ended || self.mapped[buffer] {
            return;
        }
        self.mapped[buffer] = true;
        if !self.is_running() {
            return;
        }
        for at in 0..self.queues.len() {
            let is_pending = self.queues[at].pending().is_some();
            let replaces = self.flaw == Some(Flaw::ReplacesPending) && is_pending;
            if !is_pending || replaces {
                self.queues[at].next(self.number);
            }
            if replaces {
                let fence = self.queues[at].generations.last().map(|g| g.fence.clone());
                let others = (0..self.buffers.len()).filter(|&b| b != buffer && self.mapped[b]);
                others.for_each(|other| self.replace(other, at, fence.as_ref()));
            }
            self.arm(buffer, at);
        }
        self.switch_on();
    }

    fn arm(&self, buffer: usize, queues: usize) {
        if let Some(generation) = self.queues[queues].pending() {
            let edit = Edit::Add {
                fence: generation.fence.clone(),
                usage: Usage::Bookkeep,
            };
            let object = &self.buffers[buffer];
            object.transact(&[edit]).expect("there is memory");
        }
    }

    /// By a fence that has signalled, unless one is given.
    fn replace(&self, buffer: usize, queues: usize, fence: Option<&Fence>) {
        let edit = Edit::Replace {
            timeline: self.queues[queues].timeline.id(),
            fence: fence.cloned().unwrap_or_else(Fence::signaled),
            usage: Usage::Bookkeep,
        };
        let object = &self.buffers[buffer];
        object.transact(&[edit]).expect("there is memory");
    }

    /// Queues have work if anything is mapped.
    fn switch_on(&mut self) {
        if self.mapped.contains(&true) && !self.has_ended && !self.is_suspended {
            self.queues.iter_mut().for_each(|q| q.on = true);
        }
    }

    fn unmap(&mut self, buffer: usize) {
        self.mapped[buffer] = false;
        if self.flaw == Some(Flaw::NeverRemoved) {
            return;
        }
        (0..self.queues.len()).for_each(|at| self.replace(buffer, at, None));
    }

    fn begin(&mut self, buffer: usize, access: Access) {
        let object = &self.buffers[buffer];
        let shows = match self.flaw == Some(Flaw::ArrayOfAll) && access != Access::Move {
            true => object.entries(),
            false => object.waits_for(access),
        };
        let shows = shows.expect("there is memory");
        let fences: Vec<Fence> = shows.into_iter().map(|entry| entry.fence).collect();
        if let Some(all) = Fence::all(&fences) {
            begin_to_wait(&all);
        }
        if access == Access::Move {
            let waits = fences.iter().flat_map(pending_leaves).collect();
            self.moves.push(Move {
                buffer,
                waits,
                begun: self.now,
            });
        }
    }

    fn queue(&mut self) {
        if self.kind != Kind::OneForAll || self.queues.len() >= MOST_QUEUES || self.has_ended {
            return;
        }
        self.queues.push(Queues::new());
        if !(self.is_running() && self.mapped.contains(&true)) {
            return;
        }
        let new = self.queues.len() - 1;
        self.queues[new].next(self.number);
        for buffer in (0..self.buffers.len()).filter(|&b| self.mapped[b]) {
            self.arm(buffer, new);
        }
        self.switch_on();
    }

    fn suspend(&mut self, keeps: bool) {
        if self.has_ended || self.is_suspended {
            return;
        }
        self.is_suspended = true;
        self.queues.iter_mut().for_each(|q| q.on = false);
        if !keeps && self.evicted_at.is_none() {
            self.queues.iter_mut().for_each(Queues::signal);
            self.evicted_at = Some(self.now);
        }
    }

    /// The fences that were kept are pending still; what was mapped meanwhile gets them now.
    fn go_on(&mut self) {
        if self.has_ended || !self.mapped.contains(&true) {
            return;
        }
        for at in 0..self.queues.len() {
            if self.queues[at].pending().is_none() {
                self.queues[at].next(self.number);
            }
            let mapped = (0..self.buffers.len()).filter(|&b| self.mapped[b]);
            mapped.for_each(|buffer| self.arm(buffer, at));
        }
        self.switch_on();
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.evicted_at = None;
        self.mapped.fill(false);
        for queues in &mut self.queues {
            queues.on = false;
            queues.signal();
        }
    }

    /// Everything that is due now, with a look after each part of it.
    fn tick(&mut self) -> Result<(), String> {
        self.look()?;
        if self.is_due() {
            self.evict()?;
            self.look()?;
        }
        let after = self.kind.restored_after();
        let is_over = self.evicted_at.is_some_and(|at| self.now >= at + after);
        if is_over && !self.is_suspended {
            self.restore()?;
        }
        self.look()
    }

    fn is_due(&mut self) -> bool {
        let (kind, now, restored_at) = (self.kind, self.now, self.restored_at);
        let leaves_busy = self.flaw == Some(Flaw::LeavesBusyQueues);
        let mut is_due = false;
        for queues in &mut self.queues {
            let (on, busy_until) = (queues.on, queues.busy_until);
            let last = queues.generations.last_mut();
            let Some(generation) = last.filter(|g| g.signaler.is_some()) else {
                continue;
            };
            if generation.asked.load(Ordering::Relaxed) > 0 && generation.asked_at.is_none() {
                generation.asked_at = Some(now);
            }
            is_due |= generation.asked_at.is_some_and(|asked_at| match kind {
                Kind::Compute => now >= restored_at + GRACE,
                Kind::UserQueues if !on => true,
                Kind::UserQueues if leaves_busy && busy_until > asked_at + STOP => false,
                Kind::UserQueues => now >= busy_until.min(asked_at + STOP),
                Kind::OneForAll => true,
            });
        }
        is_due
    }

    fn evict(&mut self) -> Result<(), String> {
        for at in 0..self.queues.len() {
            // The worker that stops the queues waits for the fence of each, and so asks those that nobody has.
            if let Some(generation) = self.queues[at].pending() {
                begin_to_wait(&generation.fence);
            }
            if self.flaw == Some(Flaw::SignalBeforeOff) {
                self.queues[at].signal();
                self.look()?;
            }
            self.queues[at].on = false;
            self.queues[at].signal();
            if self.flaw == Some(Flaw::NextBeforeAllOff) && at + 1 < self.queues.len() {
                self.queues[at].next(self.number + 1);
                let mapped = (0..self.buffers.len()).filter(|&b| self.mapped[b]);
                mapped.for_each(|buffer| self.arm(buffer, at));
                self.look()?;
            }
        }
        self.evicted_at = Some(self.now);
        Ok(())
    }

    fn restore(&mut self) -> Result<(), String> {
        self.evicted_at = None;
        self.restored_at = self.now;
        if !self.mapped.contains(&true) {
            return Ok(());
        }
        self.number += 1;
        self.queues.iter_mut().for_each(|q| q.next(self.number));
        if self.flaw == Some(Flaw::FenceAfterQueues) {
            self.switch_on();
            self.look()?;
        }
        for buffer in (0..self.buffers.len()).filter(|&b| self.mapped[b]) {
            (0..self.queues.len()).for_each(|at| self.arm(buffer, at));
        }
        self.switch_on();
        Ok(())
    }

    /// What has to hold at every instant.
    fn look(&mut self) -> Result<(), String> {
        let carries = |object: &dyn Reservation, queues: &Queues| -> Result<bool, String> {
            let entries = object.entries().map_err(|error| error.to_string())?;
            let own = queues.timeline.id();
            Ok(entries.iter().any(|e| e.fence.timeline_id() == own))
        };
        for (buffer, object) in self.buffers.iter().enumerate() {
            for queues in self.queues.iter().filter(|q| q.on) {
                if self.mapped[buffer] && !carries(&**object, queues)? {
                    return Err(format!("queues are on and buffer {buffer} has no fence"));
                }
            }
        }
        let mut generations = self.queues.iter().flat_map(|q| &q.generations);
        if generations.any(|g| g.asked.load(Ordering::Relaxed) > 1) {
            return Err("a generation was asked twice".to_owned());
        }
        let numbers = |on: bool| {
            let queues = self.queues.iter().filter(move |q| q.on || !on);
            queues.filter_map(|q| q.pending().map(|g| g.number))
        };
        if numbers(true).min() < numbers(false).max() && numbers(true).min().is_some() {
            return Err("a queue runs under the last fence when another has the next".to_owned());
        }
        let (runs, now) = (self.runs(), self.now);
        let most = GRACE + STOP + self.kind.restored_after();
        for moving in &self.moves {
            let is_over = moving.waits.iter().all(Fence::is_signaled);
            let waited_for_us = !moving.waits.is_empty();
            if is_over && waited_for_us && runs && self.mapped[moving.buffer] {
                return Err(format!("buffer {} is moved under queues", moving.buffer));
            }
            if !is_over && now > moving.begun + most {
                return Err(format!("the move of buffer {} does not end", moving.buffer));
            }
        }
        self.moves
            .retain(|m| !m.waits.iter().all(Fence::is_signaled));
        Ok(())
    }

    /// No access but a move is shown an eviction fence.
    fn look_at_answers(&self) -> Result<(), String> {
        for object in &self.buffers {
            let has_category = object.semantics() != SemanticsKind::ExclusiveShared.name();
            for access in [Access::Explicit, Access::Read, Access::Write] {
                if access == Access::Write && !has_category {
                    continue;
                }
                let shown = object
                    .waits_for(access)
                    .map_err(|error| error.to_string())?;
                let is_ours = |fence: &Fence| {
                    let timeline = fence.timeline_id();
                    self.queues.iter().any(|q| q.timeline.id() == timeline)
                };
                if shown.iter().any(|entry| is_ours(&entry.fence)) {
                    return Err(format!("a {access} is shown an eviction fence"));
                }
            }
        }
        Ok(())
    }
}
