//! What each thread holds and has promised. Only the thread itself looks at it.
//!
//! Proofs of locks and sections do not leave their thread, so neither does this. (A set that is sent
//! while it holds locks leaves their records behind.)

use super::held::{Held, HeldLock};
use super::report::{Place, Report};
use crate::fence::TimelineId;
use std::cell::RefCell;

/// A signalling section that this thread is in.
#[derive(Clone, Copy)]
pub(super) struct Section {
    serial: u64,
    pub(super) timeline: TimelineId,
    /// The first seqno that the section must signal.
    pub(super) from: u64,
    pub(super) place: Place,
}

#[derive(Default)]
struct Thread {
    held: Held,
    sections: Vec<Section>,
    next_serial: u64,
    collected: Vec<Vec<Report>>,
    quiet: usize,
}

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::default();
}

/// Runs `f`, unless the thread is at its very end. `f` calls nothing of the library.
fn with<R: Default>(f: impl FnOnce(&mut Thread) -> R) -> R {
    let result = THREAD.try_with(|thread| f(&mut thread.borrow_mut()));
    result.unwrap_or_default()
}

/// Notes a lock; returns the number of its record.
pub(super) fn taken(held: HeldLock) -> u64 {
    with(|thread| thread.held.push(held))
}

/// The record with this number is not needed any more, if it is this thread's and of this lock.
pub(super) fn released(number: u64, lock: u64) {
    with(|thread| thread.held.remove(number, lock));
}

/// Takes out the locks that are held by the context with this ticket.
pub(super) fn take_held_by(ticket: u64) -> Vec<HeldLock> {
    with(|thread| thread.held.remove_of(ticket))
}

/// Whether nothing is held and no section entered.
pub(super) fn is_idle() -> bool {
    with(|thread| thread.held.len() == 0 && thread.sections.is_empty())
}

/// Runs `f` on the locks held; on none in a handler, whose doings are not reported.
pub(super) fn with_held<R: Default>(f: impl FnOnce(&Held) -> R) -> R {
    with(|thread| match thread.quiet {
        0 => f(&thread.held),
        _ => R::default(),
    })
}

/// The sections that the thread is in; none in a handler.
pub(super) fn sections() -> Vec<Section> {
    with(|thread| match thread.quiet {
        0 => thread.sections.clone(),
        _ => Vec::new(),
    })
}

/// Enters a section and returns its serial, for [`leave`].
pub(super) fn enter((timeline, from): (TimelineId, u64), place: Place) -> u64 {
    with(|thread| {
        thread.next_serial += 1;
        let serial = thread.next_serial;
        thread.sections.push(Section {
            serial,
            timeline,
            from,
            place,
        });
        serial
    })
}

pub(super) fn leave(serial: u64) {
    with(|thread| thread.sections.retain(|section| section.serial != serial));
}

/// Collects the reports of this thread from its making to its end, or to its drop in a panic.
pub(super) struct Collector(bool);

impl Collector {
    pub(super) fn begin() -> Self {
        with(|thread| thread.collected.push(Vec::new()));
        Collector(true)
    }

    pub(super) fn end(mut self) -> Vec<Report> {
        self.0 = false;
        with(|thread| thread.collected.pop().unwrap_or_default())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if self.0 {
            with(|thread| thread.collected.pop());
        }
    }
}

/// Puts the report where this thread collects; gives it back if it does not.
pub(super) fn collected(report: Report) -> Option<Report> {
    let mut report = Some(report);
    with(|thread| {
        if let Some(collected) = thread.collected.last_mut() {
            collected.extend(report.take());
        }
    });
    report
}

/// As long as this exists, nothing is reported of this thread.
pub(super) struct Quiet(());

impl Quiet {
    pub(super) fn begin() -> Self {
        with(|thread| thread.quiet += 1);
        Quiet(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        with(|thread| thread.quiet -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::with;
    use crate::lock::{Context, LockError, LockSet, ObjectLock};

    /// Each lock of a transaction is asked for twice, with and without a lock of another kind held: it was
    /// compared with all that were held.
    #[test]
    fn a_transaction_looks_at_few_records_for_each_lock() {
        let alone = ObjectLock::new();
        for is_alone_held in [false, true] {
            for count in [1_000, 8_000] {
                let locks: Vec<_> = (0..count).map(|_| ObjectLock::new()).collect();
                let held = is_alone_held.then(|| alone.lock());
                with(|thread| thread.held.steps.set(0));
                let set = LockSet::new(Context::new());
                for lock in &locks {
                    assert!(set.lock(lock).is_ok());
                }
                for lock in &locks {
                    assert_eq!(set.lock(lock), Err(LockError::AlreadyHeld));
                }
                drop(set);
                drop(held);
                assert_eq!(with(|thread| thread.held.len()), 0);
                let steps = with(|thread| thread.held.steps.get());
                // Five searches for each lock, and what the first 64 of them cost with another one held.
                let most = count * (5 * (usize::ilog2(count) as usize + 2) + 4) + 64 * 65;
                assert!(steps <= most, "{count} locks: {steps} steps, not {most}");
            }
        }
    }
}
