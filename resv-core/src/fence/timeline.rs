//! Timelines, and the handle that signals.

use super::cell::Kind;
use super::completion::spread_points;
use super::events;
use super::extra::Extra;
use super::handle::Fence;
use super::id::TimelineId;
use super::line::{Line, LineOwner};
use super::reach::Reach;
use super::status::FenceError;
use super::tag::Tag;
use crate::checks;
use resv_sync::sync::Mutex;
use resv_sync::sync::atomic::Ordering;
#[cfg(loom)]
use resv_sync::sync::atomic::fence;
use std::fmt;
use std::sync::Arc;

/// A sequence of fences that signal in order (Linux: a fence context): the right to issue them.
///
/// Cloning gives another handle of the same timeline. Fences know their timeline and give no handle of
/// it: a consumer of fences cannot issue any. So when the last handle is dropped, the fences that have
/// been issued are all that there will be.
#[derive(Clone)]
pub struct Timeline {
    issuer: Arc<Issuer>,
}

/// What the handles share.
struct Issuer {
    name: Arc<str>,
    /// Its last seqno is [`CLOSED`] when no more will be issued.
    owner: LineOwner,
    book: Mutex<Book>,
}

/// The greatest seqno issued, of a closed timeline.
const CLOSED: u64 = u64::MAX;

/// What few timelines have.
#[derive(Default)]
pub(super) struct Book {
    /// The timeline of which place n is reached when seqno n has been issued: for waiters for that.
    pub(super) issues: Option<Arc<LineOwner>>,
    /// The greatest seqno issued before it was closed, and with what error it was.
    pub(super) closed: Option<(u64, FenceError)>,
    /// The greatest seqno that was counted, and the greatest before it that was not.
    pub(super) counted: u64,
    pub(super) not_counted: u64,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // Relaxed: a thread that has waited for a seqno to be issued had a handle.
        let line = self.owner.line();
        if line.is_awaited.load(Ordering::Relaxed) == 0 && !line.reach().is_awaited() {
            return;
        }
        let (last, book) = (self.last_issued(), self.book.lock());
        // What is to be counted never will be.
        let promised = match last == book.counted {
            true => book.not_counted,
            false => last,
        };
        let issues = book.issues.clone();
        drop(book);
        spread_points(line.reach().end_uncounted(promised, FenceError::CANCELED));
        if let Some(issues) = issues {
            spread_points(issues.line().reach().end(last, FenceError::CANCELED));
        }
    }
}

impl Issuer {
    fn last_issued(&self) -> u64 {
        match self.owner.line().last.load(Ordering::Relaxed) {
            // Relaxed: it is written under the lock.
            CLOSED => self.book.lock().closed.map_or(CLOSED, |(last, _)| last),
            last => last,
        }
    }
}

impl Timeline {
    /// The greatest valid seqno, 2^64 - 2.
    pub const MAX_SEQNO: u64 = u64::MAX - 1;

    /// A new timeline. The name is for people; the identity is [`id`](Timeline::id).
    pub fn new(name: &str) -> Timeline {
        Self::tagged(name, Tag::default())
    }

    /// A new timeline whose fences carry `tag`: on whose behalf their jobs run, and on which device.
    pub fn tagged(name: &str, tag: Tag) -> Timeline {
        let name: Arc<str> = name.into();
        Timeline {
            issuer: Arc::new(Issuer {
                owner: LineOwner::new(Arc::clone(&name), tag),
                name,
                book: Mutex::new(Book::default()),
            }),
        }
    }

    /// The identity.
    pub fn id(&self) -> TimelineId {
        self.line().id()
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.issuer.name
    }

    /// The tag; the default one of a timeline that was made without.
    pub fn tag(&self) -> Tag {
        self.line().tag()
    }

    /// The greatest seqno issued so far; 0 if none.
    pub fn last_seqno(&self) -> u64 {
        self.issuer.last_issued()
    }

    /// Issues the next fence: its seqno is one more than the greatest so far.
    ///
    /// Issuing and submitting the job must be one critical section of the caller, or two threads
    /// may submit in another order than they were numbered.
    ///
    /// # Errors
    ///
    /// When the seqnos are used up, or the timeline is [closed](Timeline::close).
    ///
    /// # Panics
    ///
    /// When the allocator gives memory at an address of more than 48 bits (47 on x86-64), as it does only if it is
    /// asked to.
    #[cfg_attr(feature = "checks", track_caller)]
    #[inline]
    pub fn issue(&self) -> Result<Signaler, SeqnoError> {
        self.issue_next(None)
    }

    /// In line, and what makes the signaler is not: so it is handed on in registers.
    #[cfg_attr(feature = "checks", track_caller)]
    #[inline(always)]
    pub(super) fn issue_next(&self, extra: Option<Box<Extra>>) -> Result<Signaler, SeqnoError> {
        let seqno = self.next_seqno()?;
        let signaler = Signaler::new(self.line(), seqno, extra);
        self.announce(seqno);
        Ok(signaler)
    }

    /// [`last_seqno`](Timeline::last_seqno), as long as there is a handle.
    #[cfg(all(feature = "checks", not(loom)))]
    pub(crate) fn last_issued_if_alive(&self) -> Arc<dyn Fn() -> Option<u64> + Send + Sync> {
        let issuer = Arc::downgrade(&self.issuer);
        Arc::new(move || {
            let issuer = issuer.upgrade()?;
            Some(Timeline { issuer }.last_seqno())
        })
    }

    #[inline]
    pub(super) fn line(&self) -> &'static Line {
        self.issuer.owner.line()
    }

    /// See [`Line::reach`].
    #[inline]
    pub(super) fn reach(&self) -> &'static Reach {
        self.line().reach()
    }

    /// Raises the greatest seqno issued by one. The caller makes one fence for it, and need not count that.
    #[inline]
    pub(super) fn next_seqno(&self) -> Result<u64, SeqnoError> {
        self.raise_last(|last| (last < Self::MAX_SEQNO).then(|| last + 1))
            .map(|last| last + 1)
    }

    /// Raises the greatest seqno issued to `seqno`, if it is less. A fence that is made for it is counted.
    pub(super) fn claim(&self, seqno: u64) -> Result<(), SeqnoError> {
        if seqno == 0 || seqno > Self::MAX_SEQNO {
            return Err(SeqnoError::OutOfRange(seqno));
        }
        let last = self.raise_last(|last| (last != CLOSED).then_some(last.max(seqno)))?;
        self.line().count_skipped(seqno.saturating_sub(last));
        Ok(())
    }

    #[inline]
    fn raise_last(&self, to: impl FnMut(u64) -> Option<u64>) -> Result<u64, SeqnoError> {
        // SeqCst: see `submitted`, step 1.
        let raised = self
            .line()
            .last
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, to);
        raised.map_err(|last| match last {
            CLOSED => SeqnoError::Closed,
            _ => SeqnoError::Exhausted,
        })
    }

    /// Seqno `seqno` has been issued, attached or counted: tells the waiters for that.
    #[inline]
    pub(super) fn announce(&self, seqno: u64) {
        #[cfg(loom)]
        fence(Ordering::SeqCst);
        // SeqCst: see `submitted`, step 2.
        if self.line().is_awaited.load(Ordering::SeqCst) != 0 {
            self.announce_to_waiters(seqno);
        }
    }

    #[cold]
    fn announce_to_waiters(&self, seqno: u64) {
        let issues = self.book().lock().issues.clone();
        if let Some(issues) = issues
            && issues.line().reach().advance(seqno)
        {
            spread_points(issues.line().reach().take_reached());
        }
    }

    /// A fence waits for seqnos to be issued.
    pub(super) fn expect_waiters(&self) {
        // SeqCst: see `submitted`, step 3.
        self.line().is_awaited.store(1, Ordering::SeqCst);
        #[cfg(loom)]
        fence(Ordering::SeqCst);
    }

    pub(super) fn book(&self) -> &Mutex<Book> {
        &self.issuer.book
    }

    /// No seqno will be issued any more, for the holder of the lock of `book`. The greatest that was, if
    /// this has done it.
    pub(super) fn close_with(&self, book: &mut Book, error: FenceError) -> Option<u64> {
        // SeqCst: as each change of it.
        let last = self.line().last.swap(CLOSED, Ordering::SeqCst);
        if last == CLOSED {
            return None;
        }
        self.line().count_skipped(CLOSED - last);
        book.closed = Some((last, error));
        Some(last)
    }

    /// Issues a fence with a given seqno, which may be below the greatest so far: for models and
    /// for fences that come from outside.
    ///
    /// Two fences of one timeline with one seqno count as the same position; the caller sees to it
    /// that there are none.
    ///
    /// # Errors
    ///
    /// When `seqno` is 0 or 2^64 - 1, or the timeline is [closed](Timeline::close).
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn issue_at(&self, seqno: u64) -> Result<Signaler, SeqnoError> {
        self.claim(seqno)?;
        self.line().count_fence();
        let signaler = Signaler::new(self.line(), seqno, None);
        self.announce(seqno);
        Ok(signaler)
    }
}

impl PartialEq for Timeline {
    fn eq(&self, other: &Timeline) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Timeline {}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timeline({} #{})", self.name(), self.id().as_raw())
    }
}

/// A place of a timeline could not be issued, attached or counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeqnoError {
    /// The seqno is 0 or 2^64 - 1.
    OutOfRange(u64),
    /// The timeline has issued its greatest seqno.
    Exhausted,
    /// The timeline was [closed](Timeline::close).
    Closed,
    /// The place was to be attached to a fence, and the timeline has reached it.
    Reached(u64),
    /// The place was to be attached to a fence of this very place, or of a later one.
    Circular(u64),
}

impl fmt::Display for SeqnoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SeqnoError::OutOfRange(seqno) => write!(
                f,
                "seqno {seqno} is out of range: a seqno is from 1 to {}",
                Timeline::MAX_SEQNO
            ),
            SeqnoError::Exhausted => {
                f.write_str("the timeline has issued its greatest seqno: use a new timeline")
            }
            SeqnoError::Closed => f.write_str("the timeline is closed: use a new timeline"),
            SeqnoError::Reached(seqno) => write!(
                f,
                "seqno {seqno} has been reached: attach a fence to a later place"
            ),
            SeqnoError::Circular(seqno) => write!(
                f,
                "seqno {seqno} would wait for itself: attach it to a fence of another timeline, or of an \
                 earlier place"
            ),
        }
    }
}

impl std::error::Error for SeqnoError {}

/// The handle that signals a fence.
///
/// Dropping it without signalling signals [`FenceError::CANCELED`]. When the timeline
/// [has failed everything](Timeline::fail_all), signalling does nothing.
#[must_use = "dropping a signaler cancels its fence"]
pub struct Signaler {
    /// Gone once it has signalled. The fence keeps its [`Line`], and so the reach.
    parts: Option<(Fence, &'static Reach)>,
}

impl Signaler {
    #[cfg_attr(feature = "checks", track_caller)]
    #[inline(never)]
    pub(super) fn new(line: &'static Line, seqno: u64, extra: Option<Box<Extra>>) -> Signaler {
        let fence = Fence::pending(Kind::Issued, line, seqno, extra);
        events::emit(fence.cell());
        checks::issued(&fence);
        Signaler {
            parts: Some((fence, line.reach())),
        }
    }

    /// The fence, to be cloned for threads that wait.
    #[inline]
    pub fn fence(&self) -> &Fence {
        let parts = self.parts.as_ref();
        &parts.expect("a signaler owns its fence until it signals").0
    }

    /// Whether anybody would notice the signal: there is another handle of the fence, an object holds it,
    /// it is part of another fence, or a callback is registered. As of this instant; once it is not
    /// wanted it stays so, since there is no handle to begin with.
    pub fn is_wanted(&self) -> bool {
        let cell = self.fence().cell();
        // The order matters: a thread that registers a callback has a handle until then.
        !cell.is_only_reference() || !cell.outcome().is_empty()
    }

    /// The job is done.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn signal(mut self) {
        checks::signals(self.fence());
        self.complete(None);
    }

    /// The job has failed.
    #[inline]
    #[cfg_attr(feature = "checks", track_caller)]
    pub fn signal_error(mut self, error: FenceError) {
        checks::signals(self.fence());
        self.complete(Some(error));
    }

    #[inline]
    fn complete(&mut self, error: Option<FenceError>) {
        // In line, so that the drop of a signaler that has signalled is nothing.
        if let Some((fence, reach)) = self.parts.take() {
            fence.complete(reach, error);
        }
    }
}

impl Drop for Signaler {
    #[inline]
    fn drop(&mut self) {
        self.complete(Some(FenceError::CANCELED));
    }
}

impl fmt::Debug for Signaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signaler").field(self.fence()).finish()
    }
}
