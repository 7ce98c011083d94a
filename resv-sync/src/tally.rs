//! Members that come and go, counted apart: a reference count of which only going is shared.
//!
//! # The concept
//!
//! A thing is used by *members* that come and go on any thread, and has an owner that lets members in. If the
//! owner knows in the end how many have come (they have numbers, say), then nobody need count them as they
//! come. [`Tally`] counts those that have gone. When no more can come, the owner [closes](Tally::close) it with
//! the number of all that came; the last to be through, be that the owner or a member, is told so and takes
//! the thing apart.
//!
//! # Protocol
//!
//! One word, changed by read-modify-writes only: it counts up by one for each member that goes, and the owner
//! takes the number of all that came from it, modulo 2^64.
//!
//! * Before the close the word is how many have gone, which is at least 1 after one has: no member is told that
//!   it was the last one.
//! * After the close it is, modulo 2^64, how many have gone less how many came, which is not more than 0. So it is
//!   0 after the last of all (the close and each going), and after no other. That one is told.
//!
//! # Orderings
//!
//! All changes are Release, and so belong to one release sequence; the last one has an Acquire fence behind it.
//! So what all others did before they went happens before what the last one does.
//!
//! # Models
//!
//! `loom_models`, with a variant that looks and changes in two steps, and one that publishes nothing.

use crate::sync::atomic::{AtomicU64, Ordering, fence};

crate::known_bad! {
    /// What a tally does wrong.
    pub(crate) enum Defect, seam Seam {
        /// The close is a load and a store.
        ClosesInTwoSteps,
        /// Going publishes nothing.
        GoesUnseen,
    }
}

/// See the [module](self).
///
/// ```
/// use resv_sync::tally::Tally;
///
/// let tally = Tally::new();
/// assert!(!tally.leave());
/// assert!(!tally.close(2), "two came, one is left");
/// assert!(tally.leave());
/// ```
#[derive(Debug)]
pub struct Tally {
    word: AtomicU64,
    seam: Seam,
}

impl Default for Tally {
    fn default() -> Self {
        Tally::new()
    }
}

impl Tally {
    /// Nobody has gone.
    pub fn new() -> Tally {
        Tally {
            word: AtomicU64::new(0),
            seam: Seam::SOUND,
        }
    }

    /// A member goes. Whether it was the last one, after the close.
    #[inline]
    #[must_use = "the last one takes apart what was counted"]
    pub fn leave(&self) -> bool {
        let order = if self.seam.has(Defect::GoesUnseen) {
            Ordering::Relaxed
        } else {
            // Release: pairs with the fence of the last one.
            Ordering::Release
        };
        if self.word.fetch_add(1, order) != u64::MAX {
            return false;
        }
        self.last()
    }

    /// No more will come: `came` have. Whether all have gone. To be called once.
    #[must_use = "the last one takes apart what was counted"]
    pub fn close(&self, came: u64) -> bool {
        let gone = if self.seam.has(Defect::ClosesInTwoSteps) {
            let gone = self.word.load(Ordering::Acquire);
            self.word.store(gone.wrapping_sub(came), Ordering::Release);
            gone
        } else {
            // Release: as in `leave`.
            self.word.fetch_sub(came, Ordering::Release)
        };
        gone == came && self.last()
    }

    fn last(&self) -> bool {
        // Acquire: pairs with the Release of all that have gone.
        fence(Ordering::Acquire);
        true
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    /// Two members go while the owner closes. One of the three is the last one: it has the thing to itself.
    fn go_and_close(seam: Seam) {
        loom::model(move || {
            let mut tally = Tally::new();
            tally.seam = seam;
            let shared = Arc::new((tally, UnsafeCell::new(0)));
            let take_apart = |thing: &UnsafeCell<i32>| thing.with_mut(|_| ());
            let members = [0, 1].map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    shared.1.with(|_| ());
                    let last = shared.0.leave();
                    if last {
                        take_apart(&shared.1);
                    }
                    last
                })
            });
            shared.1.with(|_| ());
            let closed = shared.0.close(2);
            if closed {
                take_apart(&shared.1);
            }
            let last = members.map(|member| member.join().expect("it ends"));
            let times = last.into_iter().chain([closed]).filter(|last| *last);
            assert_eq!(times.count(), 1, "taken apart once");
        });
    }

    #[test]
    fn the_last_one_is_told_once_and_is_alone() {
        go_and_close(Seam::SOUND);
    }

    #[test]
    #[should_panic(expected = "taken apart once")]
    fn known_bad_closing_in_two_steps() {
        go_and_close(Seam::planted(Defect::ClosesInTwoSteps));
    }

    #[test]
    #[should_panic]
    fn known_bad_going_unseen() {
        go_and_close(Seam::planted(Defect::GoesUnseen));
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn nobody_came() {
        assert!(Tally::new().close(0));
    }

    #[test]
    fn all_had_gone() {
        let tally = Tally::new();
        assert!((0..3).all(|_| !tally.leave()));
        assert!(tally.close(3));
    }

    #[test]
    fn one_of_many_threads_is_the_last_one() {
        for round in 0..200 {
            let tally = Arc::new(Tally::new());
            let last = std::thread::scope(|scope| {
                let leave = || (0..100).filter(|_| tally.leave()).count();
                let members: Vec<_> = (0..3).map(|_| scope.spawn(leave)).collect();
                for _ in 0..round {
                    std::hint::spin_loop();
                }
                let closed = usize::from(tally.close(300));
                let members = members.into_iter().map(|member| member.join());
                members.fold(closed, |sum, last| sum + last.expect("it ends"))
            });
            assert_eq!(last, 1);
        }
    }
}
