//! A compositor that takes dma-bufs from a client: it waits without blocking, exports a snapshot for the
//! display, and tells the client when it may draw again.
//!
//! Watch for
//!
//! * one event loop and no thread: the importer is a source of it, and so is the wait of each commit;
//! * the snapshot: the display gets a sync file of the fences *as of the commit*; what the client adds to the
//!   buffer afterwards is not part of it;
//! * the release: the display's own fence goes back into the buffer, so a client that writes under implicit
//!   sync waits for it, though it knows nothing of this process.
//!
//! Needs a kernel with dma-bufs and fences to signal: `scripts/kernel/run` has one.

use calloop::EventLoop;
use resv_api::{Access, FenceSource, FenceStatus, Readiness, Resv, Usage, Waited};
use resv_linux::{Bridge, DmaBuf, Importer, ImporterSource, sources};
use std::error::Error;
use std::time::Duration;

type Log = Vec<String>;

fn main() -> Result<(), Box<dyn Error>> {
    match sources::any_buffer().and(sources::any_fence().map(drop)) {
        Ok(()) => run()?.iter().for_each(|line| println!("{line}")),
        Err(error) => println!("skipped: no dma-bufs, or no fences to signal: {error}"),
    }
    Ok(())
}

/// One frame, from the client's drawing to its next one; what happened.
pub fn run() -> Result<Log, Box<dyn Error>> {
    let (importer, dispatch) = Importer::manual()?;
    let bridge = Bridge::new(importer);
    let mut events: EventLoop<'_, Log> = EventLoop::try_new()?;
    let handle = events.handle();
    handle.insert_source(ImporterSource::from(dispatch), |_, (), _| {})?;
    let mut log = Log::new();

    // The client draws: its GPU has put a write fence on the buffer.
    let buffer: DmaBuf = sources::any_buffer()?;
    let (drawing, gpu) = sources::any_fence()?;
    buffer.import(&drawing, Usage::Write)?;

    // It commits the buffer. What does a reader have to wait for?
    let resv = Resv::new();
    bridge.pull(&buffer, &resv)?;
    let for_display = buffer.export(Access::Read)?;
    match resv.readiness(Access::Read)? {
        Readiness::Already(_) => log.push("the commit is ready".into()),
        Readiness::Fd(fd) => {
            log.push("the commit waits for the client".into());
            handle.insert_source(FenceSource::from(fd), |waited, (), log| {
                let how = if waited == Waited::Signaled {
                    "drawn"
                } else {
                    "failed"
                };
                log.push(format!("the client has {how}"));
            })?;
        }
    }

    // Meanwhile the client draws the next frame into it, which it should not: not part of this commit.
    let (too_early, gpu_again) = sources::any_fence()?;
    buffer.import(&too_early, Usage::Write)?;

    events.dispatch(Duration::ZERO, &mut log)?;
    log.push("other clients are served".into());
    gpu.done()?;
    while log.last().is_some_and(|line| line.starts_with("other")) {
        events.dispatch(Duration::from_secs(20), &mut log)?;
    }
    let snapshot = for_display.status()? == FenceStatus::Signaled;
    log.push(format!(
        "the snapshot for the display has signalled: {snapshot}"
    ));
    log.push(format!(
        "the buffer is idle: {}",
        buffer.is_idle(Access::Read)?
    ));
    gpu_again.done()?;

    // The display scans it out: its fence is a reader of the buffer, and goes back to the client that way.
    let (scanout, display) = sources::any_fence()?;
    let scanout = bridge.importer().import(scanout)?;
    resv.lock().reserve(1)?.add(&scanout, Usage::Read);
    let pushed = bridge.push(&resv, &buffer);
    log.push(format!(
        "the kernel took {}, {} are left",
        pushed.taken,
        pushed.left.len()
    ));
    log.push(format!(
        "the client may draw: {}",
        buffer.is_idle(Access::Write)?
    ));
    display.done()?;
    let released = buffer.wait(Access::Write, Duration::from_secs(20))?;
    log.push(format!("the client may draw: {released}"));
    Ok(log)
}
