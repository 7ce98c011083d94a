//! loom models of what is noted without a reference, on the real code and objects of the counter, each with a
//! variant that loom must reject. `scripts/loom` runs them. For a cell to become another fence between two steps
//! of the job takes three preemptions: of the job before its object drops the fence, of the signaller before
//! it issues the next one, and of the job again.

use super::{Defect, Noted, Seam};
use crate::seqcount::Seqcount;
use crate::submittable::{Job, Submittable};
use crate::{Fence, Resv, Signaler, Timeline, TimelineId, Usage, UsageLevels, Waits};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

type Object = Resv<UsageLevels, Seqcount>;

fn object() -> Object {
    Resv::with(UsageLevels, Seqcount::default())
}

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("a seqno is left")
}

fn key(fence: &Fence) -> (TimelineId, u64) {
    (fence.timeline_id(), fence.seqno())
}

/// The steps in which [`submit`](crate::submit()) comes to what a job that reads the object must wait for.
/// The references are taken under the lock, or, if `late`, when it is released. How many fences were noted, and
/// what is listed.
fn waits_of(object: &Object, job: &Signaler, seam: Seam, late: bool) -> (usize, Waits) {
    let mut noted = Noted {
        seam,
        ..Noted::new(&[])
    };
    let mut held = object.object_lock().lock();
    let plan = object.prepare(&mut held, &Job::of(job.fence()), Usage::Read, &mut noted);
    plan.expect("memory");
    object.finish(&mut held);
    let held = (!late).then_some(held);
    let waits = noted.list::<resv_core::ReserveError>().expect("memory");
    drop(held);
    (noted.table.map_or(0, |table| table.count), waits)
}

/// A fence signals while it is noted, its object drops it, and its cell becomes another fence at once. (The
/// object has no slot left, so the job gets it a larger table, which leaves out what has signalled. That is
/// between the look and the reference.)
///
/// What is listed is the fence that was noted. If nothing is listed, the job need not wait: it sees what was
/// done before the signal (F-05).
fn a_cell_becomes_another_fence(seam: Seam) {
    loom::model(move || {
        let (gfx, other) = (Timeline::new("gfx"), Timeline::new("other"));
        let object = object();
        let writer = issue(&gfx);
        object.add(writer.fence(), Usage::Write).expect("memory");
        let before = key(writer.fence());
        let work = Arc::new(AtomicUsize::new(0));
        let signaller = {
            let work = Arc::clone(&work);
            thread::spawn(move || {
                work.store(1, Ordering::Relaxed);
                writer.signal();
                issue(&other)
            })
        };
        let (_, waits) = waits_of(&object, &issue(&gfx), seam, false);
        for wait in &waits {
            assert_eq!(key(wait), before, "another fence is listed");
        }
        if waits.is_empty() {
            assert_eq!(work.load(Ordering::Relaxed), 1, "the wait is lost");
        }
        drop(signaller.join().expect("the signaller ends"));
    });
}

#[test]
fn h_01_a_cell_that_became_another_fence_is_not_listed() {
    a_cell_becomes_another_fence(Seam::SOUND);
}

#[test]
#[should_panic(expected = "another fence is listed")]
fn h_01_known_bad_the_key_is_not_checked() {
    a_cell_becomes_another_fence(Seam::planted(Defect::ChecksNoKey));
}

#[test]
#[should_panic(expected = "another fence is listed")]
fn h_01_known_bad_the_key_is_checked_too_early() {
    a_cell_becomes_another_fence(Seam::planted(Defect::ChecksTooEarly));
}

/// The object has the only reference of a composition, which is pending, and another thread empties the object.
/// A job that found the composition waits for it, as nobody takes it out before the job has a reference.
fn what_is_pending_is_listed(late: bool) {
    loom::model(move || {
        let writer = issue(&Timeline::new("gfx"));
        let object = Arc::new(object());
        let first = Fence::any([writer.fence()]).expect("not empty");
        object.add(&first, Usage::Write).expect("memory");
        drop(first);
        let emptier = {
            let object = Arc::clone(&object);
            thread::spawn(move || object.lock().copy_from(&self::object()).expect("memory"))
        };
        let (found, waits) = waits_of(&object, &issue(&Timeline::new("dma")), Seam::SOUND, late);
        assert_eq!(waits.len(), found, "the wait is lost");
        emptier.join().expect("the emptier ends");
    });
}

#[test]
fn b6_what_is_pending_is_listed() {
    what_is_pending_is_listed(false);
}

#[test]
#[should_panic(expected = "the wait is lost")]
fn b6_known_bad_references_are_taken_when_the_lock_is_released() {
    what_is_pending_is_listed(true);
}
