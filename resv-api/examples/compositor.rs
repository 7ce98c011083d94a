//! A compositor in miniature: two clients on different timelines, one output, calloop.
//!
//! A surface is presented when the fences of its buffer *as of the commit* have signalled, each on
//! its own: a slow client delays nobody. Watch for
//!
//! * the commit of an idle buffer, which costs neither a descriptor nor a source;
//! * the late fence: work that a client adds to a buffer after its commit is not part of that commit;
//! * the release: scanout leaves a read fence, and the client waits for it before it draws again;
//! * the client that dies with its job unfinished: its fence signals "canceled", so the wait ends,
//!   and the output keeps the frame it has.

use calloop::{EventLoop, LoopHandle};
use resv_api::{
    Access, FenceSource, Readiness, Resv, Signaler, Snapshot, Timeline, Usage, Waitable, Waited,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Compositor {
    output: Timeline,
    /// What scans out the buffer of each surface.
    on_screen: BTreeMap<&'static str, Signaler>,
    log: Vec<String>,
}

/// `TIMELINE:SEQNO` of what is pending.
fn names<S: resv_api::Semantics, B: resv_api::Backend>(waits: &Snapshot<S, B>) -> String {
    let mut names: Vec<_> = waits.iter().map(|entry| entry.fence.to_string()).collect();
    names.sort();
    names.join(" ")
}

impl Compositor {
    /// Shows the buffer, unless what drew it failed.
    fn present(&mut self, client: &'static str, buffer: &Resv, waited: Waited) {
        if let Waited::Failed(error) = waited {
            self.log
                .push(format!("{client}: keeps its old frame ({error})"));
            return;
        }
        let scanout = self.output.issue().expect("an output has seqnos left");
        let mut guard = buffer.lock();
        match guard.reserve(1) {
            Ok(mut slots) => slots.add(scanout.fence(), Usage::Read),
            Err(error) => {
                self.log.push(format!("{client}: not shown ({error})"));
                return;
            }
        }
        self.log
            .push(format!("{client}: on screen as {}", scanout.fence()));
        // What was shown before is released: its scanout has ended.
        if let Some(before) = self.on_screen.insert(client, scanout) {
            before.signal();
        }
    }

    /// `wl_surface.commit`: present now or when the buffer is ready.
    fn commit(
        &mut self,
        events: &LoopHandle<'static, Compositor>,
        client: &'static str,
        buffer: &Rc<Resv>,
    ) -> Result<()> {
        let waits = buffer.waits_for(Access::Read);
        match waits.readiness()? {
            Readiness::Already(waited) => {
                self.log.push(format!("{client}: commits, ready at once"));
                self.present(client, buffer, waited);
            }
            Readiness::Fd(fd) => {
                self.log
                    .push(format!("{client}: commits, waits for {}", names(&waits)));
                let buffer = Rc::clone(buffer);
                events.insert_source(FenceSource::from(fd), move |waited, (), this| {
                    this.present(client, &buffer, waited);
                })?;
            }
        }
        Ok(())
    }

    /// `wl_buffer.release`: the client may draw once the readers are done.
    fn release(
        &mut self,
        events: &LoopHandle<'static, Compositor>,
        client: &'static str,
        buffer: &Rc<Resv>,
    ) -> Result<()> {
        let waits = buffer.waits_for(Access::Write);
        match waits.readiness()? {
            Readiness::Already(_) => self.log.push(format!("{client}: may draw")),
            Readiness::Fd(fd) => {
                self.log.push(format!(
                    "{client}: to draw again waits for {}",
                    names(&waits)
                ));
                events.insert_source(FenceSource::from(fd), move |_, (), this| {
                    this.log.push(format!("{client}: may draw again"));
                })?;
            }
        }
        Ok(())
    }
}

/// A client gives the GPU a job that writes `buffer`.
fn draw(ring: &Timeline, buffer: &Resv) -> Result<Signaler> {
    let mut guard = buffer.lock();
    let mut slots = guard.reserve(1)?;
    let job = ring.issue()?;
    slots.add(job.fence(), Usage::Write);
    Ok(job)
}

/// Runs the story; who waited for what, one line each.
pub(crate) fn run() -> Result<Vec<String>> {
    let mut events: EventLoop<'static, Compositor> = EventLoop::try_new()?;
    let handle = events.handle();
    let mut this = Compositor {
        output: Timeline::new("output"),
        on_screen: BTreeMap::new(),
        log: Vec::new(),
    };
    // One turn of the loop: what is ready is presented, nobody sleeps.
    let mut turn = |this: &mut Compositor| events.dispatch(Some(Duration::ZERO), this);

    let (gfx, vcn) = (Timeline::new("gfx"), Timeline::new("vcn"));
    let (page, video_a, video_b) = (
        Rc::new(Resv::new()),
        Rc::new(Resv::new()),
        Rc::new(Resv::new()),
    );

    // A splash drawn by the CPU, then both clients draw with the GPU.
    this.commit(&handle, "player", &video_b)?;
    let page_job = draw(&gfx, &page)?;
    let video_job = draw(&vcn, &video_a)?;
    this.commit(&handle, "browser", &page)?;
    this.commit(&handle, "player", &video_a)?;
    turn(&mut this)?;

    // The player is done first, and is not held up by the browser.
    video_job.signal();
    turn(&mut this)?;

    // A late fence: the browser draws on into the buffer that it has committed.
    let late_job = draw(&gfx, &page)?;
    this.log.push(format!(
        "browser: draws on, a new reader would wait for {}",
        names(&page.waits_for(Access::Read))
    ));
    page_job.signal();
    turn(&mut this)?;
    late_job.signal();

    // The player wants its second buffer, which is on screen no more, and then its first, which is.
    this.release(&handle, "player", &video_b)?;
    this.release(&handle, "player", &video_a)?;
    let crash_job = draw(&vcn, &video_b)?;
    this.commit(&handle, "player", &video_b)?;
    turn(&mut this)?;

    // It dies: its jobs are dropped, unfinished.
    drop(crash_job);
    turn(&mut this)?;

    // The output is switched off: every scanout ends.
    for (_, scanout) in std::mem::take(&mut this.on_screen) {
        scanout.signal();
    }
    turn(&mut this)?;
    Ok(this.log)
}

#[allow(dead_code, reason = "a test runs the story without it")]
fn main() -> Result<()> {
    for line in run()? {
        println!("{line}");
    }
    Ok(())
}
