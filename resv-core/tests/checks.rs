//! Each misuse is reported with both places, and the closest correct use is not.

#![cfg(all(feature = "checks", not(loom)))]

use resv_core::checks::{Misuse, Report, collect, signalling_section, timeline_ended};
use resv_core::lock::{Context, LockSet, ObjectLock};
use resv_core::{Fence, Timeline, Waited};
use std::panic::Location;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(1);
const A_MOMENT: Option<Duration> = Some(SHORT);

/// The line of the caller.
#[track_caller]
fn here() -> u32 {
    Location::caller().line()
}

/// What `f` is reported for.
fn reports(f: impl FnOnce()) -> Vec<Report> {
    collect(f).1
}

/// That there is one report, of this kind and about these lines of this file.
#[track_caller]
fn assert_one(reports: &[Report], kind: Misuse, first: u32, second: u32) {
    let found: Vec<_> = reports
        .iter()
        .inspect(|report| {
            assert_eq!(
                (report.first.file(), report.second.file()),
                (file!(), file!())
            );
        })
        .map(|report| (report.kind, report.first.line(), report.second.line()))
        .collect();
    assert_eq!(found, [(kind, first, second)], "{reports:#?}");
    let text = reports[0].to_string();
    for line in [first, second] {
        assert!(text.contains(&format!("checks.rs:{line}:")), "{text}");
    }
    assert!(text.contains("remedy: "), "{text}");
}

#[track_caller]
fn assert_none(reports: &[Report]) {
    assert!(reports.is_empty(), "a false alarm: {reports:#?}");
}

/// Takes `first`, then `second`; returns the line where the second was taken.
fn take_both(first: &ObjectLock, second: &ObjectLock) -> u32 {
    let _first = first.lock();
    let (_second, line) = (second.lock(), here());
    line
}

#[test]
fn a_wait_for_what_the_section_must_signal() {
    let ring = Timeline::new("gfx");
    let job = ring.issue().unwrap();
    let mut lines = (0, 0);
    let found = reports(|| {
        let (_section, entered) = (signalling_section(&ring), here());
        lines.0 = entered;
        let (waited, line) = (job.fence().wait(A_MOMENT), here());
        assert_eq!(waited, Waited::TimedOut);
        lines.1 = line;
    });
    assert_one(&found, Misuse::WaitInSection, lines.0, lines.1);
    assert!(found[0].message.contains("gfx:1"), "{}", found[0].message);
}

#[test]
fn a_wait_for_a_fence_that_hangs_on_the_section() {
    let (ring, other) = (Timeline::new("gfx"), Timeline::new("dma"));
    let (job, free) = (ring.issue().unwrap(), other.issue().unwrap());
    let all = Fence::all([free.fence(), job.fence()]).unwrap();
    let any = Fence::any([&all, job.fence()]).unwrap();
    let point = ring.point(5);
    for fence in [all, any, point] {
        let found = reports(|| {
            let _section = signalling_section(&ring);
            assert_eq!(fence.wait(A_MOMENT), Waited::TimedOut);
        });
        let kinds: Vec<_> = found.iter().map(|report| report.kind).collect();
        assert_eq!(kinds, [Misuse::WaitInSection], "{fence}");
    }
}

#[test]
fn waits_in_and_around_a_section_that_are_legal() {
    let (ring, other) = (Timeline::new("gfx"), Timeline::new("dma"));
    let (early, job, free) = (
        ring.issue().unwrap(),
        ring.issue().unwrap(),
        other.issue().unwrap(),
    );
    let either = Fence::any([free.fence(), job.fence()]).unwrap();
    let found = reports(|| {
        let section = signalling_section(&ring);
        // A poll; another timeline; one of two, where the other one is enough.
        assert_eq!(job.fence().wait(Some(Duration::ZERO)), Waited::TimedOut);
        assert_eq!(free.fence().wait(A_MOMENT), Waited::TimedOut);
        assert_eq!(either.wait(A_MOMENT), Waited::TimedOut);
        drop(section);
        // The section of one job: the one before it is another thread's.
        let section = signalling_section(&job);
        assert_eq!(early.fence().wait(A_MOMENT), Waited::TimedOut);
        // What has signalled.
        let fence = job.fence().clone();
        early.signal();
        job.signal();
        assert_eq!(fence.wait(None), Waited::Signaled);
        drop(section);
        // After the section.
        let last = ring.issue().unwrap();
        assert_eq!(last.fence().wait(A_MOMENT), Waited::TimedOut);
    });
    assert_none(&found);
}

#[test]
fn a_lock_in_a_section() {
    let (ring, object) = (Timeline::new("gfx"), ObjectLock::new());
    let context = Context::new();
    let takes: [&dyn Fn() -> u32; 4] = [
        &|| (object.lock(), here()).1,
        &|| (object.lock_until(SHORT).unwrap(), here()).1,
        &|| (object.lock_with(&context).unwrap(), here()).1,
        &|| {
            let set = LockSet::new(Context::new());
            (set.lock(&object).unwrap(), here()).1
        },
    ];
    for take in takes {
        let mut lines = (0, 0);
        let found = reports(|| {
            let (_section, entered) = (signalling_section(&ring), here());
            lines = (entered, take());
        });
        assert_one(&found, Misuse::LockInSection, lines.0, lines.1);
    }
}

#[test]
fn locks_around_a_section_and_tries_within_are_legal() {
    let (ring, object) = (Timeline::new("gfx"), ObjectLock::new());
    let found = reports(|| {
        let held = object.lock();
        let section = signalling_section(&ring);
        drop(held);
        drop(object.try_lock().unwrap());
        let context = Context::new();
        drop(object.try_lock_with(&context).unwrap());
        drop(section);
        drop(object.lock());
    });
    assert_none(&found);
}

#[test]
fn a_wait_under_a_lock_and_a_lock_in_the_section_need_not_meet() {
    // In both orders of time, on two threads, on two objects.
    for wait_first in [true, false] {
        let (ring, a, b) = (Timeline::new("gfx"), ObjectLock::new(), ObjectLock::new());
        let job = ring.issue().unwrap();
        let wait = || {
            let mut line = 0;
            let found = reports(|| {
                let _held = a.lock();
                let (waited, at) = (job.fence().wait(A_MOMENT), here());
                assert_eq!(waited, Waited::TimedOut);
                line = at;
            });
            (found, line)
        };
        let lock = || {
            let mut line = 0;
            let found = reports(|| {
                let _section = signalling_section(&ring);
                (_, line) = (b.lock(), here());
            });
            let (other, in_section): (Vec<_>, Vec<_>) = found
                .into_iter()
                .partition(|report| report.kind != Misuse::LockInSection);
            assert_eq!(in_section.len(), 1);
            (other, line)
        };
        let ((waits, waited), (locks, locked)) = std::thread::scope(|scope| {
            if wait_first {
                let waits = scope.spawn(wait).join().unwrap();
                (waits, lock())
            } else {
                let locks = scope.spawn(lock).join().unwrap();
                (wait(), locks)
            }
        });
        let (second, first) = if wait_first {
            (locks, waits)
        } else {
            (waits, locks)
        };
        assert_none(&first);
        assert_one(&second, Misuse::WaitHoldsLock, waited, locked);
    }
}

#[test]
fn a_wait_under_a_lock_is_legal_when_the_section_takes_none() {
    let (ring, object) = (Timeline::new("gfx"), ObjectLock::new());
    let found = reports(|| {
        let job = ring.issue().unwrap();
        {
            let _held = object.lock();
            assert_eq!(job.fence().wait(A_MOMENT), Waited::TimedOut);
        }
        let _section = signalling_section(&ring);
        job.signal();
    });
    assert_none(&found);
}

#[test]
fn two_locks_in_both_orders() {
    let (a, b) = (ObjectLock::new(), ObjectLock::new());
    let mut lines = (0, 0);
    let found = reports(|| {
        // On two threads, one after the other: no deadlock happens.
        let there = std::thread::scope(|scope| scope.spawn(|| take_both(&a, &b)).join().unwrap());
        let _b = b.lock();
        let (_a, line) = (a.lock(), here());
        lines = (there, line);
    });
    assert_one(&found, Misuse::LockOrder, lines.0, lines.1);
}

#[test]
fn a_circle_of_three_locks() {
    let locks = [(); 3].map(|()| ObjectLock::new());
    let mut line = 0;
    let found = reports(|| {
        take_both(&locks[0], &locks[1]);
        take_both(&locks[1], &locks[2]);
        let _last = locks[2].lock();
        (_, line) = (locks[0].lock(), here());
    });
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].kind, Misuse::LockOrder);
    assert_eq!(found[0].second.line(), line);
}

#[test]
fn a_plain_lock_among_those_of_a_context() {
    let (a, b) = (ObjectLock::new(), ObjectLock::new());
    let found = reports(|| {
        take_both(&a, &b);
        let context = Context::new();
        let _b = b.lock_with(&context).unwrap();
        drop(a.lock());
    });
    let kinds: Vec<_> = found.iter().map(|report| report.kind).collect();
    assert_eq!(kinds, [Misuse::LockOrder]);
}

#[test]
fn orders_that_are_legal() {
    let (a, b, gate) = (ObjectLock::new(), ObjectLock::new(), ObjectLock::new());
    let found = reports(|| {
        // One order, more than once.
        take_both(&a, &b);
        take_both(&a, &b);
        // One context, in the other order.
        let context = Context::new();
        drop((
            b.lock_with(&context).unwrap(),
            a.lock_with(&context).unwrap(),
        ));
        let set = LockSet::new(Context::new());
        set.lock(&b).unwrap();
        set.lock(&a).unwrap();
        drop(set);
        // A try and a timeout in the other order.
        let held = b.lock();
        drop(a.try_lock().unwrap());
        drop(a.lock_until(SHORT).unwrap());
        drop(held);
        // Released in between.
        drop(b.lock());
        drop(a.lock());
    });
    assert_none(&found);
    let (a, b) = (ObjectLock::new(), ObjectLock::new());
    let found = reports(|| {
        // Both orders, each under a common lock.
        let held = gate.lock();
        take_both(&a, &b);
        drop(held);
        let held = gate.lock();
        take_both(&b, &a);
        drop(held);
    });
    assert_none(&found);
}

/// Each lock held is a gate of each order, so with many none is learnt: a miss.
#[test]
fn a_thread_with_many_locks_learns_no_order() {
    for (many, expected) in [(64, 1), (65, 0)] {
        let locks: Vec<_> = (0..=many).map(|_| ObjectLock::new()).collect();
        let found = reports(|| {
            let held: Vec<_> = locks[..many].iter().map(ObjectLock::lock).collect();
            drop((locks[many].lock(), held));
            take_both(&locks[many], &locks[0]);
        });
        assert_eq!(found.len(), expected, "{many} held: {found:#?}");
    }
}

#[test]
fn a_lock_in_the_place_of_a_dead_one_has_no_order_yet() {
    let other = ObjectLock::new();
    let found = reports(|| {
        let mut object = Box::new(ObjectLock::new());
        take_both(&object, &other);
        *object = ObjectLock::new(); // at the same address
        take_both(&other, &object);
    });
    assert_none(&found);
}

#[test]
fn a_lock_that_the_thread_holds() {
    let object = ObjectLock::new();
    let mut lines = (0, 0);
    let found = reports(|| {
        let (_held, taken) = (object.lock(), here());
        let (again, line) = (object.lock_until(SHORT), here());
        assert!(again.is_none());
        lines = (taken, line);
    });
    assert_one(&found, Misuse::Relock, lines.0, lines.1);
}

#[test]
fn a_lock_that_the_context_holds_is_answered_and_not_reported() {
    let object = ObjectLock::new();
    let found = reports(|| {
        let context = Context::new();
        let _held = object.lock_with(&context).unwrap();
        assert!(object.lock_with(&context).is_err());
        assert!(object.try_lock().is_none());
    });
    assert_none(&found);
}

#[test]
fn a_context_that_is_dropped_and_holds_a_lock() {
    let objects = [ObjectLock::new(), ObjectLock::new()];
    let mut lines = (0, 0);
    let found = reports(|| {
        let (context, made) = (Context::new(), here());
        let (leaked, taken) = (objects[0].lock_with(&context).unwrap(), here());
        std::mem::forget(leaked);
        drop(objects[1].lock_with(&context).unwrap());
        lines = (made, taken);
    });
    assert_one(&found, Misuse::ContextDropped, lines.0, lines.1);
    // The thread goes on without it.
    assert_none(&reports(|| drop(objects[1].lock())));
}

#[test]
fn a_context_that_released_everything_is_legal_to_drop() {
    let objects = [ObjectLock::new(), ObjectLock::new()];
    let found = reports(|| {
        let context = Context::new();
        let held = objects[0].lock_with(&context).unwrap();
        drop(held);
        drop(context);
        let set = LockSet::new(Context::new());
        set.lock(&objects[1]).unwrap();
        set.lock(&objects[0]).unwrap();
        drop(set); // with what it holds
        let set = LockSet::new(Context::new());
        set.lock(&objects[0]).unwrap();
        let held = set.into_proofs(); // the context goes, the locks stay
        drop(held);
    });
    assert_none(&found);
}

#[test]
fn a_timeline_that_ended_with_nothing_added_is_legal() {
    let ring = Timeline::new("gfx");
    let found = reports(|| {
        let job = ring.issue().unwrap();
        std::mem::forget(job); // nobody was told
        timeline_ended(&ring);
    });
    assert_none(&found);
}

#[test]
fn reports_go_to_the_handler_once_for_a_pair_of_places() {
    use std::sync::{Arc, Mutex};
    let told = Arc::new(Mutex::new(Vec::new()));
    let in_handler = Arc::clone(&told);
    let me = std::thread::current().id();
    let object = Arc::new(ObjectLock::new());
    let again = Arc::clone(&object);
    resv_core::checks::set_handler(move |report| {
        // What the handler does is not reported, so this does not recurse.
        drop(again.lock());
        if std::thread::current().id() == me {
            in_handler.lock().unwrap().push(report.clone());
        }
    });
    let ring = Timeline::new("gfx");
    let _section = signalling_section(&ring);
    for _ in 0..3 {
        drop(object.lock());
    }
    drop(object.lock());
    let kinds: Vec<_> = told.lock().unwrap().iter().map(|r| r.kind).collect();
    assert_eq!(
        kinds,
        [Misuse::LockInSection; 2],
        "two places, one of them thrice"
    );
}

#[test]
fn a_fence_that_signals_before_an_earlier_one() {
    for fails in [false, true] {
        let ring = Timeline::new("gfx");
        let (early, issued) = (ring.issue().expect("a seqno is left"), here());
        let later = ring.issue().expect("a seqno is left");
        let mut signalled = 0;
        let found = reports(|| match fails {
            true => {
                signalled = here() + 1;
                later.signal_error(resv_core::FenceError::IO);
            }
            false => {
                signalled = here() + 1;
                later.signal();
            }
        });
        assert_one(&found, Misuse::OutOfOrder, issued, signalled);
        assert!(found[0].message.contains("fence gfx:2"), "{}", found[0]);
        assert_none(&reports(|| early.signal()));
    }
}

#[test]
fn signals_in_order_are_legal_and_so_is_giving_up_in_any() {
    let found = reports(|| {
        let (ring, other) = (Timeline::new("gfx"), Timeline::new("dma"));
        let jobs: Vec<_> = (0..4)
            .map(|_| ring.issue().expect("a seqno is left"))
            .collect();
        let mut foreign: Vec<_> = (0..2).map(|_| other.issue()).collect();
        let counted = ring.issue_counted().expect("a seqno is left");
        drop(foreign.pop()); // the later one is canceled first
        let mut jobs = jobs.into_iter();
        jobs.next().expect("four").signal();
        ring.point(9); // nobody has promised it
        ring.attach(7, counted_elsewhere().fence())
            .expect("attached");
        jobs.next()
            .expect("four")
            .signal_error(resv_core::FenceError::IO);
        ring.fail_all(resv_core::FenceError::IO);
        jobs.for_each(resv_core::Signaler::signal);
        assert!(counted.is_signaled());
    });
    assert_none(&found);
}

fn counted_elsewhere() -> resv_core::Signaler {
    Timeline::new("elsewhere").issue().expect("a seqno is left")
}

/// Fences of one timeline that threads signal in order, each as soon as the one before has signalled.
#[test]
fn signals_in_order_by_many_threads_are_legal() {
    for _ in 0..50 {
        let ring = Timeline::new("gfx");
        let jobs: Vec<_> = (0..4)
            .map(|_| ring.issue().expect("a seqno is left"))
            .collect();
        let found = std::thread::scope(|scope| {
            let mut before = None::<Fence>;
            let run = |job: resv_core::Signaler, before: Option<Fence>| {
                reports(move || {
                    while before.as_ref().is_some_and(|before| !before.is_signaled()) {
                        std::thread::yield_now();
                    }
                    job.signal();
                })
            };
            let threads: Vec<_> = jobs
                .into_iter()
                .map(|job| {
                    let before = before.replace(job.fence().clone());
                    scope.spawn(move || run(job, before))
                })
                .collect();
            let each = threads
                .into_iter()
                .map(|thread| thread.join().expect("it ends"));
            each.flatten().collect::<Vec<_>>()
        });
        assert_none(&found);
    }
}
