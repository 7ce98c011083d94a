//! E1 to E17: the sequences in which the three semantics differ, and what each answers.
//!
//! They are written once, in the table of the guide ([`resv_api::guide`]), in the [`notation`]: the rows
//! are read from there. A semantics with another name than the three is only played, to see that nothing
//! panics.

use crate::Subject;
use crate::model::Generation;
use crate::notation;
use crate::support::job;
use resv_api::{Backend, Timeline, Usage};
use resv_core::{Budget, Entry};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Plays these rows of the guide, and expects the answers of the semantics that the subject claims to be.
#[track_caller]
fn rows(on: Subject, names: &[&str]) {
    for name in names {
        let row = notation::examples().find(|row| row.name == *name);
        let row = row.unwrap_or_else(|| panic!("the guide has no row {name}"));
        let generation = Generation::ALL
            .iter()
            .position(|it| on.generation() == Some(*it));
        let questions = generation.map_or("list: -", |at| row.answers[at]);
        let told = notation::check(on, row.sequence, questions);
        if generation.is_some() {
            assert_eq!(told, Ok(()), "{name}");
        }
    }
}

/// Readers after a writer: a reader waits for the writer alone, a writer for all.
pub fn e01_readers_after_a_writer(on: Subject) {
    rows(on, &["E1"]);
}

/// The readers of E1 finish before the writer: the object is still busy (H-14, H-34).
pub fn e01b_readers_finish_before_the_writer(on: Subject) {
    rows(on, &["E1b"]);
}

/// Two writers that do not depend on each other: older semantics lose the first (H-11).
pub fn e02_unordered_writers(on: Subject) {
    rows(on, &["E2"]);
}

/// A writer that does not depend on an earlier reader: older semantics lose the reader (H-11).
pub fn e03_writer_that_ignores_a_reader(on: Subject) {
    rows(on, &["E3"]);
}

/// A read after a write on one timeline: both are kept, as a reader need not wait for a reader.
pub fn e04_read_after_write_of_one_timeline(on: Subject) {
    rows(on, &["E4"]);
}

/// A write after a read on one timeline: the write stands for both.
pub fn e05_write_after_read_of_one_timeline(on: Subject) {
    rows(on, &["E5"]);
}

/// An older fence after a newer one of its timeline: both are kept (H-16).
pub fn e06_an_older_fence_keeps_the_newer(on: Subject) {
    rows(on, &["E6", "E6b", "E6c"]);
}

/// One fence added with a stronger usage later: raised in place where both are one category scale.
pub fn e07_a_usage_is_raised(on: Subject) {
    rows(on, &["E7"]);
}

/// A usage is never lowered: the stronger entry stays.
pub fn e08_a_usage_is_never_lowered(on: Subject) {
    rows(on, &["E8"]);
}

/// A page-table update: a false dependency under the oldest semantics, for a move only in the others.
pub fn e09_a_page_table_update(on: Subject) {
    rows(on, &["E9"]);
}

/// A kernel move: only usage levels make an explicit-sync job wait (H-22).
pub fn e10_a_kernel_move_and_an_explicit_job(on: Subject) {
    rows(on, &["E10"]);
}

/// A reader asks between add and unlock: staged adds are invisible to others (H-21).
pub fn e11_asked_between_add_and_unlock(on: Subject) {
    rows(on, &["E11"]);
}

/// A writer after a staged add: what is gone was superseded, nothing is thrown away.
pub fn e12_a_writer_after_a_staged_add(on: Subject) {
    rows(on, &["E12", "E12b"]);
}

/// What was reserved and not used is gone after unlocking: the next holder reserves anew.
///
/// `Slots` make the mistake a compile error; a back end that is asked all the same panics.
pub fn e13_a_reservation_ends_with_the_lock(on: Subject) {
    rows(on, &["E13"]);

    let object = on.backend();
    let timeline = Timeline::new("F");
    let (first, second) = (job(&timeline), job(&timeline));
    let entry = |fence: &resv_api::Fence| Entry {
        fence: fence.clone(),
        usage: Usage::Read,
    };
    let mut held = object.object_lock().lock();
    let room = Budget {
        adds: 2,
        publishes: 2,
    };
    object.reserve(&mut held, room).expect("memory for two");
    object.edit(&mut held, |_| false, Some(entry(first.fence())));
    object.publish(&mut held);
    object.unreserve(&mut held);
    drop(held);

    let late = catch_unwind(AssertUnwindSafe(|| {
        let mut held = object.object_lock().lock();
        object.edit(&mut held, |_| false, Some(entry(second.fence())));
    }));
    assert!(
        late.is_err(),
        "a slot outlived the lock it was reserved under"
    );
    assert!(on.object().lock().reserve(1).is_ok());
}

/// A signalled fence is in the way: every dominated fence goes all the same.
pub fn e14_a_signalled_fence_ahead(on: Subject) {
    rows(on, &["E14"]);
}

/// A copy holds the pending fences under their usages (H-27).
pub fn e15_a_copy(on: Subject) {
    rows(on, &["E15"]);
}

/// A writer asks while only a bookkeeping fence is pending.
pub fn e16_a_bookkeeping_fence_and_a_writer(on: Subject) {
    rows(on, &["E16"]);
}

/// One fence of each usage: every access cuts somewhere else.
pub fn e17_one_fence_of_each_usage(on: Subject) {
    rows(on, &["E17"]);
}
