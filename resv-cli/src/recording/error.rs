//! The faults that end a reading. Each message names the place, the cause and the remedy.

use std::fmt;
use std::io;

use super::container::{BinaryKind, Converter, ConverterFault};
use super::foreign::{Foreign, foreign};
use super::stats::{ReadStats, SkipCount};

/// How many drivers whose events are not understood are named.
const FOREIGN_NAMED: usize = 4;

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
        /// It is inside a gzip file.
        is_inside: bool,
    },
    /// The program that turns it into text is not installed.
    NoConverter {
        /// The recording.
        name: String,
        /// The program.
        converter: Converter,
    },
    /// The program that turns it into text failed.
    Converter {
        /// The recording.
        name: String,
        /// The line of its output within which it failed, from 1.
        line: u64,
        /// Events before it.
        events: u64,
        /// What went wrong.
        fault: String,
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
    /// There is more in it than is kept.
    TooMany {
        /// The recording.
        name: String,
        /// The line up to which it was read.
        line: u64,
        /// Events up to there.
        events: u64,
        /// How much is kept.
        most: usize,
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
        example: Option<Box<str>>,
        /// Events of GPU drivers among them.
        foreign: Box<[Foreign]>,
        /// Lines skipped.
        skipped: u64,
        /// Why the first of them was skipped, and its number.
        reason: Option<(String, u64)>,
    },
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
        if let Some(fault) = source
            .get_ref()
            .and_then(|fault| fault.downcast_ref::<ConverterFault>())
        {
            return ReadError::Converter {
                name,
                line,
                events,
                fault: fault.to_string(),
            };
        }
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
        let first = |entry: &SkipCount| entry.lines.first().copied().unwrap_or(u64::MAX);
        let reasons = stats.skipped.reasons.iter();
        let reason = reasons.min_by_key(|(_, entry)| first(entry));
        ReadError::NoGpuEvent {
            name: name.to_owned(),
            lines: stats.lines,
            others: stats.events,
            example: example.map(|(name, _)| name.as_str().into()),
            foreign: foreign(&stats.other).into(),
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
            ReadError::Binary {
                name,
                kind,
                is_inside,
            } => {
                write!(f, "{name}: this is ")?;
                if *is_inside {
                    f.write_str("gzip of ")?;
                }
                binary(f, name, *kind, *is_inside)
            }
            ReadError::NoConverter { name, converter } => write!(
                f,
                "{name}: this is {}, and {} is not installed: install it ({}), or run '{}' where it is and give its output",
                converter.format(),
                converter.program(),
                converter.package(),
                converter.command_line(name)
            ),
            ReadError::Converter {
                name,
                line,
                events,
                fault,
            } => write!(
                f,
                "{name}: {fault}: {events} events before line {line} of its output were read"
            ),
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
            ReadError::TooMany {
                name,
                line,
                events,
                most,
            } => write!(
                f,
                "{name}:{line}: more than {most} events of jobs, fences and waits: {events} events before it were read; \
                 give a part of the recording"
            ),
            ReadError::NoGpuEvent {
                name,
                lines,
                others,
                example,
                foreign,
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
                    ": record with 'trace-cmd record -e gpu_scheduler -e dma_fence' (and '-e amdgpu' or '-e i915' where that is the driver)",
                )?;
                for (at, found) in foreign.iter().take(FOREIGN_NAMED).enumerate() {
                    let Foreign {
                        driver,
                        events,
                        example,
                        instead,
                    } = found;
                    let joint = if at == 0 { ". Found" } else { ";" };
                    write!(
                        f,
                        "{joint} {events} of {driver} ('{example}'): record '{instead}' instead"
                    )?;
                }
                Ok(())
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

fn binary(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    kind: BinaryKind,
    is_inside: bool,
) -> fmt::Result {
    match kind {
        BinaryKind::Converted(converter) if is_inside => write!(
            f,
            "{}: unpack it with 'gzip -d' and give the file",
            converter.format()
        ),
        BinaryKind::Converted(converter) => write!(
            f,
            "{}: give the file by its name, or run '{}' and give its output",
            converter.format(),
            converter.command_line(name)
        ),
        BinaryKind::Compressed(program) => write!(
            f,
            "compressed, and not by gzip: unpack it with '{program}' and give the text"
        ),
        BinaryKind::Archive(program) => write!(
            f,
            "an archive of files: unpack it with '{program}' and give the recording in it"
        ),
        BinaryKind::CompressedAtrace => f.write_str(
            "what 'atrace -z' writes, compressed: record without '-z', or decompress what follows the line TRACE: with 'zlib-flate -uncompress' and give the text",
        ),
        BinaryKind::ChromeJson => f.write_str(
            "Chrome trace JSON, which has no fences: give the recording that it was made from, or record with 'trace-cmd record -e dma_fence -e gpu_scheduler'",
        ),
        BinaryKind::Ctf => f.write_str(
            "a trace in the Common Trace Format (LTTng): its events are not those of ftrace; record with 'trace-cmd record -e dma_fence -e gpu_scheduler'",
        ),
        BinaryKind::Utf16 => f.write_str("text in UTF-16: convert it with 'iconv -f UTF-16 -t UTF-8' and give that"),
    }
}
