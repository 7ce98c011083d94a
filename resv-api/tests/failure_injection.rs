//! H-31 for users of the library: when the k-th allocation of a reservation, a submit, a copy or a snapshot
//! fails, for every k, on the reference and on the seqcount back end and under every semantics, an error is
//! returned, nothing has changed, nothing has leaked, the lock is free, and with memory the same call succeeds.
//!
//! What cannot fail softly is not asked to. `arc-swap` aborts when an allocation of its own fails; it allocates
//! for a thread's first use, so a thread here has used it before an allocation fails. The conveniences that
//! return no error (`snapshot`, `waits_for`, `entries` of a guard) abort as
//! collections do, and so does sleeping for a lock that another thread has. What a submit gets before it waits
//! for its locks may fail.

#[path = "../../resv-rcu-array/tests/common/mod.rs"]
mod common;

use common::{balance, failing};
use resv_api::fence::pool_stats;
use resv_api::{
    Access, Backend, Edit, ExecError, Key, Locked, Reservation, ReserveError, Resv, SemanticsKind,
    Signaler, Timeline, Usage, exec, submit,
};

/// Makes `k` the number of the allocation that fails, for one call. Says whether it failed.
struct Injector {
    k: isize,
    failed: bool,
}

impl Injector {
    /// -1: none fails.
    fn new(k: isize) -> Self {
        Injector { k, failed: false }
    }

    fn run<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let (result, failed) = failing(self.k, call);
        self.failed = failed;
        result
    }
}

/// An object. Its semantics is a value, so that this program is compiled once for all of them.
type Object<B> = Resv<SemanticsKind, B>;

/// Two objects, and jobs that outlive them.
struct World<'j, B: Backend + Default> {
    /// Holds the first three jobs.
    object: Object<B>,
    /// Holds the next nine, which is more than the object has room for.
    source: Object<B>,
    jobs: &'j [Signaler],
}

const OBJECT: std::ops::Range<usize> = 0..3;
const SOURCE: std::ops::Range<usize> = 3..12;
/// Jobs that are in neither of them.
const SPARE: std::ops::Range<usize> = 12..20;

/// As many jobs as there are, each on a timeline of its own.
fn jobs() -> Vec<Signaler> {
    (0..SPARE.end)
        .map(|_| Timeline::new("t").issue().expect("seqnos are left"))
        .collect()
}

impl<'j, B: Backend + Default> World<'j, B> {
    fn new(semantics: SemanticsKind, jobs: &'j [Signaler]) -> Self {
        let new = || Resv::with(semantics, B::default());
        let (object, source) = (new(), new());
        add(&object, &jobs[OBJECT]);
        add(&source, &jobs[SOURCE]);
        World {
            object,
            source,
            jobs,
        }
    }

    fn seen(&self) -> [Vec<Key>; 2] {
        [seen(&self.object), seen(&self.source)]
    }
}

/// As readers, which supersede nothing of another timeline under any semantics.
fn add<B: Backend>(object: &Object<B>, jobs: &[Signaler]) {
    let mut guard = object.lock();
    let mut slots = guard.reserve(jobs.len()).expect("memory");
    for job in jobs {
        slots.add(job.fence(), Usage::Read);
    }
}

fn seen<B: Backend>(object: &Object<B>) -> Vec<Key> {
    sorted(
        object
            .snapshot()
            .iter()
            .map(resv_api::EntryRef::key)
            .collect(),
    )
}

fn sorted(mut keys: Vec<Key>) -> Vec<Key> {
    keys.sort_by_key(|key| (key.timeline, key.seqno));
    keys
}

/// Runs `call` in fresh worlds for k = 0, 1, 2 and so on, until nothing fails; answers how many
/// allocations did. `staged` jobs are added by the call before the allocation that may fail, so
/// these are there in the end either way.
fn each_allocation_fails<B: Backend + Default>(
    name: &str,
    semantics: SemanticsKind,
    staged: usize,
    call: impl Fn(&World<'_, B>, &mut Injector) -> Result<(), ReserveError>,
) -> usize {
    const REPEATED: usize = 8;
    let jobs = jobs();
    // Once without a failure: what a reclaimer keeps for the thread from then on is no leak.
    let mut none = Injector::new(-1);
    assert_eq!(
        call(&World::new(semantics, &jobs), &mut none),
        Ok(()),
        "{name}"
    );
    for k in 0.. {
        let what = format!("{name}, {semantics} on {}, k = {k}", B::default().name());
        let (fences, allocations) = (pool_stats().live, balance());
        for _ in 0..REPEATED {
            if !fails_cleanly(&what, semantics, k, &jobs, staged, &call) {
                return usize::try_from(k).expect("not negative");
            }
        }
        assert_eq!(pool_stats().live, fences, "{what}: leaked fences");
        let leaked = balance() - allocations;
        assert_eq!(leaked, 0, "{what}: leaked allocations");
    }
    unreachable!("the loop ends when no allocation fails")
}

/// Whether allocation `k` of `call` failed; if so nothing else has happened.
fn fails_cleanly<B: Backend + Default>(
    what: &str,
    semantics: SemanticsKind,
    k: isize,
    jobs: &[Signaler],
    staged: usize,
    call: impl Fn(&World<'_, B>, &mut Injector) -> Result<(), ReserveError>,
) -> bool {
    let world = World::<B>::new(semantics, jobs);
    let mut expected = world.seen();
    let mut injector = Injector::new(k);
    let result = call(&world, &mut injector);
    if !injector.failed {
        assert_eq!(result.err(), None, "{what}: no allocation failed");
        return false;
    }
    result.expect_err(what);
    let added = jobs[SPARE][..staged].iter();
    expected[0].extend(added.map(|job| Key::new(job.fence(), semantics.class(Usage::Read))));
    assert_eq!(
        world.seen(),
        expected.map(sorted),
        "{what}: something has changed"
    );
    for object in [&world.object, &world.source] {
        assert!(
            object.try_lock().is_some(),
            "{what}: a lock was not released"
        );
    }
    // With memory the same call succeeds.
    assert_eq!(call(&world, &mut Injector::new(-1)), Ok(()), "{what}");
    true
}

/// Injects into each call that reports want of memory. A call that a back end serves without memory
/// is shown by a zero, so that a test which injects nothing is seen.
fn every_call_reports_want_of_memory<B: Backend + Default>(semantics: SemanticsKind) {
    let arrays = B::default().name().starts_with("rcu-array");
    let check = |name: &str, least: usize, most: usize, failed: usize| {
        let range = least..=most;
        assert!(
            range.contains(&failed),
            "{name}, {semantics} on {}: {failed} allocations failed, {range:?} expected",
            B::default().name()
        );
    };

    // `reserve` of a guard: more than there is room for.
    let failed = each_allocation_fails::<B>("reserve", semantics, 0, |world, injector| {
        let mut guard = world.object.lock();
        injector.run(|| guard.reserve(20)).map(drop)
    });
    check("reserve", 1, 64, failed);

    // With two adds made already, which must not be lost.
    let failed = each_allocation_fails::<B>("reserve on", semantics, 2, |world, injector| {
        let mut guard = world.object.lock();
        let mut slots = guard.reserve(2).expect("memory");
        slots.add(world.jobs[SPARE.start].fence(), Usage::Read);
        slots.add(world.jobs[SPARE.start + 1].fence(), Usage::Read);
        injector.run(|| guard.reserve(20)).map(drop)
    });
    check("reserve on", 1, 64, failed);

    // `copy_from`: the snapshot, the list of what is to come, the room.
    let failed = each_allocation_fails::<B>("copy", semantics, 0, |world, injector| {
        let mut guard = world.object.lock();
        injector.run(|| guard.copy_from(&world.source))
    });
    check("copy", 2, 64, failed);

    // From an object of another back end.
    let failed = each_allocation_fails::<B>("copy across", semantics, 0, |world, injector| {
        let source = Resv::with(semantics, Locked::default());
        add(&source, &world.jobs[SOURCE]);
        let mut guard = world.object.lock();
        injector.run(|| guard.copy_from(&source))
    });
    check("copy across", 2, 64, failed);

    // The array back end's snapshot is a reference, the others' a list.
    let failed = each_allocation_fails::<B>("try_snapshot", semantics, 0, |world, injector| {
        injector.run(|| world.source.try_snapshot()).map(drop)
    });
    let copies = usize::from(!arrays);
    check("try_snapshot", copies, copies, failed);

    // In a transaction over two objects, at the second: nothing happens to the first either.
    let failed = each_allocation_fails::<B>("exec reserve", semantics, 0, |world, injector| {
        exec(|tx| {
            let _reads = tx.lock(&world.source)?.reserve(1)?;
            let object = tx.lock(&world.object)?;
            injector
                .run(|| object.reserve(20).map(drop))
                .map_err(ExecError::Failed)
        })
    });
    check("exec reserve", 1, 64, failed);

    // At the first, which is where the transaction itself begins to keep count.
    let failed =
        each_allocation_fails::<B>("exec reserve first", semantics, 0, |world, injector| {
            exec(|tx| {
                let object = tx.lock(&world.object)?;
                injector
                    .run(|| object.reserve(20).map(drop))
                    .map_err(ExecError::Failed)
            })
        });
    check("exec reserve first", 2, 64, failed);

    let failed = each_allocation_fails::<B>("exec copy", semantics, 0, |world, injector| {
        exec(|tx| {
            let object = tx.lock(&world.object)?;
            injector
                .run(|| object.copy_from(&world.source))
                .map_err(ExecError::Failed)
        })
    });
    check("exec copy", 3, 64, failed);

    // To an object that has nothing yet; the array back end has a cell at hand.
    let failed = each_allocation_fails::<B>("add", semantics, 0, |world, injector| {
        let (fresh, fence) = (
            Resv::with(semantics, B::default()),
            world.jobs[SPARE.start].fence(),
        );
        let added = injector.run(|| fresh.add(fence, Usage::Write));
        assert_eq!(seen(&fresh).is_empty(), added.is_err());
        added
    });
    check("add", usize::from(!arrays), 64, failed);

    // What a job waits for is more than has its place in the list itself. Not with the features that look at
    // each lock: they get memory for that, and abort without.
    let looks_at_locks = cfg!(any(feature = "checks", feature = "inject-backoff"));
    if !looks_at_locks {
        let failed = each_allocation_fails::<B>("submit", semantics, 0, |world, injector| {
            let fence = world.jobs[SPARE.start].fence();
            let uses = [(&world.object, Usage::Write), (&world.source, Usage::Write)];
            injector.run(|| submit(fence, &uses)).map(drop)
        });
        check("submit", 1, 64, failed);
        let failed =
            each_allocation_fails::<B>("waits_for of a guard", semantics, 0, |world, injector| {
                let guard = world.source.lock();
                injector.run(|| guard.waits_for(Access::Write)).map(drop)
            });
        check("waits_for of a guard", 1, 64, failed);
    }

    // The object-safe form.
    let failed = each_allocation_fails::<B>("transact", semantics, 0, |world, injector| {
        let edits: Vec<_> = world.jobs[SPARE]
            .iter()
            .map(|job| Edit::Add {
                fence: job.fence().clone(),
                usage: Usage::Bookkeep,
            })
            .collect();
        let object: &dyn Reservation = &world.object;
        injector.run(|| object.transact(&edits))
    });
    check("transact", 1, 64, failed);
    let failed = each_allocation_fails::<B>("dyn copy", semantics, 0, |world, injector| {
        let object: &dyn Reservation = &world.object;
        injector.run(|| object.copy_from(&world.source))
    });
    check("dyn copy", 2, 64, failed);
    let failed = each_allocation_fails::<B>("assign", semantics, 0, |world, injector| {
        let entries: Vec<_> = world.source.lock().entries();
        let object: &dyn Reservation = &world.object;
        injector.run(|| object.assign(&entries))
    });
    check("assign", 1, 64, failed);
    let failed = each_allocation_fails::<B>("entries", semantics, 0, |world, injector| {
        let source: &dyn Reservation = &world.source;
        injector.run(|| source.entries()).map(drop)
    });
    check("entries", 1, 64, failed);
    let failed = each_allocation_fails::<B>("waits_for", semantics, 0, |world, injector| {
        let source: &dyn Reservation = &world.source;
        injector.run(|| source.waits_for(Access::Write)).map(drop)
    });
    check("waits_for", 1, 64, failed);
}

fn under_every_semantics<B: Backend + Default>() {
    // This thread registers with the reclaimers, and the pool of fences is large enough.
    let jobs = jobs();
    let world = World::<B>::new(SemanticsKind::UsageLevels, &jobs);
    let mut guard = world.object.lock();
    guard.copy_from(&world.source).expect("memory");
    drop(guard);
    drop(world);
    drop(jobs);
    for semantics in SemanticsKind::ALL {
        every_call_reports_want_of_memory::<B>(semantics);
    }
}

/// A submit that finds a lock taken gets the memory for the order of its objects and for all locks before it
/// waits. Here it does not wait, as its time is up: with memory it is told that.
#[cfg(not(any(feature = "checks", feature = "inject-backoff")))]
fn a_submit_that_has_to_wait_reports_want_of_memory() {
    use resv_api::{Fence, SubmitError, TimedOut, Transaction, UsageLevels};
    use std::time::Duration;

    // More than have a place in any list.
    const OBJECTS: usize = 40;
    let objects: Vec<_> = (0..OBJECTS)
        .map(|_| Resv::<UsageLevels, Locked>::default())
        .collect();
    let (first, second) = (jobs(), jobs());
    let composed = Fence::all([first[0].fence(), second[0].fence()]);
    let composed = composed.expect("memory");
    let last = objects
        .iter()
        .max_by_key(|object| std::ptr::from_ref(*object).addr());
    let busy = last.expect("there are some").lock();
    let uses: Vec<_> = objects
        .iter()
        .rev()
        .map(|object| (object, Usage::Read))
        .collect();
    // Of one fence in two steps, of a composition in single ones. For the order, the sorted uses, the locks, their
    // places in the set, their proofs, and the members.
    for (fence, expected) in [(first[0].fence(), 6), (&composed, 6)] {
        for k in 0.. {
            let before = (balance(), pool_stats().live);
            let submit = || {
                let at_once = Transaction::new().until(Duration::ZERO);
                at_once.submit(fence, &uses).map(drop)
            };
            let (result, failed) = failing(k, submit);
            assert_eq!((balance(), pool_stats().live), before, "k = {k}: leaked");
            let free = objects.iter().filter(|object| object.try_lock().is_some());
            assert_eq!(free.count(), OBJECTS - 1, "k = {k}: still locked");
            assert!(objects.iter().all(|object| object.is_idle(Access::Move)));
            if !failed {
                assert_eq!(result, Err(SubmitError::TimedOut(TimedOut)));
                assert!(k >= expected, "{k} allocations failed");
                break;
            }
            assert!(matches!(result, Err(SubmitError::Reserve(_))), "k = {k}");
        }
    }
    drop(busy);
}

/// The array flavours are not among them: the memory of the default one comes from a pool, so that a call
/// that failed once finds what it missed the next time, and the other one asks `Arc::new`, which ends the
/// process. Their own tests are in `resv-rcu-array/tests/alloc_failure.rs`.
///
/// One test on one thread: fences are counted for the process.
#[test]
fn h_31_every_allocation_may_fail() {
    #[cfg(not(any(feature = "checks", feature = "inject-backoff")))]
    a_submit_that_has_to_wait_reports_want_of_memory();
    under_every_semantics::<Locked>();
    #[cfg(feature = "seqcount")]
    under_every_semantics::<resv_api::seqcount::Seqcount>();
}
