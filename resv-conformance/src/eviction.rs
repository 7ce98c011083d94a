//! The life of an eviction fence, on a virtual clock and on real objects.
//!
//! # The concept
//!
//! A compute process runs on queues that nobody else sees. Each of its buffers carries a lazy fence of the
//! process, as bookkeep. To begin to wait for it is to ask for the eviction:
//!
//! | state | event | next |
//! |---|---|---|
//! | armed, queues on | a wait begins | requested; due 10 ms after the last restore at the earliest |
//! | requested | due | queues off, *then* the fence signals; evicted |
//! | evicted | 100 ms later | the next fence of the timeline is added to all buffers, *then* queues on; armed |
//! | armed | a buffer is unmapped | its fence there is replaced by one that has signalled; nobody is evicted |
//! | any | the process ends | queues off, the fence signals |
//!
//! [`World`] checks after each event what has to hold at every instant:
//!
//! * with queues on, every mapped buffer has a pending fence of the process;
//! * a move is over only when the queues that could touch the buffer are off, or the buffer is unmapped;
//! * an access other than a move asks no fence for its work;
//! * what was asked signals within a bound, so each wait ends.
//!
//! A [`Flaw`] is a way to get it wrong, which the checks find.

use resv_api::{Access, Edit, Fence, Reservation, Signaler, Timeline, Usage};
use resv_policy::objects::{begin_to_wait, pending_leaves};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Milliseconds from a restore to the next eviction, at least.
pub const GRACE: u64 = 10;
/// Milliseconds from an eviction to the restore.
pub const RESTORE: u64 = 100;

/// A way to do it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A reader waits for one fence made of all that the object shows.
    ArrayOfAll,
    /// A generation that is pending is replaced by the next.
    ReplacesPending,
    /// Queues are on before the new fence is in the buffers.
    FenceAfterQueues,
    /// The fence signals before the queues are off.
    SignalBeforeOff,
    /// Unmapping leaves the fence in the buffer.
    NeverRemoved,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Flaw; 5] = [
        Flaw::ArrayOfAll,
        Flaw::ReplacesPending,
        Flaw::FenceAfterQueues,
        Flaw::SignalBeforeOff,
        Flaw::NeverRemoved,
    ];
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The process maps a buffer.
    Map(usize),
    /// The process unmaps a buffer.
    Unmap(usize),
    /// Somebody begins an access to a buffer.
    Begin(usize, Access),
    /// Milliseconds pass.
    Pass(u64),
    /// The process ends.
    End,
}

/// A generation of the fence.
struct Generation {
    fence: Fence,
    signaler: Option<Signaler>,
    asked: Arc<AtomicUsize>,
    asked_at: Option<u64>,
}

/// A move that has begun: what it waits for.
struct Move {
    buffer: usize,
    waits: Vec<Fence>,
    begun: u64,
}

/// A process, its buffers, and their users.
pub struct World {
    flaw: Option<Flaw>,
    buffers: Vec<Box<dyn Reservation>>,
    mapped: Vec<bool>,
    timeline: Timeline,
    generations: Vec<Generation>,
    queues_on: bool,
    has_ended: bool,
    restored_at: u64,
    evicted_at: Option<u64>,
    moves: Vec<Move>,
    now: u64,
}

impl World {
    /// A process with these buffers, none of which it has mapped.
    pub fn new(buffers: Vec<Box<dyn Reservation>>, flaw: Option<Flaw>) -> World {
        let mapped = vec![false; buffers.len()];
        World {
            flaw,
            buffers,
            mapped,
            timeline: Timeline::new("compute"),
            generations: Vec::new(),
            queues_on: false,
            has_ended: false,
            restored_at: 0,
            evicted_at: None,
            moves: Vec::new(),
            now: 0,
        }
    }

    /// How often the fences of the process were asked for their work.
    pub fn asked(&self) -> usize {
        let asked = self.generations.iter().map(|g| &g.asked);
        asked.map(|asked| asked.load(Ordering::Relaxed)).sum()
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
            Event::Pass(time) => {
                for _ in 0..time {
                    self.now += 1;
                    self.tick()?;
                }
            }
            Event::End => self.end(),
        }
        self.tick()
    }

    fn map(&mut self, buffer: usize) {
        if self.has_ended || self.mapped[buffer] {
            return;
        }
        self.mapped[buffer] = true;
        if self.evicted_at.is_some() {
            return;
        }
        let is_pending = self
            .generations
            .last()
            .is_some_and(|g| g.signaler.is_some());
        let replaces = self.flaw == Some(Flaw::ReplacesPending) && is_pending;
        if !is_pending || replaces {
            self.next_generation();
        }
        let Some(generation) = self.generations.last() else {
            return;
        };
        let fence = generation.fence.clone();
        for (at, object) in self.buffers.iter().enumerate() {
            if at != buffer && replaces && self.mapped[at] {
                let edit = Edit::Replace {
                    timeline: self.timeline.id(),
                    fence: fence.clone(),
                    usage: Usage::Bookkeep,
                };
                object.transact(&[edit]).expect("there is memory");
            }
        }
        self.arm(buffer, &fence);
        self.queues_on = true;
    }

    fn arm(&self, buffer: usize, fence: &Fence) {
        let edit = Edit::Add {
            fence: fence.clone(),
            usage: Usage::Bookkeep,
        };
        let object = &self.buffers[buffer];
        object.transact(&[edit]).expect("there is memory");
    }

    fn next_generation(&mut self) {
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
        });
    }

    fn unmap(&mut self, buffer: usize) {
        self.mapped[buffer] = false;
        if self.flaw == Some(Flaw::NeverRemoved) {
            return;
        }
        let edit = Edit::Replace {
            timeline: self.timeline.id(),
            fence: Fence::signaled(),
            usage: Usage::Bookkeep,
        };
        let object = &self.buffers[buffer];
        object.transact(&[edit]).expect("there is memory");
    }

    fn begin(&mut self, buffer: usize, access: Access) {
        let object = &self.buffers[buffer];
        let shows = match self.flaw == Some(Flaw::ArrayOfAll) && access != Access::Move {
            true => object.entries(),
            false => object.waits_for(access),
        };
        let fences: Vec<Fence> = shows
            .expect("there is memory")
            .into_iter()
            .map(|entry| entry.fence)
            .collect();
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

    fn end(&mut self) {
        self.has_ended = true;
        self.queues_on = false;
        self.evicted_at = None;
        self.mapped.fill(false);
        if let Some(signaler) = self.generations.last_mut().and_then(|g| g.signaler.take()) {
            signaler.signal();
        }
    }

    /// Everything that is due now, with a look after each part of it.
    fn tick(&mut self) -> Result<(), String> {
        self.look()?;
        let now = self.now;
        let due = match self.generations.last_mut() {
            Some(generation) if generation.signaler.is_some() => {
                if generation.asked.load(Ordering::Relaxed) > 0 && generation.asked_at.is_none() {
                    generation.asked_at = Some(now);
                }
                generation.asked_at.is_some() && now >= self.restored_at + GRACE
            }
            _ => false,
        };
        if due {
            let signaler = self.generations.last_mut().and_then(|g| g.signaler.take());
            let early = self.flaw == Some(Flaw::SignalBeforeOff);
            if !early {
                self.queues_on = false;
            }
            if let Some(signaler) = signaler {
                signaler.signal();
            }
            if early {
                self.look()?;
                self.queues_on = false;
            }
            self.evicted_at = Some(now);
            self.look()?;
        }
        if self.evicted_at.is_some_and(|at| now >= at + RESTORE) {
            self.evicted_at = None;
            self.restored_at = now;
            if self.mapped.contains(&true) {
                self.next_generation();
                if self.flaw == Some(Flaw::FenceAfterQueues) {
                    self.queues_on = true;
                    self.look()?;
                }
                let fence = self.generations[self.generations.len() - 1].fence.clone();
                for buffer in (0..self.buffers.len()).filter(|&b| self.mapped[b]) {
                    self.arm(buffer, &fence);
                }
                self.queues_on = true;
            }
        }
        self.look()
    }

    /// What has to hold at every instant.
    fn look(&mut self) -> Result<(), String> {
        for (buffer, object) in self.buffers.iter().enumerate() {
            let entries = object.entries().map_err(|error| error.to_string())?;
            let own = self.timeline.id();
            let carries = entries.iter().any(|e| e.fence.timeline_id() == own);
            if self.queues_on && self.mapped[buffer] && !carries {
                return Err(format!("queues are on and buffer {buffer} has no fence"));
            }
        }
        if self
            .generations
            .iter()
            .any(|g| g.asked.load(Ordering::Relaxed) > 1)
        {
            return Err("a generation was asked twice".to_owned());
        }
        let (queues_on, now) = (self.queues_on, self.now);
        for moving in &self.moves {
            let is_over = moving.waits.iter().all(Fence::is_signaled);
            let waited_for_us = !moving.waits.is_empty();
            if is_over && waited_for_us && queues_on && self.mapped[moving.buffer] {
                return Err(format!("buffer {} is moved under queues", moving.buffer));
            }
            if !is_over && now > moving.begun + GRACE + RESTORE {
                return Err(format!("the move of buffer {} does not end", moving.buffer));
            }
        }
        self.moves
            .retain(|m| !m.waits.iter().all(Fence::is_signaled));
        Ok(())
    }
}
