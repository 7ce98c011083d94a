//! What the tests on a kernel share: opening what they need, and skipping by name where it is not there.

#![allow(dead_code)] // each test uses some of it

use resv_api::Access;
use resv_linux::sources::{self, SwSync, Vgem, VgemFence};
use resv_linux::{DmaBuf, DrmNode, SyncFile};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Mutex;
use std::time::Duration;

/// Longer than any machine needs.
pub(crate) const LONG: Duration = Duration::from_secs(20);
/// Long enough to see that nothing comes.
pub(crate) const SHORT: Duration = Duration::from_millis(30);

/// What was opened; `None`, and the name of the test in the output, if the kernel has none. On the kernel
/// that this project builds everything is there, so it is a failure there.
pub(crate) fn needs<T>(what: &str, opened: io::Result<T>) -> Option<T> {
    match opened {
        Ok(opened) => Some(opened),
        Err(error) => {
            let guest = std::env::var("RESV_KERNEL_GUEST").unwrap_or_default();
            assert!(
                guest.is_empty() || guest.starts_with("stock"),
                "Linux {guest} was built with {what}: {error}"
            );
            let test = std::thread::current().name().unwrap_or("main").to_owned();
            // Past the harness, which keeps to itself what a test that passes has printed.
            let note = format!("skipped {test}: no {what} here ({error})\n");
            let _ = io::stderr().write_all(note.as_bytes());
            None
        }
    }
}

pub(crate) fn sw_sync() -> Option<SwSync> {
    needs("sw_sync", SwSync::open())
}

pub(crate) fn vgem() -> Option<Vgem> {
    needs("vgem", Vgem::open())
}

/// Fences that a test signals, in the order of their values: of sw_sync where there is one, else of vgem,
/// which stock kernels have. Those of vgem have contexts of their own, and cannot fail.
pub(crate) enum Timeline {
    SwSync(SwSync),
    Vgem(Vgem, Mutex<(u32, BTreeMap<u32, Vec<VgemFence>>)>),
}

pub(crate) fn timeline() -> Option<Timeline> {
    if let Ok(timeline) = SwSync::open() {
        return Some(Timeline::SwSync(timeline));
    }
    let vgem = needs("sw_sync or vgem", Vgem::open())?;
    Some(Timeline::Vgem(vgem, Mutex::default()))
}

impl Timeline {
    pub(crate) fn fence(&self, value: u32) -> SyncFile {
        match self {
            Timeline::SwSync(timeline) => pending(timeline, value),
            Timeline::Vgem(vgem, state) => {
                let scratch = vgem.buffer().expect("vgem makes buffers");
                let fence = vgem.attach(&scratch, true).expect("the buffer is idle");
                let mut state = state.lock().expect("no test panics with it");
                if value <= state.0 {
                    fence.signal().expect("it has just been made");
                } else {
                    state.1.entry(value).or_default().push(fence);
                }
                scratch.export(Access::Read).expect("a descriptor")
            }
        }
    }

    pub(crate) fn advance(&self, by: u32) {
        match self {
            Timeline::SwSync(timeline) => timeline.advance(by).expect("it can"),
            Timeline::Vgem(_, state) => {
                let mut state = state.lock().expect("no test panics with it");
                state.0 += by;
                let after = state.0 + 1;
                let later = state.1.split_off(&after);
                let reached = std::mem::replace(&mut state.1, later);
                for fence in reached.into_values().flatten() {
                    fence.signal().expect("within ten seconds");
                }
            }
        }
    }
}

/// A node with timeline sync objects.
pub(crate) fn node() -> Option<DrmNode> {
    needs("timeline sync objects", sources::syncobj_node())
}

/// A buffer, whatever it is made of.
pub(crate) fn buffer() -> Option<DmaBuf> {
    let made = sources::udmabuf()
        .or_else(|_| sources::system_heap())
        .or_else(|_| Vgem::open()?.buffer());
    needs("dma-buf", made)
}

/// The pending fence at `value` of a timeline.
pub(crate) fn pending(timeline: &SwSync, value: u32) -> SyncFile {
    timeline.fence(value).expect("sw_sync makes fences")
}

/// A small generator of random numbers, by its seed the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}
