//! Lazy fences and deadlines, by themselves and through compositions.

use super::compose_tests::{all, any, issue};
use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A lazy fence that counts how often it was asked for its work.
fn lazy() -> (Signaler, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let job = Timeline::new("kfd")
        .issue_lazy(move || {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .expect("a seqno is left");
    (job, calls)
}

#[test]
fn a_look_never_asks_a_lazy_fence_and_a_wait_asks_once() {
    let (job, calls) = lazy();
    let fence = job.fence().clone();
    let array = all(&[&any(&[&fence]), &all(&[&fence])]);
    let merged = merge([&fence, issue().fence()]);
    for look in [&fence, &array, &merged] {
        assert!(!look.is_signaled());
        assert_eq!(look.status(), FenceStatus::Pending);
        assert_eq!(look.wait(Some(Duration::ZERO)), Waited::TimedOut);
        look.set_deadline(Instant::now());
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    for _ in 0..3 {
        for wait in [&array, &fence] {
            assert_eq!(wait.wait(Some(Duration::from_millis(1))), Waited::TimedOut);
            assert_eq!(calls.load(Ordering::Relaxed), 1);
        }
    }
    job.signal();
    assert!(array.is_signaled());
}

#[test]
fn a_lazy_fence_that_signals_first_is_never_asked() {
    let (job, calls) = lazy();
    let fence = job.fence().clone();
    job.signal();
    assert_eq!(fence.wait(None), Waited::Signaled);
    assert_eq!(
        (calls.load(Ordering::Relaxed), Arc::strong_count(&calls)),
        (0, 1)
    );
}

#[test]
fn a_hook_may_signal_and_one_child_of_any_is_enough() {
    let shared = Arc::new(Mutex::new(None::<Signaler>));
    let in_hook = Arc::clone(&shared);
    let job = Timeline::new("kfd")
        .issue_lazy(move || {
            let job = in_hook.lock().expect("not poisoned").take();
            job.expect("shared").signal();
        })
        .expect("a seqno is left");
    let (other, calls) = lazy();
    let first = any(&[job.fence(), other.fence()]);
    *shared.lock().expect("not poisoned") = Some(job);
    assert_eq!(first.wait(None), Waited::Signaled);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[test]
fn many_waiters_ask_once() {
    let (job, calls) = lazy();
    let (a, b) = (all(&[job.fence()]), all(&[job.fence(), &Fence::signaled()]));
    std::thread::scope(|scope| {
        for n in 0..6 {
            let fence = [&a, &b, job.fence()][n % 3];
            scope.spawn(move || fence.wait(Some(Duration::from_millis(20))));
        }
    });
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn deadlines_the_soonest_wins_and_reaches_the_children() {
    let (a, b) = (issue(), issue());
    let now = Instant::now();
    let at = |ms| now + Duration::from_millis(ms);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let array = any(&[&all(&[a.fence(), b.fence()]), b.fence()]);
    array.set_deadline(at(30));
    let hear = Arc::clone(&heard);
    a.on_deadline(move |deadline| hear.lock().expect("not poisoned").push(deadline));
    array.set_deadline(at(20));
    array.set_deadline(at(40));
    b.fence().set_deadline(at(5));
    array.set_deadline(at(10));
    assert_eq!((a.deadline(), b.deadline()), (Some(at(10)), Some(at(5))));
    assert_eq!(
        *heard.lock().expect("not poisoned"),
        [at(30), at(20), at(10)]
    );
    let fence = a.fence().clone();
    a.signal();
    fence.set_deadline(now);
    assert_eq!(heard.lock().expect("not poisoned").len(), 3);
}
