//! Why a script ended.

use std::fmt;

/// A line that is wrong: which, what is wrong with it, and what was expected.
///
/// Printed as `LINE: what is wrong, and what was expected`, so a program that knows the name of the
/// file puts that and a colon before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    line: usize,
    message: String,
}

impl ScenarioError {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        ScenarioError {
            line,
            message: message.into(),
        }
    }

    /// The number of the line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is wrong, and what was expected.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.message)
    }
}

impl std::error::Error for ScenarioError {}
