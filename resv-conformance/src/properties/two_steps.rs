//! An add in two steps, [`Backend::prepare`] and [`Backend::commit`]: the same as in single steps.

use crate::Subject;
use crate::support::{job, lone_job, race, seqnos};
use resv_api::{
    AnyBackend, Backend, Entry, Fence, Key, Locked, ReserveError, Signaler, Timeline, Usage,
    UsageSet,
};
use resv_core::{Budget, EntrySet, LockProof};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn entry(job: &Signaler, usage: Usage) -> Entry {
    Entry {
        fence: job.fence().clone(),
        usage,
    }
}

/// What a rule may know of the entry.
fn key(job: &Signaler, usage: Usage) -> Key {
    Key::new(job.fence(), usage)
}

/// What readers see of an object, in an order of its own.
fn published(object: &impl Backend) -> Vec<Key> {
    let mut keys = object.visit(UsageSet::ALL, Vec::new(), |mut keys, key| {
        keys.push(key);
        keys
    });
    keys.sort_unstable();
    keys
}

/// Adds in two steps; `between` is run between them. What was shown, in an order of its own.
fn in_two_steps(
    object: &impl Backend,
    usages: UsageSet,
    removes: impl Fn(Key) -> bool,
    add: Entry,
    between: impl FnOnce(),
) -> Vec<Key> {
    let mut held = object.object_lock().lock();
    let mut shown = Vec::new();
    let see = |fence: &Fence, key: Key| {
        assert_eq!(
            key,
            Key::new(fence, key.usage),
            "a fence is shown with its key"
        );
        shown.push(key);
        Ok(())
    };
    let plan = object.prepare(&mut held, usages, see, &removes);
    let plan = plan.expect("memory for one add");
    between();
    let removed = object.commit(&mut held, plan, &removes, add);
    drop(held);
    drop(removed);
    shown.sort_unstable();
    shown
}

/// The same in single steps.
fn in_single_steps(
    object: &impl Backend,
    removes: impl Fn(Key) -> bool,
    add: Entry,
    between: impl FnOnce(),
) {
    let mut held = object.object_lock().lock();
    object
        .reserve(&mut held, Budget::ONE)
        .expect("memory for one add");
    between();
    object.edit(&mut held, removes, Some(add));
    object.publish(&mut held);
    object.unreserve(&mut held);
}

/// B3, B4, B9: one history of adds, by turns in two steps and in single ones, beside the same history in single steps on
/// the reference: the same sets are published, and what is shown is what was pending. Sets grow and shrink, and
/// fences signal before a step, between two, and after.
pub fn b3_an_add_in_two_steps_is_an_add(on: Subject) {
    let (object, reference) = (on.backend(), Locked::default());
    let timelines: Vec<Timeline> = (0..7).map(|_| Timeline::new("t")).collect();
    let mut jobs: Vec<Signaler> = Vec::new();
    let mut kept = Vec::new();
    for round in 0..400_usize {
        let usage = Usage::ALL[(round / 3) % 4];
        let new = job(&timelines[(round * 5 + round / 11) % timelines.len()]);
        let its_key = key(&new, usage);
        let removes = |old: Key| match round % 10 {
            // Of several timelines, too.
            7 => old.usage >= usage,
            8 => false,
            _ => old.timeline == its_key.timeline && old.usage >= usage,
        };
        let usages = UsageSet::of(&Usage::ALL[round % 3..3]);
        let mut before = published(&reference);
        before.retain(|key| usages.contains(key.usage));
        let between = |jobs: &mut Vec<Signaler>| {
            if round % 4 == 1 && jobs.len() > 12 {
                jobs.swap_remove(round % jobs.len()).signal();
            }
        };
        if round % 16 == 15 {
            in_single_steps(&object, removes, entry(&new, usage), || between(&mut jobs));
        } else {
            let add = entry(&new, usage);
            let shown = in_two_steps(&object, usages, removes, add, || between(&mut jobs));
            assert_eq!(shown, before, "round {round}: what is shown was pending");
        }
        in_single_steps(&reference, removes, entry(&new, usage), || {});
        jobs.push(new);
        assert_eq!(published(&object), published(&reference), "round {round}");
        match round {
            // A snapshot that is held changes what can be given up.
            100 | 300 => kept.push(object.snapshot().expect("memory")),
            200 => kept.clear(),
            _ => {}
        }
        if round % 90 == 89 {
            jobs.drain(..jobs.len() - 3).for_each(Signaler::signal);
        }
    }
    let held = object.object_lock().lock();
    let count = object.visit_held(&held, 0, |count, _| count + 1);
    assert_eq!(count, published(&object).len(), "nothing is staged");
}

/// B3: nothing is left of a commit's reservation.
pub fn b3_a_commit_gives_up_what_was_reserved(on: Subject) {
    let object = on.backend();
    let jobs = [lone_job(), lone_job()];
    let mut held = object.object_lock().lock();
    let plan = object.prepare(&mut held, UsageSet::ALL, |_, _| Ok(()), |_| false);
    let add = entry(&jobs[0], Usage::Read);
    let removed = object.commit(&mut held, plan.expect("memory"), |_| false, add);
    assert!(removed.is_none(), "nothing was there");
    let more = catch_unwind(AssertUnwindSafe(|| {
        object.edit(&mut held, |_| false, Some(entry(&jobs[1], Usage::Read)));
    }));
    assert!(more.is_err(), "an add without room");
    drop(held);
    assert_eq!(published(&object), [key(&jobs[0], Usage::Read)]);
}

/// B3: a plan that comes to nothing, because the caller cannot go on or did not get what `see` needs, has changed nothing.
pub fn b3_a_plan_that_is_dropped_changes_nothing(on: Subject) {
    let object = on.backend();
    let jobs: Vec<Signaler> = (0..40).map(|_| lone_job()).collect();
    for (at, new) in jobs.iter().enumerate() {
        let before = published(&object);
        let mut held = object.object_lock().lock();
        let give_up = |held: &mut LockProof<'_>| {
            assert_eq!(published(&object), before, "nobody sees a plan");
            object.unreserve(held);
            let count = object.visit_held(held, 0, |count, _| count + 1);
            assert_eq!(count, before.len(), "nothing was removed");
        };
        // It would remove everything.
        let plan = object.prepare(&mut held, UsageSet::EMPTY, |_, _| Ok(()), |_| true);
        assert!(plan.is_ok());
        give_up(&mut held);
        let mut left = at / 2;
        let fails = |_: &Fence, _| match left.checked_sub(1) {
            Some(less) => {
                left = less;
                Ok(())
            }
            None => Err(ReserveError::new(at)),
        };
        let failed = object.prepare(&mut held, UsageSet::ALL, fails, |_| true);
        assert_eq!(failed.is_err(), at > 0, "there is something to show");
        give_up(&mut held);
        drop(held);
        let add = entry(new, Usage::Read);
        let shown = in_two_steps(&object, UsageSet::ALL, |_| false, add, || {});
        assert_eq!(shown, before);
    }
    assert_eq!(published(&object).len(), jobs.len());
}

/// B4: an entry is exchanged for another in two steps, over and over: every reader sees one.
pub fn b4_a_commit_is_of_one_instant(on: Subject) {
    let object: AnyBackend = on.backend();
    let timeline = Timeline::new("t");
    let exchange = || {
        let new = job(&timeline);
        let add = entry(&new, Usage::Write);
        in_two_steps(&object, UsageSet::ALL, |_| true, add, || {});
        new
    };
    // All stay pending, so that whatever set is read, it is read in full.
    let mut jobs = vec![exchange()];
    race(
        2000,
        || jobs.push(exchange()),
        || {
            assert_eq!(object.snapshot().expect("memory").len(), 1, "in a snapshot");
            assert_eq!(seqnos(&object).len(), 1, "in a visit");
            assert!(!object.is_idle(UsageSet::ALL), "idle");
        },
    );
}

/// B3: the proof must be for the lock of this very object.
pub fn b3_the_lock_of_another_object_prepares_nothing(on: Subject) {
    let (object, other) = (on.backend(), on.backend());
    let wrong = catch_unwind(AssertUnwindSafe(|| {
        let mut held = other.object_lock().lock();
        let _ = object.prepare(&mut held, UsageSet::ALL, |_, _| Ok(()), |_| false);
    }));
    assert!(wrong.is_err(), "a plan with the lock of another object");
}
