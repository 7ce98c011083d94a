//! From what was found of each job to the recording as it is played: timelines, ends, rings, dependencies, fences and waits.

use std::collections::{HashMap, HashSet};

use super::collect::{Collected, low};
use super::fences::{self, readable};
use super::jobs::{Draft, End, Finder};
use super::lists::Lists;
use super::polls::polls;
use super::recorded::{
    Asked, At, Blocked, FenceInfo, FenceRef, Job, JobId, Recorded, Ring, Step, TaskWait,
    TimelineInfo,
};
use crate::recording::ReadStats;

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

impl Finder {
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

    pub(super) fn finish(mut self, name: &str, stats: &ReadStats) -> Recorded {
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
        let waits = self.waits_of_tasks(stats, &fences, &jobs, &numbers, &fence_index);
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
        let last_ns = stats.span_ns.map_or(0, |(_, last)| last);
        let end = |job: usize| jobs[numbers[job] as usize].end_ns.unwrap_or(last_ns);
        let pending = self.objects.pending(end);
        let looks = std::mem::take(&mut self.objects.looks);
        let unused = looks.iter().filter(|look| !look.is_used);
        let asks = unused
            .map(|look| Asked {
                at: look.at,
                resv: look.resv,
                access: look.access,
            })
            .collect();
        let polls = polls(looks, pending, &waits.0);
        self.counts.waits_cut = waits.1;
        self.counts.adds = self.objects.adds;
        self.counts.adds_late = self.objects.late;
        self.counts.timelines = contexts.seen.len() as u64;
        self.counts.moves = self.moves.len() as u64;
        self.counts.fences = stats.signals - self.counts.job_signals;
        self.count(&jobs);
        Recorded {
            name: name.to_owned(),
            stats: stats.clone(),
            counts: self.counts,
            timelines,
            blocked: Lists::new(jobs.len(), &blocked),
            jobs,
            plays_fences: self.plays_fences,
            rings,
            fences,
            fence_jobs,
            waits: waits.0,
            asks,
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
    fn waits_of_tasks(
        &mut self,
        stats: &ReadStats,
        infos: &[FenceInfo],
        jobs: &[Job],
        numbers: &[JobId],
        fences: &HashMap<(u32, u32), u32>,
    ) -> (Vec<TaskWait>, u64) {
        let (paired, cut) = self.collected.fences.pair_waits();
        let last_ns = stats.span_ns.map_or(0, |(_, last)| last);
        let any_signals = stats.signals + stats.dones > 0;
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
