//! Plans that were made for something else. A plan is a word that anybody can write, so a wrong one may panic, and may
//! not make a fence or a cell belong to two.

use super::{entry, held_keys, issue, nothing, panic_message, room};
use crate::{RcuArray, Stable};
use resv_core::{Backend, LockProof, Plan, Signaler, Timeline, Usage, UsageSet};

type Object = RcuArray<Stable>;

/// The smallest cell has so many slots.
const SLOTS: usize = 22;

fn prepare(object: &Object, held: &mut LockProof<'_>, asked: UsageSet) -> Plan {
    let plan = object.prepare(held, asked, |_, _| Ok(()), nothing);
    plan.expect("memory")
}

fn add(object: &Object, job: &Signaler) {
    let mut held = object.object_lock().lock();
    let plan = prepare(object, &mut held, UsageSet::EMPTY);
    drop(object.commit(&mut held, plan, nothing, entry(job, Usage::Read)));
}

fn commit(object: &Object, held: &mut LockProof<'_>, plan: Plan, job: &Signaler) {
    drop(object.commit(held, plan, nothing, entry(job, Usage::Read)));
}

fn jobs(line: &Timeline, count: usize) -> Vec<Signaler> {
    (0..count).map(|_| issue(line)).collect()
}

/// A plan that ends the entry at `place`, where nothing is.
fn ends(place: u32, is_straight: bool) -> Plan {
    Plan(1 << (13 + place) | 0xF << 9 | u64::from(is_straight) << 2 | 1)
}

/// What is in the slots behind the end of a cell that was used before is not the object's.
#[test]
fn a_plan_for_more_than_there_is_ends_nothing() {
    for (is_straight, place) in [(false, 1), (false, 3), (true, 1), (true, 3)] {
        let (others, line) = (Timeline::new("others"), Timeline::new("t"));
        let used = Object::default();
        let theirs = jobs(&others, SLOTS);
        theirs.iter().for_each(|job| add(&used, job));
        // A larger cell is filled, and given up.
        let mut held = used.object_lock().lock();
        prepare(&used, &mut held, UsageSet::EMPTY);
        used.finish(&mut held);
        drop(held);

        let object = Object::default();
        let (first, second) = (issue(&line), issue(&line));
        let mut held = object.object_lock().lock();
        object.reserve(&mut held, room(60, 1)).expect("memory");
        object.edit(&mut held, nothing, Some(entry(&first, Usage::Read)));
        object.finish(&mut held);
        let plan = ends(place, is_straight);
        let message = panic_message(|| commit(&object, &mut held, plan, &second));
        assert_eq!(message, "a plan for another set", "{is_straight} {place}");
        drop(held);
        let kept = used.visit(UsageSet::ALL, 0, |count, _| count + 1);
        assert_eq!(kept, SLOTS);
    }
}

/// No length is published that a cell does not have.
#[test]
fn a_plan_for_a_free_slot_that_is_not_there_changes_no_length() {
    let (line, object) = (Timeline::new("t"), Object::default());
    let jobs = jobs(&line, SLOTS + 1);
    jobs[..SLOTS].iter().for_each(|job| add(&object, job));
    let mut held = object.object_lock().lock();
    panic_message(|| commit(&object, &mut held, Plan(1), &jobs[SLOTS]));
    object.finish(&mut held);
    drop(held);
    let shown = object.visit(UsageSet::ALL, 0, |count, _| count + 1);
    assert_eq!(shown, SLOTS);
    // The object can be used.
    add(&object, &jobs[SLOTS]);
    assert_eq!(
        object.visit(UsageSet::ALL, 0, |count, _| count + 1),
        SLOTS + 1
    );
}

/// A plan for the published cell is not made in a spare one, which would be in two places then.
#[test]
fn a_plan_for_the_published_cell_is_not_made_in_a_spare_one() {
    let (line, object) = (Timeline::new("t"), Object::default());
    let jobs = jobs(&line, 5);
    jobs[..3].iter().for_each(|job| add(&object, job));
    let mut held = object.object_lock().lock();
    let plan = prepare(&object, &mut held, UsageSet::ALL);
    // This must not come in between.
    object.reserve(&mut held, room(100, 1)).expect("memory");
    commit(&object, &mut held, plan, &jobs[3]);
    object.finish(&mut held);
    drop(held);
    add(&object, &jobs[4]);

    let (other, second) = (Timeline::new("other"), Object::default());
    let theirs = issue(&other);
    let mut held = second.object_lock().lock();
    second.reserve(&mut held, room(100, 1)).expect("memory");
    second.edit(&mut held, nothing, Some(entry(&theirs, Usage::Read)));
    second.finish(&mut held);
    drop(held);
    let held = object.object_lock().lock();
    assert!(
        held_keys(&object, &held)
            .iter()
            .all(|key| key.timeline == line.id())
    );
}
