//! Blocking waits: what they cover, how they end, and that they leave nothing behind.
//!
//! Time limits are watchdogs or zero; nothing is asserted about how long anything takes.

use resv_api::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough that only a hang gets there.
const WATCHDOG: Duration = Duration::from_secs(60);
/// Short enough to let pass in a test.
const SHORT: Duration = Duration::from_millis(2);

fn job(name: &str) -> Signaler {
    Timeline::new(name).issue().unwrap()
}

fn fences(jobs: &[Signaler]) -> Vec<Fence> {
    jobs.iter().map(|job| job.fence().clone()).collect()
}

fn add<S: Semantics + Default, B: Backend + Default>(
    resv: &Resv<S, B>,
    fence: &Fence,
    usage: Usage,
) {
    resv.lock().reserve(1).unwrap().add(fence, usage);
}

#[test]
fn all_waits_for_the_last_and_reports_the_first_error_in_order() {
    let mut jobs: Vec<_> = (0..4).map(|_| job("t")).collect();
    let fences = fences(&jobs);
    assert_eq!(wait_all(&fences, Duration::ZERO), Waited::TimedOut);
    jobs.remove(3)
        .signal_error(FenceError::from_errno(7).unwrap());
    assert_eq!(wait_all(&fences, SHORT), Waited::TimedOut);
    jobs.remove(1).signal_error(FenceError::IO);
    thread::scope(|scope| {
        scope.spawn(|| jobs.into_iter().for_each(Signaler::signal));
        assert_eq!(wait_all(&fences, WATCHDOG), Waited::Failed(FenceError::IO));
    });
    assert_eq!(
        wait_all(&fences, Duration::ZERO),
        Waited::Failed(FenceError::IO)
    );
    assert_eq!(wait_all::<[Fence]>(&[], Duration::ZERO), Waited::Signaled);
}

#[test]
fn any_names_the_member() {
    let mut jobs: Vec<_> = (0..3).map(|_| job("t")).collect();
    let fences = fences(&jobs);
    assert_eq!(wait_any(&fences, Duration::ZERO), WaitedAny::TimedOut);
    assert_eq!(wait_any(&fences, SHORT), WaitedAny::TimedOut);
    assert_eq!(wait_any::<Fence>(&[], None), WaitedAny::TimedOut);
    let last = jobs.pop().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| last.signal_error(FenceError::IO));
        assert_eq!(
            wait_any(&fences, WATCHDOG),
            WaitedAny::Failed(2, FenceError::IO)
        );
    });
    jobs.remove(0).signal();
    let found = wait_any(&fences, Duration::ZERO);
    assert_eq!((found.index(), found.waited()), (Some(0), Waited::Signaled));
}

#[test]
fn a_member_of_any_is_ready_when_all_of_it_is() {
    let (a, b, c) = (job("a"), job("b"), job("c"));
    let (left, right) = (Resv::new(), Resv::new());
    add(&left, a.fence(), Usage::Write);
    add(&left, b.fence(), Usage::Read);
    add(&right, c.fence(), Usage::Write);
    let buffers = [
        left.waits_for(Access::Write),
        right.waits_for(Access::Write),
    ];
    a.signal();
    assert_eq!(wait_any(&buffers, SHORT), WaitedAny::TimedOut);
    thread::scope(|scope| {
        scope.spawn(|| b.signal());
        assert_eq!(wait_any(&buffers, WATCHDOG), WaitedAny::Signaled(0));
    });
    assert_eq!(
        wait_all(&(&buffers[0], &buffers[1]), SHORT),
        Waited::TimedOut
    );
    assert_eq!(c.fence().status(), FenceStatus::Pending);
}

#[test]
fn an_error_in_one_fence_does_not_end_the_wait_for_the_others() {
    let (bad, slow) = (job("bad"), job("slow"));
    let both = [bad.fence().clone(), slow.fence().clone()];
    drop(bad);
    assert_eq!(wait_all(&both, SHORT), Waited::TimedOut);
    slow.signal();
    assert_eq!(wait_all(&both, None), Waited::Failed(FenceError::CANCELED));
}

#[test]
fn zero_and_past_deadlines_are_pure_polls() {
    let job = job("t");
    let fence = job.fence().clone();
    let resv = Resv::new();
    add(&resv, &fence, Usage::Write);
    let past = Instant::now();
    assert_eq!(wait_all(&fence, past), Waited::TimedOut);
    assert_eq!(wait_any(&[&fence], past), WaitedAny::TimedOut);
    for until in [Until::Timeout(Duration::ZERO), Until::Deadline(past)] {
        assert_eq!(resv.wait(Access::Read, until), Waited::TimedOut);
        assert_eq!(resv.wait_until_idle(Access::Read, until), Waited::TimedOut);
        assert_eq!(resv.snapshot().wait(until), Waited::TimedOut);
        assert_eq!(resv.wait(Access::Explicit, until), Waited::Signaled);
    }
    job.signal();
    assert_eq!(wait_all(&fence, past), Waited::Signaled);
    assert_eq!(resv.wait(Access::Read, past), Waited::Signaled);
    assert_eq!(resv.wait_until_idle(Access::Read, past), Waited::Signaled);
}

#[test]
fn a_timeout_beyond_the_clock_is_for_ever() {
    let job = job("t");
    let fence = job.fence().clone();
    thread::scope(|scope| {
        scope.spawn(|| job.signal());
        assert_eq!(wait_all(&fence, Duration::MAX), Waited::Signaled);
    });
}

/// Signals its fence when it has been shown for the `at`th time: for a blocking wait the second time
/// is between the look and the registration.
struct Racy {
    fence: Fence,
    job: Mutex<Option<Signaler>>,
    shown: AtomicUsize,
    at: usize,
}

impl Racy {
    fn new(at: usize) -> Racy {
        let job = job("racy");
        Racy {
            fence: job.fence().clone(),
            job: Mutex::new(Some(job)),
            shown: AtomicUsize::new(0),
            at,
        }
    }
}

impl Waitable for Racy {
    fn visit_fences(&self, visit: &mut dyn FnMut(&Fence)) {
        visit(&self.fence);
        if self.shown.fetch_add(1, Ordering::SeqCst) + 1 == self.at
            && let Some(job) = self.job.lock().unwrap().take()
        {
            job.signal();
        }
    }
}

/// Runs a wait without a time limit, and fails if it is never woken. (With one, a lost wake-up would
/// only be late: a waiter that wakes at the deadline still finds the fence signalled.)
fn woken<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(wait()));
    receiver
        .recv_timeout(WATCHDOG)
        .expect("a wait was never woken")
}

#[test]
fn a_fence_that_signals_between_the_look_and_the_registration_is_not_missed() {
    for at in [1, 2] {
        let all = woken(move || wait_all(&Racy::new(at), None));
        assert_eq!(all, Waited::Signaled);
        let any = woken(move || wait_any(&[Racy::new(0), Racy::new(at)], None));
        assert_eq!(any, WaitedAny::Signaled(1));
    }
}

#[test]
fn stress_signals_and_waits_race() {
    for round in 0..300 {
        let jobs: Vec<_> = (0..3).map(|_| job("t")).collect();
        let fences = fences(&jobs);
        let signallers: Vec<_> = jobs
            .into_iter()
            .map(|job| thread::spawn(|| job.signal()))
            .collect();
        woken(move || {
            if round % 2 == 0 {
                let any = wait_any(&fences, None);
                assert!(fences[any.index().unwrap()].is_signaled());
            }
            assert_eq!(wait_all(&fences, None), Waited::Signaled);
        });
        for signaller in signallers {
            signaller.join().unwrap();
        }
    }
}

/// `first`, and as soon as it signals, before any waiter is woken, `second`.
fn chain(resv: &Arc<Resv>, first: &Signaler, second: &Signaler) {
    add(resv, first.fence(), Usage::Write);
    let (resv, fence) = (Arc::clone(resv), second.fence().clone());
    let adds = move |_| add(&resv, &fence, Usage::Write);
    first.fence().on_signal(adds).unwrap();
}

#[test]
fn a_wait_does_not_cover_fences_added_later() {
    let resv = Arc::new(Resv::new());
    let (first, second) = (job("a"), job("b"));
    chain(&resv, &first, &second);
    let snapshot = resv.waits_for(Access::Read);
    thread::scope(|scope| {
        scope.spawn(|| first.signal());
        assert_eq!(snapshot.wait(WATCHDOG), Waited::Signaled);
    });
    assert!(!resv.is_idle(Access::Read));
    assert_eq!(resv.wait_until_idle(Access::Read, SHORT), Waited::TimedOut);
    drop(second);
}

#[test]
fn wait_until_idle_covers_fences_added_later() {
    for fails in [false, true] {
        let resv: Resv = Resv::new();
        let (asleep, is_asleep) = mpsc::channel();
        // The hook runs when the waiter begins to wait, so after it has seen the first fence alone.
        let hook = move || asleep.send(()).unwrap();
        let first = Timeline::new("a").issue_lazy(hook).unwrap();
        let second = job("b");
        let last = second.fence().clone();
        add(&resv, first.fence(), Usage::Write);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let waited = resv.wait_until_idle(Access::Read, WATCHDOG);
                (waited, last.is_signaled())
            });
            is_asleep.recv().unwrap();
            // From here on something is pending at every instant until the second signals.
            add(&resv, second.fence(), Usage::Write);
            // An error does not end it either.
            if fails {
                first.signal_error(FenceError::IO);
            } else {
                first.signal();
            }
            // Leaves time to one that stops after the first.
            (0..20).for_each(|_| thread::yield_now());
            second.signal_error(FenceError::IO);
            let (waited, last_signaled) = waiter.join().unwrap();
            assert!(last_signaled, "ended before the object was idle");
            assert!(waited.is_signaled());
        });
    }
}

#[test]
fn an_error_from_before_the_wait_is_not_the_waiters() {
    let resv = Resv::new();
    let (bad, slow) = (job("bad"), job("slow"));
    add(&resv, bad.fence(), Usage::Write);
    add(&resv, slow.fence(), Usage::Write);
    drop(bad);
    thread::scope(|scope| {
        scope.spawn(|| slow.signal());
        assert_eq!(resv.wait(Access::Read, WATCHDOG), Waited::Signaled);
    });
}

#[test]
fn adders_are_not_delayed_by_a_waiter() {
    let resv = Resv::new();
    let (first, second) = (job("a"), job("b"));
    add(&resv, first.fence(), Usage::Write);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(resv.wait(Access::Read, WATCHDOG), Waited::Signaled));
        // Would not come back while a waiter held the lock: `first` is signalled after it.
        add(&resv, second.fence(), Usage::Read);
        second.signal();
        first.signal();
    });
}

/// The thread runs a callback at a time, so a wait in one must run what comes after it first.
#[test]
fn a_wait_inside_a_callback_ends_by_what_that_callback_brought_about() {
    let (first, second, last) = (job("a"), job("b"), job("c"));
    let waits_for = last.fence().clone();
    let signals_last = second.fence().on_signal(move |_| last.signal());
    assert!(signals_last.is_ok());
    let waits = first.fence().on_signal(move |_| {
        second.signal();
        assert_eq!(wait_all(&[waits_for], WATCHDOG), Waited::Signaled);
    });
    assert!(waits.is_ok());
    first.signal();
}
