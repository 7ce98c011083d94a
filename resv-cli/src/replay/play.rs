//! Playing a workload through reservation objects, one job after the other, and watching.
//!
//! At its submission a job asks each buffer's object what its access must wait for, then leaves its fence there under its
//! usage; at its end the fence signals. What the objects say is the only source of *assumed* edges. Around it the play keeps
//! what no object knows: which job follows which ([`follow`](super::follow)), what is really in use ([`truth`](super::truth)), and
//! which pending fences an add has dropped.
//!
//! # Superseded and lost
//!
//! An add drops the fences that it supersedes. That is sound as long as the job that added follows theirs: a job that waits for it
//! then waits for them. A dropped fence that is still pending, of another timeline, whose job the new one does not follow is
//! *lost*: from then on nothing in the object stands for it, and later jobs do not wait for it though they should.

use std::collections::HashMap;

use resv_api::{
    BackendKind, Counters, Edit, Entry, Reservation, SemanticsKind, Signaler, Timeline, Usage,
};
use serde::Serialize;

use super::answers::{Answers, Question, Told, job_of};
use super::edges::{Edge, Via, edges};
use super::error::PlayError;
use super::follow::Follow;
use super::recorded::JobId;
use super::rule::{BufferId, Query, Touch};
use super::stage::{Measured, counters, objects, timelines};
use super::timing::Timing;
use super::truth::InUse;
use super::workload::Workload;

/// The most dependencies that objects may give in a play. Fewer in the tests: to get there takes them seconds.
const MOST_ANSWERS: usize = if cfg!(test) { 1 << 16 } else { 1 << 23 };
/// How many later jobs are named for each lost fence.
const UNGUARDED_NAMED: usize = 3;

/// A pending fence that an add dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superseded {
    /// The object it was in.
    pub buffer: BufferId,
    /// The job behind it.
    pub job: JobId,
    /// The job whose add dropped it.
    pub by: JobId,
    /// Nothing in the object stands for it any more.
    pub is_lost: bool,
}

/// A pending fence that nothing in its object stands for any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The object it was in.
    pub buffer: BufferId,
    /// The job behind it.
    pub job: JobId,
    /// What that job does with the buffer.
    pub usage: Usage,
    /// The job whose add dropped it, which does not follow it.
    pub by: JobId,
    /// How many later jobs would have waited for it, and are not made to follow it by the objects.
    pub unguarded: u64,
    /// How many of them the recording makes follow it all the same.
    pub unguarded_recorded: u64,
    /// The first few of them.
    pub unguarded_jobs: Vec<JobId>,
}

/// What there was how often in one play.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RunCounts {
    /// Different pairs of a job and one of another timeline that it depends on.
    pub edges: u64,
    /// Those among them that rest on the buffer rule.
    pub edges_assumed: u64,
    /// Those among them that the recording has; the same in every run.
    pub edges_recorded: u64,
    /// Those that the objects gave, recorded or not.
    pub edges_from_objects: u64,
    /// Answers that name an earlier job of the asker's own timeline, which is in order anyway.
    pub same_timeline: u64,
    /// Pending fences that adds dropped, those of the job's own timeline among them.
    pub superseded: u64,
    /// Fences that were lost.
    pub lost: u64,
    /// Assumed edges between uses that do not conflict.
    pub needless: u64,
    /// Conflicts with a job that the objects make nobody follow: neither with an edge nor through others.
    pub missed: u64,
    /// Those among them for which the recording makes up no more than the objects do.
    pub missed_for_good: u64,
    /// Times that tasks asked objects for themselves, and not for a job.
    pub task_asks: u64,
    /// How long they would have to wait for what they were told, the sum.
    pub task_wait_ns: u64,
}

/// What came of one play.
#[derive(Clone, Debug)]
pub struct Run {
    /// The meaning of the objects.
    pub semantics: SemanticsKind,
    /// What they were made of.
    pub backend: BackendKind,
    /// What there was how often.
    pub counts: RunCounts,
    /// When jobs could start.
    pub timing: Timing,
    /// A digest over the sorted edges.
    pub edges_digest: u64,
    /// Answers that objects gave.
    pub answers: u64,
    /// A digest over all of them, in order.
    pub answers_digest: u64,
    /// Times an idle test and a list of what to wait for disagreed; 0 unless a back end is broken.
    pub disagreements: u64,
    /// What readers had to do.
    pub counters: Counters,
    /// How fast the operations alone are.
    pub measured: Measured,
    pub(super) trail: Trail,
}

/// The details of a run.
#[derive(Clone, Debug)]
pub(super) struct Trail {
    pub(super) edges: Vec<Edge>,
    pub(super) superseded: Vec<Superseded>,
    pub(super) lost: Vec<Lost>,
    /// Which job follows which through objects and timelines; without what only the recording says.
    pub(super) follow: Follow,
    pub(super) answers: Answers,
}

impl Run {
    /// The edges, by job, then dependency.
    pub fn edge_list(&self) -> &[Edge] {
        &self.trail.edges
    }

    /// The fences that were lost, in order.
    pub fn lost_list(&self) -> &[Lost] {
        &self.trail.lost
    }

    /// The pending fences that adds dropped, in order.
    pub fn superseded_list(&self) -> &[Superseded] {
        &self.trail.superseded
    }
}

/// Answer number `tell` of a play in words.
pub(super) fn tell(
    workload: &Workload,
    semantics: SemanticsKind,
    backend: BackendKind,
    tell: usize,
) -> Result<Option<Told>, PlayError> {
    let run = play_watched(workload, semantics, backend, Some(tell))?;
    Ok(run.trail.answers.told().cloned())
}

/// Plays a workload, without a measurement.
pub(super) fn play_watched(
    workload: &Workload,
    semantics: SemanticsKind,
    backend: BackendKind,
    tell: Option<usize>,
) -> Result<Run, PlayError> {
    play_part(workload, semantics, backend, tell, usize::MAX)
}

/// Plays the first `steps` moments of a workload.
pub(super) fn play_part(
    workload: &Workload,
    semantics: SemanticsKind,
    backend: BackendKind,
    tell: Option<usize>,
    steps: usize,
) -> Result<Run, PlayError> {
    let mut player = Player::new(workload, semantics, backend, tell)?;
    let mut queries = workload.queries.iter().peekable();
    for step in workload.recorded.steps.iter().take(steps) {
        while let Some(query) = queries.next_if(|query| query.at < step.at) {
            player.query(query)?;
        }
        if step.is_end {
            player.end(step.job);
        } else {
            player.begin(step.job)?;
        }
    }
    for query in queries {
        player.query(query)?;
    }
    Ok(player.finish(semantics, backend))
}

struct Player<'a> {
    workload: &'a Workload,
    semantics: SemanticsKind,
    objects: Vec<Box<dyn Reservation>>,
    timelines: Vec<Timeline>,
    signalers: HashMap<JobId, Signaler>,
    is_over: Vec<bool>,
    /// Which job follows which through objects and timelines.
    follow: Follow,
    /// The same, with what the recording adds; `None` if it adds nothing.
    follow_recorded: Option<Follow>,
    in_use: InUse,
    /// For each buffer the lost fences that are still pending, as places in `lost`.
    unguarded: Vec<Vec<usize>>,
    answers: Answers,
    vias: Vec<Via>,
    superseded: Vec<Superseded>,
    lost: Vec<Lost>,
    same_timeline: u64,
    missed: u64,
    missed_for_good: u64,
    disagreements: u64,
    task_asks: u64,
    task_wait_ns: u64,
    /// Scratch.
    missed_jobs: Vec<JobId>,
}

impl<'a> Player<'a> {
    fn new(
        workload: &'a Workload,
        semantics: SemanticsKind,
        backend: BackendKind,
        tell: Option<usize>,
    ) -> Result<Self, PlayError> {
        Ok(Player {
            workload,
            semantics,
            objects: objects(workload, semantics, backend)?,
            timelines: timelines(workload),
            signalers: HashMap::new(),
            is_over: vec![false; workload.recorded.jobs.len()],
            follow: Follow::new(workload),
            follow_recorded: (workload.recorded.dependencies.len() > 0)
                .then(|| Follow::new(workload)),
            in_use: InUse::new(workload),
            unguarded: vec![Vec::new(); workload.buffers.len()],
            answers: Answers::telling(tell),
            vias: Vec::new(),
            superseded: Vec::new(),
            lost: Vec::new(),
            same_timeline: 0,
            missed: 0,
            missed_for_good: 0,
            disagreements: 0,
            task_asks: 0,
            task_wait_ns: 0,
            missed_jobs: Vec::new(),
        })
    }

    fn begin(&mut self, job: JobId) -> Result<(), PlayError> {
        if self.vias.len() > MOST_ANSWERS {
            return Err(PlayError::TooMany { most: MOST_ANSWERS });
        }
        let workload = self.workload;
        let touches = workload.touches(job);
        let first_via = self.vias.len();
        for touch in touches {
            self.ask(job, touch)?;
        }
        let given = self.vias[first_via..].iter().map(|via| via.dependency);
        let is_over = &self.is_over;
        self.follow.begin(workload, job, given.clone(), is_over)?;
        if let Some(follow) = &mut self.follow_recorded {
            let recorded = workload.recorded.dependencies.of(job).iter().copied();
            follow.begin(workload, job, given.chain(recorded), is_over)?;
        }
        self.check(job, touches);
        if touches.is_empty() {
            return Ok(());
        }
        let line = workload.job(job).timeline as usize;
        let signaler = self.timelines[line].issue_at(u64::from(job) + 1)?;
        for touch in touches {
            self.add(job, touch, &signaler)?;
            self.in_use.add(workload, job, touch);
        }
        self.signalers.insert(job, signaler);
        Ok(())
    }

    fn end(&mut self, job: JobId) {
        self.is_over[job as usize] = true;
        if let Some(signaler) = self.signalers.remove(&job) {
            signaler.signal();
        }
    }

    fn ask(&mut self, job: JobId, touch: &Touch) -> Result<(), PlayError> {
        let workload = self.workload;
        let object = &self.objects[touch.buffer as usize];
        let mut entries = object.waits_for(touch.access)?;
        let idle = object.is_idle(touch.access);
        let answers = &mut self.answers;
        answers.list(workload, job, touch, Question::WaitsFor, &mut entries);
        answers.idle(workload, job, touch, idle);
        self.disagreements += u64::from(idle != entries.is_empty());
        let line = workload.job(job).timeline;
        for entry in &entries {
            let dependency = job_of(entry);
            if workload.job(dependency).timeline == line {
                self.same_timeline += 1;
            } else {
                self.vias.push(Via {
                    job,
                    dependency,
                    buffer: touch.buffer,
                    access: touch.access,
                    kept_as: entry.usage,
                });
            }
        }
        Ok(())
    }

    /// A task asks for itself: how long it would have to wait.
    fn query(&mut self, query: &Query) -> Result<(), PlayError> {
        let workload = self.workload;
        let object = &self.objects[query.buffer as usize];
        let mut entries = object.waits_for(query.access)?;
        let touch = Touch {
            buffer: query.buffer,
            usage: Usage::Bookkeep,
            access: query.access,
        };
        // No job asks.
        let job = JobId::MAX;
        self.answers
            .list(workload, job, &touch, Question::WaitsFor, &mut entries);
        let ends = entries
            .iter()
            .filter_map(|entry| workload.job(job_of(entry)).known_end_ns());
        let end = ends.max().unwrap_or(0);
        let wait_ns = end.saturating_sub(query.at.time_ns);
        self.task_asks += 1;
        self.task_wait_ns = self.task_wait_ns.saturating_add(wait_ns);
        Ok(())
    }

    /// Counts what `job` should wait for and does not follow.
    fn check(&mut self, job: JobId, touches: &[Touch]) {
        let (workload, follow, is_over) = (self.workload, &self.follow, &self.is_over);
        let follow_all = self.follow_recorded.as_ref().unwrap_or(follow);
        let line = workload.job(job).timeline;
        self.missed_jobs.clear();
        for touch in touches {
            let missed = &mut self.missed_jobs;
            self.in_use
                .missed(workload, follow, is_over, job, touch, missed);
            let waits = self.semantics.waits_for(touch.access);
            let places = &mut self.unguarded[touch.buffer as usize];
            places.retain(|&place| !is_over[self.lost[place].job as usize]);
            for &place in &*places {
                let lost = &mut self.lost[place];
                if waits.contains(self.semantics.class(lost.usage))
                    && workload.job(lost.job).timeline != line
                    && !follow.follows(workload, job, lost.job)
                {
                    lost.unguarded += 1;
                    let is_recorded = follow_all.follows(workload, job, lost.job);
                    lost.unguarded_recorded += u64::from(is_recorded);
                    if lost.unguarded_jobs.len() < UNGUARDED_NAMED {
                        lost.unguarded_jobs.push(job);
                    }
                }
            }
        }
        self.missed_jobs.sort_unstable();
        self.missed_jobs.dedup();
        self.missed += self.missed_jobs.len() as u64;
        let missed = self.missed_jobs.iter();
        self.missed_for_good += missed
            .filter(|&&other| !follow_all.follows(workload, job, other))
            .count() as u64;
    }

    fn add(&mut self, job: JobId, touch: &Touch, signaler: &Signaler) -> Result<(), PlayError> {
        let workload = self.workload;
        let object = &self.objects[touch.buffer as usize];
        let before = object.entries()?;
        object.transact(&[Edit::Add {
            fence: signaler.fence().clone(),
            usage: touch.usage,
        }])?;
        let mut after = object.entries()?;
        let answers = &mut self.answers;
        answers.list(workload, job, touch, Question::Entries, &mut after);
        // `after` is sorted by job now.
        let is_kept = |entry: &Entry| after.binary_search_by_key(&job_of(entry), job_of).is_ok();
        let mut gone: Vec<JobId> = before.iter().filter(|e| !is_kept(e)).map(job_of).collect();
        gone.sort_unstable();
        gone.dedup();
        for old in gone {
            self.drop_entry(job, touch, old);
        }
        Ok(())
    }

    fn drop_entry(&mut self, job: JobId, touch: &Touch, old: JobId) {
        let workload = self.workload;
        let line = workload.job(old).timeline;
        let follow = self.follow_recorded.as_ref().unwrap_or(&self.follow);
        let is_lost = line != workload.job(job).timeline && !follow.follows(workload, job, old);
        self.superseded.push(Superseded {
            buffer: touch.buffer,
            job: old,
            by: job,
            is_lost,
        });
        if !is_lost {
            return;
        }
        let usage = workload
            .usage_of(old, touch.buffer)
            .unwrap_or(Usage::Bookkeep);
        let class = self.semantics.class(usage);
        let (semantics, lost) = (self.semantics, &self.lost);
        let places = &mut self.unguarded[touch.buffer as usize];
        // A later fence of its timeline stands for an earlier one that was lost the same way.
        places.retain(|&place| {
            let earlier = &lost[place];
            workload.job(earlier.job).timeline != line
                || semantics.class(earlier.usage) != class
                || earlier.job > old
        });
        places.push(lost.len());
        self.lost.push(Lost {
            buffer: touch.buffer,
            job: old,
            usage,
            by: job,
            unguarded: 0,
            unguarded_recorded: 0,
            unguarded_jobs: Vec::new(),
        });
    }

    fn finish(self, semantics: SemanticsKind, backend: BackendKind) -> Run {
        let workload = self.workload;
        let edges = edges(workload, self.vias);
        let count = |is: fn(&Edge) -> bool| edges.list.iter().filter(|e| is(e)).count() as u64;
        Run {
            semantics,
            backend,
            counts: RunCounts {
                edges: edges.list.len() as u64,
                edges_assumed: count(|edge| !edge.is_recorded),
                edges_recorded: count(|edge| edge.is_recorded),
                edges_from_objects: count(|edge| edge.via.is_some()),
                same_timeline: self.same_timeline,
                superseded: self.superseded.len() as u64,
                lost: self.lost.len() as u64,
                needless: count(|edge| edge.is_needless),
                missed: self.missed,
                missed_for_good: self.missed_for_good,
                task_asks: self.task_asks,
                task_wait_ns: self.task_wait_ns,
            },
            timing: Timing::of(workload, &edges.list),
            edges_digest: edges.digest,
            answers: self.answers.len() as u64,
            answers_digest: self.answers.digest(),
            disagreements: self.disagreements,
            counters: counters(&self.objects),
            measured: Measured::default(),
            trail: Trail {
                edges: edges.list,
                superseded: self.superseded,
                lost: self.lost,
                follow: self.follow,
                answers: self.answers,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::open_stream;
    use crate::replay::{BufferRule, Recorded, choose, load, play};
    use std::io::Cursor;

    fn recorded(text: &str) -> Recorded {
        let mut reader = open_stream("test", Cursor::new(text.to_owned()), None).expect("a text");
        let (recorded, fault) = load(&mut reader, |_| {});
        assert!(fault.is_none());
        recorded
    }

    /// Jobs of many timelines that share a buffer and never end would take memory without bound: each waits for
    /// all before it.
    #[test]
    fn a_play_whose_jobs_all_follow_each_other_is_bounded() {
        for (jobs, is_bounded) in [(350, false), (400, true)] {
            let text: String = (1..=jobs)
                .map(|n| {
                    format!(
                        "task-1 [000] 7.{n:06}: drm_sched_job_queue: dev=d, fence={n}:1, ring=gfx, \
                         job count:0, hw job count:0, client_id:1\n"
                    )
                })
                .collect();
            let workload = Workload::new(recorded(&text), &BufferRule::Single);
            let played = play(&workload, SemanticsKind::UsageLevels, BackendKind::Locked);
            assert_eq!(played.is_err(), is_bounded, "{jobs} jobs");
            if let Err(error) = played {
                assert!(error.to_string().contains("--buffers private"), "{error}");
                // Nobody said a rule: what cannot be tried is not chosen.
                let chosen = choose(recorded(&text), None);
                assert_eq!(chosen.account().rule, "recorded");
            }
        }
    }
}
