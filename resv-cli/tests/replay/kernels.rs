//! Recordings of real kernels, where they are at hand.

use super::*;

/// The recording of this name, or `None` with a word about it.
fn kernel(name: &str) -> Option<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/recordings");
    let path = folder.join(name);
    if !path.is_file() {
        println!("skipped: the recording {} is not at hand", path.display());
        return None;
    }
    let mut reader = recording::open(&path).expect("it is readable");
    let (recorded, fault) = load(&mut reader, |_| {});
    assert!(fault.is_none());
    assert_eq!(recorded.stats().skipped.total, 0);
    Some(recorded)
}

#[test]
fn the_scheduler_of_linux_7_3() {
    let Some(recorded) = kernel("sched-basic-7.3.trace.txt.gz") else {
        return;
    };
    assert_eq!(recorded.stats().events, 31_585);
    assert_eq!(recorded.jobs().len(), 2_606);
    // Cancelled jobs signal out of order.
    assert_eq!(recorded.counts().out_of_order, 116);
    assert_eq!(recorded.counts().dependency_events, 297);
    assert_eq!(recorded.waits().len(), 7);
    let times = Times::of(&recorded);
    let workload = choose(recorded, None);
    assert_eq!(workload.account().rule, "recorded");
    let told = Report::with_runs(&workload, &times, &SemanticsKind::ALL, &BACKENDS);
    let (report, _) = told.expect("plays");
    assert!(report.is_identical());
    assert!(report.runs.iter().all(|run| run.counts.edges_assumed == 0));
    // A task waited for the start of a job: the name is that of before the signal.
    let longest = &report.times.waits.longest[0];
    assert_eq!(longest.waited_ns, 1_078_648_000);
    assert!(longest.fence.starts_with("drm-mock-scheduler#97:"));
    assert_eq!(longest.start_of.as_deref(), Some("drm-mock-scheduler#98:2"));
}

#[test]
fn vgem_and_virtio_gpu_of_two_kernels() {
    for (name, waits, longest_ns) in [
        ("vgem-6.12.trace.txt", 10, 5_319_000),
        ("vgem-7.3.trace.txt", 12, 8_078_000),
    ] {
        let Some(recorded) = kernel(name) else {
            continue;
        };
        assert!(recorded.plays_fences());
        assert_eq!(
            (recorded.fences().len(), recorded.waits().len()),
            (18, waits)
        );
        let fences = fence_parts(&recorded);
        // vgem never emits, virtio-gpu gives the number when it does.
        let vgem = fences
            .iter()
            .filter(|fence| fence.timeline.starts_with("unbound#"));
        assert!(vgem.clone().count() == 12 && vgem.clone().all(|fence| fence.busy_ns.is_some()));
        let virtio = fences.iter().filter(|fence| fence.timeline == "controlq#1");
        assert_eq!(virtio.clone().count(), 6);
        assert!(
            virtio
                .clone()
                .all(|f| f.init_ns < f.emit_ns && f.init_ns.is_some() && f.busy_ns.is_some())
        );
        let told = wait_parts(&recorded);
        assert!(
            told.iter()
                .all(|wait| wait.ended == "signaled" && wait.task == "init")
        );
        assert_eq!(
            told.iter().map(|wait| wait.waited_ns).max(),
            Some(longest_ns)
        );
        assert!(told.iter().all(|wait| !wait.fence.contains("signaled")));
        let workload = Workload::new(recorded, &BufferRule::Single);
        let report = Report::new(&workload, &SemanticsKind::ALL, &BACKENDS).expect("plays");
        assert!(report.is_identical());
        assert!(report.runs.iter().all(|run| run.counts.edges > 0));
    }
}
