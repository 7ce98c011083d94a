//! Two clients record themselves: a decoder that fills two buffers in turn, and a compositor that
//! shows them. The recording goes to a file, or to standard output.
//!
//! ```sh
//! cargo run -p resv-api --features tracing --example record -- /tmp/player.report
//! resv replay /tmp/player.report
//! ```

use resv_api::trace::FtraceWriter;
use resv_api::{Access, Resv, Signaler, Timeline, Usage, Waited, wait_all};
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

const FRAMES: usize = 8;
const DECODING: Duration = Duration::from_millis(2);

type Failed = Box<dyn Error + Send + Sync>;

/// Asks `buffer` what `access` waits for, and leaves a new job of `timeline` there.
fn submit(
    timeline: &Timeline,
    buffer: &Resv,
    access: Access,
    usage: Usage,
) -> Result<Signaler, Failed> {
    let mut guard = buffer.lock();
    let mut slots = guard.reserve(1)?;
    let before = buffer.waits_for(access);
    let job = timeline.issue()?;
    slots.add(job.fence(), usage);
    drop(guard);
    // The "hardware": starts when what came before is done.
    match wait_all(&before, None) {
        Waited::Failed(error) => Err(error.into()),
        Waited::Signaled | Waited::TimedOut => Ok(job),
    }
}

fn decoder(buffers: &[Resv; 2], frames: SyncSender<usize>) -> Result<(), Failed> {
    let timeline = Timeline::new("vcn_dec");
    for frame in 0..FRAMES {
        let buffer = &buffers[frame % 2];
        let job = submit(&timeline, buffer, Access::Write, Usage::Write)?;
        // The frame is handed on before it is decoded; its fence says when it is.
        frames.send(frame)?;
        std::thread::sleep(DECODING);
        job.signal();
    }
    Ok(())
}

fn compositor(buffers: &[Resv; 2], frames: Receiver<usize>) -> Result<(), Failed> {
    let timeline = Timeline::new("gfx");
    for frame in frames {
        submit(&timeline, &buffers[frame % 2], Access::Read, Usage::Read)?.signal();
    }
    Ok(())
}

fn main() -> Result<(), Failed> {
    let sink: Box<dyn Write + Send> = match std::env::args_os().nth(1) {
        Some(path) => Box::new(File::create(path)?),
        None => Box::new(io::stdout()),
    };
    let recorder = FtraceWriter::new(sink);
    tracing::subscriber::set_global_default(recorder.clone())?;

    let buffers = [Resv::new(), Resv::new()];
    let (frames, shown) = sync_channel(1);
    let both = &buffers;
    std::thread::scope(|scope| {
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let decoder = named("decoder").spawn_scoped(scope, move || decoder(both, frames))?;
        let compositor =
            named("compositor").spawn_scoped(scope, move || compositor(both, shown))?;
        decoder.join().expect("does not panic")?;
        compositor.join().expect("does not panic")
    })?;
    drop(buffers);
    recorder.finish()?;
    Ok(())
}
