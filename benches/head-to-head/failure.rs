//! How a run ends that cannot go on: one line that says where, why, and what to do.

use std::fmt;
use std::io;
use std::path::Path;

/// The line.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Failure {
        Failure(text.into())
    }

    /// `verb` is what was tried with the file.
    pub(crate) fn file(verb: &str, path: &Path, error: &io::Error) -> Failure {
        Failure(format!("cannot {verb} {}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
