//! What the importer costs, on the kernel that this runs on: with sync files where sw_sync is, else with
//! eventfds.
//!
//! * importing and completing 10,000 promises: microseconds and bytes each;
//! * from a signal to a waiter. A thread that waits: by poll and by asking for the status, through the
//!   importer's thread, and by `Importer::wait`. An event loop: with the descriptor in its own
//!   epoll set, and with the dispatch of an importer in it. By turns, so that all meet the same machine.
//!
//! `--quick`: a tenth of it, to see that it runs.

use resv_api::{Fence, FenceStatus};
use resv_linux::sources::SwSync;
use resv_linux::{Importer, Promise};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::error::Error;
use std::os::fd::OwnedFd;
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
    // An eventfd is two descriptors here: one to wait for, one to write to.
    let most = limit.maximum.unwrap_or(u64::MAX).saturating_sub(100) / 2;
    let n = n.min(usize::try_from(most).unwrap_or(n));
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
        "a thread that polls",
        "a thread, by the importer's",
        "a thread, by Importer::wait",
        "an event loop by hand",
        "an event loop with the dispatch",
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
    let hand = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let ours = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&ours, &dispatch, EventData::new_u64(0), EventFlags::IN)?;
    let mut events = Vec::with_capacity(16);
    for _ in 0..rounds {
        for (how, wait) in waits.iter_mut().enumerate() {
            let (promise, keeper) = promise(sync_files)?;
            let woken = match how {
                0 => {
                    go.send(keeper)?;
                    poll(&mut [PollFd::new(&promise, PollFlags::IN)], None)?;
                    assert!(has_ended(promise));
                    Instant::now()
                }
                1 => {
                    let fence = importer.import(promise)?;
                    go.send(keeper)?;
                    assert!(fence.wait(None).is_signaled());
                    Instant::now()
                }
                2 => {
                    let fence = importer.import(promise)?;
                    go.send(keeper)?;
                    assert!(importer.wait(&fence, None).is_signaled());
                    Instant::now()
                }
                3 => {
                    epoll::add(&hand, &promise, EventData::new_u64(0), EventFlags::IN)?;
                    go.send(keeper)?;
                    events.clear();
                    epoll::wait(&hand, spare_capacity(&mut events), None)?;
                    epoll::delete(&hand, &promise)?;
                    assert!(has_ended(promise));
                    Instant::now()
                }
                _ => {
                    let fence = looped.import(promise)?;
                    go.send(keeper)?;
                    while !fence.is_signaled() {
                        events.clear();
                        epoll::wait(&ours, spare_capacity(&mut events), None)?;
                        dispatch.dispatch()?;
                    }
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
    let mut base = f64::NAN;
    for (how, wait) in waits.iter_mut().enumerate() {
        wait.micros.sort_by(f64::total_cmp);
        let middle = wait.micros[wait.micros.len() / 2];
        let most = wait.micros[wait.micros.len() * 9 / 10];
        if how == 0 || how == 3 {
            base = middle;
        }
        let (name, times) = (wait.name, middle / base);
        println!("wake-up, {name}: {middle:.1} us, nine of ten within {most:.1} us, x {times:.2}");
    }
    Ok(())
}

/// What has to be asked once a descriptor is readable.
fn has_ended(promise: Promise) -> bool {
    if let Some(ended) = promise.as_eventfd().map(|fd| {
        let mut count = [0; 8];
        rustix::io::read(fd, &mut count).is_ok()
    }) {
        return ended;
    }
    promise.into_sync_file().is_some_and(|file| {
        file.status()
            .is_ok_and(|status| status != FenceStatus::Pending)
    })
}
