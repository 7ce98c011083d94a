//! loom models of the turns that readers take, each with a variant that loom must reject.

use crate::counter::{Defect, Seam};
use crate::loom_models::transact;
use crate::object::Seqcount;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use resv_core::Timeline;

/// A transaction replaces {A1, B1} by {A2, B2}; a reader whose first attempt is in its turn already sees the
/// one or the other, though the writer may have looked for turns before.
///
/// To tell the variant it takes three preemptions: of the reader before its turn, of the writer behind its look,
/// of the reader in its attempt.
fn a_turn_is_no_lock(model: &loom::model::Builder, seam: Seam) {
    model.check(move || {
        let (a, b) = (Timeline::new("a"), Timeline::new("b"));
        let jobs = [a.issue(), b.issue(), a.issue(), b.issue()].map(|job| job.expect("seqno"));
        let object = Arc::new(Seqcount::with(seam));
        transact(&object, |_| false, &[jobs[0].fence(), jobs[1].fence()]);
        let writer = {
            let object = Arc::clone(&object);
            thread::spawn(move || {
                transact(&object, |_| true, &[jobs[2].fence(), jobs[3].fence()]);
                jobs
            })
        };
        let seqno = |(cell, _): crate::slot::Content| Some(cell.key_parts().1);
        let seqnos = object.collect(None, seqno).expect("memory");
        assert!(seqnos == [1, 1] || seqnos == [2, 2], "torn: {seqnos:?}");
        drop(writer.join().expect("the writer ends"));
    });
}

#[test]
fn b7_a_turn_is_no_lock() {
    a_turn_is_no_lock(&loom::model::Builder::new(), Seam::SOUND);
}

#[test]
#[should_panic(expected = "torn")]
fn b7_known_bad_trusts_turns() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    a_turn_is_no_lock(&model, Seam::planted(Defect::TrustsTurns));
}

/// A writer that knows of a turn opens no section in it.
fn a_writer_waits_for_a_turn(seam: Seam) {
    loom::model(move || {
        let gfx = Timeline::new("gfx");
        let jobs = [gfx.issue(), gfx.issue()].map(|job| job.expect("seqno"));
        let object = Arc::new(Seqcount::with(seam));
        transact(&object, |_| false, &[jobs[0].fence()]);
        let began = Arc::new(AtomicUsize::new(0));
        let writer = {
            let (object, began) = (Arc::clone(&object), Arc::clone(&began));
            thread::spawn(move || {
                if began.load(Ordering::Acquire) == 1 {
                    transact(&object, |_| true, &[jobs[1].fence()]);
                }
                jobs
            })
        };
        let side = object.tables.side().expect("there was a reservation");
        let turn = side.turns.take();
        began.store(1, Ordering::Release);
        let word = object.counter.load();
        let is_current = object.counter.may_read(word) && object.counter.is_current(word);
        drop(turn);
        let jobs = writer.join().expect("the writer ends");
        // Asserted when nothing is left to be dropped: loom aborts on a drop while it unwinds.
        drop((object, jobs));
        assert!(is_current, "a section in a turn");
    });
}

#[test]
fn b7_a_writer_waits_for_a_turn() {
    a_writer_waits_for_a_turn(Seam::SOUND);
}

#[test]
#[should_panic(expected = "a section in a turn")]
fn b7_known_bad_ignores_turns() {
    a_writer_waits_for_a_turn(Seam::planted(Defect::IgnoresTurns));
}
