//! What can be wrong with a field of an event.

use std::fmt;

/// What is wrong with a field of a known event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldFault {
    /// The field is not there.
    Missing {
        /// The event's name.
        event: &'static str,
        /// The field's name.
        field: &'static str,
    },
    /// The field does not hold what it should.
    Malformed {
        /// The event's name.
        event: &'static str,
        /// The field's name.
        field: &'static str,
    },
    /// The field is a number, but negative or too large for 64 bits (32 for counts).
    OutOfRange {
        /// The event's name.
        event: &'static str,
        /// The field's name.
        field: &'static str,
    },
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldFault::Missing { event, field } => {
                write!(f, "{event}: field '{field}' is missing")
            }
            FieldFault::Malformed { event, field } => {
                write!(f, "{event}: field '{field}' is malformed")
            }
            FieldFault::OutOfRange { event, field } => {
                write!(f, "{event}: field '{field}' is out of range")
            }
        }
    }
}
