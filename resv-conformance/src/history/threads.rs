//! The threads of a history, and their notes.

use super::Plan;
use super::clocks::Clocks;
use crate::{Object, Subject};
use resv_api::{
    Access, AnySemantics, Backend, Entry, EntryRef, Fence, Key, Semantics, Signaler, Timeline,
    TimelineId, Usage,
};
use resv_core::{Budget, EntrySet};
use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::time::Duration;

/// Timelines of each writer.
const TIMELINES: usize = 3;
/// How far back a writer reaches for a fence to add again.
const RECENT: usize = 8;
/// Reads that one reader makes of one state. More would show the same, and readers are so much faster
/// than writers that most would be of the states in which nothing happens.
const READS_OF_A_STATE: usize = 24;

/// One edit of a transaction: `new` was added, and what it supersedes removed.
///
/// Not a statement of the scenario language: histories are judged by keys, and their threads share no names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit {
    /// The timeline whose entries were removed, too.
    pub(super) replaces: Option<TimelineId>,
    pub(super) new: Key,
}

impl Edit {
    pub(super) fn removes(&self, semantics: AnySemantics, old: Key) -> bool {
        self.replaces == Some(old.timeline) || semantics.supersedes(self.new, old)
    }
}

#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) version: u64,
    pub(super) edits: Vec<Edit>,
    /// Signals of each writer that had begun when this was published.
    pub(super) signals: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    Snapshot,
    Visit(Access),
    Idle(Access),
}

#[derive(Debug)]
pub(super) enum Answer {
    Keys(Vec<Key>),
    Idle(bool),
}

#[derive(Debug, Default)]
pub(super) struct WriterLog {
    pub(super) transactions: Vec<Transaction>,
    /// Fences in the order in which this writer signalled them.
    pub(super) signals: Vec<(TimelineId, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct ReaderLog {
    pub(super) reads: Vec<(Question, Answer)>,
    /// See [`Stamps`](super::clocks::Stamps).
    pub(super) stamps: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) timelines: HashMap<TimelineId, String>,
    pub(super) writers: Vec<WriterLog>,
    pub(super) readers: Vec<ReaderLog>,
}

/// Runs the threads of `plan` on a new object.
pub(super) fn record(on: Subject, plan: Plan) -> Record {
    let object = on.object();
    let clocks = Clocks::new(plan.writers, plan.readers);
    let start = Barrier::new(plan.writers + plan.readers);
    let writing = AtomicUsize::new(plan.writers);
    let failed = AtomicBool::new(false);
    let writers: Vec<Writer<'_>> = (0..plan.writers)
        .map(|me| Writer {
            object: &object,
            clocks: &clocks,
            me,
            random: Random::new(plan.seed, me),
            timelines: (0..TIMELINES)
                .map(|t| Timeline::new(&format!("w{me}t{t}")))
                .collect(),
            foreign: Timeline::new("foreign"),
            pending: Vec::new(),
            recent: Vec::new(),
            log: WriterLog::default(),
        })
        .collect();
    let timelines = writers.iter().flat_map(|writer| &writer.timelines);
    let timelines = timelines.map(|t| (t.id(), t.name().to_owned())).collect();

    let (writers, readers) = std::thread::scope(|scope| {
        let (start, writing, failed) = (&start, &writing, &failed);
        let writers: Vec<_> = writers
            .into_iter()
            .map(|mut writer| {
                scope.spawn(move || {
                    let _over = Leaving {
                        writing: Some(writing),
                        failed,
                    };
                    start.wait();
                    for _ in 0..plan.transactions {
                        // Relaxed: only an end that may come a little later.
                        if failed.load(Ordering::Relaxed) {
                            break;
                        }
                        match plan.is_always_pending() {
                            true => writer.hand_over(),
                            false => writer.step(),
                        }
                    }
                    // Fences that are pending now stay so until the readers have left.
                    (writer.log, writer.pending)
                })
            })
            .collect();
        let readers: Vec<_> = (0..plan.readers)
            .map(|me| {
                let mut reader = Reader {
                    object: &object,
                    clocks: &clocks,
                    me,
                    random: Random::new(plan.seed, plan.writers + me),
                    state: 0,
                    reads_of_state: 0,
                    log: ReaderLog::default(),
                };
                scope.spawn(move || {
                    let _over = Leaving {
                        writing: None,
                        failed,
                    };
                    start.wait();
                    // Relaxed: only an end that may come a little later.
                    while writing.load(Ordering::Relaxed) > 0 {
                        reader.read();
                    }
                    reader.log
                })
            })
            .collect();
        // All are joined before a panic is passed on, so that fences outlive the readers.
        let readers: Vec<_> = readers.into_iter().map(|thread| thread.join()).collect();
        let writers: Vec<_> = writers.into_iter().map(|thread| thread.join()).collect();
        (writers, readers)
    });
    let writers: Vec<_> = writers.into_iter().map(or_resume).collect();
    Record {
        timelines,
        readers: readers.into_iter().map(or_resume).collect(),
        writers: writers.into_iter().map(|(log, _pending)| log).collect(),
    }
}

fn or_resume<T>(joined: std::thread::Result<T>) -> T {
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Says that a thread has ended, also when it panics.
struct Leaving<'a> {
    /// The number of writers that are left, for a writer.
    writing: Option<&'a AtomicUsize>,
    failed: &'a AtomicBool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        // Relaxed, both: what threads noted is passed on by joining them.
        if std::thread::panicking() {
            self.failed.store(true, Ordering::Relaxed);
        }
        if let Some(writing) = self.writing {
            writing.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

struct Writer<'a> {
    object: &'a Object,
    clocks: &'a Clocks,
    me: usize,
    random: Random,
    timelines: Vec<Timeline>,
    foreign: Timeline,
    pending: Vec<Signaler>,
    /// Fences issued lately, signalled or not.
    recent: Vec<Fence>,
    log: WriterLog,
}

impl Writer<'_> {
    /// H-02: what was pending signals once its successor is published.
    fn hand_over(&mut self) {
        let odd = self.log.transactions.len() % 2;
        let usage = [Usage::Write, Usage::Read][odd];
        let job = issue(&self.timelines[odd]);
        let fence = job.fence().clone();
        let before = std::mem::replace(&mut self.pending, vec![job]);
        self.transact(vec![(None, fence, usage)], Vec::new());
        self.random.pause();
        before.into_iter().for_each(|job| self.signal(job));
        drop(issue(&self.foreign));
    }

    /// A transaction of anything, and signals under the lock and outside.
    fn step(&mut self) {
        let count = 1 + self.random.below(4);
        let mut edits = Vec::with_capacity(count);
        for _ in 0..count {
            let usage = Usage::ALL[self.random.below(Usage::ALL.len())];
            if self.random.one_in(4) && !self.recent.is_empty() {
                let again = self.recent[self.random.below(self.recent.len())].clone();
                edits.push((None, again, usage));
                continue;
            }
            let timeline = self.random.below(TIMELINES);
            let job = issue(&self.timelines[timeline]);
            let fence = job.fence().clone();
            let replaced = &self.timelines[self.random.below(TIMELINES)];
            let replaces = self.random.one_in(16).then(|| replaced.id());
            self.recent.push(fence.clone());
            match self.random.one_in(16) {
                // A job that is over before it is recorded.
                true => self.signal(job),
                false => self.pending.push(job),
            }
            edits.push((replaces, fence, usage));
        }
        self.recent
            .drain(..self.recent.len().saturating_sub(RECENT));
        let inside = self.take_pending(4);
        self.transact(edits, inside);
        self.random.pause();
        for job in self.take_pending(2) {
            self.signal(job);
        }
        drop(issue(&self.foreign));
    }

    /// Each pending job with a chance of one in `n`, and any that is too many.
    fn take_pending(&mut self, n: usize) -> Vec<Signaler> {
        let (random, mut left) = (&mut self.random, self.pending.len());
        self.pending
            .extract_if(.., |_| {
                let taken = left > RECENT || random.one_in(n);
                left -= usize::from(taken);
                taken
            })
            .collect()
    }

    /// One transaction; `inside` signal before the lock is released.
    fn transact(&mut self, edits: Vec<(Option<TimelineId>, Fence, Usage)>, inside: Vec<Signaler>) {
        let semantics = self.object.semantics();
        let backend = self.object.backend();
        let mut held = backend.object_lock().lock();
        let room = Budget {
            adds: edits.len(),
            publishes: 1,
        };
        backend
            .reserve(&mut held, room)
            .expect("memory for a few entries");
        let version = self.clocks.transactions.begun.get() + 1;
        self.clocks.transactions.begun.set(version);
        let mut noted = Vec::with_capacity(edits.len());
        for (replaces, fence, usage) in edits {
            let usage = semantics.class(usage);
            let entry = Entry { fence, usage };
            let new = entry.key();
            let edit = Edit { replaces, new };
            self.random.pause();
            backend.edit(&mut held, |old| edit.removes(semantics, old), Some(entry));
            noted.push(edit);
        }
        self.random.pause();
        backend.publish(&mut held);
        // See the module's documentation, "the end of a state".
        fence(Ordering::SeqCst);
        let signals = self.clocks.signals.iter().map(|pair| pair.begun.get());
        self.log.transactions.push(Transaction {
            version,
            edits: noted,
            signals: signals.collect(),
        });
        self.clocks.transactions.done.set(version);
        self.random.pause();
        inside.into_iter().for_each(|job| self.signal(job));
        backend.unreserve(&mut held);
    }

    fn signal(&mut self, job: Signaler) {
        let clock = &self.clocks.signals[self.me];
        self.log
            .signals
            .push((job.fence().timeline_id(), job.fence().seqno()));
        clock.begun.set(self.log.signals.len() as u64);
        job.signal();
        clock.done.set(self.log.signals.len() as u64);
    }
}

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("a new timeline has seqnos left")
}

struct Reader<'a> {
    object: &'a Object,
    clocks: &'a Clocks,
    me: usize,
    random: Random,
    /// The last state that was surely published, and how often this reader has read since.
    state: u64,
    reads_of_state: usize,
    log: ReaderLog,
}

impl Reader<'_> {
    fn read(&mut self) {
        let state = self.clocks.transactions.done.get();
        if state != self.state {
            self.state = state;
            self.reads_of_state = 0;
        }
        if self.reads_of_state == READS_OF_A_STATE {
            std::thread::yield_now();
            return;
        }
        self.reads_of_state += 1;
        let access = Access::ALL[self.random.below(Access::ALL.len())];
        let question = match self.random.below(8) {
            0 | 1 => Question::Snapshot,
            2 | 3 => Question::Visit(access),
            // The question of H-02 and H-25 most often.
            4 | 5 => Question::Idle(Access::Move),
            _ => Question::Idle(access),
        };
        self.clocks.note_done(&mut self.log.stamps);
        let answer = match question {
            Question::Snapshot => {
                let snapshot = self.object.backend().snapshot();
                let snapshot = snapshot.expect("memory for a few entries");
                Answer::Keys(snapshot.iter().map(EntryRef::key).collect())
            }
            Question::Visit(access) => {
                Answer::Keys(self.object.visit(access, Vec::new(), |mut keys, key| {
                    keys.push(key);
                    keys
                }))
            }
            Question::Idle(access) => Answer::Idle(self.object.is_idle(access)),
        };
        self.clocks.note_begun(&mut self.log.stamps);
        self.log.reads.push((question, answer));
        self.clocks.reads[self.me].set(self.log.reads.len() as u64);
    }
}

/// Numbers that look random and depend on a seed alone (splitmix64).
struct Random(u64);

impl Random {
    fn new(seed: u64, thread: usize) -> Random {
        let mut random = Random(seed ^ (thread as u64 + 1).wrapping_mul(0xD134_2543_DE82_EF95));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Sometimes lets others run, sometimes for long.
    fn pause(&mut self) {
        match self.below(128) {
            0 => std::thread::sleep(Duration::from_micros(50)),
            1..6 => std::thread::yield_now(),
            _ => {}
        }
    }
}
