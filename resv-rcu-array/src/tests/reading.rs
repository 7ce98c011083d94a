//! What readers are told: B2, B6, B7.

use super::{commit, entry, issue, keys, nothing, visited_keys};
use crate::{Flavour, RcuArray};
use resv_core::{Backend, EntrySet, Key, Timeline, Usage, UsageSet};
use std::sync::mpsc;

pub(super) fn an_empty_object_is_idle_and_has_nothing_to_show<R: Flavour>() {
    let object = RcuArray::<R>::default();
    assert!(object.is_idle(UsageSet::ALL));
    assert!(visited_keys(&object, UsageSet::ALL).is_empty());
    assert!(object.snapshot().expect("no memory needed").is_empty());
    // An edit that changes nothing publishes nothing that anybody could see.
    commit(&object, |_| true, &[]);
    assert!(object.is_idle(UsageSet::ALL));
}

pub(super) fn b6_a_snapshot_never_changes_and_keeps_its_fences<R: Flavour>() {
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

pub(super) fn b7_a_visit_that_blocks_holds_up_nobody<R: Flavour>() {
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

/// A snapshot sees its set, whatever is published after it, in the same cell and in others.
pub(super) fn b6_snapshots_of_every_length_stay_as_they_were<F: Flavour>() {
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
