//! What a copy costs, in calls of the back end: one edit and one append, however many entries there are.

use resv_api::*;
use resv_core::{AnyBackend, Budget, EntryRef, LockProof, ObjectLock};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A back end that counts the edits of another.
struct Counting {
    inner: AnyBackend,
    edits: AtomicUsize,
    appends: AtomicUsize,
}

impl Backend for Counting {
    type Snapshot = <AnyBackend as Backend>::Snapshot;

    fn name(&self) -> &'static str {
        "counting"
    }

    fn object_lock(&self) -> &ObjectLock {
        self.inner.object_lock()
    }

    fn reserve(&self, held: &mut LockProof<'_>, budget: Budget) -> Result<(), ReserveError> {
        self.inner.reserve(held, budget)
    }

    fn edit(&self, held: &mut LockProof<'_>, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        self.edits.fetch_add(1, Ordering::Relaxed);
        self.inner.edit(held, removes, add);
    }

    fn append(&self, held: &mut LockProof<'_>, entries: Vec<Entry>) {
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

/// It was an edit for each entry, and each edit looks at all entries: 40,000 took 2.7 s under the lock.
#[test]
fn a_copy_is_one_edit_however_many_entries_there_are() {
    const ENTRIES: usize = 3_000;
    let source = Resv::<UsageLevels, Locked>::default();
    let jobs: Vec<Signaler> = (0..ENTRIES)
        .map(|_| Timeline::new("t").issue().unwrap())
        .collect();
    {
        let mut guard = source.lock();
        let mut slots = guard.reserve(ENTRIES).unwrap();
        for (at, job) in jobs.iter().enumerate() {
            slots.add(job.fence(), Usage::ALL[at % 4]);
        }
    }
    for kind in BackendKind::ALL {
        let Ok(inner) = kind.maker() else { continue };
        {
            let copy = Resv::with(
                UsageLevels,
                Counting {
                    inner: inner(),
                    edits: AtomicUsize::new(0),
                    appends: AtomicUsize::new(0),
                },
            );
            let old = Timeline::new("old").issue().unwrap();
            copy.lock()
                .reserve(1)
                .unwrap()
                .add(old.fence(), Usage::Bookkeep);
            let before = copy.backend().edits.load(Ordering::Relaxed);
            copy.lock().copy_from(&source).unwrap();
            let edits = copy.backend().edits.load(Ordering::Relaxed) - before;
            let appends = copy.backend().appends.load(Ordering::Relaxed);
            assert_eq!((edits, appends), (1, 1), "{kind}");
            let entries = copy.lock().entries();
            assert_eq!(entries.len(), ENTRIES, "{kind}");
            assert!(entries.iter().all(|entry| entry.fence != *old.fence()));
            assert_eq!(copy.snapshot().iter().count(), ENTRIES, "{kind}");
            drop(old);
        }
    }
}
