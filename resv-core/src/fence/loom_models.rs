//! loom models of the fence: signalling against registering, waiting and recycling, on the real
//! code, each with a variant that loom must reject. `scripts/loom` runs them.

use super::cell::FenceCell;
use super::*;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("a seqno is left")
}

/// A registration that leaves out the second look, under the lock.
fn register_without_looking_again(
    fence: &Fence,
    callback: impl FnOnce(FenceStatus) + Send + 'static,
) -> bool {
    if fence.is_signaled() {
        return false;
    }
    fence
        .cell()
        .cold()
        .lock()
        .callbacks
        .push((0, Box::new(callback)));
    true
}

/// A callback runs exactly once if it was accepted, and never if it was refused.
fn a_callback_is_not_lost(sound: bool) {
    loom::model(move || {
        let job = issue(&Timeline::new("t"));
        let fence = job.fence().clone();
        let runs = Arc::new(AtomicUsize::new(0));
        let signaller = thread::spawn(move || job.signal());
        let count = Arc::clone(&runs);
        let callback = move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let accepted = if sound {
            fence.on_signal(callback).is_ok()
        } else {
            register_without_looking_again(&fence, callback)
        };
        signaller.join().expect("the signaller ends");
        assert_eq!(runs.load(Ordering::Relaxed), usize::from(accepted), "lost");
        fence.cell().cold().lock().callbacks.clear();
    });
}

#[test]
fn f_02_a_callback_is_not_lost() {
    a_callback_is_not_lost(true);
}

#[test]
#[should_panic(expected = "lost")]
fn f_02_known_bad_without_looking_again() {
    a_callback_is_not_lost(false);
}

/// Taking back races with signalling: the callback runs, or it was taken back, never both.
#[test]
fn f_02_cancel_against_signal() {
    loom::model(|| {
        let job = issue(&Timeline::new("t"));
        let fence = job.fence().clone();
        let runs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&runs);
        let id = fence
            .on_signal(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            })
            .expect("pending");
        let signaller = thread::spawn(move || job.signal());
        let cancelled = fence.cancel(id);
        signaller.join().expect("the signaller ends");
        assert_eq!(runs.load(Ordering::Relaxed), usize::from(!cancelled));
    });
}

/// A waiter wakes up, and sees what the signaller did before (F-05).
#[test]
fn f_05_a_waiter_wakes_and_sees_the_work() {
    loom::model(|| {
        let job = issue(&Timeline::new("t"));
        let fence = job.fence().clone();
        let work = Arc::new(AtomicUsize::new(0));
        let signaller = {
            let work = Arc::clone(&work);
            thread::spawn(move || {
                work.store(1, Ordering::Relaxed);
                job.signal();
            })
        };
        assert_eq!(fence.wait(None), Waited::Signaled);
        assert_eq!(work.load(Ordering::Relaxed), 1);
        signaller.join().expect("the signaller ends");
    });
}

/// One thread drops the last reference, and the cell becomes another fence; another thread tries to
/// get a reference from the address. What it gets is whole: a key of one fence and its timeline.
#[test]
fn f_07_a_revived_cell_is_a_whole_fence() {
    loom::model(|| {
        let (ours, other) = (Timeline::new("ours"), Timeline::new("other"));
        let job = issue(&ours);
        let cell: &'static FenceCell = job.fence().cell();
        let dropper = {
            let other = other.clone();
            thread::spawn(move || {
                job.signal();
                issue(&other)
            })
        };
        if let Some(fence) = Fence::try_acquire(cell) {
            assert_eq!(fence.timeline().id(), fence.timeline_id());
            assert!([ours.id(), other.id()].contains(&fence.timeline_id()));
        }
        drop(dropper.join().expect("the dropper ends"));
    });
}
