//! Real threads against the promises to readers: H-02 (something is pending at every instant, so no
//! reader may find nothing), B1 (a set is one that was published), B8 (garbage stays bounded).
#![cfg(not(loom))]

use resv_core::{
    Backend, Budget, Entry, EntryRef, EntrySet, Key, Signaler, Timeline, Usage, UsageSet,
};
use resv_rcu_array::{RcuArray, Reclaim};
use std::sync::atomic::{AtomicBool, Ordering};

/// Steps of a writer. Enough for a second or so.
const STEPS: usize = 150_000;

/// Changes an object so that something is pending at every instant (H-02):
/// {E1} -> {E1, S1} -> E1 signals -> {S1, E2} -> S1 signals -> {E2, S2} -> ...
struct AlwaysPending<R: Reclaim> {
    object: RcuArray<R>,
}

struct Writer<'a, R: Reclaim> {
    object: &'a RcuArray<R>,
    writes: Timeline,
    reads: Timeline,
    /// What is pending: an E, and after every other step an S.
    write: Option<Signaler>,
    read: Option<Signaler>,
}

impl<R: Reclaim> AlwaysPending<R> {
    fn new() -> Self {
        AlwaysPending {
            object: RcuArray::default(),
        }
    }

    fn writer(&self) -> Writer<'_, R> {
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

impl<R: Reclaim> Writer<'_, R> {
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
    fn add_read_and_signal_write(&mut self) {
        let job = self.reads.issue().expect("seqnos are left");
        self.commit(|_| false, &job, Usage::Read);
        self.read = Some(job);
        self.write.take().expect("an E is pending").signal();
    }

    /// {E, S} becomes {S, E'}, then S signals.
    fn replace_write_and_signal_read(&mut self) {
        self.replace_write();
        self.read.take().expect("an S is pending").signal();
    }

    fn step(&mut self) {
        if self.read.is_none() {
            self.add_read_and_signal_write();
        } else {
            self.replace_write_and_signal_read();
        }
    }
}

/// Whether `keys` is a set that was published: {E1}, {En, Sn} or {Sn, En+1}, the older first.
fn was_published(keys: &[Key]) -> bool {
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

/// Raises a flag when it goes, be it by a panic: whoever runs until the flag is up ends then, too.
struct Raises<'a>(&'a AtomicBool);

impl Drop for Raises<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs the writer against two readers; stops early when a reader returns true.
fn race<R: Reclaim>(steps: usize, reader: impl Fn(&RcuArray<R>) -> bool + Sync) -> bool {
    let always = AlwaysPending::<R>::new();
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

fn h02_no_reader_ever_finds_nothing_pending<R: Reclaim>() {
    let lied = race::<R>(STEPS, |object| {
        assert!(!object.is_idle(UsageSet::ALL), "is_idle lied");
        assert!(object.is_idle(UsageSet::of(&[Usage::Kernel, Usage::Bookkeep])));
        let keys = object.visit(UsageSet::ALL, Vec::new(), |mut keys, key| {
            keys.push(key);
            keys
        });
        assert!(!keys.is_empty(), "a visit showed nothing");
        let snapshot = object.snapshot().expect("no memory needed");
        let keys: Vec<Key> = snapshot.iter().map(EntryRef::key).collect();
        assert!(was_published(&keys), "never published: {keys:?}");
        false
    });
    assert!(!lied);
}

/// The test that an immutable array invites one to write: it does not look whether the array is
/// still published. `between` runs between taking the array and testing its fences.
fn naive_is_idle<R: Reclaim>(object: &RcuArray<R>, between: impl FnOnce()) -> bool {
    let snapshot = object.snapshot().expect("no memory needed");
    between();
    snapshot.iter().all(|e| e.fence.is_signaled())
}

fn h25_without_the_second_look_idle_is_a_lie<R: Reclaim>() {
    let always = AlwaysPending::<R>::new();
    let mut writer = always.writer();
    let object = &always.object;
    for _ in 0..100 {
        // The reader has {E} (and an S that has signalled) in its hands when the writer steps.
        assert!(naive_is_idle(object, || writer.add_read_and_signal_write()));
        assert!(!object.is_idle(UsageSet::ALL));
        writer.replace_write_and_signal_read();
        assert!(!object.is_idle(UsageSet::ALL));
    }
}

fn h25_the_race_catches_a_test_without_the_second_look<R: Reclaim>() {
    // The race above is able to catch what it is for; it ends as soon as it has.
    let caught = race::<R>(100 * STEPS, |object| naive_is_idle(object, || ()));
    assert!(caught);
}

/// The race goes on until a visit was disturbed, which [`Backend::counters`] tells.
fn b7_what_is_started_again_is_counted<R: Reclaim>() {
    let counted = race::<R>(100 * STEPS, |object| {
        object.visit(UsageSet::ALL, (), |(), _| ());
        assert_eq!(object.counters().fallbacks, 0);
        object.counters().retries > 0
    });
    assert!(counted);
}

#[cfg(feature = "arc-swap")]
fn b8_garbage_is_bounded_under_readers_that_never_pause<R: Reclaim>() {
    RcuArray::<R>::default().reset_garbage_peak();
    race::<R>(STEPS, |object| {
        object.is_idle(UsageSet::ALL);
        false
    });
    let peak = RcuArray::<R>::default().garbage().peak;
    assert!(peak >= 1);
    assert!(peak <= most_garbage(), "peak: {peak}");
}

/// The stated bound, for the few threads of this process.
#[cfg(feature = "arc-swap")]
fn most_garbage() -> usize {
    16
}

/// The life of a cell alone does not say that its array is still published: somebody may have a
/// snapshot of it. The known-bad variant that looks at nothing else is caught.
#[test]
fn h25_stable_is_caught_without_the_second_look() {
    struct NoSecondLook;
    impl resv_rcu_array::Protocol for NoSecondLook {
        const SECOND_LOOK: bool = false;
    }
    let caught = race::<resv_rcu_array::StableWith<NoSecondLook>>(100 * STEPS, |object| {
        let _kept = object.snapshot().expect("no memory needed");
        object.is_idle(UsageSet::ALL)
    });
    assert!(caught);
}

/// In type-stable memory nothing is retired: an array that is over is free.
#[test]
fn b8_stable_has_no_garbage() {
    race::<resv_rcu_array::Stable>(STEPS, |object| {
        object.is_idle(UsageSet::ALL);
        false
    });
    assert_eq!(
        RcuArray::<resv_rcu_array::Stable>::default().garbage().peak,
        0
    );
}

macro_rules! on_each_flavour {
    ($($test:ident)*; that retires: $($retires:ident)*) => {
        mod stable {
            $(#[test] fn $test() { super::$test::<resv_rcu_array::Stable>(); })*
        }
        #[cfg(feature = "arc-swap")]
        mod arc_swap {
            $(#[test] fn $test() { super::$test::<resv_rcu_array::ArcSwapped>(); })*
            $(#[test] fn $retires() { super::$retires::<resv_rcu_array::ArcSwapped>(); })*
        }
    };
}

on_each_flavour! {
    h02_no_reader_ever_finds_nothing_pending
    h25_without_the_second_look_idle_is_a_lie
    h25_the_race_catches_a_test_without_the_second_look
    b7_what_is_started_again_is_counted;
    that retires:
    b8_garbage_is_bounded_under_readers_that_never_pause
}
