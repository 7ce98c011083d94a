//! Meetings of a walker and a closer, step by step on one thread: the walker's look at a node is where
//! the closer comes. The models have all orders of the steps; these are fast, and count what is left.

use super::*;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// A list of callbacks 0, 1 and 2, and how often each has run and been dropped.
fn three() -> (Callbacks, [Arc<(AtomicUsize, AtomicUsize)>; 3]) {
    struct CountDrop(Arc<(AtomicUsize, AtomicUsize)>);
    impl Drop for CountDrop {
        fn drop(&mut self) {
            self.0.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let list = Callbacks::open();
    let seen: [Arc<(AtomicUsize, AtomicUsize)>; 3] = Default::default();
    for (id, seen) in (0..).zip(&seen) {
        let owned = CountDrop(Arc::clone(seen));
        let stored = list.push(id, move |_| {
            owned.0.0.fetch_add(1, Ordering::Relaxed);
        });
        assert!(stored.is_ok());
    }
    (list, seen)
}

fn run(closed: &mut Closed<'_>) {
    while let Some(callback) = closed.next_callback() {
        callback.run();
    }
}

/// The closer comes when the walker looks at node `at` and wants node `wanted`; it stays until the
/// walker has left, or not.
fn meet(at: u64, wanted: Option<u64>, stays: bool) {
    let (list, seen) = three();
    let mut closed = None;
    let taken = list.walk(|node| {
        if node.id == at {
            let mut now = list.close(7);
            run(&mut now);
            if stays {
                closed = Some(now);
            }
        }
        Some(node.id) == wanted
    });
    // The newest is looked at first, and what is looked at later is the closer's.
    assert!(taken.is_none(), "{at} {wanted:?}");
    drop(closed);
    for seen in &seen {
        assert_eq!(seen.0.load(Ordering::Relaxed), 1, "{at} {wanted:?}");
        assert_eq!(seen.1.load(Ordering::Relaxed), 1, "{at} {wanted:?}");
    }
    // Both bits are clear, or this says so.
    list.reopen(false);
    assert!(list.is_empty());
}

#[test]
fn a_closer_that_meets_a_walker_and_leaves_first_or_last() {
    for at in 0..3 {
        for wanted in [None, Some(0), Some(1), Some(2)] {
            if wanted.is_none_or(|wanted| wanted <= at) {
                meet(at, wanted, false);
                meet(at, wanted, true);
            }
        }
    }
}

/// The walker has claimed and unlinked when the closer comes, and has not left.
#[test]
fn a_walker_that_has_unlinked_when_the_closer_comes() {
    for wanted in 0..3 {
        for stays in [false, true] {
            let (list, seen) = three();
            let mut closed = None;
            let taken = list.walk_and(
                |node| node.id == wanted,
                || {
                    let mut now = list.close(7);
                    run(&mut now);
                    if stays {
                        closed = Some(now);
                    }
                },
            );
            assert!(taken.is_some());
            drop(closed);
            drop(taken);
            for (id, seen) in (0..).zip(&seen) {
                let runs = usize::from(id != wanted);
                assert_eq!(seen.0.load(Ordering::Relaxed), runs, "{wanted}: {id}");
                assert_eq!(seen.1.load(Ordering::Relaxed), 1, "{wanted}: {id}");
            }
            list.reopen(false);
        }
    }
}

/// A meeting is over when both have left: what it had is not freed again by a later walker.
#[test]
fn the_next_walker_leaves_the_last_meeting_alone() {
    let (list, _) = three();
    drop(list.walk_and(|node| node.id == 1, || run(&mut list.close(7))));
    list.reopen(false);
    assert_eq!(list.count(), 0);
    let runs = Arc::new(AtomicUsize::new(0));
    for id in 0..64 {
        let runs = Arc::clone(&runs);
        let stored = list.push(id, move |_| {
            runs.fetch_add(1, Ordering::Relaxed);
        });
        assert!(stored.is_ok());
    }
    assert_eq!(list.count(), 64);
    run(&mut list.close(7));
    assert_eq!(runs.load(Ordering::Relaxed), 64);
}

/// Whoever leaves last frees all nodes of a meeting, and the memory is used again.
#[test]
fn nothing_is_left_of_a_meeting() {
    let before = memory::CHUNKS.load(Ordering::Relaxed);
    for _ in 0..4000 {
        meet(1, None, true);
        meet(1, Some(0), false);
        meet(2, Some(2), true);
    }
    let made = memory::CHUNKS.load(Ordering::Relaxed) - before;
    assert!(made < 300, "{made} chunks for the same few callbacks");
}

/// What a list has when it goes is freed, and so is what a thread keeps: every other thread needs all
/// of it.
#[test]
fn nothing_is_left_of_a_list_or_of_a_thread() {
    let before = memory::CHUNKS.load(Ordering::Relaxed);
    for round in 0..600 {
        std::thread::spawn(move || {
            let list = Callbacks::open();
            for id in 0..[1, 90][round % 2] {
                assert!(list.push(id, drop).is_ok());
            }
        })
        .join()
        .expect("it ends");
    }
    let made = memory::CHUNKS.load(Ordering::Relaxed) - before;
    // A leak of either kind makes 850; the other tests have some of the memory meanwhile.
    assert!(made < 450, "{made} chunks for 90 callbacks at a time");
}
