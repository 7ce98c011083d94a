//! Composed fences in objects: flattened, never a container (H-18), and lazy ones left asleep.

use resv_api::{
    Access, Backend, BackendKind, Edit, EntryRef, ExclusiveShared, Fence, Locked, Resv, Semantics,
    SemanticsKind, Signaler, Timeline, Until, Usage, UsageLevels, Waited, WaitedAny,
    WritersReadersOthers, new_reservation, wait_all, wait_any,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("a seqno is left")
}

/// A lazy job, and how often it has been asked for.
fn lazy() -> (Arc<AtomicUsize>, Signaler) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let hook = move || {
        count.fetch_add(1, Ordering::Relaxed);
    };
    let job = Timeline::new("kfd").issue_lazy(hook);
    (calls, job.expect("a seqno is left"))
}

fn all(fences: &[&Fence]) -> Fence {
    Fence::all(fences.iter().copied()).expect("not empty")
}

fn sorted<'e>(entries: impl IntoIterator<Item = impl Into<EntryRef<'e>>>) -> Vec<(u64, u64)> {
    let key = |e: EntryRef<'_>| (e.fence.timeline_id().as_raw(), e.fence.seqno());
    let mut keys: Vec<_> = entries.into_iter().map(Into::into).map(key).collect();
    keys.sort_unstable();
    keys
}

fn keys(fences: &[&Fence]) -> Vec<(u64, u64)> {
    let key = |f: &&Fence| (f.timeline_id().as_raw(), f.seqno());
    let mut keys: Vec<_> = fences.iter().map(key).collect();
    keys.sort_unstable();
    keys
}

fn leaves_are_added<S: Semantics + Default, B: Backend + Default>(usage: Usage) {
    let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
    let (a, b, c) = (issue(&gfx), issue(&dma), issue(&gfx));
    let buffer = Resv::<S, B>::default();
    {
        let mut guard = buffer.lock();
        let mut slots = guard.reserve(3).expect("memory");
        slots.add(a.fence(), usage);
        let both = all(&[b.fence(), c.fence()]);
        slots.add(&both, usage);
        assert_eq!(slots.left(), 0);
    }
    // The second leaf superseded the first job of its timeline.
    let snapshot = buffer.snapshot();
    assert_eq!(sorted(snapshot.iter()), keys(&[b.fence(), c.fence()]));
    a.signal();
    b.signal();
    assert!(!buffer.is_idle(Access::Move));
    c.signal();
    assert!(buffer.is_idle(Access::Move));
}

#[test]
fn h_18_leaves_are_added_under_every_semantics() {
    leaves_are_added::<UsageLevels, Locked>(Usage::Write);
    leaves_are_added::<UsageLevels, resv_api::DefaultBackend>(Usage::Bookkeep);
    leaves_are_added::<ExclusiveShared, Locked>(Usage::Read);
    leaves_are_added::<WritersReadersOthers, Locked>(Usage::Read);
}

/// Leaves do not wait for each other, so none may push out another (B9): an exclusive fence, which
/// is alone, is the composed one.
#[test]
fn leaves_never_supersede_each_other() {
    let exclusive = |replaces: bool| {
        let jobs = ["gfx", "dma", "vcn"].map(|name| issue(&Timeline::new(name)));
        let before = issue(&Timeline::new("old"));
        let every = all(&[jobs[0].fence(), jobs[1].fence(), jobs[2].fence()]);
        let buffer = Resv::<ExclusiveShared, resv_api::DefaultBackend>::default();
        let mut guard = buffer.lock();
        let mut slots = guard.reserve(2).expect("memory");
        if replaces {
            slots.add(before.fence(), Usage::Read);
            assert!(slots.replace(before.fence().timeline_id(), &every, Usage::Write));
        } else {
            slots.add(&every, Usage::Write);
            assert_eq!(slots.left(), 1);
        }
        drop(guard);
        assert_eq!(sorted(buffer.snapshot().iter()), keys(&[&every]));
        for job in jobs {
            assert!(!buffer.is_idle(Access::Read));
            job.signal();
        }
        assert!(buffer.is_idle(Access::Read));
    };
    exclusive(false);
    exclusive(true);
    fn pending_until_all<S: Semantics + Default>(usage: Usage) {
        let jobs = ["gfx", "dma", "vcn"].map(|name| issue(&Timeline::new(name)));
        let every = all(&[jobs[0].fence(), jobs[1].fence(), jobs[2].fence()]);
        let buffer = Resv::<S, Locked>::default();
        let mut guard = buffer.lock();
        guard.reserve(3).expect("memory").add(&every, usage);
        drop(guard);
        for job in jobs {
            assert!(!buffer.is_idle(Access::Move));
            job.signal();
        }
        assert!(buffer.is_idle(Access::Move));
    }
    for usage in [Usage::Kernel, Usage::Write, Usage::Read, Usage::Bookkeep] {
        pending_until_all::<ExclusiveShared>(usage);
        pending_until_all::<WritersReadersOthers>(usage);
        pending_until_all::<UsageLevels>(usage);
    }
}

#[test]
fn h_18_too_few_slots_panic_before_anything_is_added() {
    let (a, b) = (issue(&Timeline::new("gfx")), issue(&Timeline::new("dma")));
    let both = all(&[a.fence(), b.fence()]);
    let buffer = Resv::<UsageLevels, Locked>::default();
    let mut guard = buffer.lock();
    let mut slots = guard.reserve(1).expect("memory");
    let added = catch_unwind(AssertUnwindSafe(|| slots.add(&both, Usage::Write)));
    assert!(added.is_err());
    assert_eq!(slots.left(), 1);
    // What has signalled as a whole is one fence.
    a.signal();
    b.signal();
    slots.add(&both, Usage::Write);
    drop(guard);
    assert!(buffer.is_idle(Access::Move));
}

#[test]
fn any_is_added_as_itself() {
    let (a, b) = (issue(&Timeline::new("gfx")), issue(&Timeline::new("dma")));
    let first = Fence::any([a.fence(), b.fence()]).expect("not empty");
    let buffer = Resv::<UsageLevels, Locked>::default();
    let mut guard = buffer.lock();
    guard.reserve(1).expect("memory").add(&first, Usage::Write);
    drop(guard);
    assert_eq!(sorted(buffer.snapshot().iter()), keys(&[&first]));
    b.signal();
    assert!(buffer.is_idle(Access::Move));
}

#[test]
fn replacing_by_a_composed_fence_puts_all_leaves_there() {
    let old = Timeline::new("kfd");
    let (evict, a, b) = (
        issue(&old),
        issue(&Timeline::new("gfx")),
        issue(&Timeline::new("dma")),
    );
    let both = all(&[a.fence(), b.fence()]);
    let kinds = [
        SemanticsKind::ExclusiveShared,
        SemanticsKind::WritersReadersOthers,
        SemanticsKind::UsageLevels,
    ];
    for kind in kinds {
        let buffer = new_reservation(kind, BackendKind::Locked).expect("always there");
        let add = Edit::Add {
            fence: evict.fence().clone(),
            usage: Usage::Read,
        };
        let replace = Edit::Replace {
            timeline: old.id(),
            fence: both.clone(),
            usage: Usage::Read,
        };
        buffer.transact(&[add, replace]).expect("memory");
        let entries = buffer.entries().expect("memory");
        assert_eq!(sorted(&entries), keys(&[a.fence(), b.fence()]));
    }
}

/// An eviction fence in an object is asked only by an access that must wait for it.
#[test]
fn a_lazy_fence_is_asked_only_by_a_job_that_must_wait_for_it() {
    let (calls, evict) = lazy();
    let buffer = Resv::<UsageLevels, resv_api::DefaultBackend>::default();
    let mut guard = buffer.lock();
    let both = all(&[evict.fence(), issue(&Timeline::new("gfx")).fence()]);
    let mut slots = guard.reserve(2).expect("memory");
    slots.add(&both, Usage::Bookkeep);
    drop(guard);
    let short = Some(Duration::from_millis(1));
    for access in [Access::Explicit, Access::Read, Access::Write] {
        assert_eq!(buffer.wait(access, short), Waited::Signaled);
    }
    assert!(!buffer.is_idle(Access::Move));
    assert_eq!(
        buffer.wait(Access::Move, Some(Duration::ZERO)),
        Waited::TimedOut
    );
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    for _ in 0..3 {
        assert_eq!(buffer.wait(Access::Move, short), Waited::TimedOut);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
    evict.signal();
}

/// A thread that waits for a nanosecond again and again gets an eviction in the end, as each of the
/// waits asks for it, although its time is over before a sleep could begin. A deadline that has passed at
/// the call is a poll.
#[test]
fn lazy_the_shortest_wait_asks_and_one_that_is_late_does_not() {
    type Object = Resv<UsageLevels, resv_api::DefaultBackend>;
    type Wait = fn(&Object, Until) -> bool;
    let waits: [(&str, Wait); 5] = [
        ("an object", |object, until| {
            object.wait(Access::Move, until) == Waited::TimedOut
        }),
        ("an object, until it is idle", |object, until| {
            object.wait_until_idle(Access::Move, until) == Waited::TimedOut
        }),
        ("a snapshot", |object, until| {
            object.snapshot().wait(until) == Waited::TimedOut
        }),
        ("all", |object, until| {
            wait_all(&[object.snapshot()], until) == Waited::TimedOut
        }),
        ("any", |object, until| {
            wait_any(&[object.snapshot()], until) == WaitedAny::TimedOut
        }),
    ];
    for (what, wait) in waits {
        let (calls, evict) = lazy();
        let object = Object::default();
        let mut guard = object.lock();
        let mut slots = guard.reserve(1).expect("memory");
        slots.add(evict.fence(), Usage::Bookkeep);
        drop(guard);
        let now = Until::Deadline(Instant::now());
        for late in [now, Until::Timeout(Duration::ZERO)] {
            assert!(wait(&object, late), "{what}");
            assert_eq!(calls.load(Ordering::Relaxed), 0, "{what}");
        }
        assert!(
            wait(&object, Until::Timeout(Duration::from_nanos(1))),
            "{what}"
        );
        assert_eq!(calls.load(Ordering::Relaxed), 1, "{what}");
    }
}

/// Points have the key of their timeline and a seqno, so an object keeps the latest, as of its fences.
#[test]
fn points_of_one_timeline_supersede_each_other_in_an_object() {
    let (ring, other) = (Timeline::new("gfx"), Timeline::new("dma"));
    let resv = Resv::<UsageLevels, resv_api::DefaultBackend>::default();
    let jobs: Vec<_> = (0..3).map(|_| ring.issue().unwrap()).collect();
    let late = other.issue_at(9).unwrap();
    let points = [2, 1, 3].map(|seqno| ring.point(seqno));
    let foreign = other.point(9);
    for fence in [&points[0], &foreign, &points[1], &points[2]] {
        resv.lock().reserve(1).unwrap().add(fence, Usage::Write);
    }
    let kept = resv.snapshot();
    let mut kept: Vec<_> = kept.iter().map(|entry| entry.fence.clone()).collect();
    kept.sort_by_key(Fence::timeline_id);
    assert_eq!(kept, [points[2].clone(), foreign]);
    for job in jobs {
        assert!(!resv.is_idle(Access::Read) && !points[2].is_signaled());
        job.signal();
    }
    assert!(points.iter().all(Fence::is_signaled));
    late.signal();
    assert!(resv.is_idle(Access::Move));
}
