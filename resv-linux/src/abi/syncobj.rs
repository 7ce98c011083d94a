//! `drm/drm.h`: family `d`, sync objects.

use super::{arguments, call, call_plain, taken};
use rustix::io::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const CREATE_SIGNALED: u32 = 1;
const SYNC_FILE: u32 = 1;
const TIMELINE: u32 = 2;
const LAST_SUBMITTED: u32 = 1;

pub(crate) const WAIT_ALL: u32 = 1;
pub(crate) const WAIT_FOR_SUBMIT: u32 = 2;
pub(crate) const WAIT_AVAILABLE: u32 = 4;
pub(crate) const WAIT_DEADLINE: u32 = 8;

const CAP_SYNCOBJ: u64 = 0x13;
const CAP_SYNCOBJ_TIMELINE: u64 = 0x14;

#[repr(C)]
struct GetCap {
    capability: u64,
    value: u64,
}

#[repr(C)]
struct Create {
    handle: u32,
    flags: u32,
}

#[repr(C)]
struct Destroy {
    handle: u32,
    pad: u32,
}

/// With the point, since Linux 6.16: an older kernel ignores what it does not know, and then refuses the
/// flag that goes with it.
#[repr(C)]
#[derive(Default)]
struct HandleToFd {
    handle: u32,
    flags: u32,
    fd: i32,
    pad: u32,
    point: u64,
}

#[repr(C)]
#[derive(Default)]
struct FdToHandle {
    handle: u32,
    flags: u32,
    fd: i32,
    pad: u32,
    point: u64,
}

#[repr(C)]
#[derive(Default)]
struct Wait {
    handles: u64,
    timeout_nsec: i64,
    count_handles: u32,
    flags: u32,
    first_signaled: u32,
    pad: u32,
    deadline_nsec: u64,
}

#[repr(C)]
#[derive(Default)]
struct TimelineWait {
    handles: u64,
    points: u64,
    timeout_nsec: i64,
    count_handles: u32,
    flags: u32,
    first_signaled: u32,
    pad: u32,
    deadline_nsec: u64,
}

#[repr(C)]
struct Reset {
    handles: u64,
    count_handles: u32,
    pad: u32,
}

#[repr(C)]
struct Signal {
    handles: u64,
    count_handles: u32,
    pad: u32,
}

#[repr(C)]
struct Query {
    handles: u64,
    points: u64,
    count_handles: u32,
    flags: u32,
}

#[repr(C)]
struct TimelineSignal {
    handles: u64,
    points: u64,
    count_handles: u32,
    flags: u32,
}

#[repr(C)]
struct Transfer {
    src_handle: u32,
    dst_handle: u32,
    src_point: u64,
    dst_point: u64,
    flags: u32,
    pad: u32,
}

#[repr(C)]
struct Eventfd {
    handle: u32,
    flags: u32,
    point: u64,
    fd: i32,
    pad: u32,
}

arguments! {
    GetCap = 0xc010_640c Plain;
    Create = 0xc008_64bf Plain;
    Destroy = 0xc008_64c0 Plain;
    HandleToFd = 0xc018_64c1 Plain;
    FdToHandle = 0xc018_64c2 Plain;
    Wait = 0xc028_64c3;
    Reset = 0xc010_64c4;
    Signal = 0xc010_64c5;
    TimelineWait = 0xc030_64ca;
    Query = 0xc018_64cb;
    Transfer = 0xc020_64cc Plain;
    TimelineSignal = 0xc018_64cd;
    Eventfd = 0xc018_64cf Plain;
}

/// Whether the node has (sync objects, timelines).
pub(crate) fn capabilities(node: BorrowedFd<'_>) -> Result<(bool, bool)> {
    let ask = |capability| {
        let mut argument = GetCap {
            capability,
            value: 0,
        };
        call_plain(node, &mut argument).map(|()| argument.value != 0)
    };
    Ok((ask(CAP_SYNCOBJ)?, ask(CAP_SYNCOBJ_TIMELINE)?))
}

pub(crate) fn create(node: BorrowedFd<'_>, signaled: bool) -> Result<u32> {
    let mut argument = Create {
        handle: 0,
        flags: if signaled { CREATE_SIGNALED } else { 0 },
    };
    call_plain(node, &mut argument)?;
    Ok(argument.handle)
}

pub(crate) fn destroy(node: BorrowedFd<'_>, handle: u32) -> Result<()> {
    call_plain(node, &mut Destroy { handle, pad: 0 })
}

fn handle_to_fd(node: BorrowedFd<'_>, handle: u32, flags: u32, point: u64) -> Result<OwnedFd> {
    let mut argument = HandleToFd {
        handle,
        flags,
        fd: -1,
        pad: 0,
        point,
    };
    call_plain(node, &mut argument)?;
    taken(argument.fd)
}

/// A descriptor for the object itself.
pub(crate) fn export(node: BorrowedFd<'_>, handle: u32) -> Result<OwnedFd> {
    handle_to_fd(node, handle, 0, 0)
}

/// A sync file of the fence of a binary object.
pub(crate) fn export_sync_file(node: BorrowedFd<'_>, handle: u32) -> Result<OwnedFd> {
    handle_to_fd(node, handle, SYNC_FILE, 0)
}

/// A sync file of a point; EINVAL before Linux 6.16.
pub(crate) fn export_point(node: BorrowedFd<'_>, handle: u32, point: u64) -> Result<OwnedFd> {
    handle_to_fd(node, handle, SYNC_FILE | TIMELINE, point)
}

fn fd_to_handle(
    node: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    handle: u32,
    flags: u32,
    point: u64,
) -> Result<u32> {
    let mut argument = FdToHandle {
        handle,
        flags,
        fd: fd.as_raw_fd(),
        pad: 0,
        point,
    };
    call_plain(node, &mut argument)?;
    Ok(argument.handle)
}

/// A new handle for the object behind a descriptor.
pub(crate) fn import(node: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<u32> {
    fd_to_handle(node, fd, 0, 0, 0)
}

/// Makes the fence of a sync file the fence of a binary object.
pub(crate) fn import_sync_file(node: BorrowedFd<'_>, handle: u32, file: impl AsFd) -> Result<()> {
    fd_to_handle(node, file.as_fd(), handle, SYNC_FILE, 0).map(drop)
}

/// Makes the fence of a sync file that of a point; EINVAL before Linux 6.16.
pub(crate) fn import_point(
    node: BorrowedFd<'_>,
    handle: u32,
    file: impl AsFd,
    point: u64,
) -> Result<()> {
    fd_to_handle(node, file.as_fd(), handle, SYNC_FILE | TIMELINE, point).map(drop)
}

/// What a wait is for. Times are nanoseconds of CLOCK_MONOTONIC.
pub(crate) struct Waiting<'a> {
    pub(crate) handles: &'a [u32],
    pub(crate) points: &'a [u64],
    pub(crate) flags: u32,
    pub(crate) timeout_ns: i64,
    pub(crate) deadline_ns: u64,
}

/// Waits for points; answers which one was the first.
///
/// # Panics
///
/// When there are not as many points as handles.
pub(crate) fn wait_points(node: BorrowedFd<'_>, what: &Waiting<'_>) -> Result<u32> {
    assert_eq!(
        what.handles.len(),
        what.points.len(),
        "a point for each handle"
    );
    let mut argument = TimelineWait {
        handles: what.handles.as_ptr() as u64,
        points: what.points.as_ptr() as u64,
        timeout_nsec: what.timeout_ns,
        count_handles: what.handles.len() as u32,
        flags: what.flags,
        deadline_nsec: what.deadline_ns,
        ..TimelineWait::default()
    };
    // SAFETY: both pointers are those of slices that are as long as the count says and live over the
    // call; the kernel only reads them.
    unsafe { call(node, &mut argument)? };
    Ok(argument.first_signaled)
}

/// Waits for binary objects; answers which one was the first. `points` is not looked at.
pub(crate) fn wait_binary(node: BorrowedFd<'_>, what: &Waiting<'_>) -> Result<u32> {
    let mut argument = Wait {
        handles: what.handles.as_ptr() as u64,
        timeout_nsec: what.timeout_ns,
        count_handles: what.handles.len() as u32,
        flags: what.flags,
        deadline_nsec: what.deadline_ns,
        ..Wait::default()
    };
    // SAFETY: the pointer is that of a slice that is as long as the count says and lives over the call;
    // the kernel only reads it.
    unsafe { call(node, &mut argument)? };
    Ok(argument.first_signaled)
}

pub(crate) fn reset(node: BorrowedFd<'_>, handle: u32) -> Result<()> {
    let mut argument = Reset {
        handles: (&raw const handle) as u64,
        count_handles: 1,
        pad: 0,
    };
    // SAFETY: the pointer is that of one handle on this stack, which the kernel reads.
    unsafe { call(node, &mut argument) }
}

pub(crate) fn signal(node: BorrowedFd<'_>, handle: u32) -> Result<()> {
    let mut argument = Signal {
        handles: (&raw const handle) as u64,
        count_handles: 1,
        pad: 0,
    };
    // SAFETY: the pointer is that of one handle on this stack, which the kernel reads.
    unsafe { call(node, &mut argument) }
}

pub(crate) fn signal_point(node: BorrowedFd<'_>, handle: u32, point: u64) -> Result<()> {
    let mut argument = TimelineSignal {
        handles: (&raw const handle) as u64,
        points: (&raw const point) as u64,
        count_handles: 1,
        flags: 0,
    };
    // SAFETY: the pointers are those of one handle and one point on this stack, which the kernel reads.
    unsafe { call(node, &mut argument) }
}

/// The last point that has signalled, or the last one that was submitted.
pub(crate) fn query(node: BorrowedFd<'_>, handle: u32, submitted: bool) -> Result<u64> {
    let mut point = 0u64;
    let mut argument = Query {
        handles: (&raw const handle) as u64,
        points: (&raw mut point) as u64,
        count_handles: 1,
        flags: if submitted { LAST_SUBMITTED } else { 0 },
    };
    // SAFETY: the pointers are those of one handle, which the kernel reads, and of one point, to which it
    // writes; both are on this stack.
    unsafe { call(node, &mut argument)? };
    Ok(point)
}

/// Makes the fence of (handle, point) that of another. Point 0 is a binary object.
pub(crate) fn transfer(
    node: BorrowedFd<'_>,
    (src_handle, src_point): (u32, u64),
    (dst_handle, dst_point): (u32, u64),
    flags: u32,
) -> Result<()> {
    let mut argument = Transfer {
        src_handle,
        dst_handle,
        src_point,
        dst_point,
        flags,
        pad: 0,
    };
    call_plain(node, &mut argument)
}

/// Has the kernel write to an eventfd when a point has signalled, or was submitted (`available`).
pub(crate) fn notify(
    node: BorrowedFd<'_>,
    handle: u32,
    point: u64,
    eventfd: BorrowedFd<'_>,
    available: bool,
) -> Result<()> {
    let mut argument = Eventfd {
        handle,
        flags: if available { WAIT_AVAILABLE } else { 0 },
        point,
        fd: eventfd.as_raw_fd(),
        pad: 0,
    };
    call_plain(node, &mut argument)
}
