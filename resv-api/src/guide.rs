#![doc = include_str!("../guide/examples.md")]

/// This page, for the suite, which checks its tables.
#[doc(hidden)]
pub const TEXT: &str = include_str!("../guide/examples.md");
