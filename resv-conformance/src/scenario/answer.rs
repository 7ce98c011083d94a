//! What a query is told.

use super::ast::{Name, Statement};
use resv_core::{FenceError, FenceStatus, Usage};
use std::fmt;

/// The answer to one query.
///
/// Printed as `STATEMENT: ANSWER`, with a dash where there is no fence:
/// `waits fb write: gfx:1 dma:4`, `idle fb read: true`, `failure fb read: errno 5`, `list fb: gfx:1=write`, `status f1: ok`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The line of the query, counted from 1.
    pub line: usize,
    /// The query; its canonical text is [`to_string`](ToString::to_string).
    pub statement: Statement,
    /// What it is told.
    pub value: Value,
}

/// What a query is told, by kind of query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `waits`, `wait` and `ask`: the pending fences that the access must wait for, each once, in order of the
    /// declaration of their timelines, then of seqno.
    Waits(Vec<FenceLabel>),
    /// `asked`: how often the fence was asked for its work.
    Asked(usize),
    /// `idle`: whether the access has nothing to wait for.
    Idle(bool),
    /// `failure`: the error by which the content is broken for the access.
    Failure(Option<FenceError>),
    /// `list`: the pending entries, in the same order, then strongest usage first.
    List(Vec<Listed>),
    /// `status`.
    Status(FenceStatus),
}

/// A fence as answers name it: `TIMELINE:SEQNO`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FenceLabel {
    /// The name of the timeline.
    pub timeline: Name,
    /// The position on it.
    pub seqno: u64,
}

/// One entry of an object: `TIMELINE:SEQNO=USAGE`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listed {
    /// The fence.
    pub fence: FenceLabel,
    /// The usage under which the object's semantics keeps it.
    pub usage: Usage,
}

/// The word of `status`: `pending`, `ok` or `error`.
pub const fn status_word(status: FenceStatus) -> &'static str {
    match status {
        FenceStatus::Pending => "pending",
        FenceStatus::Signaled => "ok",
        FenceStatus::Error(_) => "error",
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.statement, self.value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Waits(fences) => words(f, fences),
            Value::Asked(count) => write!(f, "{count}"),
            Value::Idle(idle) => write!(f, "{idle}"),
            Value::Failure(None) => f.write_str("-"),
            Value::Failure(Some(error)) => write!(f, "errno {}", error.errno()),
            Value::List(entries) => words(f, entries),
            Value::Status(status) => f.write_str(status_word(*status)),
        }
    }
}

fn words(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    match items.split_first() {
        None => f.write_str("-"),
        Some((first, rest)) => {
            write!(f, "{first}")?;
            rest.iter().try_for_each(|item| write!(f, " {item}"))
        }
    }
}

impl fmt::Display for FenceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.timeline, self.seqno)
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.fence, self.usage)
    }
}
