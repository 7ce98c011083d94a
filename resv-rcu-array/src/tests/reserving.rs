//! What is reserved and what becomes of it: B3.

use super::{commit, entry, held_keys, issue, nothing, panic_message, room, visited_keys};
use crate::{Flavour, RcuArray};
use resv_core::{Backend, LockProof, Signaler, Timeline, Usage, UsageSet};

pub(super) fn b3_one_reservation_lasts_for_many_publishes<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let jobs: Vec<_> = (0..5).map(|_| issue(&line)).collect();
    let mut held = object.object_lock().lock();
    object.reserve(&mut held, room(5, 5)).expect("memory");
    for (at, job) in jobs.iter().enumerate() {
        object.edit(&mut held, nothing, Some(entry(job, Usage::Write)));
        object.publish(&mut held);
        assert_eq!(visited_keys(&object, UsageSet::ALL).len(), at + 1);
    }
}

pub(super) fn b3_reserving_again_adds_to_what_is_staged<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let jobs: Vec<_> = (0..50).map(|_| issue(&line)).collect();
    let mut held = object.object_lock().lock();
    for job in &jobs {
        object.reserve(&mut held, room(1, 1)).expect("memory");
        object.edit(&mut held, nothing, Some(entry(job, Usage::Write)));
    }
    assert!(object.is_idle(UsageSet::ALL));
    // More room than before, while something is staged and spares are there.
    object.reserve(&mut held, room(300, 4)).expect("memory");
    object.publish(&mut held);
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 50);
    for job in &jobs[..3] {
        object.edit(&mut held, nothing, Some(entry(job, Usage::Read)));
        object.publish(&mut held);
    }
    object.unreserve(&mut held);
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 53);
}

pub(super) fn b3_a_smaller_reservation_takes_nothing_away<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let jobs: Vec<_> = (0..5).map(|_| issue(&line)).collect();
    let mut held = object.object_lock().lock();
    for (adds, publishes) in [(5, 5), (1, 1), (5, 5), (0, 0)] {
        object
            .reserve(&mut held, room(adds, publishes))
            .expect("memory");
    }
    for job in &jobs {
        object.edit(&mut held, nothing, Some(entry(job, Usage::Write)));
        object.publish(&mut held);
    }
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 5);
    let message = panic_message(|| object.edit(&mut held, nothing, None));
    assert_eq!(message, "no room is reserved for a publish");
}

pub(super) fn b3_a_reservation_of_nothing_gives_no_room<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let job = issue(&Timeline::new("t"));
    for _ in 0..3 {
        commit(&object, |_| true, &[entry(&job, Usage::Write)]);
        let mut held = object.object_lock().lock();
        object.reserve(&mut held, room(0, 0)).expect("no memory");
        let message = panic_message(|| object.edit(&mut held, nothing, None));
        assert_eq!(message, "no room is reserved for a publish");
    }
}

/// Signalled fences make a reservation small; what it got is too small for the next.
pub(super) fn b3_every_publish_has_room_for_all_that_may_be_there<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let mut held = object.object_lock().lock();
    let add_five = |held: &mut LockProof<'_>| {
        let jobs: Vec<_> = (0..5).map(|_| issue(&line)).collect();
        for job in &jobs {
            object.edit(held, nothing, Some(entry(job, Usage::Read)));
        }
        object.publish(held);
        jobs
    };
    object.reserve(&mut held, room(5, 2)).expect("memory");
    add_five(&mut held).into_iter().for_each(Signaler::signal);
    object.reserve(&mut held, room(1, 3)).expect("memory");
    object.reserve(&mut held, room(5, 3)).expect("memory");
    let jobs = add_five(&mut held);
    for _ in 0..2 {
        object.edit(&mut held, nothing, None);
        object.publish(&mut held);
        assert_eq!(visited_keys(&object, UsageSet::ALL).len(), jobs.len());
    }
}

pub(super) fn what_is_staged_outlives_an_unreserve<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let job = issue(&Timeline::new("t"));
    let mut held = object.object_lock().lock();
    object.reserve(&mut held, room(2, 1)).expect("memory");
    object.edit(&mut held, nothing, Some(entry(&job, Usage::Write)));
    object.unreserve(&mut held);
    drop(held);
    let mut held = object.object_lock().lock();
    assert_eq!(held_keys(&object, &held).len(), 1);
    object.publish(&mut held);
    assert!(!object.is_idle(UsageSet::ALL));
}

pub(super) fn b3_a_reservation_that_cannot_be_met_changes_nothing<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let (a, b) = (issue(&line), issue(&line));
    commit(&object, nothing, &[entry(&a, Usage::Write)]);
    let mut held = object.object_lock().lock();
    object.reserve(&mut held, room(1, 1)).expect("memory");
    for adds in [usize::MAX, isize::MAX as usize] {
        let error = object
            .reserve(&mut held, room(adds, 3))
            .expect_err("too much");
        assert_eq!(error.entries(), adds);
    }
    object.edit(&mut held, nothing, Some(entry(&b, Usage::Write)));
    object.publish(&mut held);
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 2);
}

pub(super) fn editing_without_room_panics_and_changes_nothing<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let line = Timeline::new("t");
    let job = issue(&line);
    let mut held = object.object_lock().lock();
    let message = panic_message(|| object.edit(&mut held, nothing, None));
    assert_eq!(message, "no room is reserved for a publish");
    object.reserve(&mut held, room(1, 1)).expect("memory");
    object.edit(&mut held, nothing, Some(entry(&job, Usage::Write)));
    let message =
        panic_message(|| object.edit(&mut held, |_| true, Some(entry(&job, Usage::Read))));
    assert_eq!(message, "no room is reserved for this add");
    object.publish(&mut held);
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 1);
    let message = panic_message(|| object.edit(&mut held, nothing, None));
    assert_eq!(message, "no room is reserved for a publish");
    object.unreserve(&mut held);
}

pub(super) fn b3_what_was_given_back_cannot_be_used<R: Flavour>() {
    let object = RcuArray::<R>::default();
    let job = issue(&Timeline::new("t"));
    let mut held = object.object_lock().lock();
    for (adds, publishes) in [(1, 1), (3, 2)] {
        object
            .reserve(&mut held, room(adds, publishes))
            .expect("memory");
        object.unreserve(&mut held);
        let add = entry(&job, Usage::Write);
        let message = panic_message(|| object.edit(&mut held, nothing, Some(add)));
        assert_eq!(message, "no room is reserved for this add");
        let message = panic_message(|| object.edit(&mut held, nothing, None));
        assert_eq!(message, "no room is reserved for a publish");
    }
}

/// What is reserved is in proportion to what is asked for, and all of it can be used.
pub(super) fn b3_a_large_reservation_is_used_in_full<F: Flavour>() {
    let object = RcuArray::<F>::default();
    let line = Timeline::new("t");
    let jobs: Vec<_> = (0..2_000).map(|_| issue(&line)).collect();
    let mut held = object.object_lock().lock();
    object
        .reserve(&mut held, room(2_000, 2_000))
        .expect("memory");
    for job in &jobs {
        let add = entry(job, Usage::Read);
        object.edit_and_publish(&mut held, |_| true, Some(add));
    }
    let message = panic_message(|| object.edit(&mut held, nothing, None));
    assert_eq!(message, "no room is reserved for a publish");
    object.unreserve(&mut held);
    drop(held);
    assert_eq!(visited_keys(&object, UsageSet::ALL).len(), 1);
}

/// Publishes that only remove take room, too.
pub(super) fn b3_publishes_without_an_add_have_their_room<F: Flavour>() {
    let line = Timeline::new("t");
    for (adds, publishes) in [(0, 100), (1, 100), (50, 100), (100, 100)] {
        for all_at_last in [false, true] {
            let object = RcuArray::<F>::default();
            let jobs: Vec<_> = (0..adds).map(|_| issue(&line)).collect();
            let mut held = object.object_lock().lock();
            object
                .reserve(&mut held, room(adds, publishes))
                .expect("memory");
            let mut rest = jobs.iter();
            for left in (0..publishes).rev() {
                object.edit(&mut held, |key| key.seqno % 3 == 0, None);
                let count = match (left, all_at_last) {
                    (0, _) => adds,
                    (_, true) => 0,
                    (_, false) => 1,
                };
                for job in rest.by_ref().take(count) {
                    object.edit(&mut held, nothing, Some(entry(job, Usage::Write)));
                }
                object.publish(&mut held);
            }
            assert_eq!(rest.len(), 0);
        }
    }
}

/// Whether the first of the two steps has to look, or has nothing to show.
pub(super) fn b3_an_add_in_two_steps_has_room_at_every_length<F: Flavour>() {
    for asked in [UsageSet::ALL, UsageSet::EMPTY] {
        let object = RcuArray::<F>::default();
        let line = Timeline::new("t");
        let jobs: Vec<_> = (0..200).map(|_| issue(&line)).collect();
        for (at, job) in jobs.iter().enumerate() {
            let mut held = object.object_lock().lock();
            let plan = object
                .prepare(&mut held, asked, |_, _| Ok(()), nothing)
                .expect("memory");
            object.commit(&mut held, plan, nothing, entry(job, Usage::Read));
            drop(held);
            assert_eq!(visited_keys(&object, UsageSet::ALL).len(), at + 1);
        }
    }
}
