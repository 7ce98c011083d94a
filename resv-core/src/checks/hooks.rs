//! What the rest of the crate calls, in one line each.

use super::held::HeldLock;
use super::report::{Misuse, Place, Report, tell};
use super::{Signals, order, pending, sections, thread};
use crate::fence::{Fence, Timeline};
use crate::lock::Context;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

/// The serial of a section.
#[derive(Debug)]
pub(super) struct Entered(u64);

impl Entered {
    #[track_caller]
    pub(super) fn new(what: &impl Signals) -> Self {
        Entered(thread::enter(what.promised(), Location::caller()))
    }

    pub(super) fn leave(&mut self) {
        thread::leave(self.0);
    }
}

/// What is known of a lock.
pub(crate) struct LockTrack {
    /// Its number, 0 until it is needed. Addresses are used again.
    number: AtomicU64,
    /// The record of the thread that took it last.
    record: AtomicU64,
}

impl LockTrack {
    pub(crate) fn new() -> Self {
        LockTrack {
            number: AtomicU64::new(0),
            record: AtomicU64::new(0),
        }
    }

    fn number(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed, all: an identity; nothing is published with it.
        let number = self.number.load(Ordering::Relaxed);
        if number != 0 {
            return number;
        }
        let new = NEXT.fetch_add(1, Ordering::Relaxed);
        let set = self
            .number
            .compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
        set.map_or_else(|number| number, |_| new)
    }

    /// The lock is asked for, and waited for while another thread holds it.
    #[track_caller]
    pub(crate) fn wanted(&self, context: Option<&Context>) {
        let place = Location::caller();
        if self.is_not_held(context, place) {
            let context = context.map(Context::ticket);
            for (here, out, back) in order::learn(context, self.number(), place) {
                tell(inverted(here, place, out, back));
            }
        }
        sections::locking(place);
    }

    /// The lock is asked for, and waited for as long as a timeout allows.
    #[track_caller]
    pub(crate) fn wanted_for_a_time(&self, context: Option<&Context>) {
        let place = Location::caller();
        self.is_not_held(context, place);
        sections::locking(place);
    }

    /// Whether it is not held by this thread; tells, if it is held otherwise than by `context`,
    /// which would be answered.
    fn is_not_held(&self, context: Option<&Context>, place: Place) -> bool {
        // Relaxed: if this thread holds the lock, it is the one that wrote last; what others write is no
        // record of this thread, or of another lock.
        let record = self.record.load(Ordering::Relaxed);
        let here = thread::with_held(|held| match held.len() {
            0 => None,
            _ => held.find(record, self.number()),
        });
        let Some(here) = here else {
            return true;
        };
        if here.context.is_none() || here.context != context.map(Context::ticket) {
            let taken = here.place;
            tell(Report {
                kind: Misuse::Relock,
                first: taken,
                second: place,
                message: format!(
                    "the lock that this thread took at {taken} and holds is waited for at {place}"
                ),
            });
        }
        false
    }

    /// The lock has been taken.
    #[track_caller]
    pub(crate) fn taken(&self, context: Option<&Context>) {
        let record = thread::taken(HeldLock {
            lock: self.number(),
            context: context.map(Context::ticket),
            place: Location::caller(),
        });
        // Relaxed: only the thread that holds the lock writes it, and finds its own value.
        self.record.store(record, Ordering::Relaxed);
    }

    /// The lock is being released.
    pub(crate) fn released(&self) {
        thread::released(self.record.load(Ordering::Relaxed), self.number());
    }
}

impl Drop for LockTrack {
    fn drop(&mut self) {
        match *self.number.get_mut() {
            0 => {}
            number => order::forget(number),
        }
    }
}

fn inverted(here: HeldLock, place: Place, out: order::Taken, back: order::Taken) -> Report {
    let held = here.place;
    let (first_held, first) = (out.held, out.wanted);
    let mut message = format!(
        "with the lock A held that was taken at {held}, the lock B is taken at {place}; elsewhere \
         B was held, taken at {first_held}, when "
    );
    if std::ptr::eq(first, back.wanted) {
        message += &format!("A was taken at {first}");
    } else {
        let (held, last) = (back.held, back.wanted);
        message += &format!(
            "another one was taken at {first}, and at the end of such a chain A was taken at {last} \
             with one held that was taken at {held}"
        );
    }
    Report {
        kind: Misuse::LockOrder,
        first,
        second: place,
        message,
    }
}

/// Where a context was made.
pub(crate) struct ContextTrack {
    made: Place,
}

impl ContextTrack {
    #[track_caller]
    pub(crate) fn made() -> Self {
        ContextTrack {
            made: Location::caller(),
        }
    }

    /// The context is being dropped.
    pub(crate) fn dropped(&self, context: &Context) {
        if context.held() == 0 {
            return;
        }
        let made = self.made;
        for held in thread::take_held_by(context.ticket()) {
            let taken = held.place;
            tell(Report {
                kind: Misuse::ContextDropped,
                first: made,
                second: taken,
                message: format!(
                    "the context made at {made} is dropped and holds the lock that it took at \
                     {taken}, which stays locked for ever: the proof was leaked"
                ),
            });
        }
    }
}

/// A signaler has been made for `fence`.
#[track_caller]
pub(crate) fn issued(fence: &Fence) {
    pending::issued(fence);
}

/// `fence` is being signalled, and not canceled.
#[track_caller]
pub(crate) fn signals(fence: &Fence) {
    pending::signals(fence, Location::caller());
}

/// `fence` has signalled.
pub(crate) fn settled(fence: &Fence) {
    pending::settled(fence);
}

/// The place of a point has been reached, or never will be.
pub(crate) fn reached(point: &Fence) {
    pending::reached(point);
}

/// A point of `of` is being asked for.
#[track_caller]
pub(crate) fn pointed(of: &Timeline, seqno: u64) {
    pending::pointed(of, seqno);
}

pub(super) fn timeline_ended(timeline: &Timeline) {
    pending::timeline_ended(timeline);
}

/// A thread is about to sleep for `fence`. For `resv-api`.
#[track_caller]
pub fn waiting(fence: &Fence) {
    sections::waiting(fence, Location::caller());
}

/// A thread is about to sleep for all that `fences` shows. For `resv-api`.
#[track_caller]
pub fn waiting_all(fences: impl Fn(&mut dyn FnMut(&Fence))) {
    if thread::is_idle() {
        return;
    }
    let (mut waits, place) = (Vec::new(), Location::caller());
    fences(&mut |fence| waits.push(fence.clone()));
    for fence in &waits {
        sections::waiting(fence, place);
    }
}

/// A thread is about to sleep for one of `count` groups. For `resv-api`.
#[track_caller]
pub fn waiting_any(count: usize, group: impl Fn(usize, &mut dyn FnMut(&Fence))) {
    if thread::is_idle() {
        return;
    }
    // Only if each group hangs on what this thread must signal, so does the wait; and only a wait for
    // one group surely hangs on another timeline.
    let mut own = None;
    for index in 0..count {
        let mut waits = Vec::new();
        group(index, &mut |fence| waits.push(fence.clone()));
        let found = waits
            .into_iter()
            .find(|fence| sections::own_section(fence).is_some());
        let Some(found) = found else { return };
        own = Some(found);
    }
    if let Some(own) = own {
        sections::waiting(&own, Location::caller());
    }
}

/// `fence` is added to an object. For `resv-api`.
#[track_caller]
pub fn added(fence: &Fence) {
    let place = Location::caller();
    for leaf in fence.leaves() {
        pending::added(&leaf, place);
    }
}
