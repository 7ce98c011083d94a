//! What is promised to readers, B1, B2, B5, B6, B7, as far as one thread or two can show it.

use super::{ROUNDS, entry, transaction};
use crate::at_death::at_death_of;
use crate::support::{
    AGES, Watched, add, assert_freed, entries, entry_of, is_busy, job, lone_job, race,
    seqnos as seqnos_of, side_by_side, visited,
};
use crate::{Object, Subject};
use resv_api::{Access, Backend, Semantics, Timeline, Usage, Visibility};
use resv_core::{EntryRef, EntrySet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

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
            pair(&seqnos_of(&object), "visit");
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
