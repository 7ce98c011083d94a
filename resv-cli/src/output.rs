//! Where answers go: standard output, or a file.
//!
//! Whatever was written before something goes wrong is kept, and a closed pipe or a full disk is an
//! error like any other: it is reported and ends the run with status 2.

use crate::failure::Failure;
use std::fs::File;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

/// A buffered destination with a name for error messages.
pub struct Output {
    name: String,
    sink: BufWriter<Sink>,
}

enum Sink {
    Stdout(StdoutLock<'static>),
    File(File),
}

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stdout(stdout) => stdout.write(buf),
            Sink::File(file) => file.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout(stdout) => stdout.flush(),
            Sink::File(file) => file.flush(),
        }
    }
}

impl Output {
    /// The file at `path`, created or emptied; standard output with `None` or `-`.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn open(path: Option<&Path>) -> Result<Output, Failure> {
        let (name, sink) = match path {
            Some(path) if path != Path::new("-") => {
                let name = path.display().to_string();
                let file = File::create(path).map_err(|error| {
                    Failure::at(
                        &name,
                        format_args!("cannot write: {error}; name a file that can be created"),
                    )
                })?;
                (name, Sink::File(file))
            }
            _ => (
                "standard output".to_owned(),
                Sink::Stdout(io::stdout().lock()),
            ),
        };
        Ok(Output {
            name,
            sink: BufWriter::new(sink),
        })
    }

    /// Writes one line.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn line(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        let result = writeln!(self.sink, "{line}");
        self.check(result)
    }

    /// Writes with `write`.
    ///
    /// # Errors
    ///
    /// When something cannot be written.
    pub fn with(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let result = write(&mut self.sink);
        self.check(result)
    }

    /// Sends out what is buffered.
    ///
    /// # Errors
    ///
    /// When something cannot be written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let result = self.sink.flush();
        self.check(result)
    }

    fn check(&self, result: io::Result<()>) -> Result<(), Failure> {
        result.map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::BrokenPipe => "its reader has gone; the rest of the output is lost",
                io::ErrorKind::StorageFull => "make room and run again",
                _ => "the output up to here was written",
            };
            Failure::at(&self.name, format_args!("cannot write: {error}; {remedy}"))
        })
    }
}
