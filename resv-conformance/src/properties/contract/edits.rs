//! What is promised to the holder of the lock, B3, B4, B8, B9, as far as one thread or two can show it.

use super::{entry, transaction};
use crate::Subject;
use crate::support::{
    Watched, add, assert_superseded_freed, entries, entry_of, held_entries, is_busy, job, lone_job,
    many_side_by_side, seqnos as seqnos_of, side_by_side,
};
use resv_api::{Access, Backend, Semantics, Timeline, Usage, UsageSet, Visibility};
use resv_core::{Budget, EntrySet};
use std::panic::{AssertUnwindSafe, catch_unwind};

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
