//! A device in the manner of virtio-gpu: the guest puts commands into a queue, some with a fence; the host's
//! GPU does them; the device returns a descriptor when its fence has signalled.
//!
//! Watch for
//!
//! * the rings: a fence belongs to a (context, ring), and each of them is a timeline. Descriptors of one ring
//!   return in order; a slow ring holds up no other;
//! * no thread for a fence and no scan over what is pending: the importer signals, a callback returns the
//!   descriptor;
//! * the reset: what the guest has queued is given up, and every descriptor returns, with an error.
//!
//! The host's GPU is stood in for by eventfds, so this runs on any Linux; with sync files it is the same.

use resv_api::{Fence, FenceError, FenceStatus, Timeline};
use resv_linux::{Importer, Promise};
use rustix::event::{EventfdFlags, eventfd};
use std::collections::BTreeMap;
use std::error::Error;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

/// What `VIRTIO_GPU_FLAG_FENCE` and `VIRTIO_GPU_FLAG_INFO_RING_IDX` say.
type Ring = (u32, u8);
/// The head of a chain of descriptors.
type Descriptor = u16;

struct Device {
    importer: Importer,
    rings: BTreeMap<Ring, Timeline>,
    pending: Vec<Fence>,
    used: Sender<(Descriptor, FenceStatus)>,
}

impl Device {
    fn new() -> std::io::Result<(Device, Receiver<(Descriptor, FenceStatus)>)> {
        let (used, returned) = channel();
        let device = Device {
            importer: Importer::new()?,
            rings: BTreeMap::new(),
            pending: Vec::new(),
            used,
        };
        Ok((device, returned))
    }

    /// A command with a fence: the host's GPU has been given the job, and `done` is its promise.
    fn submit(&mut self, ring: Ring, id: Descriptor, done: Promise) -> Result<(), Box<dyn Error>> {
        let named = || Timeline::new(&format!("context {} ring {}", ring.0, ring.1));
        let timeline = self.rings.entry(ring).or_insert_with(named);
        let place = timeline.last_seqno() + 1;
        let fence = self.importer.import_at(timeline, place, done)?;
        let used = self.used.clone();
        // The queue may be gone by then, and the guest with it.
        let returned = fence.on_signal(move |status| {
            let _ = used.send((id, status));
        });
        if let Err(already) = returned {
            (already.0)(fence.status());
        }
        self.pending.retain(|fence| !fence.is_signaled());
        self.pending.push(fence);
        Ok(())
    }

    /// The guest resets the device.
    fn reset(&mut self) {
        for fence in self.pending.drain(..) {
            self.importer.give_up(&fence, FenceError::CANCELED);
        }
        self.rings.clear();
    }
}

/// A job of the host's GPU.
fn job() -> std::io::Result<(Promise, OwnedFd)> {
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    Ok((Promise::eventfd(fd.try_clone()?), fd))
}

fn finish(job: &OwnedFd) -> std::io::Result<()> {
    rustix::io::write(job, &1u64.to_ne_bytes())?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()?.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// What happened.
pub fn run() -> Result<Vec<String>, Box<dyn Error>> {
    let (mut device, returned) = Device::new()?;
    let mut log = Vec::new();
    let (desktop, game): (Ring, Ring) = ((1, 0), (2, 1));
    let mut jobs = BTreeMap::new();
    for (id, ring) in [(10, desktop), (11, desktop), (20, game), (21, game)] {
        let (promise, gpu) = job()?;
        device.submit(ring, id, promise)?;
        jobs.insert(id, gpu);
    }

    // The game is done; the desktop's second job is done before its first.
    finish(&jobs[&20])?;
    log.push(format!("returned {:?}", returned.recv_timeout(LONG)?));
    finish(&jobs[&11])?;
    let early = returned.recv_timeout(Duration::from_millis(30)).is_ok();
    log.push(format!("11 returned before 10: {early}"));
    finish(&jobs[&10])?;
    log.push(format!("returned {:?}", returned.recv_timeout(LONG)?));
    log.push(format!("returned {:?}", returned.recv_timeout(LONG)?));

    device.reset();
    let (id, status) = returned.recv_timeout(LONG)?;
    let canceled = status == FenceStatus::Error(FenceError::CANCELED);
    log.push(format!("reset returned {id}, canceled {canceled}"));
    Ok(log)
}
