//! What went wrong before, or would have: the hazards H-nn of `docs/hazards.md`.
//!
//! Those that one thread can show, and two that need a sleeping waiter. What only a race can show is
//! in [`contract`](super::contract) (H-02, H-05, H-09, H-23, H-25) and in the models of the back
//! ends themselves (H-03, H-08, H-28). H-06 and H-20 are settled by the types: nothing here hands
//! out a raw pointer. H-12 and H-18 are about fence arrays, of which an object holds none.

use crate::Subject;
use crate::model::Generation;
use crate::support::{
    A_MOMENT, AGES, Watched, add, add_fence, assert_freed, assert_superseded_freed, entries,
    entry_of, held_entries, is_busy, job, lone_job, many_side_by_side, replace, side_by_side,
    sorted, visited,
};
use resv_api::{
    Access, AnyBackend, AnySemantics, Fence, FenceError, Key, Semantics, Signaler, Timeline, Usage,
    Visibility, Waited,
};
use std::time::Duration;

/// The memory of a fence that is gone becomes another fence at once; no reader is ever shown that
/// other one.
pub fn h_01_a_recycled_fence_is_not_shown(on: Subject) {
    let object = on.object();
    let timeline = Timeline::new("gfx");
    for round in 0..50 {
        // The older one does not remove the newer one, whatever its usage.
        let (done, kept) = (job(&timeline), job(&timeline));
        add(&object, &kept, Usage::Write);
        add(&object, &done, Usage::Bookkeep);
        done.signal();
        let strangers: Vec<Signaler> = (0..8).map(|_| lone_job()).collect();
        let expected = [entry_of(on, kept.fence(), Usage::Write)];
        assert_eq!(entries(&object), expected, "round {round}");
        let seen = visited(&object, Access::Move);
        assert_eq!(
            seen,
            [Key::new(kept.fence(), on.semantics().class(Usage::Write))],
            "round {round}"
        );
        drop(strangers);
        // Not signalled before the next one has taken its place.
        let next = job(&timeline);
        add(&object, &next, Usage::Write);
        kept.signal();
        assert!(is_busy(&object, on.read()));
        drop(next);
    }
}

/// Something is pending at every instant, handed on from writer to readers to writer: nobody is
/// told "idle" in between.
pub fn h_02_never_idle_while_the_work_is_handed_on(on: Subject) {
    let object = on.object();
    let busy = |what: &str| assert!(is_busy(&object, on.write()), "{what}");
    let mut writer = lone_job();
    add(&object, &writer, Usage::Write);
    for _ in 0..100 {
        let reader = lone_job();
        add(&object, &reader, Usage::Read);
        busy("writer and reader");
        writer.signal();
        busy("reader alone");
        writer = lone_job();
        add(&object, &writer, Usage::Write);
        busy("reader superseded or joined by a writer");
        reader.signal();
        busy("writer alone");
    }
}

/// Pruning an empty object is harmless, and pruning drops the signalled ones and no others.
pub fn h_07_pruning(on: Subject) {
    let object = on.object();
    // Where signalled fences are dropped is the back end's affair; edits are the occasion.
    let prune = || drop(object.lock().reserve(1).expect("memory for one slot"));
    prune();
    assert!(entries(&object).is_empty());
    for n in 1..10 {
        for k in 0..=n {
            let object = on.object();
            let mut jobs = many_side_by_side(n + 1);
            let last = jobs.pop().expect("one more");
            let fences: Vec<Fence> = jobs.iter().map(|job| job.fence().clone()).collect();
            for job in &jobs {
                add(&object, job, Usage::Read);
            }
            let mut jobs = jobs.into_iter();
            // Every second one first, so that what is left is not a prefix.
            jobs.by_ref().take(k).for_each(Signaler::signal);
            add(&object, &last, Usage::Read);
            assert_eq!(entries(&object).len(), n - k + 1, "{k} of {n} signalled");
            let shown = entries(&object);
            for fence in &fences[k..] {
                assert!(shown.contains(&entry_of(on, fence, Usage::Read)));
            }
        }
    }
}

/// A writer that is superseded leaves nothing behind: no second place where it is kept.
pub fn h_10_a_superseded_writer_is_gone_everywhere(on: Subject) {
    let object = on.object();
    let timeline = Timeline::new("gfx");
    let (first, second) = (job(&timeline), job(&timeline));
    let watched = [Watched::new(first.fence())];
    add(&object, &first, Usage::Write);
    assert_eq!(entries(&object).len(), 1, "one place for one fence");
    add(&object, &second, Usage::Write);
    let mut kept = vec![entry_of(on, first.fence(), Usage::Write)];
    on.add_to(&mut kept, second.fence(), Usage::Write);
    assert_eq!(entries(&object), kept);
    first.signal();
    if kept.len() == 1 {
        assert_superseded_freed(on, 2, &watched, "a superseded writer");
    }
    assert!(is_busy(&object, on.read()));
}

/// A new writer that depends on nothing. Usage levels keep everything of other timelines; the older
/// semantics lose what their tables say, and no more.
pub fn h_11_a_writer_and_the_fences_of_others(on: Subject) {
    let object = on.object();
    let old: Vec<_> = Usage::ALL
        .into_iter()
        .map(|usage| (lone_job(), usage))
        .collect();
    for (job, usage) in &old {
        add(&object, job, *usage);
    }
    let writer = lone_job();
    add(&object, &writer, Usage::Write);
    let kept: Vec<Usage> = match on.generation() {
        Some(Generation::UsageLevels) => Usage::ALL.into(),
        Some(Generation::WritersReadersOthers) => vec![Usage::Bookkeep],
        Some(Generation::ExclusiveShared) => vec![],
        None => return,
    };
    let mut expected: Vec<_> = old
        .iter()
        .filter(|(_, usage)| kept.contains(usage))
        .map(|(job, usage)| entry_of(on, job.fence(), *usage))
        .collect();
    expected.push(entry_of(on, writer.fence(), Usage::Write));
    expected.sort_unstable();
    assert_eq!(entries(&object), expected);
}

/// Publishing nothing changes nothing.
pub fn h_13_publishing_nothing(on: Subject) {
    let object = on.object();
    let job = lone_job();
    let publish_nothing = || {
        let mut guard = object.lock();
        guard.reserve(3).unwrap().publish();
        guard.reserve(0).unwrap().publish();
    };
    publish_nothing();
    assert!(!is_busy(&object, Access::Move));
    add(&object, &job, Usage::Write);
    publish_nothing();
    assert_eq!(entries(&object), [entry_of(on, job.fence(), Usage::Write)]);
    job.signal();
    publish_nothing();
    assert!(!is_busy(&object, Access::Move));
}

/// "Idle" and "nothing to wait for" are one answer, in every state of a writer and its readers.
pub fn h_14_idle_agrees_with_wait(on: Subject) {
    for signaled in 0..16u8 {
        let object = on.object();
        // Each on a timeline of its own, strongest first, so that only writers supersede.
        let jobs = Usage::ALL.map(|usage| (lone_job(), usage));
        for (job, usage) in &jobs {
            add(&object, job, *usage);
        }
        let (mut left, mut pending) = (entries(&object), Vec::new());
        for (i, (job, _)) in jobs.into_iter().enumerate() {
            if signaled & (1 << i) != 0 {
                let key = (job.fence().timeline_id(), job.fence().seqno());
                left.retain(|entry| (entry.0, entry.1) != key);
                job.signal();
            } else {
                pending.push(job);
            }
        }
        for access in Access::ALL {
            let waits = on.semantics().waits_for(access);
            let expected = left.iter().any(|entry| waits.contains(entry.2));
            // `is_busy` asks in every way there is and panics where two disagree.
            assert_eq!(
                is_busy(&object, access),
                expected,
                "{signaled:04b} {access}"
            );
        }
    }
}

/// An older fence never takes the place of a newer one of its timeline.
pub fn h_16_an_older_fence_does_not_replace_a_newer(on: Subject) {
    for first in Usage::ALL {
        for second in Usage::ALL {
            let object = on.object();
            let timeline = Timeline::new("gfx");
            let (old, new) = (job(&timeline), job(&timeline));
            add(&object, &new, first);
            add(&object, &old, second);
            let kept = entry_of(on, new.fence(), first);
            assert!(entries(&object).contains(&kept), "{second} after {first}");
            old.signal();
            assert_eq!(entries(&object), [kept]);
        }
    }
}

/// Adding the same fence again takes no further place, however often.
pub fn h_17_adding_a_fence_again_keeps_one_entry(on: Subject) {
    for usage in Usage::ALL {
        let object = on.object();
        let job = lone_job();
        for _ in 0..500 {
            add(&object, &job, usage);
        }
        let mut guard = object.lock();
        let mut slots = guard.reserve(500).unwrap();
        for _ in 0..500 {
            slots.add(job.fence(), usage);
        }
        assert_eq!(held_entries(&guard).len(), 1, "{usage}");
        drop(guard);
        assert_eq!(entries(&object), [entry_of(on, job.fence(), usage)]);
    }
}

/// n entries in, n out, in every way of asking, the exclusive one among them.
pub fn h_19_as_many_come_out_as_went_in(on: Subject) {
    let object = on.object();
    let jobs = many_side_by_side(71);
    add(&object, &jobs[0], Usage::Write);
    for (n, next) in jobs.iter().enumerate().skip(1) {
        let snapshot = object.snapshot();
        assert_eq!(snapshot.iter().count(), n);
        let mut distinct = sorted(snapshot.iter());
        distinct.dedup();
        assert_eq!(distinct.len(), n);
        for access in Access::ALL {
            // One write, and reads.
            let writes = usize::from(on.waits(access, Usage::Write));
            let wanted = writes + (n - 1) * usize::from(on.waits(access, Usage::Read));
            let waits = object.waits_for(access);
            assert_eq!(waits.iter().count(), wanted, "{access}");
            assert_eq!(visited(&object, access).len(), wanted, "{access}");
        }
        assert_eq!(object.lock().entries().len(), n);
        add(&object, next, Usage::Read);
    }
}

/// Another thread asks between add and unlock: told at once, or nothing before the unlock, as the
/// semantics says. The holder reads its own edits all along.
pub fn h_21_staged_adds_are_visible_when_the_semantics_says(on: Subject) {
    for usage in Usage::ALL {
        let object = on.object();
        let job = lone_job();
        let ask = || {
            std::thread::scope(|scope| {
                let asked = scope.spawn(|| object.snapshot().iter().count());
                asked.join().expect("asking does not panic")
            })
        };
        let mut guard = object.lock();
        guard.reserve(1).unwrap().add(job.fence(), usage);
        let visible = usize::from(on.semantics().visibility() == Visibility::AtOnce);
        assert_eq!(ask(), visible, "{usage}: before the unlock");
        assert_eq!(held_entries(&guard).len(), 1, "{usage}: the holder");
        drop(guard);
        assert_eq!(ask(), 1, "{usage}: after the unlock");
    }
}

/// A move must be told apart from a write, for explicit-sync jobs to wait for it and for it alone.
pub fn h_22_only_usage_levels_tell_a_move_from_a_write(on: Subject) {
    for usage in Usage::ALL {
        let object = on.object();
        let job = lone_job();
        add(&object, &job, usage);
        let must = match on.generation() {
            Some(Generation::UsageLevels) => usage == Usage::Kernel,
            Some(_) => false,
            None => return,
        };
        assert_eq!(is_busy(&object, Access::Explicit), must, "{usage}");
    }
}

/// A wait for a writer and **one** reader does not end with the writer.
pub fn h_24_a_wait_for_a_writer_and_one_reader(on: Subject) {
    for readers in [1, 2, 5] {
        let object = on.object();
        let writer = lone_job();
        add(&object, &writer, Usage::Write);
        let readers: Vec<_> = (0..readers).map(|_| lone_job()).collect();
        for reader in &readers {
            add(&object, reader, Usage::Read);
        }
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| object.wait(on.write(), Some(AGES)));
            std::thread::sleep(A_MOMENT / 2);
            writer.signal();
            std::thread::sleep(A_MOMENT / 2);
            assert!(!waiter.is_finished(), "readers are pending");
            readers.into_iter().for_each(Signaler::signal);
            assert_eq!(waiter.join().unwrap(), Waited::Signaled);
        });
    }
}

/// What is added under any usage is seen by a move after the unlock.
pub fn h_26_unlocking_publishes_every_category(on: Subject) {
    for usage in Usage::ALL {
        let object = on.object();
        let job = lone_job();
        add(&object, &job, usage);
        assert_eq!(
            entries(&object),
            [entry_of(on, job.fence(), usage)],
            "{usage}"
        );
        assert!(is_busy(&object, Access::Move), "{usage}");
    }
}

/// A copy keeps every category, and when all is dropped every fence is freed.
pub fn h_27_a_copy_keeps_categories_and_leaks_nothing(on: Subject) {
    let mut watched = Vec::new();
    {
        let (src, dst) = (on.object(), on.object());
        let jobs = Usage::ALL.map(|usage| (lone_job(), usage));
        watched.extend(jobs.iter().map(|(job, _)| Watched::new(job.fence())));
        for (job, usage) in &jobs {
            add(&src, job, *usage);
        }
        for _ in 0..5 {
            dst.lock().copy_from(&src).unwrap();
        }
        assert_eq!(entries(&dst), entries(&src));
    }
    assert_freed(on, &watched, "source and copy are gone");
}

/// The object is replaced twice in the middle of a visit: the
/// visit ends, and what it told is of one instant.
pub fn h_29_h_30_an_object_replaced_in_the_middle_of_a_visit(on: Subject) {
    for replacements in [1, 2] {
        let (object, empty) = (on.object(), on.object());
        let (other, new) = (on.object(), side_by_side::<2>());
        let jobs: [_; 5] = side_by_side();
        for job in &jobs {
            add(&object, job, Usage::Read);
        }
        for job in &new {
            add(&other, job, Usage::Read);
        }
        let (before, after) = (entries(&object), entries(&other));
        let mut done = 0;
        let mut seen = object.visit(Access::Move, Vec::new(), |mut seen, key| {
            seen.push((key.timeline, key.seqno, key.usage));
            if done < replacements {
                let source = if done == 0 { &empty } else { &other };
                object.lock().copy_from(source).unwrap();
                done += 1;
            }
            seen
        });
        seen.sort_unstable();
        assert_eq!(seen, before);
        let now = if replacements == 1 { vec![] } else { after };
        assert_eq!(entries(&object), now);
    }
}

/// A reservation that fails leaves the object, its slots and its fences as they were.
pub fn h_31_a_failed_reservation_changes_and_leaks_nothing(on: Subject) {
    let mut watched = Vec::new();
    {
        let object = on.object();
        let jobs: [_; 3] = side_by_side();
        watched.extend(jobs.iter().map(|job| Watched::new(job.fence())));
        for job in &jobs[..2] {
            add(&object, job, Usage::Read);
        }
        let before = entries(&object);
        for _ in 0..10 {
            let mut guard = object.lock();
            assert!(guard.reserve(usize::MAX).is_err());
            assert_eq!(held_entries(&guard), before);
        }
        assert_eq!(entries(&object), before);
        let mut guard = object.lock();
        let mut slots = guard.reserve(1).unwrap();
        slots.add(jobs[2].fence(), Usage::Read);
        assert!(guard.reserve(usize::MAX).is_err());
        drop(guard);
        assert_eq!(
            entries(&object).len(),
            3,
            "what was added before the failure"
        );
    }
    assert_freed(on, &watched, "the object is gone");
}

/// A replacement owns its references: what was replaced is freed, what replaces it lives.
pub fn h_32_a_replacement_owns_what_it_needs(on: Subject) {
    let object = on.object();
    let timeline = Timeline::new("kfd");
    // Three entries of one timeline: later ones with weaker usages, so that all stay.
    let jobs: Vec<_> = (0..3).map(|_| job(&timeline)).collect();
    let old: Vec<_> = jobs.iter().map(|job| Watched::new(job.fence())).collect();
    for (job, usage) in jobs
        .iter()
        .zip([Usage::Write, Usage::Read, Usage::Bookkeep])
    {
        add(&object, job, usage);
    }
    let new = lone_job();
    let (fence, alive) = (new.fence().clone(), Watched::new(new.fence()));
    assert!(replace(&object, &timeline, &fence, Usage::Read));
    drop((fence, jobs));
    assert_superseded_freed(on, 4, &old, "replaced fences");
    assert_eq!(entries(&object), [entry_of(on, new.fence(), Usage::Read)]);
    let snapshot = object.snapshot();
    drop(object);
    assert!(is_pending(&snapshot));
    new.signal();
    assert!(alive.is_alive(), "the snapshot owns a reference");
    drop(snapshot);
    assert_freed(on, &[alive], "replacement, object and snapshot gone");
}

fn is_pending(snapshot: &resv_api::Snapshot<AnySemantics, AnyBackend>) -> bool {
    !snapshot.is_idle() && snapshot.iter().count() == 1
}

/// Fences whose last handle is gone do not make a reader spin: an entry owns a reference.
pub fn h_33_an_entry_owns_a_reference(on: Subject) {
    let object = on.object();
    for usage in Usage::ALL {
        for _ in 0..20 {
            let job = lone_job();
            add(&object, &job, usage);
            job.signal();
        }
        let given_up = lone_job();
        let fence = given_up.fence().clone();
        add_fence(&object, &fence, usage);
        drop((fence, given_up));
        for access in Access::ALL {
            assert!(!is_busy(&object, access));
        }
    }
}

/// A reader's fence signals, with an error, before the writer it was added after (an engine was
/// reset): the object is still busy because of the writer.
pub fn h_34_a_reader_that_fails_before_the_writer(on: Subject) {
    let object = on.object();
    let [writer, reader] = side_by_side();
    add(&object, &writer, Usage::Write);
    add(&object, &reader, Usage::Read);
    reader.signal_error(FenceError::IO);
    for access in Access::ALL {
        if !on.waits(access, Usage::Write) {
            continue;
        }
        assert!(is_busy(&object, access), "{access}");
        let zero = Some(Duration::ZERO);
        assert_eq!(object.wait(access, zero), Waited::TimedOut, "{access}");
    }
    writer.signal();
    assert!(!is_busy(&object, Access::Move));
}

/// A write that is recorded as a read is invisible to readers, under every semantics (the known
/// over-permissive case); recorded as a write it is seen.
pub fn h_35_a_write_recorded_as_a_read(on: Subject) {
    for (usage, seen) in [(Usage::Read, false), (Usage::Write, true)] {
        let object = on.object();
        let job = lone_job();
        add(&object, &job, usage);
        if on.generation().is_some() {
            assert_eq!(is_busy(&object, Access::Read), seen, "{usage}");
        }
        assert!(is_busy(&object, Access::Move), "{usage}");
    }
}
