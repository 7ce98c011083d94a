//! From a reader's events to a compact list in time order.
//!
//! Tracers keep a buffer for each CPU and may print one after the other, so what happened is known only when all has been
//! read and sorted: by time, then by line. Names are kept once, and of a fence its moments only. So memory grows with jobs,
//! fences and waits, not with lines; and no recording gets more of it than [`MOST`] of them need.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use resv_api::{Access, Usage};

use super::fences::FenceTable;
use super::names::Names;
use super::recorded::At;
use crate::recording::{
    DependencyKind, Event, EventKind, FenceStep, JobEvent, JobKey, JobSource, ReadError, Reader,
    RequestDone, Waiter,
};

/// How often [`load`](super::load) tells of its progress, in events.
const PROGRESS_EVERY: u64 = 1024;
/// The most events of jobs, fences, waits and objects together that are kept of a recording.
pub(super) const MOST: usize = 1 << 24;
/// What ends this long after a watchdog's timer fired on the same CPU was brought about by it; and by its work item on the same
/// task.
const TIMER_NS: u64 = 1_000_000;
const WORK_NS: u64 = 1_000_000_000;

/// Something that happened, as small as it goes: a recording may hold millions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw {
    pub(super) at: At,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A place in [`Collected::sightings`].
    Sighting(u32),
    Done(JobKey),
    /// A place in [`Collected::requests`].
    RequestDone(u32),
    /// The signal of a fence on a context of jobs: a place in [`FenceTable::records`].
    Signal(u32),
    /// A place in [`Collected::waits`].
    Wait(u32),
    Move(u64),
    /// A place in [`Collected::adds`].
    Add(u32),
    Ask(Seen, Access),
    Busy(Seen, Access),
    Unlock(Seen),
}

/// A task at a reservation object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) task: Option<u32>,
    pub(super) resv: u64,
}

/// A fence was added to a reservation object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Added {
    pub(super) by: Seen,
    pub(super) usage: Usage,
    pub(super) context: u64,
    pub(super) seqno: u64,
    pub(super) lane: u32,
}

/// A job was queued or handed to the hardware.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) is_submit: bool,
    pub(super) is_early: bool,
    pub(super) key: JobKey,
    pub(super) id: Option<u64>,
    pub(super) lane: u32,
    /// The device; [`Collected::NO_DEVICE`] if the event does not say.
    pub(super) dev: u32,
    pub(super) entity: Option<u64>,
    /// The kernel's own DRM client submitted it.
    pub(super) by_kernel: bool,
}

/// The end of an i915 request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) key: JobKey,
    pub(super) lane: u32,
    pub(super) dev: u32,
    pub(super) is_retired: bool,
}

/// A job and a fence that it waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) waiter: WaitingJob,
    pub(super) context: u32,
    pub(super) seqno: u32,
    pub(super) pointer: Option<u64>,
    /// The scheduler found it pending and let the job lie.
    pub(super) is_blocked: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum WaitingJob {
    Key(JobKey),
    OnRing { lane: u32, id: u64 },
}

/// A watchdog that has run, and since when what ends may be its doing.
#[derive(Clone, Copy, Debug)]
struct Watching {
    function: &'static str,
    time_ns: u64,
    pid: Option<u32>,
}

/// All that matters of a recording, in time order.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) raws: Vec<Raw>,
    pub(super) sightings: Vec<Sighting>,
    pub(super) requests: Vec<Request>,
    pub(super) waits: Vec<Wait>,
    pub(super) adds: Vec<Added>,
    pub(super) fences: FenceTable,
    pub(super) lanes: Names,
    pub(super) devices: Names,
    /// Every context that any event names, modulo 2^32.
    pub(super) contexts: HashSet<u32>,
    /// The contexts of events that only a job can have.
    pub(super) job_contexts: HashSet<u32>,
    /// Of the ends that a watchdog brought about: the line, and the watchdog.
    pub(super) watchdogs: HashMap<u64, &'static str>,
    /// The names of the tasks that looked at objects, by thread id.
    pub(super) task_of: HashMap<u32, u32>,
    watching: HashMap<Option<u32>, Watching>,
}

impl Collected {
    /// The device of an event that does not say.
    pub(super) const NO_DEVICE: u32 = 0;

    /// Reads to the end, or as far as it goes. `progress` is told the bytes read so far, now and then and at the end.
    pub(super) fn read<R: BufRead>(
        reader: &mut Reader<R>,
        mut progress: impl FnMut(u64),
    ) -> (Collected, Option<ReadError>) {
        let mut collected = Collected::default();
        collected.devices.number("");
        let mut count = 0u64;
        let mut fault = None;
        while let Some(event) = reader.next() {
            match event {
                Ok(event) => collected.take(&event),
                Err(error) => fault = Some(error),
            }
            count += 1;
            if count.is_multiple_of(PROGRESS_EVERY) {
                progress(reader.bytes_read());
            }
            if collected.kept() > MOST {
                fault = Some(reader.too_many(MOST));
                break;
            }
        }
        progress(reader.bytes_read());
        collected.add_signals();
        collected.raws.sort_by_key(|raw| raw.at);
        (collected, fault)
    }

    fn kept(&self) -> usize {
        self.raws.len() + self.fences.len() + self.waits.len()
    }

    /// The signals of fences that may be those of jobs.
    fn add_signals(&mut self) {
        for (place, record) in (0..).zip(&self.fences.records) {
            if record.signaled != At::NONE && self.job_contexts.contains(&record.context) {
                self.raws.push(Raw {
                    at: record.signaled,
                    what: What::Signal(place),
                });
            }
        }
    }

    fn take(&mut self, event: &Event) {
        let at = At {
            time_ns: event.time_ns,
            line: event.line,
        };
        let what = match &event.kind {
            EventKind::Submit(job) => self.sighting(job, true, at),
            EventKind::Run(job) => self.sighting(job, false, at),
            EventKind::Done { job } => {
                self.context_of_job(*job);
                self.note_end(event);
                What::Done(*job)
            }
            EventKind::RequestDone(done) => self.request(done),
            EventKind::Fence(fence) => {
                self.contexts.insert(low(fence.context));
                if fence.step == FenceStep::Signaled {
                    self.note_end(event);
                }
                self.fences
                    .take(fence, at, &event.comm, event.pid.unwrap_or(0));
                return;
            }
            EventKind::Depends(depends) => {
                self.contexts.insert(low(depends.context));
                let waiter = match &depends.waiter {
                    Waiter::Job(key) => {
                        if let JobKey::Point { context, .. } = key {
                            self.contexts.insert(low(*context));
                        }
                        WaitingJob::Key(*key)
                    }
                    Waiter::OnRing { ring, id } => WaitingJob::OnRing {
                        lane: self.lanes.number(ring),
                        id: *id,
                    },
                };
                self.waits.push(Wait {
                    waiter,
                    context: low(depends.context),
                    seqno: low(depends.seqno),
                    pointer: depends.pointer,
                    is_blocked: depends.kind == DependencyKind::Blocked,
                });
                What::Wait(low(self.waits.len() as u64 - 1))
            }
            EventKind::Move(moved) => What::Move(moved.bo),
            EventKind::Add(add) => {
                self.context_of_job(JobKey::Point {
                    context: add.context,
                    seqno: add.seqno,
                });
                let lane = self.lanes.number(&add.timeline);
                self.adds.push(Added {
                    by: Seen {
                        task: event.pid,
                        resv: add.resv,
                    },
                    usage: add.usage,
                    context: add.context,
                    seqno: add.seqno,
                    lane,
                });
                What::Add(low(self.adds.len() as u64 - 1))
            }
            EventKind::Ask { resv, access } => {
                self.note_task(event);
                What::Ask(
                    Seen {
                        task: event.pid,
                        resv: *resv,
                    },
                    *access,
                )
            }
            EventKind::Busy { resv, access } => {
                self.note_task(event);
                What::Busy(
                    Seen {
                        task: event.pid,
                        resv: *resv,
                    },
                    *access,
                )
            }
            EventKind::Unlock { resv } => What::Unlock(Seen {
                task: event.pid,
                resv: *resv,
            }),
            EventKind::Watchdog { function } => {
                let watching = Watching {
                    function,
                    time_ns: event.time_ns,
                    pid: event.pid,
                };
                self.watching.insert(event.cpu, watching);
                return;
            }
            EventKind::Other { name } => {
                if !self.watching.is_empty() && is_return(name) {
                    // The idle task is one on every CPU.
                    let is_task = event.pid.is_some_and(|pid| pid != 0);
                    self.watching.retain(|cpu, watching| {
                        *cpu != event.cpu && !(is_task && watching.pid == event.pid)
                    });
                }
                return;
            }
        };
        self.raws.push(Raw { at, what });
    }

    /// Keeps the name of a task that looks at objects.
    fn note_task(&mut self, event: &Event) {
        let Some(pid) = event.pid else { return };
        if !self.task_of.contains_key(&pid) {
            let name = self.fences.tasks.number(&event.comm);
            self.task_of.insert(pid, name);
        }
    }

    /// Notes that a watchdog brought an end about, if one has just run there.
    fn note_end(&mut self, event: &Event) {
        if self.watching.is_empty() {
            return;
        }
        let since = |watching: &&Watching, most: u64| {
            event
                .time_ns
                .checked_sub(watching.time_ns)
                .is_some_and(|since| since <= most)
        };
        let here = self
            .watching
            .get(&event.cpu)
            .filter(|watching| since(watching, TIMER_NS));
        let found = here.or_else(|| {
            let mut all = self.watching.values();
            all.find(|watching| {
                event.pid.is_some_and(|pid| pid != 0)
                    && watching.pid == event.pid
                    && since(watching, WORK_NS)
            })
        });
        if let Some(watching) = found {
            self.watchdogs.insert(event.line, watching.function);
        }
    }

    fn request(&mut self, done: &RequestDone) -> What {
        self.context_of_job(done.job);
        self.requests.push(Request {
            key: done.job,
            lane: self.lanes.number(&done.engine),
            dev: self.devices.number(done.dev.as_deref().unwrap_or("")),
            is_retired: done.is_retired,
        });
        What::RequestDone(low(self.requests.len() as u64 - 1))
    }

    fn sighting(&mut self, job: &JobEvent, is_submit: bool, at: At) -> What {
        self.context_of_job(job.key);
        let lane = self.lanes.number(job.lane());
        for &(context, seqno) in &job.depends {
            self.contexts.insert(low(context));
            self.waits.push(Wait {
                waiter: WaitingJob::Key(job.key),
                context: low(context),
                seqno: low(seqno),
                pointer: None,
                is_blocked: false,
            });
            let what = What::Wait(low(self.waits.len() as u64 - 1));
            self.raws.push(Raw { at, what });
        }
        self.sightings.push(Sighting {
            is_submit,
            is_early: job.is_early,
            key: job.key,
            id: job.id,
            lane,
            dev: self.devices.number(job.dev.as_deref().unwrap_or("")),
            entity: job.entity,
            // Only the scheduler's events name the client.
            by_kernel: job.client == Some(0) && job.source == JobSource::DrmSched,
        });
        What::Sighting(low(self.sightings.len() as u64 - 1))
    }

    fn context_of_job(&mut self, key: JobKey) {
        if let JobKey::Point { context, .. } = key {
            self.contexts.insert(low(context));
            self.job_contexts.insert(low(context));
        }
    }
}

/// Events with which a timer's function or a work item ends.
fn is_return(event: &str) -> bool {
    matches!(
        event,
        "timer_expire_exit" | "workqueue_execute_end" | "hrtimer_expire_exit"
    )
}

/// Modulo 2^32: what `dma_fence_*` events print of a context or seqno.
pub(super) fn low(number: u64) -> u32 {
    number as u32
}
