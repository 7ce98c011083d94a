//! What an importer waits for: a descriptor that becomes readable once.

use crate::abi::sync_file as abi;
use crate::sync_file::{SyncFile, is_readable, status};
use resv_api::{FenceError, FenceStatus};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A descriptor that becomes readable once, when a job is done, and says then how it ended.
///
/// A [`SyncFile`] is one. So is an eventfd, of a [sync object's point](crate::Syncobj::eventfd) or of
/// whatever else a program has: see [`eventfd`](Promise::eventfd).
#[derive(Debug)]
pub struct Promise {
    fd: OwnedFd,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    SyncFile,
    Eventfd,
}

impl Promise {
    /// The promise of an eventfd that is written to once: 1 is success, and 1 + an errno that error. It is
    /// to be non-blocking, and nobody else may read from it.
    pub fn eventfd(fd: OwnedFd) -> Promise {
        Promise {
            fd,
            kind: Kind::Eventfd,
        }
    }

    /// The sync file, if it is one.
    pub fn into_sync_file(self) -> Option<SyncFile> {
        (self.kind == Kind::SyncFile).then(|| SyncFile::made(self.fd))
    }

    /// The eventfd, if it is one.
    pub fn as_eventfd(&self) -> Option<BorrowedFd<'_>> {
        (self.kind == Kind::Eventfd).then(|| self.fd.as_fd())
    }

    /// A second descriptor of the sync file, if it is one.
    pub(crate) fn clone_sync_file(&self) -> Option<std::io::Result<SyncFile>> {
        (self.kind == Kind::SyncFile).then(|| Ok(SyncFile::made(self.fd.try_clone()?)))
    }

    /// The descriptor of the sync file, if it is one.
    pub(crate) fn as_sync_file(&self) -> Option<BorrowedFd<'_>> {
        (self.kind == Kind::SyncFile).then(|| self.fd.as_fd())
    }

    /// How it has ended, before anybody has watched it.
    ///
    /// The kernel forgets the error of a file of several fences if it is asked for the status before
    /// anybody has polled the file.
    pub(crate) fn look(&self) -> FenceStatus {
        match is_readable(self.fd.as_fd()) {
            Ok(false) => FenceStatus::Pending,
            _ => self.ask(),
        }
    }

    /// How it has ended, once it is watched. Asks an eventfd once only: what it answers is to be kept.
    pub(crate) fn ask(&self) -> FenceStatus {
        match self.kind {
            Kind::SyncFile => match abi::status(self.fd.as_fd()) {
                Ok(raw) => status(raw),
                // Not on a kernel that works; and a fence must not stay pending for ever.
                Err(error) => failed(error),
            },
            Kind::Eventfd => {
                let mut count = [0; 8];
                match rustix::io::read(&self.fd, &mut count) {
                    Ok(_) => FenceError::from_errno(
                        u16::try_from(u64::from_ne_bytes(count) - 1).unwrap_or(u16::MAX),
                    )
                    .map_or(FenceStatus::Signaled, FenceStatus::Error),
                    Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => FenceStatus::Pending,
                    Err(error) => failed(error),
                }
            }
        }
    }
}

fn failed(error: rustix::io::Errno) -> FenceStatus {
    let errno = u16::try_from(error.raw_os_error()).ok();
    FenceStatus::Error(
        errno
            .and_then(FenceError::from_errno)
            .unwrap_or(FenceError::IO),
    )
}

impl From<SyncFile> for Promise {
    fn from(file: SyncFile) -> Promise {
        Promise {
            fd: file.into(),
            kind: Kind::SyncFile,
        }
    }
}

impl AsFd for Promise {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};

    #[test]
    fn an_eventfd_says_pending_then_success_or_an_errno() {
        for (written, expected) in [
            (1u64, FenceStatus::Signaled),
            (6, FenceStatus::Error(FenceError::IO)),
        ] {
            let fd = eventfd(0, EventfdFlags::NONBLOCK).expect("an eventfd");
            let promise = Promise::eventfd(fd.try_clone().expect("a descriptor"));
            assert_eq!(promise.ask(), FenceStatus::Pending);
            rustix::io::write(&fd, &written.to_ne_bytes()).expect("it is open");
            assert_eq!(promise.ask(), expected);
        }
    }
}
