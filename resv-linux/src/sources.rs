//! Fences and buffers without a GPU: for tests, and for trying things out.
//!
//! None of it is for production: `sw_sync` is of debugfs and lets a program hold up the kernel, vgem is a
//! driver without hardware.

use crate::abi::sources as abi;
use crate::dma_buf::DmaBuf;
use crate::sync_file::SyncFile;
use crate::syncobj::DrmNode;
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

/// A timeline whose fences this process signals, in order (`CONFIG_SW_SYNC`, debugfs).
///
/// Dropping it signals what is pending with ENOENT.
#[derive(Debug)]
pub struct SwSync {
    fd: OwnedFd,
}

impl SwSync {
    /// A new timeline, at 0.
    ///
    /// # Errors
    ///
    /// As of opening a file: the kernel has none, debugfs is not mounted, or this is not root.
    pub fn open() -> io::Result<SwSync> {
        Ok(SwSync {
            fd: rustix::fs::open(
                "/sys/kernel/debug/sync/sw_sync",
                OFlags::RDWR | OFlags::CLOEXEC,
                Mode::empty(),
            )?,
        })
    }

    /// A fence that signals when the timeline has come to `value`.
    ///
    /// # Errors
    ///
    /// EMFILE, ENOMEM.
    pub fn fence(&self, value: u32) -> io::Result<SyncFile> {
        let fd = abi::sw_sync_fence(self.fd.as_fd(), value, "")?;
        Ok(SyncFile::made(fd))
    }

    /// Moves the timeline on.
    ///
    /// # Errors
    ///
    /// None on a kernel that works.
    pub fn advance(&self, by: u32) -> io::Result<()> {
        Ok(abi::sw_sync_increment(self.fd.as_fd(), by)?)
    }

    /// The deadline that was asked for, since boot (CLOCK_MONOTONIC).
    ///
    /// # Errors
    ///
    /// ENOENT if none was; EINVAL if the fence is of another timeline; ENOTTY before Linux 6.6.
    pub fn deadline_of(&self, file: &SyncFile) -> io::Result<Duration> {
        let ns = abi::sw_sync_deadline(self.fd.as_fd(), file)?;
        Ok(Duration::from_nanos(ns))
    }
}

/// A vgem node: buffers without a device behind them, and fences that are attached to them. Such a fence
/// signals by itself after ten seconds.
#[derive(Clone, Debug)]
pub struct Vgem {
    /// The render node.
    pub node: DrmNode,
}

/// A fence of [`Vgem`], to be signalled.
#[derive(Debug)]
#[must_use = "it signals by itself after ten seconds"]
pub struct VgemFence {
    node: DrmNode,
    number: u32,
}

impl Vgem {
    /// The first vgem node.
    ///
    /// # Errors
    ///
    /// NotFound if there is none; as of opening a file.
    pub fn open() -> io::Result<Vgem> {
        let node = node_of("vgem", "renderD")?;
        Ok(Vgem { node })
    }

    /// Attaches a new fence to a buffer, as of a writer or of a reader. `buffer` is any dma-buf that vgem
    /// can import.
    ///
    /// # Errors
    ///
    /// EBUSY if it would have to wait for a fence of the buffer; as of importing a buffer.
    pub fn attach(&self, buffer: &DmaBuf, write: bool) -> io::Result<VgemFence> {
        let handle = abi::import_buffer(self.node.as_fd(), buffer.as_fd())?;
        let attached = abi::vgem_attach(self.node.as_fd(), handle, write);
        // The buffer keeps the fence; the handle was for the call only.
        abi::close_buffer(self.node.as_fd(), handle)?;
        Ok(VgemFence {
            node: self.node.clone(),
            number: attached?,
        })
    }

    /// A buffer of one page, made through the card node (which dumb buffers want).
    ///
    /// # Errors
    ///
    /// As of opening a file; ENOMEM.
    pub fn buffer(&self) -> io::Result<DmaBuf> {
        let card = node_of("vgem", "card")?;
        let handle = abi::create_dumb(card.as_fd())?;
        let buffer = abi::export_buffer(card.as_fd(), handle);
        abi::close_buffer(card.as_fd(), handle)?;
        Ok(DmaBuf::from_fd(buffer?)?)
    }
}

impl VgemFence {
    /// Signals it.
    ///
    /// # Errors
    ///
    /// ETIMEDOUT if it has signalled by itself.
    pub fn signal(self) -> io::Result<()> {
        Ok(abi::vgem_signal(self.node.as_fd(), self.number)?)
    }
}

/// The first node of a driver whose file is called `prefix...`.
fn node_of(driver: &str, prefix: &str) -> io::Result<DrmNode> {
    let mut names: Vec<String> = std::fs::read_dir("/sys/class/drm")?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix) && !name.contains('-'))
        .collect();
    names.sort();
    for name in names {
        // A platform device is named after its driver.
        let device = PathBuf::from("/sys/class/drm").join(&name).join("device");
        let of_driver = std::fs::canonicalize(&device).is_ok_and(|device| {
            device
                .file_name()
                .is_some_and(|file| file.to_string_lossy().starts_with(driver))
                || std::fs::read_link(device.join("driver"))
                    .is_ok_and(|link| link.ends_with(driver))
        });
        if of_driver {
            return DrmNode::open(PathBuf::from("/dev/dri").join(name));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!("there is no {prefix} node of driver {driver} in /dev/dri"),
    ))
}

/// The first render node that has sync objects with timelines.
///
/// # Errors
///
/// NotFound if there is none.
pub fn syncobj_node() -> io::Result<DrmNode> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir("/dev/dri")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    paths
        .iter()
        .filter_map(|path| DrmNode::open(path).ok())
        .find(DrmNode::has_timelines)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "there is no node with timeline sync objects in /dev/dri",
            )
        })
}

/// A buffer of one page, of ordinary memory (`/dev/udmabuf`).
///
/// # Errors
///
/// As of opening a file; ENOMEM.
pub fn udmabuf() -> io::Result<DmaBuf> {
    const PAGE: u64 = 4096;
    let device = rustix::fs::open(
        "/dev/udmabuf",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let memory = rustix::fs::memfd_create(
        "resv-linux",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?;
    rustix::fs::ftruncate(&memory, PAGE)?;
    rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK)?;
    let fd = abi::udmabuf(device.as_fd(), memory.as_fd(), PAGE)?;
    Ok(DmaBuf::from_fd(fd)?)
}

/// A buffer of one page of the system heap (`/dev/dma_heap/system`).
///
/// # Errors
///
/// As of opening a file; ENOMEM.
pub fn system_heap() -> io::Result<DmaBuf> {
    let heap = rustix::fs::open(
        "/dev/dma_heap/system",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let fd = abi::heap_allocate(heap.as_fd(), 4096)?;
    Ok(DmaBuf::from_fd(fd)?)
}

/// A pending fence of the kernel, and what signals it: of `sw_sync` where there is one, else of vgem, whose
/// fences signal by themselves after ten seconds.
///
/// # Errors
///
/// As of opening vgem.
pub fn any_fence() -> io::Result<(SyncFile, AnyJob)> {
    if let Ok(timeline) = SwSync::open() {
        let file = timeline.fence(1)?;
        return Ok((file, AnyJob(Job::SwSync(timeline))));
    }
    let vgem = Vgem::open()?;
    let buffer = vgem.buffer()?;
    let fence = vgem.attach(&buffer, true)?;
    let file = buffer.export(resv_api::Access::Read)?;
    Ok((file, AnyJob(Job::Vgem(fence))))
}

/// The job behind [`any_fence`].
#[derive(Debug)]
pub struct AnyJob(Job);

#[derive(Debug)]
enum Job {
    SwSync(SwSync),
    Vgem(VgemFence),
}

impl AnyJob {
    /// It is done.
    ///
    /// # Errors
    ///
    /// ETIMEDOUT if the fence has signalled by itself.
    pub fn done(self) -> io::Result<()> {
        match self.0 {
            Job::SwSync(timeline) => timeline.advance(1),
            Job::Vgem(fence) => fence.signal(),
        }
    }
}

/// A buffer of one page, from wherever there is one: udmabuf, the system heap, vgem.
///
/// # Errors
///
/// As of the last of them.
pub fn any_buffer() -> io::Result<DmaBuf> {
    udmabuf()
        .or_else(|_| system_heap())
        .or_else(|_| Vgem::open()?.buffer())
}
