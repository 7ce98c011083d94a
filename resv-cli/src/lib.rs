//! The program `resv`, as a library.
//!
//! [`recording`] reads recordings of GPU work: lines in, typed events out. [`sidecar`] reads the file
//! that says which job touches which buffer. [`replay`] plays the work through reservation objects.

#![forbid(unsafe_code)]

pub mod recording;
pub mod replay;
pub mod sidecar;
