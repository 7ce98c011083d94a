//! From a reader's events to a compact list in time order.
//!
//! Tracers keep a buffer for each CPU and may print one after the other, so what happened is known only when all has been
//! read and sorted. Sorting is stable: events of one instant stay in file order. Names are kept once.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use resv_api::{Access, Usage};

use crate::recording::{Event, EventKind, FenceStep, JobEvent, JobKey, ReadError, Reader, Waiter};

/// How often [`load`](super::load) tells of its progress, in events.
const PROGRESS_EVERY: u64 = 1024;

/// Something that happened, as small as it goes: a recording may hold millions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw {
    pub(super) time_ns: u64,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A place in [`Collected::sightings`].
    Sighting(u32),
    Done(JobKey),
    Signal {
        context: u32,
        seqno: u32,
        lane: u32,
    },
    /// A place in [`Collected::waits`].
    Wait(u32),
    Move(u64),
    /// A place in [`Collected::adds`].
    Add(u32),
    Ask(Seen, Access),
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
    pub(super) key: JobKey,
    pub(super) id: Option<u64>,
    pub(super) lane: u32,
    pub(super) entity: Option<u64>,
    /// The kernel's own DRM client submitted it.
    pub(super) by_kernel: bool,
}

/// A job and a fence that it waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) waiter: WaitingJob,
    pub(super) context: u32,
    pub(super) seqno: u32,
    pub(super) pointer: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum WaitingJob {
    Key(JobKey),
    OnRing { lane: u32, id: u64 },
}

/// All that matters of a recording, in time order.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) raws: Vec<Raw>,
    pub(super) sightings: Vec<Sighting>,
    pub(super) waits: Vec<Wait>,
    pub(super) adds: Vec<Added>,
    pub(super) lanes: Vec<String>,
    lane_index: HashMap<String, u32>,
    /// Every context that any event names, modulo 2^32.
    pub(super) contexts: HashSet<u32>,
    /// The contexts of events that only a job can have.
    pub(super) job_contexts: HashSet<u32>,
}

impl Collected {
    /// Reads to the end, or as far as it goes. `progress` is told the bytes read so far, now and then and at the end.
    pub(super) fn read<R: BufRead>(
        reader: &mut Reader<R>,
        mut progress: impl FnMut(u64),
    ) -> (Collected, Option<ReadError>) {
        let mut collected = Collected::default();
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
        }
        progress(reader.bytes_read());
        collected.raws.sort_by_key(|raw| raw.time_ns);
        (collected, fault)
    }

    fn take(&mut self, event: &Event) {
        let what = match &event.kind {
            EventKind::Submit(job) => self.sighting(job, true),
            EventKind::Run(job) => self.sighting(job, false),
            EventKind::Done { job } => {
                self.context_of_job(*job);
                What::Done(*job)
            }
            EventKind::Fence(fence) => {
                self.contexts.insert(low(fence.context));
                if fence.step != FenceStep::Signaled {
                    return;
                }
                What::Signal {
                    context: low(fence.context),
                    seqno: low(fence.seqno),
                    lane: self.lane(&fence.timeline),
                }
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
                        lane: self.lane(ring),
                        id: *id,
                    },
                };
                self.waits.push(Wait {
                    waiter,
                    context: low(depends.context),
                    seqno: low(depends.seqno),
                    pointer: depends.pointer,
                });
                What::Wait(low(self.waits.len() as u64 - 1))
            }
            EventKind::Move(moved) => What::Move(moved.bo),
            EventKind::Add(add) => {
                self.context_of_job(JobKey::Point {
                    context: add.context,
                    seqno: add.seqno,
                });
                let lane = self.lane(&add.timeline);
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
            EventKind::Ask { resv, access } => What::Ask(
                Seen {
                    task: event.pid,
                    resv: *resv,
                },
                *access,
            ),
            EventKind::Unlock { resv } => What::Unlock(Seen {
                task: event.pid,
                resv: *resv,
            }),
            EventKind::Other { .. } => return,
        };
        self.raws.push(Raw {
            time_ns: event.time_ns,
            what,
        });
    }

    fn sighting(&mut self, job: &JobEvent, is_submit: bool) -> What {
        self.context_of_job(job.key);
        let lane = self.lane(job.lane());
        self.sightings.push(Sighting {
            is_submit,
            key: job.key,
            id: job.id,
            lane,
            entity: job.entity,
            by_kernel: job.client == Some(0),
        });
        What::Sighting(low(self.sightings.len() as u64 - 1))
    }

    fn context_of_job(&mut self, key: JobKey) {
        if let JobKey::Point { context, .. } = key {
            self.contexts.insert(low(context));
            self.job_contexts.insert(low(context));
        }
    }

    fn lane(&mut self, name: &str) -> u32 {
        if let Some(&lane) = self.lane_index.get(name) {
            return lane;
        }
        let lane = low(self.lanes.len() as u64);
        self.lanes.push(name.to_owned());
        self.lane_index.insert(name.to_owned(), lane);
        lane
    }
}

/// Modulo 2^32: what `dma_fence_*` events print of a context or seqno.
pub(super) fn low(number: u64) -> u32 {
    number as u32
}
