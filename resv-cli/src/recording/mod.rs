//! Reading a recording: text lines in, typed GPU events out, and an account of every line.
//!
//! A *recording* is what a Linux tracer printed: `trace-cmd report`, the tracefs file `trace`, `perf script`, or the same
//! with nanoseconds. The four differ in the columns before the event name and agree on the rest, so the form is recognised
//! per line and files may be mixed:
//!
//! ```text
//!           <idle>-0     [003] d.h1.  5021.103422: dma_fence_signaled:   driver=amdgpu ...       trace-cmd report
//!           worker-812   (    800) [001] .....  5021.103422: drm_sched_job_done: fence=57:4 ...   tracefs, with its TGID column
//! shell  1128/1130 [003]  5021.103422: gpu_scheduler:drm_sched_job_done: fence=57:4 ...           perf script
//! worker-812 [001] 5021.103422117: drm_sched_job_done: fence=57:4 signaled                        with nanoseconds
//! ```
//!
//! | module  | idea |
//! |---------|------|
//! | `line`  | the columns of a line: task, processor, time, event; or what else the line is |
//! | `event`, `request`, `watchdog` | the events this program understands, as types |
//! | `fields`, `fault` | the fields of an event, found by name, and what can be wrong with one |
//! | `foreign` | events of GPU drivers that this program does not understand, and what to record instead |
//! | `stats` | the account: each line is an event, something known to be no event, or skipped for a stated reason |
//! | `container`, `convert` | what a file is by its first bytes, and the programs that turn binary recordings into text |
//! | `open`  | from a path or standard input to lines: gzip, and files that are no text at all |
//! | `error` | the faults that end a reading |
//!
//! A [`Reader`] holds one line at a time and at most [`MAX_LINE`] bytes of it, however long the file or the line. A line it
//! cannot use does not end the reading: it is counted in [`ReadStats`] under its reason. Only a fault of the source does (an
//! I/O error, a gzip stream that is damaged or cut off), and then it is the iterator's last item.
//!
//! Events come in file order, which is not always time order: tracers write a buffer per CPU. Steps back in time are counted
//! ([`ReadStats::backwards`]); sorting is left to the caller.
//!
//! ```
//! use resv_cli::recording::{EventKind, Reader};
//!
//! let text = "game-9 [002] 12.000345: drm_sched_job_done: fence=57:4 signaled\n";
//! let mut reader = Reader::new("demo", text.as_bytes());
//! let event = reader.next().expect("one line").expect("readable");
//! assert_eq!(event.time_ns, 12_000_345_000);
//! assert!(matches!(event.kind, EventKind::Done { .. }));
//! assert_eq!(reader.stats().events, 1);
//! ```

mod container;
mod convert;
mod error;
mod event;
mod fault;
mod fields;
mod foreign;
mod line;
mod open;
mod parse;
mod request;
mod stats;
#[cfg(test)]
mod tests;
mod watchdog;

use std::io::{self, BufRead};
use std::iter::FusedIterator;

pub use container::{BinaryKind, Converter};
pub use error::ReadError;
pub use event::{
    DependencyEvent, DependencyKind, Event, EventKind, FenceEvent, FenceStep, JobEvent, JobKey,
    JobSource, MoveEvent, RequestDone, Waiter,
};
pub use fault::FieldFault;
pub use fields::parse_address;
pub use foreign::{Foreign, foreign};
pub use open::{ByteCount, open, open_stream};
pub use stats::{ReadStats, SkipCount, SkipReason, Skipped};

use line::Line;

/// The longest line that is read, in bytes without its line end. A longer one is skipped and never held.
pub const MAX_LINE: usize = 64 * 1024;

/// An iterator over the events of a recording.
///
/// `Err` is the last item if it comes. [`Reader::stats`] can be asked at any time; [`Reader::finish`] judges the whole.
pub struct Reader<R> {
    name: String,
    source: R,
    buffer: Vec<u8>,
    account: Account,
    bytes: Bytes,
    gzip: bool,
    ended: bool,
}

/// Where the number of bytes read comes from.
enum Bytes {
    /// Counted below the decompressor, as the file has them.
    Below(ByteCount),
    /// Counted here, as lines are taken.
    Here(u64),
}

/// What [`Reader::fetch`] found.
enum Fetched {
    Line,
    TooLong,
    End,
}

impl<R: BufRead> Reader<R> {
    /// Reads `source`, plain text, under `name`, which messages use. To have gzip and binary files recognised, use [`open`]
    /// or [`open_stream`].
    pub fn new(name: impl Into<String>, source: R) -> Self {
        Reader {
            name: name.into(),
            source,
            buffer: Vec::new(),
            account: Account::default(),
            bytes: Bytes::Here(0),
            gzip: false,
            ended: false,
        }
    }

    fn counted(name: String, source: R, bytes: ByteCount, gzip: bool) -> Self {
        Reader {
            bytes: Bytes::Below(bytes),
            gzip,
            ..Reader::new(name, source)
        }
    }

    /// The name that messages use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The account so far.
    pub fn stats(&self) -> &ReadStats {
        &self.account.stats
    }

    /// Bytes read so far: for a gzip file the compressed ones, read ahead by at most a buffer.
    pub fn bytes_read(&self) -> u64 {
        match &self.bytes {
            Bytes::Below(count) => count.read(),
            Bytes::Here(count) => *count,
        }
    }

    /// Bytes there are to read, in the measure of [`Reader::bytes_read`]; `None` for a pipe.
    pub fn bytes_total(&self) -> Option<u64> {
        match &self.bytes {
            Bytes::Below(count) => count.total(),
            Bytes::Here(_) => None,
        }
    }

    /// A counter that goes on with the reading, for a progress bar; `None` for a reader made by [`Reader::new`].
    pub fn byte_count(&self) -> Option<ByteCount> {
        match &self.bytes {
            Bytes::Below(count) => Some(count.clone()),
            Bytes::Here(_) => None,
        }
    }

    /// Judges what was read, to be called after the last item.
    ///
    /// # Errors
    /// [`ReadError::NoGpuEvent`] if no line held an event that this program understands.
    pub fn finish(&self) -> Result<&ReadStats, ReadError> {
        let stats = self.stats();
        if stats.known() == 0 {
            return Err(ReadError::no_gpu_event(&self.name, stats));
        }
        Ok(stats)
    }

    /// Takes one line into the buffer, without its line end. On an error the buffer holds what came of the line.
    fn fetch(&mut self) -> io::Result<Fetched> {
        self.buffer.clear();
        let mut too_long = false;
        let mut begun = false;
        loop {
            let chunk = match self.source.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if part.is_empty() && end.is_none() {
                return Ok(match (begun, too_long) {
                    (false, _) => Fetched::End,
                    (true, false) => Fetched::Line,
                    (true, true) => Fetched::TooLong,
                });
            }
            begun = true;
            // One byte more than the limit, for a carriage return.
            too_long |= self.buffer.len() + part.len() > MAX_LINE + 1;
            if !too_long {
                self.buffer.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.source.consume(used);
            if let Bytes::Here(count) = &mut self.bytes {
                *count += used as u64;
            }
            if end.is_some() {
                return Ok(if too_long {
                    Fetched::TooLong
                } else {
                    Fetched::Line
                });
            }
        }
    }

    /// The fault of a recording of which more than `most` things would have to be kept.
    pub(crate) fn too_many(&mut self, most: usize) -> ReadError {
        self.ended = true;
        ReadError::TooMany {
            name: self.name.clone(),
            line: self.stats().lines,
            events: self.stats().events,
            most,
        }
    }

    fn fault(&mut self, error: io::Error) -> ReadError {
        if !self.buffer.is_empty() {
            self.account.stats.lines += 1;
            self.account.skip(SkipReason::CutOff);
        }
        let stats = &self.account.stats;
        // The fault is on the line that was begun, or on the one that would come next.
        let line = stats.lines + u64::from(self.buffer.is_empty());
        ReadError::of_source(&self.name, line, stats.events, self.gzip, error)
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.fetch() {
                Ok(Fetched::Line) => {
                    if let Some(event) = self.account.judge(&self.buffer) {
                        return Some(Ok(event));
                    }
                }
                Ok(Fetched::TooLong) => {
                    self.account.stats.lines += 1;
                    self.account.skip(SkipReason::TooLong);
                }
                Ok(Fetched::End) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(self.fault(error)));
                }
            }
        }
        None
    }
}

impl<R: BufRead> FusedIterator for Reader<R> {}

/// The statistics and the two things about earlier lines that judging the next one needs.
#[derive(Default)]
struct Account {
    stats: ReadStats,
    last_ns: Option<u64>,
    in_call_chain: bool,
}

impl Account {
    fn skip(&mut self, reason: SkipReason) {
        self.in_call_chain = false;
        let line = self.stats.lines;
        self.stats.skipped.add(reason, line);
    }

    /// Counts one line, and gives its event if it is one.
    fn judge(&mut self, raw: &[u8]) -> Option<Event> {
        self.stats.lines += 1;
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let raw = match raw.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if self.stats.lines == 1 => rest,
            _ => raw,
        };
        if raw.len() > MAX_LINE {
            self.skip(SkipReason::TooLong);
            return None;
        }
        if raw.contains(&0) {
            self.skip(SkipReason::Nul);
            return None;
        }
        let Ok(text) = std::str::from_utf8(raw) else {
            self.skip(SkipReason::NotUtf8);
            return None;
        };
        let in_call_chain = std::mem::take(&mut self.in_call_chain);
        match line::classify(text, in_call_chain) {
            Line::Blank => self.stats.blank += 1,
            Line::Header => self.stats.headers += 1,
            Line::CallChain => {
                self.stats.call_chain += 1;
                self.in_call_chain = true;
            }
            Line::Lost(count) => {
                self.stats.loss_reports += 1;
                self.stats.lost_events = self.stats.lost_events.saturating_add(count);
            }
            Line::Bad(reason) => self.skip(reason),
            Line::Event(head) => match parse::parse(head.name, head.fields) {
                Ok(parse::Parsed { kind, name }) => {
                    let event = Event {
                        time_ns: head.time_ns,
                        cpu: head.cpu,
                        comm: head.comm.to_owned(),
                        pid: head.pid,
                        line: self.stats.lines,
                        kind,
                    };
                    self.stats.count(&event, name, self.last_ns);
                    self.last_ns = Some(event.time_ns);
                    return Some(event);
                }
                Err(fault) => self.skip(SkipReason::Field(fault)),
            },
        }
        None
    }
}
