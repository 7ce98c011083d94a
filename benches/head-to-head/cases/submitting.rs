//! One call that submits, and threads that share nothing. `n` is the number of objects of a job.
//!
//! | case | what one operation is |
//! |---|---|
//! | `submit` | issue a fence, lock `n` objects of four fences each, collect what the job waits for, add it to each, unlock; signal and free the old one |
//! | `disjoint_submit` | the same by threads that have their own objects and timelines, bound to processors as in `disjoint`; `vs_one_thread` is how many operations all of them do for each that one does alone |
//! | `queue_jobs` | a job that uses 2 to 20 of 500 buffers, submitted by one of `threads` submitters and run by one of two queues when what it waits for has signalled |
//!
//! Which buffers a job of `queue_jobs` uses is drawn before the clock runs: each submitter has a table of 1,024 jobs
//! and goes through it again and again. Each submits 2,000 jobs before its clock begins, so that no buffer is used
//! for the first time within it. Its threads are not bound: where three share two processors, the queues starve.
//!
//! | subject | what it is |
//! |---|---|
//! | this project's back ends | [`submit`](resv_api::submit()) |
//! | `submit` | of `queue_jobs`: the same on the default back end; beside it the counter |
//! | `mutex-vec` | a lock for each object, taken in the order of addresses that the caller knows, the waits in a vector: the reference |
//! | `mutex-vec` | of `queue_jobs`: a lock and a vector for each buffer; each lock is tried, and if one cannot be had all are given up and taken in order: what a job costs with plain locks |
//! | `mutex-map` | of `queue_jobs`: `Mutex<HashMap<BufferId, Vec<(Fence, Usage)>>>`, what everybody writes first: the reference |

use super::disjoint::{Run, paired};
use super::loaded::{Jobs, USAGE, issue};
use super::{Case, Kind};
use crate::crowd::{Apart, side_by_side};
use crate::harness::{Bench, Effort, Series, timed};
use crate::report::Head;
use crate::subjects::{MUTEX, MutexVec, Product, Subject};
use parking_lot::{Mutex, MutexGuard};
use resv_api::seqcount::Seqcount;
use resv_api::{Resv, Waits, submit};
use resv_core::{Backend, Fence, Key, Semantics, Signaler, Timeline, Usage, UsageLevels};
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const FENCES: usize = 4;
const BUFFERS: usize = 500;
const MAP: &str = "mutex-map";

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for k in [1, 2, 4, 8, 32] {
        cases.push(Case::paired("submit", k, MUTEX, move || {
            each_that_grows!(one_thread(k))
        }));
    }
    for threads in [1, 2, 4] {
        cases.push(own("disjoint_submit", 4, threads, MUTEX, move |effort| {
            paired(threads, &each_that_grows!(disjoint()), effort)
        }));
    }
    for threads in [1, 2, 4] {
        cases.push(own("queue_jobs", BUFFERS, threads, MAP, move |effort| {
            queue_jobs(threads, effort)
        }));
    }
    cases
}

fn own(
    case: &str,
    n: usize,
    threads: usize,
    reference: &'static str,
    measure: impl Fn(&Effort) -> Vec<Series> + 'static,
) -> Case {
    Case {
        head: Head {
            case: case.to_owned(),
            n,
            threads,
            reference,
        },
        kind: Kind::Own(Box::new(measure)),
    }
}

/// A container that a job can be submitted to.
trait Submits: Subject {
    /// What a job names.
    type Object;

    fn object(&self) -> &Self::Object;

    /// Adds the fence to each object, which are sorted by address; how many fences the job waits for.
    fn submit(objects: &[(&Self::Object, Usage)], fence: &Fence) -> usize;
}

impl<B: Backend + Default> Submits for Product<B> {
    type Object = Resv<UsageLevels, B>;

    fn object(&self) -> &Self::Object {
        &self.0
    }

    fn submit(objects: &[(&Self::Object, Usage)], fence: &Fence) -> usize {
        let waits = submit(fence, objects).expect("memory for one fence");
        waits.len()
    }
}

impl Submits for MutexVec {
    type Object = MutexVec;

    fn object(&self) -> &MutexVec {
        self
    }

    fn submit(objects: &[(&MutexVec, Usage)], fence: &Fence) -> usize {
        MutexVec::submit(objects, fence).len()
    }
}

/// One thread's objects and jobs.
struct Own<S> {
    objects: Vec<S>,
    jobs: Jobs,
}

impl<S: Submits> Own<S> {
    fn new(k: usize) -> Self {
        let jobs = Jobs::new(FENCES);
        // In one allocation: sorted by address.
        let objects: Vec<S> = (0..k).map(|_| S::new()).collect();
        for job in &jobs.signalers {
            for object in &objects {
                object.add(job.fence(), USAGE);
            }
        }
        Own { objects, jobs }
    }

    fn run(&mut self, count: u64) -> Duration {
        // What a job names is at hand, for both: it is no part of what is timed.
        let named = |object| (S::object(object), USAGE);
        let objects: Vec<_> = self.objects.iter().map(named).collect();
        let jobs = &mut self.jobs;
        timed(count, || {
            jobs.next(|job| {
                std::hint::black_box(S::submit(&objects, job.fence()));
            });
        })
    }
}

fn one_thread<S: Submits>(k: usize) -> Bench {
    Bench::new(S::name(), move || {
        let mut own = Own::<S>::new(k);
        move |count| own.run(count)
    })
}

/// Operations that a thread makes between two looks at whether the time is up.
const BATCH: u64 = 256;

/// Submits by threads that have all their own, under the subject's name.
fn disjoint<S: Submits>() -> (&'static str, Run) {
    let run = |apart: Apart| {
        side_by_side(
            apart,
            || Own::<S>::new(4),
            |own| {
                own.run(BATCH);
                BATCH
            },
        )
    };
    (S::name(), run)
}

/// A buffer's number, and what a job does to it.
type Use = (u16, Usage);

/// Where the fences of 500 buffers are.
trait Buffers: Sync {
    /// What a job must wait for, as the subject gives it.
    type Waits: Deref<Target = [Fence]> + Send;

    fn new() -> Self;

    /// Adds the fence to each of these; what the job must wait for.
    fn submit(&self, uses: &[Use], fence: &Fence) -> Self::Waits;
}

impl<B: Backend + Default> Buffers for Vec<Resv<UsageLevels, B>> {
    type Waits = Waits;

    fn new() -> Self {
        (0..BUFFERS).map(|_| Resv::default()).collect()
    }

    fn submit(&self, uses: &[Use], fence: &Fence) -> Waits {
        let mut slice = [(&self[0], Usage::Read); 20];
        for (place, &(at, usage)) in slice.iter_mut().zip(uses) {
            *place = (&self[usize::from(at)], usage);
        }
        submit(fence, &slice[..uses.len()]).expect("memory for one fence")
    }
}

/// The fences of a buffer, where it has no [`Resv`].
type Uses = Vec<(Fence, Usage)>;

/// Adds a fence, and its waits, without those that have signalled and those that it supersedes.
#[inline]
fn note_and_add(uses: &mut Uses, fence: &Fence, usage: Usage, waits: &mut Vec<Fence>) {
    let conflicting = UsageLevels.waits_for(usage.access());
    let new = Key::new(fence, usage);
    uses.retain(|(old, their_usage)| {
        if old.is_signaled() {
            return false;
        }
        if conflicting.contains(*their_usage) && !waits.contains(old) {
            waits.push(old.clone());
        }
        !UsageLevels.supersedes(new, Key::new(old, *their_usage))
    });
    uses.push((fence.clone(), usage));
}

/// `Mutex<HashMap<BufferId, Vec<(Fence, Usage)>>>`.
struct Map(Mutex<HashMap<usize, Uses>>);

impl Buffers for Map {
    type Waits = Vec<Fence>;

    fn new() -> Self {
        Map(Mutex::default())
    }

    fn submit(&self, uses: &[Use], fence: &Fence) -> Vec<Fence> {
        let mut waits: Vec<Fence> = Vec::new();
        let mut map = self.0.lock();
        for &(at, usage) in uses {
            note_and_add(map.entry(at.into()).or_default(), fence, usage, &mut waits);
        }
        waits
    }
}

/// The locks of a job, in the order of its uses.
type Locked<'m> = [Option<MutexGuard<'m, Uses>>; 20];

/// `Vec<Mutex<Vec<(Fence, Usage)>>>`, by buffer.
struct Mutexes(Vec<Mutex<Uses>>);

impl Mutexes {
    fn buffer(&self, (at, _): Use) -> &Mutex<Uses> {
        &self.0[usize::from(at)]
    }

    /// Takes all locks of a job.
    #[inline]
    fn lock<'m>(&'m self, uses: &[Use], locked: &mut Locked<'m>) {
        for (place, &used) in locked.iter_mut().zip(uses) {
            *place = self.buffer(used).try_lock();
            if place.is_none() {
                return self.lock_in_order(uses, locked);
            }
        }
    }

    #[cold]
    fn lock_in_order<'m>(&'m self, uses: &[Use], locked: &mut Locked<'m>) {
        locked.fill_with(|| None);
        let mut order: Vec<usize> = (0..uses.len()).collect();
        order.sort_unstable_by_key(|&at| uses[at].0);
        for at in order {
            locked[at] = Some(self.buffer(uses[at]).lock());
        }
    }
}

impl Buffers for Mutexes {
    type Waits = Vec<Fence>;

    fn new() -> Self {
        Mutexes((0..BUFFERS).map(|_| Mutex::default()).collect())
    }

    fn submit(&self, uses: &[Use], fence: &Fence) -> Vec<Fence> {
        let mut locked = [const { None }; 20];
        self.lock(uses, &mut locked);
        add_to_all(&mut locked, uses, fence)
    }
}

/// Adds a fence to the buffers that are locked; its waits.
#[inline]
fn add_to_all(locked: &mut Locked<'_>, uses: &[Use], fence: &Fence) -> Vec<Fence> {
    let mut waits = Vec::new();
    for (all, &(_, usage)) in locked.iter_mut().flatten().zip(uses) {
        note_and_add(all, fence, usage, &mut waits);
    }
    waits
}

/// What a submitter hands to a queue.
struct Queued<W> {
    waits: W,
    job: Signaler,
}

/// The jobs of one submitter for one queue, in their order.
struct Lane<W>(Mutex<VecDeque<Queued<W>>>);

/// A submitter waits when a lane has as many.
const LONGEST: usize = 64;

const QUEUES: usize = 2;

/// Jobs that a submitter makes before its clock begins: each of 500 buffers has been used by then.
const FIRST: usize = 2_000;

/// Runs the jobs of all lanes whose waits have signalled, until the submitters are through and nothing
/// is left.
fn run_queue<W: Deref<Target = [Fence]>>(lanes: &[Lane<W>], submitters: &AtomicUsize) {
    loop {
        let through = submitters.load(Ordering::Acquire) == 0;
        let (mut ran, mut left) = (false, false);
        for lane in lanes {
            let mut jobs = lane.0.lock();
            while let Some(next) = jobs.front() {
                if !next.waits.iter().all(Fence::is_signaled) {
                    left = true;
                    break;
                }
                let next = jobs.pop_front().expect("it is the front");
                parking_lot::MutexGuard::unlocked(&mut jobs, || next.job.signal());
                ran = true;
            }
        }
        if through && !left && !ran {
            return;
        }
        if !ran {
            std::thread::yield_now();
        }
    }
}

/// Nanoseconds a job.
fn jobs_round<B: Buffers>(submitters: usize, span: Duration) -> f64 {
    let buffers = B::new();
    let lane = |_| Lane::<B::Waits>(Mutex::default());
    let lanes: Vec<Vec<_>> = (0..QUEUES)
        .map(|_| (0..submitters).map(lane).collect())
        .collect();
    let (start, busy) = (Barrier::new(submitters), AtomicUsize::new(submitters));
    let rates: Vec<f64> = std::thread::scope(|scope| {
        for lanes in &lanes {
            let busy = &busy;
            scope.spawn(move || run_queue(lanes, busy));
        }
        let threads: Vec<_> = (0..submitters)
            .map(|submitter| {
                let (buffers, lanes, start, busy) = (&buffers, &lanes, &start, &busy);
                scope.spawn(move || {
                    let timelines = [Timeline::new("queue-0"), Timeline::new("queue-1")];
                    let table = table(submitter as u64 + 1);
                    let mut jobs = table.iter().cycle();
                    let mut submit_to = |queue: usize| {
                        let uses = jobs.next().expect("a cycle has no end");
                        let lane = &lanes[queue][submitter];
                        while lane.0.lock().len() >= LONGEST {
                            std::thread::yield_now();
                        }
                        let job = issue(&timelines[queue]);
                        let waits = buffers.submit(uses, job.fence());
                        lane.0.lock().push_back(Queued { waits, job });
                    };
                    (0..FIRST).for_each(|count| submit_to(count % QUEUES));
                    start.wait();
                    let (begin, mut count) = (Instant::now(), 0_usize);
                    while !count.is_multiple_of(64) || begin.elapsed() < span {
                        submit_to(count % QUEUES);
                        count += 1;
                    }
                    let took = begin.elapsed();
                    busy.fetch_sub(1, Ordering::Release);
                    count as f64 / took.as_secs_f64()
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
        threads.into_iter().map(join).collect()
    });
    1e9 / rates.iter().sum::<f64>()
}

/// At least so many rounds: where the scheduler puts three to six threads on two processors differs from round to round,
/// and with six rounds of 8 ms a ratio was 0.7 in one run and 1.4 in the next.
const ROUNDS: usize = 15;

fn queue_jobs(submitters: usize, effort: &Effort) -> Vec<Series> {
    type Round = fn(usize, Duration) -> f64;
    let rounds: [(&str, Round); 4] = [
        ("submit", jobs_round::<Vec<Resv>>),
        ("seqcount", jobs_round::<Vec<Resv<UsageLevels, Seqcount>>>),
        (MUTEX, jobs_round::<Mutexes>),
        (MAP, jobs_round::<Map>),
    ];
    let mut all = rounds.map(|(subject, _)| Series::new(subject));
    for first in 0..effort.few_rounds().max(ROUNDS) {
        for turn in 0..rounds.len() {
            let at = (first + turn) % rounds.len();
            let (_, round) = rounds[at];
            all[at].ns.push(round(submitters, effort.crowd_span));
        }
    }
    all.into()
}

/// Jobs of one submitter: what [`Random::uses`] gives for its seed, call after call.
fn table(seed: u64) -> Vec<Box<[Use]>> {
    const JOBS: usize = 1_024;
    let mut random = Random(seed);
    let mut next = || random.uses(&mut [(0, Usage::Read); 20]).into();
    (0..JOBS).map(|_| next()).collect()
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % below
    }

    /// 2 to 20 buffers, in random order; a quarter of them is written.
    fn uses<'u>(&mut self, uses: &'u mut [Use; 20]) -> &'u [Use] {
        let count = 2 + self.next(19);
        for place in &mut uses[..count] {
            let usage = if self.next(4) == 0 {
                Usage::Write
            } else {
                Usage::Read
            };
            *place = (self.next(BUFFERS) as u16, usage);
        }
        // Each buffer once: the map would have a job wait for itself.
        let uses = &mut uses[..count];
        uses.sort_unstable();
        let mut distinct = 1;
        for at in 1..count {
            if uses[at].0 != uses[distinct - 1].0 {
                uses[distinct] = uses[at];
                distinct += 1;
            }
        }
        for at in (1..distinct).rev() {
            uses.swap(at, self.next(at + 1));
        }
        &uses[..distinct]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resv_core::TimelineId;
    use std::collections::{BTreeMap, HashSet};

    /// All subjects answer the same, so that the figures are about the same work.
    #[test]
    fn all_ways_to_keep_the_buffers_wait_for_the_same() {
        let (ours, map) = (<Vec<Resv> as Buffers>::new(), Map::new());
        let (mutexes, in_order) = (Mutexes::new(), Mutexes::new());
        let timelines = [Timeline::new("a"), Timeline::new("b")];
        let mut random = Random(7);
        let mut pending = VecDeque::new();
        for number in 0..500 {
            let job = issue(&timelines[number % 2]);
            let mut uses = [(0, Usage::Read); 20];
            let uses = random.uses(&mut uses);
            let mine = ours.submit(uses, job.fence());
            assert_eq!(mine.len(), latest(&mine, &job).len(), "each timeline once");
            let mut locked = [const { None }; 20];
            in_order.lock_in_order(uses, &mut locked);
            for theirs in [
                map.submit(uses, job.fence()),
                mutexes.submit(uses, job.fence()),
                add_to_all(&mut locked, uses, job.fence()),
            ] {
                assert_eq!(latest(&mine, &job), latest(&theirs, &job), "{number}");
            }
            drop(locked);
            pending.push_back(job);
            if pending.len() > 40 {
                pending.drain(..10).for_each(Signaler::signal);
            }
        }
    }

    /// Of each timeline the latest fence but the job's.
    fn latest(waits: &[Fence], job: &Signaler) -> BTreeMap<TimelineId, u64> {
        let mut latest = BTreeMap::new();
        for fence in waits.iter().filter(|fence| *fence != job.fence()) {
            let last: &mut u64 = latest.entry(fence.timeline_id()).or_default();
            *last = fence.seqno().max(*last);
        }
        latest
    }

    /// So the jobs of a round are those that were drawn within the clock before.
    #[test]
    fn a_table_has_what_is_drawn_one_by_one() {
        for seed in 1..=4 {
            let (table, mut random) = (table(seed), Random(seed));
            assert_eq!(table.len(), 1_024);
            let used: HashSet<_> = table.iter().flatten().map(|&(at, _)| at).collect();
            assert_eq!(used.len(), BUFFERS, "all are used");
            assert!(table.len() <= FIRST, "before the clock begins");
            for (number, job) in table.iter().enumerate() {
                let mut uses = [(0, Usage::Read); 20];
                assert_eq!(**job, *random.uses(&mut uses), "{seed}, {number}");
                let buffers: HashSet<_> = job.iter().map(|&(at, _)| at).collect();
                assert_eq!(buffers.len(), job.len(), "each buffer once");
            }
        }
    }

    #[test]
    fn all_jobs_of_a_round_are_run() {
        assert!(jobs_round::<Vec<Resv>>(2, Duration::from_millis(2)) > 0.0);
        assert!(jobs_round::<Mutexes>(2, Duration::from_millis(2)) > 0.0);
        assert!(jobs_round::<Map>(2, Duration::from_millis(2)) > 0.0);
    }
}
