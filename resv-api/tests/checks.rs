//! The checks name the lines of this crate's caller, not its own.

#![cfg(feature = "checks")]

use resv_api::checks::{Misuse, Report, collect, signalling_section, timeline_ended};
use resv_api::{
    Access, Fence, ReserveError, Resv, Timeline, Transaction, Usage, Waited, WaitedAny, exec,
    lock_all, submit, wait_all, wait_any,
};
use std::panic::Location;
use std::time::Duration;

const A_MOMENT: Duration = Duration::from_millis(1);

#[track_caller]
fn here() -> u32 {
    Location::caller().line()
}

fn reports(f: impl FnOnce()) -> Vec<Report> {
    collect(f).1
}

#[track_caller]
fn assert_one(reports: &[Report], kind: Misuse, first: u32, second: u32) {
    let found: Vec<_> = reports
        .iter()
        .inspect(|report| {
            assert_eq!(
                (report.first.file(), report.second.file()),
                (file!(), file!())
            );
        })
        .map(|report| (report.kind, report.first.line(), report.second.line()))
        .collect();
    assert_eq!(found, [(kind, first, second)], "{reports:#?}");
}

#[track_caller]
fn assert_none(reports: &[Report]) {
    assert!(reports.is_empty(), "a false alarm: {reports:#?}");
}

/// An object with one pending fence of `ring`, which is leaked.
fn busy(ring: &Timeline) -> Resv {
    let (object, job) = (Resv::new(), ring.issue().unwrap());
    object
        .lock()
        .reserve(1)
        .unwrap()
        .add(job.fence(), Usage::Write);
    std::mem::forget(job);
    object
}

#[test]
fn waits_for_objects_in_a_section() {
    let ring = Timeline::new("gfx");
    let object = busy(&ring);
    let snapshot = object.waits_for(Access::Read);
    let waits: [&dyn Fn() -> (Waited, u32); 5] = [
        &|| (object.wait(Access::Read, A_MOMENT), here()),
        &|| (object.wait_until_idle(Access::Read, A_MOMENT), here()),
        &|| (snapshot.wait(A_MOMENT), here()),
        &|| (wait_all(&snapshot, A_MOMENT), here()),
        &|| (wait_any(&[&snapshot], A_MOMENT).waited(), here()),
    ];
    for wait in waits {
        let mut lines = (0, 0);
        let found = reports(|| {
            let (_section, entered) = (signalling_section(&ring), here());
            let (waited, line) = wait();
            assert_eq!(waited, Waited::TimedOut);
            lines = (entered, line);
        });
        assert_one(&found, Misuse::WaitInSection, lines.0, lines.1);
    }
}

#[test]
fn a_wait_for_any_that_another_timeline_can_end_is_legal() {
    let (ring, other) = (Timeline::new("gfx"), Timeline::new("dma"));
    let (own, free) = (ring.issue().unwrap(), other.issue().unwrap());
    let found = reports(|| {
        let _section = signalling_section(&ring);
        let groups = [own.fence(), free.fence()];
        assert_eq!(wait_any(&groups, A_MOMENT), WaitedAny::TimedOut);
        assert_eq!(wait_all(&groups, Duration::ZERO), Waited::TimedOut);
        assert_eq!(wait_all(free.fence(), A_MOMENT), Waited::TimedOut);
    });
    assert_none(&found);
}

#[test]
fn locks_of_objects_in_a_section() {
    let (ring, object) = (Timeline::new("gfx"), Resv::new());
    let locks: [&dyn Fn() -> u32; 4] = [
        &|| (object.lock(), here()).1,
        &|| (lock_all(&[&object]), here()).1,
        &|| {
            let line = exec::<_, ReserveError>(|tx| {
                let (_, line) = (tx.lock(&object)?, here());
                Ok(line)
            });
            line.unwrap()
        },
        &|| {
            let line = exec::<_, ReserveError>(|tx| {
                let (_, line) = (tx.lock_all(&[&object])?, here());
                Ok(line)
            });
            line.unwrap()
        },
    ];
    for lock in locks {
        let mut lines = (0, 0);
        let found = reports(|| {
            let (_section, entered) = (signalling_section(&ring), here());
            lines = (entered, lock());
        });
        assert_one(&found, Misuse::LockInSection, lines.0, lines.1);
    }
}

#[test]
fn objects_locked_in_both_orders() {
    let (a, b) = (Resv::new(), Resv::new());
    let mut lines = (0, 0);
    let found = reports(|| {
        let held = a.lock();
        let (other, first) = (b.lock(), here());
        drop((held, other));
        let _held = b.lock();
        let (_other, second) = (a.lock(), here());
        lines = (first, second);
    });
    assert_one(&found, Misuse::LockOrder, lines.0, lines.1);
}

#[test]
fn objects_locked_in_any_order_by_transactions_are_legal() {
    let (a, b) = (Resv::new(), Resv::new());
    let found = reports(|| {
        for pair in [[&a, &b], [&b, &a]] {
            drop(lock_all(&pair));
            let both = exec::<_, ReserveError>(|tx| Ok(tx.lock_all(&pair)?.len()));
            assert_eq!(both, Ok(2));
        }
    });
    assert_none(&found);
}

#[test]
fn a_fence_in_an_object_whose_signaler_was_leaked() {
    let (ring, object) = (Timeline::new("gfx"), Resv::new());
    let mut lines = (0, 0);
    let found = reports(|| {
        let (job, issued) = (ring.issue().unwrap(), here());
        let mut guard = object.lock();
        let mut slots = guard.reserve(1).unwrap();
        let ((), added) = (slots.add(job.fence(), Usage::Write), here());
        std::mem::forget(job);
        timeline_ended(&ring);
        lines = (issued, added);
    });
    assert_one(&found, Misuse::NoSignaler, lines.0, lines.1);
}

#[test]
fn a_fence_that_is_added_when_its_timeline_has_ended() {
    let (ring, object) = (Timeline::new("gfx"), Resv::new());
    let mut lines = (0, 0);
    let found = reports(|| {
        let (job, issued) = (ring.issue().unwrap(), here());
        timeline_ended(&ring);
        let added = exec::<_, ReserveError>(|tx| {
            let mut slots = tx.lock(&object)?.reserve(1)?;
            let ((), line) = (slots.add(job.fence(), Usage::Write), here());
            Ok(line)
        });
        lines = (issued, added.unwrap());
    });
    assert_one(&found, Misuse::NoSignaler, lines.0, lines.1);
}

#[test]
fn fences_that_signalled_or_were_canceled_are_legal_at_the_end() {
    let (ring, object) = (Timeline::new("gfx"), Resv::new());
    let found = reports(|| {
        let jobs = [
            ring.issue().unwrap(),
            ring.issue().unwrap(),
            ring.issue().unwrap(),
        ];
        let all = Fence::all(jobs.iter().map(|job| job.fence())).unwrap();
        let mut guard = object.lock();
        guard.reserve(3).unwrap().add(&all, Usage::Read);
        drop(guard);
        let [done, failed, dropped] = jobs;
        done.signal();
        failed.signal_error(resv_api::FenceError::IO);
        drop(dropped);
        timeline_ended(&ring);
    });
    assert_none(&found);
}

#[test]
fn a_point_that_is_added_before_its_fence_was_issued() {
    let (ring, object) = (Timeline::new("gfx"), Resv::new());
    let _first = ring.issue().unwrap();
    let mut lines = (0, 0);
    let found = reports(|| {
        let (point, asked) = (ring.point(2), here());
        let mut guard = object.lock();
        let mut slots = guard.reserve(1).unwrap();
        let ((), added) = (slots.add(&point, Usage::Write), here());
        lines = (asked, added);
    });
    assert_one(&found, Misuse::NoSignaler, lines.0, lines.1);
}

#[test]
fn a_point_that_is_added_when_its_fence_has_been_issued_is_legal() {
    let (ring, object) = (Timeline::new("gfx"), Resv::new());
    let found = reports(|| {
        let point = ring.point(1); // asked for before, added after
        let job = ring.issue().unwrap();
        object.lock().reserve(1).unwrap().add(&point, Usage::Write);
        job.signal();
    });
    assert_none(&found);
}

/// Both forms of a submit name their caller: for the locks that they take, and for the fence that they add.
#[test]
fn submits_name_their_caller() {
    let (ring, dma, object) = (Timeline::new("gfx"), Timeline::new("dma"), Resv::new());
    let job = dma.issue().unwrap();
    let uses = [(&object, Usage::Write)];
    type Form = fn(&Fence, &[(&Resv, Usage)]) -> u32;
    let forms: [Form; 2] = [
        |fence, uses| {
            let (waits, line) = (submit(fence, uses), here());
            waits.map(|_| line).unwrap()
        },
        |fence, uses| {
            let timed = Transaction::new().until(None);
            let (waits, line) = (timed.submit(fence, uses), here());
            waits.map(|_| line).unwrap()
        },
    ];
    for form in forms {
        let mut lines = (0, 0);
        let found = reports(|| {
            let (_section, entered) = (signalling_section(&ring), here());
            lines = (entered, form(job.fence(), &uses));
        });
        assert_one(&found, Misuse::LockInSection, lines.0, lines.1);
    }
    job.signal();
    for form in forms {
        let line = Timeline::new("line");
        let mut lines = (0, 0);
        let found = reports(|| {
            let (job, issued) = (line.issue().unwrap(), here());
            lines = (issued, form(job.fence(), &uses));
            std::mem::forget(job);
            timeline_ended(&line);
        });
        assert_one(&found, Misuse::NoSignaler, lines.0, lines.1);
    }
}
