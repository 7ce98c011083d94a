//! Explicit sync by points of timelines, as `linux-drm-syncobj-v1` of Wayland has it: each commit names an
//! *acquire* point, which the client's GPU signals, and a *release* point, which the compositor signals.
//!
//! Three clients commit a point that nobody has submitted yet:
//!
//! * one submits it in time;
//! * one submits it late: the compositor shows its old frame meanwhile, and the new one afterwards;
//! * one never does: the compositor gives it up, and keeps the old frame.
//!
//! Needs a node with timeline sync objects: `scripts/kernel/run` has one.

use resv_api::{FenceError, Timeline, Waited};
use resv_linux::{Bridge, Followed, Importer, Syncobj, sources};
use std::error::Error;
use std::time::Duration;

const ETIMEDOUT: FenceError = FenceError::from_errno(110).expect("an errno");
/// A frame of the output.
const FRAME: Duration = Duration::from_millis(16);
const LONG: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    match sources::syncobj_node() {
        Ok(_) => run()?.iter().for_each(|line| println!("{line}")),
        Err(error) => println!("skipped: {error}"),
    }
    Ok(())
}

/// What happened.
pub fn run() -> Result<Vec<String>, Box<dyn Error>> {
    let node = sources::syncobj_node()?;
    let bridge = Bridge::new(Importer::new()?);
    let mut log = Vec::new();
    let output = Timeline::new("output");

    for client in ["punctual", "late", "silent"] {
        // The client's objects, as they came over the socket.
        let (acquire, release) = (Syncobj::new(&node)?, Syncobj::new(&node)?);
        let acquire = Syncobj::import(&node, acquire.export()?)?;

        // The commit names point 1 of each. The acquire point has no fence yet: that is no obstacle.
        let line = Timeline::new(client);
        let ready = bridge.importer().import_point(&line, &acquire, 1)?;
        // The frame is on screen from the next blank on; when it leaves, the client may draw again.
        let on_screen = output.issue()?;
        let follows = bridge.follow(on_screen.fence(), &release, 1)?;
        assert_eq!(follows, Followed::OnSignal);

        if client == "punctual" {
            acquire.signal_point(1)?; // its GPU is done
            assert!(ready.wait(Some(LONG)).is_signaled());
        }
        let mut outcome = ready.wait(Some(FRAME));
        log.push(match outcome {
            Waited::TimedOut => format!("{client}: the old frame stays"),
            _ => format!("{client}: the new frame is shown"),
        });
        if client == "late" {
            acquire.signal_point(1)?;
            outcome = ready.wait(Some(LONG));
            log.push(format!("{client}: the new frame is shown a blank later"));
        }
        if client == "silent" {
            assert!(bridge.importer().give_up(&ready, ETIMEDOUT));
            outcome = ready.wait(Some(LONG));
            log.push(format!(
                "{client}: given up, {}",
                outcome == Waited::Failed(ETIMEDOUT)
            ));
        }
        assert_ne!(outcome, Waited::TimedOut);
        log.push(format!("{client}: released {}", release.completed()? == 1));
        on_screen.signal(); // another frame takes its place
        log.push(format!("{client}: released {}", release.completed()? == 1));
    }
    Ok(log)
}
