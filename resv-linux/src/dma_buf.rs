//! Dma-bufs: shared buffers of the kernel, each with a reservation object inside.

use crate::abi::dma_buf as abi;
use crate::bridge::Lines;
use crate::error::GivenBack;
use crate::sync_file::{SyncFile, poll_until};
use resv_api::{Access, Until, Usage};
use rustix::event::PollFlags;
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

/// A shared buffer (`struct dma_buf`), seen from its fences.
///
/// The kernel's reservation object has usage levels; a program sees two of its cuts. [`Access::Read`] is what
/// an implicit reader waits for (kernel and write fences), [`Access::Write`] what an implicit writer waits
/// for (read fences too). Bookkeep fences are never seen.
#[derive(Debug)]
pub struct DmaBuf {
    fd: OwnedFd,
    /// What [`Bridge::pull`](crate::Bridge::pull) has put where.
    pub(crate) lines: Mutex<Lines>,
}

impl DmaBuf {
    /// Takes a descriptor that is a dma-buf.
    ///
    /// # Errors
    ///
    /// Gives the descriptor back if it is none, or if the kernel exports no sync files of dma-bufs (ENOTTY;
    /// before Linux 6.0).
    pub fn from_fd(fd: OwnedFd) -> Result<DmaBuf, GivenBack<OwnedFd>> {
        // An export for nobody: a dma-buf refuses the argument, anything else the call.
        match abi::export_sync_file(fd.as_fd(), 0) {
            Err(Errno::INVAL) => Ok(DmaBuf {
                fd,
                lines: Mutex::default(),
            }),
            Err(error) => Err(GivenBack::new(fd, error)),
            Ok(_) => Err(GivenBack::new(fd, Errno::NOTTY)),
        }
    }

    /// A sync file of what `access`, [`Read`](Access::Read) or [`Write`](Access::Write), has to wait for
    /// now. One that has signalled if there is nothing.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE or ENOMEM; EINVAL for another access, which the kernel shows to nobody.
    pub fn export(&self, access: Access) -> io::Result<SyncFile> {
        let flags = match access {
            Access::Read => abi::READ,
            Access::Write => abi::WRITE,
            Access::Explicit | Access::Move => return Err(Errno::INVAL.into()),
        };
        Ok(SyncFile::made(abi::export_sync_file(self.as_fd(), flags)?))
    }

    /// Adds the fences of a sync file: as of a reader ([`Usage::Read`]) or of a writer
    /// ([`Usage::Write`]).
    ///
    /// # Errors
    ///
    /// ENOMEM; EINVAL for another usage, which programs cannot add.
    pub fn import(&self, file: &SyncFile, usage: Usage) -> io::Result<()> {
        let flags = match usage {
            Usage::Read => abi::READ,
            Usage::Write => abi::WRITE,
            Usage::Kernel | Usage::Bookkeep => return Err(Errno::INVAL.into()),
        };
        Ok(abi::import_sync_file(self.as_fd(), flags, file)?)
    }

    /// Waits until `access` has nothing to wait for; `false` if the time was up before.
    ///
    /// The kernel asks again for each fence, so a fence that is added meanwhile may be waited for too.
    ///
    /// # Errors
    ///
    /// EINVAL for an access other than [`Read`](Access::Read) and [`Write`](Access::Write).
    pub fn wait(&self, access: Access, until: impl Into<Until>) -> io::Result<bool> {
        let flags = match access {
            Access::Read => PollFlags::IN,
            Access::Write => PollFlags::OUT,
            Access::Explicit | Access::Move => return Err(Errno::INVAL.into()),
        };
        poll_until(self.as_fd(), flags, until.into())
    }

    /// Whether `access` has nothing to wait for.
    ///
    /// # Errors
    ///
    /// As [`wait`](DmaBuf::wait).
    pub fn is_idle(&self, access: Access) -> io::Result<bool> {
        self.wait(access, std::time::Duration::ZERO)
    }
}

impl AsFd for DmaBuf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<DmaBuf> for OwnedFd {
    fn from(buffer: DmaBuf) -> OwnedFd {
        buffer.fd
    }
}

impl TryFrom<OwnedFd> for DmaBuf {
    type Error = GivenBack<OwnedFd>;

    fn try_from(fd: OwnedFd) -> Result<DmaBuf, GivenBack<OwnedFd>> {
        DmaBuf::from_fd(fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_dma_buf_is_given_back() {
        let (pipe, _other_end) = std::io::pipe().expect("a pipe");
        let refused = DmaBuf::from_fd(pipe.into()).expect_err("a pipe is no dma-buf");
        assert_eq!(
            refused.error.raw_os_error(),
            Some(Errno::NOTTY.raw_os_error())
        );
    }
}
