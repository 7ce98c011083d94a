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

use super::collect::{Added, Collected, Sighting, WaitingJob, What, low};
use super::lists::Lists;
use super::objects::Objects;
use super::workload::{Counts, Job, JobId, Moved, Recorded, Step, TimelineInfo};
use crate::recording::{JobKey, ReadError, Reader};

/// The longest name of a timeline that is kept.
const MAX_NAME: usize = 24;

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
    let (collected, fault) = Collected::read(reader, progress);
    let mut finder = Finder::new(&collected);
    for (order, raw) in collected.raws.iter().enumerate() {
        let at = At {
            time_ns: raw.time_ns,
            order,
        };
        finder.take(at, raw.what);
    }
    (finder.finish(reader), fault)
}

/// When an event was: its time, and its place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    time_ns: u64,
    order: usize,
}

/// What is known of a job so far.
#[derive(Clone, Copy, Debug)]
struct Draft {
    point: Option<(u64, u64)>,
    pointer: Option<u64>,
    entity: Option<u64>,
    lane: Option<u32>,
    id: Option<u64>,
    first: At,
    submit: Option<At>,
    run: Option<At>,
    done: Option<At>,
    ended_first: bool,
    by_kernel: bool,
}

impl Draft {
    fn new(first: At) -> Draft {
        Draft {
            point: None,
            pointer: None,
            entity: None,
            lane: None,
            id: None,
            first,
            submit: None,
            run: None,
            done: None,
            ended_first: false,
            by_kernel: false,
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
    Context(u32),
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

struct Finder<'a> {
    collected: &'a Collected,
    drafts: Vec<Draft>,
    points: HashMap<(u32, u32), usize>,
    /// Addresses in use, and whose they are.
    live: HashMap<u64, usize>,
    numbers: HashMap<(u32, u64), usize>,
    waits: Vec<(End, End)>,
    moves: Vec<Moved>,
    objects: Objects,
    counts: Counts,
}

impl<'a> Finder<'a> {
    fn new(collected: &'a Collected) -> Self {
        Finder {
            collected,
            drafts: Vec::new(),
            points: HashMap::new(),
            live: HashMap::new(),
            numbers: HashMap::new(),
            waits: Vec::new(),
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
            What::Signal {
                context,
                seqno,
                lane,
            } => {
                let known = self.points.contains_key(&(context, seqno));
                if !known && !self.collected.job_contexts.contains(&context) {
                    self.counts.fences += 1;
                    return;
                }
                self.counts.job_signals += 1;
                let job = self.at_point(at, context.into(), seqno.into());
                self.drafts[job].lane.get_or_insert(lane);
                self.done(job, at);
            }
            What::Wait(place) => self.wait(place),
            What::Add(place) => {
                let added = self.collected.adds[place as usize];
                self.add_to_object(at, &added);
            }
            What::Ask(seen, access) => self.objects.ask(seen, access),
            What::Unlock(seen) => self.objects.unlock(seen),
            What::Move(bo) => self.moves.push(Moved {
                order: at.order,
                bo,
            }),
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
        let &job = self.numbers.get(&(sighting.lane, sighting.id?))?;
        let draft = &self.drafts[job];
        (draft.done.is_none() && is_nameless(draft)).then_some(job)
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
                self.at_point(at, context, seqno)
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
            self.numbers.insert((sighting.lane, id), job);
        }
        let draft = &mut self.drafts[job];
        draft.id = draft.id.or(sighting.id);
        draft.entity = draft.entity.or(sighting.entity);
        draft.lane.get_or_insert(sighting.lane);
        draft.by_kernel |= sighting.by_kernel;
        if sighting.is_submit {
            draft.submit.get_or_insert(at);
        } else {
            draft.run.get_or_insert(at);
        }
    }

    fn add_to_object(&mut self, at: At, added: &Added) {
        let job = self.at_point(at, added.context, added.seqno);
        let draft = &mut self.drafts[job];
        draft.lane.get_or_insert(added.lane);
        let submit = *draft.submit.get_or_insert(at);
        self.objects.add(job, added, at.order, submit.order);
    }

    fn done(&mut self, job: usize, at: At) {
        let draft = &mut self.drafts[job];
        if draft.done.is_none() {
            draft.ended_first = draft.first == at;
            draft.done = Some(at);
        }
    }

    fn wait(&mut self, place: u32) {
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
                .get(&(lane, id))
                .map_or(End::Unknown, |&job| End::Job(job)),
        };
        let on = wait
            .pointer
            .and_then(live)
            .unwrap_or(End::Point(wait.context, wait.seqno));
        self.waits.push((waiter, on));
    }

    /// The drafts of each timeline in the order of their seqnos; timelines in order of first mention.
    fn lines(&self) -> Vec<(Line, Vec<usize>)> {
        let mut lines: Vec<(Line, Vec<usize>)> = Vec::new();
        let mut index: HashMap<Line, usize> = HashMap::new();
        for (job, draft) in self.drafts.iter().enumerate() {
            let line = match draft.point {
                Some((context, _)) => Line::Context(low(context)),
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
        let lines = self.lines();
        let mut contexts = Contexts {
            seen: self.collected.contexts.clone(),
            next: 1,
        };
        let mut timelines = Vec::with_capacity(lines.len());
        let mut jobs: Vec<Job> = Vec::with_capacity(self.drafts.len());
        let mut steps = Vec::with_capacity(2 * self.drafts.len());
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
                    order: begin.order,
                    is_end: false,
                    job: jobs.len() as JobId,
                });
                if let Some(end) = ends[at] {
                    steps.push(Step {
                        order: end.order,
                        is_end: true,
                        job: jobs.len() as JobId,
                    });
                }
                jobs.push(Job {
                    timeline: place,
                    seqno: draft.point.map_or(at as u64 + 1, |(_, seqno)| seqno),
                    submit_ns: draft.submit.map(|at| at.time_ns),
                    run_ns: draft.run.map(|at| at.time_ns),
                    done_ns: draft.done.map(|at| at.time_ns),
                    begin_ns: begin.time_ns,
                    end_ns: ends[at].map(|at| at.time_ns),
                    is_kernel: draft.by_kernel || !info.submits,
                    ended_first: draft.ended_first && draft.submit.is_none(),
                });
            }
            timelines.push(info);
        }
        steps.sort_unstable_by_key(|step| (step.order, step.is_end, step.job));
        let dependencies = self.dependencies(&jobs, &numbers);
        let uses = self.objects.uses(&numbers);
        self.counts.adds = self.objects.adds;
        self.counts.adds_late = self.objects.late;
        self.counts.timelines = contexts.seen.len() as u64;
        self.counts.moves = self.moves.len() as u64;
        self.count(&jobs);
        Recorded {
            name: reader.name().to_owned(),
            stats: reader.stats().clone(),
            counts: self.counts,
            timelines,
            jobs,
            steps,
            moves: self.moves,
            uses,
            dependencies,
        }
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
            Line::Context(low_bits) => drafts()
                .filter_map(|draft| draft.point)
                .map(|(context, _)| context)
                .max()
                .unwrap_or(low_bits.into()),
            Line::Queue { .. } => contexts.make_up().into(),
        };
        let mut names = drafts()
            .filter_map(|draft| self.collected.lanes.get(draft.lane? as usize))
            .map(|lane| readable(lane))
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

/// A name that keeps columns straight: printable ASCII without spaces, and not too long.
fn readable(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    name.trim().chars().take(MAX_NAME).map(plain).collect()
}
