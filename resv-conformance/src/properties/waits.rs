//! Waits for an object, for many, and for whatever is ready first: sections 1.5 and 7.4.
//!
//! Waiting is written in `resv-api`; what a back end can spoil is the set that a wait is about: that
//! of the instant of its start, owned, in full.

use crate::support::{A_MOMENT, AGES, add, add_fence, entries, is_busy, lone_job};
use crate::{Object, Subject};
use resv_api::{
    Access, FenceError, Signaler, Timeline, Usage, Waitable, Waited, WaitedAny, wait_all, wait_any,
};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Objects with one pending writer each.
fn busy(on: Subject, count: usize) -> (Vec<Object>, Vec<Signaler>) {
    let objects = on.objects(count);
    let jobs: Vec<_> = (0..count).map(|_| lone_job()).collect();
    for (object, job) in objects.iter().zip(&jobs) {
        add(object, job, Usage::Write);
    }
    (objects, jobs)
}

/// With no time at all every wait is a look, and agrees with the others; so it is with a
/// deadline that has passed.
pub fn zero_is_a_poll_of_one_object_and_of_many(on: Subject) {
    let (objects, jobs) = busy(on, 3);
    for (number, job) in jobs.into_iter().enumerate() {
        let sets: Vec<_> = objects.iter().map(|it| it.waits_for(on.read())).collect();
        // Of the three, those before this one are idle.
        for (at, object) in objects.iter().enumerate() {
            let expected = if at < number {
                Waited::Signaled
            } else {
                Waited::TimedOut
            };
            let past = Instant::now();
            assert_eq!(object.wait(on.read(), Duration::ZERO), expected);
            assert_eq!(object.wait(on.read(), past), expected);
            assert_eq!(object.wait_until_idle(on.read(), past), expected);
            assert_eq!(sets[at].wait(Duration::ZERO), expected);
            assert_eq!(wait_all(&sets[at], past), expected);
        }
        assert_eq!(wait_all(&sets, Duration::ZERO), Waited::TimedOut);
        let any = wait_any(&sets, Duration::ZERO);
        let expected = if number == 0 {
            WaitedAny::TimedOut
        } else {
            WaitedAny::Signaled(0)
        };
        assert_eq!(any, expected);
        job.signal();
    }
    let sets: Vec<_> = objects.iter().map(|it| it.waits_for(on.read())).collect();
    assert_eq!(wait_all(&sets, Duration::ZERO), Waited::Signaled);
    assert_eq!(wait_any(&sets, Duration::ZERO), WaitedAny::Signaled(0));
}

/// Signalled, signalled with an error and timed out are three answers; of what a wait
/// covers the first error is told.
pub fn signalled_failed_and_timed_out_are_told_apart(on: Subject) {
    let (objects, mut jobs) = busy(on, 4);
    let hang = FenceError::from_errno(110).expect("an errno");
    let sets: Vec<_> = objects.iter().map(|it| it.waits_for(on.write())).collect();
    let named: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
    let short = A_MOMENT / 100;
    jobs.pop().expect("four").signal_error(FenceError::IO);
    jobs.pop().expect("three").signal_error(hang);
    jobs.pop().expect("two").signal();
    assert_eq!(sets[0].wait(short), Waited::TimedOut);
    assert_eq!(sets[1].wait(short), Waited::Signaled);
    assert_eq!(named[2].wait(Some(short)), Waited::Failed(hang));
    assert_eq!(
        wait_all(&named, short),
        Waited::TimedOut,
        "not an error yet"
    );
    assert_eq!(wait_all(&named[1..], short), Waited::Failed(hang));
    assert_eq!(wait_any(&named, short), WaitedAny::Signaled(1));
    assert_eq!(wait_any(&named[2..], short), WaitedAny::Failed(0, hang));
    assert_eq!(wait_any(&named[..1], short), WaitedAny::TimedOut);
    // What failed before the wait began is not part of it, unless the caller names it.
    assert_eq!(objects[2].wait(on.write(), short), Waited::Signaled);
    assert_eq!(sets[2].wait(short), Waited::Signaled);
    assert_eq!(wait_all(&sets[1..], short), Waited::Signaled);
    assert_eq!(wait_any(&sets[2..], short), WaitedAny::Signaled(0));
    let mut begun = pin!(sets[0].when_signaled());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(begun.as_mut().poll(&mut cx).is_pending());
    drop(jobs);
    let canceled = Waited::Failed(FenceError::CANCELED);
    assert_eq!(begun.as_mut().poll(&mut cx), Poll::Ready(canceled));
    assert_eq!(sets[0].wait(short), Waited::Signaled);
}

/// Runs `wait` on another thread, signals `jobs` one by one, and asserts that it ends with the one of
/// that number and not before: as far as a thread that has been given time shows.
fn ends_with<T: Send>(jobs: Vec<Signaler>, ends: usize, wait: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let (begin, begins) = mpsc::channel();
        let waiter = scope.spawn(move || {
            begin.send(()).expect("somebody listens");
            wait()
        });
        begins.recv().expect("it begins");
        let mut jobs = jobs.into_iter();
        for job in jobs.by_ref().take(ends) {
            thread::sleep(A_MOMENT / 20);
            assert!(!waiter.is_finished(), "something is pending still");
            job.signal();
        }
        thread::sleep(A_MOMENT / 20);
        assert!(!waiter.is_finished(), "the last one is pending still");
        jobs.by_ref().take(1).for_each(Signaler::signal);
        let told = waiter.join().expect("no panic");
        drop(jobs);
        told
    })
}

/// A wait for many objects ends with the last fence of them all, in whatever order they signal.
pub fn all_waits_for_the_last_object(on: Subject) {
    for reversed in [false, true] {
        let (objects, mut jobs) = busy(on, 3);
        let second = lone_job();
        add(&objects[1], &second, Usage::Read);
        jobs.push(second);
        if reversed {
            jobs.reverse();
        }
        let sets: Vec<_> = objects.iter().map(|it| it.waits_for(on.write())).collect();
        let told = ends_with(jobs, 3, || wait_all(&sets, AGES));
        assert_eq!(told, Waited::Signaled);
        assert!(objects.iter().all(|object| !is_busy(object, Access::Move)));
    }
}

/// A wait for any of several ends when one is idle: all of its fences have signalled, of whatever is
/// pending in the others.
pub fn any_waits_for_the_first_object(on: Subject) {
    let (objects, mut jobs) = busy(on, 3);
    let second = lone_job();
    add(&objects[2], &second, Usage::Read);
    let sets: Vec<_> = objects.iter().map(|it| it.waits_for(on.write())).collect();
    let both_of_the_last = vec![jobs.pop().expect("three"), second];
    let told = ends_with(both_of_the_last, 1, || wait_any(&sets, AGES));
    assert_eq!(told, WaitedAny::Signaled(2));
    assert!(is_busy(&objects[0], on.read()) && is_busy(&objects[1], on.read()));
}

/// `first` in the object, and as soon as it signals, before any waiter is woken, `second`: something
/// is pending at every instant until both have signalled.
fn chain(object: &Arc<Object>, first: &Signaler, second: &Signaler) {
    add(object, first, Usage::Write);
    let (inside, next) = (Arc::clone(object), second.fence().clone());
    let adds = first
        .fence()
        .on_signal(move |_| add_fence(&inside, &next, Usage::Write));
    adds.expect("it is pending");
}

/// A wait is about the instant of its start: what is added later is not waited for.
pub fn a_wait_covers_the_instant_of_its_start(on: Subject) {
    let object = Arc::new(on.object());
    let (first, second) = (lone_job(), lone_job());
    chain(&object, &first, &second);
    let sets = [object.waits_for(on.read())];
    let told = ends_with(vec![first], 0, || {
        let wait = object.waits_for(on.read()).wait(AGES);
        let zero = Duration::ZERO;
        (wait, wait_all(&sets, zero), wait_any(&sets, zero))
    });
    let ended = (Waited::Signaled, Waited::Signaled, WaitedAny::Signaled(0));
    assert_eq!(told, ended);
    assert!(is_busy(&object, on.read()), "the second is at work");
    assert_eq!(entries(&object).len(), 1);
    second.signal();
}

/// The wait that follows has its own name: it ends when the object was idle, whatever is added
/// meanwhile.
pub fn a_wait_that_follows_covers_what_comes_later(on: Subject) {
    let object = Arc::new(on.object());
    let (first, second) = (lone_job(), lone_job());
    chain(&object, &first, &second);
    let told = ends_with(vec![first, second], 1, || {
        object.wait_until_idle(on.read(), AGES)
    });
    assert_eq!(told, Waited::Signaled);
    assert!(!is_busy(&object, Access::Move));
}

/// Any number of waiters wait for one object, each for its own access; a writer that adds is not held up.
pub fn many_waiters_wait_for_one_object(on: Subject) {
    let object = on.object();
    let writer = lone_job();
    add(&object, &writer, Usage::Write);
    thread::scope(|scope| {
        let (begin, begins) = mpsc::channel();
        let waiters: Vec<_> = (0..12)
            .map(|number| {
                let (begin, object) = (begin.clone(), &object);
                let access = [Access::Read, Access::Write, Access::Move][number % 3];
                scope.spawn(move || {
                    begin.send(()).expect("somebody listens");
                    object.wait(access, AGES)
                })
            })
            .collect();
        waiters
            .iter()
            .for_each(|_| begins.recv().expect("they begin"));
        // Nobody signals before these have been added: a waiter that kept the lock would hang.
        let readers: Vec<_> = (0..8).map(|_| lone_job()).collect();
        for reader in &readers {
            add(&object, reader, Usage::Read);
        }
        readers.into_iter().for_each(Signaler::signal);
        writer.signal();
        for waiter in waiters {
            assert_eq!(waiter.join().expect("no panic"), Waited::Signaled);
        }
    });
    assert!(!is_busy(&object, Access::Move));
}

/// A wait that timed out, and a future that was dropped, leave the object and its fences as they were:
/// the next wait works, and the fences are freed when the object gives them up.
pub fn a_wait_that_ends_early_leaves_nothing_behind(on: Subject) {
    let object = on.object();
    let timeline = Timeline::new("gfx");
    let job = crate::support::job(&timeline);
    let watched = [crate::support::Watched::new(job.fence())];
    add(&object, &job, Usage::Write);
    let before = entries(&object);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..20 {
        let short = Duration::from_micros(20);
        assert_eq!(object.wait(on.read(), short), Waited::TimedOut);
        let set = object.waits_for(on.read());
        assert_eq!(wait_any(&[&set, &set], short), WaitedAny::TimedOut);
        let mut future = pin!(object.wait_async(on.read()));
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(entries(&object), before);
    }
    let next = crate::support::job(&timeline);
    add(&object, &next, Usage::Write);
    job.signal();
    if on.replaces_earlier(Usage::Write) {
        crate::support::assert_superseded_freed(on, 1, &watched, "a fence that was waited for");
    }
    let told = ends_with(vec![next], 0, || object.wait(on.read(), AGES));
    assert_eq!(told, Waited::Signaled);
}

/// A future is the same wait: about the instant of the call, told the same.
pub fn a_future_is_the_same_wait(on: Subject) {
    let mut context = Context::from_waker(Waker::noop());
    for fails in [false, true] {
        let (object, other) = (on.object(), on.object());
        let (first, later, beside) = (lone_job(), lone_job(), lone_job());
        add(&object, &first, Usage::Write);
        add(&other, &beside, Usage::Write);
        let mut one = pin!(object.wait_async(on.read()));
        let sets = [object.waits_for(on.read()), other.waits_for(on.read())];
        let mut both = pin!(sets.when_signaled());
        add(&object, &later, Usage::Write);
        assert!(one.as_mut().poll(&mut context).is_pending());
        let ended = if fails {
            first.signal_error(FenceError::IO);
            Waited::Failed(FenceError::IO)
        } else {
            first.signal();
            Waited::Signaled
        };
        assert_eq!(one.as_mut().poll(&mut context), Poll::Ready(ended));
        assert!(both.as_mut().poll(&mut context).is_pending());
        beside.signal();
        assert_eq!(both.as_mut().poll(&mut context), Poll::Ready(ended));
        assert_eq!(sets[0].wait(None), Waited::Signaled, "nothing is pending");
        assert!(is_busy(&object, on.read()), "what came later is at work");
    }
}
