//! Fences across the border: from a dma-buf's reservation object to one of ours, back, and on to sync
//! objects.

use crate::dma_buf::DmaBuf;
use crate::importer::Importer;
use crate::sync_file::SyncFile;
use crate::syncobj::Syncobj;
use resv_api::fence::unwrap;
use resv_api::{
    Access, Backend, Entry, Fence, FenceStatus, ReserveError, Resv, Semantics, Timeline, Usage,
    UsageLevels,
};
use std::fmt;
use std::io;
use std::sync::PoisonError;

/// Takes fences of the kernel into reservation objects, and gives to the kernel what it can take.
#[derive(Clone, Debug)]
pub struct Bridge {
    importer: Importer,
}

/// The timelines on which the pulls of one buffer are: each pull is the next seqno, so that it supersedes
/// the one before. One for the fences of writers, one for all.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    both: Option<Both>,
}

#[derive(Debug)]
struct Both {
    writers: Timeline,
    all: Timeline,
}

impl Lines {
    fn get(&mut self) -> &Both {
        self.both.get_or_insert_with(|| Both {
            writers: Timeline::new("dma-buf writers"),
            all: Timeline::new("dma-buf users"),
        })
    }
}

/// What a [pull](Bridge::pull) has put into the object.
#[derive(Clone, Debug, Default)]
pub struct Pulled {
    /// Signals when the writers of that moment are done; added as a write fence. `None`: there were none.
    pub writers: Option<Fence>,
    /// Signals when all implicit users of that moment are done; added as a read fence. `None`: there were
    /// none but the writers.
    pub users: Option<Fence>,
}

/// What a [push](Bridge::push) has done.
#[derive(Debug, Default)]
#[must_use = "what is left, the kernel knows nothing of"]
pub struct Pushed {
    /// How many fences the kernel has now.
    pub taken: usize,
    /// What it has not, or not as it should be.
    pub left: Vec<(Entry, Left)>,
}

/// Why the kernel has not taken a fence.
#[derive(Debug)]
pub enum Left {
    /// A program signals it, and there is no sync file of such a fence. It has to be waited for, or a point
    /// of a sync object has to [follow](Bridge::follow) it.
    NoSyncFile,
    /// Programs cannot add bookkeep fences.
    Bookkeep,
    /// Programs cannot add kernel fences: it was added as a write fence, which explicit users do not wait
    /// for.
    OnlyAsWrite,
    /// The kernel has refused.
    Failed(io::Error),
}

/// How a point [follows](Bridge::follow) a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The fence has signalled, and so has the point.
    Already,
    /// The kernel's own fence is behind the point: it is submitted, and signals without this process. An
    /// error of the fence is in the list of a sync file of the point ([`SyncFile::info`]), but is not the
    /// status of that file: points have no errors.
    InKernel,
    /// The point is signalled by the thread that signals the fence. Until then it is not submitted; an error
    /// cannot be passed on.
    OnSignal,
}

/// A pull has failed; the object is as it was.
#[derive(Debug)]
pub enum PullError {
    /// The kernel has given no descriptor (EMFILE, ENFILE, ENOMEM), or would not watch one.
    Kernel(io::Error),
    /// No memory for the entries.
    Reserve(ReserveError),
}

impl fmt::Display for PullError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PullError::Kernel(error) => {
                write!(f, "the fences of the dma-buf cannot be had: {error}")
            }
            PullError::Reserve(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PullError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PullError::Kernel(error) => Some(error),
            PullError::Reserve(error) => Some(error),
        }
    }
}

impl From<PullError> for io::Error {
    fn from(error: PullError) -> io::Error {
        match error {
            PullError::Kernel(error) => error,
            PullError::Reserve(error) => io::Error::new(io::ErrorKind::OutOfMemory, error),
        }
    }
}

impl Bridge {
    /// A bridge whose fences signal through `importer`.
    pub fn new(importer: Importer) -> Bridge {
        Bridge { importer }
    }

    /// The importer.
    pub fn importer(&self) -> &Importer {
        &self.importer
    }

    /// Adds the fences that the buffer has now to `resv`: its writers as one write fence, all of its implicit
    /// users as one read fence. Another pull of the buffer takes their place, so pulls may be repeated as
    /// often as you like; descriptors whose fences nobody wants any more are closed.
    ///
    /// A writer never looks like a mere reader, whatever is added meanwhile: all users are exported first, so
    /// a writer that comes in between is among the writers only, which everybody waits for.
    ///
    /// The kernel's objects have usage levels, and so must this one: under other semantics an added writer
    /// stands for all that was there before, which this one does not.
    ///
    /// The object is locked for the add; do not hold its lock. The buffer is asked under a lock of its own:
    /// pulls of one [`DmaBuf`] are one after the other.
    ///
    /// # Errors
    ///
    /// When the kernel gives no descriptors, or memory cannot be had. Nothing has changed then.
    pub fn pull<B: Backend>(
        &self,
        buffer: &DmaBuf,
        resv: &Resv<UsageLevels, B>,
    ) -> Result<Pulled, PullError> {
        self.pull_with(buffer, resv, || {})
    }

    /// The known-bad variant of `pull`: asks for the writers first. `between` runs between the two.
    #[doc(hidden)]
    pub fn pull_writers_first<B: Backend>(
        &self,
        buffer: &DmaBuf,
        resv: &Resv<UsageLevels, B>,
        between: impl FnOnce(),
    ) -> Result<Pulled, PullError> {
        let mut lines = buffer.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = lines.get();
        let writers = buffer.export(Access::Read).map_err(PullError::Kernel)?;
        between();
        let all = buffer.export(Access::Write).map_err(PullError::Kernel)?;
        self.add_pulled(lines, all, writers, resv)
    }

    /// `pull` with something that happens between the two exports, for tests.
    #[doc(hidden)]
    pub fn pull_with<B: Backend>(
        &self,
        buffer: &DmaBuf,
        resv: &Resv<UsageLevels, B>,
        between: impl FnOnce(),
    ) -> Result<Pulled, PullError> {
        let mut lines = buffer.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = lines.get();
        // In this order.
        let all = buffer.export(Access::Write).map_err(PullError::Kernel)?;
        between();
        let writers = buffer.export(Access::Read).map_err(PullError::Kernel)?;
        self.add_pulled(lines, all, writers, resv)
    }

    fn add_pulled<B: Backend>(
        &self,
        lines: &Both,
        all: SyncFile,
        writers: SyncFile,
        resv: &Resv<UsageLevels, B>,
    ) -> Result<Pulled, PullError> {
        let pending = |file: &SyncFile| {
            file.status()
                .map(|status| status == FenceStatus::Pending)
                .map_err(PullError::Kernel)
        };
        let (some, some_write) = (pending(&all)?, pending(&writers)?);
        // One fence that is the whole of both, as after a single writer, needs one entry.
        let same = some
            && some_write
            && all
                .kernel_seqno()
                .is_some_and(|which| Some(which) == writers.kernel_seqno());

        let import = |timeline: &Timeline, file: SyncFile| {
            let seqno = timeline.last_seqno() + 1;
            self.importer
                .import_at(timeline, seqno, file)
                .map_err(|refused| PullError::Kernel(refused.error))
        };
        let pulled = Pulled {
            writers: some_write
                .then(|| import(&lines.writers, writers))
                .transpose()?,
            users: (some && !same)
                .then(|| import(&lines.all, all))
                .transpose()?,
        };
        {
            let mut guard = resv.lock();
            let mut slots = guard.reserve(2).map_err(PullError::Reserve)?;
            if let Some(fence) = &pulled.writers {
                slots.add(fence, Usage::Write);
            }
            if let Some(fence) = &pulled.users {
                slots.add(fence, Usage::Read);
            }
        }
        self.importer.drop_unwanted(lines.writers.id());
        self.importer.drop_unwanted(lines.all.id());
        Ok(pulled)
    }

    /// Adds to the buffer what of `resv` the kernel can take: fences behind which there is a sync file.
    /// Read fences as those of readers, write fences as those of writers. What it cannot take is returned.
    /// What a pull of this very buffer has put in is left where it came from.
    pub fn push<S: Semantics, B: Backend>(&self, resv: &Resv<S, B>, buffer: &DmaBuf) -> Pushed {
        let own = {
            let mut lines = buffer.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let lines = lines.get();
            [lines.writers.id(), lines.all.id()]
        };
        let mut pushed = Pushed::default();
        for entry in resv.snapshot().iter() {
            if own.contains(&entry.fence.timeline_id()) {
                continue;
            }
            for fence in unwrap(entry.fence) {
                self.push_one(fence, entry.usage, buffer, &mut pushed);
            }
        }
        pushed
    }

    fn push_one(&self, fence: Fence, usage: Usage, buffer: &DmaBuf, pushed: &mut Pushed) {
        let as_usage = match usage {
            Usage::Read => Some(Usage::Read),
            Usage::Write | Usage::Kernel => Some(Usage::Write),
            Usage::Bookkeep => None,
        };
        let why = match (as_usage, self.importer.sync_file(&fence)) {
            (None, _) => Some(Left::Bookkeep),
            (_, Err(error)) => Some(Left::Failed(error)),
            // It may have signalled since the snapshot, and is no concern of anybody's then.
            (_, Ok(None)) => (!fence.is_signaled()).then_some(Left::NoSyncFile),
            (Some(as_usage), Ok(Some(file))) => match buffer.import(&file, as_usage) {
                Err(error) => Some(Left::Failed(error)),
                Ok(()) => {
                    pushed.taken += 1;
                    (usage == Usage::Kernel).then_some(Left::OnlyAsWrite)
                }
            },
        };
        if let Some(why) = why {
            pushed.left.push((Entry { fence, usage }, why));
        }
    }

    /// Has a point of a sync object (0: a binary object) signal when `fence` does.
    ///
    /// If there is a sync file behind the fence, the kernel does it alone. Otherwise the thread that signals
    /// the fence makes one system call more. Dropping the sync object, the fence or this bridge changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP without timelines; EMFILE; ENOMEM. Nothing follows then.
    pub fn follow(&self, fence: &Fence, syncobj: &Syncobj, point: u64) -> io::Result<Followed> {
        if let Some(file) = self.importer.sync_file(fence)? {
            syncobj.import_sync_file(&file, point)?;
            return Ok(Followed::InKernel);
        }
        let object = syncobj.clone();
        let registered = fence.on_signal(move |_| {
            // It fails only when the kernel has no memory for one fence, and then there is nobody to tell.
            let _ = signal(&object, point);
        });
        match registered {
            Ok(_) => Ok(Followed::OnSignal),
            Err(_already) => {
                signal(syncobj, point)?;
                Ok(Followed::Already)
            }
        }
    }
}

fn signal(syncobj: &Syncobj, point: u64) -> io::Result<()> {
    if point == 0 {
        syncobj.signal()
    } else {
        syncobj.signal_point(point)
    }
}
