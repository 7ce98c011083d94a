//! Waiting in calloop, the event loop of Wayland compositors (feature `calloop`, Linux).
//!
//! A private module: under `use resv_api::*` a public one would hide the crate of its name.

use crate::fd::ReadyFd;
use calloop::generic::Generic;
use calloop::timer::{TimeoutAction, Timer};
use calloop::{EventSource, Interest, Mode, Poll, PostAction, Token, TokenFactory};
use resv_core::{Until, Waited};
use std::io;

/// A calloop event source that fires once, when all fences of a [`ReadyFd`] have signalled, and
/// removes itself from the loop then.
///
/// Its event is how the wait ended: [`Waited::Signaled`] or [`Waited::Failed`]; or, with
/// [a deadline](FenceSource::until) that has passed first, [`Waited::TimedOut`]. Removing it from the
/// loop, or dropping the loop, takes its callbacks back.
///
/// Beside Smithay: a [`FenceSource`] does for an object what its `DmabufSource` does for
/// a dma-buf. It fires once and removes itself; fences added later need a new one; and what would
/// there be the error "already ready" is [`Readiness::Already`](crate::Readiness::Already) here, with
/// no descriptor and no source made. Reading waits for the writers, writing for all implicit users.
///
/// ```
/// use calloop::EventLoop;
/// use resv_api::{Access, FenceSource, Readiness, Resv, Timeline, Usage, Waited};
///
/// let (frame, job) = (Resv::new(), Timeline::new("gfx").issue()?);
/// frame.lock().reserve(1)?.add(job.fence(), Usage::Write);
///
/// let mut events: EventLoop<Option<Waited>> = EventLoop::try_new()?;
/// let mut presented = None;
/// match frame.readiness(Access::Read)? {
///     Readiness::Already(waited) => presented = Some(waited),
///     Readiness::Fd(fd) => {
///         let source = FenceSource::from(fd);
///         events.handle().insert_source(source, |waited, (), presented| *presented = Some(waited))?;
///     }
/// }
/// job.signal();
/// events.dispatch(None, &mut presented)?;
/// assert_eq!(presented, Some(Waited::Signaled));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FenceSource {
    fd: Generic<ReadyFd>,
    deadline: Option<Timer>,
}

impl FenceSource {
    /// Gives up when the time is over: after a [`Duration`](std::time::Duration) from now, at an
    /// [`Instant`](std::time::Instant), or never with `None`. The source fires once in any case.
    ///
    /// ```
    /// use calloop::EventLoop;
    /// use resv_api::{Access, FenceSource, Readiness, Resv, Timeline, Usage, Waited};
    /// use std::time::Duration;
    ///
    /// let (frame, job) = (Resv::new(), Timeline::new("gfx").issue()?);
    /// frame.lock().reserve(1)?.add(job.fence(), Usage::Write);
    /// let Readiness::Fd(fd) = frame.readiness(Access::Read)? else { panic!("it is pending") };
    ///
    /// let mut events: EventLoop<Option<Waited>> = EventLoop::try_new()?;
    /// let source = FenceSource::from(fd).until(Duration::from_millis(1));
    /// events.handle().insert_source(source, |waited, (), latched| *latched = Some(waited))?;
    /// let mut latched = None;
    /// events.dispatch(None, &mut latched)?;
    /// assert_eq!(latched, Some(Waited::TimedOut)); // show the old frame once more
    /// # job.signal();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn until(self, until: impl Into<Until>) -> FenceSource {
        let deadline = until.into().deadline();
        FenceSource {
            deadline: deadline.map(Timer::from_deadline),
            ..self
        }
    }
}

impl From<ReadyFd> for FenceSource {
    fn from(fd: ReadyFd) -> FenceSource {
        FenceSource {
            fd: Generic::new(fd, Interest::READ, Mode::Level),
            deadline: None,
        }
    }
}

impl EventSource for FenceSource {
    type Event = Waited;
    type Metadata = ();
    type Ret = ();
    type Error = io::Error;

    fn process_events<F>(
        &mut self,
        readiness: calloop::Readiness,
        token: Token,
        mut callback: F,
    ) -> io::Result<PostAction>
    where
        F: FnMut(Waited, &mut ()),
    {
        let mut told = false;
        let action = self.fd.process_events(readiness, token, |_, fd| {
            Ok(match fd.outcome() {
                Some(waited) => {
                    told = true;
                    callback(waited, &mut ());
                    PostAction::Remove
                }
                // The descriptor is written after the last fence has signalled, so nobody of ours
                // woke us.
                None => PostAction::Continue,
            })
        })?;
        let Some(deadline) = self.deadline.as_mut().filter(|_| !told) else {
            return Ok(action);
        };
        let fd = &self.fd;
        let time_is_over = deadline.process_events(readiness, token, |_, ()| {
            // What has signalled at the last moment counts.
            let waited = fd.get_ref().outcome().unwrap_or(Waited::TimedOut);
            callback(waited, &mut ());
            TimeoutAction::Drop
        });
        Ok(match time_is_over? {
            PostAction::Remove => PostAction::Remove,
            _ => action,
        })
    }

    fn register(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.fd.register(poll, tokens)?;
        match &mut self.deadline {
            Some(deadline) => deadline.register(poll, tokens),
            None => Ok(()),
        }
    }

    fn reregister(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.fd.reregister(poll, tokens)?;
        match &mut self.deadline {
            Some(deadline) => deadline.reregister(poll, tokens),
            None => Ok(()),
        }
    }

    fn unregister(&mut self, poll: &mut Poll) -> calloop::Result<()> {
        self.fd.unregister(poll)?;
        match &mut self.deadline {
            Some(deadline) => deadline.unregister(poll),
            None => Ok(()),
        }
    }
}
