//! Fences of this process that signal when the kernel's do.
//!
//! # What owns what
//!
//! A promise of the kernel that is pending belongs to the *table*: the descriptor, and the
//! [`Signaler`](resv_api::Signaler) of the fence that was made for it. The table is owned by the
//! [`Dispatch`], the one place where fences are signalled, which runs on a thread of its own or in an event
//! loop of the user's. (A thread in [`Importer::wait`] does so in its place: one of them at a time.) So an importer that is dropped takes nothing with it: the thread goes on until all
//! that was imported has signalled, and then ends.
//!
//! # In what order
//!
//! Fences of one timeline have to signal in the order of their seqnos; epoll reports descriptors in any
//! order, and a scheduler that cancels jobs signals in any order too. So when one is reported, the earlier
//! ones of its timeline are asked first, and it is held back until they have signalled. Since only the
//! dispatch signals, one after the other, the order in which they are taken out of the table is the order in
//! which they signal.
//!
//! # Which timeline
//!
//! A fence that is imported for itself has a timeline of its own, on which it is alone. A file whose name can
//! be trusted ([`import_exported`](Importer::import_exported)) is put on the timeline of its kernel context,
//! so that later ones supersede it in reservation objects. The user may also say where it belongs
//! ([`import_at`](Importer::import_at)).
//!
//! Context numbers are never used twice while the kernel runs. The timeline of a context lives as long as
//! something of it is pending: what has signalled needs nobody to supersede it.

mod reactor;
mod table;

#[cfg(test)]
mod tests;

pub use reactor::Dispatch;

use crate::error::GivenBack;
use crate::promise::Promise;
use crate::sync_file::SyncFile;
use crate::syncobj::Syncobj;
use reactor::Core;
use resv_api::{Fence, FenceError, FenceStatus, Timeline, Until, Waited};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// Makes fences of descriptors. Clones share everything.
///
/// ```
/// use resv_api::{Fence, Waited};
/// use resv_linux::{Importer, Promise};
/// use rustix::event::{EventfdFlags, eventfd};
///
/// let importer = Importer::new()?;
/// // A sync file works alike; an eventfd is what every Linux has.
/// let done = eventfd(0, EventfdFlags::NONBLOCK)?;
/// let fence: Fence = importer.import(Promise::eventfd(done.try_clone()?))?;
/// assert!(!fence.is_signaled());
/// rustix::io::write(&done, &1u64.to_ne_bytes())?;
/// assert_eq!(fence.wait(None), Waited::Signaled);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Importer {
    handle: Arc<Handle>,
}

/// Tells the dispatch when the last importer has gone.
struct Handle {
    core: Arc<Core>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl Importer {
    /// An importer with a thread of its own.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOMEM; EAGAIN if no thread can be had.
    pub fn new() -> io::Result<Importer> {
        let (importer, dispatch) = Importer::manual()?;
        dispatch.spawn()?;
        Ok(importer)
    }

    /// An importer without a thread: fences signal when [`Dispatch::dispatch`] is called, which an event
    /// loop does whenever the dispatch is readable.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOMEM.
    pub fn manual() -> io::Result<(Importer, Dispatch)> {
        let core = Arc::new(Core::new()?);
        let importer = Importer {
            handle: Arc::new(Handle {
                core: Arc::clone(&core),
            }),
        };
        Ok((importer, Dispatch::new(core)))
    }

    fn core(&self) -> &Core {
        &self.handle.core
    }

    /// A fence that signals when the promise is kept, and as it was kept; on a timeline of its own. One that
    /// has been kept costs one system call and no descriptor.
    ///
    /// # Errors
    ///
    /// Gives it back if the kernel cannot watch it: ENOMEM, ENOSPC (`max_user_watches`), EPERM (a descriptor
    /// that is always ready). No descriptor is opened, so being out of them is no obstacle.
    pub fn import(&self, promise: impl Into<Promise>) -> Result<Fence, GivenBack<Promise>> {
        let promise = promise.into();
        match promise.look() {
            FenceStatus::Pending => self.core().add_alone(promise),
            kept => Ok(kept_fence(kept)),
        }
    }

    /// [`import`](Importer::import) of a sync file that an export has made: on the timeline of its kernel
    /// context, if it is a single fence. The same fence of the kernel gives the same fence here as long as it
    /// is pending.
    ///
    /// For files that this process got from the kernel itself, by [`DmaBuf::export`](crate::DmaBuf::export),
    /// [`Syncobj::export_sync_file`] or a driver. A file that another process sent may have been given any
    /// name by a merge, and so could supersede fences with which it has nothing to do.
    ///
    /// # Errors
    ///
    /// As [`import`](Importer::import).
    pub fn import_exported(&self, file: SyncFile) -> Result<Fence, GivenBack<Promise>> {
        match file.kernel_seqno() {
            Some(which) => self.core().add_of_context(which, file),
            None => self.import(file),
        }
    }

    /// [`import`](Importer::import) as the fence of a place on a timeline. On that timeline fences then
    /// signal in the order of their seqnos: one whose promise is kept early is held back.
    ///
    /// The caller sees to it that a later one of the timeline really is done later, and that no place is
    /// given twice.
    ///
    /// # Errors
    ///
    /// As [`import`](Importer::import); `InvalidInput` if there is no such seqno, or if something pending is
    /// imported there already.
    pub fn import_at(
        &self,
        timeline: &Timeline,
        seqno: u64,
        promise: impl Into<Promise>,
    ) -> Result<Fence, GivenBack<Promise>> {
        self.core().add_at(timeline, seqno, promise.into())
    }

    /// A fence for a point of a sync object, on `timeline`: it signals with success when the point has. The
    /// point may be one that nobody has submitted yet. A point carries no error.
    ///
    /// If nobody ever submits it, the fence stays pending: [give it up](Importer::give_up) when you have
    /// waited long enough. Keep one timeline for each object, so that its points supersede each other.
    ///
    /// # Errors
    ///
    /// As [`Syncobj::eventfd`] and [`import_at`](Importer::import_at).
    pub fn import_point(
        &self,
        timeline: &Timeline,
        syncobj: &Syncobj,
        point: u64,
    ) -> io::Result<Fence> {
        let promise = Promise::eventfd(syncobj.eventfd(point, false)?);
        Ok(self.import_at(timeline, point, promise)?)
    }

    /// Waits for a fence that was imported here, as [`Fence::wait`] does, and wakes up sooner: with an importer
    /// that has a thread, the caller watches the descriptor itself and then signals in that thread's place,
    /// so that the kernel wakes one thread, and not two in turn. Any other fence is waited for as usual.
    ///
    /// Callbacks of the fence may run on this thread: hold no lock that one of them takes.
    pub fn wait(&self, fence: &Fence, until: impl Into<Until>) -> Waited {
        self.core().wait(fence, until.into())
    }

    /// Waits no more: the fence, and what is pending before it on its timeline, signals with `error`, soon
    /// and on the dispatch. For what nobody will keep, such as a point that a client never submits. `false`
    /// if nothing is pending for it here.
    pub fn give_up(&self, fence: &Fence, error: FenceError) -> bool {
        self.core().give_up(fence, error)
    }

    /// The sync file behind a fence that was imported and is pending; `None` for any other.
    ///
    /// # Errors
    ///
    /// EMFILE.
    pub fn sync_file(&self, fence: &Fence) -> io::Result<Option<SyncFile>> {
        self.core()
            .with_promise(fence, Promise::clone_sync_file)
            .flatten()
            .transpose()
    }

    /// Passes a deadline on to the kernel ([`SyncFile::set_deadline`]). `false` if there is no pending sync
    /// file behind the fence, or the kernel does not take deadlines.
    pub fn set_deadline(&self, fence: &Fence, deadline: Instant) -> bool {
        self.core().set_deadline(fence, deadline)
    }

    /// Has deadlines that are [set](Fence::set_deadline) on the fence passed on to the kernel, by the
    /// dispatch. `false` if nothing is pending for it here.
    pub fn pass_deadlines(&self, fence: &Fence) -> bool {
        Core::pass_deadlines(&self.handle.core, fence)
    }

    /// How many promises are pending.
    pub fn pending(&self) -> usize {
        self.core().pending()
    }

    /// Drops what is pending on a timeline and wanted by nobody, the last one excepted: see
    /// [`Signaler::is_wanted`](resv_api::Signaler::is_wanted).
    pub(crate) fn drop_unwanted(&self, timeline: resv_api::TimelineId) {
        self.core().drop_unwanted(timeline);
    }
}

impl fmt::Debug for Importer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Importer")
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

/// A fence that has signalled so.
fn kept_fence(status: FenceStatus) -> Fence {
    match status {
        FenceStatus::Error(error) => {
            let job = Timeline::new("sync-file").issue();
            let job = job.expect("a new timeline has its first seqno");
            let fence = job.fence().clone();
            job.signal_error(error);
            fence
        }
        FenceStatus::Signaled | FenceStatus::Pending => Fence::signaled(),
    }
}
