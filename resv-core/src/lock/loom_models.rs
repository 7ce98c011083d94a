//! loom models of the lock, on the real code, each with a variant that loom must reject. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p resv-core --lib --release loom
//! ```
//!
//! A model explores every order of the steps of its threads, with at most two preemptions, and every
//! value that a load may see. Two blind spots of loom decide how the code and the models are built:
//! it looks for a preemption only before the last access to each atomic that conflicts, so a
//! thread's own load can hide an earlier one of another thread (the contended path judges the word
//! by a read-modify-write); and it has no clock (a waiter that has lost a lock once is impatient).
//!
//! A variant is a [`Defect`] in the lock. What goes wrong when nobody wakes a sleeper, or nobody
//! yields, shows as loom's report of a deadlock: a panic that loom's own guards do not survive, so
//! those variants run in a process of their own.

use super::defect::Defect;
use super::{Algorithm, Class, Context, LockError, LockSet, ObjectLock};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicBool as StdAtomicBool, Ordering as StdOrdering};
use std::task::Wake;

/// A lock, and a number that only its holder may touch: if two ever hold it, or one does not see
/// what the one before did, an increment is lost.
struct Guarded {
    lock: ObjectLock,
    value: AtomicUsize,
}

impl Guarded {
    fn new(defect: Option<Defect>) -> Arc<Self> {
        Arc::new(Guarded {
            lock: ObjectLock::with_defect(defect),
            value: AtomicUsize::new(0),
        })
    }

    /// The caller holds the lock.
    fn bump(&self) {
        // Relaxed, both: it is the lock that has to order them.
        let value = self.value.load(Ordering::Relaxed);
        self.value.store(value + 1, Ordering::Relaxed);
    }
}

/// How a thread takes a lock.
#[derive(Clone, Copy)]
enum By {
    Plain,
    Try,
    Context(Algorithm),
    TryContext(Algorithm),
}

const WOUND_WAIT: By = By::Context(Algorithm::WoundWait);
const WAIT_DIE: By = By::Context(Algorithm::WaitDie);

/// Bumps under the lock; answers how often (a try may fail).
fn bump_by(guarded: &Guarded, by: By) -> usize {
    match by {
        By::Plain => {
            let _held = guarded.lock.lock();
            guarded.bump();
            1
        }
        By::Try => match guarded.lock.try_lock() {
            Some(_held) => {
                guarded.bump();
                1
            }
            None => 0,
        },
        By::Context(algorithm) => {
            let context = Context::in_class(Class::shared(algorithm));
            let _held = guarded.lock.lock_with(&context).expect("it holds nothing");
            guarded.bump();
            1
        }
        By::TryContext(algorithm) => {
            let context = Context::in_class(Class::shared(algorithm));
            match guarded.lock.try_lock_with(&context) {
                Some(_held) => {
                    guarded.bump();
                    1
                }
                None => 0,
            }
        }
    }
}

/// Threads that each take one lock once: all come through, and one after the other.
fn exclusive(bys: &'static [By], defect: Option<Defect>) {
    loom::model(move || {
        let guarded = Guarded::new(defect);
        let (last, others) = bys.split_last().expect("a thread");
        let threads: Vec<_> = others
            .iter()
            .map(|&by| {
                let guarded = Arc::clone(&guarded);
                thread::spawn(move || bump_by(&guarded, by))
            })
            .collect();
        let mut bumps = bump_by(&guarded, *last);
        for thread in threads {
            bumps += thread.join().expect("no panic");
        }
        let held = guarded.lock.try_lock().expect("free");
        assert_eq!(guarded.value.load(Ordering::Relaxed), bumps, "lost");
        drop(held);
    });
}

#[test]
fn l_01_plain_and_plain() {
    exclusive(&[By::Plain, By::Plain], None);
}

#[test]
fn l_01_plain_and_context() {
    exclusive(&[By::Plain, WOUND_WAIT], None);
}

#[test]
fn l_01_contexts_of_both_algorithms() {
    exclusive(&[WAIT_DIE, WOUND_WAIT], None);
}

#[test]
fn l_01_three_with_a_try() {
    exclusive(&[By::Try, By::Plain, WAIT_DIE], None);
}

#[test]
fn l_01_three_with_a_context_that_tries() {
    exclusive(
        &[By::TryContext(Algorithm::WoundWait), WOUND_WAIT, By::Plain],
        None,
    );
}

#[test]
fn l_01_three_sleepers() {
    exclusive(&[By::Plain, WOUND_WAIT, WOUND_WAIT], None);
}

#[test]
#[should_panic(expected = "lost")]
fn l_01_known_bad_release_publishes_nothing() {
    exclusive(&[By::Plain, By::Plain], Some(Defect::ReleasesRelaxed));
}

/// A waiter that is woken and loses the lock to a barging request is handed it the next time.
fn handed_over(defect: Option<Defect>) {
    loom::model(move || {
        let guarded = Guarded::new(defect);
        let sleeper = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || bump_by(&guarded, By::Plain))
        };
        for _ in 0..3 {
            bump_by(&guarded, By::Plain);
        }
        sleeper.join().expect("no panic");
        let held = guarded.lock.try_lock().expect("free");
        assert_eq!(guarded.value.load(Ordering::Relaxed), 4, "lost");
        drop(held);
    });
}

#[test]
fn l_01_handed_over() {
    handed_over(None);
}

#[test]
#[should_panic(expected = "lost")]
fn l_01_known_bad_handed_over_and_left_free() {
    handed_over(Some(Defect::GrantsAndFrees));
}

#[test]
#[ignore = "a deadlock; `known_bad_deadlocks_are_found` runs it"]
fn l_09_known_bad_sleeper_is_not_flagged() {
    exclusive(&[By::Plain, By::Plain], Some(Defect::QueuesUnflagged));
}

/// Takes two locks in this order with a context, backing off as often as it must; answers how often.
fn both(context: &Context, first: &Guarded, second: &Guarded) -> usize {
    let (mut first, mut second) = (first, second);
    let mut backoffs = 0;
    let mut held = first
        .lock
        .lock_with(context)
        .expect("a context that holds nothing never backs off");
    loop {
        match second.lock.lock_with(context) {
            Ok(_second_held) => {
                first.bump();
                second.bump();
                return backoffs;
            }
            Err(LockError::Deadlock) => {
                backoffs += 1;
                drop(held);
                held = second.lock.lock_slow(context);
                std::mem::swap(&mut first, &mut second);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// L-03: two contexts take two locks crosswise, and both finish. In some execution the younger one
/// has to back off, and in none the older one.
fn crosswise(algorithms: [Algorithm; 2], defect: Option<Defect>) {
    let [older_class, younger_class]: [&'static Class; 2] =
        algorithms.map(|algorithm| &*Box::leak(Box::new(Class::new(algorithm))));
    loom::model(move || {
        let (a, b) = (Guarded::new(defect), Guarded::new(defect));
        let older = Context::in_class(older_class);
        let younger = Context::in_class(younger_class);
        let thread = {
            let (a, b) = (Arc::clone(&a), Arc::clone(&b));
            thread::spawn(move || both(&younger, &b, &a))
        };
        both(&older, &a, &b);
        thread.join().expect("no panic");
        for guarded in [a, b] {
            let held = guarded.lock.try_lock().expect("free");
            assert_eq!(guarded.value.load(Ordering::Relaxed), 2, "lost");
            drop(held);
        }
    });
    assert_eq!(older_class.backoffs(), 0, "the oldest never backs off");
    assert!(younger_class.backoffs() > 0, "backing off was not explored");
}

#[test]
fn l_03_crosswise_wound_wait() {
    crosswise([Algorithm::WoundWait; 2], None);
}

#[test]
fn l_03_crosswise_wait_die() {
    crosswise([Algorithm::WaitDie; 2], None);
}

#[test]
fn l_03_crosswise_older_wound_wait() {
    crosswise([Algorithm::WoundWait, Algorithm::WaitDie], None);
}

#[test]
fn l_03_crosswise_older_wait_die() {
    crosswise([Algorithm::WaitDie, Algorithm::WoundWait], None);
}

#[test]
#[ignore = "a deadlock; `known_bad_deadlocks_are_found` runs it"]
fn l_03_known_bad_wounded_goes_on() {
    crosswise([Algorithm::WoundWait; 2], Some(Defect::NobodyBacksOff));
}

#[test]
#[ignore = "a deadlock; `known_bad_deadlocks_are_found` runs it"]
fn l_03_known_bad_nobody_dies() {
    crosswise([Algorithm::WaitDie; 2], Some(Defect::NobodyBacksOff));
}

#[test]
#[ignore = "a deadlock; `known_bad_deadlocks_are_found` runs it"]
fn l_03_known_bad_wounded_is_not_woken() {
    crosswise([Algorithm::WoundWait; 2], Some(Defect::WoundsWithoutWaking));
}

/// Two locks in the order of their addresses.
fn in_a_row(defect: Option<Defect>) -> Arc<[Guarded; 2]> {
    Arc::new([(); 2].map(|()| Guarded {
        lock: ObjectLock::with_defect(defect),
        value: AtomicUsize::new(0),
    }))
}

/// What a submit does: takes both locks in the order of `order`; if a context of another kind is in the
/// way, once more with a ticket of its own. Answers whether that was so.
fn submit(guarded: &[Guarded; 2], order: [usize; 2], class: &'static Class) -> bool {
    let locks = order.map(|at| &guarded[at].lock);
    let set = LockSet::in_order(class);
    match set.lock_in_order(locks, None) {
        Ok(()) => {
            assert_eq!(set.len(), 2);
            guarded.iter().for_each(Guarded::bump);
            false
        }
        Err(LockError::Deadlock) => {
            drop(set);
            both(&Context::in_class(class), &guarded[0], &guarded[1]);
            true
        }
        Err(other) => panic!("{other}"),
    }
}

fn bumped_twice(guarded: &[Guarded; 2]) {
    for guarded in guarded {
        let held = guarded.lock.try_lock().expect("free");
        assert_eq!(guarded.value.load(Ordering::Relaxed), 2, "lost");
        drop(held);
    }
}

/// Two submits never back off from each other.
fn two_submits(orders: [[usize; 2]; 2], defect: Option<Defect>) {
    loom::model(move || {
        let class = Class::shared(Algorithm::WaitDie);
        let guarded = in_a_row(defect);
        let thread = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || submit(&guarded, orders[0], class))
        };
        let mine = submit(&guarded, orders[1], class);
        let theirs = thread.join().expect("no panic");
        assert!(!mine && !theirs, "a submit backed off from a submit");
        bumped_twice(&guarded);
    });
}

#[test]
fn l_03_two_submits_never_back_off_from_each_other() {
    two_submits([[0, 1]; 2], None);
}

#[test]
#[ignore = "a deadlock; `known_bad_deadlocks_are_found` runs it"]
fn l_03_known_bad_submits_in_different_orders() {
    two_submits([[0, 1], [1, 0]], Some(Defect::TakenInAnyOrder));
}

/// A submit and a context that takes the same locks in the other order: both finish, and in some
/// execution it is the submit that backs off.
fn submit_and_context(algorithm: Algorithm, defect: Option<Defect>) {
    let class: &'static Class = Box::leak(Box::new(Class::new(Algorithm::WaitDie)));
    loom::model(move || {
        let guarded = in_a_row(defect);
        let thread = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || {
                let context = Context::in_class(Class::shared(algorithm));
                both(&context, &guarded[1], &guarded[0]);
            })
        };
        submit(&guarded, [0, 1], class);
        thread.join().expect("no panic");
        bumped_twice(&guarded);
    });
    assert!(class.backoffs() > 0, "backing off was not explored");
}

#[test]
fn l_03_a_submit_yields_to_a_wait_die_context() {
    submit_and_context(Algorithm::WaitDie, None);
}

#[test]
fn l_03_a_submit_yields_to_a_wound_wait_context() {
    submit_and_context(Algorithm::WoundWait, None);
}

#[test]
#[ignore = "a deadlock; `known_bad_deadlocks_are_found` runs it"]
fn l_03_known_bad_a_submit_that_yields_to_nobody() {
    submit_and_context(Algorithm::WaitDie, Some(Defect::NobodyBacksOff));
}

/// A plain waiter comes through between two contexts that need both locks.
#[test]
fn l_03_crosswise_with_a_plain_one() {
    loom::model(|| {
        let (a, b) = (Guarded::new(None), Guarded::new(None));
        let older = Context::in_class(Class::shared(Algorithm::WoundWait));
        let crossing = {
            let (a, b) = (Arc::clone(&a), Arc::clone(&b));
            thread::spawn(move || {
                let younger = Context::in_class(Class::shared(Algorithm::WoundWait));
                both(&younger, &b, &a)
            })
        };
        let plain = {
            let a = Arc::clone(&a);
            thread::spawn(move || bump_by(&a, By::Plain))
        };
        assert_eq!(both(&older, &a, &b), 0);
        crossing.join().expect("no panic");
        plain.join().expect("no panic");
        let held = a.lock.try_lock().expect("free");
        assert_eq!(a.value.load(Ordering::Relaxed), 3, "lost");
        drop(held);
    });
}

/// Whether a task has been woken. Not part of the model: it is read when all threads have ended.
#[derive(Default)]
struct Woken(StdAtomicBool);

impl Wake for Woken {
    fn wake(self: StdArc<Self>) {
        self.0.store(true, StdOrdering::Relaxed);
    }
}

/// A task that finds the lock taken and watches it is woken by the release, whenever that is; so are all
/// others that watch it, whether or not the first is ever polled.
fn watched(watches: usize, defect: Option<Defect>) {
    loom::model(move || {
        let guarded = Guarded::new(defect);
        let holder = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || bump_by(&guarded, By::Plain))
        };
        let wakers: Vec<StdArc<Woken>> = (0..watches).map(|_| StdArc::default()).collect();
        let contexts: Vec<Context> = (0..watches).map(|_| Context::new()).collect();
        let entered: Vec<_> = std::iter::zip(&wakers, &contexts)
            .map(|(woken, context)| guarded.lock.watch(context, &StdArc::clone(woken).into()))
            .collect();
        holder.join().expect("no panic");
        for (watch, woken) in std::iter::zip(&entered, wakers) {
            // `None`: the lock was free, and the task goes on by itself.
            if watch.is_some() {
                assert!(woken.0.load(StdOrdering::Relaxed), "never woken");
            }
        }
        drop(entered);
        let held = guarded.lock.try_lock().expect("free");
        assert!(!is_queued_at(&guarded), "left behind");
        drop(held);
    });
}

/// Whether anybody is left in the queue of a lock that one thread holds and no other wants.
fn is_queued_at(guarded: &Guarded) -> bool {
    !super::queue::of_lock(guarded.lock.address()).is_empty(guarded.lock.address())
}

#[test]
fn l_09_watch() {
    watched(1, None);
}

#[test]
fn l_09_a_release_rings_all_watches() {
    watched(3, None);
}

#[test]
#[should_panic(expected = "never woken")]
fn l_09_known_bad_watch_is_not_flagged() {
    watched(1, Some(Defect::QueuesUnflagged));
}

#[test]
#[should_panic(expected = "never woken")]
fn l_09_known_bad_a_release_rings_one() {
    watched(2, Some(Defect::RingsOne));
}

/// Every variant above that must end in a deadlock does.
#[test]
fn known_bad_deadlocks_are_found() {
    let variants = [
        "l_09_known_bad_sleeper_is_not_flagged",
        "l_03_known_bad_wounded_goes_on",
        "l_03_known_bad_nobody_dies",
        "l_03_known_bad_wounded_is_not_woken",
        "l_03_known_bad_submits_in_different_orders",
        "l_03_known_bad_a_submit_that_yields_to_nobody",
    ];
    for variant in variants {
        let model = format!(
            "{}::{variant}",
            module_path!().split_once("::").expect("a crate").1
        );
        let run = std::process::Command::new(std::env::current_exe().expect("a path"))
            .args(["--ignored", "--exact", "--nocapture", &model])
            .output()
            .expect("it starts");
        let report = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(!run.status.success(), "{variant} was not rejected");
        assert!(report.contains("deadlock; threads"), "{variant}: {report}");
    }
}
