//! One thread step by step, and threads that come and go.

use super::*;
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;

#[derive(Debug)]
struct Place {
    /// Whether some thread has it.
    taken: AtomicBool,
    link: Link<Place>,
}

impl Pooled for Place {
    fn vacant() -> Place {
        Place {
            taken: AtomicBool::new(false),
            link: Link::new(),
        }
    }

    fn link(&self) -> &Link<Place> {
        &self.link
    }
}

type Pool = StablePool<Place>;

/// Keeps a value for ever, and within reach of leak checkers.
fn kept<T>(value: T) -> &'static T {
    static ALL: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let kept = Box::leak(Box::new(value));
    let address = std::ptr::from_ref(kept).addr();
    ALL.lock().expect("no panic while it is held").push(address);
    kept
}

fn take(pool: &'static Pool) -> &'static Place {
    let place = pool.take();
    assert!(
        !place.taken.swap(true, Ordering::Relaxed),
        "handed out twice"
    );
    place
}

fn put(pool: &'static Pool, place: &'static Place) {
    place.taken.store(false, Ordering::Relaxed);
    pool.put(place);
}

/// Every place of the pool, once; the thread's own included.
fn drain(pool: &'static Pool) -> usize {
    let mut all = HashSet::new();
    let capacity = pool.capacity();
    while all.len() < capacity {
        assert!(all.insert(std::ptr::from_ref(take(pool)).addr()));
    }
    assert_eq!(pool.capacity(), capacity, "all were there to be taken");
    all.len()
}

#[test]
fn what_was_freed_last_is_taken_next() {
    crate::stable_pool!(static POOL: Place);
    let places: Vec<_> = (0..100).map(|_| take(&POOL)).collect();
    let capacity = POOL.capacity();
    for &place in &places {
        put(&POOL, place);
    }
    // Over the ends of both chains and through the depot.
    for &place in places.iter().rev().take(3 * BATCH) {
        assert!(std::ptr::eq(take(&POOL), place));
    }
    for &place in places.iter().rev().take(3 * BATCH) {
        put(&POOL, place);
    }
    assert_eq!(POOL.capacity(), capacity);
    assert_eq!(POOL.all().count(), capacity);
    drain(&POOL);
}

/// At the edge of a chain, taking and freeing in turn stays within the thread.
#[test]
fn a_thread_at_the_end_of_a_chain_does_not_exchange_every_time() {
    let depot: &'static Depot<&'static Place> = kept(Depot::of_batch(2));
    let magazine = Magazine::new(depot);
    for _ in 0..4 {
        magazine.put(kept(Place::vacant()));
    }
    assert_eq!((magazine.count(), depot.count()), (4, 0));
    magazine.put(kept(Place::vacant()));
    assert_eq!((magazine.count(), depot.count()), (3, 2));
    for _ in 0..100 {
        let taken: Vec<_> = (0..2).filter_map(|_| magazine.take()).collect();
        taken.into_iter().for_each(|place| magazine.put(place));
        assert_eq!((magazine.count(), depot.count()), (3, 2));
    }
    assert_eq!((0..9).filter_map(|_| magazine.take()).count(), 5);
    drop(magazine);
    assert_eq!(depot.count(), 0);
}

/// Chains of any length, at any fill of the magazine: every cell is there afterwards, once.
#[test]
fn b8_many_cells_that_are_put_at_once_are_all_there() {
    for (before, len) in (0..=9).flat_map(|before| (1..=20).map(move |len| (before, len))) {
        let depot: &'static Depot<&'static Place> = kept(Depot::of_batch(4));
        let magazine = Magazine::new(depot);
        for _ in 0..before {
            magazine.put(kept(Place::vacant()));
        }
        let cells: Vec<_> = (0..len).map(|_| kept(Place::vacant())).collect();
        for pair in cells.windows(2) {
            pair[0].set_next(Some(pair[1]));
        }
        // Where the last one leads does not matter.
        let (first, last) = (cells[0], cells[len - 1]);
        last.set_next(Some(first));
        magazine.put_all(first, last, len);
        assert!(magazine.count() <= 8, "two chains at most");
        assert_eq!(magazine.count() + depot.count(), before + len);
        let taken = std::iter::from_fn(|| magazine.take());
        let taken: HashSet<_> = taken.map(|cell| std::ptr::from_ref(cell).addr()).collect();
        assert_eq!(taken.len(), before + len);
    }
}

#[test]
fn b8_loose_cells_of_many_threads_become_batches() {
    let depot: &'static Depot<&'static Place> = kept(Depot::of_batch(4));
    for _ in 0..7 {
        let magazine = Magazine::new(depot);
        magazine.put(kept(Place::vacant()));
    }
    assert_eq!(depot.count(), 7);
    assert_eq!(depot.take().len(), 4);
    assert_eq!(depot.take().len(), 3);
    assert!(depot.take().is_empty());
}

/// The variants that the models reject are what they say, also step by step on one thread.
#[test]
fn known_bad_variants_lose_cells_or_have_them_twice() {
    // What comes out of a depot to which a magazine of three places was given back. Four at most: a place
    // that is there twice may make a circle.
    let come_back = |seam: Seam| {
        let mut depot = Depot::of_batch(1);
        depot.seam = seam;
        let depot: &'static Depot<&'static Place> = kept(depot);
        let magazine = Magazine::new(depot);
        for _ in 0..3 {
            magazine.put(kept(Place::vacant()));
        }
        drop(magazine);
        let all = (0..4).filter_map(|_| depot.take_one());
        let all: Vec<_> = all.map(|place| std::ptr::from_ref(place).addr()).collect();
        let different: HashSet<_> = all.iter().collect();
        (all.len(), different.len())
    };
    assert_eq!(come_back(Seam::SOUND), (3, 3));
    assert_eq!(come_back(Seam::planted(Defect::EndsWithOneChain)), (2, 2));
    let (all, different) = come_back(Seam::planted(Defect::KeepsWhatItGave));
    assert!(all > different, "{all} {different}");
}

/// Each of 64 threads in turn takes and frees more than a thread keeps: it finds what the ones before it
/// gave back when they ended.
#[test]
fn b8_threads_that_come_and_go_need_no_new_memory() {
    crate::stable_pool!(static POOL: Place);
    let mut capacity = 0;
    for round in 0..64 {
        let work = || {
            let places: Vec<_> = (0..200).map(|_| take(&POOL)).collect();
            places.into_iter().for_each(|place| put(&POOL, place));
        };
        thread::spawn(work).join().expect("it does not fail");
        match round {
            0 => capacity = POOL.capacity(),
            _ => assert_eq!(POOL.capacity(), capacity),
        }
    }
    assert!(capacity < 400, "{capacity}");
    drain(&POOL);
}

/// Freed on another thread than taken, by threads that end all the time.
#[test]
fn h_01_stress_threads_that_come_and_go_share_no_place() {
    const ROUNDS: usize = 40;
    const EACH: usize = 500;
    crate::stable_pool!(static POOL: Place);
    static PASSED: AtomicUsize = AtomicUsize::new(0);
    for _ in 0..ROUNDS {
        let (give, get) = mpsc::channel::<&'static Place>();
        let makers = [0, 1].map(|_| {
            let give = give.clone();
            thread::spawn(move || {
                for at in 0..EACH {
                    let (place, own) = (take(&POOL), take(&POOL));
                    give.send(place).expect("the other end is there");
                    put(&POOL, own);
                    if at % 64 == 0 {
                        thread::yield_now();
                    }
                }
            })
        });
        drop(give);
        let taker = thread::spawn(move || {
            for place in get {
                put(&POOL, place);
                PASSED.fetch_add(1, Ordering::Relaxed);
            }
        });
        for thread in makers.into_iter().chain([taker]) {
            thread.join().expect("it does not fail");
        }
    }
    assert_eq!(PASSED.load(Ordering::Relaxed), 2 * EACH * ROUNDS);
    assert!(POOL.capacity() < 8000, "{}", POOL.capacity());
    drain(&POOL);
}

/// A thread-local that is dropped after the magazine still takes and frees.
#[test]
fn b8_a_thread_whose_locals_are_gone_uses_the_depot() {
    crate::stable_pool!(static POOL: Place);

    struct Late(RefCell<Vec<&'static Place>>);
    impl Drop for Late {
        fn drop(&mut self) {
            let mut places = self.0.borrow_mut();
            places.push(take(&POOL));
            for place in places.drain(..) {
                put(&POOL, place);
            }
        }
    }
    thread_local! {
        static LATE: Late = const { Late(RefCell::new(Vec::new())) };
    }

    for _ in 0..8 {
        thread::spawn(|| {
            // First of all, so that it is dropped last (or first, on platforms that do it the other way
            // round; the next thread has the other order).
            LATE.with(|late| late.0.borrow_mut().clear());
            let places: Vec<_> = (0..50).map(|_| take(&POOL)).collect();
            LATE.with(|late| late.0.borrow_mut().extend(places));
        })
        .join()
        .expect("it does not fail");
        thread::spawn(|| {
            let place = take(&POOL);
            LATE.with(|late| late.0.borrow_mut().push(place));
        })
        .join()
        .expect("it does not fail");
    }
    let capacity = POOL.capacity();
    assert!(capacity < 200, "{capacity}");
    drain(&POOL);
}
