//! Text files read line by line, in bounded memory: what a scenario comes from.

use crate::failure::Failure;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// The name of `path` in messages.
pub fn display_name(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// Opens the file at `path`, or standard input for `-`.
///
/// # Errors
///
/// When it cannot be opened, or is a directory.
pub fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let name = display_name(path);
    let cannot = |error: io::Error| {
        Failure::at(
            &name,
            format_args!("cannot open: {error}; name a file that can be read"),
        )
    };
    let file = File::open(path).map_err(cannot)?;
    if file.metadata().map_err(cannot)?.is_dir() {
        return Err(Failure::at(&name, "is a directory; name a file in it"));
    }
    Ok(Box::new(BufReader::new(file)))
}

/// The size of the file at `path`, if it has one.
pub fn size(path: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// The lines of a text, without their ends, numbered from 1.
pub struct Lines<R> {
    name: String,
    source: R,
    number: usize,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `source`, which messages call `name`.
    pub fn new(name: impl Into<String>, source: R) -> Self {
        Lines {
            name: name.into(),
            source,
            number: 0,
            buffer: Vec::new(),
        }
    }

    /// The next line and its number; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the source cannot be read, or the line is longer than [`MAX_LINE`] or is not text.
    pub fn next_line(&mut self) -> Result<Option<(usize, &str)>, Failure> {
        self.buffer.clear();
        self.number += 1;
        let place = format!("{}:{}", self.name, self.number);
        let limit = MAX_LINE as u64 + 1;
        let read = (&mut self.source)
            .take(limit)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error| Failure::at(&place, format_args!("cannot read: {error}")))?;
        if read == 0 {
            return Ok(None);
        }
        if self.buffer.starts_with(&[0x1f, 0x8b]) && self.number == 1 {
            return Err(Failure::at(
                &place,
                "this is gzip data, expected plain text: decompress it first (gunzip)",
            ));
        }
        if read > MAX_LINE {
            return Err(Failure::at(
                &place,
                format_args!("the line is longer than {MAX_LINE} bytes, expected a statement"),
            ));
        }
        if self.buffer.contains(&0) {
            return Err(Failure::at(
                &place,
                "the line has a NUL byte, expected a text file",
            ));
        }
        match str::from_utf8(&self.buffer) {
            Ok(line) => {
                let line = line.strip_suffix('\n').unwrap_or(line);
                Ok(Some((self.number, line.strip_suffix('\r').unwrap_or(line))))
            }
            Err(error) => Err(Failure::at(
                &place,
                format_args!(
                    "byte {} of the line is not UTF-8, expected a text file",
                    error.valid_up_to() + 1
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<String>, String> {
        let mut lines = Lines::new("f", bytes);
        let mut found = Vec::new();
        loop {
            match lines.next_line() {
                Ok(Some((number, line))) => found.push(format!("{number}:{line}")),
                Ok(None) => return Ok(found),
                Err(failure) => return Err(failure.to_string()),
            }
        }
    }

    #[test]
    fn lines_are_numbered_and_lose_their_ends() {
        assert_eq!(all(b"").as_deref(), Ok(&[][..]));
        let found = all(b"a\r\n\nb").expect("text");
        assert_eq!(found, ["1:a", "2:", "3:b"]);
    }

    #[test]
    fn what_is_no_text_names_its_place() {
        assert!(all(b"a\n\xff\n").is_err_and(|e| e.starts_with("f:2: byte 1")));
        assert!(all(b"a\n\0\n").is_err_and(|e| e.starts_with("f:2: the line has a NUL")));
        assert!(all(b"\x1f\x8b\x08").is_err_and(|e| e.contains("gzip")));
    }

    #[test]
    fn a_line_without_end_is_not_read_into_memory() {
        let endless = io::BufReader::new(io::repeat(b'x'));
        let mut lines = Lines::new("f", endless);
        let failure = lines.next_line().expect_err("too long").to_string();
        assert!(failure.starts_with("f:1: the line is longer"), "{failure}");
        assert!(lines.buffer.capacity() <= 2 * (MAX_LINE + 1));
    }
}
