//! Chains of fences by foreign code: callbacks that signal, hooks that ask, closures that own signalers.
//! All of any length, in the small stack that these tests give their thread. And what panics do.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const LENGTH: usize = 200_000;

/// Runs `f` with a stack of 128 KiB: less than a byte for each link.
fn with_small_stack(f: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn(f);
    thread
        .expect("a thread")
        .join()
        .expect("the stack was enough");
}

fn issue() -> Signaler {
    Timeline::new("link").issue().expect("a seqno is left")
}

fn on_signal(fence: &Fence, callback: impl FnOnce(FenceStatus) + Send + 'static) {
    assert!(fence.on_signal(callback).is_ok());
}

/// Fences of which each has a callback that signals the next one; returns the first signaler and the last
/// fence.
fn callback_chain(length: usize) -> (Signaler, Fence) {
    let mut next = issue();
    let last = next.fence().clone();
    for _ in 1..length {
        let job = issue();
        on_signal(job.fence(), move |status| match status {
            FenceStatus::Error(error) => next.signal_error(error),
            _ => next.signal(),
        });
        next = job;
    }
    (next, last)
}

#[test]
fn a_chain_of_callbacks_that_signal_needs_no_stack() {
    with_small_stack(|| {
        let (first, last) = callback_chain(LENGTH);
        first.signal();
        assert_eq!(last.status(), FenceStatus::Signaled);
    });
}

#[test]
fn a_chain_that_is_dropped_needs_no_stack() {
    with_small_stack(|| {
        let (first, last) = callback_chain(LENGTH);
        drop(first);
        assert_eq!(last.status(), FenceStatus::Error(FenceError::CANCELED));
        // A callback that is taken back takes a chain along.
        let (first, last) = callback_chain(LENGTH);
        let job = issue();
        let id = job.fence().on_signal(move |_| first.signal());
        assert!(job.fence().cancel(id.expect("pending")));
        assert_eq!(last.status(), FenceStatus::Error(FenceError::CANCELED));
    });
}

#[test]
fn a_chain_of_lazy_hooks_needs_no_stack() {
    with_small_stack(|| {
        // Hook n asks fence n + 1, which signals fence n.
        let own = Arc::new(Mutex::new(None::<Signaler>));
        let in_hook = Arc::clone(&own);
        let signal_itself = move || {
            let job = in_hook.lock().expect("not poisoned").take();
            job.expect("shared").signal();
        };
        let lazy = |hook: Box<dyn FnOnce() + Send>| {
            let job = Timeline::new("lazy").issue_lazy(hook);
            job.expect("a seqno is left")
        };
        let last = lazy(Box::new(signal_itself));
        let mut next = last.fence().clone();
        *own.lock().expect("not poisoned") = Some(last);
        for _ in 1..LENGTH {
            let job = Arc::new(Mutex::new(None::<Signaler>));
            let (in_hook, asked) = (Arc::clone(&job), next);
            let issued = lazy(Box::new(move || {
                let job = in_hook.lock().expect("not poisoned").take();
                on_signal(&asked, move |_| job.expect("shared").signal());
            }));
            next = issued.fence().clone();
            *job.lock().expect("not poisoned") = Some(issued);
        }
        assert_eq!(next.wait(None), Waited::Signaled);
    });
}

#[test]
fn a_chain_of_hooks_that_are_never_called_needs_no_stack() {
    with_small_stack(|| {
        let mut next = issue();
        let last = next.fence().clone();
        for _ in 1..LENGTH {
            let job = Timeline::new("lazy").issue_lazy(move || next.signal());
            next = job.expect("a seqno is left");
        }
        // Each hook owns the next signaler, and is dropped with its fence.
        next.signal();
        assert_eq!(last.status(), FenceStatus::Error(FenceError::CANCELED));
    });
}

#[test]
fn a_chain_of_deadline_hooks_needs_no_stack() {
    with_small_stack(|| {
        let jobs: Vec<_> = (0..LENGTH).map(|_| issue()).collect();
        for pair in jobs.windows(2) {
            let next = pair[1].fence().clone();
            pair[0].on_deadline(move |deadline| next.set_deadline(deadline));
        }
        let now = Instant::now();
        jobs[0].fence().set_deadline(now);
        assert_eq!(jobs[LENGTH - 1].deadline(), Some(now));
    });
}

/// The order of foreign code, as the log of one signal.
#[test]
fn f_02_callbacks_run_one_after_the_other_in_the_order_of_the_signals() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let write = |what: &'static str| {
        let log = Arc::clone(&log);
        move || log.lock().expect("not poisoned").push(what)
    };
    let (a, b, c) = (issue(), issue(), issue());
    for (fence, names) in [(b.fence(), ["b1", "b2"]), (c.fence(), ["c1", "c2"])] {
        for name in names {
            let write = write(name);
            on_signal(fence, move |_| write());
        }
    }
    let first = a.fence().clone();
    let (begins, ends, second) = (write("a1 begins"), write("a1 ends"), write("a2"));
    on_signal(&first, move |_| {
        begins();
        let seen = [b.fence().clone(), c.fence().clone()];
        c.signal();
        b.signal();
        // The state changes at once.
        assert!(seen.iter().all(Fence::is_signaled));
        ends();
    });
    on_signal(&first, move |_| second());
    a.signal();
    assert_eq!(
        *log.lock().expect("not poisoned"),
        ["a1 begins", "a1 ends", "a2", "c1", "c2", "b1", "b2"]
    );
}

/// What the wait is for comes about by a callback that the thread has yet to run.
#[test]
fn a_wait_inside_a_callback_runs_what_is_queued_first() {
    let (a, b, c) = (issue(), issue(), issue());
    let waits_for = c.fence().clone();
    on_signal(b.fence(), move |_| c.signal());
    let waited = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&waited);
    on_signal(a.fence(), move |_| {
        b.signal();
        assert!(!waits_for.is_signaled());
        assert_eq!(waits_for.wait(None), Waited::Signaled);
        count.fetch_add(1, Ordering::Relaxed);
    });
    a.signal();
    assert_eq!(waited.load(Ordering::Relaxed), 1);
}

#[test]
fn a_lazy_fence_is_asked_by_a_wait_inside_a_callback() {
    let job = Arc::new(Mutex::new(None::<Signaler>));
    let in_hook = Arc::clone(&job);
    let lazy = Timeline::new("lazy").issue_lazy(move || {
        let job = in_hook.lock().expect("not poisoned").take();
        job.expect("shared").signal();
    });
    let lazy = lazy.expect("a seqno is left");
    let fence = lazy.fence().clone();
    *job.lock().expect("not poisoned") = Some(lazy);
    let outer = issue();
    let waited = fence.clone();
    on_signal(outer.fence(), move |_| {
        assert_eq!(waited.wait(None), Waited::Signaled);
    });
    outer.signal();
    assert!(fence.is_signaled());
}

/// A payload that panics when it is dropped, with another such payload.
struct Bomb(usize);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::panic_any(Bomb(self.0 - 1));
        }
    }
}

#[test]
fn panics_keep_nothing_from_running_and_their_payloads_do_not_escape() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = || {
        let runs = Arc::clone(&runs);
        move || runs.fetch_add(1, Ordering::Relaxed)
    };
    let (a, b) = (issue(), issue());
    on_signal(a.fence(), |_| panic!("the first"));
    let ran = count();
    on_signal(b.fence(), move |_| {
        ran();
        std::panic::panic_any(Bomb(3));
    });
    let ran = count();
    on_signal(a.fence(), move |_| {
        b.signal(); // returns: its callbacks come later
        ran();
        std::panic::panic_any(Bomb(3));
    });
    let ran = count();
    on_signal(a.fence(), move |_| {
        ran();
    });
    let panic = catch_unwind(AssertUnwindSafe(|| a.signal())).expect_err("it goes on");
    assert_eq!(panic.downcast_ref(), Some(&"the first"));
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    // Nothing is left in the queue, and it works as before.
    let (first, last) = callback_chain(3);
    first.signal();
    assert!(last.is_signaled());
}

/// Unwinding already: no panic goes on, and a payload that panics does not abort.
#[test]
fn a_signaler_dropped_by_a_panic_swallows_the_panics_of_callbacks() {
    let job = issue();
    on_signal(job.fence(), |_| std::panic::panic_any(Bomb(1)));
    let fence = job.fence().clone();
    let panic = catch_unwind(AssertUnwindSafe(move || {
        let _job = job;
        panic!("the program's own");
    }));
    let panic = panic.expect_err("it goes on");
    assert_eq!(panic.downcast_ref(), Some(&"the program's own"));
    assert_eq!(fence.status(), FenceStatus::Error(FenceError::CANCELED));
}

/// The queue is there as long as the thread is, also for other thread-locals that end.
#[test]
fn a_fence_that_signals_at_the_end_of_a_thread_runs_its_chain() {
    struct AtExit(std::cell::RefCell<Option<Signaler>>);
    thread_local! {
        static AT_EXIT: AtExit = const { AtExit(std::cell::RefCell::new(None)) };
    }
    let (first, last) = callback_chain(LENGTH);
    with_small_stack(move || AT_EXIT.with(|at_exit| *at_exit.0.borrow_mut() = Some(first)));
    assert_eq!(last.status(), FenceStatus::Error(FenceError::CANCELED));
}
