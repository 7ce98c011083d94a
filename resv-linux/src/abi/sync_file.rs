//! `linux/sync_file.h`: family `>`.

use super::{arguments, call, call_plain, name, taken, text};
use rustix::io::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

#[repr(C)]
#[derive(Default)]
struct Merge {
    name: [u8; 32],
    fd2: i32,
    fence: i32,
    flags: u32,
    pad: u32,
}

#[repr(C)]
#[derive(Default)]
struct FileInfo {
    name: [u8; 32],
    status: i32,
    flags: u32,
    num_fences: u32,
    pad: u32,
    sync_fence_info: u64,
}

#[repr(C)]
#[derive(Clone, Default)]
struct FenceInfo {
    obj_name: [u8; 32],
    driver_name: [u8; 32],
    status: i32,
    flags: u32,
    timestamp_ns: u64,
}

#[repr(C)]
#[derive(Default)]
struct SetDeadline {
    deadline_ns: u64,
    pad: u64,
}

arguments! {
    Merge = 0xc030_3e03 Plain;
    FileInfo = 0xc038_3e04;
    SetDeadline = 0x4010_3e05 Plain;
}

/// What a sync file says of itself when no list of its fences is asked for.
pub(crate) struct Summary {
    pub(crate) name: String,
    /// 1: signalled; 0: pending; below: minus an errno.
    pub(crate) status: i32,
    pub(crate) count: u32,
}

/// One fence of a sync file.
pub(crate) struct Listed {
    pub(crate) timeline: String,
    pub(crate) driver: String,
    pub(crate) status: i32,
    pub(crate) timestamp_ns: u64,
}

/// The status alone.
pub(crate) fn status(fd: BorrowedFd<'_>) -> Result<i32> {
    let mut info = FileInfo::default();
    // SAFETY: no list: the kernel is told a length of 0.
    unsafe { call(fd, &mut info)? };
    Ok(info.status)
}

/// Name, status and count, without the list: with a list the kernel answers with the first error while
/// other fences still run.
pub(crate) fn summary(fd: BorrowedFd<'_>) -> Result<Summary> {
    let mut info = FileInfo::default();
    // SAFETY: no list: the kernel is told a length of 0.
    unsafe { call(fd, &mut info)? };
    Ok(Summary {
        name: text(&info.name),
        status: info.status,
        count: info.num_fences,
    })
}

/// The fences.
pub(crate) fn list(fd: BorrowedFd<'_>) -> Result<Vec<Listed>> {
    let mut count = summary(fd)?.count;
    loop {
        let mut fences = vec![FenceInfo::default(); count as usize];
        let mut info = FileInfo {
            num_fences: count,
            sync_fence_info: fences.as_mut_ptr() as u64,
            ..FileInfo::default()
        };
        if count == 0 {
            return Ok(Vec::new());
        }
        // SAFETY: the pointer is that of `fences`, which lives over the call, and the length is that of
        // `fences`. The kernel writes only if the list is long enough, and answers EINVAL otherwise.
        unsafe { call(fd, &mut info)? };
        if info.num_fences > count {
            // It cannot grow; but a kernel that said so would have written nothing.
            count = info.num_fences;
            continue;
        }
        fences.truncate(info.num_fences as usize);
        return Ok(fences
            .iter()
            .map(|fence| Listed {
                timeline: text(&fence.obj_name),
                driver: text(&fence.driver_name),
                status: fence.status,
                timestamp_ns: fence.timestamp_ns,
            })
            .collect());
    }
}

pub(crate) fn merge(a: BorrowedFd<'_>, b: impl AsFd, called: &str) -> Result<OwnedFd> {
    let mut merge = Merge {
        name: name(called),
        fd2: b.as_fd().as_raw_fd(),
        ..Merge::default()
    };
    call_plain(a, &mut merge)?;
    taken(merge.fence)
}

/// `deadline_ns` is of CLOCK_MONOTONIC.
pub(crate) fn set_deadline(fd: BorrowedFd<'_>, deadline_ns: u64) -> Result<()> {
    let mut argument = SetDeadline {
        deadline_ns,
        pad: 0,
    };
    call_plain(fd, &mut argument)
}
