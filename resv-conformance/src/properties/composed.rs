//! Fences made of fences, and lazy ones, in an object: sections 1.7 to 1.10 and 3.4.
//!
//! The algebra itself has its tests in `resv-core`. Here is what an object makes of it: of a pending
//! `all` it keeps the leaves (H-18), it asks a lazy fence for nothing that nobody waits for, and what
//! is read from it is the very fence that was added, with its deadline and its error.

use crate::support::{
    A_MOMENT, AGES, add, add_fence, entries, entry_of, is_busy, job, lone_job, look, sorted,
    visited,
};
use crate::{Object, Subject};
use resv_api::fence::{merge, unwrap};
use resv_api::{
    Access, Fence, FenceError, Semantics, Signaler, Timeline, TimelineId, Usage, Waited, WaitedAny,
    lock_all, wait_all, wait_any,
};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

fn all<'a>(jobs: impl IntoIterator<Item = &'a Signaler>) -> Fence {
    Fence::all(jobs.into_iter().map(Signaler::fence)).expect("not empty")
}

fn any<'a>(jobs: impl IntoIterator<Item = &'a Signaler>) -> Fence {
    Fence::any(jobs.into_iter().map(Signaler::fence)).expect("not empty")
}

fn lone_jobs(count: usize) -> Vec<Signaler> {
    (0..count).map(|_| lone_job()).collect()
}

/// Adds `fence`, with a slot for each of its leaves. Answers how many slots were left.
fn add_composed(object: &Object, fence: &Fence, usage: Usage) -> usize {
    let mut guard = object.lock();
    let leaves = fence.leaves().count_left();
    let mut slots = guard.reserve(leaves).expect("memory");
    slots.add(fence, usage);
    slots.left()
}

/// What these fences look like among the entries of an object.
fn expected<'a>(
    on: Subject,
    fences: impl IntoIterator<Item = &'a Fence>,
    usage: Usage,
) -> Vec<(TimelineId, u64, Usage)> {
    let each = fences.into_iter().map(|fence| entry_of(on, fence, usage));
    let mut expected: Vec<_> = each.collect();
    expected.sort_unstable();
    expected
}

/// H-18: of a pending `all` the leaves are added, each on its own timeline, where it supersedes and is
/// superseded like any fence.
pub fn h_18_the_leaves_of_all_are_added(on: Subject) {
    let Some(usage) = on.beside_others() else {
        return;
    };
    let (object, mut kept) = (on.object(), Vec::new());
    let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
    let (before, a, b, after) = (job(&gfx), job(&gfx), job(&dma), job(&dma));
    add(&object, &before, usage);
    assert_eq!(add_composed(&object, &all([&b, &a]), usage), 0);
    for fence in [before.fence(), b.fence(), a.fence()] {
        on.add_to(&mut kept, fence, usage);
    }
    assert_eq!(entries(&object), kept);
    add(&object, &after, usage);
    on.add_to(&mut kept, after.fence(), usage);
    assert_eq!(entries(&object), kept);
    [before, a, b, after].into_iter().for_each(Signaler::signal);
    assert!(!is_busy(&object, Access::Move));
}

/// H-18: a composition of compositions has their leaves, and so has an object that it is added to, as
/// an add or in the place of a timeline.
pub fn h_18_a_composition_in_a_composition_is_flattened(on: Subject) {
    let Some(usage) = on.beside_others() else {
        return;
    };
    for replaces in [false, true] {
        let object = on.object();
        let (kfd, jobs) = (Timeline::new("kfd"), lone_jobs(4));
        let (inner, old) = (all(&jobs[..2]), job(&kfd));
        let outer = Fence::all([jobs[2].fence(), &inner, jobs[3].fence()]).expect("not empty");
        if replaces {
            add(&object, &old, Usage::Bookkeep);
            let mut guard = object.lock();
            let mut slots = guard.reserve(4).expect("memory");
            assert!(slots.replace(kfd.id(), &outer, usage));
            assert_eq!(slots.left(), 0);
        } else {
            assert_eq!(add_composed(&object, &outer, usage), 0);
        }
        let leaves = jobs.iter().map(Signaler::fence);
        assert_eq!(entries(&object), expected(on, leaves, usage));
    }
}

/// H-18, F-10: leaves that have signalled are not pending in the object, and of a timeline that
/// a merge has several fences of the object gets the latest. What has signalled as a whole is no more
/// than one signalled fence.
pub fn h_18_the_pending_leaves_of_a_merge_are_added(on: Subject) {
    let Some(usage) = on.beside_others() else {
        return;
    };
    let object = on.object();
    let gfx = Timeline::new("gfx");
    let (first, last, other, done) = (job(&gfx), job(&gfx), lone_job(), lone_job());
    let every = all([&first, &other, &last, &done]);
    let merged = merge([&every, first.fence(), other.fence()]);
    done.signal();
    add_composed(&object, &merged, usage);
    let leaves = [last.fence(), other.fence()];
    assert_eq!(entries(&object), expected(on, leaves, usage));
    [first, last, other].into_iter().for_each(Signaler::signal);
    assert!(every.is_signaled() && merged.is_signaled());
    assert_eq!(every.leaves().count_left(), 1);
    assert_eq!(add_composed(&object, &every, Usage::Write), 0);
    assert!(!is_busy(&object, Access::Move));
}

/// An `any` cannot be taken apart: it is added as it is, and the object is idle with its first.
pub fn any_is_added_as_it_is(on: Subject) {
    for usage in Usage::ALL {
        let object = on.object();
        let mut jobs = lone_jobs(3);
        let first = any(&jobs);
        add_fence(&object, &first, usage);
        assert_eq!(entries(&object), expected(on, [&first], usage), "{usage}");
        assert!(is_busy(&object, Access::Move));
        jobs.remove(1).signal();
        assert!(!is_busy(&object, Access::Move), "{usage}");
    }
}

/// B9: the leaves of one fence do not wait for each other, so none pushes out another, whatever the
/// semantics and the usage; every access that concerns them waits for the last.
pub fn leaves_never_supersede_each_other(on: Subject) {
    for usage in Usage::ALL {
        let object = on.object();
        let jobs = lone_jobs(3);
        add_composed(&object, &all(&jobs), usage);
        for job in jobs {
            for access in Access::ALL {
                let concerns = on
                    .semantics()
                    .waits_for(access)
                    .contains(on.semantics().class(usage));
                assert_eq!(is_busy(&object, access), concerns, "{usage} {access}");
            }
            job.signal();
        }
        assert!(!is_busy(&object, Access::Move), "{usage}");
    }
}

/// F-09: with its last leaf's signal an object is idle, and so is a composition of what the object holds:
/// nothing has to be enabled first (H-12).
pub fn f_09_an_object_is_idle_with_the_last_leaf(on: Subject) {
    let Some(usage) = on.beside_others() else {
        return;
    };
    let object = on.object();
    let mut jobs = lone_jobs(4);
    add_composed(&object, &all(&jobs), usage);
    let held: Vec<Fence> = object.snapshot().iter().map(|e| e.fence.clone()).collect();
    let again = Fence::all(&held).expect("not empty");
    while let Some(job) = jobs.pop() {
        assert!(is_busy(&object, Access::Move) && !again.is_signaled());
        job.signal();
    }
    assert!(again.is_signaled());
    assert!(!is_busy(&object, Access::Move));
}

/// F-10: one fence for all that an object holds (Linux: the singleton): each timeline once, in any
/// order the same leaves, and merging it again changes nothing.
pub fn f_10_a_merge_of_what_an_object_holds(on: Subject) {
    let Some(usage) = on.beside_others() else {
        return;
    };
    let object = on.object();
    assert!(merge(object.snapshot().iter().map(|e| e.fence)).is_signaled());
    let gfx = Timeline::new("gfx");
    let (a, b, c) = (job(&gfx), job(&gfx), lone_job());
    for (job, usage) in [(&a, Usage::Bookkeep), (&b, usage), (&c, usage)] {
        add(&object, job, usage);
    }
    let mut held: Vec<Fence> = object.snapshot().iter().map(|e| e.fence.clone()).collect();
    let merged = merge(&held);
    held.reverse();
    assert_eq!(unwrap(&merge(&held)), unwrap(&merged));
    assert_eq!(unwrap(&merge([&merged])), unwrap(&merged));
    assert_eq!(unwrap(&merged), [b.fence().clone(), c.fence().clone()]);
    b.signal();
    assert_eq!(merge([&merged, c.fence()]), *c.fence());
}

/// F-04, of compositions: the first error wins, as does for a wait the first of what it covers. An error frees
/// the object like a success.
pub fn the_first_error_of_a_composition_is_told(on: Subject) {
    let errors = [5, 110].map(|errno| FenceError::from_errno(errno).expect("an errno"));
    let object = on.object();
    let mut jobs = lone_jobs(4);
    let every = all(&jobs);
    add_composed(&object, &every, Usage::Read);
    let mut begun = pin!(object.wait_async(Access::Move));
    assert!(look(begun.as_mut()).is_pending());
    jobs.remove(2).signal_error(errors[1]);
    jobs.remove(0).signal_error(errors[0]);
    assert!(is_busy(&object, Access::Move), "the others are at work");
    jobs.into_iter().for_each(Signaler::signal);
    assert_eq!(every.wait(None), Waited::Failed(errors[1]));
    let told = look(begun);
    assert!(
        matches!(told, Poll::Ready(Waited::Failed(error)) if errors.contains(&error)),
        "{told:?}"
    );
    assert!(!is_busy(&object, Access::Move));
    assert_eq!(object.wait(Access::Move, None), Waited::Signaled);
}

/// A deadline that is set on what an object holds reaches the signallers, of leaves and
/// of what is kept whole; the soonest counts, and it is no wait.
pub fn deadlines_reach_what_an_object_holds(on: Subject) {
    let Some(usage) = on.beside_others() else {
        return;
    };
    let object = on.object();
    let (calls, lazy) = lazy_job();
    let (leaves, choice) = (lone_jobs(2), lone_jobs(2));
    let every = Fence::all([leaves[0].fence(), leaves[1].fence(), lazy.fence()]);
    add_composed(&object, &every.expect("not empty"), usage);
    add_fence(&object, &any(&choice), usage);
    let now = Instant::now();
    for after in [20, 10, 30] {
        for entry in object.snapshot().iter() {
            entry.fence.set_deadline(now + Duration::from_millis(after));
        }
    }
    let soonest = Some(now + Duration::from_millis(10));
    for job in leaves.iter().chain(&choice).chain([&lazy]) {
        assert_eq!(job.deadline(), soonest);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

/// A lazy fence, and how often its work was asked for.
fn lazy_job() -> (Arc<AtomicUsize>, Signaler) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let hook = move || {
        count.fetch_add(1, Ordering::Relaxed);
    };
    let job = Timeline::new("kfd").issue_lazy(hook);
    (calls, job.expect("a seqno is left"))
}

/// Asks everything that is no wait, and waits for what does not concern a bookkeeping fence.
fn ask_everything(on: Subject, object: &Object, lazy: &Fence) {
    for access in Access::ALL {
        let concerns = on
            .semantics()
            .waits_for(access)
            .contains(on.semantics().class(Usage::Bookkeep));
        assert_eq!(is_busy(object, access), concerns, "{access}");
        let snapshot = object.waits_for(access);
        assert_eq!(visited(object, access).len(), usize::from(concerns));
        let zero = Duration::ZERO;
        assert_eq!(wait_all(&[&snapshot], zero).is_signaled(), !concerns);
        let any = wait_any(&[&snapshot], zero);
        assert_eq!(any == WaitedAny::TimedOut, concerns);
        if !concerns {
            // For ever: there is nothing to wait for.
            assert_eq!(object.wait(access, None), Waited::Signaled);
            assert_eq!(object.wait_until_idle(access, None), Waited::Signaled);
            assert_eq!(snapshot.wait(None), Waited::Signaled);
            assert_eq!(wait_all(&snapshot, None), Waited::Signaled);
        }
    }
    let copy = on.object();
    copy.lock().copy_from(object).expect("memory");
    assert_eq!(entries(&copy), entries(object));
    let guards = lock_all(&[object, &copy]);
    assert_eq!(sorted(&guards[0].entries()).len(), 1);
    drop(guards);
    // An export as a sync file is a snapshot made one fence: no wait either.
    assert_eq!(merge(copy.snapshot().iter().map(|e| e.fence)), *lazy);
    assert!(!format!("{object:?}").is_empty());
}

/// A lazy fence that is added for bookkeeping is asked for nothing by adding, replacing,
/// copying, looking and polling, nor by waits of those whom it does not concern.
pub fn lazy_a_look_never_asks(on: Subject) {
    let object = on.object();
    let (calls, lazy) = lazy_job();
    let asked = || calls.load(Ordering::Relaxed);
    add(&object, &lazy, Usage::Bookkeep);
    assert_eq!(asked(), 0, "by adding it");
    if on.stays(Usage::Bookkeep, Usage::Read) {
        let beside = lone_job();
        add(&object, &beside, Usage::Read);
        beside.signal();
        assert_eq!(asked(), 0, "by an edit beside it");
    }
    if on.semantics().class(Usage::Bookkeep) == Usage::Bookkeep {
        ask_everything(on, &object, lazy.fence());
        assert_eq!(asked(), 0, "by a look");
    }
    assert!(object.lock().reserve(1).expect("memory").replace(
        lazy.fence().timeline_id(),
        lazy.fence(),
        Usage::Bookkeep
    ));
    assert_eq!(asked(), 0, "by a replacement");
    lazy.signal();
    assert!(!is_busy(&object, Access::Move));
    assert_eq!(asked(), 0, "by its signal");
}

/// A wait for a move asks once, however many wait, for one object or for many, with a
/// time or without.
pub fn lazy_a_wait_for_a_move_asks_once(on: Subject) {
    let objects: [Object; 2] = std::array::from_fn(|_| on.object());
    let (calls, lazy) = lazy_job();
    for object in &objects {
        add(object, &lazy, Usage::Bookkeep);
    }
    let asked = || calls.load(Ordering::Relaxed);
    // However short the time is, it is no poll: a thread that waits so again and again gets it in the end.
    let shortest = Duration::from_nanos(1);
    assert_eq!(objects[0].wait(Access::Move, shortest), Waited::TimedOut);
    assert_eq!(asked(), 1);
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..6)
            .map(|number| {
                let objects = &objects;
                scope.spawn(move || match number % 3 {
                    0 => objects[number / 3].wait(Access::Move, Some(AGES)),
                    1 => objects[number / 3].wait_until_idle(Access::Move, Some(AGES)),
                    _ => {
                        let both = objects.each_ref().map(|it| it.waits_for(Access::Move));
                        wait_all(&both, AGES)
                    }
                })
            })
            .collect();
        std::thread::sleep(A_MOMENT / 10);
        assert_eq!(asked(), 1);
        lazy.signal();
        for waiter in waiters {
            assert_eq!(waiter.join().expect("no panic"), Waited::Signaled);
        }
    });
    assert_eq!(asked(), 1);
    assert!(objects.iter().all(|object| !is_busy(object, Access::Move)));
}

/// The hook of a lazy fence may do the work itself: an eviction fence evicts when a job moves the
/// memory, and the wait ends with it.
pub fn lazy_a_hook_that_signals_ends_the_wait(on: Subject) {
    let object = on.object();
    let job = Arc::new(std::sync::Mutex::new(None::<Signaler>));
    let inside = Arc::clone(&job);
    let evict = move || {
        let job = inside.lock().expect("not poisoned").take();
        job.expect("asked once").signal();
    };
    let lazy = Timeline::new("kfd").issue_lazy(evict).expect("a seqno");
    let other = lone_job();
    let composed = Fence::all([lazy.fence(), other.fence()]);
    add_composed(&object, &composed.expect("not empty"), Usage::Bookkeep);
    other.signal();
    *job.lock().expect("not poisoned") = Some(lazy);
    assert!(is_busy(&object, Access::Move));
    assert_eq!(object.wait(Access::Move, Some(AGES)), Waited::Signaled);
    assert!(!is_busy(&object, Access::Move));
}

/// Points of one timeline supersede each other in an object: it keeps the latest.
pub fn points_of_a_timeline_supersede_each_other(on: Subject) {
    for usage in Usage::ALL {
        if !on.replaces_earlier(usage) {
            continue;
        }
        let (object, ring) = (on.object(), Timeline::new("ring"));
        let jobs: Vec<_> = (0..4).map(|_| ring.issue().expect("a seqno")).collect();
        for seqno in 1..=4 {
            let point = ring.point(seqno);
            let mut guard = object.lock();
            guard.reserve(1).expect("memory").add(&point, usage);
        }
        let kept = entries(&object);
        assert_eq!(kept.len(), 1, "{usage}");
        assert_eq!(kept[0].1, 4, "{usage}");
        for job in jobs {
            assert!(is_busy(&object, Access::Move), "{usage}");
            job.signal();
        }
        assert!(!is_busy(&object, Access::Move), "{usage}");
    }
}
