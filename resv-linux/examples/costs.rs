//! What the importer costs, on the kernel that this runs on: with sync files where sw_sync is, else with
//! eventfds.
//!
//! * importing and completing 10,000 promises: microseconds and bytes each;
//! * from a signal to a waiter: through the importer's thread, through an event loop that dispatches, and by
//!   poll in the waiter itself. By turns, so that all meet the same machine.
//!
//! `--quick`: a tenth of it, to see that it runs.

use resv_api::Fence;
use resv_linux::sources::SwSync;
use resv_linux::{Importer, Promise};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::error::Error;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// What keeps a promise.
enum Keeper {
    SwSync(SwSync),
    Eventfd(OwnedFd),
}

impl Keeper {
    fn keep(&self) {
        match self {
            Keeper::SwSync(timeline) => timeline.advance(1).expect("it can"),
            Keeper::Eventfd(fd) => {
                rustix::io::write(fd, &1u64.to_ne_bytes()).expect("it is open");
            }
        }
    }
}

fn promise(sync_files: bool) -> std::io::Result<(Promise, Keeper)> {
    if sync_files {
        let timeline = SwSync::open()?;
        return Ok((timeline.fence(1)?.into(), Keeper::SwSync(timeline)));
    }
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    Ok((Promise::eventfd(fd.try_clone()?), Keeper::Eventfd(fd)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let sync_files = SwSync::open().is_ok();
    let what = if sync_files { "sync files" } else { "eventfds" };
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    println!("Linux {release}, {what}");
    throughput(sync_files, if quick { 1_000 } else { 10_000 })?;
    wake_ups(sync_files, if quick { 50 } else { 1_000 })
}

fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn throughput(sync_files: bool, n: usize) -> Result<(), Box<dyn Error>> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    // One timeline for all: opening ten thousand is not what is measured.
    let timeline = if sync_files {
        Some(SwSync::open()?)
    } else {
        None
    };
    let mut keepers = Vec::new();
    let mut promises = Vec::with_capacity(n);
    for value in 1..=n {
        promises.push(match &timeline {
            Some(timeline) => timeline.fence(value as u32)?.into(),
            None => {
                let (promise, keeper) = promise(false)?;
                keepers.push(keeper);
                promise
            }
        });
    }
    let (importer, dispatch) = Importer::manual()?;
    let mut fences: Vec<Fence> = Vec::with_capacity(n);
    let before = resident();
    let began = Instant::now();
    for promise in promises {
        fences.push(importer.import(promise)?);
    }
    let imported = began.elapsed();
    let bytes = resident().saturating_sub(before);

    match &timeline {
        Some(timeline) => timeline.advance(n as u32)?,
        None => keepers.iter().for_each(Keeper::keep),
    }
    let began = Instant::now();
    while importer.pending() != 0 {
        dispatch.dispatch()?;
    }
    let completed = began.elapsed();
    assert!(fences.iter().all(Fence::is_signaled));
    let each = |time: Duration| time.as_secs_f64() * 1e6 / n as f64;
    println!(
        "{n} promises: import {:.2} us, complete {:.2} us, {} bytes each",
        each(imported),
        each(completed),
        bytes / n
    );
    Ok(())
}

/// Microseconds from a signal until a waiter goes on: the middle one, and nine of ten.
struct Wait {
    name: &'static str,
    micros: Vec<f64>,
}

fn wake_ups(sync_files: bool, rounds: usize) -> Result<(), Box<dyn Error>> {
    let importer = Importer::new()?;
    let (looped, dispatch) = Importer::manual()?;
    let mut waits = [
        "poll by hand",
        "event loop that dispatches",
        "thread of the importer",
    ]
    .map(|name| Wait {
        name,
        micros: Vec::new(),
    });
    let (go, start) = channel::<Keeper>();
    let (told, signaled_at) = channel::<Instant>();
    let signaller = std::thread::spawn(move || {
        for keeper in start {
            // The waiter sleeps by now.
            std::thread::sleep(Duration::from_millis(1));
            let at = Instant::now();
            keeper.keep();
            if told.send(at).is_err() {
                return;
            }
        }
    });
    for _ in 0..rounds {
        for (how, wait) in waits.iter_mut().enumerate() {
            let (promise, keeper) = promise(sync_files)?;
            let woken = match how {
                0 => {
                    go.send(keeper)?;
                    poll(&mut [PollFd::new(&promise, PollFlags::IN)], None)?;
                    Instant::now()
                }
                1 => {
                    let fence = looped.import(promise)?;
                    go.send(keeper)?;
                    while !fence.is_signaled() {
                        poll(
                            &mut [PollFd::from_borrowed_fd(dispatch.as_fd(), PollFlags::IN)],
                            None,
                        )?;
                        dispatch.dispatch()?;
                    }
                    Instant::now()
                }
                _ => {
                    let fence = importer.import(promise)?;
                    go.send(keeper)?;
                    assert!(fence.wait(None).is_signaled());
                    Instant::now()
                }
            };
            let at = signaled_at.recv()?;
            wait.micros
                .push(woken.saturating_duration_since(at).as_secs_f64() * 1e6);
        }
    }
    drop(go);
    signaller.join().expect("it does not panic");
    let mut base = None;
    for wait in &mut waits {
        wait.micros.sort_by(f64::total_cmp);
        let middle = wait.micros[wait.micros.len() / 2];
        let most = wait.micros[wait.micros.len() * 9 / 10];
        let base = *base.get_or_insert(middle);
        println!(
            "wake-up, {}: {middle:.1} us, nine of ten within {most:.1} us, {:.2} times poll by hand",
            wait.name,
            middle / base
        );
    }
    Ok(())
}
