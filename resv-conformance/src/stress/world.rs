//! The objects that are contended for, and what is checked about one of them.
//!
//! Beside each object stand three things that its lock, and nothing else, protects:
//!
//! * a mark that says which thread is in: two at once are found out at once;
//! * a plain counter, read when a thread comes in and written when it leaves, so that any overlap
//!   loses an increment. It is atomic for want of `unsafe`, but only loaded and stored, Relaxed: it
//!   is the object's lock that has to order the accesses;
//! * the [`Ledger`]. Its mutex is only ever tried. A holder takes it after it has read the counter and
//!   leaves it before it writes the counter, so the mutex orders no access to the counter.

use super::Fault;
use super::ledger::{Ledger, sorted};
use crate::{Object, Subject};
use resv_api::{Access, Entry};
use resv_core::{EntryRef, Semantics};
use resv_sync::sync::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Nobody.
const NOBODY: usize = 0;

/// An object, and what the threads know about it.
pub(super) struct Shared {
    pub(super) resv: Object,
    /// The thread that is in, plus one.
    mark: AtomicUsize,
    count: AtomicU64,
    ledger: Mutex<Ledger>,
}

impl Shared {
    fn new(on: Subject) -> Self {
        Shared {
            resv: on.object(),
            mark: AtomicUsize::new(NOBODY),
            count: AtomicU64::new(0),
            ledger: Mutex::default(),
        }
    }
}

pub(super) struct World {
    pub(super) objects: Vec<Shared>,
}

/// The stay of a thread in an object: from taking its lock to just before it is released.
#[must_use = "a thread that comes in has to leave"]
pub(super) struct Stay {
    pub(super) at: usize,
    count: u64,
}

impl World {
    pub(super) fn new(on: Subject, objects: usize) -> Self {
        World {
            objects: (0..objects).map(|_| Shared::new(on)).collect(),
        }
    }

    /// `thread` has taken the lock of object `at`.
    pub(super) fn enter(&self, at: usize, thread: usize) -> Result<Stay, Fault> {
        let object = &self.objects[at];
        match object.mark.swap(thread + 1, Ordering::Relaxed) {
            NOBODY => Ok(Stay {
                at,
                count: object.count.load(Ordering::Relaxed),
            }),
            other => Err(Fault::at(at, in_at_once(thread, other))),
        }
    }

    /// `thread` is about to release the lock, and has used the object.
    pub(super) fn leave(&self, stay: Stay, thread: usize) -> Result<(), Fault> {
        let object = &self.objects[stay.at];
        object.count.store(stay.count + 1, Ordering::Relaxed);
        self.abandon(stay, thread)
    }

    /// `thread` is about to release the lock, and has not used the object.
    pub(super) fn abandon(&self, stay: Stay, thread: usize) -> Result<(), Fault> {
        let mark = self.objects[stay.at].mark.swap(NOBODY, Ordering::Relaxed);
        if mark == thread + 1 {
            Ok(())
        } else {
            Err(Fault::at(stay.at, in_at_once(thread, mark)))
        }
    }

    /// Which thread is in.
    pub(super) fn holder(&self, at: usize) -> Option<usize> {
        self.objects[at].mark.load(Ordering::Relaxed).checked_sub(1)
    }

    /// The ledger, for the holder of the lock.
    pub(super) fn ledger(&self, at: usize) -> Result<MutexGuard<'_, Ledger>, Fault> {
        let ledger = self.objects[at].ledger.try_lock();
        ledger.ok_or_else(|| Fault::at(at, "two threads that hold the lock edit at once"))
    }

    /// What must be true when all threads have ended and no fence signals: object `at` is free, was
    /// used `uses` times, and everybody sees what the ledger has.
    pub(super) fn audit(&self, at: usize, uses: u64) -> Result<(), Fault> {
        let fault = |what: String| Fault::at(at, what);
        let object = &self.objects[at];
        if let Some(holder) = self.holder(at) {
            return Err(fault(format!("thread {holder} has ended and is still in")));
        }
        let counted = object.count.load(Ordering::Relaxed);
        if counted != uses {
            return Err(fault(format!(
                "lost updates: the counter is at {counted} after {uses} increments"
            )));
        }
        let guard = object
            .resv
            .try_lock()
            .ok_or_else(|| fault("nobody holds the lock, but it is not free".to_owned()))?;
        let ledger = self.ledger(at)?;
        ledger.compare(&guard.entries()).map_err(fault)?;
        drop(guard);
        let snapshot = object.resv.snapshot();
        let published: Vec<Entry> = snapshot.iter().map(EntryRef::to_entry).collect();
        ledger
            .compare(&published)
            .map_err(|what| fault(format!("unlocked: {what}")))?;
        for access in Access::ALL {
            let mut wanted = ledger.pending();
            wanted.retain(|key| {
                object
                    .resv
                    .semantics()
                    .waits_for(access)
                    .contains(key.usage)
            });
            let waits = object.resv.waits_for(access);
            let told = sorted(waits.iter().map(EntryRef::key));
            let visited = object.resv.visit(access, Vec::new(), |mut keys, key| {
                keys.push(key);
                keys
            });
            let visited = sorted(visited.into_iter());
            if told != wanted || visited != wanted {
                return Err(fault(format!(
                    "access {access} has {} fences to wait for; waits_for says {}, visit {}",
                    wanted.len(),
                    told.len(),
                    visited.len()
                )));
            }
            if object.resv.is_idle(access) != wanted.is_empty() {
                let pending = wanted.len();
                return Err(fault(format!(
                    "is_idle for access {access} is wrong: {pending} fences are pending"
                )));
            }
        }
        Ok(())
    }
}

fn in_at_once(thread: usize, mark: usize) -> String {
    match mark.checked_sub(1) {
        Some(other) => format!("threads {thread} and {other} hold the lock at once"),
        None => format!("somebody else has been in while thread {thread} held the lock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resv_core::{Locked, UsageLevels};

    fn one() -> World {
        World::new(Subject::of::<UsageLevels, Locked>(), 1)
    }

    #[test]
    fn l_01_two_at_once_are_found_out() {
        let world = one();
        let stay = world.enter(0, 3).expect("free");
        let fault = world.enter(0, 5).err().expect("two at once");
        assert_eq!(fault.object, Some(0));
        assert!(fault.what.contains("threads 5 and 3"), "{}", fault.what);
        assert!(world.leave(stay, 3).is_err());
    }

    #[test]
    fn l_01_a_lost_update_is_found_out() {
        let world = one();
        let (first, second) = (world.enter(0, 0).unwrap(), Stay { at: 0, count: 0 });
        world.leave(first, 0).unwrap();
        let again = world.enter(0, 0).unwrap();
        drop(again);
        world.leave(second, 0).unwrap();
        let fault = world.audit(0, 2).unwrap_err();
        assert!(fault.what.contains("lost updates"), "{}", fault.what);
        assert!(world.audit(0, 1).is_ok());
    }

    #[test]
    fn l_09_a_lock_that_stays_held_is_found_out() {
        let world = one();
        let guard = world.objects[0].resv.lock();
        assert!(world.audit(0, 0).is_err());
        drop(guard);
        assert!(world.audit(0, 0).is_ok());
    }
}
