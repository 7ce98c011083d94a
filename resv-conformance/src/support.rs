//! What many properties need: jobs, short forms of edits and questions, freed fences, two threads.

use crate::model::At;
use crate::{Object, Subject};
use resv_api::{
    Access, AnyBackend, AnySemantics, Backend, EntryRef, Fence, Guard, Key, Locked, Resv,
    Semantics, Signaler, Timeline, TimelineId, Usage, UsageSet,
};
use resv_core::fence::cell::FenceCell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a machine that does something else, too.
pub(crate) const AGES: Duration = Duration::from_secs(20);
/// Long enough for a sleeping thread to have gone to sleep.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(20);

/// The next job of `timeline`.
pub(crate) fn job(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("a new timeline has seqnos left")
}

/// A job on a timeline of its own.
pub(crate) fn lone_job() -> Signaler {
    job(&Timeline::new("lone"))
}

/// So many objects with a fence of each usage, and the jobs of these, which are pending.
pub(crate) fn occupied(on: Subject, count: usize) -> (Vec<Object>, Vec<Signaler>) {
    let (objects, mut jobs) = (on.objects(count), Vec::new());
    for object in &objects {
        for usage in Usage::ALL {
            jobs.push(lone_job());
            add(object, &jobs[jobs.len() - 1], usage);
        }
    }
    (objects, jobs)
}

/// So many jobs whose fences stay beside each other under every semantics, when they are added in this
/// order: the latest of one timeline first, since an older one never removes a newer one (H-16).
pub(crate) fn side_by_side<const N: usize>() -> [Signaler; N] {
    many_side_by_side(N)
        .try_into()
        .expect("as many as asked for")
}

/// [`side_by_side`] for a number that is worked out.
pub(crate) fn many_side_by_side(count: usize) -> Vec<Signaler> {
    let timeline = Timeline::new("side");
    let mut jobs: Vec<_> = (0..count).map(|_| job(&timeline)).collect();
    jobs.reverse();
    jobs
}

/// What the table of a semantics says where properties need to know.
impl Subject {
    /// Whether `access` waits for what is added as `usage`.
    pub(crate) fn waits(&self, access: Access, usage: Usage) -> bool {
        let semantics = self.semantics();
        semantics.waits_for(access).contains(semantics.class(usage))
    }

    /// `access`, if it waits for each of `usages`; else a move, which does under every semantics.
    pub(crate) fn access(&self, access: Access, usages: &[Usage]) -> Access {
        match usages.iter().all(|&usage| self.waits(access, usage)) {
            true => access,
            false => Access::Move,
        }
    }

    /// The access of a reader, if it waits for writers.
    pub(crate) fn read(&self) -> Access {
        self.access(Access::Read, &[Usage::Write])
    }

    /// The access of a writer, if it waits for writers and readers.
    pub(crate) fn write(&self) -> Access {
        self.access(Access::Write, &[Usage::Write, Usage::Read])
    }

    /// Whether a fence added as `new` leaves one of another timeline alone that was added as `old`.
    pub(crate) fn stays(&self, old: Usage, new: Usage) -> bool {
        let key = |timeline, usage| Key {
            timeline: TimelineId::from_raw(timeline),
            seqno: 1,
            usage: self.semantics().class(usage),
        };
        !self.semantics().supersedes(key(1, new), key(2, old))
    }

    /// A usage whose fences leave those of other timelines alone, if there is one: read, where it is.
    pub(crate) fn beside_others(&self) -> Option<Usage> {
        let usages = [Usage::Read, Usage::Bookkeep, Usage::Write, Usage::Kernel];
        usages.into_iter().find(|&usage| self.stays(usage, usage))
    }

    /// Whether a fence takes the place of an earlier one of its timeline and usage.
    pub(crate) fn replaces_earlier(&self, usage: Usage) -> bool {
        let key = |seqno| Key {
            timeline: TimelineId::from_raw(1),
            seqno,
            usage: self.semantics().class(usage),
        };
        self.semantics().supersedes(key(2), key(1))
    }

    /// Adds to what [`entries`] says of an object, by the table.
    pub(crate) fn add_to(
        &self,
        entries: &mut Vec<(TimelineId, u64, Usage)>,
        fence: &Fence,
        usage: Usage,
    ) {
        let new = Key::new(fence, self.semantics().class(usage));
        entries.retain(|&(timeline, seqno, usage)| {
            let old = Key {
                timeline,
                seqno,
                usage,
            };
            !self.semantics().supersedes(new, old)
        });
        entries.push((new.timeline, new.seqno, new.usage));
        entries.sort_unstable();
    }
}

/// Locks, reserves one slot, adds and unlocks.
pub(crate) fn add(resv: &Object, job: &Signaler, usage: Usage) {
    add_fence(resv, job.fence(), usage);
}

/// [`add`] for a fence whose signaler may be gone.
pub(crate) fn add_fence(resv: &Object, fence: &Fence, usage: Usage) {
    resv.lock()
        .reserve(1)
        .expect("memory for one slot")
        .add(fence, usage);
}

/// Locks, reserves one slot, replaces and unlocks.
pub(crate) fn replace(resv: &Object, timeline: &Timeline, fence: &Fence, usage: Usage) -> bool {
    let mut guard = resv.lock();
    let mut slots = guard.reserve(1).expect("memory for one slot");
    slots.replace(timeline.id(), fence, usage)
}

/// Where so many threads wait for each other: a barrier that says so if one does not come.
pub(crate) struct Meeting {
    missing: Mutex<usize>,
    all_are_there: Condvar,
}

impl Meeting {
    pub(crate) fn of(threads: usize) -> Meeting {
        Meeting {
            missing: Mutex::new(threads),
            all_are_there: Condvar::new(),
        }
    }

    /// Waits until as many have come as it is for.
    #[track_caller]
    pub(crate) fn wait(&self) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing -= 1;
        self.all_are_there.notify_all();
        let (missing, _) = self
            .all_are_there
            .wait_timeout_while(missing, AGES / 4, |missing| *missing > 0)
            .unwrap_or_else(PoisonError::into_inner);
        assert_eq!(*missing, 0, "so many are held up on their way here");
    }
}

/// Runs `f` while another thread has the lock of `object`.
pub(crate) fn while_another_holds(object: &Object, f: impl FnOnce()) {
    std::thread::scope(|scope| {
        let (says_locked, is_locked) = mpsc::channel();
        let (release, until_released) = mpsc::channel::<()>();
        scope.spawn(move || {
            let _held = object.lock();
            says_locked.send(()).expect("the caller waits for it");
            // Released when the caller drops its end, by a panic as well.
            let _ = until_released.recv();
        });
        is_locked.recv().expect("the lock is free");
        let _release = release;
        f();
    });
}

/// The pending entries in a fixed order.
pub(crate) fn entries(resv: &Object) -> Vec<(TimelineId, u64, Usage)> {
    sorted(resv.snapshot().iter())
}

/// The pending entries as the holder sees them, in a fixed order.
pub(crate) fn held_entries(
    guard: &Guard<'_, AnySemantics, AnyBackend>,
) -> Vec<(TimelineId, u64, Usage)> {
    sorted(guard.entries().iter())
}

/// Entries as plain data in a fixed order.
pub(crate) fn sorted<'e>(
    entries: impl IntoIterator<Item = impl Into<EntryRef<'e>>>,
) -> Vec<(TimelineId, u64, Usage)> {
    let mut plain: Vec<_> = entries
        .into_iter()
        .map(Into::into)
        .map(|e| (e.fence.timeline_id(), e.fence.seqno(), e.usage))
        .collect();
    plain.sort_unstable();
    plain
}

/// The keys that a visit for `access` is shown, in its order.
pub(crate) fn visited(resv: &Object, access: Access) -> Vec<Key> {
    resv.visit(access, Vec::new(), |mut keys, key| {
        keys.push(key);
        keys
    })
}

/// The seqnos of all pending entries of a back end, in no particular order.
pub(crate) fn seqnos(object: &AnyBackend) -> Vec<u64> {
    object.visit(UsageSet::ALL, Vec::new(), |mut seqnos, key| {
        seqnos.push(key.seqno);
        seqnos
    })
}

/// What `(job, usage)` looks like among [`entries`] of an object under the semantics.
pub(crate) fn entry_of(on: Subject, fence: &Fence, usage: Usage) -> (TimelineId, u64, Usage) {
    (
        fence.timeline_id(),
        fence.seqno(),
        on.semantics().class(usage),
    )
}

/// Whether `access` waits for something, asked in every way there is; panics if they disagree.
///
/// Only in a quiescent state, where nobody edits or signals (H-14).
#[track_caller]
pub(crate) fn is_busy(resv: &Object, access: Access) -> bool {
    let busy = !resv.is_idle(access);
    let snapshot = resv.waits_for(access);
    let told = [
        ("waits_for", snapshot.iter().next().is_some()),
        ("Snapshot::is_idle", !snapshot.is_idle()),
        (
            "Snapshot::wait",
            !snapshot.wait(Some(Duration::ZERO)).is_signaled(),
        ),
        (
            "wait",
            !resv.wait(access, Some(Duration::ZERO)).is_signaled(),
        ),
        ("visit", !visited(resv, access).is_empty()),
        ("Guard::is_idle", !resv.lock().is_idle(access)),
    ];
    for (way, also) in told {
        assert_eq!(busy, also, "is_idle and {way} disagree for access {access}");
    }
    busy
}

/// Looks at a wait that goes on beside the test. One that has begun before its fences signal reports
/// their first error; a later wait does not, as they are no longer pending when it begins.
pub(crate) fn look(
    wait: Pin<&mut impl Future<Output = resv_api::Waited>>,
) -> Poll<resv_api::Waited> {
    wait.poll(&mut Context::from_waker(Waker::noop()))
}

/// How fences are named in the models: timelines by their place in `timelines`.
pub(crate) fn at_of(timelines: &[Timeline], timeline: TimelineId, seqno: u64) -> Option<At> {
    let timeline = timelines.iter().position(|t| t.id() == timeline)?;
    Some(At { timeline, seqno })
}

/// A fence that is watched after its handles are gone.
pub(crate) struct Watched {
    cell: &'static FenceCell,
    key: (TimelineId, u64),
}

impl Watched {
    pub(crate) fn new(fence: &Fence) -> Watched {
        Watched {
            cell: fence.cell(),
            key: fence.cell().key_parts(),
        }
    }

    /// Whether there is a reference still. The cell may have become another fence since.
    pub(crate) fn is_alive(&self) -> bool {
        Fence::try_acquire(self.cell).is_some_and(|fence| fence.cell().key_parts() == self.key)
    }
}

/// Asserts that every one of `fences` is freed, giving a back end that frees later occasion to.
#[track_caller]
pub(crate) fn assert_freed(on: Subject, fences: &[Watched], what: &str) {
    assert_freed_but(0, on, fences, what);
}

/// Asserts that no more of `fences`, which have left an object that never held more than `most`, are alive
/// than its back end states (B8).
#[track_caller]
pub(crate) fn assert_superseded_freed(on: Subject, most: usize, fences: &[Watched], what: &str) {
    assert_freed_but(on.backend().superseded_bound(most), on, fences, what);
}

#[track_caller]
fn assert_freed_but(kept: usize, on: Subject, fences: &[Watched], what: &str) {
    let start = Instant::now();
    loop {
        let alive = fences.iter().filter(|fence| fence.is_alive()).count();
        if alive <= kept {
            return;
        }
        assert!(
            start.elapsed() < AGES / 4,
            "{what}: {alive} of {} fences were never freed",
            fences.len()
        );
        // Edits elsewhere on this thread: back ends that free in batches do so on the way.
        let elsewhere = on.object();
        for _ in 0..64 {
            add(&elsewhere, &lone_job(), Usage::Write);
            let _ = elsewhere.is_idle(Access::Move);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An object on the reference back end, to compare with: another type.
pub(crate) fn reference(on: Subject) -> Resv<AnySemantics, Locked> {
    Resv::with(on.semantics(), Locked::default())
}

/// Runs `read` on a second thread over and over while `write` runs here, at least `rounds` times,
/// and on until enough reads have had a write begin in their midst, but not for ever.
pub(crate) fn race(rounds: u64, mut write: impl FnMut(), read: impl Fn() + Send + Sync) {
    /// Reads that a write began in the midst of. On a busy machine the two threads may run by turns
    /// for a while, and then hardly ever meet.
    const MET: u64 = 50;
    const PATIENCE: Duration = Duration::from_millis(400);
    let (stop, round, met) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // Also when the writer panics, or the scope would wait for the reader for ever.
        let stopper = StopOnDrop(&stop);
        let reader = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let before = round.load(Ordering::Relaxed);
                read();
                let is_met = round.load(Ordering::Relaxed) != before;
                met.fetch_add(u64::from(is_met), Ordering::Relaxed);
            }
        });
        let deadline = Instant::now() + PATIENCE;
        while !reader.is_finished()
            && (round.load(Ordering::Relaxed) < rounds || met.load(Ordering::Relaxed) < MET)
            && Instant::now() < deadline
        {
            round.fetch_add(1, Ordering::Relaxed);
            write();
        }
        drop(stopper);
        if let Err(panic) = reader.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
