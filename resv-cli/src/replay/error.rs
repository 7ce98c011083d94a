//! Why a play could not be carried out.

use std::fmt;

use resv_api::{NotCompiledIn, ReserveError};
use resv_core::SeqnoError;

/// Why a play could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlayError {
    /// This build is without the back end.
    NotCompiledIn(NotCompiledIn),
    /// An object could not get memory.
    Memory(ReserveError),
    /// A fence could not be issued.
    Seqno(SeqnoError),
    /// Under the rule jobs depend on more others than is kept: on the order of every pair of them.
    TooMany {
        /// How many dependencies are kept.
        most: usize,
    },
    /// The threads of a stress run could not be started.
    Threads(String),
}

impl fmt::Display for PlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlayError::NotCompiledIn(error) => error.fmt(f),
            PlayError::Memory(error) => error.fmt(f),
            PlayError::Seqno(error) => error.fmt(f),
            PlayError::TooMany { most } => write!(
                f,
                "more than {most} dependencies under this rule: name one under which fewer jobs share a buffer (--buffers private), or give a part of the recording"
            ),
            PlayError::Threads(why) => write!(f, "cannot start the threads: {why}"),
        }
    }
}

impl std::error::Error for PlayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PlayError::NotCompiledIn(error) => Some(error),
            PlayError::Memory(error) => Some(error),
            PlayError::Seqno(error) => Some(error),
            PlayError::Threads(_) | PlayError::TooMany { .. } => None,
        }
    }
}

impl From<NotCompiledIn> for PlayError {
    fn from(error: NotCompiledIn) -> Self {
        PlayError::NotCompiledIn(error)
    }
}

impl From<ReserveError> for PlayError {
    fn from(error: ReserveError) -> Self {
        PlayError::Memory(error)
    }
}

impl From<SeqnoError> for PlayError {
    fn from(error: SeqnoError) -> Self {
        PlayError::Seqno(error)
    }
}
