//! The importer on sync files of a real kernel. What needs none is in `src/importer/tests.rs`.

use crate::common::{LONG, SHORT, buffer, node, pending, sw_sync, timeline};
use resv_api::{Access, Fence, FenceError, FenceStatus, Resv, Timeline, Usage, Waited, wait_all};
use resv_linux::{Importer, SyncFile, Syncobj};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::mpsc;
use std::time::Instant;

#[test]
fn a_sync_file_becomes_a_fence_with_the_kernels_status() {
    let (Some(good), Some(bad)) = (sw_sync(), sw_sync()) else {
        return;
    };
    let importer = Importer::new().unwrap();
    let done = importer.import(pending(&good, 1)).unwrap();
    let failed = importer.import(pending(&bad, 1)).unwrap();
    assert_eq!(done.wait(Some(SHORT)), Waited::TimedOut);
    good.advance(1).unwrap();
    assert_eq!(done.wait(Some(LONG)), Waited::Signaled);
    drop(bad);
    let enoent = FenceError::from_errno(2).unwrap();
    assert_eq!(failed.wait(Some(LONG)), Waited::Failed(enoent));
    // What has failed before it is imported says so too.
    let late = good.fence(1).unwrap();
    assert!(importer.import(late).unwrap().is_signaled());
}

/// A file that an export has made is known by its kernel context: later ones supersede it in an object, and
/// the same one is the same fence.
#[test]
fn fences_of_one_kernel_context_are_on_one_timeline() {
    let (Some(timeline), Some(buffer)) = (sw_sync(), buffer()) else {
        return;
    };
    let importer = Importer::new().unwrap();
    let export = |value| {
        buffer
            .import(&pending(&timeline, value), Usage::Write)
            .unwrap();
        buffer.export(Access::Read).unwrap()
    };
    let one = importer.import_exported(export(1)).unwrap();
    let again = importer
        .import_exported(buffer.export(Access::Read).unwrap())
        .unwrap();
    assert_eq!(one, again);
    let two = importer.import_exported(export(2)).unwrap();
    assert_eq!(two.is_later_than(&one), Some(true));
    assert_eq!(importer.pending(), 2);

    let resv = Resv::new();
    let mut guard = resv.lock();
    let mut slots = guard.reserve(2).unwrap();
    slots.add(&one, Usage::Write);
    slots.add(&two, Usage::Write);
    drop(guard);
    assert_eq!(
        resv.snapshot().iter().count(),
        1,
        "the later one stands for both"
    );

    timeline.advance(1).unwrap();
    assert_eq!(one.wait(Some(LONG)), Waited::Signaled);
    assert!(!resv.is_idle(Access::Read));
    timeline.advance(1).unwrap();
    assert_eq!(two.wait(Some(LONG)), Waited::Signaled);
}

/// Pitfall: the name of a file may be forged, so what comes from another process has a timeline of its own.
#[test]
fn a_foreign_file_supersedes_nothing() {
    let (Some(a), Some(b)) = (sw_sync(), sw_sync()) else {
        return;
    };
    let importer = Importer::new().unwrap();
    let victim = pending(&a, 1);
    let name = victim.info().unwrap().name;
    let forged = pending(&b, 1).merge(&pending(&b, 2), &name).unwrap();
    assert_eq!(forged.kernel_seqno(), victim.kernel_seqno());
    let victim = importer.import_exported(victim).unwrap();
    let forged = importer.import(forged).unwrap();
    assert_ne!(victim.timeline_id(), forged.timeline_id());
    a.advance(1).unwrap();
    assert_eq!(victim.wait(Some(LONG)), Waited::Signaled);
    assert_eq!(forged.status(), FenceStatus::Pending);
    b.advance(2).unwrap();
    assert_eq!(forged.wait(Some(LONG)), Waited::Signaled);
}

/// Pitfall: dropping the importer must not make running jobs look canceled.
#[test]
fn a_dropped_importer_does_not_cancel_what_the_kernel_runs() {
    let Some(timeline) = timeline() else { return };
    let fence = Importer::new().unwrap().import(timeline.fence(1)).unwrap();
    assert_eq!(fence.wait(Some(SHORT)), Waited::TimedOut);
    timeline.advance(1);
    assert_eq!(fence.wait(Some(LONG)), Waited::Signaled);
}

/// Pitfall: all of a burst become readable at once, and epoll reports them in its own order.
#[test]
fn a_burst_signals_in_order() {
    let Some(timeline) = timeline() else { return };
    let importer = Importer::new().unwrap();
    let line = Timeline::new("ring");
    let (send, order) = mpsc::channel();
    // Imported from the last to the first, so that any order but that of the seqnos is likely.
    for value in (1..=200).rev() {
        let fence = importer
            .import_at(&line, u64::from(value), timeline.fence(value))
            .unwrap();
        let send = send.clone();
        assert!(fence.on_signal(move |_| send.send(value).unwrap()).is_ok());
    }
    timeline.advance(200);
    let order: Vec<u32> = (0..200)
        .map(|_| order.recv_timeout(LONG).unwrap())
        .collect();
    assert_eq!(order, (1..=200).collect::<Vec<u32>>());
}

#[test]
fn two_thousand_sync_files_are_pending_at_once() {
    // Not those of vgem: they signal by themselves after ten seconds, which a slow machine needs for so many.
    let Some(timeline) = sw_sync() else { return };
    raise_descriptor_limit(2500);
    let importer = Importer::new().unwrap();
    let fences: Vec<Fence> = (1..=2000)
        .map(|value| importer.import(pending(&timeline, value)).unwrap())
        .collect();
    assert_eq!(importer.pending(), 2000);
    timeline.advance(1000).unwrap();
    assert_eq!(wait_all(&fences[..1000], LONG), Waited::Signaled);
    assert!(fences[1000..].iter().all(|fence| !fence.is_signaled()));
    timeline.advance(1000).unwrap();
    assert_eq!(wait_all(&fences, LONG), Waited::Signaled);
    assert_eq!(importer.pending(), 0);
}

fn raise_descriptor_limit(wanted: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        setrlimit(Resource::Nofile, limit).expect("the hard limit allows it");
    }
}

/// In a process of its own: a limit on descriptors is one on all tests.
#[test]
fn being_out_of_descriptors_is_an_error_and_changes_nothing() {
    const CHILD: &str = "RESV_OUT_OF_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "importer::being_out_of_descriptors_is_an_error_and_changes_nothing",
            ])
            .env(CHILD, "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let (Some(timeline), Some(buffer)) = (timeline(), buffer()) else {
        return;
    };
    let importer = Importer::new().unwrap();
    let bridge = resv_linux::Bridge::new(importer.clone());
    let file: SyncFile = timeline.fence(1);
    buffer.import(&file, Usage::Write).unwrap();
    let resv = Resv::new();

    let limit = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(40),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let mut all = Vec::new();
    while let Ok(one) = std::fs::File::open("/dev/null") {
        all.push(one);
    }
    let emfile = Some(rustix::io::Errno::MFILE.raw_os_error());
    assert_eq!(Importer::new().unwrap_err().raw_os_error(), emfile);
    let refused = std::io::Error::from(bridge.pull(&buffer, &resv).unwrap_err());
    assert_eq!(refused.raw_os_error(), emfile);
    assert!(resv.is_idle(Access::Write), "nothing has changed");
    assert_eq!(file.try_clone().unwrap_err().raw_os_error(), emfile);
    // What is there is imported without another descriptor.
    let fence = importer.import(file).unwrap();
    buffer_is_pushed_or_left(&bridge, &fence, &buffer);
    timeline.advance(1);
    assert_eq!(fence.wait(Some(LONG)), Waited::Signaled);

    drop(all);
    assert!(bridge.pull(&buffer, &resv).is_ok());
}

/// With no descriptor to be had, a push returns what it could not do.
fn buffer_is_pushed_or_left(
    bridge: &resv_linux::Bridge,
    fence: &Fence,
    buffer: &resv_linux::DmaBuf,
) {
    let other = Resv::new();
    other.lock().reserve(1).unwrap().add(fence, Usage::Write);
    let pushed = bridge.push(&other, buffer);
    assert_eq!(pushed.taken, 0);
    let [(entry, resv_linux::Left::Failed(_))] = pushed.left.as_slice() else {
        panic!("{pushed:?}")
    };
    assert_eq!(&entry.fence, fence);
}

#[test]
fn a_deadline_of_the_fence_reaches_the_driver() {
    let Some(timeline) = sw_sync() else { return };
    let (importer, dispatch) = Importer::manual().unwrap();
    let file = pending(&timeline, 1);
    let fence = importer.import(file.try_clone().unwrap()).unwrap();
    assert!(importer.pass_deadlines(&fence));
    fence.set_deadline(Instant::now() + LONG);
    dispatch.dispatch().unwrap();
    let first = timeline.deadline_of(&file).unwrap();
    // A sooner one by hand.
    assert!(importer.set_deadline(&fence, Instant::now()));
    assert!(timeline.deadline_of(&file).unwrap() < first);
    timeline.advance(1).unwrap();
    dispatch.dispatch().unwrap();
    assert!(!importer.set_deadline(&fence, Instant::now()));
}

#[test]
fn the_sync_file_behind_a_fence_is_there_while_it_is_pending() {
    let Some(timeline) = timeline() else { return };
    let (importer, dispatch) = Importer::manual().unwrap();
    let fence = importer.import(timeline.fence(1)).unwrap();
    let behind = importer.sync_file(&fence).unwrap().expect("it is pending");
    timeline.advance(1);
    assert_eq!(behind.status().unwrap(), FenceStatus::Signaled);
    dispatch.dispatch().unwrap();
    assert!(importer.sync_file(&fence).unwrap().is_none());
}

/// A file imported twice, with another descriptor keeping it alive between: epoll still knows the first.
#[test]
fn a_file_is_imported_again_under_the_same_number() {
    let Some(timeline) = timeline() else { return };
    let (importer, dispatch) = Importer::manual().unwrap();
    let original = timeline.fence(1);
    for _ in 0..3 {
        let fence = importer.import(original.try_clone().unwrap()).unwrap();
        assert!(importer.give_up(&fence, FenceError::IO));
        dispatch.dispatch().unwrap();
        assert!(fence.is_signaled());
    }
    let fence = importer.import(original.try_clone().unwrap()).unwrap();
    timeline.advance(1);
    dispatch.dispatch().unwrap();
    assert_eq!(fence.status(), FenceStatus::Signaled);
}

#[test]
fn a_point_of_a_sync_object_becomes_a_fence_before_it_is_submitted() {
    let Some(node) = node() else { return };
    let importer = Importer::new().unwrap();
    let object = Syncobj::new(&node).unwrap();
    let acquire = Timeline::new("acquire points");
    let first = importer.import_point(&acquire, &object, 1).unwrap();
    let third = importer.import_point(&acquire, &object, 3).unwrap();
    assert_eq!(third.is_later_than(&first), Some(true));
    assert_eq!(first.wait(Some(SHORT)), Waited::TimedOut);
    object.signal_point(1).unwrap();
    assert_eq!(first.wait(Some(LONG)), Waited::Signaled);
    assert_eq!(third.status(), FenceStatus::Pending);
    // The client never comes to 3.
    let gone = FenceError::from_errno(110).unwrap();
    assert!(importer.give_up(&third, gone));
    assert_eq!(third.wait(Some(LONG)), Waited::Failed(gone));
}
