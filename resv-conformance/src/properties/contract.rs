//! The promises of a back end, B1 to B9, as far as one thread or two can show them.
//!
//! Where a property edits through [`Backend`] itself, it does so because the promise is about the
//! back end under any semantics; then `S` plays no part in it.

use crate::at_death::at_death_of;
use crate::support::{
    AGES, Watched, add, assert_freed, assert_superseded_freed, entries, entry_of, held_entries,
    is_busy, job, lone_job, many_side_by_side, race, seqnos as seqnos_of, side_by_side, visited,
};
use crate::{Object, Subject};
use resv_api::{
    Access, AnyBackend, Backend, Entry, Fence, Semantics, Timeline, Usage, UsageSet, Visibility,
};
use resv_core::{Budget, EntryRef, EntrySet, LockProof};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// How often the writer of a race comes round.
const ROUNDS: u64 = 2000;

fn entry(fence: &Fence, usage: Usage) -> Entry {
    Entry {
        fence: fence.clone(),
        usage,
    }
}

/// Locks, lets `edit` use `room`, publishes and unlocks, without a semantics.
fn transaction(object: &AnyBackend, adds: usize, edit: impl FnOnce(&mut LockProof<'_>)) {
    let mut held = object.object_lock().lock();
    let room = Budget { adds, publishes: 1 };
    object.reserve(&mut held, room).expect("memory");
    edit(&mut held);
    object.publish(&mut held);
    object.unreserve(&mut held);
}

/// B1: two fences of different usages are exchanged together, over and over. No reader sees the one
/// without the other (H-02, H-05, H-23).
pub fn b1_a_read_is_of_one_instant(on: Subject) {
    let object = on.backend();
    let timelines = [Timeline::new("a"), Timeline::new("b")];
    let usages = [Usage::Write, Usage::Bookkeep];
    let exchange = || {
        // Both have one seqno, as both timelines issue once a round.
        let jobs = timelines.each_ref().map(job);
        transaction(&object, 2, |held| {
            for (job, usage) in jobs.iter().zip(usages) {
                let mine = job.fence().timeline_id();
                let new = entry(job.fence(), usage);
                object.edit(held, |old| old.timeline == mine, Some(new));
            }
        });
        jobs
    };
    // All stay pending, so that whatever set is read, it is read in full.
    let mut jobs = vec![exchange()];
    let pair = |seqnos: &[u64], how: &str| {
        assert!(
            seqnos.len() == 2 && seqnos[0] == seqnos[1],
            "{how} told two fences of different transactions: {seqnos:?}"
        );
    };
    race(
        ROUNDS,
        || jobs.push(exchange()),
        || {
            let snapshot = object.snapshot().expect("memory");
            let seqnos: Vec<u64> = snapshot.iter().map(|e| e.fence.seqno()).collect();
            pair(&seqnos, "snapshot");
            pair(&seqnos_of(&object), "fold");
        },
    );
}

/// Hands work on from a writer to a reader to a writer, so that something is pending at every
/// instant, while `read` is asked on another thread.
fn never_idle(on: Subject, read: impl Fn(&Object) + Send + Sync) {
    let object = on.object();
    let mut writer = lone_job();
    add(&object, &writer, Usage::Write);
    race(
        ROUNDS,
        || {
            let reader = lone_job();
            add(&object, &reader, Usage::Read);
            let done = std::mem::replace(&mut writer, lone_job());
            done.signal();
            add(&object, &writer, Usage::Write);
            reader.signal();
        },
        || read(&object),
    );
}

/// B2: something is pending at every instant; nobody is ever told "idle" (H-02, H-05, H-09, H-25).
pub fn b2_idle_was_true(on: Subject) {
    never_idle(on, move |object| {
        assert!(!object.is_idle(on.write()), "told idle by is_idle");
        let waited = object.wait(on.write(), Some(Duration::ZERO));
        assert!(!waited.is_signaled(), "told idle by wait: {waited:?}");
    });
}

/// B1, B2: a visit shows what was pending at one instant, so it is never shown nothing either.
pub fn b2_a_visit_that_shows_nothing_was_true(on: Subject) {
    never_idle(on, move |object| {
        let visited = visited(object, on.write());
        assert!(!visited.is_empty(), "told idle by a visit");
    });
}

/// B2, B6: the fences of every snapshot that a racing reader gets were of the object, and stay the
/// fences they were (H-01, H-03, H-04).
pub fn b2_a_racing_snapshot_holds_fences_of_the_object(on: Subject) {
    let object = on.object();
    let timeline = Timeline::new("gfx");
    let mut current = job(&timeline);
    let mut _stranger = lone_job();
    add(&object, &current, Usage::Write);
    race(
        ROUNDS,
        || {
            // Its memory is the stranger's as soon as the next has superseded it, and for a while.
            let done = std::mem::replace(&mut current, job(&timeline));
            add(&object, &current, Usage::Write);
            done.signal();
            _stranger = lone_job();
        },
        || {
            let snapshot = object.backend().snapshot().expect("memory");
            let shown = &snapshot;
            assert!(shown.iter().all(|e| e.fence.timeline_id() == timeline.id()));
            let seqnos: Vec<u64> = shown.iter().map(|e| e.fence.seqno()).collect();
            std::thread::yield_now();
            let again: Vec<u64> = shown.iter().map(|e| e.fence.seqno()).collect();
            assert_eq!(seqnos, again);
        },
    );
}

/// B3: room that cannot be had is refused, and nothing has changed.
pub fn b3_reserving_too_much_is_refused(on: Subject) {
    let object = on.object();
    let [before, after] = side_by_side();
    add(&object, &before, Usage::Read);
    let impossible = [
        usize::MAX,
        usize::MAX - 1,
        usize::MAX / 2,
        isize::MAX as usize,
    ];
    let mut guard = object.lock();
    for edits in impossible {
        assert!(guard.reserve(edits).is_err(), "{edits} slots cannot exist");
    }
    // By the back end, too: above it, other memory may have been wanted.
    let alone = on.backend();
    let mut held = alone.object_lock().lock();
    for adds in impossible {
        let budget = Budget { adds, publishes: 1 };
        let reserved = alone.reserve(&mut held, budget);
        assert!(reserved.is_err(), "{adds} entries cannot exist");
    }
    alone.unreserve(&mut held);
    guard.reserve(1).unwrap().add(after.fence(), Usage::Read);
    drop(guard);
    assert_eq!(entries(&object).len(), 2);
}

/// B3: nothing reserved, nothing to add, nothing wrong.
pub fn b3_reserving_nothing(on: Subject) {
    let object = on.object();
    let job = lone_job();
    let mut guard = object.lock();
    assert_eq!(guard.reserve(0).unwrap().left(), 0);
    guard.reserve(1).unwrap().add(job.fence(), Usage::Read);
    assert_eq!(guard.reserve(0).unwrap().left(), 0);
    assert_eq!(held_entries(&guard).len(), 1);
    drop(guard);
    assert_eq!(entries(&object).len(), 1);
}

/// B3: an add beyond the slots panics; what was added before is kept and the object works on.
pub fn b3_adding_beyond_the_slots_panics_and_harms_nothing(on: Subject) {
    let object = on.object();
    let jobs: [_; 3] = side_by_side();
    let beyond = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = object.lock();
        let mut slots = guard.reserve(1).unwrap();
        slots.add(jobs[0].fence(), Usage::Read);
        slots.add(jobs[1].fence(), Usage::Read);
    }));
    assert!(
        beyond.is_err(),
        "an add without a slot must not pass unnoticed"
    );
    assert_eq!(
        entries(&object),
        [entry_of(on, jobs[0].fence(), Usage::Read)]
    );
    add(&object, &jobs[2], Usage::Read);
    assert_eq!(entries(&object).len(), 2);
}

/// B3: the back end itself refuses an add without room, also of a caller that is not a guard.
pub fn b3_the_back_end_refuses_an_add_without_room(on: Subject) {
    let object = on.backend();
    let jobs = [lone_job(), lone_job()];
    let none = catch_unwind(AssertUnwindSafe(|| {
        let mut held = object.object_lock().lock();
        object.edit(
            &mut held,
            |_| false,
            Some(entry(jobs[0].fence(), Usage::Read)),
        );
    }));
    assert!(none.is_err(), "an add without any reservation");
    transaction(&object, 1, |held| {
        object.edit(held, |_| false, Some(entry(jobs[1].fence(), Usage::Read)));
    });
    assert_eq!(object.snapshot().unwrap().len(), 1);
}

/// B3: the proof must be for the lock of this very object.
pub fn b3_the_lock_of_another_object_is_no_proof(on: Subject) {
    let (object, other) = (on.backend(), on.backend());
    let wrong = catch_unwind(AssertUnwindSafe(|| {
        let mut held = other.object_lock().lock();
        let room = Budget {
            adds: 1,
            publishes: 1,
        };
        let _ = object.reserve(&mut held, room);
    }));
    assert!(wrong.is_err(), "an edit with the lock of another object");
    assert!(object.object_lock().try_lock().is_some());
}

/// B4: edits are invisible to readers until they are published, then all of them are visible; the
/// holder reads its own all along.
pub fn b4_edits_become_visible_together(on: Subject) {
    let object = on.backend();
    let timeline = Timeline::new("gfx");
    let jobs: Vec<_> = (0..4).map(|_| job(&timeline)).collect();
    transaction(&object, 1, |held| {
        object.edit(held, |_| false, Some(entry(jobs[0].fence(), Usage::Write)));
    });
    let seen = || seqnos_of(&object).iter().sum::<u64>();
    let mut held = object.object_lock().lock();
    let room = Budget {
        adds: 3,
        publishes: 1,
    };
    object.reserve(&mut held, room).unwrap();
    let mut mine = 1;
    for (i, job) in jobs[1..].iter().enumerate() {
        // The last edit also removes the first fence.
        let new = entry(job.fence(), Usage::Read);
        object.edit(&mut held, |old| i == 2 && old.seqno == 1, Some(new));
        mine += job.fence().seqno() - u64::from(i == 2);
        let read = object.visit_held(&held, 0, |sum, entry| sum + entry.fence.seqno());
        assert_eq!(read, mine, "the holder reads its own edits");
        assert_eq!(seen(), 1, "nobody else does");
        assert!(object.is_idle(UsageSet::of(&[Usage::Read])));
        assert_eq!(object.snapshot().unwrap().len(), 1);
    }
    object.publish(&mut held);
    assert_eq!(seen(), 2 + 3 + 4);
    assert!(!object.is_idle(UsageSet::of(&[Usage::Read])));
    object.unreserve(&mut held);
    drop(held);
    assert_eq!(seen(), 2 + 3 + 4);
}

/// B4: a second reservation in one transaction keeps what was added after the first.
pub fn b4_a_second_reservation_keeps_what_was_added(on: Subject) {
    let object = on.object();
    let jobs = many_side_by_side(40);
    add(&object, &jobs[0], Usage::Read);
    let mut guard = object.lock();
    for (done, job) in jobs.iter().enumerate().skip(1) {
        guard.reserve(1).unwrap().add(job.fence(), Usage::Read);
        assert_eq!(held_entries(&guard).len(), done + 1);
    }
    drop(guard);
    assert_eq!(entries(&object), expected(on, &jobs));
}

/// B4: under each semantics: an explicit publish shows what was added, before the lock is released;
/// what is added after it waits for the next.
pub fn b4_an_explicit_publish_shows_what_was_added(on: Subject) {
    let object = on.object();
    let [first, second] = side_by_side();
    let at_once = usize::from(on.semantics().visibility() == Visibility::AtOnce);
    let mut guard = object.lock();
    let mut slots = guard.reserve(1).unwrap();
    slots.add(first.fence(), Usage::Read);
    assert_eq!(entries(&object).len(), at_once);
    slots.publish();
    assert_eq!(entries(&object).len(), 1);
    guard.reserve(1).unwrap().add(second.fence(), Usage::Read);
    assert_eq!(entries(&object).len(), 1 + at_once);
    assert_eq!(held_entries(&guard).len(), 2);
    drop(guard);
    assert_eq!(entries(&object).len(), 2);
}

/// B4: the guard publishes when it is dropped, in a panic too: the job is running already.
pub fn b4_a_panic_publishes_what_was_added(on: Subject) {
    let object = on.object();
    let [job, next] = side_by_side();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = object.lock();
        guard.reserve(2).unwrap().add(job.fence(), Usage::Bookkeep);
        panic!("the holder panics");
    }));
    assert!(panicked.is_err());
    assert_eq!(
        entries(&object),
        [entry_of(on, job.fence(), Usage::Bookkeep)]
    );
    add(&object, &next, Usage::Bookkeep);
    assert_eq!(entries(&object).len(), 2);
}

/// B4: unlocking gives up reserved slots, and the next holder starts with none.
pub fn b4_unlocking_gives_up_reserved_slots(on: Subject) {
    let object = on.backend();
    let job = lone_job();
    transaction(&object, 5, |_| {});
    let late = catch_unwind(AssertUnwindSafe(|| {
        let mut held = object.object_lock().lock();
        object.edit(&mut held, |_| false, Some(entry(job.fence(), Usage::Read)));
    }));
    assert!(
        late.is_err(),
        "a slot outlived the lock it was reserved under"
    );
    assert!(object.is_idle(UsageSet::ALL));
}

/// B5: a closure of a read may do anything: edit, read, signal.
pub fn b5_a_closure_of_a_read_may_do_anything(on: Subject) {
    let object = on.object();
    let [first, second, third] = side_by_side();
    add(&object, &first, Usage::Write);
    let mut more = vec![second, third];
    let count = object.visit(on.write(), 0, |count, _| {
        while let Some(job) = more.pop() {
            add(&object, &job, Usage::Read);
            assert_eq!(visited(&object, on.write()).len(), 2);
            job.signal();
        }
        count + 1
    });
    assert_eq!(count, 1);
    assert_eq!(
        entries(&object),
        [entry_of(on, first.fence(), Usage::Write)]
    );
}

/// Reads `object` whenever a fence of timeline `gone` dies on this thread, while `edits` runs over and over
/// until one has died. What a thread that waits for itself would do for ever ends with a panic here.
fn until_one_dies(on: Subject, edits: impl Fn(&Object, &Timeline) + Send + 'static) {
    let (told, ended) = mpsc::channel();
    let edit_and_read = move || {
        let object = Arc::new(on.object());
        let is_called = Arc::new(AtomicBool::new(false));
        let gone = Timeline::new("gone");
        let (inside, tell) = (Arc::downgrade(&object), Arc::clone(&is_called));
        let read = move || {
            tell.store(true, Ordering::Relaxed);
            if let Some(object) = inside.upgrade() {
                let concerns = on.waits(Access::Explicit, Usage::Read);
                assert!(concerns || object.is_idle(Access::Explicit));
                let shown = object.snapshot().iter().count();
                assert!(visited(&object, Access::Move).len() <= shown + 1);
            }
        };
        at_death_of(gone.id(), read, || {
            let deadline = Instant::now() + AGES / 2;
            while !is_called.load(Ordering::Relaxed) {
                edits(&object, &gone);
                assert!(Instant::now() < deadline, "the fence was never dropped");
            }
        });
    };
    let thread = std::thread::spawn(move || {
        let run = catch_unwind(AssertUnwindSafe(edit_and_read));
        let _ = told.send(());
        if let Err(panic) = run {
            std::panic::resume_unwind(panic);
        }
    });
    let ended = ended.recv_timeout(AGES);
    assert!(
        ended.is_ok(),
        "a thread that drops a fence inside waits for itself: what the fence runs reads the object"
    );
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// B5: the last reference of a fence is dropped outside, because foreign code hears of it: here a
/// subscriber of trace events that reads the object.
pub fn b5_a_fence_is_dropped_outside(on: Subject) {
    let timeline = Timeline::new("gfx");
    until_one_dies(on, move |object, gone| {
        // More than one: another thread, which is not listened to, may be the one that drops it.
        let last = job(gone);
        add(object, &last, Usage::Write);
        last.signal();
        // Edits are when a back end drops; one that drops later does it on the way.
        for _ in 0..64 {
            add(object, &job(&timeline), Usage::Read);
        }
    });
}

/// B5: the same for a fence that signals after the reservation, so that the reservation could not drop
/// it: the add, the publish or the unlock does.
pub fn b5_a_fence_that_signals_late_is_dropped_outside(on: Subject) {
    for published in [false, true] {
        let timeline = Timeline::new("gfx");
        until_one_dies(on, move |object, gone| {
            let (last, next) = (job(gone), job(&timeline));
            add(object, &last, Usage::Write);
            let mut guard = object.lock();
            let mut slots = guard.reserve(2).expect("memory for two");
            // From here on nobody but the object has it.
            last.signal();
            slots.add(next.fence(), Usage::Read);
            if published {
                slots.publish();
            }
        });
    }
}

/// B5: signalling runs foreign code that edits objects; a dropped object runs it, too, in its time.
pub fn b5_callbacks_run_outside(on: Subject) {
    let (object, other) = (Arc::new(on.object()), on.object());
    let (first, second) = (lone_job(), lone_job());
    add(&object, &first, Usage::Write);
    add(&other, &first, Usage::Write);
    // The callback owns the last handle of another job and of the object.
    let inside = Arc::clone(&object);
    let fence = first.fence().clone();
    let registered = fence.on_signal(move |_| {
        add(&inside, &second, Usage::Write);
        drop(second);
        assert!(inside.is_idle(Access::Move));
    });
    registered.expect("the fence is pending");
    drop(object);
    other.lock().copy_from(&on.object()).unwrap();
    first.signal();
    assert!(!is_busy(&other, Access::Move));
}

/// B6: a snapshot keeps its fences alive and never changes, whatever happens to the object.
pub fn b6_a_snapshot_never_changes(on: Subject) {
    let timeline = Timeline::new("gfx");
    let old = job(&timeline);
    let watched = Watched::new(old.fence());
    let snapshot = {
        let object = on.object();
        add(&object, &old, Usage::Write);
        let snapshot = object.backend().snapshot().expect("memory");
        let cloned = snapshot.clone();
        for _ in 0..200 {
            add(&object, &job(&timeline), Usage::Write);
            add(&object, &lone_job(), Usage::Bookkeep);
        }
        object.lock().copy_from(&on.object()).unwrap();
        assert!(snapshot.iter().eq(cloned.iter()));
        snapshot
    };
    let only = EntryRef {
        fence: old.fence(),
        usage: on.semantics().class(Usage::Write),
    };
    assert!(snapshot.iter().eq([only]));
    old.signal();
    let strangers: Vec<_> = (0..50).map(|_| lone_job()).collect();
    assert_eq!(snapshot.len(), 1);
    let shown = snapshot.iter().next().expect("there is one");
    assert_eq!(shown.fence.timeline_id(), timeline.id());
    assert!(watched.is_alive());
    drop((snapshot, strangers));
    assert_freed(on, &[watched], "the object and its snapshot are gone");
}

/// B7: the holder of the lock holds up no reader.
pub fn b7_a_holder_holds_up_no_reader(on: Subject) {
    let object = Arc::new(on.object());
    let [first, second] = side_by_side();
    add(&object, &first, Usage::Write);
    let mut guard = object.lock();
    guard
        .reserve(2)
        .unwrap()
        .add(second.fence(), Usage::Bookkeep);
    let (access, mut seen) = (on.read(), 1);
    if on.semantics().visibility() == Visibility::AtOnce {
        seen += usize::from(on.waits(access, Usage::Bookkeep));
    }
    let (send, receive) = mpsc::channel();
    let reader = Arc::clone(&object);
    std::thread::spawn(move || {
        let told = (
            reader.is_idle(access),
            reader.snapshot().iter().count() >= 1,
            visited(&reader, access).len(),
            reader.wait(access, Some(Duration::ZERO)).is_signaled(),
        );
        let _ = send.send(told);
    });
    let told = receive.recv_timeout(AGES);
    drop(guard);
    assert_eq!(told, Ok((false, true, seen, false)));
}

/// B7: a read that nobody disturbs is not repeated, and reading does not count as an edit.
pub fn b7_a_quiet_read_is_not_repeated(on: Subject) {
    let object = on.object();
    let jobs: [_; 5] = side_by_side();
    for job in &jobs {
        add(&object, job, Usage::Read);
    }
    let before = object.counters();
    for _ in 0..200 {
        assert!(!object.is_idle(Access::Move));
        assert_eq!(object.snapshot().iter().count(), 5);
        assert_eq!(visited(&object, Access::Move).len(), 5);
    }
    assert_eq!(object.counters(), before);
}

/// B8: superseded fences are freed while the object lives on, with readers coming and going.
pub fn b8_what_is_superseded_is_freed(on: Subject) {
    let object = on.object();
    let timeline = Timeline::new("gfx");
    let mut watched = Vec::new();
    let mut current = None;
    for _ in 0..2000 {
        let job = job(&timeline);
        watched.push(Watched::new(job.fence()));
        add(&object, &job, Usage::Write);
        let _ = object.snapshot();
        current = Some(job);
    }
    watched.pop();
    if on.replaces_earlier(Usage::Write) {
        assert_superseded_freed(on, 1, &watched, "superseded fences");
    }
    assert!(is_busy(&object, on.read()));
    drop(current);
}

/// B8: the peak is no less than what is retired now.
pub fn b8_the_peak_is_a_peak(on: Subject) {
    let object = on.object();
    for _ in 0..100 {
        add(&object, &lone_job(), Usage::Write);
    }
    // Other tests may retire and free at the same time; the peak never goes down by itself.
    let first = on.backend().garbage();
    let second = on.backend().garbage();
    assert!(second.peak >= first.live.min(second.live));
}

/// B9: while an object grows from nothing to many entries and shrinks again, no pending fence
/// leaves it.
pub fn b9_nothing_is_lost_in_growing_and_shrinking(on: Subject) {
    let object = on.object();
    let mut pending = Vec::new();
    for (n, job) in many_side_by_side(300).into_iter().enumerate() {
        add(&object, &job, Usage::Read);
        pending.push(job);
        // Some finish on the way, so that growth meets signalled entries.
        if n % 3 == 0 {
            pending.swap_remove(n / 7 % pending.len()).signal();
        }
        assert_eq!(entries(&object), expected(on, &pending), "after {n} adds");
    }
    while let Some(job) = pending.pop() {
        job.signal();
        if pending.len() % 16 == 0 {
            assert_eq!(entries(&object), expected(on, &pending));
        }
    }
    assert!(!is_busy(&object, Access::Move));
}

fn expected(
    on: Subject,
    pending: &[resv_api::Signaler],
) -> Vec<(resv_api::TimelineId, u64, Usage)> {
    let mut all: Vec<_> = pending
        .iter()
        .map(|job| entry_of(on, job.fence(), Usage::Read))
        .collect();
    all.sort_unstable();
    all
}

/// B9: an edit removes what its predicate names, and offers it every pending entry.
pub fn b9_an_edit_removes_what_its_predicate_names(on: Subject) {
    let object = on.backend();
    let timeline = Timeline::new("gfx");
    let jobs: Vec<_> = (0..20).map(|_| job(&timeline)).collect();
    transaction(&object, 20, |held| {
        for job in &jobs {
            object.edit(held, |_| false, Some(entry(job.fence(), Usage::Read)));
        }
    });
    let mut offered = Vec::new();
    transaction(&object, 0, |held| {
        let removes = |old: resv_api::Key| {
            offered.push(old.seqno);
            old.seqno.is_multiple_of(3)
        };
        object.edit(held, removes, None);
    });
    offered.sort_unstable();
    assert_eq!(offered, (1..=20).collect::<Vec<_>>());
    let mut left = seqnos_of(&object);
    left.sort_unstable();
    assert_eq!(
        left,
        (1..=20u64)
            .filter(|n| !n.is_multiple_of(3))
            .collect::<Vec<_>>()
    );
}

/// B9, L-01: two threads add under one lock; nothing of either is lost, as no edit removes anything.
pub fn b9_two_writers_lose_nothing(on: Subject) {
    const EACH: usize = 200;
    let object = on.backend();
    let jobs: Vec<Vec<_>> = (0..2)
        .map(|_| (0..EACH).map(|_| lone_job()).collect())
        .collect();
    let shared = &object;
    std::thread::scope(|scope| {
        for jobs in &jobs {
            scope.spawn(move || {
                for job in jobs {
                    transaction(shared, 1, |held| {
                        let new = entry(job.fence(), Usage::Read);
                        shared.edit(held, |_| false, Some(new));
                    });
                }
            });
        }
    });
    assert_eq!(seqnos_of(&object).len(), 2 * EACH);
}
