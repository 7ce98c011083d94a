//! One call that submits: what a job waits for, all or nothing, and no deadlock.

use resv_api::lock::{Algorithm, Class, lock_stats};
use resv_api::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// Waiters are counted in the whole process, so of the tests that make waiters and the one that counts
/// them only one runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn timelines<const N: usize>(names: [&str; N]) -> [Timeline; N] {
    names.map(Timeline::new)
}

fn fences(jobs: &[&Signaler]) -> Vec<Fence> {
    jobs.iter().map(|job| job.fence().clone()).collect()
}

#[test]
fn a_job_waits_for_what_its_usages_conflict_with_each_timeline_once() {
    let [gfx, dma, video] = timelines(["gfx", "dma", "video"]);
    let (a, b, c) = (Resv::new(), Resv::new(), Resv::new());
    let moved = dma.issue().unwrap();
    assert!(
        submit(moved.fence(), &[(&a, Usage::Kernel)])
            .unwrap()
            .is_empty()
    );
    let drawn = gfx.issue().unwrap();
    let waits = submit(drawn.fence(), &[(&b, Usage::Write), (&a, Usage::Read)]).unwrap();
    assert_eq!(waits[..], fences(&[&moved])[..]);
    let drawn_again = gfx.issue().unwrap();
    let waits = submit(
        drawn_again.fence(),
        &[(&c, Usage::Write), (&b, Usage::Read)],
    )
    .unwrap();
    assert_eq!(waits[..], fences(&[&drawn])[..]);
    // A reader of all three waits for the writers, of each timeline for the latest.
    let shown = video.issue().unwrap();
    let all = [(&c, Usage::Read), (&b, Usage::Read), (&a, Usage::Read)];
    let waits = submit(shown.fence(), &all).unwrap();
    assert_eq!(waits[..], fences(&[&drawn_again, &moved])[..]);
    // Explicit sync waits for the move only.
    let explicit = video.issue().unwrap();
    let all = [(&a, Usage::Bookkeep), (&b, Usage::Bookkeep)];
    let waits = submit(explicit.fence(), &all).unwrap();
    assert_eq!(waits[..], fences(&[&moved])[..]);
    for job in [moved, drawn, drawn_again, shown, explicit] {
        job.signal();
    }
    for object in [&a, &b, &c] {
        assert!(object.is_idle(Access::Move));
    }
}

/// The answer is what was pending before: a job does not wait for itself, though an object is named
/// twice, or has its fence already.
#[test]
fn an_object_may_be_named_twice_and_a_job_never_waits_for_itself() {
    let gfx = Timeline::new("gfx");
    let (a, b) = (Resv::new(), Resv::new());
    let earlier = gfx.issue().unwrap();
    submit(earlier.fence(), &[(&a, Usage::Write)]).unwrap();
    let job = gfx.issue().unwrap();
    a.lock()
        .reserve(1)
        .unwrap()
        .add(job.fence(), Usage::Bookkeep);
    let uses = [
        (&a, Usage::Read),
        (&b, Usage::Write),
        (&a, Usage::Write),
        (&b, Usage::Write),
    ];
    let waits = submit(job.fence(), &uses).unwrap();
    assert_eq!(waits[..], fences(&[&earlier])[..]);
    let entries = a.lock().entries();
    assert_eq!(
        entries.len(),
        1,
        "the stronger usage covers the weaker: {entries:?}"
    );
    assert_eq!(
        (&entries[0].fence, entries[0].usage),
        (job.fence(), Usage::Write)
    );
    assert_eq!(b.lock().entries().len(), 1);
    drop((job, earlier));
}

#[test]
fn several_fences_of_one_job_are_added_to_each_object() {
    let [one, two] = timelines(["one", "two"]);
    let jobs = [one.issue().unwrap(), two.issue().unwrap()];
    let both = [jobs[0].fence().clone(), jobs[1].fence().clone()];
    let composed = Fence::all(&both).unwrap();
    let objects: Vec<Resv> = (0..20).map(|_| Resv::new()).collect();
    let uses: Vec<_> = objects
        .iter()
        .rev()
        .map(|object| (object, Usage::Write))
        .collect();
    for (round, waits) in [
        submit(&both, &uses).unwrap(),
        // Its leaves: the same fences once more.
        submit(&composed, &uses).unwrap(),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(waits.len(), 2 * round);
        for object in &objects {
            let entries: Vec<_> = object.lock().entries();
            let entries: Vec<_> = entries.into_iter().map(|entry| entry.fence).collect();
            assert_eq!(entries, both);
        }
    }
    drop(jobs);
}

/// Every pair of semantics and back end in one submit, chosen at run time.
#[test]
fn objects_of_different_kinds_meet_in_one_submit() {
    let mut objects: Vec<Box<dyn Reservation>> = Vec::new();
    for backend in BackendKind::ALL {
        for semantics in SemanticsKind::ALL {
            objects.extend(new_reservation(semantics, backend));
        }
    }
    let [gfx, dma] = timelines(["gfx", "dma"]);
    let (first, second) = (gfx.issue().unwrap(), dma.issue().unwrap());
    let uses: Vec<_> = objects
        .iter()
        .map(|object| (&**object, Usage::Write))
        .collect();
    assert!(submit(first.fence(), &uses).unwrap().is_empty());
    assert_eq!(
        submit(second.fence(), &uses).unwrap()[..],
        fences(&[&first])[..]
    );
    for object in &objects {
        assert!(!object.is_idle(Access::Read));
    }
    first.signal();
    second.signal();
    for object in &objects {
        assert!(object.is_idle(Access::Move));
    }
}

/// With the locks held already, in a transaction: the same answer as a submit of its own.
#[test]
fn a_transaction_that_is_locked_submits_likewise() {
    let [gfx, dma] = timelines(["gfx", "dma"]);
    let objects: Vec<Resv> = (0..3).map(|_| Resv::new()).collect();
    let copy = dma.issue().unwrap();
    submit(copy.fence(), &[(&objects[1], Usage::Write)]).unwrap();
    let draw = gfx.issue().unwrap();
    let waits = exec::<_, ReserveError>(|tx| {
        let receipts = tx.lock_all(&[&objects[2], &objects[0], &objects[1], &objects[0]])?;
        assert_eq!(tx.held(), 3);
        for (receipt, at) in receipts.iter().zip([2, 0, 1, 0]) {
            assert!(
                std::ptr::eq(receipt.resv(), &objects[at]),
                "in the caller's order"
            );
        }
        let uses = [
            (receipts[0], Usage::Write),
            (receipts[2], Usage::Read),
            (receipts[1], Usage::Read),
        ];
        Ok(tx.submit(draw.fence(), &uses)?)
    })
    .unwrap();
    assert_eq!(waits[..], fences(&[&copy])[..]);
    assert!(objects[1].is_idle(Access::Explicit) && !objects[2].is_idle(Access::Read));
    for object in &objects {
        assert!(!object.is_idle(Access::Write) && object.try_lock().is_some());
    }
    drop((copy, draw));
}

#[test]
fn a_submit_gives_up_in_time_with_everything_as_it_was() {
    let _alone = alone();
    let (a, b) = (Resv::new(), Resv::new());
    let job = Timeline::new("gfx").issue().unwrap();
    let uses = [(&b, Usage::Write), (&a, Usage::Write)];
    // Another thread has one of the locks.
    thread::scope(|scope| {
        let (says_locked, is_locked) = mpsc::channel();
        let (release, until_released) = mpsc::channel::<()>();
        let b = &b;
        scope.spawn(move || {
            let _held = b.lock();
            says_locked.send(()).expect("the test waits for it");
            let _ = until_released.recv();
        });
        is_locked.recv().expect("the lock is free");
        for time in [Duration::ZERO, Duration::from_millis(2)] {
            let submitted = Transaction::new().until(time).submit(job.fence(), &uses);
            assert_eq!(submitted.err(), Some(SubmitError::TimedOut(TimedOut)));
            assert!(a.try_lock().is_some() && a.is_idle(Access::Move) && b.is_idle(Access::Move));
        }
        drop(release);
    });
    let submitted = Transaction::new()
        .until(Duration::ZERO)
        .submit(job.fence(), &uses);
    assert!(submitted.is_ok(), "free locks are taken whatever the time");
    assert_eq!(lock_stats().waiters, 0);
    drop(job);
}

/// Threads that submit to overlapping objects in any order, beside transactions that lock one by one:
/// all come through, and no two jobs that conflict run unordered.
#[test]
fn submits_and_transactions_come_through_beside_each_other() {
    let _alone = alone();
    const OBJECTS: usize = 6;
    const JOBS: usize = 400;
    static SUBMITS: Class = Class::new(Algorithm::WaitDie);
    let objects: Vec<Resv> = (0..OBJECTS).map(|_| Resv::new()).collect();
    // How many jobs use each object now.
    let users: Vec<AtomicUsize> = (0..OBJECTS).map(|_| AtomicUsize::new(0)).collect();
    let run = |waits: Waits, chosen: &[usize], job: Signaler| {
        assert_eq!(waits.wait(None), Waited::Signaled);
        for &at in chosen {
            assert_eq!(
                users[at].fetch_add(1, Ordering::SeqCst),
                0,
                "two writers overlap"
            );
        }
        for &at in chosen {
            users[at].fetch_sub(1, Ordering::SeqCst);
        }
        job.signal();
    };
    thread::scope(|scope| {
        for thread in 0..4_usize {
            let (objects, run) = (&objects, &run);
            scope.spawn(move || {
                for number in 0..JOBS {
                    // A timeline for each job: they signal in any order.
                    let job = Timeline::new("job").issue().unwrap();
                    let first = (number * 5 + thread) % OBJECTS;
                    let chosen = [
                        first,
                        (first + 3) % OBJECTS,
                        (first + 1 + number % 2) % OBJECTS,
                    ];
                    let waits = if thread < 3 {
                        let uses = chosen.map(|at| (&objects[at], Usage::Write));
                        Transaction::new()
                            .class(&SUBMITS)
                            .submit(job.fence(), &uses)
                    } else {
                        exec(|tx| {
                            let mut uses = Vec::new();
                            for at in chosen {
                                uses.push((tx.lock(&objects[at])?, Usage::Write));
                            }
                            Ok(tx.submit(job.fence(), &uses)?)
                        })
                    };
                    run(waits.unwrap(), &chosen, job);
                }
            });
        }
    });
    for object in &objects {
        assert!(object.is_idle(Access::Move) && object.try_lock().is_some());
    }
}

/// Submits that meet no others than submits and batches never back off, in whatever order they name
/// their objects.
#[test]
fn submits_and_batches_never_back_off_from_each_other() {
    let _alone = alone();
    static CLASS: Class = Class::new(Algorithm::WaitDie);
    let objects: Vec<Resv> = (0..4).map(|_| Resv::new()).collect();
    thread::scope(|scope| {
        for thread in 0..4 {
            let objects = &objects;
            scope.spawn(move || {
                let transaction = Transaction::new().class(&CLASS);
                for number in 0..2_000 {
                    let mut chosen = [0, 1, 2, 3].map(|at| &objects[(at * 3 + number) % 4]);
                    chosen.rotate_left(thread);
                    if thread == 0 {
                        let guards = transaction.lock_all(&chosen);
                        for (at, chosen) in chosen.iter().enumerate() {
                            assert!(
                                guards[at].is_idle(Access::Explicit)
                                    || !chosen.is_idle(Access::Move)
                            );
                        }
                    } else {
                        let job = Timeline::new("job").issue().unwrap();
                        let uses = chosen.map(|object| (object, Usage::Read));
                        transaction.submit(job.fence(), &uses).unwrap();
                        job.signal();
                    }
                }
            });
        }
    });
    let backoffs = if cfg!(feature = "inject-backoff") {
        CLASS.backoffs()
    } else {
        0
    };
    assert_eq!(CLASS.backoffs(), backoffs);
}

#[test]
fn a_composed_fence_is_reserved_for_by_its_leaves() {
    let jobs: Vec<_> = (0..3)
        .map(|_| Timeline::new("t").issue().unwrap())
        .collect();
    let all: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
    let composed = Fence::all(&all).unwrap();
    let resv = Resv::new();
    let mut guard = resv.lock();
    let mut slots = guard.reserve_for(&composed, Usage::Read).unwrap();
    assert_eq!(slots.left(), 3);
    slots.add(&composed, Usage::Read);
    assert_eq!(slots.left(), 0);
    drop(guard);
    // One fence that stands for all that is pending.
    let merged = resv.snapshot().merged();
    assert_eq!(merged.leaves().collect::<Vec<_>>(), all);
    drop(jobs);
    assert!(merged.is_signaled() && resv.snapshot().merged().is_signaled());
}
