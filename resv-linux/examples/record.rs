//! A client and a compositor that record themselves, while the kernel records its side: what the library did
//! and what the kernel says, by the same clock.
//!
//! `scripts/kernel/record` runs this under a kernel whose tracer is on, and plays both recordings with
//! `resv replay`. By itself: `record FILE`, and needs fences and dma-bufs.

use resv_api::trace::FtraceWriter;
use resv_api::{Access, Resv, Timeline, Usage, Waited};
use resv_linux::{Bridge, Importer, sources};
use std::error::Error;
use std::fs::File;
use std::time::Duration;

const FRAMES: usize = 12;
const DRAWING: Duration = Duration::from_millis(2);

fn main() -> Result<(), Box<dyn Error>> {
    let Some(path) = std::env::args_os().nth(1) else {
        return Err("which file is the recording to go to?".into());
    };
    let recorder = FtraceWriter::new(File::create(path)?);
    tracing::subscriber::set_global_default(recorder.clone())?;
    let bridge = Bridge::new(Importer::new()?);
    let display = Timeline::new("display");
    let buffers = [
        (sources::any_buffer()?, Resv::new()),
        (sources::any_buffer()?, Resv::new()),
    ];
    for frame in 0..FRAMES {
        let (buffer, resv) = &buffers[frame % 2];
        // The client's GPU draws; the fence is the kernel's.
        let (drawing, gpu) = sources::any_fence()?;
        buffer.import(&drawing, Usage::Write)?;
        let client = std::thread::spawn(move || {
            std::thread::sleep(DRAWING);
            gpu.done()
        });
        // The compositor takes the frame, waits for it, and shows it.
        bridge.pull(buffer, resv)?;
        assert_eq!(
            resv.wait(Access::Read, Duration::from_secs(20)),
            Waited::Signaled
        );
        let shown = display.issue()?;
        resv.lock().reserve(1)?.add(shown.fence(), Usage::Read);
        client.join().expect("it does not panic")?;
        shown.signal();
    }
    drop(bridge);
    recorder.finish()?;
    Ok(())
}
