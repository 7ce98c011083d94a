//! A compositor in miniature: two clients on different timelines, one output, calloop.
//!
//! A surface is presented when the fences of its buffer *as of the commit* have signalled, each on
//! its own: a slow client delays nobody. Watch for
//!
//! * the commit of an idle buffer, which costs neither a descriptor nor a source;
//! * the deadline: a commit tells the drivers of the fences it waits for when the next vertical blank
//!   is, and they may raise their clocks; the blank itself waits for nothing, and a client that is late by then
//!   keeps its old frame;
//! * the late fence: work that a client adds to a buffer after its commit is not part of that commit;
//! * the release: scanout leaves a read fence, and the client waits for it before it draws again;
//! * the client that dies with its job unfinished: its fence signals "canceled", so the wait ends,
//!   and the output keeps the frame it has.

use calloop::timer::{TimeoutAction, Timer};
use calloop::{EventLoop, LoopHandle};
use resv_api::{
    Access, FenceSource, Readiness, Resv, Signaler, Snapshot, Timeline, Usage, Waitable, Waited,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// From one vertical blank to the next.
const FRAME: Duration = Duration::from_millis(16);

/// What happened, one line each; drivers write into it, too.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, line: String) {
        self.0
            .lock()
            .expect("nobody panics while writing")
            .push(line);
    }
}

struct Compositor {
    output: Timeline,
    /// What scans out the buffer of each surface.
    on_screen: BTreeMap<&'static str, Signaler>,
    /// What the last commit of each surface waits for.
    late: BTreeMap<&'static str, String>,
    next_blank: Instant,
    blanks: usize,
    log: Log,
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
        self.late.remove(client);
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
                let names = names(&waits);
                self.log
                    .push(format!("{client}: commits, waits for {names}"));
                self.late.insert(client, names);
                for entry in waits.iter() {
                    entry.fence.set_deadline(self.next_blank);
                }
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

impl Compositor {
    /// The vertical blank: what is ready was presented, and nobody is waited for.
    fn blank(&mut self) {
        self.blanks += 1;
        self.next_blank += FRAME;
        for (client, names) in &self.late {
            self.log.push(format!(
                "blank: {client} keeps its old frame, {names} is late"
            ));
        }
    }
}

/// A client gives the GPU a job that writes `buffer`.
fn draw(log: &Log, ring: &Timeline, buffer: &Resv) -> Result<Signaler> {
    let mut guard = buffer.lock();
    let mut slots = guard.reserve(1)?;
    let job = ring.issue()?;
    // The driver's side of a deadline. It is a hint: nothing depends on it.
    let (log, name) = (log.clone(), job.fence().to_string());
    job.on_deadline(move |_| {
        log.push(format!(
            "driver: {name} is wanted by the next blank, clocks up"
        ));
    });
    slots.add(job.fence(), Usage::Write);
    Ok(job)
}

/// Runs the story; what waited for what, one line each.
pub(crate) fn run() -> Result<Vec<String>> {
    let mut events: EventLoop<'static, Compositor> = EventLoop::try_new()?;
    let handle = events.handle();
    let mut this = Compositor {
        output: Timeline::new("output"),
        on_screen: BTreeMap::new(),
        late: BTreeMap::new(),
        next_blank: Instant::now() + FRAME,
        blanks: 0,
        log: Log::default(),
    };
    let log = this.log.clone();
    // One turn of the loop: what is ready is presented, nobody sleeps.
    let turn = |events: &mut EventLoop<'static, Compositor>, this: &mut Compositor| {
        events.dispatch(Some(Duration::ZERO), this)
    };

    let (gfx, vcn) = (Timeline::new("gfx"), Timeline::new("vcn"));
    let (page, video_a, video_b) = (
        Rc::new(Resv::new()),
        Rc::new(Resv::new()),
        Rc::new(Resv::new()),
    );

    // A splash drawn by the CPU, then both clients draw with the GPU.
    this.commit(&handle, "player", &video_b)?;
    let page_job = draw(&log, &gfx, &page)?;
    let video_job = draw(&log, &vcn, &video_a)?;
    this.commit(&handle, "browser", &page)?;
    this.commit(&handle, "player", &video_a)?;
    turn(&mut events, &mut this)?;

    // The player is done first, and is not held up by the browser.
    video_job.signal();
    turn(&mut events, &mut this)?;

    // The browser misses the blank; one is enough for the story.
    let blank = Timer::from_deadline(this.next_blank);
    handle.insert_source(blank, |_, (), this: &mut Compositor| {
        this.blank();
        TimeoutAction::Drop
    })?;
    while this.blanks == 0 {
        events.dispatch(None, &mut this)?;
    }

    // A late fence: the browser draws on into the buffer that it has committed.
    let late_job = draw(&log, &gfx, &page)?;
    this.log.push(format!(
        "browser: draws on, a new reader would wait for {}",
        names(&page.waits_for(Access::Read))
    ));
    page_job.signal();
    turn(&mut events, &mut this)?;
    late_job.signal();

    // The player wants its second buffer, which is on screen no more, and then its first, which is.
    this.release(&handle, "player", &video_b)?;
    this.release(&handle, "player", &video_a)?;
    let crash_job = draw(&log, &vcn, &video_b)?;
    this.commit(&handle, "player", &video_b)?;
    turn(&mut events, &mut this)?;

    // It dies: its jobs are dropped, unfinished.
    drop(crash_job);
    turn(&mut events, &mut this)?;

    // The output is switched off: every scanout ends.
    for (_, scanout) in std::mem::take(&mut this.on_screen) {
        scanout.signal();
    }
    turn(&mut events, &mut this)?;
    let log = log.0.lock().expect("nobody panics while writing");
    Ok(log.clone())
}

#[allow(dead_code, reason = "a test runs the story without it")]
fn main() -> Result<()> {
    for line in run()? {
        println!("{line}");
    }
    Ok(())
}
