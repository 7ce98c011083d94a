//! Sync objects of a DRM node: places for a fence that programs can fill, signal and wait for.
//!
//! A *binary* object is one such place; a *timeline* one has a place for each point, counted up. Both are
//! the same kind of object: the calls for points make it a timeline.

use crate::abi::syncobj as abi;
use crate::clock;
use crate::sync_file::SyncFile;
use resv_api::Until;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A DRM device node, `/dev/dri/renderD128` or the like. Clones share the descriptor, and the kernel's
/// handles with it.
#[derive(Clone, Debug)]
pub struct DrmNode {
    fd: Arc<OwnedFd>,
}

impl DrmNode {
    /// Opens a node.
    ///
    /// # Errors
    ///
    /// As of opening a file.
    pub fn open(path: impl AsRef<Path>) -> io::Result<DrmNode> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path.as_ref(), flags, Mode::empty())?;
        Ok(DrmNode { fd: Arc::new(fd) })
    }

    /// Whether the driver has sync objects.
    pub fn has_syncobj(&self) -> bool {
        abi::capabilities(self.as_fd()).is_ok_and(|(syncobj, _)| syncobj)
    }

    /// Whether they have timelines.
    pub fn has_timelines(&self) -> bool {
        abi::capabilities(self.as_fd()).is_ok_and(|(_, timelines)| timelines)
    }
}

impl From<OwnedFd> for DrmNode {
    fn from(fd: OwnedFd) -> DrmNode {
        DrmNode { fd: Arc::new(fd) }
    }
}

impl AsFd for DrmNode {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A sync object (`struct drm_syncobj`), by a handle of one node.
///
/// Clones share the handle; the last one destroys it. Fences that were put into it are the kernel's and live
/// on.
#[derive(Clone)]
pub struct Syncobj {
    handle: Arc<Handle>,
}

struct Handle {
    node: DrmNode,
    number: u32,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // It cannot fail: the handle is ours, and the node is open.
        let _ = abi::destroy(self.node.as_fd(), self.number);
    }
}

/// What a wait on points waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// That they have signalled; EINVAL if one has no fence yet.
    Signal,
    /// That they have signalled, whichever thread submits them and when.
    SubmitAndSignal,
    /// That they have a fence (Linux: wait-available).
    Submit,
}

/// How a wait on points goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What for.
    pub what: WaitFor,
    /// Whether all of them, or any one.
    pub all: bool,
    /// By when a waiter would like them to have signalled: a hint to the driver.
    pub deadline: Option<Instant>,
}

impl Waiting {
    /// For the signal of all of them.
    pub const ALL: Waiting = Waiting {
        what: WaitFor::SubmitAndSignal,
        all: true,
        deadline: None,
    };
    /// For the signal of any of them.
    pub const ANY: Waiting = Waiting {
        all: false,
        ..Waiting::ALL
    };
    /// For a fence in each of them.
    pub const SUBMITTED: Waiting = Waiting {
        what: WaitFor::Submit,
        ..Waiting::ALL
    };
}

/// A point of a timeline object.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    /// The object.
    pub syncobj: &'a Syncobj,
    /// The point, from 1 on; 0 means the fence of a binary object.
    pub point: u64,
}

impl Syncobj {
    /// A new object that has no fence.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP if the driver has no sync objects; ENOMEM.
    pub fn new(node: &DrmNode) -> io::Result<Syncobj> {
        Syncobj::create(node, false)
    }

    /// A new binary object that has signalled.
    ///
    /// # Errors
    ///
    /// As [`new`](Syncobj::new).
    pub fn new_signaled(node: &DrmNode) -> io::Result<Syncobj> {
        Syncobj::create(node, true)
    }

    fn create(node: &DrmNode, signaled: bool) -> io::Result<Syncobj> {
        let number = abi::create(node.as_fd(), signaled)?;
        Ok(Syncobj::of(node, number))
    }

    fn of(node: &DrmNode, number: u32) -> Syncobj {
        Syncobj {
            handle: Arc::new(Handle {
                node: node.clone(),
                number,
            }),
        }
    }

    /// The object behind a descriptor, for example one that a Wayland client has sent.
    ///
    /// # Errors
    ///
    /// EINVAL if it is none.
    pub fn import(node: &DrmNode, fd: impl AsFd) -> io::Result<Syncobj> {
        let number = abi::import(node.as_fd(), fd.as_fd())?;
        Ok(Syncobj::of(node, number))
    }

    /// A descriptor for the object, to be sent to another process.
    ///
    /// # Errors
    ///
    /// EMFILE.
    pub fn export(&self) -> io::Result<OwnedFd> {
        Ok(abi::export(self.node(), self.number())?)
    }

    /// The node.
    pub fn drm_node(&self) -> &DrmNode {
        &self.handle.node
    }

    fn node(&self) -> BorrowedFd<'_> {
        self.handle.node.as_fd()
    }

    pub(crate) fn number(&self) -> u32 {
        self.handle.number
    }

    /// Signals a binary object.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn signal(&self) -> io::Result<()> {
        Ok(abi::signal(self.node(), self.number())?)
    }

    /// Takes the fence out of a binary object: it is as new.
    ///
    /// # Errors
    ///
    /// None on a kernel that works.
    pub fn reset(&self) -> io::Result<()> {
        Ok(abi::reset(self.node(), self.number())?)
    }

    /// Signals a point, and so those before it that have no fence of their own.
    ///
    /// The call carries no error. A point that is not after the last one is taken without complaint, and
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP without timelines; ENOMEM.
    pub fn signal_point(&self, point: u64) -> io::Result<()> {
        Ok(abi::signal_point(self.node(), self.number(), point)?)
    }

    /// The last point that has signalled; 0 if none.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP without timelines.
    pub fn completed(&self) -> io::Result<u64> {
        Ok(abi::query(self.node(), self.number(), false)?)
    }

    /// The last point that has a fence; 0 if none.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP without timelines.
    pub fn submitted(&self) -> io::Result<u64> {
        Ok(abi::query(self.node(), self.number(), true)?)
    }

    /// Point `point` of this object.
    pub fn at(&self, point: u64) -> Point<'_> {
        Point {
            syncobj: self,
            point,
        }
    }

    /// Waits for one point. `false`: the time was up.
    ///
    /// # Errors
    ///
    /// As [`wait_points`](Syncobj::wait_points).
    pub fn wait(&self, point: u64, what: Waiting, until: impl Into<Until>) -> io::Result<bool> {
        Ok(Syncobj::wait_points(&[self.at(point)], what, until)?.is_some())
    }

    /// Waits for points of objects of one node. Answers which one was the first that signalled (of any), or
    /// some index (of all); `None` when the time was up.
    ///
    /// # Errors
    ///
    /// EINVAL if one has no fence and [`WaitFor::Signal`] was asked for, or if nothing was given;
    /// `InvalidInput` if they are of several nodes, whose handles have nothing to do with each other.
    pub fn wait_points(
        points: &[Point<'_>],
        how: Waiting,
        until: impl Into<Until>,
    ) -> io::Result<Option<usize>> {
        let Some(first) = points.first() else {
            return Err(Errno::INVAL.into());
        };
        let node = first.syncobj.drm_node();
        if !points
            .iter()
            .all(|p| Arc::ptr_eq(&p.syncobj.drm_node().fd, &node.fd))
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the sync objects are of several nodes: import them into one",
            ));
        }
        let handles: Vec<u32> = points.iter().map(|p| p.syncobj.number()).collect();
        let numbers: Vec<u64> = points.iter().map(|p| p.point).collect();
        let mut flags = match how.what {
            WaitFor::Signal => 0,
            WaitFor::SubmitAndSignal => abi::WAIT_FOR_SUBMIT,
            WaitFor::Submit => abi::WAIT_AVAILABLE,
        };
        if how.all {
            flags |= abi::WAIT_ALL;
        }
        if how.deadline.is_some() {
            flags |= abi::WAIT_DEADLINE;
        }
        let what = abi::Waiting {
            handles: &handles,
            points: &numbers,
            flags,
            timeout_ns: clock::absolute_timeout(clock::deadline(until.into())),
            deadline_ns: how.deadline.map_or(0, clock::monotonic_ns),
        };
        // Binary objects are waited for by their own call, which drivers without timelines have too. It
        // knows no wait for a fence alone.
        let binary = numbers.iter().all(|&point| point == 0) && how.what != WaitFor::Submit;
        let waited = if binary {
            abi::wait_binary(node.as_fd(), &what)
        } else {
            abi::wait_points(node.as_fd(), &what)
        };
        match waited {
            Ok(first) => Ok(Some(first as usize)),
            Err(Errno::TIME | Errno::TIMEDOUT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A descriptor that becomes readable when a point has signalled (or, `submitted`, has a fence). The
    /// point may be one that nobody has submitted yet; if nobody ever does, it never becomes readable.
    ///
    /// # Errors
    ///
    /// EMFILE; EOPNOTSUPP without timelines; ENOTTY before Linux 6.6.
    pub fn eventfd(&self, point: u64, submitted: bool) -> io::Result<OwnedFd> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        abi::notify(self.node(), self.number(), point, fd.as_fd(), submitted)?;
        Ok(fd)
    }

    /// Makes the fence of `from` that of point `point` of this object (0: of a binary one). Both are of one
    /// node. `from` has a fence.
    ///
    /// # Errors
    ///
    /// EINVAL if it has none; EOPNOTSUPP without timelines; ENOMEM.
    pub fn transfer_from(&self, from: Point<'_>, point: u64) -> io::Result<()> {
        let from = (from.syncobj.number(), from.point);
        Ok(abi::transfer(self.node(), from, (self.number(), point), 0)?)
    }

    /// A sync file of a point (0: of a binary object), which has a fence.
    ///
    /// # Errors
    ///
    /// EINVAL if it has none; EMFILE; ENOMEM.
    pub fn export_sync_file(&self, point: u64) -> io::Result<SyncFile> {
        if point == 0 {
            return Ok(SyncFile::made(abi::export_sync_file(
                self.node(),
                self.number(),
            )?));
        }
        match abi::export_point(self.node(), self.number(), point) {
            // Before Linux 6.16: by way of a binary object.
            Err(Errno::INVAL) => {
                let binary = Syncobj::new(self.drm_node())?;
                binary.transfer_from(self.at(point), 0)?;
                binary.export_sync_file(0)
            }
            done => Ok(SyncFile::made(done?)),
        }
    }

    /// Makes the fence of a sync file that of a point (0: of a binary object).
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP without timelines; ENOMEM.
    pub fn import_sync_file(&self, file: &SyncFile, point: u64) -> io::Result<()> {
        if point == 0 {
            return Ok(abi::import_sync_file(self.node(), self.number(), file)?);
        }
        match abi::import_point(self.node(), self.number(), file, point) {
            // Before Linux 6.16: by way of a binary object.
            Err(Errno::INVAL) => {
                let binary = Syncobj::new(self.drm_node())?;
                binary.import_sync_file(file, 0)?;
                self.transfer_from(binary.at(0), point)
            }
            done => Ok(done?),
        }
    }
}

impl fmt::Debug for Syncobj {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Syncobj").field(&self.number()).finish()
    }
}
