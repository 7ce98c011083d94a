//! The quick start of README.md is compiled and run, and is what stands there.

const README: &str = include_str!("../../README.md");
const HERE: &str = include_str!("readme.rs");

/// The lines between `begin` and `end` that are not empty, without what they begin and end with.
fn lines(text: &'static str, begin: &str, end: &str) -> Vec<&'static str> {
    let (_, rest) = text.split_once(begin).expect("a beginning");
    let (between, _) = rest.split_once(end).expect("an end");
    let lines = between.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
#[rustfmt::skip]
fn the_quick_start_runs() -> Result<(), Box<dyn std::error::Error>> {
    // README
    use resv_api::{Access, Resv, Timeline, Usage, Waited, submit};

    let (texture, frame) = (Resv::new(), Resv::new());
    let gfx = Timeline::new("gfx");

    let job = gfx.issue()?;
    let waits = submit(job.fence(), &[(&texture, Usage::Read), (&frame, Usage::Write)])?;
    assert!(waits.is_empty());              // nothing was there before
    assert!(!frame.is_idle(Access::Read));  // the next reader has to wait

    job.signal();
    assert_eq!(frame.wait(Access::Read, None), Waited::Signaled);
    // end of README
    Ok(())
}

#[test]
fn the_quick_start_is_that_of_the_readme() {
    let shown = lines(README, "```rust\n", "```");
    let run = lines(HERE, "    // README\n", "    // end of README\n");
    assert_eq!(shown, run);
}
