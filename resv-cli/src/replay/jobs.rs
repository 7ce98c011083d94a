//! From events in time order to jobs: who is who, where each job begins and ends.
//!
//! # Who is who
//!
//! Kernels name a job in three ways, and a recording may use more than one of them for the same job:
//!
//! * by context and seqno of its finished fence (amdgpu; the scheduler since Linux 6.17; the fence's own signal, which shows
//!   the low 32 bits of both);
//! * by the address of that fence (the scheduler before). An address is a job's from its first event to its end; after that
//!   it may be another one's. Such jobs get a timeline for each queue (entity) that submits them, for each ring where no
//!   queue is printed, with made-up numbers in order of first sight;
//! * by ring and number on it, which joins the other two and is how a blocked job is named before Linux 6.17.
//!
//! A recording of this project's own library has no submissions: there a job is a fence that was added to a reservation object,
//! and the first add is its submission.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use super::collect::{Added, Collected, Request, Sighting, WaitingJob, What, low};
use super::fences::{self, readable};
use super::lists::Lists;
use super::objects::Objects;
use super::polls::polls;
use super::recorded::{
    At, Blocked, Counts, FenceRef, Job, JobId, Moved, Recorded, Ring, Step, TaskWait, TimelineInfo,
};
use crate::recording::{JobKey, ReadError, Reader};

/// Reads a recording to its end, or as far as it goes: then the fault that ended the reading comes with it. `progress` is told
/// the bytes read so far ([`Reader::bytes_read`]), now and then.
///
/// Whether the recording holds any GPU event at all is for [`Reader::finish`] to say.
///
/// ```
/// use resv_cli::recording::Reader;
/// use resv_cli::replay::load;
///
/// let text = "\
/// app-7 [000] 1.000000: amdgpu_cs_ioctl: sched_job=1, timeline=gfx, context=9, seqno=4, ring_name=gfx, num_ibs=1
/// irq-9 [000] 1.000500: dma_fence_signaled: driver=amd_sched timeline=gfx context=9 seqno=4
/// ";
/// let (recorded, fault) = load(&mut Reader::new("demo", text.as_bytes()), |_| {});
/// assert!(fault.is_none());
/// assert_eq!(recorded.job_name(0), "gfx#9:4");
/// assert_eq!(recorded.jobs()[0].end_ns, Some(1_000_500_000));
/// ```
pub fn load<R: BufRead>(
    reader: &mut Reader<R>,
    progress: impl FnMut(u64),
) -> (Recorded, Option<ReadError>) {
    let (mut collected, fault) = Collected::read(reader, progress);
    let unnumbered = collected.fences.number_fences();
    let raws = std::mem::take(&mut collected.raws);
    let mut finder = Finder::new(collected);
    finder.counts.fences_unnumbered = unnumbered;
    for raw in raws {
        finder.take(raw.at, raw.what);
    }
    if finder.drafts.is_empty() {
        finder.play_fences();
    }
    (finder.finish(reader), fault)
}

/// The driver of fences that have signalled from the beginning and belong to nobody.
const STUB: &str = "stub";

/// What is known of a job so far.
#[derive(Clone, Copy, Debug)]
struct Draft {
    point: Option<(u64, u64)>,
    pointer: Option<u64>,
    entity: Option<u64>,
    lane: Option<u32>,
    dev: u32,
    id: Option<u64>,
    first: At,
    submit: Option<At>,
    run: Option<At>,
    /// When it was about to be handed to the hardware, where that is all that is recorded.
    run_early: Option<At>,
    done: Option<At>,
    /// When its end was noticed, where that is all that is recorded.
    retired: Option<At>,
    ended_first: bool,
    by_kernel: bool,
    /// 0; else it is the second, third... job under this name, on another device than those before.
    twin: u32,
}

impl Draft {
    fn new(first: At) -> Draft {
        Draft {
            point: None,
            pointer: None,
            entity: None,
            lane: None,
            dev: Collected::NO_DEVICE,
            id: None,
            first,
            submit: None,
            run: None,
            run_early: None,
            done: None,
            retired: None,
            ended_first: false,
            by_kernel: false,
            twin: 0,
        }
    }

    fn begin(&self) -> At {
        self.submit.unwrap_or(self.first)
    }

    /// Whether a sighting under this job's address is of another job, which has the address now.
    fn is_other_than(&self, sighting: &Sighting) -> bool {
        if let (Some(have), Some(seen)) = (self.id, sighting.id) {
            return have != seen;
        }
        sighting.is_submit && self.submit.is_some()
    }

    /// Whether it ran on another device than that of a sighting.
    fn ran_elsewhere(&self, sighting: &Sighting) -> bool {
        let is_known = self.dev != Collected::NO_DEVICE && sighting.dev != Collected::NO_DEVICE;
        is_known && !sighting.is_submit && self.run.is_some() && self.dev != sighting.dev
    }
}

/// One end of a dependency: found already, or to be looked up when all jobs are known.
#[derive(Clone, Copy)]
enum End {
    Job(usize),
    Point(u32, u32),
    Unknown,
}

/// What tells one timeline from another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Line {
    Context(u32, u32),
    Queue {
        lane: Option<u32>,
        entity: Option<u64>,
    },
}

/// The contexts in use, and from where on to look for one that is not.
struct Contexts {
    seen: HashSet<u32>,
    next: u32,
}

impl Contexts {
    fn make_up(&mut self) -> u32 {
        while !self.seen.insert(self.next) {
            self.next = self.next.wrapping_add(1);
        }
        self.next
    }
}

struct Finder {
    collected: Collected,
    drafts: Vec<Draft>,
    points: HashMap<(u32, u32), usize>,
    /// Addresses in use, and whose they are.
    live: HashMap<u64, usize>,
    /// Jobs by device, ring and number; by device 0, too, for events that do not name it.
    numbers: HashMap<(u32, u32, u64), usize>,
    waits: Vec<(End, End)>,
    blocked: Vec<(End, At, End)>,
    plays_fences: bool,
    moves: Vec<Moved>,
    objects: Objects,
    counts: Counts,
}

impl Finder {
    fn new(collected: Collected) -> Self {
        Finder {
            collected,
            drafts: Vec::new(),
            points: HashMap::new(),
            live: HashMap::new(),
            numbers: HashMap::new(),
            waits: Vec::new(),
            blocked: Vec::new(),
            plays_fences: false,
            moves: Vec::new(),
            objects: Objects::default(),
            counts: Counts::default(),
        }
    }

    fn take(&mut self, at: At, what: What) {
        match what {
            What::Sighting(place) => {
                let sighting = self.collected.sightings[place as usize];
                self.sighting(at, &sighting);
            }
            What::Done(key) => {
                let job = match key {
                    JobKey::Point { context, seqno } => self.at_point(at, context, seqno),
                    JobKey::Pointer(pointer) => match self.live.remove(&pointer) {
                        Some(job) => job,
                        None => self.add(Draft {
                            pointer: Some(pointer),
                            ..Draft::new(at)
                        }),
                    },
                };
                self.done(job, at);
            }
            What::RequestDone(place) => {
                let request = self.collected.requests[place as usize];
                self.request_done(at, &request);
            }
            What::Signal(place) => {
                let record = self.collected.fences.records[place as usize];
                self.counts.job_signals += u64::from(record.signals);
                let job = self.at_point(at, record.context.into(), record.seqno.into());
                let lane = self.collected.fences.timeline(record.context);
                let draft = &mut self.drafts[job];
                if draft.lane.is_none()
                    && let Some(lane) = lane
                {
                    let name = self.collected.fences.names.name(lane);
                    draft.lane = Some(self.collected.lanes.number(name));
                }
                self.done(job, at);
            }
            What::Wait(place) => self.wait(at, place),
            What::Add(place) => {
                let added = self.collected.adds[place as usize];
                self.add_to_object(at, &added);
            }
            What::Ask(seen, access) => self.objects.ask(seen, access, at),
            What::Busy(seen, access) => self.objects.look(seen, access, at),
            What::Unlock(seen) => self.objects.unlock(seen),
            What::Move(bo) => self.moves.push(Moved { at, bo }),
        }
    }

    fn add(&mut self, draft: Draft) -> usize {
        self.drafts.push(draft);
        self.drafts.len() - 1
    }

    fn at_point(&mut self, at: At, context: u64, seqno: u64) -> usize {
        let low_bits = (low(context), low(seqno));
        match self.points.get(&low_bits) {
            Some(&job) => {
                // The widest form seen is the whole one.
                if let Some(point) = &mut self.drafts[job].point {
                    *point = (point.0.max(context), point.1.max(seqno));
                }
                job
            }
            None => {
                let job = self.add(Draft {
                    point: Some((context, seqno)),
                    ..Draft::new(at)
                });
                self.points.insert(low_bits, job);
                job
            }
        }
    }

    /// The job with this number on its ring, if it has no name of the given kind yet.
    fn by_number(&self, sighting: &Sighting, is_nameless: fn(&Draft) -> bool) -> Option<usize> {
        let (dev, id) = (sighting.dev, sighting.id?);
        let here = self.numbers.get(&(dev, sighting.lane, id));
        let anywhere = || self.numbers.get(&(Collected::NO_DEVICE, sighting.lane, id));
        let &job = here.or_else(anywhere)?;
        let draft = &self.drafts[job];
        let is_here = [draft.dev, dev].contains(&Collected::NO_DEVICE) || draft.dev == dev;
        (is_here && draft.done.is_none() && is_nameless(draft)).then_some(job)
    }

    fn find(&mut self, at: At, sighting: &Sighting) -> usize {
        match sighting.key {
            JobKey::Point { context, seqno } => {
                let low_bits = (low(context), low(seqno));
                if !self.points.contains_key(&low_bits)
                    && let Some(job) = self.by_number(sighting, |draft| draft.point.is_none())
                {
                    self.drafts[job].point = Some((context, seqno));
                    self.points.insert(low_bits, job);
                }
                let job = self.at_point(at, context, seqno);
                if !self.drafts[job].ran_elsewhere(sighting) {
                    return job;
                }
                let twin = self.add(Draft {
                    point: Some((context, seqno)),
                    twin: self.drafts[job].twin + 1,
                    ..Draft::new(at)
                });
                self.points.insert(low_bits, twin);
                twin
            }
            JobKey::Pointer(pointer) => {
                let live = self.live.get(&pointer).copied();
                let job = live
                    .filter(|&job| !self.drafts[job].is_other_than(sighting))
                    .or_else(|| self.by_number(sighting, |draft| draft.pointer.is_none()))
                    .unwrap_or_else(|| self.add(Draft::new(at)));
                self.drafts[job].pointer = Some(pointer);
                self.live.insert(pointer, job);
                job
            }
        }
    }

    fn sighting(&mut self, at: At, sighting: &Sighting) {
        let job = self.find(at, sighting);
        if let Some(id) = sighting.id {
            for dev in [Collected::NO_DEVICE, sighting.dev] {
                self.numbers.insert((dev, sighting.lane, id), job);
            }
        }
        let draft = &mut self.drafts[job];
        draft.id = draft.id.or(sighting.id);
        draft.entity = draft.entity.or(sighting.entity);
        draft.lane.get_or_insert(sighting.lane);
        let is_better = draft.dev == Collected::NO_DEVICE || !sighting.is_submit;
        if is_better && sighting.dev != Collected::NO_DEVICE {
            draft.dev = sighting.dev;
        }
        draft.by_kernel |= sighting.by_kernel;
        let step = match (sighting.is_submit, sighting.is_early) {
            (true, _) => &mut draft.submit,
            (false, true) => &mut draft.run_early,
            (false, false) => &mut draft.run,
        };
        step.get_or_insert(at);
    }

    fn request_done(&mut self, at: At, request: &Request) {
        let JobKey::Point { context, seqno } = request.key else {
            return;
        };
        let job = self.at_point(at, context, seqno);
        let draft = &mut self.drafts[job];
        draft.lane.get_or_insert(request.lane);
        if draft.dev == Collected::NO_DEVICE {
            draft.dev = request.dev;
        }
        if request.is_retired {
            draft.retired.get_or_insert(at);
        } else {
            self.done(job, at);
        }
    }

    /// Makes every fence a piece of work: the recording has no jobs.
    fn play_fences(&mut self) {
        let mut records = self.collected.fences.records.clone();
        let table = &self.collected.fences;
        records.retain(|record| table.driver(record.context) != STUB);
        records.sort_by_key(|record| table.begin(record).min(record.signaled));
        for record in records {
            let begin = self.collected.fences.begin(&record).known();
            let Some(first) = begin.or(record.signaled.known()) else {
                continue;
            };
            self.plays_fences = true;
            let lane = self.collected.fences.timeline(record.context);
            let name = lane.map_or("", |lane| self.collected.fences.names.name(lane));
            let lane = self.collected.lanes.number(name);
            let dev = self
                .collected
                .devices
                .number(self.collected.fences.driver(record.context));
            let job = self.add(Draft {
                point: Some((record.context.into(), record.seqno.into())),
                lane: Some(lane),
                dev,
                submit: begin,
                run: begin,
                done: record.signaled.known(),
                ended_first: begin.is_none(),
                ..Draft::new(first)
            });
            self.points.insert((record.context, record.seqno), job);
        }
    }

    fn add_to_object(&mut self, at: At, added: &Added) {
        let job = self.at_point(at, added.context, added.seqno);
        let draft = &mut self.drafts[job];
        draft.lane.get_or_insert(added.lane);
        let submit = *draft.submit.get_or_insert(at);
        self.objects.add(job, added, at, submit);
    }

    fn done(&mut self, job: usize, at: At) {
        let draft = &mut self.drafts[job];
        if draft.done.is_none() {
            draft.ended_first = draft.first == at;
            draft.done = Some(at);
        }
    }

    fn wait(&mut self, at: At, place: u32) {
        self.counts.dependency_events += 1;
        let wait = self.collected.waits[place as usize];
        let live = |pointer: u64| self.live.get(&pointer).map(|&job| End::Job(job));
        let waiter = match wait.waiter {
            WaitingJob::Key(JobKey::Point { context, seqno }) => {
                End::Point(low(context), low(seqno))
            }
            WaitingJob::Key(JobKey::Pointer(pointer)) => live(pointer).unwrap_or(End::Unknown),
            WaitingJob::OnRing { lane, id } => self
                .numbers
                .get(&(Collected::NO_DEVICE, lane, id))
                .map_or(End::Unknown, |&job| End::Job(job)),
        };
        let on = wait
            .pointer
            .and_then(live)
            .unwrap_or(End::Point(wait.context, wait.seqno));
        self.waits.push((waiter, on));
        if wait.is_blocked {
            self.blocked.push((waiter, at, on));
        }
    }

    /// The drafts of each timeline in the order of their seqnos; timelines in order of first mention.
    fn lines(&self) -> Vec<(Line, Vec<usize>)> {
        let mut lines: Vec<(Line, Vec<usize>)> = Vec::new();
        let mut index: HashMap<Line, usize> = HashMap::new();
        for (job, draft) in self.drafts.iter().enumerate() {
            let line = match draft.point {
                Some((context, _)) => Line::Context(low(context), draft.twin),
                None => Line::Queue {
                    lane: draft.lane,
                    entity: draft.entity,
                },
            };
            let place = *index.entry(line).or_insert_with(|| {
                lines.push((line, Vec::new()));
                lines.len() - 1
            });
            lines[place].1.push(job);
        }
        for (_, jobs) in &mut lines {
            let seqno = |job: usize| self.drafts[job].point.map_or(0, |(_, seqno)| low(seqno));
            let base = jobs.first().map_or(0, |&job| seqno(job));
            // Around the first one seen, as 32 bit seqnos may wrap. Made-up numbers are in order of sight.
            jobs.sort_by_key(|&job| (seqno(job).wrapping_sub(base).cast_signed(), job));
        }
        lines
    }

    fn finish<R: BufRead>(mut self, reader: &Reader<R>) -> Recorded {
        for draft in &mut self.drafts {
            draft.run = draft.run.or(draft.run_early);
            if draft.done.is_none()
                && let Some(retired) = draft.retired
            {
                draft.ended_first = draft.first == retired;
                draft.done = Some(retired);
            }
        }
        let lines = self.lines();
        let mut contexts = Contexts {
            seen: self.collected.contexts.clone(),
            next: 1,
        };
        let mut timelines = Vec::with_capacity(lines.len());
        let mut jobs: Vec<Job> = Vec::with_capacity(self.drafts.len());
        let mut steps = Vec::with_capacity(2 * self.drafts.len());
        let (rings, ring_of) = self.rings();
        // From drafts, in order of sight, to jobs, in order of timeline and seqno.
        let mut numbers: Vec<JobId> = vec![0; self.drafts.len()];
        for (line, members) in &lines {
            let place = timelines.len() as u32;
            let start = jobs.len() as JobId;
            let info = self.timeline(*line, members, start, &mut contexts);
            let ends = self.ends(members);
            for (at, &member) in members.iter().enumerate() {
                let draft = &self.drafts[member];
                numbers[member] = jobs.len() as JobId;
                let begin = draft.begin();
                steps.push(Step {
                    at: begin,
                    is_end: false,
                    job: jobs.len() as JobId,
                });
                if let Some(end) = ends[at] {
                    steps.push(Step {
                        at: end,
                        is_end: true,
                        job: jobs.len() as JobId,
                    });
                }
                let watchdogs = &self.collected.watchdogs;
                jobs.push(Job {
                    timeline: place,
                    seqno: draft.point.map_or(at as u64 + 1, |(_, seqno)| seqno),
                    submit_ns: draft.submit.map(|at| at.time_ns),
                    run_ns: draft.run.map(|at| at.time_ns),
                    done_ns: draft.done.map(|at| at.time_ns),
                    begin_ns: begin.time_ns,
                    end_ns: ends[at].map(|at| at.time_ns),
                    is_kernel: draft.by_kernel || !(info.submits || self.plays_fences),
                    ended_first: draft.ended_first && draft.submit.is_none(),
                    ring: ring_of[member],
                    watchdog: draft.done.and_then(|at| watchdogs.get(&at.line).copied()),
                });
            }
            timelines.push(info);
        }
        steps.sort_unstable_by_key(|step| (step.at, step.is_end, step.job));
        let dependencies = self.dependencies(&jobs, &numbers);
        let uses = self.objects.uses(&numbers);
        let fence_places = self.fences_without_jobs();
        let (fences, fence_index) = fences::infos(
            &self.collected.fences,
            fence_places,
            &self.collected.watchdogs,
        );
        let played = fences.iter().filter(|_| self.plays_fences);
        let fence_jobs = played
            .map(|info| {
                let job = self.points.get(&(info.context, info.seqno));
                job.map(|&job| numbers[job])
            })
            .collect();
        let waits = self.waits_of_tasks(reader, &fences, &jobs, &numbers, &fence_index);
        let reference = |end: End| self.reference(end, &numbers, &fence_index);
        let blocked: Vec<(JobId, Blocked)> = self
            .blocked
            .iter()
            .filter_map(|&(waiter, at, on)| {
                let FenceRef::Job(job) = reference(waiter)? else {
                    return None;
                };
                let on = reference(on)?;
                let since_ns = at.time_ns;
                Some((job, Blocked { since_ns, on }))
            })
            .collect();
        let last_ns = reader.stats().span_ns.map_or(0, |(_, last)| last);
        let end = |job: usize| jobs[numbers[job] as usize].end_ns.unwrap_or(last_ns);
        let pending = self.objects.pending(end);
        let polls = polls(std::mem::take(&mut self.objects.looks), pending, &waits.0);
        self.counts.waits_cut = waits.1;
        self.counts.adds = self.objects.adds;
        self.counts.adds_late = self.objects.late;
        self.counts.timelines = contexts.seen.len() as u64;
        self.counts.moves = self.moves.len() as u64;
        self.counts.fences = reader.stats().signals - self.counts.job_signals;
        self.count(&jobs);
        Recorded {
            name: reader.name().to_owned(),
            stats: reader.stats().clone(),
            counts: self.counts,
            timelines,
            blocked: Lists::new(jobs.len(), &blocked),
            jobs,
            plays_fences: self.plays_fences,
            rings,
            fences,
            fence_jobs,
            waits: waits.0,
            polls,
            task_of: self.collected.task_of,
            contexts: self.collected.fences.context_names(),
            tasks: self.collected.fences.tasks.into_list(),
            steps,
            moves: self.moves,
            uses,
            dependencies,
        }
    }

    /// The fences that belong to no job: neither its finished nor its scheduled fence.
    fn fences_without_jobs(&self) -> Vec<u32> {
        let table = &self.collected.fences;
        let is_of_job = |context: u32, seqno: u32| {
            !self.plays_fences
                && (self.points.contains_key(&(context, seqno))
                    || (table.driver(context).ends_with("sched")
                        && self.points.contains_key(&(context.wrapping_add(1), seqno))))
        };
        let records = (0..).zip(&table.records);
        let without = records.filter(|(_, record)| !is_of_job(record.context, record.seqno));
        // One of which nothing but a wait is recorded has no record; one of which nothing is known has no time.
        without.map(|(place, _)| place).collect()
    }

    /// What an end of a dependency is called.
    fn reference(
        &self,
        end: End,
        numbers: &[JobId],
        fences: &HashMap<(u32, u32), u32>,
    ) -> Option<FenceRef> {
        match end {
            End::Job(draft) => Some(FenceRef::Job(numbers[draft])),
            End::Unknown => None,
            End::Point(context, seqno) => {
                let job = |context: u32| {
                    let job = self
                        .points
                        .get(&(context, seqno))
                        .filter(|_| !self.plays_fences);
                    job.map(|&job| numbers[job])
                };
                let fence = fences.get(&(context, seqno));
                Some(match (job(context), fence, job(context.wrapping_add(1))) {
                    (Some(job), ..) => FenceRef::Job(job),
                    (_, Some(&place), _) => FenceRef::Fence(place),
                    (.., Some(job)) => FenceRef::Scheduled(job),
                    _ => FenceRef::Other { context, seqno },
                })
            }
        }
    }

    /// The waits of tasks, and how many ends have no beginning.
    fn waits_of_tasks<R: BufRead>(
        &mut self,
        reader: &Reader<R>,
        infos: &[super::recorded::FenceInfo],
        jobs: &[Job],
        numbers: &[JobId],
        fences: &HashMap<(u32, u32), u32>,
    ) -> (Vec<TaskWait>, u64) {
        let (paired, cut) = self.collected.fences.pair_waits();
        let last_ns = reader.stats().span_ns.map_or(0, |(_, last)| last);
        let any_signals = reader.stats().signals + reader.stats().dones > 0;
        let waits = paired.into_iter().filter_map(|wait| {
            let end = End::Point(wait.context, wait.seqno);
            let on = self.reference(end, numbers, fences)?;
            let (signaled_ns, begun_ns) = match on {
                FenceRef::Job(job) => {
                    let job = &jobs[job as usize];
                    (job.done_ns, (!job.ended_first).then_some(job.begin_ns))
                }
                FenceRef::Fence(place) => {
                    let info = &infos[place as usize];
                    (info.signaled_ns, info.init_ns.or(info.emit_ns))
                }
                FenceRef::Scheduled(_) | FenceRef::Other { .. } => self.scheduled_ns(&wait),
            };
            let is_seen = begun_ns.is_some();
            let end_ns = wait.end.map_or(last_ns, |at| at.time_ns);
            Some(TaskWait {
                task: wait.task,
                pid: wait.pid,
                on,
                begin_ns: wait.begin.time_ns,
                waited_ns: end_ns.saturating_sub(wait.begin.time_ns),
                ended: fences::ended(&wait, signaled_ns, is_seen, any_signals),
            })
        });
        (waits.collect(), cut)
    }

    /// When a job's scheduled fence signalled and was made: it is in no list.
    fn scheduled_ns(&self, wait: &fences::PairedWait) -> (Option<u64>, Option<u64>) {
        match self.collected.fences.find(wait.context, wait.seqno) {
            Some(record) => (record.signaled.ns(), record.init.ns().or(record.emit.ns())),
            None => (None, None),
        }
    }

    /// The rings, and for each draft the place of its own.
    fn rings(&self) -> (Vec<Ring>, Vec<u32>) {
        let collected = &self.collected;
        let mut index: HashMap<(u32, Option<u32>), u32> = HashMap::new();
        let mut rings: Vec<Ring> = Vec::new();
        let mut of_drafts = Vec::with_capacity(self.drafts.len());
        // A submission may not name the device; then the ring is that of other jobs of its context, or of the only device.
        let mut devices: HashMap<Option<u32>, HashSet<u32>> = HashMap::new();
        let mut of_context: HashMap<(u32, u32), u32> = HashMap::new();
        let context = |draft: &Draft| draft.point.map(|(context, _)| (low(context), draft.twin));
        for draft in self
            .drafts
            .iter()
            .filter(|draft| draft.dev != Collected::NO_DEVICE)
        {
            devices.entry(draft.lane).or_default().insert(draft.dev);
            if let Some(context) = context(draft) {
                of_context.insert(context, draft.dev);
            }
        }
        for draft in &self.drafts {
            let mut dev = draft.dev;
            if dev == Collected::NO_DEVICE {
                let sibling = context(draft).and_then(|context| of_context.get(&context));
                let only = devices
                    .get(&draft.lane)
                    .filter(|devices| devices.len() == 1);
                let only = only.and_then(|devices| devices.iter().next());
                dev = sibling.or(only).copied().unwrap_or(dev);
            }
            let place = *index.entry((dev, draft.lane)).or_insert_with(|| {
                let name = draft.lane.map_or("", |lane| collected.lanes.name(lane));
                let (name, dev) = (readable(name), readable(collected.devices.name(dev)));
                let name = if name.is_empty() {
                    "?".to_owned()
                } else {
                    name
                };
                rings.push(Ring { name, dev });
                rings.len() as u32 - 1
            });
            of_drafts.push(place);
        }
        let mut times: HashMap<String, u32> = HashMap::new();
        for ring in &rings {
            *times.entry(ring.name.clone()).or_default() += 1;
        }
        for ring in &mut rings {
            if times.get(&ring.name).is_some_and(|&count| count > 1) && !ring.dev.is_empty() {
                ring.name = format!("{}@{}", ring.name, ring.dev);
            }
        }
        (rings, of_drafts)
    }

    fn timeline(
        &self,
        line: Line,
        members: &[usize],
        start: JobId,
        contexts: &mut Contexts,
    ) -> TimelineInfo {
        let drafts = || members.iter().map(|&member| &self.drafts[member]);
        let context = match line {
            Line::Context(low_bits, _) => drafts()
                .filter_map(|draft| draft.point)
                .map(|(context, _)| context)
                .max()
                .unwrap_or(low_bits.into()),
            Line::Queue { .. } => contexts.make_up().into(),
        };
        let mut names = drafts()
            .filter_map(|draft| draft.lane)
            .map(|lane| readable(self.collected.lanes.name(lane)))
            .filter(|name| !name.is_empty());
        TimelineInfo {
            context,
            name: names.next().unwrap_or_else(|| "?".to_owned()),
            jobs: start..start + members.len() as JobId,
            submits: drafts().any(|draft| draft.submit.is_some()),
        }
    }

    /// Where each job of a timeline ends: at its own end, or where a later one ended before that. Not before it begins.
    fn ends(&mut self, members: &[usize]) -> Vec<Option<At>> {
        let mut ends: Vec<Option<At>> = vec![None; members.len()];
        let mut next: Option<At> = None;
        for (place, &member) in members.iter().enumerate().rev() {
            let draft = &self.drafts[member];
            let own = draft.done;
            let end = match (own, next) {
                (Some(own), Some(next)) => Some(own.min(next)),
                (own, next) => own.or(next),
            };
            self.counts.implied += u64::from(end != own);
            let is_late = own.zip(next).is_some_and(|(own, next)| own > next);
            self.counts.out_of_order += u64::from(is_late);
            self.counts.reversed += u64::from(own.is_some_and(|own| own < draft.begin()));
            ends[place] = end.map(|end| end.max(draft.begin()));
            next = end;
        }
        ends
    }

    fn dependencies(&mut self, jobs: &[Job], numbers: &[JobId]) -> Lists<JobId> {
        let find = |end: End| match end {
            End::Job(draft) => Some(draft),
            End::Point(context, seqno) => self.points.get(&(context, seqno)).copied(),
            End::Unknown => None,
        };
        let counts = &mut self.counts;
        let mut pairs = Vec::new();
        for &(waiter, on) in &self.waits {
            let (Some(waiter), Some(found)) = (find(waiter), find(on)) else {
                let is_scheduled = match on {
                    End::Point(context, seqno) => {
                        self.points.contains_key(&(context.wrapping_add(1), seqno))
                    }
                    _ => false,
                };
                if is_scheduled {
                    counts.dependencies_scheduled += 1;
                } else {
                    counts.dependencies_unknown += 1;
                }
                continue;
            };
            let (waiter, on) = (numbers[waiter], numbers[found]);
            if jobs[waiter as usize].timeline == jobs[on as usize].timeline {
                counts.dependencies_within += 1;
            } else {
                pairs.push((waiter, on));
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        counts.dependencies = pairs.len() as u64;
        Lists::new(jobs.len(), &pairs)
    }

    fn count(&mut self, jobs: &[Job]) {
        let count = |is: fn(&Job) -> bool| jobs.iter().filter(|job| is(job)).count() as u64;
        let counts = &mut self.counts;
        counts.cut_start = count(|job| job.submit_ns.is_none());
        counts.cut_end = count(|job| job.done_ns.is_none());
        counts.cut = count(|job| job.submit_ns.is_none() || job.done_ns.is_none());
        counts.ended_first = count(|job| job.ended_first);
        counts.kernel_jobs = count(|job| job.is_kernel);
        counts.by_address = self
            .drafts
            .iter()
            .filter(|draft| draft.point.is_none())
            .count() as u64;
    }
}
