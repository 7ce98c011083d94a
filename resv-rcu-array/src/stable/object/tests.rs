//! Readers that are overtaken, step by step and by one thread; what is marked and noted for the next
//! reader. That the answers are right under races is the business of `tests/`.

use super::*;
use crate::raw::stable::{Role, Sound};
use resv_core::{Signaler, Timeline, Usage};

type Object = StableObject<Sound>;

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("seqnos are left")
}

/// Replaces everything in the object.
fn set(object: &Object, entries: &[(&Signaler, Usage)]) {
    let mut held = object.object_lock().lock();
    let room = Budget {
        adds: entries.len(),
        publishes: 1,
    };
    object.reserve(&mut held, room).expect("memory");
    object.edit(&mut held, |_| true, None);
    for &(job, usage) in entries {
        let fence = job.fence().clone();
        object.edit(&mut held, |_| false, Some(Entry { fence, usage }));
    }
    object.publish(&mut held);
    object.unreserve(&mut held);
}

fn set_all(object: &Object, jobs: &[Signaler]) {
    let entries: Vec<_> = jobs.iter().map(|job| (job, Usage::Write)).collect();
    set(object, &entries);
}

/// Calls `set` until the array of `object` is in `cell`, where it is not now.
fn comes_round(object: &Object, cell: ArrayCell, set: impl Fn()) {
    for _ in 0..1000 {
        set();
        if object.raw.head().cell() == Some(cell) {
            return;
        }
    }
    panic!("the cell does not come round");
}

fn cell(object: &Object) -> ArrayCell {
    object.raw.head().cell().expect("something is published")
}

#[test]
fn b1_a_read_that_nobody_disturbed_counts() {
    let (object, line) = (Object::default(), Timeline::new("t"));
    let job = issue(&line);
    set(&object, &[(&job, Usage::Write)]);
    let cell = cell(&object);
    assert_eq!(object.look_twice(cell, |_| cell.len()), Some(1));
    // Marks are no change of the array.
    let marked = UsageSet::of(&[Usage::Write]);
    let mark = |_| object.raw.mark::<Sound>(object.raw.head(), marked);
    assert_eq!(object.look_twice(cell, mark), Some(()));
    assert!(object.raw.head().marks(UsageSet::ALL));
}

/// Somebody keeps the array, so its life goes on: only the pointer tells.
#[test]
fn h_25_an_array_that_lives_but_was_replaced_does_not_count() {
    let (object, line) = (Object::default(), Timeline::new("t"));
    let (a, b) = (issue(&line), issue(&line));
    set(&object, &[(&a, Usage::Write)]);
    let _kept = object.snapshot().expect("no memory needed");
    let cell = cell(&object);
    let replace = |_| set(&object, &[(&b, Usage::Write)]);
    assert_eq!(object.look_twice(cell, replace), None);
    assert!(cell.note().is_some(), "it lives");
}

/// The pointer leads to the same cell again: only the life tells.
#[test]
fn h_09_an_array_whose_cell_came_round_does_not_count() {
    let (object, line) = (Object::default(), Timeline::new("t"));
    let (a, b) = (issue(&line), issue(&line));
    set(&object, &[(&a, Usage::Write)]);
    let cell = cell(&object);
    let came_round = object.look_twice(cell, |_| {
        comes_round(&object, cell, || set(&object, &[(&b, Usage::Write)]));
    });
    assert_eq!(came_round, None);
}

#[test]
fn b6_of_an_array_that_is_over_no_reference_can_be_had() {
    let (object, line) = (Object::default(), Timeline::new("t"));
    let job = issue(&line);
    // A size that no other test of this process uses, so that nobody else gets the cell.
    let entries = vec![(&job, Usage::Read); 1234];
    set(&object, &entries);
    let cell = cell(&object);
    assert!(ArrayRef::acquire(cell).is_some());
    set(&object, &[]);
    for _ in 0..2 {
        assert!(ArrayRef::acquire(cell).is_none());
        assert!(cell.note().is_none());
    }
    comes_round(&object, cell, || {
        set(&object, &[]);
        set(&object, &entries);
    });
    assert_eq!(ArrayRef::acquire(cell).map(|array| array.len()), Some(1234));
}

#[test]
fn b2_marks_are_set_by_who_publishes_and_by_who_looked() {
    let (object, line) = (Object::default(), Timeline::new("t"));
    let marked = |usage| object.raw.head().marks(UsageSet::of(&[usage]));
    let (read, write) = (issue(&line), issue(&line));
    set(&object, &[(&read, Usage::Read), (&write, Usage::Write)]);
    for usage in Usage::ALL {
        let is_there = [Usage::Read, Usage::Write].contains(&usage);
        assert_eq!(marked(usage), !is_there, "by the publisher");
    }
    read.signal();
    assert!(!marked(Usage::Read), "nobody has looked");
    assert!(object.is_idle(UsageSet::of(&[Usage::Read])));
    assert!(marked(Usage::Read) && !marked(Usage::Write));
    assert!(!object.is_idle(UsageSet::ALL));
    assert!(!marked(Usage::Write));
    write.signal();
    assert!(object.is_idle(UsageSet::ALL));
    assert!(object.raw.head().marks(UsageSet::ALL));
    assert!(object.acquire().is_none(), "a snapshot of it is empty");
}

/// The scan of a reader that owns nothing, in all orders of asked and not asked, pending and not.
#[test]
fn b2_a_scan_finds_what_is_pending_and_asked_for() {
    let line = Timeline::new("t");
    let asked = UsageSet::of(&[Usage::Write]);
    for pattern in 0..4_usize.pow(4) {
        let object = Object::default();
        let jobs: Vec<Signaler> = (0..4).map(|_| issue(&line)).collect();
        let kind = |at: usize| pattern / 4_usize.pow(at as u32) % 4;
        let usage = |at| [Usage::Write, Usage::Read][kind(at) / 2];
        let is_over = |at| kind(at) % 2 == 1;
        let entries: Vec<_> = jobs.iter().zip((0..4).map(usage)).collect();
        set(&object, &entries);
        let mut pending = Vec::new();
        for (at, job) in jobs.into_iter().enumerate() {
            if is_over(at) {
                job.signal();
            } else {
                pending.push(job);
            }
        }
        let cell = cell(&object);
        let expected = |at| usage(at) == Usage::Write && !is_over(at);
        for at in 0..4 {
            assert_eq!(
                cell.is_pending_at(at, asked),
                expected(at),
                "{pattern} {at}"
            );
        }
        assert!(!cell.is_pending_at(4, asked));
        let life = cell.note().expect("it lives");
        assert_eq!(
            is_pending(cell, life, asked),
            (0..4).any(expected),
            "{pattern}"
        );
        assert_eq!(object.is_idle(asked), !(0..4).any(expected), "{pattern}");
    }
}

#[test]
fn who_finds_signalled_fences_notes_how_many_for_this_life_only() {
    let (object, line) = (Object::default(), Timeline::new("t"));
    let mut jobs: Vec<Signaler> = (0..300).map(|_| issue(&line)).collect();
    set_all(&object, &jobs);
    let noted = || {
        let cell = cell(&object);
        cell.signaled_prefix(cell.note().expect("it lives")).0
    };
    let first = cell(&object);
    assert!(!object.is_idle(UsageSet::ALL));
    assert_eq!(noted(), 0);
    let mut signalled = 0;
    for more in [1, 7, 30] {
        jobs.drain(..more).for_each(Signaler::signal);
        signalled += more;
        assert!(!object.is_idle(UsageSet::ALL));
        assert_eq!(noted(), signalled);
        assert!(!object.is_idle(UsageSet::ALL));
        assert_eq!(noted(), signalled);
    }
    // Another array of the same cell: nothing is known of it.
    let jobs: Vec<Signaler> = (0..300).map(|_| issue(&line)).collect();
    comes_round(&object, first, || {
        set(&object, &[]);
        set_all(&object, &jobs);
        assert_eq!(noted(), 0);
        assert!(!object.is_idle(UsageSet::ALL));
    });
}

/// What is left of an array that nobody else has is what the next reservation takes.
#[test]
fn the_memory_of_the_array_before_is_kept_for_the_next() {
    let (object, line) = (Object::default(), Timeline::new("t"));
    let (a, b) = (issue(&line), issue(&line));
    let cached = || {
        let held = object.object_lock().lock();
        let spares = object.raw.spares(&held);
        let count = spares.count(|role, _| role == Role::Cached);
        assert_eq!(spares.count(|_, _| true), count, "all else is given back");
        count
    };
    set(&object, &[(&a, Usage::Write)]);
    assert_eq!(cached(), 0, "there was no array before");
    set(&object, &[(&b, Usage::Write)]);
    assert_eq!(cached(), 1);
    let snapshot = object.snapshot().expect("no memory needed");
    set(&object, &[(&a, Usage::Write)]);
    assert_eq!(cached(), 0, "a reader has it");
    drop(snapshot);
    // Of many that were reserved, one is kept.
    let mut held = object.object_lock().lock();
    let room = Budget {
        adds: 1,
        publishes: 5,
    };
    object.reserve(&mut held, room).expect("memory");
    object.unreserve(&mut held);
    drop(held);
    assert_eq!(cached(), 1);
}

/// What is staged has its array, which stays where it is while there is room in it.
#[test]
fn b3_a_reservation_gets_what_is_missing_and_no_more() {
    let (object, line) = (Object::default(), Timeline::new("t"));
    let job = issue(&line);
    let mut held = object.object_lock().lock();
    let reserve = |held: &mut LockProof<'_>, adds, publishes| {
        object
            .reserve(held, Budget { adds, publishes })
            .expect("memory");
        let spares = object.raw.spares(held);
        let staged = spares
            .staged()
            .map(|staged| (staged.as_ptr(), staged.len()));
        (staged, spares.count(|role, _| role == Role::Reserved))
    };
    assert_eq!(reserve(&mut held, 1, 1), (None, 1));
    let (fence, usage) = (job.fence().clone(), Usage::Write);
    object.edit(&mut held, |_| false, Some(Entry { fence, usage }));
    let (first, reserved) = reserve(&mut held, 0, 1);
    assert_eq!((first.map(|(_, len)| len), reserved), (Some(1), 0));
    let has = object
        .raw
        .spares(&held)
        .staged()
        .map_or(0, |staged| staged.capacity());
    assert_eq!(reserve(&mut held, has - 1, 1), (first, 0));
    assert_eq!(reserve(&mut held, has - 1, 5), (first, 4));
    assert_eq!(reserve(&mut held, has - 1, 2), (first, 4));
    let (moved, reserved) = reserve(&mut held, has, 5);
    assert_ne!(moved, first, "there is no room for so many");
    assert_eq!((moved.map(|(_, len)| len), reserved), (Some(1), 4));
}

/// The pointer is what the reader saw, marks included, but the array is a newer one in the same cell.
#[test]
fn h_09_an_array_that_nobody_looked_at_is_not_marked() {
    let (object, line) = (Object::default(), Timeline::new("t"));
    let (a, b) = (issue(&line), issue(&line));
    set(&object, &[(&a, Usage::Write)]);
    let seen = object.raw.head();
    a.signal();
    comes_round(&object, cell(&object), || {
        set(&object, &[(&b, Usage::Write)]);
    });
    assert!(object.raw.head() == seen);
    object.mark(seen, UsageSet::ALL);
    assert!(object.raw.head() == seen, "a fence is pending");
    assert!(!object.is_idle(UsageSet::ALL));
}

/// The reader that is about to count a reference finds the array of another object in the cell.
#[test]
fn b6_a_reference_to_what_was_published_before_is_given_back() {
    let (object, other) = (Object::default(), Object::default());
    let line = Timeline::new("t");
    let (a, b) = (issue(&line), issue(&line));
    // A size that no other test of this process uses, so that nobody else gets the cell.
    let entries = vec![(&a, Usage::Read); 2500];
    set(&object, &entries);
    let first = cell(&object);
    assert!(
        object
            .acquire_at(first)
            .is_some_and(|(_, head)| head == object.raw.head())
    );
    let kept = object.snapshot().expect("no memory needed");
    set(&object, &[(&b, Usage::Write)]);
    assert!(
        object.acquire_at(first).is_none(),
        "a snapshot has it, nobody else"
    );
    drop(kept);
    comes_round(&other, first, || {
        set(&other, &[]);
        set(&other, &entries);
    });
    assert!(
        object.acquire_at(first).is_none(),
        "it is of another object"
    );
    assert!(other.acquire_at(first).is_some());
    set(&other, &[]);
    assert!(first.note().is_none(), "no reference is left");
}
