//! A writer that hands work on, so that something is pending at every instant, against readers that must
//! never find nothing (H-02). For `tests/stress.rs` and for the known-bad variants in `src/stress.rs`.

use resv_core::{Backend, Budget, Entry, Key, Signaler, Timeline, Usage};
use std::sync::atomic::{AtomicBool, Ordering};

/// Steps of a writer. Enough for a second or so.
pub(crate) const STEPS: usize = 150_000;

/// Changes an object so that something is pending at every instant (H-02):
/// {E1} -> {E1, S1} -> E1 signals -> {S1, E2} -> S1 signals -> {E2, S2} -> ...
pub(crate) struct AlwaysPending<B> {
    pub(crate) object: B,
}

pub(crate) struct Writer<'a, B> {
    object: &'a B,
    writes: Timeline,
    reads: Timeline,
    /// What is pending: an E, and after every other step an S.
    write: Option<Signaler>,
    read: Option<Signaler>,
}

impl<B: Backend> AlwaysPending<B> {
    pub(crate) fn new(object: B) -> Self {
        AlwaysPending { object }
    }

    pub(crate) fn writer(&self) -> Writer<'_, B> {
        let mut writer = Writer {
            object: &self.object,
            writes: Timeline::new("E"),
            reads: Timeline::new("S"),
            write: None,
            read: None,
        };
        writer.replace_write();
        writer
    }
}

impl<B: Backend> Writer<'_, B> {
    fn commit(&self, removes: impl Fn(Key) -> bool, job: &Signaler, usage: Usage) {
        let mut held = self.object.object_lock().lock();
        let room = Budget {
            adds: 1,
            publishes: 1,
        };
        self.object.reserve(&mut held, room).expect("memory");
        let fence = job.fence().clone();
        self.object
            .edit_and_publish(&mut held, removes, Some(Entry { fence, usage }));
        self.object.unreserve(&mut held);
    }

    fn replace_write(&mut self) {
        let job = self.writes.issue().expect("seqnos are left");
        self.commit(|key| key.usage == Usage::Write, &job, Usage::Write);
        self.write = Some(job);
    }

    /// {E} becomes {E, S}, then E signals.
    pub(crate) fn add_read_and_signal_write(&mut self) {
        let job = self.reads.issue().expect("seqnos are left");
        self.commit(|_| false, &job, Usage::Read);
        self.read = Some(job);
        self.write.take().expect("an E is pending").signal();
    }

    /// {E, S} becomes {S, E'}, then S signals.
    pub(crate) fn replace_write_and_signal_read(&mut self) {
        self.replace_write();
        self.read.take().expect("an S is pending").signal();
    }

    pub(crate) fn step(&mut self) {
        if self.read.is_none() {
            self.add_read_and_signal_write();
        } else {
            self.replace_write_and_signal_read();
        }
    }
}

/// Whether `keys` is a set that was published: {E1}, {En, Sn} or {Sn, En+1}, the older first.
pub(crate) fn was_published(keys: &[Key]) -> bool {
    match keys {
        [only] => only.usage == Usage::Write && only.seqno == 1,
        [older, newer] => match (older.usage, newer.usage) {
            (Usage::Write, Usage::Read) => older.seqno == newer.seqno,
            (Usage::Read, Usage::Write) => older.seqno + 1 == newer.seqno,
            _ => false,
        },
        _ => false,
    }
}

/// Raises a flag when it goes, be it by a panic: a thread that runs until the flag is up ends then, too.
struct Raises<'a>(&'a AtomicBool);

impl Drop for Raises<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs the writer against two readers; stops early when a reader returns true.
pub(crate) fn race<B: Backend>(
    object: B,
    steps: usize,
    reader: impl Fn(&B) -> bool + Sync,
) -> bool {
    let always = AlwaysPending::new(object);
    let mut writer = always.writer();
    let (over, caught) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let read = || {
            while !over.load(Ordering::Relaxed) {
                if reader(&always.object) {
                    caught.store(true, Ordering::Relaxed);
                    over.store(true, Ordering::Relaxed);
                }
            }
        };
        let readers = [scope.spawn(read), scope.spawn(read)];
        let end = Raises(&over);
        for _ in 0..steps {
            if over.load(Ordering::Relaxed) {
                break;
            }
            writer.step();
        }
        drop(end);
        // Joined one by one, as ThreadSanitizer does not see the end of a scope.
        for reader in readers {
            reader.join().expect("a reader does not fail");
        }
    });
    caught.into_inner()
}
