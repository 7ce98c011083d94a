//! The program and the library as their users see them. One test program for all: linking is most of what
//! another one would cost.

mod bad_input;
mod check;
mod containers;
mod pictures;
#[cfg(feature = "tracing")]
mod recorded;
mod recording;
mod replay;
mod script;
