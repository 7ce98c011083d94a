//! What each thread holds and has promised. Only the thread itself looks at it.
//!
//! Proofs of locks and sections do not leave their thread, so neither does this. (A set that is sent
//! while it holds locks leaves their records behind.)

use super::report::{Place, Report};
use crate::fence::TimelineId;
use std::cell::RefCell;

/// A lock that this thread holds.
#[derive(Clone, Copy)]
pub(super) struct HeldLock {
    pub(super) lock: u64,
    /// The ticket of the context that took it.
    pub(super) context: Option<u64>,
    pub(super) place: Place,
}

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
    held: Vec<HeldLock>,
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

pub(super) fn taken(held: HeldLock) {
    with(|thread| thread.held.push(held));
}

pub(super) fn released(lock: u64) {
    with(|thread| {
        if let Some(at) = thread.held.iter().rposition(|held| held.lock == lock) {
            thread.held.remove(at);
        }
    });
}

/// Takes out the locks that are held by the context with this ticket.
pub(super) fn take_held_by(ticket: u64) -> Vec<HeldLock> {
    with(|thread| {
        let of_it = |held: &mut HeldLock| held.context == Some(ticket);
        thread.held.extract_if(.., of_it).collect()
    })
}

/// Whether nothing is held and no section entered.
pub(super) fn is_idle() -> bool {
    with(|thread| thread.held.is_empty() && thread.sections.is_empty())
}

/// The locks held; none in a handler, whose doings are not reported.
pub(super) fn held() -> Vec<HeldLock> {
    with(|thread| match thread.quiet {
        0 => thread.held.clone(),
        _ => Vec::new(),
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

/// Puts the report where somebody collects; gives it back if nobody does.
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
