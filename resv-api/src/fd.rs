//! Waiting with an event loop: readiness as a file descriptor (feature `fd`, Linux).
//!
//! [`Waitable::readiness`] and [`Resv::readiness`](crate::Resv::readiness) answer with
//! [`Readiness::Already`], in which case no descriptor was ever made, or with a [`ReadyFd`] that
//! becomes readable once, when the last fence has signalled, and stays so.
//!
//! The rules are those of polling a dma-buf (P-01 to P-05 of `docs/hazards.md`). Asking for input is asking for
//! [`Access::Read`](crate::Access::Read), asking for output for
//! [`Access::Write`](crate::Access::Write), each on its own; `Bookkeep` fences matter to neither.
//! Unlike the kernel, which wakes its poller inwardly for every fence, this registers with all at
//! once and writes once. And like a wait, a descriptor covers the fences of the instant at which it
//! was made: for those added later, ask again when it fires.
//!
//! ```
//! use resv_api::{Access, Readiness, Resv, Timeline, Usage};
//! let frame = Resv::new();
//! assert!(matches!(frame.readiness(Access::Write)?, Readiness::Already(_)));
//!
//! let scanout = Timeline::new("crtc-0").issue()?;
//! frame.lock().reserve(1)?.add(scanout.fence(), Usage::Read);
//! assert!(matches!(frame.readiness(Access::Read)?, Readiness::Already(_)));
//! let Readiness::Fd(released) = frame.readiness(Access::Write)? else { panic!("is read") };
//! // Hand `released.as_fd()` to poll, epoll or an event loop.
//! assert_eq!(released.outcome(), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::countdown::{Complete, Countdown};
use crate::wait::{Waitable, covered, outcome};
use resv_core::{Fence, Waited};
use rustix::event::{EventfdFlags, eventfd};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Whether there is anything to poll for.
#[derive(Debug)]
#[must_use = "a descriptor that is dropped tells nobody"]
pub enum Readiness {
    /// Every fence has signalled: how the wait would have ended. No descriptor was left open.
    Already(Waited),
    /// Something is pending: this becomes readable when nothing is.
    Fd(ReadyFd),
}

impl Readiness {
    pub(crate) fn of<W: Waitable + ?Sized>(what: &W) -> io::Result<Readiness> {
        if let Some(done) = outcome(what) {
            return Ok(Readiness::Already(done));
        }
        let fd = ReadyFd::new(what)?;
        // What signalled while it was being made needs no trip through the event loop.
        Ok(match fd.outcome() {
            Some(done) => Readiness::Already(done),
            None => Readiness::Fd(fd),
        })
    }
}

/// An eventfd that becomes readable when all fences it was made of have signalled.
///
/// Readable once is readable for ever: poll it level-triggered, edge-triggered or once, and do not
/// read from it (a read takes the readiness away; [`outcome`](ReadyFd::outcome) stays right). It is
/// close-on-exec and non-blocking.
///
/// Dropping it takes the callbacks back and closes the descriptor; if a fence is signalling at that
/// moment, as soon as its callback has run. So take it out of an epoll set first, as with any
/// descriptor. The callback owns what it writes to: a close never races with a write.
pub struct ReadyFd {
    countdown: Countdown<EventFd>,
    fences: Vec<Fence>,
}

struct EventFd(OwnedFd);

impl Complete for EventFd {
    fn complete(&self, _: usize) {
        // Cannot fail: the descriptor is open, and the counter is far from its greatest value, with
        // which a write would have to wait. It would leave nothing to be done here either.
        let written = rustix::io::write(&self.0, &1u64.to_ne_bytes());
        debug_assert_eq!(written, Ok(8));
    }
}

impl ReadyFd {
    fn new<W: Waitable + ?Sized>(what: &W) -> io::Result<ReadyFd> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let fences = covered(what);
        Ok(ReadyFd {
            countdown: Countdown::start(&fences, &[fences.len()], EventFd(fd)),
            fences,
        })
    }

    /// How the wait has ended, with the first error; `None` while something is pending.
    ///
    /// It may be known a moment before the descriptor becomes readable, never after.
    pub fn outcome(&self) -> Option<Waited> {
        outcome(&self.fences)
    }
}

impl AsFd for ReadyFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.countdown.completion().0.as_fd()
    }
}

/// The descriptor and the fences.
impl fmt::Debug for ReadyFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadyFd")
            .field(&self.as_fd())
            .field(&self.fences)
            .finish()
    }
}
