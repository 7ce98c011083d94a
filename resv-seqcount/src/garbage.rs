//! How many outgrown slot tables there are (B8): counted for people, read by no protocol.

use resv_core::Garbage;
use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn retire() {
    let live = LIVE.fetch_add(1, Ordering::Relaxed) + 1;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

pub(crate) fn free(tables: usize) {
    if tables > 0 {
        LIVE.fetch_sub(tables, Ordering::Relaxed);
    }
}

pub(crate) fn now() -> Garbage {
    Garbage {
        live: LIVE.load(Ordering::Relaxed),
        peak: PEAK.load(Ordering::Relaxed),
    }
}

pub(crate) fn reset_peak() {
    PEAK.store(LIVE.load(Ordering::Relaxed), Ordering::Relaxed);
}
