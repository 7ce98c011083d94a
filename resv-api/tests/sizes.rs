//! What objects and waits cost at the sizes that programs reach, on every back end: in bytes, allocations and
//! registrations. Nothing here is timed. What is counted in calls is in `steps.rs`.

#[path = "../../resv-rcu-array/tests/common/mod.rs"]
mod common;

use common::{bytes, failing_above, total_bytes};
use resv_api::*;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Registrations and fences are counted for the whole process, so one test runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each back end that is compiled in.
fn each_back_end(mut run: impl FnMut(BackendKind, fn() -> AnyBackend)) {
    for kind in BackendKind::ALL {
        if let Ok(make) = kind.maker() {
            run(kind, make);
        }
    }
}

fn object(make: fn() -> AnyBackend) -> Resv<UsageLevels, AnyBackend> {
    Resv::with(UsageLevels, make())
}

fn jobs(count: usize) -> Vec<Signaler> {
    (0..count)
        .map(|_| Timeline::new("t").issue().unwrap())
        .collect()
}

fn add(object: &Resv<UsageLevels, AnyBackend>, fence: &Fence) {
    let mut guard = object.lock();
    guard.reserve(1).unwrap().add(fence, Usage::Read);
}

/// Bytes that are allocated for a reservation and while it lasts; and whether it was had.
fn reserve(object: &Resv<UsageLevels, AnyBackend>, edits: usize) -> (usize, isize, bool) {
    let (total, before) = (total_bytes(), bytes());
    let mut guard = object.lock();
    let is_had = guard.reserve(edits).is_ok();
    let during = bytes() - before;
    drop(guard);
    (total_bytes() - total, during, is_had)
}

/// It used to take 2.7 GB, for ever.
#[test]
fn a_large_reservation_is_linear() {
    let _alone = alone();
    each_back_end(|kind, make| {
        for edits in [4_000, 16_000, 64_000] {
            // What is made once for a thread, a process or a pool of cells.
            let (total, ..) = reserve(&object(make), edits);
            assert!(
                total < 200_000 + 120 * edits,
                "{kind}: {edits} take {total} bytes"
            );
            let object = object(make);
            let job = Timeline::new("t").issue().unwrap();
            add(&object, job.fence());
            let before = bytes();
            let (total, during, is_had) = reserve(&object, edits);
            assert!(is_had, "{kind}: {edits}");
            // 16,000 are to take less than 2 MB.
            assert!(total < 120 * edits, "{kind}: {edits} take {total} bytes");
            let kept = usize::try_from(bytes() - before).unwrap_or(0);
            assert!(kept < 120 * edits, "{kind}: {during}, then {kept} bytes");
            drop(object);
            assert!(bytes() <= before, "{kind}");
        }
    });
}

/// With little memory left the error comes early: what was had for it is given back, and there is memory for
/// others.
#[test]
fn a_reservation_that_is_too_large_for_the_memory_leaves_it_as_it_was() {
    const EDITS: usize = 400_000;
    let _alone = alone();
    each_back_end(|kind, make| {
        let object = object(make);
        let job = Timeline::new("t").issue().unwrap();
        add(&object, job.fence());
        let before = bytes();
        // Room for a small reservation, and not for this one.
        let ((total, _, is_had), failed) = failing_above(64 * 1024, || reserve(&object, EDITS));
        assert!(failed && !is_had, "{kind}");
        assert!(total < 128 * 1024, "{kind}: {total} bytes");
        // A pool may note a few words, and the counter keeps two bits for each edit that was asked for.
        let bits = if kind == BackendKind::Seqcount {
            EDITS / 4
        } else {
            0
        };
        let kept = usize::try_from(bytes() - before).unwrap_or(0);
        assert!(kept < 1_000 + bits, "{kind}: {kept} bytes, of {total}");
        let ((.., is_had), failed) = failing_above(64 * 1024, || reserve(&object, 16));
        assert!(is_had && !failed, "{kind}");
    });
}

/// 1,500 of them used to keep 86 MB. The array gives its memory back: what was large is there for others. The
/// slots and lists of the counter, and the vectors of the reference, stay with their object, within a bound.
#[test]
fn objects_that_were_large_once_keep_a_bounded_amount() {
    const OBJECTS: usize = 300;
    const LARGE: usize = 2_000;
    let _alone = alone();
    each_back_end(|kind, make| {
        let jobs = jobs(LARGE);
        let all = Fence::all(jobs.iter().map(Signaler::fence)).unwrap();
        // Each is large, and used once more when all is done.
        let use_objects = || {
            let objects: Vec<_> = (0..OBJECTS).map(|_| object(make)).collect();
            for object in &objects {
                let mut guard = object.lock();
                let slots = guard.reserve_for(&all, Usage::Read);
                slots.unwrap().add(&all, Usage::Read);
            }
            for object in &objects {
                object.lock().copy_from(&Resv::new()).unwrap();
                let job = Timeline::new("t").issue().unwrap();
                submit(job.fence(), &[(object, Usage::Read)]).unwrap();
            }
            objects
        };
        let at_first = bytes();
        let objects = use_objects();
        let before = bytes();
        let others = use_objects();
        // Of what the second ones took, as the pools have what the first ones needed.
        let kept = usize::try_from(bytes() - before).unwrap_or(0) / OBJECTS;
        let bound = match kind {
            BackendKind::RcuArray | BackendKind::RcuArrayArcSwap => 1_000,
            BackendKind::Seqcount => 64 * LARGE,
            _ => 160 * LARGE,
        };
        assert!(kept < bound, "{kind}: {kept} bytes each");
        drop((objects, others));
        let pooled = usize::try_from(bytes() - at_first).unwrap_or(0) / OBJECTS;
        assert!(pooled < 20 * LARGE, "{kind}: {pooled} bytes each in pools");
    });
}

/// It used to keep 1.6 GB after all was dropped.
#[test]
fn a_composition_of_ten_thousand_leaves_is_given_back() {
    let _alone = alone();
    each_back_end(|kind, make| {
        let jobs = jobs(10_000);
        // Cells of fences, and what a fence has that is composed, stay with the jobs.
        let before = bytes();
        let all = Fence::all(jobs.iter().map(Signaler::fence)).unwrap();
        let object = object(make);
        let slots = all.leaves().count_left();
        object.lock().reserve(slots).unwrap().add(&all, Usage::Read);
        assert_eq!(object.snapshot().iter().count(), 10_000);
        let peak = bytes() - before;
        assert!(peak < 20_000_000, "{kind}: {peak} bytes while it is there");
        drop((object, all));
        let kept = bytes() - before;
        assert!(
            kept < 4_000_000,
            "{kind}: {kept} bytes are kept while the jobs are"
        );
        drop(jobs);
        let kept = bytes() - before;
        assert!(kept < 1_000_000, "{kind}: {kept} bytes are kept");
    });
}

/// Each pair was registered with the shared fence by itself: the wait returned after 9 s, and others who took a
/// callback back from that fence waited behind it.
#[test]
fn a_wait_for_any_of_many_pairs_registers_with_each_fence_once() {
    const PAIRS: usize = 40_000;
    let _alone = alone();
    each_back_end(|kind, make| {
        let (shared, mut own) = (Timeline::new("t").issue().unwrap(), jobs(PAIRS));
        // Half of the pairs are of an object's fences.
        let with_shared = object(make);
        {
            let mut guard = with_shared.lock();
            guard.reserve(1).unwrap().add(shared.fence(), Usage::Write);
        }
        let snapshot = with_shared.snapshot();
        let fences: Vec<_> = own.iter().map(|job| job.fence().clone()).collect();
        let pairs: Vec<_> = fences.iter().map(|fence| (&snapshot, fence)).collect();
        let before = fence::registrations();
        let last = own[PAIRS - 1].fence().clone();
        let waited = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| wait_any(&pairs, None));
            while fence::registrations() < before + PAIRS + 1 {
                std::thread::yield_now();
            }
            // Others come and go meanwhile, on the shared fence and on another one.
            for fence in [shared.fence(), &last] {
                for _ in 0..1_000 {
                    let id = fence.on_signal(drop).expect("it is pending");
                    assert!(fence.cancel(id));
                }
            }
            assert_eq!(fence::registrations(), before + PAIRS + 1, "{kind}");
            shared.signal();
            let (at, first) = (PAIRS / 2, own.swap_remove(PAIRS / 2));
            assert!(!waiter.is_finished());
            first.signal();
            (waiter.join().unwrap(), at)
        });
        assert_eq!(waited.0, WaitedAny::Signaled(waited.1), "{kind}");
        assert_eq!(fence::registrations(), before, "{kind}");
    });
}

/// In order, in reverse, and the middle first: the memory of 20,000 futures of one fence comes back.
#[test]
fn futures_leave_in_any_order() {
    const MANY: usize = 20_000;
    let _alone = alone();
    each_back_end(|kind, make| {
        let (job, object) = (Timeline::new("t").issue().unwrap(), object(make));
        let mut guard = object.lock();
        guard.reserve(1).unwrap().add(job.fence(), Usage::Write);
        drop(guard);
        let mut kept = Vec::new();
        let before = fence::registrations();
        for order in 0..3 {
            let at_first = bytes();
            let mut futures: Vec<WaitFuture> =
                (0..MANY).map(|_| object.wait_async(Access::Read)).collect();
            let mut cx = Context::from_waker(Waker::noop());
            for future in &mut futures {
                assert_eq!(Pin::new(future).poll(&mut cx), Poll::Pending);
            }
            assert_eq!(fence::registrations(), before + MANY, "{kind}");
            match order {
                0 => {}
                1 => futures.reverse(),
                _ => futures.rotate_left(MANY / 2),
            }
            for (gone, future) in futures.into_iter().enumerate() {
                drop(future);
                if gone % 5_000 == 0 {
                    assert_eq!(fence::registrations(), before + MANY - gone - 1, "{kind}");
                }
            }
            kept.push(bytes() - at_first);
        }
        // The blocks of callbacks are kept for the next ones, once.
        assert!(
            kept[1..].iter().all(|&kept| kept < 10_000),
            "{kind}: {kept:?}"
        );
    });
}

/// It was quadratic: 8,000 objects that are named twice each took 0.9 s.
#[test]
fn objects_that_are_named_twice_are_locked_once() {
    let _alone = alone();
    each_back_end(|kind, make| {
        let per_object = [2_000, 8_000].map(|count| {
            let objects: Vec<_> = (0..count).map(|_| object(make)).collect();
            let twice: Vec<_> = objects.iter().chain(objects.iter().rev()).collect();
            let total = total_bytes();
            let guards = lock_all(&twice);
            assert_eq!((guards.len(), guards.objects().len()), (2 * count, count));
            drop(guards);
            let batch = total_bytes() - total;
            let total = total_bytes();
            let locked = exec::<_, std::convert::Infallible>(|tx| {
                let receipts: Vec<_> = twice
                    .iter()
                    .map(|&object| tx.lock(object))
                    .collect::<Result<_, _>>()?;
                Ok(receipts.len())
            });
            assert_eq!(locked, Ok(2 * count));
            batch.max(total_bytes() - total) / count
        });
        // In steps of the comparisons: `steps.rs` of locks, and the tests of locks in resv-core.
        assert!(per_object[1] <= per_object[0] + 8, "{kind}: {per_object:?}");
    });
}
