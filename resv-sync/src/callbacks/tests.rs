//! Races of a walker and a closer, step by step on one thread: the walker's look at a node is where
//! the closer comes. The models have all orders of the steps; these are fast, and count what is left.

use super::*;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError};

/// Blocks are counted in the whole process: of the tests that count them and the one that makes many, only one
/// runs at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A list of callbacks 0, 1 and 2, and how often each has run and been dropped.
fn three() -> (Box<Callbacks>, [Arc<(AtomicUsize, AtomicUsize)>; 3]) {
    struct CountDrop(Arc<(AtomicUsize, AtomicUsize)>);
    impl Drop for CountDrop {
        fn drop(&mut self) {
            self.0.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let list = Box::new(Callbacks::open());
    let seen: [Arc<(AtomicUsize, AtomicUsize)>; 3] = Default::default();
    for (id, seen) in (0..).zip(&seen) {
        let owned = CountDrop(Arc::clone(seen));
        let stored = list.push_as(id, move |_| {
            owned.0.0.fetch_add(1, Ordering::Relaxed);
        });
        assert!(stored.is_ok());
    }
    (list, seen)
}

fn run(due: &mut Due<'_>) {
    while let Some(callback) = due.next_callback() {
        callback.run();
    }
}

/// When the closer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// When the walker has entered.
    Entered,
    /// When it has claimed the node, which is in the list.
    Claimed,
    /// When it has unlinked the node, and has not left.
    Unlinked,
}

/// A walker takes back callback `which`, the closer comes in the midst of it, and stays until the walker has
/// left, or not.
fn race(which: u64, when: When, stays: bool) {
    let what = format!("{which} {when:?} {stays}");
    let (list, seen) = three();
    let closed = RefCell::new(None);
    let come = |at: When| {
        if at == when {
            let mut now = list.close(7).due();
            run(&mut now);
            if stays {
                *closed.borrow_mut() = Some(now);
            }
        }
    };
    let taken = list.cancel_and(
        list.name_of(which).expect("stored"),
        || come(When::Entered),
        || come(When::Claimed),
        || come(When::Unlinked),
    );
    // What the walker had not claimed is the closer's.
    assert_eq!(taken.is_some(), when != When::Entered, "{what}");
    drop(closed);
    drop(taken);
    for (id, seen) in (0..).zip(&seen) {
        let runs = usize::from(id != which || when == When::Entered);
        assert_eq!(seen.0.load(Ordering::Relaxed), runs, "{what}: {id}");
        assert_eq!(seen.1.load(Ordering::Relaxed), 1, "{what}: {id}");
    }
    // Both bits are clear, or this says so.
    list.reopen(false);
    assert!(list.is_empty());
}

#[test]
fn a_closer_that_races_with_a_walker_and_leaves_first_or_last() {
    for which in 0..3 {
        for when in [When::Entered, When::Claimed, When::Unlinked] {
            race(which, when, false);
            race(which, when, true);
        }
    }
}

/// A walker that only looks, at each of the nodes.
#[test]
fn a_closer_that_races_with_a_walker_that_looks() {
    for at in 0..3 {
        for stays in [false, true] {
            let (list, seen) = three();
            let mut closed = None;
            let mut looks = 0;
            list.visit(|_| {
                if looks == at {
                    let mut now = list.close(7).due();
                    run(&mut now);
                    closed = Some(now).filter(|_| stays);
                }
                looks += 1;
            });
            drop(closed);
            for seen in &seen {
                assert_eq!(seen.0.load(Ordering::Relaxed), 1, "{at}");
                assert_eq!(seen.1.load(Ordering::Relaxed), 1, "{at}");
            }
            list.reopen(false);
        }
    }
}

/// A race is over when both have left: what it had is not freed again by a later walker.
#[test]
fn the_next_walker_leaves_the_last_race_alone() {
    let (list, _) = three();
    let name = list.name_of(1).expect("stored");
    drop(list.cancel_and(name, || (), || (), || run(&mut list.close(7).due())));
    list.reopen(false);
    assert_eq!(list.count(), 0);
    let runs = Arc::new(AtomicUsize::new(0));
    for id in 0..64 {
        let runs = Arc::clone(&runs);
        let stored = list.push_as(id, move |_| {
            runs.fetch_add(1, Ordering::Relaxed);
        });
        assert!(stored.is_ok());
    }
    assert_eq!(list.count(), 64);
    run(&mut list.close(7).due());
    assert_eq!(runs.load(Ordering::Relaxed), 64);
}

/// Callbacks come while the newest one is taken back: they stay. The known-bad variant loses them.
#[test]
fn f_02_what_comes_while_the_newest_is_taken_back_stays() {
    let come = |seam: Seam, comers: u64| {
        let mut list = Callbacks::open();
        list.seam = seam;
        for id in 0..3 {
            assert!(list.push_as(id, drop).is_ok());
        }
        let push = || {
            for id in 3..3 + comers {
                assert!(list.push_as(id, drop).is_ok());
            }
        };
        let name = list.name_of(2).expect("stored");
        assert!(list.cancel_and(name, || (), push, || ()).is_some());
        list.count() as u64
    };
    for comers in 0..4 {
        assert_eq!(come(Seam::SOUND, comers), 2 + comers);
    }
    // What is lost is not given back either, so this leaks three closures that own nothing.
    assert_ne!(come(Seam::planted(Defect::MissesWhatCame), 3), 5);
}

/// In any order, with callbacks that come in between: what is not taken back runs, in order.
#[test]
fn f_02_any_order_of_taking_back_leaves_the_others_in_order() {
    let mut random = 1_u64;
    let mut below = |n: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % n
    };
    for _ in 0..300 {
        let list = Callbacks::open();
        let log = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut left = Vec::new();
        for id in 0..40 {
            let log = Arc::clone(&log);
            let stored = list.push_as(id, move |_| log.lock().expect("no panic").push(id));
            assert!(stored.is_ok());
            left.push(id);
            while !left.is_empty() && below(3) == 0 {
                let at = below(left.len() as u64) as usize;
                assert!(list.cancel_as(left.remove(at)).is_some());
            }
            assert_eq!(list.count(), left.len());
        }
        run(&mut list.close(7).due());
        assert_eq!(*log.lock().expect("no panic"), left);
    }
}

/// A name is good for its callback and its list, also when the memory of both is used again.
#[test]
fn a_name_of_another_list_or_of_an_earlier_callback_takes_nothing_back() {
    let (a, b) = (Callbacks::open(), Callbacks::open());
    let push = |list: &Callbacks| list.push(drop).ok().expect("open").name;
    let (of_a, of_b) = (push(&a), push(&b));
    assert!(a.cancel(of_b).is_none() && b.cancel(of_a).is_none());
    assert!(a.cancel(of_a).is_some());
    assert!(a.cancel(of_a).is_none());
    let again = push(&a);
    assert_ne!(of_a, again);
    assert!(a.cancel(of_a).is_none(), "taken back before");
    run(&mut a.close(7).due());
    a.reopen(false);
    let next = push(&a);
    assert!(a.cancel(again).is_none(), "run before");
    assert!(a.cancel(next).is_some() && b.cancel(of_b).is_some());
}

/// A list that is opened again keeps no name, also where the memory of the callback was not used again.
#[test]
fn f_02_a_callback_that_has_run_is_not_taken_back_from_a_list_that_is_opened_again() {
    let list = Callbacks::open();
    let names: Vec<_> = (0..3)
        .map(|_| list.push(drop).ok().expect("open").name)
        .collect();
    let mut closed = list.close(7);
    // The list is opened again before the closer has run what it took, and after that.
    list.reopen(false);
    assert!(names.iter().all(|name| list.cancel(*name).is_none()));
    closed.run(|panic| std::panic::resume_unwind(panic));
    assert!(names.iter().all(|name| list.cancel(*name).is_none()));
    assert!(list.is_empty());
}

/// A walker has looked for a callback when the one that has taken it back drops it, and the block becomes another
/// list's callback: that one stays. The known-bad variant takes it.
#[test]
fn f_02_a_name_that_is_used_twice_at_once_takes_no_other_callback() {
    let twice = |seam: Seam| {
        let (mut a, b) = (Callbacks::open(), Callbacks::open());
        a.seam = seam;
        let name = a.push(drop).ok().expect("open").name;
        let taken = RefCell::new(a.cancel(name));
        assert!(taken.borrow().is_some());
        let reuse = || {
            drop(taken.borrow_mut().take());
            let other = b.push(drop).ok().expect("open").name;
            assert_eq!(other.node, name.node, "the block that was freed last");
        };
        let again = a.cancel_and(name, reuse, || (), || ());
        // The known-bad variant has a node of `b`, which is not to be freed twice.
        again.map(std::mem::forget).is_some()
    };
    assert!(!twice(Seam::SOUND));
    assert!(twice(Seam::planted(Defect::EndsNoGeneration)));
}

/// 40,000 waiters of one fence are gone in any order, each in so many looks: oldest first was quadratic.
#[test]
fn f_02_many_are_taken_back_in_any_order() {
    const MANY: usize = 40_000;
    let _alone = alone();
    for order in 0..3 {
        let list = Callbacks::open();
        let mut names: Vec<_> = (0..MANY)
            .map(|_| list.push(drop).ok().expect("open").name)
            .collect();
        match order {
            0 => {} // the oldest first
            1 => names.reverse(),
            _ => names.rotate_left(MANY / 2),
        }
        let before = node::LOOKS.get();
        for name in names {
            assert!(list.cancel(name).is_some());
            // Others come and go meanwhile.
            let late = list.push(drop).ok().expect("open").name;
            assert!(list.cancel(late).is_some());
        }
        let looks = node::LOOKS.get() - before;
        assert!(looks <= 8 * MANY, "{looks}");
        assert!(list.is_empty());
    }
}

/// Of two threads that open at once, one is told so, and no callback is forgotten.
#[test]
fn f_02_two_that_open_at_once() {
    for _ in 0..500 {
        let list = Callbacks::closed(0);
        let opens = || std::panic::catch_unwind(AssertUnwindSafe(|| list.reopen(false))).is_ok();
        let opened = std::thread::scope(|scope| {
            let other = scope.spawn(|| opens().then(|| list.push(drop).is_ok()));
            let one = opens().then(|| list.push(drop).is_ok());
            [one, other.join().expect("caught")]
        });
        assert_eq!(opened.iter().flatten().count(), 1);
        assert_eq!(list.count(), 1);
    }
}

/// The last one out after a race frees all nodes, and the memory is used again.
#[test]
fn nothing_is_left_of_a_race() {
    let _alone = alone();
    let before = memory::made();
    for _ in 0..4000 {
        race(1, When::Entered, true);
        race(1, When::Unlinked, false);
        race(2, When::Claimed, true);
    }
    let made = memory::made() - before;
    assert!(made < 20_000, "{made} blocks for the same few callbacks");
}

/// What a list has when it goes is freed, and so is what a thread keeps: every other thread needs all
/// of it.
#[test]
fn nothing_is_left_of_a_list_or_of_a_thread() {
    let _alone = alone();
    let before = memory::made();
    for round in 0..600 {
        std::thread::spawn(move || {
            let list = Callbacks::open();
            for id in 0..[1, 90][round % 2] {
                assert!(list.push_as(id, drop).is_ok());
            }
        })
        .join()
        .expect("it ends");
    }
    let made = memory::made() - before;
    // A leak of either kind makes 27,000; the other tests have some of the memory meanwhile.
    assert!(made < 20_000, "{made} blocks for 90 callbacks at a time");
}

/// With a walker in the list and without one, which the closer runs in two ways.
#[test]
fn f_02_a_panic_keeps_no_other_callback_from_running() {
    for is_walked in [false, true] {
        let list = Callbacks::open();
        let log = Arc::new(std::sync::Mutex::new(Vec::new()));
        for id in 0..5 {
            let log = Arc::clone(&log);
            let stored = list.push_as(id, move |outcome| {
                log.lock().expect("no panic").push((id, outcome));
                if id % 2 == 1 {
                    std::panic::resume_unwind(Box::new(id));
                }
            });
            assert!(stored.is_ok());
        }
        let mut panics = Vec::new();
        let close = || list.close(7).run(|panic| panics.push(panic));
        if is_walked {
            let name = list.name_of(0).expect("stored");
            assert!(list.cancel_and(name, close, || (), || ()).is_none());
        } else {
            let mut close = close;
            close();
        }
        let panics: Vec<_> = panics.iter().map(|panic| panic.downcast_ref()).collect();
        assert_eq!(panics, [Some(&1_u64), Some(&3)]);
        let log = Arc::into_inner(log)
            .expect("every closure is gone")
            .into_inner();
        assert_eq!(log.expect("no panic"), [0, 1, 2, 3, 4].map(|id| (id, 7)));
    }
}

/// Callback number `id` of a list, of one of two kinds: notes that it runs, and panics if it is to.
fn noisy(
    list: &Callbacks,
    log: &Arc<std::sync::Mutex<Vec<u64>>>,
    id: u64,
    other: bool,
    panics: bool,
) {
    let log = Arc::clone(log);
    let run = move || {
        log.lock().expect("no panic").push(id);
        if panics {
            std::panic::resume_unwind(Box::new(id));
        }
    };
    let is_stored = if other {
        list.push_as(id, move |_| run()).is_ok()
    } else {
        list.push_as(id, move |outcome| {
            assert_eq!(outcome, 7);
            run();
        })
        .is_ok()
    };
    assert!(is_stored);
}

/// Lists that are noted and lists of which a part is turned round; callbacks of one kind, in turns, in groups and as it comes; and
/// one that panics at each place, or two.
#[test]
fn f_02_lists_of_any_length_and_mix_run_in_order() {
    let kinds: [fn(u64) -> bool; 4] = [
        |_| false,
        |id| id % 2 == 1,
        |id| id % 5 < 3,
        |id| id * id % 7 > 2,
    ];
    for count in 0..=in_order::PLACES as u64 + 2 {
        for kind in kinds {
            // None of them panics, if it is none of them.
            for panics in 0..=count {
                let list = Callbacks::open();
                let log = Arc::default();
                let does = |id| id == panics || id == panics + 3;
                (0..count).for_each(|id| noisy(&list, &log, id, kind(id), does(id)));
                let mut caught: Vec<u64> = Vec::new();
                list.close(7)
                    .run_all(|panic| caught.push(*panic.downcast().expect("a number")));
                let all: Vec<u64> = (0..count).collect();
                assert_eq!(
                    caught,
                    all.iter()
                        .copied()
                        .filter(|&id| does(id))
                        .collect::<Vec<_>>()
                );
                let log = Arc::into_inner(log).expect("every closure is gone");
                assert_eq!(log.into_inner().expect("no panic"), all, "{panics}");
                assert!(!list.close(7).has_callbacks());
            }
        }
    }
}

/// What is run is freed once: lists of all lengths need the memory of the longest.
#[test]
fn nothing_is_left_of_what_was_run() {
    let _alone = alone();
    let before = memory::made();
    for round in 0..4000 {
        let list = Callbacks::open();
        for id in 0..round % (2 * in_order::PLACES as u64) {
            assert!(list.push_as(id, drop).is_ok());
        }
        list.close(7).run_all(|_| unreachable!("none panics"));
    }
    let made = memory::made() - before;
    // A leak makes 62,000; the other tests have some of the memory meanwhile.
    assert!(made < 20_000, "{made} blocks for 31 callbacks at a time");
}
