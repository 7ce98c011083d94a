//! Linux' self-tests of fences (t1 to t12), in our words, and the rules F-01 to F-06.

use super::*;
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

fn issue() -> Signaler {
    Timeline::new("mock").issue().expect("a seqno is left")
}

#[test]
fn t1_sanitycheck() {
    issue().signal();
}

#[test]
fn t2_signaling() {
    let job = issue();
    let fence = job.fence().clone();
    assert!(!fence.is_signaled());
    job.signal();
    assert!(fence.is_signaled());
    // A second signal does not compile: `signal` consumes the signaler.
}

#[test]
fn t3_t4_callbacks_run_once_and_are_handed_back_when_late() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = |by: usize| {
        let runs = Arc::clone(&runs);
        move |_| {
            runs.fetch_add(by, Ordering::Relaxed);
        }
    };
    let job = issue();
    let fence = job.fence().clone();
    assert!(fence.on_signal(count(1)).is_ok());
    job.signal();
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    let Err(refused) = fence.on_signal(count(10)) else {
        panic!("registered on a signalled fence");
    };
    assert!(refused.to_string().contains("signalled already"));
    let AlreadySignaled(late) = refused;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    late(fence.status());
    assert_eq!(runs.load(Ordering::Relaxed), 11);
}

/// Handles are equal if they are of one fence, and go into maps as such.
#[test]
#[expect(clippy::mutable_key_type, reason = "the key is the address")]
fn fences_are_told_apart() {
    let jobs: Vec<_> = (0..64).map(|_| issue()).collect();
    assert_ne!(jobs[0].fence(), jobs[1].fence());
    let fences: HashSet<_> = jobs
        .iter()
        .chain(&jobs)
        .map(|job| job.fence().clone())
        .collect();
    assert_eq!(fences.len(), 64);
    let hash =
        |job: &Signaler| BuildHasherDefault::<DefaultHasher>::default().hash_one(job.fence());
    let hashes: HashSet<_> = jobs.iter().map(hash).collect();
    assert!(hashes.len() > 1, "all of them in one bucket");
}

#[test]
fn t5_t6_a_callback_can_be_taken_back_until_it_runs() {
    let runs = Arc::new(AtomicUsize::new(0));
    let job = issue();
    let fence = job.fence().clone();
    let register = |fence: &Fence| {
        let runs = Arc::clone(&runs);
        fence
            .on_signal(move |_| {
                runs.fetch_add(1, Ordering::Relaxed);
            })
            .expect("pending")
    };
    let (first, second) = (register(&fence), register(&fence));
    assert!(fence.cancel(first));
    assert!(!fence.cancel(first));
    job.signal();
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert!(!fence.cancel(second));
}

#[test]
fn t7_t8_status_and_error() {
    let job = issue();
    let fence = job.fence().clone();
    assert_eq!(fence.status(), FenceStatus::Pending);
    job.signal_error(FenceError::IO);
    assert_eq!(fence.status(), FenceStatus::Error(FenceError::IO));
    assert_eq!(fence.wait(None), Waited::Failed(FenceError::IO));
    for errno in [1, 5, 125, 4095] {
        let error = FenceError::from_errno(errno).expect("in range");
        let job = issue();
        let fence = job.fence().clone();
        job.signal_error(error);
        assert_eq!(fence.status(), FenceStatus::Error(error));
        assert_eq!(error.errno(), errno);
    }
    assert_eq!(FenceError::from_errno(0), None);
    assert_eq!(FenceError::from_errno(4096), None);
}

#[test]
fn t9_t10_wait_with_and_without_time() {
    let job = issue();
    let fence = job.fence().clone();
    assert_eq!(fence.wait(Some(Duration::ZERO)), Waited::TimedOut);
    assert_eq!(fence.wait(Some(Duration::from_millis(1))), Waited::TimedOut);
    let waiter = {
        let fence = fence.clone();
        std::thread::spawn(move || fence.wait(Some(Duration::from_secs(60))))
    };
    job.signal();
    assert_eq!(waiter.join().expect("the waiter ends"), Waited::Signaled);
    assert_eq!(fence.wait(Some(Duration::ZERO)), Waited::Signaled);
    assert_eq!(fence.wait(Some(Duration::MAX)), Waited::Signaled);
}

#[test]
fn a_timed_out_wait_leaves_no_callback_behind() {
    let job = issue();
    assert_eq!(
        job.fence().wait(Some(Duration::from_millis(1))),
        Waited::TimedOut
    );
    assert!(job.fence().cell().outcome().is_empty());
}

#[test]
fn t11_stub() {
    for _ in 0..64 {
        assert_eq!(Fence::signaled().status(), FenceStatus::Signaled);
    }
}

/// Two threads swap fences through a shared slot; cells are reused at once. Each callback that was
/// accepted runs exactly once, each that was refused never.
#[test]
fn t12_race_signal_callback() {
    let slot = Arc::new(Mutex::new(None::<Fence>));
    let (accepted, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let start = Arc::new(Barrier::new(2));
    let other = {
        let (slot, accepted, ran) = (slot.clone(), accepted.clone(), ran.clone());
        let start = start.clone();
        std::thread::spawn(move || {
            start.wait();
            for _ in 0..20_000 {
                let Some(fence) = slot.lock().expect("not poisoned").clone() else {
                    continue;
                };
                let ran = ran.clone();
                if fence
                    .on_signal(move |_| {
                        ran.fetch_add(1, Ordering::Relaxed);
                    })
                    .is_ok()
                {
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    start.wait();
    let timeline = Timeline::new("race");
    for _ in 0..20_000 {
        let job = timeline.issue().expect("a seqno is left");
        *slot.lock().expect("not poisoned") = Some(job.fence().clone());
        job.signal();
    }
    other.join().expect("the other thread ends");
    assert_eq!(
        accepted.load(Ordering::Relaxed),
        ran.load(Ordering::Relaxed)
    );
}

#[test]
fn f_02_callbacks_run_in_order_of_registration() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let job = issue();
    for n in 0..5 {
        let order = Arc::clone(&order);
        let pushed = job
            .fence()
            .on_signal(move |_| order.lock().expect("not poisoned").push(n));
        assert!(pushed.is_ok());
    }
    job.signal();
    assert_eq!(*order.lock().expect("not poisoned"), [0, 1, 2, 3, 4]);
}

#[test]
fn f_06_dropping_the_signaler_cancels() {
    let job = issue();
    let fence = job.fence().clone();
    drop(job);
    assert_eq!(fence.status(), FenceStatus::Error(FenceError::CANCELED));
}

#[test]
fn a_callback_may_signal_drop_and_register() {
    let ring = Timeline::new("ring");
    let (a, b) = (ring.issue().expect("seqno"), ring.issue().expect("seqno"));
    let (fa, fb) = (a.fence().clone(), b.fence().clone());
    let last_handle = fa.clone();
    let seen = fb.clone();
    assert!(
        fa.on_signal(move |_| {
            b.signal();
            assert!(last_handle.on_signal(|_| ()).is_err());
            drop(last_handle);
        })
        .is_ok()
    );
    drop(fa);
    a.signal();
    assert!(seen.is_signaled());
}

#[test]
fn a_callback_that_panics_does_not_stop_the_others() {
    let job = issue();
    let fence = job.fence().clone();
    let ran = Arc::new(AtomicUsize::new(0));
    assert!(fence.on_signal(|_| panic!("callback")).is_ok());
    let count = Arc::clone(&ran);
    let registered = fence.on_signal(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert!(registered.is_ok());
    let signaller = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job.signal()));
    assert!(signaller.is_err());
    assert!(fence.is_signaled());
    assert_eq!(ran.load(Ordering::Relaxed), 1);
}

#[test]
fn seqnos_count_up_and_refuse_the_ends() {
    let ring = Timeline::new("ring");
    assert_eq!(ring.last_seqno(), 0);
    assert_eq!(ring.issue().expect("seqno").fence().seqno(), 1);
    assert_eq!(ring.issue_at(7).expect("seqno").fence().seqno(), 7);
    assert_eq!(ring.issue_at(3).expect("seqno").fence().seqno(), 3);
    assert_eq!(ring.last_seqno(), 7, "the greatest, not the latest");
    assert_eq!(ring.issue().expect("seqno").fence().seqno(), 8);
    assert_eq!(ring.issue_at(0).err(), Some(SeqnoError::OutOfRange(0)));
    assert_eq!(
        ring.issue_at(u64::MAX).err(),
        Some(SeqnoError::OutOfRange(u64::MAX))
    );
    assert!(ring.issue_at(Timeline::MAX_SEQNO).is_ok());
    assert_eq!(ring.issue().err(), Some(SeqnoError::Exhausted));
}

/// Handles of one timeline are equal, those of another of the same name are not.
#[test]
fn timelines_are_told_apart() {
    let ring = Timeline::new("ring");
    assert_eq!(ring, ring.clone());
    assert_ne!(ring, Timeline::new("ring"));
}

/// An error names the place, the cause and the remedy, if there is one.
#[test]
fn errors_say_what_is_wrong() {
    let out_of_range = SeqnoError::OutOfRange(0).to_string();
    assert!(out_of_range.contains("seqno 0 ") && out_of_range.contains("from 1 to"));
    assert!(
        SeqnoError::Exhausted
            .to_string()
            .contains("use a new timeline")
    );
    assert!(FenceError::CANCELED.to_string().contains("canceled"));
    assert!(FenceError::IO.to_string().contains("errno 5"));
}

#[test]
fn later_is_only_defined_on_one_timeline() {
    let (ring, other) = (Timeline::new("ring"), Timeline::new("other"));
    let (a, b) = (ring.issue().expect("seqno"), ring.issue().expect("seqno"));
    let c = other.issue().expect("seqno");
    assert_eq!(b.fence().is_later_than(a.fence()), Some(true));
    assert_eq!(a.fence().is_later_than(b.fence()), Some(false));
    assert_eq!(a.fence().is_later_than(a.fence()), Some(false));
    assert_eq!(a.fence().is_later_than(c.fence()), None);
}

#[test]
fn f_07_a_cell_without_references_is_not_acquired() {
    // A cell of its own, so that no other test makes it a fence.
    let cell: &'static cell::FenceCell = Box::leak(Box::new(cell::FenceCell::vacant()));
    for _ in 0..3 {
        // Refusing must not count down either: it did once, and the third try succeeded.
        assert!(Fence::try_acquire(cell).is_none());
    }
    let job = issue();
    let again = Fence::try_acquire(job.fence().cell()).expect("referenced");
    assert_eq!(&again, job.fence());
    let kept = again.into_cell();
    assert_eq!(&Fence::from_cell(kept), job.fence());
}

#[test]
fn a_signaler_knows_whether_anybody_wants_the_signal() {
    let job = Timeline::new("gfx").issue().unwrap();
    assert!(!job.is_wanted());
    let handle = job.fence().clone();
    assert!(job.is_wanted());
    let callback = handle.on_signal(|_| {}).unwrap();
    drop(handle);
    assert!(job.is_wanted(), "a callback waits");
    job.fence().cancel(callback);
    assert!(!job.is_wanted());
    let both = Fence::all([job.fence()]).unwrap();
    assert!(job.is_wanted(), "it is part of another fence");
    drop(both);
    assert!(!job.is_wanted());
    job.signal();
}
