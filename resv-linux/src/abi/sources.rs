//! Where fences and buffers come from without a GPU: `sw_sync` (family `W`), vgem and dumb buffers
//! (family `d`), udmabuf (family `u`), dma-heaps (family `H`).

use super::{arguments, call_plain, name, taken};
use rustix::io::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

#[repr(C)]
struct SwSyncCreate {
    value: u32,
    name: [u8; 32],
    fence: i32,
}

#[repr(C)]
struct SwSyncIncrement(u32);

#[repr(C)]
struct SwSyncDeadline {
    deadline_ns: u64,
    pad: u32,
    fence_fd: i32,
}

#[repr(C)]
struct VgemAttach {
    handle: u32,
    flags: u32,
    out_fence: u32,
    pad: u32,
}

#[repr(C)]
struct VgemSignal {
    fence: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct CreateDumb {
    height: u32,
    width: u32,
    bpp: u32,
    flags: u32,
    handle: u32,
    pitch: u32,
    size: u64,
}

#[repr(C)]
struct PrimeHandleToFd {
    handle: u32,
    flags: u32,
    fd: i32,
}

#[repr(C)]
struct PrimeFdToHandle {
    handle: u32,
    flags: u32,
    fd: i32,
}

#[repr(C)]
struct GemClose {
    handle: u32,
    pad: u32,
}

#[repr(C)]
struct UdmabufCreate {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

#[repr(C)]
struct HeapAllocation {
    len: u64,
    fd: u32,
    fd_flags: u32,
    heap_flags: u64,
}

arguments! {
    SwSyncCreate = 0xc028_5700 Plain;
    SwSyncIncrement = 0x4004_5701 Plain;
    SwSyncDeadline = 0xc010_5702 Plain;
    VgemAttach = 0xc010_6441 Plain;
    VgemSignal = 0x4008_6442 Plain;
    CreateDumb = 0xc020_64b2 Plain;
    PrimeHandleToFd = 0xc00c_642d Plain;
    PrimeFdToHandle = 0xc00c_642e Plain;
    GemClose = 0x4008_6409 Plain;
    UdmabufCreate = 0x4018_7542;
    HeapAllocation = 0xc018_4800 Plain;
}

/// O_CLOEXEC and O_RDWR.
const CLOEXEC_RDWR: u32 = 0o2000002;

pub(crate) fn sw_sync_fence(timeline: BorrowedFd<'_>, value: u32, called: &str) -> Result<OwnedFd> {
    let mut argument = SwSyncCreate {
        value,
        name: name(called),
        fence: -1,
    };
    call_plain(timeline, &mut argument)?;
    taken(argument.fence)
}

pub(crate) fn sw_sync_increment(timeline: BorrowedFd<'_>, by: u32) -> Result<()> {
    call_plain(timeline, &mut SwSyncIncrement(by))
}

/// The deadline that the timeline has been told for a fence, in nanoseconds of CLOCK_MONOTONIC.
pub(crate) fn sw_sync_deadline(timeline: BorrowedFd<'_>, file: impl AsFd) -> Result<u64> {
    let mut argument = SwSyncDeadline {
        deadline_ns: 0,
        fence_fd: file.as_fd().as_raw_fd(),
        pad: 0,
    };
    call_plain(timeline, &mut argument)?;
    Ok(argument.deadline_ns)
}

pub(crate) fn vgem_attach(node: BorrowedFd<'_>, handle: u32, write: bool) -> Result<u32> {
    let mut argument = VgemAttach {
        handle,
        flags: u32::from(write),
        out_fence: 0,
        pad: 0,
    };
    call_plain(node, &mut argument)?;
    Ok(argument.out_fence)
}

pub(crate) fn vgem_signal(node: BorrowedFd<'_>, fence: u32) -> Result<()> {
    call_plain(node, &mut VgemSignal { fence, flags: 0 })
}

/// A buffer of one page.
pub(crate) fn create_dumb(node: BorrowedFd<'_>) -> Result<u32> {
    let mut argument = CreateDumb {
        height: 32,
        width: 32,
        bpp: 32,
        ..CreateDumb::default()
    };
    call_plain(node, &mut argument)?;
    Ok(argument.handle)
}

pub(crate) fn export_buffer(node: BorrowedFd<'_>, handle: u32) -> Result<OwnedFd> {
    let mut argument = PrimeHandleToFd {
        handle,
        flags: CLOEXEC_RDWR,
        fd: -1,
    };
    call_plain(node, &mut argument)?;
    taken(argument.fd)
}

pub(crate) fn import_buffer(node: BorrowedFd<'_>, buffer: BorrowedFd<'_>) -> Result<u32> {
    let mut argument = PrimeFdToHandle {
        handle: 0,
        flags: 0,
        fd: buffer.as_raw_fd(),
    };
    call_plain(node, &mut argument)?;
    Ok(argument.handle)
}

pub(crate) fn close_buffer(node: BorrowedFd<'_>, handle: u32) -> Result<()> {
    call_plain(node, &mut GemClose { handle, pad: 0 })
}

/// A dma-buf of the pages of a memory file.
pub(crate) fn udmabuf(
    device: BorrowedFd<'_>,
    memory: BorrowedFd<'_>,
    size: u64,
) -> Result<OwnedFd> {
    use rustix::ioctl::{IoctlOutput, Opcode};
    use std::ffi::c_void;

    /// The one call whose descriptor is what it returns.
    struct Create(UdmabufCreate);

    // SAFETY: the opcode takes a pointer to this struct and only reads it; what the call returns is a
    // descriptor of the caller's.
    unsafe impl rustix::ioctl::Ioctl for Create {
        type Output = i32;

        const IS_MUTATING: bool = false;

        fn opcode(&self) -> Opcode {
            <UdmabufCreate as super::Argument>::OPCODE
        }

        fn as_ptr(&mut self) -> *mut c_void {
            (&raw mut self.0).cast()
        }

        unsafe fn output_from_ptr(returned: IoctlOutput, _: *mut c_void) -> Result<i32> {
            Ok(returned)
        }
    }

    let argument = UdmabufCreate {
        memfd: memory.as_raw_fd() as u32,
        flags: 1, // close-on-exec
        offset: 0,
        size,
    };
    // SAFETY: as above; there are no pointers in the argument.
    taken(unsafe { rustix::ioctl::ioctl(device, Create(argument)) }?)
}

pub(crate) fn heap_allocate(heap: BorrowedFd<'_>, len: u64) -> Result<OwnedFd> {
    let mut argument = HeapAllocation {
        len,
        fd: 0,
        fd_flags: CLOEXEC_RDWR,
        heap_flags: 0,
    };
    call_plain(heap, &mut argument)?;
    taken(argument.fd as i32)
}
