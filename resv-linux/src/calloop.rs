//! The dispatch as a source of calloop, the event loop of Wayland compositors (feature `calloop`).

use crate::importer::Dispatch;
use calloop::generic::Generic;
use calloop::{EventSource, Interest, Mode, Poll, PostAction, Token, TokenFactory};
use std::io;

/// A calloop event source that signals imported fences: instead of a thread of the importer's own, and with
/// one wake-up less for a compositor that acts in the loop anyway.
///
/// Its event is how many fences have signalled. It leaves the loop when no importer is left and nothing is
/// pending.
///
/// ```
/// use calloop::EventLoop;
/// use resv_linux::{Importer, ImporterSource, Promise};
/// use rustix::event::{EventfdFlags, eventfd};
///
/// let (importer, dispatch) = Importer::manual()?;
/// let mut events: EventLoop<usize> = EventLoop::try_new()?;
/// events.handle().insert_source(ImporterSource::from(dispatch), |n, (), signaled| *signaled += n)?;
///
/// let done = eventfd(0, EventfdFlags::NONBLOCK)?;
/// let fence = importer.import(Promise::eventfd(done.try_clone()?))?;
/// rustix::io::write(&done, &1u64.to_ne_bytes())?;
/// let mut signaled = 0;
/// events.dispatch(None, &mut signaled)?;
/// assert!(fence.is_signaled());
/// assert_eq!(signaled, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ImporterSource {
    dispatch: Generic<Dispatch>,
}

impl From<Dispatch> for ImporterSource {
    fn from(dispatch: Dispatch) -> ImporterSource {
        ImporterSource {
            dispatch: Generic::new(dispatch, Interest::READ, Mode::Level),
        }
    }
}

impl EventSource for ImporterSource {
    type Event = usize;
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
        F: FnMut(usize, &mut ()),
    {
        self.dispatch
            .process_events(readiness, token, |_, dispatch| {
                let signaled = dispatch.dispatch()?;
                if signaled != 0 {
                    callback(signaled, &mut ());
                }
                Ok(if dispatch.is_over() {
                    PostAction::Remove
                } else {
                    PostAction::Continue
                })
            })
    }

    fn register(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.dispatch.register(poll, tokens)
    }

    fn reregister(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.dispatch.reregister(poll, tokens)
    }

    fn unregister(&mut self, poll: &mut Poll) -> calloop::Result<()> {
        self.dispatch.unregister(poll)
    }
}
