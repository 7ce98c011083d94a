//! From a path to a [`Reader`]: what the file is shows in its first bytes, never in its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::Reader;
use super::container::{BinaryKind, Converter, PEEK, kind};
use super::convert;
use super::error::ReadError;

/// Bytes taken from the file at a time.
const BUFFER: usize = 64 * 1024;
/// The name of standard input in messages.
const STDIN: &str = "standard input";

const GZIP: &[u8] = &[0x1f, 0x8b];
/// How far a source has been read; clones look at the same source, so a progress bar may keep one.
#[derive(Debug, Clone)]
pub struct ByteCount {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl ByteCount {
    /// Bytes taken from the source.
    pub fn read(&self) -> u64 {
        // Relaxed: a number to show, which orders nothing.
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes the source has, if it can tell.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

/// Opens a recording, plain, gzip, or one that a program at hand turns into text; `-` is standard input.
///
/// # Errors
/// If the file cannot be opened, is a directory, is empty, has to be unpacked or converted first, or is a gzip file that fails at
/// once.
pub fn open(path: &Path) -> Result<Reader<Box<dyn BufRead + Send>>, ReadError> {
    if path.as_os_str() == "-" {
        return open_stream(STDIN, io::stdin(), None);
    }
    let name = path.display().to_string();
    let failed = |source| ReadError::Open {
        name: path.display().to_string(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(ReadError::Directory { name });
    }
    let size = metadata.is_file().then_some(metadata.len());
    let converter = |error| match error {
        ReadError::Binary {
            kind: BinaryKind::Converted(converter),
            is_inside: false,
            ..
        } if size.is_some() => Ok(converter),
        error => Err(error),
    };
    match open_stream(name.clone(), file, size) {
        Ok(reader) => Ok(reader),
        Err(error) => converted(path, converter(error)?, size.unwrap_or(0)),
    }
}

/// Reads what the converter prints of a file.
fn converted(
    path: &Path,
    converter: Converter,
    size: u64,
) -> Result<Reader<Box<dyn BufRead + Send>>, ReadError> {
    let output = BufReader::with_capacity(BUFFER, convert::start(converter, path, size)?);
    Ok(Reader::new(path.display().to_string(), Box::new(output)))
}

/// Reads a recording, plain or gzip, from any source; `total` is its length in bytes, if known.
///
/// # Errors
/// As [`open`].
pub fn open_stream(
    name: impl Into<String>,
    source: impl Read + Send + 'static,
    total: Option<u64>,
) -> Result<Reader<Box<dyn BufRead + Send>>, ReadError> {
    let name = name.into();
    let count = ByteCount {
        read: Arc::new(AtomicU64::new(0)),
        total,
    };
    let counted = Counting {
        inner: source,
        read: Arc::clone(&count.read),
    };
    let fault = |gzip| {
        let name = name.clone();
        move |error| ReadError::of_source(&name, 1, 0, gzip, error)
    };
    let (start, stream) = peek(BufReader::with_capacity(BUFFER, counted)).map_err(fault(false))?;
    if !start.starts_with(GZIP) {
        check(&name, &start, false)?;
        return Ok(Reader::counted(name, Box::new(stream), count, false));
    }
    let unpacked = BufReader::with_capacity(BUFFER, MultiGzDecoder::new(stream));
    let (start, stream) = peek(unpacked).map_err(fault(true))?;
    check(&name, &start, true)?;
    Ok(Reader::counted(name, Box::new(stream), count, true))
}

/// Refuses what is empty or known not to be text; `is_inside` a gzip file.
fn check(name: &str, start: &[u8], is_inside: bool) -> Result<(), ReadError> {
    let name = name.to_owned();
    if start.is_empty() {
        return Err(ReadError::Empty { name });
    }
    let found = match kind(start) {
        None if start.starts_with(GZIP) => Some(BinaryKind::Compressed("gzip -d")),
        found => found,
    };
    match found {
        Some(kind) => Err(ReadError::Binary {
            name,
            kind,
            is_inside,
        }),
        None => Ok(()),
    }
}

/// Looks at the first bytes of a stream (fewer only if there are no more) and gives the stream back whole.
#[allow(clippy::type_complexity)]
fn peek<R: BufRead>(mut stream: R) -> io::Result<(Vec<u8>, Chain<Cursor<Vec<u8>>, R>)> {
    let mut start = Vec::with_capacity(PEEK);
    stream.by_ref().take(PEEK as u64).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start).chain(stream)))
}

/// Counts what is read through it.
struct Counting<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        // Relaxed: as in `ByteCount::read`.
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
