//! A subscriber that writes events as Linux' tracer prints them.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber, level_filters::LevelFilter, span};

/// What has been written is handed to the writer in pieces of about this size, in bytes.
const CHUNK: usize = 64 << 10;
/// While the writer takes nothing, at most this much waits for it, in bytes.
const BACKLOG: usize = 64 << 20;

/// The targets of the events of fences, and of objects.
const FENCES: &str = "dma_fence";
const OBJECTS: &str = "resv";

const HEADER: &str = "\
# tracer: nop
#
# Recorded by resv: of its own fences and reservation objects, in this process only.
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
";

/// Writes the events of fences and objects as text, in the layout of the tracefs file `trace`.
///
/// ```text
///           client-4711    [003] .....  5021.103422: dma_fence_signaled: driver=resv timeline=gfx context=1 seqno=1
/// ```
///
/// That is: the thread's name and id, the CPU, a column of flags that says nothing, the seconds of
/// the monotonic clock, the event, its fields; the context and the seqno of a fence are printed
/// modulo 2^32, as Linux does, except in events that Linux has not. A kernel trace recorded with
/// `trace_clock=mono` has the same time. `resv replay` reads it.
///
/// It is a [`Subscriber`], to be set for the process or for a thread. A clone writes to the same
/// place: keep one to [`finish`](FtraceWriter::finish). Where there is a subscriber already, have it
/// call [`record`](FtraceWriter::record).
///
/// ```
/// use resv_api::{Timeline, trace::FtraceWriter};
///
/// let recorder = FtraceWriter::new(Vec::new());
/// tracing::subscriber::with_default(recorder.clone(), || {
///     Timeline::new("gfx").issue().map(|job| job.signal())
/// })?;
/// let text = String::from_utf8(recorder.finish()?)?;
/// assert!(text.contains(": dma_fence_signaled: driver=resv timeline=gfx context="));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it costs the users of fences
///
/// A line is made on the thread that it is about, in memory that the thread keeps; the system is asked for the thread's name now
/// and then, so a thread that renames itself goes by its old name for up to 256 events. Lines are gathered in memory; a thread that finds 64 KiB of
/// them writes them out, and everybody else goes on meanwhile. A writer that blocks for ever, such as
/// a pipe that nobody reads, thus blocks one thread, for ever: give a file. While it
/// blocks, up to 64 MiB are gathered; what is beyond is counted and told by a line
/// `CPU:0 [LOST n EVENTS]`, as tracers do.
///
/// # When writing fails
///
/// At the first error the recording ends: what comes after is counted and dropped. No user of
/// fences is told; [`finish`](FtraceWriter::finish) reports it. A writer that panics counts as an
/// error. If the last handle is dropped unfinished, the rest is written and an error is lost.
pub struct FtraceWriter<W: Write + Send + 'static> {
    shared: Arc<Shared<W>>,
}

struct Shared<W: Write> {
    /// Taken before `lines`, and by a thread that records only if it is free.
    sink: Mutex<Sink<W>>,
    lines: Mutex<Lines>,
}

struct Sink<W> {
    /// `None` when finished.
    writer: Option<W>,
    error: Option<io::Error>,
}

struct Lines {
    text: String,
    /// How many events are in it.
    events: u64,
    /// Nothing more is taken: finished, or failed.
    closed: bool,
    /// Events dropped since the last line, for want of memory.
    overrun: u64,
    /// Events not written, for an error.
    unwritten: u64,
}

/// Poison is of no interest: what is behind the locks is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W: Write + Send + 'static> FtraceWriter<W> {
    /// A recorder that writes to `writer`. It need not be buffered.
    pub fn new(writer: W) -> Self {
        FtraceWriter {
            shared: Arc::new(Shared {
                sink: Mutex::new(Sink {
                    writer: Some(writer),
                    error: None,
                }),
                lines: Mutex::new(Lines {
                    text: HEADER.to_owned(),
                    events: 0,
                    closed: false,
                    overrun: 0,
                    unwritten: 0,
                }),
            }),
        }
    }

    /// Writes a line if the event is one of a fence or an object; for subscribers that wrap this one.
    pub fn record(&self, event: &Event<'_>) {
        if !is_ours(event.metadata()) {
            return;
        }
        // All that can be done without the lock, before it; in memory that the thread keeps.
        let mut known = Known::take();
        let mut fields = Fields {
            text: std::mem::take(&mut known.text),
            short: event.metadata().target() == FENCES,
        };
        event.record(&mut fields);
        let name = event.metadata().name();
        self.shared.push(known.task(), name, fields.text.trim_end());
        known.text = fields.text;
        known.put_back();
    }

    /// Ends the recording: writes what is left, flushes, and gives the writer back. Events after this
    /// are dropped.
    ///
    /// # Errors
    ///
    /// The first error of the writer, with the number of events that are missing because of it; or
    /// that the recording has been finished before.
    pub fn finish(&self) -> io::Result<W> {
        self.shared.finish()
    }
}

impl<W: Write> Shared<W> {
    fn push(&self, task: &Task, name: &str, fields: &str) {
        let mut lines = lock(&self.lines);
        if lines.closed {
            lines.unwritten += 1;
            return;
        }
        if lines.text.len() >= BACKLOG {
            lines.overrun += 1;
        } else {
            lines.tell_overrun();
            let Task { comm, pid, cpu } = task;
            // Under the lock, so that lines are in the order of their times.
            let (seconds, micros) = now();
            let written = writeln!(
                lines.text,
                "{comm:>16}-{pid:<7} [{cpu:03}] ..... {seconds:>5}.{micros:06}: {name}: {fields}"
            );
            debug_assert_eq!(written, Ok(()), "a string takes all");
            lines.events += 1;
        }
        let full = lines.text.len() >= CHUNK;
        drop(lines);
        if full {
            match self.sink.try_lock() {
                Ok(mut sink) => self.drain(&mut sink),
                Err(TryLockError::Poisoned(sink)) => self.drain(&mut sink.into_inner()),
                // Another thread is writing, and the next one will find it full again.
                Err(TryLockError::WouldBlock) => {}
            }
        }
    }

    /// Hands what there is to the writer. Only the holder of the sink takes lines out, so
    /// they are written in order.
    fn drain(&self, sink: &mut Sink<W>) {
        let Some(writer) = sink.writer.as_mut().filter(|_| sink.error.is_none()) else {
            return;
        };
        let (text, events) = lock(&self.lines).take();
        let write = AssertUnwindSafe(|| writer.write_all(text.as_bytes()));
        let written =
            catch_unwind(write).unwrap_or_else(|_| Err(io::Error::other("the writer panicked")));
        if let Err(error) = written {
            sink.error = Some(error);
            let mut lines = lock(&self.lines);
            let (_, since) = lines.take();
            lines.closed = true;
            lines.unwritten += events + since;
        }
    }

    fn finish(&self) -> io::Result<W> {
        let mut sink = lock(&self.sink);
        self.drain(&mut sink);
        let unwritten = {
            let mut lines = lock(&self.lines);
            lines.closed = true;
            lines.unwritten
        };
        let Some(mut writer) = sink.writer.take() else {
            return Err(io::Error::other("the recording has been finished before"));
        };
        match sink.error.take() {
            None => writer.flush().map(|()| writer),
            Some(error) => Err(io::Error::new(
                error.kind(),
                format!("{error}; up to {unwritten} events of the recording are lost"),
            )),
        }
    }
}

impl<W: Write> Drop for Shared<W> {
    fn drop(&mut self) {
        // A caller that wants to know of an error asks `finish`.
        let _unfinished = self.finish();
    }
}

impl Lines {
    fn tell_overrun(&mut self) {
        let lost = std::mem::take(&mut self.overrun);
        if lost > 0 {
            self.text.push_str(&format!("CPU:0 [LOST {lost} EVENTS]\n"));
        }
    }

    /// Takes out what is gathered: the text, and how many events are in it.
    fn take(&mut self) -> (String, u64) {
        self.tell_overrun();
        (
            std::mem::take(&mut self.text),
            std::mem::take(&mut self.events),
        )
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && matches!(metadata.target(), FENCES | OBJECTS)
}

impl<W: Write + Send + 'static> Subscriber for FtraceWriter<W> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_ours(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event(&self, event: &Event<'_>) {
        self.record(event);
    }

    // Spans are never enabled.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// A handle to the same recording.
impl<W: Write + Send + 'static> Clone for FtraceWriter<W> {
    fn clone(&self) -> Self {
        FtraceWriter {
            shared: Arc::clone(&self.shared),
        }
    }
}

/// Whether it has been finished or has failed.
impl<W: Write + Send + 'static> fmt::Debug for FtraceWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FtraceWriter")
            .field("closed", &lock(&self.shared.lines).closed)
            .finish_non_exhaustive()
    }
}

/// The fields of an event as `name=value`, with a blank behind each.
struct Fields {
    text: String,
    /// Print numbers modulo 2^32, as Linux prints those of fences.
    short: bool,
}

impl Fields {
    /// What would end the line is replaced: names are free text.
    fn push(&mut self, field: &Field, value: &str) {
        let printable = |c: char| if c.is_control() { '?' } else { c };
        self.text.push_str(field.name());
        self.text.push('=');
        self.text.extend(value.chars().map(printable));
        self.text.push(' ');
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        let value = if self.short {
            value & u64::from(u32::MAX)
        } else {
            value
        };
        let written = write!(self.text, "{}={value} ", field.name());
        debug_assert_eq!(written, Ok(()), "a string takes all");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, &format!("{value:?}"));
    }
}

/// So many events a thread's name is taken to be the same: to ask the system each time would be most of what an event costs.
const NAME_KEPT: u32 = 256;

/// What a thread keeps from one event to the next.
#[derive(Default)]
struct Known {
    task: Option<Task>,
    /// Events for which the name is still good.
    left: u32,
    /// Memory for the fields.
    text: String,
}

thread_local! {
    static KNOWN: Cell<Option<Known>> = const { Cell::new(None) };
}

impl Known {
    /// What this thread knows; nothing while it is taken (an event within an event), or at the thread's end.
    fn take() -> Known {
        let known = KNOWN.try_with(Cell::take).ok().flatten();
        known.unwrap_or_default()
    }

    fn put_back(mut self) {
        self.text.clear();
        let _gone = KNOWN.try_with(|known| known.set(Some(self)));
    }

    /// The task, on the CPU where it is now.
    fn task(&mut self) -> &Task {
        let is_old = self.left == 0;
        self.left = if is_old { NAME_KEPT } else { self.left - 1 };
        if is_old {
            self.task = None;
        }
        let task = self.task.get_or_insert_with(Task::current);
        task.cpu = Task::cpu();
        task
    }
}

/// Which thread is running, and where.
struct Task {
    comm: String,
    pid: i32,
    cpu: usize,
}

impl Task {
    #[cfg(target_os = "linux")]
    fn cpu() -> usize {
        rustix::thread::sched_getcpu()
    }

    #[cfg(not(target_os = "linux"))]
    fn cpu() -> usize {
        0
    }

    #[cfg(target_os = "linux")]
    fn current() -> Task {
        let name = rustix::thread::name();
        Task {
            comm: comm(&name.map_or_else(|_| String::new(), |n| n.to_string_lossy().into_owned())),
            pid: rustix::thread::gettid().as_raw_nonzero().get(),
            cpu: Task::cpu(),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn current() -> Task {
        Task {
            comm: comm(std::thread::current().name().unwrap_or_default()),
            pid: std::process::id().cast_signed(),
            cpu: 0,
        }
    }
}

/// A name as Linux would have it: 15 bytes, on one line, and not empty.
fn comm(name: &str) -> String {
    let printable = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    let name: String = name.trim().chars().take(15).map(printable).collect();
    if name.is_empty() {
        "<...>".to_owned()
    } else {
        name
    }
}

/// Seconds and microseconds of the monotonic clock.
fn now() -> (u64, u64) {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, nanos) = (now.tv_sec.cast_unsigned(), now.tv_nsec.cast_unsigned());
    (seconds, nanos / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_told_as_lost() {
        let recorder = FtraceWriter::new(Vec::new());
        let shared = &recorder.shared;
        let task = Task::current();
        let other_writes = lock(&shared.sink);
        lock(&shared.lines).text = "#\n".repeat(BACKLOG / 2);
        shared.push(&task, "dma_fence_emit", "");
        shared.push(&task, "dma_fence_emit", "");
        drop(other_writes);
        let text = String::from_utf8(recorder.finish().unwrap()).unwrap();
        assert!(text.ends_with("#\nCPU:0 [LOST 2 EVENTS]\n"));
    }
}
