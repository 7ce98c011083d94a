//! Jobs that share 500 buffers: threads submit them, two queues run them, and one of the devices is
//! lost in the middle.
//!
//! What an author of a GPU layer does with this library, and what it answers for:
//!
//! * a job names the buffers that it uses, and how; one call, [`submit`], says what it must wait for;
//! * the queues run jobs as their waits signal. Here each buffer notes its users at that moment, so
//!   two jobs that conflict and overlap would be seen;
//! * a queue whose device is lost fails all of its jobs, and every waiter of one is told.
//!
//! ```sh
//! cargo run -p resv-api --release --example queue_jobs
//! ```

use resv_api::{
    Access, Fence, FenceError, FenceStatus, Resv, Signaler, Timeline, Usage, Waits, submit,
};
use std::collections::VecDeque;
use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::thread;

const BUFFERS: usize = 500;
const SUBMITTERS: usize = 4;
const QUEUES: usize = 2;
const JOBS: usize = 5_000;
/// The jobs that a submitter may be ahead of a queue.
const AHEAD: usize = 32;

/// A buffer, and its users now.
struct Buffer {
    resv: Resv,
    /// How many jobs read it; -1: one writes it.
    users: AtomicI64,
}

impl Buffer {
    /// A job begins to use it. It must not meet another one that conflicts.
    fn begin(&self, usage: Usage) {
        if usage == Usage::Write {
            let before = self.users.swap(-1, Ordering::AcqRel);
            assert_eq!(before, 0, "a writer meets another user");
        } else {
            let before = self.users.fetch_add(1, Ordering::AcqRel);
            assert!(before >= 0, "a reader meets a writer");
        }
    }

    fn end(&self, usage: Usage) {
        if usage == Usage::Write {
            self.users.store(0, Ordering::Release);
        } else {
            self.users.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// A job on its way: what it uses, what it waits for, and the promise that it will be done.
struct Job {
    uses: Vec<(usize, Usage)>,
    waits: Waits,
    promise: Signaler,
}

/// The jobs of one submitter for one queue, in their order: the order of their timeline.
type Lane = Mutex<VecDeque<Job>>;

/// A queue: a lane for each submitter, and whether its device is lost.
struct Queue {
    lanes: Vec<Lane>,
    is_lost: AtomicBool,
}

/// What the queues saw.
#[derive(Default)]
struct Seen {
    done: AtomicUsize,
    /// Jobs that failed with their device.
    lost: AtomicUsize,
    /// Jobs that did not run as something that they waited for had failed.
    passed_on: AtomicUsize,
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let buffers: Vec<Buffer> = (0..BUFFERS)
        .map(|_| Buffer {
            resv: Resv::new(),
            users: AtomicI64::new(0),
        })
        .collect();
    let queues: Vec<Queue> = (0..QUEUES)
        .map(|_| Queue {
            lanes: (0..SUBMITTERS).map(|_| Lane::default()).collect(),
            is_lost: AtomicBool::new(false),
        })
        .collect();
    let (submitting, seen) = (AtomicUsize::new(SUBMITTERS), Seen::default());
    let fences: Vec<Vec<Fence>> = thread::scope(|scope| {
        for queue in &queues {
            scope.spawn(|| run(queue, &buffers, &submitting, &seen));
        }
        let submitters: Vec<_> = (0..SUBMITTERS)
            .map(|number| {
                let (buffers, queues, submitting) = (&buffers, &queues, &submitting);
                scope.spawn(move || {
                    let issued = submit_jobs(number, buffers, queues);
                    submitting.fetch_sub(1, Ordering::Release);
                    issued
                })
            })
            .collect();
        let joined = submitters
            .into_iter()
            .map(|thread| thread.join().expect("a submitter"));
        joined.collect::<Result<_, _>>()
    })?;

    // Every promise was kept, or broken for all to see.
    let all = || fences.iter().flatten();
    assert_eq!(all().count(), SUBMITTERS * JOBS);
    assert!(all().all(Fence::is_signaled));
    let failed = all()
        .filter(|fence| fence.status() != FenceStatus::Signaled)
        .count();
    let count = |counter: &AtomicUsize| counter.load(Ordering::Acquire);
    assert_eq!(failed, count(&seen.lost) + count(&seen.passed_on));
    assert_eq!(count(&seen.done) + failed, SUBMITTERS * JOBS);
    assert!(count(&seen.lost) > 0, "the device was lost with jobs on it");
    for buffer in &buffers {
        assert!(buffer.resv.is_idle(Access::Move));
        assert_eq!(buffer.users.load(Ordering::Acquire), 0);
    }
    println!(
        "{} jobs ran and met nobody; {} were lost with their device; {} would have used what those left behind",
        count(&seen.done),
        count(&seen.lost),
        count(&seen.passed_on)
    );
    Ok(())
}

/// Submits the jobs of one thread, to the queues by turns, and pulls the plug of one device half way.
fn submit_jobs(
    number: usize,
    buffers: &[Buffer],
    queues: &[Queue],
) -> Result<Vec<Fence>, Box<dyn Error + Send + Sync>> {
    // A timeline for each queue: this thread's jobs on it are done in order.
    let timelines: Vec<Timeline> = (0..QUEUES)
        .map(|queue| Timeline::new(&format!("submitter-{number}-queue-{queue}")))
        .collect();
    let mut random = Random(number as u64 + 1);
    let mut issued = Vec::with_capacity(JOBS);
    for job in 0..JOBS {
        if number == 0 && job == JOBS / 2 {
            queues[1].is_lost.store(true, Ordering::Release);
        }
        let at = job % QUEUES;
        let lane = &queues[at].lanes[number];
        while lane.lock().expect("a lane").len() >= AHEAD {
            thread::yield_now();
        }
        let uses = random.uses();
        let promise = timelines[at].issue()?;
        issued.push(promise.fence().clone());
        // The call that this example is about.
        let wanted: Vec<_> = uses
            .iter()
            .map(|&(buffer, usage)| (&buffers[buffer].resv, usage))
            .collect();
        let waits = submit(promise.fence(), &wanted)?;
        lane.lock().expect("a lane").push_back(Job {
            uses,
            waits,
            promise,
        });
    }
    Ok(issued)
}

/// Runs the jobs at the heads of the lanes as their waits signal, until nobody submits any more and
/// nothing is left.
fn run(queue: &Queue, buffers: &[Buffer], submitting: &AtomicUsize, seen: &Seen) {
    loop {
        let is_last = submitting.load(Ordering::Acquire) == 0;
        let (mut ran, mut left) = (false, false);
        for lane in &queue.lanes {
            loop {
                let mut jobs = lane.lock().expect("a lane");
                let Some(next) = jobs.front() else { break };
                if !next.waits.iter().all(Fence::is_signaled) {
                    left = true;
                    break;
                }
                let job = jobs.pop_front().expect("the front");
                drop(jobs);
                run_one(job, queue, buffers, seen);
                ran = true;
            }
        }
        if is_last && !ran && !left {
            return;
        }
        if !ran {
            thread::yield_now();
        }
    }
}

fn run_one(job: Job, queue: &Queue, buffers: &[Buffer], seen: &Seen) {
    let failed = job.waits.iter().find_map(|fence| match fence.status() {
        FenceStatus::Error(error) => Some(error),
        _ => None,
    });
    if queue.is_lost.load(Ordering::Acquire) {
        seen.lost.fetch_add(1, Ordering::AcqRel);
        job.promise.signal_error(FenceError::IO);
    } else if let Some(error) = failed {
        // What it would have used is broken: it fails likewise, and so on.
        seen.passed_on.fetch_add(1, Ordering::AcqRel);
        job.promise.signal_error(error);
    } else {
        for &(buffer, usage) in &job.uses {
            buffers[buffer].begin(usage);
        }
        for &(buffer, usage) in &job.uses {
            buffers[buffer].end(usage);
        }
        seen.done.fetch_add(1, Ordering::AcqRel);
        job.promise.signal();
    }
}

/// xorshift64: the same jobs each time.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % below
    }

    /// 2 to 20 buffers, each once, in any order; a quarter of them is written.
    fn uses(&mut self) -> Vec<(usize, Usage)> {
        let count = 2 + self.next(19);
        let mut uses: Vec<(usize, Usage)> = Vec::with_capacity(count);
        while uses.len() < count {
            let buffer = self.next(BUFFERS);
            if uses.iter().all(|&(used, _)| used != buffer) {
                let usage = [Usage::Write, Usage::Read, Usage::Read, Usage::Read][self.next(4)];
                uses.push((buffer, usage));
            }
        }
        uses
    }
}
