//! The device: a job waits in its queue until the fences it depends on have signalled and its ring is free; a ring runs one
//! job at a time, in the order it took them.
//!
//! Dependencies are found as Linux finds them since 5.19: the pending fences of other timelines that the access of the new
//! job has to respect (kernel < write < read < bookkeep), the latest of each timeline, and whatever the submitter names
//! explicitly. Time is in microseconds from the start of the recording.

use std::collections::{BTreeMap, BTreeSet};

use super::Dice;

/// A job's finished fence: context and seqno.
pub(super) type Key = (u64, u64);

/// A hardware ring.
pub(super) struct Ring {
    pub(super) name: &'static str,
    /// The context and next seqno of the fences that the hardware itself signals.
    context: u64,
    seqno: u64,
    running: Option<Key>,
    queue: BTreeSet<Key>,
}

/// A queue of jobs, and so a timeline.
#[derive(Clone, Copy)]
pub(super) struct Queue {
    pub(super) context: u64,
    pub(super) ring: usize,
    pub(super) client: u64,
    pub(super) task: Task,
}

/// A thread.
#[derive(Clone, Copy)]
pub(super) struct Task {
    pub(super) comm: &'static str,
    pub(super) pid: u32,
}

/// A buffer that a job touches, as the sidecar writes it: `NAME USAGE[/ACCESS]`.
struct Touch {
    buffer: String,
    usage: u8,
    /// The weakest usage it waits for.
    waits_for: u8,
}

impl Touch {
    fn new(text: &str) -> Touch {
        let (buffer, usage) = text.split_once(' ').unwrap_or((text, "write"));
        let (usage, access) = usage.split_once('/').unwrap_or((usage, ""));
        let usage = match usage {
            "kernel" => 0,
            "write" => 1,
            "read" => 2,
            _ => 3,
        };
        let waits_for = match (access, usage) {
            ("explicit", _) | ("", 3) => 0,
            ("read", _) | ("", 2) => 1,
            ("write", _) | ("", 1) => 2,
            _ => 3,
        };
        Touch {
            buffer: buffer.to_owned(),
            usage,
            waits_for,
        }
    }
}

/// A job, from its submission on.
pub(super) struct Job {
    /// The buffers, as the sidecar writes them.
    pub(super) touches: Vec<String>,
    queue: Queue,
    depends_on: BTreeMap<u64, u64>,
    takes: i64,
    queued_at: i64,
    hardware_seqno: u64,
    done: bool,
    said_blocked: bool,
    waiters: Vec<Task>,
}

/// A recorded line.
pub(super) struct Record {
    pub(super) at: i64,
    pub(super) task: Task,
    pub(super) flags: &'static str,
    pub(super) event: &'static str,
    pub(super) fields: String,
    /// The job that it tells of.
    pub(super) job: Option<Key>,
}

/// What the device wants to be called back for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Todo {
    /// See whether the ring can take a job.
    Feed(usize),
    /// The ring's job is done.
    Finish(usize),
    /// A thread begins to wait for a job, if that is still pending.
    Wait(Key, &'static str, u32),
    /// A thread wakes.
    Wake(Key, &'static str, u32),
}

const SCHEDULER: Task = Task {
    comm: "kworker/u32:4",
    pid: 512,
};
/// Whom the interrupt hits.
const INTERRUPTED: [Task; 4] = [
    Task {
        comm: "<idle>",
        pid: 0,
    },
    Task {
        comm: "<idle>",
        pid: 0,
    },
    Task {
        comm: "orbit game",
        pid: 2284,
    },
    Task {
        comm: "compositor",
        pid: 1198,
    },
];

/// The device and what was recorded of it.
pub(super) struct Gpu {
    pub(super) records: Vec<Record>,
    pub(super) jobs: BTreeMap<Key, Job>,
    rings: Vec<Ring>,
    next_seqno: BTreeMap<u64, u64>,
    /// Pending fences with their usage.
    buffers: BTreeMap<String, Vec<(Key, u8)>>,
    todo: BTreeSet<(i64, u64, Todo)>,
    todo_count: u64,
    dice: Dice,
    now: i64,
}

impl Gpu {
    pub(super) fn new(rings: &[(&'static str, u64, u64)]) -> Gpu {
        let rings = rings.iter().map(|&(name, context, seqno)| Ring {
            name,
            context,
            seqno,
            running: None,
            queue: BTreeSet::new(),
        });
        Gpu {
            records: Vec::new(),
            jobs: BTreeMap::new(),
            rings: rings.collect(),
            next_seqno: BTreeMap::new(),
            buffers: BTreeMap::new(),
            todo: BTreeSet::new(),
            todo_count: 0,
            dice: Dice::new(0x6a09_e667),
            now: i64::MIN,
        }
    }

    /// Sets the first seqno of a timeline.
    pub(super) fn start_at(&mut self, context: u64, seqno: u64) {
        self.next_seqno.insert(context, seqno);
    }

    pub(super) fn is_pending(&self, key: Key) -> bool {
        self.jobs.get(&key).is_some_and(|job| !job.done)
    }

    pub(super) fn pending_of(&self, context: u64) -> usize {
        let jobs = self.jobs.range((context, 0)..=(context, u64::MAX));
        jobs.filter(|(_, job)| !job.done).count()
    }

    /// When the device next has something to do.
    pub(super) fn next_at(&self) -> Option<i64> {
        self.todo.first().map(|&(at, _, _)| at)
    }

    pub(super) fn later(&mut self, at: i64, todo: Todo) {
        self.todo_count += 1;
        self.todo.insert((at, self.todo_count, todo));
    }

    /// Submits a job; `after` are jobs that the submitter waits for explicitly.
    pub(super) fn submit(
        &mut self,
        now: i64,
        queue: Queue,
        takes: i64,
        touches: &[String],
        after: &[Key],
    ) -> Key {
        self.now = now;
        let seqno = self.next_seqno.entry(queue.context).or_insert(1);
        let key = (queue.context, *seqno);
        *seqno += 1;
        let parsed: Vec<Touch> = touches.iter().map(|text| Touch::new(text)).collect();
        let implicit = parsed.iter().flat_map(|touch| {
            let fences = self.buffers.get(&touch.buffer).into_iter().flatten();
            let due = fences.filter(|&&(_, usage)| usage <= touch.waits_for);
            due.map(|&(fence, _)| fence)
        });
        let explicit = after.iter().copied().filter(|&key| self.is_pending(key));
        let mut depends_on: BTreeMap<u64, u64> = BTreeMap::new();
        for (context, seqno) in implicit.chain(explicit) {
            if context != queue.context {
                let latest = depends_on.entry(context).or_default();
                *latest = seqno.max(*latest);
            }
        }
        for touch in parsed {
            let fences = self.buffers.entry(touch.buffer).or_default();
            fences.push((key, touch.usage));
        }
        let waiting = 1 + self.pending_of(queue.context);
        let fields = self.job_fields(key, queue, waiting);
        self.record(queue.task, "....1", "drm_sched_job_queue", fields, key);
        for (context, seqno) in &depends_on {
            let fields = format!(
                "fence={}:{} depends on fence={context}:{seqno}",
                key.0, key.1
            );
            self.record(queue.task, "....1", "drm_sched_job_add_dep", fields, key);
        }
        self.jobs.insert(
            key,
            Job {
                touches: touches.to_vec(),
                queue,
                depends_on,
                takes,
                queued_at: now,
                hardware_seqno: 0,
                done: false,
                said_blocked: false,
                waiters: Vec::new(),
            },
        );
        self.rings[queue.ring].queue.insert(key);
        self.later(now + 7, Todo::Feed(queue.ring));
        key
    }

    /// Does the next thing.
    pub(super) fn step(&mut self) {
        let Some((at, _, todo)) = self.todo.pop_first() else {
            return;
        };
        self.now = at;
        match todo {
            Todo::Feed(ring) => self.feed(ring),
            Todo::Finish(ring) => self.finish(ring),
            Todo::Wait(key, comm, pid) => {
                if self.is_pending(key) {
                    let task = Task { comm, pid };
                    self.record_fence(task, ".....", "dma_fence_wait_start", key);
                    if let Some(job) = self.jobs.get_mut(&key) {
                        job.waiters.push(task);
                    }
                }
            }
            Todo::Wake(key, comm, pid) => {
                self.record_fence(Task { comm, pid }, ".....", "dma_fence_wait_end", key);
            }
        }
    }

    /// Gives a free ring the job that was queued first among those that head their queue and wait for nothing.
    fn feed(&mut self, ring: usize) {
        if self.rings[ring].running.is_some() {
            return;
        }
        let mut heads: BTreeMap<u64, Key> = BTreeMap::new();
        for &key in &self.rings[ring].queue {
            heads.entry(key.0).or_insert(key);
        }
        let mut best: Option<(i64, Key)> = None;
        for key in heads.into_values() {
            let job = &self.jobs[&key];
            let depends_on = job
                .depends_on
                .iter()
                .map(|(&context, &seqno)| (context, seqno));
            match depends_on.into_iter().find(|&on| self.is_pending(on)) {
                None => {
                    let candidate = (job.queued_at, key);
                    best = Some(best.map_or(candidate, |best| best.min(candidate)));
                }
                Some(on) => {
                    if !job.said_blocked {
                        let fields = format!(
                            "fence={}:{} depends on unsignalled fence={}:{}",
                            key.0, key.1, on.0, on.1
                        );
                        let event = "drm_sched_job_unschedulable";
                        self.record(SCHEDULER, ".....", event, fields, key);
                        if let Some(job) = self.jobs.get_mut(&key) {
                            job.said_blocked = true;
                        }
                    }
                }
            }
        }
        if let Some((_, key)) = best {
            self.start(ring, key);
        }
    }

    fn start(&mut self, ring: usize, key: Key) {
        let hardware_seqno = self.rings[ring].seqno;
        self.rings[ring].seqno += 1;
        self.rings[ring].queue.remove(&key);
        self.rings[ring].running = Some(key);
        let (queue, takes) = {
            let job = &self.jobs[&key];
            (job.queue, job.takes)
        };
        let waiting = self.pending_of(key.0);
        let fields = self.job_fields(key, queue, waiting);
        self.record(SCHEDULER, ".....", "drm_sched_job_run", fields, key);
        if let Some(job) = self.jobs.get_mut(&key) {
            job.hardware_seqno = hardware_seqno;
        }
        let fields = self.hardware_fence(ring, hardware_seqno);
        self.record(SCHEDULER, "....1", "dma_fence_emit", fields, key);
        self.later(self.now + takes, Todo::Finish(ring));
    }

    fn finish(&mut self, ring: usize) {
        let Some(key) = self.rings[ring].running.take() else {
            return;
        };
        let mut waiters = Vec::new();
        let mut hardware_seqno = 0;
        if let Some(job) = self.jobs.get_mut(&key) {
            job.done = true;
            waiters.append(&mut job.waiters);
            hardware_seqno = job.hardware_seqno;
        }
        for fences in self.buffers.values_mut() {
            fences.retain(|&(fence, _)| fence != key);
        }
        let hit = INTERRUPTED[self.dice.between(0, 3) as usize];
        let fields = self.hardware_fence(ring, hardware_seqno);
        self.record(hit, "d.h1.", "dma_fence_signaled", fields, key);
        let fields = format!("fence={}:{} signaled", key.0, key.1);
        self.record(hit, "d.h2.", "drm_sched_job_done", fields, key);
        self.record_fence(hit, "d.h3.", "dma_fence_signaled", key);
        for task in waiters {
            let at = self.now + self.dice.between(9, 40);
            self.later(at, Todo::Wake(key, task.comm, task.pid));
        }
        for ring in 0..self.rings.len() {
            self.later(self.now + 5, Todo::Feed(ring));
        }
    }

    fn job_fields(&self, key: Key, queue: Queue, waiting: usize) -> String {
        let ring = &self.rings[queue.ring];
        format!(
            "dev=0000:03:00.0, fence={}:{}, ring={}, job count:{waiting}, hw job count:{}, client_id:{}",
            key.0,
            key.1,
            ring.name,
            u32::from(ring.running.is_some()),
            queue.client
        )
    }

    fn hardware_fence(&self, ring: usize, seqno: u64) -> String {
        let Ring { name, context, .. } = self.rings[ring];
        format!("driver=amdgpu timeline={name} context={context} seqno={seqno}")
    }

    /// Records an event of a job's finished fence.
    fn record_fence(&mut self, task: Task, flags: &'static str, event: &'static str, key: Key) {
        let ring = self.rings[self.jobs[&key].queue.ring].name;
        let fields = format!(
            "driver=drm_sched timeline={ring} context={} seqno={}",
            key.0, key.1
        );
        self.record(task, flags, event, fields, key);
    }

    fn record(
        &mut self,
        task: Task,
        flags: &'static str,
        event: &'static str,
        fields: String,
        job: Key,
    ) {
        self.records.push(Record {
            at: self.now,
            task,
            flags,
            event,
            fields,
            job: Some(job),
        });
    }

    /// Records an event that no job caused.
    pub(super) fn note(&mut self, at: i64, task: Task, event: &'static str, fields: String) {
        let flags = if task.pid == 0 { "d.h1." } else { "....1" };
        self.records.push(Record {
            at,
            task,
            flags,
            event,
            fields,
            job: None,
        });
    }
}
