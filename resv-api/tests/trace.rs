//! What objects and waits tell a trace, and the recorder that writes it down.

use resv_api::trace::FtraceWriter;
use resv_api::*;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tracing::subscriber::with_default;

/// The events while `f` runs, without the columns before them and without the numbers of contexts.
fn events(f: impl FnOnce()) -> Vec<String> {
    let recorder = FtraceWriter::new(Vec::new());
    with_default(recorder.clone(), f);
    let text = String::from_utf8(recorder.finish().unwrap()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (_, event) = line.split_once(": ").unwrap();
            let words = event.split(' ').filter(|w| !w.starts_with("context="));
            words
                .collect::<Vec<_>>()
                .join(" ")
                .replace(" driver=resv", "")
        })
        .collect()
}

fn of_fences(events: &[String], step: &str) -> Vec<String> {
    let prefix = format!("dma_fence_{step}: timeline=");
    let found = events.iter().filter_map(|e| e.strip_prefix(&prefix));
    found.map(str::to_owned).collect()
}

#[test]
fn an_object_tells_what_was_asked_and_what_was_added() {
    let buffer = Resv::<UsageLevels, Locked>::default();
    let (a, b) = (Timeline::new("a"), Timeline::new("b"));
    let (a, b) = (a.issue().unwrap(), b.issue().unwrap());
    let told = events(|| {
        drop(buffer.waits_for(Access::Write));
        let _ = buffer.is_idle(Access::Read);
        let mut guard = buffer.lock();
        let mut slots = guard.reserve(3).unwrap();
        slots.add(a.fence(), Usage::Write);
        slots.add(b.fence(), Usage::Bookkeep);
        assert!(slots.replace(b.fence().timeline_id(), &Fence::signaled(), Usage::Read));
        drop(guard);
        let _ = buffer.wait(Access::Read, Duration::ZERO);
    });
    let told: Vec<_> = told.iter().filter(|e| e.starts_with("resv_")).collect();
    let (resv, b) = (buffer.trace_id(), b.fence().timeline_id().as_raw());
    assert_eq!(
        told,
        [
            &format!("resv_waits_for: resv={resv} access=write"),
            &format!("resv_add_fence: resv={resv} usage=write timeline=a seqno=1"),
            &format!("resv_add_fence: resv={resv} usage=bookkeep timeline=b seqno=1"),
            &format!(
                "resv_replace_fence: resv={resv} usage=read replaced={b} timeline=signaled seqno=1"
            ),
            &format!("resv_unlock: resv={resv}"),
            &format!("resv_busy: resv={resv} access=read"),
        ]
    );
}

/// Every wait ends once for each begin, on whatever path it ends.
#[test]
fn waits_of_every_kind_begin_and_end_with_their_fences() {
    let both = ["a seqno=1", "b seqno=1"];
    let check = |wait: &dyn Fn(&[Fence])| {
        let (a, b) = (Timeline::new("a"), Timeline::new("b"));
        let (a, b) = (a.issue().unwrap(), b.issue().unwrap());
        let fences = [a.fence().clone(), b.fence().clone()];
        let told = events(|| wait(&fences));
        assert_eq!(of_fences(&told, "wait_start"), both, "{told:?}");
        assert_eq!(of_fences(&told, "wait_end"), both, "{told:?}");
        assert_eq!(of_fences(&told, "enable_signal"), both, "{told:?}");
    };
    check(&|fences| assert!(!wait_all(fences, Duration::from_millis(1)).is_signaled()));
    check(&|fences| {
        assert_eq!(
            wait_any(fences, Duration::from_millis(1)),
            WaitedAny::TimedOut
        );
    });
    check(&|fences| {
        let mut future = std::pin::pin!(fences.when_signaled());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut cx).is_pending());
        assert!(future.as_mut().poll(&mut cx).is_pending());
    });
    #[cfg(feature = "fd")]
    check(&|fences| drop(fences.readiness().unwrap()));
}

#[test]
fn a_line_has_the_columns_of_linux() {
    let recorder = FtraceWriter::new(Vec::new());
    let named = std::thread::Builder::new().name("render: thread 12345".to_owned());
    let client = recorder.clone();
    let thread = named.spawn(move || {
        with_default(client, || drop(Timeline::new("two\nlines").issue()));
    });
    thread.unwrap().join().unwrap();
    let text = String::from_utf8(recorder.finish().unwrap()).unwrap();
    assert!(text.starts_with("# tracer: nop\n"), "{text}");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 4, "init, emit, signaled, destroy: {text}");
    for line in lines {
        let words: Vec<_> = line.split_whitespace().collect();
        let [
            "render:",
            task,
            cpu,
            flags,
            time,
            event,
            "driver=resv",
            "timeline=two?lines",
            context,
            "seqno=1",
        ] = words[..]
        else {
            panic!("{line}");
        };
        assert!(task.starts_with("thread-"), "{line}");
        assert!(task["thread-".len()..].parse::<u32>().is_ok(), "{line}");
        assert!(cpu.starts_with('[') && cpu.ends_with(']'), "{line}");
        assert_eq!(flags, ".....");
        let (seconds, micros) = time.strip_suffix(':').unwrap().split_once('.').unwrap();
        assert!(
            seconds.parse::<u64>().is_ok() && micros.len() == 6,
            "{line}"
        );
        assert!(event.starts_with("dma_fence_") && context.starts_with("context="));
    }
}

#[test]
fn other_events_are_left_out() {
    let recorder = FtraceWriter::new(Vec::new());
    with_default(recorder.clone(), || {
        let _span = tracing::info_span!("frame").entered();
        tracing::error!("not ours");
    });
    let text = String::from_utf8(recorder.finish().unwrap()).unwrap();
    assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
}

/// Takes `room` bytes, then fails each time in another way.
struct Disk {
    room: usize,
    attempts: Arc<Mutex<u32>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room < bytes.len() {
            let mut attempts = self.attempts.lock().unwrap();
            *attempts += 1;
            return Err(io::Error::other(format!("full, attempt {attempts}")));
        }
        self.room -= bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_disturbs_nobody() {
    let attempts = Arc::new(Mutex::new(0));
    let recorder = FtraceWriter::new(Disk {
        room: 100_000,
        attempts: Arc::clone(&attempts),
    });
    let ring = Timeline::new("gfx");
    with_default(recorder.clone(), || {
        for _ in 0..2_000 {
            let job = ring.issue().unwrap();
            let fence = job.fence().clone();
            job.signal();
            assert_eq!(fence.status(), FenceStatus::Signaled);
        }
    });
    let error = recorder.finish().err().expect("the disk was full");
    let text = error.to_string();
    assert!(text.starts_with("full, attempt 1; up to "), "{text}");
    assert_eq!(*attempts.lock().unwrap(), 1, "the first error is the last");
    assert!(
        recorder.finish().is_err(),
        "there is nothing left to give back"
    );
}

struct Panics;

impl Write for Panics {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        panic!("a writer's own fault")
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_panics_is_an_error_of_the_recording() {
    let recorder = FtraceWriter::new(Panics);
    with_default(recorder.clone(), || drop(Timeline::new("gfx").issue()));
    let error = recorder.finish().err().expect("it panicked");
    assert!(
        error
            .to_string()
            .starts_with("the writer panicked; up to 4 "),
        "{error}"
    );
}

/// A pipe that nobody reads.
struct Stuck(mpsc::Receiver<()>, mpsc::Sender<()>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _test_over = self.1.send(());
        let _released = self.0.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_blocks_holds_up_one_thread_and_no_other() {
    let (release, released) = mpsc::channel();
    let (stuck, is_stuck) = mpsc::channel();
    let recorder = FtraceWriter::new(Stuck(released, stuck));
    let ring = Timeline::new("gfx");
    let work = |jobs| {
        let (recorder, ring) = (recorder.clone(), ring.clone());
        std::thread::spawn(move || {
            with_default(recorder, || {
                for _ in 0..jobs {
                    drop(ring.issue());
                }
            });
        })
    };
    let unlucky = work(1_000);
    is_stuck.recv().unwrap();
    let (done, finished) = mpsc::channel();
    let other = work(1_000);
    std::thread::spawn(move || done.send(other.join().is_ok()));
    let watchdog = Duration::from_secs(60);
    assert_eq!(finished.recv_timeout(watchdog), Ok(true), "held up as well");
    drop(release);
    unlucky.join().unwrap();
    recorder.finish().unwrap();
}
