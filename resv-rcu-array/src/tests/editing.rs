//! What the holder of the lock does, and when it is seen: B4, B9.

use super::{commit, entry, held_keys, issue, nothing, panic_message, room, visited_keys};
use crate::{Flavour, RcuArray};
use resv_core::{
    Backend, Budget, Entry, EntrySet, FenceError, Key, Signaler, Timeline, Usage, UsageSet,
};

pub(super) fn b4_edits_are_seen_by_the_holder_at_once_and_by_readers_when_published<R: Flavour>() {
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

pub(super) fn b9_only_what_the_predicate_names_leaves<R: Flavour>() {
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

pub(super) fn signalled_fences_are_not_shown_and_leave_with_the_next_edit<R: Flavour>() {
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
pub(super) fn b4_edits_of_one_transaction_add_up<R: Flavour>() {
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

pub(super) fn the_proof_of_another_lock_is_refused<R: Flavour>() {
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

pub(super) fn a_predicate_that_panics_loses_nothing<R: Flavour>() {
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

/// An edit published at once is the two steps, whatever it removes and whatever is staged before it.
pub(super) fn an_edit_published_at_once_is_the_two_steps<R: Flavour>() {
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

/// Each add in two steps takes the place of the one before: while a snapshot is held, so that what is dead
/// cannot be given up, and after an add that is staged; whether the first step has to look or not.
pub(super) fn b4_two_steps_beside_what_is_dead_or_staged<F: Flavour>() {
    for case in 0..8 {
        let (keeps, stages) = (case & 1 != 0, case & 2 != 0);
        let asked = if case & 4 != 0 {
            UsageSet::ALL
        } else {
            UsageSet::of(&[Usage::Write])
        };
        let object = RcuArray::<F>::default();
        let (line, other) = (Timeline::new("t"), Timeline::new("other"));
        let mut snapshots = Vec::new();
        let mut jobs: Vec<Signaler> = Vec::new();
        for round in 0..20 {
            let new = issue(&line);
            let mut held = object.object_lock().lock();
            if stages {
                object.reserve(&mut held, room(2, 2)).expect("memory");
                let staged = issue(&other);
                object.edit(&mut held, nothing, Some(entry(&staged, Usage::Read)));
                jobs.push(staged);
            }
            let is_older = |key: Key| key.timeline == line.id();
            let plan = object
                .prepare(&mut held, asked, |_, _| Ok(()), is_older)
                .expect("memory");
            object.commit(&mut held, plan, is_older, entry(&new, Usage::Read));
            drop(held);
            jobs.push(new);
            let shown = visited_keys(&object, UsageSet::ALL);
            let (own, others): (Vec<Key>, Vec<Key>) =
                shown.into_iter().partition(|key| is_older(*key));
            assert_eq!(own.len(), 1, "case {case}, round {round}");
            assert_eq!(own[0].seqno, round + 1);
            assert_eq!(others.len() as u64, if stages { round + 1 } else { 0 });
            if keeps {
                snapshots.push(object.snapshot().expect("memory"));
            }
        }
    }
}

/// How entries go in [`b4_two_steps_leave_what_stays`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Going {
    Named,
    Signalled,
    Failed,
}

/// All that a short look has a place for goes, and one fence has failed: what comes is there. The suite found that it
/// was not, where the failure counted as a place.
pub(super) fn b4_what_comes_stays_where_all_goes<F: Flavour>() {
    for (count, is_asked) in [1, 15, 16, 17]
        .map(|count| [(count, false), (count, true)])
        .as_flattened()
    {
        for in_two_steps in [false, true] {
            let object = RcuArray::<F>::default();
            let (line, other) = (Timeline::new("t"), Timeline::new("other"));
            let jobs: Vec<Signaler> = (0..*count).map(|_| issue(&line)).collect();
            let all: Vec<Entry> = jobs.iter().map(|job| entry(job, Usage::Read)).collect();
            commit(&object, nothing, &all);
            drop(all);
            for (at, job) in jobs.into_iter().enumerate() {
                match at {
                    0 => job.signal_error(FenceError::IO),
                    _ => job.signal(),
                }
            }
            let new = issue(&other);
            let mut held = object.object_lock().lock();
            if in_two_steps {
                let asked = if *is_asked {
                    UsageSet::ALL
                } else {
                    UsageSet::EMPTY
                };
                let plan = object.prepare(&mut held, asked, |_, _| Ok(()), nothing);
                drop(object.commit(
                    &mut held,
                    plan.expect("memory"),
                    nothing,
                    entry(&new, Usage::Read),
                ));
            } else {
                object.reserve(&mut held, room(1, 1)).expect("memory");
                object.edit_and_publish(&mut held, nothing, Some(entry(&new, Usage::Read)));
                object.unreserve(&mut held);
            }
            assert_eq!(
                held_keys(&object, &held).len(),
                1,
                "{count} {is_asked} {in_two_steps}"
            );
            drop(held);
            assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 1);
            assert!(!object.is_idle(UsageSet::ALL));
        }
    }
}

/// Whatever goes in an add in two steps, and however: what stays is there with its usages, and no other usage is busy.
/// With a look in the first step and in the second, a short one and a long one.
pub(super) fn b4_two_steps_leave_what_stays<F: Flavour>() {
    let ways = [Going::Named, Going::Signalled, Going::Failed];
    for (way, asked) in ways.map(|way| [(way, false), (way, true)]).as_flattened() {
        for (before, count) in [(0, 1), (0, 2), (0, 5), (1, 5), (14, 5), (60, 5)] {
            for (goes, usage) in
                (0..1 << count).flat_map(|goes| Usage::ALL.map(|usage| (goes, usage)))
            {
                two_steps_leave_what_stays::<F>((*way, *asked), (before, count), (goes, usage));
            }
        }
    }
}

fn two_steps_leave_what_stays<F: Flavour>(
    (way, is_asked): (Going, bool),
    (before, count): (usize, usize),
    (going, new_usage): (u64, Usage),
) {
    let object = RcuArray::<F>::default();
    let (line, other) = (Timeline::new("t"), Timeline::new("other"));
    let others: Vec<Signaler> = (0..before).map(|_| issue(&other)).collect();
    let jobs: Vec<Signaler> = (0..count).map(|_| issue(&line)).collect();
    let usage_of = |at: usize| Usage::ALL[at * 3 % 4];
    let mut all: Vec<Entry> = others
        .iter()
        .map(|job| entry(job, Usage::Bookkeep))
        .collect();
    all.extend(
        jobs.iter()
            .enumerate()
            .map(|(at, job)| entry(job, usage_of(at))),
    );
    commit(&object, nothing, &all);
    drop(all);

    let goes = |at: usize| going >> at & 1 != 0;
    let mut stay = Vec::new();
    for (at, job) in jobs.into_iter().enumerate() {
        match way {
            Going::Signalled if goes(at) => job.signal(),
            Going::Failed if goes(at) => job.signal_error(FenceError::IO),
            _ => stay.push(job),
        }
    }
    let named =
        |key: Key| way == Going::Named && key.timeline == line.id() && goes(key.seqno as usize - 1);
    let asked = if is_asked {
        UsageSet::ALL
    } else {
        UsageSet::EMPTY
    };
    let new = issue(&other);
    let mut held = object.object_lock().lock();
    let plan = object.prepare(&mut held, asked, |_, _| Ok(()), named);
    drop(object.commit(
        &mut held,
        plan.expect("memory"),
        named,
        entry(&new, new_usage),
    ));
    let has_failed = object.failure(&held, UsageSet::ALL).is_some();
    drop(held);

    let case = format!("{way:?} {is_asked} {before} {count} {going:b} {new_usage:?}");
    assert_eq!(has_failed, way == Going::Failed && going != 0, "{case}");
    for usage in Usage::ALL {
        let only = UsageSet::of(&[usage]);
        let of_line = (0..count).filter(|&at| !goes(at) && usage_of(at) == usage);
        let expected = of_line.count()
            + before * usize::from(usage == Usage::Bookkeep)
            + usize::from(usage == new_usage);
        assert_eq!(visited_keys(&object, only).len(), expected, "{case}");
        assert_eq!(object.is_idle(only), expected == 0, "{case}");
    }
}
