//! Sync files and dma-bufs on a real kernel: with sw_sync, which lets a test signal. Each pitfall of the
//! kernel's interface that this crate works around has a test here, by its name.

use crate::common::{LONG, SHORT, buffer, pending, sw_sync, timeline, vgem};
use resv_api::{Access, FenceError, FenceStatus, Usage, Waited};
use std::time::{Duration, Instant};

const ENOENT: FenceError = FenceError::from_errno(2).expect("an errno");

#[test]
fn a_sync_file_signals_when_its_timeline_has_come_so_far() {
    let Some(timeline) = timeline() else { return };
    let (one, two) = (timeline.fence(1), timeline.fence(2));
    assert_eq!(one.status().unwrap(), FenceStatus::Pending);
    assert_eq!(one.wait(SHORT).unwrap(), Waited::TimedOut);
    timeline.advance(1);
    assert_eq!(one.wait(LONG).unwrap(), Waited::Signaled);
    assert_eq!(two.status().unwrap(), FenceStatus::Pending);
    let waiter = std::thread::spawn(move || two.wait(LONG).unwrap());
    timeline.advance(1);
    assert_eq!(waiter.join().unwrap(), Waited::Signaled);
}

#[test]
fn info_names_the_fences() {
    let Some(timeline) = sw_sync() else { return };
    let file = pending(&timeline, 7);
    let info = file.info().unwrap();
    assert_eq!(info.status, FenceStatus::Pending);
    let [fence] = info.fences.as_slice() else {
        panic!("{info:?}")
    };
    assert_eq!(fence.driver, "sw_sync");
    assert_eq!(fence.signaled_at, None);
    timeline.advance(7).unwrap();
    let after = file.info().unwrap();
    assert_eq!(after.status, FenceStatus::Signaled);
    assert!(after.fences[0].signaled_at.is_some());
}

#[test]
fn the_name_of_an_export_tells_context_and_seqno() {
    let (Some(timeline), Some(buffer)) = (sw_sync(), buffer()) else {
        return;
    };
    let (one, two) = (pending(&timeline, 1), pending(&timeline, 2));
    let exported = |file| {
        buffer.import(file, Usage::Write).unwrap();
        buffer
            .export(Access::Read)
            .unwrap()
            .kernel_seqno()
            .expect("one fence")
    };
    let (first, second) = (exported(&one), exported(&two));
    assert_eq!(first.context, second.context);
    assert_eq!((first.seqno, second.seqno), (1, 2));
    timeline.advance(2).unwrap();
    assert_eq!(buffer.export(Access::Read).unwrap().kernel_seqno(), None);
}

#[test]
fn a_merge_keeps_the_latest_of_each_context() {
    let (Some(a), Some(b)) = (sw_sync(), sw_sync()) else {
        return;
    };
    let (a1, a2, b1) = (pending(&a, 1), pending(&a, 2), pending(&b, 1));
    let merged = a1.merge(&a2, "both").unwrap().merge(&b1, "three").unwrap();
    assert_eq!(merged.count().unwrap(), 2);
    assert_eq!(merged.info().unwrap().name, "three");
    assert_eq!(merged.kernel_seqno(), None);
    a.advance(1).unwrap();
    b.advance(1).unwrap();
    assert_eq!(merged.status().unwrap(), FenceStatus::Pending);
    a.advance(1).unwrap();
    assert_eq!(merged.wait(LONG).unwrap(), Waited::Signaled);
}

/// A timeline that is closed fails what is pending.
#[test]
fn an_error_of_the_kernel_comes_through() {
    let Some(timeline) = sw_sync() else { return };
    let file = pending(&timeline, 1);
    drop(timeline);
    assert_eq!(file.wait(LONG).unwrap(), Waited::Failed(ENOENT));
    assert_eq!(file.status().unwrap(), FenceStatus::Error(ENOENT));
}

/// Pitfall: asked for a list, the kernel answers with the first error while other fences still run.
#[test]
fn a_merge_of_which_one_has_failed_is_pending_all_the_same() {
    let (Some(a), Some(b)) = (sw_sync(), sw_sync()) else {
        return;
    };
    let merged = pending(&a, 1).merge(&pending(&b, 1), "both").unwrap();
    drop(a);
    assert_eq!(merged.status().unwrap(), FenceStatus::Pending);
    let info = merged.info().unwrap();
    assert_eq!(info.status, FenceStatus::Pending);
    let failed = |fence: &&resv_linux::FenceInfo| fence.status == FenceStatus::Error(ENOENT);
    assert_eq!(info.fences.iter().filter(failed).count(), 1);
    b.advance(1).unwrap();
    // And the error survives in a merge that was pending then.
    assert_eq!(merged.wait(LONG).unwrap(), Waited::Failed(ENOENT));
}

/// Pitfall: the kernel forgets the error of a file of several fences if it is asked for its status before
/// anybody has polled it. What is asked here polls first.
#[test]
fn the_error_of_several_fences_is_seen_though_nobody_waited() {
    let (Some(a), Some(b)) = (sw_sync(), sw_sync()) else {
        return;
    };
    let merged = || pending(&a, 1).merge(&pending(&b, 1), "both").unwrap();
    let (by_status, by_info, by_import) = (merged(), merged(), merged());
    let importer = resv_linux::Importer::new().unwrap();
    drop(a);
    b.advance(1).unwrap();
    let failed = FenceStatus::Error(ENOENT);
    assert_eq!(by_status.status().unwrap(), failed);
    assert_eq!(by_info.info().unwrap().status, failed);
    assert_eq!(
        importer.import_exported(by_import).unwrap().status(),
        failed
    );
}

/// Pitfall: an export drops what has signalled, and with it the error.
#[test]
fn an_export_forgets_the_errors_of_what_has_signalled() {
    let (Some(timeline), Some(buffer)) = (sw_sync(), buffer()) else {
        return;
    };
    buffer.import(&pending(&timeline, 1), Usage::Write).unwrap();
    drop(timeline);
    let exported = buffer.export(Access::Write).unwrap();
    assert_eq!(exported.status().unwrap(), FenceStatus::Signaled);
}

/// Pitfall: names are no way to tell whether a file has signalled; 7.3 changed them.
#[test]
fn what_is_idle_exports_a_file_that_has_signalled() {
    let Some(buffer) = buffer() else { return };
    for access in [Access::Read, Access::Write] {
        assert_eq!(
            buffer.export(access).unwrap().status().unwrap(),
            FenceStatus::Signaled
        );
        assert!(buffer.is_idle(access).unwrap());
    }
    assert!(buffer.export(Access::Move).is_err());
    assert!(buffer.export(Access::Explicit).is_err());
}

/// Pitfall: a merge gives a file any name, also that of a fence with which it has nothing to do.
#[test]
fn a_merge_can_forge_a_name_but_not_the_count() {
    let (Some(a), Some(b)) = (sw_sync(), sw_sync()) else {
        return;
    };
    let (victim, forger) = (pending(&a, 1), pending(&b, 1));
    let Some(which) = victim.kernel_seqno() else {
        panic!("a fence of one")
    };
    let name = victim.info().unwrap().name;
    let forged = forger.merge(&pending(&b, 2), &name).unwrap();
    assert_eq!(forged.count().unwrap(), 1, "the later one of the two");
    assert_eq!(
        forged.kernel_seqno(),
        Some(which),
        "and it says that it is the victim's"
    );
    let two = forger.merge(&victim, &name).unwrap();
    assert_eq!((two.count().unwrap(), two.kernel_seqno()), (2, None));
}

#[test]
fn a_deadline_reaches_the_driver() {
    let Some(timeline) = sw_sync() else { return };
    let file = pending(&timeline, 1);
    assert!(timeline.deadline_of(&file).is_err(), "none yet");
    let now = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
    };
    let ahead = Duration::from_secs(3);
    let before = now();
    file.set_deadline(Instant::now() + ahead).unwrap();
    let after = now();
    let told = timeline.deadline_of(&file).unwrap();
    assert!(
        before + ahead <= told && told <= after + ahead,
        "{before:?} {told:?} {after:?}"
    );
}

#[test]
fn a_writer_concerns_everybody_and_a_reader_the_writers() {
    let (Some(timeline), Some(buffer)) = (timeline(), buffer()) else {
        return;
    };
    buffer.import(&timeline.fence(1), Usage::Read).unwrap();
    assert!(buffer.is_idle(Access::Read).unwrap());
    assert!(!buffer.is_idle(Access::Write).unwrap());
    buffer.import(&timeline.fence(2), Usage::Write).unwrap();
    assert!(!buffer.is_idle(Access::Read).unwrap());
    assert!(!buffer.wait(Access::Write, SHORT).unwrap());
    timeline.advance(2);
    assert!(buffer.wait(Access::Write, LONG).unwrap());
    assert!(buffer.import(&timeline.fence(3), Usage::Kernel).is_err());
    assert!(buffer.import(&timeline.fence(3), Usage::Bookkeep).is_err());
}

#[test]
fn buffers_come_from_udmabuf_the_system_heap_and_vgem() {
    let udmabuf = crate::common::needs("udmabuf", resv_linux::sources::udmabuf());
    let heap = crate::common::needs("the system heap", resv_linux::sources::system_heap());
    let vgem = vgem().map(|vgem| vgem.buffer().unwrap());
    for buffer in [udmabuf, heap, vgem].iter().flatten() {
        assert!(buffer.is_idle(Access::Write).unwrap());
    }
}

/// vgem is what stock kernels have.
#[test]
fn a_fence_of_vgem_is_on_the_buffer_until_it_is_signalled() {
    let Some(vgem) = vgem() else { return };
    let buffer = vgem.buffer().unwrap();
    let fence = vgem.attach(&buffer, true).unwrap();
    assert!(!buffer.is_idle(Access::Read).unwrap());
    let exported = buffer.export(Access::Read).unwrap();
    assert_eq!(exported.info().unwrap().fences[0].driver, "vgem");
    fence.signal().unwrap();
    assert!(buffer.wait(Access::Read, LONG).unwrap());
    assert_eq!(exported.status().unwrap(), FenceStatus::Signaled);
    let reader = vgem.attach(&buffer, false).unwrap();
    assert!(buffer.is_idle(Access::Read).unwrap());
    assert!(!buffer.is_idle(Access::Write).unwrap());
    reader.signal().unwrap();
}

#[test]
fn a_descriptor_may_be_sent_and_taken_again() {
    let Some(timeline) = timeline() else { return };
    let file = timeline.fence(1);
    let sent: std::os::fd::OwnedFd = file.try_clone().unwrap().into();
    let taken = resv_linux::SyncFile::try_from(sent).unwrap();
    timeline.advance(1);
    assert_eq!(taken.wait(LONG).unwrap(), Waited::Signaled);
    let buffer =
        resv_linux::SyncFile::try_from(std::os::fd::OwnedFd::from(std::io::pipe().unwrap().0));
    assert!(buffer.is_err());
}
