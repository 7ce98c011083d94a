//! Times of this process ([`Instant`], [`Until`]) as the kernel takes them.
//!
//! An `Instant` is of CLOCK_MONOTONIC on Linux, but does not say its number; so the number is that of now
//! and the distance from now.

use resv_api::Until;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::{Duration, Instant};

/// When to give up; `None` for never.
pub(crate) fn deadline(until: Until) -> Option<Instant> {
    match until {
        Until::Forever => None,
        Until::Timeout(timeout) => Instant::now().checked_add(timeout),
        Until::Deadline(at) => Some(at),
    }
}

/// What is left until `deadline`, for poll.
pub(crate) fn left(deadline: Option<Instant>) -> Option<Timespec> {
    let left = deadline?.saturating_duration_since(Instant::now());
    Timespec::try_from(left).ok()
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub(crate) fn monotonic_ns(at: Instant) -> u64 {
    // In this order the number is a little late, never early: a wait must not end before its time.
    let instant = Instant::now();
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32);
    let ns = match at.checked_duration_since(instant) {
        Some(ahead) => now.saturating_add(ahead),
        None => now.saturating_sub(instant - at),
    };
    u64::try_from(ns.as_nanos()).unwrap_or(u64::MAX)
}

/// The absolute timeout of a wait on sync objects. Far ahead is for ever.
pub(crate) fn absolute_timeout(deadline: Option<Instant>) -> i64 {
    deadline.map_or(i64::MAX, |at| {
        i64::try_from(monotonic_ns(at)).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_the_number_of_the_monotonic_clock() {
        let at = Instant::now() + Duration::from_secs(5);
        let (a, b) = (monotonic_ns(at), monotonic_ns(at + Duration::from_secs(1)));
        let distance = (b - a).abs_diff(1_000_000_000);
        assert!(distance < 500_000_000, "off by {distance} ns");
        assert!(absolute_timeout(None) == i64::MAX);
    }
}
