//! What one thread can tell, and a stress with several. The models are in `loom_models.rs`.

use super::Callbacks;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

type Log = Arc<Mutex<Vec<u64>>>;

fn store(list: &Callbacks, log: &Log, id: u64) -> bool {
    let log = Arc::clone(log);
    list.push_as(id, move |_| log.lock().unwrap().push(id))
        .is_ok()
}

fn close(list: &Callbacks) {
    let mut closed = list.close(3).due();
    while let Some(callback) = closed.next_callback() {
        callback.run();
    }
}

fn of(ids: std::ops::Range<u64>) -> (Box<Callbacks>, Log) {
    let (list, log) = (Box::new(Callbacks::open()), Log::default());
    for id in ids {
        assert!(store(&list, &log, id));
    }
    (list, log)
}

#[test]
fn callbacks_run_in_the_order_in_which_they_were_stored() {
    let (list, log) = of(0..5);
    assert_eq!(list.count(), 5);
    close(&list);
    assert_eq!(*log.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn any_place_may_be_taken_back_and_once_only() {
    for which in 0..4 {
        let (list, log) = of(0..4);
        assert!(list.cancel_as(9).is_none());
        assert!(list.cancel_as(which).is_some());
        assert!(list.cancel_as(which).is_none());
        assert_eq!(list.count(), 3);
        assert!(store(&list, &log, 7));
        close(&list);
        assert!(list.cancel_as(7).is_none());
        let expected: Vec<u64> = (0..4).filter(|&id| id != which).chain([7]).collect();
        assert_eq!(*log.lock().unwrap(), expected);
    }
}

#[test]
fn it_is_empty_when_the_last_is_taken_back() {
    let (list, _) = of(0..2);
    drop(list.cancel_as(0));
    assert!(!list.is_empty());
    drop(list.cancel_as(1));
    assert!(list.is_empty() && list.is_open());
    drop(list.close(0));
    assert!(!list.is_empty() && !list.is_open());
}

#[test]
fn the_first_outcome_stays_until_it_is_opened_again() {
    let list = Callbacks::open();
    assert_eq!(list.outcome(), None);
    drop(list.close(Callbacks::MAX_OUTCOME));
    drop(list.close(2));
    assert_eq!(list.outcome(), Some(Callbacks::MAX_OUTCOME));
    list.reopen(false);
    assert_eq!(list.outcome(), None);
    drop(list.close(0));
    assert_eq!(list.outcome(), Some(0));
    list.close_again(4);
    assert_eq!(list.outcome(), Some(4));
    assert_eq!(Callbacks::closed(6).outcome(), Some(6));
}

#[test]
fn the_slow_path_flag_is_told_to_a_push_and_to_a_close() {
    let list = Callbacks::open();
    assert_eq!(list.push_as(0, drop).ok(), Some(false));
    assert!(list.set_slow_path());
    assert!(list.set_slow_path());
    assert_eq!(list.push_as(1, drop).ok(), Some(true));
    drop(list.cancel_as(1));
    drop(list.cancel_as(0));
    assert!(list.close(0).takes_slow_path());
    assert!(!list.set_slow_path());
    list.reopen(false);
    assert!(!list.close(0).takes_slow_path());
    list.reopen(true);
    assert!(list.close(0).takes_slow_path());
}

#[test]
#[should_panic(expected = "while in use")]
fn an_open_one_is_not_opened_again() {
    Callbacks::open().reopen(false);
}

#[test]
#[should_panic(expected = "28 bits")]
fn an_outcome_that_is_too_great_is_refused() {
    drop(Callbacks::open().close(Callbacks::MAX_OUTCOME + 1));
}

#[test]
fn a_refused_callback_comes_back_whole() {
    let list = Callbacks::closed(1);
    let text = String::from("kept");
    let back = list.push_as(0, move |_| assert_eq!(text, "kept"));
    back.expect_err("closed")(1);
}

/// Closures are dropped whatever becomes of them: run, taken back, left with the list or its closer.
#[test]
fn every_closure_is_dropped() {
    let owned = Arc::new(());
    let store = |list: &Callbacks, id| {
        let owned = Arc::clone(&owned);
        assert!(list.push_as(id, move |_| drop(owned)).is_ok());
    };
    let list = Callbacks::open();
    (0..4).for_each(|id| store(&list, id));
    drop(list.cancel_as(2));
    let mut closed = list.close(0);
    assert!(closed.has_callbacks());
    let mut closed = closed.due();
    closed.next_callback().expect("there are three").run();
    drop(closed.next_callback());
    assert!(!closed.is_empty());
    drop(closed);
    assert!(!list.close(0).has_callbacks());
    let list = Callbacks::open();
    (0..4).for_each(|id| store(&list, id));
    drop(list);
    assert_eq!(Arc::strong_count(&owned), 1);
}

/// Closures of all sizes: some fit into a block, some do not.
#[test]
fn a_closure_may_be_of_any_size_and_alignment() {
    #[repr(align(128))]
    struct Aligned([u8; 128]);
    let sum = Arc::new(AtomicUsize::new(0));
    let list = Callbacks::open();
    let (a, b, c) = (Arc::clone(&sum), Arc::clone(&sum), Arc::clone(&sum));
    let (large, aligned) = ([1_usize; 100], Aligned([1; 128]));
    let add = |to: &AtomicUsize, n| {
        to.fetch_add(n, Ordering::Relaxed);
    };
    assert!(list.push_as(0, move |_| add(&a, 1)).is_ok());
    assert!(
        list.push_as(1, move |_| add(&b, large.iter().sum()))
            .is_ok()
    );
    let whole = move |_| {
        let aligned = &aligned;
        assert_eq!(std::ptr::from_ref(aligned).addr() % 128, 0);
        add(&c, aligned.0.iter().map(|&x| usize::from(x)).sum());
    };
    assert!(list.push_as(2, whole).is_ok());
    assert!(list.push_as(3, |_| ()).is_ok());
    close(&list);
    assert_eq!(sum.load(Ordering::Relaxed), 1 + 100 + 128);
    let back = list.push_as(4, move |outcome| assert_eq!(large[0], outcome as usize));
    back.expect_err("closed")(1);
}

/// Blocks come back from threads that have ended, too.
#[test]
fn memory_is_used_again() {
    for _ in 0..200 {
        let list = Arc::new(Callbacks::open());
        let theirs = Arc::clone(&list);
        std::thread::spawn(move || {
            for id in 0..50 {
                assert!(theirs.push_as(id, drop).is_ok());
                drop(theirs.cancel_as(id / 2));
            }
        })
        .join()
        .unwrap();
        close(&list);
    }
}

/// A callback that panics takes neither memory nor the others with it.
#[test]
fn a_panicking_callback_leaves_the_others() {
    let (list, log) = of(0..1);
    assert!(list.push_as(1, |_| panic!("on purpose")).is_ok());
    assert!(store(&list, &log, 2));
    let mut closed = list.close(0).due();
    let mut panics = 0;
    while let Some(callback) = closed.next_callback() {
        let run = std::panic::AssertUnwindSafe(|| callback.run());
        panics += usize::from(std::panic::catch_unwind(run).is_err());
    }
    assert_eq!((panics, &*log.lock().unwrap()), (1, &vec![0, 2]));
}

/// Taking back from within the drop of what was taken back: no lock is held.
#[test]
fn dropping_what_was_taken_back_may_take_back() {
    struct CancelOnDrop(Arc<Callbacks>);
    impl Drop for CancelOnDrop {
        fn drop(&mut self) {
            assert!(self.0.cancel_as(1).is_some());
        }
    }
    let list = Arc::new(Callbacks::open());
    let inner = CancelOnDrop(Arc::clone(&list));
    assert!(list.push_as(0, move |_| drop(inner)).is_ok());
    assert!(list.push_as(1, drop).is_ok());
    drop(list.cancel_as(0));
    assert!(list.is_empty());
}

/// Three threads store and take back while one closes: each callback ends in one way.
#[test]
fn stress_stored_taken_back_and_closed() {
    const ROUNDS: usize = 1_000;
    let threads = 3;
    let list = Arc::new(Callbacks::open());
    let (runs, owed) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let barrier = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        for thread in 0..threads as u64 {
            let (list, runs, owed, barrier) = (&list, &runs, &owed, &barrier);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    barrier.wait();
                    for step in 0..6 {
                        let id = thread << 8 | step;
                        let runs = Arc::clone(runs);
                        let stored = list.push_as(id, move |_| {
                            runs.fetch_add(1, Ordering::Relaxed);
                        });
                        // Every other one is taken back, after one more was stored on top.
                        let taken = step % 2 == 1 && list.cancel_as(id - 1).is_some();
                        let more = i64::from(stored.is_ok()) - i64::from(taken);
                        owed.fetch_add(more as usize, Ordering::Relaxed);
                    }
                    barrier.wait();
                }
            });
        }
        for _ in 0..ROUNDS {
            barrier.wait();
            close(&list);
            barrier.wait();
            let (runs, owed) = (&runs, &owed);
            assert_eq!(runs.load(Ordering::Relaxed), owed.load(Ordering::Relaxed));
            // Between the two barriers nobody stores: the next round starts with the next wait.
            list.reopen(false);
        }
    });
}
