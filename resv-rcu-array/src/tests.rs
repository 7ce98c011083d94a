//! What is promised, on each flavour, by one thread or with steps in a fixed order. Races are in
//! `tests/stress.rs` and `tests/loom.rs`, memory in `tests/no_alloc.rs` and `tests/alloc_failure.rs`.

use crate::{Flavour, RcuArray};
use resv_core::{
    Backend, Budget, Entry, EntryRef, EntrySet, Key, LockProof, Signaler, Timeline, Usage, UsageSet,
};
use std::sync::mpsc;

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("seqnos are left")
}

fn entry(job: &Signaler, usage: Usage) -> Entry {
    Entry {
        fence: job.fence().clone(),
        usage,
    }
}

fn room(adds: usize, publishes: usize) -> Budget {
    Budget { adds, publishes }
}

fn nothing(_: Key) -> bool {
    false
}

/// One transaction with one publish: removes what `removes` names, adds `add`.
fn commit<R: Flavour>(object: &RcuArray<R>, removes: impl Fn(Key) -> bool, add: &[Entry]) {
    let mut held = object.object_lock().lock();
    object
        .reserve(&mut held, room(add.len(), 1))
        .expect("memory");
    object.edit(&mut held, removes, None);
    for entry in add {
        object.edit(&mut held, nothing, Some(entry.clone()));
    }
    object.publish(&mut held);
    object.unreserve(&mut held);
}

fn keys(snapshot: &impl EntrySet) -> Vec<Key> {
    snapshot.iter().map(EntryRef::key).collect()
}

fn visited_keys<R: Flavour>(object: &RcuArray<R>, usages: UsageSet) -> Vec<Key> {
    object.visit(usages, Vec::new(), |mut keys, key| {
        keys.push(key);
        keys
    })
}

fn held_keys<R: Flavour>(object: &RcuArray<R>, held: &LockProof<'_>) -> Vec<Key> {
    object.visit_held(held, Vec::new(), |mut keys, entry| {
        keys.push(entry.key());
        keys
    })
}

fn an_empty_object_is_idle_and_has_nothing_to_show<R: Flavour>() {
    let object = RcuArray::<R>::default();
    assert!(object.is_idle(UsageSet::ALL));
    assert!(visited_keys(&object, UsageSet::ALL).is_empty());
    assert!(object.snapshot().expect("no memory needed").is_empty());
    // An edit that changes nothing publishes nothing that anybody could see.
    commit(&object, |_| true, &[]);
    assert!(object.is_idle(UsageSet::ALL));
}

fn b4_edits_are_seen_by_the_holder_at_once_and_by_readers_when_published<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let (a, b) = (issue(&line), issue(&line));
    commit(&object, nothing, &[entry(&a, Usage::Write)]);

    let mut held = object.object_lock().lock();
    object.reserve(&mut held, room(1, 1)).expect("memory");
    object.edit(
        &mut held,
        |key| key.seqno == 1,
        Some(entry(&b, Usage::Read)),
    );
    let (old, new) = (entry(&a, Usage::Write).key(), entry(&b, Usage::Read).key());
    assert_eq!(held_keys(&object, &held), [new]);
    assert_eq!(visited_keys(&object, UsageSet::ALL), [old]);
    object.publish(&mut held);
    assert_eq!(visited_keys(&object, UsageSet::ALL), [new]);
    assert_eq!(visited_keys(&object, UsageSet::of(&[Usage::Write])), []);
    object.publish(&mut held); // nothing staged: nothing happens
    object.unreserve(&mut held);
    assert_eq!(held_keys(&object, &held), [new]);
}

fn b6_a_snapshot_never_changes_and_keeps_its_fences<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let (a, b) = (issue(&line), issue(&line));
    commit(&object, nothing, &[entry(&a, Usage::Write)]);
    let snapshot = object.snapshot().expect("no memory needed");
    let second = snapshot.clone();
    let before = keys(&snapshot);

    commit(&object, |_| true, &[entry(&b, Usage::Write)]);
    a.signal(); // the snapshot has the only references to this fence now
    for _ in 0..200 {
        commit(&object, |_| true, &[entry(&b, Usage::Write)]);
    }
    drop(object);

    assert_eq!(keys(&snapshot), before);
    drop(snapshot);
    assert_eq!(keys(&second), before);
    assert!(second.iter().all(|e| e.fence.is_signaled()));
    assert_eq!(
        second.iter().next().expect("one").fence.timeline_id(),
        line.id()
    );
}

fn b9_only_what_the_predicate_names_leaves<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let jobs: Vec<_> = (0..40).map(|_| issue(&line)).collect();
    let entries: Vec<_> = jobs.iter().map(|job| entry(job, Usage::Read)).collect();
    commit(&object, nothing, &entries);
    commit(&object, |key| key.seqno % 4 == 0, &[]);
    let left: Vec<u64> = visited_keys(&object, UsageSet::ALL)
        .iter()
        .map(|key| key.seqno)
        .collect();
    let expected: Vec<u64> = (1..=40).filter(|seqno| seqno % 4 != 0).collect();
    assert_eq!(left, expected);
}

fn signalled_fences_are_not_shown_and_leave_with_the_next_edit<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let (a, b) = (issue(&line), issue(&line));
    commit(
        &object,
        nothing,
        &[entry(&a, Usage::Write), entry(&b, Usage::Read)],
    );
    let (write, read) = (UsageSet::of(&[Usage::Write]), UsageSet::of(&[Usage::Read]));
    assert!(!object.is_idle(write));
    a.signal();
    assert!(object.is_idle(write));
    assert!(!object.is_idle(read) && !object.is_idle(UsageSet::ALL));
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 1);
    assert_eq!(held_keys(&object, &object.object_lock().lock()).len(), 1);
    commit(&object, nothing, &[]);
    assert_eq!(object.snapshot().expect("no memory needed").len(), 1);
    b.signal();
    commit(&object, nothing, &[]);
    assert_eq!(object.snapshot().expect("no memory needed").len(), 0);
    assert!(object.is_idle(UsageSet::ALL));
}

/// Entries of the published array, entries that are staged, and both go and stay in one transaction.
fn b4_edits_of_one_transaction_add_up<R: Flavour>() {
    let line = Timeline::new("t");
    let jobs: Vec<_> = (0..12).map(|_| issue(&line)).collect();
    // What each edit removes, and how many it adds.
    let edits: [(&[u64], usize); 7] = [
        (&[2], 3),
        (&[], 0),
        (&[7], 0),
        (&[4, 8], 2),
        (&[1], 1),
        (&[6, 9, 12], 0),
        (&[3, 5, 10, 11], 0),
    ];
    for last in 0..edits.len() {
        let object = RcuArray::<R>::default();
        let first: Vec<_> = jobs[..6]
            .iter()
            .map(|job| entry(job, Usage::Read))
            .collect();
        commit(&object, nothing, &first);
        let kept = object.snapshot().expect("no memory needed");
        let mut expected: Vec<u64> = (1..=6).collect();
        let mut next = jobs[6..].iter();
        let mut held = object.object_lock().lock();
        object.reserve(&mut held, room(6, 1)).expect("memory");
        for &(goes, adds) in &edits[..=last] {
            object.edit(&mut held, |key| goes.contains(&key.seqno), None);
            expected.retain(|seqno| !goes.contains(seqno));
            for job in next.by_ref().take(adds) {
                object.edit(&mut held, nothing, Some(entry(job, Usage::Write)));
                expected.push(job.fence().seqno());
            }
            let seqnos: Vec<u64> = held_keys(&object, &held).iter().map(|k| k.seqno).collect();
            assert_eq!(seqnos, expected, "staged, in their order");
        }
        // A reader may have the old array, or nobody.
        if last % 2 == 0 {
            drop(kept);
        }
        object.publish(&mut held);
        object.unreserve(&mut held);
        drop(held);
        let shown = visited_keys(&object, UsageSet::ALL);
        let seqnos: Vec<u64> = shown.iter().map(|key| key.seqno).collect();
        assert_eq!(seqnos, expected);
        for key in shown {
            let is_new = key.seqno > 6;
            assert_eq!(key.usage, if is_new { Usage::Write } else { Usage::Read });
        }
        commit(&object, |_| true, &[]);
        assert!(object.is_idle(UsageSet::ALL));
    }
}

fn b3_one_reservation_lasts_for_many_publishes<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let jobs: Vec<_> = (0..5).map(|_| issue(&line)).collect();
    let mut held = object.object_lock().lock();
    object.reserve(&mut held, room(5, 5)).expect("memory");
    for (at, job) in jobs.iter().enumerate() {
        object.edit(&mut held, nothing, Some(entry(job, Usage::Write)));
        object.publish(&mut held);
        assert_eq!(visited_keys(&object, UsageSet::ALL).len(), at + 1);
    }
}

fn b3_reserving_again_adds_to_what_is_staged<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let jobs: Vec<_> = (0..50).map(|_| issue(&line)).collect();
    let mut held = object.object_lock().lock();
    for job in &jobs {
        object.reserve(&mut held, room(1, 1)).expect("memory");
        object.edit(&mut held, nothing, Some(entry(job, Usage::Write)));
    }
    assert!(object.is_idle(UsageSet::ALL));
    // More room than before, while something is staged and spares are there.
    object.reserve(&mut held, room(3, 4)).expect("memory");
    object.publish(&mut held);
    for job in &jobs[..3] {
        object.edit(&mut held, nothing, Some(entry(job, Usage::Read)));
        object.publish(&mut held);
    }
    object.unreserve(&mut held);
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 53);
}

fn b3_a_smaller_reservation_takes_nothing_away<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let jobs: Vec<_> = (0..5).map(|_| issue(&line)).collect();
    let mut held = object.object_lock().lock();
    for (adds, publishes) in [(5, 5), (1, 1), (5, 5), (0, 0)] {
        object
            .reserve(&mut held, room(adds, publishes))
            .expect("memory");
    }
    for job in &jobs {
        object.edit(&mut held, nothing, Some(entry(job, Usage::Write)));
        object.publish(&mut held);
    }
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 5);
    let message = panic_message(|| object.edit(&mut held, nothing, None));
    assert_eq!(message, "no room is reserved for a publish");
}

fn b3_a_reservation_of_nothing_gives_no_room<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let job = issue(&Timeline::new("t"));
    for _ in 0..3 {
        commit(&object, |_| true, &[entry(&job, Usage::Write)]);
        let mut held = object.object_lock().lock();
        object.reserve(&mut held, room(0, 0)).expect("no memory");
        let message = panic_message(|| object.edit(&mut held, nothing, None));
        assert_eq!(message, "no room is reserved for a publish");
    }
}

/// Signalled fences make a reservation small; what it got is too small for the next.
fn b3_every_publish_has_room_for_all_that_may_be_there<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let mut held = object.object_lock().lock();
    let add_five = |held: &mut LockProof<'_>| {
        let jobs: Vec<_> = (0..5).map(|_| issue(&line)).collect();
        for job in &jobs {
            object.edit(held, nothing, Some(entry(job, Usage::Read)));
        }
        object.publish(held);
        jobs
    };
    object.reserve(&mut held, room(5, 2)).expect("memory");
    add_five(&mut held).into_iter().for_each(Signaler::signal);
    object.reserve(&mut held, room(1, 3)).expect("memory");
    object.reserve(&mut held, room(5, 3)).expect("memory");
    let jobs = add_five(&mut held);
    for _ in 0..2 {
        object.edit(&mut held, nothing, None);
        object.publish(&mut held);
        assert_eq!(visited_keys(&object, UsageSet::ALL).len(), jobs.len());
    }
}

fn what_is_staged_outlives_an_unreserve<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let job = issue(&Timeline::new("t"));
    let mut held = object.object_lock().lock();
    object.reserve(&mut held, room(2, 1)).expect("memory");
    object.edit(&mut held, nothing, Some(entry(&job, Usage::Write)));
    object.unreserve(&mut held);
    drop(held);
    let mut held = object.object_lock().lock();
    assert_eq!(held_keys(&object, &held).len(), 1);
    object.publish(&mut held);
    assert!(!object.is_idle(UsageSet::ALL));
}

fn b3_a_reservation_that_cannot_be_met_changes_nothing<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let (a, b) = (issue(&line), issue(&line));
    commit(&object, nothing, &[entry(&a, Usage::Write)]);
    let mut held = object.object_lock().lock();
    object.reserve(&mut held, room(1, 1)).expect("memory");
    for adds in [usize::MAX, isize::MAX as usize] {
        let error = object
            .reserve(&mut held, room(adds, 3))
            .expect_err("too much");
        assert_eq!(error.entries(), adds);
    }
    object.edit(&mut held, nothing, Some(entry(&b, Usage::Write)));
    object.publish(&mut held);
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 2);
}

fn panic_message(run: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).expect_err("a panic");
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .expect("a message")
}

fn editing_without_room_panics_and_changes_nothing<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let job = issue(&line);
    let mut held = object.object_lock().lock();
    let message = panic_message(|| object.edit(&mut held, nothing, None));
    assert_eq!(message, "no room is reserved for a publish");
    object.reserve(&mut held, room(1, 1)).expect("memory");
    object.edit(&mut held, nothing, Some(entry(&job, Usage::Write)));
    let message =
        panic_message(|| object.edit(&mut held, |_| true, Some(entry(&job, Usage::Read))));
    assert_eq!(message, "no room is reserved for this add");
    object.publish(&mut held);
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 1);
    let message = panic_message(|| object.edit(&mut held, nothing, None));
    assert_eq!(message, "no room is reserved for a publish");
    object.unreserve(&mut held);
}

fn b3_what_was_given_back_cannot_be_used<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let job = issue(&Timeline::new("t"));
    let mut held = object.object_lock().lock();
    for (adds, publishes) in [(1, 1), (3, 2)] {
        object
            .reserve(&mut held, room(adds, publishes))
            .expect("memory");
        object.unreserve(&mut held);
        let add = entry(&job, Usage::Write);
        let message = panic_message(|| object.edit(&mut held, nothing, Some(add)));
        assert_eq!(message, "no room is reserved for this add");
        let message = panic_message(|| object.edit(&mut held, nothing, None));
        assert_eq!(message, "no room is reserved for a publish");
    }
}

fn the_proof_of_another_lock_is_refused<R: Flavour>() {
    let (object, other) = (RcuArray::<R>::default(), RcuArray::<R>::default());
    let mut held = other.object_lock().lock();
    let refused = "the lock of another object is held";
    let message = panic_message(|| {
        let _ = object.reserve(&mut held, room(1, 1));
    });
    assert_eq!(message, refused);
    let message = panic_message(|| object.edit(&mut held, nothing, None));
    assert_eq!(message, refused);
    assert_eq!(panic_message(|| object.publish(&mut held)), refused);
    assert_eq!(panic_message(|| object.unreserve(&mut held)), refused);
    let message = panic_message(|| {
        held_keys(&object, &held);
    });
    assert_eq!(message, refused);
}

fn a_predicate_that_panics_loses_nothing<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let jobs: Vec<_> = (0..4).map(|_| issue(&line)).collect();
    let entries: Vec<_> = jobs.iter().map(|job| entry(job, Usage::Read)).collect();
    commit(&object, nothing, &entries);
    let mut held = object.object_lock().lock();
    object.reserve(&mut held, room(0, 1)).expect("memory");
    panic_message(|| {
        object.edit(
            &mut held,
            |key| {
                assert!(key.seqno < 3, "on purpose");
                true
            },
            None,
        );
    });
    assert_eq!(held_keys(&object, &held).len(), 4);
    object.publish(&mut held);
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 4);
}

fn b7_a_visit_that_blocks_holds_up_nobody<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let first = issue(&line);
    commit(&object, nothing, &[entry(&first, Usage::Write)]);
    let (entered, wait_entered) = mpsc::channel();
    let (leave, wait_leave) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let object = &object;
        // Goes with this closure, be it by a panic: the visitor does not wait for ever then.
        let leave = leave;
        let visit = scope.spawn(move || {
            object.visit(UsageSet::ALL, 0, |count, key| {
                assert_eq!(key.seqno, 1);
                entered.send(()).expect("the other side waits");
                wait_leave.recv().expect("the other side sends");
                count + 1
            })
        });
        wait_entered.recv().expect("the visitor sends");
        // Publishes, signals and frees go on while the visitor is in the middle of its visit ...
        let job = issue(&line);
        for _ in 0..500 {
            commit(object, |_| true, &[entry(&job, Usage::Write)]);
        }
        first.signal();
        // ... and what the visitor is shown is of one instant, once.
        leave.send(()).expect("the visitor waits");
        assert_eq!(visit.join().expect("no panic"), 1);
    });
}

/// An edit published at once is the two steps, whatever it removes and whatever is staged before it.
fn an_edit_published_at_once_is_the_two_steps<R: Flavour>() {
    for case in 0..32 {
        let (is_staged, adds, removed) = (case & 1 != 0, case & 2 != 0, case >> 2);
        let line = Timeline::new("t");
        let jobs: Vec<Signaler> = (0..5).map(|_| issue(&line)).collect();
        let entry = |at: usize| Entry {
            fence: jobs[at].fence().clone(),
            usage: Usage::ALL[at % 4],
        };
        let [both, each] = [true, false].map(|both| {
            let object = RcuArray::<R>::default();
            let mut held = object.object_lock().lock();
            let room = Budget {
                adds: 5,
                publishes: 2,
            };
            object.reserve(&mut held, room).expect("memory");
            for at in 0..3 {
                object.edit(&mut held, |_| false, Some(entry(at)));
            }
            object.publish(&mut held);
            if is_staged {
                object.edit(&mut held, |_| false, Some(entry(3)));
            }
            let removes = |key: Key| removed >> (key.seqno - 1) & 1 != 0;
            let add = adds.then(|| entry(4));
            if both {
                object.edit_and_publish(&mut held, removes, add);
            } else {
                object.edit(&mut held, removes, add);
                object.publish(&mut held);
            }
            object.unreserve(&mut held);
            drop(held);
            let mut keys = object.visit(UsageSet::ALL, Vec::new(), |mut keys, key| {
                keys.push(key);
                keys
            });
            keys.sort_unstable();
            let idle: Vec<bool> = Usage::ALL
                .iter()
                .map(|&usage| object.is_idle(UsageSet::of(&[usage])))
                .collect();
            (keys, idle)
        });
        assert_eq!(both, each, "case {case}");
        let stay = (0..3).filter(|at| removed >> at & 1 == 0).count();
        assert_eq!(
            both.0.len(),
            stay + usize::from(is_staged) + usize::from(adds)
        );
    }
}

/// What is reserved is in proportion to what is asked for, and all of it can be used.
fn b3_a_large_reservation_is_used_in_full<F: Flavour>() {
    let object = RcuArray::<F>::default();
    let line = Timeline::new("t");
    let jobs: Vec<_> = (0..2_000).map(|_| issue(&line)).collect();
    let mut held = object.object_lock().lock();
    object
        .reserve(&mut held, room(2_000, 2_000))
        .expect("memory");
    for job in &jobs {
        let add = entry(job, Usage::Read);
        object.edit_and_publish(&mut held, |_| true, Some(add));
    }
    let message = panic_message(|| object.edit(&mut held, nothing, None));
    assert_eq!(message, "no room is reserved for a publish");
    object.unreserve(&mut held);
    drop(held);
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 1);
}

/// Publishes that only remove take room, too.
fn b3_publishes_without_an_add_have_their_room<F: Flavour>() {
    let line = Timeline::new("t");
    for (adds, publishes) in [(0, 100), (1, 100), (50, 100), (100, 100)] {
        for all_at_last in [false, true] {
            let object = RcuArray::<F>::default();
            let jobs: Vec<_> = (0..adds).map(|_| issue(&line)).collect();
            let mut held = object.object_lock().lock();
            object
                .reserve(&mut held, room(adds, publishes))
                .expect("memory");
            let mut rest = jobs.iter();
            for left in (0..publishes).rev() {
                object.edit(&mut held, |key| key.seqno % 3 == 0, None);
                let count = match (left, all_at_last) {
                    (0, _) => adds,
                    (_, true) => 0,
                    (_, false) => 1,
                };
                for job in rest.by_ref().take(count) {
                    object.edit(&mut held, nothing, Some(entry(job, Usage::Write)));
                }
                object.publish(&mut held);
            }
            assert_eq!(rest.len(), 0);
        }
    }
}

/// A snapshot sees its set, whatever is published after it, in the same cell and in others.
fn b6_snapshots_of_every_length_stay_as_they_were<F: Flavour>() {
    let object = RcuArray::<F>::default();
    let line = Timeline::new("t");
    let (mut jobs, mut kept) = (Vec::new(), Vec::new());
    for round in 0..400 {
        let job = issue(&line);
        let goes = |key: Key| key.seqno + 40 < round || (key.seqno * 7 + round).is_multiple_of(11);
        commit(&object, goes, &[entry(&job, Usage::Read)]);
        jobs.push(job);
        let snapshot = object.snapshot().expect("memory");
        let shown = keys(&snapshot);
        assert_eq!(shown, visited_keys(&object, UsageSet::ALL));
        kept.push((snapshot, shown));
    }
    drop(object);
    for (snapshot, shown) in kept {
        assert_eq!(keys(&snapshot), shown);
    }
}

macro_rules! on_each_flavour {
    ($($test:ident)*) => {
        mod stable {
            $(#[test] fn $test() { super::$test::<crate::Stable>(); })*
        }
        #[cfg(feature = "arc-swap")]
        mod arc_swap {
            $(#[test] fn $test() { super::$test::<crate::ArcSwapped>(); })*
        }
    };
}

on_each_flavour! {
    an_empty_object_is_idle_and_has_nothing_to_show
    b4_edits_are_seen_by_the_holder_at_once_and_by_readers_when_published
    b6_a_snapshot_never_changes_and_keeps_its_fences
    b9_only_what_the_predicate_names_leaves
    signalled_fences_are_not_shown_and_leave_with_the_next_edit
    b4_edits_of_one_transaction_add_up
    the_proof_of_another_lock_is_refused
    b3_one_reservation_lasts_for_many_publishes
    b3_reserving_again_adds_to_what_is_staged
    b3_a_smaller_reservation_takes_nothing_away
    b3_a_reservation_of_nothing_gives_no_room
    b3_every_publish_has_room_for_all_that_may_be_there
    what_is_staged_outlives_an_unreserve
    b3_a_reservation_that_cannot_be_met_changes_nothing
    editing_without_room_panics_and_changes_nothing
    b3_what_was_given_back_cannot_be_used
    a_predicate_that_panics_loses_nothing
    an_edit_published_at_once_is_the_two_steps
    b7_a_visit_that_blocks_holds_up_nobody
    b3_a_large_reservation_is_used_in_full
    b3_publishes_without_an_add_have_their_room
    b6_snapshots_of_every_length_stay_as_they_were
}
