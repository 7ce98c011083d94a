//! Injected back-offs (feature `inject-backoff`): the path that is rarely taken, taken often.
//!
//! Each context has a countdown. When it ends, a lock request is answered with
//! [`LockError::Deadlock`](super::LockError::Deadlock) although nothing is wrong, and the next
//! countdown is drawn from an interval twice as long: a transaction that is run again gets through
//! sooner or later. A context that holds nothing is never told to back off, injected or not.

use std::sync::atomic::{AtomicU64, Ordering};

/// The seed for contexts that have none of their own; 0 is none.
static PROCESS_SEED: AtomicU64 = AtomicU64::new(0);

const FIRST_INTERVAL: u64 = 4;
const LAST_INTERVAL: u64 = 1 << 16;

/// Lets every context that is made from now on inject back-offs, each at points of its own that
/// follow from `seed`; `None` ends it.
pub fn inject_backoffs(seed: Option<u64>) {
    // Relaxed: a switch for tests, with nothing published along with it.
    PROCESS_SEED.store(seed.map_or(0, |seed| seed | 1), Ordering::Relaxed);
}

#[derive(Clone, Copy)]
pub(super) struct Injection {
    state: u64,
    interval: u64,
    left: u64,
}

impl Injection {
    pub(super) fn new(seed: u64) -> Self {
        let mut injection = Injection {
            state: seed,
            interval: FIRST_INTERVAL,
            left: 0,
        };
        injection.draw();
        injection
    }

    /// What the process-wide seed asks for.
    pub(super) fn of_process(ticket: u64) -> Option<Self> {
        match PROCESS_SEED.load(Ordering::Relaxed) {
            0 => None,
            seed => Some(Injection::new(seed ^ mix(ticket))),
        }
    }

    fn draw(&mut self) {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.left = mix(self.state) % self.interval;
    }

    /// Counts one request down; `true` when it is to fail.
    pub(super) fn strikes(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.interval = (self.interval * 2).min(LAST_INTERVAL);
        self.draw();
        true
    }
}

/// Spreads the bits of a counter.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x = (x ^ (x >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x ^ (x >> 32)
}
