//! The text dump, its structured form, and reading it back.

use resv_api::*;

fn objects() -> Vec<Box<dyn Reservation>> {
    let kinds = BackendKind::ALL.into_iter();
    kinds
        .filter_map(|kind| new_reservation(SemanticsKind::UsageLevels, kind).ok())
        .collect()
}

fn add(resv: &dyn Reservation, job: &Signaler, usage: Usage) {
    let fence = job.fence().clone();
    resv.transact(&[Edit::Add { fence, usage }]).unwrap();
}

#[test]
fn every_back_end_gives_the_same_dump() {
    let (gfx, vm) = (Timeline::new("gfx ring 0"), Timeline::new("vm"));
    let read = gfx.issue_at(41).unwrap();
    let write = gfx.issue_at(40).unwrap();
    let table = vm.issue().unwrap();
    for resv in objects() {
        assert_eq!(describe(&*resv).unwrap().to_string(), "");
        add(&*resv, &table, Usage::Bookkeep);
        add(&*resv, &read, Usage::Read);
        add(&*resv, &write, Usage::Write);
        let description = describe(&*resv).unwrap();
        assert_eq!(
            description.to_string(),
            "\twrite fence:resv gfx ring 0 seq 40 unsignalled\n\
             \tread fence:resv gfx ring 0 seq 41 unsignalled\n\
             \tbookkeep fence:resv vm seq 1 unsignalled\n"
        );
        assert_eq!(
            description.entries[0],
            FenceDescription {
                usage: Usage::Write,
                timeline: "gfx ring 0".to_owned(),
                timeline_id: gfx.id(),
                seqno: 40,
                status: FenceStatus::Pending,
            }
        );
    }
}

#[test]
fn what_has_signalled_is_listed_nowhere() {
    let resv = Resv::new();
    let (a, b) = (
        Timeline::new("a").issue().unwrap(),
        Timeline::new("b").issue().unwrap(),
    );
    add(&resv, &a, Usage::Write);
    add(&resv, &b, Usage::Read);
    let snapshot = resv.snapshot();
    assert_eq!(snapshot.describe().entries.len(), 2);
    assert_eq!(resv.describe().unwrap(), snapshot.describe());
    drop(a);
    for description in [snapshot.describe(), resv.describe().unwrap()] {
        assert_eq!(
            description.to_string(),
            "\tread fence:resv b seq 1 unsignalled\n"
        );
    }
    assert_eq!(snapshot.narrow(Access::Read).describe().entries, []);
}

#[test]
fn what_is_written_can_be_read_back() {
    let resv = Resv::new();
    for (name, usage) in ["x", "a seq 3", "", "ü b"].into_iter().zip(Usage::ALL) {
        // Canceled at once: not listed, whether or not the back end still stores it.
        add(&resv, &Timeline::new(name).issue().unwrap(), usage);
    }
    let live: Vec<_> = ["x", "a seq 3", "", "ü b"]
        .map(|name| Timeline::new(name).issue_at(Timeline::MAX_SEQNO).unwrap())
        .into();
    for (job, usage) in live.iter().zip(Usage::ALL) {
        add(&resv, job, usage);
    }
    for entry in resv.snapshot().describe().entries {
        let line: FenceLine = entry.to_string().parse().unwrap();
        assert_eq!(line.usage, entry.usage);
        assert_eq!((&*line.driver, &line.timeline), (DRIVER, &entry.timeline));
        assert_eq!(line.seqno, entry.seqno);
        assert_eq!(line.signaled, entry.status != FenceStatus::Pending);
    }
}

#[test]
fn other_lines_are_refused() {
    let kernel: FenceLine = "\tread fence:drm_sched gfx_0.0.0 seq 812 signalled"
        .parse()
        .unwrap();
    assert_eq!((&*kernel.driver, kernel.signaled), ("drm_sched", true));
    for line in [
        "",
        "read fence:resv gfx seq 1",
        "read fence:resv gfx seq one signalled",
        "read fence:resv gfx seq -1 signalled",
        "read fence:resv gfx seq +1 signalled",
        "read fence:resv gfx seq 01 signalled",
        "read fence:resv gfx seq 1 pending",
        "reads fence:resv gfx seq 1 signalled",
        "fence:resv gfx seq 1 signalled",
    ] {
        assert!(line.parse::<FenceLine>().is_err(), "{line}");
    }
}
