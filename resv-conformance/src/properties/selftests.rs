//! The kernel's five self-tests of reservation objects, each for the four usages, and the gaps they
//! leave: usage inclusion, reservation, replacing, copying, waiting.
//!
//! Source: Linux' self-tests of `dma_resv`, and the gaps that they leave.

use crate::Subject;
use crate::support::{
    A_MOMENT, AGES, add, entries, entry_of, held_entries, is_busy, job, lone_job, look,
    many_side_by_side, replace, side_by_side, sorted,
};
use resv_api::{
    Access, Backend, Edit, FenceError, Reservation, Semantics, Timeline, Usage, Waitable, Waited,
};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Test 1: an object is made, locked, unlocked and dropped.
pub fn t1_sanitycheck(on: Subject) {
    let object = on.object();
    drop(object.lock());
    let guard = object.try_lock().expect("nobody holds the lock");
    assert!(object.try_lock().is_none());
    assert!(guard.entries().is_empty());
    drop(guard);
    assert!(entries(&object).is_empty());
    for access in Access::ALL {
        assert!(!is_busy(&object, access));
    }
}

/// Test 2: an object is busy from the add to the signal, and to those whom the usage concerns.
pub fn t2_signaling(on: Subject) {
    for usage in Usage::ALL {
        let object = on.object();
        let job = lone_job();
        add(&object, &job, usage);
        assert!(is_busy(&object, Access::Move), "{usage}");
        job.signal();
        for access in Access::ALL {
            assert!(!is_busy(&object, access), "{usage} {access}");
        }
    }
}

/// Test 3: the holder is shown exactly the fence, once, under its usage.
pub fn t3_for_each_with_the_lock(on: Subject) {
    for usage in Usage::ALL {
        let object = on.object();
        let job = lone_job();
        let mut guard = object.lock();
        guard.reserve(1).unwrap().add(job.fence(), usage);
        let shown = guard.entries();
        assert_eq!(shown.len(), 1, "{usage}");
        assert_eq!(shown[0].fence, *job.fence());
        assert_eq!(shown[0].usage, on.semantics().class(usage));
        drop(guard);
        assert_eq!(
            held_entries(&object.lock()),
            [entry_of(on, job.fence(), usage)]
        );
    }
}

/// Test 4: without the lock the same; and when the object changes in the middle of a visit, the
/// visit goes on with the instant that it is about.
pub fn t4_for_each_without_the_lock(on: Subject) {
    for usage in Usage::ALL {
        let object = on.object();
        let [job, other] = side_by_side();
        add(&object, &job, usage);
        let first = entry_of(on, job.fence(), usage);
        let second = entry_of(on, other.fence(), Usage::Bookkeep);
        let mut spoilt = false;
        let seen = object.visit(Access::Move, Vec::new(), |mut seen, key| {
            seen.push((key.timeline, key.seqno, key.usage));
            if !std::mem::replace(&mut spoilt, true) {
                add(&object, &other, Usage::Bookkeep);
            }
            seen
        });
        assert_eq!(seen, [first], "{usage}");
        let mut both = vec![first, second];
        both.sort_unstable();
        assert_eq!(entries(&object), both);
    }
}

/// Test 5: a snapshot is exactly the fence.
pub fn t5_get_fences(on: Subject) {
    for usage in Usage::ALL {
        let object = on.object();
        let job = lone_job();
        add(&object, &job, usage);
        let snapshot = object.snapshot();
        let shown: Vec<_> = snapshot.iter().collect();
        assert_eq!(shown.len(), 1, "{usage}");
        assert_eq!(shown[0].fence, job.fence());
        assert_eq!(shown[0].usage, on.semantics().class(usage));
    }
}

/// Gap: a fence added as *u* is waited for by exactly the accesses whose table names *u*.
pub fn usage_inclusion(on: Subject) {
    for usage in Usage::ALL {
        let object = on.object();
        let job = lone_job();
        add(&object, &job, usage);
        for access in Access::ALL {
            let concerns = on
                .semantics()
                .waits_for(access)
                .contains(on.semantics().class(usage));
            assert_eq!(is_busy(&object, access), concerns, "{usage} {access}");
        }
    }
}

/// Gap: every access at once, with one fence of each usage on a timeline of its own.
pub fn usage_inclusion_of_four_at_once(on: Subject) {
    let object = on.object();
    // Strongest first, so that older semantics drop as little as they may.
    let jobs: Vec<_> = Usage::ALL.map(|usage| (lone_job(), usage)).into();
    for (job, usage) in &jobs {
        add(&object, job, *usage);
    }
    let all = entries(&object);
    for access in Access::ALL {
        let waits = on.semantics().waits_for(access);
        let expected: Vec<_> = all
            .iter()
            .filter(|e| waits.contains(e.2))
            .copied()
            .collect();
        assert_eq!(
            sorted(object.waits_for(access).iter()),
            expected,
            "{access}"
        );
    }
}

/// Gap: slots are what was reserved, each edit uses one, a replacement that finds nothing uses none.
pub fn reserve_hands_out_slots(on: Subject) {
    let object = on.object();
    let timeline = Timeline::new("gfx");
    let job = job(&timeline);
    let mut guard = object.lock();
    assert_eq!(guard.reserve(0).unwrap().left(), 0);
    let mut slots = guard.reserve(3).unwrap();
    assert_eq!(slots.left(), 3);
    assert!(!slots.replace(timeline.id(), job.fence(), Usage::Read));
    assert_eq!(slots.left(), 3);
    slots.add(job.fence(), Usage::Read);
    assert!(slots.replace(timeline.id(), job.fence(), Usage::Write));
    assert_eq!(slots.left(), 1);
    slots.publish();
    assert_eq!(guard.reserve(1).unwrap().left(), 1);
    drop(guard);
    assert_eq!(entries(&object), [entry_of(on, job.fence(), Usage::Write)]);
}

/// Gap: an object grows as far as it is asked to, one slot at a time and many at a time.
pub fn reserve_grows(on: Subject) {
    for step in [1usize, 3, 64] {
        let object = on.object();
        let jobs = many_side_by_side(192);
        for (done, chunk) in jobs.chunks(step).enumerate() {
            let mut guard = object.lock();
            let mut slots = guard.reserve(step).unwrap();
            for job in chunk {
                slots.add(job.fence(), Usage::Read);
            }
            drop(guard);
            assert_eq!(entries(&object).len(), done * step + chunk.len());
        }
        for job in jobs {
            job.signal();
        }
        assert!(!is_busy(&object, Access::Move));
    }
}

/// Gap: a replacement takes the whole timeline, whatever the usages, and nothing else.
pub fn replace_takes_one_timeline(on: Subject) {
    let object = on.object();
    let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
    let (g1, g2, g3, d1) = (job(&gfx), job(&gfx), job(&gfx), job(&dma));
    add(&object, &g1, Usage::Write);
    add(&object, &g2, Usage::Bookkeep);
    add(&object, &d1, Usage::Read);
    let mut expected = Vec::new();
    for (job, usage) in [
        (&g1, Usage::Write),
        (&g2, Usage::Bookkeep),
        (&d1, Usage::Read),
    ] {
        on.add_to(&mut expected, job.fence(), usage);
    }
    let before = expected.len();
    expected.retain(|entry| entry.0 != gfx.id());
    let is_there = expected.len() < before;
    if is_there {
        expected.push(entry_of(on, g3.fence(), Usage::Read));
        expected.sort_unstable();
    }
    assert_eq!(replace(&object, &gfx, g3.fence(), Usage::Read), is_there);
    assert_eq!(entries(&object), expected);
}

/// Gap: what is not there is not replaced, and the replacement is not added either.
pub fn replace_of_nothing_is_nothing(on: Subject) {
    let object = on.object();
    let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
    let (done, other, new) = (job(&gfx), job(&dma), job(&gfx));
    add(&object, &done, Usage::Read);
    add(&object, &other, Usage::Read);
    done.signal();
    assert!(!replace(&object, &gfx, new.fence(), Usage::Write));
    assert_eq!(entries(&object), [entry_of(on, other.fence(), Usage::Read)]);
}

/// Gap: replacing by a signalled fence takes a timeline off (an eviction fence, say).
pub fn replace_by_a_signalled_fence_removes(on: Subject) {
    let object = on.object();
    let (gfx, kfd) = (Timeline::new("gfx"), Timeline::new("kfd"));
    let (g1, k1) = (job(&gfx), job(&kfd));
    add(&object, &g1, Usage::Write);
    let stays = on.stays(Usage::Write, Usage::Bookkeep);
    add(&object, &k1, Usage::Bookkeep);
    assert!(replace(
        &object,
        &kfd,
        &resv_api::Fence::signaled(),
        Usage::Bookkeep
    ));
    let left = entry_of(on, g1.fence(), Usage::Write);
    assert_eq!(entries(&object), [left][..usize::from(stays)]);
    g1.signal();
    assert!(!is_busy(&object, Access::Move));
}

/// Gap: a copy replaces all that was in the destination and leaves the source alone.
pub fn copy_overwrites(on: Subject) {
    let (src, dst) = (on.object(), on.object());
    let jobs: Vec<_> = (0..6).map(|_| lone_job()).collect();
    for (job, usage) in jobs[..4].iter().zip(Usage::ALL) {
        add(&src, job, usage);
    }
    add(&dst, &jobs[4], Usage::Write);
    add(&dst, &jobs[5], Usage::Bookkeep);
    let before = entries(&src);
    dst.lock().copy_from(&src).unwrap();
    assert_eq!(entries(&dst), before);
    assert_eq!(entries(&src), before);
    dst.lock().copy_from(&on.object()).unwrap();
    assert!(entries(&dst).is_empty());
    assert!(!is_busy(&dst, Access::Move));
    src.lock().copy_from(&src).unwrap();
    assert_eq!(entries(&src), before);
}

/// Gap: a copy goes across back ends.
pub fn copy_crosses_back_ends(on: Subject) {
    let (src, middle, dst) = (on.object(), crate::support::reference(on), on.object());
    let jobs = Usage::ALL.map(|usage| (lone_job(), usage));
    for (job, usage) in &jobs {
        add(&src, job, *usage);
    }
    middle.lock().copy_from(&src).unwrap();
    dst.lock().copy_from(&middle).unwrap();
    assert_eq!(entries(&dst), entries(&src));
}

/// Gap: a zero timeout is a pure poll.
pub fn wait_with_zero_timeout(on: Subject) {
    let object = on.object();
    let zero = Some(Duration::ZERO);
    assert_eq!(object.wait(Access::Move, zero), Waited::Signaled);
    let job = lone_job();
    add(&object, &job, Usage::Write);
    assert_eq!(object.wait(Access::Move, zero), Waited::TimedOut);
    assert_eq!(object.snapshot().wait(zero), Waited::TimedOut);
    job.signal();
    assert_eq!(object.wait(Access::Move, zero), Waited::Signaled);
}

/// Gap: an idle object is not waited for, whatever the timeout.
pub fn wait_on_an_idle_object(on: Subject) {
    let object = on.object();
    let done = lone_job();
    add(&object, &done, Usage::Write);
    done.signal();
    for timeout in [None, Some(AGES), Some(Duration::MAX)] {
        for access in Access::ALL {
            assert_eq!(object.wait(access, timeout), Waited::Signaled);
        }
    }
}

/// Gap: a wait that runs out of time says so, and leaves the object as it was.
pub fn wait_runs_out_of_time(on: Subject) {
    let object = on.object();
    let jobs: [_; 4] = side_by_side();
    for job in &jobs {
        add(&object, job, Usage::Read);
    }
    let start = Instant::now();
    let waited = object.wait(on.access(Access::Write, &[Usage::Read]), Some(A_MOMENT));
    assert_eq!(waited, Waited::TimedOut);
    assert!(start.elapsed() >= A_MOMENT);
    assert!(start.elapsed() < AGES, "one timeout for all, not one each");
    assert_eq!(entries(&object).len(), 4);
}

/// Gap: a wait sleeps until the last fence that concerns it, and no longer.
pub fn wait_ends_with_the_last_fence_that_concerns_it(on: Subject) {
    let object = on.object();
    let [a, b, other] = side_by_side();
    let access = on.read();
    add(&object, &a, Usage::Write);
    if on.waits(access, Usage::Kernel) {
        add(&object, &b, Usage::Kernel);
    }
    let of_no_concern = [Usage::Read, Usage::Bookkeep]
        .into_iter()
        .find(|&usage| !on.waits(access, usage));
    if let Some(usage) = of_no_concern {
        add(&object, &other, usage);
    }
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| object.wait(access, Some(AGES)));
        std::thread::sleep(A_MOMENT);
        a.signal();
        b.signal();
        assert_eq!(waiter.join().unwrap(), Waited::Signaled);
    });
    if let Some(usage) = of_no_concern {
        let busy = is_busy(&object, on.access(Access::Write, &[usage]));
        assert!(busy, "the other one is still at it");
    }
    other.signal();
}

/// Gap: a wait covers what was there at its start, not what is added later.
pub fn wait_does_not_cover_what_comes_later(on: Subject) {
    let object = on.object();
    let (now, later) = (lone_job(), lone_job());
    add(&object, &now, Usage::Write);
    let snapshot = object.waits_for(on.read());
    add(&object, &later, Usage::Write);
    now.signal();
    assert_eq!(snapshot.wait(Some(AGES)), Waited::Signaled);
    assert!(is_busy(&object, on.read()));
}

/// Gap: a fence that failed counts as signalled, and a wait for it tells the first error.
pub fn errors_free_the_object_and_are_told(on: Subject) {
    let object = on.object();
    let [good, bad] = side_by_side();
    add(&object, &good, Usage::Read);
    add(&object, &bad, Usage::Read);
    let hang = FenceError::from_errno(110).expect("110 is an errno");
    let snapshot = object.waits_for(on.access(Access::Write, &[Usage::Read]));
    let mut begun = pin!(snapshot.when_signaled());
    assert!(look(begun.as_mut()).is_pending());
    good.signal();
    bad.signal_error(hang);
    assert_eq!(look(begun), Poll::Ready(Waited::Failed(hang)));
    // What has failed before a wait begins is no part of it, stored or not.
    assert_eq!(snapshot.wait(Some(Duration::ZERO)), Waited::Signaled);
    assert!(!is_busy(&object, Access::Move));
    assert!(entries(&object).is_empty());
    assert_eq!(object.wait(Access::Move, None), Waited::Signaled);
}

/// The object-safe form is the same object.
pub fn the_object_safe_form_is_the_same(on: Subject) {
    let object = on.object();
    let other: Box<dyn Reservation> = Box::new(on.object());
    let form: &dyn Reservation = &object;
    assert_eq!(
        (form.semantics(), form.backend()),
        (on.semantics().name(), on.backend().name())
    );
    let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
    let (g1, g2, d1) = (job(&gfx), job(&gfx), job(&dma));
    let add = |job: &resv_api::Signaler, usage| Edit::Add {
        fence: job.fence().clone(),
        usage,
    };
    form.transact(&[]).unwrap();
    form.transact(&[add(&g1, Usage::Read), add(&d1, Usage::Read)])
        .unwrap();
    form.transact(&[Edit::Replace {
        timeline: gfx.id(),
        fence: g2.fence().clone(),
        usage: Usage::Bookkeep,
    }])
    .unwrap();
    other.copy_from(form).unwrap();
    for form in [form, &*other] {
        assert_eq!(sorted(&form.entries().unwrap()), entries(&object));
        for access in Access::ALL {
            let waits = form.waits_for(access).unwrap();
            assert_eq!(sorted(&waits), sorted(object.waits_for(access).iter()));
            assert_eq!(form.is_idle(access), object.is_idle(access));
            let zero = Some(Duration::ZERO);
            assert_eq!(form.wait(access, zero), object.wait(access, zero));
        }
    }
}
