//! loom models of the protocol, on the real code, each with variants that loom must reject. Those of
//! the idle bits are in `loom_idle_bits.rs`.
//!
//! `scripts/loom` runs them. What loom does not see: it explores the C11 model without load
//! buffering, and executions with at most as many preemptions as the script allows.

use crate::counter::{Defect, Seam};
use crate::object::Seqcount;
use crate::slot::Slot;
use loom::sync::Arc;
use loom::thread;
use resv_core::{Backend, Budget, Entry, Fence, Key, LockProof, Plan, Timeline, Usage, UsageSet};

pub(crate) fn transact(object: &Seqcount, removes: impl FnMut(Key) -> bool, add: &[&Fence]) {
    transact_held(object, &mut object.object_lock().lock(), removes, add);
}

fn transact_held(
    object: &Seqcount,
    held: &mut LockProof<'_>,
    mut removes: impl FnMut(Key) -> bool,
    add: &[&Fence],
) {
    let room = Budget {
        adds: add.len(),
        publishes: 1,
    };
    object.reserve(held, room).expect("memory");
    for (index, &fence) in add.iter().enumerate() {
        let entry = Entry {
            fence: fence.clone(),
            usage: Usage::Write,
        };
        let removes = |key| index == 0 && removes(key);
        if index + 1 < add.len() {
            object.edit(held, removes, Some(entry));
        } else {
            // Alone, it is not staged; after others, it is.
            object.edit_and_publish(held, removes, Some(entry));
        }
    }
    object.unreserve(held);
}

/// The seqnos that one visit shows.
fn seqnos_seen(object: &Seqcount) -> Vec<u64> {
    object.visit(UsageSet::ALL, Vec::new(), |mut seqnos, key| {
        seqnos.push(key.seqno);
        seqnos
    })
}

/// A transaction replaces {A1, B1} by {A2, B2}; a reader sees the one or the other.
fn a_transaction_is_not_torn(seam: Seam) {
    loom::model(move || {
        let (a, b) = (Timeline::new("a"), Timeline::new("b"));
        let jobs = [a.issue(), b.issue(), a.issue(), b.issue()].map(|job| job.expect("seqno"));
        let object = Arc::new(Seqcount::with(seam));
        transact(&object, |_| false, &[jobs[0].fence(), jobs[1].fence()]);
        let writer = {
            let object = Arc::clone(&object);
            thread::spawn(move || {
                let keys = |_| true;
                transact(&object, keys, &[jobs[2].fence(), jobs[3].fence()]);
                jobs
            })
        };
        let seqnos = seqnos_seen(&object);
        assert!(seqnos == [1, 1] || seqnos == [2, 2], "torn: {seqnos:?}");
        drop(writer.join().expect("the writer ends"));
    });
}

#[test]
fn b1_a_transaction_is_not_torn() {
    a_transaction_is_not_torn(Seam::SOUND);
}

#[test]
#[should_panic(expected = "torn")]
fn b1_known_bad_skips_validation() {
    a_transaction_is_not_torn(Seam::planted(Defect::SkipsValidation));
}

#[test]
#[should_panic(expected = "torn")]
fn b1_known_bad_unordered_stores() {
    a_transaction_is_not_torn(Seam::planted(Defect::UnorderedStores));
}

#[test]
#[should_panic(expected = "torn")]
fn b1_known_bad_many_sections() {
    a_transaction_is_not_torn(Seam::planted(Defect::ManySections));
}

/// An add in two steps replaces {A1, B1} by {A2}: several slots change in one section. A reader sees the one or
/// the other.
fn a_planned_add_is_not_torn(seam: Seam) {
    loom::model(move || {
        let (a, b) = (Timeline::new("a"), Timeline::new("b"));
        let jobs = [a.issue(), b.issue(), a.issue()].map(|job| job.expect("seqno"));
        let object = Arc::new(Seqcount::with(seam));
        {
            let mut held = object.object_lock().lock();
            // For one more than there are: then there is a plan.
            let room = Budget {
                adds: 3,
                publishes: 1,
            };
            object.reserve(&mut held, room).expect("memory");
            let both = [jobs[0].fence(), jobs[1].fence()];
            transact_held(&object, &mut held, |_| false, &both);
        }
        let writer = {
            let object = Arc::clone(&object);
            thread::spawn(move || {
                let mut held = object.object_lock().lock();
                let plan = object.prepare(&mut held, UsageSet::EMPTY, |_, _| Ok(()), |_| true);
                let plan = plan.expect("no memory is needed");
                assert_ne!(plan, Plan::default(), "it was planned");
                let add = Entry {
                    fence: jobs[2].fence().clone(),
                    usage: Usage::Write,
                };
                let gone = object.commit(&mut held, plan, |_| true, add);
                drop((held, gone));
                jobs
            })
        };
        let seqnos = seqnos_seen(&object);
        assert!(seqnos == [1, 1] || seqnos == [2], "torn: {seqnos:?}");
        drop(writer.join().expect("the writer ends"));
    });
}

#[test]
fn b1_a_planned_add_is_not_torn() {
    a_planned_add_is_not_torn(Seam::SOUND);
}

#[test]
#[should_panic(expected = "torn")]
fn b1_known_bad_planned_and_skips_validation() {
    a_planned_add_is_not_torn(Seam::planted(Defect::SkipsValidation));
}

#[test]
#[should_panic(expected = "torn")]
fn b1_known_bad_planned_and_unordered_stores() {
    a_planned_add_is_not_torn(Seam::planted(Defect::UnorderedStores));
}

/// {E}, then S is added, then E signals: something is pending at every instant.
fn idle_was_true(seam: Seam) {
    loom::model(move || {
        let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
        let (e, s) = (gfx.issue().expect("seqno"), dma.issue().expect("seqno"));
        let object = Arc::new(Seqcount::with(seam));
        transact(&object, |_| false, &[e.fence()]);
        let writer = {
            let object = Arc::clone(&object);
            thread::spawn(move || {
                transact(&object, |_| false, &[s.fence()]);
                e.signal();
                s
            })
        };
        assert!(!object.is_idle(UsageSet::ALL), "idle");
        drop(writer.join().expect("the writer ends"));
    });
}

#[test]
fn b2_idle_was_true() {
    idle_was_true(Seam::SOUND);
}

#[test]
#[should_panic(expected = "idle")]
fn b2_known_bad_skips_validation() {
    idle_was_true(Seam::planted(Defect::SkipsValidation));
}

/// The writer replaces the only fence, drops it, and the cell becomes a foreign fence at once. A
/// snapshot never holds the stranger.
fn a_recycled_cell_is_not_mistaken(seam: Seam) {
    loom::model(move || {
        let (gfx, foreign) = (Timeline::new("gfx"), Timeline::new("foreign"));
        let ours = gfx.id();
        let object = Arc::new(Seqcount::with(seam));
        let old = gfx.issue().expect("seqno");
        transact(&object, |_| false, &[old.fence()]);
        let writer = {
            let object = Arc::clone(&object);
            thread::spawn(move || {
                let new = gfx.issue().expect("seqno");
                transact(&object, |_| true, &[new.fence()]);
                old.signal();
                (foreign.issue().expect("seqno"), new)
            })
        };
        let snapshot = object.snapshot().expect("memory");
        assert_eq!(snapshot.len(), 1);
        assert_eq!(snapshot[0].fence.timeline_id(), ours, "a foreign fence");
        drop(snapshot);
        drop(writer.join().expect("the writer ends"));
    });
}

/// The same for a reader that takes no reference and reads the key of a cell in passing.
#[test]
fn h_01_a_recycled_key_is_not_mistaken() {
    loom::model(|| {
        let (gfx, foreign) = (Timeline::new("gfx"), Timeline::new("foreign"));
        let ours = gfx.id();
        let object = Arc::new(Seqcount::default());
        let (old, new) = (gfx.issue().expect("seqno"), gfx.issue().expect("seqno"));
        transact(&object, |_| false, &[old.fence()]);
        let writer = {
            let object = Arc::clone(&object);
            thread::spawn(move || {
                transact(&object, |_| true, &[new.fence()]);
                old.signal();
                (foreign.issue().expect("seqno"), new)
            })
        };
        let keys = object.visit(UsageSet::ALL, Vec::new(), |mut keys, key| {
            keys.push(key.timeline);
            keys
        });
        assert_eq!(keys, [ours], "a foreign fence");
        drop(writer.join().expect("the writer ends"));
    });
}

#[test]
fn h_01_a_recycled_cell_is_not_mistaken() {
    a_recycled_cell_is_not_mistaken(Seam::SOUND);
}

#[test]
#[should_panic]
fn h_01_known_bad_skips_validation() {
    a_recycled_cell_is_not_mistaken(Seam::planted(Defect::SkipsValidation));
}

/// The second fence makes the table grow under a reader, which does not lose the first.
#[test]
fn b9_growth_loses_nothing() {
    loom::model(|| {
        let gfx = Timeline::new("gfx");
        let jobs = [gfx.issue(), gfx.issue()].map(|job| job.expect("seqno"));
        let object = Arc::new(Seqcount::default());
        transact(&object, |_| false, &[jobs[0].fence()]);
        let writer = {
            let object = Arc::clone(&object);
            thread::spawn(move || {
                transact(&object, |_| false, &[jobs[1].fence()]);
                jobs
            })
        };
        let seen = object.visit(UsageSet::ALL, 0, |n, _| n + 1);
        assert!(seen == 1 || seen == 2, "{seen} of 1 or 2");
        drop(writer.join().expect("the writer ends"));
    });
}

/// Two writers, one after the other, and a reader beside: one replaces A1 by A2, the other adds B2, in the place of
/// B1 if it sees A2. So no instant has A1 and B2 and no B1.
///
/// The lock gives the order between the writers: the second finds what the first has done, word and slots, and
/// its section is the next one. The counter gives the reader's: what is read around both sections is thrown away.
/// The variant's word is the same again after two sections, so it takes two writers to tell it, and two
/// preemptions: of the reader between its slots, and where the first writer ends.
///
/// That the second writer's plain load finds the last word and not an old one is more than this shows: in a model
/// the holder loads by adding zero, which always finds the last one.
fn two_writers_are_in_order(model: &loom::model::Builder, seam: Seam) {
    model.check(move || {
        let (a, b) = (Timeline::new("a"), Timeline::new("b"));
        let a_id = a.id();
        let [a1, b1, a2, b2] =
            [a.issue(), b.issue(), a.issue(), b.issue()].map(|job| job.expect("seqno"));
        let object = Arc::new(Seqcount::with(seam));
        {
            let mut held = object.object_lock().lock();
            // For one more than there are, so that each writer has one section and no table to get.
            let room = Budget {
                adds: 3,
                publishes: 1,
            };
            object.reserve(&mut held, room).expect("memory");
            transact_held(&object, &mut held, |_| false, &[a1.fence(), b1.fence()]);
        }
        let first = {
            let object = Arc::clone(&object);
            thread::spawn(move || {
                transact(&object, |key| key.timeline == a_id, &[a2.fence()]);
                a2
            })
        };
        let second = {
            let object = Arc::clone(&object);
            thread::spawn(move || {
                // A1 or A2 is in the first slot, so it is shown before B1.
                let mut sees = false;
                let removes = |key: Key| {
                    sees |= key.timeline == a_id && key.seqno == 2;
                    sees && key.timeline != a_id
                };
                transact(&object, removes, &[b2.fence()]);
                (sees, b2)
            })
        };
        // One attempt of a reader, with no other if it fails.
        let attempt = || {
            let word = object.counter.load();
            let slots = object
                .counter
                .may_read(word)
                .then(|| object.tables.used())?;
            let seqno = |slot: &Slot| Some(slot.load()?.0.key_parts().1);
            let seqnos: Vec<_> = slots.iter().filter_map(seqno).collect();
            object.counter.is_current(word).then_some(seqnos)
        };
        let seen = attempt();
        let (a2, (sees, b2)) = (first.join(), second.join().expect("the second ends"));
        let last = attempt().expect("nobody writes any more");
        // Asserted when nothing is left to be dropped: loom aborts on a drop while it unwinds.
        drop((object, a1, b1, a2, b2));
        let is_whole = seen.as_ref().is_none_or(|seen| {
            seen.len() == 3 || [[1, 1], [2, 1], [2, 2]].iter().any(|set| seen == set)
        });
        assert!(is_whole, "of no instant: {seen:?}");
        assert_eq!(last, if sees { vec![2, 2] } else { vec![2, 1, 2] });
    });
}

#[test]
fn b1_two_writers_are_in_order() {
    two_writers_are_in_order(&loom::model::Builder::new(), Seam::SOUND);
}

#[test]
#[should_panic(expected = "of no instant")]
fn b1_known_bad_counts_back() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    two_writers_are_in_order(&model, Seam::planted(Defect::CountsBack));
}
