//! `linux/dma-buf.h`: family `b`.

use super::{arguments, call_plain, taken};
use rustix::io::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

pub(crate) const READ: u32 = 1;
pub(crate) const WRITE: u32 = 2;

#[repr(C)]
struct ExportSyncFile {
    flags: u32,
    fd: i32,
}

#[repr(C)]
struct ImportSyncFile {
    flags: u32,
    fd: i32,
}

arguments! {
    ExportSyncFile = 0xc008_6202 Plain;
    ImportSyncFile = 0x4008_6203 Plain;
}

/// A sync file of the fences that an access (`READ`, `WRITE`) waits for.
pub(crate) fn export_sync_file(buffer: BorrowedFd<'_>, access: u32) -> Result<OwnedFd> {
    let mut argument = ExportSyncFile {
        flags: access,
        fd: -1,
    };
    call_plain(buffer, &mut argument)?;
    taken(argument.fd)
}

/// Adds the fences of a sync file as those of a reader (`READ`) or a writer (`WRITE`).
pub(crate) fn import_sync_file(buffer: BorrowedFd<'_>, usage: u32, file: impl AsFd) -> Result<()> {
    let mut argument = ImportSyncFile {
        flags: usage,
        fd: file.as_fd().as_raw_fd(),
    };
    call_plain(buffer, &mut argument)
}
