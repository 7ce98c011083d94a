//! Whether a buffer's content is broken: the rule of [`resv_core::failure`], clause by clause. Random
//! scripts compare it with a model after each step ([`random`](super::random)).
//!
//! Each clause is checked twice: on an object that is left alone, whose back end may store what has
//! signalled, and on one in which edits, growth and looks between the steps make it drop that.

use crate::support::{add, add_fence, job, lone_job};
use crate::{Object, Subject};
use resv_api::{Access, Fence, FenceError, Semantics, Signaler, Timeline, Usage};
use resv_core::fence::merge;

const IO: FenceError = FenceError::IO;
const CANCELED: FenceError = FenceError::CANCELED;
/// How much a back end is made to drop what has signalled.
const STIRS: [Stir; 4] = [leave_alone, look, edit, grow];
type Stir = fn(&Object);

fn leave_alone(_: &Object) {}

fn look(object: &Object) {
    let _ = (object.is_idle(Access::Move), object.snapshot());
}

/// A fence comes and goes that no access but a move waits for, where there is such a usage.
fn edit(object: &Object) {
    let other = lone_job();
    add(object, &other, Usage::Bookkeep);
    other.signal();
    let mut guard = object.lock();
    let slots = guard.reserve(1).expect("memory for one");
    slots.publish();
}

fn grow(object: &Object) {
    edit(object);
    let mut guard = object.lock();
    let slots = guard.reserve(100).expect("memory for some");
    drop(slots);
}

fn failures(object: &Object) -> [Option<FenceError>; 4] {
    let told = Access::ALL.map(|access| object.failure(access));
    let guard = object.lock();
    assert_eq!(
        told,
        Access::ALL.map(|access| guard.failure(access)),
        "the holder's"
    );
    told
}

/// The failures for the four accesses, if `error` is that of a fence that was added as `usage` and counts.
fn of(on: Subject, usage: Usage, error: FenceError) -> [Option<FenceError>; 4] {
    Access::ALL.map(|access| Some(error).filter(|_| on.waits(access, usage)))
}

const NONE: [Option<FenceError>; 4] = [None; 4];

/// Whether an add as `usage` is a write.
fn is_write(on: Subject, usage: Usage) -> bool {
    on.semantics().class(usage) == on.semantics().class(Usage::Write)
}

/// Runs `f` with each way to make a back end drop what has signalled, on an object each.
fn stirred(on: Subject, f: impl Fn(&Object, Stir)) {
    // Where each add is a write, one that stirs makes the content whole.
    let stirs = if is_write(on, Usage::Bookkeep) {
        2
    } else {
        STIRS.len()
    };
    for stir in &STIRS[..stirs] {
        f(&on.object(), *stir);
    }
}

fn fail(job: Signaler, error: FenceError) {
    job.signal_error(error);
}

/// A fence that failed is told to those that would have waited for it, until a write comes.
pub fn b10_a_failure_is_told_until_a_write_comes(on: Subject) {
    for usage in Usage::ALL {
        stirred(on, |object, stir| {
            let failed = lone_job();
            add(object, &failed, usage);
            assert_eq!(failures(object), NONE, "it is pending");
            fail(failed, IO);
            for _ in 0..3 {
                assert_eq!(failures(object), of(on, usage, IO), "{usage}");
                stir(object);
            }
            let write = lone_job();
            add(object, &write, Usage::Write);
            assert_eq!(failures(object), NONE, "{usage}: a write has come");
            stir(object);
            fail(write, CANCELED);
            stir(object);
            assert_eq!(
                failures(object),
                of(on, Usage::Write, CANCELED),
                "the write itself"
            );
        });
    }
}

/// What fails after a later write is as if it had failed before.
pub fn b10_what_was_overwritten_may_fail(on: Subject) {
    for usage in Usage::ALL {
        stirred(on, |object, stir| {
            let (old, write) = (lone_job(), lone_job());
            add(object, &old, usage);
            stir(object);
            add(object, &write, Usage::Write);
            stir(object);
            fail(old, IO);
            stir(object);
            assert_eq!(failures(object), NONE, "{usage}");
            write.signal();
            stir(object);
            assert_eq!(failures(object), NONE, "{usage}");
        });
    }
}

/// A fence that was removed while it was pending is stood for by another one; one that had failed is not.
pub fn b10_what_was_superseded_while_pending_counts_no_more(on: Subject) {
    let usage = Usage::Read;
    if is_write(on, usage) || !on.replaces_earlier(usage) {
        return;
    }
    for fails_first in [false, true] {
        stirred(on, |object, stir| {
            let timeline = Timeline::new("ring");
            let (first, second) = (job(&timeline), job(&timeline));
            add(object, &first, usage);
            stir(object);
            let later = if fails_first {
                fail(first, IO);
                None
            } else {
                Some(first)
            };
            add(object, &second, usage);
            stir(object);
            later.into_iter().for_each(|job| fail(job, IO));
            let expected = if fails_first { of(on, usage, IO) } else { NONE };
            assert_eq!(failures(object), expected, "failed first: {fails_first}");
            second.signal();
        });
    }
}

/// Of several errors the one with the smallest errno, whichever came or was found out first.
pub fn b10_the_smallest_errno_is_told(on: Subject) {
    let Some(usage) = on.beside_others().filter(|&usage| !is_write(on, usage)) else {
        return;
    };
    for errors in [[IO, CANCELED], [CANCELED, IO]] {
        stirred(on, |object, stir| {
            let jobs = errors.map(|error| (lone_job(), error));
            jobs.iter().for_each(|(job, _)| add(object, job, usage));
            for (job, error) in jobs {
                fail(job, error);
                stir(object);
            }
            assert_eq!(failures(object), of(on, usage, IO), "{errors:?}");
        });
    }
}

/// A fence may have failed before it is added: its job was faster.
pub fn b10_a_job_may_fail_before_its_fence_is_added(on: Subject) {
    stirred(on, |object, stir| {
        let job = lone_job();
        let fence = job.fence().clone();
        fail(job, IO);
        add_fence(object, &fence, Usage::Write);
        stir(object);
        assert_eq!(failures(object), of(on, Usage::Write, IO));
    });
}

/// A replacement is no write, and its fence counts.
pub fn b10_a_replacement_is_no_write(on: Subject) {
    if is_write(on, Usage::Bookkeep) {
        return;
    }
    stirred(on, |object, stir| {
        let (failed, evicted, by) = (lone_job(), lone_job(), lone_job());
        add(object, &failed, Usage::Write);
        fail(failed, CANCELED);
        stir(object);
        add(object, &evicted, Usage::Bookkeep);
        let replace = |timeline, fence: &Fence, usage| {
            let mut guard = object.lock();
            let mut slots = guard.reserve(1).expect("memory for one");
            assert!(slots.replace(timeline, fence, usage));
        };
        replace(evicted.fence().timeline_id(), by.fence(), Usage::Write);
        stir(object);
        fail(evicted, IO);
        assert_eq!(
            failures(object),
            of(on, Usage::Write, CANCELED),
            "it has left"
        );
        stir(object);
        fail(by, IO);
        stir(object);
        assert_eq!(failures(object), of(on, Usage::Write, IO), "it counts");
    });
}

/// A copy begins anew: nothing that was before, and each that was copied.
pub fn b10_a_copy_begins_anew(on: Subject) {
    if is_write(on, Usage::Bookkeep) {
        return;
    }
    stirred(on, |object, stir| {
        let (before, failed, pending) = (lone_job(), lone_job(), lone_job());
        add(object, &before, Usage::Bookkeep);
        fail(before, IO);
        stir(object);
        let source = on.object();
        add(&source, &pending, Usage::Write);
        add(&source, &failed, Usage::Bookkeep);
        fail(failed, IO);
        object.lock().copy_from(&source).expect("memory");
        stir(object);
        assert_eq!(failures(object), NONE);
        assert_eq!(
            failures(&source),
            of(on, Usage::Bookkeep, IO),
            "the source keeps its own"
        );
        fail(pending, CANCELED);
        stir(object);
        assert_eq!(failures(object), of(on, Usage::Write, CANCELED));
    });
}

/// The leaves of a composition are one write: none overwrites another.
pub fn b10_a_composition_is_one_write(on: Subject) {
    for at in 0..3 {
        stirred(on, |object, stir| {
            let mut jobs: Vec<_> = (0..3).map(|_| lone_job()).collect();
            let whole = merge(jobs.iter().map(Signaler::fence));
            {
                let mut guard = object.lock();
                let slots = guard.reserve_for(&whole, Usage::Write);
                slots.expect("memory for three").add(&whole, Usage::Write);
            }
            stir(object);
            fail(jobs.swap_remove(at), IO);
            jobs.into_iter().for_each(Signaler::signal);
            stir(object);
            assert_eq!(failures(object), of(on, Usage::Write, IO), "leaf {at}");
        });
    }
}

/// The holder is told of its own edits; a caller that asks later, of what was published with them.
pub fn b10_the_holder_is_told_of_its_own_edits(on: Subject) {
    stirred(on, |object, stir| {
        let (first, second) = (lone_job(), lone_job());
        let (a, b) = (first.fence().clone(), second.fence().clone());
        fail(first, IO);
        fail(second, CANCELED);
        stir(object);
        let mut guard = object.lock();
        let mut slots = guard.reserve(2).expect("memory for two");
        slots.add(&a, Usage::Write);
        assert_eq!(guard.failure(Access::Move), Some(IO));
        let mut slots = guard.reserve(1).expect("memory for one");
        slots.add(&b, Usage::Write);
        assert_eq!(guard.failure(Access::Move), Some(CANCELED));
        drop(guard);
        stir(object);
        assert_eq!(failures(object), of(on, Usage::Write, CANCELED));
    });
}
