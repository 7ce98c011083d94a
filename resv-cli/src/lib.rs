//! The program `resv`, as a library.
//!
//! [`recording`] reads recordings of GPU work: lines in, typed events out. [`sidecar`] reads the file
//! that says which job touches which buffer.

#![forbid(unsafe_code)]

pub mod recording;
pub mod sidecar;
