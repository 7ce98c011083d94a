//! Errors that give back what was handed over.

use std::fmt;
use std::io;

/// What was handed over, untouched, and why it was not taken.
#[derive(Debug)]
pub struct GivenBack<T> {
    /// What was handed over.
    pub value: T,
    /// Why it was not taken.
    pub error: io::Error,
}

impl<T> GivenBack<T> {
    pub(crate) fn new(value: T, error: impl Into<io::Error>) -> GivenBack<T> {
        GivenBack {
            value,
            error: error.into(),
        }
    }
}

impl<T> fmt::Display for GivenBack<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T: fmt::Debug> std::error::Error for GivenBack<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// For `?` where only the reason matters: closes what was handed over.
impl<T> From<GivenBack<T>> for io::Error {
    fn from(given_back: GivenBack<T>) -> io::Error {
        given_back.error
    }
}
