//! What a thread publishes about itself, for the watchdog and for people.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a thread is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Doing {
    Starts,
    Works,
    Wants,
    WaitsHolding,
    Waits,
    Meets,
    Ended,
}

impl Doing {
    const ALL: [Doing; 7] = [
        Doing::Starts,
        Doing::Works,
        Doing::Wants,
        Doing::WaitsHolding,
        Doing::Waits,
        Doing::Meets,
        Doing::Ended,
    ];
}

/// What a thread publishes about itself. Relaxed: a heartbeat and a hint for people.
#[repr(align(128))]
pub(super) struct Post {
    pub(super) beats: AtomicU64,
    /// A [`Doing`], and the object it is about in the upper bits.
    doing: AtomicU64,
}

impl Post {
    pub(super) fn new() -> Post {
        Post {
            beats: AtomicU64::new(0),
            doing: AtomicU64::new(Doing::Starts as u64),
        }
    }

    /// The thread is alive, and about to do this.
    pub(super) fn beat(&self, doing: Doing, object: usize) {
        self.doing
            .store(doing as u64 | (object as u64) << 8, Ordering::Relaxed);
        // Nobody else counts.
        let beats = self.beats.load(Ordering::Relaxed);
        self.beats.store(beats + 1, Ordering::Relaxed);
    }

    pub(super) fn doing(&self) -> (Doing, u64) {
        let doing = self.doing.load(Ordering::Relaxed);
        let kind = Doing::ALL
            .into_iter()
            .find(|kind| *kind as u64 == doing & 0xFF);
        (kind.unwrap_or(Doing::Starts), doing >> 8)
    }
}
