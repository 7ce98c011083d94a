//! Sync files: one or more fences of the kernel behind a descriptor.

use crate::abi::sync_file as abi;
use crate::clock;
use crate::error::GivenBack;
use resv_api::{FenceError, FenceStatus, Until, Waited};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Fences of the kernel as of the moment at which the file was made (`struct sync_file`).
///
/// It has signalled when all of its fences have; the kernel's fences all do, in finite time. Its
/// descriptor is readable then, and stays so.
#[derive(Debug)]
pub struct SyncFile {
    fd: OwnedFd,
}

/// What the kernel says of a sync file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncFileInfo {
    /// The name: the one that [`SyncFile::merge`] was given, or one that the kernel makes of the fence.
    /// At most 31 bytes.
    pub name: String,
    /// Whether all fences have signalled, and with which error.
    pub status: FenceStatus,
    /// The fences. What a merge or an export has seen signalled is not among them.
    pub fences: Vec<FenceInfo>,
}

/// What the kernel says of one fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceInfo {
    /// The driver that made it; from Linux 6.17 on `detached-driver` once it has signalled.
    pub driver: String,
    /// The driver's timeline; from Linux 6.17 on `signaled-timeline` once it has signalled.
    pub timeline: String,
    /// Its own status.
    pub status: FenceStatus,
    /// When it signalled, since boot (CLOCK_MONOTONIC); `None` while it is pending.
    pub signaled_at: Option<Duration>,
}

/// Which fence of the kernel's it is: unique since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelSeqno {
    /// The fence context.
    pub context: u64,
    /// The seqno in it. Many drivers count with 32 bits and start again.
    pub seqno: u64,
}

impl SyncFile {
    /// Takes a descriptor that is a sync file.
    ///
    /// # Errors
    ///
    /// Gives the descriptor back if it is none (ENOTTY).
    pub fn from_fd(fd: OwnedFd) -> Result<SyncFile, GivenBack<OwnedFd>> {
        // Polled first, for the sake of its error: see `status`.
        let _ = is_readable(fd.as_fd());
        match abi::status(fd.as_fd()) {
            Ok(_) => Ok(SyncFile { fd }),
            Err(error) => Err(GivenBack::new(fd, error)),
        }
    }

    /// One that a call has just made.
    pub(crate) fn made(fd: OwnedFd) -> SyncFile {
        SyncFile { fd }
    }

    /// Whether all fences have signalled, and if one of them did with an error, that: one system call while
    /// it is pending, two afterwards.
    ///
    /// Errors of fences that had signalled before a merge or an export are not seen by it. Those of a file of
    /// several fences are lost too if the kernel is asked for the status of it before anybody has polled it;
    /// so this polls first, and it is right unless another process has asked.
    ///
    /// # Errors
    ///
    /// None on a kernel that works.
    pub fn status(&self) -> io::Result<FenceStatus> {
        if !is_readable(self.as_fd())? {
            return Ok(FenceStatus::Pending);
        }
        Ok(status(abi::status(self.as_fd())?))
    }

    /// All that the kernel says.
    ///
    /// # Errors
    ///
    /// None on a kernel that works.
    pub fn info(&self) -> io::Result<SyncFileInfo> {
        is_readable(self.as_fd())?; // see `status`
        // The status without the list: with it the kernel answers with an error while others still run.
        let summary = abi::summary(self.as_fd())?;
        let fences = abi::list(self.as_fd())?;
        let fences = fences.into_iter().map(|fence| FenceInfo {
            status: status(fence.status),
            signaled_at: (fence.status != 0).then(|| Duration::from_nanos(fence.timestamp_ns)),
            driver: fence.driver,
            timeline: fence.timeline,
        });
        Ok(SyncFileInfo {
            name: summary.name,
            status: status(summary.status),
            fences: fences.collect(),
        })
    }

    /// How many fences there are; those are left out that a merge or an export had seen signalled.
    ///
    /// # Errors
    ///
    /// None on a kernel that works.
    pub fn count(&self) -> io::Result<usize> {
        is_readable(self.as_fd())?; // see `status`
        Ok(abi::summary(self.as_fd())?.count as usize)
    }

    /// Context and seqno, if it is a single fence that is pending and the kernel's name has room for them.
    ///
    /// A name can be forged: [`merge`](SyncFile::merge) gives a file any. So this is right of a file that
    /// an export of a driver, a dma-buf or a sync object has made, and may be anything of one that another
    /// process sent.
    pub fn kernel_seqno(&self) -> Option<KernelSeqno> {
        if is_readable(self.as_fd()).ok()? {
            return None; // has signalled; and see `status`
        }
        let summary = abi::summary(self.as_fd()).ok()?;
        if summary.count != 1 || summary.status != 0 {
            return None;
        }
        let fences = abi::list(self.as_fd()).ok()?;
        let [fence] = fences.as_slice() else {
            return None;
        };
        parse_name(&summary.name, &fence.driver, &fence.timeline)
    }

    /// One sync file of the fences of both. Of each context the latest is kept; what has signalled is
    /// dropped, with its error.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE or ENOMEM.
    pub fn merge(&self, other: &SyncFile, name: &str) -> io::Result<SyncFile> {
        Ok(SyncFile {
            fd: abi::merge(self.as_fd(), other, name)?,
        })
    }

    /// Says that a waiter would like it to have signalled by then; a driver may raise its clocks.
    ///
    /// # Errors
    ///
    /// ENOTTY before Linux 6.6.
    pub fn set_deadline(&self, deadline: Instant) -> io::Result<()> {
        Ok(abi::set_deadline(
            self.as_fd(),
            clock::monotonic_ns(deadline),
        )?)
    }

    /// Waits, with this thread alone and without an [`Importer`](crate::Importer).
    ///
    /// # Errors
    ///
    /// None on a kernel that works.
    pub fn wait(&self, until: impl Into<Until>) -> io::Result<Waited> {
        if !poll_until(self.as_fd(), PollFlags::IN, until.into())? {
            return Ok(Waited::TimedOut);
        }
        Ok(match self.status()? {
            FenceStatus::Error(error) => Waited::Failed(error),
            FenceStatus::Signaled => Waited::Signaled,
            FenceStatus::Pending => Waited::TimedOut,
        })
    }

    /// Another descriptor of the same file.
    ///
    /// # Errors
    ///
    /// EMFILE.
    pub fn try_clone(&self) -> io::Result<SyncFile> {
        Ok(SyncFile {
            fd: self.fd.try_clone()?,
        })
    }
}

impl AsFd for SyncFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<SyncFile> for OwnedFd {
    fn from(file: SyncFile) -> OwnedFd {
        file.fd
    }
}

impl TryFrom<OwnedFd> for SyncFile {
    type Error = GivenBack<OwnedFd>;

    fn try_from(fd: OwnedFd) -> Result<SyncFile, GivenBack<OwnedFd>> {
        SyncFile::from_fd(fd)
    }
}

/// The status as the kernel writes it: 1 signalled, 0 pending, else minus an errno.
pub(crate) fn status(raw: i32) -> FenceStatus {
    match raw {
        0 => FenceStatus::Pending,
        1.. => FenceStatus::Signaled,
        // An errno is at most 4095, so what is no errno is an error all the same.
        _ => FenceStatus::Error(
            u16::try_from(raw.unsigned_abs())
                .ok()
                .and_then(FenceError::from_errno)
                .unwrap_or(FenceError::IO),
        ),
    }
}

/// `DRIVER-TIMELINECONTEXT-SEQNO`, cut at 31 bytes.
fn parse_name(name: &str, driver: &str, timeline: &str) -> Option<KernelSeqno> {
    if name.len() >= 31 {
        return None; // may have been cut
    }
    let numbers = name
        .strip_prefix(driver)?
        .strip_prefix('-')?
        .strip_prefix(timeline)?;
    let (context, seqno) = numbers.split_once('-')?;
    // As the kernel prints the seqno, with a sign.
    let seqno = seqno.parse::<i64>().ok()? as u64;
    Some(KernelSeqno {
        context: context.parse().ok()?,
        seqno,
    })
}

/// Whether a descriptor is readable now.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    poll_until(fd, PollFlags::IN, Until::Timeout(Duration::ZERO))
}

/// Polls one descriptor; whether it was ready in time.
pub(crate) fn poll_until(fd: BorrowedFd<'_>, flags: PollFlags, until: Until) -> io::Result<bool> {
    let deadline = clock::deadline(until);
    loop {
        let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
        match poll(&mut fds, clock::left(deadline).as_ref()) {
            Ok(ready) => return Ok(ready != 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_context_and_seqno_unless_it_may_have_been_cut() {
        let found = parse_name("sw_sync-a.out12-7", "sw_sync", "a.out");
        assert_eq!(
            found,
            Some(KernelSeqno {
                context: 12,
                seqno: 7
            })
        );
        // The timeline's own name may look like numbers.
        let found = parse_name("drv-ring-3-12-7", "drv", "ring-3-");
        assert_eq!(found.map(|f| (f.context, f.seqno)), Some((12, 7)));
        let cut = "a-driver-of-a-long-name-123-456";
        assert_eq!(cut.len(), 31);
        assert_eq!(parse_name(cut, "a-driver-of-a-long-name", ""), None);
        // What a program has called it.
        assert_eq!(parse_name("merged", "sw_sync", "a.out"), None);
        assert_eq!(
            parse_name("sw_sync-signaled-timeline1-2", "detached-driver", "x"),
            None
        );
    }

    #[test]
    fn what_is_no_sync_file_is_given_back() {
        let (pipe, _other_end) = std::io::pipe().expect("a pipe");
        let refused = SyncFile::from_fd(pipe.into()).expect_err("a pipe is no sync file");
        assert_eq!(
            refused.error.raw_os_error(),
            Some(Errno::NOTTY.raw_os_error())
        );
        // Still open, still ours.
        assert!(refused.value.try_clone().is_ok());
    }
}
