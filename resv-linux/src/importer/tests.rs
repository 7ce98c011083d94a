//! The importer with eventfds: what it does is the same for sync files, and every Linux has these.

use super::*;
use resv_api::{Access, Resv, Usage, Waited};
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::time::Duration;

/// A promise, and the descriptor that keeps it.
fn promise() -> (Promise, OwnedFd) {
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd");
    let keeper = fd.try_clone().expect("a descriptor");
    (Promise::eventfd(fd), keeper)
}

fn keep(keeper: &OwnedFd) {
    keep_with(keeper, 0);
}

fn keep_with(keeper: &OwnedFd, errno: u64) {
    rustix::io::write(keeper, &(1 + errno).to_ne_bytes()).expect("it is open");
}

/// What a fence signals with, within a time that no machine needs.
fn wait(fence: &Fence) -> Waited {
    fence.wait(Some(Duration::from_secs(20)))
}

#[test]
fn a_fence_signals_with_the_status_of_the_promise() {
    let importer = Importer::new().unwrap();
    let (good, good_keeper) = promise();
    let (bad, bad_keeper) = promise();
    let (good, bad) = (
        importer.import(good).unwrap(),
        importer.import(bad).unwrap(),
    );
    assert_eq!(importer.pending(), 2);
    assert_eq!(good.status(), FenceStatus::Pending);
    keep_with(&bad_keeper, 5);
    assert_eq!(wait(&bad), Waited::Failed(FenceError::IO));
    keep(&good_keeper);
    assert_eq!(wait(&good), Waited::Signaled);
    assert_eq!(importer.pending(), 0);
}

#[test]
fn what_is_kept_already_is_not_watched() {
    let (importer, _dispatch) = Importer::manual().unwrap();
    let (kept, keeper) = promise();
    keep(&keeper);
    assert!(importer.import(kept).unwrap().is_signaled());
    let (failed, keeper) = promise();
    keep_with(&keeper, 2);
    let fence = importer.import(failed).unwrap();
    assert_eq!(
        fence.status(),
        FenceStatus::Error(FenceError::from_errno(2).unwrap())
    );
    assert_eq!(importer.pending(), 0);
}

/// Pitfall: dropping the importer drops its signalers, and fences look canceled while the kernel runs.
#[test]
fn a_dropped_importer_cancels_nothing() {
    for by_thread in [true, false] {
        let (job, keeper) = promise();
        let fence = if by_thread {
            Importer::new().unwrap().import(job).unwrap()
        } else {
            let (importer, dispatch) = Importer::manual().unwrap();
            let fence = importer.import(job).unwrap();
            drop(dispatch);
            fence
        };
        assert_eq!(
            fence.wait(Some(Duration::from_millis(20))),
            Waited::TimedOut
        );
        keep(&keeper);
        assert_eq!(
            wait(&fence),
            Waited::Signaled,
            "by a thread of its own: {by_thread}"
        );
    }
}

#[test]
fn the_thread_ends_when_nothing_is_left() {
    let (job, keeper) = promise();
    let importer = Importer::new().unwrap();
    let core = Arc::downgrade(&importer.handle.core);
    let fence = importer.import(job).unwrap();
    drop(importer);
    assert!(
        core.upgrade().is_some(),
        "the thread has it, and what is pending"
    );
    keep(&keeper);
    assert_eq!(wait(&fence), Waited::Signaled);
    for _ in 0..2000 {
        if core.upgrade().is_none() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the thread is still there");
}

/// Pitfall: epoll reports in any order, a scheduler that cancels signals in any order.
#[test]
fn fences_of_a_timeline_signal_in_the_order_of_their_seqnos() {
    let (importer, dispatch) = Importer::manual().unwrap();
    let timeline = Timeline::new("context");
    let (send, signaled) = mpsc::channel();
    let mut keepers = Vec::new();
    // Imported out of order too.
    for seqno in [2, 1, 4, 3] {
        let (job, keeper) = promise();
        let fence = importer.import_at(&timeline, seqno, job).unwrap();
        let send = send.clone();
        let sent = fence.on_signal(move |status| send.send((seqno, status)).unwrap());
        assert!(sent.is_ok());
        keepers.push((seqno, keeper));
    }
    keepers.sort_by_key(|&(seqno, _)| seqno);
    let order = || {
        signaled
            .try_iter()
            .map(|(seqno, _)| seqno)
            .collect::<Vec<u64>>()
    };

    keep(&keepers[2].1);
    dispatch.dispatch().unwrap();
    assert_eq!(order(), [0; 0], "3 is held back by 1 and 2");
    keep(&keepers[0].1);
    dispatch.dispatch().unwrap();
    assert_eq!(order(), [1], "3 is held back by 2");
    keep(&keepers[3].1);
    keep(&keepers[1].1);
    dispatch.dispatch().unwrap();
    assert_eq!(order(), [2, 3, 4]);
    assert_eq!(importer.pending(), 0);
    assert_eq!(timeline.completed_seqno(), 4);
}

/// What held others back is wanted by nobody and goes: the others must signal all the same.
#[test]
fn what_goes_unwanted_holds_nobody_back() {
    let (importer, dispatch) = Importer::manual().unwrap();
    let timeline = Timeline::new("pulls");
    let (first, _first) = promise();
    let (second, second_keeper) = promise();
    let (third, _third) = promise();
    drop(importer.import_at(&timeline, 1, first).unwrap());
    let second = importer.import_at(&timeline, 2, second).unwrap();
    let third = importer.import_at(&timeline, 3, third).unwrap();
    keep(&second_keeper);
    dispatch.dispatch().unwrap();
    assert!(!second.is_signaled(), "held back");
    importer.drop_unwanted(timeline.id());
    dispatch.dispatch().unwrap();
    assert!(second.is_signaled());
    assert!(!third.is_signaled());
    assert_eq!(importer.pending(), 1);
}

/// Behind one that is held, what nobody wants gives its descriptor back, and signals in its turn.
#[test]
fn what_nobody_wants_keeps_its_turn_without_a_descriptor() {
    let (importer, dispatch) = Importer::manual().unwrap();
    let timeline = Timeline::new("pulls");
    let (first, first_keeper) = promise();
    let (second, second_keeper) = promise();
    let (third, third_keeper) = promise();
    let held = importer.import_at(&timeline, 1, first).unwrap();
    drop(importer.import_at(&timeline, 2, second).unwrap());
    let last = importer.import_at(&timeline, 3, third).unwrap();
    importer.drop_unwanted(timeline.id());
    assert_eq!(timeline.completed_seqno(), 0, "2 does not signal before 1");
    drop(second_keeper);
    keep(&third_keeper);
    dispatch.dispatch().unwrap();
    assert!(!held.is_signaled() && !last.is_signaled());
    keep(&first_keeper);
    dispatch.dispatch().unwrap();
    assert!(held.is_signaled() && last.is_signaled());
    assert_eq!(importer.pending(), 0);
}

#[test]
fn a_place_is_given_once() {
    let (importer, _dispatch) = Importer::manual().unwrap();
    let timeline = Timeline::new("context");
    let (a, _a) = promise();
    let (b, b_keeper) = promise();
    let fence = importer.import_at(&timeline, 7, a).unwrap();
    let refused = importer.import_at(&timeline, 7, b).unwrap_err();
    assert_eq!(refused.error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(
        refused.to_string(),
        "seqno 7 of 'context' is imported already"
    );
    // Given back as it was.
    keep(&b_keeper);
    assert_eq!(refused.value.ask(), FenceStatus::Signaled);
    let (c, _c) = promise();
    assert!(
        importer.import_at(&timeline, 0, c).is_err(),
        "there is no seqno 0"
    );
    assert_eq!(importer.pending(), 1);
    assert!(importer.give_up(&fence, FenceError::IO));
}

#[test]
fn what_is_given_up_signals_with_what_is_before_it() {
    let (importer, dispatch) = Importer::manual().unwrap();
    let timeline = Timeline::new("client");
    let fences: Vec<Fence> = (1..=3)
        .map(|point| importer.import_at(&timeline, point, promise().0).unwrap())
        .collect();
    let late = FenceError::from_errno(110).unwrap();
    assert!(importer.give_up(&fences[1], late));
    dispatch.dispatch().unwrap();
    let status: Vec<_> = fences.iter().map(Fence::status).collect();
    let gone = FenceStatus::Error(late);
    assert_eq!(status, [gone, gone, FenceStatus::Pending]);
    assert!(
        !importer.give_up(&fences[1], late),
        "it is no longer pending"
    );
    assert!(
        !importer.give_up(&Fence::signaled(), late),
        "it was never imported"
    );
    assert_eq!(importer.pending(), 1);
}

#[test]
fn a_callback_that_panics_stops_nobody() {
    let (importer, dispatch) = Importer::manual().unwrap();
    let timeline = Timeline::new("context");
    let (a, a_keeper) = promise();
    let (b, b_keeper) = promise();
    let a = importer.import_at(&timeline, 1, a).unwrap();
    let b = importer.import_at(&timeline, 2, b).unwrap();
    assert!(
        a.on_signal(|_| panic!("the user's mistake, on purpose"))
            .is_ok()
    );
    keep(&a_keeper);
    keep(&b_keeper);
    dispatch.dispatch().unwrap();
    assert!(a.is_signaled() && b.is_signaled());
}

/// A callback may import, give up, and drop the last importer.
#[test]
fn a_callback_may_use_the_importer() {
    let importer = Importer::new().unwrap();
    let (first, keeper) = promise();
    let first = importer.import(first).unwrap();
    let (send, receive) = mpsc::channel();
    let done = first.on_signal(move |_| {
        let (second, keeper) = promise();
        let second = importer.import(second).unwrap();
        keep(&keeper);
        send.send(second).unwrap();
    });
    assert!(done.is_ok());
    keep(&keeper);
    let second = receive.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(wait(&second), Waited::Signaled);
}

#[test]
fn two_thousand_are_pending_at_once_and_leave_nothing() {
    let (importer, dispatch) = Importer::manual().unwrap();
    raise_descriptor_limit(6000);
    let (fences, keepers): (Vec<Fence>, Vec<OwnedFd>) = (0..2000)
        .map(|_| {
            let (job, keeper) = promise();
            (importer.import(job).unwrap(), keeper)
        })
        .unzip();
    assert_eq!(importer.pending(), 2000);
    assert_eq!(dispatch.dispatch().unwrap(), 0);
    for keeper in keepers.iter().step_by(2) {
        keep(keeper);
    }
    assert_eq!(dispatch.dispatch().unwrap(), 1000);
    assert!(fences.iter().step_by(2).all(Fence::is_signaled));
    assert_eq!(
        fences.iter().filter(|fence| fence.is_signaled()).count(),
        1000
    );
    for keeper in keepers.iter().skip(1).step_by(2) {
        keep(keeper);
    }
    dispatch.dispatch().unwrap();
    assert_eq!(importer.pending(), 0);
}

/// Lets this process have as many descriptors as it may.
fn raise_descriptor_limit(wanted: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = limit
            .maximum
            .map_or(Some(wanted), |max| Some(max.min(wanted)));
        setrlimit(Resource::Nofile, limit).expect("the hard limit allows it");
    }
}

/// An importer whose thread signals under a reservation object: what the whole is for.
#[test]
fn an_object_is_idle_when_the_kernel_is() {
    let importer = Importer::new().unwrap();
    let buffer = Resv::new();
    let (job, keeper) = promise();
    let fence = importer.import(job).unwrap();
    buffer.lock().reserve(1).unwrap().add(&fence, Usage::Write);
    drop(fence);
    assert!(!buffer.is_idle(Access::Read));
    keep(&keeper);
    assert_eq!(
        buffer.wait(Access::Read, Duration::from_secs(20)),
        Waited::Signaled
    );
}

#[test]
fn deadlines_and_sync_files_are_of_sync_files_only() {
    let (importer, _dispatch) = Importer::manual().unwrap();
    let fence = importer.import(promise().0).unwrap();
    assert!(importer.sync_file(&fence).unwrap().is_none());
    assert!(!importer.set_deadline(&fence, Instant::now()));
    assert!(importer.pass_deadlines(&fence));
    fence.set_deadline(Instant::now());
    importer.give_up(&fence, FenceError::IO);
}

/// A thread in `Importer::wait` watches the descriptor itself. Whatever ends the fence wakes it: the promise,
/// an earlier one of its timeline that was held up, being given up, the time.
#[test]
fn a_thread_that_waits_by_itself_wakes_up_whatever_ends_the_fence() {
    let long = Duration::from_secs(20);
    let importer = Importer::new().unwrap();
    let (job, keeper) = promise();
    let fence = importer.import(job).unwrap();
    let short = Duration::from_millis(10);
    assert_eq!(importer.wait(&fence, short), Waited::TimedOut);
    std::thread::scope(|scope| {
        // Two of them: one watches, the other one waits for it.
        let waiters: [_; 2] = std::array::from_fn(|_| scope.spawn(|| importer.wait(&fence, long)));
        std::thread::sleep(short);
        keep_with(&keeper, 5);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Waited::Failed(FenceError::IO));
        }
    });

    // Given up from elsewhere.
    let (job, _keeper) = promise();
    let fence = importer.import(job).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| importer.wait(&fence, long));
        std::thread::sleep(short);
        assert!(importer.give_up(&fence, FenceError::CANCELED));
        let waited = waiter.join().unwrap();
        assert_eq!(waited, Waited::Failed(FenceError::CANCELED));
    });

    // Signalled with a later one, by the importer's thread, which takes what the eventfd says.
    let timeline = Timeline::new("ring");
    let ((first, first_keeper), (second, second_keeper)) = (promise(), promise());
    let first = importer.import_at(&timeline, 1, first).unwrap();
    let second = importer.import_at(&timeline, 2, second).unwrap();
    std::thread::scope(|scope| {
        let waiters = [&second, &first].map(|fence| scope.spawn(|| importer.wait(fence, long)));
        std::thread::sleep(short);
        // The later one first: it is held back.
        keep(&second_keeper);
        std::thread::sleep(short);
        assert!(!second.is_signaled(), "out of order");
        keep(&first_keeper);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Waited::Signaled);
        }
    });
    assert_eq!(importer.pending(), 0);
}

/// Nothing is lost however waits by oneself, the importer's thread and the promises meet.
#[test]
fn threads_that_wait_by_themselves_race_with_the_importers() {
    let importer = Importer::new().unwrap();
    let timeline = Timeline::new("ring");
    for round in 0..200u64 {
        let (promises, keepers): (Vec<_>, Vec<_>) = (0..3).map(|_| promise()).unzip();
        let fences: Vec<Fence> = (3 * round + 1..)
            .zip(promises)
            .map(|(seqno, promise)| importer.import_at(&timeline, seqno, promise).unwrap())
            .collect();
        std::thread::scope(|scope| {
            for fence in &fences {
                scope.spawn(|| {
                    let waited = importer.wait(fence, Duration::from_secs(20));
                    assert_eq!(waited, Waited::Signaled);
                });
            }
            scope.spawn(|| keepers.iter().rev().for_each(keep));
        });
        assert_eq!(importer.pending(), 0);
    }
}
