//! How long a wait may sleep: one type for timeouts and deadlines.

use std::time::{Duration, Instant};

/// How long a wait may sleep.
///
/// Functions that wait take `impl Into<Until>`: a [`Duration`] is a timeout from the call on, an [`Instant`] a
/// deadline, `None` means for ever. A zero timeout and a deadline that has passed at the call make the
/// wait a pure poll, which never sleeps and asks no lazy fence for its work. Any other time asks, however
/// short it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until it has signalled, however long that takes.
    Forever,
    /// At most for this long from the call on. One that ends beyond the clock is for ever.
    Timeout(Duration),
    /// At most until then.
    Deadline(Instant),
}

impl From<Duration> for Until {
    fn from(timeout: Duration) -> Until {
        Until::Timeout(timeout)
    }
}

impl From<Instant> for Until {
    fn from(deadline: Instant) -> Until {
        Until::Deadline(deadline)
    }
}

/// `None` is for ever.
impl From<Option<Duration>> for Until {
    fn from(timeout: Option<Duration>) -> Until {
        timeout.map_or(Until::Forever, Until::Timeout)
    }
}

impl Until {
    /// With the clock started: a timeout becomes a deadline, except zero, which needs no clock.
    pub fn fixed(self) -> Until {
        match self {
            Until::Timeout(timeout) if !timeout.is_zero() => Instant::now()
                .checked_add(timeout)
                .map_or(Until::Forever, Until::Deadline),
            other => other,
        }
    }

    /// Whether no sleep is allowed.
    pub fn is_poll(self) -> bool {
        match self {
            Until::Forever => false,
            Until::Timeout(timeout) => timeout.is_zero(),
            Until::Deadline(at) => Instant::now() >= at,
        }
    }

    /// The instant at which to give up, now if no sleep is allowed; `None` for ever.
    pub fn deadline(self) -> Option<Instant> {
        match self.fixed() {
            Until::Forever => None,
            Until::Timeout(_zero) => Some(Instant::now()),
            Until::Deadline(at) => Some(at),
        }
    }
}
