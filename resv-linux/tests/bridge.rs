//! Pull, push and follow on a real kernel.

use crate::common::{LONG, SHORT, buffer, node, pending, sw_sync, timeline};
use resv_api::{Access, FenceStatus, Resv, Timeline, Usage, UsageLevels, Waited};
use resv_linux::{Bridge, Followed, Importer, Left, Syncobj, Waiting};

fn bridge() -> Bridge {
    Bridge::new(Importer::new().unwrap())
}

#[test]
fn a_pulled_buffer_waits_as_the_kernel_would() {
    let (Some(timeline), Some(buffer)) = (timeline(), buffer()) else {
        return;
    };
    let (bridge, resv) = (bridge(), Resv::new());
    assert!(bridge.pull(&buffer, &resv).unwrap().users.is_none());
    assert_eq!(resv.snapshot().iter().count(), 0);

    buffer.import(&timeline.fence(1), Usage::Read).unwrap();
    let pulled = bridge.pull(&buffer, &resv).unwrap();
    assert!(pulled.writers.is_none() && pulled.users.is_some());
    assert!(resv.is_idle(Access::Read));
    assert!(!resv.is_idle(Access::Write));

    let Some(other) = crate::common::timeline() else {
        return;
    };
    buffer.import(&other.fence(1), Usage::Write).unwrap();
    bridge.pull(&buffer, &resv).unwrap();
    assert!(!resv.is_idle(Access::Read));
    other.advance(1);
    assert_eq!(resv.wait(Access::Read, LONG), Waited::Signaled);
    assert_eq!(resv.wait(Access::Write, SHORT), Waited::TimedOut);
    timeline.advance(1);
    assert_eq!(resv.wait(Access::Write, LONG), Waited::Signaled);
}

#[test]
fn a_single_writer_is_one_entry() {
    let (Some(timeline), Some(buffer)) = (sw_sync(), buffer()) else {
        return;
    };
    let (bridge, resv) = (bridge(), Resv::new());
    buffer.import(&pending(&timeline, 1), Usage::Write).unwrap();
    let pulled = bridge.pull(&buffer, &resv).unwrap();
    assert!(pulled.writers.is_some() && pulled.users.is_none());
    assert_eq!(bridge.importer().pending(), 1);
    timeline.advance(1).unwrap();
    assert_eq!(resv.wait(Access::Write, LONG), Waited::Signaled);
}

/// Pitfall: a writer that is added between the two exports must not look like a mere reader. The other order
/// of the exports is caught.
#[test]
fn a_writer_that_comes_during_a_pull_never_looks_like_a_reader() {
    let (Some(timeline), Some(buffer)) = (timeline(), buffer()) else {
        return;
    };
    let (bridge, resv) = (bridge(), Resv::new());
    let writer = || buffer.import(&timeline.fence(1), Usage::Write).unwrap();
    bridge.pull_with(&buffer, &resv, writer).unwrap();
    assert!(
        !resv.is_idle(Access::Read),
        "a reader has to wait for the writer"
    );

    let wrong = Resv::new();
    let Some(other) = crate::common::timeline() else {
        return;
    };
    timeline.advance(1);
    let writer = || buffer.import(&other.fence(1), Usage::Write).unwrap();
    bridge.pull_writers_first(&buffer, &wrong, writer).unwrap();
    assert!(
        wrong.is_idle(Access::Read),
        "the known-bad order is not caught by this test"
    );
    assert!(!wrong.is_idle(Access::Write));
}

/// Pitfall: pulls that repeat must replace what the last one put in, entries and descriptors.
#[test]
fn repeated_pulls_do_not_accumulate() {
    let (Some(a), Some(b), Some(buffer)) = (timeline(), timeline(), buffer()) else {
        return;
    };
    let (bridge, resv) = (bridge(), Resv::new());
    buffer.import(&a.fence(1), Usage::Read).unwrap();
    buffer.import(&b.fence(1), Usage::Write).unwrap();
    for _ in 0..200 {
        bridge.pull(&buffer, &resv).unwrap();
        assert_eq!(resv.snapshot().iter().count(), 2);
    }
    let pending = bridge.importer().pending();
    assert!(pending <= 8, "{pending} descriptors for one buffer");
    // What is held stays, and signals.
    let held = resv.snapshot();
    for _ in 0..20 {
        bridge.pull(&buffer, &resv).unwrap();
    }
    assert!(!held.is_idle());
    a.advance(1);
    b.advance(1);
    assert_eq!(held.wait(LONG), Waited::Signaled);
    assert_eq!(resv.wait(Access::Write, LONG), Waited::Signaled);
}

#[test]
fn a_push_takes_what_it_can_and_returns_the_rest() {
    let (Some(timeline), Some(buffer)) = (timeline(), buffer()) else {
        return;
    };
    let (bridge, resv) = (bridge(), Resv::new());
    let importer = bridge.importer();
    let read = importer.import(timeline.fence(1)).unwrap();
    let write = importer.import(timeline.fence(2)).unwrap();
    let kernel = importer.import(timeline.fence(3)).unwrap();
    let bookkeep = importer.import(timeline.fence(4)).unwrap();
    let ours = Timeline::new("cpu").issue().unwrap();
    let mut guard = resv.lock();
    let mut slots = guard.reserve(5).unwrap();
    slots.add(&read, Usage::Read);
    slots.add(&write, Usage::Write);
    slots.add(&kernel, Usage::Kernel);
    slots.add(&bookkeep, Usage::Bookkeep);
    slots.add(ours.fence(), Usage::Write);
    drop(guard);

    let pushed = bridge.push(&resv, &buffer);
    assert_eq!(pushed.taken, 3);
    assert_eq!(pushed.left.len(), 3);
    for (entry, why) in &pushed.left {
        match why {
            Left::NoSyncFile => assert_eq!(&entry.fence, ours.fence()),
            Left::Bookkeep => assert_eq!(entry.fence, bookkeep),
            Left::OnlyAsWrite => assert_eq!(entry.fence, kernel),
            Left::Failed(error) => panic!("{error}"),
        }
    }
    timeline.advance(1);
    assert!(!buffer.is_idle(Access::Read).unwrap());
    timeline.advance(2);
    assert!(
        buffer.wait(Access::Write, LONG).unwrap(),
        "bookkeep is not there"
    );
    ours.signal();
}

/// A fence made of several goes in by its parts.
#[test]
fn a_composed_fence_is_pushed_by_its_parts() {
    let (Some(a), Some(b), Some(buffer)) = (timeline(), timeline(), buffer()) else {
        return;
    };
    let (bridge, resv) = (bridge(), Resv::new());
    let (one, two) = (
        bridge.importer().import(a.fence(1)).unwrap(),
        bridge.importer().import(b.fence(1)).unwrap(),
    );
    let both = resv_api::Fence::all([&one, &two]).unwrap();
    resv.lock().reserve(2).unwrap().add(&both, Usage::Write);
    let pushed = bridge.push(&resv, &buffer);
    assert_eq!((pushed.taken, pushed.left.len()), (2, 0));
    a.advance(1);
    assert!(!buffer.is_idle(Access::Read).unwrap());
    b.advance(1);
    assert!(buffer.wait(Access::Write, LONG).unwrap());
}

/// From one buffer to another by way of an object, and not back to where they came from.
#[test]
fn what_was_pulled_is_pushed_to_others_only() {
    let (Some(timeline), Some(from), Some(to)) = (timeline(), buffer(), buffer()) else {
        return;
    };
    let bridge = bridge();
    let resv: Resv<UsageLevels> = Resv::new();
    from.import(&timeline.fence(1), Usage::Write).unwrap();
    bridge.pull(&from, &resv).unwrap();
    assert_eq!(bridge.push(&resv, &from).taken, 0);
    let pushed = bridge.push(&resv, &to);
    assert_eq!((pushed.taken, pushed.left.len()), (1, 0));
    assert!(!to.is_idle(Access::Read).unwrap());
    timeline.advance(1);
    assert!(to.wait(Access::Write, LONG).unwrap());
}

#[test]
fn a_point_follows_a_fence_of_this_process() {
    let Some(node) = node() else { return };
    let (bridge, object) = (bridge(), Syncobj::new(&node).unwrap());
    let ring = Timeline::new("cpu");
    let (one, two) = (ring.issue().unwrap(), ring.issue().unwrap());
    assert_eq!(
        bridge.follow(one.fence(), &object, 1).unwrap(),
        Followed::OnSignal
    );
    assert_eq!(
        bridge.follow(two.fence(), &object, 2).unwrap(),
        Followed::OnSignal
    );
    drop(bridge);
    assert_eq!(object.completed().unwrap(), 0);
    one.signal();
    assert_eq!(object.completed().unwrap(), 1);
    // A job that is given up completes the point too: a client must not hang.
    drop(two);
    assert_eq!(object.completed().unwrap(), 2);
    let again = Bridge::new(Importer::new().unwrap());
    let done = resv_api::Fence::signaled();
    assert_eq!(again.follow(&done, &object, 3).unwrap(), Followed::Already);
    assert_eq!(object.completed().unwrap(), 3);
}

#[test]
fn a_point_follows_a_fence_of_the_kernel_without_this_process() {
    let (Some(node), Some(timeline)) = (node(), sw_sync()) else {
        return;
    };
    let (bridge, object) = (bridge(), Syncobj::new(&node).unwrap());
    let fence = bridge.importer().import(pending(&timeline, 1)).unwrap();
    assert_eq!(
        bridge.follow(&fence, &object, 5).unwrap(),
        Followed::InKernel
    );
    assert_eq!(
        (object.completed().unwrap(), object.submitted().unwrap()),
        (0, 5)
    );
    let exported = object.export_sync_file(5).unwrap();
    // The error of the fence goes with it; but the file is one of a point, which has none itself.
    drop(timeline);
    assert!(object.wait(5, Waiting::ALL, LONG).unwrap());
    assert_eq!(exported.status().unwrap(), FenceStatus::Signaled);
    let fences = exported.info().unwrap().fences;
    assert!(
        matches!(fences[0].status, FenceStatus::Error(_)),
        "{fences:?}"
    );
    let binary = Syncobj::new(&node).unwrap();
    let ours = Timeline::new("cpu").issue().unwrap();
    bridge.follow(ours.fence(), &binary, 0).unwrap();
    ours.signal();
    assert!(binary.wait(0, Waiting::ALL, LONG).unwrap());
}
