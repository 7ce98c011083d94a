//! E1 to E17: the sequences in which the three semantics differ, and what each answers.
//!
//! E1 to E17 of `docs/hazards.md`, with the decisions of `docs/DESIGN.md`: no historic bugs, a
//! later fence never removed by an older one (E6), superseding by dominance (E14), nothing staged
//! thrown away (E12).
//!
//! Sequences and answers are in the [`notation`]; the answers are in the order
//! exclusive-shared, writers-readers-others, usage-levels. A semantics with another name is only
//! played, to see that nothing panics.

use crate::Subject;
use crate::model::Generation;
use crate::notation;
use crate::support::job;
use resv_api::{Backend, Timeline, Usage};
use resv_core::{Budget, Entry};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Plays `sequence` and expects the answers of the semantics that the subject claims to be.
#[track_caller]
fn example(on: Subject, sequence: &str, expected: [&str; 3]) {
    let expected = match on.generation() {
        Some(Generation::ExclusiveShared) => expected[0],
        Some(Generation::WritersReadersOthers) => expected[1],
        Some(Generation::UsageLevels) => expected[2],
        None => "",
    };
    let questions = if expected.is_empty() {
        "list: -"
    } else {
        expected
    };
    let told = notation::check(on, sequence, questions);
    if !expected.is_empty() {
        assert_eq!(told, Ok(()));
    }
}

/// Readers after a writer: a reader waits for the writer alone, a writer for all.
pub fn e01_readers_after_a_writer(on: Subject) {
    let all = "read: A1; write: A1 B1 C1";
    example(on, "W A1, R B1, R C1", [all; 3]);
}

/// The readers of E1 finish before the writer: the object is still busy (H-14, H-34).
pub fn e01b_readers_finish_before_the_writer(on: Subject) {
    let all = "read: A1; write: A1; move: A1";
    example(on, "W A1, R B1, R C1, signal B1, signal C1", [all; 3]);
}

/// Two writers that do not depend on each other: older semantics lose the first (H-11).
pub fn e02_unordered_writers(on: Subject) {
    let lost = "read: B1; move: B1";
    let kept = "read: A1 B1; move: A1 B1";
    example(on, "W A1, W B1", [lost, lost, kept]);
}

/// A writer that does not depend on an earlier reader: older semantics lose the reader (H-11).
pub fn e03_writer_that_ignores_a_reader(on: Subject) {
    let lost = "write: A1; move: A1";
    let kept = "write: B1 A1; move: B1 A1";
    example(on, "R B1, W A1", [lost, lost, kept]);
}

/// A read after a write on one timeline: both are kept, as a reader need not wait for a reader.
pub fn e04_read_after_write_of_one_timeline(on: Subject) {
    let all = "read: A1; write: A1 A2";
    example(on, "W A1, R A2", [all; 3]);
}

/// A write after a read on one timeline: the write stands for both.
pub fn e05_write_after_read_of_one_timeline(on: Subject) {
    let all = "read: A2; write: A2; list: A2=write";
    example(on, "R A1, W A2", [all; 3]);
}

/// An older fence after a newer one of its timeline: both are kept (H-16).
pub fn e06_an_older_fence_keeps_the_newer(on: Subject) {
    example(on, "R A5, R A3", ["write: A3 A5"; 3]);
    example(on, "W A5, W A3", ["read: A3 A5"; 3]);
    example(on, "BK A5, BK A3", ["move: A3 A5"; 3]);
}

/// One fence added with a stronger usage later: raised in place where both are one category scale.
pub fn e07_a_usage_is_raised(on: Subject) {
    example(
        on,
        "BK F1, R F1",
        [
            "list: F1=read; write: F1",
            "list: F1=read F1=bookkeep; write: F1; move: F1",
            "list: F1=read; write: F1",
        ],
    );
}

/// A usage is never lowered: the stronger entry stays.
pub fn e08_a_usage_is_never_lowered(on: Subject) {
    let others = "read: F1; move: F1; list: F1=write F1=bookkeep";
    example(
        on,
        "W F1, BK F1",
        ["read: F1; move: F1; list: F1=write F1=read", others, others],
    );
}

/// A page-table update: a false dependency under the oldest semantics, for a move only in the others.
pub fn e09_a_page_table_update(on: Subject) {
    let others = "read: -; write: -; move: P1";
    example(
        on,
        "BK P1",
        ["read: -; write: P1; move: P1", others, others],
    );
}

/// A kernel move: only usage levels make an explicit-sync job wait (H-22).
pub fn e10_a_kernel_move_and_an_explicit_job(on: Subject) {
    let ignored = "explicit: -; read: M1";
    example(on, "K M1", [ignored, ignored, "explicit: M1; read: M1"]);
}

/// Somebody asks between add and unlock: staged adds are invisible to others (H-21).
pub fn e11_asked_between_add_and_unlock(on: Subject) {
    let at_once = "write: F1 / F1";
    let staged = "write: - / F1";
    example(on, "lock, R F1, ?, unlock, ?", [at_once, staged, at_once]);
}

/// A writer after a staged add: what is gone was superseded, nothing is thrown away.
pub fn e12_a_writer_after_a_staged_add(on: Subject) {
    let reader_lost = "write: A1; move: A1";
    example(
        on,
        "lock, R F1, W A1, unlock",
        [reader_lost, reader_lost, "write: F1 A1; move: F1 A1"],
    );
    example(
        on,
        "lock, BK F1, W A1, unlock",
        [
            reader_lost,
            "write: A1; move: F1 A1",
            "write: A1; move: F1 A1",
        ],
    );
}

/// What was reserved and not used is gone after unlocking: the next holder reserves anew.
///
/// `Slots` make the mistake a compile error; a back end that is asked all the same panics.
pub fn e13_a_reservation_ends_with_the_lock(on: Subject) {
    example(on, "R F1, R G1", ["write: F1 G1"; 3]);

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
    let all = "write: A2; list: A2=read";
    example(on, "R S1, R A1, signal S1, R A2", [all; 3]);
}

/// A copy holds the pending fences under their usages (H-27).
pub fn e15_a_copy(on: Subject) {
    example(
        on,
        "K A1, BK B1, R C1, signal C1, copy",
        [
            "list: A1=write B1=read",
            "list: A1=write B1=bookkeep",
            "list: A1=kernel B1=bookkeep",
        ],
    );
}

/// A writer asks while only a bookkeeping fence is pending.
pub fn e16_a_bookkeeping_fence_and_a_writer(on: Subject) {
    example(on, "BK F1", ["write: F1", "write: -", "write: -"]);
}

/// One fence of each usage: every access cuts somewhere else.
pub fn e17_one_fence_of_each_usage(on: Subject) {
    example(
        on,
        "K M1, W A1, R B1, BK V1",
        [
            "explicit: -; read: A1; write: A1 B1 V1; move: A1 B1 V1",
            "explicit: -; read: A1; write: A1 B1; move: A1 B1 V1",
            "explicit: M1; read: M1 A1; write: M1 A1 B1; move: M1 A1 B1 V1",
        ],
    );
}
