//! From events in time order to jobs: which event is of which job, where each job begins and ends.
//!
//! # Which event is of which job
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

use std::collections::HashMap;
use std::io::BufRead;

use super::collect::{Added, Collected, Request, Sighting, WaitingJob, What, low};
use super::objects::Objects;
use super::recorded::{At, Counts, Moved, Recorded};
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
    (finder.finish(reader.name(), reader.stats()), fault)
}

/// The driver of fences that have signalled from the beginning and belong to nobody.
const STUB: &str = "stub";

/// What is known of a job so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft {
    pub(super) point: Option<(u64, u64)>,
    pub(super) pointer: Option<u64>,
    pub(super) entity: Option<u64>,
    pub(super) lane: Option<u32>,
    pub(super) dev: u32,
    pub(super) id: Option<u64>,
    pub(super) first: At,
    pub(super) submit: Option<At>,
    pub(super) run: Option<At>,
    /// When it was about to be handed to the hardware, where that is all that is recorded.
    pub(super) run_early: Option<At>,
    pub(super) done: Option<At>,
    /// When its end was noticed, where that is all that is recorded.
    pub(super) retired: Option<At>,
    pub(super) ended_first: bool,
    pub(super) by_kernel: bool,
    /// 0; else it is the second, third... job under this name, on another device than those before.
    pub(super) twin: u32,
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

    pub(super) fn begin(&self) -> At {
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
pub(super) enum End {
    Job(usize),
    Point(u32, u32),
    Unknown,
}

pub(super) struct Finder {
    pub(super) collected: Collected,
    pub(super) drafts: Vec<Draft>,
    pub(super) points: HashMap<(u32, u32), usize>,
    /// Addresses in use, and whose they are.
    pub(super) live: HashMap<u64, usize>,
    /// Jobs by device, ring and number; by device 0, too, for events that do not name it.
    pub(super) numbers: HashMap<(u32, u32, u64), usize>,
    pub(super) waits: Vec<(End, End)>,
    pub(super) blocked: Vec<(End, At, End)>,
    pub(super) plays_fences: bool,
    pub(super) moves: Vec<Moved>,
    pub(super) objects: Objects,
    pub(super) counts: Counts,
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
}
