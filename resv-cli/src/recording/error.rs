//! The faults that end a reading. Each message names the place, the cause and the remedy.

use std::fmt;
use std::io;

use super::stats::ReadStats;

/// Why a recording could not be read, or not to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be opened.
    Open {
        /// The recording.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The path is a directory.
    Directory {
        /// The path.
        name: String,
    },
    /// There is not one byte, or a gzip file of none.
    Empty {
        /// The recording.
        name: String,
    },
    /// The file is no text, but can be turned into it.
    Binary {
        /// The recording.
        name: String,
        /// What it is.
        kind: BinaryKind,
    },
    /// The gzip stream ends before its end mark.
    CutOff {
        /// The recording.
        name: String,
        /// The line within which it ends, from 1.
        line: u64,
        /// Events before it.
        events: u64,
    },
    /// The gzip stream is not what gzip writes.
    Damaged {
        /// The recording.
        name: String,
        /// The line within which it fails, from 1.
        line: u64,
        /// Events before it.
        events: u64,
        /// What the decompressor says.
        source: io::Error,
    },
    /// Reading failed.
    Io {
        /// The recording.
        name: String,
        /// The line within which it failed, from 1.
        line: u64,
        /// Events before it.
        events: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The whole recording holds no event that this program understands.
    NoGpuEvent {
        /// The recording.
        name: String,
        /// Its lines.
        lines: u64,
        /// Events of other kinds.
        others: u64,
        /// The most frequent other kind.
        example: Option<String>,
        /// Lines skipped.
        skipped: u64,
        /// The most frequent reason for skipping, and the first line it applied to.
        reason: Option<(String, u64)>,
    },
}

/// Files that are not text and are recognised by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BinaryKind {
    /// What `trace-cmd record` writes (`trace.dat`).
    TraceCmd,
    /// What `perf record` writes (`perf.data`).
    Perf,
    /// A compressed file other than gzip; the name of the program that unpacks it.
    Compressed(&'static str),
}

impl ReadError {
    /// The error for a source that failed on `line`.
    pub(super) fn of_source(
        name: &str,
        line: u64,
        events: u64,
        gzip: bool,
        source: io::Error,
    ) -> Self {
        let name = name.to_owned();
        match source.kind() {
            io::ErrorKind::UnexpectedEof if gzip => ReadError::CutOff { name, line, events },
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if gzip => {
                ReadError::Damaged {
                    name,
                    line,
                    events,
                    source,
                }
            }
            _ => ReadError::Io {
                name,
                line,
                events,
                source,
            },
        }
    }

    pub(super) fn no_gpu_event(name: &str, stats: &ReadStats) -> Self {
        let example = stats.other.iter().max_by_key(|(_, count)| **count);
        let reason = stats
            .skipped
            .reasons
            .iter()
            .max_by_key(|(_, entry)| entry.count);
        ReadError::NoGpuEvent {
            name: name.to_owned(),
            lines: stats.lines,
            others: stats.events,
            example: example.map(|(name, _)| name.clone()),
            skipped: stats.skipped.total,
            reason: reason.map(|(reason, entry)| {
                (
                    reason.to_string(),
                    entry.lines.first().copied().unwrap_or(0),
                )
            }),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Open { name, source } => write!(f, "{name}: cannot open: {}", Plain(source)),
            ReadError::Directory { name } => write!(
                f,
                "{name}: this is a directory: expected a recording, a text file or '-' for standard input"
            ),
            ReadError::Empty { name } => write!(
                f,
                "{name}: empty: expected a recording, the text that 'trace-cmd report', tracefs or 'perf script' gives"
            ),
            ReadError::Binary { name, kind } => match kind {
                BinaryKind::TraceCmd => write!(
                    f,
                    "{name}: this is a binary trace-cmd file (trace.dat): run 'trace-cmd report {name}' and give its output"
                ),
                BinaryKind::Perf => write!(
                    f,
                    "{name}: this is a binary perf file (perf.data): run 'perf script -i {name}' and give its output"
                ),
                BinaryKind::Compressed(program) => write!(
                    f,
                    "{name}: this is compressed, and not by gzip: unpack it with '{program}' and give the text"
                ),
            },
            ReadError::CutOff { name, line, events } => write!(
                f,
                "{name}:{line}: the gzip stream is cut off: {events} events before it were read; \
                 get the whole file, or unpack what is there with 'gzip -dc' and give the text"
            ),
            ReadError::Damaged {
                name,
                line,
                events,
                source,
            } => write!(
                f,
                "{name}:{line}: the gzip stream is damaged ({}): {events} events before it were read; get the file again",
                Plain(source)
            ),
            ReadError::Io {
                name,
                line,
                events,
                source,
            } => write!(
                f,
                "{name}:{line}: cannot read on: {}: {events} events before it were read",
                Plain(source)
            ),
            ReadError::NoGpuEvent {
                name,
                lines,
                others,
                example,
                skipped,
                reason,
            } => {
                write!(f, "{name}: no GPU event found in {lines} lines")?;
                if let Some(example) = example {
                    write!(f, ", {others} of them other events ('{example}' the most)")?;
                }
                if let Some((reason, line)) = reason {
                    write!(
                        f,
                        ", {skipped} of them skipped (first at line {line}: {reason})"
                    )?;
                }
                f.write_str(
                    ": record with 'trace-cmd record -e gpu_scheduler -e dma_fence' (and '-e amdgpu' where it is the driver)",
                )
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ReadError::Open { source, .. }
            | ReadError::Damaged { source, .. }
            | ReadError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// An I/O error without the number that the standard library adds.
struct Plain<'a>(&'a io::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let end = text.find(" (os error").unwrap_or(text.len());
        f.write_str(&text[..end])
    }
}
