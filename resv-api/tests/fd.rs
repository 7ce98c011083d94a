//! Readiness as a file descriptor, under a real epoll: P-01 to P-05.
#![cfg(feature = "fd")]

use resv_api::*;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, OwnedFd};
use std::sync::Mutex;
use std::thread;

/// Descriptors are counted in one test, so none may be made beside it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner())
}

struct Epoll(OwnedFd);

impl Epoll {
    fn new() -> Epoll {
        Epoll(epoll::create(epoll::CreateFlags::CLOEXEC).unwrap())
    }

    fn watch(&self, fd: &ReadyFd, number: u64) {
        let data = epoll::EventData::new_u64(number);
        epoll::add(&self.0, fd.as_fd(), data, epoll::EventFlags::IN).unwrap();
    }

    /// The numbers of what is ready, after at most so many seconds.
    fn wait(&self, seconds: i64) -> Vec<u64> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(8);
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        epoll::wait(&self.0, spare_capacity(&mut events), Some(&time)).unwrap();
        let mut ready: Vec<_> = events.iter().map(|event| event.data.u64()).collect();
        ready.sort_unstable();
        ready
    }

    fn poll(&self) -> Vec<u64> {
        self.wait(0)
    }
}

const WATCHDOG_SECONDS: i64 = 60;

fn job(name: &str) -> Signaler {
    Timeline::new(name).issue().unwrap()
}

fn add(resv: &Resv, job: &Signaler, usage: Usage) {
    resv.lock().reserve(1).unwrap().add(job.fence(), usage);
}

fn pending(readiness: Readiness) -> ReadyFd {
    match readiness {
        Readiness::Fd(fd) => fd,
        Readiness::Already(waited) => panic!("was ready: {waited:?}"),
    }
}

/// Which of IN and OUT are ready, as a poller that asks for both would be told.
fn polled(resv: &Resv) -> (bool, bool) {
    let ready = |access| match resv.readiness(access).unwrap() {
        Readiness::Already(_) => true,
        Readiness::Fd(fd) => {
            let epoll = Epoll::new();
            epoll.watch(&fd, 0);
            !epoll.poll().is_empty()
        }
    };
    (ready(Access::Read), ready(Access::Write))
}

#[test]
fn p01_to_p03_the_poll_rules() {
    let _alone = alone();
    let resv = Resv::new();
    assert_eq!(polled(&resv), (true, true), "P-03: idle");
    let page_tables = job("vm");
    add(&resv, &page_tables, Usage::Bookkeep);
    assert_eq!(polled(&resv), (true, true), "bookkeeping never matters");
    let reader = job("display");
    add(&resv, &reader, Usage::Read);
    assert_eq!(polled(&resv), (true, false), "P-02: only reads");
    let writer = job("gfx");
    add(&resv, &writer, Usage::Write);
    assert_eq!(polled(&resv), (false, false), "P-01: a write");
    writer.signal();
    assert_eq!(polled(&resv), (true, false));
    let mover = job("sdma");
    add(&resv, &mover, Usage::Kernel);
    assert_eq!(polled(&resv), (false, false), "a move is for everybody");
    mover.signal();
    reader.signal();
    assert_eq!(polled(&resv), (true, true));
    assert!(!resv.is_idle(Access::Move));
}

#[test]
fn p04_a_sleeping_poller_wakes_exactly_when_its_set_empties() {
    let _alone = alone();
    let resv = Resv::new();
    let (writer, readers) = (job("gfx"), [job("a"), job("b")]);
    add(&resv, &writer, Usage::Write);
    readers.iter().for_each(|job| add(&resv, job, Usage::Read));
    let epoll = Epoll::new();
    let input = pending(resv.readiness(Access::Read).unwrap());
    let output = pending(resv.readiness(Access::Write).unwrap());
    epoll.watch(&input, 1);
    epoll.watch(&output, 2);
    assert_eq!(epoll.poll(), []);

    thread::scope(|scope| {
        scope.spawn(|| writer.signal());
        assert_eq!(epoll.wait(WATCHDOG_SECONDS), [1]);
    });
    assert_eq!(input.outcome(), Some(Waited::Signaled));
    let [a, b] = readers;
    a.signal();
    assert_eq!(
        epoll.poll(),
        [1],
        "readable stays readable; OUT has a reader left"
    );
    assert_eq!(output.outcome(), None);
    epoll::delete(&epoll.0, input.as_fd()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| b.signal_error(FenceError::IO));
        assert_eq!(epoll.wait(WATCHDOG_SECONDS), [2]);
    });
    assert_eq!(output.outcome(), Some(Waited::Failed(FenceError::IO)));
    // Three fences, one write.
    let mut count = [0; 8];
    rustix::io::read(output.as_fd(), &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 1);
}

#[test]
fn p05_closing_while_callbacks_are_pending_is_safe() {
    let _alone = alone();
    let epoll = Epoll::new();
    let before = eventfds();
    let (first, second) = (job("a"), job("b"));
    let both = [first.fence().clone(), second.fence().clone()];
    let fd = pending(both.readiness().unwrap());
    epoll.watch(&fd, 1);
    assert_eq!(eventfds(), before + 1);
    first.signal();
    drop(fd);
    assert_eq!(eventfds(), before, "no callback keeps it open");
    second.signal();
    assert_eq!(epoll.poll(), []);

    // And while one of them is running.
    for _ in 0..200 {
        let job = job("racy");
        let fd = pending(job.fence().readiness().unwrap());
        epoll.watch(&fd, 2);
        thread::scope(|scope| {
            scope.spawn(|| job.signal());
            epoll::delete(&epoll.0, fd.as_fd()).unwrap();
            drop(fd);
        });
        assert_eq!(epoll.poll(), []);
        assert_eq!(eventfds(), before);
    }
}

#[test]
fn what_is_ready_costs_no_descriptor() {
    let _alone = alone();
    let before = eventfds();
    let failed = job("t");
    let fence = failed.fence().clone();
    drop(failed);
    let Readiness::Already(waited) = fence.readiness().unwrap() else {
        panic!("a signalled fence is ready");
    };
    assert_eq!(waited, Waited::Failed(FenceError::CANCELED));
    let _idle = Resv::new().snapshot().readiness().unwrap();
    assert_eq!(eventfds(), before);
}

#[test]
fn a_descriptor_covers_the_fences_of_its_instant() {
    let _alone = alone();
    let resv = Resv::new();
    let (first, later) = (job("a"), job("b"));
    add(&resv, &first, Usage::Write);
    let fd = pending(resv.snapshot().narrow(Access::Read).readiness().unwrap());
    add(&resv, &later, Usage::Write);
    let epoll = Epoll::new();
    epoll.watch(&fd, 1);
    first.signal();
    assert_eq!(epoll.poll(), [1]);
    assert_eq!(
        polled(&resv),
        (false, false),
        "asking again is how to follow"
    );
}

#[test]
fn stress_signals_and_registrations_race() {
    let _alone = alone();
    for _ in 0..200 {
        let jobs = [job("a"), job("b")];
        let fences = jobs.each_ref().map(|job| job.fence().clone());
        thread::scope(|scope| {
            for job in jobs {
                scope.spawn(|| job.signal());
            }
            if let Readiness::Fd(fd) = fences.readiness().unwrap() {
                let epoll = Epoll::new();
                epoll.watch(&fd, 1);
                assert_eq!(epoll.wait(WATCHDOG_SECONDS), [1]);
            }
        });
    }
}

/// How many eventfds this process has open.
fn eventfds() -> usize {
    let names = std::fs::read_dir("/proc/self/fd").unwrap();
    names
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().contains("eventfd"))
        .count()
}
