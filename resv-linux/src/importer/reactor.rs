//! The one place where imported fences are signalled: an epoll set, and a thread or an event loop that asks
//! it.

use super::table::{Ended, Table, Token};
use crate::abi::sync_file as abi;
use crate::clock;
use crate::error::GivenBack;
use crate::promise::Promise;
use crate::sync_file::{KernelSeqno, SyncFile};
use resv_api::{Fence, FenceError, FenceStatus, Timeline, TimelineId, Until, Waited};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

/// The token of the eventfd that wakes the dispatch. No place of the table is that far.
const WAKE: u64 = u64::MAX;

/// How many descriptors are settled in one go: as long as the table is locked.
const BATCH: usize = 64;

/// What importers and their dispatch share.
pub(super) struct Core {
    epoll: OwnedFd,
    wake: OwnedFd,
    table: Mutex<Table>,
    /// Deadlines that the dispatch is to pass on. Locked by what sets one, which may hold the table.
    deadlines: Mutex<Vec<(TimelineId, u64, Instant)>>,
    /// Held from taking fences out of the table until they have signalled, so that this is the order in
    /// which they signal. Locked before the table.
    turn: Mutex<()>,
    /// The dispatch is a thread: others may signal in its place.
    threaded: AtomicBool,
}

impl Core {
    pub(super) fn new() -> io::Result<Core> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Core {
            epoll,
            wake,
            table: Mutex::default(),
            deadlines: Mutex::default(),
            turn: Mutex::default(),
            threaded: AtomicBool::new(false),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing of the user's runs under it.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pending(&self) -> usize {
        self.table().pending()
    }

    /// No importer is left.
    pub(super) fn close(&self) {
        self.table().closing = true;
        self.wake();
    }

    fn wake(&self) {
        // Cannot fail: the descriptor is open, and the counter far from its greatest value.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Watches a descriptor, with the table locked: its report is looked up when the table has it.
    fn watch(&self, table: &mut Table, promise: &Promise) -> rustix::io::Result<()> {
        let token = EventData::new_u64(table.next_token().to_raw());
        // Once: it stays readable, and may be held back.
        let flags = EventFlags::IN | EventFlags::ONESHOT;
        match epoll::add(&self.epoll, promise, token, flags) {
            // The file was imported before under this number, and lives on behind another descriptor.
            Err(Errno::EXIST) => epoll::modify(&self.epoll, promise, token, flags),
            done => done,
        }
    }

    /// Arms a descriptor that was reported for nothing.
    fn watch_again(&self, table: &Table, token: Token) {
        if let Some(promise) = table.promise(token) {
            let data = EventData::new_u64(token.to_raw());
            let _ = epoll::modify(
                &self.epoll,
                promise,
                data,
                EventFlags::IN | EventFlags::ONESHOT,
            );
        }
    }

    /// Adds a pending promise on a timeline of its own.
    pub(super) fn add_alone(&self, promise: Promise) -> Result<Fence, GivenBack<Promise>> {
        let mut table = self.table();
        if let Err(error) = self.watch(&mut table, &promise) {
            drop(table);
            return Err(GivenBack::new(promise, error));
        }
        let job = Timeline::new("sync-file").issue();
        let job = job.expect("a new timeline has its first seqno");
        let fence = job.fence().clone();
        table.insert_alone(promise, job);
        Ok(fence)
    }

    /// Adds a sync file on the timeline of its kernel context.
    pub(super) fn add_of_context(
        &self,
        which: KernelSeqno,
        file: SyncFile,
    ) -> Result<Fence, GivenBack<Promise>> {
        let mut table = self.table();
        let (timeline, seqno) = match table.timeline_of(which) {
            Some(known) => known,
            None => (
                Timeline::new(&format!("context {}", which.context)),
                which.seqno,
            ),
        };
        if let Some(fence) = table.fence_at(timeline.id(), seqno) {
            drop(table);
            return Ok(fence); // and the file is closed
        }
        let promise = Promise::from(file);
        if let Err(error) = self.watch(&mut table, &promise) {
            drop(table);
            return Err(GivenBack::new(promise, error));
        }
        let job = match timeline.issue_at(seqno) {
            Ok(job) => job,
            // The kernel has seqnos that a timeline has not: 0, and the greatest one.
            Err(_) => {
                let job = Timeline::new("sync-file").issue();
                let job = job.expect("a new timeline has its first seqno");
                let fence = job.fence().clone();
                table.insert_alone(promise, job);
                return Ok(fence);
            }
        };
        let fence = job.fence().clone();
        table.insert(&timeline, Some(which.context), promise, job);
        Ok(fence)
    }

    /// Adds a promise at a place.
    pub(super) fn add_at(
        &self,
        timeline: &Timeline,
        seqno: u64,
        promise: Promise,
    ) -> Result<Fence, GivenBack<Promise>> {
        let invalid = |promise, error: String| {
            let error = io::Error::new(io::ErrorKind::InvalidInput, error);
            Err(GivenBack {
                value: promise,
                error,
            })
        };
        let mut table = self.table();
        if table.fence_at(timeline.id(), seqno).is_some() {
            drop(table);
            let error = format!("seqno {seqno} of '{}' is imported already", timeline.name());
            return invalid(promise, error);
        }
        if let Err(error) = self.watch(&mut table, &promise) {
            drop(table);
            return Err(GivenBack::new(promise, error));
        }
        let job = match timeline.issue_at(seqno) {
            Ok(job) => job,
            Err(error) => {
                let _ = epoll::delete(&self.epoll, &promise);
                drop(table);
                return invalid(promise, error.to_string());
            }
        };
        let fence = job.fence().clone();
        table.insert(timeline, None, promise, job);
        Ok(fence)
    }

    pub(super) fn give_up(&self, fence: &Fence, error: FenceError) -> bool {
        let known = self
            .table()
            .give_up(fence.timeline_id(), fence.seqno(), error);
        if known {
            self.wake();
        }
        known
    }

    pub(super) fn with_promise<R>(
        &self,
        fence: &Fence,
        f: impl FnOnce(&Promise) -> R,
    ) -> Option<R> {
        let table = self.table();
        table.promise_at(fence.timeline_id(), fence.seqno()).map(f)
    }

    pub(super) fn set_deadline(&self, fence: &Fence, deadline: Instant) -> bool {
        self.set_deadline_at(fence.timeline_id(), fence.seqno(), deadline)
    }

    pub(super) fn pass_deadlines(core: &Arc<Core>, fence: &Fence) -> bool {
        let (timeline, seqno) = (fence.timeline_id(), fence.seqno());
        let table = core.table();
        let Some(signaler) = table.signaler_at(timeline, seqno) else {
            return false;
        };
        let weak = Arc::downgrade(core);
        // Called at once if there is a deadline already, so it does not lock the table.
        signaler.on_deadline(move |deadline| {
            if let Some(core) = weak.upgrade() {
                let mut deadlines = core
                    .deadlines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                deadlines.push((timeline, seqno, deadline));
                drop(deadlines);
                core.wake();
            }
        });
        true
    }

    /// Passes on what has been set since the last time.
    fn settle_deadlines(&self) {
        let deadlines = {
            let mut deadlines = self
                .deadlines
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *deadlines)
        };
        for (timeline, seqno, deadline) in deadlines {
            self.set_deadline_at(timeline, seqno, deadline);
        }
    }

    fn set_deadline_at(&self, timeline: TimelineId, seqno: u64, deadline: Instant) -> bool {
        let table = self.table();
        table
            .promise_at(timeline, seqno)
            .and_then(Promise::as_sync_file)
            .is_some_and(|fd| abi::set_deadline(fd, clock::monotonic_ns(deadline)).is_ok())
    }

    pub(super) fn drop_unwanted(&self, timeline: TimelineId) {
        let unwanted = {
            let mut table = self.table();
            let unwanted = table.take_unwanted(timeline);
            for promise in &unwanted.promises {
                let _ = epoll::delete(&self.epoll, promise);
            }
            unwanted
        };
        if unwanted.signalers.is_empty() {
            return;
        }
        self.wake();
        // With the lock released: each signals, though nobody sees it.
        drop(unwanted);
    }

    /// Settles what is reported within `timeout`; how many fences have signalled.
    fn turn(
        &self,
        events: &mut Vec<epoll::Event>,
        timeout: Option<&Timespec>,
    ) -> io::Result<usize> {
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(events), timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if events.iter().any(|event| event.data.u64() == WAKE) {
            self.settle_deadlines();
        }
        let mut signaled = 0;
        let mut ended = Ended::new();
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for batch in events.chunks(BATCH) {
            let mut table = self.table();
            for event in batch {
                match event.data.u64() {
                    WAKE => {
                        let mut count = [0; 8];
                        let _ = rustix::io::read(&self.wake, &mut count);
                        for token in std::mem::take(&mut table.given_up) {
                            // What is pending all the same is watched still.
                            let _ = table.settle(token, &mut ended);
                        }
                    }
                    raw => {
                        let token = Token::from_raw(raw);
                        if !table.settle(token, &mut ended) {
                            self.watch_again(&table, token);
                        }
                    }
                }
            }
            drop(table);
            signaled += ended.len();
            signal(&mut ended);
        }
        Ok(signaled)
    }

    /// Waits for a fence. Where the dispatch is a thread, the caller watches the descriptor itself, and
    /// signals in that thread's place: the kernel wakes one thread, and not two in turn.
    pub(super) fn wait(&self, fence: &Fence, until: Until) -> Waited {
        let until = until.fixed();
        // Relaxed: an importer is made before it is used; without the flag the wait is the usual one.
        if self.threaded.load(Ordering::Relaxed) && !fence.is_signaled() && !until.is_poll() {
            // Whatever keeps this thread from watching, the dispatch does it then.
            let _ = self.watch_here(fence, until.deadline());
        }
        fence.wait(until)
    }

    /// Watches the descriptor of a fence until it is reported, or the fence signals in another way, or the
    /// time is over.
    fn watch_here(&self, fence: &Fence, deadline: Option<Instant>) -> io::Result<()> {
        let Some(lent) = self.lend(fence)? else {
            return Ok(());
        };
        // It may signal with another one of its timeline, or be given up.
        let bell = bell()?;
        let ring = Arc::clone(&bell);
        let rung = fence.on_signal(move |_| {
            let _ = rustix::io::write(&*ring, &1u64.to_ne_bytes());
        });
        let Ok(rung) = rung else {
            return Ok(());
        };
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        // What is too long for the kernel is for ever.
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut watched = [
            PollFd::new(&lent.fd, PollFlags::IN),
            PollFd::new(&*bell, PollFlags::IN),
        ];
        let polled = poll(&mut watched, left.as_ref());
        let reported = !watched[0].revents().is_empty();
        fence.cancel(rung);
        if polled.is_ok() && reported {
            self.settle_here(lent.token);
        }
        Ok(())
    }

    fn lend(&self, fence: &Fence) -> io::Result<Option<Lent<'_>>> {
        let mut table = self.table();
        let Some((token, promise)) = table.lend(fence.timeline_id(), fence.seqno()) else {
            return Ok(None);
        };
        let fd = promise.as_fd().try_clone_to_owned().inspect(|_| {
            // Without events: it keeps its place in the set.
            let token = EventData::new_u64(token.to_raw());
            let _ = epoll::modify(&self.epoll, promise, token, EventFlags::empty());
        });
        match fd {
            Ok(fd) => Ok(Some(Lent {
                core: self,
                token,
                fd,
            })),
            Err(error) => {
                table.take_back(token);
                Err(error)
            }
        }
    }

    /// Settles what this thread has watched, unless the dispatch is at it: it will get to this one, too.
    fn settle_here(&self, token: Token) {
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let mut ended = Ended::new();
        // What is pending all the same is watched by the dispatch again.
        let _ = self.table().settle(token, &mut ended);
        signal(&mut ended);
    }

    /// Whether there is nothing left to do, and no importer that could bring more.
    fn is_over(&self) -> bool {
        let table = self.table();
        table.closing && table.pending() == 0
    }
}

/// The eventfd by which this thread is told that a fence which it watches has signalled. It keeps it: opening
/// and closing one costs as much as a third of a wake-up. A late ring of an earlier wait, of which a callback
/// was under way when it ended, ends the watching of the next one early, and that is all.
fn bell() -> io::Result<Arc<OwnedFd>> {
    thread_local!(static BELL: OnceCell<Arc<OwnedFd>> = const { OnceCell::new() });
    BELL.with(|kept| {
        if let Some(bell) = kept.get() {
            let _ = rustix::io::read(&**bell, &mut [0; 8]);
            return Ok(Arc::clone(bell));
        }
        let new = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::clone(kept.get_or_init(|| Arc::new(new))))
    })
}

/// A descriptor that a waiting thread watches. Dropped, it is the dispatch's again.
struct Lent<'c> {
    core: &'c Core,
    token: Token,
    /// A second one of the promise, which may be closed meanwhile.
    fd: OwnedFd,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut table = self.core.table();
        table.take_back(self.token);
        self.core.watch_again(&table, self.token);
    }
}

/// Signals fences, in order and with the table not locked.
fn signal(ended: &mut Ended) {
    for (signaler, status, promise) in ended.drain(..) {
        // A callback that panics is the user's; the hook has told of it, and the others have to signal.
        let _panic = catch_unwind(AssertUnwindSafe(|| match status {
            FenceStatus::Error(error) => signaler.signal_error(error),
            FenceStatus::Signaled | FenceStatus::Pending => signaler.signal(),
        }));
        // Closed afterwards: a waiter need not wait for that too.
        drop(promise);
    }
}

/// Signals the fences of an importer: the other half of [`Importer::manual`](super::Importer::manual).
///
/// It is readable when there is something to do. Dropped while promises are pending, it goes on as a thread:
/// nothing that the kernel runs is ever called canceled.
pub struct Dispatch {
    core: Arc<Core>,
    /// In a cell: so a dispatch is of one thread at a time, and with it the order of the signals.
    events: Cell<Vec<epoll::Event>>,
    /// A thread has taken over.
    handed_over: bool,
}

impl Dispatch {
    pub(super) fn new(core: Arc<Core>) -> Dispatch {
        Dispatch {
            core,
            events: Cell::new(Vec::with_capacity(256)),
            handed_over: false,
        }
    }

    /// Signals what is ready, without waiting; how many fences that were.
    ///
    /// # Errors
    ///
    /// None on a kernel that works.
    pub fn dispatch(&self) -> io::Result<usize> {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut events = self.events.take();
        let mut signaled = 0;
        let done = loop {
            match self.core.turn(&mut events, Some(&now)) {
                Ok(n) => signaled += n,
                Err(error) => break Err(error),
            }
            if events.len() < events.capacity() {
                break Ok(signaled);
            }
        };
        self.events.set(events);
        done
    }

    /// Whether no importer is left and nothing is pending: the event loop can let go of it.
    pub fn is_over(&self) -> bool {
        self.core.is_over()
    }

    /// Goes on as a thread.
    ///
    /// # Errors
    ///
    /// EAGAIN, ENOMEM if no thread can be had.
    pub(super) fn spawn(mut self) -> io::Result<()> {
        self.hand_over()
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let core = Arc::clone(&self.core);
        // Relaxed: what it allows is ordered by the locks.
        core.threaded.store(true, Ordering::Relaxed);
        let run = move || {
            let mut events = Vec::with_capacity(256);
            while !core.is_over() {
                // It cannot fail: the set is open and the buffer is ours. If it did, going on at once is
                // all that could be done.
                let _ = core.turn(&mut events, None);
            }
        };
        std::thread::Builder::new()
            .name("resv-importer".into())
            .spawn(run)?;
        self.handed_over = true;
        Ok(())
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        if !self.handed_over && !self.core.is_over() {
            // Without a thread the fences stay pending, which is true of them; there is nobody to tell.
            let _ = self.hand_over();
        }
    }
}

impl AsFd for Dispatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.core.epoll.as_fd()
    }
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch")
            .field("pending", &self.core.pending())
            .finish_non_exhaustive()
    }
}
