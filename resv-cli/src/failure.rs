//! How a run ends that cannot go on: one message that names place, cause and remedy.

use std::fmt;

/// The message for standard error; the exit status is 2.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure with this message, which names its place itself.
    pub fn new(message: impl fmt::Display) -> Failure {
        Failure(message.to_string())
    }

    /// A failure at `place` (a file, or a file and a line).
    pub fn at(place: impl fmt::Display, what: impl fmt::Display) -> Failure {
        Failure(format!("{place}: {what}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
