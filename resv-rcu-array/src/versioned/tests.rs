//! What only the default flavour promises; readers that are overtaken, step by step and by one thread. That
//! the answers are right under races is the business of `stress.rs`, `models.rs` and `tests/`.

use super::*;
use resv_core::fence::cell::FenceCell;
use resv_core::{Fence, Signaler, Timeline, Usage};
use std::sync::{Mutex, PoisonError};

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("seqnos are left")
}

/// Replaces everything in the object, with one publish.
fn set(object: &Versioned, entries: &[(&Signaler, Usage)]) {
    let mut held = object.object_lock().lock();
    let budget = Budget {
        adds: entries.len(),
        publishes: 1,
    };
    object.reserve(&mut held, budget).expect("memory");
    object.edit(&mut held, |_| true, None);
    for &(job, usage) in entries {
        let fence = job.fence().clone();
        object.edit(&mut held, |_| false, Some(Entry { fence, usage }));
    }
    object.publish(&mut held);
    object.unreserve(&mut held);
}

fn set_all(object: &Versioned, jobs: &[Signaler]) {
    let entries: Vec<_> = jobs.iter().map(|job| (job, Usage::Write)).collect();
    set(object, &entries);
}

/// How many slots the object's cell has.
fn slots(object: &Versioned) -> usize {
    let published = object.raw.published(object.raw.head());
    published.map_or(0, |seen| seen.cell().capacity())
}

fn is_alive(cell: &'static FenceCell) -> bool {
    Fence::try_acquire(cell).is_some()
}

/// Superseded fences go with the publish that removes them if nobody has a snapshot of the cell, and
/// otherwise there are at most as many as the cell has slots, however often they are superseded.
#[test]
fn b8_a_snapshot_keeps_no_more_than_its_cell_holds() {
    let (object, line) = (Versioned::default(), Timeline::new("t"));
    let next = |last: &mut Signaler| {
        let job = issue(&line);
        set(&object, &[(&job, Usage::Write)]);
        std::mem::replace(last, job).fence().cell()
    };
    let mut last = issue(&line);
    // A fence that is given up becomes the next one: so all are in few places.
    let mut places: Vec<_> = (0..100)
        .map(|_| std::ptr::from_ref(next(&mut last)))
        .collect();
    places.sort_unstable();
    places.dedup();
    assert!(places.len() <= 3, "{}", places.len());

    let snapshot = object.snapshot().expect("no memory needed");
    let most = slots(&object);
    let old: Vec<_> = (0..1000).map(|_| next(&mut last)).collect();
    drop(last);
    let mut kept: Vec<_> = old.into_iter().filter(|&cell| is_alive(cell)).collect();
    kept.sort_unstable_by_key(|&cell| std::ptr::from_ref(cell));
    kept.dedup_by_key(|&mut cell| std::ptr::from_ref(cell));
    assert!(
        (1..=most + 1).contains(&kept.len()),
        "{} of {most}",
        kept.len()
    );
    drop(snapshot);
    let alive = kept.into_iter().filter(|&cell| is_alive(cell)).count();
    assert!(alive <= 1, "{alive}");
}

#[test]
fn b8_an_idle_object_keeps_a_small_cell() {
    let (object, line) = (Versioned::default(), Timeline::new("t"));
    let jobs: Vec<_> = (0..3_000).map(|_| issue(&line)).collect();
    set_all(&object, &jobs);
    assert!(slots(&object) >= 3_000);
    // All have signalled: the next holder of the lock gives the memory back.
    jobs.into_iter().for_each(Signaler::signal);
    let job = issue(&line);
    set(&object, &[(&job, Usage::Read)]);
    assert!(slots(&object) <= 24, "{}", slots(&object));
    // A large reservation that was not used is given back, too, with what was used of it in place.
    let mut held = object.object_lock().lock();
    let budget = Budget {
        adds: 16_000,
        publishes: 16_000,
    };
    object.reserve(&mut held, budget).expect("memory");
    let more = issue(&line);
    let (fence, usage) = (more.fence().clone(), Usage::Read);
    object.edit_and_publish(&mut held, |_| false, Some(Entry { fence, usage }));
    assert!(slots(&object) >= 16_000);
    object.unreserve(&mut held);
    drop(held);
    assert!(slots(&object) <= 24, "{}", slots(&object));
    assert_eq!(object.snapshot().expect("no memory needed").len(), 2);
    // Nothing that is reserved and not used is kept, and an object that is emptied keeps no large cell.
    let jobs: Vec<_> = (0..3_000).map(|_| issue(&line)).collect();
    set_all(&object, &jobs);
    set(&object, &[]);
    assert!(slots(&object) <= 24, "{}", slots(&object));
}

/// `n` adds that are published one by one take `n` slots of eight bytes, and no array each.
#[test]
fn b3_a_large_reservation_takes_one_piece_of_memory() {
    for adds in [100, 1_000, 16_000, 100_000] {
        let object = Versioned::default();
        let job = issue(&Timeline::new("t"));
        let mut held = object.object_lock().lock();
        let budget = Budget {
            adds,
            publishes: adds,
        };
        object.reserve(&mut held, budget).expect("memory");
        let (fence, usage) = (job.fence().clone(), Usage::Read);
        object.edit_and_publish(&mut held, |_| false, Some(Entry { fence, usage }));
        assert!((2 * adds - 1..=4 * adds + 24).contains(&slots(&object)));
    }
    let object = Versioned::default();
    let mut held = object.object_lock().lock();
    let budget = Budget {
        adds: 1 << 20,
        publishes: 1,
    };
    object
        .reserve(&mut held, budget)
        .expect_err("too many for a head");
}

/// Adding one at a time moves to ever larger cells: so few words are copied, whatever the object grows to.
#[test]
fn growing_copies_each_entry_a_bounded_number_of_times() {
    let (object, line) = (Versioned::default(), Timeline::new("t"));
    let (mut copies, mut last) = (0, 0);
    let jobs: Vec<_> = (0..3_000).map(|_| issue(&line)).collect();
    for (at, job) in jobs.iter().enumerate() {
        let mut held = object.object_lock().lock();
        let budget = Budget {
            adds: 1,
            publishes: 1,
        };
        object.reserve(&mut held, budget).expect("memory");
        let (fence, usage) = (job.fence().clone(), Usage::Read);
        object.edit_and_publish(&mut held, |_| false, Some(Entry { fence, usage }));
        object.unreserve(&mut held);
        if slots(&object) != last {
            last = slots(&object);
            copies += at;
        }
    }
    assert!(copies < jobs.len(), "{copies}");
}

#[test]
fn idle_bits_are_set_by_publishers_and_by_readers() {
    let (object, line) = (Versioned::default(), Timeline::new("t"));
    let says = |usage| object.raw.head().says_idle(UsageSet::of(&[usage]));
    let (read, write) = (issue(&line), issue(&line));
    set(&object, &[(&read, Usage::Read), (&write, Usage::Write)]);
    for usage in Usage::ALL {
        let is_there = [Usage::Read, Usage::Write].contains(&usage);
        assert_eq!(says(usage), !is_there, "by the publisher");
    }
    read.signal();
    assert!(!says(Usage::Read), "nobody has looked");
    assert!(object.is_idle(UsageSet::of(&[Usage::Read])));
    assert!(says(Usage::Read) && !says(Usage::Write));
    assert!(!object.is_idle(UsageSet::ALL));
    assert!(!says(Usage::Write));
    write.signal();
    assert!(object.is_idle(UsageSet::ALL));
    assert!(object.raw.head().says_idle(UsageSet::ALL));
    assert!(object.acquire().is_none(), "a snapshot of it is empty");
}

/// The tests of a reader that owns nothing, in all orders of asked and not asked, pending and not.
#[test]
fn b2_a_test_finds_what_is_pending_and_asked_for() {
    let line = Timeline::new("t");
    let asked = UsageSet::of(&[Usage::Write]);
    for pattern in 0..4_usize.pow(4) {
        let object = Versioned::default();
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
        let expected = |at| usage(at) == Usage::Write && !is_over(at);
        // Wherever the last test has found something.
        for look in 0..5 {
            if let Some(seen) = object.raw.published(object.raw.head()) {
                seen.cell().set_look(look);
            }
            assert_eq!(object.is_idle(asked), !(0..4).any(expected), "{pattern}");
        }
    }
}

/// What is staged is in the cell already, behind the published length, and a hint may lead there.
#[test]
fn b4_a_test_that_looks_at_what_is_staged_does_not_see_it() {
    let (object, line) = (Versioned::default(), Timeline::new("t"));
    let (a, b) = (issue(&line), issue(&line));
    set(&object, &[(&a, Usage::Write)]);
    a.signal();
    let mut held = object.object_lock().lock();
    let budget = Budget {
        adds: 1,
        publishes: 1,
    };
    object.reserve(&mut held, budget).expect("memory");
    let (fence, usage) = (b.fence().clone(), Usage::Read);
    object.edit(&mut held, |_| false, Some(Entry { fence, usage }));
    let seen = object.raw.published(object.raw.head());
    let seen = seen.expect("there is one");
    for look in 0..4 {
        seen.cell().set_look(look);
        assert!(object.is_idle(UsageSet::of(&[Usage::Read])));
        assert!(object.is_idle_by_looking(object.raw.head(), UsageSet::of(&[Usage::Read])));
    }
    object.publish(&mut held);
    assert!(!object.is_idle(UsageSet::ALL));
}

/// A snapshot keeps the cell, so its life goes on: only the head tells.
#[test]
fn h_25_a_publication_that_is_over_does_not_count() {
    let (object, line) = (Versioned::default(), Timeline::new("t"));
    let (a, b) = (issue(&line), issue(&line));
    set(&object, &[(&a, Usage::Write)]);
    let head = object.raw.head();
    let seen = object.raw.published(head).expect("there is one");
    let life = seen.cell().note().expect("it is published");
    assert!(object.second_look(seen, life));
    object.raw.set_idle(head, UsageSet::of(&[Usage::Write]));
    assert!(object.second_look(seen, life), "idle bits change nothing");
    let _kept = object.snapshot().expect("no memory needed");
    set(&object, &[(&b, Usage::Write)]);
    assert!(!object.second_look(seen, life));
    assert!(seen.cell().still_lives(life));
}

/// Lets an object's head say the same again, about other fences: the cell goes and comes back. What was
/// published the first time, in which life, and what is pending now.
fn comes_round(object: &Versioned) -> (Published, Life, Vec<Signaler>) {
    // No other test of this process has cells of this size, so that nobody else gets the cell.
    const JOBS: usize = 700;
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let line = Timeline::new("t");
    let all = || (0..JOBS).map(|_| issue(&line)).collect::<Vec<_>>();
    let first = all();
    set_all(object, &first);
    let head = object.raw.head();
    let seen = object.raw.published(head).expect("there is one");
    let life = seen.cell().note().expect("it is published");
    first.into_iter().for_each(Signaler::signal);
    for _ in 0..10 {
        set(object, &[]);
        assert!(object.raw.head() != head && !seen.cell().still_lives(life));
        let next = all();
        set_all(object, &next);
        if object.raw.head() == head {
            return (seen, life, next);
        }
    }
    panic!("the cell does not come round");
}

/// Only the life tells.
#[test]
fn h_09_a_cell_that_came_round_does_not_count() {
    let object = Versioned::default();
    let (seen, life, _jobs) = comes_round(&object);
    assert!(!object.second_look(seen, life));
}

#[test]
fn h_09_known_bad_a_look_at_the_head_alone_takes_it_for_the_first() {
    let object = Versioned::with_defect(Defect::NoLife);
    let (seen, life, _jobs) = comes_round(&object);
    assert!(object.second_look(seen, life));
}

/// The head is what the reader saw, busy bits included; but its publication is over.
#[test]
fn h_09_a_publication_that_nobody_looked_at_is_not_called_idle() {
    let object = Versioned::default();
    let (seen, _, _jobs) = comes_round(&object);
    object.set_idle(seen.head(), UsageSet::ALL);
    assert!(!object.is_idle(UsageSet::ALL));
}

#[test]
fn h_09_known_bad_idle_bits_by_a_reader_without_a_reference() {
    let object = Versioned::with_defect(Defect::IdleBitsUnowned);
    let (seen, _, _jobs) = comes_round(&object);
    object.set_idle(seen.head(), UsageSet::ALL);
    assert!(object.is_idle(UsageSet::ALL), "it lies");
}

/// Of `n` entries, every fifth fails and every seventh is named: an add takes them away wherever they are, with
/// the idle bits of usages of which nothing is left, their errors, and their fences; whether they are found by
/// the first of two steps or by the second, or in one.
#[test]
fn b9_what_goes_may_be_at_any_place() {
    // Few, as many as are looked at in line, as many as have a bit, and one more each.
    for n in [3, 9, 16, 17, 51, 52, 200] {
        for is_held in [false, true] {
            what_goes_may_be_at_any_place(n, is_held, Some(UsageSet::ALL));
            what_goes_may_be_at_any_place(n, is_held, Some(UsageSet::of(&[Usage::Kernel])));
            what_goes_may_be_at_any_place(n, is_held, None);
        }
    }
}

/// In two steps, the first of which asks for some usages, or in one.
fn what_goes_may_be_at_any_place(n: usize, is_held: bool, asked: Option<UsageSet>) {
    let object = Versioned::default();
    let usage = |at: usize| {
        if at.is_multiple_of(5) {
            Usage::Write
        } else {
            Usage::Read
        }
    };
    let mut jobs: Vec<_> = (0..n).map(|_| issue(&Timeline::new("t"))).collect();
    let entries: Vec<_> = (0..n).map(|at| (&jobs[at], usage(at))).collect();
    set(&object, &entries);
    let snapshot = is_held.then(|| object.snapshot().expect("no memory needed"));
    let key = |at: usize| Key::new(jobs[at].fence(), usage(at));
    let named: Vec<_> = (0..n).filter(|at| at % 7 == 1).map(key).collect();
    let goes = |at: usize| at.is_multiple_of(5) || at % 7 == 1;
    let mut left: Vec<_> = (0..n).filter(|&at| !goes(at)).map(key).collect();
    let gone: Vec<_> = (0..n).filter(|&at| goes(at)).collect();
    // With their keys: another test may have a cell when it was given back.
    let gone = gone.iter().map(|&at| jobs[at].fence().cell());
    let gone: Vec<_> = gone.map(|cell| (cell, cell.key_parts())).collect();
    let kept = || {
        gone.iter()
            .filter(|(cell, key)| is_alive(cell) && cell.key_parts() == *key)
            .count()
    };
    let new = issue(&Timeline::new("new"));
    left.push(Key::new(new.fence(), Usage::Read));
    let mut at = 0;
    jobs.retain(|_| {
        at += 1;
        !(at - 1_usize).is_multiple_of(5)
    });

    let mut held = object.object_lock().lock();
    let removes = |key: Key| named.contains(&key);
    let (fence, usage) = (new.fence().clone(), Usage::Read);
    let add = Entry { fence, usage };
    if let Some(asked) = asked {
        let plan = object.prepare(&mut held, asked, |_, _| Ok(()), removes);
        drop(object.commit(&mut held, plan.expect("memory"), removes, add));
    } else {
        let budget = Budget {
            adds: 1,
            publishes: 1,
        };
        object.reserve(&mut held, budget).expect("memory");
        object.edit_and_publish(&mut held, removes, Some(add));
    }
    let failure = object.failure(&held, UsageSet::ALL);
    assert_eq!(failure, Some(FenceError::CANCELED), "{n}");
    drop(held);

    let shown = object.visit(UsageSet::ALL, Vec::new(), |mut keys, key| {
        keys.push(key);
        keys
    });
    assert_eq!(shown, left, "{n}");
    let writes = UsageSet::of(&[Usage::Write]);
    assert!(object.raw.head().says_idle(writes), "{n}");
    jobs.into_iter().for_each(Signaler::signal);
    assert_eq!(kept(), if is_held { gone.len() } else { 0 }, "{n}");
    drop(snapshot);
    set(&object, &[]);
    assert_eq!(kept(), 0);
}
