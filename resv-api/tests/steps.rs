//! What a copy and a large composition cost, in calls of the back end and of the semantics: one edit and one
//! append, however many entries there are.

use resv_api::*;
use resv_core::{AnyBackend, Budget, EntryRef, LockProof, ObjectLock};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A back end that counts the edits of another.
struct Counting {
    inner: AnyBackend,
    edits: AtomicUsize,
    appends: AtomicUsize,
    locks: AtomicUsize,
}

impl Counting {
    /// Edits and appends.
    fn calls(&self) -> [usize; 2] {
        [&self.edits, &self.appends].map(|calls| calls.load(Ordering::Relaxed))
    }
}

impl Backend for Counting {
    type Snapshot = <AnyBackend as Backend>::Snapshot;

    fn name(&self) -> &'static str {
        "counting"
    }

    fn object_lock(&self) -> &ObjectLock {
        self.locks.fetch_add(1, Ordering::Relaxed);
        self.inner.object_lock()
    }

    fn reserve(&self, held: &mut LockProof<'_>, budget: Budget) -> Result<(), ReserveError> {
        self.inner.reserve(held, budget)
    }

    fn edit(&self, held: &mut LockProof<'_>, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        self.edits.fetch_add(1, Ordering::Relaxed);
        self.inner.edit(held, removes, add);
    }

    fn append(&self, held: &mut LockProof<'_>, entries: impl ExactSizeIterator<Item = Entry>) {
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.inner.append(held, entries);
    }

    fn overwrite(&self, held: &mut LockProof<'_>) {
        self.inner.overwrite(held);
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        self.inner.failure(held, usages)
    }

    fn publish(&self, held: &mut LockProof<'_>) {
        self.inner.publish(held);
    }

    fn unreserve(&self, held: &mut LockProof<'_>) {
        self.inner.unreserve(held);
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        self.inner.visit_held(held, init, f)
    }

    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError> {
        self.inner.snapshot()
    }

    fn visit<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        self.inner.visit(usages, init, f)
    }

    fn is_idle(&self, usages: UsageSet) -> bool {
        self.inner.is_idle(usages)
    }
}

fn counting(kind: BackendKind) -> Option<Counting> {
    let inner = kind.maker().ok()?();
    Some(Counting {
        inner,
        edits: AtomicUsize::new(0),
        appends: AtomicUsize::new(0),
        locks: AtomicUsize::new(0),
    })
}

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

/// Counts how often this thread asks the rule.
#[derive(Clone, Copy)]
struct Asked;

impl Semantics for Asked {
    fn name(&self) -> &'static str {
        "asked"
    }

    fn visibility(&self) -> Visibility {
        UsageLevels.visibility()
    }

    fn class(&self, usage: Usage) -> Usage {
        UsageLevels.class(usage)
    }

    fn waits_for(&self, access: Access) -> UsageSet {
        UsageLevels.waits_for(access)
    }

    fn supersedes(&self, new: Key, old: Key) -> bool {
        ASKED.set(ASKED.get() + 1);
        UsageLevels.supersedes(new, old)
    }
}

fn jobs(count: usize) -> Vec<Signaler> {
    let job = |_| Timeline::new("t").issue().unwrap();
    (0..count).map(job).collect()
}

/// It was an edit for each entry, and each edit looks at all entries: 40,000 took 2.7 s under the lock.
#[test]
fn a_copy_is_one_edit_however_many_entries_there_are() {
    const ENTRIES: usize = 3_000;
    let source = Resv::<UsageLevels, Locked>::default();
    let jobs = jobs(ENTRIES);
    {
        let mut guard = source.lock();
        let mut slots = guard.reserve(ENTRIES).unwrap();
        for (at, job) in jobs.iter().enumerate() {
            slots.add(job.fence(), Usage::ALL[at % 4]);
        }
    }
    for kind in BackendKind::ALL {
        let Some(counting) = counting(kind) else {
            continue;
        };
        let copy = Resv::with(UsageLevels, counting);
        let old = Timeline::new("old").issue().unwrap();
        let mut guard = copy.lock();
        guard.reserve(1).unwrap().add(old.fence(), Usage::Bookkeep);
        drop(guard);
        let before = copy.backend().calls();
        copy.lock().copy_from(&source).unwrap();
        let [edits, appends] = copy.backend().calls();
        assert_eq!([edits - before[0], appends], [1, 1], "{kind}");
        let entries = copy.lock().entries();
        assert_eq!(entries.len(), ENTRIES, "{kind}");
        assert!(entries.iter().all(|entry| entry.fence != *old.fence()));
        assert_eq!(copy.snapshot().iter().count(), ENTRIES, "{kind}");
    }
}

/// How a composition of many leaves comes to an object.
type Way = fn(&Resv<Asked, Counting>, &Fence);

const WAYS: [Way; 3] = [
    |object, all| {
        let mut guard = object.lock();
        let slots = guard.reserve_for(all, Usage::Read);
        slots.unwrap().add(all, Usage::Read);
    },
    |object, all| {
        exec::<_, ReserveError>(|tx| {
            let receipt = tx.lock(object)?;
            let mut slots = receipt.reserve(all.leaves().count_left())?;
            slots.add(all, Usage::Read);
            Ok(())
        })
        .unwrap();
    },
    |object, all| {
        submit(all, &[(object, Usage::Read)]).unwrap();
    },
];

/// It was an edit for each leaf, each of which looked at all entries: 10,000 leaves took 50 million questions.
#[test]
fn a_composition_is_one_edit_however_many_leaves_it_has() {
    for leaves in [1_000, 10_000, 100_000] {
        let jobs = jobs(leaves);
        let all = Fence::all(jobs.iter().map(Signaler::fence)).unwrap();
        // One that a leaf supersedes, and others beside the leaves.
        let old: Vec<_> = (0..100)
            .map(|_| Timeline::new("old").issue().unwrap())
            .collect();
        for (kind, way) in BackendKind::ALL
            .into_iter()
            .flat_map(|kind| WAYS.map(|way| (kind, way)))
        {
            let Some(counting) = counting(kind) else {
                continue;
            };
            let object = Resv::with(Asked, counting);
            {
                let mut guard = object.lock();
                let mut slots = guard.reserve(1 + old.len()).unwrap();
                slots.add(jobs[leaves / 2].fence(), Usage::Bookkeep);
                old.iter()
                    .for_each(|job| slots.add(job.fence(), Usage::Read));
            }
            let (before, asked) = (object.backend().calls(), ASKED.get());
            way(&object, &all);
            let asked = ASKED.get() - asked;
            let [edits, appends] = object.backend().calls();
            assert_eq!([edits - before[0], appends - before[1]], [1, 1], "{kind}");
            // Whether they are taken apart, three times; and three for each entry that was there.
            assert!(asked <= 3 * leaves + 3 * (1 + old.len()), "{kind}: {asked}");
            let count = object.snapshot().iter().count();
            assert_eq!(count, leaves + old.len(), "{kind}");
        }
    }
}

/// It was quadratic: 8,000 objects that are named twice each took 0.9 s. The looks of a transaction that locks
/// one by one are counted in resv-core.
#[test]
fn a_batch_asks_each_object_for_its_lock_a_few_times() {
    for kind in BackendKind::ALL {
        let objects: Vec<_> = (0..4_000)
            .filter_map(|_| Some(Resv::with(Asked, counting(kind)?)))
            .collect();
        let twice: Vec<_> = objects.iter().chain(objects.iter().rev()).collect();
        let guards = lock_all(&twice);
        assert_eq!(guards.objects().len(), objects.len(), "{kind}");
        let asked = |object: &Resv<Asked, Counting>| object.backend().locks.load(Ordering::Relaxed);
        assert!(objects.iter().all(|object| asked(object) <= 12), "{kind}");
    }
}
