//! Linux' fences, and the bridge between them and reservation objects.
//!
//! # The concept
//!
//! The kernel has the same promises as this project, and shows them to programs as descriptors:
//!
//! | the kernel's | what it is | here |
//! |---|---|---|
//! | `sync_file` | one or more fences of the kernel, as of the moment it was made | [`SyncFile`] |
//! | `dma_buf` | a shared buffer, with a `dma_resv` inside | [`DmaBuf`] |
//! | `drm_syncobj` | a place for a fence, or a timeline of such places, that programs can signal | [`Syncobj`] |
//!
//! A compositor has to do with both sides: buffers of its clients come with fences of the kernel, and what it
//! keeps about them in a [`Resv`](resv_api::Resv) are fences of this process. So there is
//!
//! * an [`Importer`], which makes a [`Fence`](resv_api::Fence) of a descriptor: it signals when the kernel
//!   says so, with the kernel's status. One thread (or your event loop) serves all of them;
//! * a [`Bridge`], which [pulls](Bridge::pull) the fences of a dma-buf into a reservation object,
//!   [pushes](Bridge::push) those that the kernel can take the other way, and has a point of a sync object
//!   [follow](Bridge::follow) a fence.
//!
//! # Example
//!
//! ```no_run
//! use resv_api::{Access, Resv, Until, Waited};
//! use resv_linux::{Bridge, DmaBuf, Importer};
//! # fn descriptor_from_a_client() -> std::os::fd::OwnedFd { unimplemented!() }
//!
//! let bridge = Bridge::new(Importer::new()?);
//! let buffer = DmaBuf::from_fd(descriptor_from_a_client())?;
//! let resv = Resv::new();
//! bridge.pull(&buffer, &resv)?; // the client's GPU may be drawing still
//! assert_eq!(resv.wait(Access::Read, Until::Forever), Waited::Signaled);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What cannot be done from user space
//!
//! * A sync file of a fence that a program signals: only `sw_sync`, which is for tests, makes one. What a
//!   program can signal in production is a point of a [`Syncobj`].
//! * To take a sync file of several fences apart: it becomes one fence here.
//! * To tell kernel from write usage, or to see bookkeep fences: the kernel exports what implicit readers
//!   and writers wait for, no more.
//!
//! # `unsafe`
//!
//! Only in the private module `abi`: ioctls and the shapes of their arguments.
//!
//! # Other systems
//!
//! The crate is empty where the system is not Linux.

#![cfg(target_os = "linux")]
#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod abi;
mod bridge;
#[cfg(feature = "calloop")]
mod calloop;
mod clock;
mod dma_buf;
mod error;
mod importer;
mod promise;
pub mod sources;
mod sync_file;
mod syncobj;

pub use bridge::{Bridge, Followed, Left, PullError, Pulled, Pushed};
#[cfg(feature = "calloop")]
pub use calloop::ImporterSource;
pub use dma_buf::DmaBuf;
pub use error::GivenBack;
pub use importer::{Dispatch, Importer};
pub use promise::Promise;
pub use sync_file::{FenceInfo, KernelSeqno, SyncFile, SyncFileInfo};
pub use syncobj::{DrmNode, Point, Syncobj, WaitFor, Waiting};
