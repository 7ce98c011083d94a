//! Turns: how a reader that is overtaken each time gets to read.
//!
//! A reader that *takes its turn* locks a mutex, in which such readers queue, and raises a flag. A writer
//! looks at the flag before it opens a section. If it is up, the writer goes through the mutex first.
//!
//! # It is no lock
//!
//! A writer that looked just before the flag went up opens its section all the same. So a reader in its
//! turn looks at the word twice, as at any other time, and nothing is concluded from the flag. That is why it
//! costs the writer a load, with no order, and no read-modify-write; a lock cost two.
//!
//! # Why it is bounded
//!
//! There is one writer at a time: it holds the object's lock. When the flag goes up, there is at most one that
//! has looked already. A writer that looks later finds it up, and waits. So while a turn lasts, one
//! section opens at most, and one attempt is overtaken. (The flag is seen late by as long as a store takes to
//! reach another processor.) An attempt that was overtaken may have taken references, and dropping those runs
//! foreign code: then the turn ends first, so that this waits for nobody (B5), and the reader takes the next.
//!
//! A reader in its turn that finds a section open waits until it is closed. A section is a bounded number of
//! loads and stores and waits for nothing, so it is open for long only if its thread does not run. So the reader
//! looks a few times, then gives up its processor, and in the end sleeps for a moment between two looks.
//!
//! The mutex is deliberately not the object's lock. A holder of that may wait for a fence, and
//! the thread that is to signal that fence may read this object; would the reader queue up for the
//! object's lock, both would wait for ever.

use crate::counter::{Defect, Seam};
use resv_sync::hint::spin_loop;
use resv_sync::sync::atomic::{AtomicU32, Ordering};
use resv_sync::sync::{Mutex, MutexGuard};

/// The turns of the readers of one object.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    queue: Mutex<()>,
    /// Not 0 while a reader has its turn.
    taken: AtomicU32,
}

/// A turn; dropping it ends it.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    _queue: MutexGuard<'a, ()>,
}

impl Turns {
    /// Waits for the turns of other readers, and takes one.
    pub(crate) fn take(&self) -> Turn<'_> {
        let queue = self.queue.lock();
        // Relaxed: nothing is concluded from it.
        self.taken.store(1, Ordering::Relaxed);
        Turn {
            turns: self,
            _queue: queue,
        }
    }

    /// Waits until no reader that the writer knows of has its turn; called before a section is opened.
    #[inline]
    pub(crate) fn let_pass(&self, seam: Seam) {
        if self.are_taken(seam) {
            self.wait();
        }
    }

    /// Whether a reader has its turn, as far as the writer knows; asked before a section is opened.
    #[inline]
    pub(crate) fn are_taken(&self, seam: Seam) -> bool {
        // Relaxed: as in `take`. In a model the load finds the last store, as a late look is the same as
        // an early one that is followed by a pause, which is explored, too.
        #[cfg(not(loom))]
        let taken = self.taken.load(Ordering::Relaxed);
        #[cfg(loom)]
        let taken = self.taken.fetch_add(0, Ordering::Relaxed);
        taken != 0 && !seam.has(Defect::IgnoresTurns)
    }

    #[cold]
    #[inline(never)]
    fn wait(&self) {
        drop(self.queue.lock());
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Relaxed: as in `take`. The queue is open after this.
        self.turns.taken.store(0, Ordering::Relaxed);
    }
}

/// Waits a moment for a section to be closed, the longer the more often that was done `before`.
pub(crate) fn pause(before: u32) {
    #[cfg(not(any(loom, shuttle)))]
    match before {
        0..64 => {}
        64..128 => return std::thread::yield_now(),
        _ => return std::thread::sleep(std::time::Duration::from_micros(50)),
    }
    let _ = before;
    spin_loop();
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// What a model cannot show, as it does not wait for long.
    #[test]
    fn b7_a_wait_for_a_section_gets_longer_and_ends() {
        for before in [0, 63, 64, 127, 128, u32::MAX] {
            pause(before);
        }
    }

    #[test]
    fn b7_the_flag_is_up_as_long_as_a_turn_lasts() {
        let turns = Turns::default();
        let taken = || turns.taken.load(Ordering::Relaxed) != 0;
        for _ in 0..2 {
            turns.let_pass(Seam::SOUND);
            let turn = turns.take();
            assert!(taken());
            // A writer with the defect does not wait, or this would never end.
            turns.let_pass(Seam::planted(Defect::IgnoresTurns));
            drop(turn);
            assert!(!taken());
        }
    }
}
